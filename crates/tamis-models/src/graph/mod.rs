//! Model graphs: what a model computes, told once, apart from how a backend computes it.
//!
//! Callers see two traits: [`CausalLm`] (a decoder that scores) and [`Encoder`] (one embedding for each sequence).
//! Both take packs of whole token sequences and hand results to a sink, row by row, so that a vocabulary's worth of
//! logits for every sequence never has to exist at once.
//!
//! On the native backend a call runs on the calling thread alone. Several threads may share one model and work on different packs: that
//! is faster than threads inside one matrix product, and does not collapse on a busy machine.
//!
//! Letters: T tokens of a pack, S sequences of a pack, D width of a token's state, V vocabulary.

pub(crate) mod bert;
pub(crate) mod blocks;
mod config;
pub(crate) mod decoder;
pub(crate) mod mask;
pub(crate) mod pack;
mod pooled;
pub(crate) mod relative;
pub(crate) mod rotary;
mod settings;
mod survey;
pub(crate) mod t5;
mod unused;
mod window;

use std::any::Any;

pub use config::{
    Architecture, AttentionBias, BertActivation, BertConfig, BlockNorms, DecoderConfig, Gate, Head,
    HeadNorms, Llama3Scaling, LocalAttention, RopeConfig, RopeScaling, T5Activation, T5Config, T5Head,
};

use self::bert::Bert;
use self::decoder::Decoder;
use self::survey::Survey;
use self::t5::{SentenceT5, T5};
use crate::error::{Error, Result};
use crate::weights::Weights;

/// Receives results: the index of the sequence within the call, and its values.
pub type Sink<'a> = dyn FnMut(usize, &[f32]) + 'a;

/// A causal language model that scores tokens.
///
/// # Results
/// Sequences come back in their order, one call of the sink for each. On the native backend the values for a sequence
/// are bit for bit the same whatever else is in the pack. Weights that hold NaN give values that are not finite, never
/// an error: the caller turns such rows into failed ones.
pub trait CausalLm: Send + Sync {
    /// Longest sequence in tokens, prefix included.
    fn context(&self) -> usize;

    /// V, the number of logits.
    fn vocabulary(&self) -> usize;

    /// The arithmetic in use, for the fingerprint, e.g. `bf16/avx512bf16`.
    fn numeric_path(&self) -> String;

    /// Computes the keys and values of a shared beginning once, for any number of packs that start with it.
    ///
    /// # Errors
    /// When `tokens` is empty, too long, or names a token outside the vocabulary.
    fn prefix(&self, tokens: &[u32]) -> Result<Prefix>;

    /// Hands the V logits that follow the last token of each sequence to the sink.
    ///
    /// # Errors
    /// When a sequence is empty, too long, or names a token outside the vocabulary, or when the prefix is of another
    /// model. Nothing has been handed to the sink then.
    fn next_token_logits(
        &self,
        prefix: Option<&Prefix>,
        sequences: &[&[u32]],
        sink: &mut Sink<'_>,
    ) -> Result<()>;

    /// Hands ln P of each token of each sequence, given all before it, to the sink.
    ///
    /// With a prefix there is one value a token. Without one, nothing precedes the first token, so there is one value
    /// fewer, and the first is of the second token.
    ///
    /// # Errors
    /// As for [`next_token_logits`](Self::next_token_logits).
    fn token_log_probs(
        &self,
        prefix: Option<&Prefix>,
        sequences: &[&[u32]],
        sink: &mut Sink<'_>,
    ) -> Result<()>;
}

/// A model that reads an input whole and answers with a target, token by token.
///
/// Inputs end as the tokenizer ends them (`</s>`); the token that targets start from is the model's own and is not given.
///
/// # Results
/// As for [`CausalLm`].
pub trait EncoderDecoder: Send + Sync {
    /// Longest input in tokens that the model was trained on.
    fn context(&self) -> usize;

    /// Longest input, and longest target, in tokens that it takes.
    fn longest(&self) -> usize;

    /// V, the number of logits.
    fn vocabulary(&self) -> usize;

    /// The arithmetic in use, for the fingerprint, e.g. `bf16/avx512bf16`.
    fn numeric_path(&self) -> String;

    /// Hands the V logits of the first target token to the sink.
    ///
    /// # Errors
    /// When an input is empty, too long, or names a token outside the vocabulary. Nothing has been handed to the sink
    /// then.
    fn first_token_logits(&self, inputs: &[&[u32]], sink: &mut Sink<'_>) -> Result<()>;

    /// Hands the logits of every target token, given the input and the targets before it, to the sink: rows of V.
    ///
    /// # Errors
    /// When an input or a target is empty, too long, or names a token outside the vocabulary.
    fn logits(&self, pairs: &[Pair<'_>], sink: &mut Sink<'_>) -> Result<()>;

    /// Hands ln P of every target token, given the input and the targets before it, to the sink.
    ///
    /// # Errors
    /// As for [`logits`](Self::logits).
    fn token_log_probs(&self, pairs: &[Pair<'_>], sink: &mut Sink<'_>) -> Result<()>;
}

/// An input and what shall follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// Read by the encoder.
    pub input: &'a [u32],
    /// Predicted by the decoder.
    pub target: &'a [u32],
}

impl Pair<'_> {
    fn tokens(&self) -> usize {
        self.input.len() + self.target.len()
    }
}

/// A model that embeds sequences.
pub trait Encoder: Send + Sync {
    /// D, the length of an embedding.
    fn dimension(&self) -> usize;

    /// Longest sequence in tokens, special tokens included, that the model has positions for.
    fn max_tokens(&self) -> usize;

    /// The arithmetic in use, for the fingerprint, e.g. `f32/avx512`.
    fn numeric_path(&self) -> String;

    /// Hands the embedding of each sequence to the sink: the mean of the last states of all its tokens, scaled to
    /// length 1. `[CLS]` and `[SEP]` have to be in the sequences already, and count like any other token, which is
    /// what sentence-transformers does.
    ///
    /// # Errors
    /// When a sequence is empty, too long, or names a token outside the vocabulary. Nothing has been handed to the
    /// sink then.
    fn embed(&self, sequences: &[&[u32]], sink: &mut Sink<'_>) -> Result<()>;
}

/// The computed beginning of sequences; made by [`CausalLm::prefix`], of use to the model that made it alone.
pub struct Prefix {
    tokens: usize,
    state: Box<dyn Any + Send + Sync>,
}

impl Prefix {
    /// A prefix of so many tokens, and what the model needs to go on from it.
    pub fn new(tokens: usize, state: Box<dyn Any + Send + Sync>) -> Self {
        Self { tokens, state }
    }

    /// What [`Prefix::new`] was given, for the model that made it; `None` when it is of another type.
    pub fn state<T: Any>(&self) -> Option<&T> {
        self.state.downcast_ref()
    }

    /// Its length in tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefix").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

/// What a model is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// To score tokens, by `build_causal`.
    CausalLm,
    /// To read an input and answer, by `build_encoder_decoder`.
    EncoderDecoder,
    /// To embed, by `build_encoder`.
    Encoder,
}

/// Whether a model can be built for a task, from the names and shapes of its tensors alone: every tensor that the graph asks
/// for is there, and none is left over that would change what it computes. Building does the same first.
///
/// # Errors
/// As building; [`WeightsError::Unused`](crate::weights::WeightsError::Unused).
pub fn check(architecture: &Architecture, weights: &dyn Weights, task: Task) -> Result<()> {
    let survey = Survey::default();
    let survey = match (architecture, task) {
        (Architecture::Decoder(config), Task::CausalLm) => Decoder::load(survey, config, weights)?.blocks,
        (Architecture::Bert(config), Task::Encoder) => Bert::load(survey, config, weights)?.blocks,
        (Architecture::T5(config), Task::EncoderDecoder) => T5::load(survey, config, weights)?.blocks,
        (Architecture::T5(config), Task::Encoder) => SentenceT5::load(survey, config, weights)?.blocks,
        (_, task) => {
            let needed = match task {
                Task::CausalLm => "causal language model",
                Task::EncoderDecoder => "encoder–decoder",
                Task::Encoder => "encoder",
            };
            return Err(Error::WrongKind { architecture: architecture.name(), needed });
        }
    };
    unused::refuse(architecture, task, weights, &survey.asked())
}
