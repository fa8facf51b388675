//! What can be wrong with a model, or with what it is given.

/// Result of an operation on models.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be wrong with a model, or with what it is given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of a model's configuration has a value that no model can have.
    #[error("model configuration: `{field}`: expected {expected}, got `{got}`")]
    Config {
        /// Name of the field.
        field: &'static str,
        /// What was expected, in words.
        expected: String,
        /// What was found.
        got: String,
    },
    /// A sequence of a pack has no token.
    #[error("sequence {sequence} of the pack is empty")]
    EmptySequence {
        /// Index within the pack.
        sequence: usize,
    },
    /// A sequence is longer than the model can see.
    #[error(
        "sequence {sequence} of the pack: {prefix} prefix and {tokens} own tokens exceed the context of {context}"
    )]
    SequenceTooLong {
        /// Index within the pack.
        sequence: usize,
        /// Tokens of the shared prefix.
        prefix: usize,
        /// Tokens of the sequence itself.
        tokens: usize,
        /// Longest sequence that the model can see.
        context: usize,
    },
    /// A token is not in the vocabulary: model and tokenizer do not belong together.
    #[error("sequence {sequence} of the pack: token {token} is outside the vocabulary of {vocabulary}")]
    UnknownToken {
        /// Index within the pack.
        sequence: usize,
        /// The token.
        token: u32,
        /// Number of tokens that the model knows.
        vocabulary: usize,
    },
    /// A computed prefix was given to a model that did not make it.
    #[error("the prefix was computed by another model")]
    ForeignPrefix,
    /// A prompt cannot be used.
    #[error(transparent)]
    Prompt(#[from] crate::prompt::PromptError),
    /// candle refused an operation.
    #[error("candle: {0}")]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// What the caller can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SequenceTooLong { prefix, context, .. } => {
                Some(format!("cut each sequence to at most {} tokens", context.saturating_sub(*prefix)))
            }
            Self::UnknownToken { .. } => {
                Some("use the tokenizer that came with the model's weights".to_owned())
            }
            Self::Prompt(error) => error.hint(),
            _ => None,
        }
    }
}
