//! Judges and embedders behind a server, from the command line.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::world::{Run, World};

#[path = "../../../tamis-remote/tests/it/stub.rs"]
#[expect(dead_code, reason = "the tests of the clients need more of it")]
mod stub;

use stub::{Reply, Stub, completion, well_behaved};

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

/// A server that fails on documents with an odd number while it is broken.
fn breakable() -> (Stub, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&broken);
    let stub = Stub::start(move |asked| {
        let odd = asked.text().bytes().map(u32::from).sum::<u32>() % 2 == 1;
        let own = asked.text().contains("Document 1") && asked.path == "/v1/completions";
        if now.load(Ordering::SeqCst) && odd && own {
            return Reply::Json(200, completion(asked, &[("<think>", 0.9), ("x", 0.05)]));
        }
        well_behaved(asked)
    });
    (stub, broken)
}

#[test]
fn failed_rows_of_a_mended_server_are_asked_again() {
    let world = World::with_corpus();
    let (stub, broken) = breakable();
    let command =
        format!("score ask-llm corpus --run run --prompt paper --max-failed 50% --model {}#fake", stub.url());
    let (code, first) = world.json(&command);
    let failed = first["failed_by_reason"]["no-answer-shown"].as_u64().unwrap();
    assert!(code == 0 && failed > 3, "{first:#}");
    assert_eq!((first["asked_again"].as_u64(), first["mended"].as_u64()), (Some(0), Some(0)));
    world.ok("select --by ask-llm --rate 20% --run run --out kept --name mine --max-failed 50%");
    let before = world.all_files("run");

    let planned = world.ok(&format!("{command} --retry-failed --dry-run"));
    assert!(
        planned.stdout.contains(&format!("{failed} rows without a value would be asked again")),
        "{planned:#?}"
    );
    assert!(!world.ok(&format!("{command} --dry-run")).stdout.contains("asked again"));

    broken.store(false, Ordering::SeqCst);
    let mended = world.ok(&format!("{command} --retry-failed"));
    let told = format!("{failed} rows were asked again, {failed} of them have a value now");
    assert!(mended.stdout.contains(&told), "{mended:#?}");
    let after = world.all_files("run");
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "a file was rewritten");
    let (_, planned) = world.json(&format!("{command} --retry-failed --dry-run"));
    assert_eq!(planned["signal"]["rows_to_ask_again"].as_u64(), Some(0), "{planned:#}");

    // The same selection, by name or by folder, would be another one now.
    world.refuses(
        "select --by ask-llm --rate 20% --run run --out kept --name mine",
        1,
        &["by.generations", "--name"],
    );
    let (code, selected) = world.json("select --by ask-llm --rate 20% --run run --out again");
    assert_eq!((code, selected["failed"].as_u64()), (0, Some(0)), "{selected:#}");
    world.ok("why d0-1 --run run");
    world.ok("show --run run --top 3 --by ask-llm");
    world.refuses(
        "select --by random --rate 20% --run run --out other --retry-failed",
        2,
        &["--retry-failed"],
    );
    world.refuses("score ask-llm --run run --sample 10% --retry-failed", 2, &["--sample"]);
}

#[test]
fn selecting_asks_again_by_the_settings_that_the_signal_was_begun_with() {
    let world = World::with_corpus();
    let (stub, broken) = breakable();
    let command =
        format!("score ask-llm corpus --run run --prompt paper --max-failed 50% --model {}#fake", stub.url());
    let (_, first) = world.json(&command);
    assert!(first["failed"].as_u64().unwrap() > 3, "{first:#}");
    broken.store(false, Ordering::SeqCst);
    let (code, selected) = world.json("select --by ask-llm --rate 20% --run run --out kept --retry-failed");
    assert_eq!((code, selected["failed"].as_u64()), (0, Some(0)), "{selected:#}");
    // By its full name as well, where there is nothing left to ask.
    let name = selected["by"].as_str().unwrap();
    world.ok(&format!("select --by {name} --rate 30% --run run --out more --retry-failed"));
}

#[test]
fn server_that_thinks_first_is_refused_before_the_first_document() {
    let world = World::with_corpus();
    let stub = Stub::start(|asked| match asked.path.as_str() {
        "/v1/completions" => Reply::Json(200, completion(asked, &[("<think>", 0.98), ("\n", 0.01)])),
        _ => well_behaved(asked),
    });
    let command = format!("score ask-llm corpus --run run --model {}#fake", stub.url());
    world.refuses(&command, 1, &["no spelling of yes or no", "`<think>` 9.80e-1", "thinks first", "--chat"]);
    assert!(stub.asked().len() < 20, "documents were sent");
    // The remedy of the hint.
    world.ok(&format!("{command} --chat"));
}
