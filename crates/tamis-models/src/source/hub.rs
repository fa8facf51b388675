//! Models on the Hugging Face Hub, or a mirror of it.
//!
//! The crate `hf-hub` does the fetching into the Hub's own cache, so that files which Python already downloaded are
//! used, and the other way round. What it does not do is done here: a model that is whole in the cache is opened without
//! any network; all files come from one commit; `HF_HUB_OFFLINE` and `HF_HUB_CACHE` are honoured; a token comes from the
//! environment alone and is shown nowhere; another process that is fetching the same file is waited for; a file whose
//! name on the Hub is its SHA-256 is checked against it.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::folder::{self, ModelFiles};
use super::{SourceError, sha256};
use crate::error::Result;
use crate::weights::SafetensorsWeights;

/// Small files that a model may have, in the order in which they are fetched.
const SMALL_FILES: &[&str] = &[
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "modules.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "adapter_config.json",
    "README.md",
    "LICENSE",
];
const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";
/// How often a file that another process is fetching is asked for again; each try waits about five seconds.
const LOCK_TRIES: usize = 720;
/// Tries of a download that breaks off.
const RETRIES: usize = 3;

/// Where the Hub and its cache are.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) cache: PathBuf,
    pub(super) endpoint: Option<String>,
    pub(super) offline: bool,
    pub(super) token: Option<String>,
}

/// A model in the Hub's cache.
pub(super) struct Found {
    pub(super) files: ModelFiles,
    pub(super) commit: String,
}

impl Settings {
    /// `HF_HUB_CACHE`, `HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_TOKEN`, as Hugging Face's own tools read them.
    pub(super) fn from_environment() -> Self {
        Self::from(|name| std::env::var_os(name))
    }

    fn from(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let folder = |name: &str| set(name).map(PathBuf::from);
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HF_HOME").map(|home| home.join("hub")))
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
            .or_else(|| {
                folder("HOME")
                    .or_else(|| folder("USERPROFILE"))
                    .map(|home| home.join(".cache/huggingface/hub"))
            })
            .unwrap_or_else(|| PathBuf::from(".huggingface/hub"));
        let offline = text("HF_HUB_OFFLINE")
            .is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str()));
        let endpoint = text("HF_ENDPOINT").map(|endpoint| endpoint.trim_end_matches('/').to_owned());
        Self { cache, endpoint, offline, token: text("HF_TOKEN") }
    }
}

/// Returns a model of the Hub, fetching what is not in the cache.
pub(super) fn fetch(
    repository: &str,
    revision: &str,
    settings: &Settings,
    progress: &dyn Fn(&str),
) -> Result<Found> {
    let name = format!("hf:{repository}@{revision}");
    if let Some(found) = cached(repository, revision, &settings.cache) {
        return Ok(found);
    }
    if settings.offline {
        return Err(SourceError::Offline { name, cache: settings.cache.clone() }.into());
    }
    let failed = |problem: String| SourceError::Hub { name: name.clone(), problem };
    let cache = Cache::new(settings.cache.clone());
    let mut builder = ApiBuilder::from_cache(cache.clone())
        .with_token(settings.token.clone())
        .with_progress(false)
        .with_retries(RETRIES);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let api = builder.build().map_err(|error| failed(error.to_string()))?;
    let asked = Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned());
    let info = api.repo(asked.clone()).info().map_err(|error| failed(explain(&error)))?;
    let commit = info.sha;
    if commit.is_empty() || commit.len() > 64 || !commit.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(failed("it names no commit".to_owned()).into());
    }
    let pinned = Repo::with_revision(repository.to_owned(), RepoType::Model, commit.clone());
    let download = Download { repo: api.repo(pinned), name: &name, progress };
    let there: Vec<&str> = info.siblings.iter().map(|file| file.rfilename.as_str()).collect();
    download.model(&there)?;
    // Python's tools, and the next call, find the commit under the name that was asked for.
    cache.repo(asked).create_ref(&commit).map_err(|source| SourceError::Io {
        action: "write to the cache",
        path: settings.cache.clone(),
        source,
    })?;
    cached(repository, &commit, &settings.cache)
        .ok_or_else(|| failed("the files that it delivered are no model".to_owned()).into())
}

/// Whether a model is whole in the Hub's cache.
pub(super) fn is_cached(repository: &str, revision: &str, settings: &Settings) -> bool {
    cached(repository, revision, &settings.cache).is_some()
}

/// A model that is whole in the cache.
fn cached(repository: &str, revision: &str, cache: &Path) -> Option<Found> {
    let home = cache.join(format!("models--{}", repository.replace('/', "--")));
    let commit = match std::fs::read_to_string(home.join("refs").join(revision)) {
        Ok(commit) => commit.trim().to_owned(),
        Err(_) => revision.to_owned(),
    };
    if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let files = folder::find(&home.join("snapshots").join(&commit)).ok()?;
    let whole = match &files {
        ModelFiles::Gguf(_) => true,
        ModelFiles::Safetensors { folder, .. } => folder.join("tokenizer.json").is_file(),
    };
    whole.then_some(Found { files, commit })
}

struct Download<'a> {
    repo: ApiRepo,
    name: &'a str,
    progress: &'a dyn Fn(&str),
}

impl Download<'_> {
    fn failed(&self, problem: String) -> SourceError {
        SourceError::Hub { name: self.name.to_owned(), problem }
    }

    /// Fetches the files of a model, the weights last, so that a folder that looks whole is whole.
    fn model(&self, there: &[&str]) -> Result<()> {
        let ggufs: Vec<&str> = there.iter().filter(|file| file.ends_with(".gguf")).copied().collect();
        let safetensors = there.contains(&INDEX) || there.contains(&SINGLE);
        if !safetensors {
            return match ggufs.as_slice() {
                [only] if !only.contains("..") => self.file(only).map(drop),
                [] => {
                    Err(self.failed("the repository has no safetensors and no .gguf file".to_owned()).into())
                }
                several => {
                    let problem = format!(
                        "expected one .gguf file, got {}; download one and name it",
                        several.join(", ")
                    );
                    Err(self.failed(problem).into())
                }
            };
        }
        for file in SMALL_FILES.iter().filter(|file| there.contains(*file)) {
            self.file(file)?;
        }
        if there.contains(&INDEX) {
            let index = self.file(INDEX)?;
            let shards = SafetensorsWeights::shards_of(&index)?;
            if there.contains(&SINGLE) && !shards.iter().any(|shard| shard.ends_with(SINGLE)) {
                let problem = format!(
                    "it has `{SINGLE}` beside an index of other shards; download the one that is meant"
                );
                return Err(self.failed(problem).into());
            }
            for shard in shards {
                let shard = shard.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                self.file(&shard)?;
            }
        } else {
            self.file(SINGLE)?;
        }
        Ok(())
    }

    fn file(&self, file: &str) -> Result<PathBuf> {
        (self.progress)(&format!("fetching {file} of {}", self.name));
        for _ in 0..LOCK_TRIES {
            match self.repo.get(file) {
                Ok(path) => {
                    self.check(file, &path)?;
                    return Ok(path);
                }
                Err(ApiError::LockAcquisition(_)) => {
                    (self.progress)(&format!("waiting for another process that fetches {file}"));
                }
                Err(error) => return Err(self.failed(format!("{file}: {}", explain(&error))).into()),
            }
        }
        Err(self.failed(format!("{file}: another process holds its lock for too long")).into())
    }

    /// Large files lie in the cache under their SHA-256.
    fn check(&self, file: &str, path: &Path) -> Result<()> {
        let failed = |source| SourceError::Io { action: "read", path: path.to_owned(), source };
        let blob = std::fs::canonicalize(path).map_err(failed)?;
        let expected = blob.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if expected.len() != 64 || !expected.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(());
        }
        let got = sha256::of_file(&blob)?;
        if got.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        // A damaged file must not be found again.
        std::fs::remove_file(path).and_then(|()| std::fs::remove_file(&blob)).map_err(failed)?;
        Err(SourceError::Digest {
            path: PathBuf::from(file),
            expected: format!("sha256:{expected}"),
            got: format!("sha256:{got}"),
            folder: blob.parent().unwrap_or(Path::new("")).to_owned(),
        }
        .into())
    }
}

/// The Hub's answer in words; never an address, which may hold a signature, and never a header.
fn explain(error: &ApiError) -> String {
    if let ApiError::RequestError(inner) = error {
        let text = inner.to_string();
        for (code, meaning) in [
            ("401", "it wants a token (HF_TOKEN), or the repository does not exist"),
            ("403", "access is refused: accept the model's terms on its page and set HF_TOKEN"),
            ("404", "it has no such repository, revision or file"),
            ("429", "it asks to try again later"),
        ] {
            if text.contains(code) {
                return meaning.to_owned();
            }
        }
        return format!("it cannot be reached: {text}");
    }
    error.to_string()
}
