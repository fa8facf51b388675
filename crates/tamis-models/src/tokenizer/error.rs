//! What can be wrong with a tokenizer.

/// What can be wrong with a tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file could not be read.
    #[error("tokenizer `{file}`: {source}")]
    Read {
        /// The file.
        file: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a tokenizer, or not one that fits together.
    #[error("tokenizer `{file}`: {problem}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file beside `tokenizer.json` has a token that it lacks, under a number that it cannot have.
    #[error(
        "tokenizer `{file}`: token `{token}`: expected {got}, as in or after `tokenizer.json`, got {stated}"
    )]
    Number {
        /// The file.
        file: String,
        /// The token.
        token: String,
        /// The number that the file states.
        stated: u32,
        /// The one that the token would get.
        got: String,
    },
    /// A GGUF names a way of tokenizing that is not known here.
    #[error("tokenizer `{file}`: `{key}`: expected one of {known}, got `{got}`")]
    Unknown {
        /// The file.
        file: String,
        /// The metadata key.
        key: &'static str,
        /// What is known.
        known: String,
        /// What the file says.
        got: String,
    },
    /// A text could not be tokenized, or tokens not be turned into text.
    #[error("tokenizer: {problem}")]
    Failed {
        /// What the tokenizer said.
        problem: String,
    },
}

impl TokenizerError {
    /// What the caller can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => {
                Some("download the model again, or put its `tokenizer.json` beside the weights".to_owned())
            }
            Self::Malformed { .. } => {
                Some("download the model again: this file is damaged, or of another model".to_owned())
            }
            Self::Number { .. } => Some(
                "the files are not of one tokenizer: take all of them from where the model came from, or add the token to \
                 `tokenizer.json` under the number that the model was trained with"
                    .to_owned(),
            ),
            Self::Unknown { .. } => Some(
                "a guess would tokenize some texts wrongly: use the model's safetensors files, which bring `tokenizer.json`"
                    .to_owned(),
            ),
            Self::Failed { .. } => None,
        }
    }
}
