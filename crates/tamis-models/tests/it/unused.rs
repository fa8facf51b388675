//! Weights that nothing uses: whatever changes what a model computes is refused before it is built, what cannot is let through.

use std::collections::BTreeSet;
use std::sync::Mutex;

use proptest::prelude::*;
use serde_json::{Value, json};
use tamis_kernels::Path as NumericPath;
use tamis_models::GgufWeights;
use tamis_models::build::{Backend, build_causal, build_encoder, build_encoder_decoder};
use tamis_models::graph::{Architecture, BertActivation, BertConfig, Task, check};
use tamis_models::source::LoadedModel;
use tamis_models::weights::{MemoryWeights, UnusedCause, Weights, WeightsError};
use tamis_models::{Error, Result};

use crate::folders::{Folder, Tensor};
use crate::reference::fixture;

const NATIVE: Backend = Backend::Native(NumericPath::F32Portable);

fn task(architecture: &Architecture) -> Task {
    match architecture {
        Architecture::T5(config) if config.projection.is_some() => Task::Encoder,
        Architecture::T5(_) => Task::EncoderDecoder,
        Architecture::Bert(_) => Task::Encoder,
        _ => Task::CausalLm,
    }
}

fn build(architecture: &Architecture, weights: &dyn Weights, task: Task, backend: Backend) -> Result<()> {
    match task {
        Task::CausalLm => build_causal(architecture, weights, backend).map(drop),
        Task::EncoderDecoder => build_encoder_decoder(architecture, weights, backend).map(drop),
        Task::Encoder => build_encoder(architecture, weights, backend).map(drop),
    }
}

/// What is said of a model: the same by looking at it as by building it, whatever the backend.
fn verdict(model: &LoadedModel, task: Task) -> Result<()> {
    let (architecture, weights) = (&model.architecture, &*model.weights);
    let looked = check(architecture, weights, task);
    for backend in [NATIVE, Backend::Candle] {
        let built = build(architecture, weights, task, backend);
        let text = |result: &Result<()>| result.as_ref().err().map(ToString::to_string);
        assert_eq!(text(&looked), text(&built), "{backend:?}");
    }
    looked
}

fn refused(model: &LoadedModel, task: Task) -> (UnusedCause, Vec<String>, Error) {
    match verdict(model, task) {
        Err(error) => match &error {
            Error::Weights(WeightsError::Unused { cause, tensors, .. }) => (*cause, tensors.clone(), error),
            _ => panic!("refused for another reason: {error}"),
        },
        Ok(()) => panic!("a tensor was left unused without a word"),
    }
}

fn logits(model: &LoadedModel) -> Vec<u32> {
    let built = build_causal(&model.architecture, &*model.weights, NATIVE).unwrap();
    let mut found = Vec::new();
    let mut sink = |_, values: &[f32]| found.extend(values.iter().map(|value| value.to_bits()));
    built.next_token_logits(None, &[&[5, 9, 1, 33]], &mut sink).unwrap();
    found
}

#[test]
fn biases_that_the_configuration_is_silent_about_are_refused_and_the_remedy_works() {
    let folder = Folder::of("decoders/llama-linear");
    let plain = logits(&folder.open().unwrap());
    let biases = |names: &[(&str, usize)]| -> Vec<(String, Tensor)> {
        let of = |layer: usize| {
            let name = move |part: &str| format!("model.layers.{layer}.self_attn.{part}.bias");
            names.iter().map(move |(part, width)| (name(part), Tensor::filled(&[*width], 5.0)))
        };
        (0..3).flat_map(of).collect()
    };
    folder.add(biases(&[("q_proj", 32), ("k_proj", 16), ("v_proj", 16)]));
    let (cause, tensors, error) = refused(&folder.open().unwrap(), Task::CausalLm);
    assert_eq!((cause, tensors.len()), (UnusedCause::AttentionBiases, 3));
    let text = error.to_string();
    assert!(text.contains("9 tensors would not be used, and change what the model computes"), "{text}");
    assert!(
        text.contains("`model.layers.0.self_attn.k_proj.bias`") && text.ends_with("and 6 more"),
        "{text}"
    );
    assert!(text.contains("model.safetensors"), "{text}");
    assert!(error.hint().unwrap().contains("`attention_bias`: true"), "{error}");
    folder.add(biases(&[("o_proj", 32)])).set("attention_bias", json!(true));
    assert_ne!(logits(&folder.open().unwrap()), plain);
    // The other way round: biases that are stated and are not there.
    let folder = Folder::of("decoders/llama-linear");
    folder.set("attention_bias", json!(true));
    let error = verdict(&folder.open().unwrap(), Task::CausalLm).unwrap_err();
    assert!(error.to_string().contains("self_attn.q_proj.bias` is missing"), "{error}");
}

/// A fixture, what is added to it, why that is refused, and what the remedy must name.
type Case = (&'static str, Vec<(String, Tensor)>, UnusedCause, &'static str);

#[test]
fn what_would_change_the_result_is_refused_by_name_with_a_remedy() {
    let small = || Tensor::filled(&[4, 32], 0.1);
    let layer = "model.layers.1.self_attn.q_proj";
    let cases: Vec<Case> = vec![
        (
            "decoders/llama-linear",
            vec![
                (format!("base_model.model.{layer}.lora_A.weight"), small()),
                (format!("base_model.model.{layer}.lora_B.weight"), small()),
            ],
            UnusedCause::Adapter,
            "merge_and_unload",
        ),
        (
            "decoders/mistral",
            vec![(format!("{layer}.weight_scale"), Tensor::filled(&[1], 2.0))],
            UnusedCause::Quantisation,
            "bf16",
        ),
        (
            "decoders/qwen2",
            vec![(format!("{layer}.weight_scale_inv"), Tensor::filled(&[1, 1], 2.0))],
            UnusedCause::Quantisation,
            "bf16",
        ),
        (
            "decoders/llama-linear",
            vec![("model.layers.0.self_attn.q_norm.weight".to_owned(), Tensor::filled(&[8], 2.0))],
            UnusedCause::Other,
            "--model http",
        ),
        (
            "decoders/mistral",
            vec![("model.layers.0.mlp.up_proj.bias".to_owned(), Tensor::filled(&[48], 1.0))],
            UnusedCause::Other,
            "--model http",
        ),
        (
            "decoders/llama3",
            vec![("lm_head.weight".to_owned(), Tensor::filled(&[96, 32], 0.5))],
            UnusedCause::HeadThatIsTied,
            "`tie_word_embeddings` to false",
        ),
        (
            "decoders/llama-linear",
            vec![("lm_head.bias".to_owned(), Tensor::filled(&[96], 1.0))],
            UnusedCause::Other,
            "--model http",
        ),
        (
            "decoders/qwen3",
            vec![("model.vision_tower.patch.weight".to_owned(), small())],
            UnusedCause::Other,
            "--model http",
        ),
        (
            "t5/v1_0",
            vec![("lm_head.weight".to_owned(), Tensor::filled(&[272, 32], 0.5))],
            UnusedCause::HeadThatIsTied,
            "tie_word",
        ),
        (
            "t5/v1_0",
            vec![("encoder.embed_tokens.weight".to_owned(), Tensor::filled(&[272, 32], 0.5))],
            UnusedCause::Other,
            "--model http",
        ),
        (
            "t5/v1_0",
            vec![("encoder.block.2.layer.0.layer_norm.weight".to_owned(), Tensor::filled(&[32], 1.0))],
            UnusedCause::MoreLayers,
            "as many layers",
        ),
    ];
    for (name, more, cause, remedy) in cases {
        let folder = Folder::of(name);
        let first = more[0].0.clone();
        folder.add(more);
        let model = folder.open().unwrap();
        let (found, tensors, error) = refused(&model, task(&model.architecture));
        assert_eq!((found, &tensors[0]), (cause, &first), "{name}: {error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains(remedy), "{name}: {hint}");
    }
}

#[test]
fn a_head_beside_the_table_that_it_is_tied_to_is_used_where_it_is_meant() {
    let folder = Folder::of("decoders/llama3");
    folder.add([("lm_head.weight", Tensor::filled(&[96, 32], 0.5))]);
    refused(&folder.open().unwrap(), Task::CausalLm);
    folder.set("tie_word_embeddings", json!(false));
    verdict(&folder.open().unwrap(), Task::CausalLm).unwrap();
}

#[test]
fn a_layer_more_than_configured_is_refused_in_every_family() {
    for name in ["llama3", "llama-linear", "mistral", "qwen2", "qwen3"] {
        let folder = Folder::of(&format!("decoders/{name}"));
        folder.set("num_hidden_layers", json!(2));
        if folder.json("config.json").get("layer_types").is_some() {
            folder.set("layer_types", json!(["full_attention", "full_attention"]));
        }
        let (cause, tensors, error) = refused(&folder.open().unwrap(), Task::CausalLm);
        assert_eq!(cause, UnusedCause::MoreLayers, "{name}: {error}");
        assert!(tensors[0].starts_with("model.layers.2."), "{name}: {error}");
    }
    let folder = Folder::of("t5/v1_0");
    folder.set("num_decoder_layers", json!(2));
    let (cause, tensors, _) = refused(&folder.open().unwrap(), Task::EncoderDecoder);
    assert!(cause == UnusedCause::MoreLayers && tensors[0].starts_with("decoder.block.2."), "{tensors:?}");
}

#[test]
fn what_cannot_change_the_result_is_let_through() {
    let folder = Folder::of("decoders/llama3");
    let plain = logits(&folder.open().unwrap());
    let table = folder.tensors()["model.embed_tokens.weight"].clone();
    folder.add([
        ("model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(), Tensor::filled(&[4], 1.0)),
        ("model.rotary_emb.inv_freq".to_owned(), Tensor::filled(&[4], 1.0)),
        ("lm_head.weight".to_owned(), table),
    ]);
    assert_eq!(logits(&folder.open().unwrap()), plain);

    let folder = Folder::of("t5/v1_0");
    let table = folder.tensors()["shared.weight"].clone();
    let leftover = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
    folder.add([
        ("encoder.embed_tokens.weight", table.clone()),
        ("decoder.embed_tokens.weight", table.clone()),
        ("lm_head.weight", table),
        (leftover, Tensor::filled(&[32, 3], 1.0)),
    ]);
    verdict(&folder.open().unwrap(), Task::EncoderDecoder).unwrap();
    // As an embedder, the encoder alone counts, and its own table.
    verdict(&folder.open().unwrap(), Task::Encoder).unwrap();
    folder.add([("decoder.embed_tokens.weight", Tensor::filled(&[272, 32], 0.5))]);
    refused(&folder.open().unwrap(), Task::EncoderDecoder);
    verdict(&folder.open().unwrap(), Task::Encoder).unwrap();
    folder.add([("encoder.embed_tokens.weight", Tensor::filled(&[272, 32], 0.5))]);
    refused(&folder.open().unwrap(), Task::Encoder);
}

#[test]
fn a_copy_must_have_every_bit() {
    let folder = Folder::of("decoders/llama3");
    let mut table = folder.tensors()["model.embed_tokens.weight"].clone();
    let last = table.bytes.len() - 4;
    table.bytes[last] ^= 1;
    folder.add([("lm_head.weight", table)]);
    refused(&folder.open().unwrap(), Task::CausalLm);
}

/// Every tensor of a BERT by its name and shape.
fn bert() -> (Architecture, MemoryWeights) {
    let config = BertConfig {
        vocabulary: 20,
        hidden: 8,
        layers: 1,
        heads: 2,
        feed_forward: 12,
        context: 16,
        token_types: 2,
        norm_epsilon: 1e-12,
        activation: BertActivation::GeluErf,
    };
    let mut weights = MemoryWeights::new();
    let mut add = |name: &str, shape: &[usize]| {
        weights.insert(name, shape, vec![0.5; shape.iter().product()]);
    };
    for (name, rows) in [("word", 20), ("position", 16), ("token_type", 2)] {
        add(&format!("bert.embeddings.{name}_embeddings.weight"), &[rows, 8]);
    }
    let layer = "bert.encoder.layer.0";
    for (name, outputs, inputs) in [
        ("attention.self.query", 8, 8),
        ("attention.self.key", 8, 8),
        ("attention.self.value", 8, 8),
        ("attention.output.dense", 8, 8),
        ("intermediate.dense", 12, 8),
        ("output.dense", 8, 12),
    ] {
        add(&format!("{layer}.{name}.weight"), &[outputs, inputs]);
        add(&format!("{layer}.{name}.bias"), &[outputs]);
    }
    for name in [
        "bert.embeddings.LayerNorm".to_owned(),
        format!("{layer}.attention.output.LayerNorm"),
        format!("{layer}.output.LayerNorm"),
    ] {
        add(&format!("{name}.weight"), &[8]);
        add(&format!("{name}.bias"), &[8]);
    }
    (Architecture::Bert(config), weights)
}

#[test]
fn heads_of_pre_training_are_no_part_of_an_embedding_and_layers_are() {
    let with = |names: &[&str]| {
        let (architecture, mut weights) = bert();
        names.iter().for_each(|name| weights.insert(name, &[8], vec![1.0; 8]));
        build(&architecture, &weights, Task::Encoder, NATIVE)
    };
    with(&[
        "bert.embeddings.position_ids",
        "embeddings.position_ids",
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
        "cls.predictions.bias",
        "cls.predictions.transform.dense.weight",
        "cls.seq_relationship.weight",
    ])
    .unwrap();
    for name in [
        "bert.encoder.layer.1.output.dense.bias",
        "bert.encoder.layer.0.attention.self.distance_embedding.weight",
        "bert.encoder.layer.0.output.adapters.x.weight",
        "classifier.weight",
        "linear.weight",
    ] {
        let error = with(&[name]).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_gguf_file_with_a_bias_of_one_projection_alone_is_refused_by_the_files_own_name() {
    let bytes = std::fs::read(fixture("decoders/qwen2.gguf")).unwrap();
    // The biases of queries of the first block are moved to one that is not there: by them the others were told.
    let (from, to) = (b"blk.0.attn_q.bias", b"blk.9.attn_q.bias");
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    let mut changed = bytes.clone();
    changed[at..at + to.len()].copy_from_slice(to);
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    std::fs::write(file.path(), changed).unwrap();
    let weights = GgufWeights::open(file.path()).unwrap();
    let error = check(weights.architecture(), &weights, Task::CausalLm).unwrap_err();
    assert!(error.to_string().contains("`blk.0.attn_k.bias`"), "{error}");
    let error = build(weights.architecture(), &weights, Task::CausalLm, NATIVE).unwrap_err();
    assert!(error.to_string().contains("would not be used"), "{error}");
}

#[test]
fn number_formats_that_cannot_be_read_are_found_without_reading() {
    let folder = Folder::of("decoders/mistral");
    let name = "model.layers.1.mlp.up_proj.weight";
    let shape = folder.tensors()[name].shape.clone();
    let bytes = vec![0; shape.iter().product()];
    folder.add([(name, Tensor { dtype: "F8_E4M3".to_owned(), shape, bytes })]);
    let error = verdict(&folder.open().unwrap(), Task::CausalLm).unwrap_err();
    assert!(matches!(error, Error::Weights(WeightsError::DataType { .. })), "{error}");
}

#[test]
fn adapters_and_second_sets_of_weights_in_a_folder_are_refused() {
    let folder = Folder::of("decoders/qwen3");
    folder.write("adapter_config.json", "{}");
    let error = folder.open().unwrap_err();
    assert!(error.to_string().contains("`adapter_config.json`"), "{error}");
    assert!(error.hint().unwrap().contains("merge"), "{error}");

    let folder = Folder::of("t5/v1_1");
    folder.open().unwrap();
    folder.write("model.safetensors", std::fs::read(fixture("t5/v1_0/model.safetensors")).unwrap());
    let error = folder.open().unwrap_err();
    assert!(error.to_string().contains("two sets of weights"), "{error}");
}

#[test]
fn sentence_folders_that_are_computed_otherwise_are_refused() {
    let refused = |change: &dyn Fn(&Folder)| {
        let folder = Folder::of("t5/sentence");
        change(&folder);
        folder.open().unwrap_err().to_string()
    };
    let modules = |change: &dyn Fn(&mut Vec<Value>)| {
        refused(&|folder| {
            let Value::Array(mut modules) = folder.json("modules.json") else { panic!("a list") };
            change(&mut modules);
            folder.write("modules.json", Value::Array(modules).to_string());
        })
    };
    let text = modules(&|modules| modules.swap(2, 3));
    assert!(text.contains("in the order Transformer, Pooling, Dense, Normalize"), "{text}");
    let text = modules(&|modules| modules[0]["path"] = json!("0_Transformer"));
    assert!(text.contains("`0_Transformer`"), "{text}");
    let prompts = |default: Value| {
        let prompts =
            json!({ "prompts": { "query": "query: ", "none": "" }, "default_prompt_name": default });
        move |folder: &Folder| folder.write("config_sentence_transformers.json", prompts.to_string())
    };
    let text = refused(&prompts(json!("query")));
    assert!(text.contains("`default_prompt_name`: expected none, got `query`"), "{text}");
    for harmless in [Value::Null, json!("none")] {
        let folder = Folder::of("t5/sentence");
        prompts(harmless)(&folder);
        folder.open().unwrap();
    }
}

/// Weights that keep which tensors were loaded.
struct Watched<'a> {
    inner: &'a dyn Weights,
    loaded: Mutex<BTreeSet<String>>,
}

impl Weights for Watched<'_> {
    fn names(&self) -> Vec<String> {
        self.inner.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.inner.shape(name)
    }

    fn load(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.loaded.lock().unwrap().insert(name.to_owned());
        self.inner.load(name, shape)
    }

    fn digest(&self) -> String {
        self.inner.digest()
    }
}

const FOLDERS: [&str; 10] = [
    "decoders/llama3",
    "decoders/llama-linear",
    "decoders/mistral",
    "decoders/qwen2",
    "decoders/qwen2-window",
    "decoders/qwen3",
    "decoders/gemma3",
    "t5/v1_0",
    "t5/v1_1",
    "t5/sentence",
];

/// What is surveyed without loading is what is loaded: neither less nor more.
#[test]
fn every_backend_loads_exactly_the_tensors_that_are_there() {
    let watch = |architecture: &Architecture, weights: &dyn Weights, name: &str| {
        for backend in [NATIVE, Backend::Candle] {
            let watched = Watched { inner: weights, loaded: Mutex::default() };
            build(architecture, &watched, task(architecture), backend).unwrap();
            let loaded: Vec<String> = watched.loaded.into_inner().unwrap().into_iter().collect();
            assert_eq!(loaded, weights.names(), "{name}, {backend:?}");
        }
    };
    for name in FOLDERS {
        let model = Folder::of(name).open().unwrap();
        watch(&model.architecture, &*model.weights, name);
    }
    let (architecture, weights) = bert();
    watch(&architecture, &weights, "bert");
    for name in ["llama3", "qwen2", "qwen3", "gemma3"] {
        let weights = GgufWeights::open(&fixture(&format!("decoders/{name}.gguf"))).unwrap();
        watch(&weights.architecture().clone(), &weights, name);
    }
}

/// A model in memory.
fn in_memory(name: &str) -> (Architecture, MemoryWeights) {
    let model = Folder::of(name).open().unwrap();
    let mut weights = MemoryWeights::new();
    for name in model.weights.names() {
        let shape = model.weights.shape(&name).unwrap();
        weights.insert(&name, &shape, model.weights.load(&name, &shape).unwrap());
    }
    (model.architecture, weights)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_else_is_in_the_files_is_refused(
        which in 0..FOLDERS.len(),
        at in 0_usize..1000,
        part in "[a-z]{1,8}(\\.[a-z_]{1,8}){0,2}",
        how in 0..4,
    ) {
        let (architecture, mut weights) = in_memory(FOLDERS[which]);
        let names = weights.names();
        let name = &names[at % names.len()];
        // Something new, something that belongs to a tensor, a layer more, another kind.
        let added = match how {
            0 => part,
            1 => format!("{name}.{part}"),
            2 => name.replace(".0.", ".77."),
            _ => name.rsplit_once('.').map_or(part.clone(), |(start, _)| format!("{start}.{part}")),
        };
        prop_assume!(!names.contains(&added) && !added.ends_with("rotary_emb.inv_freq"));
        let task = task(&architecture);
        prop_assume!(task != Task::Encoder || !added.starts_with("decoder."));
        weights.insert(&added, &[2], vec![1.0; 2]);
        let error = check(&architecture, &weights, task).unwrap_err();
        let named = matches!(&error, Error::Weights(WeightsError::Unused { tensors, more: 0, .. }) if *tensors == [added.clone()]);
        prop_assert!(named, "{added}: {error}");
    }
}
