//! What can be wrong with files.

use crate::corpus::CorpusError;
use crate::evaluation_files::EvaluationFileError;
use crate::run::RunError;
use crate::store::StoreError;

/// Result of an operation on files.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of this crate, for callers that use more than one of its parts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder or an object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A corpus or one of its shards.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A run directory or one of its files.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file of an evaluation.
    #[error(transparent)]
    EvaluationFile(#[from] EvaluationFileError),
}

impl Error {
    /// What to do about it, where that can be said; printed after the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Corpus(error) => error.hint(),
            Self::Run(error) => error.hint(),
            Self::EvaluationFile(error) => error.hint(),
        }
    }
}
