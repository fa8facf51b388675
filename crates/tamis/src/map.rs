//! The map: one signal over every document that has no value yet, in parts that are committed one by one.
//!
//! A producer a shard, the largest first, reads rows in order and cuts them into parts, smaller ones towards the end
//! ([`crate::schedule`]); workers compute parts in any order, the longest first where they can ([`crate::backlog`]), and commit each;
//! the one that commits the last part of a shard merges them into the sidecar. A run that is killed loses the parts under way.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use tamis_core::{DocumentBatch, Input, Parallelism, ScoreBatch, Signal, SignalInfo, column};
use tamis_io::run::{CorpusVersion, ShardLock, ShardRecord, SignalDir};

use crate::backlog::Backlog;
use crate::cutter::{Part, PartCutter};
use crate::gate;
use crate::pool::{self, Feed};
use crate::project::Project;
use crate::same_rows::SameRows;
use crate::schedule::{Amount, Schedule, ShardShare};
use crate::{Error, Result};

/// Method of the signals that only carry a column of the corpus.
pub(crate) const CARRIES: &str = "carried";

/// What became of a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MapReport {
    /// Full name of the signal, e.g. `ask-llm@3f9a01c2`.
    pub signal: String,
    /// Documents that have a row in the sidecars now.
    pub documents: u64,
    /// Documents that were computed by this call.
    pub computed: u64,
    /// Rows of an earlier call that had no value and were computed again, those of a signal that is read included.
    pub asked_again: u64,
    /// Rows without a value that have one now.
    pub mended: u64,
    /// Tokens read by this call, where the signal counts them.
    pub tokens: u64,
    /// Rows without values, by reason, over all finished shards.
    pub failed: BTreeMap<String, u64>,
    /// Shards without a receipt, because other workers were to do them.
    pub unfinished_shards: usize,
    /// Time of this call in the map.
    pub seconds: f64,
}

impl MapReport {
    /// Adds the rows of all shards as they stand now.
    pub(crate) fn count(&mut self, version: &CorpusVersion, directory: &SignalDir) -> Result<()> {
        directory.full_name().clone_into(&mut self.signal);
        for shard in &version.shards {
            match directory.receipt(shard)? {
                Some(receipt) => {
                    self.documents += receipt.rows;
                    for (reason, count) in receipt.failed {
                        *self.failed.entry(reason).or_default() += count;
                    }
                }
                None => self.unfinished_shards += 1,
            }
        }
        Ok(())
    }
}

/// Every `of`-th shard, beginning with number `index` (1-based).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// 1 …= `of`.
    pub index: usize,
    /// Number of workers.
    pub of: usize,
}

impl Worker {
    /// The one worker there is.
    pub const ALONE: Self = Self { index: 1, of: 1 };

    /// Parses `I/N`.
    ///
    /// # Errors
    /// Anything but two numbers with 1 ≤ I ≤ N.
    pub fn parse(text: &str) -> Result<Self> {
        let numbers =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if 1 <= index && index <= of => Ok(Self { index, of }),
            _ => {
                Err(Error::usage(format!("worker `{text}` is not I/N"), "write --worker 1/8 … --worker 8/8"))
            }
        }
    }

    pub(crate) fn takes(&self, at: usize) -> bool {
        at % self.of == self.index - 1
    }
}

/// One shard that is being computed. Whoever finishes its last part finishes the shard.
struct OpenShard<'s> {
    shard: &'s ShardRecord,
    /// Parts handed out and not committed, plus one for the producer.
    outstanding: AtomicUsize,
    _lock: ShardLock,
    /// One of as many as there are open shards.
    _counted: Arc<()>,
}

/// Shards of a map that are open at most, or four a worker: each holds a file, and a process often has 1,024.
const MOST_OPEN: usize = 256;

struct Work<'s> {
    open: Arc<OpenShard<'s>>,
    part: Part,
}

/// Which rows of a shard are computed: all, or those that a generation asks again.
struct Asked {
    /// Rising.
    rows: Option<Vec<u64>>,
}

impl Asked {
    /// The rows of a batch that are computed, where these are not all.
    fn among(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let Some(asked) = &self.rows else { return Ok(None) };
        let rows =
            batch.column_by_name(column::ROW).expect("keyed batches have rows").as_primitive::<UInt64Type>();
        let mask: BooleanArray =
            rows.values().iter().map(|row| Some(asked.binary_search(row).is_ok())).collect();
        Ok(Some(filter_record_batch(batch, &mask).map_err(tamis_core::Error::from)?))
    }
}

struct Totals {
    computed: AtomicU64,
    tokens: AtomicU64,
}

/// What a stage of the map is called.
fn stage(info: &SignalInfo) -> String {
    let fields = info.fingerprint.fields();
    match (fields.get("method").map(String::as_str), fields.get("column")) {
        (Some(CARRIES), Some(name)) => format!("read column {name}"),
        _ => format!("score {}", info.name),
    }
}

fn all_of(shard: &ShardRecord) -> Amount {
    Amount { bytes: shard.text_bytes(), documents: shard.documents }
}

impl Project {
    /// Computes `signal` for every document of the worker's part of `shards` that has no value yet.
    ///
    /// # Errors
    /// What stops the whole signal; rows that fail are counted in the report.
    pub(crate) fn map(
        &self,
        version: &CorpusVersion,
        shards: &[&ShardRecord],
        signal: &dyn Signal,
        directory: &SignalDir,
        worker: Worker,
    ) -> Result<MapReport> {
        let info = signal.info();
        let began = Instant::now();
        let mine = shards.iter().enumerate().filter(|(at, _)| worker.takes(*at)).map(|(_, shard)| *shard);
        let mut waiting = Vec::new();
        for shard in mine {
            if directory.receipt(shard)?.is_none() {
                waiting.push(shard);
            }
        }
        waiting.sort_by_cached_key(|shard| Reverse(shard.text_bytes()));
        let totals = Totals { computed: AtomicU64::new(0), tokens: AtomicU64::new(0) };
        if !waiting.is_empty() {
            self.observer.begin(&stage(info), waiting.iter().map(|shard| shard.text_bytes()).sum());
            while !waiting.is_empty() {
                let busy = self.map_shards(&waiting, signal, directory, &totals)?;
                waiting = Vec::new();
                for shard in busy {
                    if directory.receipt(shard)?.is_none() {
                        waiting.push(shard);
                    }
                }
                if !waiting.is_empty() {
                    // Another process holds these; it finishes them, or dies and leaves them to us.
                    std::thread::sleep(Duration::from_millis(300));
                }
            }
            self.observer.end();
        }
        let mut report = MapReport {
            computed: totals.computed.into_inner(),
            tokens: totals.tokens.into_inner(),
            seconds: began.elapsed().as_secs_f64(),
            ..MapReport::default()
        };
        report.count(version, directory)?;
        Ok(report)
    }

    /// How many batches of a signal are computed at once.
    pub(crate) fn calls(&self, parallelism: Parallelism) -> usize {
        match parallelism {
            Parallelism::PerCore => self.threads,
            Parallelism::Exclusive => 1,
            Parallelism::InFlight(calls) => calls,
        }
    }

    /// Computes shards; returns those that another process holds.
    fn map_shards<'s>(
        &self,
        shards: &[&'s ShardRecord],
        signal: &dyn Signal,
        directory: &SignalDir,
        totals: &Totals,
    ) -> Result<Vec<&'s ShardRecord>> {
        let (workers, part_bytes) = (self.calls(signal.info().parallelism), signal.info().part_bytes);
        let busy = std::sync::Mutex::new(Vec::new());
        let elsewhere = self.run.same_elsewhere(directory.record())?;
        let counted = Arc::new(());
        let schedule = Schedule::new(workers, part_bytes, shards.iter().map(|shard| all_of(shard)).sum());
        pool::run_through(
            Backlog::longest_first(workers, |work: &Work<'_>| work.part.bytes),
            shards.to_vec(),
            |shard, feed| {
                let share = schedule.shard(all_of(shard));
                while Arc::strong_count(&counted) > MOST_OPEN.max(4 * workers) && !feed.stopped() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                let Some(lock) = self.run.try_lock(directory.full_name(), &shard.path)? else {
                    busy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(shard);
                    return Ok(());
                };
                if directory.receipt(shard)?.is_some() {
                    return Ok(());
                }
                let open = Arc::new(OpenShard {
                    shard,
                    outstanding: AtomicUsize::new(1),
                    _lock: lock,
                    _counted: Arc::clone(&counted),
                });
                self.produce(&open, share, &signal.info().input, (directory, &elsewhere), feed)
            },
            |work| self.compute(&work, signal, directory, totals),
        )?;
        Ok(busy.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn produce<'s>(
        &self,
        open: &Arc<OpenShard<'s>>,
        mut share: ShardShare<'_>,
        Input { documents, signals }: &Input,
        (directory, elsewhere): (&SignalDir, &[SignalDir]),
        feed: &Feed<'_, Work<'s>>,
    ) -> Result<()> {
        let shard = open.shard;
        let scan = directory.parts(shard)?;
        if scan.discarded > 0 {
            let message =
                format!("shard `{}`: {} damaged parts are computed again", shard.path, scan.discarded);
            self.observer.warn(&message);
        }
        let missing = scan.missing(shard.rows);
        let left: u64 = missing.iter().map(|span| span.rows).sum();
        self.observer.skip(all_of(shard).share(shard.rows - left, shard.rows).bytes);
        let asked = Asked { rows: directory.asked_again(shard)? };
        let to_do = asked.rows.as_ref().map_or(left, |rows| left.min(rows.len() as u64));
        share.correct(all_of(shard).share(to_do, shard.rows));
        let mut cutter = PartCutter::new(missing, share);
        let send = |parts: Vec<Part>| {
            parts.into_iter().all(|part| {
                open.outstanding.fetch_add(1, Ordering::Relaxed);
                feed.push(Work { open: Arc::clone(open), part })
            })
        };
        if *documents {
            if let Some(first) = cutter.wanted_from() {
                let mut same = SameRows::of(self, shard, first)?;
                let mut beside = self.beside_documents(signals, directory, shard)?;
                let mut known = self.known_of(shard, directory, elsewhere)?;
                let mut to_the_end = true;
                self.documents_from(shard, first, |documents| {
                    same.check(documents)?;
                    let bytes = |documents: &DocumentBatch| -> u64 {
                        documents.texts().iter().flatten().map(|text| text.len() as u64).sum()
                    };
                    let before = bytes(documents);
                    let (rows, open) = known.attach(beside.attach(documents.as_arrow())?)?;
                    let is_open = |at: usize| open.as_ref().is_none_or(|open| open[at]);
                    let documents = DocumentBatch::new(asked.among(&rows)?.unwrap_or(rows))?;
                    let texts = documents.texts();
                    let cost = |at: usize| {
                        if is_open(at) { texts.value(at).len() as u64 } else { gate::CLOSED_ROW_BYTES }
                    };
                    let left: u64 = (0..documents.len()).map(cost).sum();
                    self.observer.skip(before.saturating_sub(left));
                    let parts = cutter.push(documents.as_arrow(), cost);
                    to_the_end = send(parts) && cutter.wanted_from().is_some();
                    Ok(to_the_end)
                })?;
                // The last part would stand for documents that are listed and did not come.
                if to_the_end {
                    same.finish()?;
                }
            }
        } else if let Some(mut rows) = self.rows_of_signals(signals, directory, shard)? {
            // Signals have no text: a row counts as much as the text it stands for on average, or as it has itself.
            let text = shard.text_bytes() / shard.documents.max(1);
            while let Some(batch) = rows.next()? {
                let own = batch.get_array_memory_size() as u64 / batch.num_rows().max(1) as u64;
                let batch = asked.among(&batch)?.unwrap_or(batch);
                let bytes = text.max(own).max(1);
                cutter.documents_have(bytes);
                if !send(cutter.push(&batch, |_| bytes)) || cutter.wanted_from().is_none() {
                    break;
                }
            }
        }
        if send(cutter.finish()) {
            self.finish_part(open, directory)?;
        }
        Ok(())
    }

    /// Documents of a shard from physical row `first` on, until `each` says that it wants no more.
    pub(crate) fn documents_from(
        &self,
        shard: &ShardRecord,
        first: u64,
        mut each: impl FnMut(&DocumentBatch) -> Result<bool>,
    ) -> Result<()> {
        let mut reader = self.corpus.open(self.shard(&shard.path)?, first)?;
        while let Some(block) = reader.next_block()? {
            let decoded = block.decode(&self.columns)?;
            if !each(&decoded.documents)? {
                break;
            }
        }
        Ok(())
    }

    fn compute(
        &self,
        work: &Work<'_>,
        signal: &dyn Signal,
        directory: &SignalDir,
        totals: &Totals,
    ) -> Result<()> {
        self.go_on()?;
        let (part, shard) = (&work.part, work.open.shard);
        let info = signal.info();
        let schema = ScoreBatch::sidecar_schema(&info.schema);
        let (mut computed, mut tokens) = (0, 0);
        let batch = match part.slices.first() {
            None => RecordBatch::new_empty(schema),
            Some(first) => {
                let input = concat_batches(&first.schema(), &part.slices).map_err(tamis_core::Error::from)?;
                let found = gate::values_of(signal, &input)?;
                (computed, tokens) = (found.rows, found.tokens);
                let values = found.values;
                let keys = [column::ROW, column::DOC_KEY].map(|name| {
                    Arc::clone(input.column_by_name(name).expect("keyed batches have rows and keys"))
                });
                let columns = keys.into_iter().chain(values.columns().iter().cloned()).collect();
                RecordBatch::try_new(schema, columns).map_err(tamis_core::Error::from)?
            }
        };
        directory.commit_part(shard, part.span, &batch)?;
        totals.computed.fetch_add(computed, Ordering::Relaxed);
        totals.tokens.fetch_add(tokens, Ordering::Relaxed);
        self.observer.advance(computed, tokens, part.bytes);
        self.finish_part(&work.open, directory)
    }

    fn finish_part(&self, open: &OpenShard<'_>, directory: &SignalDir) -> Result<()> {
        if open.outstanding.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.check_untouched(&open.shard.path)?;
            directory.finish_shard(open.shard)?;
        }
        Ok(())
    }

    /// Refuses scores of a shard whose file was replaced while it was read.
    fn check_untouched(&self, path: &str) -> Result<()> {
        let listed = self.shard(path)?;
        let now = self.corpus.store().entry(path)?;
        if now.is_some_and(|now| now.version == listed.version && now.size == listed.size_bytes) {
            return Ok(());
        }
        let problem = format!("shard `{path}` changed while it was scored");
        Err(tamis_io::run::RunError::CorpusChanged { problems: vec![problem] }.into())
    }

    pub(crate) fn shard(&self, path: &str) -> Result<&tamis_io::corpus::Shard> {
        self.corpus.shards().iter().find(|shard| shard.path == path).ok_or_else(|| {
            Error::state(
                format!("shard `{path}` is gone from `{}`", self.location),
                "put it back, or begin a new run for the corpus as it is now",
            )
        })
    }
}

#[cfg(test)]
mod tests;
