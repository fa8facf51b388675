//! Who a document is, independent of where it lies.
//!
//! A [`DocKey`] is 128 bits of xxh3 over (namespace, id), over (namespace, shard, id) where ids count within their shard, or
//! over (namespace, text) in a corpus without ids. Each field is written as its length in bytes (u64, little-endian) followed by its UTF-8; integer ids are decimal text. Seeds hash the
//! key and sidecars carry it, so the layout is pinned by a test and never changes.

use std::fmt;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

fn keyed<const N: usize>(fields: [&str; N]) -> u128 {
    let length = fields.iter().map(|field| 8 + field.len()).sum();
    let mut short = [0; 256];
    let Some(bytes) = short.get_mut(..length) else {
        let mut hasher = Xxh3::new();
        for field in fields {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        }
        return hasher.digest128();
    };
    let mut at = 0;
    for field in fields {
        bytes[at..at + 8].copy_from_slice(&(field.len() as u64).to_le_bytes());
        bytes[at + 8..at + 8 + field.len()].copy_from_slice(field.as_bytes());
        at += 8 + field.len();
    }
    xxh3_128(bytes)
}

/// Identifies a document for ever: two dumps of a corpus, two runs, two machines give it the same key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocKey(u128);

impl DocKey {
    /// Key of a document with an id. An integer id is passed as its decimal text.
    #[must_use]
    pub fn from_id(namespace: &str, id: &str) -> Self {
        Self(keyed([namespace, id]))
    }

    /// Key of a document whose id counts within its shard alone. No key of [`DocKey::from_id`], whatever it is made of, hashes
    /// the same bytes: it has a field less.
    #[must_use]
    pub fn from_shard_id(namespace: &str, shard: &str, id: &str) -> Self {
        Self(keyed([namespace, shard, id]))
    }

    /// Key of a document in a corpus without ids: equal texts share it.
    #[must_use]
    pub fn from_text(namespace: &str, text: &str) -> Self {
        Self(keyed([namespace, text]))
    }

    /// The 16 bytes, big-endian, as sidecars store them: byte order is key order.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The key that [`DocKey::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for DocKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for DocKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocKey({self})")
    }
}

/// 128-bit xxh3 of some bytes: of a text, of a raw line, of a file. Not cryptographic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(u128);

impl Digest {
    /// Digest of the bytes as they are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes))
    }

    /// A digest that an incremental hasher finished.
    #[must_use]
    pub fn from_u128(value: u128) -> Self {
        Self(value)
    }

    /// The 16 bytes, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The digest that [`Digest::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_layout_is_pinned() {
        // Expected values from the Python package xxhash: xxh3_128 over struct.pack("<Q", len) + bytes of each field.
        assert_eq!(DocKey::from_id("", "doc-1").to_string(), "5a3d379e45253ecb021d96ac8d9aa6cf");
        assert_eq!(DocKey::from_id("web", "17").to_string(), "5031cdfc871e5bf57873b0593848b765");
        assert_eq!(DocKey::from_text("", "A text.\n").to_string(), "9bedc8d3fd38d4fe761cfcbb6d38f6fe");
        assert_eq!(
            DocKey::from_shard_id("web", "a/s0", "17").to_string(),
            "6b2cb6918265bb00bff6200c044fcb5b"
        );
    }

    #[test]
    fn short_and_long_fields_are_hashed_alike() {
        for length in (0..600).chain([10_000, 300_000]) {
            let text = "é".repeat(length / 2) + if length % 2 == 1 { "x" } else { "" };
            let mut bytes = Vec::new();
            for field in ["namespace", &text] {
                bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
                bytes.extend_from_slice(field.as_bytes());
            }
            assert_eq!(DocKey::from_text("namespace", &text), DocKey(xxh3_128(&bytes)), "length {length}");
        }
    }

    #[test]
    fn field_borders_matter() {
        assert_ne!(DocKey::from_id("ab", "c"), DocKey::from_id("a", "bc"));
        assert_ne!(DocKey::from_shard_id("", "a", "b:c"), DocKey::from_shard_id("", "a:b", "c"));
        assert_ne!(DocKey::from_shard_id("", "a", "c"), DocKey::from_id("", "a:c"));
    }

    #[test]
    fn byte_order_is_key_order() {
        let mut keys: Vec<_> = (0..100).map(|i| DocKey::from_id("", &i.to_string())).collect();
        let mut bytes: Vec<_> = keys.iter().map(|key| key.to_bytes()).collect();
        keys.sort();
        bytes.sort_unstable();
        assert_eq!(bytes, keys.iter().map(|key| key.to_bytes()).collect::<Vec<_>>());
    }
}
