//! From options to loaded models and their signals.

use tamis_core::Parallelism;
use tamis_io::run::Repeatability;
use tamis_kernels::Path as NumericPath;
use tamis_models::ask_llm::{AskLlm, AskLlmOptions, Judge, Long as ModelLong};
use tamis_models::embed::{Embed, EmbedOptions as ModelEmbedOptions, Embedder, Precision};
use tamis_models::graph::{Backend, Device as ModelDevice};
use tamis_models::perplexity::{
    Objective as ModelObjective, Perplexity, PerplexityOptions as ModelPerplexityOptions, Reader,
};
use tamis_models::prompt::{PromptSet, Rendering, builtin};
use tamis_models::source::KnownModel;
use tamis_models::source::{self, KNOWN_MODELS, LoadedModel, default_cache, open_model};
use tamis_models::tokenizer::Tokenizer;

use crate::options::{AskOptions, Device, Dtype, EmbedOptions, Engine, Long, Objective, PerplexityOptions};
use crate::{Error, Observer, Result};

pub(crate) const DEFAULT_JUDGE: &str = "smollm2";

pub(crate) fn open(source: &str, observer: &dyn Observer) -> Result<LoadedModel> {
    Ok(open_model(source, &default_cache(), &|line| observer.note(line))?)
}

/// The tokenizer of a model, whether or not the rest of it could be used, and the source in full.
pub(crate) fn open_tokenizer(source: &str, observer: &dyn Observer) -> Result<(Tokenizer, String)> {
    Ok(source::open_tokenizer(source, &default_cache(), &|line| observer.note(line))?)
}

fn backend(dtype: Dtype, engine: Engine, device: Device) -> Backend {
    match device {
        Device::Cpu => {}
        Device::Cuda(number) => return Backend::Device(ModelDevice::Cuda(number)),
        Device::Metal => return Backend::Device(ModelDevice::Metal),
    }
    let bf16 = NumericPath::detect(tamis_kernels::Dtype::Bf16);
    let f32 = NumericPath::detect(tamis_kernels::Dtype::F32);
    match (engine, dtype) {
        (Engine::Candle, _) => Backend::Candle,
        (Engine::Native, Dtype::Bf16) => Backend::Native(bf16),
        (Engine::Native, Dtype::F32) => Backend::Native(f32),
        (Engine::Native, Dtype::Auto) => {
            // bf16 in plain Rust is slower than f32 with vectors.
            Backend::Native(if bf16 == NumericPath::Bf16Portable { f32 } else { bf16 })
        }
    }
}

/// The kernels that compute a model here, where they are not candle's.
pub(crate) fn native_path(dtype: Dtype, engine: Engine, device: Device) -> Option<NumericPath> {
    match backend(dtype, engine, device) {
        Backend::Native(path) => Some(path),
        _ => None,
    }
}

/// A device is filled by one call at a time.
fn parallelism(device: Device) -> Parallelism {
    if device == Device::Cpu { Parallelism::PerCore } else { Parallelism::Exclusive }
}

/// The native engine gives the same bits however a corpus is cut.
pub(crate) fn repeatability(engine: Engine, device: Device) -> Repeatability {
    match (engine, device) {
        (Engine::Native, Device::Cpu) => Repeatability::Exact,
        _ => Repeatability::BatchVariant,
    }
}

/// Ask-LLM with a judge that is loaded here.
pub(crate) fn ask_llm(options: &AskOptions, observer: &dyn Observer) -> Result<AskLlm> {
    let judge = judge(&options.model, options.dtype, options.engine, options.device, observer)?;
    let prompts = resolve_prompts(&options.prompts, &judge.identity.digest)?;
    ask(judge, &prompts, options, observer)
}

/// A model that answers, whatever it is asked.
pub(crate) fn judge(
    source: &str,
    dtype: Dtype,
    engine: Engine,
    device: Device,
    observer: &dyn Observer,
) -> Result<Judge> {
    Ok(Judge::from_model(open(source, observer)?, backend(dtype, engine, device))?)
}

/// The set of prompts that names or files stand for.
pub(crate) fn resolve_prompts(prompts: &[String], model_digest: &str) -> Result<PromptSet> {
    Ok(PromptSet::resolve(&prompts.join(","), model_digest).map_err(tamis_models::Error::from)?)
}

/// A judge with its questions.
pub(crate) fn ask(
    judge: Judge,
    prompts: &PromptSet,
    options: &AskOptions,
    observer: &dyn Observer,
) -> Result<AskLlm> {
    // A set that was chosen with short windows is asked with them, unless the user names a length.
    let window = builtin::window_tokens(prompts.name()).filter(|_| options.max_tokens.is_none());
    let own = AskLlmOptions {
        rendering: if options.chat { Rendering::Chat } else { Rendering::Raw },
        long: match options.long {
            Long::Head if window.is_none() => ModelLong::Head,
            Long::Head | Long::Windows => ModelLong::Windows { most: ModelLong::DEFAULT_WINDOWS },
        },
        max_document_tokens: options.max_tokens.or(window),
        parallelism: parallelism(options.device),
        ..AskLlmOptions::default()
    };
    let signal = AskLlm::new(judge, prompts, &own)?;
    signal.warnings().iter().for_each(|warning| observer.warn(warning));
    Ok(signal)
}

/// An embedder that is loaded here.
pub(crate) fn embedder(options: &EmbedOptions, observer: &dyn Observer) -> Result<Embed> {
    let model = open(&options.model, observer)?;
    let embedder = Embedder::from_model(model, backend(options.dtype, options.engine, options.device))?;
    let own = ModelEmbedOptions {
        max_tokens: options.max_tokens,
        precision: if options.store_f32 { Precision::F32 } else { Precision::F16 },
        parallelism: parallelism(options.device),
        ..ModelEmbedOptions::default()
    };
    Ok(Embed::new(embedder, &own)?)
}

/// A model of perplexity that is ready.
pub(crate) fn perplexity(
    options: &PerplexityOptions,
    name: String,
    observer: &dyn Observer,
) -> Result<Perplexity> {
    let model = open(checkpoint(options)?, observer)?;
    let backend = backend(options.dtype, options.engine, options.device);
    let reader = Reader::from_model(model, objective(options), backend)?;
    let default = ModelPerplexityOptions::default();
    let own = ModelPerplexityOptions {
        name,
        window_tokens: options.window,
        stride_tokens: options.stride,
        max_document_tokens: options.max_tokens.unwrap_or(default.max_document_tokens),
        parallelism: parallelism(options.device),
        ..default
    };
    Ok(Perplexity::new(reader, &own)?)
}

/// The objective that was asked for, if any.
fn objective(options: &PerplexityOptions) -> Option<ModelObjective> {
    options.objective.map(|objective| match objective {
        Objective::Causal => ModelObjective::Causal,
        Objective::Span => ModelObjective::Span,
        Objective::Prefix => ModelObjective::Prefix,
    })
}

/// The model of a perplexity signal.
pub(crate) fn checkpoint(options: &PerplexityOptions) -> Result<&str> {
    match (&options.model, &options.name) {
        (Some(model), _) => Ok(model),
        (None, None) => Ok(DEFAULT_JUDGE),
        (None, Some(name)) => Err(Error::usage(
            format!("nothing says which model `perplexity:{name}` is of"),
            format!("add --model {name}=SOURCE, or name a run that holds it"),
        )),
    }
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
