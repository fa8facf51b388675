//! Columns that are carried: named at first, later, by a stratum, or wrongly.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use serde_json::json;

use crate::formats::write_parquet;
use crate::world::World;

/// Forty documents of two languages, `q` on a scale of its own in each.
fn world() -> World {
    let world = World::new();
    for shard in 0..2 {
        let mut text = String::new();
        for at in 0..20 {
            let (lang, q) = if at % 2 == 0 { ("en", at) } else { ("fi", 1000 + 3 * at) };
            writeln!(
                text,
                r#"{{"id": "d{shard}-{at}", "text": "t {shard} {at}", "lang": "{lang}", "meta": {{"source": "s{shard}"}}, "q": {q}}}"#
            )
            .unwrap();
        }
        world.write(&format!("corpus/s{shard}.jsonl"), text);
    }
    world
}

#[test]
fn a_stratum_needs_no_carry_before_and_none_to_be_begun_with() {
    let world = world();
    let select = "--by column:q --stratum lang --rate 20% --out";
    world.ok(&format!("select corpus --run first --carry lang {select} kept-first"));
    world.ok(&format!("select corpus --run alone {select} kept-alone"));
    // Begun without it, scored, and asked for then: by a call that names the corpus, and by one that does not.
    world.ok("score column:q corpus --run later");
    let scores = world.files("later/signals");
    let run = world.ok(&format!("select corpus --run later {select} kept-later"));
    assert!(run.stderr.contains("`lang` is carried from now on"), "{}", run.stderr);
    world.ok("score column:q corpus --run unnamed");
    world.ok(&format!("select --run unnamed {select} kept-unnamed"));
    let expected = world.files("kept-first");
    assert_eq!(world.lines("kept-first").len(), 8);
    for kept in ["kept-alone", "kept-later", "kept-unnamed"] {
        assert_eq!(world.files(kept), expected, "{kept}");
    }
    let mut after = world.files("later/signals");
    after.retain(|name, _| scores.contains_key(name));
    assert_eq!(after, scores);
    // It is one of the columns of the run from then on.
    let (_, why) = world.json("why d1-3 --run later");
    assert_eq!(why["carried"], json!({ "lang": "fi" }), "{why:#}");
    assert_eq!(why["signals"].as_array().unwrap().len(), 1, "{why:#}");
    assert!(world.ok("why d1-3 --run first").stdout.contains("lang: fi"));
    let shown = world.ok("show --run later");
    assert!(shown.stdout.contains("column-q") && !shown.stdout.contains("carried"), "{}", shown.stdout);
}

#[test]
fn a_column_that_nothing_has_is_refused_before_anything_is_read() {
    let world = world();
    let select = "select corpus --by column:q --rate 20% --run run";
    for (flag, words) in [
        ("--carry lnag", ["no document has a column `lnag`", "did you mean `lang`?"]),
        ("--carry lang,meta.sorce", ["no document has a column `meta.sorce`", "did you mean `meta.source`?"]),
        ("--stratum langg", ["no document has a column `langg`", "did you mean `lang`?"]),
        (
            "--carry lang --stratum q.q",
            ["no document has a column `q.q`", "columns are id, lang, meta.source, q, text"],
        ),
        ("--carry text", ["column `text`", "cannot be carried"]),
        ("--stratum doc_key", ["column `doc_key`", "cannot be carried"]),
    ] {
        world.refuses(&format!("{select} {flag}"), 2, &words);
        world.refuses(
            &format!("score column:q corpus --run run {flag}").replace("--stratum", "--carry"),
            2,
            &words,
        );
    }
    for wrong in ["lang, q", " lang", "lang,", "lang ,q"] {
        let mut command = world.command(select);
        let run = crate::world::Run::of(command.args(["--carry", wrong]));
        assert_eq!(run.code, 2, "`{wrong}`: {run:#?}");
        assert!(
            run.stderr.contains("no document has a column `") && run.stderr.contains("hint: "),
            "{run:#?}"
        );
    }
    assert!(!world.exists("run/inventory") && !world.exists("run/signals"));
    // The right names need no new run, and a run that is there is not hurt by a wrong one.
    world.ok(&format!("{select} --carry lang"));
    let before = world.files("run/signals");
    world.refuses(&format!("{select} --carry soruce"), 2, &["no document has a column `soruce`"]);
    world.refuses(&format!("{select} --stratum soruce"), 2, &["no document has a column `soruce`"]);
    world.refuses("score counts --run run --carry soruce", 2, &["no document has a column `soruce`"]);
    assert_eq!(world.files("run/signals"), before);
    world.ok(&format!("{select} --carry meta.source"));
}

#[test]
fn parquet_has_the_columns_of_its_schema() {
    let world = world();
    let texts = |name: &str| {
        Arc::new(StringArray::from_iter_values((0..20).map(|at| format!("{name} {at}")))) as ArrayRef
    };
    let list = arrow_array::builder::ListBuilder::new(arrow_array::builder::Int64Builder::new());
    let mut list = list;
    for at in 0..20 {
        list.values().append_value(at);
        list.append(true);
    }
    let columns = [
        ("text", texts("text")),
        ("lang", Arc::new(StringArray::from_iter((0..20).map(|at| (at > 15).then_some("en")))) as ArrayRef),
        ("none", Arc::new(StringArray::from(vec![None::<&str>; 20])) as ArrayRef),
        ("q", Arc::new(Float64Array::from_iter_values((0..20).map(f64::from))) as ArrayRef),
        ("list", Arc::new(list.finish()) as ArrayRef),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write_parquet(&world.path("table/a.parquet"), &batch, 7);
    let select = "select table --by column:q --rate 20% --run run";
    world.refuses(
        &format!("{select} --carry langg"),
        2,
        &["shard `a.parquet`: there is no column `langg`", "did you mean `lang`?"],
    );
    world.refuses(
        &format!("{select} --stratum list"),
        1,
        &["column `list`", "a string, a number or a boolean"],
    );
    assert!(!world.exists("run/inventory"));
    world.ok(select);
    world.refuses(&format!("{select} --stratum langg"), 2, &["did you mean `lang`?"]);
    world.ok(&format!("{select} --stratum lang"));
    world.refuses(
        &format!("{select} --stratum none"),
        2,
        &["no document has a value in the column `none`", "`--stratum`"],
    );
    // Lines beside a table that has it: the lines may do without, the table may not.
    world.write("both/a.jsonl", world.read("corpus/s0.jsonl"));
    write_parquet(&world.path("both/b.parquet"), &batch, 7);
    world.refuses(
        "score counts both --run both-run --carry meta.source",
        2,
        &["shard `b.parquet`: there is no column `meta.source`"],
    );
    assert!(!world.exists("both-run/inventory"));
}

#[test]
fn a_column_that_comes_late_in_a_shard_is_not_taken_for_a_mistake() {
    let world = World::new();
    let word = "word ".repeat(400);
    let line =
        |at: usize, more: &str| format!("{{\"id\": {at}, \"text\": \"{word} {at}\", \"other\": 1{more}}}\n");
    let mut text: String = (0..6000).map(|at| line(at, "")).collect();
    text += &line(6000, ", \"rare\": 3, \"lang\": \"en\"");
    world.write("corpus/a.jsonl", text);
    let run = world.ok("select corpus --by column:rare --rate 100% --run run --carry lang --max-failed 100%");
    for word in ["no shard begins with a document that has a column `lang`", "`rare`"] {
        assert!(run.stderr.contains(word), "{}", run.stderr);
    }
    assert!(run.stdout.contains("6,001 in = 1 kept"), "{}", run.stdout);
    assert!(!run.stderr.contains("no document has a value"), "{}", run.stderr);
    let (_, why) = world.json("why 6000 --run run");
    assert_eq!(why["carried"], json!({ "lang": "en" }));
    // Nothing has it: said when all is read, and no reason to stop, but for a stratum.
    let run = world.ok("score counts corpus --run run --carry lnag");
    for word in ["a column `lnag`", "no document has a value in the carried column `lnag`"] {
        assert!(run.stderr.contains(word), "{}", run.stderr);
    }
    let select = "select corpus --by counts.words --rule top --rate 10% --run fresh";
    world.refuses(
        &format!("{} --stratum tpyo", select.replace("--rule top ", "")),
        2,
        &["no document has a value in the column `tpyo`"],
    );
    assert!(world.exists("fresh/inventory") && !world.exists("fresh/signals"), "nothing was scored");
    // White space around a known name is a mistake for certain.
    let mut command = world.command(select);
    let run = crate::world::Run::of(command.args(["--carry", "lang, other"]));
    assert_eq!(run.code, 2, "{run:#?}");
    assert!(
        run.stderr.contains("` other`") && run.stderr.contains("did you mean `other`?"),
        "{}",
        run.stderr
    );
}
