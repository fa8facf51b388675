//! Signals that were stored before fingerprints had an architecture, and those that have one.

use std::sync::Arc;

use object_store::memory::InMemory;
use tamis_core::{Fingerprint, Settings};
use tamis_io::run::{
    ArchitectureNote, Beside, Repeatability, RunDirectory, RunError, SignalDir, SignalRecord,
};
use tamis_io::store::Store;

use crate::run_support::*;

fn settings(theta: u32) -> Settings {
    Settings::new().with("hidden_size", 32).with("rope_theta", theta)
}

/// The signal `exact()` of a model folder.
fn of(theta: u32) -> SignalRecord {
    record(fingerprint().with_architecture(Some(&settings(theta))), Repeatability::Exact)
}

fn file(run: &RunDirectory, signal: &SignalDir) -> String {
    let bytes = run.store().read(&format!("signals/{}/architecture.json", signal.full_name())).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn refused(run: &RunDirectory, record: &SignalRecord) -> String {
    let error = run.open_signal(record, Beside::Refuse).unwrap_err();
    assert!(matches!(error, RunError::FingerprintChanged { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("--beside"));
    error.to_string()
}

#[test]
fn a_new_signal_has_its_architecture_in_its_name_and_beside_it() {
    let (_folder, run, _) = local_run(10);
    let signal = run.open_signal(&of(10_000), Beside::Refuse).unwrap();
    assert_ne!(of(10_000).full_name, of(500_000).full_name);
    assert_eq!(signal.architecture_note(), &ArchitectureNote::AsStored);
    let text = file(&run, &signal);
    for line in ["  \"format_version\": 1,", "    \"rope_theta\": \"10000\""] {
        assert!(text.lines().any(|other| other == line), "{line} not in\n{text}");
    }
    let record = String::from_utf8(
        run.store().read(&format!("signals/{}/signal.json", signal.full_name())).unwrap().to_vec(),
    )
    .unwrap();
    assert!(record.contains(&settings(10_000).digest()) && !record.contains("rope_theta"), "{record}");
    assert_eq!(
        refused(&run, &of(500_000)),
        format!(
            "signal `{}` differs from the stored `{}` in rope_theta: stored `10000`, asked `500000`",
            of(500_000).full_name,
            signal.full_name()
        )
    );
}

#[test]
fn a_signal_of_earlier_times_keeps_its_name_and_gets_its_architecture_once() {
    let (_folder, run, shard) = local_run(30);
    let earlier = run.open_signal(&exact(), Beside::Refuse).unwrap();
    earlier.commit_part(&shard, span(0, 10), &scores_in(span(0, 10), 30, 0.0)).unwrap();
    let path = format!("signals/{}/architecture.json", earlier.full_name());
    assert!(!run.store().exists(&path).unwrap());
    // To look is not to go on.
    let peeked = RunDirectory::peek(run.store().clone()).unwrap();
    peeked.signals().unwrap();
    peeked.resolve("made-up").unwrap();
    assert!(!run.store().exists(&path).unwrap());

    let signal = run.open_signal(&of(10_000), Beside::Refuse).unwrap();
    assert_eq!((signal.full_name(), signal.record()), (earlier.full_name(), earlier.record()));
    assert_eq!(signal.architecture_note(), &ArchitectureNote::WrittenNow);
    assert_eq!(signal.parts(&shard).unwrap().spans, [span(0, 10)]);
    assert!(file(&run, &signal).contains("\"rope_theta\": \"10000\""));
    let again = run.open_signal(&of(10_000), Beside::Allow).unwrap();
    assert_eq!(
        (again.full_name(), again.architecture_note()),
        (earlier.full_name(), &ArchitectureNote::AsStored)
    );
    assert_eq!(run.signals().unwrap().len(), 1);

    // From now on it is of that architecture.
    assert_eq!(
        refused(&run, &of(500_000)),
        format!(
            "signal `{}` differs from the stored `{}` in rope_theta: stored `10000`, asked `500000`",
            of(500_000).full_name,
            earlier.full_name()
        )
    );
    let other = run.open_signal(&of(500_000), Beside::Allow).unwrap();
    assert_eq!(other.full_name(), of(500_000).full_name);
    for (theta, name) in [(10_000, earlier.full_name()), (500_000, other.full_name())] {
        assert_eq!(run.open_signal(&of(theta), Beside::Refuse).unwrap().full_name(), name);
    }
    assert_eq!(run.signals().unwrap().len(), 2);
}

#[test]
fn a_signal_of_earlier_times_that_differs_otherwise_is_refused_for_that() {
    let (_folder, run, _) = local_run(10);
    run.open_signal(&exact(), Beside::Refuse).unwrap();
    let other = fingerprint().with("prompt", "mine").with_architecture(Some(&settings(10_000)));
    let text = refused(&run, &record(other, Repeatability::Exact));
    assert!(text.ends_with(" in prompt: stored `paper`, asked `mine`"), "{text}");
}

#[test]
fn of_two_that_go_on_with_a_signal_of_earlier_times_one_decides_the_architecture() {
    for round in 0..20 {
        let (_folder, run, _) = local_run(3);
        let earlier = run.open_signal(&exact(), Beside::Refuse).unwrap();
        let opened: Vec<_> = std::thread::scope(|scope| {
            let open = |theta| {
                scope.spawn({
                    let run = &run;
                    move || run.open_signal(&of(theta), Beside::Refuse)
                })
            };
            let threads: Vec<_> = (0..6).map(|at| open(10_000 + u32::from(at % 2 == 1))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let kept = file(&run, &earlier).contains("\"10000\"");
        let mut first = 0;
        for (at, opened) in opened.iter().enumerate() {
            match opened {
                Ok(signal) => {
                    assert_eq!(at % 2 == 0, kept, "round {round}: the architecture that stands");
                    assert_eq!(signal.full_name(), earlier.full_name());
                    first += u32::from(*signal.architecture_note() == ArchitectureNote::WrittenNow);
                }
                Err(error) => {
                    assert_eq!(at % 2 == 1, kept, "round {round}: {error}");
                    assert!(matches!(error, RunError::FingerprintChanged { .. }), "{error:?}");
                }
            }
        }
        assert_eq!(first, 1, "round {round}: it is said once");
    }
}

#[test]
fn what_is_complete_can_be_read_where_nothing_can_be_written_and_nothing_is_added_there() {
    let inner = Arc::new(InMemory::new());
    let store = |operations| Store::object(Breaking::new(&inner, operations, Stop::Denied), "run").unwrap();
    let run = RunDirectory::open_or_create(store(usize::MAX)).unwrap();
    let shard = take_inventory(&run, "a.jsonl", 20, 100).unwrap().shard;
    let earlier = run.open_signal(&exact(), Beside::Refuse).unwrap();
    earlier.commit_part(&shard, span(0, 10), &scores_in(span(0, 10), 20, 0.0)).unwrap();
    let before = contents(run.store());

    let locked = RunDirectory::open(store(0)).unwrap();
    let signal = locked.open_signal(&of(10_000), Beside::Refuse).unwrap();
    assert_eq!(signal.full_name(), earlier.full_name());
    assert_eq!(signal.architecture_note(), &ArchitectureNote::Unwritten(settings(10_000)));
    assert_eq!(signal.parts(&shard).unwrap().spans, [span(0, 10)]);
    let rows = scores_in(span(10, 10), 20, 0.0);
    let error = signal.commit_part(&shard, span(10, 10), &rows).unwrap_err();
    assert!(error.to_string().contains("architecture.json"), "{error}");
    assert_eq!(contents(run.store()), before);

    // Another architecture came first, the place can be written to again: still nothing of this one is added.
    let signal = {
        let once = RunDirectory::open(Store::object(Breaking::new(&inner, 0, Stop::Denied), "run").unwrap())
            .unwrap();
        once.open_signal(&of(10_000), Beside::Refuse).unwrap()
    };
    run.open_signal(&of(500_000), Beside::Refuse).unwrap();
    let error = signal.commit_part(&shard, span(10, 10), &rows).unwrap_err();
    assert!(matches!(error, RunError::FingerprintChanged { .. }), "{error:?}");
}

#[test]
fn a_store_that_breaks_at_any_step_leaves_a_signal_that_can_be_gone_on_with() {
    for stop in [Stop::Before, Stop::After] {
        for earlier in [false, true] {
            for operations in 0.. {
                let inner = Arc::new(InMemory::new());
                let whole = RunDirectory::open_or_create(
                    Store::object(Breaking::new(&inner, usize::MAX, stop), "run").unwrap(),
                )
                .unwrap();
                if earlier {
                    whole.open_signal(&exact(), Beside::Refuse).unwrap();
                }
                let broken = RunDirectory::open(
                    Store::object(Breaking::new(&inner, operations, stop), "run").unwrap(),
                );
                let outcome = broken.unwrap().open_signal(&of(10_000), Beside::Refuse);
                let signal = whole.open_signal(&of(10_000), Beside::Refuse).unwrap();
                let expected = if earlier { exact().full_name } else { of(10_000).full_name };
                assert_eq!(signal.full_name(), expected);
                assert!(file(&whole, &signal).contains("\"10000\""));
                refused(&whole, &of(500_000));
                if outcome.is_ok() {
                    assert!(operations > 0, "something is written");
                    break;
                }
            }
        }
    }
}

#[test]
fn an_architecture_that_is_not_the_signals_is_damage() {
    let (folder, run, _) = local_run(10);
    let signal = run.open_signal(&of(10_000), Beside::Refuse).unwrap();
    let path = folder.path().join(format!("signals/{}/architecture.json", signal.full_name()));
    let text = std::fs::read_to_string(&path).unwrap();
    let replaced = text.replace("\"10000\"", "\"10001\"");
    let consistent = replaced.replace(&settings(10_000).digest(), &settings(10_001).digest());
    for (text, problem) in [
        (replaced, "its settings have digest"),
        (consistent, "is of architecture"),
        (String::new(), "not what tamis wrote"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = run.open_signal(&of(10_000), Beside::Refuse).unwrap_err();
        assert!(matches!(error, RunError::Corrupt { .. }) && error.to_string().contains(problem), "{error}");
        assert!(error.hint().unwrap().contains("architecture.json"), "{error}");
    }
    // The remedy works.
    std::fs::remove_file(&path).unwrap();
    run.open_signal(&of(10_000), Beside::Refuse).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(of(10_000).fingerprint.get(Fingerprint::ARCHITECTURE), Some(&settings(10_000).digest()));
}
