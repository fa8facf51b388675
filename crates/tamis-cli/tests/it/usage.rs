//! What cannot be had is refused with a remedy, before any work, and leaves nothing behind.

use crate::world::{World, fixture};

#[test]
fn rates_outside_of_what_makes_sense_are_refused() {
    let world = World::with_corpus();
    for (rate, words) in [
        ("0", ["rate `0` keeps nothing", "100%"]),
        ("0%", ["rate `0%` keeps nothing", "100%"]),
        ("1", ["rate `1` is ambiguous", "write `100%` to keep everything, or `1%`"]),
        ("101%", ["more than all documents", "the largest rate is `100%`"]),
        ("1.5", ["more than all documents", "did you mean `1.5%`?"]),
        ("20", ["more than all documents", "did you mean `20%`?"]),
        ("many", ["not a number", "20%"]),
        ("nan", ["not a number", "20%"]),
        ("10%,0", ["rate `0` keeps nothing", "100%"]),
    ] {
        world.refuses(&format!("select corpus --by random --rate {rate} --out kept"), 2, &words);
    }
    assert!(!world.exists("kept"));
}

#[test]
fn exactly_one_kind_of_budget_is_wanted() {
    let world = World::with_corpus();
    let select = "select corpus --by random --out kept";
    world.refuses(select, 2, &["nothing says how much to keep", "--rate 20%"]);
    let mixed = ["exactly one budget", "--rate 10%,20%"];
    world.refuses(&format!("{select} --rate 10% --documents 5"), 2, &mixed);
    world.refuses(&format!("{select} --bytes 1MB --documents 5"), 2, &mixed);
    world.refuses(&format!("{select} --documents 0"), 2, &["`--documents 0` would keep nothing"]);
    world.refuses(&format!("{select} --bytes lots"), 2, &["`--bytes lots` is no size", "5GB"]);
    world.refuses(&format!("{select} --tokens 100"), 2, &["needs a tokenizer", "--tokenizer smollm2"]);
    world.refuses(&format!("{select} --rule top --rate 10%"), 2, &["rule `top` needs a score", "--by"]);
    world.refuses(&format!("{select} --rule poisson --bytes 1KB"), 2, &["poisson", "--rule ips"]);
    world.refuses(&format!("{select} --max-failed 120% --rate 10%"), 2, &["`--max-failed 120%`", "0.01"]);
    // Nothing of this needed the corpus to be read.
    assert!(!world.exists("kept/.tamis/inventory"));
    world.refuses("select corpus --by random --rate 10%", 2, &["where scores go", "--run FOLDER"]);
    world.refuses("score column:q corpus", 2, &["where scores go", "--run FOLDER"]);
    world.refuses("select --by random --rate 10% --run run", 1, &["`run` is not a run directory"]);
}

#[test]
fn unknown_names_come_with_the_nearest_known_one() {
    let world = World::with_corpus();
    let select = |by: &str| format!("select corpus --by {by} --rate 10% --run run");
    world.refuses(&select("ask-lm"), 2, &["unknown signal `ask-lm`", "did you mean `ask-llm`?"]);
    world.refuses(&select("densty"), 2, &["did you mean `density`?"]);
    world.refuses(&select("column:"), 2, &["column:NAME"]);
    world.refuses(&select("random.x"), 2, &["random has no columns"]);
    world.refuses("score askllm corpus --run run", 2, &["did you mean `ask-llm`?"]);
    world.refuses(
        &select("column:qq"),
        2,
        &["no document has a column `qq`", "did you mean `column:q`?", "meta.score"],
    );
    world.refuses("score column:meta.scor corpus --run run", 2, &["did you mean `column:meta.score`?"]);
    for (flags, words) in [
        ("--threshold c4-sentence=1", ["no rule is called `c4-sentence`", "did you mean `c4-sentences`?"]),
        ("--rule-set c4 --threshold gopher-stop-words=1", ["is of preset `gopher-quality`", "--rule-set"]),
        ("--threshold c4-words", ["`--threshold c4-words` is not RULE=VALUE", "gopher-words-min=100"]),
        ("--threshold c4-words=nan", ["is not finite", "write a number"]),
        ("--threshold c4-words=1 --threshold c4-words=2", ["two thresholds", "once for each rule"]),
        ("--rule-set c5", ["`--rule-set c5` is no set of rules", "gopher-repetition, c4"]),
    ] {
        world.refuses(&format!("score rules corpus --run run {flags}"), 2, &words);
    }
    world.refuses(&select("ask-llm --model smollm"), 2, &["model `smollm`", "did you mean `smollm2`?"]);
    world.refuses(&select("ask-llm --model /no/where"), 2, &["model `/no/where`", "tamis models list"]);
    world.refuses("models pull smollm", 2, &["did you mean `smollm2`?"]);
    world.refuses("models check smollm", 2, &["did you mean `smollm2`?"]);
    world.refuses("models check smollm2 --labelled none.jsonl", 2, &["labelled file `none.jsonl`"]);
    world.write("unlabelled.jsonl", r#"{"text": "one"}"#);
    world.refuses(
        "models check smollm2 --labelled unlabelled.jsonl",
        2,
        &["labelled file `unlabelled.jsonl`, line 1: no `label`", "every line needs `text` and `label`"],
    );
    world.write("good.jsonl", r#"{"text": "one", "label": "good"}"#);
    world.refuses(
        "models check smollm2 --labelled good.jsonl",
        2,
        &["1 good and 0 bad documents", "both labels"],
    );
    world.refuses("score ask-llm corpus --run run --sample 0%", 2, &["--sample 0 draws nothing"]);
    world.says("score ask-llm corpus --run run --against x", 2, &["--sample"]);
    let tiny = fixture("gguf_tiny.gguf");
    let tiny = tiny.display();
    world.refuses(
        &select(&format!("ask-llm --model {tiny} --prompt papr")),
        2,
        &["prompt `papr`", "did you mean `paper`?"],
    );
    world.write("p.txt", "Is it good? Answer yes or no.");
    world.refuses(
        &select(&format!("ask-llm --model {tiny} --prompt p.txt")),
        1,
        &["prompt `p`", "{document}"],
    );
    world.refuses(&select("random --tokenizer smollm"), 2, &["did you mean `smollm2`?"]);
    world.ok("score column:q corpus --run run");
    world.refuses(&select("column-q"), 2, &["unknown signal `column-q`"]);
    world.refuses("show --run run --by column-p", 2, &["no signal `column-p`", "did you mean `column-q`?"]);
    world.refuses("show --run run --by column:q.scor", 2, &["column-q-scor"]);
}

#[test]
fn columns_of_text_and_id_that_nothing_has_are_told_and_leave_the_run_free() {
    let world = World::with_corpus();
    let select = "select corpus --by random --rate 10% --run run";
    world.refuses(
        &format!("{select} --text txt"),
        2,
        &["no row has the column `--text txt`", "did you mean `--text text`?", "meta.score"],
    );
    world.refuses(
        &format!("{select} --id uid"),
        2,
        &["no row has the column `--id uid`", "did you mean `--id id`?"],
    );
    world.refuses(
        "score column:q corpus --run run --text body",
        2,
        &["no row has the column `--text body`", "columns are id, meta.score, q, text"],
    );
    // The right name needs no new run.
    world.ok(select);
    // Missing in some rows is no mistake in a name.
    world.write("some.jsonl", "{\"id\": 1, \"body\": \"x\"}\n{\"id\": 2, \"text\": \"y\"}\n");
    world.says("select some.jsonl --by random --rate 100% --out kept", 3, &["line 1: missing-text"]);
}

#[test]
fn unknown_columns_of_a_signal_are_told_before_anything_is_selected() {
    let world = World::with_corpus();
    world.write("p.txt", "{document}\nGood? yes or no:");
    let select = |by: &str| {
        format!(
            "select corpus --by {by} --prompt p.txt --rate 10% --out kept --model {}",
            fixture("gguf_tiny.gguf").display()
        )
    };
    world.says(
        &select("ask-llm.p_yess"),
        2,
        &["signal `ask-llm` has no column `p_yess`", "did you mean `ask-llm.p_yes`?"],
    );
    assert!(world.files("kept").is_empty());
    world.ok(&select("ask-llm.p_yes"));
    assert_eq!(world.lines("kept").len(), 12);
}

#[test]
fn mistakes_in_names_cost_no_pass_over_the_corpus() {
    let world = World::with_corpus();
    for arguments in [
        "select corpus --by ask-llm --model smollm --rate 10% --run run",
        "score ask-llm corpus --model smollm --run run",
        "select corpus --by random --tokens 5 --run run",
        "select corpus --by random --rate 5% --documents 5 --run run",
        "select corpus --by random --rate 5% --veto nowhere.txt --run run",
    ] {
        world.refuses(arguments, 2, &[]);
        assert!(!world.exists("run/inventory"), "{arguments}");
    }
}

#[test]
fn veto_files_must_be_there_and_hold_something() {
    let world = World::with_corpus();
    let select = "select corpus --by column:q --rate 100% --out kept --veto veto.txt";
    world.refuses(select, 2, &["veto file `veto.txt`", "one id or document key a line"]);
    world.write("veto.txt", "\n \n");
    world.refuses(select, 2, &["veto file `veto.txt` holds no entry", "leave --veto out"]);
    world.write("veto.txt", b"\xff\xfe\n");
    world.refuses(select, 2, &["veto file `veto.txt`", "UTF-8"]);
    world.write("veto.txt", "d1-3\r\n  d2-17 \nnobody\n");
    let run = world.ok(select);
    assert!(run.stdout.contains("120 in = 118 kept + 2 dropped (2 vetoed) + 0 failed"), "{}", run.stdout);
    assert!(world.ok("why d1-3 --run kept/.tamis").stdout.contains("not kept: vetoed"));
}

#[test]
fn kept_documents_do_not_go_into_the_corpus_or_over_other_files() {
    let world = World::with_corpus();
    let before = world.all_files("corpus");
    let inside = ["lies inside the corpus", "beside the corpus"];
    world.refuses("select corpus --by random --rate 10% --out corpus/kept", 2, &inside);
    world.refuses("select corpus --by random --rate 10% --out corpus", 2, &inside);
    world.refuses("select corpus --by random --rate 10% --run corpus/run --out kept", 2, &inside);
    world.refuses("score column:q corpus --run corpus/run", 2, &inside);
    assert_eq!(before, world.all_files("corpus"));
    world.ok("select corpus --by random --rate 10% --run corpus/.run --out kept");
    world.refuses(
        "select corpus --by random --rate 20% --run corpus/.run --out kept",
        1,
        &[
            "`kept` holds another selection: targets: stored `rate-10`, asked `rate-20`",
            "choose another --out",
        ],
    );
    world.write("mine/s1.jsonl", "precious\n");
    world.refuses(
        "select corpus --by random --rate 10% --run corpus/.run --out mine",
        1,
        &["mine/s1.jsonl` is there already", "--out"],
    );
    assert_eq!(world.read("mine/s1.jsonl"), b"precious\n");
}

#[test]
fn workers_are_numbered_from_one() {
    let world = World::with_corpus();
    for worker in ["0/3", "4/3", "3", "1/0", "a/b", "-1/2"] {
        world.refuses(
            &format!("score column:q corpus --run run --worker={worker}"),
            2,
            &[&format!("worker `{worker}` is not I/N"), "1/8"],
        );
    }
    assert!(!world.exists("run"));
    for worker in ["2/3", "3/3"] {
        let run = world.ok(&format!("score column:q corpus --run run --worker {worker}"));
        assert!(run.stdout.contains("left to other workers"), "{}", run.stdout);
    }
    let run = world.ok("score column:q corpus --run run --worker 1/3");
    assert!(run.stdout.contains("120 of 120 documents done (40 computed now)"), "{}", run.stdout);
    assert!(!run.stdout.contains("other workers"));
}

#[test]
fn questions_about_nothing_are_answered() {
    let world = World::with_corpus();
    let not_a_run = ["`nowhere` is not a run directory", "--run"];
    world.refuses("show --run nowhere", 1, &not_a_run);
    world.refuses("why d1-1 --run nowhere", 1, &not_a_run);
    assert!(!world.exists("nowhere"));
    world.ok("select corpus --by random --rate 10% --run run");
    world.refuses("show --run run", 1, &["no signal is finished", "tamis score"]);
    world.refuses("why d9-9 --run run", 2, &["no document `d9-9`", "SHARD:LINE", "quarantine/"]);
    world.ok("score column:q corpus --run run");
    world.ok("score column:meta.score corpus --run run");
    world.refuses("show --run run", 2, &["several signals", "--by column-q"]);
    world.refuses("show --run run --by column-q --around much", 2, &["`--around much`"]);
    world.refuses("show --run run --disagree column-q", 2, &["exactly two signals"]);
    world.write("corpus/later.jsonl", crate::world::shard_text(9, 5));
    world.ok("score column:meta.score --run run");
    world.refuses(
        "show --run run --by column-q",
        1,
        &["column-q@", "`later.jsonl`", "not computed yet", "tamis score"],
    );
    // Two signals can be compared where both have come.
    let shown = world.ok("show --run run --disagree column-q,column:meta.score --number 200");
    assert!(shown.stderr.contains("has not scored 1 of 4 shards"), "{}", shown.stderr);
    assert!(shown.stdout.contains("d2-39") && !shown.stdout.contains("d9-"), "{}", shown.stdout);
    let why = world.ok("why d0-1 --run run").stdout;
    assert!(why.contains("not ranked") && why.contains("percentile"), "{why}");
}

#[test]
fn what_is_wrong_with_the_arguments_is_an_object_for_programs() {
    let world = World::with_corpus();
    for arguments in [
        "why x",
        "select corpus --by random --documents abc --out kept",
        "select corpus --by random --rule bad --rate 5% --out kept",
        "score counts corpus --no-such-flag",
    ] {
        let run = world.says(&format!("{arguments} --json"), 2, &[]);
        let said: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert!(said["error"].as_str().is_some_and(|error| !error.is_empty()), "{arguments}: {said}");
    }
    assert!(!world.run("select --help --json").stdout.starts_with('{'));
}

#[test]
fn a_worker_that_needs_what_others_make_ends_with_a_code_of_its_own() {
    let world = World::with_corpus();
    let embedder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run_0_1/models/embedder");
    let density = |worker: &str, run: &str| {
        format!(
            "score density corpus --run {run} --embedder {} --dtype f32 --repetitions 20 --buckets 50{worker}",
            embedder.display()
        )
    };
    world.says(&density(" --worker 1/2", "run"), 4, &["waiting for 1 of 3 shards of `embed@", "--wait"]);
    let (code, said) = world.json(&density(" --worker 1/2", "run"));
    assert_eq!((code, said["error"].as_str().unwrap().starts_with("waiting for 1 of 3")), (4, true));
    // Whoever comes last finds all embeddings; the other one then has its share to do.
    assert!(world.ok(&density(" --worker 2/2", "run")).stdout.contains("left to other workers"));
    assert!(!world.ok(&density(" --worker 1/2", "run")).stdout.contains("other workers"));
    world.ok(&density("", "alone"));
    assert_eq!(world.files("run/signals"), world.files("alone/signals"));
    assert_eq!(world.files("run/sketches"), world.files("alone/sketches"));
}
