//! Text to tokens, the same ones as Hugging Face's tokenizers give.
//!
//! The work is done by the crate `tokenizers`; what is here is where a tokenizer comes from (`tokenizer.json`, or the
//! vocabulary inside a GGUF), the difference between text that *we* wrote and text of a *document*, and long texts.
//!
//! A document may contain the spelling of a special token, `<|im_end|>` say. [`Tokenizer::encode`] keeps it text: no
//! document can end our prompt or open a turn of its own. [`Tokenizer::encode_template`] is for rendered prompts and
//! chat templates, where these spellings are meant.
//!
//! A text may be tokenized in pieces that go on from each other ([`Joint`]); only the first gets what some tokenizers write
//! before a text.
//!
//! Truncation and padding that a `tokenizer.json` may ask for are switched off: MiniLM's cuts at 128 tokens and pads
//! every text to 128. Calls are single-threaded.

mod added;
mod beside;
pub(crate) mod error;
mod gguf;
mod joined;
mod pieces;
mod sentencepiece;
mod special;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::path::Path;
use std::sync::OnceLock;

use tokenizers::OffsetType;
use xxhash_rust::xxh3::xxh3_128;

pub use error::TokenizerError;
pub use joined::Joint;
pub use special::SpecialTokens;

use crate::error::Result;
use beside::Beside;
use joined::Prefixing;
use pieces::Pieces;

/// No real `tokenizer.json` is longer: the largest published ones have about 35 MB.
const LARGEST_FILE_BYTES: u64 = 256 << 20;

/// Raised when pieces of a text are put together otherwise. Named in the fingerprints of signals whose tokens are others than
/// those of tamis 0.1.0, which wrote `▁` before each piece, and of no others.
pub const PIECES_VERSION: &str = "joined-1";

/// The beginning of a text in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// At most as many as were asked for.
    pub tokens: Vec<u32>,
    /// Whether the text has more of them.
    pub truncated: bool,
}

/// A tokenizer and its special tokens.
pub struct Tokenizer {
    /// Special tokens are not recognised in text.
    plain: tokenizers::Tokenizer,
    /// Special tokens are recognised in text; made when first asked for.
    template: OnceLock<tokenizers::Tokenizer>,
    special: SpecialTokens,
    pieces: Pieces,
    prefixing: Prefixing,
    digest: String,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("special", &self.special)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json` from a folder, and more tokens and their roles from the files beside it
    /// (`tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`) where they are there.
    ///
    /// # Errors
    /// A file that is missing, cannot be read, or is no tokenizer; a token that one of them adds under a number that it cannot
    /// have.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let json = read_bounded(&path)?;
        let (file, beside) = (path.display().to_string(), Beside::read(folder)?);
        let mut hashed = length_prefixed(&json);
        for bytes in beside.bytes() {
            hashed.extend(length_prefixed(bytes));
        }
        let mut inner = tokenizers::Tokenizer::from_bytes(&json)
            .map_err(|error| TokenizerError::Malformed { file: file.clone(), problem: error.to_string() })?;
        let roles = beside.roles();
        let added = added::add(&mut inner, &beside, &roles)?;
        if !added.is_empty() {
            hashed.extend(length_prefixed(&added));
        }
        Self::new(&file, inner, &roles, format!("xxh3:{:032x}", xxh3_128(&hashed)))
    }

    fn new(
        file: &str,
        mut inner: tokenizers::Tokenizer,
        roles: &special::Roles,
        digest: String,
    ) -> Result<Self> {
        let malformed = |error: tokenizers::Error| TokenizerError::Malformed {
            file: file.to_owned(),
            problem: error.to_string(),
        };
        inner.with_truncation(None).map_err(malformed)?;
        inner.with_padding(None);
        let special = SpecialTokens::new(&inner, roles).map_err(malformed)?;
        inner.set_encode_special_tokens(true);
        let pieces = Pieces::of(&inner).map_err(malformed)?;
        let prefixing = Prefixing::of(&inner).map_err(malformed)?;
        Ok(Self { plain: inner, template: OnceLock::new(), special, pieces, prefixing, digest })
    }

    /// Tokens of a document. No special token is added, and none is recognised in the text.
    ///
    /// # Errors
    /// When the tokenizer fails on this text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encode_head(text, usize::MAX)?.tokens)
    }

    /// The first `max_tokens` tokens of a document: the same ones that [`Self::encode`] begins with, at a cost that
    /// depends on `max_tokens` and not on the length of the text.
    ///
    /// # Errors
    /// When the tokenizer fails on this text.
    pub fn encode_head(&self, text: &str, max_tokens: usize) -> Result<Head> {
        self.encode_head_at(text, max_tokens, Joint::Apart)
    }

    /// The same of a document that begins at a joint of a longer text.
    ///
    /// # Errors
    /// When the tokenizer fails on this text.
    pub fn encode_head_at(&self, text: &str, max_tokens: usize, joint: Joint) -> Result<Head> {
        let mut tokens = Vec::new();
        for (piece, joint) in self.pieces_at(text, joint) {
            tokens.extend_from_slice(self.encode_at(&self.plain, piece, joint)?.get_ids());
            if tokens.len() > max_tokens {
                tokens.truncate(max_tokens);
                return Ok(Head { tokens, truncated: true });
            }
        }
        Ok(Head { tokens, truncated: false })
    }

    /// Where each of the first `tokens` tokens of a document ends, in bytes, by the tokenizer's own offsets. A character that
    /// two tokens share ends with the first.
    ///
    /// # Errors
    /// When the tokenizer fails on this text.
    pub fn token_ends(&self, text: &str, tokens: usize) -> Result<Vec<usize>> {
        let (mut ends, mut before) = (Vec::new(), 0);
        for (piece, joint) in self.pieces_at(text, Joint::Apart) {
            let wanted = tokens - ends.len();
            if wanted == 0 {
                break;
            }
            let joined = match joint {
                Joint::Apart => None,
                Joint::Joined => {
                    joined::encode_joined(&self.plain, piece, OffsetType::Byte).map_err(failed)?
                }
            };
            match joined {
                Some(encoding) => {
                    // Offsets count the letter that the piece was joined to.
                    let offsets = encoding.get_offsets().iter().take(wanted);
                    ends.extend(offsets.map(|(_, end)| before + end.saturating_sub(1)));
                }
                None => {
                    let encoding = self.plain.encode(piece, false).map_err(failed)?;
                    ends.extend(encoding.get_offsets().iter().take(wanted).map(|(_, end)| before + end));
                }
            }
            before += piece.len();
        }
        Ok(ends)
    }

    /// How many tokens a document has; memory does not depend on its length.
    ///
    /// # Errors
    /// When the tokenizer fails on this text.
    pub fn count(&self, text: &str) -> Result<u64> {
        self.count_at(text, Joint::Apart)
    }

    /// The same of a document that begins at a joint of a longer text.
    ///
    /// # Errors
    /// When the tokenizer fails on this text.
    pub fn count_at(&self, text: &str, joint: Joint) -> Result<u64> {
        let mut count = 0;
        for (piece, joint) in self.pieces_at(text, joint) {
            count += self.encode_at(&self.plain, piece, joint)?.get_ids().len() as u64;
        }
        Ok(count)
    }

    /// The pieces of a document, each with how it begins.
    fn pieces_at<'a>(&self, text: &'a str, first: Joint) -> impl Iterator<Item = (&'a str, Joint)> + use<'a> {
        let joints = std::iter::once(first).chain(std::iter::repeat(self.pieces.joint()));
        self.pieces.split(text).zip(joints)
    }

    fn encode_at(
        &self,
        tokenizer: &tokenizers::Tokenizer,
        piece: &str,
        joint: Joint,
    ) -> Result<tokenizers::Encoding> {
        if joint == Joint::Joined && self.prefixing != Prefixing::Nothing {
            let joined = joined::encode_joined(tokenizer, piece, OffsetType::None).map_err(failed)?;
            if let Some(encoding) = joined {
                return Ok(encoding);
            }
        }
        Ok(tokenizer.encode_fast(piece, false).map_err(failed)?)
    }

    /// Tokens of a rendered prompt or chat template: spellings of special tokens become these tokens; none is added.
    /// Never for text of a document.
    ///
    /// # Errors
    /// When the tokenizer fails on this text.
    pub fn encode_template(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_template_at(text, Joint::Apart)
    }

    /// The same of text that begins at a joint.
    ///
    /// # Errors
    /// When the tokenizer fails on this text.
    pub fn encode_template_at(&self, text: &str, joint: Joint) -> Result<Vec<u32>> {
        let tokenizer = self.template();
        if joint == Joint::Apart || self.prefixing == Prefixing::Nothing {
            return Ok(self.encode_at(tokenizer, text, Joint::Apart)?.get_ids().to_vec());
        }
        // From the first special token on everything is as it is in a text of its own.
        let (goes_on, rest) = text.split_at(joined::first_added_token(tokenizer, text));
        let mut tokens = self.encode_at(tokenizer, goes_on, joint)?.get_ids().to_vec();
        tokens.extend_from_slice(self.encode_at(tokenizer, rest, Joint::Apart)?.get_ids());
        Ok(tokens)
    }

    /// How what follows a rendered prompt begins: apart where the tokenizer writes something before it all the same, as
    /// Llama 2's writes `▁` behind a special token, or where nothing at all is before it.
    ///
    /// # Errors
    /// When the tokenizer fails on this text.
    pub fn joint_after(&self, text: &str) -> Result<Joint> {
        Ok(joined::joint_after(self.template(), self.prefixing, text).map_err(failed)?)
    }

    /// The version of how this tokenizer reads long documents, where it is not the first: a fingerprint then holds it.
    #[must_use]
    pub fn pieces_version(&self) -> Option<&'static str> {
        (self.pieces.joint() == Joint::Joined).then_some(PIECES_VERSION)
    }

    fn template(&self) -> &tokenizers::Tokenizer {
        self.template.get_or_init(|| {
            let mut template = self.plain.clone();
            template.set_encode_special_tokens(false);
            template
        })
    }

    /// Text of tokens, special ones included.
    ///
    /// # Errors
    /// When the tokenizer fails; an unknown token is left out.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        Ok(self.plain.decode(tokens, false).map_err(failed)?)
    }

    /// The token whose vocabulary entry is exactly `piece`; byte-level vocabularies write a leading space as `Ġ`.
    #[must_use]
    pub fn token(&self, piece: &str) -> Option<u32> {
        self.plain.token_to_id(piece)
    }

    /// The vocabulary entry of a token.
    #[must_use]
    pub fn piece(&self, token: u32) -> Option<String> {
        self.plain.id_to_token(token)
    }

    /// Special tokens by role.
    #[must_use]
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// One more than the largest token.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.special.vocab_size
    }

    /// `xxh3:` and 32 hex digits of everything that decides the tokens of a text.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be named in map_err")]
fn failed(error: tokenizers::Error) -> TokenizerError {
    TokenizerError::Failed { problem: error.to_string() }
}

fn length_prefixed(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, TokenizerError> {
    let file = path.display().to_string();
    let failed = |source| TokenizerError::Read { file: file.clone(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST_FILE_BYTES {
        let problem = format!("expected at most {LARGEST_FILE_BYTES} bytes, got {size}");
        return Err(TokenizerError::Malformed { file, problem });
    }
    std::fs::read(path).map_err(failed)
}
