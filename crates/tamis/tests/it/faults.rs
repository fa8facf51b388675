//! Disks that are full, file systems that cannot be written, object stores that fail: at every single step of a run, not at a
//! sample of them. Each time the error says where, what and what to do, nothing half-written is visible, and the same call
//! afterwards ends with the bytes of a run that nothing happened to.
//!
//! A full disk and an object store that refuses are tried on every signal (of those that are made of others at every fifth step), the other faults on the first one of the table;
//! `TAMIS_FAULTS=all`, as `make torture` has it, tries all on all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use object_store::memory::InMemory;
use tamis::options::CorpusOptions;
use tamis::{Error, Project, Silent};
use tamis_io::store::Store;

use crate::signals::{On, Row, TABLE, open};
use crate::support::corpus;
use crate::support::folder;
use crate::support::snapshot::{assert_same, snapshot};
use crate::support::steps::{DISK_BROKEN, DISK_FULL, Fate, READ_ONLY, Steps};
use crate::support::stores::{Fault, Faulty};

/// Two shards of a few documents, and a line that cannot be read.
fn small(folder: &Path) {
    let mut lines = corpus::lines(&corpus::documents(1, 5));
    lines.insert(2, "{".to_owned());
    corpus::write(folder, "a.jsonl", &lines);
    corpus::write(folder, "b/c.jsonl", &corpus::lines(&corpus::documents(2, 4)));
}

/// Every row of the table, or the first where the fault differs little from one that is tried on all.
fn rows(fault_of_its_own: bool) -> &'static [Row] {
    if fault_of_its_own || tries_all() { TABLE } else { &TABLE[..1] }
}

/// Of signals that are made of others, whose steps are tried with those, every fifth step is tried; all of them where all are
/// asked for.
fn stride(row: &Row) -> usize {
    let of_others = matches!(row.depends, On::Frozen | On::AllRows { .. }) && row.name != "density";
    if of_others && !tries_all() { 5 } else { 1 }
}

fn tries_all() -> bool {
    std::env::var("TAMIS_FAULTS").is_ok_and(|value| value == "all")
}

/// One thread, so that the steps are the same in every run.
fn complete_in(row: &Row, corpus: &Path, store: Store) -> Result<(), Error> {
    let corpus = CorpusOptions::new(corpus.to_str().unwrap());
    // Each shard is a span of what is folded.
    let project = Project::open_in(Some(corpus), store, 1, Arc::new(Silent))?.with_spans_of(1);
    row.try_complete(&project).map(|_| ())
}

/// An error for a person: where, what, and what to do; not a reproach, which would be exit code 2.
fn assert_clear(error: &Error, words: &[&str], what: &str) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{what}: `{message}` does not say `{word}`");
    }
    assert!(error.hint().is_some(), "{what}: `{message}` comes without a hint");
    assert!(!error.is_usage(), "{what}: `{message}` is called wrong usage");
}

/// Whatever is visible is a part, or whole and as it has to be.
fn assert_whole(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, what: &str) {
    for (name, bytes) in found.iter().filter(|(name, _)| !name.contains("/.parts/")) {
        assert!(expected.get(name) == Some(bytes), "{what}: `{name}` is visible and not as it has to be");
    }
}

#[expect(clippy::print_stdout, reason = "how much was tried is told with --nocapture")]
fn fails_at_every_step(code: i32, says: &str, hint: &str) {
    let corpus = folder();
    small(corpus.path());
    let mut tried = 0;
    for fate in [Fate::FailForEver(code), Fate::Fail(code)] {
        for row in rows(fate == Fate::FailForEver(DISK_FULL)) {
            let whole = folder();
            complete_in(row, corpus.path(), Store::local(whole.path())).unwrap();
            let expected = snapshot(whole.path());
            for at in (1..).step_by(stride(row)) {
                let what = format!("{}, {fate:?} at step {at}", row.name);
                let run = folder();
                let steps = Arc::new(Steps::new(at, fate));
                let store = Store::local(run.path()).watched(Arc::<Steps>::clone(&steps));
                let outcome = complete_in(row, corpus.path(), store);
                if steps.count() < at {
                    outcome.unwrap();
                    assert!(at > 40, "{what}: a run has more steps");
                    break;
                }
                tried += 1;
                let error = outcome.expect_err(&what);
                assert_clear(&error, &[run.path().to_str().unwrap(), says], &what);
                assert!(error.hint().unwrap().contains(hint), "{what}: {:?}", error.hint());
                assert_whole(&snapshot(run.path()), &expected, &what);
                assert!(leftovers(run.path()).is_empty(), "{what}: {:?}", leftovers(run.path()));
                complete_in(row, corpus.path(), Store::local(run.path())).unwrap();
                assert_same(&snapshot(run.path()), &expected, &what);
            }
        }
    }
    println!("{says}: {tried} failed steps");
}

/// Temporary files that stayed.
fn leftovers(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap().to_str().unwrap().starts_with(".tamis-tmp-") {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_full_disk_at_any_step_is_told_and_gone_on_from() {
    fails_at_every_step(DISK_FULL, "No space left on device", "make room");
}

#[test]
fn a_read_only_file_system_at_any_step_is_told_and_gone_on_from() {
    fails_at_every_step(READ_ONLY, "Read-only file system", "can be written");
}

#[test]
fn a_broken_disk_at_any_step_is_told_and_gone_on_from() {
    fails_at_every_step(DISK_BROKEN, "Input/output error", "same command again");
}

fn objects(store: Arc<Faulty>) -> Store {
    Store::object(store, "runs/one").unwrap()
}

fn contents(inner: &Arc<InMemory>) -> BTreeMap<String, Vec<u8>> {
    let store = objects(Faulty::new(inner, 0, Fault::None));
    let entries = store.list("").unwrap();
    entries.into_iter().map(|entry| (entry.path.clone(), store.read(&entry.path).unwrap().to_vec())).collect()
}

/// Fails every operation in turn, reads included, and lets `judge` see what came of it before the run goes on.
#[expect(clippy::print_stdout, reason = "how much was tried is told with --nocapture")]
fn with_every_operation(fault: Fault, judge: impl Fn(Result<(), Error>, &str)) {
    let corpus = folder();
    small(corpus.path());
    let mut tried = 0;
    for row in rows(fault == Fault::Error) {
        let whole = Arc::new(InMemory::new());
        complete_in(row, corpus.path(), objects(Faulty::new(&whole, 0, Fault::None))).unwrap();
        let expected = contents(&whole);
        for at in (1..).step_by(stride(row)) {
            let what = format!("{}, {fault:?} at operation {at}", row.name);
            let inner = Arc::new(InMemory::new());
            let faulty = Faulty::new(&inner, at, fault);
            let outcome = complete_in(row, corpus.path(), objects(Arc::clone(&faulty)));
            if faulty.count() < at {
                outcome.unwrap();
                assert!(at > 40, "{what}: a run has more operations");
                break;
            }
            tried += 1;
            judge(outcome, &what);
            if fault != Fault::Half {
                assert_whole(&contents(&inner), &expected, &what);
            }
            go_on(row, corpus.path(), &inner, fault, &what);
            assert_same(&contents(&inner), &expected, &what);
        }
    }
    println!("{fault:?}: {tried} failed operations");
}

/// Runs again. Half an object of a store that is not atomic may be in the way: then the error names it, and says to remove it.
fn go_on(row: &Row, corpus: &Path, inner: &Arc<InMemory>, fault: Fault, what: &str) {
    let store = objects(Faulty::new(inner, 0, Fault::None));
    match complete_in(row, corpus, store.clone()) {
        Err(error) if fault == Fault::Half => {
            let message = error.to_string();
            let path = message.split('`').nth(1).unwrap().trim_start_matches("faulty:/runs/one/").to_owned();
            let hint = error.hint().unwrap_or_else(|| panic!("{what}: `{message}` comes without a hint"));
            assert!(hint.contains("remove"), "{what}: `{message}`: {hint}");
            assert!(store.exists(&path).unwrap(), "{what}: `{message}` does not name the file");
            store.remove(&path).unwrap();
            complete_in(row, corpus, store).unwrap_or_else(|error| panic!("{what}: again {error}"));
        }
        outcome => outcome.unwrap_or_else(|error| panic!("{what}: {error}")),
    }
}

#[test]
fn an_object_store_that_fails_at_any_operation_is_told_and_gone_on_from() {
    for (fault, says) in [
        (Fault::Down, "503 Slow Down"),
        (Fault::Error, "500 Internal Error"),
        (Fault::TimedOut, "operation timed out"),
    ] {
        with_every_operation(fault, |outcome, what| {
            assert_clear(&outcome.expect_err(what), &[says], what);
        });
    }
}

#[test]
fn an_answer_that_is_lost_at_any_operation_does_no_harm() {
    with_every_operation(Fault::LostAnswer, |outcome, what| {
        // A listing gives its answer piece by piece and cannot lose it.
        if let Err(error) = outcome {
            assert_clear(&error, &["connection reset by peer"], what);
        }
    });
    // Where the client asks again, the run does not even stop.
    with_every_operation(Fault::LostAnswerAndRetried, |outcome, what| {
        outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
    });
}

#[test]
fn half_an_object_is_never_taken_for_a_whole_one() {
    with_every_operation(Fault::Half, |outcome, what| {
        if let Err(error) = outcome {
            assert_clear(&error, &["connection reset by peer"], what);
        }
    });
}

#[test]
fn a_folder_where_every_write_is_refused_holds_nothing_afterwards() {
    let corpus = folder();
    small(corpus.path());
    let run = folder();
    let steps = Arc::new(Steps::new(1, Fate::FailForEver(READ_ONLY)));
    let store = Store::local(run.path().join("new/run")).watched(steps);
    let error = complete_in(&TABLE[0], corpus.path(), store).unwrap_err();
    assert_clear(&error, &["new/run", "Read-only file system"], "first step");
    assert_eq!(std::fs::read_dir(run.path()).unwrap().count(), 0);
    complete_in(&TABLE[0], corpus.path(), Store::local(run.path().join("new/run"))).unwrap();
    open(corpus.path(), &run.path().join("new/run"), 1, &Silent);
}
