//! Prompts: the text around a document that asks a model about it.
//!
//! A prompt is split at its placeholder `{document}` into a *prefix* and a *suffix*. Prefix, document and suffix are
//! tokenized one by one and their tokens joined, never the joined text: the prefix (which holds the shots of a few-shot
//! prompt) then has the same tokens for every document, so that a model computes its keys and values once, and a document
//! can be cut on a token boundary without touching the question. Each piece is tokenized as one that goes on from the piece
//! before it ([`Joint`](crate::tokenizer::Joint)): together they are the tokens of the whole text, but for what would have been
//! merged across the two seams.
//!
//! A [`PromptSet`] is one prompt or several whose scores are averaged. Sets come from the built-in table ([`builtin`]),
//! from files, or, under the name `auto`, from what is stored for a model's digest.

pub mod builtin;
mod chat;
mod error;
mod jinja;
mod thought;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use tamis_core::{Digest, nearest};

pub use chat::ChatTemplate;
pub use error::PromptError;

/// Where the document goes in the text of a prompt.
pub const PLACEHOLDER: &str = "{document}";

/// Longest prompt file in bytes; a longer one is a mistake.
const LARGEST_FILE_BYTES: u64 = 1 << 20;

/// How the prompt is put to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Rendering {
    /// The text as it is.
    #[default]
    Raw,
    /// As the user's turn of the model's own chat template, up to where the assistant answers.
    Chat,
}

impl Rendering {
    /// The word for it in fingerprints and options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Chat => "chat",
        }
    }
}

/// The text before and after a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    name: String,
    prefix: String,
    suffix: String,
    reversed: bool,
}

impl Prompt {
    /// Splits a text at its placeholder.
    ///
    /// # Errors
    /// [`PromptError::Empty`], [`PromptError::Placeholder`] when `{document}` is missing or there twice,
    /// [`PromptError::NothingAsked`] when nothing else is there.
    pub fn parse(name: &str, text: &str) -> Result<Self, PromptError> {
        let name = name.to_owned();
        if text.trim().is_empty() {
            return Err(PromptError::Empty { name });
        }
        let count = text.matches(PLACEHOLDER).count();
        match text.split_once(PLACEHOLDER) {
            Some((prefix, suffix)) if count == 1 => {
                if prefix.trim().is_empty() && suffix.trim().is_empty() {
                    return Err(PromptError::NothingAsked { name });
                }
                Ok(Self { name, prefix: prefix.to_owned(), suffix: suffix.to_owned(), reversed: false })
            }
            _ => Err(PromptError::Placeholder { name, count }),
        }
    }

    /// Reads the bytes of a prompt file: UTF-8, an optional byte-order mark, `{document}` once.
    ///
    /// One line break at the very end is dropped, since editors add it; whoever wants the prompt to end in one leaves an
    /// empty line. Line breaks of two characters become one.
    ///
    /// # Errors
    /// [`PromptError::NotUtf8`], [`PromptError::TooLarge`], and those of [`Prompt::parse`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, PromptError> {
        if bytes.len() as u64 > LARGEST_FILE_BYTES {
            return Err(PromptError::TooLarge {
                name: name.to_owned(),
                limit_bytes: LARGEST_FILE_BYTES,
                got_bytes: bytes.len() as u64,
            });
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| PromptError::NotUtf8 { name: name.to_owned(), at: error.valid_up_to() })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        Self::parse(name, text.strip_suffix('\n').unwrap_or(&text))
    }

    /// Reads a prompt file; its name is the file's without the extension.
    ///
    /// # Errors
    /// [`PromptError::Read`], and those of [`Prompt::from_bytes`].
    pub fn from_file(path: &Path) -> Result<Self, PromptError> {
        let read_error = |source| PromptError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        // One byte past the limit is enough to know that the file is too long, however long it is.
        File::open(path)
            .and_then(|file| file.take(LARGEST_FILE_BYTES + 1).read_to_end(&mut bytes))
            .map_err(read_error)?;
        let name = path.file_stem().map_or_else(|| "file".into(), |stem| stem.to_string_lossy());
        Self::from_bytes(&name, &bytes)
    }

    /// The same question in another text.
    pub(crate) fn with_text(&self, prefix: String, suffix: String) -> Self {
        Self { name: self.name.clone(), prefix, suffix, reversed: self.reversed }
    }

    /// The same text, asked about what is bad: "no" speaks for the document.
    #[must_use]
    pub fn reverse(self) -> Self {
        Self { reversed: !self.reversed, ..self }
    }

    /// Whether "no" speaks for the document, as after "Is this text only menus?". Its probability then counts where that
    /// of "yes" does otherwise. A judge that leans to one of the two answers whatever it reads leans to nothing under the
    /// mean of a prompt and a reversed one.
    #[must_use]
    pub fn is_reversed(&self) -> bool {
        self.reversed
    }

    /// Its name: of the built-in prompt or the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text before the document.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The text after the document; the model answers after it.
    #[must_use]
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The text with its placeholder, as a prompt file would hold it.
    #[must_use]
    pub fn template(&self) -> String {
        format!("{}{PLACEHOLDER}{}", self.prefix, self.suffix)
    }

    /// What opens a thought, `<think>` say, where the prompt ends in one that is still open: the model is then asked for the
    /// first word of a thought, not for an answer.
    #[must_use]
    pub fn open_thought(&self) -> Option<&'static str> {
        thought::open_thought(&self.suffix)
    }

    /// Digest of the text with its placeholder, and of which answer speaks for the document.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut bytes = self.template().into_bytes();
        if self.reversed {
            bytes.extend_from_slice(b"\0reversed");
        }
        Digest::of(&bytes)
    }

    /// Strings by which a document could imitate the end of this prompt: `###` and `OPTIONS:` always, and the first and
    /// last line of the suffix.
    #[must_use]
    pub fn delimiters(&self) -> Vec<String> {
        let mut lines = self.suffix.lines().map(str::trim).filter(|line| line.len() >= 3);
        let first = lines.next();
        let mut all: Vec<String> = ["###", "OPTIONS:"]
            .into_iter()
            .chain(first)
            .chain(lines.next_back())
            .map(str::to_owned)
            .collect();
        all.sort();
        all.dedup();
        all
    }
}

/// One prompt, or several whose scores are averaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptSet {
    name: String,
    prompts: Vec<Prompt>,
}

impl PromptSet {
    /// A set under a name of the caller's.
    ///
    /// # Errors
    /// [`PromptError::NoPrompt`] when the list is empty.
    pub fn new(name: &str, prompts: Vec<Prompt>) -> Result<Self, PromptError> {
        if prompts.is_empty() {
            return Err(PromptError::NoPrompt);
        }
        Ok(Self { name: name.to_owned(), prompts })
    }

    /// The set that an option names: `auto`, a built-in name, the path of a prompt file, or several of these joined by
    /// commas. `model_digest` decides what `auto` means ([`builtin::for_model`], else `paper`).
    ///
    /// # Errors
    /// [`PromptError::Unknown`] with the nearest known name, and those of [`Prompt::from_file`].
    pub fn resolve(option: &str, model_digest: &str) -> Result<Self, PromptError> {
        if option.contains(',') && !Path::new(option).exists() {
            let mut prompts = Vec::new();
            for part in option.split(',') {
                prompts.extend(Self::resolve_one(part.trim(), model_digest)?.prompts);
            }
            return Self::new(option, prompts);
        }
        Self::resolve_one(option, model_digest)
    }

    fn resolve_one(option: &str, model_digest: &str) -> Result<Self, PromptError> {
        if option == "auto" {
            let name = builtin::for_model(model_digest).unwrap_or(builtin::PAPER);
            return builtin::set(name).ok_or(PromptError::NoPrompt);
        }
        if let Some(set) = builtin::set(option) {
            return Ok(set);
        }
        let path = Path::new(option);
        if path.is_file() || option.contains(['/', '\\']) || path.extension().is_some() {
            let prompt = Prompt::from_file(path)?;
            return Self::new(&prompt.name.clone(), vec![prompt]);
        }
        let known = builtin::names();
        let nearest = nearest(option, known.iter().copied().chain(["auto"]));
        Err(PromptError::Unknown { name: option.to_owned(), nearest, known })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The prompts, at least one.
    #[must_use]
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }
}

#[cfg(test)]
mod tests;
