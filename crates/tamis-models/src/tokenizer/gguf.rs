//! The tokenizer inside a GGUF file.
//!
//! The file holds vocabulary, merges and, by name only, the way text is split before merging (`tokenizer.ggml.pre`).
//! What a name means is in no specification, so the ones that are known are listed here with the pre-tokenizer that
//! the models' own `tokenizer.json` has; any other name is an error. A wrong one would go unnoticed: most texts come out
//! the same. SmolLM2's, for one, splits digits from each other before anything else.
//!
//! Byte-level BPE (`tokenizer.ggml.model` = `gpt2`) is read here, SentencePiece's BPE (`llama`) in [`sentencepiece`](super::sentencepiece).
//! Bytes that a byte-level vocabulary lacks are left out, as Hugging Face's model without an unknown token does.

use tokenizers::SplitDelimiterBehavior;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use super::pieces::{GPT2_REGEX, LLAMA_CPP_DEFAULT_PUNCTUATION, LLAMA3_REGEX, QWEN2_REGEX};
use super::vocabulary::{ADD_BOS, Finish, Vocabulary};
use super::{Tokenizer, TokenizerError, sentencepiece};
use crate::error::Result;
use crate::weights::gguf::GgufFile;

/// Names of `tokenizer.ggml.pre` that are known.
const KNOWN_SPLITS: &str = "smollm, gpt-2, llama-bpe, qwen2, default";

impl Tokenizer {
    /// Builds the tokenizer from the metadata of a GGUF file.
    ///
    /// # Errors
    /// Metadata that is missing or does not fit together; a model or pre-tokenizer that is not known.
    pub fn from_gguf(gguf: &GgufFile) -> Result<Self> {
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

fn build(gguf: &GgufFile) -> Result<Tokenizer> {
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
