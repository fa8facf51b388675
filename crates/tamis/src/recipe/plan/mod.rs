//! What a recipe will cost, before any work: a rehearsal on a few hundred documents.
//!
//! Documents are taken from the beginnings of shards all over the corpus, and the recipe is applied to them in a temporary run: what
//! a filter leaves, how long a document takes here, how many tokens and how much disk it needs, is then known of every signal
//! there is, and nothing is modelled. Dear signals see as many of the documents as a slice of time allows. Everything is scaled by
//! documents; loading a model is counted once.
//!
//! What this cannot know: documents that lie deeper in the shards than their beginnings; what a signal of all rows costs more than
//! in proportion (clusters: their number grows with the documents); a machine that is busier or throttles later.

mod probe;
mod sample;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tamis_core::{Digest, reason};
use tamis_io::run::{CorpusVersion, SignalDir};
use tamis_samplers::Target;

use super::apply::Names;
use super::order::{Step, selection_of};
use super::{Recipe, RecipeSelection, RecipeSignal};
use crate::project::Project;
use crate::scoring::ScoreOptions;
use crate::select_options::SelectOptions;
use crate::signals::SignalOptions;
use crate::{Error, Result};
use probe::Stopwatch;
use sample::Sample;

/// Documents of a rehearsal.
const SAMPLED: u64 = 400;
/// With these a signal is timed first.
const FIRST: u64 = 8;
/// Seconds of scoring that a signal may take.
const SLICE: f64 = 8.0;
/// How far off a rate that was measured on few documents is at least.
const LEAST_ERROR: f64 = 0.1;

/// What is said of a stage of which the rehearsal has no document.
const NOTHING_LEFT: &str = "nothing of the rehearsal is left for it";

/// A number, and between which it is to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// The most likely.
    pub value: f64,
    /// Seldom less.
    pub low: f64,
    /// Seldom more.
    pub high: f64,
}

/// What one signal or selection of a recipe is expected to cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StagePlan {
    /// As the recipe calls it.
    pub name: String,
    /// Whether it is a signal.
    pub is_signal: bool,
    /// The selection whose documents it is of; `None`: all.
    pub on: Option<String>,
    /// Documents that it is of.
    pub documents_in: f64,
    /// Documents that have a value, or are kept.
    pub documents_out: f64,
    /// Tokens that are read, where they are counted.
    pub tokens: Option<f64>,
    /// Seconds on this machine; `None` for selections, which read scores alone.
    pub seconds: Option<Expected>,
    /// Bytes in the run directory.
    pub disk_bytes: f64,
    /// Documents of the rehearsal that this was found by.
    pub rehearsed: u64,
    /// Why nothing was found.
    pub note: Option<String>,
}

/// What a recipe is expected to cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipePlan {
    /// Documents of the corpus.
    pub documents: f64,
    /// Bytes of their text.
    pub text_bytes: f64,
    /// Whether these two were counted, not estimated.
    pub is_exact: bool,
    /// Documents of the rehearsal.
    pub rehearsed: u64,
    /// In the order in which they will be done.
    pub stages: Vec<StagePlan>,
    /// Seconds of all signals.
    pub seconds: Expected,
    /// Threads that were used, and will be.
    pub threads: usize,
    /// Seconds that the rehearsal took.
    pub rehearsal_seconds: f64,
}

impl Recipe {
    /// Where the plan of this very recipe is kept in a run.
    pub(super) fn plan_path(&self) -> String {
        let digest = Digest::of(format!("{self:?}").as_bytes()).to_string();
        format!("plans/{}.json", &digest[..16])
    }
}

/// What is known of a selection of the rehearsal.
struct Kept {
    /// Documents of the whole corpus that it is expected to keep.
    documents: f64,
    /// Whether it keeps none of the rehearsal.
    is_empty: bool,
}

/// A signal, computed for some documents.
struct Timed {
    directory: SignalDir,
    /// Of scoring, and of what comes before it: a model that is loaded.
    seconds: f64,
    start: f64,
    tokens: u64,
    computed: u64,
}

impl Project {
    /// What a recipe will cost on this machine. It is kept in the run, so that applying the recipe can say how far off it was.
    ///
    /// # Errors
    /// What applying it would refuse before any work; a corpus whose beginnings cannot be read.
    pub fn plan_recipe(&self, recipe: &Recipe) -> Result<RecipePlan> {
        let began = Instant::now();
        self.check_planned_recipe(recipe)?;
        let folder = tempfile::tempdir().map_err(|error| {
            Error::state(format!("a temporary folder: {error}"), "set TMPDIR to a folder that can be written")
        })?;
        let corpus_folder = folder.path().join("corpus");
        let sample = self.rehearsal_corpus(&corpus_folder, SAMPLED)?;
        let watch = Arc::new(Stopwatch::default());
        let run = folder.path().join("run");
        let observer = Arc::clone(&watch);
        let stage = Project::open(Some(sample.corpus.clone()), &run, self.threads, observer)?;
        let version = stage.inventory()?;
        let rehearsal =
            Rehearsal { stage: &stage, version: &version, sample: &sample, watch: &watch, size: self.size() };
        let mut names = Names::default();
        let mut kept = BTreeMap::new();
        let mut stages = Vec::new();
        for step in recipe.order()? {
            self.observer.begin(&format!("rehearse {}", recipe.name_of(step)), 0);
            stages.push(match step {
                Step::Signal(at) => rehearsal.signal(&recipe.signals[at], &mut names, &kept)?,
                Step::Selection(at) => {
                    rehearsal.selection((recipe, &recipe.selections[at]), &mut names, &mut kept)?
                }
            });
            self.observer.end();
        }
        let sum =
            |of: fn(&Expected) -> f64| stages.iter().filter_map(|stage| stage.seconds.as_ref()).map(of).sum();
        let plan = RecipePlan {
            documents: sample.total,
            text_bytes: sample.total_bytes,
            is_exact: sample.is_exact,
            rehearsed: sample.documents,
            seconds: Expected { value: sum(|e| e.value), low: sum(|e| e.low), high: sum(|e| e.high) },
            stages,
            threads: self.threads,
            rehearsal_seconds: began.elapsed().as_secs_f64(),
        };
        self.keep_plan(recipe, &plan)?;
        Ok(plan)
    }

    fn size(&self) -> f64 {
        self.corpus.shards().iter().map(|shard| shard.size_bytes).sum::<u64>() as f64
    }

    /// The latest plan stands.
    fn keep_plan(&self, recipe: &Recipe, plan: &RecipePlan) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(plan)
            .map_err(|error| Error::state(format!("a plan: {error}"), "this is a bug of tamis"))?;
        let (store, path) = (self.run.store(), recipe.plan_path());
        if store.exists(&path)? {
            store.remove(&path)?;
        }
        store.create_new(&path, &bytes)?;
        Ok(())
    }

    /// What was planned of this very recipe, if it was.
    pub(super) fn kept_plan(&self, recipe: &Recipe) -> Result<Option<RecipePlan>> {
        let (store, path) = (self.run.store(), recipe.plan_path());
        if !store.exists(&path)? {
            return Ok(None);
        }
        // A plan of another tamis says nothing here.
        Ok(serde_json::from_slice(&store.read(&path)?).ok())
    }
}

struct Rehearsal<'a> {
    stage: &'a Project,
    version: &'a CorpusVersion,
    sample: &'a Sample,
    watch: &'a Stopwatch,
    /// Bytes of the files of the whole corpus.
    size: f64,
}

type KeptByName = BTreeMap<String, Kept>;

impl Rehearsal<'_> {
    /// Documents of the whole corpus that a gate leaves, and whether it leaves none of the rehearsal's; all without one.
    fn inside(&self, on: Option<&str>, kept: &KeptByName) -> (f64, bool) {
        match on.and_then(|on| kept.get(selection_of(on))) {
            Some(gate) => (gate.documents, gate.is_empty),
            None => (self.sample.total, false),
        }
    }

    /// Scores so many documents of a gate.
    fn timed(&self, gated: &Project, options: &SignalOptions, documents: u64) -> Result<Timed> {
        let probe = (documents < gated.asked_documents(self.version))
            .then(|| self.some(gated, documents))
            .transpose()?;
        let project = probe.as_ref().unwrap_or(gated);
        let score = ScoreOptions { beside: true, ..ScoreOptions::default() };
        let began = Instant::now();
        self.watch.take();
        let (directory, report) = project.score(self.version, options, score)?;
        let seconds = self.watch.take();
        let start = began.elapsed().as_secs_f64() - seconds;
        Ok(Timed { directory, seconds, start, tokens: report.map.tokens, computed: report.map.computed })
    }

    fn signal(&self, signal: &RecipeSignal, names: &mut Names, kept: &KeptByName) -> Result<StagePlan> {
        let (documents_in, is_empty) = self.inside(signal.on.as_deref(), kept);
        let mut plan = StagePlan {
            name: signal.name.clone(),
            is_signal: true,
            on: signal.on.clone(),
            documents_in,
            documents_out: documents_in,
            tokens: None,
            seconds: None,
            disk_bytes: 0.0,
            rehearsed: 0,
            note: None,
        };
        if is_empty {
            plan.note = Some(NOTHING_LEFT.to_owned());
            return Ok(plan);
        }
        let on = signal.on.as_deref().map(|on| names.on(on)).transpose()?;
        let behind = on.as_deref().map(|on| self.stage.on(on)).transpose()?;
        let gated = behind.as_ref().unwrap_or(self.stage);
        let inside = gated.asked_documents(self.version);
        let options = names.options(signal);
        // Some signals say nothing of a handful of documents, such as twenty clusters.
        let mut tried = Err(String::new());
        for few in [FIRST, 8 * FIRST, inside] {
            plan.rehearsed = few.min(inside);
            tried = self.timed(gated, &options, plan.rehearsed).map_err(|error| error.to_string());
            if tried.is_ok() {
                break;
            }
        }
        let first = match tried {
            Ok(first) => first,
            Err(why) => {
                (plan.rehearsed, plan.note) = (0, Some(why));
                return Ok(plan);
            }
        };
        let (mut directory, mut rate) = (first.directory, first.seconds / plan.rehearsed as f64);
        let (mut tokens, mut computed) = (first.tokens, first.computed);
        let affordable = ((SLICE - first.seconds).max(0.0) / rate.max(1e-9)) as u64;
        let more = (plan.rehearsed + affordable).min(inside);
        if more > plan.rehearsed && first.start < SLICE {
            let second = self.timed(gated, &options, more)?;
            let (own, few) = (second.computed.max(1) as f64, plan.rehearsed as f64);
            directory = second.directory;
            rate = second.seconds / own;
            // Both calls begin and end, which is not to be had a million times.
            if own >= 4.0 * few {
                rate = ((second.seconds - first.seconds) / (own - few)).clamp(rate / own, rate);
            }
            (tokens, computed) = (tokens + second.tokens, computed + second.computed);
            plan.rehearsed = more;
        }
        names.signals.insert(signal.name.clone(), directory.full_name().to_owned());
        // Two standard errors: the time of a document varies about as much as it is long, and lengths vary by their mean.
        let error = (2.0 / (plan.rehearsed as f64).sqrt()).clamp(LEAST_ERROR, 1.0);
        // Whatever few documents are asked, all of the corpus is read for them.
        let reads = self.size / self.sample.read_rate.max(1.0) / self.stage.threads as f64;
        let scores = (rate * documents_in).max(reads);
        let between = |factor: f64| first.start + scores * factor;
        plan.seconds =
            Some(Expected { value: between(1.0), low: between(1.0 - error), high: between(1.0 + error) });
        plan.tokens = (tokens > 0).then(|| tokens as f64 / computed.max(1) as f64 * documents_in);
        plan.disk_bytes = self.disk(&directory)? * documents_in;
        Ok(plan)
    }

    /// The same project for some of its documents.
    fn some(&self, project: &Project, documents: u64) -> Result<Project> {
        let options = SelectOptions {
            targets: vec![Target::Documents(documents)],
            stem: Some("probe".to_owned()),
            decide_only: true,
            ..SelectOptions::default()
        };
        let report = project.run_selection(&options, ScoreOptions::default())?;
        self.watch.take();
        project.without_gate().on(&report.name)
    }

    /// Bytes that a signal takes for each document that has a value.
    fn disk(&self, signal: &SignalDir) -> Result<f64> {
        let folder = format!("signals/{}", signal.full_name());
        let bytes: u64 = self.stage.run.store().list(&folder)?.iter().map(|entry| entry.size).sum();
        Ok(bytes as f64 / self.sample.documents.max(1) as f64)
    }

    fn selection(
        &self,
        (recipe, selection): (&Recipe, &RecipeSelection),
        names: &mut Names,
        kept: &mut KeptByName,
    ) -> Result<StagePlan> {
        let (documents_in, is_empty) = self.inside(selection.options.on.as_deref(), kept);
        let mut plan = StagePlan {
            name: selection.name.clone(),
            is_signal: false,
            on: selection.options.on.clone(),
            documents_in,
            documents_out: 0.0,
            tokens: None,
            seconds: None,
            disk_bytes: 0.0,
            rehearsed: 0,
            note: None,
        };
        let unknown = selection.reads().find(|name| {
            recipe.signals.iter().any(|signal| signal.name == *name) && !names.signals.contains_key(*name)
        });
        if let Some(name) = unknown.filter(|_| !is_empty) {
            plan.note = Some(format!("`{name}` could not be rehearsed"));
            kept.insert(selection.name.clone(), Kept { documents: documents_in, is_empty: true });
            return Ok(plan);
        }
        if is_empty {
            plan.note = Some(NOTHING_LEFT.to_owned());
            kept.insert(selection.name.clone(), Kept { documents: 0.0, is_empty });
            return Ok(plan);
        }
        let mut options = names.select(selection)?;
        (options.out, options.decide_only) = (None, true);
        let scale = self.sample.documents as f64 / self.sample.total.max(1.0);
        for target in &mut options.targets {
            let small = |amount: u64| ((amount as f64 * scale).round() as u64).max(1);
            *target = match *target {
                Target::Rate(rate) => Target::Rate(rate),
                Target::Documents(documents) => Target::Documents(small(documents)),
                Target::Tokens(tokens) => Target::Tokens(small(tokens)),
                Target::Bytes(bytes) => Target::Bytes(small(bytes)),
            };
        }
        let report =
            self.stage.run_selection(&options, ScoreOptions { beside: true, ..ScoreOptions::default() })?;
        self.watch.take();
        let counts = &report.manifest.counts;
        // What a dear signal had no time for is in no share.
        let outside = counts.dropped.get(reason::NOT_ASKED).copied().unwrap_or(0);
        let looked_at = (self.version.documents() - outside).max(1);
        let largest = report.manifest.targets.last();
        plan.rehearsed = looked_at;
        // A rate of few documents is rounded, a rate of many is not.
        let share = match options.targets.last() {
            Some(Target::Rate(rate)) => rate.as_f64() * counts.candidates as f64,
            _ => counts.kept as f64,
        };
        plan.documents_out = documents_in * share / looked_at as f64;
        plan.tokens = largest
            .and_then(|target| target.tokens)
            .map(|tokens| tokens as f64 / looked_at as f64 * documents_in);
        names.selections.insert(selection.name.clone(), report.name.clone());
        let is_empty = counts.kept == 0;
        kept.insert(selection.name.clone(), Kept { documents: plan.documents_out, is_empty });
        Ok(plan)
    }
}
