//! Names of models to opened models: folders, caches, a Hub that is a thread of this test.

use std::path::Path;

use tamis_models::graph::Architecture;
use tamis_models::source::{SourceError, open_model};
use tamis_models::{Error, Result};

use crate::weights::fixture;

/// A Hugging Face folder of the tiny Llama.
pub(crate) fn write_folder(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::copy(fixture("gguf_tiny.safetensors"), folder.join("model.safetensors")).unwrap();
    std::fs::copy(fixture("gguf_tiny_tokenizer.json"), folder.join("tokenizer.json")).unwrap();
    let config = r#"{"model_type": "llama", "vocab_size": 413, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 128, "tie_word_embeddings": true}"#;
    std::fs::write(folder.join("config.json"), config).unwrap();
    let roles = r#"{"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"},
        "chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes"}]}"#;
    std::fs::write(folder.join("tokenizer_config.json"), roles).unwrap();
    std::fs::write(folder.join("README.md"), "---\nlicense: mit\n---\n").unwrap();
}

fn open(name: &str) -> Result<tamis_models::source::LoadedModel> {
    let cache = tempfile::tempdir().unwrap();
    open_model(name, cache.path(), &|_| ())
}

#[test]
fn a_folder_and_its_gguf_twin_are_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    let from_folder = open(folder.path().to_str().unwrap()).unwrap();
    let from_gguf = open(fixture("gguf_tiny.gguf").to_str().unwrap()).unwrap();
    assert_eq!(from_folder.architecture, from_gguf.architecture);
    assert_eq!(from_folder.license, from_gguf.license);
    assert_eq!(from_folder.tokenizer.special().eos, from_gguf.tokenizer.special().eos);
    assert_eq!(from_folder.chat_template.unwrap().source, "yes");
    let text = "It's 2024: <|im_end|>\n";
    assert_eq!(from_folder.tokenizer.encode(text).unwrap(), from_gguf.tokenizer.encode(text).unwrap());
    assert_eq!(
        from_folder.tokenizer.encode_template(text).unwrap(),
        from_gguf.tokenizer.encode_template(text).unwrap()
    );
}

#[test]
fn what_a_folder_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().to_str().unwrap();
    assert!(open(name).unwrap_err().to_string().contains("got neither"));
    write_folder(folder.path());
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let error = open(name).unwrap_err();
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
    assert!(error.hint().is_some());
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    assert!(matches!(open(name), Err(Error::Tokenizer(_))));
    let error = open("/nowhere/model.gguf").unwrap_err();
    assert!(error.to_string().contains("/nowhere/model.gguf"), "{error}");
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    let path = folder.path().join("config.json");
    let config = std::fs::read_to_string(&path).unwrap().replace("413", "412");
    std::fs::write(&path, config).unwrap();
    let error = open(folder.path().to_str().unwrap()).unwrap_err();
    assert!(error.to_string().contains("tokens up to 412, but the model has 412"), "{error}");
}

#[test]
fn an_unknown_name_suggests_the_nearest_one() {
    let error = open("smollm").unwrap_err();
    assert!(matches!(error, Error::Source(SourceError::Unknown { .. })), "{error}");
    assert!(error.hint().unwrap().contains("smollm2"));
}

#[test]
fn pooling_other_than_the_mean_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    let modules = r#"[{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;
    std::fs::write(folder.path().join("modules.json"), modules).unwrap();
    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let open_with = |pooling: &str| {
        std::fs::write(folder.path().join("1_Pooling/config.json"), pooling).unwrap();
        open(folder.path().to_str().unwrap())
    };
    for mean in [
        r#"{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}"#,
        r#"{"pooling_mode": "mean"}"#,
        r#"{"pooling_mode": ["mean"]}"#,
        r#"{"pooling_mode": "mean", "pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}"#,
        r#"{"word_embedding_dimension": 32}"#,
    ] {
        let model = open_with(mean).unwrap_or_else(|error| panic!("{mean}: {error}"));
        assert!(matches!(model.architecture, Architecture::Decoder(_)));
        assert!(!model.sentence.unwrap().normalized);
    }
    for (other, got) in [
        (
            r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#,
            "got pooling_mode_cls_token",
        ),
        (r#"{"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true}"#, "pooling_mode_max_tokens"),
        (r#"{"pooling_mode_mean_tokens": false}"#, "got none"),
        (r#"{"pooling_mode_some_new_way": true}"#, "pooling_mode_some_new_way"),
        (r#"{"pooling_mode_cls_token": 1}"#, "`pooling_mode_cls_token`"),
        (r#"{"pooling_mode": "cls"}"#, r#"got "cls""#),
        (r#"{"pooling_mode": ["mean", "max"]}"#, r#"["mean","max"]"#),
        (r#"{"pooling_mode": null}"#, "got null"),
        // Places that disagree.
        (r#"{"pooling_mode": "cls", "pooling_mode_mean_tokens": true}"#, r#"got "cls""#),
        (r#"{"pooling_mode": "lasttoken", "pooling_mode_mean_tokens": true}"#, "lasttoken"),
        (r#"{"pooling_mode": "mean", "pooling_mode_cls_token": true}"#, "got pooling_mode_cls_token"),
    ] {
        let error = open_with(other).map(drop).unwrap_err().to_string();
        assert!(error.contains(got) && error.contains("1_Pooling/config.json"), "{other}: {error}");
    }
}
