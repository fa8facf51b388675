//! From weights to a model that computes: which graph, on which backend.
//!
//! Above the graphs, which know no backend, and the backends, which know the operations of the graphs alone.

use crate::candle_backend::CandleBlocks;
pub use crate::candle_backend::Dropout;
pub use crate::candle_backend::device::Device;
use crate::error::{Error, Result};
use crate::graph::bert::Bert;
use crate::graph::decoder::Decoder;
use crate::graph::t5::{SentenceT5, T5};
use crate::graph::{Architecture, CausalLm, Encoder, EncoderDecoder, Task, check};
use crate::native::NativeBlocks;
pub use crate::training::T5Training;
use crate::weights::Weights;

/// How the block operations are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// Fused, on packed weights; inference on the CPU.
    Native(tamis_kernels::Path),
    /// The same operations from differentiable primitives, in f32 on the CPU. Much slower; a second opinion.
    Candle,
    /// The same on an accelerator, for which tamis has to be built. Its values are batch-variant.
    Device(Device),
}

/// Loads a model that scores tokens.
///
/// # Errors
/// When the architecture is an encoder, the configuration does not fit together, a tensor is missing, has another shape or
/// would not be used, or this machine lacks the numeric path.
pub fn build_causal(
    architecture: &Architecture,
    weights: &dyn Weights,
    backend: Backend,
) -> Result<Box<dyn CausalLm>> {
    let Architecture::Decoder(config) = architecture else {
        return Err(Error::WrongKind { architecture: architecture.name(), needed: "causal language model" });
    };
    check(architecture, weights, Task::CausalLm)?;
    Ok(match backend {
        Backend::Native(path) => Box::new(Decoder::load(NativeBlocks::new(path)?, config, weights)?),
        Backend::Candle => Box::new(Decoder::load(CandleBlocks::new(), config, weights)?),
        Backend::Device(device) => Box::new(Decoder::load(CandleBlocks::on(device)?, config, weights)?),
    })
}

/// Loads a model that reads an input and answers.
///
/// # Errors
/// When the architecture is another, else as for [`build_causal`].
pub fn build_encoder_decoder(
    architecture: &Architecture,
    weights: &dyn Weights,
    backend: Backend,
) -> Result<Box<dyn EncoderDecoder>> {
    let Architecture::T5(config) = architecture else {
        return Err(Error::WrongKind { architecture: architecture.name(), needed: "encoder–decoder" });
    };
    check(architecture, weights, Task::EncoderDecoder)?;
    Ok(match backend {
        Backend::Native(path) => Box::new(T5::load(NativeBlocks::new(path)?, config, weights)?),
        Backend::Candle => Box::new(T5::load(CandleBlocks::new(), config, weights)?),
        Backend::Device(device) => Box::new(T5::load(CandleBlocks::on(device)?, config, weights)?),
    })
}

/// Loads a model that embeds sequences; of a T5, the encoder.
///
/// # Errors
/// When the architecture is a decoder, else as for [`build_causal`].
pub fn build_encoder(
    architecture: &Architecture,
    weights: &dyn Weights,
    backend: Backend,
) -> Result<Box<dyn Encoder>> {
    check(architecture, weights, Task::Encoder)?;
    Ok(match (architecture, backend) {
        (Architecture::Bert(config), Backend::Native(path)) => {
            Box::new(Bert::load(NativeBlocks::new(path)?, config, weights)?)
        }
        (Architecture::Bert(config), Backend::Candle) => {
            Box::new(Bert::load(CandleBlocks::new(), config, weights)?)
        }
        (Architecture::Bert(config), Backend::Device(device)) => {
            Box::new(Bert::load(CandleBlocks::on(device)?, config, weights)?)
        }
        (Architecture::T5(config), Backend::Native(path)) => {
            Box::new(SentenceT5::load(NativeBlocks::new(path)?, config, weights)?)
        }
        (Architecture::T5(config), Backend::Candle) => {
            Box::new(SentenceT5::load(CandleBlocks::new(), config, weights)?)
        }
        (Architecture::T5(config), Backend::Device(device)) => {
            Box::new(SentenceT5::load(CandleBlocks::on(device)?, config, weights)?)
        }
        (Architecture::Decoder(_), _) => {
            return Err(Error::WrongKind { architecture: architecture.name(), needed: "encoder" });
        }
    })
}
