//! `config.json` of a Hugging Face folder, as a graph's configuration.
//!
//! Absent fields have the defaults of `transformers`. A field that would change the computation in a way the graphs do
//! not know is refused rather than ignored.

use std::path::Path;

use serde_json::{Map, Value};

use super::fields::Fields;
use super::{SourceError, not_computed};
use crate::decoders;
use crate::error::{Error, Result};
use crate::graph::{Architecture, BertActivation, BertConfig, T5Activation, T5Config, T5Head};

/// No real configuration is longer.
pub(super) const LARGEST_JSON_BYTES: u64 = 16 << 20;

/// Reads a JSON object from a file of bounded size.
pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>, SourceError> {
    let failed = |source| SourceError::Io { action: "read", path: path.to_owned(), source };
    let bad = |problem: String| SourceError::Configuration { path: path.to_owned(), problem };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST_JSON_BYTES {
        return Err(bad(format!("expected at most {LARGEST_JSON_BYTES} bytes, got {size}")));
    }
    match serde_json::from_slice(&std::fs::read(path).map_err(failed)?) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(bad("expected a JSON object".to_owned())),
        Err(error) => Err(bad(format!("not JSON: {error}"))),
    }
}

/// Reads the configuration of a folder, and refuses what it says and no graph computes.
pub(super) fn read(path: &Path) -> Result<Architecture> {
    let object = read_object(path)?;
    let fields = Fields { path, object: &object };
    let architecture = architecture(&fields)?;
    not_computed::refuse(&fields, &architecture)?;
    Ok(architecture)
}

fn architecture(fields: &Fields<'_>) -> Result<Architecture> {
    match fields.text("model_type")? {
        Some("bert") => {
            let config = bert(fields)?;
            config.validate().map_err(|error| error.of_file(fields.path()))?;
            Ok(Architecture::Bert(config))
        }
        Some("t5") => {
            let config = t5(fields)?;
            config.validate().map_err(|error| error.of_file(fields.path()))?;
            Ok(Architecture::T5(config))
        }
        other => {
            if let Some(family) = other.and_then(decoders::of_model_type) {
                let config = (family.from_json)(fields)?;
                config.validate().map_err(|error| error.of_file(fields.path()))?;
                return Ok(Architecture::Decoder(config));
            }
            let known = decoders::model_types().chain(["bert", "t5"]).collect::<Vec<_>>().join(", ");
            let (file, got) = (fields.path().display().to_string(), other.unwrap_or("nothing").to_owned());
            Err(Error::UnknownArchitecture { file, got, known })
        }
    }
}

fn bert(fields: &Fields<'_>) -> Result<BertConfig> {
    fields.only("position_embedding_type", &["absolute"], "absolute")?;
    if fields.flag("is_decoder")? {
        return Err(fields.wrong("is_decoder", "false", "true"));
    }
    let activation = match fields.only("hidden_act", &["gelu", "gelu_new", "gelu_pytorch_tanh"], "gelu")? {
        "gelu" => BertActivation::GeluErf,
        _ => BertActivation::GeluTanh,
    };
    Ok(BertConfig {
        vocabulary: fields.needed_size("vocab_size")?,
        hidden: fields.needed_size("hidden_size")?,
        layers: fields.needed_size("num_hidden_layers")?,
        heads: fields.needed_size("num_attention_heads")?,
        feed_forward: fields.needed_size("intermediate_size")?,
        context: fields.size("max_position_embeddings")?.unwrap_or(512),
        token_types: fields.size("type_vocab_size")?.unwrap_or(2),
        norm_epsilon: fields.number("layer_norm_eps")?.unwrap_or(1e-12),
        activation,
    })
}

fn t5(fields: &Fields<'_>) -> Result<T5Config> {
    let activation = match fields.only("feed_forward_proj", &["relu", "gated-gelu"], "relu")? {
        "relu" => T5Activation::Relu,
        _ => T5Activation::GatedGelu,
    };
    let switch = |name| fields.read(name, "true or false", Value::as_bool);
    // Up to version 4, transformers told v1.0 from v1.1 by `tie_word_embeddings`; version 5 says whether states are scaled,
    // and ties where `lm_head.weight` is not in the file.
    let head = match (switch("scale_decoder_outputs")?, switch("tie_word_embeddings")?) {
        (Some(true), _) | (None, None | Some(true)) => T5Head::TiedAndScaled,
        (Some(false), _) => T5Head::UntiedWhereThere,
        (None, Some(false)) => T5Head::Untied,
    };
    let encoder_layers = fields.size("num_layers")?.unwrap_or(6);
    let start = match fields.size("decoder_start_token_id")? {
        Some(start) => start,
        None => fields.size("pad_token_id")?.unwrap_or(0),
    };
    Ok(T5Config {
        vocabulary: fields.size("vocab_size")?.unwrap_or(32_128),
        hidden: fields.needed_size("d_model")?,
        encoder_layers,
        decoder_layers: fields.size("num_decoder_layers")?.unwrap_or(encoder_layers),
        heads: fields.needed_size("num_heads")?,
        head_dim: fields.needed_size("d_kv")?,
        feed_forward: fields.needed_size("d_ff")?,
        activation,
        buckets: fields.size("relative_attention_num_buckets")?.unwrap_or(32),
        max_distance: fields.size("relative_attention_max_distance")?.unwrap_or(128),
        norm_epsilon: fields.number("layer_norm_epsilon")?.unwrap_or(1e-6),
        head,
        start: u32::try_from(start).unwrap_or(u32::MAX),
        context: fields.size("n_positions")?.unwrap_or(512),
        projection: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Head, RopeScaling};

    fn parse(json: &str) -> Result<Architecture> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, json).unwrap();
        read(&path)
    }

    const LLAMA: &str = r#""model_type": "llama", "vocab_size": 32, "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 16"#;

    #[test]
    fn absent_fields_have_the_defaults_of_transformers() {
        let Architecture::Decoder(config) = parse(&format!("{{{LLAMA}}}")).unwrap() else { panic!("llama") };
        assert_eq!((config.kv_heads, config.head_dim, config.context), (2, 4, 2048));
        assert_eq!((config.norm_epsilon, config.rope.theta), (1e-6, 10_000.0));
        assert_eq!(config.head, Head::Untied);
    }

    const T5: &str =
        r#""model_type": "t5", "d_model": 8, "num_layers": 2, "num_heads": 2, "d_kv": 4, "d_ff": 16"#;

    #[test]
    fn heads_of_t5_are_told_apart_in_files_of_every_age() {
        let head = |fields: &str| {
            let Architecture::T5(config) = parse(&format!("{{{T5}{fields}}}")).unwrap() else { panic!("t5") };
            assert_eq!((config.decoder_layers, config.vocabulary, config.context), (2, 32_128, 512));
            config.head
        };
        assert_eq!(head(""), T5Head::TiedAndScaled);
        assert_eq!(head(r#", "tie_word_embeddings": true"#), T5Head::TiedAndScaled);
        assert_eq!(head(r#", "tie_word_embeddings": false"#), T5Head::Untied);
        let newer = r#", "tie_word_embeddings": true, "scale_decoder_outputs""#;
        assert_eq!(head(&format!("{newer}: true")), T5Head::TiedAndScaled);
        assert_eq!(head(&format!("{newer}: false")), T5Head::UntiedWhereThere);
    }

    #[test]
    fn rotary_settings_are_read_in_both_spellings() {
        let old = r#""rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}"#;
        let new = r#""rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}"#;
        let old = parse(&format!("{{{LLAMA}, {old}}}")).unwrap();
        assert_eq!(old, parse(&format!("{{{LLAMA}, {new}}}")).unwrap());
        let Architecture::Decoder(config) = old else { panic!("llama") };
        let Some(RopeScaling::Llama3(scaling)) = config.rope.scaling else { panic!("llama3") };
        assert_eq!(scaling.original_context, 8192);
    }

    #[test]
    fn what_the_graph_does_not_compute_is_refused() {
        for field in [
            r#""hidden_act": "gelu""#,
            r#""mlp_bias": true"#,
            r#""rope_scaling": {"type": "yarn", "factor": 2.0}"#,
            r#""num_attention_heads": 0"#,
            r#""num_attention_heads": -1"#,
            r#""vocab_size": 99999999999999999999"#,
        ] {
            assert!(parse(&format!("{{{LLAMA}, {field}}}")).is_err(), "{field}");
        }
        for field in [
            r#""feed_forward_proj": "gated-silu""#,
            r#""relative_attention_num_buckets": 30"#,
            r#""relative_attention_max_distance": 16"#,
            r#""decoder_start_token_id": 32128"#,
            r#""decoder_start_token_id": 99999999999"#,
            r#""num_decoder_layers": 0"#,
            r#""d_kv": null"#,
        ] {
            assert!(parse(&format!("{{{T5}, {field}}}")).is_err(), "{field}");
        }
        let error = parse(r#"{"model_type": "mamba"}"#).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("gemma3_text") && text.contains("bert, t5, got architecture `mamba`"),
            "{text}"
        );
        assert!(error.hint().unwrap().contains("--model http"), "{error}");
    }

    #[test]
    fn deep_json_is_an_error_and_not_a_crash() {
        assert!(parse(&"[".repeat(1_000_000)).is_err());
        assert!(parse(&format!("{{\"a\":{}", "{\"a\":".repeat(100_000))).is_err());
    }
}
