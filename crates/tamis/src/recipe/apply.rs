//! A recipe, done: every signal and selection in its turn.

use std::collections::BTreeMap;
use std::time::Instant;

use arrow_array::Array;
use serde::Serialize;
use tamis_io::run::{CorpusVersion, ShardRecord, SignalDir};
use tamis_io::sidecar::SidecarColumns;

use super::order::{Step, selection_of};
use super::plan::{Expected, StagePlan};
use super::{Recipe, RecipeOutput, RecipeSelection, RecipeSignal};
use crate::explain::{column_in, split_score};
use crate::project::Project;
use crate::scoring::ScoreOptions;
use crate::select::SelectReport;
use crate::select_options::SelectOptions;
use crate::signals::SignalOptions;
use crate::{Error, Result};

/// What a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageKind {
    /// A signal was computed.
    Signal,
    /// Documents were chosen.
    Selection,
    /// Training data was written.
    Output,
}

/// One signal or selection of a recipe, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// As the recipe calls it.
    pub name: String,
    /// What it is.
    pub kind: StageKind,
    /// As the run calls it.
    pub full_name: String,
    /// The selection whose documents it is of; `None`: all.
    pub on: Option<String>,
    /// Documents that it is of.
    pub documents_in: u64,
    /// Documents that have a value, or are kept.
    pub documents_out: u64,
    /// Documents that were computed by this call.
    pub computed: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Tokens that were read, or are kept, where they are counted.
    pub tokens: Option<u64>,
    /// Bytes of text that are kept.
    pub bytes: Option<u64>,
    /// Why documents are not kept.
    pub dropped: BTreeMap<String, u64>,
    /// Seconds of this call.
    pub seconds: f64,
    /// Seconds that `tamis plan` expected, where all of the work was done by this call.
    pub planned_seconds: Option<Expected>,
    /// Documents that `tamis plan` expected to have a value or to be kept.
    pub planned_documents: Option<f64>,
}

impl Stage {
    /// Lays what was planned beside it.
    fn compare(&mut self, plan: &StagePlan) {
        self.planned_documents = Some(plan.documents_out);
        // A stage that was done before in part took less than all of it.
        let is_whole = self.computed > 0 && self.computed + self.failed >= self.documents_in;
        self.planned_seconds = plan.seconds.filter(|_| is_whole);
    }
}

/// What applying a recipe did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApplyReport {
    /// In the order in which they were done.
    pub stages: Vec<Stage>,
    /// Documents of the corpus.
    pub documents: u64,
    /// Rows that could not be read.
    pub unreadable: u64,
    /// Seconds of this call.
    pub seconds: f64,
}

/// Names of the recipe as the run has them.
#[derive(Default)]
pub(super) struct Names {
    pub(super) signals: BTreeMap<String, String>,
    pub(super) selections: BTreeMap<String, String>,
}

impl Names {
    /// A score by the name of a signal of the recipe, by its full name.
    fn score(&self, by: &str) -> String {
        let (name, column) = split_score(by);
        match (self.signals.get(name), column) {
            (Some(full), Some(column)) => format!("{full}.{column}"),
            (Some(full), None) => full.clone(),
            (None, _) => by.to_owned(),
        }
    }

    /// A selection of the recipe, with its label, by its name in the run.
    pub(super) fn on(&self, on: &str) -> Result<String> {
        let name = selection_of(on);
        let stored = self.selections.get(name).ok_or_else(|| {
            Error::state(format!("selection `{name}` was not made"), "this is a bug of tamis")
        })?;
        Ok(format!("{stored}{}", &on[name.len()..]))
    }

    /// The options of a signal, with what it reads by its name in the run.
    pub(super) fn options(&self, signal: &RecipeSignal) -> SignalOptions {
        let mut options = signal.options.clone();
        for by in options.definition_mut().scores_read() {
            *by = self.score(by);
        }
        options
    }

    pub(super) fn select(&self, selection: &RecipeSelection) -> Result<SelectOptions> {
        let mut options = selection.options.clone();
        options.by = self.score(&options.by);
        options.on = options.on.as_deref().map(|on| self.on(on)).transpose()?;
        for filter in &mut options.filters {
            filter.name.get_or_insert_with(|| filter.by.clone());
            filter.by = self.score(&filter.by);
        }
        for by in options.quotas.iter_mut().flat_map(|quotas| &mut quotas.by) {
            *by = self.score(by);
        }
        options.stem = Some(selection.name.clone());
        Ok(options)
    }
}

impl Project {
    /// Does what a recipe says, as one of several workers or alone.
    ///
    /// # Errors
    /// What can be refused is refused before a document is read; then what stops a computation or a selection. What was done
    /// stays, and the same call goes on from there.
    pub fn apply(&self, recipe: &Recipe, score: ScoreOptions) -> Result<ApplyReport> {
        let began = Instant::now();
        // The recipe says what is meant, whatever else the run holds.
        let score = ScoreOptions { beside: true, ..score };
        self.check_recipe(recipe, score)?;
        let version = self.inventory()?;
        self.tell_unreadable(&version)?;
        let mut names = Names::default();
        let mut stages = Vec::new();
        for step in recipe.order()? {
            let stage = match step {
                Step::Signal(at) => self.apply_signal(&version, &recipe.signals[at], &mut names, score)?,
                Step::Selection(at) => {
                    self.apply_selection(&version, &recipe.selections[at], &mut names, score)?
                }
            };
            stages.push(stage);
        }
        // What is written is in one order over all shards: one worker does it.
        if score.worker.index == 1 {
            for output in &recipe.outputs {
                stages.push(self.apply_output(output, &names)?);
            }
        }
        if let Some(plan) = self.kept_plan(recipe)? {
            stages.iter_mut().zip(&plan.stages).for_each(|(stage, plan)| stage.compare(plan));
        }
        Ok(ApplyReport {
            stages,
            documents: version.documents(),
            unreadable: version.failed_rows(),
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Refuses what can be refused of a recipe before any work.
    ///
    /// # Errors
    /// Signals that cannot be computed, columns that they have not, selections that contradict themselves.
    pub fn check_recipe(&self, recipe: &Recipe, score: ScoreOptions) -> Result<()> {
        let mut columns = BTreeMap::new();
        for signal in &recipe.signals {
            let within = |error: Error| told_of("signals", &signal.name, error);
            let foreseen = self.foresee(&signal.options, score).map_err(within)?;
            columns.insert(signal.name.as_str(), foreseen.record);
        }
        for selection in &recipe.selections {
            let within = |error: Error| told_of("selections", &selection.name, error);
            let mut options = selection.options.clone();
            for by in std::iter::once(&mut options.by)
                .chain(options.filters.iter_mut().map(|filter| &mut filter.by))
            {
                let (name, column) = split_score(by);
                let Some(record) = columns.get(name) else { continue };
                if column != Some(tamis_core::column::VETO) {
                    match column_in(record, column) {
                        Ok(_) => {}
                        // A filter may be a veto.
                        Err(_)
                            if column.is_none()
                                && record.schema.iter().any(|one| one.name == tamis_core::column::VETO) => {}
                        Err(error) => return Err(within(error)),
                    }
                }
                *by = match column {
                    Some(column) => format!("{}.{column}", record.full_name),
                    None => record.full_name.clone(),
                };
            }
            options.check().map_err(within)?;
            self.refuse_output_inside_corpus(options.out.as_deref()).map_err(within)?;
        }
        self.check_outputs(recipe)?;
        Ok(self.run.store().check_writable()?)
    }

    /// What a dry run can refuse of a recipe: all that needs no model and writes nothing.
    ///
    /// # Errors
    /// As [`Project::check_recipe`], but for models.
    pub fn check_planned_recipe(&self, recipe: &Recipe) -> Result<()> {
        for signal in &recipe.signals {
            self.check_planned_score(&signal.options)
                .map_err(|error| told_of("signals", &signal.name, error))?;
        }
        for selection in &recipe.selections {
            let within = |error: Error| told_of("selections", &selection.name, error);
            let mut options = selection.options.clone();
            for by in std::iter::once(&mut options.by)
                .chain(options.filters.iter_mut().map(|filter| &mut filter.by))
            {
                let (name, column) = split_score(by);
                if let Some(signal) = recipe.signals.iter().find(|signal| signal.name == name) {
                    let named = signal.options.user_name();
                    *by = column.map_or_else(|| named.clone(), |column| format!("{named}.{column}"));
                }
            }
            options.check().map_err(within)?;
            self.refuse_output_inside_corpus(options.out.as_deref()).map_err(within)?;
        }
        self.check_outputs(recipe)
    }

    fn check_outputs(&self, recipe: &Recipe) -> Result<()> {
        for output in &recipe.outputs {
            let within = |error: Error| told_of("outputs", &output.name, error);
            output.options.check().map_err(within)?;
            self.refuse_output_inside_corpus(Some(&output.options.out)).map_err(within)?;
        }
        Ok(())
    }

    fn apply_signal(
        &self,
        version: &CorpusVersion,
        signal: &RecipeSignal,
        names: &mut Names,
        score: ScoreOptions,
    ) -> Result<Stage> {
        let began = Instant::now();
        let on = signal.on.as_deref().map(|on| names.on(on)).transpose()?;
        let within = |error: Error| told_of("signals", &signal.name, error);
        let behind = on.as_deref().map(|on| self.on(on)).transpose().map_err(within)?;
        let project = behind.as_ref().unwrap_or(self);
        let (directory, report) = project.score(version, &names.options(signal), score).map_err(within)?;
        project.wait_for_whole(version, &directory, score.wait)?;
        report.findings.iter().for_each(|finding| self.observer.note(finding));
        names.signals.insert(signal.name.clone(), directory.full_name().to_owned());
        let failed = failed_rows(version, &directory)?;
        let documents_in = project.asked_documents(version);
        if let Some(most) = signal.max_hit_share {
            let hits = self.vetoed_rows(version, &directory)?;
            if hits > most.of(documents_in) {
                let share = 100.0 * hits as f64 / documents_in.max(1) as f64;
                return Err(within(Error::state(
                    format!(
                        "vetoes {hits} of {documents_in} documents ({share:.1} %), and {most} may be at most"
                    ),
                    "look at what it found (`tamis why ID`, its sidecars), and raise max-hit-share where that is right",
                )));
            }
        }
        Ok(Stage {
            name: signal.name.clone(),
            kind: StageKind::Signal,
            full_name: directory.full_name().to_owned(),
            on: signal.on.clone(),
            documents_in,
            documents_out: documents_in - failed.min(documents_in),
            computed: report.map.computed,
            failed,
            tokens: Some(report.map.tokens).filter(|tokens| *tokens > 0),
            bytes: None,
            dropped: BTreeMap::new(),
            seconds: began.elapsed().as_secs_f64(),
            planned_seconds: None,
            planned_documents: None,
        })
    }

    fn apply_selection(
        &self,
        version: &CorpusVersion,
        selection: &RecipeSelection,
        names: &mut Names,
        score: ScoreOptions,
    ) -> Result<Stage> {
        let began = Instant::now();
        let within = |error: Error| told_of("selections", &selection.name, error);
        let options = names.select(selection)?;
        let report: SelectReport = self.run_selection(&options, score).map_err(within)?;
        names.selections.insert(selection.name.clone(), report.name.clone());
        let counts = &report.manifest.counts;
        let largest = report.manifest.targets.last();
        Ok(Stage {
            name: selection.name.clone(),
            kind: StageKind::Selection,
            full_name: report.name.clone(),
            on: selection.options.on.clone(),
            documents_in: version.documents()
                - counts.dropped.get(tamis_core::reason::NOT_ASKED).copied().unwrap_or(0),
            documents_out: counts.kept,
            computed: 0,
            failed: counts.failed_rows() - version.failed_rows(),
            tokens: largest.and_then(|target| target.tokens),
            bytes: largest.map(|target| target.bytes),
            dropped: counts.dropped.clone(),
            seconds: began.elapsed().as_secs_f64(),
            planned_seconds: None,
            planned_documents: None,
        })
    }
}

impl Project {
    /// Rows that a signal vetoes.
    fn vetoed_rows(&self, version: &CorpusVersion, signal: &SignalDir) -> Result<u64> {
        let name = tamis_core::column::VETO;
        if !signal.record().schema.iter().any(|column| column.name == name) {
            return Ok(0);
        }
        let counted =
            crate::pool::map(version.shards.iter().collect(), self.threads, |shard: &ShardRecord| {
                let mut hits = 0;
                for batch in signal.read(shard, SidecarColumns::Named(&[name]))? {
                    let batch = batch?;
                    hits += batch.column_by_name(name).map_or(0, |vetoes| vetoes.len() - vetoes.null_count());
                }
                Ok(hits as u64)
            })?;
        Ok(counted.into_iter().sum())
    }

    fn apply_output(&self, output: &RecipeOutput, names: &Names) -> Result<Stage> {
        let within = |error: Error| told_of("outputs", &output.name, error);
        let selection = names.on(&output.selection)?;
        let report = self.export(&selection, &output.options).map_err(within)?;
        let manifest = &report.manifest;
        Ok(Stage {
            name: output.name.clone(),
            kind: StageKind::Output,
            full_name: report.out.clone(),
            on: Some(output.selection.clone()),
            documents_in: manifest.documents,
            documents_out: manifest.copies,
            computed: 0,
            failed: 0,
            tokens: manifest.tokens,
            bytes: Some(manifest.text_bytes),
            dropped: BTreeMap::new(),
            seconds: report.seconds,
            planned_seconds: None,
            planned_documents: None,
        })
    }
}

/// An error, with where in the recipe it comes from.
fn told_of(kind: &str, name: &str, error: Error) -> Error {
    match error {
        Error::Usage { message, hint } => Error::usage(format!("[{kind}.{name}] {message}"), hint),
        Error::State { message, hint } => Error::state(format!("[{kind}.{name}] {message}"), hint),
        other => other,
    }
}

fn failed_rows(version: &CorpusVersion, signal: &SignalDir) -> Result<u64> {
    let mut failed = 0;
    for shard in &version.shards {
        failed += signal.receipt(shard)?.map_or(0, |receipt| receipt.failed_rows());
    }
    Ok(failed)
}
