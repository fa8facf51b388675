//! A model that gives likelihoods.

use std::fmt;
use std::sync::Arc;

use super::Objective;
use crate::build::{Backend, build_causal, build_encoder_decoder};
use crate::error::Result;
use crate::graph::{Architecture, CausalLm, EncoderDecoder};
use crate::identity::ModelIdentity;
use crate::source::LoadedModel;

/// What gives the likelihoods, and of what.
#[derive(Clone)]
pub enum Likelihood {
    /// [`Objective::Causal`], by a decoder.
    Causal(Arc<dyn CausalLm>),
    /// [`Objective::Span`], by an encoder–decoder.
    Span(Arc<dyn EncoderDecoder>),
    /// [`Objective::Prefix`], by an encoder–decoder.
    Prefix(Arc<dyn EncoderDecoder>),
}

/// A language model, with what a fingerprint must know of it.
#[derive(Clone)]
pub struct Predictor {
    /// The model and its objective.
    pub model: Likelihood,
    /// Which model it is.
    pub identity: ModelIdentity,
}

impl Predictor {
    /// Builds the graph of an opened model; the model's files are let go.
    ///
    /// # Errors
    /// When the model has no likelihood or not the objective, or its weights do not fit its configuration.
    pub fn from_model(loaded: LoadedModel, objective: Option<Objective>, backend: Backend) -> Result<Self> {
        let objective = Objective::of(objective, &loaded.architecture)?;
        let encoder_decoder = |architecture: &Architecture| {
            build_encoder_decoder(architecture, &*loaded.weights, backend).map(Arc::from)
        };
        let model = match objective {
            Objective::Causal => {
                Likelihood::Causal(Arc::from(build_causal(&loaded.architecture, &*loaded.weights, backend)?))
            }
            Objective::Span => Likelihood::Span(encoder_decoder(&loaded.architecture)?),
            Objective::Prefix => Likelihood::Prefix(encoder_decoder(&loaded.architecture)?),
        };
        Ok(Self { model, identity: loaded.into() })
    }
}

impl fmt::Debug for Predictor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predictor").field("identity", &self.identity).finish_non_exhaustive()
    }
}
