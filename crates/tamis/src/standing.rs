//! How options stand to those that a stored signal was computed with, without a model to ask.
//!
//! A fingerprint needs the model's digest, so that only the run itself knows for certain whether two sets of options give
//! the same scores. Before it, they are compared as what they are: short names of models as the sources that they stand for,
//! `auto` prompts as the set that is stored for the model, number formats as the numeric path that this machine has, and
//! without what changes no value. Equal options give the same signal; different ones another one, unless they say the same in
//! words that cannot be known to (a path to the packaged model, a limit that is the default).

use std::collections::BTreeMap;

use serde_json::Value;
use tamis_io::run::SignalRecord;
use tamis_kernels::Path as NumericPath;
use tamis_models::prompt::builtin;
use tamis_models::source::KNOWN_MODELS;

use crate::models;
use crate::options::{Device, Dtype, Engine, ServerOptions, SignalOptions};
use crate::servers::is_server;
use crate::signals::stored_options_of;

/// In place of `dtype`, where a model is computed with kernels of this machine.
const NUMERIC_PATH: &str = "numeric path";

/// Field by field what differs, as `field: stored A, asked B`; empty where the same signal is asked for. `None` where the stored
/// signal does not state options that this tamis knows.
pub(crate) fn differences(asked: &SignalOptions, record: &SignalRecord) -> Option<Vec<String>> {
    let then = stored_options_of(record)?;
    let digest = record.fingerprint.get("model").map_or("", String::as_str);
    let (mut before, now) = (fields(then, digest), fields(asked.clone(), digest));
    // The path that was taken says more than the format that was asked for.
    if let (Some(path), Some(_)) = (record.fingerprint.get("numeric_path"), now.get(NUMERIC_PATH)) {
        before.remove("dtype");
        before.insert(NUMERIC_PATH.to_owned(), Value::String(path.clone()));
    }
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    };
    let differs = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
    Some(
        differs
            .map(|name| format!("{name}: stored {}, asked {}", text(before.get(name)), text(now.get(name))))
            .collect(),
    )
}

/// Options as fields that decide values, those of a server among the others.
fn fields(mut options: SignalOptions, model_digest: &str) -> BTreeMap<String, Value> {
    let mut path = None;
    match &mut options {
        SignalOptions::AskLlm(ask) => {
            if ask.prompts == ["auto"] {
                let prompts = builtin::for_model(model_digest).unwrap_or(builtin::PAPER);
                ask.prompts = vec![prompts.to_owned()];
            }
            path = named_path(&ask.model, ask.dtype, ask.engine, ask.device);
            ask.model = source(&ask.model);
            ask.server = deciding(&ask.model, &ask.server);
        }
        SignalOptions::Embed(embed) => {
            path = named_path(&embed.model, embed.dtype, embed.engine, embed.device);
            embed.model = source(&embed.model);
            embed.server = deciding(&embed.model, &embed.server);
        }
        SignalOptions::Perplexity(perplexity) => {
            let model = perplexity.model.take();
            let model = model.unwrap_or_else(|| models::DEFAULT_JUDGE.to_owned());
            path = named_path(&model, perplexity.dtype, perplexity.engine, perplexity.device);
            perplexity.model = Some(source(&model));
        }
        SignalOptions::Tokens { tokenizer } => *tokenizer = source(tokenizer),
        SignalOptions::Density(_)
        | SignalOptions::Ngram(_)
        | SignalOptions::Column { .. }
        | SignalOptions::Counts => {}
    }
    let served = options.server_model().is_some_and(is_server);
    let Ok(Value::Object(object)) = serde_json::to_value(&options) else { return BTreeMap::new() };
    let mut fields = BTreeMap::new();
    for (name, value) in object {
        match value {
            Value::Object(inner) => {
                fields.extend(inner.into_iter().map(|(field, value)| (format!("{name}.{field}"), value)));
            }
            value => drop(fields.insert(name, value)),
        }
    }
    if !served {
        // What is not computed by kernels of this machine is computed in f32.
        fields.remove("dtype");
    }
    if let Some(path) = path {
        fields.insert(NUMERIC_PATH.to_owned(), Value::String(path.to_owned()));
    }
    fields
}

/// The source that a short name stands for.
fn source(model: &str) -> String {
    let known = KNOWN_MODELS.iter().find(|known| known.alias == model);
    known.map_or(model, |known| known.source).to_owned()
}

/// The numeric path of a model that is loaded here, as fingerprints have it.
fn named_path(model: &str, dtype: Dtype, engine: Engine, device: Device) -> Option<&'static str> {
    if is_server(model) { None } else { models::native_path(dtype, engine, device).map(NumericPath::name) }
}

/// What of a server's options changes a value; nothing where the model is loaded here.
fn deciding(model: &str, options: &ServerOptions) -> ServerOptions {
    let default = ServerOptions::default();
    if !is_server(model) {
        return default;
    }
    let ServerOptions { concurrency, timeout_seconds, retries, .. } = default;
    ServerOptions { concurrency, timeout_seconds, retries, ..options.clone() }
}
