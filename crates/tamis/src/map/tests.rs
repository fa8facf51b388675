//! The map with a signal of tiny parts: what is committed is never computed again, whatever stops it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{ArrayRef, Float64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use tamis_core::{Fingerprint, SignalInfo};
use tamis_io::run::{Repeatability, SignalRecord};

use super::*;
use crate::Silent;
use crate::corpus_options::CorpusOptions;

/// Scores by the number in the text; fails for good at one row, or once after so many calls.
struct Lengths {
    info: SignalInfo,
    seen: Mutex<BTreeSet<u64>>,
    twice: AtomicU64,
    calls: AtomicU64,
    fails_at: Option<u64>,
}

impl Lengths {
    fn new(part_bytes: u64, parallelism: Parallelism, fails_at: Option<u64>) -> Self {
        let schema = Schema::new(vec![
            Field::new(column::SCORE, DataType::Float64, true),
            Field::new(column::FAILED, DataType::Utf8, true),
        ]);
        let info = SignalInfo {
            name: "lengths".to_owned(),
            fingerprint: Fingerprint::new("lengths", 1),
            input: Input::DOCUMENTS,
            parallelism,
            schema: Arc::new(schema),
            ranking: None,
            part_bytes,
            notes: BTreeMap::new(),
        };
        let (seen, twice, calls) = (Mutex::default(), AtomicU64::new(0), AtomicU64::new(0));
        Self { info, seen, twice, calls, fails_at }
    }
}

impl Signal for Lengths {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> tamis_core::Result<RecordBatch> {
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.fails_at.unwrap_or(u64::MAX) {
            return Err(tamis_core::Error::MissingColumn { column: "patience".to_owned() });
        }
        let documents = DocumentBatch::new(input.clone())?;
        let texts = documents.texts();
        let lengths: Vec<f64> = (0..documents.len()).map(|at| texts.value(at).len() as f64).collect();
        let mut seen = self.seen.lock().unwrap();
        for row in documents.rows().values() {
            if !seen.insert(*row) {
                self.twice.fetch_add(1, Ordering::SeqCst);
            }
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(lengths)),
            Arc::new(StringArray::from(vec![None::<&str>; documents.len()])),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}

/// Documents of the shard below.
const DOCUMENTS: u64 = 475;

/// One shard of 500 lines, some of which are no documents.
fn corpus(folder: &Path) {
    let lines: Vec<String> = (0..500)
        .map(|at| match at % 41 {
            7 => String::new(),
            9 => "no json".to_owned(),
            _ => format!("{{\"id\": \"{at}\", \"text\": \"{}\"}}", "x".repeat(1 + at % 60)),
        })
        .collect();
    std::fs::write(folder.join("a.jsonl"), lines.join("\n")).unwrap();
}

fn project(folder: &Path, threads: usize) -> Project {
    let corpus = CorpusOptions::new(folder.join("corpus").to_str().unwrap());
    Project::open(Some(corpus), &folder.join("run"), threads, std::sync::Arc::new(Silent)).unwrap()
}

fn run(project: &Project, signal: &Lengths) -> Result<MapReport> {
    let version = project.inventory()?;
    let record = SignalRecord::new(signal.info(), Repeatability::Exact);
    let directory = project.run.open_signal(&record, tamis_io::run::Beside::Refuse)?;
    let shards: Vec<&ShardRecord> = version.shards.iter().collect();
    project.map(&version, &shards, signal, &directory, Worker::ALONE)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("corpus")).unwrap();
    corpus(&folder.path().join("corpus"));
    folder
}

fn sidecar(folder: &Path) -> Vec<u8> {
    let signals: Vec<_> = std::fs::read_dir(folder.join("run/signals")).unwrap().collect();
    assert_eq!(signals.len(), 1);
    std::fs::read(signals[0].as_ref().unwrap().path().join("a.parquet")).unwrap()
}

#[test]
fn sizes_of_parts_and_kinds_of_parallelism_do_not_matter() {
    let mut expected = None;
    for (part_bytes, threads, parallelism) in [
        (1, 1, Parallelism::PerCore),
        (1, 4, Parallelism::PerCore),
        (300, 2, Parallelism::Exclusive),
        (2000, 3, Parallelism::InFlight(5)),
        (1 << 30, 2, Parallelism::PerCore),
    ] {
        let folder = folder();
        let signal = Lengths::new(part_bytes, parallelism, None);
        let project = project(folder.path(), threads);
        let report = run(&project, &signal).unwrap();
        assert_eq!((report.computed, report.documents, report.unfinished_shards), (DOCUMENTS, DOCUMENTS, 0));
        assert_eq!(signal.twice.into_inner(), 0);
        let bytes = sidecar(folder.path());
        assert_eq!(*expected.get_or_insert(bytes.clone()), bytes, "{part_bytes} {threads}");
    }
}

#[test]
fn little_work_is_shared_by_all_workers() {
    // All of it is far less than a part.
    for (threads, parallelism, calls) in [
        (1, Parallelism::PerCore, 1..=1),
        (4, Parallelism::PerCore, 12..=40),
        (4, Parallelism::Exclusive, 1..=1),
        (1, Parallelism::InFlight(4), 12..=40),
    ] {
        let folder = folder();
        let signal = Lengths::new(64 << 10, parallelism, None);
        run(&project(folder.path(), threads), &signal).unwrap();
        let called = signal.calls.into_inner();
        assert!(calls.contains(&called), "{called} parts for {threads} threads, {parallelism:?}");
    }
}

#[test]
fn an_error_in_any_part_keeps_what_is_committed() {
    let whole = folder();
    run(&project(whole.path(), 2), &Lengths::new(400, Parallelism::PerCore, None)).unwrap();
    for (fails_at, threads, next_bytes) in
        [(1, 1, 400), (2, 3, 90), (5, 2, 1 << 20), (12, 4, 400), (20, 1, 7)]
    {
        let folder = folder();
        let first = Lengths::new(400, Parallelism::PerCore, Some(fails_at));
        let error = run(&project(folder.path(), threads), &first).unwrap_err();
        assert!(error.to_string().contains("patience"), "{error}");
        // Another process, which may cut its parts otherwise.
        let second = Lengths::new(next_bytes, Parallelism::PerCore, None);
        let report = run(&project(folder.path(), threads), &second).unwrap();
        let (first, second) = (first.seen.into_inner().unwrap(), second.seen.into_inner().unwrap());
        assert_eq!(report.computed, second.len() as u64);
        assert!(first.is_disjoint(&second), "rows computed twice: {:?}", first.intersection(&second));
        assert_eq!((first.len() + second.len()) as u64, DOCUMENTS);
        assert_eq!(sidecar(folder.path()), sidecar(whole.path()), "{fails_at} {threads}");
    }
}

#[test]
fn a_damaged_part_is_computed_again_and_told() {
    struct Said(Mutex<Vec<String>>);
    impl crate::Observer for Said {
        fn begin(&self, _: &str, _: u64) {}
        fn advance(&self, _: u64, _: u64, _: u64) {}
        fn end(&self) {}
        fn warn(&self, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
        fn note(&self, _: &str) {}
    }
    let folder = folder();
    let first = Lengths::new(400, Parallelism::PerCore, Some(10));
    run(&project(folder.path(), 1), &first).unwrap_err();
    let signal =
        std::fs::read_dir(folder.path().join("run/signals")).unwrap().next().unwrap().unwrap().path();
    let part = std::fs::read_dir(signal.join(".parts/a")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&part).unwrap();
    std::fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();
    let said = std::sync::Arc::new(Said(Mutex::default()));
    let corpus = CorpusOptions::new(folder.path().join("corpus").to_str().unwrap());
    let project =
        Project::open(Some(corpus), &folder.path().join("run"), 2, std::sync::Arc::<Said>::clone(&said))
            .unwrap();
    let second = Lengths::new(400, Parallelism::PerCore, None);
    let report = run(&project, &second).unwrap();
    let again = first.seen.into_inner().unwrap().intersection(&second.seen.into_inner().unwrap()).count();
    assert!(again > 0 && report.documents == DOCUMENTS);
    assert!(said.0.lock().unwrap()[0].contains("shard `a.jsonl`: 1 damaged parts"));
}

#[test]
fn workers_are_written_one_of_several() {
    assert_eq!(Worker::parse("2/3").unwrap(), Worker { index: 2, of: 3 });
    for wrong in ["", "1", "0/3", "4/3", "1/0", "a/b", "1/2/3", "-1/2"] {
        assert!(Worker::parse(wrong).unwrap_err().is_usage(), "{wrong}");
    }
}
