//! Files and folders that cannot be read as a corpus, or not to their end.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use crate::formats::{gzip, write_parquet};
use crate::world::{World, shard_text};

#[test]
fn an_empty_shard_beside_full_ones_is_no_problem() {
    let world = World::with_corpus();
    world.write("corpus/empty.jsonl", "");
    world.write("corpus/empty-members.jsonl.gz", gzip(&[b"", b""]));
    world.write("corpus/empty-frame.jsonl.zst", zstd::encode_all(&b""[..], 3).unwrap());
    let run = world.ok("select corpus --by column:q --rate 100% --out kept");
    assert!(run.stdout.contains("120 in = 120 kept + 0 dropped + 0 failed"), "{}", run.stdout);
    assert_eq!(world.read("kept/empty.jsonl"), b"");
    assert_eq!(world.read("kept/s1.jsonl"), shard_text(1, 40).into_bytes());
    // Nothing at all is no gzip file: the file is whole only with its header.
    world.write("corpus/nothing.jsonl.gz", "");
    let run = world.run("select corpus --by random --rate 10% --out kept2");
    assert!(run.code == 0 || run.stderr.contains("shard `nothing.jsonl.gz`"), "{run:#?}");
}

#[test]
fn an_empty_corpus_is_an_error_that_says_where_it_looked() {
    let world = World::new();
    std::fs::create_dir(world.path("corpus")).unwrap();
    world.refuses(
        "select corpus --by random --rate 10% --out kept",
        1,
        &["corpus `corpus`: there are no files in it", "`.jsonl`"],
    );
    world.write("corpus/notes.txt", "x");
    world.refuses(
        "select corpus --by random --rate 10% --out kept",
        1,
        &["corpus `corpus`", "`.jsonl`", "`.parquet`"],
    );
    world.write("corpus/a.jsonl", "");
    world.write("corpus/b.jsonl", "\n  \n");
    let holds = ["corpus `corpus` holds no document (shards read: 2, all empty)"];
    world.refuses("select corpus --by random --rate 10% --out kept", 1, &holds);
    world.refuses("score column:q corpus --run run", 1, &holds);
    // Documents that come later are not held to what the empty files had.
    world.write("corpus/c.jsonl", shard_text(0, 10));
    let run = world.ok("select corpus --by random --rate 50% --out kept");
    assert!(run.stdout.contains("10 in = 5 kept"), "{}", run.stdout);
}

#[test]
fn a_corpus_that_is_not_there_makes_no_run_directory() {
    let world = World::new();
    for corpus in ["nowhere", "nowhere/*.jsonl", "nowhere.jsonl"] {
        world.refuses(
            &format!("select {corpus} --by random --rate 10% --run run --out kept"),
            1,
            &["nowhere"],
        );
    }
    assert!(!world.exists("run") && !world.exists("kept"));
}

#[test]
fn truncated_files_are_named_with_the_place_and_nothing_is_kept() {
    let text = shard_text(7, 400);
    let zst = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let gz = gzip(&[text.as_bytes()]);
    for (name, bytes, what) in [("cut.jsonl.zst", zst, "zstd"), ("cut.jsonl.gz", gz, "gzip")] {
        let world = World::with_corpus();
        world.write(&format!("corpus/{name}"), &bytes[..bytes.len() * 2 / 3]);
        world.refuses(
            "select corpus --by random --rate 10% --run run --out kept",
            1,
            &[&format!("shard `{name}`, row "), "byte ", what, "truncated", "fetch or make the file again"],
        );
        assert!(!world.exists("kept"));
        // Whole again, the same command goes on.
        world.write(&format!("corpus/{name}"), &bytes);
        let run = world.ok("select corpus --by random --rate 10% --run run --out kept");
        assert!(run.stdout.contains("520 in = 52 kept"), "{}", run.stdout);
    }
}

#[test]
fn damaged_bytes_are_found() {
    let world = World::with_corpus();
    let mut gz = gzip(&[shard_text(7, 400).as_bytes()]);
    let middle = gz.len() / 2;
    gz[middle] ^= 0xff;
    world.write("corpus/flipped.jsonl.gz", gz);
    world.refuses(
        "select corpus --by random --rate 10% --out kept",
        1,
        &["shard `flipped.jsonl.gz`", "row "],
    );
    world.write("corpus/flipped.jsonl.gz", "plain text under another name");
    world.refuses(
        "select corpus --by random --rate 10% --out kept",
        1,
        &["shard `flipped.jsonl.gz`", "gzip"],
    );
}

#[test]
fn parquet_of_another_schema_is_named_with_the_difference() {
    let world = World::new();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["one", "two"]));
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let good = RecordBatch::try_from_iter([
        ("id", Arc::clone(&ids)),
        ("text", Arc::clone(&texts)),
        ("n", Arc::clone(&numbers)),
    ])
    .unwrap();
    let other =
        RecordBatch::try_from_iter([("id", Arc::clone(&ids)), ("text", Arc::clone(&texts)), ("n", ids)])
            .unwrap();
    write_parquet(&world.path("a.parquet"), &good, 10);
    std::fs::create_dir(world.path("corpus")).unwrap();
    std::fs::copy(world.path("a.parquet"), world.path("corpus/a.parquet")).unwrap();
    write_parquet(&world.path("corpus/b.parquet"), &other, 10);
    world.refuses(
        "select corpus --by random --rate 50% --out kept",
        1,
        &["shard `b.parquet` has another schema than `a.parquet`", "`n`", "different folders"],
    );
    let untold = RecordBatch::try_from_iter([("id", Arc::clone(&numbers)), ("body", texts)]).unwrap();
    write_parquet(&world.path("only/a.parquet"), &untold, 10);
    world.refuses(
        "select only --by random --rate 50% --out kept",
        2,
        &["no column `text`", "body", "--text"],
    );
    world.ok("select only --by random --rate 50% --text body --out kept");
    world.refuses(
        "select only --by column:idd --rate 50% --text body --out kept3",
        2,
        &["`idd`", "did you mean `column:id`"],
    );
    let bytes = world.read("a.parquet");
    std::fs::remove_file(world.path("corpus/b.parquet")).unwrap();
    world.write("corpus/a.parquet", &bytes[..bytes.len() - 20]);
    world.refuses("select corpus --by random --rate 50% --out kept2", 1, &["shard `a.parquet`"]);
}

#[test]
fn shards_that_differ_only_in_their_endings_are_refused() {
    let world = World::with_corpus();
    world.write("corpus/s1.jsonl.gz", gzip(&[shard_text(9, 3).as_bytes()]));
    world.refuses("select corpus --by random --rate 10% --out kept", 1, &["`s1.jsonl`", "`s1.jsonl.gz`"]);
}

#[test]
fn a_last_line_without_an_end_is_a_line() {
    let world = World::new();
    let mut file = std::fs::File::create(world.path("corpus.jsonl")).unwrap();
    file.write_all(shard_text(0, 5).trim_end().as_bytes()).unwrap();
    let run = world.ok("select corpus.jsonl --by random --rate 100% --out kept");
    assert!(run.stdout.contains("5 in = 5 kept"), "{}", run.stdout);
}

#[test]
fn what_of_a_folder_is_not_the_corpus_is_said_once_and_for_programs_too() {
    let world = World::with_corpus();
    world.write("corpus/_SUCCESS", "");
    world.write("corpus/_temporary/0/part.jsonl", shard_text(8, 9));
    world.write("corpus/dataset_infos.json", "{}\n");
    world.write("corpus/more.jsonl.xz", "?");
    world.write("corpus/README.json", "{\n  \"a\": 1\n}\n");
    let select = "select corpus --by random --rate 10% --run run --out kept";
    let note = "corpus `corpus`: left out: 3 kept by programs for themselves (such as `_SUCCESS`)";
    let warning =
        "warning: corpus `corpus`: left out: 1 in a format that is not read (such as `more.jsonl.xz`)";
    let document = "left out: 1 of one JSON object over several lines (such as `README.json`)";
    for command in [
        select,
        "score counts corpus --run run",
        "score counts corpus --run run --dry-run",
        "select corpus --by random --rate 10% --run other --dry-run",
        "train-ngram corpus --order 2 --out model.arpa --discount-fallback",
    ] {
        let run = world.ok(command);
        for words in [note, warning, document] {
            assert_eq!(run.stderr.matches(words).count(), 1, "{command}\n{words}\n{}", run.stderr);
        }
    }
    let expected = serde_json::json!({ "bookkeeping": 3, "json-document": 1, "other-format": 1 });
    for command in [
        select,
        "score counts corpus --run run",
        "score counts corpus --run run --dry-run",
        "train-ngram corpus --order 2 --out second.arpa --discount-fallback",
    ] {
        let (_, report) = world.json(command);
        assert_eq!(report["left_out"], expected, "{command}");
    }
    // Such files come and go; the corpus is its shards.
    std::fs::remove_file(world.path("corpus/_SUCCESS")).unwrap();
    assert_eq!(world.json(select).1["documents_in"], 120);
    // The remedies: a glob that says what is meant, and one that writes out what would be left out.
    let run = world.ok("select corpus/*.jsonl --by random --rate 10% --out globbed");
    assert!(!run.stderr.contains("left out"), "{}", run.stderr);
    let (_, report) = world.json("select corpus/{_temporary/**,s*} --by random --rate 10% --out staged");
    assert_eq!(report["documents_in"], 129);
    world.refuses(
        "select corpus/*.{jsonl,xz} --by random --rate 10% --out refused",
        1,
        &["corpus `corpus/*.{jsonl,xz}`: `more.jsonl.xz`: its ending is not known", ".jsonl.zst"],
    );
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_an_error_that_names_it() {
    let world = World::with_corpus();
    std::os::unix::fs::symlink("/nowhere/part-7.jsonl", world.path("corpus/part-7.jsonl")).unwrap();
    for command in [
        "select corpus --by random --rate 10% --out kept",
        "score counts corpus --run run",
        "train-ngram corpus --order 2 --out model.arpa",
    ] {
        world.refuses(
            command,
            1,
            &["corpus `corpus`: `part-7.jsonl`: a link that leads nowhere", "mend the link or remove it"],
        );
    }
    assert!(!world.exists("run") && !world.exists("kept") && !world.exists("model.arpa"));
    // The remedy.
    world.ok("select corpus/s*.jsonl --by random --rate 10% --out kept");
}

#[test]
fn what_a_parquet_file_has_and_cannot_be_kept_is_refused_before_the_first_pass() {
    let world = World::new();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["one", "two"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let batch = RecordBatch::try_from_iter([("text", texts), ("num", numbers)]).unwrap();
    write_parquet(&world.path("corpus/a.parquet"), &batch, 10);
    // The second file states a codec that is not read: in its footer, behind the name of the column.
    let mut bytes = world.read("corpus/a.parquet");
    let at = bytes.windows(5).rposition(|window| window == b"num\x15\x00").unwrap();
    bytes[at + 4] = 8;
    world.write("corpus/b.parquet", bytes);
    world.refuses(
        "score counts corpus --run run",
        1,
        &[
            "shard `b.parquet`: column `num`: compressed with Brotli, which is not read",
            "write the file anew",
        ],
    );
    assert!(!world.exists("run/inventory"), "nothing was read");
}
