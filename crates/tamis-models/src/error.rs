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
    /// A model was asked for something that its architecture cannot do.
    #[error("a model of architecture `{architecture}` is no {needed}")]
    WrongKind {
        /// Its architecture.
        architecture: &'static str,
        /// What was asked for, in words.
        needed: &'static str,
    },
    /// The special tokens of an encoder use up all the tokens that it may read.
    #[error("{special_tokens} special tokens leave no room for text in {max_tokens} tokens")]
    NoRoomForText {
        /// Special tokens around every text.
        special_tokens: usize,
        /// Most tokens of a sequence.
        max_tokens: usize,
    },
    /// A window for perplexity that is longer than the context, or in which nothing is predicted.
    #[error(
        "expected windows of {least} tokens to the context of {context}, got {window} tokens, {around} of them beside the text"
    )]
    Window {
        /// Tokens of the window.
        window: usize,
        /// Tokens that the model expects before or after every text.
        around: usize,
        /// The smallest window that predicts a token.
        least: usize,
        /// The longest sequence that the model can see.
        context: usize,
    },
    /// Windows that advance by nothing, or by so much that tokens would be left out.
    #[error("expected a stride of 1 to {most} tokens, got a stride of {stride}")]
    Stride {
        /// Tokens by which windows were to advance.
        stride: usize,
        /// The longest stride that leaves nothing out.
        most: usize,
    },
    /// A stride for windows that do not overlap.
    #[error("the windows of an encoder–decoder do not overlap: they have no stride")]
    NoStride,
    /// A device that this tamis was built without.
    #[error("device `{device}`: this tamis was built without feature `{feature}`")]
    DeviceMissing {
        /// The device.
        device: &'static str,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// An objective for perplexity that the model was not made for.
    #[error("a model of architecture `{architecture}` has no objective `{objective}`, expected {known}")]
    Objective {
        /// What was asked for.
        objective: &'static str,
        /// The model's architecture.
        architecture: &'static str,
        /// What it has.
        known: &'static str,
    },
    /// Spans cannot be cut out of a text without tokens to stand for them.
    #[error("the tokenizer has no token `<extra_id_0>` to stand for what is cut out")]
    NoSentinels,
    /// A prompt cannot be used.
    #[error(transparent)]
    Prompt(#[from] crate::prompt::PromptError),
    /// A file names a model that no graph is written for.
    #[error("model `{file}`: expected one of {known}, got architecture `{got}`")]
    UnknownArchitecture {
        /// The file that names it.
        file: String,
        /// What can be built from this kind of file.
        known: String,
        /// What the file says.
        got: String,
    },
    /// The model could not be had.
    #[error(transparent)]
    Source(#[from] crate::source::error::SourceError),
    /// A file of weights.
    #[error(transparent)]
    Weights(#[from] crate::weights::error::WeightsError),
    /// A tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] crate::tokenizer::error::TokenizerError),
    /// A kernel refused a numeric path.
    #[error(transparent)]
    Kernels(#[from] tamis_kernels::Error),
    /// candle refused an operation.
    #[error("candle: {0}")]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// What is wrong with a configuration, with the file that it was read from.
    pub(crate) fn of_file(self, file: &std::path::Path) -> Self {
        match self {
            Self::Config { field, expected, got } => crate::source::error::SourceError::Configuration {
                path: file.to_owned(),
                problem: format!("`{field}`: expected {expected}, got `{got}`"),
            }
            .into(),
            other => other,
        }
    }

    /// What the caller can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SequenceTooLong { prefix, context, .. } => {
                Some(format!("cut each sequence to at most {} tokens", context.saturating_sub(*prefix)))
            }
            Self::UnknownToken { .. } => {
                Some("use the tokenizer that came with the model's weights".to_owned())
            }
            Self::NoRoomForText { special_tokens, .. } => {
                Some(format!("allow at least {} tokens", special_tokens + 1))
            }
            Self::NoSentinels => Some("use the objective `prefix`, or T5's own tokenizer".to_owned()),
            Self::WrongKind { needed, .. } => Some(format!(
                "name a model that is {}",
                match *needed {
                    "encoder" => "an encoder, such as `minilm`",
                    "encoder–decoder" => "a T5, such as `hf:google/flan-t5-base`",
                    _ => "a decoder, such as `smollm2`",
                }
            )),
            Self::DeviceMissing { feature, .. } => Some(format!(
                "build it with `cargo build --release --features {feature}`, or leave --device out"
            )),
            Self::Window { .. } => Some("leave --window out: it is the model's context then".to_owned()),
            Self::NoStride => Some("leave --stride out".to_owned()),
            Self::Stride { most, .. } => Some(format!("leave --stride out, or give at most {most}")),
            Self::Objective { known, .. } => {
                let others = if *known == "causal" { "; `span` and `prefix` need an encoder-decoder" } else { "" };
                Some(format!("leave --objective out, or give {known}{others}"))
            }
            Self::Prompt(error) => error.hint(),
            Self::UnknownArchitecture { .. } => Some(
                "use a model of a known architecture, or let a server run this one and name it: `--model http://…`"
                    .to_owned(),
            ),
            Self::Source(error) => error.hint(),
            Self::Weights(error) => error.hint(),
            Self::Tokenizer(error) => error.hint(),
            Self::Kernels(error) => error.hint(),
            _ => None,
        }
    }
}
