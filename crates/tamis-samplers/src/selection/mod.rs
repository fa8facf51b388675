//! Which documents are kept: priorities, rates, thresholds.
//!
//! Every rule of the paper (arXiv 2402.09668, §3.3) becomes the same statement here: a document has a priority, and the
//! smallest priorities are kept. Rules differ in the priority alone, so all of them nest under one seed, do not depend on
//! the order of shards, and share one exact search for the threshold.

mod mid_ranks;
mod poisson;
mod priority;
mod quotas;
mod rate;
mod repeats;
mod smallest;
mod threshold;
mod uniform;

pub use mid_ranks::{MOST_STRATA, MidRanks, Quantile, Quantiles};
pub use poisson::{PoissonSearch, PoissonThreshold};
pub use priority::{Candidate, InvalidScore, Priority, Ranker, ordered_image, priority};
pub use quotas::{Bounds, Hold, QuotaError, check_quotas, fix_quotas};
pub use rate::{ParseRateError, Rate};
pub use repeats::{RepeatError, RepeatRates, RepeatShape};
pub use smallest::smallest;
pub use threshold::{Cut, Pass, Sums, Target, Threshold, ThresholdSearch, find_thresholds};
pub use uniform::{SELECTION_STAGE, UniformDraws, unit_interval};
