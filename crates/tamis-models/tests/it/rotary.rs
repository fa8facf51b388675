//! Where `config.json` states its rotary positions: in every place that transformers reads, as transformers reads it.
//!
//! The expected bases are those of `AutoConfig.from_pretrained(folder).rope_parameters`, transformers 5.24.0.

use serde_json::{Value, json};
use tamis_models::graph::{Architecture, DecoderConfig, RopeScaling};

use crate::folders::Folder;

const ALIKE: [&str; 4] = ["decoders/llama-linear", "decoders/mistral", "decoders/qwen2", "decoders/qwen3"];
const GEMMA: &str = "decoders/gemma3";

/// A fixture whose rotary settings are these alone.
fn folder(name: &str, settings: &Value) -> Folder {
    let folder = Folder::of(name);
    let mut config = folder.json("config.json");
    let fields = config.as_object_mut().unwrap();
    for field in ["rope_theta", "rope_scaling", "rope_parameters", "rope_local_base_freq"] {
        fields.remove(field);
    }
    fields.extend(settings.as_object().unwrap().clone());
    folder.write("config.json", config.to_string());
    folder
}

fn read(name: &str, settings: &Value) -> DecoderConfig {
    match folder(name, settings).open() {
        Ok(model) => match model.architecture {
            Architecture::Decoder(config) => config,
            other => panic!("{}", other.name()),
        },
        Err(error) => panic!("{name}, {settings}: {error}"),
    }
}

/// What a refusal says, which names the file and what to do.
fn refusal(name: &str, settings: &Value) -> String {
    let Err(error) = folder(name, settings).open() else { panic!("{name}, {settings}: it was read") };
    assert!(error.hint().is_some(), "{error}");
    let text = error.to_string();
    assert!(text.contains("config.json"), "{text}");
    text
}

#[test]
fn a_base_is_read_wherever_it_stands() {
    let linear = |theta: f64| json!({ "rope_type": "linear", "factor": 2.0, "rope_theta": theta });
    let cases = [
        (json!({}), 10_000.0, false),
        (json!({ "rope_theta": 5e5 }), 5e5, false),
        (json!({ "rope_parameters": { "rope_type": "default", "rope_theta": 7e4 } }), 7e4, false),
        (json!({ "rope_theta": 5e5, "rope_parameters": { "rope_type": "default" } }), 5e5, false),
        // What is within goes before what is beside it.
        (json!({ "rope_theta": 5e5, "rope_parameters": { "rope_theta": 7e4 } }), 7e4, false),
        (json!({ "rope_theta": 5e5, "rope_parameters": {}, "rope_scaling": {} }), 5e5, false),
        (json!({ "rope_scaling": linear(7e4) }), 7e4, true),
        (json!({ "rope_scaling": { "type": "default", "rope_theta": 7e4 } }), 7e4, false),
        (json!({ "rope_scaling": { "rope_theta": 7e4 } }), 7e4, false),
        (json!({ "rope_theta": 7e4, "rope_scaling": linear(7e4) }), 7e4, true),
        (json!({ "rope_parameters": linear(7e4), "rope_scaling": {} }), 7e4, true),
        (json!({ "rope_parameters": linear(7e4), "rope_scaling": linear(7e4) }), 7e4, true),
    ];
    for name in ALIKE {
        for (settings, theta, stretched) in &cases {
            let rope = read(name, settings).rope;
            assert_eq!(rope.theta, *theta, "{name}, {settings}");
            let expected = stretched.then_some(RopeScaling::Linear { factor: 2.0 });
            assert_eq!(rope.scaling, expected, "{name}, {settings}");
        }
    }
}

#[test]
fn each_kind_of_layer_has_its_base_wherever_it_stands() {
    let kinds = |global: Value, local: Value| json!({ "full_attention": global, "sliding_attention": local });
    let cases = [
        (json!({}), 1e6, 1e4),
        (json!({ "rope_theta": 5e5, "rope_local_base_freq": 2e4 }), 5e5, 2e4),
        (
            json!({ "rope_parameters": kinds(json!({ "rope_theta": 7e4 }), json!({ "rope_theta": 8e4 })) }),
            7e4,
            8e4,
        ),
        // An object that is silent leaves the field beside it.
        (
            json!({ "rope_theta": 5e5, "rope_local_base_freq": 2e4,
                "rope_parameters": kinds(json!({ "rope_type": "default" }), Value::Null) }),
            5e5,
            2e4,
        ),
        (json!({ "rope_theta": 5e5, "rope_parameters": {} }), 5e5, 1e4),
        (json!({ "rope_scaling": { "rope_type": "default", "rope_theta": 7e4 } }), 7e4, 1e4),
        (
            json!({ "rope_theta": 7e4, "rope_scaling": { "rope_type": "default", "rope_theta": 7e4 } }),
            7e4,
            1e4,
        ),
    ];
    for (settings, global, local) in &cases {
        let config = read(GEMMA, settings);
        assert_eq!((config.rope.theta, config.local.unwrap().rope.theta), (*global, *local), "{settings}");
    }
}

#[test]
fn layouts_that_name_no_one_base_are_refused() {
    let linear = json!({ "rope_type": "linear", "factor": 2.0 });
    let kinds =
        json!({ "full_attention": { "rope_theta": 7e4 }, "sliding_attention": { "rope_theta": 8e4 } });
    // Settings, and what the refusal has to say.
    let cases = [
        (json!({ "rope_parameters": kinds }), vec!["`rope_parameters`", "full_attention"]),
        (json!({ "rope_parameters": { "sliding_attention": {} } }), vec!["sliding_attention"]),
        (json!({ "rope_scaling": kinds }), vec!["`rope_scaling`", "full_attention"]),
        (
            json!({ "rope_theta": 5e5, "rope_scaling": { "rope_theta": 7e4 } }),
            vec!["`rope_scaling`", "500000", "70000"],
        ),
        (
            json!({ "rope_parameters": { "rope_theta": 7e4 }, "rope_scaling": { "rope_theta": 8e4 } }),
            vec!["`rope_parameters`", "70000", "`rope_scaling`", "80000"],
        ),
        // transformers goes by `rope_scaling` alone, and so by its default.
        (
            json!({ "rope_parameters": { "rope_type": "linear", "factor": 2.0, "rope_theta": 7e4 }, "rope_scaling": linear }),
            vec!["70000", "10000"],
        ),
        (json!({ "rope_theta": null }), vec!["`rope_theta`", "null"]),
        (
            json!({ "rope_theta": 5e5, "rope_parameters": { "rope_theta": null } }),
            vec!["`rope_theta`", "null"],
        ),
        (json!({ "rope_parameters": { "rope_theta": "70000" } }), vec!["`rope_theta`"]),
        (
            json!({ "rope_parameters": { "rope_type": "spiral", "rope_theta": 7e4 } }),
            vec!["`rope_type`", "spiral"],
        ),
        (json!({ "rope_parameters": { "partial_rotary_factor": 0.5 } }), vec!["`partial_rotary_factor`"]),
    ];
    for name in ALIKE {
        for (settings, words) in &cases {
            let text = refusal(name, settings);
            assert!(words.iter().all(|word| text.contains(word)), "{name}, {settings}: {text}");
        }
    }
    let full = json!({ "full_attention": { "rope_theta": 7e4 } });
    let both = |beside: Value| {
        let mut all = full.clone();
        all.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
        json!({ "rope_parameters": all })
    };
    for (settings, word) in [
        (both(json!({ "rope_theta": 8e4 })), "beside"),
        (both(linear.clone()), "beside"),
        (json!({ "rope_parameters": { "rope_type": "default", "rope_theta": 7e4 } }), "beside"),
        (json!({ "rope_parameters": full, "rope_scaling": linear }), "`rope_scaling`"),
        (json!({ "rope_parameters": full, "rope_scaling": { "rope_theta": 8e4 } }), "80000"),
        (json!({ "rope_theta": 5e5, "rope_scaling": { "rope_theta": 8e4 } }), "500000"),
        (json!({ "rope_parameters": { "sliding_attention": { "rope_theta": null } } }), "null"),
        (
            json!({ "rope_parameters": { "sliding_attention": { "partial_rotary_factor": 0.5 } } }),
            "`partial_rotary_factor`",
        ),
    ] {
        let text = refusal(GEMMA, &settings);
        assert!(text.contains(word), "{settings}: {text}");
    }
    // Beside the objects, what they say already.
    assert_eq!(read(GEMMA, &both(json!({ "rope_type": "default", "rope_theta": 7e4 }))).rope.theta, 7e4);
}
