//! Every family of decoders against transformers, on tiny checkpoints (fixtures and script: `fixtures/make_decoders.py`).

use std::path::Path;

use serde_json::{Value, json};
use tamis_kernels::{Dtype, Path as NumericPath};
use tamis_models::GgufWeights;
use tamis_models::build::{Backend, build_causal};
use tamis_models::graph::Architecture;
use tamis_models::source::open_model;
use tamis_models::weights::Weights;

use crate::reference::{fixture, json};

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn largest_difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (f64::from(*found) - expected).abs())
        .fold(0.0, f64::max)
}

/// Largest difference of a logit or ln P to what transformers found.
fn difference(architecture: &Architecture, weights: &dyn Weights, backend: Backend, expected: &Value) -> f64 {
    let model = build_causal(architecture, weights, backend).unwrap();
    let tokens: Vec<u32> =
        numbers(&json("decoders/expected.json")["tokens"]).iter().map(|id| *id as u32).collect();
    let mut largest = 0.0_f64;
    model
        .next_token_logits(None, &[&tokens], &mut |_, logits| {
            largest = largest.max(largest_difference(logits, &numbers(&expected["last_logits"])));
        })
        .unwrap();
    model
        .token_log_probs(None, &[&tokens], &mut |_, log_probs| {
            largest = largest.max(largest_difference(log_probs, &numbers(&expected["log_probs"])));
        })
        .unwrap();
    assert!(largest > 0.0, "nothing was compared");
    largest
}

fn check(name: &str, architecture: &Architecture, weights: &dyn Weights, expected: &Value) {
    let f32_paths = NumericPath::supported().into_iter().filter(|path| path.dtype() == Dtype::F32);
    for backend in f32_paths.map(Backend::Native).chain([Backend::Candle]) {
        let largest = difference(architecture, weights, backend, expected);
        assert!(largest < 1e-4, "{name}, {backend:?}: {largest}");
    }
}

/// A copy of the folder with a tokenizer, without which no folder is a model.
fn with_tokenizer(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture(&format!("decoders/{name}/{file}")), folder.path().join(file)).unwrap();
    }
    let vocabulary: serde_json::Map<String, Value> =
        (0..96).map(|id| (format!("w{id}"), json!(id))).collect();
    let tokenizer =
        json!({ "version": "1.0", "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "w0" } });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    folder
}

#[test]
fn every_family_agrees_with_transformers_from_its_folder() {
    let expected = json("decoders/expected.json");
    for name in ["llama3", "llama-linear", "mistral", "qwen2", "qwen2-window", "qwen3", "gemma3"] {
        let folder = with_tokenizer(name);
        let model = open_model(folder.path().to_str().unwrap(), Path::new(""), &|_| ()).unwrap();
        assert!(name.starts_with(model.architecture.name()), "{name}");
        check(name, &model.architecture, &*model.weights, &expected["models"][name]);
    }
}

#[test]
fn gguf_files_give_the_same_as_their_folders() {
    let expected = json("decoders/expected.json");
    for (name, twin) in
        [("llama3", "llama3"), ("qwen2", "qwen2"), ("qwen3", "qwen3"), ("gemma3", "gemma3.gguf")]
    {
        let weights = GgufWeights::open(&fixture(&format!("decoders/{name}.gguf"))).unwrap();
        check(&format!("{name}.gguf"), weights.architecture(), &weights, &expected["models"][twin]);
    }
}

#[test]
fn settings_that_the_graph_does_not_know_are_refused() {
    for (name, field, value) in [
        ("llama3", "rope_parameters", json!({ "rope_type": "yarn", "factor": 4.0 })),
        ("llama3", "hidden_act", json!("gelu")),
        ("qwen2-window", "layer_types", json!(["full_attention", "chunked_attention", "full_attention"])),
        ("qwen2-window", "layer_types", json!(["full_attention", "sliding_attention"])),
        ("mistral", "sliding_window", json!(0)),
        ("gemma3", "final_logit_softcapping", json!(30.0)),
        ("gemma3", "hidden_activation", json!("gelu")),
        ("gemma3", "query_pre_attn_scalar", json!(0)),
    ] {
        let folder = with_tokenizer(name);
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[field] = value;
        std::fs::write(&path, config.to_string()).unwrap();
        let error = open_model(folder.path().to_str().unwrap(), Path::new(""), &|_| ()).unwrap_err();
        let named = if field == "rope_parameters" { "rope_type" } else { field };
        assert!(error.to_string().contains(named), "{name}, {field}: {error}");
    }
}
