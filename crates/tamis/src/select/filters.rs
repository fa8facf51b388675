//! What a candidate has to pass beside the score that it is ranked by: limits of other signals, and their vetoes.
//!
//! A floor of quality before a draw, what breaks no rule, one of each kind, so many a domain: each is a filter. The first that
//! a document does not pass is the reason it is dropped for.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, StringArray};
use tamis_core::{ScoreBatch, column};
use tamis_io::run::{CorpusVersion, ShardRecord, SignalDir, SignalRecord};
use tamis_io::sidecar::{SidecarColumns, SidecarReader};

use super::candidates::{Fate, without_value};
use crate::again::pinned_text;
use crate::explain::{column_in, split_score};
use crate::project::Project;
use crate::scoring::ScoreOptions;
use crate::select_options::{Filter, ScoreLimits, SelectOptions};
use crate::signals::SignalOptions;
use crate::{Error, Result};

/// A filter whose signal is whole.
pub(super) struct OpenFilter {
    pub(super) signal: SignalDir,
    /// The column of the limits; `None`: that of vetoes.
    column: Option<String>,
    limits: ScoreLimits,
    /// What a document is dropped for that is outside.
    reason: String,
}

impl OpenFilter {
    /// As the plan has it: all that decides who passes.
    pub(super) fn text(&self) -> String {
        let ScoreLimits { at_least, at_most } = self.limits;
        let number = |limit: Option<f64>| limit.map_or_else(|| "any".to_owned(), |limit| limit.to_string());
        let column = self.column.as_deref().unwrap_or(column::VETO);
        format!("{}.{column} from {} to {}", pinned_text(&self.signal), number(at_least), number(at_most))
    }

    pub(super) fn read(&self, shard: &ShardRecord) -> Result<SidecarReader> {
        let column = self.column.as_deref().unwrap_or(column::VETO);
        let columns = [column::ROW, column::DOC_KEY, column, column::FAILED];
        Ok(self.signal.read(shard, SidecarColumns::Named(&columns))?)
    }

    /// What some rows are worth to it.
    pub(super) fn of(&self, rows: &RecordBatch) -> Result<Passed<'_>> {
        let batch = ScoreBatch::new(rows.clone())?;
        let says = match &self.column {
            Some(column) => Says::Numbers(batch.values(column)?),
            None => {
                let missing = || tamis_core::Error::MissingColumn { column: column::VETO.to_owned() };
                let reasons =
                    rows.column_by_name(column::VETO).and_then(|column| column.as_string_opt::<i32>());
                Says::Vetoes(reasons.ok_or_else(missing)?.clone())
            }
        };
        Ok(Passed { filter: self, batch, says })
    }
}

enum Says {
    Numbers(Vec<Option<f64>>),
    Vetoes(StringArray),
}

/// Rows beside a filter.
pub(super) struct Passed<'a> {
    filter: &'a OpenFilter,
    batch: ScoreBatch,
    says: Says,
}

impl Passed<'_> {
    /// What becomes of a row that does not pass.
    pub(super) fn refuses(&self, at: usize) -> Option<Fate> {
        match &self.says {
            Says::Numbers(values) => match values[at] {
                None => Some(without_value(&self.batch, at)),
                Some(value) if self.filter.limits.hold(value) => None,
                Some(_) => Some(Fate::Dropped(self.filter.reason.clone().into())),
            },
            Says::Vetoes(_) if self.batch.failed().is_valid(at) => Some(without_value(&self.batch, at)),
            Says::Vetoes(vetoes) => {
                vetoes.is_valid(at).then(|| Fate::Dropped(vetoes.value(at).to_owned().into()))
            }
        }
    }
}

/// The column that a filter looks at, by the record of its signal; `None`: its vetoes.
///
/// # Errors
/// A column that the signal has not; no limit where it has no vetoes.
fn column_of(filter: &Filter, record: &SignalRecord) -> Result<Option<String>> {
    let asked = split_score(&filter.by).1;
    let has_vetoes = record.schema.iter().any(|column| column.name == column::VETO);
    if filter.limits.are_open() {
        return match (asked, has_vetoes) {
            (None | Some(column::VETO), true) => Ok(None),
            _ => Err(Error::usage(
                format!("the filter `{}` has no limit", filter.by),
                "write NAME>=X or NAME<=X; signals that veto documents (rules, contamination) need none",
            )),
        };
    }
    column_in(record, asked).map(Some)
}

fn reason_of(filter: &Filter) -> String {
    let ScoreLimits { at_least, at_most } = filter.limits;
    let name = filter.name.as_ref().unwrap_or(&filter.by);
    match (at_least, at_most) {
        (Some(least), None) => format!("{name} < {least}"),
        (None, Some(most)) => format!("{name} > {most}"),
        (least, most) => format!(
            "{name} outside {} to {}",
            least.unwrap_or(f64::NEG_INFINITY),
            most.unwrap_or(f64::INFINITY)
        ),
    }
}

impl Filter {
    /// The options of its signal; `None` for a stored one by its full name.
    fn settings(&self) -> Result<Option<SignalOptions>> {
        let name = split_score(&self.by).0;
        let is_full = name.contains('@') && !name.starts_with("column:");
        if is_full { Ok(None) } else { SignalOptions::named(name).map(Some) }
    }

    /// Refuses what is wrong whatever the corpus and the run are.
    ///
    /// # Errors
    /// A name that no signal has; limits that no score is within.
    pub(super) fn check(&self) -> Result<()> {
        self.limits.check()?;
        self.settings().map(drop)
    }
}

impl Project {
    /// Refuses filters that cannot be, before any work.
    ///
    /// # Errors
    /// Columns that signals have not; what their computation would refuse.
    pub(super) fn check_filters(&self, options: &SelectOptions, score: ScoreOptions) -> Result<()> {
        for filter in &options.filters {
            let foreseen = match filter.settings()? {
                Some(asked) => self.foresee_by(&asked, false, score)?,
                None => self.foresee_stored(split_score(&filter.by).0, score.failed)?,
            };
            column_of(filter, &foreseen.record)?;
        }
        Ok(())
    }

    /// Computes what is missing of the signals of filters.
    ///
    /// # Errors
    /// As [`Project::score`].
    pub(super) fn open_filters(
        &self,
        version: &CorpusVersion,
        options: &SelectOptions,
        score: ScoreOptions,
    ) -> Result<Vec<OpenFilter>> {
        let mut open = Vec::with_capacity(options.filters.len());
        for filter in &options.filters {
            let (signal, report) = match filter.settings()? {
                Some(asked) => self.signal_for(version, &asked, false, score)?,
                None => self.stored_signal(version, split_score(&filter.by).0, score)?,
            };
            report.iter().flat_map(|report| &report.findings).for_each(|finding| self.observer.note(finding));
            self.wait_for_whole(version, &signal, score.wait)?;
            self.refuse_stale(version, &signal)?;
            let column = column_of(filter, signal.record())?;
            let signal = signal.pinned(version)?;
            open.push(OpenFilter { signal, column, limits: filter.limits, reason: reason_of(filter) });
        }
        Ok(open)
    }
}
