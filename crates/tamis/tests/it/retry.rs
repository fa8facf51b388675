//! Rows that failed, asked again: only they are, whatever stops it, and nothing is selected by what became stale.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tamis::options::{AskOptions, ColumnOptions, DensityOptions, EmbedOptions, ServerOptions, SignalOptions};
use tamis::{
    By, Error, FailedRows, MapReport, Project, Result, Rule, ScoreOptions, SelectReport, Silent, Worker,
};
use tamis_io::run::{CorpusVersion, SignalDir};
use tamis_io::store::Store;

use crate::signals::{open, rates, selecting};
use crate::support::corpus;
use crate::support::folder;
use crate::support::observers::{Shared, Watch, until_stopped};
use crate::support::read::values;
use crate::support::server::{Reply, Stub, well_behaved};
use crate::support::snapshot::{assert_same, snapshot};
use crate::support::steps::{DISK_FULL, Fate, Steps};

/// A server that refuses about a third of all texts while it is broken.
struct Breakable {
    stub: Stub,
    broken: Arc<AtomicBool>,
}

impl Breakable {
    fn start() -> Self {
        let broken = Arc::new(AtomicBool::new(true));
        let now = Arc::clone(&broken);
        let stub = Stub::start(move |asked| {
            let texts = asked.body["input"].as_array();
            let bad = |text: &str| text.starts_with('w') && text.bytes().map(u32::from).sum::<u32>() % 3 == 0;
            let judged = asked.body["prompt"].as_str().is_some_and(|text| {
                // The document's words stand somewhere in the prompt: a `w` and three digits.
                let own =
                    |word: &&str| word.strip_prefix('w').is_some_and(|rest| rest.parse::<u32>().is_ok());
                bad(&text.split_whitespace().filter(own).collect::<String>())
            });
            let embedded = texts.is_some_and(|texts| texts.iter().any(|text| bad(text.as_str().unwrap())));
            if now.load(Ordering::SeqCst) && (judged || embedded) {
                return Reply::Json(400, json!({ "error": "adapter gone" }));
            }
            well_behaved(asked)
        });
        Self { stub, broken }
    }

    fn set(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    /// Texts that were asked about so far.
    fn asked(&self) -> usize {
        self.stub.asked().iter().filter(|asked| asked.path == "/v1/completions").count()
    }

    fn ask(&self) -> SignalOptions {
        SignalOptions::AskLlm(AskOptions {
            model: format!("{}/v1#fake", self.stub.url()),
            server: ServerOptions { retries: 0, ..ServerOptions::default() },
            ..AskOptions::default()
        })
    }

    fn embed(&self) -> SignalOptions {
        SignalOptions::Embed(self.embed_options())
    }

    fn embed_options(&self) -> EmbedOptions {
        EmbedOptions {
            model: format!("{}/v1#fake", self.stub.url()),
            server: ServerOptions { retries: 0, ..ServerOptions::default() },
            store_f32: true,
            ..EmbedOptions::default()
        }
    }

    fn density(&self) -> SignalOptions {
        SignalOptions::Density(DensityOptions {
            embed: self.embed_options(),
            repetitions: 100,
            buckets: Some(512),
            ..DensityOptions::default()
        })
    }
}

const RETRY: ScoreOptions = ScoreOptions {
    worker: Worker::ALONE,
    beside: false,
    refit: false,
    failed: FailedRows::Retry,
    wait: false,
};

fn score(
    project: &Project,
    version: &CorpusVersion,
    asked: &SignalOptions,
    options: ScoreOptions,
) -> Result<(SignalDir, MapReport)> {
    project.score(version, asked, options).map(|(directory, report)| (directory, report.map))
}

fn select(project: &Project, version: &CorpusVersion, by: &str, name: Option<&str>) -> Result<SelectReport> {
    let signal = project.run_directory().resolve(by)?;
    let mut options = selecting(by, Some(Rule::Top), rates(&["20%"]));
    options.name = name.map(str::to_owned);
    project.select(version, Some((&signal, "score")), None, &options)
}

/// What a plan says of rows that would be asked again.
fn to_ask_again(project: &Project, asked: &SignalOptions) -> u64 {
    let plan = project.plan(&By::Exactly(asked), RETRY, None).unwrap().json();
    plan["signal"]["rows_to_ask_again"].as_u64().unwrap()
}

fn by_id(values: Vec<(String, Option<f64>)>) -> BTreeMap<String, Option<u64>> {
    values.into_iter().map(|(id, value)| (id, value.map(f64::to_bits))).collect()
}

fn three_shards(folder: &Path) {
    for (at, name) in ["a", "b", "sub/c"].into_iter().enumerate() {
        corpus::write(
            folder,
            &format!("{name}.jsonl"),
            &corpus::lines(&corpus::documents(at as u64 + 1, 40)),
        );
    }
}

#[test]
fn only_failed_rows_are_asked_again_and_others_keep_their_bits() {
    let (corpus, run, healthy) = (folder(), folder(), folder());
    three_shards(corpus.path());
    let server = Breakable::start();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let (signal, first) = score(&project, &version, &server.ask(), ScoreOptions::default()).unwrap();
    let failed = first.failed["refused-by-server"];
    assert!(failed > 15 && failed < 105, "{failed}");
    assert_eq!(to_ask_again(&project, &server.ask()), failed);
    let before = snapshot(run.path());
    let first_values = by_id(values(&project, &version, &signal, "score"));
    let earlier = select(&project, &version, "ask-llm", Some("mine")).unwrap();
    let unnamed = select(&project, &version, "ask-llm", None).unwrap();

    server.set(false);
    let asked = server.asked();
    let (signal, again) = score(&project, &version, &server.ask(), RETRY).unwrap();
    assert_eq!((again.asked_again, again.mended, again.computed), (failed, failed, failed));
    assert_eq!(server.asked() - asked, failed as usize + 1, "one more looks whether it answers");
    assert_eq!((again.failed.len(), again.documents), (0, version.documents()));
    assert_eq!(to_ask_again(&project, &server.ask()), 0);
    let other = open(corpus.path(), healthy.path(), 2, &Silent);
    let (well, _) =
        score(&other, &other.inventory().unwrap(), &server.ask(), ScoreOptions::default()).unwrap();
    let now = by_id(values(&project, &version, &signal, "score"));
    assert_eq!(now, by_id(values(&other, &version, &well, "score")), "as if it had never failed");
    assert!(first_values.iter().all(|(id, value)| value.is_none() || now[id] == *value));
    let after = snapshot(run.path());
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "a file was rewritten");

    // Asked once more, there is nothing to ask.
    let (_, nothing) = score(&project, &version, &server.ask(), RETRY).unwrap();
    assert_eq!((nothing.asked_again, nothing.computed), (0, 0));
    assert_same(&snapshot(run.path()), &after, "nothing to ask");

    // Another selection, by name and by plan; the earlier one stands as it was.
    let later = select(&project, &version, "ask-llm", None).unwrap();
    assert_ne!(later.name, unnamed.name);
    let generations = &later.manifest.plan["by.generations"];
    let named: BTreeMap<String, u64> = serde_json::from_str(generations).unwrap();
    assert!(named.values().all(|generation| *generation == 2) && !named.is_empty(), "{generations}");
    assert!(!earlier.manifest.plan.contains_key("by.generations"));
    assert!(later.manifest.counts.failed_rows() < earlier.manifest.counts.failed_rows());
    let error = select(&project, &version, "ask-llm", Some("mine")).unwrap_err();
    assert!(error.to_string().contains("by.generations"), "{error}");
    assert!(snapshot(run.path()).iter().filter(|(path, _)| path.contains("selections/mine/")).count() > 3);
}

#[test]
fn a_row_that_failed_by_what_its_document_is_is_not_asked_again() {
    let (corpus, run) = (folder(), folder());
    let mut documents = corpus::documents(3, 30);
    documents[4].quality = None;
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&documents));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let asked = SignalOptions::Column(ColumnOptions { name: "quality".to_owned() });
    let (_, first) = score(&project, &version, &asked, ScoreOptions::default()).unwrap();
    assert_eq!(first.failed["missing-or-null"], 1);
    let before = snapshot(run.path());
    let (_, again) = score(&project, &version, &asked, RETRY).unwrap();
    assert_eq!((again.asked_again, again.failed), (0, first.failed));
    assert_same(&snapshot(run.path()), &before, "no generation");
}

#[test]
fn a_server_that_stops_the_run_loses_nothing_that_was_scored() {
    let (corpus, run, healthy) = (folder(), folder(), folder());
    three_shards(corpus.path());
    let server = Breakable::start();
    let SignalOptions::AskLlm(ask) = server.ask() else { unreachable!() };
    let strict = |rows| {
        let server = ServerOptions { stop_after_failed: rows, concurrency: 1, ..ask.server.clone() };
        SignalOptions::AskLlm(AskOptions { server, ..ask.clone() })
    };
    let watch = Watch::counting();
    let project = open(corpus.path(), run.path(), 1, &watch);
    let version = project.inventory().unwrap();
    let error = score(&project, &version, &strict(2), ScoreOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("2 rows in a row have no value, the last one `refused-by-server`"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("--retry-failed"));
    // The remedy of the hint.
    server.set(false);
    let (signal, report) = score(&project, &version, &strict(2), RETRY).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let other = open(corpus.path(), healthy.path(), 1, &Silent);
    let (well, _) = score(&other, &version_of(&other), &server.ask(), ScoreOptions::default()).unwrap();
    assert_eq!(
        by_id(values(&project, &version, &signal, "score")),
        by_id(values(&other, &version, &well, "score"))
    );
}

fn version_of(project: &Project) -> CorpusVersion {
    project.inventory().unwrap()
}

/// Everything that a user does, in a run that may be in any state: score while the server is broken, then ask again.
fn all(
    server: &Breakable,
    asked: &SignalOptions,
    corpus: &Path,
    run: Store,
    observer: &impl Shared,
) -> Result<()> {
    let corpus = tamis::options::CorpusOptions::new(corpus.to_str().unwrap());
    let project = Project::open_in(Some(corpus), run, 1, observer.shared())?;
    let version = project.inventory()?;
    // Begun when it was broken: whether that call ended, or was stopped, its rows are of that time.
    server.set(true);
    score(&project, &version, asked, ScoreOptions::default())?;
    server.set(false);
    score(&project, &version, asked, RETRY)?;
    Ok(())
}

#[test]
fn stopped_at_any_step_asking_again_goes_on_to_the_same_bytes() {
    let corpus = folder();
    for (at, name) in ["a", "b"].into_iter().enumerate() {
        corpus::write(
            corpus.path(),
            &format!("{name}.jsonl"),
            &corpus::lines(&corpus::documents(at as u64 + 1, 9)),
        );
    }
    let server = Breakable::start();
    for asked in [server.ask(), server.embed()] {
        let whole = folder();
        all(&server, &asked, corpus.path(), Store::local(whole.path()), &Silent).unwrap();
        let expected = snapshot(whole.path());
        assert!(
            expected.keys().any(|path| path.contains("/.generations/2/receipts/")),
            "{:?}",
            expected.keys()
        );
        for at in 1.. {
            let run = folder();
            let steps = Arc::new(Steps::new(at, Fate::FailForEver(DISK_FULL)));
            let store = Store::local(run.path()).watched(Arc::<Steps>::clone(&steps));
            let outcome = all(&server, &asked, corpus.path(), store, &Silent);
            if steps.count() < at {
                outcome.unwrap();
                assert!(at > 60, "{at} steps");
                break;
            }
            let error = outcome.unwrap_err();
            assert!(error.to_string().contains("No space left"), "step {at}: {error}");
            let whole = |path: &String| !path.contains("/.parts/");
            let found = snapshot(run.path());
            assert!(
                found
                    .iter()
                    .filter(|(path, _)| whole(path))
                    .all(|(path, bytes)| expected.get(path) == Some(bytes))
            );
            all(&server, &asked, corpus.path(), Store::local(run.path()), &Silent).unwrap();
            assert_same(&snapshot(run.path()), &expected, &format!("stopped at step {at}"));
        }
    }
}

#[test]
fn threads_workers_and_two_at_once_ask_every_failed_row_and_give_the_same_bytes() {
    let corpus = folder();
    three_shards(corpus.path());
    let server = Breakable::start();
    let begin = |run: &Path| {
        server.set(true);
        let project = open(corpus.path(), run, 2, &Silent);
        let version = project.inventory().unwrap();
        score(&project, &version, &server.ask(), ScoreOptions::default()).unwrap();
        server.set(false);
        version
    };
    let whole = folder();
    let version = begin(whole.path());
    let project = open(corpus.path(), whole.path(), 2, &Silent);
    let (_, report) = score(&project, &version, &server.ask(), RETRY).unwrap();
    let expected = snapshot(whole.path());

    let run = folder();
    let version = begin(run.path());
    let mut again = 0;
    for index in [2, 3, 1] {
        let project = open(corpus.path(), run.path(), 1, &Silent);
        let options = ScoreOptions { worker: Worker { index, of: 3 }, ..RETRY };
        again += score(&project, &version, &server.ask(), options).unwrap().1.asked_again;
    }
    assert_eq!(again, report.asked_again);
    assert_same(&snapshot(run.path()), &expected, "three workers");

    let run = folder();
    let version = begin(run.path());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let project = open(corpus.path(), run.path(), 2, &Silent);
                score(&project, &version, &server.ask(), RETRY).unwrap();
            });
        }
    });
    assert_same(&snapshot(run.path()), &expected, "two at once");
}

#[test]
fn density_of_embeddings_that_were_asked_again_is_refused_until_it_is_computed_again() {
    let (corpus, run) = (folder(), folder());
    three_shards(corpus.path());
    let server = Breakable::start();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let (density, first) = score(&project, &version, &server.density(), ScoreOptions::default()).unwrap();
    let failed = first.failed["input-failed"];
    assert!(failed > 10, "{failed}");
    let before = by_id(values(&project, &version, &density, "score"));
    select(&project, &version, "density", None).unwrap();

    server.set(false);
    let (_, embedded) = score(&project, &version, &server.embed(), RETRY).unwrap();
    assert_eq!(embedded.mended, failed);
    for stale in [
        select(&project, &version, "density", None).map(drop),
        score(&project, &version, &server.density(), ScoreOptions::default()).map(drop),
    ] {
        let error: Error = stale.unwrap_err();
        assert!(error.to_string().contains("before failed rows of `embed@"), "{error}");
        assert!(error.hint().unwrap().contains("tamis score density --retry-failed"), "{error}");
    }
    // The remedy of the hint.
    let (density, again) = score(&project, &version, &server.density(), RETRY).unwrap();
    assert_eq!((again.asked_again, again.mended), (failed, failed));
    assert!(again.failed.is_empty());
    let now = by_id(values(&project, &version, &density, "score"));
    assert!(before.iter().all(|(id, value)| value.is_none() || now[id] == *value), "values changed");
    // Those that the sketch does not hold count themselves.
    let new: Vec<f64> = now
        .iter()
        .filter(|(id, _)| before[*id].is_none())
        .map(|(_, value)| f64::from_bits(value.unwrap()))
        .collect();
    assert!(new.len() == failed as usize && new.iter().all(|density| *density >= 1.0), "{new:?}");
    let selected = select(&project, &version, "density", None).unwrap();
    assert!(selected.manifest.plan.contains_key("by.generations"));
    score(&project, &version, &server.density(), ScoreOptions::default()).unwrap();
    // A sketch of all embeddings, from the same shards as the one before, is the one to go on with.
    let refit = ScoreOptions { refit: true, ..ScoreOptions::default() };
    let (anew, report) = score(&project, &version, &server.density(), refit).unwrap();
    assert_ne!(anew.full_name(), density.full_name());
    assert_eq!(report.computed, version.documents());
    let (used, report) = score(&project, &version, &server.density(), ScoreOptions::default()).unwrap();
    assert_eq!((used.full_name(), report.computed), (anew.full_name(), 0));
}

#[test]
fn asking_again_in_vain_changes_no_selection_and_no_density() {
    let (corpus, run) = (folder(), folder());
    three_shards(corpus.path());
    let server = Breakable::start();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let (_, first) = score(&project, &version, &server.ask(), ScoreOptions::default()).unwrap();
    let before = select(&project, &version, "ask-llm", None).unwrap();
    score(&project, &version, &server.density(), ScoreOptions::default()).unwrap();
    for _ in 0..2 {
        let (_, again) = score(&project, &version, &server.ask(), RETRY).unwrap();
        assert_eq!((again.asked_again, again.mended), (first.failed.values().sum(), 0));
        assert_eq!(select(&project, &version, "ask-llm", None).unwrap().name, before.name);
        score(&project, &version, &server.embed(), RETRY).unwrap();
        let (_, density) = score(&project, &version, &server.density(), ScoreOptions::default()).unwrap();
        assert_eq!(density.computed, 0);
    }
    // A row that has a value now makes another selection.
    server.set(false);
    score(&project, &version, &server.ask(), RETRY).unwrap();
    assert_ne!(select(&project, &version, "ask-llm", None).unwrap().name, before.name);
}

#[test]
fn density_that_was_stopped_goes_on_from_the_embeddings_that_its_sketch_holds() {
    let corpus = folder();
    three_shards(corpus.path());
    let server = Breakable::start();
    let finish = |run: &Path, stop: Option<u64>| {
        server.set(true);
        if let Some(stop) = stop {
            let watch = Watch::stopping("score density", stop);
            let stopped = until_stopped(&watch, |watch| {
                let project = open(corpus.path(), run, 1, watch);
                score(&project, &version_of(&project), &server.density(), ScoreOptions::default()).unwrap();
            });
            assert!(stopped);
        } else {
            let project = open(corpus.path(), run, 1, &Silent);
            score(&project, &version_of(&project), &server.density(), ScoreOptions::default()).unwrap();
        }
        server.set(false);
        let project = open(corpus.path(), run, 1, &Silent);
        let version = version_of(&project);
        score(&project, &version, &server.embed(), RETRY).unwrap();
        score(&project, &version, &server.density(), RETRY).unwrap();
        snapshot(run)
    };
    let whole = folder();
    let expected = finish(whole.path(), None);
    for stop in [1, 2, 3] {
        let run = folder();
        assert_same(&finish(run.path(), Some(stop)), &expected, &format!("stopped at {stop}"));
    }
}
