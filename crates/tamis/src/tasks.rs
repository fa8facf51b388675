//! Scoring in units that somebody else dispatches: a signal that is loaded once, and shards by name.
//!
//! [`Project::score`] does all of it in one call, and `--worker I/N` shares shards out among processes that know nothing of each
//! other. An engine that has workers of its own asks for the tasks that are ready, as data, and has each done wherever it
//! likes: every process opens the same run, and parts, receipts and locks are those of any other call.

use serde::{Deserialize, Serialize};
use tamis_core::Signal;
use tamis_io::run::{CorpusVersion, Repeatability, ShardRecord, SignalDir};

use crate::again::FailedRows;
use crate::map::{MapReport, Worker};
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::signals::SignalOptions;
use crate::{Error, Result};

/// A signal that is ready to compute, for any number of calls.
pub struct Scorer {
    signal: Box<dyn Signal>,
    repeatability: Repeatability,
    /// What it was made from, where it is one of tamis' own.
    asked: Option<SignalOptions>,
}

impl Scorer {
    /// A signal of the caller's own. `repeatability` says whether the same documents give the same bits, however they are
    /// batched.
    #[must_use]
    pub fn of(signal: Box<dyn Signal>, repeatability: Repeatability) -> Self {
        Self { signal, repeatability, asked: None }
    }

    /// The signal.
    #[must_use]
    pub fn signal(&self) -> &dyn Signal {
        &*self.signal
    }
}

impl std::fmt::Debug for Scorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scorer").field("signal", &self.signal.info().name).finish_non_exhaustive()
    }
}

/// One shard that a signal has no values for yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Full name of the signal.
    pub signal: String,
    /// Path of the shard within the corpus.
    pub shard: String,
    /// Documents in it.
    pub documents: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
}

impl Project {
    /// Loads what computes a signal, once.
    ///
    /// # Errors
    /// A model, prompt or tokenizer that cannot be had or used; density, which is two passes over whole embeddings and not one
    /// computation a shard.
    pub fn scorer(&self, asked: &SignalOptions) -> Result<Scorer> {
        // Whether it may stand beside what is stored is said when it begins.
        let ready = self.ready(&self.settled(asked, true)?)?;
        Ok(Scorer { signal: ready.signal, repeatability: ready.repeatability, asked: Some(asked.clone()) })
    }

    /// Begins a signal in the run, or opens it where it was begun.
    ///
    /// # Errors
    /// A signal of this name that was computed otherwise, unless `beside` lets both stand.
    pub fn begin(&self, scorer: &Scorer, beside: bool) -> Result<SignalDir> {
        self.open_signal_of(scorer.signal.info(), scorer.asked.as_ref(), beside, scorer.repeatability)
    }

    /// Computes a signal of the caller's own for every document of the worker's shards that has no value yet. Signals that it reads
    /// have to be there for these shards.
    ///
    /// # Errors
    /// As [`Project::begin`]; a signal that is read and not finished, or whose failed rows were asked again since, unless
    /// failed rows are asked again here too; what stops the computation.
    pub fn score_with(
        &self,
        version: &CorpusVersion,
        scorer: &Scorer,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        let directory = self.reading_latest(version, self.begin(scorer, options.beside)?)?;
        let shards: Vec<&ShardRecord> = version.shards.iter().collect();
        let mut map = self.map(version, &shards, scorer.signal(), &directory, options.worker)?;
        match options.failed {
            FailedRows::Keep => self.refuse_stale(version, &directory)?,
            FailedRows::Retry => {
                self.retry(version, scorer.signal(), &directory, options.worker, &mut map, |_| true)?;
            }
        }
        Ok((directory, self.score_report(version, map, Vec::new())))
    }

    /// The shards that a signal lacks, in the order of the corpus.
    ///
    /// # Errors
    /// A run that cannot be read.
    pub fn tasks(&self, version: &CorpusVersion, signal: &SignalDir) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        for shard in &version.shards {
            if signal.receipt(shard)?.is_none() {
                tasks.push(Task {
                    signal: signal.full_name().to_owned(),
                    shard: shard.path.clone(),
                    documents: shard.documents,
                    text_bytes: shard.text_bytes(),
                });
            }
        }
        Ok(tasks)
    }

    /// Does a task: the values of its shard are complete afterwards, whoever computed them. What an earlier call left of it is
    /// gone on with.
    ///
    /// # Errors
    /// A task of another signal or corpus; what stops the computation.
    pub fn run_task(
        &self,
        version: &CorpusVersion,
        scorer: &Scorer,
        signal: &SignalDir,
        task: &Task,
    ) -> Result<MapReport> {
        let shard = version.shards.iter().find(|shard| shard.path == task.shard);
        let Some(shard) = shard.filter(|_| task.signal == signal.full_name()) else {
            return Err(Error::usage(
                format!("there is no task `{}` of `{}` in this run", task.shard, task.signal),
                "ask `Project::tasks` for those there are",
            ));
        };
        let signal = &self.reading_latest(version, signal.clone())?;
        let reading = scorer.asked.as_ref().and_then(|asked| self.reading_for(asked));
        reading.as_ref().unwrap_or(self).map(version, &[shard], scorer.signal(), signal, Worker::ALONE)
    }
}
