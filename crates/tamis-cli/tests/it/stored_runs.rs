//! A run of tamis 0.1.0, kept as it was written (`tests/fixtures/make_run_0_1.py`): it opens, goes on, and is selected from
//! without a score computed again.

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tamis_kernels::Path as NumericPath;

use crate::world::World;

/// Documents of the stored corpus that have a row, and those of the shard that is added.
const STORED: u64 = 100;
const ADDED: u64 = 15;

/// Flags that the stored run was made with.
const RUN: &str = "corpus --run run --max-failed 10%";

/// A stored signal: its full name, and the command that made it.
const SIGNALS: &[(&str, &str)] = &[
    ("column-quality@b9dca742", "column:quality"),
    ("counts@b207350f", "counts"),
    ("tokens@7ae4431d", "tokens --tokenizer models/judge"),
    ("embed@f3e06433", "embed --embedder models/embedder --dtype f32"),
    ("ask-llm@10c9167f", "ask-llm --model models/judge --prompt paper --dtype f32"),
    ("perplexity@ded41cc6", "perplexity --model models/judge --window 12 --stride 7 --dtype f32"),
    ("perplexity-early@4f8d2e83", "perplexity:early --model models/judge --engine candle"),
    ("perplexity-late@0917fe09", "perplexity:late --model models/t5-judge --engine candle"),
    ("ngram@3d4e927a", "ngram --ngram models/ngram/model.arpa"),
    ("density@3841c77d", "density --embedder models/embedder --dtype f32 --repetitions 40 --buckets 64"),
    ("ask-llm@8b6470b6", "ask-llm --model models/t5-judge --prompt paper --engine candle"),
    ("perplexity@0917fe09", "perplexity --model models/t5-judge --objective span --engine candle"),
    ("embed@3a5c8593", "embed --embedder models/sentence-t5 --engine candle"),
];

/// Signals that a server computed, which is gone.
const OF_A_SERVER: &[&str] = &["ask-llm@c80feb02", "embed@6a915272"];

/// One shard of four was scored.
const BEGUN: (&str, &str) =
    ("perplexity-begun@4f8d2e83", "perplexity:begun --model models/judge --engine candle");

fn stored() -> World {
    let world = World::new();
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run_0_1");
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&source).unwrap().to_str().unwrap();
                world.write(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let version = String::from_utf8(world.read("run/corpus/1.json")).unwrap();
    let here = world.path("corpus").to_str().unwrap().to_owned();
    world.write("run/corpus/1.json", version.replace("/made/here/corpus", &here));
    world
}

/// Whether this machine has the instructions that a stored signal was computed with.
fn can_go_on(world: &World, full_name: &str) -> bool {
    let record: Value =
        serde_json::from_slice(&world.read(&format!("run/signals/{full_name}/signal.json"))).unwrap();
    let path = match full_name {
        // Its path is that of its embeddings.
        "density@3841c77d" => return can_go_on(world, "embed@f3e06433"),
        _ => record["fingerprint"]["numeric_path"].as_str(),
    };
    path.and_then(|path| NumericPath::from_name(path).ok()).is_none_or(NumericPath::is_supported)
}

/// Every sidecar, receipt and signal of the run, by path.
fn scores(world: &World) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut files = world.files("run/signals");
    files.retain(|path, _| !path.ends_with("architecture.json"));
    files
}

fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{report:#}"))
}

#[test]
fn every_stored_signal_is_complete_and_nothing_of_it_is_computed_again() {
    let world = stored();
    let before = scores(&world);
    for (name, asked) in SIGNALS {
        if !can_go_on(&world, name) {
            eprintln!("not on this machine: {name}");
            continue;
        }
        let (code, report) = world.json(&format!("score {asked} {RUN} --beside"));
        assert_eq!((code, report["signal"].as_str()), (0, Some(*name)), "{report:#}");
        assert_eq!((count(&report, "documents"), count(&report, "computed")), (STORED, 0), "{report:#}");
    }
    assert_eq!(scores(&world), before);
}

#[test]
fn stored_signals_go_on_with_a_shard_that_was_added() {
    let world = stored();
    let before = scores(&world);
    world.write("corpus/e.jsonl", world.read("later/e.jsonl"));
    for (name, asked) in SIGNALS {
        if !can_go_on(&world, name) {
            eprintln!("not on this machine: {name}");
            continue;
        }
        let (code, report) = world.json(&format!("score {asked} {RUN} --beside"));
        assert_eq!((code, report["signal"].as_str()), (0, Some(*name)), "{report:#}");
        assert_eq!(count(&report, "documents"), STORED + ADDED, "{report:#}");
        assert_eq!(count(&report, "computed"), ADDED, "{report:#}");
    }
    let after = scores(&world);
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "a stored file changed");
}

#[test]
fn a_signal_that_was_begun_is_finished() {
    let world = stored();
    let (name, asked) = BEGUN;
    let (code, report) = world.json(&format!("score {asked} {RUN}"));
    assert_eq!((code, report["signal"].as_str()), (0, Some(name)), "{report:#}");
    assert_eq!(count(&report, "documents"), STORED, "{report:#}");
    assert_eq!(count(&report, "computed"), STORED - 20, "{report:#}");
}

/// The rows of a Parquet file.
fn rows(path: &std::path::Path) -> Vec<arrow_array::RecordBatch> {
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

#[test]
fn selections_are_made_again_without_models_and_keep_the_same() {
    let world = stored();
    std::fs::remove_dir_all(world.path("models")).unwrap();
    let before = scores(&world);
    for (folder, asked) in [
        ("random", "--by random"),
        ("density", "--by density"),
        ("band", "--by perplexity:early --around 50% --stratum lang"),
    ] {
        let out = format!("--rate 10%,35% --seed 7 --out again/{folder}");
        world.ok(&format!("select {RUN} {asked} {out}"));
        let (again, before) =
            (world.files(&format!("again/{folder}")), world.files(&format!("kept/{folder}")));
        assert!(again.keys().eq(before.keys()), "{folder}");
        for (path, bytes) in &before {
            // Lines are the same bytes; Parquet, since it has the codec and the types of its input, the same rows.
            match path.ends_with(".parquet") {
                true => {
                    let rows = |kept: &str| rows(&world.path(kept).join(folder).join(path));
                    assert_eq!(rows("again"), rows("kept"), "{folder} {path}");
                }
                false => assert_eq!(&again[path], bytes, "{folder} {path}"),
            }
        }
    }
    let names = SIGNALS.iter().map(|(name, _)| *name).chain(OF_A_SERVER.iter().copied());
    for name in names.filter(|name| !name.starts_with("embed@")) {
        let by = match name {
            "column-quality@b9dca742" => "column:quality",
            "counts@b207350f" => "counts@b207350f.stop_word_share",
            "tokens@7ae4431d" => "tokens@7ae4431d.tokens",
            name => name,
        };
        let (code, report) =
            world.json(&format!("select {RUN} --by {by} --rate 20% --rule top --decide-only"));
        assert_eq!(code, 0, "{report:#}");
        assert!(count(&report, "kept") >= 19, "{report:#}");
    }
    assert_eq!(scores(&world), before);
}

#[test]
fn documents_of_a_stored_run_are_shown_and_explained() {
    let world = stored();
    let shown = world.ok("show --run run --top 3 --by perplexity:early").stdout;
    let first = "perplexity-early 99.5 (1.3823)   perplexity-late 31.5 (1.6657)";
    assert!(shown.contains("a-23   a.jsonl:24") && shown.contains(first), "{shown}");
    let why = world.ok("why a-23 --run run").stdout;
    for name in ["ask-llm@10c9167f", "density", "perplexity-early", "random-0c76d3d0"] {
        assert!(why.contains(name), "`{name}` in:\n{why}");
    }
}
