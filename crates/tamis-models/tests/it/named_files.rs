//! An error about a file of a model folder names that file, and no other.

use serde_json::{Value, json};
use tamis_models::graph::{Task, check};

use crate::folders::Folder;

/// What is said of a folder when it is opened and looked at.
fn problem(folder: &Folder, task: Task) -> String {
    let error = match folder.open() {
        Ok(model) => check(&model.architecture, &*model.weights, task).unwrap_err(),
        Err(error) => error,
    };
    error.to_string()
}

fn write(folder: &Folder, name: &str, content: &str) {
    folder.write(name, content);
}

#[test]
fn a_file_at_fault_is_the_one_that_is_named() {
    // Fixture, file, what it holds, and its name in the message, which is the only one there.
    let cases: &[(&str, &str, &str)] = &[
        ("decoders/qwen3", "config.json", "{"),
        ("decoders/qwen3", "config.json", "[]"),
        ("decoders/qwen3", "tokenizer.json", "{}"),
        ("decoders/qwen3", "tokenizer_config.json", "{"),
        ("decoders/qwen3", "tokenizer_config.json", "[]"),
        ("decoders/qwen3", "special_tokens_map.json", "no"),
        ("decoders/qwen3", "special_tokens_map.json", "[]"),
        ("decoders/qwen3", "added_tokens.json", "[]"),
        ("decoders/qwen3", "added_tokens.json", r#"{"<x>": -1}"#),
        ("decoders/qwen3", "model.safetensors", "no"),
        ("decoders/qwen3", "modules.json", "{}"),
        ("t5/sentence", "1_Pooling/config.json", "[]"),
        ("t5/sentence", "2_Dense/config.json", "{}"),
        ("t5/sentence", "sentence_bert_config.json", "{"),
        ("t5/sentence", "config_sentence_transformers.json", "[]"),
        ("t5/sentence", "2_Dense/model.safetensors", "no"),
    ];
    for (name, file, content) in cases {
        let folder = Folder::of(name);
        write(&folder, file, content);
        let text = problem(&folder, Task::CausalLm);
        assert!(text.contains(&format!("{}/{file}`", folder.path())), "{name}, {file}: {text}");
        assert_eq!(text.matches(&folder.path()).count(), 1, "{text}");
    }
    let folder = Folder::of("decoders/qwen3");
    folder.write("chat_template.jinja", [0xff_u8, 0xfe]);
    assert!(problem(&folder, Task::CausalLm).contains("chat_template.jinja"));
}

#[test]
fn sizes_that_do_not_fit_together_are_said_of_the_file_that_states_them() {
    for (name, field, value) in [
        ("decoders/qwen3", "num_attention_heads", json!(3)),
        ("decoders/qwen3", "rms_norm_eps", json!(0.0)),
        ("t5/v1_0", "relative_attention_num_buckets", json!(30)),
        ("t5/v1_0", "d_ff", json!(0)),
    ] {
        let folder = Folder::of(name);
        let text = problem(folder.set(field, value), Task::CausalLm);
        assert!(text.contains(&format!("{}/config.json`: `{field}`", folder.path())), "{text}");
    }
    let folder = Folder::of("t5/sentence");
    let mut dense: Value = folder.json("2_Dense/config.json");
    dense["out_features"] = json!(0);
    write(&folder, "2_Dense/config.json", &dense.to_string());
    let text = problem(&folder, Task::Encoder);
    assert!(text.contains("2_Dense/config.json`: `out_features`"), "{text}");
}

#[test]
fn tokens_beyond_the_model_are_said_of_the_tokenizer() {
    let folder = Folder::of("decoders/qwen3");
    let rows = folder.json("config.json")["vocab_size"].as_u64().unwrap();
    let mut tokenizer = folder.json("tokenizer.json");
    tokenizer["model"]["vocab"]["another"] = json!(rows);
    write(&folder, "tokenizer.json", &tokenizer.to_string());
    let text = problem(&folder, Task::CausalLm);
    assert!(text.contains("/tokenizer.json`") && text.contains("tokens up to"), "{text}");
}

/// It was said of the first file by name, whatever that holds.
#[test]
fn a_tensor_that_no_file_has_is_said_of_their_folder() {
    let folder = Folder::of("t5/sentence");
    let mut tensors = folder.tensors();
    tensors.retain(|name, _| !name.contains("final_layer_norm"));
    folder.put(&tensors);
    let text = problem(&folder, Task::Encoder);
    assert!(text.starts_with(&format!("weights `{}`: tensor", folder.path())), "{text}");
    let folder = Folder::of("decoders/qwen3");
    let mut tensors = folder.tensors();
    tensors.remove("model.norm.weight");
    folder.put(&tensors);
    let text = problem(&folder, Task::CausalLm);
    assert!(text.starts_with(&format!("weights `{}/model.safetensors`: tensor", folder.path())), "{text}");
}
