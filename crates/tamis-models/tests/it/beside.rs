//! Files beside `tokenizer.json`: what they say counts as it counts for transformers.
//!
//! Expected values are those of `AutoTokenizer.from_pretrained(folder)`, transformers 5.24.0, over the same files.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tamis_models::Result;
use tamis_models::tokenizer::Tokenizer;

/// Letters, the spellings of special tokens in letters, and two of them whole.
const WORDS: [&str; 13] = ["a", "<s>", "</s>", "<unk>", "x", "y", "<", ">", "/", "s", "p", "[", "]"];

/// A token as files write it.
pub(crate) fn token(content: &str) -> Value {
    json!({ "content": content, "lstrip": false, "rstrip": false, "normalized": false, "single_word": false,
        "special": true })
}

/// Its file, with added tokens.
pub(crate) fn tokenizer_json(added: &[(u32, Value)]) -> Value {
    let vocabulary: BTreeMap<&str, usize> = WORDS.iter().enumerate().map(|(id, word)| (*word, id)).collect();
    let added: Vec<Value> = added
        .iter()
        .map(|(id, token)| {
            let mut token = token.clone();
            token["id"] = json!(id);
            token
        })
        .collect();
    let split =
        json!({ "type": "Split", "pattern": { "Regex": "." }, "behavior": "Isolated", "invert": false });
    json!({ "version": "1.0", "added_tokens": added, "pre_tokenizer": split,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>" } })
}

/// A tokenizer of single letters, with added tokens, and files beside it.
pub(crate) fn tokenizer(added: &[(u32, Value)], files: &[(&str, Value)]) -> Result<Tokenizer> {
    let folder = tempfile::tempdir().unwrap();
    let json = tokenizer_json(added);
    for (name, content) in [("tokenizer.json", json)].iter().chain(files) {
        std::fs::write(folder.path().join(name), content.to_string()).unwrap();
    }
    Tokenizer::from_folder(folder.path())
}

fn open(files: &[(&str, Value)]) -> Tokenizer {
    tokenizer(&[(1, token("<s>")), (2, token("</s>"))], files).unwrap()
}

fn named(files: &[(&str, Value)]) -> Vec<(String, String)> {
    open(files).special().named.clone().into_iter().collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, token)| ((*name).to_owned(), (*token).to_owned())).collect()
}

#[test]
fn the_older_file_of_roles_counts_where_the_newer_one_lists_no_tokens() {
    let config = |more: Value| {
        let mut config = json!({ "tokenizer_class": "PreTrainedTokenizerFast" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("tokenizer_config.json", config)
    };
    let map = |of: Value| ("special_tokens_map.json", of);
    let older = map(json!({ "bos_token": "</s>", "eos_token": token("</s>") }));
    assert_eq!(
        named(&[config(json!({ "bos_token": "<s>" })), older.clone()]),
        pairs(&[("bos_token", "</s>"), ("eos_token", "</s>")])
    );
    for listed in [json!({}), json!({ "1": token("<s>"), "2": token("</s>") })] {
        let newer = config(json!({ "bos_token": "<s>", "added_tokens_decoder": listed }));
        assert_eq!(named(&[newer, older.clone()]), pairs(&[("bos_token", "<s>")]));
    }
    assert_eq!(
        named(&[config(json!({ "bos_token": null })), map(json!({ "bos_token": "</s>" }))]),
        pairs(&[("bos_token", "</s>")])
    );
    assert_eq!(
        named(&[config(json!({ "bos_token": "<s>" })), map(json!({ "bos_token": null }))]),
        pairs(&[])
    );
    assert_eq!(named(&[older]), pairs(&[("bos_token", "</s>"), ("eos_token", "</s>")]));
}

#[test]
fn a_class_without_roles_of_its_own_gets_none() {
    for class in ["PreTrainedTokenizerFast", "TokenizersBackend", "PreTrainedTokenizer"] {
        let tokenizer = open(&[("tokenizer_config.json", json!({ "tokenizer_class": class }))]);
        let special = tokenizer.special();
        assert_eq!((&special.named, special.bos, special.eos), (&BTreeMap::new(), None, None), "{class}");
    }
    for class in ["LlamaTokenizer", "LlamaTokenizerFast"] {
        let tokenizer = open(&[("tokenizer_config.json", json!({ "tokenizer_class": class }))]);
        assert_eq!((tokenizer.special().bos, tokenizer.special().eos), (Some(1), Some(2)), "{class}");
    }
}

#[test]
fn a_file_beside_that_is_no_object_is_named() {
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
        for content in [json!([]), json!("no")] {
            let error = tokenizer(&[], &[(name, content)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
