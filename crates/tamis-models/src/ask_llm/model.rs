//! The kinds of model that can be asked.

use std::sync::Arc;

use crate::build::{Backend, build_causal, build_encoder_decoder};
use crate::error::Result;
use crate::graph::{Architecture, CausalLm, EncoderDecoder, Pair, Prefix, Sink};
use crate::weights::Weights;

/// A model that is asked: the prompt with the document in it is what it reads, the answer is the token that it gives
/// the next turn to.
#[derive(Clone)]
pub enum AnswerModel {
    /// Answers by going on from the end of the prompt; what stands before the document is computed once.
    Decoder(Arc<dyn CausalLm>),
    /// Reads the whole prompt, in both directions, and answers from its start token.
    EncoderDecoder(Arc<dyn EncoderDecoder>),
}

impl AnswerModel {
    /// Builds the model of an architecture that can answer.
    ///
    /// # Errors
    /// When it is an encoder, or its weights do not fit its configuration.
    pub fn build(architecture: &Architecture, weights: &dyn Weights, backend: Backend) -> Result<Self> {
        Ok(match architecture {
            Architecture::T5(_) => {
                Self::EncoderDecoder(Arc::from(build_encoder_decoder(architecture, weights, backend)?))
            }
            _ => Self::Decoder(Arc::from(build_causal(architecture, weights, backend)?)),
        })
    }

    /// Longest prompt in tokens, document included, that the model was made for.
    #[must_use]
    pub fn context(&self) -> usize {
        match self {
            Self::Decoder(model) => model.context(),
            Self::EncoderDecoder(model) => model.context(),
        }
    }

    /// Longest prompt in tokens that it takes when asked to.
    #[must_use]
    pub fn longest(&self) -> usize {
        match self {
            Self::Decoder(model) => model.context(),
            Self::EncoderDecoder(model) => model.longest(),
        }
    }

    /// The arithmetic in use, for the fingerprint.
    #[must_use]
    pub fn numeric_path(&self) -> String {
        match self {
            Self::Decoder(model) => model.numeric_path(),
            Self::EncoderDecoder(model) => model.numeric_path(),
        }
    }

    /// Whether a prompt ends with what the tokenizer puts after a text.
    pub(crate) fn reads_whole_texts(&self) -> bool {
        matches!(self, Self::EncoderDecoder(_))
    }

    /// What stands before every document, computed once; `None` for a model that reads in both directions.
    pub(crate) fn prefix(&self, tokens: &[u32]) -> Result<Option<Prefix>> {
        match self {
            Self::Decoder(model) => model.prefix(tokens).map(Some),
            Self::EncoderDecoder(_) => Ok(None),
        }
    }

    /// Logits of the first token of the answer to each prompt.
    pub(crate) fn next_token_logits(
        &self,
        prefix: Option<&Prefix>,
        prompts: &[&[u32]],
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        match self {
            Self::Decoder(model) => model.next_token_logits(prefix, prompts, sink),
            Self::EncoderDecoder(model) => model.first_token_logits(prompts, sink),
        }
    }

    /// ln P of each token of an answer to each prompt.
    pub(crate) fn answer_log_probs(
        &self,
        prefix: Option<&Prefix>,
        prompts: &[&[u32]],
        answer: &[u32],
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        match self {
            Self::Decoder(model) => {
                let answered: Vec<Vec<u32>> =
                    prompts.iter().map(|prompt| [prompt, answer].concat()).collect();
                let answered: Vec<&[u32]> = answered.iter().map(Vec::as_slice).collect();
                model.token_log_probs(prefix, &answered, &mut |at, log_probs| {
                    sink(at, &log_probs[log_probs.len().saturating_sub(answer.len())..]);
                })
            }
            Self::EncoderDecoder(model) => {
                let pairs: Vec<Pair<'_>> =
                    prompts.iter().map(|input| Pair { input, target: answer }).collect();
                model.token_log_probs(&pairs, sink)
            }
        }
    }
}
