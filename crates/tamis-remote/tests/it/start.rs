//! What is said before any work.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;
use tamis_models::prompt::Rendering;
use tamis_remote::{EmbedOptions, Endpoint, Error, JudgeOptions, RemoteEmbed, RemoteJudge, ServerOptions};

use crate::stub::{Reply, Stub, completion, well_behaved};
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
