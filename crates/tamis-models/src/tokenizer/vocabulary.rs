//! What vocabularies of every kind have in a GGUF file.

use std::collections::BTreeMap;

use tokenizers::AddedToken;
use xxhash_rust::xxh3::Xxh3;

use super::{Tokenizer, TokenizerError, special};
use crate::error::Result;
use crate::weights::gguf::{GgufFile, Value};

/// ggml's numbers for kinds of tokens: found as a whole, and kept out of text.
const CONTROL: i64 = 3;
/// Found as a whole in any text.
const USER_DEFINED: i64 = 4;

/// The key that says whether a text begins with the token for that.
pub(super) const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";

/// No real vocabulary is larger.
const LARGEST_VOCABULARY: usize = 1 << 24;

/// What both kinds of vocabulary have in a GGUF file.
pub(super) struct Vocabulary<'a> {
    pub(super) gguf: &'a GgufFile,
    file: String,
    pub(super) tokens: &'a [String],
    /// ggml's number for the kind of each token; empty where the file does not say.
    pub(super) kinds: Vec<i64>,
    hasher: Xxh3,
}

impl<'a> Vocabulary<'a> {
    pub(super) fn read(gguf: &'a GgufFile) -> Result<Self> {
        let file = gguf.path().display().to_string();
        let mut vocabulary = Self { gguf, file, tokens: &[], kinds: Vec::new(), hasher: Xxh3::new() };
        let tokens = vocabulary.texts("tokenizer.ggml.tokens")?;
        if tokens.is_empty() || tokens.len() > LARGEST_VOCABULARY {
            let problem = format!("expected 1 to {LARGEST_VOCABULARY} tokens, got {}", tokens.len());
            return Err(vocabulary.malformed(problem).into());
        }
        let kinds: Vec<i64> = match gguf.metadata("tokenizer.ggml.token_type") {
            Some(Value::Numbers(kinds)) => kinds.integers().collect(),
            _ => Vec::new(),
        };
        if !kinds.is_empty() && kinds.len() != tokens.len() {
            let problem = format!("expected a type for each of {} tokens, got {}", tokens.len(), kinds.len());
            return Err(vocabulary.malformed(problem).into());
        }
        (vocabulary.tokens, vocabulary.kinds) = (tokens, kinds);
        Ok(vocabulary)
    }

    pub(super) fn malformed(&self, problem: String) -> TokenizerError {
        TokenizerError::Malformed { file: self.file.clone(), problem }
    }

    pub(super) fn unknown(&self, key: &'static str, known: &str) -> TokenizerError {
        let got = self.gguf.text(key).unwrap_or("nothing").to_owned();
        TokenizerError::Unknown { file: self.file.clone(), key, known: known.to_owned(), got }
    }

    pub(super) fn texts(&self, key: &str) -> Result<&'a [String], TokenizerError> {
        match self.gguf.metadata(key) {
            Some(Value::Texts(texts)) => Ok(texts.as_slice()),
            _ => Err(self.malformed(format!("metadata `{key}`: expected an array of strings"))),
        }
    }

    /// A number for each token.
    pub(super) fn scores(&self) -> Result<Vec<f64>, TokenizerError> {
        match self.gguf.metadata("tokenizer.ggml.scores") {
            Some(Value::Numbers(scores)) if scores.floats().count() == self.tokens.len() => {
                Ok(scores.floats().collect())
            }
            _ => Err(self.malformed(format!(
                "metadata `tokenizer.ggml.scores`: expected a number for each of {} tokens",
                self.tokens.len()
            ))),
        }
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        match self.gguf.metadata(key) {
            Some(Value::Bool(value)) => *value,
            _ => default,
        }
    }

    pub(super) fn hash(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }

    pub(super) fn hash_tokens(&mut self) {
        let tokens = self.tokens;
        tokens.iter().for_each(|token| self.hash(token.as_bytes()));
    }

    pub(super) fn hash_kinds(&mut self) {
        let kinds = std::mem::take(&mut self.kinds);
        kinds.iter().for_each(|kind| self.hash(&kind.to_le_bytes()));
        self.kinds = kinds;
    }

    /// Ids by spelling.
    pub(super) fn ids(&self) -> Result<tokenizers::models::bpe::Vocab, TokenizerError> {
        let ids: BTreeMap<&str, u32> = self.tokens.iter().map(String::as_str).zip(0..).collect();
        if ids.len() != self.tokens.len() {
            return Err(self.malformed("two tokens have the same spelling".to_owned()));
        }
        Ok(ids.into_iter().map(|(token, id)| (token.to_owned(), id)).collect())
    }

    /// Adds the tokens that are found as a whole, names special ones, and is done.
    pub(super) fn finish(&self, mut inner: tokenizers::Tokenizer, options: Finish) -> Result<Tokenizer> {
        let of_kind = |wanted: i64, special: bool, normalized: bool| -> Vec<AddedToken> {
            let named = self.tokens.iter().zip(&self.kinds).filter(|(_, kind)| **kind == wanted);
            named.map(|(token, _)| AddedToken::from(token.clone(), special).normalized(normalized)).collect()
        };
        let malformed = |error: tokenizers::Error| self.malformed(error.to_string());
        inner.add_special_tokens(of_kind(CONTROL, true, false)).map_err(malformed)?;
        inner.add_tokens(of_kind(USER_DEFINED, false, options.user_defined_normalized)).map_err(malformed)?;
        let mut roles = special::Roles::new();
        for (key, role) in [
            ("tokenizer.ggml.bos_token_id", "bos_token"),
            ("tokenizer.ggml.eos_token_id", "eos_token"),
            ("tokenizer.ggml.unknown_token_id", "unk_token"),
            ("tokenizer.ggml.padding_token_id", "pad_token"),
        ] {
            let Some(value) = self.gguf.metadata(key) else { continue };
            let token = value.as_integer().and_then(|id| self.tokens.get(usize::try_from(id).ok()?));
            let token = token.ok_or_else(|| self.malformed(format!("metadata `{key}` is no token")))?;
            roles.insert(role.to_owned(), Some(token.clone()));
        }
        let digest = format!("xxh3:{:032x}", self.hasher.digest128());
        let mut tokenizer = Tokenizer::new(&self.file, inner, &roles, digest)?;
        if self.flag(ADD_BOS, options.adds_bos_by_default) {
            tokenizer.special.before.extend(tokenizer.special.bos);
        }
        Ok(tokenizer)
    }
}

/// In what the two kinds of vocabulary differ at the end.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    /// Whether tokens that are found as a whole are looked for in the normalised text.
    pub(super) user_defined_normalized: bool,
    pub(super) adds_bos_by_default: bool,
}
