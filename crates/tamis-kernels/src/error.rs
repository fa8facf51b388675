//! What can go wrong in a kernel call that is not the caller's bug.

/// Result of a kernel call that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in a kernel call that is not the caller's bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A numeric path was asked for by a name that nothing here has.
    #[error("numeric path `{name}` is unknown; known are {known}")]
    UnknownPath {
        /// The name as asked.
        name: String,
        /// The known names, comma-separated.
        known: String,
    },
    /// A number format was asked for by a name that nothing here has.
    #[error("number format `{name}` is unknown; known are `f32`, `bf16` and `int8`")]
    UnknownDtype {
        /// The name as asked.
        name: String,
    },
    /// This machine lacks the instructions of a numeric path.
    #[error("numeric path `{path}` needs instructions that this machine does not have")]
    UnsupportedPath {
        /// Name of the path.
        path: &'static str,
    },
    /// A sketch counter reached the largest u32; the counters hold too many documents.
    #[error("sketch row {row}: a counter would exceed {}", u32::MAX)]
    CounterOverflow {
        /// The first sketch row where it happened.
        row: usize,
    },
    /// Parameters of a hash family are out of range.
    #[error("hash parameter `{parameter}`: {problem}")]
    HashParameter {
        /// Name of the parameter.
        parameter: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    /// What the user can do about it, to be printed after the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownPath { .. } | Self::UnknownDtype { .. } | Self::HashParameter { .. } => None,
            Self::UnsupportedPath { .. } => Some(
                "score on a machine like the one that began this signal, or start a second signal beside it"
                    .to_owned(),
            ),
            Self::CounterOverflow { .. } => {
                Some("sketch the corpus in several sketches, or sample it first".to_owned())
            }
        }
    }
}
