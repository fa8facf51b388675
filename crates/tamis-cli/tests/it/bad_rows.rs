//! Rows that cannot be used: each is counted, told with file, line and reason, and costs no other row anything.

use serde_json::json;

use crate::world::{World, shard_text};

/// Line number, line, reason.
const BAD: [(u64, &[u8], &str); 9] = [
    (2, br#"{"id": "broken", "text": "cut"#, "invalid-json"),
    (3, br#"["no", "object"]"#, "invalid-json"),
    (5, br#"{"id": "none"}"#, "missing-text"),
    (6, br#"{"id": "null", "text": null}"#, "null-text"),
    (7, br#"{"id": "empty", "text": ""}"#, "empty-text"),
    (8, b"{\"id\": \"bytes\", \"text\": \"\xff\xfe\"}", "invalid-utf8"),
    (9, br#"{"id": "number", "text": 5}"#, "text-not-a-string"),
    (11, br#"{"text": "no id"}"#, "missing-id"),
    (12, br#"{"id": null, "text": "null id"}"#, "missing-id"),
];

/// One shard with every bad line among good ones and a blank line, and two good shards.
fn world() -> World {
    let world = World::with_corpus();
    let mut lines: Vec<Vec<u8>> = (1..=14)
        .map(|at| {
            let bad = BAD.iter().find(|(line, ..)| *line == at).map(|(_, bytes, _)| bytes.to_vec());
            bad.unwrap_or_else(|| format!(r#"{{"id": "good-{at}", "text": "good {at}"}}"#).into_bytes())
        })
        .collect();
    lines[12] = b"  ".to_vec();
    world.write("corpus/bad.jsonl", lines.join(&b'\n'));
    world
}

#[test]
fn bad_rows_are_told_with_file_line_and_reason_and_nothing_else_is_lost() {
    let world = world();
    let run = world.says(
        "select corpus --by random --rate 100% --run run --out kept",
        3,
        &[
            "shard `bad.jsonl`, line 2: invalid-json: byte ",
            "shard `bad.jsonl`, line 5: missing-text: there is no `text`; keys are `id`",
            "shard `bad.jsonl`, line 6: null-text",
            "shard `bad.jsonl`, line 7: empty-text",
            "shard `bad.jsonl`, line 8: invalid-utf8",
            "shard `bad.jsonl`, line 9: text-not-a-string",
            "shard `bad.jsonl`, line 11: missing-id",
            "9 of 133 rows could not be read",
            "`run/quarantine`",
            "9 of 133 rows failed (6.8 %), more than --max-failed 1% allows: exit code 3",
        ],
    );
    assert!(run.stdout.contains("133 in = 124 kept + 0 dropped + 9 failed"), "{}", run.stdout);
    let told: Vec<_> = world
        .quarantine("run")
        .iter()
        .map(|row| (row["line"].as_u64().unwrap(), row["reason"].as_str().unwrap().to_owned()))
        .collect();
    let expected: Vec<_> = BAD.iter().map(|(line, _, reason)| (*line, (*reason).to_owned())).collect();
    assert_eq!(told, expected);
    // The good shards byte for byte, and of the bad one the good lines.
    for shard in 0..3 {
        assert_eq!(world.read(&format!("kept/s{shard}.jsonl")), shard_text(shard, 40).into_bytes());
    }
    let kept = String::from_utf8(world.read("kept/bad.jsonl")).unwrap();
    let expected: String =
        [1, 4, 10, 14].map(|at| format!("{{\"id\": \"good-{at}\", \"text\": \"good {at}\"}}\n")).concat();
    assert_eq!(kept.trim_end(), expected.trim_end());
}

#[test]
fn the_share_of_failed_rows_decides_the_exit_code() {
    let world = world();
    let command = |most: &str, run: &str| {
        world.json(&format!("select corpus --by random --rate 50% --run {run} --max-failed {most}"))
    };
    let (code, report) = command("1%", "a");
    assert_eq!((code, &report["failed"]), (3, &json!(9)));
    assert_eq!(report["failed_by_reason"]["invalid-json"], json!(2));
    assert_eq!(command("6%", "a").0, 3);
    assert_eq!(command("7%", "a").0, 0);
    assert_eq!(command("0.07", "b").0, 0);
    let (code, report) = world.json("score column:q corpus --run c");
    assert_eq!(code, 3);
    // The good lines of the bad shard have no `q`: these are failed rows as well, of another kind.
    assert_eq!(report["failed_by_reason"]["missing-or-null"], json!(4));
    assert_eq!(report["failed"], json!(13));
}

#[test]
fn texts_stay_out_of_the_quarantine_on_request() {
    let world = world();
    world.says("select corpus --by random --rate 50% --run run --no-text", 3, &["line 2"]);
    let rows = world.quarantine("run");
    assert_eq!(rows.len(), 9);
    assert!(rows.iter().all(|row| row.get("raw").is_none()));
}

#[test]
fn of_equal_ids_one_stays_whatever_the_shards_are_called() {
    let lines = [r#"{"id": "twice", "text": "first"}"#, r#"{"id": "twice", "text": "second"}"#];
    let kept = |a: &str, b: &str| {
        let world = World::new();
        world.write(&format!("corpus/{a}.jsonl"), format!("{}\n", lines[0]));
        world.write(
            &format!("corpus/{b}.jsonl"),
            format!("{}\n{{\"id\": \"once\", \"text\": \"x\"}}\n", lines[1]),
        );
        let run = world.says(
            "select corpus --by random --rate 100% --out kept",
            0,
            &[
                "one id occurs more than once, such as that of shard `",
                ".jsonl`, line 1",
                "duplicate-id",
                "one row is dropped as `duplicate-id`, with another text than the one that stays",
                "`--qualify-ids`",
            ],
        );
        assert!(
            run.stdout.contains("3 in = 2 kept + 1 dropped (1 duplicate-id) + 0 failed"),
            "{}",
            run.stdout
        );
        world.lines("kept")
    };
    let one = kept("a", "b");
    assert_eq!(one.len(), 2);
    assert_eq!(one, kept("z", "b"));
    assert_eq!(one, kept("b", "a"));
}

#[test]
fn equal_texts_are_dropped_on_request() {
    let world = World::new();
    world.write("corpus.jsonl", "{\"id\": 1, \"text\": \"same\"}\n{\"id\": 2, \"text\": \"same\"}\n{\"id\": 3, \"text\": \"other\"}\n");
    let (code, all) = world.json("select corpus.jsonl --by random --rate 100% --run run");
    assert_eq!((code, &all["kept"]), (0, &json!(3)));
    let (code, one) =
        world.json("select corpus.jsonl --by random --rate 100% --run run --exact-duplicates one");
    assert_eq!((code, &one["kept"], &one["dropped_by_reason"]["exact-duplicate"]), (0, &json!(2), &json!(1)));
}

#[test]
fn a_line_of_100_mb_is_a_document_like_any_other() {
    let world = World::new();
    let mut bytes = b"{\"id\": \"a\", \"text\": \"before\"}\n{\"id\": \"b\", \"text\": \"".to_vec();
    bytes.resize(bytes.len() + 100_000_000, b'x');
    bytes.extend(b"\"}\n{\"id\": \"c\", \"text\": \"after\"}\n");
    world.write("corpus/long.jsonl", &bytes);
    // A bound on address space, where the shell can set one: four copies of the line would not fit.
    let mut command = world.command("");
    if cfg!(target_os = "linux") {
        let binary = env!("CARGO_BIN_EXE_tamis");
        command = std::process::Command::new("sh");
        command.current_dir(world.path("")).args([
            "-c",
            &format!("ulimit -v 1000000; exec {binary} select corpus --by random --rate 100% --out kept --threads 2"),
        ]);
    } else {
        command.args(["select", "corpus", "--by", "random", "--rate", "100%", "--out", "kept"]);
    }
    let run = crate::world::Run::of(&mut command);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(world.read("kept/long.jsonl") == bytes);
    let run = world.says(
        "select corpus --by random --rate 100% --out short --max-line-bytes 1000000",
        3,
        &["shard `long.jsonl`, line 2: line-too-long: 1000000", "bytes, the limit is 1000000"],
    );
    assert!(run.stdout.contains("3 in = 2 kept + 0 dropped + 1 failed (1 line-too-long)"), "{}", run.stdout);
    assert!(world.quarantine("short/.tamis")[0].to_string().len() < 10_000);
}

#[test]
fn a_column_that_is_no_number_fails_its_row() {
    let world = World::new();
    let values = ["1.5", "\"2.5\"", "true", "\"high\"", "null", "1e999", "{}"];
    let lines: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(at, value)| format!(r#"{{"id": {at}, "text": "text {at}", "quality": {value}}}"#))
        .collect();
    world.write("corpus.jsonl", lines.join("\n"));
    let (code, report) = world.json("select corpus.jsonl --by column:quality --rate 100% --run run");
    assert_eq!((code, &report["kept"], &report["failed"]), (3, &json!(3), &json!(4)), "{report:#}");
}
