//! What is common to signals that a model computes: where it comes from, what computes it.

use tamis_core::Parallelism;
use tamis_io::run::Repeatability;
use tamis_models::build::{Backend, Device as ModelDevice};
use tamis_models::source::{self, KNOWN_MODELS, KnownModel, LoadedModel, default_cache, open_model};
use tamis_models::tokenizer::Tokenizer;

use crate::model_options::{Device, Dtype, Engine, ServerOptions};
use crate::{Observer, Result, numeric};

pub(crate) const DEFAULT_JUDGE: &str = "smollm2";

/// Whether a model source is a server's address.
#[must_use]
pub fn is_server(source: &str) -> bool {
    tamis_remote::is_url(source)
}

pub(crate) fn open(source: &str, observer: &dyn Observer) -> Result<LoadedModel> {
    Ok(open_model(source, &default_cache(), &|line| observer.note(line))?)
}

/// The tokenizer of a model, whether or not the rest of it could be used, and the source in full.
pub(crate) fn open_tokenizer(source: &str, observer: &dyn Observer) -> Result<(Tokenizer, String)> {
    Ok(source::open_tokenizer(source, &default_cache(), &|line| observer.note(line))?)
}

pub(crate) fn backend(dtype: Dtype, engine: Engine, device: Device) -> Backend {
    match device {
        Device::Cpu => {}
        Device::Cuda(number) => return Backend::Device(ModelDevice::Cuda(number)),
        Device::Metal => return Backend::Device(ModelDevice::Metal),
    }
    match engine {
        Engine::Candle => Backend::Candle,
        Engine::Native => Backend::Native(numeric::choose(dtype).path),
    }
}

/// Whether kernels of this machine compute a model.
pub(crate) fn on_kernels(model: &str, engine: Engine, device: Device) -> bool {
    !is_server(model) && engine == Engine::Native && device == Device::Cpu
}

/// A device is filled by one call at a time.
pub(crate) fn parallelism(device: Device) -> Parallelism {
    if device == Device::Cpu { Parallelism::PerCore } else { Parallelism::Exclusive }
}

/// The native engine gives the same bits however a corpus is cut.
pub(crate) fn repeatability(engine: Engine, device: Device) -> Repeatability {
    match (engine, device) {
        (Engine::Native, Device::Cpu) => Repeatability::Exact,
        _ => Repeatability::BatchVariant,
    }
}

/// The source that a short name stands for.
pub(crate) fn unify_source(model: &mut String) {
    if let Some(known) = KNOWN_MODELS.iter().find(|known| known.alias == model) {
        known.source.clone_into(model);
    }
}

/// Replaces a short name of a model by its source, and drops of the server's options what changes no value, all of them where
/// the model is loaded here.
pub(crate) fn unify(model: &mut String, server: &mut ServerOptions) {
    unify_source(model);
    *server = if is_server(model) { server.clone().deciding() } else { ServerOptions::default() };
}

/// What a fetched model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledModel {
    /// Its source in full.
    pub source: String,
    /// Name of its architecture.
    pub architecture: String,
    /// Its licence, as far as it states one.
    pub license: Option<String>,
    /// Digest of its weights.
    pub digest: String,
    /// Number of tokens that its tokenizer knows.
    pub vocabulary: usize,
}

/// Models that have a short name here.
#[must_use]
pub fn known_models() -> &'static [KnownModel] {
    KNOWN_MODELS
}

/// Folder that fetched models are kept in.
#[must_use]
pub fn model_cache() -> std::path::PathBuf {
    default_cache()
}

/// Fetches a model into the cache, checks it, and says what it is.
///
/// # Errors
/// A source that cannot be had, or files that are no model.
pub fn pull_model(source: &str, observer: &dyn Observer) -> Result<PulledModel> {
    let model = open(source, observer)?;
    Ok(PulledModel {
        source: model.source,
        architecture: model.architecture.name().to_owned(),
        license: model.license,
        digest: model.digest,
        vocabulary: model.tokenizer.vocab_size(),
    })
}
