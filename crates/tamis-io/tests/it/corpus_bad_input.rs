//! Input that cannot be used: nothing is lost silently, every message says where and what to do.

use tamis_core::reason;
use tamis_io::corpus::{Columns, CorpusError, discover};

use crate::corpus_support::{compress, corpus_of, read, with_ids};

#[test]
fn every_kind_of_bad_row_has_its_reason_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let rows: [(&[u8], &str, &str); 17] = [
        (br#"{"id":1,"text":"a"#, reason::INVALID_JSON, "byte 17: EOF while parsing a string"),
        (br#"{"id":1,"text":"a"} x"#, reason::INVALID_JSON, "byte 21: trailing characters"),
        (br#"{"id":1,"text":a}"#, reason::INVALID_JSON, "byte 16: expected value"),
        (br#"[{"id":1,"text":"a"}]"#, reason::INVALID_JSON, "an array: expected one object a line"),
        (b"plain text", reason::INVALID_JSON, "byte 1: expected value"),
        (b"12", reason::INVALID_JSON, "byte 2: invalid type: integer `12`, expected an object"),
        (b"{\"id\":1,\"text\":\"a\xff\"}", reason::INVALID_UTF8, "byte 18: not UTF-8"),
        (b"{\"id\":1,\"x\":\"\xc3\",\"text\":\"a\"}", reason::INVALID_UTF8, "byte 14: not UTF-8"),
        (
            br#"{"id":1,"text":"a\ud800b"}"#,
            reason::INVALID_UTF8,
            r"byte 16: `text` has `\ud800`, half of a surrogate pair, which is no character",
        ),
        (br#"{"id":1,"txt":"a"}"#, reason::MISSING_TEXT, "there is no `text`; keys are `id`, `txt`"),
        (br#"{"id":1,"text":null}"#, reason::NULL_TEXT, "byte 16: `text` is null"),
        (br#"{"id":1,"text":["a"]}"#, reason::TEXT_NOT_STRING, "byte 16: `text` is an array"),
        (br#"{"id":1,"text":""}"#, reason::EMPTY_TEXT, "byte 16: `text` is empty"),
        (
            b"{\"id\":1,\"text\":\" \\n\xe2\x80\x83\"}",
            reason::EMPTY_TEXT,
            "byte 16: `text` is only white space",
        ),
        (br#"{"text":"a"}"#, reason::MISSING_ID, "there is no `id`"),
        (
            br#"{"id":null,"text":"a"}"#,
            reason::MISSING_ID,
            "byte 7: `id` is null, neither a string nor an integer",
        ),
        (
            br#"{"id":1.5,"text":"a"}"#,
            reason::MISSING_ID,
            "byte 7: `id` is a number with a fraction, neither a string nor an integer",
        ),
    ];
    let whole: Vec<u8> = rows.iter().flat_map(|(line, ..)| [*line, b"\n"].concat()).collect();
    let read = read(&corpus_of(folder.path(), "a.jsonl", &whole), &with_ids()).unwrap();
    assert!(read.documents.is_empty());
    for (at, (failure, (line, reason, detail))) in read.failures.iter().zip(rows).enumerate() {
        let got = (failure.row, failure.reason, failure.detail.as_str(), &failure.raw[..], failure.raw_bytes);
        assert_eq!(got, (at as u64, reason, detail, line, line.len() as u64));
    }
    assert_eq!(read.failures.len(), rows.len());
}

#[test]
fn truncated_files_give_the_rows_before_and_then_an_error() {
    let folder = tempfile::tempdir().unwrap();
    // Text that hardly compresses, so that half of the file is about half of the rows.
    let whole: String = (0u64..20_000)
        .map(|row| {
            format!(
                "{{\"text\":\"{:016x}{:016x}\"}}\n",
                row.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                row * row * 7919
            )
        })
        .collect();
    for name in ["a.jsonl.gz", "a.jsonl.zst"] {
        let file = compress(name, &[whole.as_bytes()]);
        for (half, problem) in
            [(file[..file.len() / 2].to_vec(), "truncated"), (file[..file.len() - 1].to_vec(), "truncated")]
        {
            let corpus = corpus_of(folder.path(), name, &half);
            let mut reader = corpus.open(&corpus.shards()[0], 0).unwrap();
            let mut rows = 0;
            let error = loop {
                match reader.next_block() {
                    Ok(Some(block)) => {
                        let decoded = block.decode(&Columns::default()).unwrap();
                        assert_eq!(
                            decoded.documents.len() as u64,
                            block.rows(),
                            "only whole lines are given"
                        );
                        rows += block.rows();
                    }
                    Ok(None) => panic!("{name}: the end of a truncated file"),
                    Err(error) => break error,
                }
            };
            let message = error.to_string();
            assert!(
                rows > 5000 && message.contains(&format!("shard `{name}`, row {rows}, byte ")),
                "{message}"
            );
            assert!(message.contains(problem) && error.hint().is_some(), "{message}");
            assert_eq!(reader.next_block().unwrap_err().to_string(), message, "asked again, the same answer");
            assert_eq!(reader.digest(), None);
        }
    }
}

#[test]
fn damaged_files_are_errors_that_name_the_shard() {
    let folder = tempfile::tempdir().unwrap();
    let good = compress("x.zst", &[b"{\"text\":\"aaaaaaaaaaaaaaaaaaaaaaaa\"}\n"]);
    let mut checksum = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    checksum.include_checksum(true).unwrap();
    std::io::Write::write_all(&mut checksum, b"{\"text\":\"abc\"}\n").unwrap();
    let mut checksum = checksum.finish().unwrap();
    *checksum.last_mut().unwrap() ^= 1;
    let followed = [good.as_slice(), b"this is no frame"].concat();
    for (name, file) in [
        ("a.jsonl.zst", b"{\"text\":\"not compressed\"}\n".as_slice()),
        ("b.jsonl.gz", b"{\"text\":\"not compressed\"}\n"),
        ("c.jsonl.zst", &followed),
        ("d.jsonl.zst", &checksum),
        ("e.parquet", b"PAR1 this is no Parquet file PAR1"),
        ("f.parquet", b""),
    ] {
        let error = read(&corpus_of(folder.path(), name, file), &Columns::default()).unwrap_err();
        assert!(matches!(&error, CorpusError::Damaged { shard, .. } if shard == name), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn empty_shards_have_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        for file in [Vec::new(), compress(name, &[b""])] {
            let corpus = corpus_of(folder.path(), name, &file);
            assert_eq!(read(&corpus, &Columns::default()).unwrap().rows, 0, "{name}");
        }
    }
}

#[test]
fn a_vanished_shard_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jsonl", "b.parquet"] {
        let corpus = corpus_of(folder.path(), name, b"{\"text\":\"a\"}\n");
        std::fs::remove_file(folder.path().join(name)).unwrap();
        let error = corpus.open(&corpus.shards()[0], 0).unwrap_err();
        assert!(matches!(&error, CorpusError::Vanished { shard } if shard == name), "{error}");
    }
}

#[test]
fn a_hostile_window_does_not_exhaust_memory() {
    let folder = tempfile::tempdir().unwrap();
    // A frame header that asks for a window of 2 GiB (exponent 21), then of 3.75 TiB (the largest), and one raw block.
    for (descriptor, readable) in [(21 << 3, true), (31 << 3 | 7, false)] {
        let mut file = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor];
        let line = b"{\"text\":\"a\"}\n";
        file.extend_from_slice(&[(line.len() as u8) << 3 | 1, 0, 0]);
        file.extend_from_slice(line);
        let corpus = corpus_of(folder.path(), "a.jsonl.zst", &file);
        assert_eq!(read(&corpus, &Columns::default()).is_ok(), readable);
    }
}

#[test]
fn carried_columns_must_not_hide_others() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus_of(folder.path(), "a.jsonl", b"{\"text\":\"a\"}\n");
    for carry in [vec!["doc_key"], vec!["x", "x"]] {
        let columns = Columns { carry: carry.into_iter().map(str::to_owned).collect(), ..Columns::default() };
        assert!(matches!(read(&corpus, &columns), Err(CorpusError::Columns { .. })));
    }
}

#[test]
fn an_empty_corpus_says_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    std::fs::create_dir_all(folder.path().join("none/.hidden")).unwrap();
    std::fs::write(folder.path().join("none/README.md"), "x").unwrap();
    std::fs::write(folder.path().join("none/.hidden/a.jsonl"), "x").unwrap();
    for (location, part) in [
        ("nowhere", "no such file or folder"),
        ("none", "of 2 files in it none has a known ending"),
        ("none/README.md", "the ending of `README.md` is not known"),
        ("none/*.jsonl", "no file in"),
        ("none/*", "1 files in"),
    ] {
        let error = discover(&format!("{root}/{location}")).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(part) && message.contains("`.jsonl`") && message.contains(location),
            "{message}"
        );
        assert!(error.hint().is_some());
    }
    assert!(matches!(discover(&format!("{root}/[x")), Err(CorpusError::Pattern { .. })));
}
