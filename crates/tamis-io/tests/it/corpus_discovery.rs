//! Finding shards.

use std::collections::{BTreeMap, BTreeSet};

use tamis_io::corpus::{Columns, Compression, Container, CorpusError, discover, discover_beside};
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

fn left_out(location: &str) -> BTreeMap<&'static str, u64> {
    discover(location).unwrap().left_out().counts()
}

/// Puts a file with this content into both stores.
fn put(root: &str, file: &str, content: &str) {
    Store::open(root).unwrap().0.create_new(file, content.as_bytes()).unwrap();
}

#[test]
fn files_that_programs_keep_for_themselves_are_left_out_and_said_once() {
    let files = [
        "t/lang=en/part-0.jsonl",
        "t/_train.jsonl",
        "t/_SUCCESS",
        "t/_temporary/0/part-0.jsonl",
        "t/_temporary/0/part-1.jsonl",
        "t/_delta_log/00.json",
        "t/_started_12",
        "t/part-0.parquet.crc",
        "t/._a.jsonl",
        "t/dataset_infos.json",
        "t/x.jsonl.inprogress",
        "t/x.jsonl~",
        "t/README.md",
    ];
    on_both("bookkeeping", &files, |root| {
        let shards = ["_train.jsonl", "lang=en/part-0.jsonl"];
        let expected =
            BTreeMap::from([("bookkeeping", 6), ("hidden", 1), ("other-ending", 1), ("temporary", 2)]);
        for location in [format!("{root}/t"), format!("{root}/t/*")] {
            let corpus = discover(&location).unwrap();
            assert_eq!(paths(&location), shards, "{location}");
            let mut counts = corpus.left_out().counts();
            // A pattern does not match what is hidden.
            if location.ends_with('*') {
                counts.insert("hidden", 1);
            }
            assert_eq!(counts, expected, "{location}");
            let notes = corpus.left_out().notes();
            assert_eq!(notes.len(), 1, "{notes:?}");
            for part in [
                "6 kept by programs",
                "`_SUCCESS`",
                "2 not finished",
                "1 of other endings (such as `README.md`)",
            ] {
                assert!(notes[0].contains(part), "{part}: {notes:?}");
            }
            assert!(corpus.left_out().warnings().is_empty());
        }
        // What is written out is meant.
        assert_eq!(paths(&format!("{root}/t/_temporary/0/*")).len(), 2);
        assert_eq!(paths(&format!("{root}/t/{{_temporary,x}}/**")).len(), 2);
        assert_eq!(paths(&format!("{root}/t/{{x*,dataset_infos.json}}")), ["dataset_infos.json"]);
        assert_eq!(paths(&format!("{root}/t/dataset_infos.json")), ["dataset_infos.json"]);
    });
}

#[test]
fn files_that_may_be_data_are_warned_of() {
    let files = ["w/a.jsonl", "w/b.jsonl.xz", "w/c.jsonl.bz2", "w/d.csv.gz", "w/e.parquet.zst", "w/f.txt"];
    on_both("formats", &files, |root| {
        let folder = format!("{root}/w");
        assert_eq!(left_out(&folder), BTreeMap::from([("other-ending", 1), ("other-format", 4)]));
        let warnings = discover(&folder).unwrap().left_out().warnings();
        assert!(
            warnings.len() == 1
                && warnings[0].contains("4 in a format that is not read (such as `b.jsonl.xz`)")
        );
        // The remedy of the warning.
        let corpus = discover(&format!("{folder}/*.jsonl")).unwrap();
        assert!(corpus.left_out().counts().is_empty() && corpus.shards().len() == 1);
        for glob in ["*.{jsonl,xz}", "*.jsonl*.bz2", "{a.jsonl,f.txt}"] {
            let error = discover(&format!("{folder}/{glob}")).unwrap_err();
            assert!(
                matches!(&error, CorpusError::NotRead { .. }) && error.hint().is_some(),
                "{glob}: {error}"
            );
        }
        let message = discover(&format!("{folder}/*.{{jsonl,xz}}")).unwrap_err().to_string();
        assert!(message.ends_with("`b.jsonl.xz`: its ending is not known"), "{message}");
    });
}

#[test]
fn a_json_object_over_several_lines_is_no_shard_unless_it_is_named() {
    on_both("documents", &["j/a.jsonl", "j/one.json"], |root| {
        let folder = format!("{root}/j");
        put(root, "j/README.json", "{\n  \"license\": \"x\"\n}\n");
        assert_eq!(paths(&folder), ["a.jsonl", "one.json"]);
        let warnings = discover(&folder).unwrap().left_out().warnings();
        assert!(
            warnings.len() == 1
                && warnings[0].contains("1 of one JSON object over several lines (such as `README.json`)")
        );
        assert_eq!(paths(&format!("{folder}/*.json")), ["one.json"]);
        assert_eq!(paths(&format!("{folder}/{{*,README.json}}")).len(), 3);
        assert_eq!(paths(&format!("{folder}/README.json")), ["README.json"]);
        let error = discover(&format!("{folder}/R*.json")).unwrap_err().to_string();
        assert!(error.contains("1 of one JSON object over several lines"), "{error}");
    });
}

#[test]
fn what_a_run_has_read_before_stays_a_shard() {
    let files =
        ["k/a.jsonl", "k/dataset_infos.json", "k/_temporary/b.jsonl", "k/_temporary/c.jsonl", "k/_SUCCESS"];
    on_both("known", &files, |root| {
        put(root, "k/README.json", "{\n}\n");
        let known = ["README.json", "_temporary/b.jsonl", "a.jsonl", "dataset_infos.json", "gone.jsonl"];
        let known: BTreeSet<String> = known.map(str::to_owned).into();
        for location in [format!("{root}/k"), format!("{root}/k/**")] {
            let corpus = discover_beside(&location, &known).unwrap();
            let found: Vec<&str> = corpus.shards().iter().map(|shard| shard.path.as_str()).collect();
            assert_eq!(found, ["README.json", "_temporary/b.jsonl", "a.jsonl", "dataset_infos.json"]);
            assert_eq!(corpus.left_out().counts(), BTreeMap::from([("bookkeeping", 2)]));
        }
    });
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_or_in_a_circle_are_errors_that_name_them() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("x/deep")).unwrap();
    std::fs::write(root.join("x/a.jsonl"), "{}\n").unwrap();
    let location = |name: &str| root.join(name).display().to_string();
    let named = |location: &str, path: &str| {
        let error = discover(location).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&format!("`{path}`: a link that leads nowhere")), "{message}");
        assert!(error.hint().is_some());
    };
    symlink("gone", root.join("x/deep/b.jsonl")).unwrap();
    named(&location("x"), "deep/b.jsonl");
    named(&location("x/*"), "deep/b.jsonl");
    named(&location("x/deep/*.jsonl"), "b.jsonl");
    named(&location("x/deep/b.jsonl"), &location("x/deep/b.jsonl"));
    // A pattern that does not lead there is the remedy.
    assert_eq!(paths(&location("x/*.jsonl")), ["a.jsonl"]);
    std::fs::remove_file(root.join("x/deep/b.jsonl")).unwrap();
    // It may have led to a folder.
    symlink("gone", root.join("x/2024")).unwrap();
    named(&location("x/*/*.jsonl"), "2024");
    std::fs::remove_file(root.join("x/2024")).unwrap();
    symlink("circle", root.join("x/circle")).unwrap();
    named(&location("x"), "circle");
    std::fs::remove_file(root.join("x/circle")).unwrap();
    // Hidden ones are no data, as editors' locks are.
    symlink("me@host.1", root.join("x/.#a.jsonl")).unwrap();
    symlink("..", root.join("x/deep/up")).unwrap();
    assert_eq!(paths(&location("x")), ["a.jsonl"]);
    assert_eq!(left_out(&location("x"))["folder-above"], 1);
}

#[cfg(unix)]
#[test]
fn one_file_under_two_names_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("d")).unwrap();
    std::fs::write(root.join("d/a.jsonl"), "{}\n").unwrap();
    let location = root.display().to_string();
    assert!(discover(&location).unwrap().left_out().warnings().is_empty());
    std::fs::hard_link(root.join("d/a.jsonl"), root.join("d/b.jsonl")).unwrap();
    std::os::unix::fs::symlink("d", root.join("e")).unwrap();
    let corpus = discover(&location).unwrap();
    assert_eq!(corpus.shards().len(), 4);
    let warnings = corpus.left_out().warnings();
    assert!(
        warnings.len() == 1 && warnings[0].contains("3 of the shards are the same file as another"),
        "{warnings:?}"
    );
    assert!(warnings[0].contains("`d/b.jsonl` and `d/a.jsonl`"), "{warnings:?}");
    assert!(discover(&format!("{location}/d/a*")).unwrap().left_out().warnings().is_empty());
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_where_it_has_the_name_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("x.jsonl")).unwrap();
    std::fs::write(root.join("x.jsonl/part-0.jsonl"), "{}\n").unwrap();
    let location = root.display().to_string();
    // A folder is a folder, whatever its name.
    assert_eq!(paths(&location), ["x.jsonl/part-0.jsonl"]);
    assert_eq!(paths(&format!("{location}/x.jsonl")), ["part-0.jsonl"]);
    let listen = |name: &str| std::os::unix::net::UnixListener::bind(root.join(name)).unwrap();
    let _socket = listen("socket");
    assert_eq!(left_out(&location), BTreeMap::from([("other-ending", 1)]));
    let _named = listen("s.jsonl");
    let error = discover(&location).unwrap_err();
    assert!(error.to_string().contains("`s.jsonl`: a pipe, a socket or a device"), "{error}");
    let error = discover(&format!("{location}/s.jsonl")).unwrap_err();
    assert!(error.to_string().contains("neither a file nor a folder"), "{error}");
}

#[test]
fn shards_of_no_bytes_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    put(&root, "a.jsonl", "{\"text\":\"a\"}\n");
    put(&root, "b.jsonl", "");
    let corpus = discover(&root).unwrap();
    assert_eq!(corpus.shards().len(), 2);
    assert_eq!(corpus.left_out().notes(), ["1 of the shards have no bytes (such as `b.jsonl`)"]);
}
