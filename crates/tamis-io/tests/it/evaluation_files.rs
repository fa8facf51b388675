//! Files of evaluations: every layout gives the texts of its items, and what cannot be read is refused by name.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowWriter;
use tamis_core::Digest;
use tamis_io::evaluation_files::{EvaluationFileError, find};

/// A folder with files of these names and bytes.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

/// Names, items and digests of all files of a location.
type Read = Vec<(String, Vec<Vec<String>>, Digest)>;

fn read(location: &str, columns: Option<&[String]>) -> Result<Read, EvaluationFileError> {
    let mut all = Vec::new();
    for file in find(&[location.to_owned()])?.files {
        let mut items = Vec::new();
        let digest = file.read(columns, &mut |texts| {
            let mut texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            texts.sort();
            items.push(texts);
            Ok::<(), ()>(())
        })?;
        all.push((file.name, items, digest.unwrap()));
    }
    Ok(all)
}

fn at(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().unwrap()
}

fn texts(items: &[&[&str]]) -> Vec<Vec<String>> {
    items.iter().map(|texts| texts.iter().map(|text| (*text).to_owned()).collect()).collect()
}

fn parquet(path: &Path) {
    let mut choices = ListBuilder::new(StringBuilder::new());
    for list in [&["a", "b"][..], &[]] {
        choices.append_value(list.iter().map(|text| Some(*text)));
    }
    let label: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
    let inner = vec![(Arc::new(Field::new("label", DataType::Utf8, true)), label)];
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("question", Arc::new(StringArray::from(vec!["Who?", "Why?"])) as ArrayRef, true),
        ("choices", Arc::new(choices.finish()), true),
        ("answers", Arc::new(StructArray::from(inner)), true),
        ("number", Arc::new(Int64Array::from(vec![1, 2])), true),
    ])
    .unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn every_layout_gives_the_texts_of_its_items() {
    let lines = b"{\"q\": \"Who?\", \"n\": 1, \"c\": [\"a\", {\"text\": \"b\"}]}\n\n{\"q\": \"Why?\"}\n";
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let folder = folder(&[
        ("lines/a.jsonl", lines),
        ("lines/b.jsonl.gz", &gzip(lines)),
        ("lines/c.ndjson.zst", &zstd::encode_all(&lines[..], 3).unwrap()),
        ("list.json", b"[{\"q\": \"Who?\"}, {\"q\": \"Why?\"}]"),
        ("bbh/one.json", b"{\"canary\": \"c\", \"examples\": [{\"input\": \"i\", \"target\": \"t\"}]}"),
        ("values.json", b"{\"q\": \"Who?\"}\n{\"q\": \"Why?\"}\n"),
        ("mmlu/x_test.csv", b"\xef\xbb\xbfquestion,answer\n\"Who, or\nwhat?\",3\n"),
        ("cola/dev.tsv", b"gj04\t1\t\tThe sailors rode the \"breeze clear of the rocks.\n"),
        ("w/valid.txt", b" \n = A = \n \n one\ntwo\n"),
        ("README.md", b"what this is"),
        ("bbh/LICENSE", b"MIT"),
        (".hidden/x.xml", b""),
    ]);
    parquet(&folder.path().join("p.parquet"));
    let found = read(at(&folder), None).unwrap();
    let named: Vec<(&str, Vec<Vec<String>>)> =
        found.iter().map(|(name, items, _)| (name.as_str(), items.clone())).collect();
    let two = texts(&[&["Who?", "a", "b"], &["Why?"]]);
    let expected = [
        ("bbh/one", texts(&[&["c"], &["i", "t"]])),
        ("cola/dev", texts(&[&["1", "The sailors rode the \"breeze clear of the rocks.", "gj04"]])),
        ("lines/a", two.clone()),
        ("lines/b", two.clone()),
        ("lines/c", two),
        ("list", texts(&[&["Who?"], &["Why?"]])),
        ("mmlu/x_test", texts(&[&["3", "Who, or\nwhat?"]])),
        ("p", texts(&[&["Who?", "a", "b", "x"], &["Why?"]])),
        ("values", texts(&[&["Who?"], &["Why?"]])),
        ("w/valid", texts(&[&["= A ="], &["one\ntwo"]])),
    ];
    assert_eq!(named, expected);
    // The content alone decides a digest, however it is compressed.
    assert!(found[2].2 == found[3].2 && found[3].2 == found[4].2 && found[2].2 != found[5].2);
    let passed_over = find(&[at(&folder).to_owned()]).unwrap().passed_over;
    assert_eq!(passed_over.len(), 2, "{passed_over:?}");
}

#[test]
fn named_columns_are_keys_wherever_they_stand() {
    let folder = folder(&[
        ("a.jsonl", b"{\"q\": \"Who?\", \"c\": {\"q\": [\"b\"], \"x\": \"y\"}}\n{\"x\": \"z\"}\n"),
        ("b.csv", b"q,x\nWho?,y\n"),
        ("c.txt", b"a paragraph"),
    ]);
    let columns = ["q".to_owned()];
    let found = read(at(&folder), Some(&columns)).unwrap();
    let items: Vec<_> = found.into_iter().map(|(_, items, _)| items).collect();
    assert_eq!(items, [texts(&[&["Who?", "b"], &[]]), texts(&[&["Who?"]]), texts(&[&["a paragraph"]])]);
    parquet(&folder.path().join("d.parquet"));
    let location = folder.path().join("d.parquet");
    let named = |name: &str| read(location.to_str().unwrap(), Some(&[name.to_owned()]));
    assert_eq!(named("label").unwrap()[0].1, texts(&[&["x"], &[]]));
    assert_eq!(named("choices").unwrap()[0].1, texts(&[&["a", "b"], &[]]));
    let error = named("none").unwrap_err();
    assert!(error.to_string().contains("`question`, `choices`, `answers`, `number`"), "{error}");
    let location = folder.path().join("a.jsonl");
    let error = read(location.to_str().unwrap(), Some(&["none".to_owned()])).unwrap_err();
    assert!(
        error.to_string().contains("a.jsonl`: no text in column `none`; its columns are `c`, `q`"),
        "{error}"
    );
    assert!(error.is_usage() && error.hint().is_some());
}

#[test]
fn a_file_that_cannot_be_read_is_refused_by_name() {
    let truncated = &zstd::encode_all(&b"{\"q\": \"Who?\"}\n"[..], 3).unwrap()[..12];
    let cases: &[(&str, &[u8], &str)] = &[
        ("a.xml", b"<a/>", "its ending is not known"),
        ("a.jsonl", b"{\"q\": \"Who?\"}\n{\"q\": \n", "line 2: it is no JSON"),
        ("b.json", b"[{\"q\": \"Who?\"},\n", "line 2: it is no JSON"),
        ("c.csv", b"q,a\nWho?\n", "row 2: 1 fields, where the first row has 2"),
        ("d.txt", b"fine\n\n\xff\xfe", "line 3: it is not UTF-8"),
        ("e.tsv", b"\xff\t1\n", "row 1: it is not UTF-8"),
        ("f.parquet", b"PAR1 and nothing else PAR1", "cannot be read as Parquet"),
        ("g.jsonl", b"{\"n\": 1}\n[2]\n", "none of its 2 items has a text"),
        ("h.csv", b"", "none of its 0 items has a text"),
        ("i.jsonl.zst", truncated, "truncated"),
        ("j.jsonl", b"{\"q\": \"\\ud800\"}", "line 1: it is no JSON"),
    ];
    for (name, bytes, problem) in cases {
        let folder = folder(&[("fine.txt", b"fine"), (name, bytes)]);
        let error = read(at(&folder), None).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(name) && message.contains(problem), "{name}: {message}");
        assert!(error.hint().is_some(), "{name}: {message}");
    }
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let folder = folder(&[("deep.json", &deep)]);
    assert!(matches!(read(at(&folder), None).unwrap_err(), EvaluationFileError::Broken { .. }));
}

#[test]
fn files_are_named_below_what_was_named_and_names_do_not_repeat() {
    let folder = folder(&[("x/test.jsonl", b"{\"q\": \"a\"}"), ("y/test.csv", b"b"), ("y/z/test.txt", b"c")]);
    let names = |locations: &[&str]| -> Result<Vec<String>, EvaluationFileError> {
        let locations: Vec<String> = locations.iter().map(|name| format!("{}/{name}", at(&folder))).collect();
        Ok(find(&locations)?.files.into_iter().map(|file| file.name).collect())
    };
    assert_eq!(names(&[""]).unwrap(), ["x/test", "y/test", "y/z/test"]);
    assert_eq!(names(&["y"]).unwrap(), ["test", "z/test"]);
    assert_eq!(names(&["x/test.jsonl"]).unwrap(), ["test"]);
    assert_eq!(names(&["*/test.*"]).unwrap(), ["x/test", "y/test"]);
    assert_eq!(names(&["**/*.{csv,txt}"]).unwrap(), ["y/test", "y/z/test"]);
    let error = names(&["x", "y"]).unwrap_err();
    assert!(matches!(error, EvaluationFileError::SameName { .. }) && error.is_usage(), "{error}");
    for nothing in ["none", "*.parquet", "x/none.jsonl"] {
        let error = names(&[nothing]).unwrap_err();
        assert!(matches!(error, EvaluationFileError::Nothing { .. }), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_refused() {
    let folder = folder(&[("a.txt", b"a")]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("b.jsonl")).unwrap();
    let error = find(&[at(&folder).to_owned()]).unwrap_err().to_string();
    assert!(error.contains("b.jsonl"), "{error}");
}
