//! What can be wrong with parameters.

use thiserror::Error;

/// A parameter that is out of range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MinHashError {
    /// Units a shingle.
    #[error("shingles of `{found}` units: expected 1 to {most}")]
    Ngram {
        /// What was asked for.
        found: usize,
        /// The most that there can be.
        most: usize,
    },
    /// Bands or rows.
    #[error(
        "`{bands}` bands of `{rows}` rows: expected at least one of each and at most {most} permutations together"
    )]
    Banding {
        /// Bands.
        bands: usize,
        /// Rows a band.
        rows: usize,
        /// The most permutations that there can be.
        most: usize,
    },
}
