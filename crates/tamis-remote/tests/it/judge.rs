//! What a judge makes of the answers to its documents.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use serde_json::json;
use tamis_core::{DocumentBatch, Signal, reason as core_reason};
use tamis_models::ask_llm::columns::{P_NO, P_YES, TOKENS, TRUNCATED};
use tamis_models::prompt::Rendering;
use tamis_remote::columns::{BOUNDED, P_NO_AT_MOST, P_UNSEEN};
use tamis_remote::{Error, JudgeOptions, RemoteJudge, ServerOptions, reason};

use crate::stub::{Asked, Reply, Stub, completion, well_behaved};
use crate::{check_nulls, endpoint, floats, impatient, judge, prompts, reasons};

fn annotate(judge: &RemoteJudge, texts: &[&str]) -> arrow_array::RecordBatch {
    let batch = judge.annotate(DocumentBatch::from_texts(texts.iter().copied()).as_arrow()).unwrap();
    check_nulls(&batch);
    batch
}

/// Answers the probe well, and documents that contain `BAD` by `wrong`.
fn wrong_on_bad(wrong: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Stub {
    Stub::start(move |asked| if asked.text().contains("BAD") { wrong(asked) } else { well_behaved(asked) })
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn shown_spellings_are_added_and_hidden_answers_are_bounds() {
    for rendering in [Rendering::Raw, Rendering::Chat] {
        let stub = Stub::start(|asked| {
            let tokens: &[(&str, f64)] = match asked.text() {
                text if text.contains("both") => &[(" yes", 0.6), ("Yes", 0.1), (" no", 0.2), ("x", 0.05)],
                text if text.contains("sure") => &[(" yes", 0.97), ("x", 0.001)],
                text if text.contains("neither") => &[("Well", 0.7), ("x", 0.2)],
                _ => return well_behaved(asked),
            };
            match asked.path.as_str() {
                "/v1/completions" | "/v1/chat/completions" => Reply::Json(200, completion(asked, tokens)),
                _ => well_behaved(asked),
            }
        });
        let options = JudgeOptions { rendering, ..JudgeOptions::default() };
        let judge = judge(&stub.url(), &options).unwrap();
        let batch = annotate(&judge, &["both", "sure", "neither"]);
        assert_eq!(reasons(&batch), [None, None, Some(reason::NO_ANSWER_SHOWN.to_owned())]);
        let (score, yes, no) = (floats(&batch, "score"), floats(&batch, P_YES), floats(&batch, P_NO));
        assert!(close(yes[0].unwrap(), 0.7) && close(no[0].unwrap(), 0.2));
        assert!(close(score[0].unwrap(), (0.7_f64 / 0.2).ln()));
        assert!(close(floats(&batch, P_UNSEEN)[0].unwrap(), 0.05));
        // Six spellings of no, two tokens each, all less likely than 0.001.
        assert!(close(yes[1].unwrap(), 0.97) && no[1].is_none(), "what was not shown is no 0");
        assert!(close(floats(&batch, P_NO_AT_MOST)[1].unwrap(), 0.012));
        assert!(close(score[1].unwrap(), (0.97_f64 / 0.012).ln()));
        assert_eq!(floats(&batch, "log_odds")[1], None);
        let bounded = batch.column_by_name(BOUNDED).unwrap().as_boolean();
        assert_eq!((bounded.value(0), bounded.value(1)), (false, true));
        assert!(batch.column_by_name(TOKENS).unwrap().is_valid(0));

        let last = stub.asked().pop().unwrap();
        assert_eq!(last.body["model"], "fake");
        assert_eq!((&last.body["max_tokens"], &last.body["temperature"]), (&json!(1), &json!(0)));
        assert_eq!(last.text(), "Text: neither\nGood?");
        let asked_for = if rendering == Rendering::Raw { "logprobs" } else { "top_logprobs" };
        assert_eq!(last.body[asked_for], 20);
    }
}

#[test]
fn what_passes_is_tried_again() {
    type Wrong = fn() -> Reply;
    let bad: &[(&str, Wrong)] = &[
        ("429", || Reply::Json(429, json!({ "error": "slow down" }))),
        ("500", || Reply::Json(500, json!({ "error": { "message": "oops" } }))),
        ("503 page", || Reply::Raw(503, vec![], b"<html>no</html>".to_vec())),
        ("hang", || Reply::Hang(Duration::from_secs(2))),
        ("truncated JSON", || Reply::Raw(200, vec![], br#"{"choices": [{"logpro"#.to_vec())),
        ("half an answer", || Reply::Half(br#"{"choices": ["#.to_vec())),
        ("closed", || Reply::Close),
    ];
    for (name, wrong) in bad {
        let (count, wrong) = (AtomicUsize::new(0), *wrong);
        let stub = wrong_on_bad(move |asked| match count.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => wrong(),
            _ => well_behaved(asked),
        });
        let judge = judge(&stub.url(), &JudgeOptions::default()).unwrap();
        assert_eq!(reasons(&annotate(&judge, &["BAD"])), [None], "{name}");
        assert_eq!(stub.asked().iter().filter(|asked| asked.text().contains("BAD")).count(), 3, "{name}");
    }
}

#[test]
fn retry_after_is_waited_by_all_who_ask() {
    for header in [
        "Retry-After: 1",
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:38 GMT",
    ] {
        let count = AtomicUsize::new(0);
        let stub = wrong_on_bad(move |asked| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Raw(429, vec![header.to_owned()], b"{}".to_vec()),
            _ => well_behaved(asked),
        });
        let judge = judge(&stub.url(), &JudgeOptions::default()).unwrap();
        let began = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| annotate(&judge, &["BAD"]));
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                annotate(&judge, &["another"]);
                assert!(began.elapsed() > Duration::from_millis(950), "it went through the gate");
            });
        });
        let took = began.elapsed();
        assert!(took > Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn too_many_requests_end_the_run_and_never_fail_a_row() {
    for (header, message) in
        [("Retry-After: 86400", "asks to wait 86400 s: quota"), ("X: y", "status 429: quota")]
    {
        let stub = wrong_on_bad(move |_| Reply::Raw(429, vec![header.to_owned()], b"quota".to_vec()));
        let judge = judge(&stub.url(), &JudgeOptions::default()).unwrap();
        let began = Instant::now();
        let error = judge.annotate(DocumentBatch::from_texts(["a", "BAD"]).as_arrow()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn rows_that_the_server_cannot_do_are_null_with_their_reason_and_others_are_not() {
    let huge = || {
        let mut body = br#"{"choices": ""#.to_vec();
        body.resize(9 << 20, b'x');
        Reply::Raw(200, vec![], body)
    };
    let raw = |body: &'static [u8]| move || Reply::Raw(200, vec![], body.to_vec());
    let shown = |top: serde_json::Value| {
        Reply::Json(200, json!({ "choices": [{ "logprobs": { "top_logprobs": [top] } }] }))
    };
    type Wrong = Box<dyn Fn() -> Reply + Send + Sync>;
    let cases: Vec<(&str, Wrong, &str)> = vec![
        ("500", Box::new(|| Reply::Json(500, json!({}))), reason::SERVER_ERROR),
        ("closed", Box::new(|| Reply::Close), reason::SERVER_ERROR),
        ("half-closed", Box::new(|| Reply::Half(b"{}".to_vec())), reason::SERVER_ERROR),
        ("hang", Box::new(|| Reply::Hang(Duration::from_secs(2))), reason::TIMEOUT),
        ("truncated JSON", Box::new(raw(b"{\"choices\": [")), reason::UNUSABLE),
        ("not UTF-8", Box::new(raw(b"{\"choices\": [\"\xff\xfe\"]}")), reason::UNUSABLE),
        (
            "NaN",
            Box::new(raw(b"{\"choices\":[{\"logprobs\":{\"top_logprobs\":[{\"yes\": NaN}]}}]}")),
            reason::UNUSABLE,
        ),
        ("empty body", Box::new(raw(b"")), reason::UNUSABLE),
        ("huge body", Box::new(huge), reason::UNUSABLE),
        ("no choices", Box::new(|| Reply::Json(200, json!({ "choices": [] }))), reason::UNUSABLE),
        ("two choices", Box::new(|| Reply::Json(200, json!({ "choices": [{}, {}] }))), reason::UNUSABLE),
        ("null logprob", Box::new(move || shown(json!({ "yes": null }))), reason::UNUSABLE),
        (
            "NaN beside both",
            Box::new(raw(
                b"{\"choices\":[{\"logprobs\":{\"top_logprobs\":[{\"yes\":-0.5,\"no\":-1.5,\"x\":NaN}]}}]}",
            )),
            reason::UNUSABLE,
        ),
        ("more than 1", Box::new(move || shown(json!({ "yes": -0.1, "no": -0.1 }))), reason::UNUSABLE),
        ("no logprobs", Box::new(move || shown(json!({}))), reason::NO_LOGPROBS),
        ("no answer", Box::new(move || shown(json!({ "Well": -0.1, "So": -3.0 }))), reason::NO_ANSWER_SHOWN),
        ("400", Box::new(|| Reply::Json(400, json!({ "error": "bad word" }))), reason::REFUSED),
        (
            "too long",
            Box::new(|| {
                Reply::Json(
                    400,
                    json!({ "error": { "message": "This model's maximum context length is 8 tokens." } }),
                )
            }),
            reason::TOO_LONG,
        ),
    ];
    for (name, wrong, expected) in cases {
        let stub = wrong_on_bad(move |_| wrong());
        let judge = judge(&stub.url(), &JudgeOptions::default()).unwrap();
        let batch = annotate(&judge, &["one", "BAD", "three"]);
        assert_eq!(reasons(&batch), [None, Some(expected.to_owned()), None], "{name}");
        let alone = annotate(&judge, &["three"]);
        assert_eq!(floats(&alone, "score")[0], floats(&batch, "score")[2], "{name}");
    }
}

#[test]
fn server_that_dies_or_turns_away_midway_stops_the_signal() {
    type Then = fn() -> Reply;
    let cases: [(&str, Then, &str); 4] = [
        ("dies", || Reply::Close, "server `http://127.0.0.1"),
        (
            "revokes the key",
            || Reply::Json(401, json!({ "error": "key revoked" })),
            "status 401: key revoked",
        ),
        (
            "unloads",
            || Reply::Json(404, json!({ "error": "no model `fake`" })),
            "status 404: no model `fake`",
        ),
        (
            "moves",
            || Reply::Raw(307, vec!["Location: http://elsewhere/v1".to_owned()], vec![]),
            "redirects to `http://elsewhere/v1`",
        ),
    ];
    for (name, then, expected) in cases {
        let count = AtomicUsize::new(0);
        let stub = Stub::start(move |asked| match asked.path.as_str() {
            "/v1/completions" if count.fetch_add(1, Ordering::SeqCst) >= 3 => then(),
            _ => well_behaved(asked),
        });
        let judge = judge(&stub.url(), &JudgeOptions::default()).unwrap();
        let documents = DocumentBatch::from_texts(["a", "b", "c", "d"]);
        let error = judge.annotate(documents.as_arrow()).unwrap_err();
        assert!(error.to_string().contains(expected), "{name}: {error}");
        let tamis_core::Error::Signal { source, .. } = error else { panic!("{name}: {error}") };
        assert!(source.downcast_ref::<Error>().unwrap().hint().is_some(), "{name}");
    }
}

#[test]
fn long_documents_are_cut_by_the_servers_tokens_or_by_characters() {
    // A server of words: one token each, with the space before it.
    let words = |text: &str| text.split_inclusive(' ').map(str::to_owned).collect::<Vec<_>>();
    let stub = Stub::start(move |asked| match asked.path.as_str() {
        "/v1/models" => {
            let model = json!({ "id": "fake", "owned_by": "vllm", "max_model_len": 30 });
            Reply::Json(200, json!({ "data": [model] }))
        }
        "/version" => Reply::Json(200, json!({ "version": "0.11.0" })),
        "/tokenize" => {
            let ids: Vec<u32> =
                words(asked.text()).iter().map(|word| u32::from(word.as_bytes()[0])).collect();
            Reply::Json(200, json!({ "count": ids.len(), "max_model_len": 30, "tokens": ids }))
        }
        "/detokenize" => {
            let ids = asked.body["tokens"].as_array().unwrap();
            let text: String = ids
                .iter()
                .map(|id| format!("{} ", char::from(u8::try_from(id.as_u64().unwrap()).unwrap())))
                .collect();
            Reply::Json(200, json!({ "prompt": text }))
        }
        _ => well_behaved(asked),
    });
    let options = JudgeOptions::default();
    let by_tokens = judge(&stub.url(), &options).unwrap();
    let fingerprint = &by_tokens.info().fingerprint;
    // 30 tokens less 1 before and 1 after the document and a margin of 16.
    assert_eq!(fingerprint.get("cut"), Some("12 tokens by the server's tokenizer"));
    assert_eq!(fingerprint.get("server"), Some("vllm"));
    assert_eq!(by_tokens.info().notes["server_version"], "0.11.0");
    let text = "a b c d e f g h i j k l m n o p q r s t";
    let batch = annotate(&by_tokens, &[text, "a b c d e f g h i j k l", "short"]);
    assert_eq!(
        stub.asked().iter().filter(|asked| asked.text() == "Text: a b c d e f g h i j k l \nGood?").count(),
        1
    );
    let truncated = batch.column_by_name(TRUNCATED).unwrap().as_boolean();
    assert_eq!(truncated.iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(false)]);

    let options = JudgeOptions { max_document_characters: Some(5), ..options };
    let by_characters = judge(&stub.url(), &options).unwrap();
    assert_eq!(by_characters.info().fingerprint.get("cut"), Some("5 characters"));
    annotate(&by_characters, &["äöüßéx"]);
    assert_eq!(stub.asked().last().unwrap().text(), "Text: äöüßé\nGood?");
    assert_eq!(by_characters.show_prompt("äöüßéx").unwrap().lines().nth(1), Some("Text: äöüßé"));
}

#[test]
fn rows_do_not_depend_on_their_batch_and_empty_text_is_no_request() {
    let stub = Stub::start(well_behaved);
    let judge = judge(&stub.url(), &JudgeOptions::default()).unwrap();
    let texts = ["one", "two", "", "three four"];
    let all = annotate(&judge, &texts);
    assert_eq!(reasons(&all)[2].as_deref(), Some(core_reason::NO_TOKENS));
    for (at, text) in texts.iter().enumerate() {
        assert_eq!(annotate(&judge, &[text]), all.slice(at, 1), "{text}");
    }
}

/// Guided decoding masks all tokens but a few: how a server writes the logarithm of 0 loses no row.
#[test]
fn masked_tokens_beside_both_answers_lose_no_row() {
    let bodies: [&[u8]; 5] = [b"null", b"-Infinity", b"\"-Infinity\"", b"-9999.0", b"-3.4028234663852886e38"];
    for masked in bodies {
        let body = [
            &b"{\"choices\":[{\"logprobs\":{\"top_logprobs\":[{\"yes\":-0.5,\"no\":-1.5,\"x\":"[..],
            masked,
            b"}]}}]}",
        ]
        .concat();
        let what = String::from_utf8_lossy(masked).into_owned();
        let stub = wrong_on_bad(move |_| Reply::Raw(200, vec![], body.clone()));
        let judge = judge(&stub.url(), &JudgeOptions::default()).unwrap();
        let batch = annotate(&judge, &["BAD"]);
        assert_eq!(reasons(&batch), [None], "{what}");
        assert!(close(floats(&batch, "log_odds")[0].unwrap(), 1.0), "{what}");
        assert!(close(floats(&batch, P_YES)[0].unwrap(), (-0.5_f64).exp()), "{what}");
    }
}

#[test]
fn rows_that_all_fail_stop_the_signal_and_one_that_does_not_begins_anew() {
    type Then = fn(&Asked) -> Reply;
    let cases: [(&str, Then, &str, &str, &str); 4] = [
        (
            "thinks from now on",
            |asked| Reply::Json(200, completion(asked, &[("<think>", 0.9), ("x", 0.01)])),
            reason::NO_ANSWER_SHOWN,
            "most likely are `<think>` 9.00e-1",
            "thinking",
        ),
        (
            "400 on each",
            |_| Reply::Json(400, json!({ "error": "bad adapter" })),
            reason::REFUSED,
            "status 400: bad adapter",
            "log",
        ),
        (
            "a shorter context than it says",
            |_| Reply::Json(400, json!({ "error": "the request exceeds the available context size" })),
            reason::TOO_LONG,
            "available context size",
            "--max-document-characters",
        ),
        (
            "no logprobs from now on",
            |_| Reply::Json(200, json!({ "choices": [{ "text": "yes", "logprobs": null }] })),
            reason::NO_LOGPROBS,
            "none",
            "log",
        ),
    ];
    for (name, then, stored, detail, remedy) in cases {
        let stub = wrong_on_bad(then);
        let server = ServerOptions { stop_after_failed: 5, ..impatient() };
        let judge =
            RemoteJudge::new(&endpoint(&stub.url()), &prompts(), &server, &JudgeOptions::default()).unwrap();
        // Four, a value, four with an empty one between: nothing stops; in any number of batches.
        let texts = ["BAD 1", "BAD 2", "BAD 3", "BAD 4", "good", "BAD 5", "BAD 6", "", "BAD 7", "BAD 8"];
        let batch = annotate(&judge, &texts);
        assert_eq!(
            reasons(&batch).iter().filter(|reason| reason.as_deref() == Some(stored)).count(),
            8,
            "{name}"
        );
        let error = judge.annotate(DocumentBatch::from_texts(["BAD 9", "good"]).as_arrow()).unwrap_err();
        assert!(
            error.to_string().contains(&format!("5 rows in a row have no value, the last one `{stored}`")),
            "{error}"
        );
        assert!(error.to_string().contains(detail), "{name}: {error}");
        let tamis_core::Error::Signal { source, .. } = error else { panic!("{name}: {error}") };
        let hint = source.downcast_ref::<Error>().unwrap().hint().unwrap();
        assert!(hint.contains(remedy) && hint.contains("--retry-failed"), "{name}: {hint}");
        // 0 bears all of them.
        let server = ServerOptions { stop_after_failed: 0, ..impatient() };
        let judge =
            RemoteJudge::new(&endpoint(&stub.url()), &prompts(), &server, &JudgeOptions::default()).unwrap();
        assert_eq!(reasons(&annotate(&judge, &["BAD"; 20])), vec![Some(stored.to_owned()); 20]);
    }
}
