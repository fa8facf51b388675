//! What a random selection prefetches in the first pass changes how the kept documents come about, and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tamis::options::{CorpusOptions, SelectOptions};
use tamis::{Observer, Project, ScoreOptions, Silent};
use tamis_io::store::{Action, Store, Watch};

use crate::signals::{open, rates, selecting};
use crate::support::corpus;
use crate::support::folder;
use crate::support::snapshot::{assert_same, snapshot};

type Files = BTreeMap<String, Vec<u8>>;

/// Selects, the kept documents into the run; in one call, which prefetches, or by reading first.
fn selected(project: &Project, options: &SelectOptions, prefetches: bool) -> Files {
    if prefetches {
        project.run_selection(options, ScoreOptions::default()).unwrap();
    } else {
        let version = project.inventory().unwrap();
        project.select(&version, None, None, options).unwrap();
    }
    snapshot(&project.run_directory().store().local_path("").unwrap())
}

fn random(seed: u64, of: &[&str]) -> SelectOptions {
    SelectOptions { seed, ..selecting("random", None, rates(of)) }
}

/// The usual corpus, and some of its lines again as .gz and .zst, with endings of other kinds, and as a shard of many blocks.
fn every_kind(folder: &Path) {
    corpus::mixed(folder);
    let lines = |seed, number| corpus::lines(&corpus::documents(seed, number));
    let zst = zstd::encode_all(lines(50, 400).join("\n").as_bytes(), 3).unwrap();
    std::fs::write(folder.join("m.jsonl.zst"), zst).unwrap();
    std::fs::write(folder.join("n.jsonl"), format!("\u{feff}{}", lines(51, 90).join("\r\n"))).unwrap();
    corpus::write(folder, "o.jsonl", &lines(52, 30_000));
}

#[test]
fn the_files_are_those_of_a_selection_that_reads_twice() {
    let corpus = folder();
    every_kind(corpus.path());
    for (seed, of) in
        [(0, &["20%"][..]), (1, &["40%"]), (2, &["0.1%", "5%", "30%"]), (3, &["39.9%"]), (4, &["70%"])]
    {
        let options = random(seed, of);
        let [twice, once] = [false, true].map(|prefetches| {
            let run = folder();
            selected(&open(corpus.path(), run.path(), 2, &Silent), &options, prefetches)
        });
        assert!(twice.keys().any(|name| name.ends_with("m.jsonl.zst")));
        assert_same(&once, &twice, &format!("{of:?}"));
    }
}

/// Removes a file when thresholds are sought: the corpus was read, and kept documents are still to be written.
struct Removes(PathBuf);

impl Observer for Removes {
    fn begin(&self, stage: &str, _total: u64) {
        if stage == "find thresholds" {
            std::fs::remove_file(&self.0).unwrap();
        }
    }
    fn advance(&self, _documents: u64, _tokens: u64, _units: u64) {}
    fn end(&self) {}
    fn warn(&self, _message: &str) {}
    fn note(&self, _message: &str) {}
}

#[test]
fn what_was_prefetched_is_not_read_again() {
    let [corpus, copy, run, whole] = [folder(), folder(), folder(), folder()];
    for folder in [&corpus, &copy] {
        corpus::write(folder.path(), "a.jsonl", &corpus::lines(&corpus::documents(1, 30_000)));
    }
    let options = random(5, &["10%"]);
    let expected = selected(&open(copy.path(), whole.path(), 2, &Silent), &options, false);
    let removes = Arc::new(Removes(corpus.path().join("a.jsonl")));
    let found = selected(&open(corpus.path(), run.path(), 2, &removes), &options, true);
    let kept = |files: &Files| -> Files {
        files.clone().into_iter().filter(|(name, _)| name.ends_with("/documents/a.jsonl")).collect()
    };
    assert_eq!(kept(&expected).len(), 1);
    assert_same(&kept(&found), &kept(&expected), "kept");
}

/// Refuses some of what is done to the folder itself: nothing but what is prefetched lies in a file without a name there.
#[derive(Debug)]
struct NoRoom {
    folder: PathBuf,
    action: Action,
    /// How often it goes well.
    lasts: usize,
    asked: AtomicUsize,
}

impl Watch for NoRoom {
    fn before(&self, action: Action, path: &Path) -> io::Result<()> {
        if action == self.action
            && path == self.folder
            && self.asked.fetch_add(1, Ordering::SeqCst) >= self.lasts
        {
            return Err(io::Error::from_raw_os_error(28));
        }
        Ok(())
    }
}

#[test]
fn without_room_the_corpus_is_read_again() {
    let corpus = folder();
    every_kind(corpus.path());
    let options = random(8, &["25%"]);
    let whole = folder();
    let expected = selected(&open(corpus.path(), whole.path(), 2, &Silent), &options, false);
    for lasts in 0..8 {
        let run = folder();
        let folder = run.path().to_owned();
        let watch = Arc::new(NoRoom { folder, action: Action::Write, lasts, asked: AtomicUsize::new(0) });
        let store = Store::local(run.path()).watched(Arc::<NoRoom>::clone(&watch));
        let location = CorpusOptions::new(corpus.path().to_str().unwrap());
        let project = Project::open_in(Some(location), store, 1, Arc::new(Silent)).unwrap();
        let found = selected(&project, &options, true);
        assert_eq!(watch.asked.load(Ordering::SeqCst), lasts + 1, "nothing is tried again");
        assert_same(&found, &expected, &format!("{lasts} times"));
    }
}
