//! Run directories: resumed, extended, and refused when what they hold would no longer be true.

use crate::world::{World, fixture, shard_text};

#[test]
fn a_changed_shard_is_named() {
    let world = World::with_corpus();
    world.ok("select corpus --by random --rate 10% --run run --out a");
    world.write("corpus/s1.jsonl", shard_text(1, 40).replace("Document 7 ", "Document X "));
    world.refuses(
        "select corpus --by random --rate 10% --run run --out b",
        1,
        &["shard `s1.jsonl` changed since it was read", "start another run directory"],
    );
    assert!(!world.exists("b"));
    // The same bytes under a new time are no change.
    world.write("corpus/s1.jsonl", shard_text(1, 40));
    world.ok("select corpus --by random --rate 10% --run run --out b");
    assert_eq!(world.files("a"), world.files("b"));
}

#[test]
fn a_vanished_shard_is_named() {
    let world = World::with_corpus();
    world.ok("select corpus --by random --rate 10% --run run --out a");
    std::fs::remove_file(world.path("corpus/s2.jsonl")).unwrap();
    world.refuses(
        "select corpus --by random --rate 10% --run run --out b",
        1,
        &["shard `s2.jsonl` has vanished", "start another run directory"],
    );
}

#[test]
fn a_shard_added_later_is_read_alone() {
    let world = World::with_corpus();
    world.ok("score column:q corpus --run run");
    world.write("corpus/later.jsonl", shard_text(3, 40));
    let run = world.ok("score column:q --run run");
    assert!(run.stdout.contains("160 of 160 documents done (40 computed now)"), "{}", run.stdout);
    world.ok("select --by column:q --rate 25% --run run --out kept");
    assert_eq!(world.lines("kept").len(), 40);
    // As if all had been there from the start.
    world.ok("select corpus --by column:q --rate 25% --out at-once");
    assert_eq!(world.files("kept"), world.files("at-once"));
    // A folder that holds the selection of the smaller corpus is not mixed with that of the larger one.
    world.write("corpus/last.jsonl", shard_text(4, 40));
    world.refuses(
        "select corpus --by column:q --rate 25% --run run --out kept",
        1,
        &["`kept` holds another selection", "corpus: one shard was added since, such as `last.jsonl`"],
    );
}

#[test]
fn other_columns_than_before_are_refused_by_name() {
    let world = World::with_corpus();
    world.ok("select corpus --by random --rate 10% --run run");
    for (flag, words) in [
        ("--text q", ["text column", "`q`"]),
        ("--id q", ["id", "`q`"]),
        ("--namespace other", ["namespace", "`other`"]),
        ("--max-line-bytes 1000", ["line", "1000"]),
    ] {
        // Whether or not the corpus is named along with it.
        for corpus in ["corpus ", ""] {
            let arguments = format!("select {corpus}--by random --rate 10% --run run {flag}");
            world.refuses(&arguments, 1, &[&words[..], &["another run directory"]].concat());
        }
    }
    world.write("other/a.jsonl", shard_text(8, 5));
    world.refuses(
        "select other --by random --rate 10% --run run",
        1,
        &["has vanished", "another run directory"],
    );
}

#[test]
fn a_signal_with_other_settings_is_refused_unless_it_goes_beside() {
    let world = World::with_corpus();
    world.write("a.txt", "{document}\nGood? yes or no:");
    world.write("b.txt", "{document}\nFine? yes or no:");
    let score = |prompt: &str| {
        format!(
            "score ask-llm corpus --run run --prompt {prompt} --dtype f32 --model {}",
            fixture("gguf_tiny.gguf").display()
        )
    };
    world.ok(&score("a.txt"));
    world.refuses(&score("b.txt"), 1, &["differs from the stored `ask-llm@", "prompt", "--beside"]);
    world.ok(&format!("{} --beside", score("b.txt")));
    let run = world.says(
        "select corpus --by ask-llm --rate 10% --run run",
        2,
        &["signal `ask-llm` is ambiguous", "prompt", "write the full name"],
    );
    // The hint is one that works.
    let full = run.stderr.split("e.g. `").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    let run = world.ok(&format!("select --by {full} --rate 10% --run run"));
    assert!(run.stdout.contains("120 in = 12 kept"), "{}", run.stdout);
    world.ok(&format!("select --by {full}.p_yes --rate 10% --run run"));
    world.ok(&format!("show --by {full} --run run"));
    world.refuses(
        &format!("select --by {full} --dtype bf16 --rate 10% --run run"),
        2,
        &["settings of its own", "--by ask-llm"],
    );
    world.refuses("select --by ask-llm@00000000 --rate 10% --run run", 2, &["ask-llm@00000000"]);
    // A shard that comes later is scored under the full name with the settings of that name.
    world.write("corpus/later.jsonl", shard_text(5, 10));
    let run = world.ok(&format!("select --by {full} --rate 10% --run run"));
    assert!(run.stdout.contains("130 in = 13 kept"), "{}", run.stdout);
}

#[test]
fn a_column_mistyped_at_first_names_the_run_that_holds_it() {
    let world = World::new();
    let line = |at: usize| format!("{{\"id\": \"d{at}\", \"text\": \"t {at}\", \"title\": \"T {at}\"}}\n");
    world.write("corpus/a.jsonl", (0..20).map(line).collect::<String>());
    world.ok("select corpus --text title --by random --rate 10% --out kept");
    world.refuses(
        "select corpus --text text --by random --rate 20% --out kept",
        1,
        &["text column", "`kept/.tamis`", "remove it", "--run"],
    );
}

#[test]
fn a_row_that_could_not_be_read_is_explained() {
    let world = World::with_corpus();
    world.write(
        "corpus/bad.jsonl",
        "{\"id\": \"broken\", \"text\": \n{\"id\": \"blank\", \"text\": \"\"}\n{\"id\": 77, \"text\": 3}\n",
    );
    world.run("select corpus --by random --rate 10% --run run");
    for (name, words) in [
        ("broken", ["bad.jsonl:1", "invalid-json"]),
        ("blank", ["bad.jsonl:2", "empty-text"]),
        ("77", ["bad.jsonl:3", "could not be read"]),
        ("bad.jsonl:2", ["bad.jsonl:2", "in no selection"]),
    ] {
        let why = world.ok(&format!("why {name} --run run")).stdout;
        assert!(words.iter().all(|word| why.contains(word)), "{name}: {why}");
    }
    let (_, why) = world.json("why broken --run run");
    assert_eq!(why["unreadable"][0]["row"], 0, "{why}");
    world.refuses("why 7 --run run", 2, &["no document `7`"]);
}

#[test]
fn a_dry_run_writes_nothing() {
    let world = World::with_corpus();
    let run = world.ok("select corpus --by column:q --rate 10% --run run --out kept --dry-run");
    assert!(
        run.stdout.contains("3 shards would be read for the first time")
            && run.stdout.contains("nothing was done"),
        "{}",
        run.stdout
    );
    world.ok("score column:q corpus --run run --dry-run");
    world.ok("select corpus --by random --rate 10% --out kept --dry-run");
    assert!(!world.exists("run") && !world.exists("kept"));
    world.ok("score column:q corpus --run run --worker 1/3");
    let before = world.all_files("run");
    let run = world.ok("select corpus --by column:q --rate 10% --run run --out kept --dry-run");
    assert!(run.stdout.contains("column-q: 80 documents"), "{}", run.stdout);
    let (_, plan) = world.json("score column:q corpus --run run --dry-run");
    assert_eq!(plan["signal"]["documents_to_compute"], 80);
    assert_eq!(before, world.all_files("run"));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let world = World::with_corpus();
    // A file where a folder has to be: nobody can write there, whoever runs the test.
    world.write("file", "x");
    world.says("select corpus --by random --rate 10% --run file/run --out kept", 1, &["error: ", "file/run"]);
    world.says("select corpus --by random --rate 10% --run run --out file", 1, &["error: ", "file"]);
    assert_eq!(world.read("file"), b"x");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir(world.path("locked")).unwrap();
        std::fs::set_permissions(world.path("locked"), PermissionsExt::from_mode(0o555)).unwrap();
        if std::fs::write(world.path("locked/probe"), "").is_err() {
            world.refuses(
                "select corpus --by random --rate 10% --run locked/run",
                1,
                &["locked", "ermission"],
            );
        }
        std::fs::set_permissions(world.path("locked"), PermissionsExt::from_mode(0o755)).unwrap();
    }
}

#[test]
fn damaged_files_of_a_run_are_named() {
    let world = World::with_corpus();
    world.ok("score column:q corpus --run run");
    let path = world
        .all_files("run")
        .into_keys()
        .find(|path| path.starts_with("signals/") && path.ends_with("s1.parquet"))
        .unwrap();
    let whole = world.read(&format!("run/{path}"));
    world.write(&format!("run/{path}"), &whole[..whole.len() / 2]);
    world.says("select --by column:q --rate 10% --run run", 1, &["error: ", &path]);
    world.write(&format!("run/{path}"), whole);
    world.write("run/run.json", "{\"format_version\": 99, \"kind\": \"tamis run directory\"}");
    world.refuses("select --by column:q --rate 10% --run run", 1, &["run.json", "99", "newer"]);
}

#[test]
fn processes_that_share_a_run_give_what_one_gives() {
    let world = World::with_corpus();
    for shard in 3..9 {
        world.write(&format!("corpus/s{shard}.jsonl"), shard_text(shard, 300));
    }
    world.write("prompt.txt", "{document}\nGood? yes or no:");
    let score = |run: &str, more: &str| {
        let model = fixture("gguf_tiny.gguf");
        format!(
            "score ask-llm corpus --prompt prompt.txt --dtype f32 --model {} --run {run} --quiet {more}",
            model.display()
        )
    };
    world.ok(&score("alone", ""));
    let together: Vec<_> = ["", "", "--worker 1/2"]
        .iter()
        .map(|more| {
            world.command(&score("shared", more)).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in together {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let results = |run: &str| {
        let mut files = world.all_files(run);
        files.retain(|path, _| path.ends_with(".parquet"));
        files
    };
    let (alone, shared) = (results("alone"), results("shared"));
    assert_eq!(alone.keys().collect::<Vec<_>>(), shared.keys().collect::<Vec<_>>());
    assert!(alone.len() == 18 && alone == shared);
    let (a, b) = (
        world.ok("select --run alone --by ask-llm --rate 20% --out a"),
        world.ok("select --run shared --by ask-llm --rate 20% --out b"),
    );
    assert!(a.stdout.contains("1,920 in = 384 kept") && b.stdout.contains("384 kept"));
    assert_eq!(world.files("a"), world.files("b"));
}

#[test]
fn a_name_cannot_lead_out_of_the_run() {
    let world = World::with_corpus();
    for name in ["../up", "a/b", ".", "..", ""] {
        let mut command = world.command("select corpus --by random --rate 10% --run run");
        let run = crate::world::Run::of(command.arg(format!("--name={name}")));
        assert!(run.code != 0 && run.stderr.contains("error: "), "`{name}`: {run:#?}");
    }
    assert!(!world.exists("up") && !world.exists("run/up") && !world.exists("run/selections"));
    world.ok("select corpus --by random --rate 10% --run run --name mine");
    world.ok("select corpus --by random --rate 10% --run run --name mine");
    world.refuses(
        "select corpus --by random --rate 20% --run run --name mine",
        1,
        &["mine", "rate-20", "--name"],
    );
}

#[test]
fn a_shard_that_comes_after_an_empty_start_may_have_ids() {
    let world = World::new();
    world.write("corpus/a.jsonl", "");
    world.run("select corpus --by random --rate 50% --run run");
    world.write("corpus/b.jsonl", shard_text(0, 20));
    let run = world.ok("select corpus --by random --rate 50% --run run");
    assert!(run.stdout.contains("20 in = 10 kept"), "{}", run.stdout);
    assert!(world.ok("why d0-3 --run run").stdout.contains("b.jsonl:4"));
}

#[test]
fn as_many_rates_as_are_allowed_are_cut() {
    let world = World::with_corpus();
    // More than one search over the priorities takes.
    let rates = (1..=100).map(|percent| format!("{percent}%")).collect::<Vec<_>>().join(",");
    let select = |by: &str| format!("select corpus --by {by} --rate {rates} --run run --decide-only");
    for by in ["random", "column:q"] {
        let (code, report) = world.json(&select(by));
        assert_eq!((code, report["kept"].as_u64()), (0, Some(120)), "{report:#}");
        let kept: Vec<u64> = report["selections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|target| target["documents"].as_u64().unwrap())
            .collect();
        assert_eq!(kept.len(), 100);
        let asked = (1..=100u64).map(|percent| (120 * percent + 50) / 100).collect::<Vec<_>>();
        assert!(kept.iter().zip(&asked).all(|(kept, asked)| kept.abs_diff(*asked) <= 1), "{kept:?}");
        assert!(kept.is_sorted());
    }
    let rates = format!("{rates},0.5%");
    world.refuses(&format!("select corpus --by random --rate {rates} --run run"), 2, &["at most 100 rates"]);
}

#[test]
fn what_a_killed_writer_left_among_the_kept_documents_is_removed_when_it_is_old() {
    let world = World::with_corpus();
    let select = "select corpus --by random --rate 10%,30% --run run --out kept";
    world.ok(select);
    let whole = world.all_files("kept");
    for name in ["kept/.tamis-tmp-1-1", "kept/rate-30/.tamis-tmp-2-2", "kept/rate-30/.tamis-tmp-3-3"] {
        world.write(name, "half a fi");
    }
    for name in ["kept/.tamis-tmp-1-1", "kept/rate-30/.tamis-tmp-2-2"] {
        let file = std::fs::OpenOptions::new().write(true).open(world.path(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    world.ok(select);
    let mut left = world.all_files("kept");
    assert!(left.remove("rate-30/.tamis-tmp-3-3").is_some(), "one that may be in work stays");
    assert_eq!(left, whole);
}
