//! Near-duplicates: `MinHash` signatures of word n-grams, bands of them, the Jaccard similarity they estimate, and the components
//! that candidate pairs make.
//!
//! The method is Broder's (1997, doi:10.1109/SEQUEN.1997.666900): the share of permutations under which two sets have the same
//! minimum estimates |A ∩ B| / |A ∪ B|. Documents that agree in all R rows of one of B bands are a candidate pair (Leskovec et
//! al., Mining of Massive Datasets, §3.4), with probability 1 − (1 − sᴿ)ᴮ at similarity s ([`Banding`]).
//!
//! - [`words`] cuts a text into units, [`Shingles`] makes n-grams of them, [`MinHasher`] a [`Signature`] of those.
//! - [`MinHashSignal`] gives every document its band keys and a compact signature of a byte a permutation.
//! - [`estimate`] compares two compact signatures, [`ShingleSet`] two texts exactly.
//! - [`Components`] joins documents in memory, [`propagation`] where they do not fit.
//!
//! Candidates are pairs in a band. Two of them are not yet alike, and a component joins what no pair of its ends has in common:
//! a caller that removes documents should look at the similarity to the one that stays.
//!
//! Not for: reading or writing, grouping rows by band key (that is the caller's sort), paraphrases, which share meaning and no
//! words, or passages within documents.
//!
//! Letters: n units a shingle, B bands, R rows a band, P = B · R permutations, N documents.

mod banding;
mod characters;
mod components;
mod error;
mod jaccard;
pub mod propagation;
mod shingles;
mod signal;
mod signature;
#[cfg(test)]
mod tests;
pub mod words;

pub use banding::Banding;
pub use components::Components;
pub use error::MinHashError;
pub use jaccard::{JaccardEstimate, ShingleSet, estimate};
pub use shingles::Shingles;
pub use signal::{BANDS, COMPACT, MinHashSignal, SHINGLES};
pub use signature::{MinHashOptions, MinHasher, Signature};
