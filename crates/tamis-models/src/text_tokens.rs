//! What the signals need of a tokenizer, and how they tokenize documents of any length.

use crate::error::Result;

/// A tokenizer, as far as prompts, labels and documents need one.
///
/// [`crate::tokenizer::Tokenizer`] is one; tests bring smaller ones.
pub trait TextTokenizer: Send + Sync {
    /// Tokens of text that we or the model's chat template wrote: spellings of special tokens become those tokens.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn encode_prompt(&self, text: &str) -> Result<Vec<u32>>;

    /// Tokens of a document: plain text, in which a special token's spelling is text like any other.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn encode_document(&self, text: &str) -> Result<Vec<u32>>;

    /// The text of some tokens.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn decode(&self, tokens: &[u32]) -> Result<String>;

    /// The token whose vocabulary entry is exactly `piece`.
    fn token(&self, piece: &str) -> Option<u32>;

    /// The token that every sequence has to start with, for models that were trained so.
    fn start(&self) -> Option<u32>;

    /// Digest of everything that decides the tokens of a text.
    fn digest(&self) -> String;
}

/// Longest text in bytes that is handed to the tokenizer at once: its memory is a hundred times the text.
const PIECE_BYTES: usize = 1 << 20;

/// Tokens of a document of any length.
///
/// A text longer than 1 MiB is tokenized in pieces that end after white space where there is any, so that memory stays
/// bounded; at a border the tokens may differ from those of the whole text. With `enough`, the tokens after the piece
/// that reaches that many are left out.
pub(crate) fn document_tokens(
    tokenizer: &dyn TextTokenizer,
    text: &str,
    enough: Option<usize>,
) -> Result<Vec<u32>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && enough.is_none_or(|enough| tokens.len() < enough) {
        let (piece, after) = rest.split_at(piece_end(rest));
        tokens.extend(tokenizer.encode_document(piece)?);
        rest = after;
    }
    Ok(tokens)
}

/// Where the first piece of a text ends: a character border, never 0 for a text that is not empty.
fn piece_end(text: &str) -> usize {
    if text.len() <= PIECE_BYTES {
        return text.len();
    }
    let limit = text.floor_char_boundary(PIECE_BYTES);
    match text[..limit].rfind(char::is_whitespace) {
        // A piece that is almost empty would be one of very many.
        Some(at) if at > limit / 2 => at + text[at..].chars().next().map_or(0, char::len_utf8),
        _ => limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_after_white_space_and_lose_nothing() {
        let words = "wörter ".repeat(400_000);
        let solid = "ö".repeat(1_300_000);
        for text in [words, solid, "short".to_owned(), String::new()] {
            let (mut rest, mut joined) = (text.as_str(), String::new());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(piece_end(rest));
                assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
                assert!(after.is_empty() || piece.ends_with(' ') || !piece.contains(' '));
                joined.push_str(piece);
                rest = after;
            }
            assert_eq!(joined, text);
        }
    }
}
