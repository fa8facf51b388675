//! How options stand to those that a stored signal was computed with, without a model to ask.
//!
//! A fingerprint needs the model's digest, so that only the run itself knows for certain whether two sets of options give
//! the same scores. Before it, they are compared as what they are: short names of models as the sources that they stand for,
//! `auto` prompts as the set that is stored for the model, number formats as what the stored numeric path may be, and
//! without what changes no value. Equal options give the same signal; different ones another one, unless they say the same in
//! words that cannot be known to (a path to the packaged model, a limit that is the default).

use std::collections::BTreeMap;

use serde_json::Value;
use tamis_io::run::SignalRecord;

use crate::models::is_server;
use crate::numeric;
use crate::signals::SignalOptions;
use crate::signals::stored_options_of;

/// Field by field what differs, as `field: stored A, asked B`; empty where the same signal is asked for. `None` where the stored
/// signal does not state options that this tamis knows.
pub(crate) fn differences(asked: &SignalOptions, record: &SignalRecord) -> Option<Vec<String>> {
    let mut differences = apart_from_numeric_path(asked, record)?;
    if let (Some(path), Some(dtype)) =
        (record.fingerprint.get("numeric_path"), asked.clone().definition_mut().dtype())
        && let Err(difference) = numeric::follows(path, *dtype)
    {
        differences.push(format!("numeric path: {difference}"));
    }
    Some(differences)
}

/// [`differences`] without those of the path and of the number format, which whoever goes on with a signal takes over.
pub(crate) fn apart_from_numeric_path(asked: &SignalOptions, record: &SignalRecord) -> Option<Vec<String>> {
    let then = stored_options_of(record)?;
    let digest = record.fingerprint.get("model").map_or("", String::as_str);
    let (before, now) = (fields(then, digest), fields(asked.clone(), digest));
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
    options.definition_mut().unify(model_digest);
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
        fields.remove("dtype");
    }
    fields
}
