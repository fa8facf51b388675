//! Signals that are asked of what a selection keeps, and selections among that.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use tamis::options::{CountsOptions, Filter, SelectOptions, SignalOptions};
use tamis::{Project, ScoreOptions, Silent, Worker};
use tamis_io::run::{CorpusVersion, SignalDir};
use tamis_io::sidecar::SidecarColumns;

use crate::signals::{On, Row, asked, column, open, rates, selecting};
use crate::support::corpus::{self, Document};
use crate::support::folder;
use crate::support::read::decisions;

/// What a signal says of every document, by id: its values as text, and why there are none.
type Said = BTreeMap<String, (Vec<String>, Option<String>)>;

fn said(project: &Project, version: &CorpusVersion, signal: &SignalDir) -> Said {
    let mut all = Said::new();
    let run = project.run_directory();
    for shard in &version.shards {
        let ids: Vec<String> = run
            .read_inventory(&shard.path, SidecarColumns::Named(&["id"]))
            .unwrap()
            .flat_map(|batch| {
                let batch = batch.unwrap();
                let ids = batch.column(0).as_string::<i32>();
                ids.iter().map(|id| id.unwrap().to_owned()).collect::<Vec<_>>()
            })
            .collect();
        let mut ids = ids.into_iter();
        for batch in signal.read(shard, SidecarColumns::All).unwrap() {
            let batch: RecordBatch = batch.unwrap();
            let failed = batch.column_by_name("failed").unwrap().as_string::<i32>();
            let names: Vec<_> = signal.record().value_columns().map(str::to_owned).collect();
            for at in 0..batch.num_rows() {
                let values = names
                    .iter()
                    .map(|name| format!("{name} {:?}", batch.column_by_name(name).unwrap().slice(at, 1)));
                let why = failed.is_valid(at).then(|| failed.value(at).to_owned());
                all.insert(ids.next().unwrap(), (values.collect(), why));
            }
        }
    }
    all
}

fn stored(project: &Project, row: &Row) -> SignalDir {
    project.run_directory().resolve(&row.stored_name()).unwrap()
}

fn gate(project: &Project, name: &str, rate: &str) {
    let options = SelectOptions {
        name: Some(name.to_owned()),
        decide_only: true,
        ..selecting("random", None, rates(&[rate]))
    };
    project.run_selection(&options, ScoreOptions::default()).unwrap();
}

fn write_shards(folder: &Path, documents: &[Document], keep: impl Fn(&str) -> bool) {
    for (at, part) in documents.chunks(documents.len().div_ceil(3)).enumerate() {
        let part: Vec<Document> = part.iter().filter(|one| keep(&one.id)).cloned().collect();
        corpus::write(folder, &format!("s{at}.jsonl"), &corpus::lines(&part));
    }
}

#[test]
fn a_signal_behind_a_gate_is_that_of_a_corpus_of_its_documents() {
    let mut documents = corpus::documents(21, 240);
    for at in 0..30 {
        documents[at + 100].text = documents[at].text.clone();
    }
    let (whole, part) = (folder(), folder());
    write_shards(whole.path(), &documents, |_| true);
    let kept: BTreeMap<String, bool> = {
        let run = folder();
        let project = open(whole.path(), run.path(), 2, &Silent);
        let version = project.inventory().unwrap();
        gate(&project, "half", "50%");
        let decided = decisions(&project, &version, "half");
        decided.into_iter().map(|row| (row.id.clone(), row.smallest_kept.is_some())).collect()
    };
    write_shards(part.path(), &documents, |id| kept[id]);
    for row in asked() {
        let (run, other_run) = (folder(), folder());
        let project = open(whole.path(), run.path(), 2, &Silent);
        let version = project.inventory().unwrap();
        gate(&project, "half", "50%");
        let alone = open(part.path(), other_run.path(), 2, &Silent);
        let alone_version = alone.inventory().unwrap();
        let behind = project.on("half").unwrap();
        let report = row.score(&behind, &version, Worker::ALONE);
        let expected = row.score(&alone, &alone_version, Worker::ALONE);
        assert_eq!(report.failed, expected.failed, "{}", row.name);
        let found = said(&behind, &version, &stored(&behind, row));
        let expected = said(&alone, &alone_version, &stored(&alone, row));
        assert_eq!(found.len(), documents.len(), "{}", row.name);
        for (id, (values, why)) in found {
            match kept[id.as_str()] {
                true => assert_eq!(Some(&(values, why)), expected.get(&id), "{} {id}", row.name),
                false => assert_eq!(why.as_deref(), Some("not-asked"), "{} {id}", row.name),
            }
        }
        // Of all documents it is another signal, which the short name stands for from then on.
        let of_some = stored(&project, row).full_name().to_owned();
        assert_eq!(of_some, stored(&behind, row).full_name(), "{}", row.name);
        let report = row.score(&project, &version, Worker::ALONE);
        if row.depends == On::Row {
            let others = kept.values().filter(|kept| !**kept).count() as u64;
            assert!(
                report.computed <= others + report.failed.values().sum::<u64>(),
                "{}: {report:?}",
                row.name
            );
        }
        assert_ne!(of_some, stored(&project, row).full_name(), "{}", row.name);
        assert_eq!(of_some, stored(&behind, row).full_name(), "{}", row.name);
    }
}

#[test]
fn a_wider_gate_computes_the_rest_only() {
    let documents = corpus::documents(5, 200);
    let (folder_of_corpus, run) = (folder(), folder());
    write_shards(folder_of_corpus.path(), &documents, |_| true);
    let project = open(folder_of_corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    gate(&project, "narrow", "20%");
    gate(&project, "wide", "60%");
    let asked = SignalOptions::Counts(CountsOptions {});
    let score = |on: &str| {
        let project = project.on(on).unwrap();
        project.score(&version, &asked, ScoreOptions::default()).unwrap().1.map.computed
    };
    assert_eq!([score("narrow"), score("wide"), score("narrow")], [40, 80, 0]);
    let all = project.score(&version, &asked, ScoreOptions::default()).unwrap().1.map.computed;
    assert_eq!(all, 80);
}

#[test]
fn selections_chain_and_counts_add_up() {
    let documents = corpus::documents(9, 200);
    let (folder_of_corpus, run) = (folder(), folder());
    write_shards(folder_of_corpus.path(), &documents, |_| true);
    let project = open(folder_of_corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    gate(&project, "first", "50%");
    let next = SelectOptions {
        on: Some("first".to_owned()),
        filters: vec![Filter::parse("counts.characters>=1").unwrap()],
        name: Some("second".to_owned()),
        ..selecting("column:quality", None, rates(&["10%", "20%"]))
    };
    let report = project.run_selection(&next, ScoreOptions::default()).unwrap();
    let counts = &report.manifest.counts;
    assert_eq!((counts.candidates, counts.kept, counts.dropped["not-asked"]), (100, 20, 100));
    let first: BTreeMap<String, bool> = decisions(&project, &version, "first")
        .into_iter()
        .map(|row| (row.id.clone(), row.smallest_kept.is_some()))
        .collect();
    let second = decisions(&project, &version, "second");
    assert!(second.iter().all(|row| row.smallest_kept.is_none() || first[&row.id]));
    // Of several rates one can be named.
    let least = project.on("second:rate-10").unwrap();
    let report = least.score(&version, &column("q-a"), ScoreOptions::default()).unwrap().1;
    assert_eq!(report.map.computed, 10);
    // What was asked of some is not taken for what was asked of all: the rest is dropped and said so.
    let of_some = selecting("column:q-a", None, rates(&["50%"]));
    let report = project.run_selection(&of_some, ScoreOptions::default()).unwrap();
    assert_eq!(report.manifest.counts.dropped["not-asked"], 190);
}

#[test]
fn gates_that_cannot_be_are_refused() {
    let documents = corpus::documents(9, 60);
    let (folder_of_corpus, run) = (folder(), folder());
    write_shards(folder_of_corpus.path(), &documents, |_| true);
    let project = open(folder_of_corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    gate(&project, "half", "50%");
    let nothing = SelectOptions {
        filters: vec![Filter::parse("counts.characters>=1e9").unwrap()],
        name: Some("nothing".to_owned()),
        ..selecting("random", None, rates(&["50%"]))
    };
    project.run_selection(&nothing, ScoreOptions::default()).unwrap();
    for (name, says) in
        [("hlaf", "hlaf"), ("half:rate-7", "has no target `rate-7`"), ("nothing", "keeps no document")]
    {
        let error = project.on(name).map(drop).unwrap_err();
        assert!(error.to_string().contains(says) && error.hint().is_some(), "{name}: {error}");
    }
    for (filter, says) in [
        ("counts", "has no limit"),
        ("counts.nothing>=1", "no column `nothing`"),
        ("cuonts.words>=1", "unknown signal"),
    ] {
        let options = SelectOptions {
            filters: vec![Filter::parse(filter).unwrap()],
            ..selecting("random", None, rates(&["50%"]))
        };
        let error = project.run_selection(&options, ScoreOptions::default()).unwrap_err();
        assert!(error.to_string().contains(says) && error.is_usage(), "{filter}: {error}");
    }
    assert!(Filter::parse("counts.words>=many").is_err());
    // A corpus that has grown has documents that nothing was decided of.
    corpus::write(folder_of_corpus.path(), "z.jsonl", &corpus::lines(&corpus::documents(33, 5)));
    drop(version);
    let project = open(folder_of_corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let behind = project.on("half").unwrap();
    let error = behind.score(&version, &column("q-a"), ScoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("other shards"), "{error}");
}
