//! Rows that failed, asked again; and signals whose input changed by that.
//!
//! A retry makes the next generation of every shard that has rows which may do better; the map computes these rows as it
//! computes any. A signal that reads another one remembers which generation it read: where that is no longer the latest, its
//! values are stale, and nothing is selected by them before they are computed again.

use std::collections::BTreeMap;

use tamis_core::Signal;
use tamis_io::run::{CorpusVersion, Frozen, ShardReceipt, ShardRecord, SignalDir};

use crate::map::{MapReport, Worker};
use crate::project::Project;
use crate::{Error, Result};

/// Key in a signal's notes: by shard, the generation of the signal that a summary was made of, where that is not the first.
pub(crate) const INPUTS_NOTE: &str = "input_generations";

/// What becomes of rows of earlier calls that have no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedRows {
    /// They stay as they are.
    #[default]
    Keep,
    /// They are computed again, but for those that failed by what their document is.
    Retry,
}

/// Generations by shard, as plans and notes write them.
pub(crate) fn generations_text(generations: &BTreeMap<String, u64>) -> String {
    serde_json::Value::from_iter(generations.clone()).to_string()
}

/// A pinned signal by its full name, with the generations of its shards that are not the first: rows differ by these too.
pub(crate) fn pinned_text(signal: &SignalDir) -> String {
    match signal.generations() {
        first if first.is_empty() => signal.full_name().to_owned(),
        later => format!("{} {}", signal.full_name(), generations_text(&later)),
    }
}

/// Whether the rows of a shard are others by now than in the generation that was read.
fn is_stale(input: &SignalDir, shard: &ShardRecord, read: u64) -> Result<bool> {
    if input.generation(&shard.path)? == read {
        return Ok(false);
    }
    let then = input.at(BTreeMap::from([(shard.path.clone(), read)])).receipt(shard)?;
    Ok(then.map(|then| then.row_digest) != input.receipt(shard)?.map(|now| now.row_digest))
}

impl Project {
    /// Computes again the rows of a finished signal that may do better, and adds what came of it to a report. Shards that
    /// `wanted` refuses stay as they are.
    pub(crate) fn retry(
        &self,
        version: &CorpusVersion,
        signal: &dyn Signal,
        directory: &SignalDir,
        worker: Worker,
        report: &mut MapReport,
        wanted: impl Fn(&ShardRecord) -> bool,
    ) -> Result<()> {
        let mut generations = BTreeMap::new();
        let mut before: Vec<(&ShardRecord, ShardReceipt)> = Vec::new();
        for (at, shard) in version.shards.iter().enumerate() {
            let Some(receipt) = directory.receipt(shard)? else { continue };
            let again = worker.takes(at) && receipt.retryable_rows() > 0 && wanted(shard);
            generations.insert(shard.path.clone(), receipt.generation() + u64::from(again));
            if again {
                before.push((shard, receipt));
            }
        }
        if before.is_empty() {
            return Ok(());
        }
        let next = directory.at(generations);
        let shards: Vec<&ShardRecord> = before.iter().map(|(shard, _)| *shard).collect();
        let again = self.map(version, &shards, signal, &next, Worker::ALONE)?;
        let mut mended = 0;
        for (shard, before) in &before {
            if let Some(after) = next.receipt(shard)? {
                mended += before.failed_rows().saturating_sub(after.failed_rows());
            }
        }
        // A row that another process asked again meanwhile is not this call's.
        mended = mended.min(again.computed);
        report.mended += mended;
        report.asked_again += again.computed;
        report.computed += again.computed;
        report.tokens += again.tokens;
        report.seconds += again.seconds;
        report.failed = again.failed;
        Ok(())
    }

    /// Shards of a signal whose input has another generation, with other rows, than the one that was read.
    pub(crate) fn stale_shards(&self, version: &CorpusVersion, signal: &SignalDir) -> Result<Vec<String>> {
        let mut inputs = Vec::new();
        for name in signal.record().reads() {
            inputs.push(self.run.resolve(name)?);
        }
        let mut stale = Vec::new();
        for shard in version.shards.iter().filter(|_| !inputs.is_empty()) {
            let Some(receipt) = signal.receipt(shard)? else { continue };
            for input in &inputs {
                if is_stale(input, shard, receipt.generation_read(input.full_name()))? {
                    stale.push(shard.path.clone());
                    break;
                }
            }
        }
        Ok(stale)
    }

    /// Refuses values that were computed from rows which have others by now.
    pub(crate) fn refuse_stale(&self, version: &CorpusVersion, signal: &SignalDir) -> Result<()> {
        let stale = self.stale_shards(version, signal)?;
        let Some(first) = stale.first() else { return Ok(()) };
        let message = format!(
            "`{}` was computed before failed rows of `{}` were asked again (shard `{first}`{})",
            signal.full_name(),
            signal.record().reads().into_iter().collect::<Vec<_>>().join("` or `"),
            match stale.len() {
                1 => String::new(),
                n => format!(" and {} more", n - 1),
            }
        );
        let name = &signal.record().name;
        let hint = match self.run.has_frozen(Frozen::Sketch, signal.full_name())? {
            true => format!(
                "add --retry-failed: `tamis score {name} --retry-failed` computes what changed against the sketch as it is, \
                 `--refit` makes a new one"
            ),
            false => "ask again for its failed rows (--retry-failed): that computes what changed".to_owned(),
        };
        Err(Error::state(message, hint))
    }
}
