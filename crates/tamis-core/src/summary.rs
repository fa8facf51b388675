//! Reductions over a corpus that many machines can do in parts.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;

use crate::{Error, Result};

const MAGIC: &[u8] = b"tamis-PT";
const VERSION: u32 = 1;

/// A statistic of a corpus that can be folded part by part and merged in any order.
///
/// Implementors promise that `merge` is associative and commutative *to the bit*: counts are integers, and sums that must
/// agree are fixed-point integers, never floats.
pub trait Summary: Send + Sized {
    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// A batch of another schema, or a counter that would overflow.
    fn update(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Adds everything that `other` holds.
    ///
    /// # Errors
    /// [`Error::Merge`] when parameters differ or a counter would overflow.
    fn merge(&mut self, other: Self) -> Result<()>;

    /// Version, parameters, content, checksum.
    fn encode(&self) -> Vec<u8>;

    /// Reads what [`Summary::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; never a panic or a large allocation, whatever the bytes.
    fn decode(bytes: &[u8]) -> Result<Self>;
}

/// A summary that remembers which parts it holds, so that none is counted twice.
#[derive(Clone, Debug)]
pub struct Sharded<S> {
    /// Digests or names of the parts that were folded in.
    pub parts: BTreeSet<String>,
    /// The summary of exactly these parts.
    pub inner: S,
}

impl<S: Summary> Sharded<S> {
    /// A summary that holds nothing yet.
    pub fn new(empty: S) -> Self {
        Self { parts: BTreeSet::new(), inner: empty }
    }

    /// Folds in one part.
    ///
    /// # Errors
    /// [`Error::Merge`] when the part is already held; else what the summary says.
    pub fn add(&mut self, part: String, summary: S) -> Result<()> {
        if self.parts.contains(&part) {
            return Err(Error::Merge { what: "summary", problem: format!("part `{part}` is already in it") });
        }
        self.inner.merge(summary)?;
        self.parts.insert(part);
        Ok(())
    }

    /// The parts, then what the summary encodes itself to.
    ///
    /// Layout: `tamis-PT`, version u32, number of parts u64, each part's length u64 and bytes, 128-bit xxh3 of all that, then
    /// the summary; integers little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.parts.len() as u64).to_le_bytes());
        for part in &self.parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        let checksum = crate::Digest::of(&bytes).to_bytes();
        bytes.extend_from_slice(&checksum);
        bytes.extend(self.inner.encode());
        bytes
    }

    /// Reads what [`Sharded::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; never a panic or a large allocation, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::decode_with(bytes, S::decode)
    }

    /// As [`Sharded::decode`], with another way to read the summary: within limits that the caller knows.
    ///
    /// # Errors
    /// [`Error::Corrupt`], and what `inner` says.
    pub fn decode_with(bytes: &[u8], inner: impl FnOnce(&[u8]) -> Result<S>) -> Result<Self> {
        let corrupt =
            |problem: &str| Error::Corrupt { what: "summary of parts", problem: problem.to_owned() };
        let mut at = 0_usize;
        let mut take = |count: usize| {
            let slice = bytes.get(at..at.checked_add(count)?)?;
            at += count;
            Some(slice)
        };
        let number = |slice: &[u8]| slice.try_into().map(u64::from_le_bytes).ok();
        if take(MAGIC.len()) != Some(MAGIC) {
            return Err(corrupt("it does not begin as one"));
        }
        if take(4) != Some(&VERSION.to_le_bytes()[..]) {
            return Err(corrupt("its version is not known here"));
        }
        let cut = || corrupt("it ends too early");
        let count = take(8).and_then(number).ok_or_else(cut)?;
        let mut parts = BTreeSet::new();
        for _ in 0..count {
            let length = take(8).and_then(number).and_then(|n| usize::try_from(n).ok()).ok_or_else(cut)?;
            let part = std::str::from_utf8(take(length).ok_or_else(cut)?)
                .map_err(|_| corrupt("a part's name is no text"))?;
            parts.insert(part.to_owned());
        }
        let checksum = take(16).ok_or_else(cut)?;
        if crate::Digest::of(&bytes[..at - 16]).to_bytes() != checksum {
            return Err(corrupt("its checksum is wrong"));
        }
        if parts.len() as u64 != count {
            return Err(corrupt("a part stands in it twice"));
        }
        Ok(Self { parts, inner: inner(&bytes[at..])? })
    }

    /// Merges two disjoint summaries.
    ///
    /// # Errors
    /// [`Error::Merge`] when a part is in both; else what the summary says.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if let Some(part) = self.parts.intersection(&other.parts).next() {
            return Err(Error::Merge { what: "summary", problem: format!("part `{part}` is in both") });
        }
        self.inner.merge(other.inner)?;
        self.parts.extend(other.parts);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Count(u64);

    impl Summary for Count {
        fn update(&mut self, batch: &RecordBatch) -> Result<()> {
            self.0 += batch.num_rows() as u64;
            Ok(())
        }

        fn merge(&mut self, other: Self) -> Result<()> {
            self.0 += other.0;
            Ok(())
        }

        fn encode(&self) -> Vec<u8> {
            self.0.to_le_bytes().to_vec()
        }

        fn decode(bytes: &[u8]) -> Result<Self> {
            let bytes = bytes.try_into();
            bytes
                .map(|bytes| Self(u64::from_le_bytes(bytes)))
                .map_err(|_| Error::Corrupt { what: "count", problem: "not eight bytes".to_owned() })
        }
    }

    #[test]
    fn a_part_counts_once() {
        let mut sum = Sharded::new(Count(0));
        sum.add("a".to_owned(), Count(2)).unwrap();
        assert!(sum.add("a".to_owned(), Count(2)).is_err());
        let mut other = Sharded::new(Count(0));
        other.add("b".to_owned(), Count(3)).unwrap();
        sum.merge(other.clone()).unwrap();
        assert_eq!(sum.inner, Count(5));
        assert!(sum.merge(other).is_err());
    }

    #[test]
    fn bytes_come_back_and_damaged_ones_are_refused() {
        let mut sum = Sharded::new(Count(0));
        sum.add("first".to_owned(), Count(2)).unwrap();
        sum.add("second".to_owned(), Count(5)).unwrap();
        let bytes = sum.encode();
        let back = Sharded::<Count>::decode(&bytes).unwrap();
        assert_eq!((back.parts, back.inner), (sum.parts, sum.inner));
        for length in 0..bytes.len() {
            assert!(Sharded::<Count>::decode(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
        for at in 0..bytes.len() - 8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            assert!(Sharded::<Count>::decode(&damaged).is_err(), "byte {at} changed");
        }
    }
}
