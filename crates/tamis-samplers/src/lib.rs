//! Sketches, priorities and thresholds of tamis: pure functions of their inputs and a seed.
//!
//! Five subjects live here, and none of them opens a file:
//!
//! - **Selection**: every document gets one [`Priority`]; the documents with the smallest priorities are kept. A
//!   [`ThresholdSearch`] finds where to cut, exactly, in a few passes and in memory that depends on neither the corpus nor
//!   the number kept; [`PoissonSearch`] does the same for independent draws.
//! - **Density**: a RACE sketch of the embeddings estimates how crowded the neighbourhood of a document is.
//! - **N-grams** ([`ngram`]): Kneser–Ney models of a reference corpus, and perplexity under them.
//! - **Near-duplicates** ([`minhash`]): `MinHash` signatures of documents, and the components that they make.
//! - **Rules** ([`rules`]): the published rules of thumb for web text, as measures with thresholds.
//! - **Contamination** ([`contamination`]): words in a row that documents share with items of evaluations.
//!
//! The first two are reductions whose parts merge in any order to the same bits, so that threads, processes and machines can share
//! the work. What is not here: reading sidecars, writing decisions, resolving duplicate ids.

mod bytes;
pub mod clusters;
pub mod contamination;
mod cosines;
mod density;
pub mod minhash;
pub mod ngram;
mod recall;
pub mod rules;
mod selection;
mod semantic;
mod union_find;

pub use density::{
    BucketBlock, ChosenParameters, Density, DensityDiagnostics, DensityOptions, DrawnEmbeddings,
    EmbeddingSample, Estimate, GroupShare, Kernel, Membership, NeighbourProbe, ParameterError, Preset,
    Projection, RaceHasher, RaceParameters, RaceSketch, Verdict, default_parameters,
};
pub use recall::{ClusterRecall, Queries, Reach, RecallReport};
pub use selection::{
    Bounds, Candidate, Cut, Hold, InvalidScore, MOST_STRATA, MidRanks, ParseRateError, Pass, PoissonSearch,
    PoissonThreshold, Priority, Quantile, Quantiles, QuotaError, Ranker, Rate, RepeatError, RepeatRates,
    RepeatShape, SELECTION_STAGE, Sums, Target, Threshold, ThresholdSearch, UniformDraws, check_quotas,
    find_thresholds, fix_quotas, ordered_image, priority, smallest, unit_interval,
};
pub use semantic::{NearestEarlier, OrderedTile};
pub use union_find::UnionFind;
