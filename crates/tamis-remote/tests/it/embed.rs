//! What an embedder makes of the answers.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use serde_json::{Value, json};
use tamis_core::{DocumentBatch, Signal, reason as core_reason};
use tamis_models::embed::Precision;
use tamis_remote::{EmbedOptions, Error, Kind, RemoteEmbed, ServerOptions, reason};

use crate::stub::{Asked, Reply, Stub, embedding, well_behaved};
use crate::{check_nulls, endpoint, impatient, reasons};

fn open(stub: &Stub) -> RemoteEmbed {
    let options = EmbedOptions { precision: Precision::F32, ..EmbedOptions::default() };
    RemoteEmbed::new(&endpoint(&stub.url()), &impatient(), &options).unwrap()
}

fn annotate(embed: &RemoteEmbed, texts: &[&str]) -> RecordBatch {
    let batch = embed.annotate(DocumentBatch::from_texts(texts.iter().copied()).as_arrow()).unwrap();
    check_nulls(&batch);
    batch
}

fn vector(batch: &RecordBatch, row: usize) -> Vec<f32> {
    let list = batch.column(0).as_fixed_size_list().value(row);
    list.as_primitive::<Float32Type>().values().to_vec()
}

fn expected(text: &str) -> Vec<f32> {
    let raw = embedding(text);
    let norm = raw.iter().map(|value| value * value).sum::<f64>().sqrt();
    raw.iter().map(|value| (value / norm) as f32).collect()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
}

#[test]
fn swapped_order_is_put_right_and_rows_do_not_depend_on_their_batch() {
    let stub = Stub::start(well_behaved);
    let embed = open(&stub);
    let texts: Vec<String> = (0..70).map(|at| format!("text {at}")).collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    texts[40] = "";
    let all = annotate(&embed, &texts);
    assert_eq!(reasons(&all)[40].as_deref(), Some(core_reason::NO_TOKENS));
    assert!(close(&vector(&all, 9), &expected("\"fake\"\"text 9\"")));
    for at in [0, 9, 39, 40, 41, 69] {
        assert_eq!(annotate(&embed, &[texts[at]]), all.slice(at, 1));
    }
}

#[test]
fn one_bad_text_fails_alone() {
    type Wrong = fn(&Asked) -> Reply;
    let cases: [(&str, Wrong, &str); 7] = [
        ("500", |_| Reply::Json(500, json!({})), reason::SERVER_ERROR),
        (
            "wrong count",
            |_| {
                Reply::Json(
                    200,
                    json!({ "data": [{ "index": 0, "embedding": [1, 2, 3, 4] }, { "index": 1, "embedding": [1, 2, 3, 4] }, { "index": 1, "embedding": [1, 2, 3, 4] }] }),
                )
            },
            reason::UNUSABLE,
        ),
        (
            "wrong width",
            |asked| {
                let n = asked.body["input"].as_array().unwrap().len();
                let data: Vec<Value> =
                    (0..n).map(|at| json!({ "index": at, "embedding": [1.0, 2.0] })).collect();
                Reply::Json(200, json!({ "data": data }))
            },
            reason::UNUSABLE,
        ),
        (
            "NaN",
            |_| Reply::Raw(200, vec![], b"{\"data\":[{\"embedding\":[NaN,1,1,1]}]}".to_vec()),
            reason::UNUSABLE,
        ),
        (
            "null",
            |asked| {
                let texts = asked.body["input"].as_array().unwrap();
                let data: Vec<Value> = texts
                    .iter()
                    .enumerate()
                    .map(|(at, text)| {
                        let mut numbers: Vec<Value> =
                            embedding(&format!("\"fake\"{text}")).into_iter().map(Value::from).collect();
                        if text == "BAD" {
                            numbers[2] = Value::Null;
                        }
                        json!({ "index": at, "embedding": numbers })
                    })
                    .collect();
                Reply::Json(200, json!({ "data": data }))
            },
            core_reason::NOT_FINITE,
        ),
        (
            "too long",
            |_| Reply::Json(400, json!({ "message": "maximum context length is 512 tokens" })),
            reason::TOO_LONG,
        ),
        ("truncated", |_| Reply::Raw(200, vec![], b"{\"data\":[{".to_vec()), reason::UNUSABLE),
    ];
    for (name, wrong, expected_reason) in cases {
        let stub = Stub::start(move |asked| match asked.body["input"].as_array() {
            Some(texts) if texts.iter().any(|text| text == "BAD") => wrong(asked),
            _ => well_behaved(asked),
        });
        let batch = annotate(&open(&stub), &["one", "two", "BAD", "four", "five"]);
        let mut failed = vec![None; 5];
        failed[2] = Some(expected_reason.to_owned());
        assert_eq!(reasons(&batch), failed, "{name}");
        assert!(close(&vector(&batch, 4), &expected("\"fake\"\"five\"")), "{name}");
    }
}

#[test]
fn text_embeddings_inference_cuts_by_itself_and_says_how_much_it_takes() {
    let most = AtomicUsize::new(0);
    let most: &'static AtomicUsize = Box::leak(Box::new(most));
    let stub = Stub::start(move |asked| match asked.path.as_str() {
        "/info" => Reply::Json(
            200,
            json!({ "model_id": "fake", "model_sha": "abc", "version": "1.8",
            "max_input_length": 512, "max_client_batch_size": 3 }),
        ),
        "/embed" => {
            let texts = asked.body["inputs"].as_array().unwrap();
            most.fetch_max(texts.len(), Ordering::SeqCst);
            assert_eq!(asked.body["truncate"], true);
            Reply::Json(
                200,
                json!(texts.iter().map(|text| embedding(text.as_str().unwrap())).collect::<Vec<_>>()),
            )
        }
        _ => Reply::Json(404, json!({})),
    });
    let embed = open(&stub);
    assert_eq!(embed.server().1, Kind::Tei);
    let fingerprint = &embed.info().fingerprint;
    assert_eq!(fingerprint.get("model"), Some("server:fake@abc"));
    assert_eq!(fingerprint.get("cut"), Some("by the server, at 512 tokens"));
    let long = "word ".repeat(10_000);
    let batch = annotate(&embed, &["a", "b", "c", "d", &long]);
    assert!(close(&vector(&batch, 3), &expected("d")));
    assert_eq!(most.load(Ordering::SeqCst), 3);
    let truncated = batch.column_by_name("truncated").unwrap().as_boolean();
    assert_eq!(truncated.iter().collect::<Vec<_>>(), [None, None, None, None, Some(true)]);
}

#[test]
fn embedder_that_fails_on_every_row_or_changes_its_width_stops() {
    let stub = Stub::start(|asked| match asked.body["input"].as_array() {
        Some(texts) if texts.iter().any(|text| text.as_str().unwrap().contains("BAD")) => {
            let data: Vec<Value> =
                (0..texts.len()).map(|at| json!({ "index": at, "embedding": [0, 0, 0, 0] })).collect();
            Reply::Json(200, json!({ "data": data }))
        }
        _ => well_behaved(asked),
    });
    let server = ServerOptions { stop_after_failed: 6, ..impatient() };
    let embed = RemoteEmbed::new(&endpoint(&stub.url()), &server, &EmbedOptions::default()).unwrap();
    annotate(&embed, &["BAD 1", "BAD 2", "BAD 3", "BAD 4", "BAD 5"]);
    annotate(&embed, &["good"]);
    annotate(&embed, &["BAD 1", "BAD 2", "BAD 3", "BAD 4", "BAD 5"]);
    let error = embed.annotate(DocumentBatch::from_texts(["BAD"]).as_arrow()).unwrap_err();
    assert!(
        error.to_string().contains("6 rows in a row have no value, the last one `model-output-not-finite`"),
        "{error}"
    );

    // Another model under the same name: no row fares better, and none is lost.
    let count = AtomicUsize::new(0);
    let stub = Stub::start(move |asked| match asked.body["input"].as_array() {
        Some(texts) if count.fetch_add(1, Ordering::SeqCst) > 3 => {
            let data: Vec<Value> =
                (0..texts.len()).map(|at| json!({ "index": at, "embedding": [0.6, 0.8] })).collect();
            Reply::Json(200, json!({ "data": data }))
        }
        _ => well_behaved(asked),
    });
    let embed = open(&stub);
    annotate(&embed, &["one", "two"]);
    annotate(&embed, &["three"]);
    let error = embed.annotate(DocumentBatch::from_texts(["four"]).as_arrow()).unwrap_err();
    assert!(error.to_string().contains("expected 4 dimensions, got 2"), "{error}");
    let tamis_core::Error::Signal { source, .. } = error else { panic!("{error}") };
    assert!(source.downcast_ref::<Error>().unwrap().hint().unwrap().contains("another model"));
}

/// Public reports of servers that pad: a text among others has no numbers, and alone it has.
#[test]
fn text_that_is_spoilt_by_its_neighbours_is_asked_about_alone() {
    let stub = Stub::start(|asked| match asked.body["input"].as_array() {
        Some(texts) if texts.len() > 1 && texts.iter().any(|text| text == "padded") => {
            let data: Vec<Value> = texts
                .iter()
                .enumerate()
                .map(|(at, text)| match text.as_str() {
                    Some("padded") => json!({ "index": at, "embedding": [null, null, null, null] }),
                    _ => json!({ "index": at, "embedding": embedding(&format!("\"fake\"{text}")) }),
                })
                .collect();
            Reply::Json(200, json!({ "data": data }))
        }
        _ => well_behaved(asked),
    });
    let batch = annotate(&open(&stub), &["one", "padded", "three"]);
    assert_eq!(reasons(&batch), [None, None, None]);
    assert!(close(&vector(&batch, 1), &expected("\"fake\"\"padded\"")));
}
