//! The tokenizer inside a GGUF file.
//!
//! The file holds vocabulary, merges and, by name only, the way text is split before merging (`tokenizer.ggml.pre`).
//! What a name means is in no specification, so the ones that are known are listed here with the pre-tokenizer that
//! the models' own `tokenizer.json` has; any other name is an error. A wrong one would go unnoticed: most texts come out
//! the same. SmolLM2's, for one, splits digits from each other before anything else.
//!
//! Only byte-level BPE (`tokenizer.ggml.model` = `gpt2`) is read. Bytes that the vocabulary lacks are left out, as
//! Hugging Face's model without an unknown token does.

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

use super::{Tokenizer, TokenizerError, special};
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
}

pub(super) fn scheme(name: &str) -> Option<tokenizers::Result<Scheme>> {
    let split = |regex: &str| -> tokenizers::Result<PreTokenizerWrapper> {
        let pattern = SplitPattern::Regex(regex.to_owned());
        Ok(Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into())
    };
    let bytes = |use_regex| PreTokenizerWrapper::from(ByteLevel::new(false, true, use_regex));
    let digits = || PreTokenizerWrapper::from(Digits::new(true));
    let plain = |parts| Scheme { parts, normal_form_c: false, ignore_merges: false };
    Some(match name {
        "smollm" => Ok(plain(vec![digits(), bytes(true)])),
        "gpt-2" | "gpt2" => Ok(plain(vec![bytes(true)])),
        "llama-bpe" | "llama3" | "llama-v3" => split(LLAMA3_REGEX)
            .map(|regex| Scheme { ignore_merges: true, ..plain(vec![regex, bytes(false)]) }),
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

fn build(gguf: &GgufWeights) -> Result<Tokenizer> {
    let file = gguf.path().display().to_string();
    let malformed = |problem: String| TokenizerError::Malformed { file: file.clone(), problem };
    let unknown = |key: &'static str, known: &str| TokenizerError::Unknown {
        file: file.clone(),
        key,
        known: known.to_owned(),
        got: gguf.text(key).unwrap_or("nothing").to_owned(),
    };
    let texts = |key: &str| match gguf.metadata(key) {
        Some(Value::Texts(texts)) => Ok(texts.as_slice()),
        _ => Err(malformed(format!("metadata `{key}`: expected an array of strings"))),
    };
    if gguf.text("tokenizer.ggml.model") != Some("gpt2") {
        return Err(unknown("tokenizer.ggml.model", "gpt2").into());
    }
    let name = gguf.text("tokenizer.ggml.pre").unwrap_or_default();
    let Scheme { parts, normal_form_c, ignore_merges } = scheme(name)
        .ok_or_else(|| unknown("tokenizer.ggml.pre", KNOWN_SPLITS))?
        .map_err(|error| malformed(error.to_string()))?;

    let tokens = texts("tokenizer.ggml.tokens")?;
    let merges = texts("tokenizer.ggml.merges")?;
    if tokens.is_empty() || tokens.len() > LARGEST_VOCABULARY {
        return Err(
            malformed(format!("expected 1 to {LARGEST_VOCABULARY} tokens, got {}", tokens.len())).into()
        );
    }
    let kinds: Vec<i64> = match gguf.metadata("tokenizer.ggml.token_type") {
        Some(Value::Numbers(kinds)) => kinds.integers().collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && kinds.len() != tokens.len() {
        let problem = format!("expected a type for each of {} tokens, got {}", tokens.len(), kinds.len());
        return Err(malformed(problem).into());
    }

    let mut hasher = Xxh3::new();
    let mut hash = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    hash(name.as_bytes());
    tokens.iter().for_each(|token| hash(token.as_bytes()));
    merges.iter().for_each(|merge| hash(merge.as_bytes()));
    kinds.iter().for_each(|kind| hash(&kind.to_le_bytes()));

    let vocabulary: BTreeMap<&str, u32> = tokens.iter().map(String::as_str).zip(0..).collect();
    if vocabulary.len() != tokens.len() {
        return Err(malformed("two tokens have the same spelling".to_owned()).into());
    }
    let pairs = merges
        .iter()
        .map(|merge| {
            // A merged token may itself hold a space only in vocabularies that are not byte-level.
            let (left, right) =
                merge.split_once(' ').ok_or_else(|| malformed(format!("merge `{merge}` is no pair")))?;
            Ok((left.to_owned(), right.to_owned()))
        })
        .collect::<Result<Vec<_>, TokenizerError>>()?;
    let vocabulary: Vec<(String, u32)> =
        vocabulary.into_iter().map(|(token, id)| (token.to_owned(), id)).collect();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(), pairs)
        .ignore_merges(ignore_merges)
        .build()
        .map_err(|error| malformed(error.to_string()))?;

    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_pre_tokenizer(Some(Sequence::new(parts)));
    inner.with_decoder(Some(ByteLevelDecoder::default()));
    if normal_form_c {
        inner.with_normalizer(Some(NFC)).map_err(|error| malformed(error.to_string()))?;
    }
    let of_kind = |wanted: i64, special: bool| -> Vec<AddedToken> {
        let named = tokens.iter().zip(&kinds).filter(|(_, kind)| **kind == wanted);
        named.map(|(token, _)| AddedToken::from(token.clone(), special).normalized(false)).collect()
    };
    inner.add_special_tokens(of_kind(CONTROL, true)).map_err(|error| malformed(error.to_string()))?;
    inner.add_tokens(of_kind(USER_DEFINED, false)).map_err(|error| malformed(error.to_string()))?;

    let mut roles = special::Roles::new();
    for (key, role) in [
        ("tokenizer.ggml.bos_token_id", "bos_token"),
        ("tokenizer.ggml.eos_token_id", "eos_token"),
        ("tokenizer.ggml.unknown_token_id", "unk_token"),
        ("tokenizer.ggml.padding_token_id", "pad_token"),
    ] {
        let Some(value) = gguf.metadata(key) else { continue };
        let token = value.as_integer().and_then(|id| tokens.get(usize::try_from(id).ok()?));
        let token = token.ok_or_else(|| malformed(format!("metadata `{key}` is no token")))?;
        roles.insert(role.to_owned(), token.clone());
    }
    let adds_bos = matches!(gguf.metadata("tokenizer.ggml.add_bos_token"), Some(Value::Bool(true)));
    let mut tokenizer = Tokenizer::new(&file, inner, &roles, format!("xxh3:{:032x}", hasher.digest128()))?;
    if adds_bos {
        tokenizer.special.before.extend(tokenizer.special.bos);
    }
    Ok(tokenizer)
}
