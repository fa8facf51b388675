//! A column that is carried later is the column carried from the start: value by value, whatever was in between.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use tamis::options::{BandOptions, CorpusOptions};
use tamis::{Project, Rule, ScoreOptions, Silent};
use tamis_io::run::CorpusVersion;
use tamis_io::sidecar::SidecarColumns;
use tamis_io::store::Store;

use crate::signals::{column, rates, selecting};
use crate::support::corpus::{self, Document};
use crate::support::folder;
use crate::support::observers::{Shared, Watch, until_stopped};
use crate::support::random::Random;
use crate::support::read;
use crate::support::snapshot::{assert_same, snapshot};
use crate::support::steps::{DISK_FULL, Fate, Steps};

/// Values that a corpus may have of a column: what JSON writes after the colon, `None` where the key is missing.
const VALUES: [Option<&str>; 16] = [
    None,
    Some("null"),
    Some("\"en\""),
    Some("\"fi\""),
    Some("\"en\""),
    Some("\"\""),
    Some("\" en\""),
    Some("\"a \\\"quote\\\" \\u00e9 \\ud83d\\ude00 \\n\""),
    Some("\"質\""),
    Some("17"),
    Some("123456789012345678901234567890"),
    Some("-0.50"),
    Some("true"),
    Some("[1, \"x\"]"),
    Some("{\"deep\": {\"er\": null}}"),
    Some("1e400"),
];

fn line(document: &Document, value: Option<&str>) -> String {
    let plain = document.line();
    match value {
        Some(value) => {
            format!("{}, \"lang\": {value}, \"meta\": {{\"source\": {value}}}}}", &plain[..plain.len() - 1])
        }
        None => plain,
    }
}

/// Shards with any value in any row, lines that cannot be read, blank ones, and an empty shard.
fn any_corpus(folder: &Path, seed: u64) {
    let mut random = Random::new(seed);
    for (shard, documents) in [("a/large.jsonl", 500), ("b.jsonl", 40), ("c.jsonl", 1)] {
        let documents = corpus::documents(seed + documents as u64, documents);
        let mut lines: Vec<String> =
            documents.iter().map(|document| line(document, VALUES[random.below(VALUES.len())])).collect();
        lines.push("{\"id\": \"broken\", ".to_owned());
        lines.insert(0, String::new());
        lines[1] = line(&documents[0], Some("\"en\""));
        corpus::write(folder, shard, &lines);
    }
    std::fs::write(folder.join("nothing.jsonl"), "").unwrap();
}

fn options(corpus: &Path, carry: Option<&[&str]>) -> CorpusOptions {
    let carry = carry.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    CorpusOptions { carry, ..CorpusOptions::new(corpus.to_str().unwrap()) }
}

fn open(corpus: &Path, run: &Path, carry: Option<&[&str]>, observer: &impl Shared) -> Project {
    Project::open(Some(options(corpus, carry)), run, 2, observer.shared()).unwrap()
}

type Values = Vec<(u64, Option<String>)>;

/// Rows and values of a column, by shard: from the inventories where they have it, else from its sidecars.
fn values(project: &Project, version: &CorpusVersion, name: &str) -> BTreeMap<String, Values> {
    let run = project.run_directory();
    let signals = run.signals().unwrap();
    let signal = signals.iter().find(|signal| signal.record().fingerprint["column"] == name);
    let of = |shard| {
        let (reader, value) = if version.columns.carry.iter().any(|carried| carried == name) {
            let path: &tamis_io::run::ShardRecord = shard;
            (run.read_inventory(&path.path, SidecarColumns::Named(&["row", name])).unwrap(), name)
        } else {
            (signal.unwrap().read(shard, SidecarColumns::Named(&["row", "value"])).unwrap(), "value")
        };
        let mut all = Vec::new();
        for batch in reader {
            let batch = batch.unwrap();
            let rows = batch.column_by_name("row").unwrap().as_primitive::<arrow_array::types::UInt64Type>();
            let texts = batch.column_by_name(value).unwrap().as_string::<i32>();
            all.extend(rows.values().iter().copied().zip(texts.iter().map(|text| text.map(str::to_owned))));
        }
        all
    };
    version.shards.iter().map(|shard| (shard.path.clone(), of(shard))).collect()
}

#[test]
fn a_column_carried_later_equals_the_column_carried_at_first() {
    const NAMES: [&str; 4] = ["lang", "meta.source", "q.a", "q-a"];
    for seed in 0..20 {
        let corpus = folder();
        any_corpus(corpus.path(), seed);
        let (first, later) = (folder(), folder());
        let at_first = open(corpus.path(), first.path(), Some(&NAMES), &Silent);
        let version = at_first.inventory().unwrap();
        let begun = open(corpus.path(), later.path(), None, &Silent).inventory().unwrap();
        assert_eq!((version.columns.carry.len(), begun.columns.carry.len()), (4, 0));
        let before = snapshot(later.path());
        // One by one, and two at a time.
        for names in [&NAMES[..1], &NAMES[1..3], &NAMES[2..]] {
            let project = open(corpus.path(), later.path(), Some(names), &Silent);
            assert_eq!(project.inventory().unwrap(), begun);
        }
        let project = open(corpus.path(), later.path(), None, &Silent);
        for name in NAMES {
            let expected = values(&at_first, &version, name);
            assert!(expected.values().flatten().any(|(_, value)| value.is_some()), "{seed} {name}");
            assert_eq!(values(&project, &begun, name), expected, "{seed} {name}");
        }
        let mut after = snapshot(later.path());
        after.retain(|name, _| before.contains_key(name));
        assert_same(&after, &before, "what was there");
    }
}

#[test]
fn a_value_that_is_no_text_is_null_later_and_takes_no_document_away() {
    let corpus = folder();
    let documents = corpus::documents(3, 3);
    let half = Some("\"half \\ud83d of it\"");
    let lines = [line(&documents[0], Some("\"en\"")), line(&documents[1], half), line(&documents[2], None)];
    corpus::write(corpus.path(), "a.jsonl", &lines);
    let run = folder();
    let begun = open(corpus.path(), run.path(), None, &Silent).inventory().unwrap();
    assert_eq!(begun.documents(), 3);
    let project = open(corpus.path(), run.path(), Some(&["lang"]), &Silent);
    let version = project.inventory().unwrap();
    let expected = vec![(0, Some("en".to_owned())), (1, None), (2, None)];
    assert_eq!(values(&project, &version, "lang")["a.jsonl"], expected);
    // A score of the column has no value there, and the documents are as many.
    let (_, report) = project.score(&version, &column("lang"), ScoreOptions::default()).unwrap();
    assert_eq!((report.map.documents, report.map.failed.values().sum::<u64>()), (3, 3));
    // Carried from the start, that row is not one.
    let first = folder();
    assert_eq!(
        open(corpus.path(), first.path(), Some(&["lang"]), &Silent).inventory().unwrap().documents(),
        2
    );
}

#[test]
fn strata_by_a_later_column_give_the_same_decisions_and_no_score_again() {
    let corpus = folder();
    any_corpus(corpus.path(), 5);
    let select = |stratum: &str, name: &str| {
        let mut options = selecting("column:quality", Some(Rule::Band), rates(&["10%", "40%"]));
        options.band = BandOptions { stratum: Some(stratum.to_owned()), ..BandOptions::default() };
        options.name = Some(name.to_owned());
        options
    };
    let (first, later) = (folder(), folder());
    let decide = |project: &Project, version: &CorpusVersion, stratum: &str, name: &str| {
        let signal = project.run_directory().resolve("column-quality").unwrap();
        project.select(version, Some((&signal, "score")), None, &select(stratum, name)).unwrap();
        read::decisions(project, version, name)
    };
    let at_first = open(corpus.path(), first.path(), Some(&["lang", "meta.source"]), &Silent);
    let version = at_first.inventory().unwrap();
    at_first.score(&version, &column("quality"), ScoreOptions::default()).unwrap();
    let begun = open(corpus.path(), later.path(), None, &Silent);
    let own = begun.inventory().unwrap();
    begun.score(&own, &column("quality"), ScoreOptions::default()).unwrap();
    let without = {
        let mut options = select("lang", "without");
        options.band.stratum = None;
        let signal = begun.run_directory().resolve("column-quality").unwrap();
        begun.select(&own, Some((&signal, "score")), None, &options).unwrap();
        read::decisions(&begun, &own, "without")
    };
    let watch = Watch::counting();
    let project = open(corpus.path(), later.path(), Some(&["lang"]), &watch);
    let own = project.inventory().unwrap();
    let expected = decide(&at_first, &version, "lang", "x");
    assert_eq!(decide(&project, &own, "lang", "x"), expected);
    assert_ne!(without, expected, "strata change what is kept");
    // A column that nobody carried yet, asked for by the selection alone.
    assert_eq!(decide(&project, &own, "meta.source", "y"), decide(&at_first, &version, "meta.source", "y"));
    assert_eq!(watch.documents("score column-quality") + watch.documents("read corpus"), 0);
    assert_eq!(watch.documents("read column lang"), own.documents());
    assert!(watch.said().contains("`lang` is carried from now on"), "{}", watch.said());
    // The same in a run that carries it already says nothing and reads nothing.
    let watch = Watch::counting();
    open(corpus.path(), later.path(), Some(&["lang", "meta.source"]), &watch).inventory().unwrap();
    assert!(!watch.said().contains("carried"), "{}", watch.said());
    assert_eq!(watch.stages(), BTreeMap::new());
}

#[test]
fn a_pass_for_a_column_that_is_stopped_goes_on_and_shards_that_come_later_are_read_alone() {
    let corpus = folder();
    any_corpus(corpus.path(), 8);
    let whole = folder();
    open(corpus.path(), whole.path(), None, &Silent).inventory().unwrap();
    open(corpus.path(), whole.path(), Some(&["lang"]), &Silent).inventory().unwrap();
    let expected = snapshot(whole.path());
    for stop in 1..=3 {
        let run = folder();
        open(corpus.path(), run.path(), None, &Silent).inventory().unwrap();
        let watch = Watch::stopping("read column lang", stop);
        let stopped = until_stopped(&watch, |watch| {
            open(corpus.path(), run.path(), Some(&["lang"]), watch).inventory().unwrap();
        });
        assert!(stopped, "{stop}");
        // Whoever comes next finishes it, whether it asks or not.
        open(corpus.path(), run.path(), None, &Silent).inventory().unwrap();
        assert_same(&snapshot(run.path()), &expected, &format!("stopped at {stop}"));
    }
    // Two at once.
    let run = folder();
    open(corpus.path(), run.path(), None, &Silent).inventory().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| open(corpus.path(), run.path(), Some(&["lang"]), &Silent).inventory().unwrap());
        }
    });
    assert_same(&snapshot(run.path()), &expected, "two at once");

    let later = corpus::documents(99, 37);
    let lines: Vec<String> = later.iter().map(|document| line(document, Some("\"sv\""))).collect();
    corpus::write(corpus.path(), "z.jsonl", &lines);
    let watch = Watch::counting();
    let project = open(corpus.path(), run.path(), None, &watch);
    let version = project.inventory().unwrap();
    assert_eq!((watch.documents("read column lang"), watch.documents("read corpus")), (37, 37));
    assert_eq!(values(&project, &version, "lang")["z.jsonl"].len(), 37);
    assert!(values(&project, &version, "lang")["z.jsonl"].iter().all(|(_, v)| v.as_deref() == Some("sv")));
}

#[test]
fn every_step_of_a_pass_for_a_column_may_fail_and_be_gone_on_from() {
    let corpus = folder();
    let documents = corpus::documents(2, 6);
    let lines: Vec<String> = documents.iter().map(|document| line(document, Some("\"en\""))).collect();
    corpus::write(corpus.path(), "a.jsonl", &lines[..4]);
    corpus::write(corpus.path(), "b.jsonl", &lines[4..]);
    let begin = |run: &Path| drop(open(corpus.path(), run, None, &Silent).inventory().unwrap());
    let carry = |run: &Path, steps: &Arc<Steps>| {
        let store = Store::local(run).watched(Arc::<Steps>::clone(steps));
        let project =
            Project::open_in(Some(options(corpus.path(), Some(&["lang"]))), store, 1, Arc::new(Silent))?;
        project.inventory().map(drop)
    };
    let whole = folder();
    begin(whole.path());
    let steps = Arc::new(Steps::new(0, Fate::Fail(DISK_FULL)));
    carry(whole.path(), &steps).unwrap();
    let expected = snapshot(whole.path());
    assert!(expected.keys().any(|name| name.contains("carried-lang@")) && steps.count() > 10);
    for at in 1..=steps.count() {
        let run = folder();
        begin(run.path());
        let result = carry(run.path(), &Arc::new(Steps::new(at, Fate::Fail(DISK_FULL))));
        if let Err(error) = result {
            assert!(error.hint().is_some() && !error.is_usage(), "{at}: {error}");
        }
        open(corpus.path(), run.path(), Some(&["lang"]), &Silent).inventory().unwrap();
        assert_same(&snapshot(run.path()), &expected, &format!("step {at}"));
    }
}

#[test]
fn a_first_pass_that_was_stopped_goes_on_with_its_own_columns_and_carries_others_beside() {
    let corpus = folder();
    any_corpus(corpus.path(), 11);
    let mut begun = false;
    for stop in 2..12 {
        let run = folder();
        let watch = Watch::stopping("read corpus", stop);
        let stopped = until_stopped(&watch, |watch| {
            open(corpus.path(), run.path(), Some(&["lang"]), watch).inventory().unwrap();
        });
        let some =
            snapshot(run.path()).keys().any(|name| name.starts_with("inventory/") && name.ends_with(".json"));
        let project = open(corpus.path(), run.path(), Some(&["meta.source"]), &Silent);
        let version = project.inventory().unwrap();
        if stopped && some {
            begun = true;
            assert_eq!(version.columns.carry, ["lang"]);
        }
        let source = values(&project, &version, "meta.source");
        assert!(source.values().flatten().any(|(_, value)| value.as_deref() == Some("en")));
    }
    assert!(begun, "no stop came between two shards");
}

#[test]
fn names_that_are_no_file_names_and_names_of_the_run_itself_can_be_carried() {
    let corpus = folder();
    let long = "x".repeat(150);
    let names = ["a/b", "../up", "a b", "failed", "value", "bytes", "text_digest", "質", long.as_str()];
    let mut object = serde_json::Map::new();
    for name in names {
        object.insert(name.to_owned(), format!("value of {name}").into());
    }
    object.insert("text".to_owned(), "some words".into());
    std::fs::write(corpus.path().join("a.jsonl"), serde_json::to_string(&object).unwrap()).unwrap();
    let (run, later) = (folder(), folder());
    open(corpus.path(), later.path(), None, &Silent).inventory().unwrap();
    for run in [&run, &later] {
        let project = open(corpus.path(), run.path(), Some(&names), &Silent);
        let version = project.inventory().unwrap();
        for name in names {
            let found = values(&project, &version, name);
            assert_eq!(found["a.jsonl"], [(0, Some(format!("value of {name}")))], "{name}");
        }
        let why = project.why("a.jsonl:1").unwrap();
        assert_eq!(why.carried.len(), names.len());
        assert!(
            why.carried.iter().all(|(name, value)| value.as_deref() == Some(&format!("value of {name}")))
        );
        assert!(why.readings.is_empty());
    }
}

#[test]
fn of_two_that_begin_one_run_otherwise_the_second_is_refused_and_loses_nothing() {
    let (corpus, run) = (folder(), folder());
    any_corpus(corpus.path(), 3);
    // Both look at a folder in which nothing has begun.
    let first = open(corpus.path(), run.path(), Some(&["lang"]), &Silent);
    let second = open(corpus.path(), run.path(), None, &Silent);
    let version = first.inventory().unwrap();
    let begun = snapshot(run.path());
    let error = second.inventory().unwrap_err();
    assert!(error.to_string().contains("carried columns: stored `lang`, asked ``"), "{error}");
    assert_same(&snapshot(run.path()), &begun, "refused");
    // The remedy: the same command again.
    let again = open(corpus.path(), run.path(), None, &Silent);
    assert_eq!(again.inventory().unwrap(), version);

    // A first pass that was stopped before any shard was read has fixed how the others are.
    let run = folder();
    let watch = Watch::stopping("read corpus", 1);
    assert!(until_stopped(&watch, |watch| {
        open(corpus.path(), run.path(), Some(&["lang"]), watch).inventory().unwrap();
    }));
    let later = open(corpus.path(), run.path(), Some(&["meta.source"]), &Silent);
    let version = later.inventory().unwrap();
    assert_eq!(version.columns.carry, ["lang"]);
    assert!(!values(&later, &version, "meta.source").is_empty());
}

#[test]
fn null_and_the_empty_text_are_two_strata() {
    let (corpus, without) = (folder(), folder());
    // Each of three kinds of `lang` has numbers of its own, so that a middle taken over two of them is no middle of one.
    let kinds = |kinds: &[&str]| -> Vec<String> {
        let row = |kind: &&str, base: usize, at: usize| {
            let lang = match *kind {
                "missing" => String::new(),
                value => format!(", \"lang\": {value}"),
            };
            let (id, number) = (format!("{base}-{at}"), 100 * base + at);
            format!("{{\"id\": \"{id}\", \"text\": \"t {id}\", \"quality\": {number}{lang}}}")
        };
        let rows =
            kinds.iter().enumerate().flat_map(|(base, kind)| (0..11).map(move |at| row(kind, base, at)));
        rows.collect()
    };
    corpus::write(corpus.path(), "a.jsonl", &kinds(&["missing", "\"\"", "\"en\"", "null"]));
    corpus::write(without.path(), "a.jsonl", &kinds(&["missing", "\"fi\"", "\"en\""]));
    let kept = |corpus: &Path| {
        let run = folder();
        let project = open(corpus, run.path(), Some(&["lang"]), &Silent);
        let version = project.inventory().unwrap();
        let (signal, _) = project.score(&version, &column("quality"), ScoreOptions::default()).unwrap();
        let mut options = selecting("column:quality", Some(Rule::Band), rates(&["10%"]));
        options.band = BandOptions { stratum: Some("lang".to_owned()), ..options.band };
        options.decide_only = true;
        let report = project.select(&version, Some((&signal, "score")), None, &options).unwrap();
        let mut kept = read::decisions(&project, &version, &report.name);
        kept.retain(|decided| decided.smallest_kept.is_some());
        let kept: Vec<String> = kept.into_iter().map(|decided| decided.id).collect();
        (kept, report.manifest.plan.get("strata").cloned())
    };
    let (two, plan) = kept(corpus.path());
    assert_eq!(plan.as_deref(), Some("null-beside-empty"));
    // Missing and null are one stratum, of twenty-two; each of the others has a middle of its own.
    assert_eq!(two, ["0-10", "1-5", "2-5", "3-0"]);
    let (one, plan) = kept(without.path());
    assert_eq!(plan, None, "a plan of earlier versions");
    assert_eq!(one, ["0-5", "1-5", "2-5"]);
}

#[test]
fn a_column_of_ids_is_refused_as_strata_before_anything_is_scored() {
    let (corpus, run) = (folder(), folder());
    let rows = |count: usize| -> Vec<String> {
        (0..count)
            .map(|at| format!("{{\"id\": {at}, \"text\": \"t\", \"quality\": 1, \"url\": \"u{at}\"}}"))
            .collect()
    };
    corpus::write(corpus.path(), "a.jsonl", &rows((1 << 16) + 1));
    let project = open(corpus.path(), run.path(), Some(&["url"]), &Silent);
    let version = project.inventory().unwrap();
    let band = BandOptions { stratum: Some("url".to_owned()), ..BandOptions::default() };
    let error = project.carry_stratum(&version, &band).unwrap_err();
    assert!(error.to_string().contains("has more than 65536 values"), "{error}");
    // As many values as there may be strata, and documents without one beside them.
    let (corpus, run) = (folder(), folder());
    let mut lines = rows(1 << 16);
    lines.push("{\"id\": \"none\", \"text\": \"t\", \"quality\": 1}".to_owned());
    corpus::write(corpus.path(), "a.jsonl", &lines);
    let project = open(corpus.path(), run.path(), Some(&["url"]), &Silent);
    let error = project.carry_stratum(&project.inventory().unwrap(), &band).unwrap_err();
    assert!(error.to_string().contains("no value counts as one"), "{error}");
    let (corpus, run) = (folder(), folder());
    corpus::write(corpus.path(), "a.jsonl", &rows(1 << 16));
    let project = open(corpus.path(), run.path(), Some(&["url"]), &Silent);
    project.carry_stratum(&project.inventory().unwrap(), &band).unwrap();
}
