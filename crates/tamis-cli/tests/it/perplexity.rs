//! Perplexity from the command line: checkpoints, the middle, and what is refused before any work.

use std::collections::BTreeSet;

use serde_json::json;

use crate::world::{World, fixture};

const CONFIG: &str = r#"{"model_type": "llama", "vocab_size": 413, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 128, "tie_word_embeddings": true}"#;

/// Two checkpoints, `ckpt/20k` and `ckpt/700k`: the same tiny model with other norms.
fn world() -> World {
    let world = World::with_corpus();
    let weights = std::fs::read(fixture("gguf_tiny.safetensors")).unwrap();
    for (name, epsilon) in [("20k", "1e-5"), ("700k", "1e-1")] {
        world.write(&format!("ckpt/{name}/config.json"), CONFIG.replace("1e-5", epsilon));
        world.write(
            &format!("ckpt/{name}/tokenizer.json"),
            std::fs::read(fixture("gguf_tiny_tokenizer.json")).unwrap(),
        );
        let mut weights = weights.clone();
        // The last byte of the data: another digest.
        *weights.last_mut().unwrap() ^= u8::from(name == "20k");
        world.write(&format!("ckpt/{name}/model.safetensors"), weights);
    }
    world
}

const LIST: &str = "--model ckpt/20k,late=ckpt/700k --dtype f32";

#[test]
fn a_list_of_checkpoints_gives_a_signal_of_each() {
    let world = world();
    let (code, report) = world.json(&format!("score perplexity corpus --run run {LIST}"));
    assert_eq!(code, 0, "{report:#}");
    let signals = report["signals"].as_array().unwrap();
    let name = |at: usize| signals[at]["signal"].as_str().unwrap().split('@').next().unwrap().to_owned();
    assert_eq!(
        (signals.len(), name(0), name(1)),
        (2, "perplexity-20k".to_owned(), "perplexity-late".to_owned())
    );
    assert_eq!((&signals[0]["computed"], &signals[1]["failed"]), (&json!(120), &json!(0)));
    for by in ["perplexity:20k", "perplexity:late", "perplexity:late.perplexity", "perplexity:20k.mean_nll"] {
        let rule = if by.contains('.') { " --rule bottom" } else { "" };
        let (code, report) =
            world.json(&format!("select --run run --by {by} --rate 10%{rule} --decide-only"));
        assert_eq!(
            (code, &report["kept"], &report["rule"]),
            (0, &json!(12), &json!("bottom")),
            "{by}: {report:#}"
        );
    }
    let shown = world.ok("show --run run --disagree perplexity:20k,perplexity:late").stdout;
    assert!(shown.contains("perplexity-20k"), "{shown}");
    // The same by one command, which computes nothing anew.
    let (_, again) =
        world.json(&format!("select --run run --by perplexity:late --rate 10% {LIST} --decide-only"));
    assert_eq!(again["kept"], json!(12), "{again:#}");
    let several = format!("select --run run --by perplexity --rate 10% {LIST}");
    world.refuses(&several, 2, &["does not say which", "perplexity:20k, perplexity:late"]);
}

#[test]
fn one_checkpoint_that_is_missing_is_told_before_any_work() {
    let world = world();
    let list = "--model ckpt/20k,ckpt/300k,ckpt/700k";
    world.refuses(&format!("score perplexity corpus --run run {list}"), 2, &["`ckpt/300k`"]);
    assert!(!world.exists("run/inventory") && !world.exists("run/signals"));
    let unknown = "select corpus --run run --by perplexity:300k --rate 10%";
    world.refuses(unknown, 2, &["which model `perplexity:300k` is of", "--model 300k=SOURCE"]);
    world.refuses(
        &format!("{unknown} {LIST}"),
        2,
        &["no checkpoint of --model is named `300k`", "20k, late"],
    );
    world.refuses("score perplexity corpus --run run --model a/x,b/x", 2, &["both named `x`", "x-1=a/x"]);
}

#[test]
fn what_no_decoder_can_do_is_refused() {
    let world = world();
    let score = "score perplexity corpus --run run --model ckpt/20k";
    world.refuses(&format!("{score} --objective span"), 2, &["no objective `span`", "encoder-decoder"]);
    world.refuses(&format!("{score} --window 500"), 2, &["context of 128", "--window"]);
    world.refuses(&format!("{score} --window 1"), 2, &["got 1 tokens"]);
    world.refuses(&format!("{score} --window 9 --stride 9"), 2, &["stride of 1 to 8", "--stride"]);
    world.refuses(&format!("{score} --device gpu"), 2, &["device `gpu` is unknown", "cuda:N"]);
    world.refuses(
        &format!("{score} --device cuda --engine native"),
        2,
        &["native engine", "--engine candle"],
    );
    if !cfg!(feature = "cuda") {
        world.refuses(&format!("{score} --device cuda:1"), 2, &["without feature `cuda`", "--features cuda"]);
    }
    world.write("ckpt/20k/config.json", CONFIG.replace("413", "400"));
    world.refuses(score, 1, &["tokens up to 412", "the model has 400"]);
    world.write("ckpt/20k/config.json", CONFIG.replace("\"llama\"", "\"qwen3\""));
    world.refuses(score, 1, &["self_attn.q_norm.weight` is missing"]);
    world.write("ckpt/20k/config.json", CONFIG.replace("64", "48"));
    world.refuses(score, 1, &["mlp.gate_proj.weight`: expected shape [48, 32], got [64, 32]"]);
    world.write("ckpt/20k/config.json", CONFIG.replace("\"llama\"", "\"mamba\""));
    world.refuses(score, 1, &["gemma3_text", "got architecture `mamba`", "--model http://"]);
}

#[test]
fn documents_without_a_likelihood_are_failed_rows() {
    let world = world();
    world.write("few/a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"two words\"}\n{\"text\": \"\"}\n");
    let (code, report) = world.json("score perplexity few --run run --model ckpt/20k --max-failed 100%");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["failed_by_reason"], json!({ "empty-text": 1, "one-token": 1 }));
}

#[test]
fn the_middle_is_kept_within_strata_and_bands_nest() {
    let world = World::new();
    // Two languages on scales of their own; the middle of each is known.
    let line = |language: &str, at: usize, q: f64| {
        format!(
            "{{\"id\": \"{language}{at}\", \"text\": \"t {language} {at}\", \"language\": \"{language}\", \"q\": {q}}}\n"
        )
    };
    let lines = (0..100).map(|at| line("en", at, at as f64) + &line("fi", at, 1000.0 + 3.0 * at as f64));
    world.write("corpus/a.jsonl", lines.collect::<String>());
    let select = "select corpus --run run --carry language --by column:q";
    let (code, report) = world.json(&format!("{select} --stratum language --rate 10%,20% --out kept"));
    assert_eq!((code, &report["rule"], &report["kept"]), (0, &json!("band"), &json!(40)), "{report:#}");
    let kept = |folder: &str| -> BTreeSet<String> {
        let ids = world.lines(folder).into_iter().map(|line| {
            serde_json::from_slice::<serde_json::Value>(&line).unwrap()["id"].as_str().unwrap().to_owned()
        });
        ids.collect()
    };
    let (small, large) = (kept("kept/rate-10"), kept("kept/rate-20"));
    let middle = |from: usize, to: usize| -> BTreeSet<String> {
        (from..to).flat_map(|at| [format!("en{at}"), format!("fi{at}")]).collect()
    };
    assert_eq!((&small, &large), (&middle(45, 55), &middle(40, 60)));
    let (_, whole) = world.json(&format!("{select} --around 25% --rate 10% --out low"));
    assert_eq!(whole["rule"], json!("band"));
    assert_eq!(kept("low"), (40..60).map(|at| format!("en{at}")).collect::<BTreeSet<_>>());
    world.refuses(
        &format!("{select} --stratum source --rate 10% --out x"),
        2,
        &["no document has a column `source`", "columns are id, language, q, text"],
    );
    world.refuses(&format!("{select} --rule top --around 5% --rate 10% --out x"), 2, &["rule `band`"]);
    world.refuses(&format!("{select} --around 120% --rate 10% --out x"), 2, &["`--around 120%`"]);
    world.refuses(
        "select corpus --run run --carry language --by random --around 5% --rate 10%",
        2,
        &["needs a score"],
    );
}

#[test]
fn perplexity_is_not_computed_in_int8() {
    let world = world();
    for dtype in ["int8", "int8/portable"] {
        let arguments = format!("score perplexity corpus --run run --model ckpt/20k --dtype {dtype}");
        world.refuses(&arguments, 2, &["`perplexity` is not computed in int8", "leave --dtype out"]);
    }
}
