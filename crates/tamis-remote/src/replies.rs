//! What servers write, whatever their dialect.

use serde_json::Value;

/// Parses an answer. Python's own encoder writes minus infinity as `-Infinity`, which is no JSON: it is read as that string,
/// and whoever takes numbers decides. Its `NaN` and `Infinity` stay an error.
pub(crate) fn parse(body: &[u8]) -> Result<Value, serde_json::Error> {
    const BARE: &[u8] = b"-Infinity";
    serde_json::from_slice(body).or_else(|error| {
        if !body.windows(BARE.len()).any(|window| window == BARE) {
            return Err(error);
        }
        let mut quoted = Vec::with_capacity(body.len() + 64);
        let (mut at, mut in_string) = (0, false);
        while at < body.len() {
            if !in_string && body[at..].starts_with(BARE) {
                quoted.push(b'"');
                quoted.extend_from_slice(BARE);
                quoted.push(b'"');
                at += BARE.len();
                continue;
            }
            match body[at] {
                b'"' => in_string = !in_string,
                b'\\' if in_string && at + 1 < body.len() => {
                    quoted.push(body[at]);
                    at += 1;
                }
                _ => {}
            }
            quoted.push(body[at]);
            at += 1;
        }
        serde_json::from_slice(&quoted)
    })
}

/// Whether the answer begins with a thought that the server keeps apart: vLLM, SGLang and llama-server in
/// `reasoning_content` or `reasoning`, Ollama in `thinking`.
pub(crate) fn thinks(answer: &Value) -> bool {
    let message = &answer["choices"][0]["message"];
    let thoughts = [
        &message["reasoning_content"],
        &message["reasoning"],
        &answer["message"]["thinking"],
        &answer["thinking"],
    ];
    thoughts.into_iter().any(|thought| thought.as_str().is_some_and(|thought| !thought.is_empty()))
}

/// Whether the answer repeats what was sent: its first position is then not that of the answer.
pub(crate) fn echoes(answer: &Value, sent: &str) -> bool {
    let choice = &answer["choices"][0];
    let texts = [&choice["text"], &choice["message"]["content"], &answer["response"]];
    !sent.is_empty()
        && texts
            .into_iter()
            .any(|text| text.as_str().is_some_and(|text| text.trim_start().starts_with(sent.trim_start())))
}

/// The explanation in the body of an error: `error.message`, `error`, `message` or `detail`, else the text itself.
pub(crate) fn error_message(body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let found = parsed.as_ref().and_then(|value| {
        let error = &value["error"];
        [&error["message"], error, &value["message"], &value["detail"]].into_iter().find_map(|found| {
            match found {
                Value::String(text) => Some(text.clone()),
                Value::Array(_) | Value::Object(_) if !std::ptr::eq(found, error) => Some(found.to_string()),
                _ => None,
            }
        })
    });
    found.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

/// Whether the server refused because the input has too many tokens, in the words of vLLM, SGLang, llama.cpp, Ollama, TEI
/// and OpenAI.
pub(crate) fn says_too_long(status: u16, body: &[u8]) -> bool {
    if !matches!(status, 400 | 413 | 422) {
        return false;
    }
    let text = String::from_utf8_lossy(body).to_lowercase();
    [
        "context_length_exceeded",
        "context length",
        "context window",
        "context size",
        "exceed_context_size",
        "is longer than",
        "too long",
        "must have less than",
        "maximum input length",
        "max_input_length",
    ]
    .iter()
    .any(|words| text.contains(words))
        || (status == 413 && !text.contains("batch size"))
}

/// Tokens of the prompt, where the server counts them.
pub(crate) fn prompt_tokens(answer: &Value) -> Option<u32> {
    [&answer["usage"]["prompt_tokens"], &answer["prompt_eval_count"]]
        .into_iter()
        .find_map(Value::as_u64)
        .and_then(|tokens| u32::try_from(tokens).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanations_are_found_in_every_dialect() {
        for (body, message) in [
            (r#"{"error":{"message":"no such model","code":404}}"#, "no such model"),
            (
                r#"{"error":"batch size 64 > maximum allowed batch size 32","error_type":"Validation"}"#,
                "batch size 64 > maximum allowed batch size 32",
            ),
            (r#"{"object":"error","message":"too long","code":400}"#, "too long"),
            (r#"{"detail":[{"msg":"field required"}]}"#, r#"[{"msg":"field required"}]"#),
            ("<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        ] {
            assert_eq!(error_message(body.as_bytes()), message);
        }
        assert_eq!(error_message(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn minus_infinity_is_read_where_it_is_a_value_and_nothing_else_is_mended() {
        let parsed =
            parse(br#"{"a": [-Infinity, -1], "b\\": "-Infinity \" -Infinity", "c":-Infinity}"#).unwrap();
        assert_eq!(
            parsed,
            serde_json::json!({ "a": ["-Infinity", -1], "b\\": "-Infinity \" -Infinity", "c": "-Infinity" })
        );
        for wrong in [
            &b"{\"a\": NaN}"[..],
            b"{\"a\": Infinity}",
            b"{\"a\": [-Infinity, NaN]}",
            b"{\"a\": -Infinity",
            b"-Infinity\"",
        ] {
            assert!(parse(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn length_is_told_from_other_refusals() {
        for body in [
            "This model's maximum context length is 2048 tokens. However, you requested 4000",
            "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
            "the request exceeds the available context size, try increasing it",
            r#"{"error":{"code":"context_length_exceeded"}}"#,
            "the input length exceeds the context length",
            "`inputs` must have less than 512 tokens. Given: 600",
        ] {
            assert!(says_too_long(400, body.as_bytes()), "{body}");
        }
        assert!(says_too_long(413, b""));
        assert!(!says_too_long(422, b"batch size 64 > maximum allowed batch size 32"));
        assert!(!says_too_long(413, b"batch size 64 > maximum allowed batch size 32"));
        assert!(!says_too_long(400, b"logprobs must be at most 5"));
        assert!(!says_too_long(500, b"context length"));
    }
}
