//! What is asked for and could have no effect is refused before any work; what is planned is what is done.

use serde_json::Value;

use crate::world::{World, fixture};

#[test]
fn flags_of_other_signals_are_refused() {
    let world = World::with_corpus();
    for (arguments, words) in [
        (
            "score counts corpus --hashes 12 --run run",
            ["`--hashes` says nothing to `counts`", "it is for density"],
        ),
        (
            "select corpus --by random --rate 10% --hashes 12 --out kept",
            ["`--hashes` says nothing to `random`", "density"],
        ),
        ("score column:q corpus --chat --run run", ["`--chat`", "ask-llm"]),
        (
            "score counts corpus --worker 1/2 --wait --run run",
            ["`--wait` says nothing to `counts`", "density"],
        ),
        ("score counts corpus --refit --run run", ["`--refit`", "density"]),
        ("score counts corpus --sample 1% --run run", ["`--sample`", "ask-llm"]),
        ("score perplexity corpus --embedder minilm --run run", ["`--embedder`", "embed, density"]),
        ("score embed corpus --top-logprobs 5 --run run", ["`--top-logprobs`", "ask-llm"]),
        (
            "score counts corpus --tokenizer smollm2 --run run",
            ["`--tokenizer` says nothing to `counts`", "tokens"],
        ),
        (
            "score ask-llm corpus --tokenizer smollm2 --run run",
            ["`smollm2` is loaded here", "behind a server"],
        ),
        ("score ask-llm corpus --concurrency 16 --run run", ["`--concurrency` is for a server", "http://"]),
        ("select corpus --by ask-llm --retries 2 --rate 10% --out kept", ["`--retries`", "http://"]),
        ("models check smollm2 --request-timeout 5", ["`--request-timeout`", "http://"]),
        ("models check smollm2 --tokenizer minilm", ["`--tokenizer`", "http://"]),
        ("score density corpus --run run --preset literal --hashes 5", ["one hash a row", "--hashes"]),
        ("score density corpus --run run --preset literal --kernel cosine", ["l2 sketch", "--kernel"]),
        ("score density corpus --run run --kernel cosine --bandwidth 2", ["no bandwidth", "--bandwidth"]),
        (
            "score density corpus --run run --buckets 1000000 --sketch-memory 1GB",
            ["4000000000 bytes, --sketch-memory allows 1000000000", "--buckets"],
        ),
        ("score perplexity corpus --run run --engine candle --dtype bf16", ["computes in f32", "--dtype"]),
        ("score embed corpus --run run --device cuda --dtype int8", ["computes in f32", "--dtype"]),
        ("score density corpus --run run --kernel cosine --preset literal", ["l2 sketch", "--kernel"]),
        (
            "score counts corpus --run run --max-line-bytes 5000000000",
            ["`--max-line-bytes 5000000000`", "1073741824"],
        ),
        ("train-ngram corpus --out m.arpa --max-line-bytes 0", ["`--max-line-bytes 0`", "1073741824"]),
        (
            "select corpus --by random --rate 10% --run run --out kept --decide-only",
            ["nothing goes to `--out kept`", "--decide-only"],
        ),
    ] {
        world.refuses(arguments, 2, &words);
        assert!(!world.exists("run") && !world.exists("kept"), "{arguments}");
    }
    for (arguments, word) in [
        ("score ask-llm corpus --run run --sample-seed 3", "--sample"),
        ("show --run run --top 3 -n 5", "--number"),
        ("show --run run --disagree a,b --by c", "--by"),
    ] {
        world.says(arguments, 2, &[word]);
    }
    // Numbers that make no sketch are told before anything is embedded, or read.
    world.says("score density corpus --run run --hashes 65", 2, &["`hashes` is 65, expected 1 to 64"]);
    assert!(!world.exists("run/inventory"));
    // What says something to a signal stays.
    world.ok("score counts corpus --run run --worker 1/2 --beside --max-failed 5%");
    world.ok("select corpus --by random --rate 10% --seed 3 --rule random --out kept --decide-only");
    world.refuses(
        "select corpus --by counts@00000000 --rate 5% --run run --retries 2",
        2,
        &["settings of its own"],
    );
}

#[test]
fn a_run_and_kept_documents_have_folders_of_their_own() {
    let world = World::with_corpus();
    let select = |places: &str| format!("select corpus --by random --rate 10% {places}");
    for places in [
        "--run both --out both",
        "--run both --out ./x/../both",
        "--run both --out both/kept",
        "--run both/run --out both",
    ] {
        world.refuses(&select(places), 2, &["--run `both", "--out `"]);
        assert!(!world.exists("both"), "{places}");
    }
    world.ok(&select("--run run --out kept"));
    world.refuses(&select("--run other --out run"), 2, &["is a run directory", "another folder"]);
    world.refuses("score counts corpus --run kept", 2, &["among the kept documents", "kept/.tamis"]);
    world.refuses("score counts corpus --run kept/run", 2, &["among the kept documents", "kept/.tamis"]);
    assert!(!world.exists("kept/run.json") && !world.exists("other"));
    // The remedies work.
    world.ok("score counts corpus --run kept/.tamis");
    world.ok(&select("--out alone"));
    world.ok("select corpus/*.jsonl --by random --rate 10% --run run2 --out corpus/.kept");
    world.refuses(
        "select corpus/** --by random --rate 10% --run run3 --out corpus/kept",
        2,
        &["where the corpus `corpus/**` is read", "does not match"],
    );
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(world.path("corpus"), world.path("link")).unwrap();
        world.refuses(&select("--run run4 --out link/kept"), 2, &["inside the corpus"]);
        std::os::unix::fs::symlink(world.path("run"), world.path("run-link")).unwrap();
        world.refuses(&select("--run run --out run-link"), 2, &["are one folder"]);
        world.refuses("train-ngram link --out corpus/m.arpa", 2, &["inside the corpus"]);
    }
}

#[test]
fn a_dry_run_refuses_what_the_run_would_refuse() {
    let world = World::with_corpus();
    world.ok("score counts corpus --run stored");
    for (arguments, words) in [
        ("score column:nope corpus --run run", "no document has a column `nope`"),
        ("score counts corpus --carry nope --run run", "no document has a column `nope`"),
        ("score counts corpus --text nope --run run", "no row has the column `--text nope`"),
        ("score density corpus --hashes 65 --run run", "`hashes` is 65"),
        ("select corpus --by column:nope --rate 10% --run run", "no document has a column `nope`"),
        (
            "select corpus --by column:q --stratum nope --rate 10% --run run",
            "no document has a column `nope`",
        ),
        ("select corpus --by column:q --veto absent.txt --rate 10% --run run", "veto file `absent.txt`"),
        ("select corpus --by random --rule band --rate 10% --run run", "rule `band` needs a score"),
        ("select corpus --by random --tokens 100 --run run", "needs a tokenizer"),
        (
            "select corpus --by column:q --rule top --around 30% --rate 10% --run run",
            "belong to the rule `band`",
        ),
        ("select corpus --by counts.nope --rate 10% --run stored", "`nope`"),
        ("select corpus --by counts.nope --rate 10% --run run", "`nope`"),
        ("select corpus --by column:q.nope --rate 10% --run run", "q.nope"),
    ] {
        for dry in ["", " --dry-run"] {
            world.refuses(&format!("{arguments}{dry}"), 2, &[words]);
        }
        assert!(!world.exists("run/inventory"), "{arguments}");
    }
    // Names and folders of other selections, shards that are gone, and names that mean no model.
    let select = "select corpus --by random --seed 9 --run stored";
    world.ok(&format!("{select} --name mine --rate 20% --out kept"));
    let gone = world.read("corpus/s2.jsonl");
    std::fs::remove_file(world.path("corpus/s2.jsonl")).unwrap();
    for dry in ["", " --dry-run"] {
        world.refuses(
            &format!("score counts corpus --run stored{dry}"),
            1,
            &["shard `s2.jsonl` has vanished"],
        );
        world.refuses(&format!("{select} --rate 5%{dry}"), 1, &["shard `s2.jsonl` has vanished"]);
    }
    world.write("corpus/s2.jsonl", gone);
    for dry in ["", " --dry-run"] {
        world.refuses(&format!("{select} --rate 30% --out kept{dry}"), 1, &["holds another selection"]);
        world.refuses(&format!("{select} --rate 30% --name mine{dry}"), 1, &["exists with other content"]);
        world.refuses(&format!("{select} --rate 30% --tokenizer x{dry}"), 2, &["model `x`"]);
        world.refuses(&format!("score embed corpus --embedder x --run stored{dry}"), 2, &["model `x`"]);
    }
    world.says("score ngram corpus --ngram nowhere.arpa --run stored --dry-run", 1, &["nowhere.arpa"]);
    // What the inventories tell, where they are there.
    for shard in 0..2 {
        let lines: String = (0..40)
            .map(|at| format!("{{\"id\": {at}, \"text\": \"{at} of {shard}\", \"none\": null}}\n"))
            .collect();
        world.write(&format!("ids/s{shard}.jsonl"), lines);
    }
    world.ok("score counts ids --run ids-run");
    for dry in ["", " --dry-run"] {
        world.refuses(
            &format!("select ids --by random --rate 10% --run ids-run{dry}"),
            1,
            &["the ids do not name documents"],
        );
    }
    // One that was touched is compared before anything else.
    let shard = std::fs::OpenOptions::new().write(true).open(world.path("corpus/s1.jsonl")).unwrap();
    shard.set_modified(std::time::UNIX_EPOCH).unwrap();
    let planned = world.json(&format!("{select} --rate 5% --dry-run")).1;
    assert_eq!(planned["touched_shards"], 2, "and one that was written anew");
    // What would be read once more is said.
    let planned = "select corpus --by counts.words --stratum meta.score --rate 10% --run stored --dry-run";
    assert!(
        world.ok(planned).stdout.contains("column meta.score: the corpus would be read for it once more")
    );
    assert_eq!(world.json(planned).1["columns_to_carry"], serde_json::json!(["meta.score"]));
    world.ok("select corpus --by counts.words --stratum meta.score --rate 10% --run stored");
    assert_eq!(world.json(planned).1["columns_to_carry"], serde_json::json!([]));
}

/// What a plan says of the signal and, first, of what it needs: standing and documents.
fn planned(plan: &Value) -> Vec<(String, String, u64)> {
    let of = |signal: &Value| {
        let text = |field: &str| signal[field].as_str().unwrap().to_owned();
        (text("name"), text("standing"), signal["documents_to_compute"].as_u64().unwrap())
    };
    plan["needs"].as_array().unwrap().iter().chain([&plan["signal"]]).map(of).collect()
}

#[test]
fn a_dry_run_says_what_the_run_then_does() {
    let world = World::with_corpus();
    world.write("p.txt", "{document}\nGood? yes or no:");
    world.write("q.txt", "{document}\nUseful? yes or no:");
    let judge = fixture("gguf_tiny.gguf").display().to_string();
    let ask = |prompt: &str, more: &str| {
        format!("score ask-llm corpus --run run --model {judge} --prompt {prompt}.txt --dtype f32 {more}")
    };
    // The command; whether it is refused; how the signal stands; documents to compute; whether it is done then.
    let mut before: Option<std::collections::BTreeMap<String, Vec<u8>>> = None;
    for (command, standing, documents) in [
        (ask("p", "--worker 2/3"), "new", 0),
        ("select corpus --by random --rate 10% --run run".to_owned(), "none", 0),
        (ask("p", "--worker 1/3 --threads 1"), "continues", 40),
        (ask("p", "--worker 2/3"), "continues", 0),
        (ask("q", ""), "refused", 120),
        (ask("p", "--max-document-tokens 20"), "refused", 120),
        (ask("p", ""), "continues", 40),
        (ask("p", ""), "continues", 0),
        (ask("p", "--worker 1/3"), "continues", 0),
        (ask("q", "--beside --worker 3/3"), "beside", 40),
        (ask("q", "--beside"), "continues", 80),
        (ask("q", ""), "continues", 0),
        ("score counts corpus --run run".to_owned(), "new", 120),
        ("score counts corpus --run run --beside".to_owned(), "continues", 0),
        ("score column:q corpus --run run".to_owned(), "new", 120),
        ("select corpus --by column:q --rate 5% --run run".to_owned(), "continues", 0),
        ("select corpus --by column:meta.score --rate 5% --run run".to_owned(), "new", 120),
    ] {
        let (code, plan) = world.json(&format!("{command} --dry-run"));
        assert_eq!(code, 0, "{plan:#}");
        let count = |name: &str| plan["signal"][name].as_u64().unwrap_or(0);
        assert_eq!(count("documents_to_compute") > 0, count("text_bytes_to_compute") > 0, "{plan:#}");
        if let Some(before) = &before {
            assert_eq!(&world.all_files("run"), before, "a dry run wrote something: {command}");
        }
        let (code, report) = world.json(&command);
        if standing == "none" {
            assert!(plan["signal"].is_null() && code == 0, "{plan:#}");
        } else {
            let said = planned(&plan).pop().unwrap();
            // Shards that nobody read are told apart: no one knows their documents.
            let unread = plan["unread_shards"].as_u64().unwrap();
            assert_eq!((said.1.as_str(), said.2), (standing, documents), "{command}: {plan:#}");
            assert_eq!(code == 1, standing == "refused", "{command}: {report:#}");
            if unread == 0 && standing != "refused" && report["computed"].is_u64() {
                assert_eq!(report["computed"], documents, "{command}: {report:#}");
            }
        }
        before = Some(world.all_files("run"));
    }
    // Two are stored: the name alone says neither, to the plan and to the run.
    let select = "select corpus --by ask-llm --rate 5% --run run";
    let refused = world.run(&format!("{select} --dry-run"));
    assert_eq!((refused.code, world.run(select).code), (2, 2), "{refused:#?}");
    let text = world.ok(&format!("{} --dry-run", ask("p", "--long windows"))).stdout;
    assert!(
        text.contains("would be refused without --beside")
            && text.contains("long: stored `head`, asked `windows`"),
        "{text}"
    );
}

#[test]
fn a_dry_run_of_density_counts_its_embeddings() {
    let world = World::with_corpus();
    let embedder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run_0_1/models/embedder");
    let embedder = embedder.display();
    let density = |more: &str| {
        format!(
            "score density corpus --run run --embedder {embedder} --repetitions 20 --buckets 50 --dtype f32 {more}"
        )
    };
    world.ok("select corpus --by random --rate 5% --run run");
    let plan = |command: &str| planned(&world.json(&format!("{command} --dry-run")).1);
    let line = |name: &str, standing: &str, documents: u64| (name.to_owned(), standing.to_owned(), documents);
    assert_eq!(plan(&density("")), [line("embed", "new", 120), line("density", "new", 120)]);
    world.ok(&format!("score embed corpus --run run --embedder {embedder} --dtype f32 --worker 1/3"));
    assert_eq!(plan(&density("")), [line("embed", "continues", 80), line("density", "new", 120)]);
    let (code, report) = world.json(&density(""));
    assert_eq!((code, report["computed"].as_u64()), (0, Some(120)));
    let done = [line("embed", "continues", 0), line("density", "continues", 0)];
    assert_eq!(plan(&density("")), done);
    // What was left to the rule may be named as it was chosen, and a sketch that would be the same is fitted to no end.
    let (_, _) = world.json(&density(""));
    assert_eq!(plan(&density("--refit")), done);
    assert_eq!(world.json(&density("--refit")).1["computed"], 0);
    let other = density("--hashes 31");
    assert_eq!(plan(&other), [line("embed", "continues", 0), line("density", "refused", 120)]);
    world.refuses(&other, 1, &["hashes: stored", "asked `31`"]);
    assert_eq!(
        plan(&density("--hashes 31 --beside")),
        [line("embed", "continues", 0), line("density", "beside", 120)]
    );
    let cut = density("--embed-tokens 5");
    assert_eq!(plan(&cut), [line("embed", "refused", 120), line("density", "refused", 120)]);
    assert_eq!(world.run(&cut).code, 1);
    // A shard that came later is scored against the frozen sketch, or a new one is fitted.
    world.write("corpus/z.jsonl", crate::world::shard_text(9, 5));
    world.ok("select corpus --by random --rate 50% --run run");
    assert_eq!(plan(&density("")), [line("embed", "continues", 5), line("density", "continues", 5)]);
    assert_eq!(plan(&density("--refit")), [line("embed", "continues", 5), line("density", "beside", 125)]);
    assert_eq!(world.json(&density("")).1["computed"], 5);
    assert_eq!(world.json(&density("--refit")).1["computed"], 125);
    // A selection by the name goes on with what is stored; tokens that it counts are work too.
    let select = format!(
        "select corpus --by embed.tokens --rate 5% --run run --tokenizer {}",
        fixture("gguf_tiny.gguf").display()
    );
    let plan = world.json(&format!("{select} --dry-run")).1;
    assert_eq!(planned(&plan), [line("tokens", "new", 125), line("embed", "continues", 0)]);
}
