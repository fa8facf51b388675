//! Counts by one 16-bit digit.

use super::super::Priority;

/// Documents and their lengths, added up. Sums stop at `u64::MAX` rather than wrap, so absurd lengths cannot make a sum
/// small, and stay independent of the order in which they are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sums {
    /// Number of documents.
    pub documents: u64,
    /// Tokens; 0 where no tokenizer is known.
    pub tokens: u64,
    /// Bytes of text.
    pub bytes: u64,
}

impl Sums {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            documents: self.documents.saturating_add(other.documents),
            tokens: self.tokens.saturating_add(other.tokens),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// The documents whose digit is the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    pub(super) sums: Sums,
    pub(super) first: Priority,
    pub(super) last: Priority,
}

impl Bin {
    fn add(&mut self, other: &Self) {
        self.sums = self.sums.plus(other.sums);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

const BLOCK: usize = 256;

/// Bins of all digits that occur, in blocks that are made when first needed.
#[derive(Clone)]
pub(super) struct Histogram {
    blocks: Vec<Option<Box<[Bin; BLOCK]>>>,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { blocks: vec![None; BLOCK] }
    }

    pub(super) fn add(&mut self, digit: u16, bin: &Bin) {
        let block = self.blocks[usize::from(digit >> 8)].get_or_insert_with(|| {
            let nothing = Bin { sums: Sums::default(), first: Priority::highest(), last: Priority::lowest() };
            Box::new([nothing; BLOCK])
        });
        block[usize::from(digit & 0xff)].add(bin);
    }

    /// Bins that hold a document, in digit order.
    pub(super) fn bins(&self) -> impl Iterator<Item = (u16, &Bin)> {
        self.blocks.iter().enumerate().flat_map(|(high, block)| {
            block.iter().flat_map(move |bins| {
                bins.iter()
                    .enumerate()
                    .filter(|(_, bin)| bin.sums.documents > 0)
                    .map(move |(low, bin)| ((high << 8 | low) as u16, bin))
            })
        })
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (digit, bin) in other.bins() {
            self.add(digit, bin);
        }
    }
}
