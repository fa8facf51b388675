//! The texts of JSON values.

use serde_json::Value;

/// The strings of a value, at any depth; where columns are named, those below such a key.
pub(super) fn texts<'v>(value: &'v Value, columns: Option<&[String]>, out: &mut Vec<&'v str>) {
    match value {
        Value::String(text) if columns.is_none() => out.push(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, columns, out)),
        Value::Object(object) => {
            for (key, value) in object {
                let is_named = columns.is_some_and(|columns| columns.contains(key));
                texts(value, columns.filter(|_| !is_named), out);
            }
        }
        _ => {}
    }
}

/// The keys of a value, at any depth, as far as there is room.
pub(super) fn keys(value: &Value, most: usize, out: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| keys(value, most, out)),
        Value::Object(object) => {
            for (key, value) in object {
                if out.len() < most && !out.contains(key) {
                    out.push(key.clone());
                }
                keys(value, most, out);
            }
        }
        _ => {}
    }
}

/// The items of a file of one value.
pub(super) fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        Value::Object(object) => {
            let is_list_of_items = |value: &Value| match value {
                Value::Array(values) => !values.is_empty() && values.iter().all(Value::is_object),
                _ => false,
            };
            if !object.values().any(is_list_of_items) {
                return vec![Value::Object(object)];
            }
            // What stands beside the lists is an item too: it may be a passage that all of them are about.
            let (lists, rest): (Vec<_>, Vec<_>) =
                object.into_iter().partition(|(_, value)| is_list_of_items(value));
            let mut items: Vec<Value> = Vec::new();
            let rest = Value::Object(rest.into_iter().collect());
            let mut strings = Vec::new();
            texts(&rest, None, &mut strings);
            if !strings.is_empty() {
                items.push(rest);
            }
            for (_, list) in lists {
                let Value::Array(values) = list else { continue };
                items.extend(values);
            }
            items
        }
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strings_at_any_depth_are_texts_and_keys_are_not() {
        let value = json!({"q": "a", "n": 1, "choices": ["b", {"text": "c", "label": "d"}], "x": null});
        let found = |columns: Option<&[String]>| {
            let mut out = Vec::new();
            texts(&value, columns, &mut out);
            out.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let mut all = found(None);
        all.sort();
        assert_eq!(all, ["a", "b", "c", "d"]);
        assert_eq!(found(Some(&["text".to_owned()])), ["c"]);
        assert_eq!(found(Some(&["choices".to_owned()])).len(), 3);
        assert!(found(Some(&["none".to_owned()])).is_empty());
    }

    #[test]
    fn items_are_elements_of_lists_and_what_stands_beside_them() {
        assert_eq!(items(json!([1, 2])), [json!(1), json!(2)]);
        let file = json!({"canary": "c", "examples": [{"a": "1"}, {"a": "2"}]});
        assert_eq!(items(file), [json!({"canary": "c"}), json!({"a": "1"}), json!({"a": "2"})]);
        assert_eq!(items(json!({"version": 1, "data": [{"a": "1"}]})), [json!({"a": "1"})]);
        assert_eq!(items(json!({"a": ["x"]})), [json!({"a": ["x"]})]);
    }
}
