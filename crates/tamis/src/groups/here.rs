//! Groups in this process: all pairs in memory, or what does not fit in files without a name.
//!
//! Pairs are divided by key over as many sorters as keep all threads busy, and results by row over as many again. Nothing is
//! kept of a call that ends early.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tamis_io::run::CorpusVersion;
use tamis_io::{Sorted, Sorter};

use super::{Grouping, Pairs, Places, Position, group};
use crate::pool;
use crate::project::Project;
use crate::{Error, Result};

/// Pairs that are worth a sorter of their own.
const PAIRS_OF_A_SORTER: u64 = 1 << 13;

/// Sorters over which pairs that are all in memory are divided at most.
const MOST_SORTERS: u64 = 256;

/// Sorters over which pairs are divided that are not: each has files of its own.
const MOST_SPILLING: u64 = 16;

/// Bytes of memory for pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// What does not fit is given up.
    Whole(u64),
    /// What does not fit goes into files.
    Spilling(u64),
}

/// Results of all rows.
pub(super) struct Results {
    /// Each of as many rows as the others, in their order.
    tables: Vec<Sorted>,
    rows_of_a_table: u64,
}

impl Results {
    /// The table that has the results of a row, and those after it.
    pub(super) fn tables_from(&self, place: u64) -> &[Sorted] {
        let at = (place / self.rows_of_a_table) as usize;
        &self.tables[at.min(self.tables.len())..]
    }
}

type Sorters = Vec<Mutex<Sorter>>;

fn add(sorters: &Sorters, at: usize, records: &[u8]) -> Result<()> {
    sorters[at].lock().unwrap_or_else(PoisonError::into_inner).extend(records)?;
    Ok(())
}

fn finish(sorter: Mutex<Sorter>) -> Result<Sorted> {
    Ok(sorter.into_inner().unwrap_or_else(PoisonError::into_inner).finish()?)
}

impl Project {
    /// The results of a grouping; `None` where the pairs are more than fit.
    pub(super) fn group_here(
        &self,
        version: &CorpusVersion,
        grouping: &dyn Grouping,
        memory: Memory,
    ) -> Result<Option<Results>> {
        let info = grouping.info();
        let places = Places::new(version);
        let expected = places.end().saturating_mul(info.pairs_a_row);
        let (most, sorters, own) = match memory {
            Memory::Whole(most) if info.expected_bytes(places.end()) > most => return Ok(None),
            Memory::Whole(most) => (most, (expected / PAIRS_OF_A_SORTER).clamp(1, MOST_SORTERS), u64::MAX),
            Memory::Spilling(most) => {
                let sorters = (self.threads as u64).clamp(1, MOST_SPILLING);
                // Half for pairs, half for results.
                (u64::MAX, sorters, most / (2 * sorters))
            }
        };
        let new = |width: usize, records: u64| -> Sorters {
            let new = |_| Mutex::new(Sorter::new(width, own, self.scratch()).with_room(records));
            (0..sorters).map(new).collect()
        };
        // A little more than comes on average: most of them are not moved as they grow.
        let pairs = new(info.pair_bytes(), expected / sorters / 16 * 17);
        if !self.emit_here(version, grouping, &places, &pairs, most)? {
            return Ok(None);
        }
        let rows_of_a_table = places.end().div_ceil(sorters).max(1);
        let results = new(info.result_record_bytes(), 0);
        pool::map(pairs, self.threads, |sorter| {
            self.go_on()?;
            let sorted = finish(sorter)?;
            group::each(grouping, &places, &sorted, |place, record| {
                add(&results, (place / rows_of_a_table) as usize, record)
            })
        })?;
        let tables = pool::map(results, self.threads, finish)?;
        Ok(Some(Results { tables, rows_of_a_table }))
    }

    /// Reads every row and divides its pairs; `false` where they are more than `most` bytes.
    fn emit_here(
        &self,
        version: &CorpusVersion,
        grouping: &dyn Grouping,
        places: &Places,
        sorters: &Sorters,
        most: u64,
    ) -> Result<bool> {
        let (width, bytes_of_pair) = (grouping.info().pair_bytes(), grouping.info().bytes_of_pair());
        let (taken, full) = (AtomicU64::new(0), AtomicBool::new(false));
        pool::map((0..version.shards.len()).collect(), self.threads, |shard| {
            let source = Source { version, grouping, places, shard };
            each_batch(self, source, sorters.len(), |parts| {
                let bytes: usize = parts.iter().map(Vec::len).sum();
                let bytes = (bytes / width) as u64 * bytes_of_pair;
                if taken.fetch_add(bytes, Ordering::Relaxed) + bytes > most {
                    full.store(true, Ordering::Relaxed);
                }
                if full.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                for (at, part) in parts.iter().enumerate() {
                    add(sorters, at, part)?;
                }
                Ok(true)
            })
        })?;
        Ok(!full.into_inner())
    }
}

/// Which shard is read, for what.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) version: &'a CorpusVersion,
    pub(super) grouping: &'a dyn Grouping,
    pub(super) places: &'a Places,
    pub(super) shard: usize,
}

/// Calls `each` with the pairs of each batch of a shard, in `parts` parts, until it says that it wants no more.
pub(super) fn each_batch(
    project: &Project,
    source: Source<'_>,
    parts: usize,
    mut each: impl FnMut(&[Vec<u8>]) -> Result<bool>,
) -> Result<()> {
    let Source { version, grouping, places, shard: at } = source;
    let shard = &version.shards[at];
    let mut pairs = Pairs::new(grouping.info(), parts);
    let mut document = 0;
    for batch in grouping.rows(&project.run, shard)? {
        project.go_on()?;
        let batch = batch?;
        let first = Position { shard: at, document };
        document += batch.num_rows();
        if document as u64 > shard.documents {
            break;
        }
        pairs.begin(places.of(first));
        grouping.emit(first, &batch, &mut pairs)?;
        if !each(pairs.parts())? {
            return Ok(());
        }
        if grouping.info().stage.is_some() {
            let rows = batch.num_rows() as u64;
            project.observer.advance(rows, 0, rows);
        }
    }
    if document as u64 == shard.documents {
        return Ok(());
    }
    let message = format!(
        "shard `{}` has {} documents, and {document} rows were read to be grouped",
        shard.path, shard.documents
    );
    Err(Error::state(message, "run the command again"))
}
