//! The most likely first tokens of an answer, out of three dialects.
//!
//! - `choices[0].logprobs.top_logprobs[0]`, an object from text to logprob: `/v1/completions` of vLLM, SGLang,
//!   llama-cpp-python. Two tokens that read alike share a key, and the server keeps one of them: what is lost counts as not
//!   shown.
//! - `choices[0].logprobs.content[0].top_logprobs`, a list: every `/v1/chat/completions`, and `/v1/completions` of
//!   llama-server.
//! - `logprobs[0].top_logprobs`, a list: Ollama's own interface.
//!
//! A masked token (guided decoding, a ban) has the probability 0, and servers have many ways to write its logarithm: null
//! (orjson, nlohmann), `-Infinity` (Python's json), the smallest 32-bit float (llama-server), −9999 (vLLM). It counts as not
//! shown, and its row is none the worse. Where nothing but null is left, nobody knows what was meant: an error, as NaN is.

use serde_json::Value;

/// Below this ln P a token was masked rather than unlikely: some servers write −9999 for minus infinity.
const MASKED: f64 = -1000.0;

/// Most characters of a token that is named to a person.
const LONGEST_NAMED: usize = 24;

/// ln P of a token.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LogP {
    /// At most 0.
    Of(f64),
    /// Probability 0.
    Masked,
}

/// The tokens that a server showed for the first position of its answer.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Shown {
    /// Text, with a space where the token begins with one, and ln P.
    pub(crate) tokens: Vec<(String, f64)>,
    /// Number of tokens that it listed, masked ones included.
    pub(crate) listed: usize,
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
        let mut listed = 0;
        match list {
            Value::Null => {}
            Value::Object(map) => {
                listed = map.len();
                for (text, value) in map {
                    if let LogP::Of(log_p) = log_p(value)? {
                        tokens.push((plain(text), log_p));
                    }
                }
            }
            Value::Array(items) => {
                let mut before = Vec::with_capacity(items.len());
                for item in items {
                    // Some repeat the token that was drawn; two tokens that read alike have numbers or bytes of their own.
                    let identity = (&item["id"], &item["token"], &item["logprob"]);
                    if before.contains(&identity) {
                        continue;
                    }
                    before.push(identity);
                    let value = item.get("logprob").ok_or("a top token without `logprob`")?;
                    if let LogP::Of(log_p) = log_p(value)? {
                        tokens.push((text(item)?, log_p));
                    }
                }
                listed = before.len();
            }
            _ => return Err("its `top_logprobs` are neither a list nor an object".to_owned()),
        }
        if tokens.is_empty() && listed > 0 {
            return Err(format!("none of the {listed} tokens that it shows has a logprob"));
        }
        let shown = Self { tokens, listed };
        let mass = shown.mass();
        if mass > 1.02 {
            return Err(format!("the probabilities of its top tokens add up to {mass:.3}"));
        }
        Ok(shown)
    }

    /// The most likely tokens, for people: what cannot be printed is escaped.
    pub(crate) fn describe(&self, most: usize) -> String {
        let mut tokens: Vec<&(String, f64)> = self.tokens.iter().collect();
        tokens.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let listed = tokens.iter().take(most).map(|(text, log_p)| {
            let text: String = text.chars().take(LONGEST_NAMED).flat_map(printable).collect();
            format!("`{text}` {:.2e}", libm::exp(*log_p))
        });
        listed.collect::<Vec<_>>().join(", ")
    }

    /// Whether one of the few most likely tokens opens a thought: `<think>` of Qwen3 and R1, `<|channel|>` of gpt-oss,
    /// `[THINK]` of Magistral.
    pub(crate) fn begins_a_thought(&self) -> bool {
        let mut tokens: Vec<&(String, f64)> = self.tokens.iter().collect();
        tokens.sort_by(|a, b| b.1.total_cmp(&a.1));
        tokens.iter().take(3).any(|(text, _)| {
            let text = text.to_lowercase();
            ["think", "<|channel|>", "thought", "<reason"].iter().any(|mark| text.contains(mark))
        })
    }

    /// Probability of all tokens that were shown.
    pub(crate) fn mass(&self) -> f64 {
        self.tokens.iter().map(|(_, log_p)| libm::exp(*log_p)).sum()
    }
}

/// The character, or its escape where it would not be seen or would rule a terminal.
fn printable(c: char) -> Vec<char> {
    if matches!(c, '\'' | '"') { vec![c] } else { c.escape_debug().collect() }
}

fn log_p(value: &Value) -> Result<LogP, String> {
    match value {
        Value::Null => return Ok(LogP::Masked),
        Value::String(text) if matches!(text.as_str(), "-Infinity" | "-infinity" | "-Inf" | "-inf") => {
            return Ok(LogP::Masked);
        }
        _ => {}
    }
    match value.as_f64() {
        Some(log_p) if log_p <= MASKED => Ok(LogP::Masked),
        // Sums of 32-bit floats may lie a little above 0.
        Some(log_p) if log_p <= 0.01 => Ok(LogP::Of(log_p.min(0.0))),
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
            json!({ "choices": [{ "logprobs": { "top_logprobs": [{ "yes": -9999.0 }] } }] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": [{ "yes": "Infinity", "no": -1.0 }] } }] }),
            json!({ "done": true, "logprobs": [{ "top_logprobs": [{ "token": "yes" }] }] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": [{ "yes": 0.7 }] } }] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": [{ "yes": "NaN" }] } }] }),
            json!({ "choices": [{ "logprobs": { "top_logprobs": [{ "yes": -0.1, "no": -0.1 }] } }] }),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn masked_tokens_are_not_shown_and_others_stay_what_they_are() {
        let expected = Ok(vec![(" no".to_owned(), -1.5), (" yes".to_owned(), -0.25)]);
        let lowest = f64::from(f32::MIN);
        for masked in
            [json!(null), json!("-Infinity"), json!("-inf"), json!(-9999.0), json!(lowest), json!(-1e300)]
        {
            let map = json!({ " yes": -0.25, " no": -1.5, " maybe": masked });
            assert_eq!(
                read(&json!({ "choices": [{ "logprobs": { "top_logprobs": [map] } }] })),
                expected,
                "{masked}"
            );
            let list = json!([
                { "token": " maybe", "logprob": masked }, { "token": " yes", "logprob": -0.25 }, { "token": " no", "logprob": -1.5 },
            ]);
            let content = json!({ "content": [{ "token": " yes", "top_logprobs": list }] });
            assert_eq!(read(&json!({ "choices": [{ "logprobs": content }] })), expected, "{masked}");
            assert_eq!(
                read(&json!({ "done": true, "logprobs": [{ "top_logprobs": list }] })),
                expected,
                "{masked}"
            );
        }
        for wrong in [json!("NaN"), json!("nan"), json!("Infinity"), json!(0.5), json!(true), json!([])] {
            let map = json!({ " yes": -0.25, " no": -1.5, " maybe": wrong });
            assert!(
                read(&json!({ "choices": [{ "logprobs": { "top_logprobs": [map] } }] })).is_err(),
                "{wrong}"
            );
        }
        // A sum of 32-bit floats.
        let map = json!({ " yes": 1.19e-7, " no": -17.0 });
        let shown = read(&json!({ "choices": [{ "logprobs": { "top_logprobs": [map] } }] })).unwrap();
        assert_eq!(shown[1], (" yes".to_owned(), 0.0));
    }

    #[test]
    fn tokens_of_a_list_that_read_alike_are_added_and_a_repeated_one_is_not() {
        let list = json!([
            { "id": 7, "token": "yes", "logprob": -1.0 },
            { "id": 9, "token": "yes", "logprob": -1.0 },
            { "id": 7, "token": "yes", "logprob": -1.0 },
        ]);
        let content = json!({ "content": [{ "token": "yes", "top_logprobs": list }] });
        let shown = Shown::read(&json!({ "choices": [{ "logprobs": content }] })).unwrap();
        assert_eq!((shown.tokens.len(), shown.listed), (2, 2));
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
