//! Veto files: what they match, and what is said where they match nothing.

use serde_json::json;

use crate::formats::gzip;
use crate::world::World;

const SELECT: &str = "select corpus --by random --rate 100% --veto veto.txt";

#[test]
fn entries_are_counted_by_file_in_text_json_and_manifest() {
    let world = World::with_corpus();
    world.write("veto.txt", "d1-3\r\nd2-17 \nd1-3\nnobody\n");
    world.write("more.txt", "d2-17\n");
    let run = world.ok(&format!("{SELECT} --veto more.txt --run run"));
    assert!(run.stdout.contains("120 in = 118 kept + 2 dropped (2 vetoed)"), "{}", run.stdout);
    assert!(
        run.stdout
            .contains("\nveto `veto.txt`: 2 of 3 entries matched\nveto `more.txt`: 1 of 1 entry matched\n"),
        "{}",
        run.stdout
    );
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    let (_, report) = world.json(&format!("{SELECT} --veto more.txt --run run"));
    let expected = json!([
        { "file": "veto.txt", "entries": 3, "matched": 2 },
        { "file": "more.txt", "entries": 1, "matched": 1 },
    ]);
    assert_eq!(report["vetoes"], expected);
    let manifest = format!("run/selections/{}/manifest.json", report["name"].as_str().unwrap());
    let manifest: serde_json::Value = serde_json::from_slice(&world.read(&manifest)).unwrap();
    assert_eq!(manifest["vetoes"], expected);
    // The same entries in one file are the same selection; this call counts its own file.
    world.write("all.txt", "nobody\nd2-17\nd1-3\n");
    let (code, again) = world.json(&format!("{} --run run", SELECT.replace("veto.txt", "all.txt")));
    assert_eq!((code, &again["name"]), (0, &report["name"]));
    assert_eq!(again["vetoes"], json!([{ "file": "all.txt", "entries": 3, "matched": 2 }]));
    // Without vetoes nothing is said of them.
    let (_, none) = world.json("select corpus --by random --rate 100% --run run");
    assert_eq!(none["vetoes"], json!([]));
}

#[test]
fn a_veto_that_matches_nothing_is_loud_and_says_why() {
    let world = World::with_corpus();
    for (at, (content, words)) in [
        ("\"d0-0\"\n", vec!["1 entry is in quotation marks, such as `\"d0-0\"`", "did you mean `d0-0`"]),
        ("'d0-0'\n", vec!["1 entry is in quotation marks", "did you mean `d0-0`"]),
        (
            "{\"id\":\"d0-0\"}\n{\"id\":\"d0-1\"}\n",
            vec![
                "0 of 2 entries matched",
                "2 entries are JSON, such as `{\"id\":\"d0-0\"}`",
                "did you mean `d0-0`",
            ],
        ),
        ("[\"d0-0\"]\n", vec!["1 entry is JSON", "did you mean `d0-0`"]),
        (
            "d0-0,d0-1\n",
            vec![
                "1 entry is like a row of a table",
                "did you mean one of 2 documents, such as `d0-0`, for `d0-0,d0-1`?",
            ],
        ),
        ("d0-0\tlaw\n", vec!["1 entry is like a row of a table", "did you mean `d0-0`"]),
        (
            "id;why\nd0-0;law\n",
            vec!["2 entries are like a row of a table", "did you mean `d0-0` for `d0-0;law`?"],
        ),
        ("D0-0\n", vec!["1 entry is an id but for its spelling: did you mean `d0-0` for `D0-0`?"]),
        ("<d0-0>\n", vec!["did you mean `d0-0` for `<d0-0>`?"]),
        ("nobody\nnothing\n", vec!["0 of 2 entries matched", "ids of this run are such as `d0-0`"]),
        ("00000000000000000000000000000000\n", vec!["0 of 1 entry matched: it vetoes nothing"]),
    ]
    .into_iter()
    .enumerate()
    {
        world.write("veto.txt", content);
        let words = [&["warning: veto file `veto.txt`: 0 of ", ": it vetoes nothing"], &words[..]].concat();
        // A warning is not what `-q` silences.
        let run = world.says(&format!("{SELECT} --run run{at} -q"), 0, &words);
        assert!(run.stdout.contains("120 in = 120 kept + 0 dropped"), "{content}{}", run.stdout);
        assert!(run.stdout.contains("veto `veto.txt`: 0 of "), "{}", run.stdout);
    }
    // A few that are written otherwise among good ones are told too.
    world.write("veto.txt", "d0-1\n\"d0-0\"\n");
    world.says(
        &format!("{SELECT} --run partly"),
        0,
        &["veto file `veto.txt`: 1 of 2 entries matched; 1 entry is in quotation marks"],
    );
}

#[test]
fn lists_are_read_however_they_are_packed_and_ended() {
    let world = World::with_corpus();
    let list = "d1-3\nd2-17\n";
    let marked = format!("\u{feff}{list}");
    let files: [(&str, Vec<u8>); 6] = [
        ("carriage returns", list.replace('\n', "\r").into_bytes()),
        ("both", list.replace('\n', "\r\n").into_bytes()),
        ("a byte-order mark", marked.into_bytes()),
        ("white space", list.replace('\n', " \t\u{a0}\n").into_bytes()),
        ("gzip", gzip(&[list.as_bytes()])),
        ("zstd", zstd::encode_all(list.as_bytes(), 1).unwrap()),
    ];
    let mut names = Vec::new();
    for (what, bytes) in files {
        world.write("veto.txt", bytes);
        let (code, report) = world.json(&format!("{SELECT} --run run"));
        assert_eq!(
            (code, &report["vetoes"][0]["matched"], &report["kept"]),
            (0, &json!(2), &json!(118)),
            "{what}"
        );
        names.push(report["name"].clone());
    }
    // All of them are the same entries, so one selection.
    names.dedup();
    assert_eq!(names.len(), 1);
}

#[test]
fn ids_with_commas_are_no_tables_and_what_is_vetoed_is_not_meant() {
    let world = World::new();
    let long = format!("https://x/{}", "p".repeat(100));
    for (id, text) in
        [("https://x/a,b;c", "one"), ("line\nbreak", "two"), (long.as_str(), "three"), ("D0", "four")]
    {
        let line = json!({ "id": id, "text": text });
        let before = if world.exists("ids.jsonl") { world.read("ids.jsonl") } else { Vec::new() };
        world.write("ids.jsonl", [before, format!("{line}\n").into_bytes()].concat());
    }
    let select = "select ids.jsonl --by random --rate 100% --veto veto.txt --run run";
    // An address with commas that is nobody's id says nothing of tables; one that is named as it stands is no spelling of another.
    world.write("veto.txt", "https://x/a,b;c\nhttps://x/z,y\nD0\nd0\n");
    let run = world.ok(select);
    assert!(run.stdout.contains("veto `veto.txt`: 2 of 4 entries matched"), "{}", run.stdout);
    assert!(!run.stderr.contains("table") && !run.stderr.contains("did you mean"), "{}", run.stderr);
    // Where an id cannot be written, or not be read, its key is named.
    world.write("veto.txt", "\"line\nbreak\"\n");
    world.ok(select);
    world.write("veto.txt", format!("{}\n", long.to_uppercase()));
    let said = world.says(select, 0, &["did you mean `https://x/ppp", "Its key is `"]);
    let key = said.stderr.split("Its key is `").nth(1).unwrap()[..32].to_owned();
    world.write("veto.txt", format!("{key}\n"));
    assert!(world.ok(select).stdout.contains("1 dropped (1 vetoed)"));
}

#[test]
fn files_that_are_no_lists_are_refused_by_name() {
    let world = World::with_corpus();
    let utf16 = |mark: bool| -> Vec<u8> {
        let text = if mark { "\u{feff}d0-0\n" } else { "d0-0\n" };
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    for (bytes, words) in [
        (utf16(true), ["line 1", "it looks like UTF-16"]),
        (utf16(false), ["NUL", "it looks like UTF-16"]),
        (b"PAR1\x15\x04\x15\x00".to_vec(), ["NUL", "it looks like Parquet"]),
        (b"PK\x03\x04\x14\0\0\0".to_vec(), ["NUL", "a spreadsheet"]),
        (b"\xfd7zXZ\0\0".to_vec(), ["line 1", "it looks like xz; unpack it"]),
        (b"BZh91AY&SY\xff\0".to_vec(), ["line 1", "bzip2"]),
        (b"d0-0\nd0-\xff1\n".to_vec(), ["line 2: not UTF-8", "one id or document key a line"]),
        (gzip(&[b"d0-0\n"])[..15].to_vec(), ["veto file `veto.txt`", "truncated"]),
    ] {
        world.write("veto.txt", &bytes);
        world.refuses(&format!("{SELECT} --run run"), 2, &words);
    }
    assert!(!world.exists("run/inventory"));
    // A list whose first id begins like a file of another kind is a list.
    world.write("veto.txt", "PAR1\nBZh\nd0-0\n");
    assert!(world.ok(&format!("{SELECT} --run run")).stdout.contains("1 of 3 entries matched"));
}

#[test]
fn vetoes_name_documents_by_what_a_run_knows_them_by() {
    let world = World::new();
    for shard in 0..2 {
        let line = |at: usize| format!("{{\"id\": {at}, \"text\": \"{at} of {shard}\"}}\n");
        world.write(&format!("corpus/s{shard}.jsonl"), (0..30).map(line).collect::<String>());
    }
    let key = |name: &str, run: &str| {
        let shown = world.ok(&format!("why {name} --run {run}")).stdout;
        shown.split("key ").nth(1).unwrap()[..32].to_owned()
    };
    let all = "select corpus --by random --rate 100%";
    // Qualified ids: SHARD:ID, as they are shown.
    world.write("veto.txt", "s0:18\n17\ns1.jsonl:3\n18\n");
    let run = world.says(
        &format!("{all} --qualify-ids --veto veto.txt --run qualified"),
        0,
        &[
            "1 of 4 entries matched",
            "3 entries are an id but for its spelling",
            "one of 2 documents, such as `s0:17`, for `17`",
        ],
    );
    assert!(run.stdout.contains("60 in = 59 kept + 1 dropped (1 vetoed)"), "{}", run.stdout);
    assert!(world.ok("why s0:18 --run qualified").stdout.contains("not kept: vetoed"));
    // No ids: keys alone, in either case of their digits.
    world.ok(&format!("{all} --id none --run none"));
    world.write("veto.txt", "17\n18\n");
    world.says(
        &format!("{all} --veto veto.txt --run none -q"),
        0,
        &[
            "0 of 2 entries matched: it vetoes nothing",
            "documents of this run have no ids",
            "only keys, 32 hex digits",
        ],
    );
    let (first, second) = (key("s0.jsonl:18", "none"), key("s1.jsonl:18", "none"));
    world.write("veto.txt", format!("{first}\n{}\n", second.to_uppercase()));
    let run = world.ok(&format!("{all} --veto veto.txt --run none"));
    assert!(run.stdout.contains("60 in = 58 kept + 2 dropped (2 vetoed)"), "{}", run.stdout);
    assert!(run.stdout.contains("veto `veto.txt`: 2 of 2 entries matched"), "{}", run.stdout);
    // Zeros before a number, and an id that no line can be: white space around it.
    world.write("ids.jsonl", "{\"id\": \"007\", \"text\": \"a\"}\n{\"id\": \" x \", \"text\": \"b\"}\n");
    world.write("veto.txt", "7\n");
    world.says(
        "select ids.jsonl --by random --rate 100% --veto veto.txt --run ids",
        0,
        &["did you mean `007` for `7`?"],
    );
    world.write("veto.txt", " x \n");
    let run = world.says(
        "select ids.jsonl --by random --rate 100% --veto veto.txt --run ids",
        0,
        &["the id ` x ` has white space around it", "write its key, `"],
    );
    let key = run.stderr.split("write its key, `").nth(1).unwrap()[..32].to_owned();
    world.write("veto.txt", key);
    assert!(
        world
            .ok("select ids.jsonl --by random --rate 100% --veto veto.txt --run ids")
            .stdout
            .contains("1 kept + 1 dropped (1 vetoed)")
    );
    // A veto names documents, not texts.
    let named = world.run("select ids.jsonl --by random --rate 100% --veto veto.txt --run ids --json").stdout;
    assert!(named.contains("\"matched\": 1"), "{named}");
}
