//! Rows that failed, asked again: nothing is rewritten, what has a value keeps it, and a stop anywhere leaves no trace.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array};
use object_store::memory::InMemory;
use proptest::prelude::*;
use tamis_io::run::{
    AskedAgain, Beside, CorpusVersion, Repeatability, RowSpan, RunDirectory, RunError, RunResult,
    ShardRecord, SignalDir,
};
use tamis_io::sidecar::SidecarColumns;
use tamis_io::store::Store;

use crate::run_support::{
    Breaking, Stop, columns, contents, exact, fingerprint, local_run, record, rows_of, score_schema, scores,
    span, take_inventory,
};

const PHYSICAL: u64 = 200;

/// What a server says of a row at its n-th asking: every tenth document is empty, every seventh times out until the third
/// time, every fifth gives no answer until the second.
fn reason(row: u64, asking: u64) -> Option<&'static str> {
    match row {
        row if row % 10 == 0 => Some("no-tokens"),
        row if row % 7 == 3 && asking < 3 => Some("server-timeout"),
        row if row % 5 == 1 && asking < 2 => Some("no-answer-shown"),
        _ => None,
    }
}

/// Sidecar rows at the n-th asking. Values differ from asking to asking, as a server's do.
fn answers(rows: &[u64], asking: u64) -> RecordBatch {
    let value =
        |row: &u64| reason(*row, asking).is_none().then_some(*row as f64 / 7.0 + asking as f64 * 1e-9);
    let keys = scores(rows, 0.0);
    let columns: Vec<ArrayRef> = vec![
        Arc::clone(keys.column(0)),
        Arc::clone(keys.column(1)),
        Arc::new(Float64Array::from_iter(rows.iter().map(value))),
        Arc::new(UInt32Array::from_iter(rows.iter().map(|row| value(row).map(|_| (row * 31 % 977) as u32)))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| reason(*row, asking)))),
    ];
    RecordBatch::try_new(score_schema(), columns).unwrap()
}

fn among(span: RowSpan, asked: Option<&[u64]>) -> Vec<u64> {
    let inside = |row: &u64| (span.first_row..span.end()).contains(row);
    let wanted = |row: &u64| asked.is_none_or(|asked| asked.contains(row));
    rows_of(PHYSICAL).into_iter().filter(|row| inside(row) && wanted(row)).collect()
}

fn uniform(size: u64) -> Vec<RowSpan> {
    (0..PHYSICAL.div_ceil(size)).map(|at| span(at * size, size.min(PHYSICAL - at * size))).collect()
}

/// Computes what is missing of the generation that the view names.
fn compute(signal: &SignalDir, shard: &ShardRecord, parts: &[RowSpan]) -> RunResult<()> {
    if signal.receipt(shard)?.is_some() {
        return Ok(());
    }
    let generation = signal.generation(&shard.path)?;
    let asked = signal.asked_again(shard)?;
    for missing in signal.parts(shard)?.missing(shard.rows) {
        for part in parts {
            let first_row = part.first_row.max(missing.first_row);
            let end = part.end().min(missing.end());
            if first_row < end {
                let part = span(first_row, end - first_row);
                signal.commit_part(shard, part, &answers(&among(part, asked.as_deref()), generation))?;
            }
        }
    }
    signal.finish_shard(shard).map(drop)
}

fn at(signal: &SignalDir, shard: &ShardRecord, generation: u64) -> SignalDir {
    signal.at(BTreeMap::from([(shard.path.clone(), generation)]))
}

fn values(signal: &SignalDir, shard: &ShardRecord) -> BTreeMap<u64, (Option<u64>, Option<String>)> {
    let mut found = BTreeMap::new();
    for batch in signal.read(shard, SidecarColumns::All).unwrap() {
        let batch = batch.unwrap();
        let rows = batch.column(0).as_primitive::<arrow_array::types::UInt64Type>();
        let score = batch.column_by_name("score").unwrap().as_primitive::<Float64Type>();
        let failed = batch.column_by_name("failed").unwrap().as_string::<i32>();
        for at in 0..batch.num_rows() {
            let value = score.is_valid(at).then(|| score.value(at).to_bits());
            found.insert(rows.value(at), (value, failed.is_valid(at).then(|| failed.value(at).to_owned())));
        }
    }
    found
}

#[test]
fn rows_with_a_value_keep_it_bit_for_bit_and_the_others_are_asked_again() {
    let (_folder, run, shard) = local_run(PHYSICAL);
    let signal =
        run.open_signal(&record(fingerprint(), Repeatability::BatchVariant), Beside::Refuse).unwrap();
    compute(&signal, &shard, &uniform(40)).unwrap();
    let before = contents(run.store());
    let (first, first_receipt) = (values(&signal, &shard), signal.receipt(&shard).unwrap().unwrap());
    assert_eq!((first_receipt.again.as_ref(), first_receipt.generation()), (None, 1));
    let retryable = first_receipt.failed["server-timeout"] + first_receipt.failed["no-answer-shown"];
    assert_eq!(first_receipt.retryable_rows(), retryable);

    let old = signal.pinned(&version(&shard)).unwrap();
    for generation in 2..=4 {
        let next = at(&signal, &shard, generation);
        let asked = next.asked_again(&shard).unwrap().unwrap();
        let expected: Vec<u64> = rows_of(PHYSICAL)
            .into_iter()
            .filter(|row| reason(*row, generation - 1).is_some_and(|why| why != "no-tokens"))
            .collect();
        assert_eq!(asked, expected, "generation {generation}");
        compute(&next, &shard, &uniform(60)).unwrap();
        let receipt = signal.receipt(&shard).unwrap().unwrap();
        let follows = at(&signal, &shard, generation - 1).receipt(&shard).unwrap().unwrap().row_digest;
        assert_eq!(receipt.again, Some(AskedAgain { generation, rows: asked.len() as u64, follows }));
        assert_eq!(signal.verify(&shard).unwrap(), receipt);
        assert_eq!(signal.generation(&shard.path).unwrap(), generation, "the latest with a receipt counts");
        for (row, (value, failed)) in values(&signal, &shard) {
            // A value is of the asking that first gave one.
            let asking = (1..=generation).find(|asking| reason(row, *asking).is_none());
            let expected = asking.map(|asking| (row as f64 / 7.0 + asking as f64 * 1e-9).to_bits());
            assert_eq!(value, expected, "row {row}");
            assert_eq!(failed.as_deref(), if value.is_some() { None } else { reason(row, generation) });
        }
    }
    assert_eq!(signal.receipt(&shard).unwrap().unwrap().retryable_rows(), 0);
    // Nothing was rewritten, and who named the generation before still reads it.
    let after = contents(run.store());
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
    assert_eq!((values(&old, &shard), old.generations()), (first, BTreeMap::new()));
    // Of the last two, which have the same rows, it is the first.
    assert_eq!(
        signal.pinned(&version(&shard)).unwrap().generations(),
        BTreeMap::from([(shard.path.clone(), 3)])
    );
    assert!(after.keys().all(|path| !path.contains(".parts/")));
}

fn version(shard: &ShardRecord) -> CorpusVersion {
    CorpusVersion::new("corpus".to_owned(), columns(), vec![shard.clone()])
}

fn memory(store: Arc<dyn object_store::ObjectStore>) -> Store {
    Store::object(store, "runs/one").unwrap()
}

/// Scores, and asks again twice, in a run that may be in any state.
fn all(run: &RunDirectory, parts: &[RowSpan]) -> RunResult<()> {
    let shard = match run.inventory_receipt("a.jsonl", &columns())? {
        Some(receipt) => receipt.shard,
        None => take_inventory(run, "a.jsonl", PHYSICAL, 7)?.shard,
    };
    let signal = run.open_signal(&exact(), Beside::Refuse)?;
    for generation in 1..=3 {
        compute(&at(&signal, &shard, generation), &shard, parts)?;
    }
    Ok(())
}

#[test]
fn stopped_before_or_after_any_write_a_generation_resumes_to_the_same_bytes() {
    let store = memory(Arc::new(InMemory::new()));
    all(&RunDirectory::open_or_create(store.clone()).unwrap(), &uniform(70)).unwrap();
    let expected = contents(&store);
    assert!(
        expected.keys().any(|path| path.contains("/.generations/3/receipts/a.json")),
        "{:?}",
        expected.keys()
    );
    for stop in [Stop::Before, Stop::After] {
        let mut operations = 0;
        loop {
            let inner = Arc::new(InMemory::new());
            let broken = memory(Breaking::new(&inner, operations, stop));
            let first = RunDirectory::open_or_create(broken).and_then(|run| all(&run, &uniform(70)));
            let store = memory(inner);
            all(&RunDirectory::open_or_create(store.clone()).unwrap(), &uniform(33)).unwrap();
            assert_eq!(contents(&store), expected, "stopped {stop:?} operation {operations}");
            if first.is_ok() {
                break;
            }
            operations += 1;
        }
        assert!(operations > 20, "{operations} operations");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn borders_and_order_of_the_parts_of_a_generation_leave_no_trace(
        mut cuts in prop::collection::btree_set(1..PHYSICAL, 0..12),
        order in any::<prop::sample::Index>(),
        overlap in 0..20_u64,
    ) {
        let one = RunDirectory::open_or_create(memory(Arc::new(InMemory::new()))).unwrap();
        all(&one, &uniform(PHYSICAL)).unwrap();
        let many = RunDirectory::open_or_create(memory(Arc::new(InMemory::new()))).unwrap();
        let shard = take_inventory(&many, "a.jsonl", PHYSICAL, 1000).unwrap().shard;
        let signal = many.open_signal(&exact(), Beside::Refuse).unwrap();
        cuts.extend([0, PHYSICAL]);
        let cuts: Vec<u64> = cuts.into_iter().collect();
        for generation in 1..=3 {
            let view = at(&signal, &shard, generation);
            let asked = view.asked_again(&shard).unwrap();
            let mut parts: Vec<RowSpan> = cuts
                .windows(2)
                .map(|pair| span(pair[0], (pair[1] - pair[0] + overlap).min(PHYSICAL - pair[0])))
                .collect();
            let turn = order.index(parts.len());
            parts.rotate_left(turn);
            for part in parts {
                view.commit_part(&shard, part, &answers(&among(part, asked.as_deref()), generation)).unwrap();
            }
            view.finish_shard(&shard).unwrap();
        }
        prop_assert_eq!(contents(many.store()), contents(one.store()));
    }
}

#[test]
fn a_generation_whose_rows_do_not_fit_the_one_before_is_an_error() {
    let fresh = || {
        let (folder, run, shard) = local_run(PHYSICAL);
        let signal =
            run.open_signal(&record(fingerprint(), Repeatability::BatchVariant), Beside::Refuse).unwrap();
        compute(&signal, &shard, &uniform(PHYSICAL)).unwrap();
        (folder, run, shard, signal)
    };
    let everything = span(0, PHYSICAL);
    // One row fewer than failed, and all rows.
    for wrong in [1, usize::MAX] {
        let (_folder, _run, shard, signal) = fresh();
        let next = at(&signal, &shard, 2);
        let mut rows = next.asked_again(&shard).unwrap().unwrap();
        if wrong == 1 {
            rows.remove(4);
        } else {
            rows = rows_of(PHYSICAL);
        }
        next.commit_part(&shard, everything, &answers(&rows, 2)).unwrap();
        let error = next.finish_shard(&shard).unwrap_err();
        assert!(matches!(error, RunError::Corrupt { .. }), "{error}");
        assert_eq!(signal.generation(&shard.path).unwrap(), 1, "nothing of it counts");
    }
    // The generation before was removed by hand and computed anew: the later one is of rows that stand no more.
    let (folder, run, shard, signal) = fresh();
    compute(&at(&signal, &shard, 2), &shard, &uniform(50)).unwrap();
    let root = folder.path().join("signals").join(signal.full_name());
    std::fs::remove_file(root.join("web/a.parquet")).unwrap();
    std::fs::remove_file(root.join("receipts/web/a.json")).unwrap();
    let message = signal.receipt(&shard).unwrap_err().to_string();
    assert!(message.contains("generation 1 of these rows is gone, or another one now"), "{message}");
    let first = at(&signal, &shard, 1);
    first.commit_part(&shard, everything, &answers(&rows_of(PHYSICAL), 9)).unwrap();
    first.finish_shard(&shard).unwrap();
    let error = signal.receipt(&shard).unwrap_err();
    assert!(
        error.to_string().contains("another one now") && error.hint().unwrap().contains("remove"),
        "{error}"
    );
    // The remedy of the hint: the receipt alone. Its sidecar is of other rows and must not come back.
    std::fs::remove_file(root.join(".generations/2/receipts/web/a.json")).unwrap();
    let error = compute(&at(&signal, &shard, 2), &shard, &uniform(50)).unwrap_err();
    assert!(error.to_string().contains("changes rows that had a value"), "{error}");
    std::fs::remove_file(root.join(".generations/2/web/a.parquet")).unwrap();
    compute(&at(&signal, &shard, 2), &shard, &uniform(50)).unwrap();
    assert_eq!(signal.verify(&shard).unwrap().generation(), 2);
    drop(run);
}

#[test]
fn damage_in_the_generation_before_is_not_copied_into_a_valid_one() {
    let (folder, run, shard) = local_run(PHYSICAL);
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    compute(&signal, &shard, &uniform(PHYSICAL)).unwrap();
    let path = folder.path().join("signals").join(signal.full_name()).join("web/a.parquet");
    let bytes = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for at_byte in (4..bytes.len()).step_by(61) {
        let mut damaged = bytes.clone();
        damaged[at_byte] ^= 4;
        std::fs::write(&path, &damaged).unwrap();
        match compute(&at(&signal, &shard, 2), &shard, &uniform(PHYSICAL)) {
            Err(_) => refused += 1,
            // The bit did not matter, a statistic say: the rows must be the right ones.
            Ok(()) => {
                let next = at(&signal, &shard, 2);
                for (row, (value, _)) in values(&next, &shard) {
                    let asking = (1..=2).find(|asking| reason(row, *asking).is_none());
                    assert_eq!(
                        value,
                        asking.map(|n| (row as f64 / 7.0 + n as f64 * 1e-9).to_bits()),
                        "byte {at_byte}"
                    );
                }
            }
        }
        let root = folder.path().join("signals").join(signal.full_name()).join(".generations");
        if root.exists() {
            std::fs::remove_dir_all(root).unwrap();
        }
    }
    assert!(refused > 5, "{refused}");
}

#[test]
fn parts_of_another_generation_of_the_input_are_not_taken() {
    let (_folder, run, shard) = local_run(PHYSICAL);
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    let half = span(0, 100);
    signal.commit_part(&shard, half, &answers(&among(half, None), 1)).unwrap();
    let reading = signal.reading("other@00000000", BTreeMap::from([(shard.path.clone(), 2)]));
    assert_eq!(reading.parts(&shard).unwrap().missing(PHYSICAL), [span(0, PHYSICAL)]);
    compute(&reading, &shard, &uniform(80)).unwrap();
    assert_eq!(signal.receipt(&shard).unwrap().unwrap().input_generation, Some(2));
    assert!(contents(run.store()).keys().all(|path| !path.contains(".parts/")));
}

#[test]
fn generations_of_several_inputs_are_kept_by_their_names() {
    let (_folder, run, shard) = local_run(PHYSICAL);
    let mut several = exact();
    several.input = "several".to_owned();
    several.inputs =
        [("", "documents"), ("a", "left@00000000"), ("b", "right@00000000"), ("c", "left@00000000")]
            .map(|(role, name)| (role.to_owned(), name.to_owned()))
            .into();
    let signal = run.open_signal(&several, Beside::Refuse).unwrap();
    let back = run.resolve(signal.full_name()).unwrap();
    assert_eq!(back.record().reads().into_iter().collect::<Vec<_>>(), ["left@00000000", "right@00000000"]);
    let at = |generation| BTreeMap::from([(shard.path.clone(), generation)]);
    // The same generation of the one is not that of the other.
    let left = signal.reading("left@00000000", at(2)).reading("right@00000000", at(1));
    let right = signal.reading("left@00000000", at(1)).reading("right@00000000", at(2));
    let half = span(0, 100);
    left.commit_part(&shard, half, &answers(&among(half, None), 1)).unwrap();
    assert_eq!(right.parts(&shard).unwrap().missing(PHYSICAL), [span(0, PHYSICAL)]);
    assert_eq!(left.parts(&shard).unwrap().missing(PHYSICAL), [span(100, PHYSICAL - 100)]);
    compute(&right, &shard, &uniform(80)).unwrap();
    let receipt = signal.receipt(&shard).unwrap().unwrap();
    assert_eq!((receipt.generation_read("left@00000000"), receipt.generation_read("right@00000000")), (1, 2));
    assert_eq!(receipt.input_generation, None);
}
