//! Repeated ids and equal texts, grouped in the run directory because memory is small: the selection of plenty of memory to
//! the byte, however often a run is killed, by whom it is shared, and what fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::memory::InMemory;
use tamis::options::{CorpusOptions, DuplicateIds, ExactDuplicates, SelectOptions};
use tamis::{Error, Observer, Project, ScoreOptions, Silent};
use tamis_io::store::Store;

use crate::signals::{rates, selecting};
use crate::support::corpus;
use crate::support::folder;
use crate::support::observers::{Cancels, Shared, Watch};
use crate::support::random::Random;
use crate::support::snapshot::{assert_same, snapshot};
use crate::support::steps::{DISK_BROKEN, DISK_FULL, Fate, READ_ONLY, Steps};
use crate::support::stores::{Fault, Faulty};

const PLENTY: u64 = 1 << 30;
/// Not enough for the pairs of the larger corpus here.
const SMALL: u64 = 12_000;
/// Nor for those of the smaller one.
const TINY: u64 = 1000;

/// Shards where ids come again with other texts, texts under other ids, and rows are the same twice; an empty one; lines that
/// cannot be read; and a list of vetoes.
fn write(folder: &Path, rows: usize, shards: &[&str]) -> PathBuf {
    let mut random = Random::new(5);
    for (shard, name) in shards.iter().enumerate() {
        let mut lines: Vec<String> = (0..rows + shard)
            .map(|_| {
                let (id, text) = (random.below(2 * rows), random.below(rows));
                format!("{{\"id\": \"d{id}\", \"text\": \"text {}\"}}", text * text)
            })
            .collect();
        lines.insert(2, "{".to_owned());
        corpus::write(folder, &format!("{name}.jsonl"), &lines);
    }
    std::fs::write(folder.join("nothing.jsonl"), "").unwrap();
    let vetoes = folder.join("_vetoes.txt");
    std::fs::write(&vetoes, "d1\nd3\nd4\n").unwrap();
    vetoes
}

struct Corpus {
    folder: tempfile::TempDir,
    vetoes: PathBuf,
    /// Not enough for its pairs.
    memory: u64,
}

impl Corpus {
    fn of(rows: usize, shards: &[&str], memory: u64) -> Self {
        let folder = folder();
        let vetoes = write(folder.path(), rows, shards);
        Self { folder, vetoes, memory }
    }

    fn large() -> Self {
        Self::of(150, &["a", "b/c", "d", "z"], SMALL)
    }

    fn small() -> Self {
        Self::of(8, &["a", "b/c"], TINY)
    }

    fn open(&self, store: Store, threads: usize, memory: u64, observer: &impl Shared) -> Project {
        self.try_open(store, threads, memory, observer.shared()).unwrap()
    }

    fn try_open(
        &self,
        store: Store,
        threads: usize,
        memory: u64,
        observer: Arc<dyn Observer>,
    ) -> tamis::Result<Project> {
        let corpus = CorpusOptions::new(self.folder.path().to_str().unwrap());
        Ok(Project::open_in(Some(corpus), store, threads, observer)?.with_grouping_memory(memory))
    }

    fn options(&self) -> SelectOptions {
        SelectOptions {
            name: Some("one".to_owned()),
            duplicate_ids: DuplicateIds::One,
            exact_duplicates: ExactDuplicates::One,
            vetoes: vec![self.vetoes.clone()],
            ..selecting("random", None, rates(&["40%"]))
        }
    }

    fn select(&self, store: Store, threads: usize, memory: u64, observer: &impl Shared) -> tamis::Result<()> {
        let project = self.try_open(store, threads, memory, observer.shared())?;
        let version = project.inventory()?;
        project.select(&version, None, None, &self.options()).map(drop)
    }

    /// What a selection with little memory leaves, and one with plenty.
    fn whole(&self) -> (Files, Files) {
        let [small, plenty] = [self.memory, PLENTY].map(|memory| {
            let run = folder();
            self.select(Store::local(run.path()), 2, memory, &Silent).unwrap();
            snapshot(run.path())
        });
        assert!(plenty.keys().all(|name| !name.starts_with("groups/")));
        assert!(small.keys().any(|name| name.starts_with("groups/equal-ids@")));
        assert!(small.keys().any(|name| name.starts_with("groups/equal-texts@")));
        assert_same(&without_groups(&small), &plenty, "the selection");
        assert!(small.keys().all(|name| !name.contains("/.work/")));
        (small, plenty)
    }

    /// A run whose corpus was read and nothing else.
    fn read(&self, run: &Path) {
        self.open(Store::local(run), 2, PLENTY, &Silent).inventory().unwrap();
    }
}

type Files = BTreeMap<String, Vec<u8>>;

fn without_groups(files: &Files) -> Files {
    files
        .iter()
        .filter(|(name, _)| !name.starts_with("groups/"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

#[test]
fn any_memory_and_any_number_of_threads_give_the_same_bytes() {
    let corpus = Corpus::large();
    let (small, plenty) = corpus.whole();
    let decisions = plenty.get("selections/one/manifest.json").unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(decisions).unwrap();
    for reason in ["duplicate-id", "exact-duplicate", "vetoed"] {
        let dropped = manifest.pointer(&format!("/counts/dropped/{reason}")).unwrap();
        assert!(dropped.as_u64().unwrap() > 4, "{reason}: {dropped}");
    }
    for (threads, memory) in [(1, 1), (2, 1), (1, 20_000), (4, 40_000), (3, SMALL)] {
        let run = folder();
        corpus.select(Store::local(run.path()), threads, memory, &Silent).unwrap();
        assert_same(&snapshot(run.path()), &small, &format!("{threads} threads, {memory} bytes"));
        // What was found is read again, whatever memory there is.
        for memory in [memory, PLENTY] {
            corpus.select(Store::local(run.path()), 1, memory, &Silent).unwrap();
            assert_same(&snapshot(run.path()), &small, "again");
        }
    }
}

#[test]
fn a_dry_run_leaves_nothing_and_says_the_same() {
    let corpus = Corpus::large();
    let run = folder();
    corpus.read(run.path());
    let before = snapshot(run.path());
    let refused = [1, SMALL, PLENTY].map(|memory| {
        let plan = |options: &SelectOptions| {
            let watch = Watch::counting();
            let project = corpus.open(Store::local(run.path()), 2, memory, &watch);
            let outcome = project.plan_selection(options, ScoreOptions::default()).map(drop);
            let outcome = outcome.map_err(|error| (error.to_string(), error.hint()));
            (watch.said(), outcome)
        };
        let check = SelectOptions { duplicate_ids: DuplicateIds::Check, ..corpus.options() };
        (plan(&corpus.options()), plan(&check).1.unwrap_err())
    });
    assert!(refused[0] == refused[2] && refused[1] == refused[2], "{refused:?}");
    assert!(refused[0].0.0.contains("ids occur more than once"), "{refused:?}");
    assert_same(&snapshot(run.path()), &before, "after dry runs");
}

/// A run in which the steps that change it fail from the `at`-th on.
fn stopped_at(corpus: &Corpus, run: &Path, at: u64, memory: u64) -> Option<Error> {
    let steps = Arc::new(Steps::new(at, Fate::FailForEver(DISK_BROKEN)));
    let store = Store::local(run).watched(Arc::<Steps>::clone(&steps));
    let outcome = corpus.select(store, 1, memory, &Silent);
    if steps.count() < at {
        outcome.unwrap();
        return None;
    }
    Some(outcome.expect_err("a step failed"))
}

#[test]
fn what_was_begun_in_files_goes_on_in_files_with_plenty_of_memory() {
    let corpus = Corpus::large();
    let (small, plenty) = corpus.whole();
    let mut begun = 0;
    for at in (0..).map(|at| 100 + 61 * at) {
        let run = folder();
        corpus.read(run.path());
        let stopped = stopped_at(&corpus, run.path(), at, SMALL).is_some();
        let there = snapshot(run.path());
        let wrote = |name: &str| there.keys().any(|path| path.starts_with(name));
        corpus.select(Store::local(run.path()), 2, PLENTY, &Silent).unwrap();
        let found = snapshot(run.path());
        assert_same(&without_groups(&found), &plenty, "the selection");
        assert!(found.keys().all(|name| !name.contains("/.work/")), "{at}");
        if wrote("groups/equal-texts") {
            assert_same(&found, &small, &format!("stopped at {at}"));
            begun += 1;
        }
        if !stopped {
            break;
        }
    }
    assert!(begun > 3);
}

#[test]
fn damaged_files_between_stages_are_made_again_with_a_warning() {
    let corpus = Corpus::large();
    let (small, _) = corpus.whole();
    let mut random = Random::new(3);
    let (mut pairs, mut results) = (0, 0);
    for at in (0..).map(|at| 60 + 23 * at) {
        let run = folder();
        corpus.read(run.path());
        if stopped_at(&corpus, run.path(), at, SMALL).is_none() {
            break;
        }
        let work: Vec<String> = snapshot(run.path())
            .into_keys()
            .filter(|name| name.contains("/.work/") && !name.ends_with("plan.json"))
            .collect();
        if work.is_empty() {
            continue;
        }
        let name = &work[random.below(work.len())];
        let path = run.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        match random.below(4) {
            0 => bytes.truncate(random.below(bytes.len())),
            1 => bytes.clear(),
            2 => bytes.push(7),
            _ => {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
        }
        std::fs::write(&path, bytes).unwrap();
        let watch = Watch::counting();
        corpus.select(Store::local(run.path()), 2, SMALL, &watch).unwrap();
        assert_same(&snapshot(run.path()), &small, name);
        let told = watch.said().contains(name.as_str()) && watch.said().contains("it is made again");
        // What stands behind a stage that is finished is not looked at again.
        if told {
            *(if name.contains("/pairs/") { &mut pairs } else { &mut results }) += 1;
        }
    }
    assert!(pairs > 2 && results > 2, "{pairs} of pairs, {results} of results");
}

#[test]
fn a_selection_that_is_cancelled_goes_on_to_the_same_bytes() {
    let corpus = Corpus::large();
    let (small, _) = corpus.whole();
    let mut cancelled = 0;
    for questions in (0..).map(|at| 7 * at) {
        let run = folder();
        corpus.read(run.path());
        let outcome = corpus.select(Store::local(run.path()), 2, SMALL, &Cancels::after(questions));
        if let Err(error) = &outcome {
            assert!(matches!(error, Error::Cancelled), "{error}");
            cancelled += 1;
        }
        corpus.select(Store::local(run.path()), 2, SMALL, &Silent).unwrap();
        assert_same(&snapshot(run.path()), &small, &format!("after {questions}"));
        if outcome.is_ok() {
            break;
        }
    }
    assert!(cancelled > 5, "{cancelled}");
}

#[test]
fn projects_at_once_with_other_memory_each_give_the_bytes_of_one() {
    let corpus = Corpus::large();
    let (small, _) = corpus.whole();
    for _ in 0..3 {
        let run = folder();
        corpus.read(run.path());
        std::thread::scope(|scope| {
            for memory in [1, SMALL, 30_000] {
                let (corpus, run) = (&corpus, run.path());
                scope.spawn(move || corpus.select(Store::local(run), 2, memory, &Silent).unwrap());
            }
        });
        corpus.select(Store::local(run.path()), 1, SMALL, &Silent).unwrap();
        assert_same(&snapshot(run.path()), &small, "three at once");
    }
}

/// As of every other step of a run: told with where, what and what to do; nothing half-written; gone on from.
#[expect(clippy::print_stdout, reason = "how much was tried is told with --nocapture")]
fn fails_at_every_step(code: i32, says: &str) {
    let corpus = Corpus::small();
    let (small, _) = corpus.whole();
    let mut tried = 0;
    // One fault differs little from another, once it is for ever.
    let once = (code == DISK_FULL).then_some(Fate::Fail(code));
    for fate in [Fate::FailForEver(code)].into_iter().chain(once) {
        for at in 1.. {
            let what = format!("{fate:?} at step {at}");
            let run = folder();
            corpus.read(run.path());
            let steps = Arc::new(Steps::new(at, fate));
            let store = Store::local(run.path()).watched(Arc::<Steps>::clone(&steps));
            let outcome = corpus.select(store, 1, TINY, &Silent);
            if steps.count() < at {
                outcome.unwrap();
                assert!(at > 100, "{what}: a selection has more steps");
                break;
            }
            tried += 1;
            let error = outcome.expect_err(&what);
            let message = error.to_string();
            assert!(message.contains(says) && message.contains(run.path().to_str().unwrap()), "{message}");
            assert!(error.hint().is_some() && !error.is_usage(), "{what}: {message}");
            for (name, bytes) in snapshot(run.path()) {
                if !name.contains("/.parts/") && !name.contains("/.work/") {
                    assert!(small.get(&name) == Some(&bytes), "{what}: `{name}`");
                }
            }
            corpus.select(Store::local(run.path()), 1, TINY, &Silent).unwrap();
            assert_same(&snapshot(run.path()), &small, &what);
        }
    }
    println!("{says}: {tried} failed steps");
}

#[test]
fn a_full_disk_at_any_step_is_told_and_gone_on_from() {
    fails_at_every_step(DISK_FULL, "No space left on device");
}

#[test]
fn a_read_only_file_system_at_any_step_is_told_and_gone_on_from() {
    fails_at_every_step(READ_ONLY, "Read-only file system");
}

fn objects(store: Arc<Faulty>) -> Store {
    Store::object(store, "runs/one").unwrap()
}

fn contents(inner: &Arc<InMemory>) -> Files {
    let store = objects(Faulty::new(inner, 0, Fault::None));
    let entries = store.list("").unwrap();
    entries.into_iter().map(|entry| (entry.path.clone(), store.read(&entry.path).unwrap().to_vec())).collect()
}

#[test]
fn an_object_store_that_fails_at_any_operation_does_no_harm() {
    let corpus = Corpus::small();
    let read = Arc::new(InMemory::new());
    let healthy = |inner: &Arc<InMemory>| objects(Faulty::new(inner, 0, Fault::None));
    corpus.open(healthy(&read), 1, PLENTY, &Silent).inventory().unwrap();
    let whole = Arc::new(read.fork());
    corpus.select(healthy(&whole), 1, TINY, &Silent).unwrap();
    let expected = contents(&whole);
    assert!(expected.keys().any(|name| name.starts_with("groups/equal-texts@")));
    let mut tried = 0;
    for fault in [Fault::Error, Fault::LostAnswer, Fault::Half] {
        for at in 1.. {
            let what = format!("{fault:?} at operation {at}");
            let inner = Arc::new(read.fork());
            let faulty = Faulty::new(&inner, at, fault);
            let outcome = corpus.select(objects(Arc::clone(&faulty)), 1, TINY, &Silent);
            if faulty.count() < at {
                outcome.unwrap();
                assert!(at > 100, "{what}: a selection has more operations");
                break;
            }
            tried += 1;
            match (fault, &outcome) {
                (Fault::Error, Ok(())) => panic!("{what}: not told"),
                (_, Err(error)) => assert!(error.hint().is_some(), "{what}: {error}"),
                _ => {}
            }
            let mut again = corpus.select(healthy(&inner), 1, TINY, &Silent);
            if fault == Fault::Half
                && let Err(error) = &again
            {
                // Half of a file that is not made again by itself: the error names it.
                let message = error.to_string();
                let path =
                    message.split('`').nth(1).unwrap().trim_start_matches("faulty:/runs/one/").to_owned();
                assert!(error.hint().is_some_and(|hint| hint.contains("remove")), "{what}: {message}");
                healthy(&inner).remove(&path).unwrap();
                again = corpus.select(healthy(&inner), 1, TINY, &Silent);
            }
            again.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_same(&contents(&inner), &expected, &what);
        }
    }
    println!("{tried} failed operations");
}

/// Processes of their own.
#[cfg(unix)]
mod processes {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::support::steps::STOPPED;

    const CORPUS: &str = "TAMIS_TEST_GROUPS_CORPUS";
    const RUN: &str = "TAMIS_TEST_GROUPS_RUN";
    const STEP: &str = "TAMIS_TEST_GROUPS_STEP";

    /// Selects, where the environment says on what; alone it does nothing.
    #[test]
    fn child() {
        let (Ok(corpus), Ok(run), Ok(step)) =
            (std::env::var(CORPUS), std::env::var(RUN), std::env::var(STEP))
        else {
            return;
        };
        let steps = Arc::new(Steps::new(step.parse().unwrap(), Fate::Stop));
        let folder = PathBuf::from(corpus);
        let options = CorpusOptions::new(folder.to_str().unwrap());
        let store = Store::local(run).watched(steps);
        let project = Project::open_in(Some(options), store, 2, Arc::new(Silent)).unwrap();
        let project = project.with_grouping_memory(SMALL);
        let version = project.inventory().unwrap();
        let options = SelectOptions {
            name: Some("one".to_owned()),
            duplicate_ids: DuplicateIds::One,
            exact_duplicates: ExactDuplicates::One,
            vetoes: vec![folder.join("_vetoes.txt")],
            ..selecting("random", None, rates(&["40%"]))
        };
        project.select(&version, None, None, &options).unwrap();
    }

    fn spawn(corpus: &Corpus, run: &Path, step: u64) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "groups::processes::child", "--test-threads", "1"])
            .env(CORPUS, corpus.folder.path())
            .env(RUN, run)
            .env(STEP, step.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    #[test]
    fn killed_at_any_step_a_grouping_is_gone_on_with_and_nothing_finished_is_done_again() {
        use std::os::unix::fs::MetadataExt;
        let kills: u64 = std::env::var("TAMIS_KILLS").map_or(30, |value| value.parse().unwrap());
        let corpus = Corpus::large();
        let (small, _) = corpus.whole();
        let counted = folder();
        corpus.read(counted.path());
        let steps = Arc::new(Steps::new(0, Fate::Stop));
        let store = Store::local(counted.path()).watched(Arc::<Steps>::clone(&steps));
        corpus.select(store, 2, SMALL, &Silent).unwrap();
        let mut random = Random::new(u64::from(std::process::id()));
        let mut places: BTreeMap<&str, u64> = BTreeMap::new();
        for kill in 0..kills {
            let run = folder();
            corpus.read(run.path());
            let step = 1 + (kill * 1000 + random.below(1000) as u64) * steps.count() / (kills * 1000);
            let mut child = spawn(&corpus, run.path(), step);
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut lines = lines.map_while(Result::ok);
            let place = lines.find_map(|line| Some(line.split_once(STOPPED)?.1.to_owned()));
            child.kill().unwrap();
            child.wait().unwrap();
            let place = place.unwrap_or_else(|| "the end".to_owned());
            let found = snapshot(run.path());
            // Of one process, what stands is what it will be: units, too, are left as they are.
            let identity = |name: &String| {
                let metadata = std::fs::metadata(run.path().join(name)).ok()?;
                Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
            };
            let lasting = |name: &&String| {
                name.starts_with("groups/") && !name.contains("/.work/") && !name.contains("/.parts/")
            };
            let before: Vec<_> = found.keys().filter(lasting).map(|name| (name, identity(name))).collect();
            corpus.select(Store::local(run.path()), 2, SMALL, &Silent).unwrap();
            assert_same(&snapshot(run.path()), &small, &format!("killed at {place}, step {step}"));
            for (name, was) in before {
                assert_eq!(identity(name), was, "`{name}` was finished and was written again");
            }
            let phase = ["/pairs", "/results", "/sidecars", "/groups/", "/selections/", "the end"];
            let phase = phase.into_iter().find(|phase| place.contains(phase)).unwrap_or("elsewhere");
            *places.entry(phase).or_default() += 1;
        }
        // So many that none of the stages can be missed: as in `make torture`.
        assert!(
            kills < 100 || places.contains_key("/pairs") && places.contains_key("/results"),
            "{places:?}"
        );
    }

    #[test]
    fn processes_at_once_one_of_which_dies_give_the_bytes_of_one() {
        let corpus = Corpus::large();
        let (small, _) = corpus.whole();
        for wait in [5, 20, 60] {
            let run = folder();
            corpus.read(run.path());
            let mut children: Vec<Child> = (0..3).map(|_| spawn(&corpus, run.path(), 0)).collect();
            std::thread::sleep(std::time::Duration::from_millis(wait));
            children[0].kill().unwrap();
            children[0].wait().unwrap();
            for child in children.drain(1..) {
                assert!(child.wait_with_output().unwrap().status.success());
            }
            corpus.select(Store::local(run.path()), 2, SMALL, &Silent).unwrap();
            assert_same(&snapshot(run.path()), &small, "processes at once");
        }
    }
}
