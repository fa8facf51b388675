//! Generations: rows of a shard that failed, computed again, without a file being rewritten.
//!
//! Generation 1 is the sidecar and receipt that every shard begins with. Generation n + 1 lies beside it, in
//! `.generations/<n + 1>/`, with the same names below: rows that had a value keep it bit for bit, rows that failed are asked
//! again, and so are those rows alone; what their document is cannot be mended by that
//! ([`tamis_core::reason::is_the_documents_own`]). Its parts, its put-if-absent receipt and its resuming are those of any
//! signal. The latest generation with a receipt counts; 1, 2, 3 … is asked for until there is none.
//!
//! Whoever reads a shard twice names the generations once ([`SignalDir::pinned`]), so that another process that finishes one
//! meanwhile cannot come between.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use arrow_select::interleave::interleave_record_batch;
use tamis_core::{Digest, column, reason};

use super::receipt::{AskedAgain, ShardReceipt, count_failed};
use super::signal::View;
use super::{CorpusVersion, RowSpan, RunError, RunResult, ShardRecord, SignalDir};
use crate::sidecar::{RowDigest, SidecarColumns, SidecarReader, SidecarWriter, key_column, row_numbers};

/// Folder of the generations after the first.
const FOLDER: &str = ".generations";

impl SignalDir {
    /// A path of a generation.
    pub(super) fn generation_path(&self, generation: u64, rest: &str) -> String {
        match generation {
            0 | 1 => self.path(rest),
            n => self.path(&format!("{FOLDER}/{n}/{rest}")),
        }
    }

    /// The generation of a shard that this view reads and writes: the one that it names, else the latest with a receipt.
    ///
    /// # Errors
    /// A store that does not answer.
    pub fn generation(&self, shard_path: &str) -> RunResult<u64> {
        match &self.view.generations {
            Some(named) => Ok(named.get(shard_path).copied().unwrap_or(1)),
            None => self.latest_generation(shard_path),
        }
    }

    fn latest_generation(&self, shard_path: &str) -> RunResult<u64> {
        let mut latest = 1;
        while self.store().exists(&self.receipt_path(shard_path, latest + 1)?)? {
            latest += 1;
        }
        Ok(latest)
    }

    /// Generations of which something stands, the first included.
    pub(super) fn begun_generations(&self) -> RunResult<Vec<u64>> {
        let later = self.store().folders(&self.path(FOLDER))?;
        Ok([1].into_iter().chain(later.iter().filter_map(|name| name.parse().ok())).collect())
    }

    /// This signal with the generations of all shards as they are now, whatever is finished later. Of generations with the same
    /// rows, as where all that was asked again failed again, it is the first.
    ///
    /// # Errors
    /// A store that does not answer; a receipt that is damaged.
    pub fn pinned(&self, version: &CorpusVersion) -> RunResult<Self> {
        let mut named = BTreeMap::new();
        for shard in &version.shards {
            let mut generation = self.generation(&shard.path)?;
            while generation > 1
                && let Some(receipt) = self.receipt_of(shard, generation)?
                && receipt.again.is_some_and(|again| again.follows == receipt.row_digest)
            {
                generation -= 1;
            }
            if generation > 1 {
                named.insert(shard.path.clone(), generation);
            }
        }
        Ok(self.at(named))
    }

    /// This signal with these generations; a shard that is not named is at its first.
    #[must_use]
    pub fn at(&self, generations: BTreeMap<String, u64>) -> Self {
        let view = View { generations: Some(Arc::new(generations)), ..self.view.clone() };
        Self { view, ..self.clone() }
    }

    /// This signal, whose shards are computed from these generations of a signal that it reads, by its full name; a shard that is
    /// not named is at its first.
    #[must_use]
    pub fn reading(&self, signal: &str, generations: BTreeMap<String, u64>) -> Self {
        let mut inputs = BTreeMap::clone(&self.view.inputs);
        inputs.insert(signal.to_owned(), generations);
        let view = View { inputs: Arc::new(inputs), ..self.view.clone() };
        Self { view, ..self.clone() }
    }

    /// The generations that this view names, where they are not the first.
    #[must_use]
    pub fn generations(&self) -> BTreeMap<String, u64> {
        self.view.generations.as_deref().cloned().unwrap_or_default()
    }

    /// The generations of a signal that is read, where they are not the first.
    #[must_use]
    pub fn input_generations(&self, signal: &str) -> BTreeMap<String, u64> {
        self.view.inputs.get(signal).cloned().unwrap_or_default()
    }

    /// For a shard: the generations of the signals that are read, where they are not the first.
    pub(super) fn input_generations_of(&self, shard_path: &str) -> BTreeMap<String, u64> {
        let of = |(signal, shards): (&String, &BTreeMap<String, u64>)| {
            let generation = shards.get(shard_path).copied().filter(|generation| *generation > 1)?;
            Some((signal.clone(), generation))
        };
        self.view.inputs.iter().filter_map(of).collect()
    }

    /// What parts of a shard are made from: its content, and the generation of what is read.
    pub(super) fn part_digest(&self, shard: &ShardRecord) -> String {
        let read = self.input_generations_of(&shard.path);
        if read.is_empty() {
            return shard.digest.clone();
        }
        let mut made_from = format!("{} input", shard.digest);
        for (signal, generation) in read {
            // The one signal that is read needs no name.
            if !self.record.inputs.is_empty() {
                made_from += &format!(" {signal}");
            }
            made_from += &format!(" {generation}");
        }
        Digest::of(made_from.as_bytes()).to_string()
    }

    /// Physical rows that the generation of this view asks again: those of the generation before that failed and may do
    /// better. `None` for the first generation, which asks all.
    ///
    /// # Errors
    /// [`RunError::NotComputed`] when the generation before is unfinished; [`RunError::Corrupt`].
    pub fn asked_again(&self, shard: &ShardRecord) -> RunResult<Option<Vec<u64>>> {
        let generation = self.generation(&shard.path)?;
        if generation <= 1 {
            return Ok(None);
        }
        let mut rows = Vec::new();
        let columns = [column::ROW, column::DOC_KEY, column::FAILED];
        for batch in self.read_of(shard, generation - 1, SidecarColumns::Named(&columns))? {
            let batch = batch?;
            let numbers = row_numbers(&batch);
            let again = is_asked_again(&batch);
            rows.extend((0..batch.num_rows()).filter(|&at| again[at]).map(|at| numbers.value(at)));
        }
        Ok(Some(rows))
    }

    /// Lays the rows that were asked again over the generation before.
    pub(super) fn merge_again(
        &self,
        shard: &ShardRecord,
        generation: u64,
        spans: Vec<RowSpan>,
    ) -> RunResult<ShardReceipt> {
        let before = self.read_of(shard, generation - 1, SidecarColumns::All)?;
        let (path, from) = (self.sidecar_path(&shard.path, generation)?, before.path().to_owned());
        let follows = before.digest();
        let mut copied = RowDigest::new(before.schema());
        let mut writer = SidecarWriter::create(self.store(), &path, before.schema())?;
        let mut asked = Asked::new(spans, |span, from| {
            let (_, batches) = self.part_rows(shard, generation, span, from)?;
            Ok(batches.into())
        });
        let (mut failed, mut rows) = (BTreeMap::new(), 0);
        for batch in before {
            let batch = batch?;
            copied.update(&batch)?;
            let merged = asked.lay_over(&path, &batch, &mut rows)?;
            count_failed(&merged, &mut failed);
            writer.write(&merged)?;
        }
        if copied.finish() != follows {
            return Err(RunError::corrupt(&from, "its rows are damaged"));
        }
        if let Some(row) = asked.next_row()? {
            return Err(RunError::corrupt(
                &path,
                format!("row {row} was asked again and is not in `{from}`"),
            ));
        }
        let (stored, failed) = self.settle(&path, writer, failed)?;
        self.check_kept(shard, generation)?;
        self.sign(shard, stored, failed, Some(AskedAgain { generation, rows, follows: follows.to_string() }))
    }

    /// Refuses a sidecar that stood before it had a receipt, as where one was removed by hand, and follows other rows.
    fn check_kept(&self, shard: &ShardRecord, generation: u64) -> RunResult<()> {
        let path = self.sidecar_path(&shard.path, generation)?;
        let stored = SidecarReader::open(self.store(), &path, SidecarColumns::All)?;
        let before = self.read_of(shard, generation - 1, SidecarColumns::All)?;
        let mut digests = [RowDigest::new(before.schema()), RowDigest::new(stored.schema())];
        for (before, stored) in before.zip(stored) {
            let (before, stored) = (before?, stored?);
            let again = is_asked_again(&before);
            let kept: BooleanArray = again.iter().map(|again| Some(!again)).collect();
            if stored.num_rows() != kept.len() {
                return Err(RunError::corrupt(&path, "has other rows than the generation before"));
            }
            for (digest, batch) in digests.iter_mut().zip([&before, &stored]) {
                digest.update(&filter_record_batch(batch, &kept)?)?;
            }
        }
        let [before, stored] = digests.map(RowDigest::finish);
        if before != stored {
            return Err(RunError::corrupt(&path, "changes rows that had a value in the generation before"));
        }
        Ok(())
    }
}

/// For each row, whether it failed and may do better.
fn is_asked_again(batch: &RecordBatch) -> Vec<bool> {
    let failed = batch.column_by_name(column::FAILED).and_then(|array| array.as_string_opt::<i32>());
    let Some(failed) = failed else { return vec![false; batch.num_rows()] };
    failed.iter().map(|why| why.is_some_and(|why| !reason::is_the_documents_own(why))).collect()
}

/// Rows that were asked again, in order, read part by part.
struct Asked<F> {
    spans: VecDeque<RowSpan>,
    /// The rows of a part from a physical row on.
    read: F,
    /// End of the spans that were read.
    read_to: u64,
    batches: VecDeque<RecordBatch>,
    /// The next row within the first batch.
    at: usize,
}

impl<F: Fn(RowSpan, u64) -> RunResult<VecDeque<RecordBatch>>> Asked<F> {
    fn new(spans: Vec<RowSpan>, read: F) -> Self {
        Self { spans: spans.into(), read, read_to: 0, batches: VecDeque::new(), at: 0 }
    }

    fn next_row(&mut self) -> RunResult<Option<u64>> {
        while self.batches.front().is_none_or(|batch| self.at == batch.num_rows()) {
            self.at = 0;
            if self.batches.pop_front().is_none() || self.batches.is_empty() {
                let Some(span) = self.spans.pop_front() else { return Ok(None) };
                if span.end() > self.read_to {
                    self.batches = (self.read)(span, self.read_to)?;
                    self.read_to = span.end();
                }
            }
        }
        Ok(self.batches.front().map(|batch| row_numbers(batch).value(self.at)))
    }

    /// The rows of `before`, with those that failed replaced, and their number added to `replaced`.
    fn lay_over(&mut self, path: &str, before: &RecordBatch, replaced: &mut u64) -> RunResult<RecordBatch> {
        let again = is_asked_again(before);
        let mut sources = vec![before.clone()];
        let mut picks = Vec::with_capacity(again.len());
        for (at, again) in again.into_iter().enumerate() {
            if !again {
                picks.push((0, at));
                continue;
            }
            let row = row_numbers(before).value(at);
            let next = self.next_row()?;
            let Some(batch) = self.batches.front().filter(|_| next == Some(row)) else {
                let problem = format!("row {row}, which had no value, was not asked again");
                return Err(RunError::corrupt(path, problem));
            };
            if key_column(batch).value(self.at) != key_column(before).value(at) {
                return Err(RunError::corrupt(
                    path,
                    format!("row {row} was asked again for another document"),
                ));
            }
            if sources.len() == 1 || self.at == 0 {
                sources.push(batch.clone());
            }
            picks.push((sources.len() - 1, self.at));
            *replaced += 1;
            self.at += 1;
        }
        if sources.len() == 1 {
            return Ok(sources.remove(0));
        }
        // The schemas are equal but for metadata, which the writer leaves out.
        let schema = before.schema();
        let sources: Result<Vec<RecordBatch>, _> = sources
            .into_iter()
            .map(|batch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()))
            .collect();
        Ok(interleave_record_batch(&sources?.iter().collect::<Vec<_>>(), &picks)?)
    }
}
