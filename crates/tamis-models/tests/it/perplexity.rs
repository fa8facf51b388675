//! Perplexity of packaged models against transformers (fixture and script: `fixtures/make_perplexity.py`), and what repetition
//! does to it.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use serde_json::Value;
use tamis_kernels::{Dtype, Path};
use tamis_models::build::Backend;
use tamis_models::perplexity::columns::{NLL, NLL_PER_BYTE, PERPLEXITY, PREDICTED_TOKENS};
use tamis_models::perplexity::{Perplexity, PerplexityOptions, Predictor};
use tamis_models::source::{DEFAULT_JUDGE, LoadedModel};

use crate::reference::{annotate, corpus, json, model};

fn signal(loaded: LoadedModel, dtype: Dtype, options: &PerplexityOptions) -> Perplexity {
    let reader = Predictor::from_model(loaded, None, Backend::Native(Path::detect(dtype))).unwrap();
    Perplexity::new(reader, options).unwrap()
}

fn numbers(signal: &Perplexity, column: &str, texts: &[&str]) -> Vec<f64> {
    let batches = annotate(signal, texts);
    let values = batches.iter().flat_map(|batch| {
        let column = batch.column_by_name(column).unwrap();
        match column.as_primitive_opt::<Float64Type>() {
            Some(values) => values.values().to_vec(),
            None => {
                column.as_primitive::<UInt32Type>().values().iter().map(|value| f64::from(*value)).collect()
            }
        }
    });
    values.collect()
}

/// Largest difference of an NLL, in nats a token, to the reference.
fn difference(name: &str, load: impl Fn() -> LoadedModel, dtype: Dtype) -> f64 {
    let reference = json("perplexity.json");
    let rows = reference["models"][name].as_array().unwrap();
    let texts: Vec<String> = corpus().into_iter().take(rows.len()).map(|(_, text)| text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let size = |name: &str| Some(reference[name].as_u64().unwrap() as usize);
    let options = PerplexityOptions {
        window_tokens: size("window_tokens"),
        stride_tokens: size("stride_tokens"),
        ..PerplexityOptions::default()
    };
    let signal = signal(load(), dtype, &options);
    let expected = |at: usize| rows.iter().map(move |row: &Value| row[at].as_f64().unwrap());
    let predicted = numbers(&signal, PREDICTED_TOKENS, &texts);
    assert_eq!(predicted, expected(2).collect::<Vec<_>>(), "the tokens differ");
    let found = numbers(&signal, NLL, &texts);
    let pairs = found.iter().zip(expected(3)).zip(predicted);
    pairs.map(|((found, expected), tokens)| (found - expected).abs() / tokens).fold(0.0, f64::max)
}

#[test]
fn default_model_agrees_with_transformers_in_windows() {
    let f32 = difference("smollm2", || model(DEFAULT_JUDGE), Dtype::F32);
    let bf16 = difference("smollm2", || model(DEFAULT_JUDGE), Dtype::Bf16);
    println!("largest difference in nats a token: f32 {f32:.1e}, bf16 {bf16:.1e}");
    assert!(f32 < 1e-5, "{f32}");
    assert!(bf16 < 0.02, "{bf16}");
}

/// The packaged Gemma comes in four wheels; whoever has joined them names the file.
#[test]
fn gemma_3_agrees_with_transformers_in_windows() {
    let Ok(path) = std::env::var("TAMIS_GEMMA3") else {
        println!("skipped: TAMIS_GEMMA3 names no gemma-3-270m-q4_k_m.gguf");
        return;
    };
    let f32 = difference("gemma", || model(&path), Dtype::F32);
    let bf16 = difference("gemma", || model(&path), Dtype::Bf16);
    println!("largest difference in nats a token: f32 {f32:.1e}, bf16 {bf16:.1e}");
    assert!(f32 < 1e-4, "{f32}");
    assert!(bf16 < 0.05, "{bf16}");
}

#[test]
fn repetition_scores_below_every_text() {
    let corpus = corpus();
    let texts: Vec<&str> = corpus.iter().step_by(12).map(|(_, text)| text.as_str()).collect();
    let paragraph: String = texts.iter().find(|text| text.len() > 300).unwrap().chars().take(300).collect();
    let line = "Add to cart. Free shipping on all orders over 25 dollars.\n".repeat(30);
    let repeated = [paragraph.repeat(20), line];
    let signal = signal(model(DEFAULT_JUDGE), Dtype::F32, &PerplexityOptions::default());
    for column in [NLL_PER_BYTE, PERPLEXITY] {
        let lowest = numbers(&signal, column, &texts).into_iter().fold(f64::INFINITY, f64::min);
        let repeated = numbers(&signal, column, &repeated.each_ref().map(String::as_str));
        println!("{column}: lowest of {} texts {lowest:.3}, repeated {repeated:.3?}", texts.len());
        assert!(repeated.iter().all(|value| *value < lowest), "{column}: {repeated:?}, lowest {lowest}");
    }
}
