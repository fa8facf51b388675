//! Groups in the run directory: three stages of units that any number of processes share.
//!
//! *Emit* writes the pairs of a shard, sorted and divided into buckets by key. *Reduce* sorts a bucket of all shards, hands
//! its groups to the grouping, and writes the results, divided by shard. *Scatter* lays the results of a shard beside its rows:
//! parts, sidecar and receipt are those of any signal.
//!
//! Every unit is a function of the corpus, the grouping and the number of buckets, committed whole under a name of its own: of
//! two processes the first wins, and both wrote the same bytes. A unit that another process has locked is left to it. One whose
//! file is damaged, or was taken away by a process that finished everything meanwhile, is made again. So there is one loop:
//! look what is missing, do what nobody does, until every shard has its receipt; then what the stages wrote is removed.
//!
//! Memory: the stated bytes, divided among the threads; what a unit needs beyond its share goes through files without a name.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use tamis_core::{Input, Parallelism, ScoreBatch, SignalInfo, column};
use tamis_io::run::{
    CorpusVersion, GroupingDir, Repeatability, RowSpan, RunError, SegmentWriter, Segments, ShardRecord,
    SignalRecord, Unit,
};
use tamis_io::sidecar::SidecarColumns;
use tamis_io::store::StoreError;
use tamis_io::{Sorted, Sorter};

use super::here::{Source, each_batch};
use super::rows::{Walk, of_rows};
use super::{Grouping, GroupingInfo, KEY_BYTES, PLACE_BYTES, Places, bucket_of, group};
use crate::cutter::PartCutter;
use crate::project::Project;
use crate::schedule::{Amount, Schedule};
use crate::{Error, Result, pool};

/// Each has a segment in the pairs of every shard, which is looked up one by one.
const MOST_BUCKETS: u64 = 4096;

/// Documents of a part.
const ROWS_OF_A_PART: u64 = 1 << 18;

/// Where a file is damaged more often in one call, the disk cannot be trusted.
const MOST_DAMAGED: usize = 3;

/// Bytes of the bucket before a pair, while the pairs of a shard are sorted.
const BUCKET_BYTES: usize = 4;

/// What the run directory says of a grouping.
pub(super) fn record(info: &GroupingInfo) -> SignalRecord {
    let info = SignalInfo {
        name: info.name.clone(),
        fingerprint: info.fingerprint.clone(),
        input: Input::DOCUMENTS,
        parallelism: Parallelism::PerCore,
        schema: std::sync::Arc::clone(&info.schema),
        ranking: None,
        part_bytes: ROWS_OF_A_PART,
        notes: BTreeMap::new(),
    };
    SignalRecord::new(&info, Repeatability::Exact)
}

/// How a unit stands.
enum State<T> {
    Done(T),
    /// Another process has it, or took away what it needs.
    Later,
}

/// All units of a stage that are done, or `None` where some are not.
fn all<T>(states: Vec<State<T>>) -> Option<Vec<T>> {
    let done = states.into_iter().map(|state| match state {
        State::Done(done) => Some(done),
        State::Later => None,
    });
    done.collect()
}

/// A grouping in files.
pub(super) struct Stages<'a> {
    pub(super) project: &'a Project,
    pub(super) version: &'a CorpusVersion,
    pub(super) grouping: &'a dyn Grouping,
    pub(super) directory: &'a GroupingDir,
}

impl Stages<'_> {
    /// Whether every shard has its receipt.
    pub(super) fn are_done(&self) -> Result<bool> {
        for shard in &self.version.shards {
            if self.directory.sidecars().receipt(shard)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Does what is missing, or waits for those who do.
    pub(super) fn finish(&self) -> Result<()> {
        let places = Places::new(self.version);
        let mut damaged: BTreeMap<String, usize> = BTreeMap::new();
        while !self.are_done()? {
            self.project.go_on()?;
            match self.round(&places) {
                Ok(true) => {}
                Ok(false) => std::thread::sleep(Duration::from_millis(300)),
                Err(Error::Run(RunError::Corrupt { path, problem })) if self.is_work(&path) => {
                    let times = damaged.entry(path.clone()).or_default();
                    *times += 1;
                    if *times > MOST_DAMAGED {
                        return Err(RunError::Corrupt { path, problem }.into());
                    }
                    self.project.observer.warn(&format!("`{path}` {problem}: it is made again"));
                    self.directory.remove(&path)?;
                }
                // Another process finished, and cleared away.
                Err(Error::Run(RunError::Store(StoreError::NotFound { .. }))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.directory.clear()?)
    }

    /// Whether a file is one that a stage wrote for the next.
    fn is_work(&self, path: &str) -> bool {
        path.contains("/.work/") && !path.ends_with("/plan.json")
    }

    /// One round through the stages; `false` where it ended before others.
    fn round(&self, places: &Places) -> Result<bool> {
        let buckets = self.directory.buckets(self.buckets(places))?;
        let shards = || (0..self.version.shards.len()).collect::<Vec<_>>();
        let emitted = self.each(shards(), |shard| self.emit(places, buckets, shard))?;
        let Some(pairs) = emitted else { return Ok(false) };
        let reduced =
            self.each((0..buckets).collect(), |bucket| self.reduce(places, buckets, bucket, &pairs))?;
        let Some(results) = reduced else { return Ok(false) };
        Ok(self.each(shards(), |shard| self.scatter(places, shard, &results))?.is_some())
    }

    fn each<T: Send>(
        &self,
        units: Vec<usize>,
        work: impl Fn(usize) -> Result<State<T>> + Sync,
    ) -> Result<Option<Vec<T>>> {
        let states = pool::map(units, self.project.threads, |unit| {
            self.project.go_on()?;
            work(unit)
        })?;
        Ok(all(states))
    }

    fn share(&self) -> u64 {
        self.project.grouping_memory / self.project.threads.max(1) as u64
    }

    /// Buckets that a thread can sort in half of its share, the other half is for results; and half as large again for chance.
    fn buckets(&self, places: &Places) -> usize {
        let bytes = self.grouping.info().expected_bytes(places.end()).saturating_mul(2);
        bytes.div_ceil(self.share().max(1)).clamp(1, MOST_BUCKETS) as usize
    }

    fn sorter(&self, width: usize) -> Sorter {
        Sorter::new(width, self.share() / 2, self.project.scratch())
    }

    fn shard(&self, at: usize) -> &ShardRecord {
        &self.version.shards[at]
    }

    /// What a unit wrote, after it was done here where nobody has.
    fn unit(
        &self,
        buckets: usize,
        unit: Unit<'_>,
        work: impl FnOnce(&mut SegmentWriter) -> Result<()>,
    ) -> Result<State<Segments>> {
        let (stage, name, segments) = match unit {
            Unit::Pairs(shard) => ("pairs", shard.path.clone(), buckets),
            Unit::Results(bucket) => ("results", bucket.to_string(), self.version.shards.len()),
        };
        if let Some(done) = self.directory.open(buckets, unit, segments)? {
            return Ok(State::Done(done));
        }
        let Some(_lock) = self.project.run.try_lock(&self.directory.lock_name(stage), &name)? else {
            return Ok(State::Later);
        };
        if let Some(done) = self.directory.open(buckets, unit, segments)? {
            return Ok(State::Done(done));
        }
        let mut writer = self.directory.write(buckets, unit)?;
        work(&mut writer)?;
        while writer.segments() < segments {
            writer.end();
        }
        writer.commit()?;
        Ok(self.directory.open(buckets, unit, segments)?.map_or(State::Later, State::Done))
    }

    /// Writes the pairs of a shard.
    fn emit(&self, places: &Places, buckets: usize, at: usize) -> Result<State<Segments>> {
        let width = self.grouping.info().pair_bytes();
        let shard = self.shard(at);
        self.unit(buckets, Unit::Pairs(shard), |writer| {
            let mut sorter = self.sorter(BUCKET_BYTES + width);
            let mut some = Vec::new();
            let source = Source { version: self.version, grouping: self.grouping, places, shard: at };
            each_batch(self.project, source, 1, |parts| {
                some.clear();
                for record in parts[0].chunks_exact(width) {
                    let bucket = bucket_of(&record[..KEY_BYTES], buckets) as u32;
                    some.extend_from_slice(&bucket.to_be_bytes());
                    some.extend_from_slice(record);
                }
                sorter.extend(&some)?;
                Ok(true)
            })?;
            let sorted = sorter.finish()?;
            each_record(&sorted, BUCKET_BYTES + width, |record| {
                let (bucket, pair) = record.split_at(BUCKET_BYTES);
                let bucket = u32::from_be_bytes(bucket.try_into().expect("4 bytes")) as usize;
                while writer.segments() < bucket {
                    writer.end();
                }
                Ok(writer.write(pair)?)
            })
        })
    }

    /// Groups a bucket and writes its results.
    fn reduce(
        &self,
        places: &Places,
        buckets: usize,
        bucket: usize,
        pairs: &[Segments],
    ) -> Result<State<Segments>> {
        let info = self.grouping.info();
        let width = info.pair_bytes();
        self.unit(buckets, Unit::Results(bucket), |writer| {
            let mut sorter = self.sorter(width);
            for pairs in pairs {
                self.directory.read(pairs, bucket, width, |some| Ok::<_, Error>(sorter.extend(some)?))?;
            }
            let sorted = sorter.finish()?;
            let mut results = self.sorter(info.result_record_bytes());
            group::each(self.grouping, places, &sorted, |_, record| Ok(results.extend(record)?))?;
            drop(sorted);
            let mut end = places.range(0).end;
            each_record(&results.finish()?, info.result_record_bytes(), |record| {
                let place = u64::from_be_bytes(record[..PLACE_BYTES].try_into().expect("8 bytes"));
                while place >= end {
                    writer.end();
                    end = places.range(writer.segments()).end;
                }
                Ok(writer.write(record)?)
            })
        })
    }

    /// Lays the results of a shard beside its rows.
    fn scatter(&self, places: &Places, at: usize, results: &[Segments]) -> Result<State<()>> {
        let shard = self.shard(at);
        let sidecars = self.directory.sidecars();
        if sidecars.receipt(shard)?.is_some() {
            return Ok(State::Done(()));
        }
        let name = self.directory.lock_name("sidecars");
        let Some(_lock) = self.project.run.try_lock(&name, &shard.path)? else { return Ok(State::Later) };
        if sidecars.receipt(shard)?.is_some() {
            return Ok(State::Done(()));
        }
        let scan = sidecars.parts(shard)?;
        if scan.discarded > 0 {
            let message = format!("shard `{}`: {} damaged parts are made again", shard.path, scan.discarded);
            self.project.observer.warn(&message);
        }
        let missing = scan.missing(shard.rows);
        if !missing.is_empty() {
            self.write_parts(places, at, results, missing)?;
        }
        sidecars.finish_shard(shard)?;
        Ok(State::Done(()))
    }

    fn write_parts(
        &self,
        places: &Places,
        at: usize,
        results: &[Segments],
        missing: Vec<RowSpan>,
    ) -> Result<()> {
        let shard = self.shard(at);
        let info = self.grouping.info();
        let width = info.result_record_bytes();
        let mut sorter = self.sorter(width);
        for results in results {
            self.directory.read(results, at, width, |some| Ok::<_, Error>(sorter.extend(some)?))?;
        }
        let tables = [sorter.finish()?];
        let range = places.range(at);
        let mut walk = Walk::new(&tables, range.start, width)?;
        let schema = ScoreBatch::sidecar_schema(&info.schema);
        let schedule = Schedule::new(1, ROWS_OF_A_PART, Amount::default());
        let mut cutter = PartCutter::new(missing, schedule.shard(Amount::default()));
        let commit = |parts: Vec<crate::cutter::Part>| {
            for part in parts {
                self.project.go_on()?;
                let rows = concat_batches(&schema, &part.slices).map_err(tamis_core::Error::from)?;
                self.directory.sidecars().commit_part(shard, part.span, &rows)?;
            }
            Ok::<_, Error>(())
        };
        let mut first = range.start;
        let columns = [column::ROW, column::DOC_KEY];
        for batch in self.project.run.read_inventory(&shard.path, SidecarColumns::Named(&columns))? {
            let batch = batch?;
            let end = first + batch.num_rows() as u64;
            let mut records = Vec::new();
            walk.take(end, &mut records)?;
            let values = of_rows(self.grouping, first, batch.num_rows(), &records)?;
            let columns = batch.columns().iter().chain(values.columns()).cloned().collect();
            let rows = RecordBatch::try_new(std::sync::Arc::clone(&schema), columns);
            commit(cutter.push(&rows.map_err(tamis_core::Error::from)?, |_| 1))?;
            first = end;
        }
        commit(cutter.finish())
    }
}

/// Calls `each` with every record in order.
fn each_record(sorted: &Sorted, width: usize, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    const AT_ONCE: u64 = 1 << 12;
    let mut some = Vec::new();
    let mut next = 0;
    while next < sorted.records() {
        let end = (next + AT_ONCE).min(sorted.records());
        some.clear();
        sorted.read(next..end, &mut some)?;
        for record in some.chunks_exact(width) {
            each(record)?;
        }
        next = end;
    }
    Ok(())
}
