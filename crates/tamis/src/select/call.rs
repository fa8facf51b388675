//! A selection in one call: what is missing of its signal is computed, then documents are chosen and written.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use tamis_io::run::SignalDir;

use super::SelectReport;
use crate::again::FailedRows;
use crate::explain::split_score;
use crate::groups::Keep;
use crate::plan::{By, Plan};
use crate::prefetch::Prefetch;
use crate::project::Project;
use crate::scoring::ScoreOptions;
use crate::select_options::SelectOptions;
use crate::signals::SignalOptions;
use crate::{Error, Result};

const RANDOM: &str = "random";

impl SelectOptions {
    /// Refuses what is wrong whatever the corpus and the run are.
    ///
    /// # Errors
    /// A name that no signal has; settings for a stored one; no target, or a wrong mixture.
    pub fn check(&self) -> Result<()> {
        super::label(self)?;
        self.limits.check()?;
        self.filters.iter().try_for_each(crate::select_options::Filter::check)?;
        self.settings().map(drop)
    }

    /// The options of the signal that is selected by, where it is named by a short name.
    fn settings(&self) -> Result<Option<SignalOptions>> {
        let (name, column) = split_score(&self.by);
        let is_full = name.contains('@') && !name.starts_with("column:");
        match (&self.signal, name) {
            (_, RANDOM) if column.is_some() => {
                Err(Error::usage(format!("`--by {}`: random has no columns", self.by), "write --by random"))
            }
            (_, name) if is_full && self.exactly => Err(Error::usage(
                format!("`{name}` was computed with settings of its own"),
                format!("leave them out, or write --by {}", name.split('@').next().unwrap_or(name)),
            )),
            (_, RANDOM) => Ok(None),
            (_, _) if is_full => Ok(None),
            (signal, name) => {
                let named = SignalOptions::named(name)?;
                if column.is_none() && !SignalOptions::scores().any(|kind| kind == named.kind()) {
                    let scores = SignalOptions::scores().collect::<Vec<_>>().join(", ");
                    return Err(Error::usage(
                        format!("signal `{name}` is not a score"),
                        format!("select by one of {scores}"),
                    ));
                }
                match signal {
                    None => Ok(Some(named)),
                    Some(signal) if std::mem::discriminant(signal) == std::mem::discriminant(&named) => {
                        Ok(Some(signal.clone()))
                    }
                    Some(signal) => Err(Error::usage(
                        format!("the options are of `{}`, and `--by` names `{name}`", signal.user_name()),
                        "name the signal that the options are of",
                    )),
                }
            }
        }
    }

    /// What is selected by; `settings` are those of [`Self::settings`].
    fn selected_by<'a>(&'a self, settings: Option<&'a SignalOptions>) -> By<'a> {
        match settings {
            Some(asked) if self.exactly => By::Exactly(asked),
            Some(asked) => By::Named(asked),
            None if self.by == RANDOM => By::Random,
            None => By::Stored(split_score(&self.by).0),
        }
    }
}

impl Project {
    /// Selects: reads what of the corpus was not read, computes what is missing of the signal and of counts of tokens, decides,
    /// and writes decisions and kept documents. What can be refused is refused before a document is read.
    ///
    /// `score` says beside what the signal may stand, whether failed rows are asked again, and which shards are this worker's: it
    /// scores and writes them, waits for the scores of the others' before it decides, and for their documents before it ends.
    ///
    /// # Errors
    /// Options that contradict each other, the corpus or the run; models that cannot be had; what stops a computation; files
    /// that cannot be written or hold something else.
    pub fn run_selection(&self, options: &SelectOptions, score: ScoreOptions) -> Result<SelectReport> {
        if let Some(on) = &options.on {
            return self.on(on)?.run_selection(&SelectOptions { on: None, ..options.clone() }, score);
        }
        let settings = options.settings()?;
        let by = options.selected_by(settings.as_ref());
        self.check_select(options, &by, score)?;
        let prefetch = Prefetch::new(self.run.store(), options);
        let (version, _) = self.inventory_with(prefetch.as_ref())?;
        self.check_gate(&version)?;
        let survey = self.survey(&version, options, Keep::InRun)?;
        self.tell_unreadable(&version)?;
        self.carry_stratum(&version, &options.band)?;
        let computed = match by {
            By::Random => None,
            By::Stored(full) => Some(self.stored_signal(&version, full, score)?),
            By::Named(asked) => Some(self.signal_for(&version, asked, false, score)?),
            By::Exactly(asked) => Some(self.signal_for(&version, asked, true, score)?),
        };
        let by = match computed {
            None => None,
            Some((signal, report)) => {
                match report {
                    Some(report) => report.findings.iter().for_each(|finding| self.observer.note(finding)),
                    None => self.observer.note(&format!(
                        "selecting by the scores of `{}` that this run holds; its options are in its signal.json",
                        signal.full_name()
                    )),
                }
                let column = self.column_of(&signal, split_score(&options.by).1)?;
                Some((signal, column))
            }
        };
        let tokens = self.tokens_for(&version, options, score)?;
        for signal in by.iter().map(|(signal, _)| signal).chain(&tokens) {
            self.wait_for_whole(&version, signal, score.wait)?;
        }
        let filters = self.open_filters(&version, options, score)?;
        let by = by.as_ref().map(|(signal, column): &(SignalDir, String)| (signal, column.as_str()));
        let read = (survey, filters, prefetch.as_ref());
        self.select_with(&version, (by, tokens.as_ref()), options, read, score)
    }

    /// What [`Project::run_selection`] would compute; refuses what it would refuse and can be known without a model, and
    /// writes nothing.
    ///
    /// # Errors
    /// As there, as far as neither models nor places decide it.
    pub fn plan_selection(&self, options: &SelectOptions, score: ScoreOptions) -> Result<Plan> {
        if let Some(on) = &options.on {
            return self.on(on)?.plan_selection(&SelectOptions { on: None, ..options.clone() }, score);
        }
        let settings = options.settings()?;
        let by = options.selected_by(settings.as_ref());
        self.check_planned_select(options, &by, score)?;
        self.plan(&by, score, options.tokenizer.as_deref())
    }

    /// The options that a selection goes on with: those of the stored signal of its name where that is taken, else its own.
    /// `None` for one at random.
    ///
    /// # Errors
    /// A name that no signal has, or that several stored ones have.
    pub fn settings_of_selection(&self, options: &SelectOptions) -> Result<Option<SignalOptions>> {
        let settings = options.settings()?;
        match options.selected_by(settings.as_ref()) {
            By::Random => Ok(None),
            By::Stored(full) => self.stored_options(full).map(Some),
            By::Exactly(asked) => Ok(Some(asked.clone())),
            By::Named(asked) => self.options_by_name(asked).map(Some),
        }
    }
}

pub(super) fn refuse_retry_at_random(score: ScoreOptions) -> Result<()> {
    match score.failed {
        FailedRows::Keep => Ok(()),
        FailedRows::Retry => Err(Error::usage(
            "--by random has no scores, so no row of them failed",
            "leave --retry-failed out",
        )),
    }
}

/// The object that `--json` prints: counts (`documents_in` = `kept` + `dropped` + `failed`, kept being that of the largest
/// target), reasons, tokens of the largest target, and a record of each target in `selections`.
impl Serialize for SelectReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (manifest, counts) = (&self.manifest, &self.manifest.counts);
        let mut object = serializer.serialize_struct("SelectReport", 16)?;
        object.serialize_field("documents_in", &counts.documents_in)?;
        object.serialize_field("kept", &counts.kept)?;
        object.serialize_field("dropped", &counts.dropped_documents())?;
        object.serialize_field("dropped_by_reason", &counts.dropped)?;
        object.serialize_field("failed", &counts.failed_rows())?;
        object.serialize_field("failed_by_reason", &counts.failed)?;
        object.serialize_field("tokens", &manifest.targets.last().and_then(|target| target.tokens))?;
        object.serialize_field("seconds", &self.seconds)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("by", &manifest.by)?;
        object.serialize_field("column", &manifest.column)?;
        object.serialize_field("rule", &manifest.rule)?;
        object.serialize_field("seed", &manifest.seed)?;
        object.serialize_field("out", &self.out)?;
        object.serialize_field("vetoes", &self.vetoes)?;
        object.serialize_field("selections", &manifest.targets)?;
        object.serialize_field("left_out", &self.left_out)?;
        object.end()
    }
}
