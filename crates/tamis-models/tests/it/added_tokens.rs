//! Tokens that files beside `tokenizer.json` add: the same as transformers has then, or a refusal that names the token.
//!
//! Expected numbers are those of `AutoTokenizer.from_pretrained(folder)`, transformers 5.24.0, over the same files.

use serde_json::{Value, json};

use crate::beside::{token, tokenizer};

const TEXT: &str = "a <x> a<y>a </s><s>";
/// Added tokens of `tokenizer.json`, files beside it, the tokens of the text.
type Case<'a> = (&'a [(u32, Value)], Vec<(&'static str, Value)>, Vec<u32>);

/// Without any added token.
const PLAIN: [u32; 19] = [0, 3, 6, 4, 7, 3, 0, 6, 5, 7, 0, 3, 6, 8, 9, 7, 6, 9, 7];

fn config(more: &Value) -> (&'static str, Value) {
    let mut config = json!({ "tokenizer_class": "PreTrainedTokenizerFast" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ("tokenizer_config.json", config)
}

fn with(mut token: Value, flag: &str, value: bool) -> Value {
    token[flag] = json!(value);
    token
}

/// Tokens of the text as a template, which knows special tokens.
fn ids(added: &[(u32, Value)], files: &[(&str, Value)]) -> Vec<u32> {
    tokenizer(added, files).unwrap().encode_template(TEXT).unwrap()
}

/// The tokens with `<x>` found as `number`, where it takes the space before it or not.
fn with_x(number: u32, strips: bool) -> Vec<u32> {
    let before: &[u32] = if strips { &[0] } else { &[0, 3] };
    [before, &[number], &PLAIN[5..]].concat()
}

#[test]
fn tokens_that_files_beside_add_are_found_in_text() {
    let x = token("<x>");
    assert_eq!(ids(&[], &[config(&json!({}))]), PLAIN);
    let cases: &[Case<'_>] = &[
        (&[], vec![config(&json!({ "added_tokens_decoder": { "13": x } }))], with_x(13, false)),
        // Of the vocabulary, and not known as a whole.
        (
            &[],
            vec![config(&json!({ "added_tokens_decoder": { "1": token("<s>") } }))],
            [&PLAIN[..16], &[1]].concat(),
        ),
        (&[], vec![config(&json!({ "bos_token": "<s>" }))], [&PLAIN[..16], &[1]].concat()),
        // Known, and otherwise.
        (
            &[(13, x.clone())],
            vec![config(&json!({ "added_tokens_decoder": { "13": with(x.clone(), "lstrip", true) } }))],
            with_x(13, true),
        ),
        // Numbers decide the order, not spellings.
        (
            &[],
            vec![config(&json!({ "added_tokens_decoder": { "14": x, "13": token("<y>") } }))],
            [&[0, 3, 14, 3, 0, 13][..], &PLAIN[10..]].concat(),
        ),
        (&[], vec![config(&json!({ "extra_special_tokens": ["<x>"] }))], with_x(13, false)),
        (&[], vec![config(&json!({ "additional_special_tokens": ["<x>"] }))], with_x(13, false)),
        (
            &[],
            vec![config(&json!({ "additional_special_tokens": ["<x>"], "extra_special_tokens": [] }))],
            with_x(13, false),
        ),
        (
            &[],
            vec![config(&json!({ "additional_special_tokens": ["<x>"], "extra_special_tokens": ["<y>"] }))],
            [&PLAIN[..7], &[13], &PLAIN[10..]].concat(),
        ),
        (
            &[],
            vec![
                config(&json!({})),
                ("special_tokens_map.json", json!({ "additional_special_tokens": ["<x>"] })),
            ],
            with_x(13, false),
        ),
        (
            &[],
            vec![config(&json!({})), ("special_tokens_map.json", json!({ "extra_special_tokens": ["<x>"] }))],
            with_x(13, false),
        ),
        (
            &[],
            vec![
                config(&json!({ "added_tokens_decoder": {} })),
                ("special_tokens_map.json", json!({ "extra_special_tokens": ["<x>"] })),
            ],
            PLAIN.to_vec(),
        ),
        (&[], vec![config(&json!({})), ("added_tokens.json", json!({ "<x>": 13 }))], with_x(13, false)),
        (
            &[],
            vec![config(&json!({ "added_tokens_decoder": {} })), ("added_tokens.json", json!({ "<x>": 13 }))],
            PLAIN.to_vec(),
        ),
    ];
    for (added, files, expected) in cases {
        assert_eq!(ids(added, files), *expected, "{files:?}");
    }
}

#[test]
fn a_document_cannot_spell_what_a_file_beside_makes_special() {
    let open = |config| tokenizer(&[], &[config]).unwrap();
    for special in [
        open(config(&json!({ "added_tokens_decoder": { "13": token("<x>") } }))),
        open(config(&json!({ "extra_special_tokens": ["<x>"] }))),
    ] {
        assert_eq!(special.encode(TEXT).unwrap(), PLAIN);
    }
    let plain = with(token("<x>"), "special", false);
    let tokenizer = open(config(&json!({ "added_tokens_decoder": { "13": plain } })));
    assert_eq!(tokenizer.encode(TEXT).unwrap(), with_x(13, false));
}

#[test]
fn a_role_of_this_model_alone_is_known_to_its_templates() {
    let files = [config(&json!({ "extra_special_tokens": { "image_token": "<s>" } }))];
    let tokenizer = tokenizer(&[], &files).unwrap();
    assert_eq!(tokenizer.special().named["image_token"], "<s>");
    assert_eq!(tokenizer.encode_template("<s>").unwrap(), [1]);
}

#[test]
fn a_number_that_a_token_cannot_have_is_refused() {
    for (files, token) in [
        (vec![config(&json!({ "added_tokens_decoder": { "40": token("<x>") } }))], "<x>"),
        (vec![config(&json!({ "added_tokens_decoder": { "2": token("<s>") } }))], "<s>"),
        (vec![("added_tokens.json", json!({ "<x>": 12 }))], "<x>"),
    ] {
        let error = tokenizer(&[], &files).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(files[0].0) && text.contains(&format!("token `{token}`")), "{text}");
        assert!(error.hint().is_some());
    }
    for wrong in
        [json!([]), json!(null), json!({ "x": token("<x>") }), json!({ "13": "<x>" }), json!({ "13": {} })]
    {
        let error = tokenizer(&[], &[config(&json!({ "added_tokens_decoder": wrong }))]).unwrap_err();
        assert!(error.to_string().contains("tokenizer_config.json"), "{error}");
    }
    let error = tokenizer(&[], &[config(&json!({ "extra_special_tokens": "<x>" }))]).unwrap_err();
    assert!(error.to_string().contains("`extra_special_tokens`"), "{error}");
}

/// Digests are in stored fingerprints: those of tokenizers that were read rightly stay, others change.
#[test]
fn a_digest_tells_of_added_tokens_that_were_not_read_before() {
    let x = token("<x>");
    let digest = |added: &[(u32, Value)], config: &Value| {
        let tokenizer = tokenizer(added, &[("tokenizer_config.json", config.clone())]).unwrap();
        tokenizer.digest().to_owned()
    };
    let plain = |added: &[(u32, Value)], config: &Value| {
        let json = crate::beside::tokenizer_json(added).to_string();
        let parts = [json.as_bytes(), config.to_string().as_bytes()]
            .map(|part| [&(part.len() as u64).to_le_bytes(), part].concat());
        format!("xxh3:{:032x}", xxhash_rust::xxh3::xxh3_128(&parts.concat()))
    };
    let known = [(13, x.clone())];
    let same =
        json!({ "added_tokens_decoder": { "13": x }, "extra_special_tokens": ["<x>"], "pad_token": "<pad>" });
    assert_eq!(digest(&known, &same), plain(&known, &same));
    // Nothing is normalised here.
    let as_good = json!({ "added_tokens_decoder": { "13": with(x.clone(), "normalized", true) } });
    assert_eq!(digest(&known, &as_good), plain(&known, &as_good));
    assert_ne!(digest(&[], &same), plain(&[], &same));
    let other = json!({ "added_tokens_decoder": { "13": with(x, "rstrip", true) } });
    assert_ne!(digest(&known, &other), plain(&known, &other));
}
