//! Names, versions, damage and refusals: what is said when something is not as it should be.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tamis_core::Fingerprint;
use tamis_io::run::{
    Beside, CorpusVersion, Frozen, KeepText, Quarantined, Repeatability, RunDirectory, RunError,
    SignalRecord, inventory_rows,
};
use tamis_io::sidecar::{SidecarColumns, SidecarReader, SidecarWriter, zip_aligned};
use tamis_io::store::{Created, Store};

use crate::run_support::*;

fn finished(physical: u64) -> (tempfile::TempDir, RunDirectory, tamis_io::run::ShardRecord, String) {
    let (folder, run, shard) = local_run(physical);
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    let all = span(0, physical);
    signal.commit_part(&shard, all, &scores_in(all, physical, 0.0)).unwrap();
    signal.finish_shard(&shard).unwrap();
    let name = signal.full_name().to_owned();
    (folder, run, shard, name)
}

#[test]
fn opening_what_is_no_run_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = RunDirectory::open(Store::local(folder.path())).unwrap_err();
    assert!(error.to_string().contains("is not a run directory"), "{error}");
    RunDirectory::open_or_create(Store::local(folder.path())).unwrap();
    RunDirectory::open(Store::local(folder.path())).unwrap();
}

#[test]
fn signal_json_is_readable_and_comes_back_whole() {
    let (_folder, run, _, name) = finished(10);
    let text = run.store().read(&format!("signals/{name}/signal.json")).unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    for line in [
        "  \"format_version\": 1,",
        "    \"prompt\": \"paper\",",
        "  \"input\": \"documents\",",
        "  \"repeatability\": \"exact\",",
        "    \"direction\": \"higher-is-better\",",
        "      \"type\": \"fixed-size-binary<16>\"",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} not in\n{text}");
    }
    let signal = run.resolve("made-up").unwrap();
    assert_eq!(*signal.record(), exact());
    assert_eq!(signal.record().value_columns().collect::<Vec<_>>(), ["score", "tokens"]);
    assert_eq!(signal.record().ranking.as_ref().unwrap().column, "score");
}

#[test]
fn another_fingerprint_is_refused_with_what_changed_unless_beside() {
    let (_folder, run, _, name) = finished(10);
    let other = record(fingerprint().with("prompt", "mine"), Repeatability::Exact);
    let error = run.open_signal(&other, Beside::Refuse).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "signal `{}` differs from the stored `{name}` in prompt: stored `paper`, asked `mine`",
            other.full_name
        )
    );
    assert!(error.hint().unwrap().contains("--beside"));
    run.open_signal(&other, Beside::Allow).unwrap();
    run.open_signal(&other, Beside::Refuse).unwrap();
    let error = run.resolve("made-up").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("signal `made-up` is ambiguous: "), "{text}");
    assert!(text.contains(&format!("`{name}` (prompt `paper`)")), "{text}");
    assert!(text.contains(&format!("`{}` (prompt `mine`)", other.full_name)), "{text}");
    assert_eq!(run.resolve(&name).unwrap().full_name(), name);
    assert_eq!(run.signals().unwrap().len(), 2);
}

#[test]
fn unknown_names_come_with_the_nearest_known_one() {
    let (_folder, run, _, _) = finished(10);
    for (asked, nearest) in
        [("made-pu", Some("made-up")), ("perplexity", None), ("made-up@00000000", Some("made-up"))]
    {
        let error = run.resolve(asked).unwrap_err();
        assert!(
            matches!(&error, RunError::Unknown { nearest: found, .. } if found.as_deref() == nearest),
            "{error:?}"
        );
    }
    run.write_frozen(Frozen::Sketch, "density", b"bytes").unwrap();
    let error = run.read_frozen(Frozen::Sketch, "denisty").unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `density`?");
    let error = run.selection("x").unwrap_err();
    assert_eq!(error.to_string(), "there is no selection `x` in this run, which has none yet");
}

#[test]
fn files_of_a_newer_version_are_refused_wherever_they_are() {
    let (folder, run, shard, name) = finished(10);
    run.write_next_corpus(CorpusVersion::new("corpus".to_owned(), columns(), vec![shard.clone()])).unwrap();
    run.open_selection("pick", &Fingerprint::new("top", 1)).unwrap();
    let check = |path: &str, read: &dyn Fn() -> Result<(), RunError>| {
        read().unwrap();
        let file = folder.path().join(path);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("\"format_version\": 1", "\"format_version\": 2", 1)).unwrap();
        assert!(matches!(read(), Err(RunError::Newer { found: 2, .. })), "{path}");
        std::fs::write(&file, text).unwrap();
        read().unwrap();
    };
    let signal = run.resolve("made-up").unwrap();
    check("run.json", &|| RunDirectory::open(Store::local(folder.path())).map(drop));
    check("corpus/1.json", &|| run.latest_corpus().map(drop));
    check("inventory/web/a.json", &|| run.inventory_receipt(&shard.path, &columns()).map(drop));
    check(&format!("signals/{name}/signal.json"), &|| run.resolve("made-up").map(drop));
    check(&format!("signals/{name}/receipts/web/a.json"), &|| signal.receipt(&shard).map(drop));
    check("selections/pick/plan.json", &|| run.selection("pick").map(drop));
    // Parquet: the version is in the footer, as text of one digit.
    let file = folder.path().join("inventory/web/a.parquet");
    let bytes = std::fs::read(&file).unwrap();
    let mark = b"tamis.format_version";
    let at = bytes.windows(mark.len()).position(|window| window == mark).unwrap() + mark.len();
    let digit = at + bytes[at..].iter().position(|&byte| byte == b'1').unwrap();
    let mut newer = bytes;
    newer[digit] = b'2';
    std::fs::write(&file, newer).unwrap();
    assert!(matches!(
        run.read_inventory(&shard.path, SidecarColumns::All),
        Err(RunError::Newer { found: 2, .. })
    ));
}

#[test]
fn changed_vanished_and_added_shards_are_told_apart() {
    let (_folder, run, a) = local_run(50);
    let b = take_inventory(&run, "b.jsonl", 20, 9).unwrap().shard;
    let version = |shards: &[&tamis_io::run::ShardRecord]| {
        CorpusVersion::new(
            "corpus".to_owned(),
            columns(),
            shards.iter().map(|&shard| shard.clone()).collect(),
        )
    };
    assert_eq!(run.latest_corpus().unwrap(), None);
    assert_eq!(run.write_next_corpus(version(&[&a])).unwrap().number, 1);
    let mut touched = a.clone();
    touched.version = "copied later".to_owned();
    assert_eq!(run.write_next_corpus(version(&[&touched])).unwrap().number, 1);
    let second = run.write_next_corpus(version(&[&a, &b])).unwrap();
    assert_eq!((second.number, second.documents(), second.failed_rows()), (2, 34 + 14, 8 + 3));
    assert_eq!(run.latest_corpus().unwrap().unwrap(), second);
    assert_eq!(second.shard("b.jsonl"), Some(&b));
    let error = run.write_next_corpus(version(&[&a])).unwrap_err();
    assert_eq!(error.to_string(), "corpus: shard `b.jsonl` has vanished");
    let mut changed = b.clone();
    changed.digest = "0".repeat(32);
    changed.bytes = 5;
    let error = run.write_next_corpus(version(&[&a, &changed])).unwrap_err();
    let problem = "corpus: shard `b.jsonl` has changed: expected 800 bytes and digest";
    assert!(error.to_string().starts_with(problem), "{error}");
    let mut other = version(&[&a, &b]);
    other.columns.text = "content".to_owned();
    let error = run.write_next_corpus(other).unwrap_err();
    assert_eq!(error.to_string(), "corpus: text column: stored `text`, asked `content`");
    let mut twin = b.clone();
    twin.path = "b.parquet".to_owned();
    assert!(matches!(run.write_next_corpus(version(&[&a, &b, &twin])), Err(RunError::Collision { .. })));
}

#[test]
fn scores_of_a_shard_that_changed_are_refused() {
    let (_folder, run, mut shard, _) = finished(10);
    shard.digest = "1".repeat(32);
    let error = run.resolve("made-up").unwrap().read(&shard, SidecarColumns::All).unwrap_err();
    assert!(
        error.to_string().starts_with("corpus: shard `web/a.jsonl.zst` has changed since `made-up@"),
        "{error}"
    );
}

#[test]
fn columns_are_projected_and_unknown_ones_named() {
    let (_folder, run, shard, _) = finished(10);
    let signal = run.resolve("made-up").unwrap();
    let reader = signal.read(&shard, SidecarColumns::Named(&["tokens", "row"])).unwrap();
    let batch = reader.map(Result::unwrap).next().unwrap();
    let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["row", "tokens"]);
    let error = signal.read(&shard, SidecarColumns::Named(&["scores"])).unwrap_err();
    assert!(error.to_string().contains("has no column `scores`, did you mean `score`?"), "{error}");
}

#[test]
fn aligned_files_are_zipped_whatever_their_row_groups() {
    let (_folder, run, shard, _) = finished(300_000);
    let wide = Schema::new(vec![
        score_schema().field(0).clone(),
        score_schema().field(1).clone(),
        Field::new(
            "embedding",
            DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Float32, false)), 64),
            true,
        ),
    ]);
    let mut writer = SidecarWriter::create(run.store(), "wide.parquet", &wide).unwrap();
    for rows in rows_of(300_000).chunks(777) {
        let keys = scores(rows, 0.0);
        let values: Vec<f32> = rows.iter().flat_map(|&row| std::iter::repeat_n(row as f32, 64)).collect();
        let list = arrow_array::FixedSizeListArray::new(
            Arc::new(Field::new("item", DataType::Float32, false)),
            64,
            Arc::new(arrow_array::Float32Array::from(values)),
            None,
        );
        let columns = vec![Arc::clone(keys.column(0)), Arc::clone(keys.column(1)), Arc::new(list) as _];
        writer.write(&RecordBatch::try_new(Arc::new(wide.clone()), columns).unwrap()).unwrap();
    }
    writer.commit().unwrap();
    let open = || SidecarReader::open(run.store(), "wide.parquet", SidecarColumns::All).unwrap();
    let score = run.resolve("made-up").unwrap().read(&shard, SidecarColumns::All).unwrap();
    let inventory =
        run.read_inventory(&shard.path, SidecarColumns::Named(&["row", "doc_key", "bytes"])).unwrap();
    let mut rows = 0;
    for batch in zip_aligned(&shard.path, inventory, vec![score, open()]).unwrap() {
        let batch = batch.unwrap();
        rows += batch.inventory.num_rows();
        assert!(batch.sidecars.iter().all(|other| other.num_rows() == batch.inventory.num_rows()));
        assert_eq!(batch.sidecars[0].column(0), batch.sidecars[1].column(0));
    }
    assert_eq!(rows, 200_000);
}

#[test]
fn rows_that_do_not_line_up_are_errors_that_name_shard_and_row() {
    let (_folder, run, shard) = local_run(30);
    let rows = rows_of(30);
    let zip = |name: &str, rows: &[u64]| {
        let path = format!("{name}.parquet");
        let mut writer = SidecarWriter::create(run.store(), &path, &score_schema()).unwrap();
        writer.write(&scores(rows, 0.0)).unwrap();
        writer.commit().unwrap();
        let sidecar = SidecarReader::open(run.store(), &path, SidecarColumns::All).unwrap();
        let inventory = run.read_inventory(&shard.path, SidecarColumns::All).unwrap();
        let problem = zip_aligned(&shard.path, inventory, vec![sidecar]).unwrap().find_map(Result::err);
        problem.map(|error| error.to_string()).unwrap_or_default()
    };
    let line = |row: u64, file: &str, problem: &str| {
        format!(
            "shard `web/a.jsonl.zst`, row {row}: `{file}.parquet` does not line up with the inventory: {problem}"
        )
    };
    assert_eq!(zip("same", &rows), "");
    let without = |gone: u64| rows.iter().copied().filter(|&row| row != gone).collect::<Vec<_>>();
    assert_eq!(zip("hole", &without(9)), line(9, "hole", "the row is missing"));
    assert_eq!(zip("short", &without(28)), line(28, "short", "the row is missing"));
    assert_eq!(zip("none", &[]), line(0, "none", "the row is missing"));
    let with = |more: u64| {
        let mut rows = rows.clone();
        rows.push(more);
        rows.sort_unstable();
        rows
    };
    assert_eq!(zip("long", &with(40)), line(40, "long", "the inventory has no such row"));
    assert_eq!(zip("extra", &with(11)), line(11, "extra", "the inventory has no such row"));
    let keys = scores(&rows.iter().map(|row| row + 1).collect::<Vec<_>>(), 0.0);
    let mut columns = scores(&rows, 0.0).columns().to_vec();
    columns[1] = Arc::clone(keys.column(1));
    let mut writer = SidecarWriter::create(run.store(), "keys.parquet", &score_schema()).unwrap();
    writer.write(&RecordBatch::try_new(score_schema(), columns).unwrap()).unwrap();
    writer.commit().unwrap();
    let sidecar = SidecarReader::open(run.store(), "keys.parquet", SidecarColumns::All).unwrap();
    let inventory = run.read_inventory(&shard.path, SidecarColumns::All).unwrap();
    let error = zip_aligned(&shard.path, inventory, vec![sidecar]).unwrap().find_map(Result::err).unwrap();
    assert!(error.to_string().starts_with(&line(0, "keys", "expected key ")), "{error}");
    let inventory = run.read_inventory(&shard.path, SidecarColumns::Named(&["row"])).unwrap();
    let error = zip_aligned(&shard.path, inventory, vec![]).err().unwrap();
    assert!(error.to_string().contains("has no column `doc_key`, or it was not read"), "{error}");
}

#[test]
fn parts_that_miss_a_document_are_never_merged() {
    let (_folder, run, shard) = local_run(30);
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    let rows: Vec<u64> = rows_of(30).into_iter().filter(|&row| row != 13).collect();
    signal.commit_part(&shard, span(0, 30), &scores(&rows, 0.0)).unwrap();
    let error = signal.finish_shard(&shard).unwrap_err();
    assert!(matches!(error, RunError::Misaligned { row: 13, .. }), "{error}");
    assert_eq!(signal.receipt(&shard).unwrap(), None);
}

#[test]
fn parts_of_another_schema_or_outside_their_span_are_refused() {
    let (_folder, run, shard) = local_run(30);
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    let batch = scores(&rows_of(30), 0.0);
    let refused = |part, batch: &RecordBatch| {
        matches!(signal.commit_part(&shard, part, batch), Err(RunError::Write { .. }))
    };
    assert!(refused(span(0, 28), &batch));
    assert!(refused(span(1, 29), &batch));
    assert!(refused(span(0, 31), &batch));
    assert!(refused(span(u64::MAX, 2), &batch));
    assert!(refused(span(0, 30), &batch.project(&[0, 1, 2]).unwrap()));
    let backwards: Vec<u64> = rows_of(30).into_iter().rev().collect();
    assert!(refused(span(0, 30), &scores(&backwards, 0.0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn garbage_in_any_file_is_an_error_and_never_a_panic(garbage in prop::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
        let (folder, run, shard, name) = finished(9);
        let signal = run.resolve("made-up").unwrap();
        run.write_next_corpus(CorpusVersion::new("corpus".to_owned(), columns(), vec![shard.clone()])).unwrap();
        let mut garbage = garbage;
        if magic {
            garbage.splice(0..0, *b"PAR1");
            garbage.extend_from_slice(&40_u32.to_le_bytes());
            garbage.extend_from_slice(b"PAR1");
        }
        let spoil = |path: &str| std::fs::write(folder.path().join(path), &garbage).unwrap();
        spoil(&format!("signals/{name}/web/a.parquet"));
        prop_assert!(signal.read(&shard, SidecarColumns::All).is_err());
        prop_assert!(signal.verify(&shard).is_err());
        spoil(&format!("signals/{name}/receipts/web/a.json"));
        prop_assert!(signal.receipt(&shard).is_err());
        spoil("inventory/web/a.json");
        prop_assert!(run.read_inventory(&shard.path, SidecarColumns::All).is_err());
        spoil("corpus/1.json");
        prop_assert!(run.latest_corpus().is_err());
        spoil(&format!("signals/{name}/signal.json"));
        prop_assert!(run.resolve("made-up").is_err());
        spoil("run.json");
        prop_assert!(RunDirectory::open(Store::local(folder.path())).is_err());
    }
}

#[test]
fn a_damaged_sidecar_never_passes_verification_as_other_rows() {
    let (folder, run, shard, name) = finished(30);
    let signal = run.resolve("made-up").unwrap();
    let receipt = signal.receipt(&shard).unwrap().unwrap();
    let file = folder.path().join(format!("signals/{name}/web/a.parquet"));
    let bytes = std::fs::read(&file).unwrap();
    for at in (0..bytes.len()).step_by(3) {
        let mut damaged = bytes.clone();
        damaged[at] = damaged[at].wrapping_add(1 + (at % 255) as u8);
        std::fs::write(&file, damaged).unwrap();
        if let Ok(verified) = signal.verify(&shard) {
            assert_eq!(verified, receipt);
        }
    }
}

#[test]
fn edited_fingerprints_are_noticed() {
    let (folder, run, _, name) = finished(9);
    let file = folder.path().join(format!("signals/{name}/signal.json"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"paper\"", "\"mine\"")).unwrap();
    let error = run.resolve("made-up").unwrap_err();
    assert!(error.to_string().contains("its fingerprint has digest"), "{error}");
}

#[test]
fn hostile_names_do_not_leave_the_run() {
    let (_folder, run, mut shard) = local_run(9);
    for name in ["../x", "a/b", "", ".x", "a@b"] {
        let mut other = exact();
        other.name = name.to_owned();
        assert!(matches!(run.open_signal(&other, Beside::Allow), Err(RunError::Name { .. })), "{name}");
        assert!(matches!(run.write_frozen(Frozen::Sketch, name, b""), Err(RunError::Name { .. })), "{name}");
        assert!(matches!(run.open_selection(name, &fingerprint()), Err(RunError::Name { .. })), "{name}");
        assert!(run.resolve(name).is_err());
    }
    let signal = run.open_signal(&exact(), Beside::Refuse).unwrap();
    shard.path = "../../etc/a.jsonl".to_owned();
    assert!(matches!(signal.receipt(&shard), Err(RunError::Name { .. })));
    assert!(matches!(run.try_lock("inventory", &shard.path), Err(RunError::Name { .. })));
    assert!(matches!(run.quarantine_writer(&shard.path, KeepText::No), Err(RunError::Name { .. })));
}

#[test]
fn inventory_rows_hold_digests_lengths_and_carried_columns() {
    let batch = documents(&[1, 5]);
    let rows = inventory_rows(&batch, &["source".to_owned()]).unwrap();
    let names: Vec<&str> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["row", "id", "doc_key", "text_digest", "raw_digest", "bytes", "characters", "source"]);
    let number = |name: &str| {
        let array = rows.column_by_name(name).unwrap();
        array.as_any().downcast_ref::<arrow_array::UInt64Array>().unwrap().value(0)
    };
    assert_eq!((number("bytes"), number("characters")), (17, 16));
    assert!(rows.column_by_name("source").unwrap().is_null(1));
    for carry in
        [vec!["bytes".to_owned()], vec!["source".to_owned(), "source".to_owned()], vec!["nowhere".to_owned()]]
    {
        assert!(inventory_rows(&batch, &carry).is_err());
    }
}

#[test]
fn quarantine_has_file_line_reason_and_text_only_where_wanted() {
    let (_folder, run, _) = local_run(3);
    let row = Quarantined {
        row: 41,
        line: Some(42),
        reason: "invalid-utf8",
        detail: "byte 5",
        raw: b"caf\xe9 \"x\"",
    };
    // What an attempt without a receipt left, half or whole, gives way.
    run.store().create_new("quarantine/cut/a.jsonl", b"{\"format_version\":1,\"fi").unwrap();
    for (shard, keep) in [("cut/a.jsonl", KeepText::Cut), ("no/a.jsonl", KeepText::No)] {
        let mut writer = run.quarantine_writer(shard, keep).unwrap();
        writer.add(&row).unwrap();
        writer.commit().unwrap();
    }
    run.quarantine_writer("b.jsonl", KeepText::Cut).unwrap().commit().unwrap();
    assert!(!run.store().exists("quarantine/b.jsonl").unwrap());
    let read = |path: &str| String::from_utf8(run.store().read(path).unwrap().to_vec()).unwrap();
    assert_eq!(
        read("quarantine/cut/a.jsonl"),
        "{\"format_version\":1,\"file\":\"cut/a.jsonl\",\"line\":42,\"row\":41,\"reason\":\"invalid-utf8\",\
         \"detail\":\"byte 5\",\"raw\":\"caf\\\\xE9 \\\"x\\\"\"}\n"
    );
    assert!(!read("quarantine/no/a.jsonl").contains("caf"));
}

#[test]
fn audit_records_are_new_files_without_secrets() {
    let (_folder, run, _) = local_run(3);
    let started = tamis_io::clock::now();
    let arguments = ["tamis", "score", "--api-key", "opensesame1"].map(str::to_owned);
    let secrets = ["opensesame1".to_owned()];
    let changed = ["scored 1 shard".to_owned()];
    let mut paths: Vec<String> = (0..3)
        .map(|_| {
            run.write_audit(started, &arguments, "failed: key opensesame1 refused", &changed, &secrets)
                .unwrap()
        })
        .collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 3);
    let records = run.audit().unwrap();
    assert_eq!(records.len(), 3);
    assert_eq!(records[0].1.arguments, ["tamis", "score", "--api-key", "[redacted]"]);
    assert_eq!(records[0].1.outcome, "failed: key [redacted] refused");
    assert!(
        paths
            .iter()
            .all(|path| !String::from_utf8_lossy(&run.store().read(path).unwrap()).contains("opensesame1"))
    );
}

#[test]
fn sketches_are_stored_once_and_never_replaced() {
    let (_folder, run, _) = local_run(3);
    assert_eq!(run.write_frozen(Frozen::Sketch, "density@0a1b2c3d", b"one").unwrap(), Created::New);
    assert_eq!(run.write_frozen(Frozen::Sketch, "density@0a1b2c3d", b"one").unwrap(), Created::Existed);
    let error = run.write_frozen(Frozen::Sketch, "density@0a1b2c3d", b"two").unwrap_err();
    assert!(matches!(error, RunError::Conflict { .. }), "{error}");
    assert_eq!(&run.read_frozen(Frozen::Sketch, "density@0a1b2c3d").unwrap()[..], b"one");
    assert_eq!(run.frozen(Frozen::Sketch).unwrap(), ["density@0a1b2c3d"]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format_version: u64,
    kept: u64,
}

#[test]
fn a_selection_keeps_to_its_plan_and_counts_from_its_manifest_on() {
    let (_folder, run, shard) = local_run(30);
    let plan = Fingerprint::new("top", 1).with("rate", "20%").with("seed", 7);
    let selection = run.open_selection("best", &plan).unwrap();
    let schema = Schema::new(vec![
        score_schema().field(0).clone(),
        score_schema().field(1).clone(),
        Field::new("priority", DataType::Float64, true),
    ]);
    let decide = |value: f64| {
        let rows = scores(&rows_of(30), 0.0);
        let priority = Float64Array::from(vec![value; rows.num_rows()]);
        let columns = vec![Arc::clone(rows.column(0)), Arc::clone(rows.column(1)), Arc::new(priority) as _];
        let mut writer = selection.decisions_writer(&shard.path, &schema).unwrap();
        writer.write(&RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap()).unwrap();
        selection.commit_decisions(&shard.path, writer)
    };
    let error = selection.read_decisions(&shard.path, SidecarColumns::All).unwrap_err();
    assert_eq!(error.to_string(), "selection `best`, shard `web/a.jsonl.zst`: not computed yet");
    assert_eq!(decide(1.0).unwrap(), decide(1.0).unwrap());
    assert!(matches!(decide(2.0), Err(RunError::Differs { .. })));
    assert_eq!(selection.read_manifest::<Manifest>().unwrap(), None);
    let manifest = Manifest { format_version: 1, kept: 4 };
    assert_eq!(selection.write_manifest(&manifest).unwrap(), Created::New);
    assert_eq!(selection.write_manifest(&manifest).unwrap(), Created::Existed);
    assert!(selection.write_manifest(&Manifest { format_version: 1, kept: 5 }).is_err());
    assert!(selection.write_manifest(&BTreeMap::from([("kept", 4)])).is_err());
    assert_eq!(run.open_selection("best", &plan).unwrap().read_manifest().unwrap(), Some(manifest));
    let error = run.open_selection("best", &plan.clone().with("rate", "10%")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`selections/best/plan.json` exists with other content: rate: stored `20%`, asked `10%`"
    );
    assert_eq!(run.selections().unwrap(), ["best"]);
}

#[test]
fn records_come_back_from_json_as_they_went_in() {
    let text = serde_json::to_string(&exact()).unwrap();
    assert_eq!(serde_json::from_str::<SignalRecord>(&text).unwrap(), exact());
}
