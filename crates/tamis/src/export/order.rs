//! Where a copy of a document stands among all.
//!
//! The k-th copy of a document belongs to epoch k, and epochs follow each other, so that copies are as far apart as an epoch is long. Within an
//! epoch the order is by a draw of (seed, epoch, key), 52 bits of a keyed hash; where these are equal by the key, where keys are
//! (equal texts of a corpus without ids) by the digest of the row, and where even those are, by shard and row, of which it
//! does not matter then which comes first. So the order depends on no shard, thread, worker or memory: a document stands where it
//! stands, whatever else is kept.
//!
//! Epochs are divided into buckets, ranges of the draws, so that one after the other is all in order.

use tamis_core::DocKey;
use tamis_io::run::{CorpusVersion, ShardRecord};
use tamis_samplers::UniformDraws;

use super::kept::{Amount, KeptRow};
use super::options::ExportOrder;

/// Bytes of a head: draw, key, digest, shard, row, size.
pub(super) const HEAD_BYTES: usize = 8 + 16 + 16 + 4 + 8 + 8;

/// Name of the draws; the number of the epoch follows.
const STAGE: &str = "export";

/// What is known of a copy in order without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Number of the shard in its version of the corpus.
    pub(super) shard: u32,
    pub(super) row: u64,
    /// In the unit in which files are cut.
    pub(super) size: u64,
}

impl Head {
    pub(super) fn decode(head: &[u8]) -> Self {
        let number = |at: usize| u64::from_be_bytes(head[at..at + 8].try_into().expect("8 bytes"));
        let shard = u32::from_be_bytes(head[40..44].try_into().expect("4 bytes"));
        Self { shard, row: number(44), size: number(52) }
    }
}

/// The order, and the buckets that it is divided into.
pub(super) struct Order {
    /// Draws of each epoch; none where documents stay as they are in the corpus.
    draws: Vec<UniformDraws>,
    /// Rows of the corpus before each shard, and those of all.
    before: Vec<u64>,
    all: u64,
    /// The first bucket of each epoch, and how many it has.
    epochs: Vec<(usize, u64)>,
    buckets: usize,
}

impl Order {
    /// With buckets of about so many bytes, but not more than `most` of them unless there are as many epochs.
    pub(super) fn new(
        order: ExportOrder,
        version: &CorpusVersion,
        epochs: &[(Amount, u64)],
        bucket_bytes: u64,
        most: u64,
    ) -> Self {
        let draws = match order {
            ExportOrder::AsInCorpus => Vec::new(),
            ExportOrder::Shuffled { seed } => {
                (0..epochs.len()).map(|epoch| UniformDraws::new(seed, &format!("{STAGE}-{epoch}"))).collect()
            }
        };
        let mut all = 0;
        let before = version.shards.iter().map(|shard: &ShardRecord| {
            all += shard.rows;
            all - shard.rows
        });
        let before = before.collect();
        let bytes: u64 = epochs.iter().map(|(_, bytes)| bytes).sum();
        let bucket_bytes = bucket_bytes.max(bytes.div_ceil(most.max(1))).max(1);
        let mut buckets = 0;
        let epochs = epochs.iter().map(|(_, bytes)| {
            let first = buckets;
            let number = bytes.div_ceil(bucket_bytes).max(1);
            buckets += usize::try_from(number).unwrap_or(usize::MAX);
            (first, number)
        });
        Self { draws, before, all, epochs: epochs.collect(), buckets }
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets
    }

    /// Bucket and head of a copy.
    pub(super) fn place(
        &self,
        epoch: u32,
        row: &KeptRow,
        shard: u32,
        size: u64,
    ) -> (usize, [u8; HEAD_BYTES]) {
        let draw = match self.draws.get(epoch as usize) {
            Some(draws) => draws.bits(row.key),
            // A share of all rows: different rows have different ones, in their order.
            None => {
                let at = self.before[shard as usize] + row.row;
                ((u128::from(at) << 64) / u128::from(self.all.max(1))) as u64
            }
        };
        let (first, number) = self.epochs[epoch as usize];
        let bucket = first + ((u128::from(draw) * u128::from(number)) >> 64) as usize;
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(&draw.to_be_bytes());
        head[8..24].copy_from_slice(&DocKey::to_bytes(row.key));
        head[24..40].copy_from_slice(&row.raw_digest.to_bytes());
        head[40..44].copy_from_slice(&shard.to_be_bytes());
        head[44..52].copy_from_slice(&row.row.to_be_bytes());
        head[52..].copy_from_slice(&size.to_be_bytes());
        (bucket, head)
    }
}
