//! Secrets of the environment and of the command line: whatever is run, and however it fails, they are in no output and no file.

use std::process::Stdio;

use crate::world::{Run, World, fixture};

/// Variables that hold secrets, as the programs of others name them.
const SECRETS: [(&str, &str); 9] = [
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI-K7MDENG-bPxRfiCY1"),
    ("AWS_SESSION_TOKEN", "FwoGZXIvYXdzEBYaDHqa0AP2session"),
    ("HF_TOKEN", "hf_AbCdEfGhIjKlMnOpQrStUvWx2"),
    ("OPENAI_API_KEY", "sk-proj-abcdefghijklmnop3"),
    ("AZURE_STORAGE_ACCOUNT_KEY", "Eby8vdM02xNOcqFlqUwJPLlmEtl4=="),
    ("GOOGLE_APPLICATION_CREDENTIALS_JSON_SECRET", "private-key-of-google-5"),
    ("DB_PASSWORD", "correct-horse-battery-6"),
    ("TAMIS_REMOTE_KEY", "remote-key-of-tamis-7"),
    ("SERVICE_AUTH", "basic-dXNlcjpwYXNz-8"),
];

/// Passwords and signatures that stand on the command line, inside URLs and options.
const ON_THE_LINE: [&str; 5] =
    ["pass-in-url-1", "0badsignature2", "query-token-3", "sas-signature-4", "pw-of-model-5"];

/// What is run, and with which exit code: what works, and what fails in every place that a secret can get into.
fn commands() -> Vec<(String, i32)> {
    let secret = |at: usize| SECRETS[at].1;
    let judge = fixture("gguf_tiny.gguf").display().to_string();
    let works = |arguments: String| (arguments, 0);
    let fails = |arguments: String| (arguments, 1);
    let wrong = |arguments: String| (arguments, 2);
    vec![
        works("select corpus --by column:q --rate 10% --run run --out kept".to_owned()),
        works(format!("score ask-llm corpus --run run --model {judge} --prompt prompt.txt --dtype f32")),
        works("why d1-3 --run run".to_owned()),
        works("show --run run --by column:q".to_owned()),
        fails("select s3://user:pass-in-url-1@bucket/corpus --by random --rate 10% --run r1".to_owned()),
        fails(
            "score column:q https://host.invalid/a.jsonl?X-Amz-Signature=0badsignature2&token=query-token-3 --run r2"
                .to_owned(),
        ),
        fails("score column:q az://container/x?sig=sas-signature-4 --run r3".to_owned()),
        fails(format!("score ask-llm corpus --run run --model https://me:pw-of-model-5@host.invalid/{}", secret(3))),
        fails(format!("score ask-llm corpus --run run --model {}/model.gguf", secret(0))),
        fails(format!("score ask-llm corpus --run run --model {judge} --prompt {}/prompt.txt", secret(2))),
        wrong(format!("select corpus --by {} --rate 10% --run run", secret(6))),
        fails(format!("select corpus --by random --rate 10% --run run --veto {}", secret(1))),
        wrong(format!("why {} --run run", secret(4))),
        fails(format!("select {} --by random --rate 10% --run r4", secret(5))),
        wrong(format!("select corpus --by column:{} --rate 10% --run run", secret(8))),
        fails("select corpus --by random --rate 10% --run run --out file".to_owned()),
        wrong(format!("score --api-key {} corpus", secret(3))),
        wrong(format!("score column:q corpus --threads {}", secret(7))),
    ]
}

#[test]
fn a_secret_is_in_no_file_no_log_and_no_error() {
    let world = World::with_corpus();
    world.write("prompt.txt", "{document}\nGood? yes or no:");
    world.write("file", "x");
    let secrets: Vec<&str> = SECRETS.iter().map(|(_, value)| *value).chain(ON_THE_LINE).collect();
    let mut ran = 0;
    for (arguments, code) in commands() {
        for json in ["", " --json"] {
            let mut command = world.command(&format!("{arguments}{json}"));
            command.envs(SECRETS).env("RUST_BACKTRACE", "1").stdin(Stdio::null());
            // Models are never fetched here: no network, and no cache of others.
            command.env("TAMIS_CACHE", world.path("cache")).env("HF_HUB_OFFLINE", "1");
            let run = Run::of(&mut command);
            let said = format!("{}{}", run.stdout, run.stderr);
            let told: Vec<_> = secrets.iter().filter(|secret| said.contains(**secret)).collect();
            assert!(told.is_empty(), "tamis {arguments}: {told:?} in the output\n{run:#?}");
            assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
            // The second time, with --json, a selection stands already.
            assert!(run.code == code || (code > 0 && run.code > 0), "tamis {arguments}: {run:#?}");
            ran += 1;
        }
    }
    assert!(ran > 30);
    let mut audited = 0;
    for (name, bytes) in world.all_files("") {
        let text = String::from_utf8_lossy(&bytes);
        for secret in &secrets {
            assert!(!text.contains(secret), "`{secret}` is in {name}");
        }
        audited += usize::from(name.contains("audit/") && text.contains("[redacted]"));
    }
    assert!(audited >= 4, "only {audited} records have something redacted");
}
