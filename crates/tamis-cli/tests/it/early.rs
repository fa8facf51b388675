//! What can be refused is refused before the first document is read: the run holds no inventory, no score and no selection
//! afterwards, and one that was begun is as it was.

use crate::world::{Run, World, fixture};

/// A corpus, a judge and an embedder that can be loaded, and files that are not what they should be.
fn world() -> World {
    let world = World::with_corpus();
    world.write("p.txt", "{document}\nGood? yes or no:");
    world.write("broken.arpa", "\\data\\\nngram 1=3\n\n\\1-grams:\n-1.0\tx\n");
    world.write("empty/config.json", "{\"model_type\": \"llama\"}");
    world.write("taken/s1.jsonl", "not ours\n");
    world.write("file", "a file\n");
    world
}

fn model(name: &str) -> String {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run_0_1/models").join(name);
    path.display().to_string()
}

/// Command after `select corpus --run run --rate 10% --by`, exit code, and what is said.
fn selections() -> Vec<(String, i32, Vec<&'static str>)> {
    let tiny = fixture("gguf_tiny.gguf").display().to_string();
    let judge = format!("--model {tiny} --prompt p.txt");
    let embedder = format!("--embedder {}", model("embedder"));
    let row = |arguments: String, code: i32, words: &[&'static str]| (arguments, code, words.to_vec());
    vec![
        // Columns.
        row(format!("ask-llm.p_yess {judge}"), 2, &["`ask-llm` has no column `p_yess`", "`ask-llm.p_yes`"]),
        row("counts.bites".to_owned(), 2, &["`counts` has no column `bites`"]),
        row("column:qq".to_owned(), 2, &["no document has a column `qq`", "`column:q`"]),
        row("column:q --carry qq".to_owned(), 2, &["no document has a column `qq`"]),
        row("column:q --stratum qq".to_owned(), 2, &["no document has a column `qq`"]),
        row(format!("tokens --tokenizer {tiny}"), 2, &["signal `tokens` is not a score", "tokens"]),
        row(format!("embed {embedder}"), 2, &["signal `embed` is not a score"]),
        row(format!("density.scor {embedder}"), 2, &["`density` has no column `scor`", "`density.score`"]),
        // Rules.
        row(
            format!("ask-llm {judge} --rule ips"),
            2,
            &["`ask-llm.score` is a logarithm", "--by ask-llm.p_yes"],
        ),
        row(format!("ask-llm.log_p_no {judge} --rule poisson"), 2, &["is a logarithm", "--by ask-llm.p_yes"]),
        row("column:q --rule top --around 5%".to_owned(), 2, &["rule `band`"]),
        row("random --rule bottom".to_owned(), 2, &["needs a score"]),
        // Tokens.
        row("column:q --tokenizer smollm".to_owned(), 2, &["model `smollm`", "`smollm2`"]),
        row("column:q --tokenizer empty".to_owned(), 1, &["empty"]),
        // Models, prompts, devices.
        row("ask-llm --model empty --prompt p.txt".to_owned(), 1, &["empty"]),
        row(format!("ask-llm --model {tiny} --prompt nowhere.txt"), 1, &["nowhere.txt"]),
        row(format!("ask-llm --model {} --prompt paper --chat", model("judge")), 1, &["chat template"]),
        row(format!("ask-llm {judge} --device cuda"), 2, &["cuda"]),
        row(format!("perplexity --model {tiny} --window 1"), 2, &["window"]),
        row(format!("perplexity --model {tiny} --objective span"), 2, &["span"]),
        row("ngram --ngram broken.arpa".to_owned(), 1, &["broken.arpa", "nothing was scored"]),
        row("ngram --ngram nowhere.arpa".to_owned(), 1, &["nowhere.arpa"]),
        // Sketches.
        row(format!("density {embedder} --hashes 0"), 2, &["`hashes` is 0, expected 1 to 64"]),
        row(format!("density {embedder} --bandwidth=-1"), 2, &["`bandwidth` is -1"]),
        row(format!("density {embedder} --repetitions 0"), 2, &["`repetitions` is 0"]),
        row(format!("density {embedder} --preset literal --kernel cosine"), 2, &["literal preset"]),
        // Files and places.
        row("column:q --veto nowhere.txt".to_owned(), 2, &["veto file `nowhere.txt`"]),
        row("column:q --veto p.txt --veto taken".to_owned(), 2, &["veto file `taken`"]),
        row("column:q --out taken".to_owned(), 1, &["`taken/s1.jsonl` is there already", "another --out"]),
        row("column:q --out file".to_owned(), 1, &["file"]),
        row("column:q --out file/below".to_owned(), 1, &["file"]),
        row("column:q --name ../up".to_owned(), 1, &["../up"]),
    ]
}

#[test]
fn selections_that_cannot_be_are_refused_before_a_document_is_read() {
    let world = world();
    for (arguments, code, words) in selections() {
        let command = format!("select corpus --run run --rate 10% --by {arguments}");
        world.says(&command, code, &words);
        for folder in ["inventory", "signals", "selections", "quarantine", "corpus"] {
            assert!(!world.exists(&format!("run/{folder}")), "`{arguments}` left `{folder}`");
        }
    }
    assert_eq!(world.files("taken").len(), 1);
    // The same of a run whose corpus was read: what is there stays as it is.
    world.ok("score column:q corpus --run run");
    let stable = || {
        let mut files = world.all_files("run");
        files.retain(|name, _| !name.starts_with("audit/"));
        files
    };
    let before = stable();
    for (arguments, code, words) in
        selections().into_iter().filter(|(arguments, ..)| arguments != "column:qq")
    {
        let command = format!("select corpus --run run --rate 10% --by {arguments}");
        world.says(&command, code, &words);
        assert!(stable() == before, "`{arguments}` changed the run");
    }
}

#[test]
fn scores_that_cannot_be_are_refused_before_a_document_is_read() {
    let world = world();
    let tiny = fixture("gguf_tiny.gguf").display().to_string();
    let embedder = format!("--embedder {}", model("embedder"));
    for (arguments, code, words) in [
        (
            format!("score density corpus --run run --buckets 1 {embedder}"),
            2,
            ["`buckets` is 1", "docs/density.md"],
        ),
        (format!("score perplexity corpus --run run --model a={tiny},b=empty"), 1, ["empty", "error"]),
        (
            format!(
                "score ask-llm corpus --run run --model {tiny} --prompt p.txt --sample 50% --against tokens"
            ),
            2,
            ["`tokens`", "--against"],
        ),
        ("score counts corpus --run run --sample 50%".to_owned(), 2, ["`--sample` says nothing", "ask-llm"]),
        (
            "train-ngram corpus --text txt --out m.arpa".to_owned(),
            2,
            ["no row has the column `--text txt`", "`--text text`"],
        ),
        ("train-ngram corpus --prune 3 1 --out m.arpa".to_owned(), 2, ["pruning thresholds", "hint"]),
        ("train-ngram corpus --order 0 --out m.arpa".to_owned(), 2, ["order 0", "hint"]),
    ] {
        world.says(&arguments, code, &words);
        assert!(!world.exists("run/inventory") && !world.exists("run/signals"), "{arguments}");
    }
    assert!(!world.exists("m.arpa"));
}

#[test]
fn what_another_selection_has_is_told_before_anything_is_scored() {
    let world = world();
    let tiny = fixture("gguf_tiny.gguf").display().to_string();
    world.ok("select corpus --run run --by column:q --rate 10% --name mine --out kept");
    let judge = format!("--by ask-llm --model {tiny} --prompt p.txt");
    let select = format!("select corpus --run run {judge} --rate 10%");
    world.refuses(&format!("{select} --name mine"), 1, &["mine", "column", "--name"]);
    world.refuses(&format!("{select} --out kept"), 1, &["`kept` holds another selection", "column"]);
    world.refuses(
        "select --run run --by column:q --rate 20% --out kept",
        1,
        &["`kept` holds another", "rate-20"],
    );
    world.refuses("select --run run --by column:q --rate 10% --seed 2 --out kept", 1, &["seed"]);
    assert!(!world.files("run/signals").keys().any(|name| name.starts_with("ask-llm")));
    // The same again is no other.
    world.ok("select --run run --by column:q --rate 10% --name mine --out kept");
    // Other settings than the stored ones, for signals of a list, each before any of them is computed.
    world.ok(&format!("score perplexity corpus --run run --model b={tiny} --window 12"));
    world.refuses(
        &format!("score perplexity corpus --run run --model a={tiny},b={tiny} --window 13"),
        1,
        &["perplexity-b@", "window", "--beside"],
    );
    assert!(!world.files("run/signals").keys().any(|name| name.starts_with("perplexity-a@")));
    // A budget in tokens is filled by the one tokenizer there is, also after the corpus grew; of two it wants to know which.
    world.ok(&format!("score tokens corpus --run run --tokenizer {tiny}"));
    world.write("corpus/later.jsonl", crate::world::shard_text(7, 5));
    let run = world.ok("select --run run --by column:q --tokens 100");
    assert!(run.stdout.contains("125 in = "), "{}", run.stdout);
    world.ok(&format!("score tokens --run run --beside --tokenizer {}", model("judge")));
    world.refuses(
        &format!("select --run run {judge} --tokens 100"),
        2,
        &["counts of tokens by 2 tokenizers", "--tokenizer SOURCE"],
    );
    world.ok(&format!("select --run run --by column:q --tokens 100 --tokenizer {tiny}"));
    assert!(!world.files("run/signals").keys().any(|name| name.starts_with("ask-llm")));
}

#[test]
#[cfg(unix)]
fn places_that_cannot_be_written_are_told_before_a_document_is_read() {
    let world = world();
    world.ok("score column:q corpus --run run");
    for (flag, place) in [("--out", "/proc/kept"), ("--run", "/proc/run")] {
        let run = if flag == "--out" { " --run run" } else { "" };
        let mut command = world.command(&format!("select corpus --by counts --rate 10%{run}"));
        let run = Run::of(command.args([flag, place]));
        assert!(run.code == 1 && run.stderr.contains(place), "{run:#?}");
    }
    assert!(!world.files("run/signals").keys().any(|name| name.starts_with("counts")));
}
