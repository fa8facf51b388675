//! A prompt as tokens of one model, with its prefix computed and its labels found.

use std::fmt;

use super::labels::{LabelTokens, Labels};
use super::model::AnswerModel;
use crate::error::Result;
use crate::graph::Prefix;
use crate::prompt::{Prompt, Rendering};
use crate::text_tokens::TextTokenizer;
use crate::tokenizer::{Joint, PIECES_VERSION};

/// A prompt, ready for documents.
pub(crate) struct CompiledPrompt {
    pub(crate) prompt: Prompt,
    /// Tokens before the document, the tokens that begin every sequence included.
    pub(crate) prefix: Vec<u32>,
    /// How the document begins after them.
    pub(crate) joint: Joint,
    /// Tokens after the document.
    pub(crate) suffix: Vec<u32>,
    /// The version of how the pieces are put together, where it is not the first.
    pub(crate) pieces_version: Option<&'static str>,
    /// The prefix as the model keeps it; `None` when there are no tokens before the document, or when the model reads
    /// them anew with each.
    pub(crate) state: Option<Prefix>,
    /// Whether the answer is a text of its own and takes no room in the prompt's.
    answers_apart: bool,
    pub(crate) yes: LabelTokens,
    pub(crate) no: LabelTokens,
}

/// For what a prompt is compiled.
#[derive(Clone, Copy)]
pub(crate) struct Compiler<'a> {
    pub(crate) model: &'a AnswerModel,
    pub(crate) tokenizer: &'a dyn TextTokenizer,
    pub(crate) labels: &'a Labels,
}

impl CompiledPrompt {
    /// Tokenizes a prompt that was rendered, and lets the model read what is before the document.
    pub(crate) fn new(prompt: Prompt, rendering: Rendering, reader: Compiler<'_>) -> Result<Self> {
        let Compiler { model, tokenizer, labels } = reader;
        let text = tokenizer.encode_template(prompt.prefix())?;
        let (before, after) = tokenizer.frame();
        let framed = if text.starts_with(before) { text.clone() } else { [before, &text].concat() };
        // A chat template writes what begins a sequence itself, or means it to be without.
        let prefix = match rendering {
            Rendering::Raw => framed.clone(),
            Rendering::Chat => text,
        };
        let joint = tokenizer.joint_after(prompt.prefix())?;
        let mut suffix = tokenizer.encode_template_at(prompt.suffix(), Joint::Joined)?;
        // As tamis 0.1.0 had them.
        let unchanged = prefix == framed
            && joint == Joint::Apart
            && suffix == tokenizer.encode_template(prompt.suffix())?;
        let pieces_version = if unchanged { tokenizer.pieces_version() } else { Some(PIECES_VERSION) };
        let answers_apart = model.reads_whole_texts();
        if answers_apart && !suffix.ends_with(after) {
            suffix.extend_from_slice(after);
        }
        let label_joint = if answers_apart { Joint::Apart } else { Joint::Joined };
        let find = |label: &str| LabelTokens::find(tokenizer, label, (prompt.suffix(), label_joint));
        let (yes, no) = (find(&labels.yes)?, find(&labels.no)?);
        yes.check_apart(&no, labels)?;
        let mut compiled =
            Self { prompt, prefix, joint, suffix, pieces_version, state: None, answers_apart, yes, no };
        // A prefix that leaves no room is refused by the caller, with a better message than the model has.
        if !compiled.prefix.is_empty() && compiled.tokens() < model.context() {
            compiled.state = model.prefix(&compiled.prefix)?;
        }
        Ok(compiled)
    }

    /// Tokens before the document that the model reads with each.
    pub(crate) fn repeated(&self) -> &[u32] {
        if self.state.is_some() { &[] } else { &self.prefix }
    }

    /// Tokens of a sequence beside the document: prefix, suffix, and the longest label that is read as a sequence.
    pub(crate) fn tokens(&self) -> usize {
        let answer = |label: &LabelTokens| match label {
            LabelTokens::Single(_) => 0,
            LabelTokens::Sequence(..) if self.answers_apart => 0,
            LabelTokens::Sequence(tokens, _) => tokens.len(),
        };
        self.prefix.len() + self.suffix.len() + answer(&self.yes).max(answer(&self.no))
    }
}

impl fmt::Debug for CompiledPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledPrompt")
            .field("name", &self.prompt.name())
            .field("prefix_tokens", &self.prefix.len())
            .field("suffix_tokens", &self.suffix.len())
            .finish_non_exhaustive()
    }
}
