//! Processes that are killed outright, and what the next one makes of what they left.
//!
//! The test binary starts itself: a child runs [`child`] with a corpus and a run directory from its environment.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tamis::Silent;

use crate::signals::{TABLE, open};
use crate::support::corpus;
use crate::support::folder;
use crate::support::random::Random;
use crate::support::snapshot::{assert_same, snapshot};

const CORPUS: &str = "TAMIS_TEST_CORPUS";
const RUN: &str = "TAMIS_TEST_RUN";

/// Does all that the laws know of, where the environment says on what; alone it does nothing.
#[test]
fn child() {
    let (Ok(corpus), Ok(run)) = (std::env::var(CORPUS), std::env::var(RUN)) else { return };
    work(Path::new(&corpus), Path::new(&run));
}

fn work(corpus: &Path, run: &Path) {
    for (at, row) in TABLE.iter().enumerate() {
        // A run refuses a name that was computed otherwise; the second model of a signal has a run of its own.
        let earlier = TABLE[..at].iter().filter(|other| other.name == row.name).count();
        row.complete(&open(corpus, &run.join(earlier.to_string()), 2, &Silent));
    }
}

fn spawn(corpus: &Path, run: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--test-threads", "1"])
        .env(CORPUS, corpus)
        .env(RUN, run)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_at_any_moment_a_run_resumes_to_the_same_bytes() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    let whole = folder();
    let began = Instant::now();
    assert!(spawn(corpus.path(), whole.path()).wait().unwrap().success());
    let took = began.elapsed();
    let expected = snapshot(whole.path());

    let mut random = Random::new(std::process::id().into());
    for _ in 0..3 {
        let run = folder();
        // Several kills on one run: the second may meet what the first left half done.
        for _ in 0..3 {
            let mut child = spawn(corpus.path(), run.path());
            let share = random.below(1000) as u32;
            std::thread::sleep(Duration::from_millis(10) + took * share / 1500);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        work(corpus.path(), run.path());
        assert_same(&snapshot(run.path()), &expected, "after kills");
    }
}

#[test]
fn processes_at_once_on_one_run_give_the_bytes_of_one() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    let alone = folder();
    work(corpus.path(), alone.path());
    let run = folder();
    let mut children: Vec<_> = (0..3).map(|_| spawn(corpus.path(), run.path())).collect();
    // One dies while the others work; its locks go with it.
    std::thread::sleep(Duration::from_millis(150));
    children[0].kill().unwrap();
    children[0].wait().unwrap();
    for child in &mut children[1..] {
        assert!(child.wait().unwrap().success());
    }
    // What the dead one left behind, parts of a shard that it had finished, the next call clears away.
    work(corpus.path(), run.path());
    assert_same(&snapshot(run.path()), &snapshot(alone.path()), "three processes");
}
