//! Reductions over a corpus that many machines can do in parts.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;

use crate::{Error, Result};

const MAGIC: &[u8] = b"tamis-PT";
const VERSION: u32 = 1;

/// A statistic of a corpus that can be folded part by part and merged in any order.
///
/// Implementors promise that `absorb` and `merge` are associative and commutative *to the bit*, and that `empty` is neutral:
/// counts are integers, and sums that must agree are fixed-point integers, never floats.
///
/// A part is what some rows add: computed by any thread and without the summary, which may be large and is one for all
/// threads. What parts are computed from is left open, since not everything that is folded is a batch (the candidates of a
/// selection are rows of several files side by side); summaries of batches say how in [`BatchSummary`]. Where rows are cheap
/// and a summary is small, a part is a summary of its own.
pub trait Summary: Send + Sized {
    /// What some rows add.
    type Part: Send;

    /// A summary of the same kind that holds nothing.
    #[must_use]
    fn empty(&self) -> Self;

    /// Adds a part.
    ///
    /// # Errors
    /// [`Error::Merge`] when the part is of another kind of summary or a counter would overflow.
    fn absorb(&mut self, part: Self::Part) -> Result<()>;

    /// Adds everything that `other` holds.
    ///
    /// # Errors
    /// [`Error::Merge`] when parameters differ or a counter would overflow.
    fn merge(&mut self, other: Self) -> Result<()>;

    /// Version, parameters, content, checksum. Summaries that hold the same have the same bytes, and so have empty ones of
    /// one kind alone.
    #[must_use]
    fn encode(&self) -> Vec<u8>;

    /// Reads what [`Summary::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; never a panic or a large allocation, whatever the bytes.
    fn decode(bytes: &[u8]) -> Result<Self>;

    /// About how many bytes it takes at most, in memory or stored, however much is folded into it. It follows from the
    /// parameters: an empty summary says what a full one takes, so that a driver can plan with it.
    #[must_use]
    fn size_bytes(&self) -> u64;
}

/// A summary of the rows of batches, such as the sidecars of a signal.
pub trait BatchSummary: Summary {
    /// From a batch to what it adds. The function has its own share of what it needs (hash functions, say), none of the
    /// counters, and may be called by any number of threads; how rows are cut into batches makes no difference.
    ///
    /// Its errors: a batch of another schema.
    fn parts(&self) -> impl Fn(&RecordBatch) -> Result<Self::Part> + Send + Sync + 'static;
}

/// Two summaries that are folded in one pass.
///
/// Layout: length of the first as u64, little-endian, then both, which have their own checksums.
impl<A: Summary, B: Summary> Summary for (A, B) {
    type Part = (A::Part, B::Part);

    fn empty(&self) -> Self {
        (self.0.empty(), self.1.empty())
    }

    fn absorb(&mut self, (first, second): Self::Part) -> Result<()> {
        self.0.absorb(first)?;
        self.1.absorb(second)
    }

    fn merge(&mut self, (first, second): Self) -> Result<()> {
        self.0.merge(first)?;
        self.1.merge(second)
    }

    fn encode(&self) -> Vec<u8> {
        let first = self.0.encode();
        let mut bytes = (first.len() as u64).to_le_bytes().to_vec();
        bytes.extend(first);
        bytes.extend(self.1.encode());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let cut = || Error::Corrupt { what: "pair of summaries", problem: "it ends too early".to_owned() };
        let (length, both) = bytes.split_first_chunk().ok_or_else(cut)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
        let (first, second) = both.split_at_checked(length).ok_or_else(cut)?;
        Ok((A::decode(first)?, B::decode(second)?))
    }

    fn size_bytes(&self) -> u64 {
        self.0.size_bytes().saturating_add(self.1.size_bytes())
    }
}

impl<A: BatchSummary, B: BatchSummary> BatchSummary for (A, B) {
    fn parts(&self) -> impl Fn(&RecordBatch) -> Result<Self::Part> + Send + Sync + 'static {
        let (first, second) = (self.0.parts(), self.1.parts());
        move |batch| Ok((first(batch)?, second(batch)?))
    }
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
        type Part = u64;

        fn empty(&self) -> Self {
            Self(0)
        }

        fn absorb(&mut self, part: u64) -> Result<()> {
            self.0 += part;
            Ok(())
        }

        fn merge(&mut self, other: Self) -> Result<()> {
            self.absorb(other.0)
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

        fn size_bytes(&self) -> u64 {
            8
        }
    }

    impl BatchSummary for Count {
        fn parts(&self) -> impl Fn(&RecordBatch) -> Result<u64> + Send + Sync + 'static {
            |batch| Ok(batch.num_rows() as u64)
        }
    }

    #[test]
    fn a_pair_is_folded_in_one_pass_and_comes_back() {
        let mut pair = (Count(0), Count(3));
        let parts = pair.parts();
        let batch = crate::DocumentBatch::from_texts(["one", "two"]);
        pair.absorb(parts(batch.as_arrow()).unwrap()).unwrap();
        assert_eq!(pair, (Count(2), Count(5)));
        pair.merge((Count(1), Count(1))).unwrap();
        let bytes = pair.encode();
        assert_eq!(<(Count, Count)>::decode(&bytes).unwrap(), (Count(3), Count(6)));
        assert_eq!((pair.size_bytes(), pair.empty()), (16, (Count(0), Count(0))));
        for length in 0..bytes.len() {
            assert!(<(Count, Count)>::decode(&bytes[..length]).is_err());
        }
        let far = [&u64::MAX.to_le_bytes()[..], &bytes[8..]].concat();
        assert!(<(Count, Count)>::decode(&far).is_err());
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
