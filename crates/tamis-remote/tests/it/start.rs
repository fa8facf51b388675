//! What is said before any work.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use serde_json::{Value, json};
use tamis_core::{DocumentBatch, Signal};
use tamis_models::embed::Precision;
use tamis_models::prompt::{Prompt, PromptSet, Rendering};
use tamis_remote::{EmbedOptions, Endpoint, Error, JudgeOptions, RemoteEmbed, RemoteJudge, ServerOptions};

use crate::stub::{Asked, Reply, Stub, completion, well_behaved};
use crate::{endpoint, impatient, judge, prompts};

fn refused(stub: &Stub) -> Error {
    judge(&stub.url(), &JudgeOptions::default()).unwrap_err()
}

fn hint(error: &Error) -> String {
    error.hint().unwrap()
}

#[test]
fn server_that_is_down_or_hangs_is_told_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let began = Instant::now();
    let patient = ServerOptions { retries: 6, back_off: Duration::from_secs(5), ..impatient() };
    let address = endpoint(&format!("http://{free}"));
    let error = RemoteJudge::new(&address, &prompts(), &patient, &JudgeOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Down { .. }) && error.to_string().contains(&free.to_string()), "{error}");
    assert!(hint(&error).contains("start the server"));
    let error = RemoteEmbed::new(&address, &patient, &EmbedOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Down { .. }), "{error}");
    let stub = Stub::start(|_| Reply::Hang(Duration::from_secs(2)));
    let error = refused(&stub);
    assert!(error.to_string().contains("no answer within the deadline"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn page_for_people_is_no_server_and_is_not_asked_again_and_again() {
    let stub = Stub::start(|_| Reply::Raw(200, vec![], b"<html>Welcome</html>".to_vec()));
    let error = refused(&stub);
    assert!(error.to_string().contains("no JSON"), "{error}");
    assert_eq!(stub.asked().iter().filter(|asked| asked.path == "/v1/models").count(), 1);
}

#[test]
fn refusals_say_what_to_do() {
    let stub = Stub::start(|_| Reply::Json(401, json!({ "error": { "message": "no key" } })));
    let error = refused(&stub);
    assert!(
        error.to_string().ends_with("status 401: no key") && hint(&error).contains("TAMIS_API_KEY"),
        "{error}"
    );

    let other = Stub::start(well_behaved);
    let to = format!("Location: {}/v1/models", other.url());
    let stub = Stub::start(move |_| Reply::Raw(302, vec![to.clone()], vec![]));
    let error = refused(&stub);
    assert!(matches!(error, Error::Redirect { .. }) && other.asked().is_empty(), "{error}");

    let stub = Stub::start(|asked| match asked.path.as_str() {
        "/v1/completions" => Reply::Json(404, json!({ "detail": "Not Found" })),
        _ => well_behaved(asked),
    });
    let error = refused(&stub);
    assert!(
        error.to_string().contains("has no `/v1/completions`") && hint(&error).contains("--chat"),
        "{error}"
    );
    judge(&stub.url(), &JudgeOptions { rendering: Rendering::Chat, ..JudgeOptions::default() }).unwrap();
}

#[test]
fn logprobs_that_cannot_be_used_are_refused() {
    let with = |answer: fn(&crate::stub::Asked) -> Reply| {
        Stub::start(move |asked| match asked.path.as_str() {
            "/v1/completions" => answer(asked),
            _ => well_behaved(asked),
        })
    };
    let error =
        refused(&with(|_| Reply::Json(200, json!({ "choices": [{ "text": "yes", "logprobs": null }] }))));
    assert!(error.to_string().ends_with("shows no logprobs"), "{error}");
    let error = refused(&with(|asked| {
        Reply::Json(200, completion(asked, &[("token_id:9805", 0.9), ("token_id:1", 0.1)]))
    }));
    assert!(hint(&error).contains("--return-tokens-as-token-ids"), "{error}");
    let error = refused(&with(|asked| Reply::Json(200, completion(asked, &[(" yes", 0.9)]))));
    assert!(error.to_string().contains("and no other"), "{error}");
    let error = refused(&with(|_| {
        Reply::Json(
            400,
            json!({ "message": "Requested sample logprobs of 20, which is greater than max allowed: 5" }),
        )
    }));
    assert!(hint(&error).contains("--top-logprobs 5"), "{error}");
    let stub = Stub::start(well_behaved);
    let none = JudgeOptions { top_logprobs: 0, ..JudgeOptions::default() };
    assert!(judge(&stub.url(), &none).unwrap_err().is_usage());
}

#[test]
fn model_is_the_named_one_or_the_only_one() {
    let stub = Stub::start(|asked| match asked.path.as_str() {
        "/v1/models" => {
            let model = |id: &str| json!({ "id": id, "owned_by": "sglang", "max_model_len": 4096 });
            Reply::Json(200, json!({ "data": [model("a/one"), model("two:latest")] }))
        }
        _ => well_behaved(asked),
    });
    let open = |source: String| {
        let endpoint = Endpoint::parse(&source).unwrap();
        RemoteJudge::new(&endpoint, &prompts(), &impatient(), &JudgeOptions::default())
    };
    let error = open(stub.url()).unwrap_err();
    assert!(
        error.is_usage() && error.to_string().contains("several models; it has `a/one`, `two:latest`"),
        "{error}"
    );
    let error = open(format!("{}#three", stub.url())).unwrap_err();
    assert!(error.to_string().contains("no model `three`"), "{error}");
    assert_eq!(open(format!("{}/v1#two", stub.url())).unwrap().server().2, "two:latest");

    let only = Stub::start(|asked| match asked.path.as_str() {
        "/v1/models" => Reply::Json(200, json!({ "data": [{ "id": "only" }] })),
        _ => well_behaved(asked),
    });
    assert_eq!(open(only.url()).unwrap().server().2, "only");
}

#[test]
fn ollama_is_asked_by_its_own_interface() {
    let stub = Stub::start(|asked| match asked.path.as_str() {
        "/v1/models" => Reply::Json(200, json!({ "data": [{ "id": "m:latest", "owned_by": "library" }] })),
        "/api/version" => Reply::Json(200, json!({ "version": "0.12.11" })),
        "/api/generate" | "/api/chat" => {
            let top = json!([{ "token": " yes", "logprob": -0.1 }, { "token": " no", "logprob": -3.0 }]);
            Reply::Json(200, json!({ "done": true, "logprobs": [{ "token": " yes", "top_logprobs": top }] }))
        }
        _ => well_behaved(asked),
    });
    for (rendering, path) in [(Rendering::Raw, "/api/generate"), (Rendering::Chat, "/api/chat")] {
        let endpoint = Endpoint::parse(&stub.url()).unwrap();
        let options = JudgeOptions { rendering, ..JudgeOptions::default() };
        let judge = RemoteJudge::new(&endpoint, &prompts(), &impatient(), &options).unwrap();
        use tamis_core::Signal;
        assert_eq!(judge.info().fingerprint.get("api"), Some(path));
        let last = stub.asked().pop().unwrap();
        assert_eq!((last.path.as_str(), &last.body["truncate"]), (path, &json!(false)));
        assert_eq!(last.body.get("raw").is_some(), rendering == Rendering::Raw);
    }
}

/// A judge's server whose answer to a document is `shown`, in whatever dialect it is asked.
fn showing(shown: impl Fn(&Asked) -> Vec<(&'static str, f64)> + Send + Sync + 'static) -> Stub {
    Stub::start(move |asked| match asked.path.as_str() {
        "/v1/completions" | "/v1/chat/completions" => Reply::Json(200, completion(asked, &shown(asked))),
        _ => well_behaved(asked),
    })
}

fn chat() -> JudgeOptions {
    JudgeOptions { rendering: Rendering::Chat, ..JudgeOptions::default() }
}

/// The example: a server that thinks first was asked about every document.
#[test]
fn server_that_shows_no_answer_is_refused_with_what_it_shows_and_what_helps() {
    type Tokens = &'static [(&'static str, f64)];
    let cases: [(&str, Tokens, &[&str], &[&str]); 4] = [
        (
            "thinks",
            &[("<think>", 0.98), ("\n", 0.01)],
            &["`<think>` 9.80e-1", "`\\n` 1.00e-2"],
            &["thinks first"],
        ),
        ("gpt-oss", &[("<|channel|>", 0.999), ("analysis", 1e-4)], &["`<|channel|>`"], &["thinks first"]),
        ("talks", &[("Sure", 0.6), (" The", 0.2)], &["`Sure` 6.00e-1, ` The`"], &["--prompt", "one word"]),
        (
            "rules terminals",
            &[("\u{1b}[2J", 0.6), ("\u{202e}oN", 0.2)],
            &["\\u{1b}[2J", "\\u{202e}oN"],
            &["--prompt"],
        ),
    ];
    for (name, tokens, shown, helps) in cases {
        for options in [JudgeOptions::default(), chat()] {
            let stub = showing(move |_| tokens.to_vec());
            let error = judge(&stub.url(), &options).unwrap_err();
            let (message, hint) = (error.to_string(), hint(&error));
            assert!(
                matches!(error, Error::Answer { .. }) && message.contains("no spelling of yes or no"),
                "{message}"
            );
            for word in shown {
                assert!(message.contains(word), "{name}: {message}");
            }
            for word in helps {
                assert!(hint.contains(word), "{name}: {hint}");
            }
            assert!(!message.chars().any(char::is_control), "{message}");
            assert_eq!(
                stub.asked().iter().filter(|asked| asked.path.contains("completions")).count(),
                3,
                "{name}"
            );
        }
    }
}

#[test]
fn what_helps_a_server_that_thinks_first_does_help() {
    // Qwen3 behind vLLM: it thinks unless a chat tells it not to.
    let stub = Stub::start(|asked| match asked.path.as_str() {
        "/v1/models" => {
            Reply::Json(200, json!({ "data": [{ "id": "fake", "owned_by": "vllm", "max_model_len": 4096 }] }))
        }
        "/v1/completions" => Reply::Json(200, completion(asked, &[("<think>", 0.99), ("\n", 0.001)])),
        "/v1/chat/completions" if asked.body["chat_template_kwargs"]["enable_thinking"] != json!(false) => {
            Reply::Json(200, completion(asked, &[("<think>", 0.99), ("\n", 0.001)]))
        }
        _ => well_behaved(asked),
    });
    let error = refused(&stub);
    assert!(hint(&error).contains("add --chat"), "{}", hint(&error));
    judge(&stub.url(), &chat()).unwrap();
}

#[test]
fn one_answer_under_one_text_is_enough_and_every_prompt_is_asked() {
    let sure = showing(|asked| match asked.text() {
        text if text.contains("CLICK HERE") => vec![("no", 0.9), ("Well", 0.05)],
        _ => vec![("Well", 0.7), ("So", 0.2)],
    });
    judge(&sure.url(), &JudgeOptions::default()).unwrap();
    let bounded = showing(|_| vec![(" yes", 0.97), ("x", 0.001)]);
    let found = judge(&bounded.url(), &JudgeOptions::default()).unwrap();
    assert_eq!(bounded.asked().iter().filter(|asked| asked.path.contains("completions")).count(), 1);
    assert!(
        found.remarks().iter().all(|remark| !remark.contains("of its probability")),
        "{:?}",
        found.remarks()
    );
    // The second prompt is not answered: every row would fail by it.
    let stub = showing(|asked| match asked.text() {
        text if text.ends_with("Good?") => vec![(" yes", 0.9), (" no", 0.05)],
        _ => vec![("Well", 0.7), ("So", 0.2)],
    });
    let two = ["Text: {document}\nGood?", "Text: {document}\nTell me what you think."];
    let two =
        two.iter().enumerate().map(|(at, text)| Prompt::parse(&format!("p{at}"), text).unwrap()).collect();
    let set = PromptSet::new("two", two).unwrap();
    let error =
        RemoteJudge::new(&endpoint(&stub.url()), &set, &impatient(), &JudgeOptions::default()).unwrap_err();
    assert!(error.to_string().contains("under prompt `p1`"), "{error}");
}

#[test]
fn what_can_be_used_and_is_suspicious_is_said() {
    let remarks = |stub: &Stub| judge(&stub.url(), &JudgeOptions::default()).unwrap().remarks().join("; ");
    // Yes and no are among the tokens, far below a thought.
    let text = remarks(&showing(|_| vec![("<think>", 0.9999), ("yes", 3e-9), ("no", 1e-9)]));
    assert!(text.contains("only 4.0e-9 of its probability") && text.contains("`<think>`"), "{text}");
    assert!(text.contains("thinks first"), "{text}");
    // A cap below what was asked for, that nobody tells.
    let text =
        remarks(&showing(|_| vec![(" yes", 0.5), (" no", 0.3), ("a", 0.05), ("b", 0.04), ("c", 0.01)]));
    assert!(text.contains("asked for the 20 most likely tokens, the server shows 5"), "{text}");
    // Guided decoding shows all that there is.
    assert_eq!(remarks(&showing(|_| vec![("yes", 0.7), ("no", 0.3)])), "");
    let other = Stub::start(|asked| match asked.path.as_str() {
        "/v1/completions" => {
            let mut answer = completion(asked, &[("yes", 0.7), ("no", 0.3)]);
            answer["model"] = json!("llama-3.2-1b");
            Reply::Json(200, answer)
        }
        _ => well_behaved(asked),
    });
    assert!(remarks(&other).contains("asked for model `fake`, the server answers as `llama-3.2-1b`"));
}

/// Situations of public reports: the whole answer is of another kind than it looks.
#[test]
fn answers_that_are_not_what_they_look_like_are_refused() {
    let with = |change: fn(&Asked, &mut Value)| {
        Stub::start(move |asked| match asked.path.as_str() {
            "/v1/completions" | "/v1/chat/completions" => {
                let mut answer = completion(asked, &[("yes", 0.7), ("no", 0.2)]);
                change(asked, &mut answer);
                Reply::Json(200, answer)
            }
            _ => well_behaved(asked),
        })
    };
    type Change = fn(&Asked, &mut Value);
    let cases: [(&str, JudgeOptions, Change, &str, &str); 4] = [
        (
            "a reasoning parser takes the first token and its logprobs away",
            chat(),
            |_, answer| {
                answer["choices"][0]["message"] = json!({ "content": null, "reasoning_content": "Okay" });
                answer["choices"][0]["logprobs"] = Value::Null;
            },
            "thinks before it answers",
            "turn that off",
        ),
        (
            "chat completions without logprobs, completions with",
            chat(),
            |_, answer| answer["choices"][0]["logprobs"] = Value::Null,
            "shows no logprobs",
            "leave --chat out",
        ),
        (
            "the prompt is echoed, and its first token has logprobs",
            JudgeOptions::default(),
            |asked, answer| answer["choices"][0]["text"] = json!(format!("{} yes", asked.text())),
            "repeats the prompt",
            "echo",
        ),
        (
            "every logprob is null",
            JudgeOptions::default(),
            |_, answer| {
                answer["choices"][0]["logprobs"]["top_logprobs"] = json!([{ "yes": null, "no": null }]);
            },
            "none of the 2 tokens that it shows has a logprob",
            "another model",
        ),
    ];
    for (name, options, change, problem, remedy) in cases {
        let stub = with(change);
        let error = judge(&stub.url(), &options).unwrap_err();
        assert!(error.to_string().contains(problem), "{name}: {error}");
        assert!(hint(&error).contains(remedy), "{name}: {}", hint(&error));
    }
}

/// An embedder whose answer to a request is `data`.
fn embedding(data: impl Fn(&[Value]) -> Value + Send + Sync + 'static) -> Stub {
    Stub::start(move |asked| match asked.path.as_str() {
        "/v1/embeddings" => {
            Reply::Json(200, json!({ "data": data(asked.body["input"].as_array().unwrap()) }))
        }
        _ => well_behaved(asked),
    })
}

fn item(at: usize, embedding: &Value) -> Value {
    json!({ "index": at, "embedding": embedding })
}

fn own(text: &Value) -> Value {
    json!(crate::stub::embedding(&text.to_string()))
}

#[test]
fn what_is_no_embedding_is_refused_before_any_document() {
    type Data = fn(&[Value]) -> Value;
    let cases: [(&str, Data, &str, &str); 7] = [
        (
            "llama-server without pooling",
            |texts| {
                texts.iter().enumerate().map(|(at, _)| item(at, &json!([[1, 2], [3, 4], [5, 6]]))).collect()
            },
            "a list of 3 vectors",
            "--pooling mean",
        ),
        (
            "one token, one vector, nested",
            |texts| texts.iter().enumerate().map(|(at, _)| item(at, &json!([[0.1, 0.2, 0.3]]))).collect(),
            "a list of 1 vectors",
            "--pooling mean",
        ),
        (
            "base64",
            |texts| texts.iter().enumerate().map(|(at, _)| item(at, &json!("AACAPwAAAEA="))).collect(),
            "base64",
            "encoding_format",
        ),
        (
            "null",
            |texts| texts.iter().enumerate().map(|(at, _)| item(at, &json!([0.1, null, 0.3]))).collect(),
            "no number at place 1 of 3",
            "bfloat16",
        ),
        (
            "zeros",
            |texts| texts.iter().enumerate().map(|(at, _)| item(at, &json!([0.0, 0.0]))).collect(),
            "2 zeros",
            "pooling",
        ),
        (
            "the same for every text",
            |texts| texts.iter().enumerate().map(|(at, _)| item(at, &json!([0.6, 0.8]))).collect(),
            "different texts alike",
            "pooling",
        ),
        (
            "one vector for all texts",
            |_| json!([item(0, &json!([]))]),
            "at least one dimension",
            "/v1/embeddings",
        ),
    ];
    for (name, data, problem, remedy) in cases {
        let stub = embedding(data);
        let error =
            RemoteEmbed::new(&endpoint(&stub.url()), &impatient(), &EmbedOptions::default()).unwrap_err();
        assert!(error.to_string().contains(problem), "{name}: {error}");
        assert!(hint(&error).contains(remedy), "{name}: {}", hint(&error));
        let asked = stub.asked().iter().filter(|asked| asked.path == "/v1/embeddings").count();
        assert!(asked <= 2, "{name}: asked {asked} times for what will not change");
    }
    let stub = Stub::start(|asked| match asked.path.as_str() {
        "/v1/embeddings" => {
            let message = "Pooling type 'none' is not OAI compatible. Please use a different pooling type";
            Reply::Json(400, json!({ "error": { "message": message } }))
        }
        _ => well_behaved(asked),
    });
    let error = RemoteEmbed::new(&endpoint(&stub.url()), &impatient(), &EmbedOptions::default()).unwrap_err();
    assert!(error.to_string().contains("status 400") && hint(&error).contains("--pooling mean"), "{error}");
}

/// A server that cannot be trusted with several texts at once is asked for one at a time, and gives the same vectors.
#[test]
fn order_within_a_request_is_looked_at_before_it_is_relied_on() {
    type Answer = fn(&[Value]) -> Reply;
    let cases: [(&str, Answer, &str); 4] = [
        (
            "swapped, without numbers",
            |texts| {
                let data: Vec<Value> =
                    texts.iter().rev().map(|text| json!({ "embedding": own(text) })).collect();
                Reply::Json(200, json!({ "data": data }))
            },
            "in another order",
        ),
        (
            "sorted by length, without numbers",
            |texts| {
                let mut sorted: Vec<&Value> = texts.iter().collect();
                sorted.sort_by_key(|text| text.as_str().unwrap().len());
                let data: Vec<Value> =
                    sorted.into_iter().map(|text| json!({ "embedding": own(text) })).collect();
                Reply::Json(200, json!({ "data": data }))
            },
            "in another order",
        ),
        (
            "every number is 0",
            |texts| {
                let data: Vec<Value> = texts.iter().map(|text| item(0, &own(text))).collect();
                Reply::Json(200, json!({ "data": data }))
            },
            "two embeddings of number 0",
        ),
        (
            "one text a request",
            |texts| match texts {
                [text] => Reply::Json(200, json!({ "data": [item(0, &own(text))] })),
                _ => Reply::Json(422, json!({ "error": "batch size 3 > maximum allowed batch size 1" })),
            },
            "maximum allowed batch size 1",
        ),
    ];
    for (name, answer, remark) in cases {
        let stub = Stub::start(move |asked| match asked.path.as_str() {
            "/v1/embeddings" => answer(asked.body["input"].as_array().unwrap()),
            _ => well_behaved(asked),
        });
        let options = EmbedOptions { precision: Precision::F32, ..EmbedOptions::default() };
        let embed = RemoteEmbed::new(&endpoint(&stub.url()), &impatient(), &options).unwrap();
        assert!(embed.remarks().join(" ").contains(remark), "{name}: {:?}", embed.remarks());
        let texts = ["a longer text than others", "short", "of medium length"];
        let batch = embed.annotate(DocumentBatch::from_texts(texts).as_arrow()).unwrap();
        for (at, text) in texts.iter().enumerate() {
            let list = batch.column(0).as_fixed_size_list().value(at);
            let got = list.as_primitive::<Float32Type>().values().to_vec();
            let raw = crate::stub::embedding(&json!(text).to_string());
            let norm = raw.iter().map(|value| value * value).sum::<f64>().sqrt();
            for (got, raw) in got.iter().zip(raw) {
                assert!((f64::from(*got) - raw / norm).abs() < 1e-6, "{name}: {text}");
            }
        }
    }
}
