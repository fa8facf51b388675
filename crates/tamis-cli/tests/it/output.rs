//! What is printed where: tables and objects on standard output, all else on standard error, secrets nowhere.

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;

use crate::world::{Run, World};

#[test]
fn a_selection_reads_well() {
    let world = World::with_corpus();
    let run = world.ok("select corpus --by column:q --rate 10%,20% --out kept");
    insta::assert_snapshot!("select", run.transcript());
    insta::assert_snapshot!("show", world.ok("show --run kept/.tamis --top 2 --characters 60").transcript());
    insta::assert_snapshot!("why_kept", world.ok("why d0-30 --run kept/.tamis").transcript());
    insta::assert_snapshot!("why_dropped", world.ok("why s1.jsonl:1 --run kept/.tamis").transcript());
}

#[test]
fn bad_input_reads_well() {
    let world = World::with_corpus();
    world.write(
        "corpus/bad.jsonl",
        "{\"id\": \"x\"\n{\"id\": \"y\", \"text\": \"\"}\n{\"id\": \"d1-1\", \"text\": \"again\"}\n",
    );
    insta::assert_snapshot!(
        "bad_rows",
        world.run("select corpus --by random --rate 10% --out kept").transcript()
    );
    insta::assert_snapshot!(
        "unknown_signal",
        world.run("select corpus --by denisty --rate 10% --out kept2").transcript()
    );
}

#[test]
fn json_is_one_object_with_the_promised_fields() {
    let world = World::with_corpus();
    let (code, report) = world.json("select corpus --by random --rate 10%,50% --out kept");
    assert_eq!(code, 0);
    for field in ["documents_in", "kept", "dropped", "failed", "tokens", "seconds", "selections"] {
        assert!(report.get(field).is_some(), "{field} in {report:#}");
    }
    let selections = report["selections"].as_array().unwrap();
    assert_eq!(selections.len(), 2);
    assert_eq!(
        (selections[0]["documents"].as_u64(), selections[1]["documents"].as_u64()),
        (Some(12), Some(60))
    );
    assert_eq!(report["kept"], 60);
    assert!(report["tokens"].is_null() && report["seconds"].as_f64().unwrap() > 0.0);
    let (_, why) = world.json("why d1-1 --run kept/.tamis");
    assert_eq!((why["shard"].as_str(), why["line"].as_u64()), (Some("s1.jsonl"), Some(2)));
    let (_, score) = world.json("score column:q --run kept/.tamis");
    assert_eq!((score["documents_in"].as_u64(), score["computed"].as_u64()), (Some(120), Some(120)));
    let (_, show) = world.json("show --run kept/.tamis --top 3");
    assert_eq!(show["shown"].as_array().unwrap().len(), 3);
    let (_, models) = world.json("models list");
    assert!(models["models"].as_array().unwrap().len() >= 2);
}

#[test]
fn errors_are_objects_too() {
    let world = World::with_corpus();
    for (arguments, code, message) in [
        ("select corpus --by random --rate 0 --out kept", 2, "keeps nothing"),
        ("select nowhere --by random --rate 10% --out kept", 1, "nowhere"),
        ("why x --run nowhere", 1, "not a run directory"),
    ] {
        let (found, error) = world.json(arguments);
        assert_eq!(found, code);
        assert!(error["error"].as_str().unwrap().contains(message) && error["hint"].is_string(), "{error:#}");
    }
}

#[test]
fn progress_away_from_a_terminal_is_plain_lines_on_standard_error() {
    let world = World::with_corpus();
    let run = world.ok("select corpus --by column:q --rate 10% --out kept");
    assert!(!run.stderr.contains(['\r', '\x1b']), "{:?}", run.stderr);
    assert!(run.stderr.lines().count() <= 8, "{}", run.stderr);
    assert!(run.stderr.contains("read corpus") && run.stderr.contains("120 documents"), "{}", run.stderr);
    assert!(!run.stdout.contains("read corpus"));
    let quiet = world.ok("select corpus --by column:q --rate 10% --out kept --quiet");
    assert_eq!(quiet.stderr, "");
    assert!(quiet.stdout.contains("12 kept"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let world = World::with_corpus();
    world.ok("score column:q corpus --run run");
    for arguments in
        ["show --run run -n 120 --characters 2000", "--help", "models list", "why d1-1 --run run --json"]
    {
        let mut command = world.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Closed before anything can be written.
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        child.wait().unwrap();
        assert!(!stderr.contains("panicked"), "{arguments}: {stderr}");
    }
}

#[test]
fn secrets_are_in_no_file_and_no_message() {
    let world = World::with_corpus();
    let secrets = ["sk-0123456789abcdefghij", "hunter2hunter2", "S1GNATURE"];
    let run = |arguments: &str| {
        let mut command = world.command(arguments);
        command.env("OPENAI_API_KEY", secrets[0]).env("DB_PASSWORD", secrets[1]);
        let run = Run::of(&mut command);
        for secret in secrets {
            assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{arguments}: {run:#?}");
        }
        run
    };
    assert_eq!(run("select corpus --by random --rate 10% --run run --namespace plain --name mine").code, 0);
    // As a value where it does not belong, in the user part and in the query of a URL.
    run("select corpus --by ask-llm --model hunter2hunter2 --rate 10% --run run --namespace plain");
    run("select corpus --by random --rate 10% --run run --veto sk-0123456789abcdefghij --namespace plain");
    run(
        "select https://me:hunter2hunter2@127.0.0.1:1/c/?X-Amz-Signature=S1GNATURE --by random --rate 10% --run run2",
    );
    run(
        "select s3://me:hunter2hunter2@bucket/c/?X-Amz-Signature=S1GNATURE --by random --rate 10% --run run2",
    );
    run("select file:///nowhere/c?sig=S1GNATURE --by random --rate 10% --run run2");
    let mut looked_at = 0;
    for folder in ["run", "run2"] {
        if !world.exists(folder) {
            continue;
        }
        for (path, bytes) in world.all_files(folder) {
            let text = String::from_utf8_lossy(&bytes);
            for secret in secrets {
                assert!(!text.contains(secret), "`{path}`: {text}");
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 5);
}

#[test]
fn every_command_leaves_a_record_of_itself() {
    let world = World::with_corpus();
    world.ok("select corpus --by random --rate 10% --run run");
    world.ok("score column:q corpus --run run");
    world.write("file", "");
    world.says("select corpus --by column:q --rate 10% --run run --out file", 1, &["error: "]);
    let records: Vec<Value> =
        world.files("run/audit").values().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect();
    assert_eq!(records.len(), 3);
    assert_eq!(records[0]["outcome"], "done");
    assert!(records[0]["changed"][0].as_str().unwrap().contains("selected 12 documents"));
    assert_ne!(records[2]["outcome"], "done");
    assert_eq!(records[1]["arguments"][1], "score");
}
