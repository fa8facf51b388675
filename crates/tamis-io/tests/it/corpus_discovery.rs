//! Finding shards.

use tamis_io::corpus::{Columns, Compression, Container, CorpusError, discover};
use tamis_io::store::Store;

use crate::corpus_support::{compress, read_from};

fn paths(location: &str) -> Vec<String> {
    discover(location).unwrap().shards().iter().map(|shard| shard.path.clone()).collect()
}

/// The same files in a folder and in an object store; both are asked the same.
fn on_both(name: &str, files: &[&str], test: impl Fn(&str)) {
    let folder = tempfile::tempdir().unwrap();
    for root in [folder.path().to_str().unwrap().to_owned(), format!("memory://{name}/some/corpus")] {
        let (store, _) = Store::open(&root).unwrap();
        for file in files {
            store.create_new(file, &compress(file, &[b"{\"text\":\"a\"}\n{\"text\":\"b\"}"])).unwrap();
        }
        test(&root);
    }
}

#[test]
fn folders_are_searched_recursively_in_a_stable_order() {
    let files = [
        "b/2.jsonl.gz",
        "b/10.ndjson",
        "a.json.zst",
        "notes.txt",
        ".hidden/x.jsonl",
        "b/.y.jsonl",
        "B/Z.JSONL",
    ];
    on_both("folders", &files, |root| {
        let found = ["B/Z.JSONL", "a.json.zst", "b/10.ndjson", "b/2.jsonl.gz"];
        assert_eq!(paths(root), found);
        assert_eq!(paths(&format!("{root}/")), found);
        assert_eq!(paths(&format!("{root}/b")), ["10.ndjson", "2.jsonl.gz"]);
        let corpus = discover(root).unwrap();
        let formats: Vec<_> =
            corpus.shards().iter().map(|shard| (shard.container, shard.compression)).collect();
        assert_eq!(formats[1], (Container::Jsonl, Compression::Zstd));
        assert_eq!(corpus.shards()[3].stem(), "b/2");
        for shard in corpus.shards() {
            assert_eq!(read_from(&corpus, shard, &Columns::default(), 0).unwrap().texts(), ["a", "b"]);
            assert!(shard.size_bytes > 0 && !shard.version.is_empty());
        }
    });
}

#[test]
fn one_file_is_a_corpus() {
    on_both("file", &["x/a.jsonl.zst", "x/b.jsonl"], |root| {
        assert_eq!(paths(&format!("{root}/x/a.jsonl.zst")), ["a.jsonl.zst"]);
    });
}

#[test]
fn globs_choose_files_and_folders() {
    let files = ["2023/a.jsonl", "2024/a.jsonl.gz", "2024/b.jsonl", "2025/x/c.jsonl", "2025/.d.jsonl"];
    on_both("globs", &files, |root| {
        assert_eq!(paths(&format!("{root}/2024/*.jsonl")), ["b.jsonl"]);
        assert_eq!(paths(&format!("{root}/202[45]")), ["2024/a.jsonl.gz", "2024/b.jsonl", "2025/x/c.jsonl"]);
        assert_eq!(paths(&format!("{root}/**/{{b,c}}.*")), ["2024/b.jsonl", "2025/x/c.jsonl"]);
        assert_eq!(paths(&format!("{root}/2025/.*")), [".d.jsonl"]);
    });
}

#[test]
fn a_file_whose_name_looks_like_a_glob_is_found() {
    let folder = tempfile::tempdir().unwrap();
    Store::local(folder.path()).create_new("a[1].jsonl", b"{}").unwrap();
    assert_eq!(paths(&format!("{}/a[1].jsonl", folder.path().display())), ["a[1].jsonl"]);
}

#[test]
fn shards_that_differ_only_in_their_endings_are_refused() {
    on_both("collision", &["x/a.jsonl", "x/a.json.gz", "x/b.jsonl"], |root| {
        let error = discover(root).unwrap_err();
        assert!(
            matches!(&error, CorpusError::Collision { first, second } if first == "x/a.json.gz" && second == "x/a.jsonl"),
            "{error}"
        );
        assert_eq!(paths(&format!("{root}/**/*.jsonl")).len(), 2);
    });
}
