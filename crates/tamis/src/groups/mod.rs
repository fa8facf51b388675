//! Groups: rows that share a key, wherever in the corpus they are, seen together.
//!
//! A [`Grouping`] emits any number of pairs of a key and a payload for each row. The stage brings the pairs of each key
//! together, hands each group to a function in tiles of a stated size, as often as that wants to see them, so that a group that
//! is larger than memory never sits there whole, and gives the results back row by row.
//!
//! What comes out depends on the groups alone: not on the memory, the threads, the processes, or the order in which shards are
//! read. *Order within a group:* by payload, byte by byte; members with equal payloads by where they stand (path of the shard,
//! row). So whatever must not depend on the names of shards has to be in the payload, and where all of it is equal either
//! member has to be as good as the other. Results of one row, where it emitted several pairs, come back sorted by their bytes.
//!
//! There are two ways, which give the same bits:
//!
//! - *In this process* ([`here`]), where all pairs fit into memory: no file is made. What has to leave no trace and does
//!   not fit, as a dry run, goes this way too and lays the rest into files without a name.
//! - *In the run directory* ([`files`]), where they do not: three stages of units that any number of processes share, and that
//!   a run which was killed goes on with. *Emit*, a shard at a time, writes its pairs, divided into buckets. *Reduce* takes a
//!   bucket of all shards, sorts it, and writes the results, divided by shard. *Scatter* lays the results of a shard beside its
//!   rows, in parts and with a receipt, as those of a signal. What began in files goes on in files, whatever memory there is.
//!
//! A bucket is a range of a hash of the key and not of the key itself: keys may be small numbers, as those of clusters are.
//!
//! Cost: each row is read once, however many there are; each pair is sorted once or twice, O(n log n) comparisons. Memory:
//! 1 GiB unless [`Project::with_grouping_memory`] says otherwise, and for each thread a tile, a batch and the results of its rows. On disk, where it comes to that, the pairs
//! and once more those of the buckets at hand.
//!
//! Not for what one row decides alone: that is a [`tamis_core::Signal`].

mod files;
mod group;
mod here;
mod rows;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use tamis_core::Fingerprint;
use tamis_io::run::{CorpusVersion, RunDirectory, ShardRecord, SignalDir};
use tamis_io::sidecar::SidecarColumns;
use tamis_io::{Scratch, Sorter};
use xxhash_rust::xxh3::xxh3_64;

pub(crate) use group::{Group, Pairs, Tile};
pub(crate) use rows::RowResults;

use crate::Result;
use crate::project::Project;
use files::Stages;
use here::Memory;

/// Key of a group.
pub(crate) type Key = [u8; 16];

/// Everything about a grouping that does not depend on a row.
pub(crate) struct GroupingInfo {
    /// Short name, of letters, digits, `.`, `_` and `-`.
    pub(crate) name: String,
    /// What an observer is told that rows are read for, if it is told.
    pub(crate) stage: Option<String>,
    /// What decides the results, the version of the corpus included: they depend on all of its rows.
    pub(crate) fingerprint: Fingerprint,
    /// The columns that [`Grouping::values`] returns.
    pub(crate) schema: SchemaRef,
    /// How many pairs a row is expected to emit. Where more come it takes longer, no more memory.
    pub(crate) pairs_a_row: u64,
    /// Size of a payload.
    pub(crate) payload_bytes: usize,
    /// Size of a result.
    pub(crate) result_bytes: usize,
    /// Members of a tile; of the last one of a group there may be fewer.
    pub(crate) tile_rows: u64,
}

/// Where a row stands in the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Number of the shard within the version of the corpus.
    pub(crate) shard: usize,
    /// Number of the document within the inventory of the shard.
    pub(crate) document: usize,
}

/// Batches of the rows of a shard, which are as many as its documents and in their order.
pub(crate) type Rows<'a> = Box<dyn Iterator<Item = Result<RecordBatch>> + 'a>;

/// What is grouped, and what is found out about each group.
///
/// Implementors promise that [`Grouping::emit`] looks at one row at a time and [`Grouping::group`] at one group.
pub(crate) trait Grouping: Sync {
    /// Name, fingerprint, schema and the like.
    fn info(&self) -> &GroupingInfo;

    /// What is read of a shard: columns of its inventory, sidecars, or both.
    ///
    /// # Errors
    /// Files that cannot be read.
    fn rows<'a>(&'a self, run: &RunDirectory, shard: &ShardRecord) -> Result<Rows<'a>>;

    /// Adds the pairs of each row of a batch, whose first row stands at `first`.
    ///
    /// # Errors
    /// A batch that is not what was asked for.
    fn emit(&self, first: Position, batch: &RecordBatch, pairs: &mut Pairs) -> Result<()>;

    /// Looks at a group, of one member or more, and gives results to any number of its members.
    ///
    /// # Errors
    /// What the group says.
    fn group(&self, group: &mut Group<'_>) -> Result<()>;

    /// The columns of the schema for some rows that follow each other, from their results.
    ///
    /// # Errors
    /// Results that cannot be.
    fn values(&self, results: &RowResults<'_>) -> Result<RecordBatch>;
}

/// Whether a grouping may leave something in the run directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Where it does not fit into memory.
    InRun,
    /// Nothing at all.
    Nothing,
}

/// Numbers of rows over the whole corpus, in the order of its version.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Number of the first row of each shard, and the end of the last.
    starts: Vec<u64>,
}

impl Places {
    fn new(version: &CorpusVersion) -> Self {
        let mut starts = vec![0];
        let mut end = 0;
        for shard in &version.shards {
            end += shard.documents;
            starts.push(end);
        }
        Self { starts }
    }

    fn of(&self, position: Position) -> u64 {
        self.starts[position.shard] + position.document as u64
    }

    fn shard(&self, place: u64) -> usize {
        self.starts.partition_point(|start| *start <= place) - 1
    }

    fn range(&self, shard: usize) -> std::ops::Range<u64> {
        self.starts[shard]..self.starts[shard + 1]
    }

    fn end(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }
}

const KEY_BYTES: usize = size_of::<Key>();
const PLACE_BYTES: usize = size_of::<u64>();

impl GroupingInfo {
    /// Bytes of a pair: key, payload, place.
    fn pair_bytes(&self) -> usize {
        KEY_BYTES + self.payload_bytes + PLACE_BYTES
    }

    /// Bytes of a result: place, value.
    fn result_record_bytes(&self) -> usize {
        PLACE_BYTES + self.result_bytes
    }

    /// Memory for a pair and a result of it while they are sorted.
    fn bytes_of_pair(&self) -> u64 {
        [self.pair_bytes(), self.result_record_bytes()].map(Sorter::bytes_of_record).into_iter().sum()
    }

    /// Memory for the pairs of some documents, and a result of each.
    fn expected_bytes(&self, documents: u64) -> u64 {
        documents.saturating_mul(self.pairs_a_row).saturating_mul(self.bytes_of_pair())
    }
}

/// The one of `buckets` that a key belongs to.
fn bucket_of(key: &[u8], buckets: usize) -> usize {
    ((u128::from(xxh3_64(key)) * buckets as u128) >> 64) as usize
}

/// What a grouping found.
pub(crate) struct Grouped<'a> {
    project: &'a Project,
    version: &'a CorpusVersion,
    grouping: &'a dyn Grouping,
    places: Places,
    found: Found,
}

/// Where it lies.
enum Found {
    Here(here::Results),
    Sidecars(Box<SignalDir>),
}

impl Grouped<'_> {
    /// The columns of the values.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.grouping.info().schema
    }

    /// Calls `each` with the values of the rows of a shard, some at a time and in their order.
    ///
    /// # Errors
    /// Files that cannot be read, and what `each` says.
    pub(crate) fn read(&self, shard: usize, mut each: impl FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        self.project.go_on()?;
        match &self.found {
            Found::Here(results) => {
                rows::values(self.grouping, results, self.places.range(shard), |batch| each(&batch))
            }
            Found::Sidecars(sidecars) => {
                let fields = self.grouping.info().schema.fields();
                let columns: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
                let shard = &self.version.shards[shard];
                for batch in sidecars.read(shard, SidecarColumns::Named(&columns))? {
                    each(&batch?)?;
                }
                Ok(())
            }
        }
    }
}

impl Project {
    /// Groups the rows of a corpus, or reads what an earlier call found.
    ///
    /// # Errors
    /// Files that cannot be read or written; what the grouping says.
    pub(crate) fn grouped<'a>(
        &'a self,
        version: &'a CorpusVersion,
        grouping: &'a dyn Grouping,
        keep: Keep,
    ) -> Result<Grouped<'a>> {
        if let Some(stage) = &grouping.info().stage {
            self.observer.begin(stage, version.documents());
        }
        let found = self.group(version, grouping, keep)?;
        if grouping.info().stage.is_some() {
            self.observer.end();
        }
        Ok(Grouped { project: self, version, grouping, places: Places::new(version), found })
    }

    fn group(&self, version: &CorpusVersion, grouping: &dyn Grouping, keep: Keep) -> Result<Found> {
        let record = files::record(grouping.info());
        let begun = self.run.grouping(&record)?;
        if let Some(directory) = &begun {
            let stages = Stages { project: self, version, grouping, directory };
            if keep == Keep::InRun {
                stages.finish()?;
            }
            if keep == Keep::InRun || stages.are_done()? {
                return Ok(Found::Sidecars(Box::new(directory.sidecars().clone())));
            }
        }
        let memory = self.grouping_memory;
        if let Some(results) = self.group_here(version, grouping, Memory::Whole(memory))? {
            return Ok(Found::Here(results));
        }
        if keep == Keep::Nothing {
            let results = self.group_here(version, grouping, Memory::Spilling(memory))?;
            return Ok(Found::Here(results.expect("what does not fit goes into files")));
        }
        let directory = self.run.begin_grouping(&record)?;
        Stages { project: self, version, grouping, directory: &directory }.finish()?;
        Ok(Found::Sidecars(Box::new(directory.sidecars().clone())))
    }

    fn scratch(&self) -> Scratch {
        Scratch::beside(self.run.store())
    }
}

#[cfg(test)]
mod tests;
