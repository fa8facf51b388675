//! What one pass over the candidates collects.

use tamis_core::{Error, Result, Summary};

use super::super::Priority;
use super::histogram::{Bin, Histogram, Sums};
use crate::bytes::{ByteReader, finish, start};

const WHAT: &str = "selection pass";
const MAGIC: [u8; 8] = *b"tamis-SP";
const VERSION: u32 = 1;
/// More targets than this share no pass; bounds what hostile bytes can make [`Pass::decode`] allocate.
pub(super) const MAX_TARGETS: usize = 64;
/// As stored: a bin of a digit, three sums and two priorities for each of 2¹⁶ digits, and the range.
const TABLE_BYTES: u64 = (1 << 16) * 90 + 69;

/// The documents that a pass looks at for one target: `first..=last`, which agree in all digits before `digit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) first: Priority,
    pub(super) last: Priority,
    pub(super) digit: usize,
}

impl Range {
    pub(super) fn everything() -> Self {
        Self { first: Priority::lowest(), last: Priority::highest(), digit: 0 }
    }

    fn contains(&self, priority: &Priority) -> bool {
        (self.first..=self.last).contains(priority)
    }

    /// Whether the fields can have come from a search.
    fn is_sound(&self) -> bool {
        self.digit < Priority::DIGITS
            && self.first <= self.last
            && self.first.first_difference(&self.last).is_some_and(|at| at >= self.digit)
    }
}

/// Histograms of one pass. Threads, shards and machines each fill their own and merge them in any order.
///
/// Made by [`super::ThresholdSearch::begin_pass`]; a worker elsewhere gets it encoded.
#[derive(Clone)]
pub struct Pass {
    pub(super) tables: Vec<(Range, Histogram)>,
}

impl Pass {
    /// An empty pass over ranges that do not overlap.
    pub(super) fn new(mut ranges: Vec<Range>) -> Self {
        ranges.sort_unstable();
        ranges.dedup();
        Self { tables: ranges.into_iter().map(|range| (range, Histogram::new())).collect() }
    }

    /// Adds one candidate. Every candidate is added to every pass; those that no longer matter are skipped here.
    #[inline]
    pub fn add(&mut self, priority: &Priority, tokens: u64, bytes: u64) {
        for (range, histogram) in &mut self.tables {
            if range.contains(priority) {
                let sums = Sums { documents: 1, tokens, bytes };
                histogram.add(priority.digit(range.digit), &Bin { sums, first: *priority, last: *priority });
                return;
            }
        }
    }

    pub(super) fn check_same_pass(&self, other: &Self) -> Result<()> {
        let ranges = |pass: &Self| pass.tables.iter().map(|(range, _)| *range).collect::<Vec<_>>();
        if ranges(self) == ranges(other) {
            Ok(())
        } else {
            Err(Error::Merge { what: WHAT, problem: "it belongs to another pass".to_owned() })
        }
    }
}

impl Summary for Pass {
    /// Of the rows of a shard, say.
    type Part = Self;

    /// It looks at the same documents.
    fn empty(&self) -> Self {
        Self::new(self.tables.iter().map(|(range, _)| *range).collect())
    }

    fn absorb(&mut self, part: Self) -> Result<()> {
        self.merge(part)
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.check_same_pass(&other)?;
        for ((_, mine), (_, theirs)) in self.tables.iter_mut().zip(&other.tables) {
            mine.merge(theirs);
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = start(MAGIC, VERSION);
        out.extend_from_slice(&(self.tables.len() as u32).to_le_bytes());
        for (range, histogram) in &self.tables {
            out.extend_from_slice(&range.first.to_bytes());
            out.extend_from_slice(&range.last.to_bytes());
            out.push(range.digit as u8);
            out.extend_from_slice(&(histogram.bins().count() as u32).to_le_bytes());
            for (digit, bin) in histogram.bins() {
                out.extend_from_slice(&digit.to_le_bytes());
                for sum in [bin.sums.documents, bin.sums.tokens, bin.sums.bytes] {
                    out.extend_from_slice(&sum.to_le_bytes());
                }
                out.extend_from_slice(&bin.first.to_bytes());
                out.extend_from_slice(&bin.last.to_bytes());
            }
        }
        finish(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = ByteReader::open(WHAT, MAGIC, VERSION, bytes)?;
        let count = reader.u32()? as usize;
        if count > MAX_TARGETS {
            return Err(reader.corrupt(format!("{count} tables, at most {MAX_TARGETS} are possible")));
        }
        let mut tables: Vec<(Range, Histogram)> = Vec::new();
        for _ in 0..count {
            let first = Priority::from_bytes(reader.bytes32()?);
            let last = Priority::from_bytes(reader.bytes32()?);
            let range = Range { first, last, digit: usize::from(reader.u8()?) };
            let overlaps = tables.last().is_some_and(|(before, _)| before.last >= range.first);
            if !range.is_sound() || overlaps {
                return Err(reader.corrupt("a table has an impossible range"));
            }
            let mut histogram = Histogram::new();
            let mut before = None;
            for _ in 0..reader.u32()? {
                let digit = reader.u16()?;
                let sums = Sums { documents: reader.u64()?, tokens: reader.u64()?, bytes: reader.u64()? };
                let first = Priority::from_bytes(reader.bytes32()?);
                let last = Priority::from_bytes(reader.bytes32()?);
                let bin = Bin { sums, first, last };
                let sound = sums.documents > 0
                    && before < Some(digit)
                    && first <= last
                    && [first, last].iter().all(|p| range.contains(p) && p.digit(range.digit) == digit);
                if !sound {
                    return Err(reader.corrupt("a bin is impossible"));
                }
                histogram.add(digit, &bin);
                before = Some(digit);
            }
            tables.push((range, histogram));
        }
        reader.end()?;
        Ok(Self { tables })
    }

    fn size_bytes(&self) -> u64 {
        (self.tables.len() as u64).saturating_mul(TABLE_BYTES)
    }
}
