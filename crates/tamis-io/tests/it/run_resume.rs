//! Stopped anywhere, merged in any order, written by several: the directory ends up with the same bytes.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use proptest::prelude::*;
use tamis_core::Digest;
use tamis_io::run::{
    Beside, CorpusVersion, Frozen, KeepText, Quarantined, Repeatability, RowSpan, RunDirectory, RunError,
    RunResult, ShardRecord, SignalDir,
};
use tamis_io::sidecar::{SidecarColumns, SidecarReader};
use tamis_io::store::{Created, Store};

use crate::run_support::*;

const PHYSICAL: u64 = 100;

fn memory(store: Arc<dyn ObjectStore>) -> Store {
    Store::object(store, "runs/one").unwrap()
}

/// Everything that a scoring command does to a run, in its order; skips what is done.
fn score(run: &RunDirectory, parts: &[RowSpan]) -> RunResult<()> {
    let mut shards = Vec::new();
    for (path, physical) in [("a.jsonl", PHYSICAL), ("empty.jsonl", 0), ("sub/b.jsonl", 31)] {
        if let Some(receipt) = run.inventory_receipt(path, &columns())? {
            shards.push(receipt.shard);
            continue;
        }
        let mut quarantine = run.quarantine_writer(path, KeepText::Cut)?;
        if physical > 0 {
            let row =
                Quarantined { row: 3, line: Some(4), reason: "invalid-json", detail: "no object", raw: b"{" };
            quarantine.add(&row)?;
        }
        quarantine.commit()?;
        shards.push(take_inventory(run, path, physical, 7)?.shard);
    }
    run.write_next_corpus(CorpusVersion::new("corpus".to_owned(), columns(), shards.clone()))?;
    let signal = run.open_signal(&exact(), Beside::Refuse)?;
    for shard in &shards {
        score_shard(&signal, shard, parts)?;
    }
    Ok(())
}

fn score_shard(signal: &SignalDir, shard: &ShardRecord, parts: &[RowSpan]) -> RunResult<()> {
    if signal.receipt(shard)?.is_some() {
        return Ok(());
    }
    for missing in signal.parts(shard)?.missing(shard.rows) {
        // What is missing is computed in the driver's own portions, whatever portions were used before.
        for part in parts {
            let first_row = part.first_row.max(missing.first_row);
            let end = part.end().min(missing.end());
            if first_row < end {
                let part = span(first_row, end - first_row);
                signal.commit_part(shard, part, &scores_in(part, shard.rows, 0.0))?;
            }
        }
    }
    signal.finish_shard(shard).map(|_| ())
}

fn uniform(size: u64) -> Vec<RowSpan> {
    (0..PHYSICAL.div_ceil(size)).map(|at| span(at * size, size)).collect()
}

#[test]
fn stopped_before_or_after_any_write_it_resumes_to_the_same_bytes() {
    let whole = Arc::new(InMemory::new());
    let store = memory(whole);
    score(&RunDirectory::open_or_create(store.clone()).unwrap(), &uniform(40)).unwrap();
    let expected = contents(&store);
    assert!(expected.keys().all(|path| !path.contains(".parts/")), "{:?}", expected.keys());
    for stop in [Stop::Before, Stop::After] {
        let mut operations = 0;
        loop {
            let inner = Arc::new(InMemory::new());
            let broken = memory(Breaking::new(&inner, operations, stop));
            let first = RunDirectory::open_or_create(broken).and_then(|run| score(&run, &uniform(40)));
            let store = memory(inner);
            // The second attempt cuts parts elsewhere.
            score(&RunDirectory::open_or_create(store.clone()).unwrap(), &uniform(15)).unwrap();
            assert_eq!(contents(&store), expected, "stopped {stop:?} operation {operations}");
            if first.is_ok() {
                break;
            }
            assert!(matches!(first, Err(RunError::Store(_) | RunError::Write { .. })), "{first:?}");
            operations += 1;
        }
        assert!(operations > 20, "{operations} operations");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn borders_and_order_of_parts_leave_no_trace(
        mut cuts in prop::collection::btree_set(1..PHYSICAL, 0..12),
        order in any::<prop::sample::Index>(),
        overlap in 0..20_u64,
    ) {
        let one = RunDirectory::open_or_create(memory(Arc::new(InMemory::new()))).unwrap();
        let shard = take_inventory(&one, "a.jsonl", PHYSICAL, 9).unwrap().shard;
        let signal = one.open_signal(&exact(), Beside::Refuse).unwrap();
        let all = span(0, PHYSICAL);
        signal.commit_part(&shard, all, &scores_in(all, PHYSICAL, 0.0)).unwrap();
        let whole = signal.finish_shard(&shard).unwrap();

        let many = RunDirectory::open_or_create(memory(Arc::new(InMemory::new()))).unwrap();
        take_inventory(&many, "a.jsonl", PHYSICAL, 1000).unwrap();
        let signal = many.open_signal(&exact(), Beside::Refuse).unwrap();
        cuts.extend([0, PHYSICAL]);
        let cuts: Vec<u64> = cuts.into_iter().collect();
        let mut parts: Vec<RowSpan> = cuts
            .windows(2)
            .map(|pair| span(pair[0], (pair[1] - pair[0] + overlap).min(PHYSICAL - pair[0])))
            .collect();
        let at = order.index(parts.len());
        parts.rotate_left(at);
        for part in parts {
            signal.commit_part(&shard, part, &scores_in(part, PHYSICAL, 0.0)).unwrap();
        }
        prop_assert_eq!(signal.finish_shard(&shard).unwrap(), whole);
        prop_assert_eq!(contents(many.store()), contents(one.store()));
    }
}

#[test]
fn sidecars_of_several_row_groups_do_not_depend_on_the_parts() {
    const ROWS: u64 = 240_000;
    let mut files = Vec::new();
    for size in [ROWS, 70_001] {
        let (_folder, run, shard) = local_run(ROWS);
        let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
        for first_row in (0..ROWS).step_by(size as usize) {
            let part = span(first_row, size.min(ROWS - first_row));
            signal.commit_part(&shard, part, &scores_in(part, ROWS, 0.0)).unwrap();
        }
        let receipt = signal.finish_shard(&shard).unwrap();
        assert_eq!(receipt.rows, 160_000);
        assert_eq!(receipt.failed["no-tokens"], 16_000);
        let groups: Vec<usize> = signal
            .read(&shard, SidecarColumns::All)
            .unwrap()
            .map(|batch| batch.unwrap().num_rows())
            .collect();
        assert_eq!(groups, [65_536, 65_536, 28_928]);
        files.push(contents(run.store()));
    }
    assert!(files[0] == files[1]);
}

#[test]
fn a_shard_that_is_not_covered_says_which_rows_are_missing() {
    let (_folder, run, shard) = local_run(PHYSICAL);
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    for part in [span(10, 20), span(50, 50)] {
        signal.commit_part(&shard, part, &scores_in(part, PHYSICAL, 0.0)).unwrap();
    }
    assert_eq!(signal.parts(&shard).unwrap().missing(PHYSICAL), [span(0, 10), span(30, 20)]);
    let error = signal.finish_shard(&shard).unwrap_err();
    let name = signal.full_name();
    assert_eq!(
        error.to_string(),
        format!("signal `{name}`, shard `web/a.jsonl.zst`: no rows for rows 0..10; rows 30..50")
    );
    assert!(matches!(signal.read(&shard, SidecarColumns::All), Err(RunError::NotComputed { .. })));
}

#[test]
fn damaged_parts_are_thrown_away_counted_and_computed_again() {
    let (folder, run, shard) = local_run(PHYSICAL);
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    for part in uniform(50) {
        signal.commit_part(&shard, part, &scores_in(part, PHYSICAL, 0.0)).unwrap();
    }
    let parts: Vec<String> =
        contents(run.store()).into_keys().filter(|path| path.contains(".parts/")).collect();
    let file = folder.path().join(&parts[0]);
    let bytes = std::fs::read(&file).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 3] ^= 1;
    for damage in [&bytes[..bytes.len() / 2], b"", b"PAR1", &flipped] {
        std::fs::write(&file, damage).unwrap();
        let scan = signal.parts(&shard).unwrap();
        assert_eq!((scan.spans.len(), scan.discarded), (1, 1));
        assert!(!file.exists());
        score_shard(&signal, &shard, &uniform(50)).unwrap();
        assert_eq!(signal.verify(&shard).unwrap().rows, shard.documents);
        // Back to two parts for the next kind of damage.
        for path in contents(run.store())
            .into_keys()
            .filter(|path| path.contains("made-up") && !path.ends_with("signal.json"))
        {
            std::fs::remove_file(folder.path().join(path)).unwrap();
        }
        for part in uniform(50) {
            signal.commit_part(&shard, part, &scores_in(part, PHYSICAL, 0.0)).unwrap();
        }
    }
}

#[test]
fn no_flipped_bit_of_a_part_is_trusted() {
    let store = memory(Arc::new(InMemory::new()));
    let run = RunDirectory::open_or_create(store.clone()).unwrap();
    let shard = take_inventory(&run, "a.jsonl", 12, 9).unwrap().shard;
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    let all = span(0, 12);
    signal.commit_part(&shard, all, &scores_in(all, 12, 0.0)).unwrap();
    let path = contents(&store).into_keys().find(|path| path.contains(".parts/")).unwrap();
    let bytes = store.read(&path).unwrap().to_vec();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        store.remove(&path).unwrap();
        store.create_new(&path, &damaged).unwrap();
        match signal.parts(&shard) {
            Ok(scan) if scan.discarded == 1 => assert!(scan.spans.is_empty()),
            // The bit did not matter (a statistic, say): the rows must still be the right ones.
            Ok(_) => {
                let receipt = signal.finish_shard(&shard).unwrap();
                assert_eq!(receipt.row_digest, digest_of(&scores_in(all, 12, 0.0)));
                let folder = format!("signals/{}", signal.full_name());
                store.remove(&format!("{folder}/a.parquet")).unwrap();
                store.remove(&format!("{folder}/receipts/a.json")).unwrap();
            }
            Err(error) => assert!(matches!(error, RunError::Newer { .. }), "byte {at}: {error}"),
        }
    }
}

fn digest_of(batch: &arrow_array::RecordBatch) -> String {
    let mut digest = tamis_io::sidecar::RowDigest::new(batch.schema_ref());
    digest.update(batch).unwrap();
    digest.finish().to_string()
}

#[test]
fn two_writers_of_a_part_must_agree() {
    let (_folder, run, shard) = local_run(PHYSICAL);
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    let all = span(0, PHYSICAL);
    assert_eq!(signal.commit_part(&shard, all, &scores_in(all, PHYSICAL, 0.0)).unwrap(), Created::New);
    assert_eq!(signal.commit_part(&shard, all, &scores_in(all, PHYSICAL, 0.0)).unwrap(), Created::Existed);
    let error = signal.commit_part(&shard, all, &scores_in(all, PHYSICAL, 0.5)).unwrap_err();
    assert!(matches!(error, RunError::Differs { .. }), "{error}");
}

#[test]
fn a_slower_writer_of_a_shard_compares_or_gives_way() {
    for (repeatability, shift, agrees) in [
        (Repeatability::Exact, 0.0, true),
        (Repeatability::Exact, 1e-9, false),
        (Repeatability::BatchVariant, 1e-9, true),
    ] {
        let (_folder, run, shard) = local_run(PHYSICAL);
        let signal = run.open_signal(&record(fingerprint(), repeatability), Beside::Refuse).unwrap();
        let all = span(0, PHYSICAL);
        signal.commit_part(&shard, all, &scores_in(all, PHYSICAL, shift)).unwrap();
        // The faster one stopped between its sidecar and its receipt.
        let path = format!("signals/{}/web/a.parquet", signal.full_name());
        let faster = scores_in(all, PHYSICAL, 0.0);
        let mut writer =
            tamis_io::sidecar::SidecarWriter::create(run.store(), &path, faster.schema_ref()).unwrap();
        writer.write(&faster).unwrap();
        writer.commit().unwrap();
        match signal.finish_shard(&shard) {
            Ok(receipt) => {
                assert!(agrees);
                assert_eq!(receipt.row_digest, digest_of(&faster), "the winner stands");
                assert_eq!(signal.verify(&shard).unwrap(), receipt);
            }
            Err(RunError::Differs { .. }) => assert!(!agrees),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn many_processes_on_one_shard_end_with_one_receipt() {
    let (_folder, run, shard) = local_run(3000);
    let receipts: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=6_u64)
            .map(|me| {
                let (run, shard) = (&run, &shard);
                scope.spawn(move || {
                    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
                    let size = 400 + me * 97;
                    let parts: Vec<_> =
                        (0..3000_u64.div_ceil(size)).map(|at| span(at * size, size)).collect();
                    score_shard(&signal, shard, &parts).unwrap();
                    signal.receipt(shard).unwrap().unwrap()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(receipts.windows(2).all(|pair| pair[0] == pair[1]));
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    signal.verify(&shard).unwrap();
    assert!(contents(run.store()).keys().all(|path| !path.contains(".parts/")));
}

#[test]
fn leftovers_of_killed_writers_are_ignored_and_swept() {
    let (folder, run, shard) = local_run(PHYSICAL);
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    score_shard(&signal, &shard, &uniform(30)).unwrap();
    let before = contents(run.store());
    // Killed after the receipt, before the parts were removed; and killed in the middle of writing a file.
    let part = span(0, 30);
    signal.commit_part(&shard, part, &scores_in(part, PHYSICAL, 0.0)).unwrap();
    let temporary = folder.path().join("signals/.tamis-tmp-000000010000000000000001");
    std::fs::write(&temporary, "half").unwrap();
    std::fs::File::options()
        .write(true)
        .open(&temporary)
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
        .unwrap();
    let again = RunDirectory::open_or_create(Store::local(folder.path())).unwrap();
    again.open_signal(&exact(), Beside::Refuse).unwrap();
    assert_eq!(contents(again.store()), before);
    assert!(!temporary.exists());
}

#[test]
fn locks_end_with_their_holder_and_do_not_exist_on_object_stores() {
    let (_folder, run, shard) = local_run(5);
    let held = run.try_lock("inventory", &shard.path).unwrap().unwrap();
    assert!(held.is_real());
    assert!(run.try_lock("inventory", &shard.path).unwrap().is_none());
    assert!(run.try_lock("made-up@00000000", &shard.path).unwrap().is_some());
    drop(held);
    assert!(run.try_lock("inventory", &shard.path).unwrap().is_some());
    let run = RunDirectory::open_or_create(memory(Arc::new(InMemory::new()))).unwrap();
    let first = run.try_lock("inventory", "a.jsonl").unwrap().unwrap();
    assert!(!first.is_real());
    assert!(run.try_lock("inventory", "a.jsonl").unwrap().is_some());
}

#[test]
fn partials_stay_while_anyone_holds_them() {
    let (_folder, run, _) = local_run(5);
    let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
    let first = run.partials("density-1").unwrap();
    assert_eq!(first.read(one).unwrap(), None);
    assert_eq!(first.commit(one, b"what it holds").unwrap(), Created::New);
    assert_eq!(first.commit(one, b"what it holds").unwrap(), Created::Existed);
    assert_eq!(first.read(one).unwrap().unwrap(), &b"what it holds"[..]);
    assert!(first.has(one).unwrap() && !first.has(two).unwrap());
    assert!(first.location(one).ends_with(&format!("sketches/.parts/density-1/{one}.part")));
    assert!(run.frozen(Frozen::Sketch).unwrap().is_empty(), "a partial is no sketch");
    let made = first.try_lock(two).unwrap();
    assert!(made.is_some());
    let second = run.partials("density-1").unwrap();
    assert!(second.try_lock(two).unwrap().is_none());
    drop(made);
    assert!(second.try_lock(two).unwrap().is_some());
    drop(first);
    run.sweep_partials("density-1").unwrap();
    assert!(second.has(one).unwrap());
    let other = run.partials("density-2").unwrap();
    other.commit(two, b"of another").unwrap();
    drop(second);
    run.sweep_partials("density-1").unwrap();
    run.sweep_partials("density-1").unwrap();
    assert!(!run.partials("density-1").unwrap().has(one).unwrap());
    assert!(other.has(two).unwrap());
    other.discard(two).unwrap();
    assert!(!other.has(two).unwrap());
    assert!(run.partials("../signals").is_err() && run.sweep_partials("..").is_err());
    // Where there are no locks the first one removes them, and nobody is kept waiting.
    let run = RunDirectory::open_or_create(memory(Arc::new(InMemory::new()))).unwrap();
    let held = run.partials("density-1").unwrap();
    held.commit(one, b"what it holds").unwrap();
    run.sweep_partials("density-1").unwrap();
    assert_eq!(held.read(one).unwrap(), None);
}

#[test]
fn an_inventory_taken_twice_must_be_the_same() {
    let (_folder, run, shard) = local_run(PHYSICAL);
    assert_eq!(take_inventory(&run, "web/a.jsonl.zst", PHYSICAL, 3).unwrap().shard, shard);
    let error = take_inventory(&run, "web/a.jsonl.zst", PHYSICAL - 10, 3).unwrap_err();
    assert!(matches!(error, RunError::Differs { .. }), "{error}");
    let reader =
        run.read_inventory(&shard.path, SidecarColumns::Named(&["characters", "bytes", "source"])).unwrap();
    assert_eq!(reader.rows(), shard.documents);
    assert_eq!(reader.schema().fields().len(), 3);
    let path = "inventory/web/a.parquet";
    assert_eq!(SidecarReader::verify(run.store(), path).unwrap().rows, shard.documents);
}
