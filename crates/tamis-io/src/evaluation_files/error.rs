//! What can be wrong with files of evaluations.

use super::find::KNOWN;
use crate::corpus::CorpusError;
use crate::store::StoreError;

/// Result of reading evaluations.
pub type EvaluationFileResult<T, E = EvaluationFileError> = std::result::Result<T, E>;

/// What can be wrong with a file of an evaluation. Each names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationFileError {
    /// A file or a folder cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A glob that cannot be understood.
    #[error(transparent)]
    Pattern(#[from] CorpusError),
    /// There is nothing to read.
    #[error("evaluation `{location}`: {problem}")]
    Nothing {
        /// What the user gave.
        location: String,
        /// What is there instead.
        problem: &'static str,
    },
    /// A file whose ending is not known, or no file.
    #[error("evaluation file `{location}`: {problem}; files ending in {KNOWN} are read")]
    UnknownKind {
        /// Where it lies.
        location: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two files would be one evaluation.
    #[error("evaluation files `{first}` and `{second}` would both be called `{name}`")]
    SameName {
        /// The name.
        name: String,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// What is in a file is not what its ending says.
    #[error("evaluation file `{location}`, {place}: {problem}")]
    Broken {
        /// Where it lies.
        location: String,
        /// Line, row or item.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// A file in which there is no text.
    #[error("evaluation file `{location}`: none of its {items} items has a text")]
    NoText {
        /// Where it lies.
        location: String,
        /// How many items there are.
        items: u64,
    },
    /// A file in which none of the named columns holds a text.
    #[error("evaluation file `{location}`: no text in column {columns}; its columns are {known}")]
    NoColumn {
        /// Where it lies.
        location: String,
        /// Those that were asked for.
        columns: String,
        /// The columns of its first items.
        known: String,
    },
    /// A file that is too large to be an evaluation.
    #[error("evaluation file `{location}`: more than {most} bytes of text")]
    TooLarge {
        /// Where it lies.
        location: String,
        /// The limit.
        most: u64,
    },
}

impl EvaluationFileError {
    /// Whether the caller named something that cannot be had.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Nothing { .. }
            | Self::UnknownKind { .. }
            | Self::SameName { .. }
            | Self::NoColumn { .. }
            | Self::Pattern(CorpusError::Pattern { .. }) => true,
            Self::Pattern(_)
            | Self::Store(_)
            | Self::Broken { .. }
            | Self::NoText { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// What to do about it, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Store(error) => return error.hint(),
            Self::Pattern(error) => return error.hint(),
            Self::Nothing { .. } => "--evaluation names files, folders, or a glob in quotation marks".into(),
            Self::UnknownKind { .. } => {
                "convert it, move it away, or name the files that are meant by a glob".into()
            }
            Self::SameName { .. } => {
                "name the folder above both: an evaluation is called by its path below what --evaluation names".into()
            }
            Self::Broken { .. } => "fetch or make the file again: what cannot be read cannot be looked for".into(),
            Self::NoText { .. } => "name the evaluation's files alone".into(),
            Self::NoColumn { .. } => {
                "name a column of every file by --evaluation-columns, or leave it out: then every string is a text".into()
            }
            Self::TooLarge { .. } => "divide it into several files".into(),
        })
    }
}
