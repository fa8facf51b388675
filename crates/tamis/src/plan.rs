//! What a command would do, before it does it.
//!
//! From the run directory alone: no model is loaded, no server asked and nothing written. Which stored signal a command goes
//! on with follows from comparing options ([`crate::standing`]); that is what the run itself will find, unless the files of a
//! model have changed under their name, or two spellings of one model meet.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use serde_json::{Value, json};
use tamis_core::column;
use tamis_io::run::{ShardRecord, SignalDir};
use tamis_io::sidecar::SidecarColumns;
use tamis_kernels::Path as NumericPath;

use crate::Result;
use crate::again::FailedRows;
use crate::map::Worker;
use crate::planned::{NumericPathPlan, SignalPlan, Standing, anew};
use crate::project::Project;
use crate::scoring::ScoreOptions;
use crate::signals::stored_options_of;
use crate::signals::{SignalOptions, TokensOptions};
use crate::standing::differences;

/// The signal that a command computes or selects by.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// None: a selection at random.
    Random,
    /// `tamis score`, and a selection whose signal is described by flags: these options, whatever is stored.
    Exactly(&'a SignalOptions),
    /// A selection by a name: the stored signal of that name, else these options.
    Named(&'a SignalOptions),
    /// A selection by a full name.
    Stored(&'a str),
}

/// Work that is left.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    location: String,
    shards: usize,
    bytes: u64,
    unread_shards: usize,
    /// Shards that were read before and have another time since.
    touched_shards: usize,
    left_out: BTreeMap<&'static str, u64>,
    documents: Option<u64>,
    /// Columns that the run does not carry yet and would.
    columns_to_carry: Vec<String>,
    /// What the signal is computed from, then the signal itself, then what else is counted.
    signals: Vec<SignalPlan>,
    /// Place of the signal among them.
    main: Option<usize>,
    /// Rows without a value that would be computed again, where that was asked for.
    again: Option<u64>,
}

impl Project {
    /// What would be computed for a signal, and for counts by `tokenizer` where a selection names one.
    ///
    /// # Errors
    /// A run that cannot be read; options that name no model where one is needed; a name that several stored signals have.
    pub fn plan(&self, by: &By<'_>, options: ScoreOptions, tokenizer: Option<&str>) -> Result<Plan> {
        let columns = self.corpus_columns();
        let shards = self.corpus.shards();
        let mut read: Vec<(usize, ShardRecord)> = Vec::new();
        let mut touched_shards = 0;
        for (at, shard) in shards.iter().enumerate() {
            let receipt = self.run.inventory_receipt(&shard.path, &columns)?;
            touched_shards +=
                usize::from(receipt.as_ref().is_some_and(|receipt| receipt.shard.version != shard.version));
            read.extend(receipt.map(|receipt| (at, receipt.shard)));
        }
        let unread_shards = shards.len() - read.len();
        let mut signals = match by {
            By::Random => Vec::new(),
            By::Exactly(asked) => self.plan_asked(&read, asked, options)?,
            By::Named(asked) => self.plan_named(&read, asked, options)?,
            By::Stored(name) => self.plan_stored(&read, &self.run.resolve(name)?, None, options.worker)?,
        };
        let main = signals.len().checked_sub(1);
        let again = match (options.failed, signals.last().map(|signal| &signal.standing)) {
            (FailedRows::Keep, _) | (_, None) => None,
            (FailedRows::Retry, Some(Standing::Continues(stored))) => {
                Some(self.retryable_rows(&read, &self.run.resolve(stored)?, options.worker)?)
            }
            (FailedRows::Retry, Some(_)) => Some(0),
        };
        if let Some(tokenizer) = tokenizer {
            let asked = TokensOptions { tokenizer: tokenizer.to_owned() }.into();
            let beside = ScoreOptions { beside: true, worker: options.worker, ..ScoreOptions::default() };
            signals.extend(self.plan_asked(&read, &asked, beside)?);
        }
        Ok(Plan {
            location: self.location.clone(),
            shards: shards.len(),
            bytes: shards.iter().map(|shard| shard.size_bytes).sum(),
            unread_shards,
            touched_shards,
            left_out: self.left_out(),
            documents: (unread_shards == 0).then(|| read.iter().map(|(_, shard)| shard.documents).sum()),
            columns_to_carry: self.columns_to_carry()?,
            signals,
            main,
            again,
        })
    }

    /// Rows of a stored signal that [`FailedRows::Retry`] would compute again.
    fn retryable_rows(
        &self,
        read: &[(usize, ShardRecord)],
        stored: &SignalDir,
        worker: Worker,
    ) -> Result<u64> {
        let mut rows = 0;
        for (_, shard) in read.iter().filter(|(at, _)| worker.takes(*at)) {
            rows += stored.receipt(shard)?.map_or(0, |receipt| receipt.retryable_rows());
        }
        Ok(rows)
    }

    /// Of the stored signal of a name, else of one by these options.
    pub(crate) fn plan_named(
        &self,
        read: &[(usize, ShardRecord)],
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        let name = asked.stored_name();
        match self.has_signal(&name)? {
            true => self.plan_stored(read, &self.run.resolve(&name)?, Some(asked), options.worker),
            false => self.plan_asked(read, asked, options),
        }
    }

    /// As [`Project::score`] would do it.
    pub(crate) fn plan_asked(
        &self,
        read: &[(usize, ShardRecord)],
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        asked.definition().plan(self, read, asked, options)
    }

    /// Of a signal that needs nothing but the rows of the corpus.
    pub(crate) fn plan_by_rows(
        &self,
        read: &[(usize, ShardRecord)],
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        self.check_options(asked)?;
        let name = asked.stored_name();
        let mut first = None;
        for stored in self.run.own_signals()?.into_iter().filter(|signal| signal.record().name == name) {
            let found = differences(asked, stored.record())
                .unwrap_or_else(|| vec!["its options are not known to this tamis".to_owned()]);
            if found.is_empty() {
                return Ok(vec![self.going_on(read, &stored, options)?]);
            }
            first.get_or_insert((stored.full_name().to_owned(), found));
        }
        let numeric_path = asked.clone().definition_mut().dtype().map(|dtype| NumericPathPlan::new(*dtype));
        Ok(vec![SignalPlan { numeric_path, ..anew(read, name, first, options) }])
    }

    /// As [`Project::signal_for`] and [`Project::stored_signal`] would do it: nothing where it is complete, else by the options
    /// that it was begun with.
    fn plan_stored(
        &self,
        read: &[(usize, ShardRecord)],
        stored: &SignalDir,
        asked: Option<&SignalOptions>,
        worker: Worker,
    ) -> Result<Vec<SignalPlan>> {
        let share = ScoreOptions { worker, ..ScoreOptions::default() };
        let main = self.going_on(read, stored, share)?;
        let begun = stored_options_of(stored.record()).or_else(|| asked.cloned());
        let mut plans = Vec::new();
        let complete = main.documents == 0 && read.len() == self.corpus.shards().len();
        if let (Some(first), false) = (begun.and_then(|begun| begun.definition().first()), complete) {
            plans = self.plan_asked(read, &first, share)?;
        }
        plans.push(main);
        Ok(plans)
    }

    /// What a stored signal lacks.
    pub(crate) fn going_on(
        &self,
        read: &[(usize, ShardRecord)],
        stored: &SignalDir,
        options: ScoreOptions,
    ) -> Result<SignalPlan> {
        let (mut documents, mut bytes) = (0, 0);
        for (_, shard) in read.iter().filter(|(at, _)| options.worker.takes(*at)) {
            if stored.receipt(shard)?.is_some() {
                continue;
            }
            let left = self.documents_left(shard, stored)?;
            documents += left;
            let share = u128::from(shard.text_bytes()) * u128::from(left);
            bytes += (share / u128::from(shard.documents.max(1))) as u64;
        }
        let standing = Standing::Continues(stored.full_name().to_owned());
        let of_files =
            ["model", "tokenizer"].iter().any(|field| stored.record().fingerprint.contains_key(*field));
        let record = stored.record();
        let numeric_path = record.fingerprint.get("numeric_path").map(|path| {
            let lacking = match NumericPath::from_name(path) {
                Ok(path) if !path.is_supported() && documents > 0 => {
                    ", and this processor lacks it: what is left would be refused here"
                }
                _ => "",
            };
            let because = format!("`{}` was begun on it{lacking}", stored.full_name());
            NumericPathPlan { path: path.clone(), because }
        });
        Ok(SignalPlan { name: record.name.clone(), standing, documents, bytes, of_files, numeric_path })
    }

    /// Documents of an unfinished shard that no part covers.
    fn documents_left(&self, shard: &ShardRecord, stored: &SignalDir) -> Result<u64> {
        let missing = stored.peek_parts(shard)?.missing(shard.rows);
        if missing.iter().map(|span| span.rows).sum::<u64>() == shard.rows {
            return Ok(shard.documents);
        }
        let mut left = 0;
        let rows = SidecarColumns::Named(&[column::ROW]);
        for batch in self.run.read_inventory(&shard.path, rows)? {
            let batch = batch?;
            let inside =
                |row: &&u64| missing.iter().any(|span| span.first_row <= **row && **row < span.end());
            let numbers = batch
                .column_by_name(column::ROW)
                .and_then(|rows| rows.as_primitive_opt::<UInt64Type>())
                .ok_or_else(|| tamis_core::Error::MissingColumn { column: column::ROW.to_owned() })?;
            left += numbers.values().iter().filter(inside).count() as u64;
        }
        Ok(left)
    }
}

impl Plan {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let others = self.signals.iter().enumerate().filter(|(at, _)| Some(*at) != self.main);
        json!({
            "corpus": self.location,
            "shards": self.shards,
            "bytes": self.bytes,
            "unread_shards": self.unread_shards,
            "touched_shards": self.touched_shards,
            "left_out": self.left_out,
            "documents": self.documents,
            "columns_to_carry": self.columns_to_carry,
            "signal": self.main.and_then(|main| self.signals.get(main)).map(|signal| {
                let mut signal = signal.json();
                if let Some(rows) = self.again {
                    signal["rows_to_ask_again"] = rows.into();
                }
                signal
            }),
            "needs": others.map(|(_, signal)| signal.json()).collect::<Vec<_>>(),
        })
    }

    /// For people, line by line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {} shards, {} bytes", self.location, self.shards, self.bytes)];
        lines.push(match self.documents {
            Some(documents) => format!("all shards were read before: {documents} documents"),
            None => format!("{} shards would be read for the first time", self.unread_shards),
        });
        if self.touched_shards > 0 {
            lines.push(format!(
                "{} shards have another time than when they were read: they would be compared first, and refused where they \
                 changed",
                self.touched_shards
            ));
        }
        lines.extend(
            self.columns_to_carry
                .iter()
                .map(|name| format!("column {name}: the corpus would be read for it once more")),
        );
        for signal in &self.signals {
            lines.push(signal.text(self.unread_shards));
            lines.extend(signal.numeric_text());
        }
        if let Some(rows) = self.again {
            lines.push(format!("{rows} rows without a value would be asked again"));
        }
        lines.push("nothing was done (--dry-run)".to_owned());
        lines
    }
}
