//! A T5 whose parameters receive gradients: the graph that scores, on candle.
//!
//! Not for: the loop around it (batches, schedule, optimiser, checkpoints).

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use crate::candle_backend::{CandleBlocks, Dropout};
use crate::error::Result;
use crate::graph::t5::T5;
use crate::graph::{Architecture, Pair, T5Config, Task, check};
use crate::weights::Weights;

/// A T5 in training.
pub struct T5Training {
    model: T5<CandleBlocks>,
}

impl std::fmt::Debug for T5Training {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("T5Training").finish_non_exhaustive()
    }
}

impl T5Training {
    /// Loads weights, trained or just drawn, as variables.
    ///
    /// # Errors
    /// When the configuration does not fit together, or a tensor is missing, has another shape or would not be used.
    pub fn new(config: &T5Config, weights: &dyn Weights) -> Result<Self> {
        check(&Architecture::T5(config.clone()), weights, Task::EncoderDecoder)?;
        Ok(Self { model: T5::load(CandleBlocks::trainable(), config, weights)? })
    }

    /// The parameters by tensor name; a tied head is one with its table.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, Var> {
        self.model.blocks.variables()
    }

    /// Mean of −ln P over all target tokens, in nats: a scalar to go backward from.
    ///
    /// With dropout, values are dropped where T5 drops them: on embeddings, attention weights, inside and after each
    /// feed-forward, after each attention, and on the last states of both stacks.
    ///
    /// # Errors
    /// When there is no pair, or an input or a target is empty, too long, or names a token outside the vocabulary.
    pub fn loss(&mut self, pairs: &[Pair<'_>], dropout: Option<Dropout>) -> Result<Tensor> {
        self.model.check(pairs)?;
        self.model.blocks.set_dropout(dropout);
        let log_probs = self.model.target_log_probs(pairs);
        self.model.blocks.set_dropout(None);
        Ok(log_probs?.mean_all()?.neg()?)
    }
}
