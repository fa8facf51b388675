//! The most likely first tokens of an answer, out of three dialects.
//!
//! - `choices[0].logprobs.top_logprobs[0]`, an object from text to logprob: `/v1/completions` of vLLM, SGLang,
//!   llama-cpp-python. Two tokens that read alike share a key, and the server keeps one of them: what is lost counts as not
//!   shown.
//! - `choices[0].logprobs.content[0].top_logprobs`, a list: every `/v1/chat/completions`, and `/v1/completions` of
//!   llama-server.
//! - `logprobs[0].top_logprobs`, a list: Ollama's own interface.

use serde_json::Value;

/// Below this ln P a token was masked rather than unlikely: some servers write −9999 for minus infinity.
const MASKED: f64 = -1000.0;

/// The tokens that a server showed for the first position of its answer.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Shown {
    /// Text, with a space where the token begins with one, and ln P.
    pub(crate) tokens: Vec<(String, f64)>,
}

impl Shown {
    /// Reads an answer; no tokens where it has no logprobs.
    ///
    /// # Errors
    /// In words, where it is not what a server answers to one prompt.
    pub(crate) fn read(answer: &Value) -> Result<Self, String> {
        let own = &answer["logprobs"];
        let list = if own.is_array() {
            &own[0]["top_logprobs"]
        } else {
            if answer["choices"].is_null() && answer.get("done").is_some() {
                return Ok(Self::default()); // Ollama without logprobs
            }
            let choices = answer["choices"].as_array().ok_or("its answer has no `choices`")?;
            let [choice] = choices.as_slice() else {
                return Err(format!("expected one choice, got {}", choices.len()));
            };
            let logprobs = &choice["logprobs"];
            match &logprobs["content"] {
                Value::Array(content) => content.first().map_or(&Value::Null, |first| &first["top_logprobs"]),
                _ => &logprobs["top_logprobs"][0],
            }
        };
        let mut tokens: Vec<(String, f64)> = Vec::new();
        match list {
            Value::Null => {}
            Value::Object(map) => {
                for (text, value) in map {
                    tokens.push((plain(text), number(value)?));
                }
            }
            Value::Array(items) => {
                for item in items {
                    let token = (text(item)?, number(&item["logprob"])?);
                    // Some repeat the token that was drawn.
                    if !tokens.contains(&token) {
                        tokens.push(token);
                    }
                }
            }
            _ => return Err("its `top_logprobs` are neither a list nor an object".to_owned()),
        }
        tokens.retain(|(_, log_p)| *log_p > MASKED);
        let shown = Self { tokens };
        let mass = shown.mass();
        if mass > 1.02 {
            return Err(format!("the probabilities of its top tokens add up to {mass:.3}"));
        }
        Ok(shown)
    }

    /// Probability of all tokens that were shown.
    pub(crate) fn mass(&self) -> f64 {
        self.tokens.iter().map(|(_, log_p)| libm::exp(*log_p)).sum()
    }
}

fn number(value: &Value) -> Result<f64, String> {
    match value.as_f64() {
        Some(log_p) if log_p <= 0.01 => Ok(log_p.min(0.0)),
        _ => Err(format!("expected a logprob of at most 0, got `{value}`")),
    }
}

/// The text of a list's item: its bytes where they are there and whole, else what it calls the token.
fn text(item: &Value) -> Result<String, String> {
    let bytes: Option<Vec<u8>> = item["bytes"].as_array().and_then(|bytes| {
        bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
    });
    if let Some(text) =
        bytes.filter(|bytes| !bytes.is_empty()).and_then(|bytes| String::from_utf8(bytes).ok())
    {
        return Ok(text);
    }
    match &item["token"] {
        Value::String(token) => Ok(plain(token)),
        _ => Err("a top token without `token`".to_owned()),
    }
}

/// With a space for the two marks by which vocabularies write one.
fn plain(token: &str) -> String {
    match token.strip_prefix(['Ġ', '▁']) {
        Some(rest) => format!(" {rest}"),
        None => token.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(answer: &Value) -> Result<Vec<(String, f64)>, String> {
        let mut tokens = Shown::read(answer)?.tokens;
        tokens.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(tokens)
    }

    #[test]
    fn three_dialects_say_the_same() {
        let list = json!([
            { "token": " yes", "logprob": -0.5, "bytes": [32, 121, 101, 115] },
            { "token": "▁no", "logprob": -1.0 },
            { "token": "▁no", "logprob": -1.0, "bytes": null },
        ]);
        let expected = Ok(vec![(" no".to_owned(), -1.0), (" yes".to_owned(), -0.5)]);
        let content = json!({ "content": [{ "token": " yes", "top_logprobs": list }] });
        assert_eq!(read(&json!({ "choices": [{ "logprobs": content }] })), expected);
        assert_eq!(read(&json!({ "done": true, "logprobs": [{ "top_logprobs": list }] })), expected);
        let map = json!({ "top_logprobs": [{ " yes": -0.5, "Ġno": -1, "masked": -9999.0 }] });
        assert_eq!(read(&json!({ "choices": [{ "logprobs": map }] })), expected);
    }

    #[test]
    fn absent_logprobs_are_no_tokens_and_nonsense_is_an_error() {
        for nothing in [
            json!({ "choices": [{ "text": "" }] }),
            json!({ "choices": [{ "logprobs": null }] }),
            json!({ "choices": [{ "logprobs": { "content": [] } }] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": [] } }] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": [null] } }] }),
            json!({ "done": true, "response": "" }),
        ] {
            assert_eq!(read(&nothing), Ok(Vec::new()), "{nothing}");
        }
        for wrong in [
            json!({}),
            json!([1]),
            json!({ "choices": [] }),
            json!({ "choices": [{}, {}] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": ["yes"] } }] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": [{ "yes": null }] } }] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": [{ "yes": 0.7 }] } }] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": [{ "yes": "NaN" }] } }] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": [{ "yes": -0.1, "no": -0.1 }] } }] }),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(text in "[\\[\\]{}\":,a-z0-9.-]{0,60}") {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                let _ = Shown::read(&value);
                let _ = Shown::read(&json!({ "choices": [{ "logprobs": value.clone() }] }));
                let _ = Shown::read(&json!({ "logprobs": [value] }));
            }
        }
    }
}
