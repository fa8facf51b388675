//! The tokenizer inside a GGUF file.
//!
//! The file holds vocabulary, merges and, by name only, the way text is split before merging (`tokenizer.ggml.pre`).
//! What a name means is in no specification, so the ones that are known are listed here with the pre-tokenizer that
//! the models' own `tokenizer.json` has; any other name is an error. A wrong one would go unnoticed: most texts come out
//! the same. SmolLM2's, for one, splits digits from each other before anything else.
//!
//! Byte-level BPE (`tokenizer.ggml.model` = `gpt2`) is read here, SentencePiece's BPE (`llama`) in [`sentencepiece`](super::sentencepiece).
//! Bytes that a byte-level vocabulary lacks are left out, as Hugging Face's model without an unknown token does.

use std::collections::BTreeMap;

use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};
use xxhash_rust::xxh3::Xxh3;

use super::{Tokenizer, TokenizerError, sentencepiece, special};
use crate::error::Result;
use crate::weights::gguf::{GgufWeights, Value};

/// GPT-2's split, which the byte-level pre-tokenizer has built in.
pub(super) const GPT2_REGEX: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Llama 3's.
pub(super) const LLAMA3_REGEX: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's: Llama 3's with single digits.
pub(super) const QWEN2_REGEX: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The first of the four splits that llama.cpp calls `default`.
pub(super) const LLAMA_CPP_DEFAULT_PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";

/// Names of `tokenizer.ggml.pre` that are known.
const KNOWN_SPLITS: &str = "smollm, gpt-2, llama-bpe, qwen2, default";

/// ggml's numbers for kinds of tokens: found as a whole, and kept out of text.
const CONTROL: i64 = 3;
/// Found as a whole in any text.
const USER_DEFINED: i64 = 4;

/// The key that says whether a text begins with the token for that.
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";

/// No real vocabulary is larger.
const LARGEST_VOCABULARY: usize = 1 << 24;

impl Tokenizer {
    /// Builds the tokenizer from the metadata of a GGUF file.
    ///
    /// # Errors
    /// Metadata that is missing or does not fit together; a model or pre-tokenizer that is not known.
    pub fn from_gguf(gguf: &GgufWeights) -> Result<Self> {
        build(gguf)
    }
}

/// How text is split before merging.
pub(super) struct Scheme {
    pub(super) parts: Vec<PreTokenizerWrapper>,
    pub(super) normal_form_c: bool,
    /// Whether a word that is in the vocabulary is taken whole, whatever the merges say.
    ignore_merges: bool,
    /// Whether a text begins with the token for that where the file does not say; llama.cpp reads it from the name, too.
    adds_bos_by_default: bool,
}

pub(super) fn scheme(name: &str) -> Option<tokenizers::Result<Scheme>> {
    let split = |regex: &str| -> tokenizers::Result<PreTokenizerWrapper> {
        let pattern = SplitPattern::Regex(regex.to_owned());
        Ok(Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into())
    };
    let bytes = |use_regex| PreTokenizerWrapper::from(ByteLevel::new(false, true, use_regex));
    let digits = || PreTokenizerWrapper::from(Digits::new(true));
    let plain =
        |parts| Scheme { parts, normal_form_c: false, ignore_merges: false, adds_bos_by_default: false };
    Some(match name {
        "smollm" => Ok(plain(vec![digits(), bytes(true)])),
        "gpt-2" | "gpt2" => Ok(plain(vec![bytes(true)])),
        "llama-bpe" | "llama3" | "llama-v3" => split(LLAMA3_REGEX).map(|regex| Scheme {
            ignore_merges: true,
            adds_bos_by_default: true,
            ..plain(vec![regex, bytes(false)])
        }),
        "qwen2" => {
            split(QWEN2_REGEX).map(|regex| Scheme { normal_form_c: true, ..plain(vec![regex, bytes(false)]) })
        }
        "default" => [LLAMA_CPP_DEFAULT_PUNCTUATION, GPT2_REGEX, r"\p{N}+", "[0-9][0-9][0-9]"]
            .into_iter()
            .map(split)
            .chain(std::iter::once(Ok(bytes(false))))
            .collect::<tokenizers::Result<Vec<_>>>()
            .map(plain),
        _ => return None,
    })
}

/// What both kinds of vocabulary have in a GGUF file.
pub(super) struct Vocabulary<'a> {
    gguf: &'a GgufWeights,
    file: String,
    pub(super) tokens: &'a [String],
    /// ggml's number for the kind of each token; empty where the file does not say.
    pub(super) kinds: Vec<i64>,
    hasher: Xxh3,
}

impl<'a> Vocabulary<'a> {
    fn read(gguf: &'a GgufWeights) -> Result<Self> {
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

    fn unknown(&self, key: &'static str, known: &str) -> TokenizerError {
        let got = self.gguf.text(key).unwrap_or("nothing").to_owned();
        TokenizerError::Unknown { file: self.file.clone(), key, known: known.to_owned(), got }
    }

    fn texts(&self, key: &str) -> Result<&'a [String], TokenizerError> {
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

    fn hash_tokens(&mut self) {
        let tokens = self.tokens;
        tokens.iter().for_each(|token| self.hash(token.as_bytes()));
    }

    fn hash_kinds(&mut self) {
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
    fn finish(&self, mut inner: tokenizers::Tokenizer, options: Finish) -> Result<Tokenizer> {
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
struct Finish {
    /// Whether tokens that are found as a whole are looked for in the normalised text.
    user_defined_normalized: bool,
    adds_bos_by_default: bool,
}

fn build(gguf: &GgufWeights) -> Result<Tokenizer> {
    let vocabulary = Vocabulary::read(gguf)?;
    match gguf.text("tokenizer.ggml.model") {
        Some("gpt2") => byte_level(vocabulary),
        Some("llama") => {
            let mut vocabulary = vocabulary;
            let inner = sentencepiece::build(&mut vocabulary)?;
            vocabulary.hash_tokens();
            vocabulary.hash_kinds();
            vocabulary.finish(inner, Finish { user_defined_normalized: true, adds_bos_by_default: true })
        }
        _ => Err(vocabulary.unknown("tokenizer.ggml.model", "gpt2, llama").into()),
    }
}

fn byte_level(mut vocabulary: Vocabulary<'_>) -> Result<Tokenizer> {
    let name = vocabulary.gguf.text("tokenizer.ggml.pre").unwrap_or_default();
    let Scheme { parts, normal_form_c, ignore_merges, adds_bos_by_default } = scheme(name)
        .ok_or_else(|| vocabulary.unknown("tokenizer.ggml.pre", KNOWN_SPLITS))?
        .map_err(|error| vocabulary.malformed(error.to_string()))?;
    let merges = vocabulary.texts("tokenizer.ggml.merges")?;
    vocabulary.hash(name.as_bytes());
    vocabulary.hash_tokens();
    merges.iter().for_each(|merge| vocabulary.hash(merge.as_bytes()));
    vocabulary.hash_kinds();
    if adds_bos_by_default && vocabulary.gguf.metadata(ADD_BOS).is_none() {
        vocabulary.hash(b"begins with bos");
    }
    let pairs = merges
        .iter()
        .map(|merge| {
            // A merged token may itself hold a space only in vocabularies that are not byte-level.
            let pair = merge.split_once(' ');
            let (left, right) =
                pair.ok_or_else(|| vocabulary.malformed(format!("merge `{merge}` is no pair")))?;
            Ok((left.to_owned(), right.to_owned()))
        })
        .collect::<Result<Vec<_>, TokenizerError>>()?;
    let malformed = |error: tokenizers::Error| vocabulary.malformed(error.to_string());
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.ids()?, pairs)
        .ignore_merges(ignore_merges)
        .build()
        .map_err(malformed)?;
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_pre_tokenizer(Some(Sequence::new(parts)));
    inner.with_decoder(Some(ByteLevelDecoder::default()));
    if normal_form_c {
        inner.with_normalizer(Some(NFC)).map_err(malformed)?;
    }
    vocabulary.finish(inner, Finish { user_defined_normalized: false, adds_bos_by_default })
}
