//! Errors of the façade: whose fault, where, and what to do about it.

use tamis_samplers::ParameterError;

/// Result of the library's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. [`Error::hint`] says what to do about it, [`Error::is_usage`] whether the caller asked for
/// something that cannot be had (exit code 2) or something failed (exit code 1).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request itself is wrong.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to write instead.
        hint: String,
    },
    /// The request is right but the run or the corpus does not allow it.
    #[error("{message}")]
    State {
        /// What is in the way.
        message: String,
        /// The remedy.
        hint: String,
    },
    /// What other workers have to do first is not done.
    #[error("waiting for {missing} of {shards} shards of `{what}`")]
    Waiting {
        /// Shards that it lacks.
        missing: usize,
        /// Shards of the corpus.
        shards: usize,
        /// What is needed whole: the full name of a signal, or the name of a selection.
        what: String,
    },
    /// The observer asked for it ([`crate::Observer::cancelled`]).
    #[error("stopped, as was asked")]
    Cancelled,
    /// A folder or an object store.
    #[error(transparent)]
    Store(#[from] tamis_io::store::StoreError),
    /// A corpus file.
    #[error(transparent)]
    Corpus(#[from] tamis_io::corpus::CorpusError),
    /// A file of a run directory.
    #[error(transparent)]
    Run(#[from] tamis_io::run::RunError),
    /// A file of an evaluation that is looked for.
    #[error(transparent)]
    EvaluationFile(#[from] tamis_io::evaluation_files::EvaluationFileError),
    /// A model, tokenizer or prompt.
    #[error(transparent)]
    Models(#[from] tamis_models::Error),
    /// A server.
    #[error(transparent)]
    Remote(#[from] tamis_remote::Error),
    /// Parameters of a sketch.
    #[error(transparent)]
    Sketch(#[from] ParameterError),
    /// An n-gram model that cannot be estimated.
    #[error(transparent)]
    Ngram(#[from] tamis_samplers::ngram::TrainError),
    /// Scores that cannot be compared with labels.
    #[error(transparent)]
    Evaluation(#[from] crate::evaluation::Error),
    /// A batch or a signal.
    #[error(transparent)]
    Core(#[from] tamis_core::Error),
}

impl Error {
    /// A request that cannot be had.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// A state that is in the way.
    pub fn state(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::State { message: message.into(), hint: hint.into() }
    }

    /// The remedy, where one is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } | Self::State { hint, .. } => {
                Some(hint.clone()).filter(|hint| !hint.is_empty())
            }
            Self::Waiting { .. } => Some(
                "all that could be done is done: give the same command again once the other workers are further, or add --wait"
                    .to_owned(),
            ),
            Self::Cancelled => Some("what was done stays: the same call goes on from there".to_owned()),
            Self::Store(error) => error.hint(),
            Self::Corpus(error) => error.hint(),
            Self::Run(error) => error.hint(),
            Self::EvaluationFile(error) => error.hint(),
            Self::Models(error) => error.hint(),
            Self::Ngram(error) => error.hint(),
            Self::Remote(error) => error.hint(),
            Self::Sketch(ParameterError::OutOfRange { .. }) => Some(
                "give a number in that range, or leave it out for the rule of docs/density.md".to_owned(),
            ),
            // A server that failed while a signal was computed.
            Self::Core(tamis_core::Error::Signal { source, .. }) => {
                source.downcast_ref::<tamis_remote::Error>().and_then(tamis_remote::Error::hint)
            }
            Self::Evaluation(error) => error.hint(),
            _ => None,
        }
    }

    /// Whether the caller asked for something that cannot be had.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        use tamis_io::{corpus::CorpusError, run::RunError};
        use tamis_models::{Error as ModelError, prompt::PromptError, source::SourceError};
        use tamis_samplers::ngram::TrainError;
        match self {
            Self::Usage { .. }
            | Self::Ngram(TrainError::Parameter(_))
            | Self::Sketch(ParameterError::OutOfRange { .. }) => true,
            Self::Corpus(error) => matches!(
                error,
                CorpusError::MissingColumn { .. } | CorpusError::Columns { .. } | CorpusError::Pattern { .. }
            ),
            Self::EvaluationFile(error) => error.is_usage(),
            Self::Run(error) => matches!(error, RunError::Unknown { .. } | RunError::Ambiguous { .. }),
            Self::Models(ModelError::Source(error)) => {
                matches!(error, SourceError::Unknown { .. } | SourceError::Spelling { .. })
            }
            Self::Remote(error) => error.is_usage(),
            Self::Models(
                ModelError::Objective { .. }
                | ModelError::Window { .. }
                | ModelError::Stride { .. }
                | ModelError::DeviceMissing { .. },
            ) => true,
            Self::Models(ModelError::Prompt(error)) => matches!(error, PromptError::Unknown { .. }),
            _ => false,
        }
    }
}
