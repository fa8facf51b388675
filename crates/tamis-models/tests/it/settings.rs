//! What a model folder's fingerprint says of its architecture, and settings that no graph computes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use tamis_core::Fingerprint;
use tamis_kernels::Path as NumericPath;
use tamis_models::build::Backend;
use tamis_models::perplexity::{Perplexity, PerplexityOptions, Predictor};
use tamis_models::source::{LoadedModel, open_model, open_tokenizer};

use crate::folders::Folder;
use crate::reference::fixture;

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

fn digest(model: &LoadedModel) -> String {
    model.settings.as_ref().unwrap().digest()
}

/// Stored runs hold these digests: a change of one makes another signal of every stored one.
#[test]
fn digests_of_architectures_are_those_that_runs_hold() {
    let found: BTreeMap<&str, String> =
        FOLDERS.into_iter().map(|name| (name, digest(&Folder::of(name).open().unwrap()))).collect();
    let expected: BTreeMap<String, String> =
        serde_json::from_slice(&std::fs::read(fixture("architectures.json")).unwrap()).unwrap();
    assert_eq!(json!(found), json!(expected));
}

#[test]
fn settings_are_words_of_the_configuration() {
    let model = Folder::of("decoders/gemma3").open().unwrap();
    let settings = model.settings.unwrap();
    for (name, value) in [
        ("model_type", "gemma3"),
        ("rms_norm_eps", "0.000001"),
        ("rope_theta", "1000000"),
        ("rope_factor", "8"),
        ("sliding_window", "10"),
        ("sliding_window_layers", "0 2 of 3"),
        ("sliding_window_rope_theta", "10000"),
        ("tie_word_embeddings", "true"),
    ] {
        assert_eq!(settings.get(name), Some(value), "{name}");
    }
}

/// A field, another value, and the setting that a refusal has to name.
#[test]
fn every_field_that_is_read_is_a_setting() {
    let cases: &[(&str, &str, Value, &str)] = &[
        ("decoders/llama-linear", "hidden_size", json!(16), "hidden_size"),
        ("decoders/llama-linear", "num_hidden_layers", json!(1), "num_hidden_layers"),
        ("decoders/llama-linear", "num_attention_heads", json!(2), "num_attention_heads"),
        ("decoders/llama-linear", "num_key_value_heads", json!(4), "num_key_value_heads"),
        ("decoders/llama-linear", "head_dim", json!(16), "head_dim"),
        ("decoders/llama-linear", "intermediate_size", json!(24), "intermediate_size"),
        ("decoders/llama-linear", "max_position_embeddings", json!(99), "max_position_embeddings"),
        ("decoders/llama-linear", "rms_norm_eps", json!(1e-5), "rms_norm_eps"),
        ("decoders/llama-linear", "tie_word_embeddings", json!(true), "tie_word_embeddings"),
        ("decoders/llama-linear", "attention_bias", json!(true), "attention_bias"),
        ("decoders/llama-linear", "vocab_size", json!(128), "vocab_size"),
        ("decoders/llama-linear", "rope_parameters", json!({ "rope_theta": 5e5 }), "rope_theta"),
        (
            "decoders/llama-linear",
            "rope_parameters",
            json!({ "rope_type": "linear", "factor": 3 }),
            "rope_factor",
        ),
        ("decoders/llama-linear", "model_type", json!("qwen2"), "model_type"),
        ("decoders/mistral", "sliding_window", json!(13), "sliding_window"),
        ("decoders/mistral", "sliding_window", Value::Null, "sliding_window_layers"),
        (
            "decoders/qwen2-window",
            "layer_types",
            json!(["full_attention", "full_attention", "sliding_attention"]),
            "sliding_window_layers",
        ),
        ("decoders/gemma3", "query_pre_attn_scalar", json!(25), "score_scale"),
        ("decoders/gemma3", "hidden_size", json!(64), "embedding_scale"),
        ("t5/v1_0", "num_layers", json!(1), "num_layers"),
        ("t5/v1_0", "num_decoder_layers", json!(1), "num_decoder_layers"),
        ("t5/v1_0", "feed_forward_proj", json!("gated-gelu"), "feed_forward_proj"),
        ("t5/v1_0", "relative_attention_num_buckets", json!(16), "relative_attention_num_buckets"),
        ("t5/v1_0", "relative_attention_max_distance", json!(64), "relative_attention_max_distance"),
        ("t5/v1_0", "layer_norm_epsilon", json!(1e-5), "layer_norm_epsilon"),
        ("t5/v1_0", "tie_word_embeddings", json!(false), "head"),
        ("t5/v1_0", "decoder_start_token_id", json!(3), "decoder_start_token_id"),
        ("t5/v1_0", "n_positions", json!(511), "n_positions"),
        ("t5/v1_0", "num_heads", json!(4), "num_heads"),
        ("t5/v1_0", "d_kv", json!(9), "d_kv"),
        ("t5/v1_0", "d_ff", json!(9), "d_ff"),
        ("t5/v1_0", "d_model", json!(9), "d_model"),
        ("t5/v1_0", "vocab_size", json!(300), "vocab_size"),
    ];
    for (name, field, value, setting) in cases {
        let folder = Folder::of(name);
        let before = folder.open().unwrap().settings.unwrap();
        folder.set(field, value.clone());
        let after = folder.open().unwrap().settings.unwrap();
        let changes = before.changes(&after);
        assert!(changes.iter().any(|change| change.field == *setting), "{name}, {field}: {changes:?}");
    }
    let folder = Folder::of("t5/sentence");
    let before = folder.open().unwrap().settings.unwrap();
    folder.write(
        "2_Dense/config.json",
        json!({ "out_features": 21, "activation_function": "torch.nn.modules.linear.Identity" }).to_string(),
    );
    let after = folder.open().unwrap().settings.unwrap();
    assert_eq!(before.changes(&after)[0].field, "dense_out_features");
}

/// Values of every kind, some of which a field may have.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_u64..300).prop_map(Value::from),
        prop::sample::select(vec![1e-6, 1e-5, 0.5, 1.0, 8.0, 1e4, 5e5, 1e6]).prop_map(Value::from),
        prop::sample::select(vec![
            "silu",
            "gelu_new",
            "relu",
            "gated-gelu",
            "default",
            "linear",
            "llama",
            "qwen2"
        ])
        .prop_map(Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Fields of the file, fields that models have and the file is silent about, and fields that mean nothing.
    #[test]
    fn the_fingerprint_changes_exactly_when_the_parsed_architecture_does(
        which in 0..FOLDERS.len(),
        at in 0_usize..100,
        value in value(),
    ) {
        const MORE: [&str; 14] = [
            "rope_theta", "rope_scaling", "head_dim", "attention_bias", "sliding_window", "use_sliding_window",
            "max_window_layers", "num_key_value_heads", "scale_decoder_outputs", "tie_word_embeddings",
            "pad_token_id", "torch_dtype", "initializer_range", "my_own_note",
        ];
        let folder = Folder::of(FOLDERS[which]);
        let before = folder.open().unwrap();
        let config = folder.json("config.json");
        let fields: Vec<&str> = config.as_object().unwrap().keys().map(String::as_str).chain(MORE).collect();
        folder.set(fields[at % fields.len()], value);
        if let Ok(after) = folder.open() {
            let fingerprint = |model: &LoadedModel| {
                Fingerprint::new("signal", 1).with("model", &model.digest).with_architecture(model.settings.as_ref()).digest()
            };
            prop_assert_eq!(
                before.architecture == after.architecture,
                fingerprint(&before) == fingerprint(&after),
                "{}: {:?} {:?}", fields[at % fields.len()], before.settings, after.settings
            );
        }
    }
}

#[test]
fn fields_that_nothing_reads_change_nothing() {
    for name in FOLDERS {
        let folder = Folder::of(name);
        let before = digest(&folder.open().unwrap());
        for (field, value) in [
            ("transformers_version", json!("99")),
            ("initializer_range", json!(0.7)),
            ("use_cache", json!(false)),
            ("torch_dtype", json!("float16")),
            ("attention_dropout", json!(0.3)),
            ("my_own_note", json!({ "a": [1, 2] })),
            ("architectures", json!(["AnotherName"])),
        ] {
            folder.set(field, value);
        }
        assert_eq!(digest(&folder.open().unwrap()), before, "{name}");
    }
}

#[test]
fn a_gguf_files_own_digest_covers_its_architecture() {
    let path = fixture("gguf_tiny.gguf");
    let model = open_model(path.to_str().unwrap(), std::path::Path::new(""), &|_| ()).unwrap();
    assert_eq!(model.settings, None);
    let reader = Predictor::from_model(model, None, Backend::Native(NumericPath::F32Portable)).unwrap();
    let signal = Perplexity::new(reader, &PerplexityOptions::default()).unwrap();
    let fingerprint = &tamis_core::Signal::info(&signal).fingerprint;
    assert_eq!(fingerprint.get(Fingerprint::ARCHITECTURE), None);
}

#[test]
fn settings_that_no_graph_computes_are_refused_unless_they_mean_nothing() {
    // Field, values that mean nothing, values that are refused.
    let decoders: &[(&str, &[Value], &[Value])] = &[
        ("partial_rotary_factor", &[json!(null), json!(1), json!(1.0)], &[json!(0.5), json!(0.25)]),
        ("rotary_pct", &[json!(1.0)], &[json!(0.25)]),
        ("rope_interleave", &[json!(false)], &[json!(true)]),
        ("no_rope_layers", &[json!([]), json!(null)], &[json!([1, 1, 0])]),
        ("alibi", &[json!(false)], &[json!(true)]),
        ("embedding_multiplier", &[json!(1.0)], &[json!(12.0)]),
        ("residual_multiplier", &[json!(1.0)], &[json!(0.22)]),
        ("logits_scaling", &[json!(1)], &[json!(8.0)]),
        ("logit_scale", &[json!(1.0)], &[json!(0.0625)]),
        ("scale_emb", &[json!(1)], &[json!(12)]),
        ("scale_depth", &[json!(null)], &[json!(1.4)]),
        ("clip_qkv", &[json!(null)], &[json!(8.0)]),
        ("attn_temperature_tuning", &[json!(false), json!(0)], &[json!(true), json!(4)]),
        ("attention_chunk_size", &[json!(null)], &[json!(8192)]),
        ("use_parallel_residual", &[json!(false)], &[json!(true)]),
        ("is_causal", &[json!(true)], &[json!(false)]),
        ("pruned_heads", &[json!({})], &[json!({ "0": [1] })]),
        ("add_cross_attention", &[json!(false)], &[json!(true)]),
        (
            "quantization_config",
            &[json!(null)],
            &[json!({ "quant_method": "fp8" }), json!({ "quant_method": "gptq", "bits": 4 })],
        ),
        ("compression_config", &[json!(null)], &[json!({ "format": "pack-quantized" })]),
        ("quantization", &[json!(null)], &[json!({ "group_size": 64, "bits": 4 })]),
        ("mlp_bias", &[json!(false)], &[json!(true)]),
    ];
    for name in
        ["decoders/llama-linear", "decoders/mistral", "decoders/qwen2", "decoders/qwen3", "decoders/gemma3"]
    {
        let plain = digest(&Folder::of(name).open().unwrap());
        for (field, neutral, other) in decoders {
            for value in *neutral {
                let folder = Folder::of(name);
                assert_eq!(
                    digest(&folder.set(field, value.clone()).open().unwrap()),
                    plain,
                    "{name}, {field}, {value}"
                );
            }
            for value in *other {
                let folder = Folder::of(name);
                let error = folder.set(field, value.clone()).open().unwrap_err();
                assert!(
                    error.to_string().contains(&format!("`{field}`")),
                    "{name}, {field}, {value}: {error}"
                );
                assert!(error.to_string().contains("config.json"), "{error}");
                assert!(error.hint().is_some(), "{error}");
            }
        }
    }
    let cases: &[(&str, &str, Value)] = &[
        ("decoders/llama-linear", "attn_logit_softcapping", json!(50.0)),
        ("decoders/qwen3", "final_logit_softcapping", json!(30.0)),
        ("decoders/qwen2", "use_bidirectional_attention", json!(true)),
        ("decoders/llama-linear", "use_qk_norm", json!(true)),
        ("decoders/mistral", "qk_layernorm", json!(true)),
        ("decoders/llama-linear", "attention_multiplier", json!(0.5)),
        ("decoders/llama-linear", "sliding_window", json!(16)),
        (
            "decoders/llama-linear",
            "layer_types",
            json!(["full_attention", "sliding_attention", "full_attention"]),
        ),
        (
            "decoders/mistral",
            "layer_types",
            json!(["full_attention", "sliding_attention", "sliding_attention"]),
        ),
        ("decoders/qwen2", "layer_types", json!(["full_attention", "full_attention", "sliding_attention"])),
        ("decoders/llama-linear", "rope_scaling", json!({ "rope_type": "linear", "factor": 2.0 })),
        ("decoders/llama-linear", "rope_parameters", json!({ "rope_theta": 1e4, "factor": 2.0 })),
        ("decoders/llama-linear", "rope_parameters", json!({ "partial_rotary_factor": 0.5 })),
        ("t5/v1_1", "dense_act_fn", json!("silu")),
        ("t5/v1_1", "is_gated_act", json!(false)),
        ("t5/v1_0", "dense_act_fn", json!("gelu_new")),
        ("t5/v1_0", "quantization_config", json!({ "quant_method": "bitsandbytes" })),
    ];
    for (name, field, value) in cases {
        let folder = Folder::of(name);
        let error = folder.set(field, value.clone()).open().unwrap_err();
        let named = match *field {
            "rope_parameters" => {
                value.as_object().unwrap().keys().find(|key| key.contains("factor")).unwrap()
            }
            field => field,
        };
        assert!(error.to_string().contains(&format!("`{named}`")), "{name}, {field}: {error}");
    }
    for (name, field, value) in [
        ("decoders/qwen3", "use_qk_norm", json!(true)),
        ("decoders/llama-linear", "sliding_window", json!(160)),
        (
            "decoders/llama-linear",
            "layer_types",
            json!(["full_attention", "full_attention", "full_attention"]),
        ),
        (
            "decoders/mistral",
            "layer_types",
            json!(["sliding_attention", "sliding_attention", "sliding_attention"]),
        ),
        ("decoders/llama-linear", "rope_scaling", json!({ "type": "linear", "factor": 4.0 })),
        ("t5/v1_1", "dense_act_fn", json!("gelu_new")),
        ("t5/v1_1", "is_gated_act", json!(true)),
    ] {
        let folder = Folder::of(name);
        folder.set(field, value).open().unwrap_or_else(|error| panic!("{name}, {field}: {error}"));
    }
}

#[test]
fn the_tokenizer_of_a_model_that_cannot_be_computed_still_counts() {
    let folder = Folder::of("decoders/llama-linear");
    folder.set("partial_rotary_factor", json!(0.5));
    let home = folder.path();
    assert!(open_model(&home, std::path::Path::new(""), &|_| ()).is_err());
    let (tokenizer, source) = open_tokenizer(&home, std::path::Path::new(""), &|_| ()).unwrap();
    assert_eq!((tokenizer.vocab_size(), source), (96, home));
}
