//! A piece of a text, tokenized as it is inside of the text.
//!
//! Some tokenizers write something before a text that the text has not: SentencePiece's a `▁` (Llama 2, Mistral, TinyLlama,
//! T5), some byte-level ones a space. The text of a prompt is tokenized in three pieces, prefix, document and suffix, and only
//! the first may get it.
//!
//! A piece that goes on from another is tokenized behind a letter, and what stands for the letter, with all that was written
//! before it, is cut off again before the vocabulary is asked. So whatever a tokenizer does at the beginning of a text, by
//! whichever of its parts, is done to the letter. The tokens of the pieces are then those of the whole text, but for what would
//! have been merged across the seam.
//!
//! Whether a tokenizer is of this kind is tried out, not read off its configuration. One that is not tokenizes a piece and a
//! text alike, and nothing of this file touches it.

use tokenizers::tokenizer::normalizer::Range;
use tokenizers::tokenizer::{
    Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizer,
};
use tokenizers::{Encoding, PreTokenizedString};

/// The letter. It composes with no combining mark.
const ANCHOR: char = 'q';

/// Where a piece of a text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Joint {
    /// At the beginning of a text, or where the tokenizer begins anew.
    #[default]
    Apart,
    /// Where the piece before it ends.
    Joined,
}

/// Before what a tokenizer writes something of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefixing {
    /// Before nothing.
    Nothing,
    /// Before a text.
    Texts,
    /// Before a text, and before what follows a token that is found as a whole.
    Stretches,
}

impl Prefixing {
    /// Tries it out.
    pub(super) fn of(tokenizer: &tokenizers::Tokenizer) -> tokenizers::Result<Self> {
        // Two stretches of one letter; neither is looked up in the vocabulary of added tokens.
        let mut pieces = PreTokenizedString::from([ANCHOR, ANCHOR].iter().collect::<String>());
        pieces.split(|_, both| {
            let stretch = |range| both.slice(Range::Original(range));
            Ok([stretch(0..1), stretch(1..2)].into_iter().flatten().collect::<Vec<NormalizedString>>())
        })?;
        if let Some(normalizer) = tokenizer.get_normalizer() {
            pieces.normalize(|stretch| normalizer.normalize(stretch))?;
        }
        if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let prefixed = |from: usize| {
            let of_stretch = splits.iter().find(|(_, (begin, end), _)| *begin == from && *end > from);
            of_stretch.is_some_and(|(text, ..)| !text.starts_with(is_anchor))
        };
        Ok(match (prefixed(0), prefixed(1)) {
            (_, true) => Self::Stretches,
            (true, false) => Self::Texts,
            (false, false) => Self::Nothing,
        })
    }
}

fn is_anchor(letter: char) -> bool {
    letter.eq_ignore_ascii_case(&ANCHOR)
}

/// Tokens of a piece that goes on from another one; offsets, where they are asked for, are of the piece behind the one byte
/// of the letter. `None` when the letter is not found again, as when an added token begins with it.
pub(super) fn encode_joined(
    tokenizer: &tokenizers::Tokenizer,
    piece: &str,
    offsets: OffsetType,
) -> tokenizers::Result<Option<Encoding>> {
    let text = format!("{ANCHOR}{piece}");
    let mut pieces = split(tokenizer, &text)?;
    let begins = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
    if !matches!(begins.first(), Some((_, (0, _), None))) {
        return Ok(None);
    }
    let mut found = false;
    pieces.split(|at, normalized| {
        let behind = normalized.get().find(is_anchor).map(|at| at + ANCHOR.len_utf8());
        let rest = match (at, behind) {
            (0, Some(behind)) if behind == normalized.len() => {
                found = true;
                None
            }
            (0, Some(behind)) => {
                let rest = normalized.slice(Range::Normalized(behind..));
                found = rest.is_some();
                rest
            }
            _ => Some(normalized),
        };
        Ok(rest)
    })?;
    if !found {
        return Ok(None);
    }
    tokenizer.get_model().tokenize_in_pretokenized(&mut pieces, None)?;
    pieces.into_encoding(None, 0, offsets).map(Some)
}

/// Normalised and split, as far as a tokenizer does that before it asks its vocabulary.
fn split(tokenizer: &tokenizers::Tokenizer, text: &str) -> tokenizers::Result<PreTokenizedString> {
    let mut pieces = tokenizer.get_added_vocabulary().extract_and_normalize(tokenizer.get_normalizer(), text);
    if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut pieces)?;
    }
    Ok(pieces)
}

/// Where the first token that is found as a whole begins; the length of the text when there is none.
pub(super) fn first_added_token(tokenizer: &tokenizers::Tokenizer, text: &str) -> usize {
    let pieces = tokenizer.get_added_vocabulary().extract_and_normalize(tokenizer.get_normalizer(), text);
    let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
    splits.iter().find(|(_, _, tokens)| tokens.is_some()).map_or(text.len(), |(_, (begin, _), _)| *begin)
}

/// How what follows a text begins.
pub(super) fn joint_after(
    tokenizer: &tokenizers::Tokenizer,
    prefixing: Prefixing,
    text: &str,
) -> tokenizers::Result<Joint> {
    if prefixing == Prefixing::Nothing || text.is_empty() {
        return Ok(Joint::Apart);
    }
    let mut pieces = split(tokenizer, text)?;
    let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
    if matches!(splits.last(), Some((_, (_, end), Some(_))) if *end == text.len()) {
        // It ends in a token that was found as a whole.
        return Ok(if prefixing == Prefixing::Stretches { Joint::Apart } else { Joint::Joined });
    }
    // White space at the end that has no token (T5 strips it) is what the mark before a text stands for.
    tokenizer.get_model().tokenize_in_pretokenized(&mut pieces, None)?;
    let encoding = pieces.into_encoding(None, 0, OffsetType::Byte)?;
    let covered = encoding.get_offsets().iter().map(|(_, end)| *end).max().unwrap_or(0);
    let dropped = text.get(covered..).unwrap_or_default();
    Ok(if dropped.contains(char::is_whitespace) { Joint::Apart } else { Joint::Joined })
}
