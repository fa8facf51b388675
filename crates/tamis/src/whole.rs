//! Signals whose values depend on all rows of a corpus: which documents are alike, and how many there are of each.
//!
//! They are found by groups ([`crate::groups`]) and lie beside the rows as any signal does: parts, sidecars, receipts. What is
//! particular to them is that a corpus with one shard more has other values everywhere. So all that they depend on, the shards
//! and the rows of the signals that they read, is one field of their fingerprint ([`ALL_ROWS`]), and a corpus that has grown
//! gets a new signal of the same settings, its next *revision*. Earlier revisions stay where they are and answer to their full
//! names; the short name is that of the latest.
//!
//! What is dear is not done again by that: it is in the signals that these read (embeddings, signatures), which know nothing of
//! other rows.

use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use tamis_core::{Digest, ScoreBatch, SignalInfo, column};
use tamis_io::run::{
    ALL_ROWS, Beside, CorpusVersion, REVISION_NOTE, Repeatability, RunDirectory, ShardRecord, SignalDir,
};
use tamis_io::sidecar::{SidecarColumns, SidecarReader};

use crate::cutter::{Part, PartCutter};
use crate::fold::part_name;
use crate::gate::only_inside;
use crate::groups::{Grouped, Rows};
use crate::map::{MapReport, Worker};
use crate::planned::{SignalPlan, Standing, anew};
use crate::project::Project;
use crate::schedule::{Amount, Schedule};
use crate::scoring::ScoreOptions;
use crate::signals::{OPTIONS_NOTE, SignalOptions, options_text, stored_options_of};
use crate::standing::differences;
use crate::{Error, Result, pool};

/// Documents of a part.
const ROWS_OF_A_PART: u64 = 1 << 18;

/// Between two looks at a shard that another process works on.
const LOOKS_AGAIN: std::time::Duration = std::time::Duration::from_millis(300);

/// What was found for every row of a corpus.
pub(crate) trait WholeRows: Sync {
    /// Its columns, `failed` the last.
    fn schema(&self) -> &SchemaRef;

    /// Calls `each` with the values of the rows of a shard, by its place, some at a time and in their order.
    ///
    /// # Errors
    /// Files that cannot be read, and what `each` says.
    fn read(&self, at: usize, each: &mut dyn FnMut(&RecordBatch) -> Result<()>) -> Result<()>;
}

impl WholeRows for Grouped<'_> {
    fn schema(&self) -> &SchemaRef {
        Grouped::schema(self)
    }

    fn read(&self, at: usize, each: &mut dyn FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        Grouped::read(self, at, each)
    }
}

impl Project {
    /// Digest of the shards, and of the rows that some signals have for them.
    ///
    /// # Errors
    /// [`Error::Waiting`] where such a signal is not whole.
    pub(crate) fn all_rows(&self, shards: &[ShardRecord], inputs: &[&SignalDir]) -> Result<Digest> {
        let mut text = String::new();
        let mut inputs = inputs.to_vec();
        inputs.sort_by_key(|input| input.full_name());
        for shard in shards {
            text.push_str(&part_name(shard));
            for input in &inputs {
                let receipt = input.receipt(shard)?.ok_or_else(|| Error::Waiting {
                    missing: 1,
                    shards: shards.len(),
                    what: input.full_name().to_owned(),
                })?;
                text.push_str(&format!(" {}", receipt.row_digest));
            }
            text.push('\n');
        }
        Ok(Digest::of(text.as_bytes()))
    }

    /// Whether a signal that depends on all rows was computed from those of these shards. Others always are.
    pub(crate) fn is_of(&self, shards: &[ShardRecord], signal: &SignalDir) -> Result<bool> {
        let record = signal.record();
        let Some(stored) = record.fingerprint.get(ALL_ROWS) else { return Ok(true) };
        let mut inputs = Vec::new();
        for name in record.reads() {
            inputs.push(self.run.resolve(name)?);
        }
        match self.all_rows(shards, &inputs.iter().collect::<Vec<_>>()) {
            Ok(now) => Ok(now.to_string() == *stored),
            Err(Error::Waiting { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where a signal of all rows with these settings stands in the run, whichever rows it was computed from.
    ///
    /// # Errors
    /// One of other settings under its name, unless both may stand.
    pub(crate) fn same_settings(
        &self,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<Option<SignalDir>> {
        let mut other = None;
        for signal in self.run.own_signals()? {
            if signal.record().name != asked.stored_name() {
                continue;
            }
            match differences(asked, signal.record()) {
                Some(found) if found.is_empty() => return Ok(Some(signal)),
                Some(found) => other = other.or(Some((signal, found))),
                None => {
                    other = other.or_else(|| Some((signal, vec!["options of another tamis".to_owned()])));
                }
            }
        }
        match other {
            Some((signal, found)) if !options.beside => Err(Error::state(
                format!("`{}` was computed with other settings: {}", signal.full_name(), found.join("; ")),
                "add --beside to keep both, or leave these settings out to go on with the stored ones",
            )),
            _ => Ok(None),
        }
    }

    /// Begins a signal of all rows, or opens it where it was begun.
    ///
    /// # Errors
    /// As [`Project::same_settings`], and a run that cannot be written.
    pub(crate) fn begin_whole(
        &self,
        asked: &SignalOptions,
        info: &SignalInfo,
        options: ScoreOptions,
    ) -> Result<SignalDir> {
        let stored = self.same_settings(asked, options)?;
        let mut record = self.record_of(info, Repeatability::Exact);
        // Settings that come to the same are spelt as they were: revisions are known by that.
        let spelt = stored.as_ref().and_then(|stored| stored_options_of(stored.record()));
        record.notes.insert(OPTIONS_NOTE.to_owned(), options_text(spelt.as_ref().unwrap_or(asked))?);
        let before = stored.map_or(0, |stored| stored.record().revision());
        record.notes.insert(REVISION_NOTE.to_owned(), (before + 1).to_string());
        Ok(self.run.open_signal(&record, Beside::Allow)?)
    }

    /// Lays what was found beside the rows of the worker's shards.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub(crate) fn lay_beside(
        &self,
        version: &CorpusVersion,
        directory: &SignalDir,
        found: &dyn WholeRows,
        worker: Worker,
    ) -> Result<u64> {
        let mut open = Vec::new();
        for (at, shard) in version.shards.iter().enumerate() {
            if worker.takes(at) && directory.receipt(shard)?.is_none() {
                open.push(at);
            }
        }
        let documents = open.iter().map(|at| version.shards[*at].documents).sum();
        self.observer.begin(&format!("score {}", directory.record().name), documents);
        let mut computed = 0;
        while !open.is_empty() {
            let done = pool::map(std::mem::take(&mut open), self.threads, |at| {
                self.go_on()?;
                Ok((at, self.lay_shard(&version.shards[at], at, directory, found)?))
            })?;
            for (at, documents) in done {
                match documents {
                    Some(documents) => computed += documents,
                    None => open.push(at),
                }
            }
            if !open.is_empty() {
                // Another process holds these; it finishes them, or dies and leaves them to us.
                std::thread::sleep(LOOKS_AGAIN);
            }
        }
        self.observer.end();
        Ok(computed)
    }

    /// Documents of a shard that were written now; `None` while another process has it.
    fn lay_shard(
        &self,
        shard: &ShardRecord,
        at: usize,
        directory: &SignalDir,
        found: &dyn WholeRows,
    ) -> Result<Option<u64>> {
        if directory.receipt(shard)?.is_some() {
            return Ok(Some(0));
        }
        let Some(_lock) = self.run.try_lock(directory.full_name(), &shard.path)? else { return Ok(None) };
        if directory.receipt(shard)?.is_some() {
            return Ok(Some(0));
        }
        let scan = directory.parts(shard)?;
        if scan.discarded > 0 {
            let message = format!("shard `{}`: {} damaged parts are made again", shard.path, scan.discarded);
            self.observer.warn(&message);
        }
        let missing = scan.missing(shard.rows);
        let mut computed = 0;
        if !missing.is_empty() {
            let schedule = Schedule::new(1, ROWS_OF_A_PART, Amount::default());
            let mut cutter = PartCutter::new(missing, schedule.shard(Amount::default()));
            let mut keys = Keys::of(&self.run, shard)?;
            let mut inside = self.gate.as_ref().map(|gate| gate.of_shard(shard)).transpose()?;
            let schema = ScoreBatch::sidecar_schema(found.schema());
            let mut commit = |parts: Vec<Part>| {
                for part in parts {
                    self.go_on()?;
                    let rows = concat_batches(&schema, &part.slices).map_err(tamis_core::Error::from)?;
                    directory.commit_part(shard, part.span, &rows)?;
                    let documents = rows.num_rows() as u64;
                    computed += documents;
                    self.observer.advance(documents, 0, documents);
                }
                Ok::<_, Error>(())
            };
            found.read(at, &mut |values| {
                let keys = keys.take(values.num_rows())?;
                let inside = inside.as_mut().map(|inside| inside.of(&keys)).transpose()?;
                let values = match &inside {
                    Some(inside) => only_inside(values, inside)?,
                    None => values.clone(),
                };
                let columns = keys.columns().iter().chain(values.columns()).cloned().collect();
                let rows = RecordBatch::try_new(std::sync::Arc::clone(&schema), columns)
                    .map_err(tamis_core::Error::from)?;
                commit(cutter.push(&rows, |_| 1))
            })?;
            commit(cutter.finish())?;
        }
        directory.finish_shard(shard)?;
        Ok(Some(computed))
    }

    /// What came of a signal of all rows.
    pub(crate) fn whole_report(
        &self,
        version: &CorpusVersion,
        directory: &SignalDir,
        computed: u64,
        began: Instant,
    ) -> Result<MapReport> {
        let mut report = MapReport { computed, ..MapReport::default() };
        report.count(version, directory)?;
        report.seconds = began.elapsed().as_secs_f64();
        Ok(report)
    }

    /// What computing a signal of all rows would do, after the plans of what it reads.
    pub(crate) fn plan_whole(
        &self,
        read: &[(usize, ShardRecord)],
        asked: &SignalOptions,
        inputs: Vec<SignalPlan>,
        options: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        let name = asked.stored_name();
        let mut plans = inputs;
        let refused = plans.iter().find(|plan| matches!(plan.standing, Standing::Refused { .. }));
        let standing = refused.map(|plan| plan.standing.clone());
        let new = |other| SignalPlan { of_files: false, ..anew(read, name.clone(), other, options) };
        let plan = match standing {
            Some(standing) => SignalPlan { standing, ..new(None) },
            None => {
                let beside = ScoreOptions { beside: true, ..options };
                match self.same_settings(asked, beside)? {
                    Some(stored) => {
                        let shards: Vec<ShardRecord> = read.iter().map(|(_, shard)| shard.clone()).collect();
                        let all = shards.len() == self.corpus.shards().len();
                        match all && self.is_of(&shards, &stored)? {
                            true => self.going_on(read, &stored, options)?,
                            false => new(None),
                        }
                    }
                    None => new(self.other_settings(asked)?),
                }
            }
        };
        plans.push(plan);
        Ok(plans)
    }

    /// A stored signal of this name with other settings, and in what they differ.
    pub(crate) fn other_settings(&self, asked: &SignalOptions) -> Result<Option<(String, Vec<String>)>> {
        for signal in self.run.own_signals()? {
            if signal.record().name == asked.stored_name() {
                let unknown = || vec!["its options are not known to this tamis".to_owned()];
                let found = differences(asked, signal.record()).unwrap_or_else(unknown);
                return Ok(Some((signal.full_name().to_owned(), found)));
            }
        }
        Ok(None)
    }
}

/// Rows and keys of a shard's documents, so many at a time.
struct Keys {
    batches: SidecarReader,
    some: Option<RecordBatch>,
}

impl Keys {
    fn of(run: &RunDirectory, shard: &ShardRecord) -> Result<Self> {
        let columns = [column::ROW, column::DOC_KEY];
        let batches = run.read_inventory(&shard.path, SidecarColumns::Named(&columns))?;
        Ok(Self { batches, some: None })
    }

    /// The next `rows` of them, or as many as there are.
    fn take(&mut self, rows: usize) -> Result<RecordBatch> {
        let mut taken: Vec<RecordBatch> = Vec::new();
        let mut held = 0;
        while held < rows {
            let batch = match self.some.take() {
                Some(batch) => batch,
                None => match self.batches.next().transpose()? {
                    Some(batch) => batch,
                    None => break,
                },
            };
            let now = batch.num_rows().min(rows - held);
            taken.push(batch.slice(0, now));
            held += now;
            if now < batch.num_rows() {
                self.some = Some(batch.slice(now, batch.num_rows() - now));
            }
        }
        match taken.first().map(RecordBatch::schema) {
            Some(schema) => Ok(concat_batches(&schema, &taken).map_err(tamis_core::Error::from)?),
            None => Err(Error::state("an inventory ended early", "run the command again")),
        }
    }
}

/// What was found for a shard, beside the rows and keys of its documents.
///
/// # Errors
/// Files that cannot be read.
pub(crate) fn beside_keys(
    run: &RunDirectory,
    shard: &ShardRecord,
    found: &Grouped<'_>,
    at: usize,
) -> Result<Rows<'static>> {
    let mut keys = Keys::of(run, shard)?;
    let schema = ScoreBatch::sidecar_schema(found.schema());
    let mut batches = Vec::new();
    found.read(at, |values| {
        let columns =
            keys.take(values.num_rows())?.columns().iter().chain(values.columns()).cloned().collect();
        let rows = RecordBatch::try_new(std::sync::Arc::clone(&schema), columns);
        batches.push(rows.map_err(tamis_core::Error::from)?);
        Ok(())
    })?;
    Ok(Box::new(batches.into_iter().map(Ok)))
}
