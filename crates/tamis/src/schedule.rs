//! How much goes into a part: much where there is much to do, less and less towards the end.
//!
//! Guided self-scheduling (Polychronopoulos and Kuck 1987, DOI 10.1109/TC.1987.5009495): a part takes one share in
//! [`SHARES_A_WORKER`] times the workers of what is not cut yet, here within two bounds. It never takes more than is worth
//! committing ([`tamis_core::SignalInfo::part_bytes`]), so that nothing changes before the last few parts of each worker, and
//! never less than a [`SMALLEST`]th of that, which pays for a part's own cost. Work is not known beforehand; it lies between
//! one unit a byte (windows over whole documents) and one a document (a model that reads the same beginning of each), so a share
//! is one of either, whichever is full first. Long documents are parts of their own, which [`crate::backlog`] can put first.
//!
//! How parts are cut decides speed and what a stop loses, and no value: amounts may be estimates.

use std::sync::atomic::{AtomicU64, Ordering};

/// Parts into which what a worker has left would be cut, if it were cut evenly.
const SHARES_A_WORKER: u64 = 3;

/// `part_bytes` is so many times what the smallest part should have: of ten seconds, 0.08.
const SMALLEST: u64 = 128;

/// Text, and how many documents it stands in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) bytes: u64,
    pub(crate) documents: u64,
}

impl Amount {
    /// What of this `rows` rows of `all` have, where all have as much.
    pub(crate) fn share(self, rows: u64, all: u64) -> Self {
        let of =
            |amount: u64| (u128::from(amount) * u128::from(rows.min(all)) / u128::from(all.max(1))) as u64;
        Self { bytes: of(self.bytes), documents: of(self.documents) }
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), |sum, next| Self {
            bytes: sum.bytes + next.bytes,
            documents: sum.documents + next.documents,
        })
    }
}

/// What is not cut yet, over all shards of a map.
pub(crate) struct Schedule {
    shares: u64,
    part_bytes: u64,
    bytes: AtomicU64,
    documents: AtomicU64,
}

impl Schedule {
    /// For `workers` that compute parts at once; a part ends with `part_bytes` at most, whatever is left. One worker alone gets
    /// parts of that size to the end: it has nobody to share with, and a device is best filled.
    pub(crate) fn new(workers: usize, part_bytes: u64, left: Amount) -> Self {
        Self {
            shares: if workers > 1 { SHARES_A_WORKER * workers as u64 } else { 0 },
            part_bytes: part_bytes.max(1),
            bytes: AtomicU64::new(left.bytes),
            documents: AtomicU64::new(left.documents),
        }
    }

    /// The share of a shard, which is part of what [`Schedule::new`] was given.
    pub(crate) fn shard(&self, left: Amount) -> ShardShare<'_> {
        ShardShare { schedule: self, left }
    }

    fn smallest(&self) -> u64 {
        (self.part_bytes / SMALLEST).max(1)
    }

    /// Bytes of the next part.
    fn bytes(&self) -> u64 {
        let share = self.bytes.load(Ordering::Relaxed).checked_div(self.shares);
        share.unwrap_or(u64::MAX).clamp(self.smallest(), self.part_bytes)
    }

    /// Documents of the next part, where they have bytes enough.
    fn documents(&self) -> u64 {
        self.documents.load(Ordering::Relaxed).checked_div(self.shares).unwrap_or(u64::MAX)
    }
}

/// What one shard has of the work that is not cut yet. What is left of it when it is dropped counts no more.
pub(crate) struct ShardShare<'a> {
    schedule: &'a Schedule,
    left: Amount,
}

impl ShardShare<'_> {
    /// Whether a part ends with what it `holds`.
    pub(crate) fn is_enough(&self, holds: Amount) -> bool {
        let schedule = self.schedule;
        holds.bytes >= schedule.bytes()
            || (holds.bytes >= schedule.smallest() && holds.documents >= schedule.documents())
    }

    /// Whether a part ends before a document of `next_bytes`: one that makes a part of its own, and waits for no others.
    pub(crate) fn ends_before(&self, holds: Amount, next_bytes: u64) -> bool {
        let schedule = self.schedule;
        schedule.shares > 0 && holds.bytes >= schedule.smallest() && next_bytes >= schedule.bytes()
    }

    /// A part was cut.
    pub(crate) fn take(&mut self, part: Amount) {
        self.correct(Amount {
            bytes: self.left.bytes.saturating_sub(part.bytes),
            documents: self.left.documents.saturating_sub(part.documents),
        });
    }

    /// The documents that are left have so many bytes each.
    pub(crate) fn documents_have(&mut self, bytes: u64) {
        let documents = self.left.documents;
        self.correct(Amount { bytes: documents.saturating_mul(bytes), documents });
    }

    /// So much is left, as is known better by now.
    pub(crate) fn correct(&mut self, left: Amount) {
        let change = |total: &AtomicU64, old: u64, new: u64| match new.checked_sub(old) {
            Some(more) => total.fetch_add(more, Ordering::Relaxed),
            None => total.fetch_sub(old - new, Ordering::Relaxed),
        };
        change(&self.schedule.bytes, self.left.bytes, left.bytes);
        change(&self.schedule.documents, self.left.documents, left.documents);
        self.left = left;
    }
}

impl Drop for ShardShare<'_> {
    fn drop(&mut self) {
        self.correct(Amount::default());
    }
}

#[cfg(test)]
mod tests;
