//! A prompt as tokens of one model, with its prefix computed and its labels found.

use std::fmt;

use super::labels::{LabelTokens, Labels};
use super::model::AnswerModel;
use crate::error::Result;
use crate::graph::Prefix;
use crate::prompt::Prompt;
use crate::text_tokens::TextTokenizer;

/// A prompt, ready for documents.
pub(crate) struct CompiledPrompt {
    pub(crate) prompt: Prompt,
    /// Tokens before the document, the tokens that begin every sequence included.
    pub(crate) prefix: Vec<u32>,
    /// Tokens after the document.
    pub(crate) suffix: Vec<u32>,
    /// The prefix as the model keeps it; `None` when there are no tokens before the document, or when the model reads
    /// them anew with each.
    pub(crate) state: Option<Prefix>,
    /// Whether the answer is a text of its own and takes no room in the prompt's.
    answers_apart: bool,
    pub(crate) yes: LabelTokens,
    pub(crate) no: LabelTokens,
}

impl CompiledPrompt {
    pub(crate) fn new(
        prompt: Prompt,
        labels: &Labels,
        model: &AnswerModel,
        tokenizer: &dyn TextTokenizer,
    ) -> Result<Self> {
        let mut prefix = tokenizer.encode_template(prompt.prefix())?;
        // A chat template writes the tokens that begin a sequence itself.
        let (before, after) = tokenizer.frame();
        if !prefix.starts_with(before) {
            prefix.splice(..0, before.iter().copied());
        }
        let mut suffix = tokenizer.encode_template(prompt.suffix())?;
        let answers_apart = model.reads_whole_texts();
        if answers_apart && !suffix.ends_with(after) {
            suffix.extend_from_slice(after);
        }
        let yes = LabelTokens::find(tokenizer, &labels.yes, prompt.suffix())?;
        let no = LabelTokens::find(tokenizer, &labels.no, prompt.suffix())?;
        yes.check_apart(&no, labels)?;
        let mut compiled = Self { prompt, prefix, suffix, state: None, answers_apart, yes, no };
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
