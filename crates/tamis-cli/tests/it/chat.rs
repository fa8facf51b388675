//! Judges that are asked in their own chat template.

use crate::world::{World, fixture};

/// A corpus, a prompt file, and the tiny Llama with a chat template and roles of special tokens.
fn world(tokenizer_config: &str) -> World {
    let world = World::with_corpus();
    world.write("good.txt", "{document}\nGood?\n");
    world.write("judge/model.safetensors", std::fs::read(fixture("gguf_tiny.safetensors")).unwrap());
    world.write("judge/tokenizer.json", std::fs::read(fixture("gguf_tiny_tokenizer.json")).unwrap());
    world.write(
        "judge/config.json",
        r#"{"model_type": "llama", "vocab_size": 413, "hidden_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64, "rms_norm_eps": 1e-5,
            "max_position_embeddings": 256, "tie_word_embeddings": true}"#,
    );
    world.write("judge/tokenizer_config.json", tokenizer_config);
    world
}

const ASK: &str = "score ask-llm corpus --run run --model judge --prompt good.txt --chat";

#[test]
fn the_end_of_a_turn_is_the_token_that_the_files_name_though_nothing_appends_it() {
    let world = world(
        r#"{"bos_token": null, "eos_token": {"__type": "AddedToken", "content": "<|im_end|>"},
            "chat_template": "{{ bos_token }}<|user|>\n{{ messages[0].content + eos_token }}\n<|assistant|>\n{% if enable_thinking is false %}now: {% endif %}"}"#,
    );
    let shown = world.ok(&format!("{ASK} --show-prompt")).stdout;
    assert!(shown.contains("<|user|>\n"), "{shown}");
    assert!(shown.contains("\nGood?<|im_end|>\n<|assistant|>\nnow: "), "{shown}");
    assert!(!world.exists("run"));
}

#[test]
fn a_judge_that_is_asked_within_a_thought_is_told_at_the_start_and_one_that_does_not_answer_early() {
    let world = world(
        r#"{"eos_token": "<|im_end|>",
            "chat_template": "<|user|>{{ messages[0].content }}<|assistant|><think>\n"}"#,
    );
    let run =
        world.says(ASK, 0, &["`good` as `judge` renders it ends in an open `<think>`", "without --chat"]);
    let said = |what: &str| run.stderr.find(what).unwrap_or_else(|| panic!("`{what}` in {}", run.stderr));
    let (opened, early) = (said("open `<think>`"), said("after the first "));
    assert!(opened < early, "{}", run.stderr);
    assert_eq!(run.stderr.matches("the judge puts only").count(), 2, "early and at the end: {}", run.stderr);
    let raw = world.ok(&format!("{ASK} --beside").replace("--chat", ""));
    assert!(!raw.stderr.contains("open `<think>`"), "{}", raw.stderr);
}

#[test]
fn a_template_that_rewrites_the_message_is_refused_with_a_remedy_that_works() {
    let world = world(r#"{"chat_template": "{{ messages[0].content | tojson }}"}"#);
    world.refuses(ASK, 1, &["expected the message once and unchanged"]);
    world.ok(&ASK.replace("--chat", ""));
}
