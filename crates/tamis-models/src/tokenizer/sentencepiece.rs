//! SentencePiece's BPE out of a GGUF file: Llama 2, Mistral, Gemma.
//!
//! The file has a score for each token and no merges. SentencePiece joins, again and again, the two neighbours whose union is
//! the token with the highest score; so every way to split a token into two others is a merge, ranked by the token's
//! score. That is how Hugging Face's converter makes merges of it, too, down to the order of equal ones. A space is
//! written as U+2581, and characters that the vocabulary lacks are written as bytes.

use std::collections::HashMap;

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::prepend::Prepend;
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::utils::Sequence as NormalizerSequence;

use super::TokenizerError;
use super::vocabulary::Vocabulary;

/// What stands for a space.
pub(super) const SPACE: &str = "\u{2581}";
/// ggml's number for the token of what the vocabulary lacks.
const UNKNOWN: i64 = 2;

/// The tokenizer without its special tokens; what decides it and is not in tokens and kinds is hashed.
pub(super) fn build(vocabulary: &mut Vocabulary<'_>) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let scores = vocabulary.scores()?;
    let prefix = vocabulary.flag("tokenizer.ggml.add_space_prefix", true);
    vocabulary.hash(b"sentencepiece");
    vocabulary.hash(&[u8::from(prefix)]);
    scores.iter().for_each(|score| vocabulary.hash(&score.to_le_bytes()));

    let malformed = |error: tokenizers::Error| vocabulary.malformed(error.to_string());
    let mut model = BPE::builder()
        .vocab_and_merges(vocabulary.ids()?, merges(vocabulary.tokens, &scores))
        .byte_fallback(true)
        .fuse_unk(true);
    if let Some(at) = vocabulary.kinds.iter().position(|kind| *kind == UNKNOWN) {
        model = model.unk_token(vocabulary.tokens[at].clone());
    }
    let mut inner = tokenizers::Tokenizer::new(model.build().map_err(malformed)?);
    let spaces = Replace::new(" ", SPACE).map_err(malformed)?;
    if prefix {
        let parts = vec![Prepend::new(SPACE.to_owned()).into(), spaces.into()];
        inner.with_normalizer(Some(NormalizerSequence::new(parts))).map_err(malformed)?;
    } else {
        inner.with_normalizer(Some(spaces)).map_err(malformed)?;
    }
    let mut decoders = vec![
        Replace::new(SPACE, " ").map_err(malformed)?.into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ];
    if prefix {
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    inner.with_decoder(Some(DecoderSequence::new(decoders)));
    Ok(inner)
}

/// Every way to split a token into two, the tokens of highest score first.
fn merges(tokens: &[String], scores: &[f64]) -> Vec<(String, String)> {
    let ids: HashMap<&str, u32> = tokens.iter().map(String::as_str).zip(0..).collect();
    let mut found: Vec<(f64, u32, u32)> = Vec::new();
    for (token, score) in tokens.iter().zip(scores) {
        let from = found.len();
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(left), Some(right)) = (ids.get(left), ids.get(right)) {
                found.push((*score, *left, *right));
            }
        }
        found[from..].sort_unstable_by_key(|(_, left, right)| (*left, *right));
    }
    // Stable: equal scores stay in the order of the tokens.
    found.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let text = |id: u32| tokens[id as usize].clone();
    found.into_iter().map(|(_, left, right)| (text(left), text(right))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_high_score_are_merged_first_and_each_split_is_a_merge() {
        let tokens = ["a", "b", "ab", "ba", "aba"].map(str::to_owned);
        let pair = |left: &str, right: &str| (left.to_owned(), right.to_owned());
        assert_eq!(
            merges(&tokens, &[0.0, 0.0, -2.0, -1.0, -3.0]),
            [pair("b", "a"), pair("a", "b"), pair("a", "ba"), pair("ab", "a")]
        );
    }
}
