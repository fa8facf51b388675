//! What a score is worth against labels: AUC with its interval, rank correlations, and the trivial counts that every
//! judge has to beat.
//!
//! Pure functions: slices in, numbers out, the same on every machine and for every number of threads. They are not for
//! choosing a threshold, and say nothing about a corpus that differs from the labelled one.
//!
//! Dimension letter: N documents. A label is `true` for a good document.

mod auc;
mod baseline;
mod bootstrap;
mod counts;
mod error;
mod rank;

pub use auc::{auc, auc_difference, auc_with_interval};
pub use baseline::{Baseline, baselines, baselines_of};
pub use bootstrap::{Bootstrap, Estimate};
pub use counts::{TextCounter, TextCounts};
pub use error::{Error, Result};
pub use rank::{kendall_tau_b, mid_ranks, spearman};
