//! What a random selection sets aside in the first pass changes how the kept documents come about, and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tamis::options::{CorpusOptions, SelectOptions};
use tamis::{Project, Silent};
use tamis_io::store::{Action, Store, Watch};

use crate::signals::{open, rates, selecting};
use crate::support::corpus;
use crate::support::folder;
use crate::support::snapshot::{assert_same, snapshot};

type Files = BTreeMap<String, Vec<u8>>;

/// Reads and selects, the kept documents into the run; `between` is called when the corpus was read.
fn selected(project: &Project<'_>, options: &SelectOptions, aside: bool, between: impl FnOnce()) -> Files {
    let version = if aside { project.inventory_for(options) } else { project.inventory() }.unwrap();
    between();
    project.select(&version, None, None, options).unwrap();
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
        let [twice, once] = [false, true].map(|aside| {
            let run = folder();
            selected(&open(corpus.path(), run.path(), 2, &Silent), &options, aside, || ())
        });
        assert!(twice.keys().any(|name| name.ends_with("m.jsonl.zst")));
        assert_same(&once, &twice, &format!("{of:?}"));
    }
}

#[test]
fn what_was_set_aside_is_not_read_again() {
    let [corpus, copy, run, whole] = [folder(), folder(), folder(), folder()];
    for folder in [&corpus, &copy] {
        corpus::write(folder.path(), "a.jsonl", &corpus::lines(&corpus::documents(1, 30_000)));
    }
    let options = random(5, &["10%"]);
    let expected = selected(&open(copy.path(), whole.path(), 2, &Silent), &options, false, || ());
    let gone = || std::fs::remove_file(corpus.path().join("a.jsonl")).unwrap();
    let found = selected(&open(corpus.path(), run.path(), 2, &Silent), &options, true, gone);
    let kept = |files: &Files| -> Files {
        files.clone().into_iter().filter(|(name, _)| name.ends_with("/documents/a.jsonl")).collect()
    };
    assert_eq!(kept(&expected).len(), 1);
    assert_same(&kept(&found), &kept(&expected), "kept");
}

#[test]
fn another_selection_does_not_take_it() {
    let corpus = folder();
    every_kind(corpus.path());
    let [expected, run] = [folder(), folder()];
    let options = random(6, &["20%"]);
    let expected = selected(&open(corpus.path(), expected.path(), 2, &Silent), &options, false, || ());
    let project = open(corpus.path(), run.path(), 2, &Silent);
    project.inventory_for(&random(7, &["20%"])).unwrap();
    let version = project.inventory().unwrap();
    project.select(&version, None, None, &options).unwrap();
    assert_same(&snapshot(run.path()), &expected, "another seed");
}

/// Refuses some of what is done to the folder itself: nothing but what is set aside lies in a file without a name there.
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
    let expected = selected(&open(corpus.path(), whole.path(), 2, &Silent), &options, false, || ());
    for lasts in 0..8 {
        let run = folder();
        let folder = run.path().to_owned();
        let watch = Arc::new(NoRoom { folder, action: Action::Write, lasts, asked: AtomicUsize::new(0) });
        let store = Store::local(run.path()).watched(Arc::<NoRoom>::clone(&watch));
        let location = CorpusOptions::new(corpus.path().to_str().unwrap());
        let project = Project::open_in(Some(location), store, 1, &Silent).unwrap();
        let found = selected(&project, &options, true, || ());
        assert_eq!(watch.asked.load(Ordering::SeqCst), lasts + 1, "nothing is tried again");
        assert_same(&found, &expected, &format!("{lasts} times"));
    }
}
