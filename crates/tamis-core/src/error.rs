//! What can be wrong with a batch or a signal.

use arrow_schema::{ArrowError, DataType};

/// Result of an operation on shared types.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be wrong with a batch, a stored summary or a signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A batch lacks a column that its type promises.
    #[error("batch: column `{column}` is missing")]
    MissingColumn {
        /// Name of the column.
        column: String,
    },
    /// A column has another type than its batch promises.
    #[error("batch: column `{column}`: expected {expected}, got {got}")]
    ColumnType {
        /// Name of the column.
        column: String,
        /// What was expected, in words.
        expected: &'static str,
        /// The type that was found.
        got: DataType,
    },
    /// A column that must have a value in every row has a null.
    #[error("batch: column `{column}` is null at batch row {at}")]
    Null {
        /// Name of the column.
        column: String,
        /// Index within the batch.
        at: usize,
    },
    /// Arrow refused an operation; a caller's bug.
    #[error("arrow: {0}")]
    Arrow(#[from] ArrowError),
    /// Stored bytes are not what they claim to be.
    #[error("{what}: {problem}")]
    Corrupt {
        /// The kind of object, e.g. `sketch`.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Two summaries were made with different parameters, or hold the same part twice.
    #[error("{what} cannot be merged: {problem}")]
    Merge {
        /// The kind of object, e.g. `sketch`.
        what: &'static str,
        /// Why not.
        problem: String,
    },
    /// A signal could not be computed at all (as opposed to a row that failed, which is a null and a reason).
    #[error("signal `{signal}`: {source}")]
    Signal {
        /// Name of the signal.
        signal: String,
        /// The cause, from the room that computes it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Wraps the error of the room that computes a signal.
    pub fn signal(signal: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Signal { signal: signal.into(), source: Box::new(source) }
    }
}
