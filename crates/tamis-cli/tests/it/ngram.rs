//! N-gram models from end to end: train, score, select; models and corpora that will not do.

use std::path::Path;

use crate::world::{World, fixture};

/// Two lines of the golden tests' corpus a document, with a blank one between.
fn world() -> World {
    let world = World::with_corpus();
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tamis-samplers/tests/fixtures/ngram/corpus.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let documents: Vec<String> =
        lines.chunks(2).map(|pair| format!(r#"{{"text": "{}\n\n{}"}}"#, pair[0], pair[1])).collect();
    world.write("reference/a.jsonl", documents[..50].join("\n"));
    world.write("reference/b.jsonl", documents[50..].join("\n"));
    world
}

#[test]
fn a_model_is_trained_and_selects() {
    let world = world();
    let (code, trained) = world.json("train-ngram reference --order 3 --out model.arpa.zst");
    assert_eq!(
        (code, &trained["documents"], &trained["lines"]),
        (0, &130.into(), &260.into()),
        "{trained:#}"
    );
    assert_eq!(trained["words"], 1963);
    let (code, report) =
        world.json("select corpus --by ngram --ngram model.arpa.zst --rate 20% --run run --out kept");
    assert_eq!((code, &report["kept"]), (0, &24.into()), "{report:#}");
    // What is stored needs no model.
    std::fs::remove_file(world.path("model.arpa.zst")).unwrap();
    world.ok("select corpus --by ngram.nll_byte --rate 10% --run run --out other");
}

#[test]
fn shards_threads_and_memory_leave_no_trace_in_the_model() {
    let world = world();
    world.ok("train-ngram reference --order 3 --prune 0 0 1 --out one.arpa --threads 1");
    world.write("moved/1.jsonl", world.read("reference/b.jsonl"));
    world.write("moved/2.jsonl", world.read("reference/a.jsonl"));
    world.ok(
        "train-ngram moved --order 3 --prune 0 0 1 --out two.arpa.gz --threads 3 --memory 20kB --temporary .",
    );
    assert_eq!(world.all_files("").keys().filter(|name| name.contains("tmp")).count(), 0);
    let (_, one) = world.json("score ngram corpus --ngram one.arpa --run run");
    let (_, two) = world.json("score ngram corpus --ngram two.arpa.gz --run run");
    // The same fingerprint: nothing was left to compute.
    assert_eq!((&one["signal"], &two["computed"]), (&two["signal"], &0.into()));
}

#[test]
fn pieces_of_a_tokenizer_are_words_and_the_model_asks_for_it() {
    let world = world();
    world.write(
        "tokenizer/config.json",
        r#"{"model_type": "llama", "vocab_size": 413, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 128, "tie_word_embeddings": true}"#,
    );
    for (from, to) in
        [("gguf_tiny_tokenizer.json", "tokenizer.json"), ("gguf_tiny.safetensors", "model.safetensors")]
    {
        world.write(&format!("tokenizer/{to}"), std::fs::read(fixture(from)).unwrap());
    }
    world.ok("train-ngram reference --order 2 --tokenizer tokenizer --words lower --discount-fallback --out pieces.arpa");
    world.refuses(
        "score ngram corpus --ngram pieces.arpa --run run",
        2,
        &["pieces of a tokenizer", "--ngram-tokenizer"],
    );
    world.refuses(
        "score ngram corpus --ngram pieces.arpa --ngram-tokenizer tokenizer --ngram-words ccnet --run run",
        2,
        &["trained on words `lower-1`"],
    );
    world.ok("score ngram corpus --ngram pieces.arpa --ngram-tokenizer tokenizer --run run");
}

#[test]
fn what_will_not_do_is_refused_and_nothing_is_lost() {
    let world = world();
    world.ok("train-ngram reference --order 2 --out model.arpa");
    world.refuses("train-ngram reference --order 2 --out model.arpa", 2, &["`model.arpa` exists"]);
    world.refuses("train-ngram reference --order 2 --out reference/model.arpa", 2, &["inside the corpus"]);
    world.refuses("train-ngram reference --order 9 --out a.arpa", 2, &["between 1 and 8"]);
    world.refuses("train-ngram reference --prune 1 0 --out a.arpa", 2, &["not decrease"]);
    world.refuses(
        "train-ngram reference --text body --out a.arpa",
        2,
        &["`--text body`", "columns are text"],
    );
    world.write("tiny.jsonl", r#"{"text": "a b c"}"#);
    world.refuses("train-ngram tiny.jsonl --order 2 --out a.arpa", 1, &["Kneser-Ney", "--discount-fallback"]);
    world.refuses("train-ngram reference --temporary nowhere --out a.arpa", 1, &["--temporary"]);
    assert!(!world.exists("a.arpa"));

    world.refuses("score ngram corpus --run run", 2, &["ngram needs a model", "train-ngram"]);
    world.says("score ngram corpus --ngram none.arpa --run run", 1, &["none.arpa"]);
    let model = String::from_utf8(world.read("model.arpa")).unwrap();
    world.write("cut.arpa", &model[..model.len() / 2]);
    world.refuses("score ngram corpus --ngram cut.arpa --run run", 1, &["`cut.arpa`, line", "cut"]);
    world.write("positive.arpa", model.replacen("0\t<s>", "0.5\t<s>", 1));
    world.refuses("score ngram corpus --ngram positive.arpa --run run", 1, &["line", "is positive"]);
    assert!(!world.exists("run/signals"));
    // The scores that are there stay when a model that will not do comes.
    let (_, before) = world.json("score ngram corpus --ngram model.arpa --run run");
    world.refuses("score ngram corpus --ngram cut.arpa --run run", 1, &["cut"]);
    let (_, after) = world.json("score ngram corpus --ngram model.arpa --run run");
    assert_eq!((&before["documents"], &after["computed"]), (&120.into(), &0.into()));
}
