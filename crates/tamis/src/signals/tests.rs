//! What is stored of options, and read back by later versions.

use serde_json::{Value, json};

use super::*;
use crate::model_options::Device;

/// What 0.1.0 wrote for the defaults, word for word.
fn written_by_0_1() -> Vec<(SignalOptions, Value)> {
    let embed = json!({
        "model": "minilm", "max_tokens": null, "dtype": "auto", "engine": "native", "store_f32": false
    });
    let mut tagged = embed.clone();
    tagged["signal"] = json!("embed");
    vec![
        (
            SignalOptions::AskLlm(AskOptions::default()),
            json!({
                "signal": "ask-llm", "model": "smollm2", "prompts": ["auto"], "chat": false, "long": "head",
                "max_tokens": null, "dtype": "auto", "engine": "native"
            }),
        ),
        (SignalOptions::Embed(EmbedOptions::default()), tagged),
        (
            // Its projection was Gaussian unless another one was named, and was written.
            SignalOptions::Density(DensityOptions {
                projection: Some(DensityProjection::Gaussian),
                ..DensityOptions::default()
            }),
            json!({
                "signal": "density", "embed": embed, "repetitions": 1000, "buckets": null, "hashes": null,
                "bandwidth": null, "kernel": "l2", "projection": "gaussian", "literal": false,
                "sketch_memory_bytes": 1_000_000_000, "seed": 0
            }),
        ),
        (
            SignalOptions::Perplexity(PerplexityOptions::default()),
            json!({
                "signal": "perplexity", "name": null, "model": null, "objective": null, "window": null,
                "stride": null, "max_tokens": null, "dtype": "auto", "engine": "native"
            }),
        ),
        (
            SignalOptions::Ngram(NgramOptions::default()),
            json!({ "signal": "ngram", "model": "", "words": null, "tokenizer": null }),
        ),
        (SignalOptions::Counts(CountsOptions {}), json!({ "signal": "counts" })),
        (
            SignalOptions::Tokens(TokensOptions::default()),
            json!({ "signal": "tokens", "tokenizer": "smollm2" }),
        ),
        (
            SignalOptions::Column(ColumnOptions { name: "quality".to_owned() }),
            json!({ "signal": "column", "name": "quality" }),
        ),
    ]
}

/// The object without one of its fields, at any depth, for each of them but the tag.
fn without_each_field(object: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (name, inner) in object.as_object().unwrap().iter().filter(|(name, _)| *name != "signal") {
        let mut shorter = object.clone();
        shorter.as_object_mut().unwrap().remove(name);
        all.push((name.clone(), shorter));
        if inner.is_object() && ["embed", "server"].contains(&name.as_str()) {
            for (inside, shorter) in without_each_field(inner) {
                let mut outer = object.clone();
                outer[name] = shorter;
                all.push((format!("{name}.{inside}"), outer));
            }
        }
    }
    all
}

#[test]
fn options_without_a_field_that_was_added_later_have_its_default() {
    for (options, written) in written_by_0_1() {
        assert_eq!(serde_json::to_value(&options).unwrap(), written);
        // A column is nothing without its name, a projection that was not written is the present default.
        let optional = |(field, _): &(String, Value)| {
            field != "projection" && (field != "name" || written["signal"] != "column")
        };
        for (field, older) in without_each_field(&written).into_iter().filter(optional) {
            let read: SignalOptions =
                serde_json::from_value(older).unwrap_or_else(|error| panic!("without {field}: {error}"));
            assert_eq!(read, options, "without {field}");
        }
    }
    // Those of a server are written only where one is asked.
    let server = ServerOptions { concurrency: 3, ..ServerOptions::default() };
    let asked =
        SignalOptions::AskLlm(AskOptions { server, device: Device::Cuda(1), ..AskOptions::default() });
    let written = serde_json::to_value(&asked).unwrap();
    assert_eq!(serde_json::from_value::<SignalOptions>(written.clone()).unwrap(), asked);
    for (field, older) in without_each_field(&written) {
        assert!(serde_json::from_value::<SignalOptions>(older).is_ok(), "without {field}");
    }
}

#[test]
fn a_field_that_is_not_known_is_never_passed_over() {
    for (_, written) in written_by_0_1() {
        let mut newer = written;
        newer["an_option_of_tomorrow"] = json!(1);
        assert!(serde_json::from_value::<SignalOptions>(newer.clone()).is_err(), "{newer}");
    }
}
