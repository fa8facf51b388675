//! What goes in comes out: formats, bytes, schemas, and what the selected set may not depend on.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;

use crate::world::{World, shard_text};

/// One gzip member a piece.
pub(crate) fn gzip(members: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in members {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(member).unwrap();
        bytes.extend(encoder.finish().unwrap());
    }
    bytes
}

pub(crate) fn write_parquet(path: &Path, batch: &RecordBatch, rows_a_group: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_a_group)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn lines(text: &str) -> BTreeSet<Vec<u8>> {
    text.split_inclusive('\n').map(|line| line.as_bytes().to_vec()).collect()
}

#[test]
fn kept_lines_are_those_of_the_corpus_in_its_formats() {
    let world = World::new();
    let texts: Vec<String> = (0..4).map(|shard| shard_text(shard, 60)).collect();
    let (head, tail) = texts[1].as_bytes().split_at(texts[1].len() / 3);
    world.write("corpus/deep/er/a.jsonl", &texts[0]);
    world.write("corpus/b.jsonl.gz", gzip(&[head, tail]));
    let (head, tail) = texts[2].as_bytes().split_at(777);
    let frames = [head, tail].map(|part| zstd::encode_all(part, 1).unwrap()).concat();
    world.write("corpus/c.json.zst", frames);
    // Line ends of another system stay as they are.
    world.write("corpus/d.ndjson", texts[3].replace('\n', "\r\n"));
    let run = world.ok("select corpus --by column:q --rate 30% --out kept");
    assert!(run.stdout.contains("240 in = 72 kept + 168 dropped"), "{}", run.stdout);
    let files = world.files("kept");
    assert_eq!(files.keys().collect::<Vec<_>>(), ["b.jsonl.gz", "c.json.zst", "d.ndjson", "deep/er/a.jsonl"]);
    let mut gz = String::new();
    flate2::read::MultiGzDecoder::new(&files["b.jsonl.gz"][..]).read_to_string(&mut gz).unwrap();
    let zst = String::from_utf8(zstd::decode_all(&files["c.json.zst"][..]).unwrap()).unwrap();
    let plain = String::from_utf8(files["deep/er/a.jsonl"].clone()).unwrap();
    let windows = String::from_utf8(files["d.ndjson"].clone()).unwrap();
    assert!(windows.lines().count() > 5 && windows.matches("\r\n").count() == windows.matches('\n').count());
    let mut kept = 0;
    for (text, part) in texts.iter().zip([plain, gz, zst, windows.replace("\r\n", "\n")]) {
        let (text, part) = (lines(text), lines(&part));
        assert!(part.is_subset(&text));
        kept += part.len();
    }
    assert_eq!(kept, 72);
}

#[test]
fn parquet_keeps_schema_columns_and_row_order() {
    let world = World::new();
    let rows = 500;
    let batch = |from: usize| {
        let ids: ArrayRef =
            Arc::new(StringArray::from_iter_values((from..from + rows).map(|at| format!("p{at}"))));
        let texts: ArrayRef = Arc::new(StringArray::from_iter(
            (from..from + rows).map(|at| (at % 50 != 7).then(|| format!("text {at}"))),
        ));
        let scores: ArrayRef =
            Arc::new(Float64Array::from_iter_values((from..from + rows).map(|at| (at * 31 % 997) as f64)));
        RecordBatch::try_from_iter_with_nullable([
            ("id", ids, false),
            ("text", texts, true),
            ("score", scores, false),
        ])
        .unwrap()
    };
    write_parquet(&world.path("corpus/a.parquet"), &batch(0), 64);
    write_parquet(&world.path("corpus/sub/b.parquet"), &batch(rows), 1000);
    let (code, report) = world.json("select corpus --by column:score --rate 20% --out kept");
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(
        (report["documents_in"].as_u64(), report["kept"].as_u64(), report["failed"].as_u64()),
        (Some(1000), Some(196), Some(20))
    );
    assert_eq!(world.quarantine("kept/.tamis")[0]["row"], 7);
    let mut kept = 0;
    for name in ["a.parquet", "sub/b.parquet"] {
        let open = |folder: &str| {
            ParquetRecordBatchReaderBuilder::try_new(
                std::fs::File::open(world.path(folder).join(name)).unwrap(),
            )
            .unwrap()
        };
        let (before, after) = (open("corpus"), open("kept"));
        assert_eq!(before.schema(), after.schema());
        let mut last = None;
        for batch in after.build().unwrap() {
            let batch = batch.unwrap();
            let ids = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
            for id in ids.iter().flatten() {
                let at: usize = id[1..].parse().unwrap();
                assert!(last < Some(at), "row order");
                last = Some(at);
            }
            kept += batch.num_rows();
        }
    }
    assert_eq!(kept, 196);
}

#[test]
fn the_same_command_gives_the_same_bytes_with_any_number_of_threads() {
    let world = World::with_corpus();
    world.write("corpus/more.jsonl.zst", zstd::encode_all(shard_text(5, 3000).as_bytes(), 3).unwrap());
    let select = |threads: usize, out: &str| {
        world.ok(&format!("select corpus --by column:q --rule ips --rate 10%,20% --seed 3 --run run-{out} --out {out} --threads {threads}"));
        let run = format!("run-{out}");
        let mut files = world.all_files(&run);
        // Who ran what when, and where the output went, is not a result.
        files.retain(|path, _| !path.starts_with("audit/") && !path.contains("/outputs/"));
        (world.files(out), files)
    };
    let one = select(1, "one");
    assert!(one.0.len() == 8 && one.1.len() > 8);
    for threads in [2, 3] {
        let other = select(threads, &format!("t{threads}"));
        assert!(one.0 == other.0, "kept documents differ with {threads} threads");
        assert_eq!(one.1.keys().collect::<Vec<_>>(), other.1.keys().collect::<Vec<_>>());
        for (path, bytes) in &one.1 {
            assert!(bytes == &other.1[path], "`{path}` differs with {threads} threads");
        }
    }
    // Again over what is there: nothing changes.
    let before = world.files("one");
    world.ok("select corpus --by column:q --rule ips --rate 10%,20% --seed 3 --run run-one --out one");
    assert!(before == world.files("one"));
    // A kept file that was lost is written again.
    std::fs::remove_file(world.path("one/rate-10/s1.jsonl")).unwrap();
    world.ok("select corpus --by column:q --rule ips --rate 10%,20% --seed 3 --run run-one --out one");
    assert!(before == world.files("one"));
}

#[test]
fn rates_nest_and_seeds_differ() {
    let world = World::with_corpus();
    world.ok("select corpus --by random --rate 50%,10%,25% --out kept");
    let [ten, quarter, half] = ["10", "25", "50"].map(|rate| world.lines(&format!("kept/rate-{rate}")));
    assert_eq!((ten.len(), quarter.len(), half.len()), (12, 30, 60));
    assert!(ten.is_subset(&quarter) && quarter.is_subset(&half));
    world.ok("select corpus --by random --rate 10% --out alone");
    assert_eq!(world.lines("alone"), ten);
    world.ok("select corpus --by random --rate 0.1 --seed 1 --out other");
    assert_ne!(world.lines("other"), ten);
}

#[test]
fn names_and_order_of_shards_do_not_matter() {
    let world = World::with_corpus();
    for (from, to) in [("s0", "z"), ("s1", "a/b"), ("s2", "m")] {
        world.write(&format!("renamed/{to}.jsonl"), world.read(&format!("corpus/{from}.jsonl")));
    }
    let all: String = (0..3).rev().map(|shard| shard_text(shard, 40)).collect();
    let mut reversed: Vec<&str> = all.split_inclusive('\n').collect();
    reversed.reverse();
    world.write("one-file.jsonl", reversed.concat());
    for by in [
        "random",
        "column:q",
        "column:q --rule ips",
        "column:q --rule poisson",
        "column:meta.score --rule bottom",
    ] {
        let name = by.replace([' ', ':'], "");
        let kept = |corpus: &str| {
            let out = format!("{corpus}-{name}-kept");
            world.ok(&format!("select {corpus} --by {by} --rate 20% --out {out}"));
            world.lines(&out)
        };
        let expected = kept("corpus");
        assert!(expected.len() > 5, "{by}");
        assert_eq!(expected, kept("renamed"), "{by}");
        assert_eq!(expected, kept("one-file.jsonl"), "{by}");
    }
}

#[test]
fn budgets_are_met_from_below() {
    let world = World::with_corpus();
    let (_, documents) = world.json("select corpus --by column:q --documents 17 --run run");
    assert_eq!(documents["kept"], 17);
    let (_, bytes) = world.json("select corpus --by column:q --bytes 2KB --run run");
    let met = bytes["selections"][0]["bytes"].as_u64().unwrap();
    assert!((1500..=2000).contains(&met), "{met}");
    let none = world.ok("select corpus --by column:q --rate 0.1% --run run");
    assert!(none.stdout.contains("rate-0.1: nothing of 120 candidates is kept"), "{}", none.stdout);
    let (_, all) = world.json("select corpus --by column:q --documents 1000000 --run run");
    assert_eq!(all["kept"], 120);
}

#[test]
fn a_corpus_without_ids_is_known_by_its_texts() {
    let world = World::new();
    let text: String = (0..50).map(|at| format!("{{\"text\": \"document {}\"}}\n", at % 40)).collect();
    world.write("corpus.jsonl", text);
    let run = world.ok("select corpus.jsonl --by random --rate 50% --out kept");
    assert!(run.stdout.contains("50 in = "), "{}", run.stdout);
    let kept = world.read("kept/corpus.jsonl");
    let lines: Vec<_> = kept.split_inclusive(|byte| *byte == b'\n').collect();
    // Equal texts share their fate, and the output says by how many that is more than asked.
    for at in 0..10 {
        let same =
            lines.iter().filter(|line| line.ends_with(format!("document {at}\"}}\n").as_bytes())).count();
        assert!(same == 0 || same == 2, "document {at}: {same}");
    }
    assert!(lines.len() >= 25);
    assert_eq!(lines.len() > 25, run.stdout.contains("more than asked"));
}
