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
//! - [`crate::UnionFind`] makes components of the pairs.
//!
//! Candidates are pairs in a band. Two of them are not yet alike, and a component joins what no pair of its ends has in common:
//! a caller that removes documents should look at the similarity to the one that stays.
//!
//! # What parameters find
//! The probability that a pair becomes a candidate, by its similarity; what was found of all pairs at 0.7 and above of 5,000
//! documents of the labelled pool (two in three of them edited copies and their originals), which share of the candidates those
//! were, and the share of the pool's 2,002 edited copies that were candidates of their originals. By `bench/minhash.sh`.
//!
//! | n | B × R | at 0.5 | at 0.7 | at 0.8 | 95 % from | pairs found | of the candidates | edited copies |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | 5 | 14 × 8 | 0.05 | 0.57 | 0.92 | 0.81 | 0.829 | 0.936 | 0.70 |
//! | 5 | 20 × 6 | 0.27 | 0.92 | 1.00 | 0.72 | 0.986 | 0.882 | 0.88 |
//! | 5 | 25 × 5 | 0.55 | 0.99 | 1.00 | 0.65 | 0.999 | 0.842 | 0.93 |
//! | 3 | 14 × 8 | 0.05 | 0.57 | 0.92 | 0.81 | 0.955 | 0.977 | 0.89 |
//! | 3 | 20 × 6 | 0.27 | 0.92 | 1.00 | 0.72 | 0.997 | 0.940 | 0.95 |
//!
//! (The defaults find 0.988 of the pairs at 0.8 and above.) The exact check, [`ShingleSet::jaccard`], makes the precision 1 and
//! costs the recall nothing; the estimate, which reads no text, blurs the threshold by its standard error of 0.04.
//!
//! Not for: reading or writing, grouping rows by band key (that is the caller's sort), paraphrases, which share meaning and no
//! words, or passages within documents.
//!
//! Letters: n units a shingle, B bands, R rows a band, P = B · R permutations, N documents.

mod banding;
mod characters;
mod error;
mod jaccard;
pub(crate) mod shingles;
mod signal;
mod signature;
#[cfg(test)]
mod tests;
pub mod words;

pub use banding::Banding;
pub use error::MinHashError;
pub use jaccard::{JaccardEstimate, ShingleSet, estimate};
pub use shingles::Shingles;
pub use signal::{BANDS, COMPACT, MinHashSignal, SHINGLES};
pub use signature::{MinHashOptions, MinHasher, Signature};
