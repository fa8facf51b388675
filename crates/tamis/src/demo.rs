//! A small labelled corpus, the packaged models, four samplers, and how each did: the first thing to run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tamis_core::Direction;
use tamis_io::run::{CorpusVersion, SignalDir};
use tamis_samplers::{Rate, Target};

use crate::corpus_options::CorpusOptions;
use crate::evaluation::{Bootstrap, Estimate, auc_with_interval, baselines};
use crate::map::MapReport;
use crate::scoring::ScoreOptions;
use crate::select_options::SelectOptions;
use crate::signals::{AskOptions, DensityOptions, MinhashOptions, Named, SignalOptions, TokensOptions};
use crate::{Error, Observer, Project, Result};

/// The corpus: 571 documents with labels, copies among them; sources and licences in `demo/README.md`.
const CORPUS: &str = include_str!("../demo/corpus.jsonl");
const RATE: &str = "20%";
const TOKENIZER: &str = "smollm2";
/// The judge reads so many tokens of a document, from its beginning, so that all is done in some two minutes.
pub const JUDGED_TOKENS: usize = 140;

#[derive(Deserialize)]
struct Document {
    id: String,
    text: String,
    label: String,
    duplicate_of: Option<String>,
}

/// How one sampler did.
#[derive(Clone, Debug)]
pub struct DemoRow {
    /// `Ask-LLM`, `Density`, `MinHash` (no near-duplicate of a kept document), `Random`.
    pub sampler: &'static str,
    /// Documents kept.
    pub documents: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Share of them that is labelled bad, in [0, 1].
    pub bad: f64,
    /// Share of them that repeats another kept document, exactly or nearly, in [0, 1].
    pub duplicates: f64,
    /// AUC of the score, in keep order, against the labels; `None` for MinHash and Random, which are no scores.
    pub auc: Option<Estimate>,
    /// Seconds of scoring.
    pub seconds: f64,
    /// Tokens read by the model in that time; 0 when the scores were there before.
    pub scored_tokens: u64,
}

/// What the demo found so far: the first rows are there long before the judge's.
#[derive(Clone, Debug)]
pub struct DemoReport {
    /// Documents of the corpus.
    pub documents: usize,
    /// Share of them that is labelled bad.
    pub bad: f64,
    /// Share of them that repeats another one.
    pub duplicates: f64,
    /// One row a sampler: Ask-LLM where the judge is done, Density, MinHash, Random.
    pub rows: Vec<DemoRow>,
    /// Best trivial count: its name and direction, and its AUC on the same documents.
    pub baseline: (String, Estimate),
    /// What the judge and the sketch are worth here, in sentences.
    pub findings: Vec<String>,
    /// Folder of the corpus.
    pub corpus: String,
    /// Run directory.
    pub run: String,
}

/// Runs the demo in a folder; a second call uses the scores of the first. `first` is told what is known before the judge
/// begins.
///
/// # Errors
/// A folder that cannot be written, models that cannot be fetched.
pub fn demo(
    out: &Path,
    threads: usize,
    observer: Arc<dyn Observer>,
    first: impl FnOnce(&DemoReport),
) -> Result<DemoReport> {
    let corpus = out.join("corpus");
    write_corpus(&corpus)?;
    let run = out.join("run");
    let options = CorpusOptions {
        carry: Some(vec!["label".to_owned(), "kind".to_owned(), "source".to_owned()]),
        ..CorpusOptions::new(corpus.display().to_string())
    };
    let project = Project::open(Some(options), &run, threads, observer)?;
    // Another version of the demo may have asked for other things in this folder.
    let score = ScoreOptions { beside: true, ..ScoreOptions::default() };
    // A model that cannot be had is told before minutes go into another one.
    let tokens = SignalOptions::Tokens(TokensOptions { tokenizer: TOKENIZER.to_owned() });
    let density = SignalOptions::Density(DensityOptions::default());
    let ask = AskOptions { max_tokens: Some(JUDGED_TOKENS), ..AskOptions::default() }.into();
    for asked in [&tokens, &ask, &density] {
        project.check_score(asked, score)?;
    }
    let version = project.inventory()?;
    let documents: Vec<Document> = CORPUS
        .lines()
        .map(|line| {
            serde_json::from_str(line).map_err(|error| Error::state(format!("demo corpus: {error}"), ""))
        })
        .collect::<Result<_>>()?;

    let (_, embed_report) =
        project.score(&version, &SignalOptions::Embed(DensityOptions::default().embed), score)?;
    let (density, density_report) = project.score(&version, &density, score)?;
    let near = MinhashOptions::default().into();
    let (minhash, near_report) = project.score(&version, &near, score)?;
    let density_map = MapReport {
        tokens: embed_report.map.tokens,
        seconds: embed_report.map.seconds + density_report.map.seconds,
        ..density_report.map
    };
    let tokens = project.token_counts(&version, Some(TOKENIZER), score)?;

    // Copies of one document are not independent observations: they would make intervals too narrow.
    let distinct: Vec<&Document> =
        documents.iter().filter(|document| document.duplicate_of.is_none()).collect();
    let good: Vec<bool> = distinct.iter().map(|document| document.label == "good").collect();
    let texts: Vec<&str> = distinct.iter().map(|document| document.text.as_str()).collect();
    let bootstrap = Bootstrap::default();
    let best = baselines(&texts, &good, bootstrap)?.swap_remove(0);
    let side = match best.direction {
        Direction::HigherIsBetter => "higher",
        Direction::LowerIsBetter => "lower",
    };
    let baseline = (format!("{}, {side} is better", best.name.replace('_', " ")), best.auc);

    let row = |sampler: &'static str, by: &str, signal: Option<&SignalDir>, map: &MapReport| {
        let column = signal.map(|signal| project.column_of(signal, None)).transpose()?;
        let folder = out.join("kept").join(by);
        let select = SelectOptions {
            by: by.to_owned(),
            targets: vec![Target::Rate(rate()?)],
            out: Some(folder.clone()),
            ..SelectOptions::default()
        };
        let named = signal.zip(column.as_deref());
        let report = project.select(&version, named, tokens.as_ref(), &select)?;
        let target =
            report.manifest.targets.first().ok_or_else(|| Error::state("demo: nothing selected", ""))?;
        let kept = kept_ids(&folder)?;
        let auc = match named.filter(|(signal, _)| signal.record().name != MinhashOptions::NAME) {
            Some((signal, column)) => {
                let scores = keep_scores(&project, &version, signal, column, &distinct)?;
                Some(auc_with_interval(&scores, &good, bootstrap)?)
            }
            None => None,
        };
        let (bad, duplicates) = shares(&documents, &kept);
        Ok::<_, Error>(DemoRow {
            sampler,
            documents: target.documents,
            tokens: target.tokens.unwrap_or(0),
            bad,
            duplicates,
            auc,
            seconds: map.seconds,
            scored_tokens: map.tokens,
        })
    };
    let all: BTreeSet<String> = documents.iter().map(|document| document.id.clone()).collect();
    let (bad, duplicates) = shares(&documents, &all);
    let mut report = DemoReport {
        documents: documents.len(),
        bad,
        duplicates,
        rows: vec![
            row("Density", "density", Some(&density), &density_map)?,
            row("MinHash", "minhash", Some(&minhash), &near_report.map)?,
            row("Random", "random", None, &MapReport::default())?,
        ],
        baseline,
        findings: density_report.findings,
        corpus: corpus.display().to_string(),
        run: run.display().to_string(),
    };
    first(&report);

    let (ask, ask_report) = project.score(&version, &ask, score)?;
    report.rows.insert(0, row("Ask-LLM", "ask-llm", Some(&ask), &ask_report.map)?);
    report.findings.splice(0..0, ask_report.findings);
    Ok(report)
}

fn rate() -> Result<Rate> {
    Rate::parse(RATE).map_err(|error| Error::usage(error.to_string(), error.hint()))
}

fn write_corpus(folder: &Path) -> Result<()> {
    let file = folder.join("corpus.jsonl");
    if fs::read(&file).is_ok_and(|bytes| bytes == CORPUS.as_bytes()) {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        Error::state(
            format!("demo: cannot write `{}`: {error}", file.display()),
            "choose another folder with --out",
        )
    };
    fs::create_dir_all(folder).map_err(failed)?;
    fs::write(&file, CORPUS).map_err(failed)
}

fn kept_ids(folder: &Path) -> Result<BTreeSet<String>> {
    let file = folder.join("corpus.jsonl");
    let text = fs::read_to_string(&file)
        .map_err(|error| Error::state(format!("demo: cannot read `{}`: {error}", file.display()), ""))?;
    let id = |line: &str| serde_json::from_str::<Document>(line).ok().map(|document| document.id);
    Ok(text.lines().filter_map(id).collect())
}

/// Share of bad documents among some, and share of those that repeat another one of them.
fn shares(documents: &[Document], among: &BTreeSet<String>) -> (f64, f64) {
    let chosen = || documents.iter().filter(|document| among.contains(&document.id));
    let count = chosen().count().max(1) as f64;
    let bad = chosen().filter(|document| document.label == "bad").count() as f64;
    let originals: BTreeSet<&str> =
        chosen().map(|document| document.duplicate_of.as_deref().unwrap_or(&document.id)).collect();
    (bad / count, 1.0 - originals.len() as f64 / count)
}

/// Scores in keep order (larger = kept first), in the order of the documents.
fn keep_scores(
    project: &Project,
    version: &CorpusVersion,
    signal: &SignalDir,
    column: &str,
    documents: &[&Document],
) -> Result<Vec<f64>> {
    let by_id: BTreeMap<String, f64> = project.percentiles_by_id(version, signal, column)?;
    documents
        .iter()
        .map(|document| {
            by_id.get(&document.id).copied().ok_or_else(|| {
                Error::state(
                    format!("demo: document `{}` has no score", document.id),
                    "look into the run's quarantine/",
                )
            })
        })
        .collect()
}
