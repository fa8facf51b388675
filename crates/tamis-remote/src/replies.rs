//! What servers write, whatever their dialect.

use serde_json::Value;

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
