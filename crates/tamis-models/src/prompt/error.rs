//! What can be wrong with a prompt, its labels or its rendering.

use std::path::PathBuf;

/// What can be wrong with a prompt, its labels or its rendering.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The name is neither a built-in prompt nor a file.
    #[error("prompt `{name}`: neither a built-in prompt nor a file")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The built-in name that is closest to it, if any is close.
        nearest: Option<&'static str>,
        /// All built-in names.
        known: Vec<&'static str>,
    },
    /// A prompt file cannot be read.
    #[error("prompt file `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A prompt file is far longer than any prompt.
    #[error("prompt `{name}`: expected at most {limit_bytes} bytes, got {got_bytes}")]
    TooLarge {
        /// Name of the prompt or its file.
        name: String,
        /// Longest file that is read.
        limit_bytes: u64,
        /// Length of this one.
        got_bytes: u64,
    },
    /// The text is not UTF-8.
    #[error("prompt `{name}`, byte {at}: not UTF-8")]
    NotUtf8 {
        /// Name of the prompt or its file.
        name: String,
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// The text is empty or white space.
    #[error("prompt `{name}`: the text is empty")]
    Empty {
        /// Name of the prompt or its file.
        name: String,
    },
    /// The placeholder does not stand in the text exactly once.
    #[error("prompt `{name}`: expected `{{document}}` exactly once, got it {count} times")]
    Placeholder {
        /// Name of the prompt or its file.
        name: String,
        /// How often it stands there.
        count: usize,
    },
    /// There is nothing but the placeholder.
    #[error("prompt `{name}`: no text beside `{{document}}`, so nothing is asked")]
    NothingAsked {
        /// Name of the prompt or its file.
        name: String,
    },
    /// Chat rendering was asked for, but the model brings no template.
    #[error("model `{model}`: no chat template")]
    NoChatTemplate {
        /// The model's source.
        model: String,
    },
    /// The model's chat template cannot be rendered.
    #[error("model `{model}`: chat template: {problem}")]
    ChatTemplate {
        /// The model's source.
        model: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Prompt and context leave no room for a document.
    #[error(
        "prompt `{name}`: {prompt_tokens} tokens leave no room for a document in a context of {context_tokens}"
    )]
    NoRoom {
        /// Name of the prompt.
        name: String,
        /// Tokens of the prompt without a document, answer included.
        prompt_tokens: usize,
        /// Tokens that the model, or the limit in force, allows.
        context_tokens: usize,
    },
    /// A label has no token in this vocabulary.
    #[error("label `{label}`: the model's tokenizer makes no token of it")]
    LabelWithoutTokens {
        /// The label.
        label: String,
    },
    /// One token spells both labels, so that the answers cannot be told apart.
    #[error("labels `{yes}` and `{no}`: both are spelled by token `{token}`")]
    SharedToken {
        /// The label that counts for a document.
        yes: String,
        /// The label that counts against it.
        no: String,
        /// The token in words.
        token: String,
    },
    /// No prompt was given.
    #[error("a set of prompts needs at least one prompt")]
    NoPrompt,
}

impl PromptError {
    /// The remedy, in words; printed after the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { nearest: Some(nearest), known, .. } => {
                format!("did you mean `{nearest}`? built-in prompts: {}, auto", known.join(", "))
            }
            Self::Unknown { known, .. } => {
                format!("built-in prompts: {}, auto; or give the path of a prompt file", known.join(", "))
            }
            Self::Placeholder { .. } | Self::Empty { .. } | Self::NothingAsked { .. } => {
                "write the prompt as plain text with `{document}` where the document goes, and the question after it"
                    .to_owned()
            }
            Self::NotUtf8 { .. } => "save the file as UTF-8".to_owned(),
            Self::NoChatTemplate { .. } => {
                "leave chat rendering out, or use a model whose files bring a chat template".to_owned()
            }
            Self::ChatTemplate { .. } => {
                "leave chat rendering out, or write the turns into a prompt file".to_owned()
            }
            Self::NoRoom { .. } => "use a shorter prompt, or a model with a longer context".to_owned(),
            Self::LabelWithoutTokens { .. } | Self::SharedToken { .. } => {
                "choose labels that the tokenizer spells with different tokens, e.g. yes and no".to_owned()
            }
            Self::TooLarge { .. } => "is this a corpus rather than a prompt?".to_owned(),
            Self::Read { .. } | Self::NoPrompt => return None,
        })
    }
}
