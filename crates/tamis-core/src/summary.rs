//! Reductions over a corpus that many machines can do in parts.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;

use crate::{Error, Result};

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
