//! The files beside `tokenizer.json`: which of them count, and what they say of the roles of tokens.
//!
//! As `transformers` reads them (`_from_pretrained` in `tokenization_utils_base.py`): `special_tokens_map.json` is a file of older
//! versions. Where `tokenizer_config.json` has an `added_tokens_decoder` it is not looked at; where it has none, what it says
//! goes before `tokenizer_config.json`.

use std::path::Path;

use serde_json::{Map, Value};

use super::special::Roles;
use super::{TokenizerError, read_bounded};

/// The field of newer files in which tokens are listed.
pub(super) const DECODER: &str = "added_tokens_decoder";
/// Special tokens beside those with a role that `transformers` knows; where it is an object, with roles of their own.
pub(super) const EXTRA: &str = "extra_special_tokens";
/// Roles that `transformers` knows.
const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
/// Classes of tokenizers that have no tokens for roles but those that files name. Others have: Llama's `<s>` and `</s>`.
const CLASSES_WITHOUT_ROLES: [&str; 3] =
    ["PreTrainedTokenizerFast", "TokenizersBackend", "PreTrainedTokenizer"];

/// The files that are there.
#[derive(Default)]
pub(super) struct Beside {
    map: Option<File>,
    config: Option<File>,
    added: Option<File>,
}

/// One file, a JSON object.
pub(super) struct File {
    pub(super) name: String,
    bytes: Vec<u8>,
    pub(super) object: Map<String, Value>,
}

impl Beside {
    /// Reads them.
    pub(super) fn read(folder: &Path) -> Result<Self, TokenizerError> {
        Ok(Self {
            map: File::read(&folder.join("special_tokens_map.json"))?,
            config: File::read(&folder.join("tokenizer_config.json"))?,
            added: File::read(&folder.join("added_tokens.json"))?,
        })
    }

    /// The bytes of which the tokenizer's digest is taken, in the order of the digest.
    pub(super) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        [&self.map, &self.config].into_iter().flatten().map(|file| file.bytes.as_slice())
    }

    /// `tokenizer_config.json`.
    pub(super) fn config(&self) -> Option<&File> {
        self.config.as_ref()
    }

    /// Whether the files are a newer version's, in which `tokenizer_config.json` says everything.
    pub(super) fn is_newer(&self) -> bool {
        self.config().is_some_and(|config| config.object.contains_key(DECODER))
    }

    /// `special_tokens_map.json`, where it counts.
    pub(super) fn map(&self) -> Option<&File> {
        self.map.as_ref().filter(|_| !self.is_newer())
    }

    /// `added_tokens.json`.
    pub(super) fn added(&self) -> Option<&File> {
        self.added.as_ref()
    }

    /// Who has which role. A token is a string, an object with `content`, or null where there is none.
    pub(super) fn roles(&self) -> Roles {
        let mut roles = Roles::new();
        for file in [self.config(), self.map()].into_iter().flatten() {
            for (name, value) in &file.object {
                let content = content(value);
                if name.ends_with("_token") && (content.is_some() || value.is_null()) {
                    roles.insert(name.clone(), content.map(str::to_owned));
                }
            }
            // Roles that only this model has.
            for (name, value) in file.object.get(EXTRA).and_then(Value::as_object).into_iter().flatten() {
                roles.insert(name.clone(), content(value).map(str::to_owned));
            }
        }
        let class = self.config().and_then(|config| config.object.get("tokenizer_class")?.as_str());
        if class.is_some_and(|class| CLASSES_WITHOUT_ROLES.contains(&class)) {
            for name in ROLES {
                roles.entry(name.to_owned()).or_insert(None);
            }
        }
        roles
    }
}

impl File {
    fn read(path: &Path) -> Result<Option<Self>, TokenizerError> {
        if !path.is_file() {
            return Ok(None);
        }
        let name = path.display().to_string();
        let bytes = read_bounded(path)?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => Ok(Some(Self { name, bytes, object })),
            Ok(_) => {
                Err(TokenizerError::Malformed { file: name, problem: "expected a JSON object".to_owned() })
            }
            Err(error) => {
                Err(TokenizerError::Malformed { file: name, problem: format!("not JSON: {error}") })
            }
        }
    }
}

/// The spelling of a token.
pub(super) fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content").and_then(Value::as_str))
}
