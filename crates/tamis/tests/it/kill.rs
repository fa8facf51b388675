//! Processes that are killed outright, and what the next one makes of what they left.
//!
//! The test binary starts itself: a child runs [`child`] on a corpus, a run directory and a row of the table, all from its
//! environment. Three kills of four come at a step of the run directory (a write, a sync, a link, …) that is drawn from
//! all of them, so that they spread over the whole run; the others come at a random time. Some runs are killed twice.
//!
//! `TAMIS_KILLS` says how many (50), `TAMIS_SEED` which; `make torture` does 1,000.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tamis::Project;
use tamis::Silent;
use tamis::options::CorpusOptions;
use tamis_io::sidecar::{SidecarColumns, SidecarReader};
use tamis_io::store::Store;

use crate::signals::{Row, SPAN_DOCUMENTS, TABLE, open};
use crate::support::corpus;
use crate::support::folder;
use crate::support::observers::Watch;
use crate::support::random::Random;
use crate::support::server;
use crate::support::snapshot::{assert_same, snapshot};
use crate::support::steps::{Fate, STOPPED, Steps};

const CORPUS: &str = "TAMIS_TEST_CORPUS";
const RUN: &str = "TAMIS_TEST_RUN";
const ROW: &str = "TAMIS_TEST_ROW";
const STEP: &str = "TAMIS_TEST_STEP";

/// Reads, scores and selects by one row of the table, where the environment says on what; alone it does nothing.
#[test]
fn child() {
    let (Ok(corpus), Ok(run), Ok(row), Ok(step)) =
        (std::env::var(CORPUS), std::env::var(RUN), std::env::var(ROW), std::env::var(STEP))
    else {
        return;
    };
    let steps = Arc::new(Steps::new(step.parse().unwrap(), Fate::Stop));
    work(&TABLE[row.parse::<usize>().unwrap()], Path::new(&corpus), Path::new(&run), &steps);
}

fn work(row: &Row, corpus: &Path, run: &Path, steps: &Arc<Steps>) {
    let store = Store::local(run).watched(Arc::<Steps>::clone(steps));
    let corpus = CorpusOptions::new(corpus.to_str().unwrap());
    let project = Project::open_in(Some(corpus), store, 2, Arc::new(Silent)).unwrap();
    row.complete(&project.with_spans_of(SPAN_DOCUMENTS));
}

fn spawn(row: usize, corpus: &Path, run: &Path, step: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--test-threads", "1"])
        .env(CORPUS, corpus)
        .env(RUN, run)
        .env(server::VARIABLE, &*server::SERVER)
        .env(ROW, row.to_string())
        .env(STEP, step.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// One row of the table, run once without being disturbed.
struct Whole {
    files: BTreeMap<String, Vec<u8>>,
    documents: u64,
    steps: u64,
    took: Duration,
}

impl Whole {
    fn of(at: usize, corpus: &Path) -> Self {
        let run = folder();
        let steps = Arc::new(Steps::new(0, Fate::Stop));
        work(&TABLE[at], corpus, run.path(), &steps);
        let version = open(corpus, run.path(), 2, &Silent).inventory().unwrap();
        let timed = folder();
        let began = Instant::now();
        assert!(spawn(at, corpus, timed.path(), 0).wait_with_output().unwrap().status.success());
        let took = began.elapsed();
        let files = snapshot(run.path());
        assert_same(&snapshot(timed.path()), &files, "another process");
        Self { files, documents: version.documents(), steps: steps.count(), took }
    }
}

/// When to kill.
enum When {
    Step(u64),
    After(Duration),
}

/// Starts a process and kills it; where it stood, in words, or whether it had ended before.
fn kill(row: usize, corpus: &Path, run: &Path, when: &When) -> Option<String> {
    let (step, delay) = match when {
        When::Step(step) => (*step, None),
        When::After(delay) => (0, Some(*delay)),
    };
    let mut child = spawn(row, corpus, run, step);
    let mut place = None;
    match delay {
        Some(delay) => std::thread::sleep(delay),
        None => {
            // Ends with the line of a child that stands still, or with the child.
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            // (The harness has begun the line with the name of the test.)
            let stopped = |line: String| Some(line.split_once(STOPPED)?.1.to_owned());
            place = lines.map_while(Result::ok).find_map(stopped);
        }
    }
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    if ended.success() { None } else { Some(place.unwrap_or_else(|| "some time".to_owned())) }
}

/// What is finished in a run that nobody works on.
#[derive(Default)]
struct Finished {
    /// Documents by stage, as observers see them.
    documents: BTreeMap<String, u64>,
    /// Inode and time of files that nothing may touch again.
    files: BTreeMap<String, (u64, i64, i64)>,
    phase: &'static str,
}

impl Finished {
    fn of(run: &Path) -> Self {
        let mut finished = Self { phase: "before the run began", ..Self::default() };
        let files = snapshot(run);
        let has =
            |start: &str, end: &str| files.keys().any(|name| name.starts_with(start) && name.ends_with(end));
        for (phase, there) in [
            ("while reading", has("run.json", "")),
            ("while scoring", has("signals/", "")),
            ("while selecting", has("selections/", "")),
            ("after the end", has("selections/", "/manifest.json")),
        ] {
            if there {
                finished.phase = phase;
            }
        }
        let field = |bytes: &[u8], pointer: &str| {
            let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            value.pointer(pointer).unwrap().as_u64().unwrap()
        };
        let store = Store::local(run);
        for (name, bytes) in &files {
            let stage = name.strip_prefix("signals/").and_then(|rest| rest.split_once('@'));
            let stage =
                stage.map(|(signal, rest)| (format!("score {signal}"), rest.split_once('/').unwrap().1));
            let (stage, documents) = match &stage {
                None if name.starts_with("inventory/") && name.ends_with(".json") => {
                    ("read corpus".to_owned(), field(bytes, "/shard/documents"))
                }
                Some((stage, rest)) if rest.starts_with("receipts/") => {
                    (stage.clone(), field(bytes, "/rows"))
                }
                Some((stage, rest)) if rest.starts_with(".parts/") => {
                    // Parts of a shard that has its receipt are leftovers, which the next call removes.
                    let shard = rest.strip_prefix(".parts/").unwrap().rsplit_once('/').unwrap().0;
                    let signal = &name[..name.len() - rest.len()];
                    if files.contains_key(&format!("{signal}receipts/{shard}.json")) {
                        continue;
                    }
                    (stage.clone(), SidecarReader::open(&store, name, SidecarColumns::All).unwrap().rows())
                }
                _ => continue,
            };
            *finished.documents.entry(stage).or_default() += documents;
        }
        for name in files.keys().filter(|name| !name.contains("/.parts/")) {
            // Kept documents count once their shard has its output receipt.
            if let Some((selection, path)) = name.split_once("/documents/")
                && let Some((_rate, shard)) = path.split_once('/')
                && let Some(shard) = shard.strip_suffix(".jsonl")
                && !files.contains_key(&format!("{selection}/outputs/{shard}.json"))
            {
                continue;
            }
            let metadata = std::fs::metadata(run.join(name)).unwrap();
            let identity = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
            finished.files.insert(name.clone(), identity);
        }
        finished
    }
}

/// Kills, resumes, and holds what comes of it against the undisturbed run; in which phase the kill came, and where.
fn case(at: usize, corpus: &Path, whole: &Whole, kills: &[When]) -> (&'static str, String) {
    let row = &TABLE[at];
    let run = folder();
    let mut place = None;
    for when in kills {
        place = kill(at, corpus, run.path(), when).or(place);
    }
    let what = format!("{}, killed at {}", row.name, place.as_deref().unwrap_or("no time"));
    let finished = Finished::of(run.path());
    let watch = Watch::counting();
    row.complete(&open(corpus, run.path(), 2, &watch));
    assert_same(&snapshot(run.path()), &whole.files, &what);
    for (stage, computed) in watch.stages() {
        if stage != "read corpus" && !stage.starts_with("score ") {
            continue;
        }
        let before = finished.documents.get(&stage).copied().unwrap_or(0);
        assert_eq!(
            computed,
            whole.documents - before,
            "{what}: {stage} did finished work again, or too little"
        );
    }
    let after = Finished::of(run.path());
    for (name, identity) in &finished.files {
        assert_eq!(
            after.files.get(name),
            Some(identity),
            "{what}: `{name}` was finished and was written again"
        );
    }
    (
        finished.phase,
        place.map_or_else(|| "the end".to_owned(), |place| place.split(' ').next().unwrap().to_owned()),
    )
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

#[test]
fn killed_at_any_moment_a_run_resumes_to_the_same_bytes_and_does_nothing_twice() {
    let (cases, seed) =
        (setting("TAMIS_KILLS", 50) as usize, setting("TAMIS_SEED", std::process::id().into()));
    let corpus = folder();
    corpus::mixed(corpus.path());
    let corpus = corpus.path();
    let wholes: Vec<Whole> = (0..TABLE.len()).map(|at| Whole::of(at, corpus)).collect();
    let a_row = cases.div_ceil(TABLE.len()) as u64;
    let next = AtomicUsize::new(0);
    let hits = Mutex::new((BTreeMap::<&str, u64>::new(), BTreeMap::<String, u64>::new()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let case_at = next.fetch_add(1, Ordering::SeqCst);
                    if case_at >= cases {
                        break;
                    }
                    let (at, turn) = (case_at % TABLE.len(), (case_at / TABLE.len()) as u64);
                    let whole = &wholes[at];
                    let mut random = Random::new(seed ^ ((case_at as u64) << 32));
                    let mut when = || match random.below(4) {
                        0 => When::After(whole.took.mul_f64(random.below(1100) as f64 / 1000.0)),
                        // The turns of a row share its steps out between them.
                        _ => {
                            let within = random.below(1000) as u64;
                            When::Step(1 + (turn * 1000 + within) * whole.steps / (a_row * 1000))
                        }
                    };
                    let kills: Vec<When> = if case_at % 3 == 2 { vec![when(), when()] } else { vec![when()] };
                    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        case(at, corpus, whole, &kills)
                    }));
                    let (phase, place) = outcome.unwrap_or_else(|panic| {
                        eprintln!("case {case_at} of {cases}, TAMIS_SEED={seed}");
                        std::panic::resume_unwind(panic)
                    });
                    let mut hits = hits.lock().unwrap();
                    *hits.0.entry(phase).or_default() += 1;
                    *hits.1.entry(place).or_default() += 1;
                }
            });
        }
    });
    let (phases, places) = hits.into_inner().unwrap();
    assert_eq!(phases.values().sum::<u64>(), cases as u64);
    if cases >= 20 {
        for phase in ["while reading", "while scoring", "while selecting"] {
            assert!(phases.contains_key(phase), "no kill came {phase}: {phases:?} (seed {seed})");
        }
    }
    println!("{cases} kills, seed {seed}, {:.0} s", began.elapsed().as_secs_f64());
    for (row, whole) in TABLE.iter().zip(&wholes) {
        println!("  {}: {} steps in {:.2} s undisturbed", row.name, whole.steps, whole.took.as_secs_f64());
    }
    println!("  came {phases:?}");
    println!("  at {places:?}");
}

#[test]
fn processes_at_once_on_one_run_give_the_bytes_of_one() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for (at, row) in TABLE.iter().enumerate() {
        let expected = Whole::of(at, corpus.path()).files;
        let run = folder();
        let mut children: Vec<_> = (0..3).map(|_| spawn(at, corpus.path(), run.path(), 0)).collect();
        // One dies while the others work; its locks go with it.
        std::thread::sleep(Duration::from_millis(60));
        children[0].kill().unwrap();
        children[0].wait().unwrap();
        for child in children.drain(1..) {
            assert!(child.wait_with_output().unwrap().status.success(), "{}", row.name);
        }
        // What the dead one left behind, parts of a shard that it had finished, the next call clears away.
        row.complete(&open(corpus.path(), run.path(), 2, &Silent));
        assert_same(&snapshot(run.path()), &expected, row.name);
    }
}
