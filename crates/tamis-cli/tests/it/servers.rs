//! Judges and embedders behind a server, from the command line.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::world::{Run, World};

#[path = "../../../tamis-remote/tests/it/stub.rs"]
#[expect(dead_code, reason = "the tests of the clients need more of it")]
mod stub;

use stub::{Reply, Stub, well_behaved};

/// The sidecars of a run's one signal.
fn sidecars(world: &World, run: &str) -> Vec<(String, Vec<u8>)> {
    let files = world.files(&format!("{run}/signals"));
    files.into_iter().filter(|(name, _)| name.ends_with(".parquet")).collect()
}

#[test]
fn server_judges_and_embeds_like_any_model() {
    let world = World::with_corpus();
    let stub = Stub::start(well_behaved);
    let model = format!("{}/v1#fake", stub.url());
    let (code, scored) =
        world.json(&format!("score ask-llm corpus --run run --model {model} --concurrency 3"));
    assert_eq!((code, scored["computed"].as_u64(), scored["failed"].as_u64()), (0, Some(120), Some(0)));
    assert!(scored["tokens"].as_u64().unwrap() > 1000);
    let record = String::from_utf8(
        world.files("run/signals").into_iter().find(|(name, _)| name.ends_with("signal.json")).unwrap().1,
    )
    .unwrap();
    for recorded in [
        "batch-variant",
        &stub.url(),
        "server:fake",
        "top 20, temperature 0",
        "/v1/completions",
        "characters",
    ] {
        assert!(record.contains(recorded), "{recorded}");
    }
    // What is there is not asked for again, and nothing needs to be named again.
    let asked = stub.asked().len();
    let (code, selected) = world.json("select --by ask-llm --rate 20% --run run --out kept");
    assert_eq!((code, selected["kept"].as_u64(), stub.asked().len()), (0, Some(24), asked));
    let why = world.ok("why d0-1 --run run");
    assert!(why.stdout.contains("ask-llm"), "{}", why.stdout);
    let (code, selected) = world
        .json(&format!("select corpus --by density --embedder {model} --rate 10% --run run --out spread"));
    assert_eq!((code, selected["kept"].as_u64()), (0, Some(12)));
    let shown = world.ok(&format!("score ask-llm corpus --model {model} --show-prompt d0-1 --prompt paper"));
    assert!(shown.stdout.contains("Document 1 of 0") && shown.stdout.contains("informative signal"));
}

#[test]
fn key_comes_from_the_environment_and_is_written_nowhere() {
    const KEY: &str = "sk-never-to-be-seen";
    let world = World::with_corpus();
    let stub = Stub::start(|asked| match asked.header("authorization") {
        Some("Bearer sk-never-to-be-seen") => well_behaved(asked),
        other => Reply::Json(401, json!({ "error": { "message": format!("wrong key: {other:?}") } })),
    });
    let command = format!("score ask-llm corpus --run run --model {}#fake", stub.url());
    let refused = world.run(&command);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("TAMIS_API_KEY") && refused.stderr.contains("status 401"),
        "{refused:#?}"
    );
    // The key of OpenAI is not shown to anybody else.
    assert_eq!(Run::of(world.command(&command).env("OPENAI_API_KEY", KEY)).code, 1);
    let run = Run::of(world.command(&command).env("TAMIS_API_KEY", KEY));
    assert_eq!(run.code, 0, "{run:#?}");
    let wrong = Run::of(
        world
            .command(&format!("{command} --beside --prompt few-shot"))
            .env("TAMIS_API_KEY", "sk-other-secret"),
    );
    assert_eq!(wrong.code, 1);
    assert!(!wrong.stderr.contains("sk-other-secret") && wrong.stderr.contains("***"), "{}", wrong.stderr);
    for (name, bytes) in world.all_files("run") {
        for key in [KEY, "sk-other-secret"] {
            assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "{name}");
        }
    }
    assert!(!format!("{run:?}").contains(KEY));
    assert!(stub.asked().iter().any(|asked| asked.path == "/v1/completions"));
}

#[test]
fn server_that_is_down_or_misnamed_is_told_before_any_work() {
    let world = World::with_corpus();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.refuses(
        &format!("score ask-llm corpus --run run --model http://{free}/v1#m"),
        1,
        &[&free.to_string(), "start the server"],
    );
    world.refuses(
        &format!("select corpus --by density --embedder http://{free} --rate 10% --run run --out kept"),
        1,
        &["start the server"],
    );
    assert!(world.all_files("run").keys().all(|name| !name.ends_with(".parquet")), "work was done");
    let stub = Stub::start(well_behaved);
    let url = stub.url();
    let host = url.trim_start_matches("http://");
    world.refuses(
        &format!("score ask-llm corpus --run run --model http://me:hunter2@{host}"),
        2,
        &["user and password", "TAMIS_API_KEY"],
    );
    world.refuses(
        &format!("score ask-llm corpus --run run --model {url}"),
        2,
        &["several models", "`fake`, `other`"],
    );
    world.refuses(&format!("score ask-llm corpus --run run --model {url}#fake --dtype f32"), 2, &["--dtype"]);
    world.refuses(
        &format!("score ask-llm corpus --run run --model {url}#fake --long windows"),
        2,
        &["windows"],
    );
    world.refuses("score ask-llm corpus --run run --server-model fake", 2, &["options for a server"]);
    world.refuses(
        &format!("score ask-llm corpus --run run --model {url} --server-model fake --max-document-tokens 9"),
        2,
        &["--tokenizer"],
    );
    for (name, bytes) in world.all_files("run") {
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{name}");
    }
}

#[test]
fn server_that_dies_midway_costs_nothing_that_was_scored() {
    let world = World::new();
    // Several parts a shard: about 64 KB of text each.
    for shard in 0..2 {
        let line = |at: usize| {
            json!({ "id": format!("{shard}-{at}"), "text": format!("{at} {}", "word ".repeat(400)) })
                .to_string()
        };
        world
            .write(&format!("corpus/s{shard}.jsonl"), (0..150).map(|at| line(at) + "\n").collect::<String>());
    }
    let healthy = Stub::start(well_behaved);
    world.ok(&format!("score ask-llm corpus --run whole --model {}#fake", healthy.url()));

    let count = AtomicUsize::new(0);
    let dying = Stub::start(move |asked| match asked.path.as_str() {
        "/v1/completions" if count.fetch_add(1, Ordering::SeqCst) > 200 => Reply::Close,
        _ => well_behaved(asked),
    });
    let command = |stub: &Stub| {
        format!("score ask-llm corpus --run run --retries 1 --concurrency 2 --model {}#fake", stub.url())
    };
    let died = world.run(&command(&dying));
    assert_eq!(died.code, 1, "{died:#?}");
    assert!(
        died.stderr.contains(&dying.url()) && died.stderr.contains("nothing that was scored is lost"),
        "{died:#?}"
    );

    // The server came back elsewhere: the same model there goes on with what is left.
    let (code, rest) = world.json(&command(&healthy));
    let computed = rest["computed"].as_u64().unwrap();
    assert_eq!((code, rest["documents"].as_u64()), (0, Some(300)));
    assert!(computed < 300 && computed > 50, "{computed}");
    let (resumed, whole) = (sidecars(&world, "run"), sidecars(&world, "whole"));
    assert!(!whole.is_empty() && resumed == whole, "a resumed run differs");
}
