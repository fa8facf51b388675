//! The default embedder against transformers on the demo corpus (fixture and script: `fixtures/make_embed.py`).

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use half::f16;
use tamis_core::column;
use tamis_kernels::{Dtype, Path};
use tamis_models::build::Backend;
use tamis_models::embed::columns::TOKENS;
use tamis_models::embed::{Embed, EmbedOptions, Embedder, Precision};

use crate::reference::{annotate, corpus, fixture, json, model};

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn default_embedder_agrees_with_transformers() {
    let (reference, corpus) = (json("embed.json"), corpus());
    let dimension = reference["dimension"].as_u64().unwrap() as usize;
    let bytes = std::fs::read(fixture("embed.f16")).unwrap();
    let expected: Vec<f32> =
        bytes.chunks_exact(2).map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect();
    let ids: Vec<&str> = reference["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert!(ids.len() >= 500);
    assert_eq!(
        ids,
        corpus.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
        "the fixture has another corpus"
    );
    let texts: Vec<&str> = corpus.iter().map(|(_, text)| text.as_str()).collect();

    for (dtype, tolerance) in [(Dtype::F32, 0.9999), (Dtype::Bf16, 0.9999), (Dtype::Int8, 0.999)] {
        let loaded = model(reference["model"].as_str().unwrap());
        let embedder = Embedder::from_model(loaded, Backend::Native(Path::detect(dtype))).unwrap();
        let options = EmbedOptions { precision: Precision::F32, ..EmbedOptions::default() };
        let batches = annotate(&Embed::new(embedder, &options).unwrap(), &texts);
        let tokens: Vec<u32> = batches
            .iter()
            .flat_map(|batch| {
                batch.column_by_name(TOKENS).unwrap().as_primitive::<UInt32Type>().values().to_vec()
            })
            .collect();
        let expected_tokens: Vec<u32> = reference["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|count| count.as_u64().unwrap() as u32)
            .collect();
        assert_eq!(tokens, expected_tokens);
        let found: Vec<f32> = batches
            .iter()
            .flat_map(|batch| {
                let list = batch.column_by_name(column::EMBEDDING).unwrap().as_fixed_size_list();
                assert_eq!(list.null_count(), 0);
                list.values().as_primitive::<Float32Type>().values().to_vec()
            })
            .collect();
        let least = found
            .chunks(dimension)
            .zip(expected.chunks(dimension))
            .map(|(ours, theirs)| cosine(ours, theirs))
            .fold(1.0, f64::min);
        println!("{}: smallest cosine {least:.7}", dtype.name());
        assert!(least >= tolerance, "smallest cosine in {}: {least}", dtype.name());
    }
}
