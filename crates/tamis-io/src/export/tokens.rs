//! Tokens one after the other, and where each document lies among them: the layout of Dolma and OLMo-core, whose first file is also
//! nanoGPT's.
//!
//! `NAME.npy` has no header, despite its name: it is the numbers of the tokens, little-endian, as `numpy.memmap` reads them when it is
//! told their type. `NAME.csv.gz` has a line a document: `start,end,id,src,loc`, the range of its tokens, its id, its shard,
//! and its line there, from 1. An id or shard with a comma, a quotation mark or a line break is quoted as CSV has it,
//! and line breaks are written as `\n` and `\r`, since readers take a line for a document.

use std::io::Write;

use flate2::write::GzEncoder;

use super::{Hashed, Written};
use crate::store::{Created, Store, StoreError, StoreResult};

/// Bytes of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenWidth {
    /// `uint16`.
    Two,
    /// `uint32`.
    Four,
}

impl TokenWidth {
    /// The smallest that has room for a token.
    #[must_use]
    pub fn of(largest: u32) -> Self {
        if u16::try_from(largest).is_ok() { Self::Two } else { Self::Four }
    }

    /// Bytes of one token.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// As numpy calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Two => "uint16",
            Self::Four => "uint32",
        }
    }

    /// A token in as many bytes, little-endian.
    ///
    /// # Panics
    /// A token that has no room.
    #[must_use]
    pub fn encode(self, token: u32) -> impl IntoIterator<Item = u8> {
        assert!(self == Self::Four || u16::try_from(token).is_ok(), "token {token} in 16 bits");
        token.to_le_bytes().into_iter().take(self.bytes())
    }

    /// The token of so many bytes.
    ///
    /// # Panics
    /// Another number of bytes.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> u32 {
        match self {
            Self::Two => u16::from_le_bytes(bytes.try_into().expect("2 bytes")).into(),
            Self::Four => u32::from_le_bytes(bytes.try_into().expect("4 bytes")),
        }
    }
}

/// A file of tokens with its index.
pub struct TokensFile {
    location: String,
    width: TokenWidth,
    tokens: Hashed,
    index: GzEncoder<Hashed>,
    end: u64,
}

impl std::fmt::Debug for TokensFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokensFile").field("location", &self.location).finish_non_exhaustive()
    }
}

impl TokensFile {
    /// The files of a name.
    #[must_use]
    pub fn paths(stem: &str) -> [String; 2] {
        [format!("{stem}.npy"), format!("{stem}.csv.gz")]
    }

    /// Starts the two files of a name.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn create(store: &Store, stem: &str, width: TokenWidth) -> StoreResult<Self> {
        let [tokens, index] = Self::paths(stem);
        let location = store.location(&tokens);
        let index = GzEncoder::new(Hashed::create(store, &index)?, flate2::Compression::new(6));
        Ok(Self { location, width, tokens: Hashed::create(store, &tokens)?, index, end: 0 })
    }

    /// Adds a document: its tokens as [`TokenWidth::encode`] has them, the separator among them, and where it comes from (its row
    /// there from 0).
    ///
    /// # Errors
    /// A place that cannot be written.
    ///
    /// # Panics
    /// Bytes that are no whole tokens.
    pub fn write(&mut self, tokens: &[u8], id: Option<&str>, shard: &str, row: u64) -> StoreResult<()> {
        assert_eq!(tokens.len() % self.width.bytes(), 0, "whole tokens");
        let start = self.end;
        self.end += (tokens.len() / self.width.bytes()) as u64;
        let (id, shard) = (field(id.unwrap_or_default()), field(shard));
        let written = self
            .tokens
            .write_all(tokens)
            .and_then(|()| writeln!(self.index, "{start},{},{id},{shard},{}", self.end, row + 1));
        written.map_err(|error| StoreError::written(self.location.clone(), error))
    }

    /// Makes the tokens visible and then the index, each unless its name was taken.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn commit(self) -> StoreResult<[(Created, Written); 2]> {
        let location = self.location;
        let index = self.index.finish().map_err(|error| StoreError::written(location, error))?;
        Ok([self.tokens.commit()?, index.commit()?])
    }
}

/// A field of a line.
fn field(text: &str) -> String {
    if !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    let text = text.replace('"', "\"\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{text}\"")
}
