//! Lines that a random selection is likely to keep, kept at hand while the corpus is read for the first time.
//!
//! An exact rate is known only when every document is, so that kept lines come from a second pass. But which documents will
//! be kept is nearly known in the first: those whose draw lies below the rate, and a few more. Prefetched, they need not be
//! found, decompressed and cut again. What is selected and written is the same.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use tamis_core::{DocKey, Rule, column};
use tamis_io::corpus::{Block, Chunk, Spool};
use tamis_io::store::Store;
use tamis_samplers::{Ranker, Target};

use crate::select_options::SelectOptions;

/// At larger rates the second pass costs little more than what it would be spared.
const HIGHEST_RATE: f64 = 0.4;

/// Lines that were prefetched for a random selection.
#[derive(Debug)]
pub(crate) struct Prefetch {
    pub(crate) seed: u64,
    /// Documents of priorities below it were.
    pub(crate) below: f64,
    pub(crate) spool: Spool,
    ranker: Ranker,
}

impl Prefetch {
    /// For a selection, where it saves reading the corpus again.
    pub(crate) fn new(store: &Store, options: &SelectOptions) -> Option<Self> {
        let random = options.by == "random" && matches!(options.rule, None | Some(Rule::Random));
        if !random || options.decide_only {
            return None;
        }
        let rates = options.targets.iter().map(|target| match target {
            Target::Rate(rate) => Some(rate.as_f64()),
            _ => None,
        });
        let rate = rates.collect::<Option<Vec<_>>>()?.into_iter().fold(0.0, f64::max);
        if rate == 0.0 || rate > HIGHEST_RATE {
            return None;
        }
        // The draws of the documents kept reach about to the rate: of 100,000 documents within a hundredth of it or less.
        let share = rate * 1.02 + 0.002;
        Some(Self {
            seed: options.seed,
            below: -libm::log1p(-share),
            spool: Spool::beside(store)?,
            ranker: Ranker::new(Rule::Random, options.seed),
        })
    }

    /// Takes what is likely to be kept of a block; `documents` are the rows of the inventory that it gave.
    pub(crate) fn add(&self, block: &Block, documents: &RecordBatch) -> Option<Chunk> {
        let rows = documents.column_by_name(column::ROW)?.as_primitive::<UInt64Type>().values();
        let keys = documents.column_by_name(column::DOC_KEY)?.as_fixed_size_binary();
        let mut likely = rows.iter().zip(keys.iter().flatten()).filter_map(|(row, key)| {
            let key = DocKey::from_bytes(key.try_into().ok()?);
            let priority = self.ranker.priority(key, 1.0).ok()?;
            (priority.value() < self.below).then_some(*row)
        });
        let mut next = likely.next();
        self.spool.add(block, &mut |row| {
            let found = next == Some(row);
            if found {
                next = likely.next();
            }
            found
        })
    }
}
