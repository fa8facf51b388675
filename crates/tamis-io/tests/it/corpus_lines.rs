//! Lines in, lines out: laws that hold for any content, compression and cut.

use crate::corpus_support::{compress, corpus_of, decompress, in_memory, kept, read, read_from, with_ids};
use proptest::collection::vec;
use proptest::prelude::*;
use tamis_io::corpus::{Columns, IdMode};

const NAMES: [&str; 5] = ["a.jsonl", "a.ndjson.gz", "a.json.zst", "a.jsonl.gz", "a.jsonl.zst"];

/// A good document, a broken one, a blank one, or any bytes.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (any::<i64>(), "\\PC{0,60}|[ \\n\\t\u{3000}]{0,3}").prop_map(|(id, text)| {
            serde_json::json!({"id": id, "meta": {"lang": "é", "n": [1]}, "text": text}).to_string().into_bytes()
        }),
        1 => "[{}\":, a-c0-9\\\\\\[\\]]{0,30}".prop_map(String::into_bytes),
        1 => "[ \\t\\r]{0,3}".prop_map(String::into_bytes),
        1 => vec(any::<u8>().prop_filter("a line holds no line ending", |byte| *byte != b'\n'), 0..40),
        1 => (1usize..400).prop_map(|length| format!("{{\"id\":1,\"text\":\"{}\"}}", "x".repeat(length)).into_bytes()),
    ]
}

/// Lines, each with its ending; the last may have none.
fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    (vec((line(), any::<bool>()), 0..40), any::<bool>()).prop_map(|(lines, last_ends)| {
        let count = lines.len();
        let mut lines: Vec<Vec<u8>> = lines
            .into_iter()
            .enumerate()
            .map(|(at, (mut line, windows))| {
                let ending: &[u8] = match (at + 1 == count && !last_ends, windows) {
                    (true, _) => b"",
                    (_, true) => b"\r\n",
                    (_, false) => b"\n",
                };
                line.extend_from_slice(ending);
                line
            })
            .collect();
        // A last line of nothing at all is no line.
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        lines
    })
}

/// Cuts bytes at places given as fractions.
fn cut<'b>(bytes: &'b [u8], places: &[f64]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> = places.iter().map(|place| (place * bytes.len() as f64) as usize).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn documents_do_not_depend_on_compression_members_or_where_reading_starts(
        lines in lines(), places in vec(0.0..1.0f64, 0..6), limit in 20u64..400,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let whole = lines.concat();
        let columns = Columns { carry: vec!["meta.lang".into(), "meta".into()], ..with_ids() };
        let expected =
            read(&corpus_of(folder.path(), "plain/a.jsonl", &whole).with_max_line_bytes(limit), &columns).unwrap();
        prop_assert_eq!(expected.rows, lines.len() as u64);
        for name in NAMES {
            let file = compress(name, &cut(&whole, &places));
            let corpus = corpus_of(folder.path(), name, &file).with_max_line_bytes(limit);
            prop_assert_eq!(&read(&corpus, &columns).unwrap(), &expected, "{}", name);
            let from = (places.first().unwrap_or(&0.5) * lines.len() as f64) as u64;
            let mut tail = expected.clone();
            tail.documents.retain(|document| document.row >= from);
            tail.failures.retain(|failure| failure.row >= from);
            let got = read_from(&corpus, &corpus.shards()[0], &columns, from).unwrap();
            prop_assert_eq!((got.documents, got.failures, got.rows), (tail.documents, tail.failures, tail.rows));
        }
    }

    #[test]
    fn kept_lines_are_the_input_lines_byte_for_byte(lines in lines(), choices in vec(any::<bool>(), 40)) {
        let folder = tempfile::tempdir().unwrap();
        let out = in_memory();
        let whole = lines.concat();
        let expected: Vec<u8> =
            lines.iter().zip(&choices).filter(|(_, keep)| **keep).flat_map(|(line, _)| line.clone()).collect();
        for name in NAMES {
            let corpus = corpus_of(folder.path(), name, &compress(name, &[&whole]));
            let first = kept(&corpus, &out, &mut |row| choices[row as usize]);
            prop_assert_eq!(&decompress(name, &first), &expected);
            prop_assert_eq!(first, kept(&corpus, &out, &mut |row| choices[row as usize]), "the same rows, the same bytes");
        }
    }
}

/// About 9 MB of lines, so that blocks are cut in their midst.
fn many_lines() -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in 0..40_000 {
        let text = format!("\"quoted\" line {id}\n").repeat(id % 20 + 1);
        let line = serde_json::json!({"id": format!("doc-{id}"), "text": text, "n": id}).to_string();
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(if id % 3 == 0 { b"\r\n" } else { b"\n" });
        if id % 1000 == 0 {
            bytes.extend_from_slice(b" \nbroken\n");
        }
    }
    bytes
}

#[test]
fn blocks_are_cut_between_lines_and_any_start_gives_the_tail() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = many_lines();
    assert!(bytes.len() > 9 << 20);
    for name in ["a.jsonl", "a.jsonl.zst"] {
        let corpus = corpus_of(folder.path(), name, &compress(name, &[&bytes]));
        let all = read(&corpus, &with_ids()).unwrap();
        assert_eq!((all.documents.len(), all.failures.len(), all.blank, all.rows), (40_000, 40, 40, 40_080));
        assert!(
            all.documents.iter().enumerate().all(|(at, document)| document.id == Some(format!("doc-{at}")))
        );
        for from in [1, 17_017, 40_079, 40_080, 50_000] {
            let tail = read_from(&corpus, &corpus.shards()[0], &with_ids(), from.min(40_080)).unwrap();
            let first = all.documents.partition_point(|document| document.row < from);
            assert!(tail.documents == all.documents[first..], "from {from}");
        }
        let out = in_memory();
        assert!(decompress(name, &kept(&corpus, &out, &mut |_| true)) == bytes);
    }
}

#[test]
fn a_line_of_a_hundred_megabytes_is_read_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let text = "abcdefg\u{e9}".repeat(100 << 20 >> 3);
    let long = format!("{{\"id\":2,\"text\":\"{text}\"}}\n");
    let whole = ["{\"id\":1,\"text\":\"a\"}\n", &long, "{\"id\":3,\"text\":\"c\"}\n"].concat();
    let corpus = corpus_of(folder.path(), "a.jsonl.zst", &compress("a.jsonl.zst", &[whole.as_bytes()]));
    let mut reader = corpus.open(&corpus.shards()[0], 0).unwrap();
    let mut lengths = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        let documents = block.decode(&with_ids()).unwrap().documents;
        lengths.extend(documents.texts().iter().map(|text| text.unwrap().len()));
    }
    assert_eq!(lengths, [1, text.len(), 1]);
    let out = in_memory();
    assert!(decompress("a.jsonl.zst", &kept(&corpus, &out, &mut |row| row == 1)) == long.as_bytes());

    let corpus = corpus.with_max_line_bytes(10 << 20);
    let read = read(&corpus, &with_ids()).unwrap();
    assert_eq!(read.texts(), ["a", "c"]);
    assert_eq!(read.reasons(), [(1, "line-too-long")]);
    assert_eq!(read.failures[0].raw_bytes, long.len() as u64 - 1);
    assert_eq!(read.failures[0].raw[..], long.as_bytes()[..2048]);
}

#[test]
fn long_windows_and_many_frames_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let line = b"{\"text\":\"a\"}\n";
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(31).unwrap();
    encoder.long_distance_matching(true).unwrap();
    std::io::Write::write_all(&mut encoder, line).unwrap();
    let mut file = encoder.finish().unwrap();
    // A skippable frame of four bytes, and an empty one, between frames with rows.
    file.extend_from_slice(b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd");
    file.extend(compress("x.zst", &[b"", line, line]));
    let corpus = corpus_of(folder.path(), "a.jsonl.zst", &file);
    assert_eq!(read(&corpus, &Columns::default()).unwrap().texts(), ["a", "a", "a"]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_document_but_kept_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let whole = b"\xef\xbb\xbf{\"id\":1,\"text\":\"a\"}\r\n{\"id\":2,\"text\":\"b\"}";
    let corpus = corpus_of(folder.path(), "a.jsonl", whole);
    let marked = read(&corpus, &with_ids()).unwrap();
    assert_eq!(marked.texts(), ["a", "b"]);
    let plain =
        corpus_of(folder.path(), "b.jsonl", b"{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"text\":\"b\"}\n");
    assert_eq!(read(&plain, &with_ids()).unwrap().documents, marked.documents, "raw digests too");
    let out = in_memory();
    assert_eq!(kept(&corpus, &out, &mut |_| true), whole);
}

#[test]
fn values_are_taken_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_of(
        folder.path(),
        "a.jsonl",
        concat!(
            r#"{"body": "first", "body": "last", "meta": {"id": 12345678901234567890123, "lang": "de"}}"#, "\n",
            r#"{"body": "\u00e9\ud83d\ude00\n", "meta.id": "literal", "meta": {"id": 1, "tags": [1, "x"], "lang": null}}"#,
        ).as_bytes(),
    );
    let columns = Columns {
        text: "body".into(),
        id: IdMode::Column("meta.id".into()),
        namespace: "web".into(),
        carry: vec!["meta.lang".into(), "meta.tags".into(), "nothing".into()],
        also: Vec::new(),
    };
    let read = read(&corpus, &columns).unwrap();
    assert_eq!(read.texts(), ["last", "\u{e9}\u{1f600}\n"]);
    let ids: Vec<_> = read.documents.iter().map(|document| document.id.clone().unwrap()).collect();
    assert_eq!(ids, ["12345678901234567890123", "literal"]);
    assert_eq!(read.documents[1].key, tamis_core::DocKey::from_id("web", "literal").to_string());
    assert_eq!(read.documents[0].carried, [Some("de".to_owned()), None, None]);
    assert_eq!(read.documents[1].carried, [None, Some("[1, \"x\"]".to_owned()), None]);
}

#[test]
fn a_corpus_has_ids_when_its_first_document_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |name: &str, content: &str, id: Option<&str>| {
        corpus_of(folder.path(), name, content.as_bytes()).resolve_ids("text", id).unwrap()
    };
    assert_eq!(
        ask("a.jsonl", "x\n{\"text\":\"a\",\"id\":1}\n{\"text\":\"b\"}", None),
        IdMode::Column("id".into())
    );
    assert_eq!(ask("b.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\",\"id\":1}", None), IdMode::FromText);
    assert_eq!(ask("c.jsonl", "{\"text\":\"a\",\"id\":1.5}", None), IdMode::FromText);
    assert_eq!(ask("d.jsonl", "", None), IdMode::FromText);
    assert_eq!(ask("e.jsonl", "{\"text\":\"a\"}", Some("url")), IdMode::Column("url".into()));
}

#[test]
fn digests_are_those_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        let file = compress(name, &[b"{\"text\":\"a\"}\n", b"{\"text\":\"b\"}\n"]);
        let corpus = corpus_of(folder.path(), name, &file);
        for from in [0, 1, 2] {
            let mut reader = corpus.open(&corpus.shards()[0], from).unwrap();
            assert_eq!(reader.digest(), None);
            while reader.next_block().unwrap().is_some() {}
            assert_eq!(reader.digest(), Some(tamis_core::Digest::of(&file)), "{name} from row {from}");
        }
    }
}
