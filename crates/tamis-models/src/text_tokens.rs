//! What the signals need of a tokenizer.

use crate::error::Result;
use crate::tokenizer::{Head, Joint, Tokenizer};

/// A tokenizer, as far as prompts, labels and documents need one.
///
/// [`Tokenizer`] is one, and says more about each method; tests bring smaller ones.
pub trait TextTokenizer: Send + Sync {
    /// The first `max_tokens` tokens of a document, in which a special token's spelling is text like any other.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn encode_head(&self, text: &str, max_tokens: usize) -> Result<Head>;

    /// The same of a document that begins at a joint of a longer text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn encode_head_at(&self, text: &str, max_tokens: usize, joint: Joint) -> Result<Head> {
        let _ = joint;
        self.encode_head(text, max_tokens)
    }

    /// Where each of the first `tokens` tokens of a document ends, in bytes.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn token_ends(&self, text: &str, tokens: usize) -> Result<Vec<usize>> {
        let mut end = 0;
        let head = self.encode_head(text, tokens)?;
        let ends = head.tokens.iter().map(|token| {
            end += self.decode(&[*token])?.len();
            Ok(end.min(text.len()))
        });
        ends.collect()
    }

    /// Bytes of a document that its first `tokens` tokens stand for.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn head_bytes(&self, text: &str, tokens: usize) -> Result<usize> {
        Ok(self.token_ends(text, tokens)?.last().copied().unwrap_or(0))
    }

    /// How many tokens a document has.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn count(&self, text: &str) -> Result<u64>;

    /// Tokens of text that we or the model's chat template wrote: spellings of special tokens become those tokens.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn encode_template(&self, text: &str) -> Result<Vec<u32>>;

    /// How many tokens a document has that begins at a joint of a longer text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn count_at(&self, text: &str, joint: Joint) -> Result<u64> {
        let _ = joint;
        self.count(text)
    }

    /// Tokens of text that we or the model's chat template wrote and that begins at a joint.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn encode_template_at(&self, text: &str, joint: Joint) -> Result<Vec<u32>> {
        let _ = joint;
        self.encode_template(text)
    }

    /// How what follows a text that we or the model's chat template wrote begins. A tokenizer that writes nothing of its own
    /// before a text tokenizes a piece and a text alike, and need not tell them apart.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn joint_after(&self, text: &str) -> Result<Joint> {
        let _ = text;
        Ok(Joint::Apart)
    }

    /// The version of how long documents are read, for fingerprints; `None` for the first.
    fn pieces_version(&self) -> Option<&'static str> {
        None
    }

    /// The text of some tokens.
    ///
    /// # Errors
    /// When the tokenizer fails.
    fn decode(&self, tokens: &[u32]) -> Result<String>;

    /// The token whose vocabulary entry is exactly `piece`.
    fn token(&self, piece: &str) -> Option<u32>;

    /// What the model expects before and after every sequence; often nothing.
    fn frame(&self) -> (&[u32], &[u32]);

    /// Digest of everything that decides the tokens of a text.
    fn digest(&self) -> &str;
}

impl TextTokenizer for Tokenizer {
    fn encode_head(&self, text: &str, max_tokens: usize) -> Result<Head> {
        Self::encode_head(self, text, max_tokens)
    }

    fn encode_head_at(&self, text: &str, max_tokens: usize, joint: Joint) -> Result<Head> {
        Self::encode_head_at(self, text, max_tokens, joint)
    }

    fn count_at(&self, text: &str, joint: Joint) -> Result<u64> {
        Self::count_at(self, text, joint)
    }

    fn encode_template_at(&self, text: &str, joint: Joint) -> Result<Vec<u32>> {
        Self::encode_template_at(self, text, joint)
    }

    fn joint_after(&self, text: &str) -> Result<Joint> {
        Self::joint_after(self, text)
    }

    fn pieces_version(&self) -> Option<&'static str> {
        Self::pieces_version(self)
    }

    fn token_ends(&self, text: &str, tokens: usize) -> Result<Vec<usize>> {
        Self::token_ends(self, text, tokens)
    }

    fn count(&self, text: &str) -> Result<u64> {
        Self::count(self, text)
    }

    fn encode_template(&self, text: &str) -> Result<Vec<u32>> {
        Self::encode_template(self, text)
    }

    fn decode(&self, tokens: &[u32]) -> Result<String> {
        Self::decode(self, tokens)
    }

    fn token(&self, piece: &str) -> Option<u32> {
        Self::token(self, piece)
    }

    fn frame(&self) -> (&[u32], &[u32]) {
        (&self.special().before, &self.special().after)
    }

    fn digest(&self) -> &str {
        Self::digest(self)
    }
}
