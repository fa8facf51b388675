//! Ids: whether a corpus has any, what is said where not all have one, and ids that name no documents.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use serde_json::json;

use crate::formats::{gzip, write_parquet};
use crate::world::World;

const ALL: &str = "--by random --rate 100%";

/// Lines with these ids, as JSON, and texts of their own.
fn lines<I: AsRef<str>>(text: &str, ids: impl IntoIterator<Item = I>) -> String {
    let line = |(at, id): (usize, I)| {
        format!("{{\"id\": {}, \"text\": \"{text} {at}\", \"q\": {at}}}\n", id.as_ref())
    };
    ids.into_iter().enumerate().map(line).collect()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|at| at.to_string()).collect()
}

/// Three shards whose ids begin at 0 in each.
fn restarting() -> World {
    let world = World::new();
    for shard in 0..3 {
        world.write(&format!("corpus/s{shard}.jsonl"), lines(&format!("of {shard}"), numbers(100)));
    }
    world
}

#[test]
fn a_first_row_without_an_id_takes_them_from_nobody() {
    let world = World::new();
    let ids = ["null"].into_iter().map(str::to_owned).chain(numbers(10));
    world.write("corpus.jsonl", lines("t", ids));
    let run = world.says(
        &format!("select corpus.jsonl {ALL} --run run -q"),
        3,
        &["warning: column `id`: at the beginning of one shard 10 of 11 documents have an id in it, not row 0", "--id none"],
    );
    assert!(run.stdout.contains("11 in = 10 kept + 0 dropped + 1 failed (1 missing-id)"), "{}", run.stdout);
    assert!(world.ok("why 7 --run run").stdout.starts_with("7   key "));
    // The remedy works, in a new run as it says, and is nothing that a run of ids can become.
    world.refuses(
        &format!("select corpus.jsonl {ALL} --run run --id none"),
        1,
        &["id column: stored `id`, asked `none, the text identifies a document`", "another run directory"],
    );
    let run = world.ok(&format!("select corpus.jsonl {ALL} --run other --id none"));
    assert!(run.stdout.contains("11 in = 11 kept") && !run.stderr.contains("warning"), "{run:#?}");
    // What is recorded stays: nothing is said again.
    let run = world.says(&format!("select corpus.jsonl {ALL} --run run"), 3, &[]);
    assert!(!run.stderr.contains("column `id`"), "{}", run.stderr);
}

#[test]
fn ids_that_are_not_used_are_said_with_what_helps() {
    let world = World::new();
    let ids = ["\"only\""].into_iter().chain(["null"; 9]);
    world.write("few.jsonl", lines("t", ids));
    let words =
        ["warning: column `id` is not used", "1 of 10 documents have an id", "`--id id`", "`--id none`"];
    let run = world.says(&format!("select few.jsonl {ALL} --out kept -q"), 0, &words);
    assert!(run.stdout.contains("10 in = 10 kept"), "{}", run.stdout);
    let (code, report) = world.json(&format!("select few.jsonl {ALL} --run with --id id"));
    assert_eq!((code, &report["failed_by_reason"]), (3, &json!({ "missing-id": 9 })));
    let quiet = world.ok(&format!("select few.jsonl {ALL} --run none --id none"));
    assert!(!quiet.stderr.contains("warning"), "{}", quiet.stderr);
    for (ids, what) in
        [("1.0", "a number with a fraction"), ("true", "a boolean"), ("[1]", "an array"), ("null", "null")]
    {
        world.write("odd.jsonl", lines("t", [ids; 5]));
        let folder = format!("odd-{}", what.len());
        let run = world.says(
            &format!("score counts odd.jsonl --run {folder}"),
            0,
            &[
                "column `id` is not used: at the beginning of one shard 0 of 5 documents have an id in it",
                what,
            ],
        );
        assert!(run.stdout.contains("5 of 5 documents"), "{}", run.stdout);
        // Asked for, it costs rows, and that is said before the corpus is read.
        world.says(
            &format!("score counts odd.jsonl --run {folder}-asked --id id"),
            3,
            &["no row at the beginning of any shard has an id in column `id`", what, "`--id none`"],
        );
    }
}

#[test]
fn parquet_ids_of_floats_are_said_and_refused_with_what_helps() {
    let world = World::new();
    let ids: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0), None]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap();
    write_parquet(&world.path("corpus/a.parquet"), &batch, 10);
    let words = ["column `id` is not used: in shard `a.parquet` its type is Float64", "`--id none`"];
    let run = world.says(&format!("select corpus {ALL} --run run"), 0, &words);
    assert!(run.stdout.contains("3 in = 3 kept"), "{}", run.stdout);
    world.refuses(&format!("select corpus {ALL} --run asked --id id"), 1, &["got Float64", "`--id none`"]);
    let run = world.ok(&format!("select corpus {ALL} --run asked --id none"));
    assert!(run.stdout.contains("3 in = 3 kept") && !run.stderr.contains("warning"), "{run:#?}");
}

#[test]
fn ids_that_restart_in_every_shard_are_refused_before_anything_is_scored() {
    let world = restarting();
    let select = "select corpus --by column:q --rate 100%";
    world.refuses(
        &format!("{select} --run run"),
        1,
        &[
            "200 of 300 documents repeat an id, such as that of shard `s",
            "200 of them have another text than the one that would stay",
            "with `--qualify-ids`, where an id counts within its shard, or with `--id none`",
            "`--duplicate-ids one`",
        ],
    );
    assert!(!world.exists("run/signals") && !world.exists("run/selections"));
    // Every remedy does what is said of it.
    for remedy in ["--qualify-ids", "--id none", "--id id --qualify-ids"] {
        let folder = format!("run{}", remedy.replace(' ', ""));
        let run = world.ok(&format!("{select} --run {folder} {remedy}"));
        assert!(run.stdout.contains("300 in = 300 kept + 0 dropped"), "{}", run.stdout);
        assert!(!run.stderr.contains("warning"), "{}", run.stderr);
        // The run knows it from now on, with and without the corpus.
        world.ok(&format!("{select} --run {folder}"));
        world.ok(&format!("select --by random --rate 50% --run {folder}"));
    }
    let run = world.ok(&format!("{select} --run run --duplicate-ids one"));
    assert!(run.stdout.contains("300 in = 100 kept + 200 dropped (200 duplicate-id)"), "{}", run.stdout);
    assert!(run.stderr.contains("warning: 100 ids occur more than once"), "{}", run.stderr);
    assert!(
        run.stderr.contains("200 of them with another text") && !run.stderr.contains("--namespace"),
        "{}",
        run.stderr
    );
    // In the run that was begun otherwise it is too late.
    for (flag, asked) in [("--qualify-ids", "id, qualified by shard"), ("--id none", "none, the text")] {
        world.refuses(
            &format!("{select} --run run {flag}"),
            1,
            &["id column: stored `id`", asked, "another run directory"],
        );
    }
    world.refuses(
        &format!("{select} --run run--qualify-ids --id none"),
        1,
        &["stored `id, qualified by shard`"],
    );
    world.refuses(&format!("{select} --run new --id none --qualify-ids"), 2, &["give one of the two"]);
    world.refuses(
        "select --by random --rate 50% --run run --qualify-ids",
        1,
        &["stored `id`, asked `id, qualified by shard`"],
    );
    // Whoever scores first is told then.
    world.says(
        "score column:q corpus --run early -q",
        0,
        &["a selection will be refused", "`--qualify-ids`"],
    );
    world.refuses("select --by column:q --rate 10% --run early", 1, &["repeat an id"]);
}

#[test]
fn qualified_documents_are_found_and_keep_their_names_when_they_are_packed() {
    let world = restarting();
    let select = "select corpus --by column:q --rate 10% --qualify-ids";
    world.ok(&format!("{select} --run run --out kept"));
    let one = world.ok("why s1:17 --run run").stdout;
    assert!(
        one.starts_with("s1:17   key ")
            && one.contains("s1.jsonl:18")
            && !one.contains("answer to this name"),
        "{one}"
    );
    let all = world.ok("why 17 --run run").stdout;
    assert!(all.contains("3 documents answer to this name"), "{all}");
    for other in ["    s1:17   key ", "    s2:17   key "] {
        assert!(all.contains(other), "{all}");
    }
    assert!(world.ok("why s1.jsonl:18 --run run").stdout.starts_with("s1:17   "));
    assert!(world.ok("show --run run --top 3").stdout.contains("s0:99"), "ids that can be pasted");
    world.refuses("why 100 --run run", 2, &["no document `100`", "SHARD:ID"]);
    // Packed otherwise, the same documents.
    for shard in 0..3 {
        let lines = world.read(&format!("corpus/s{shard}.jsonl"));
        world.write(&format!("packed/s{shard}.json.gz"), gzip(&[&lines]));
    }
    world.ok(&format!("{} --run again --out kept-again", select.replace("corpus", "packed")));
    assert_eq!(world.ok("why s1:17 --run again").stdout.split("   ").nth(1), one.split("   ").nth(1));
    world.ok("select packed --by random --rate 20% --qualify-ids --out r1");
    world.ok("select corpus --by random --rate 20% --qualify-ids --out r2");
    let of = |folder: &str| {
        let (_, report) = world.json(&format!("select --by random --rate 20% --run {folder}/.tamis"));
        report["selections"][0]["threshold"].as_f64().unwrap()
    };
    assert_eq!(of("r1").to_bits(), of("r2").to_bits());
}

#[test]
fn ids_that_restart_within_a_shard_are_not_told_to_be_qualified() {
    let world = World::new();
    let ids: Vec<String> = (0..100).map(|at| (at % 10).to_string()).collect();
    world.write("corpus.jsonl", lines("t", ids));
    world.refuses(
        &format!("select corpus.jsonl {ALL} --run run"),
        1,
        &["90 of 100 documents", "`--qualify-ids` does not help", "`--id none`"],
    );
    world.refuses(
        &format!("select corpus.jsonl {ALL} --run qualified --qualify-ids"),
        1,
        &["90 of 100 documents"],
    );
    let run = world.ok(&format!("select corpus.jsonl {ALL} --run none --id none"));
    assert!(run.stdout.contains("100 in = 100 kept"), "{}", run.stdout);
}

#[test]
fn documents_that_came_twice_are_dropped_with_a_word() {
    // The same dump twice, and a few documents that were updated since.
    let world = World::new();
    let dump = lines("t", numbers(200));
    world.write("corpus/a.jsonl", &dump);
    world.write("corpus/b.jsonl", dump.replace("\"t 7\"", "\"t 7, updated\""));
    let run = world.says(
        &format!("select corpus {ALL} --run run"),
        0,
        &[
            "200 ids occur more than once",
            "200 rows are dropped as `duplicate-id`, 1 of them with another text",
        ],
    );
    assert!(run.stdout.contains("400 in = 200 kept + 200 dropped (200 duplicate-id)"), "{}", run.stdout);
    // A few updates of a large corpus, and nothing else.
    let world = World::new();
    world.write("corpus/a.jsonl", lines("t", numbers(2000)));
    world.write("corpus/b.jsonl", lines("updated", numbers(15)));
    let run = world.says(
        &format!("select corpus {ALL} --run run"),
        0,
        &["15 ids occur", "15 of them with another text"],
    );
    assert!(run.stdout.contains("2,015 in = 2,000 kept + 15 dropped"), "{}", run.stdout);
}

/// What happened to users of other tools, on the smallest corpus that shows it: the words that are said, the exit code, and
/// the counts.
#[test]
fn ten_ways_in_which_ids_go_wrong() {
    let quoted = |ids: &[&str]| ids.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>();
    let wide = [
        "18446744073709551616",
        "18446744073709551617",
        "-9223372036854775809",
        "340282366920938463463374607431768211456",
    ];
    let many = |text: &str, id: &str| lines(text, vec![id.to_owned(); 30]);
    for (what, shards, code, words, counts) in [
        // 1. A line index as id, written by one worker a file.
        ("restarts", vec![lines("a", numbers(40)), lines("b", numbers(40))], 1, "repeat an id", ""),
        // 2. A null in a column of integers makes a data frame write all of them as floats.
        (
            "floats",
            vec![lines("a", ["0.0", "1.0", "null"])],
            0,
            "column `id` is not used",
            "3 in = 3 kept + 0 dropped",
        ),
        // 3. One file of a dump was exported without ids.
        (
            "one file without",
            vec![lines("a", numbers(9)), "{\"text\": \"b\"}\n".repeat(3)],
            3,
            "9 of 12 documents",
            "12 in = 9 kept + 0 dropped + 3 failed (3 missing-id)",
        ),
        // 4. Empty strings where an id was unknown.
        ("empty", vec![many("a", "\"\"")], 1, "29 of 30 documents repeat an id", ""),
        // 5. A placeholder.
        (
            "placeholder",
            vec![many("a", "\"unknown\"") + &lines("b", numbers(10))],
            1,
            "which is `unknown`",
            "",
        ),
        // 6. Integers beyond 64 bits are told apart.
        ("wide", vec![lines("a", wide)], 0, "", "4 in = 4 kept + 0 dropped"),
        // 7. Numbers in one file, strings in the other: the same ids.
        (
            "17 and \"17\"",
            vec![lines("a", numbers(5)), lines("a", quoted(&["0", "1", "2", "3", "4"]))],
            0,
            "0 of them with another text",
            "10 in = 5 kept + 5 dropped (5 duplicate-id)",
        ),
        // 8. White space and case make other ids: nothing is guessed.
        (
            "spelling",
            vec![lines("a", quoted(&["d1", " d1", "D1", "d1 "]))],
            0,
            "",
            "4 in = 4 kept + 0 dropped",
        ),
        // 9. A small file that was appended to itself under new ids keeps all.
        (
            "new ids",
            vec![lines("a", numbers(5)), lines("a", quoted(&["x0", "x1", "x2", "x3", "x4"]))],
            0,
            "",
            "10 in = 10 kept + 0 dropped",
        ),
        // 10. An id that is an object, or a list of several.
        (
            "objects",
            vec![lines("a", ["{\"oid\": 1}", "[1, 2]"])],
            0,
            "column `id` is not used",
            "2 in = 2 kept + 0 dropped",
        ),
    ] {
        let world = World::new();
        for (at, shard) in shards.iter().enumerate() {
            world.write(&format!("corpus/{at}.jsonl"), shard);
        }
        let run = world.says(&format!("select corpus {ALL} --run run"), code, &[words]);
        assert!(run.stdout.contains(counts), "{what}: {}", run.stdout);
        assert_eq!(
            run.stderr.contains("warning") || run.stderr.contains("error"),
            !words.is_empty(),
            "{what}: {}",
            run.stderr
        );
    }
    // A nested id is found where it is named.
    let world = World::new();
    world.write(
        "corpus.jsonl",
        "{\"meta\": {\"id\": \"m1\"}, \"text\": \"a\"}\n{\"meta\": {\"id\": 2}, \"text\": \"b\"}\n",
    );
    world.ok(&format!("select corpus.jsonl {ALL} --run run --id meta.id"));
    assert!(world.ok("why m1 --run run").stdout.starts_with("m1 "));
    world.ok(&format!("select corpus.jsonl {ALL} --run qualified --id meta.id --qualify-ids"));
    assert!(world.ok("why corpus:2 --run qualified").stdout.starts_with("corpus:2 "));
}
