use std::io::{Read, Write};
use std::sync::Barrier;
use std::time::Duration;

use object_store::memory::InMemory;
use parquet::file::reader::ChunkReader;

use super::*;

/// The same behaviour is asked of a folder and of an object store.
fn on_both(test: impl Fn(&Store)) {
    let folder = tempfile::tempdir().expect("temporary folder");
    test(&Store::local(folder.path().join("not/yet/there")));
    test(&Store::object(Arc::new(InMemory::new()), "some/prefix").expect("valid prefix"));
}

fn paths(store: &Store, folder: &str) -> Vec<String> {
    store.list(folder).expect("listable").into_iter().map(|entry| entry.path).collect()
}

#[test]
fn first_writer_of_a_name_wins() {
    on_both(|store| {
        assert_eq!(store.create_new("a/b", b"first").unwrap(), Created::New);
        assert_eq!(store.create_new("a/b", b"second").unwrap(), Created::Existed);
        let mut third = store.writer("a/b").unwrap();
        third.write_all(b"third").unwrap();
        assert_eq!(third.commit().unwrap(), Created::Existed);
        assert_eq!(&store.read("a/b").unwrap()[..], b"first");
    });
}

#[test]
fn exactly_one_of_many_racing_writers_wins() {
    on_both(|store| {
        let barrier = Barrier::new(8);
        let wins = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8u8)
                .map(|me| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        (store.create_new("receipt", &[me; 1000]).unwrap(), me)
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>()
        });
        let winners: Vec<u8> =
            wins.iter().filter(|(created, _)| *created == Created::New).map(|(_, me)| *me).collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(&store.read("receipt").unwrap()[..], &[winners[0]; 1000]);
        assert_eq!(paths(store, ""), ["receipt"]);
    });
}

#[test]
fn nothing_is_visible_before_commit_nor_after_drop() {
    on_both(|store| {
        let mut file = store.writer("big").unwrap();
        file.write_all(&vec![7; 40 << 20]).unwrap();
        assert!(!store.exists("big").unwrap());
        assert!(paths(store, "").is_empty());
        drop(file);
        assert!(!store.exists("big").unwrap());
        if let Some(root) = store.local_path("") {
            assert_eq!(std::fs::read_dir(root).unwrap().count(), 0, "the temporary file is gone");
        }
    });
}

#[test]
fn large_files_are_written_whole_and_can_be_replaced() {
    on_both(|store| {
        let content: Vec<u8> = (0..(35u32 << 20)).map(|i| (i >> 7) as u8).collect();
        let mut file = store.writer("big").unwrap();
        content.chunks(1_000_003).for_each(|chunk| file.write_all(chunk).unwrap());
        assert_eq!(file.commit().unwrap(), Created::New);
        assert!(store.read("big").unwrap() == content);

        let mut late = store.writer("big").unwrap();
        late.write_all(&vec![1; 20 << 20]).unwrap();
        assert_eq!(late.commit().unwrap(), Created::Existed);
        assert_eq!(store.size("big").unwrap(), Some(content.len() as u64));

        let mut other = store.writer("big").unwrap();
        other.write_all(b"small").unwrap();
        other.replace().unwrap();
        assert_eq!(&store.read("big").unwrap()[..], b"small");
    });
}

#[test]
fn files_are_streamed_and_read_at_any_position() {
    on_both(|store| {
        let content: Vec<u8> = (0..2_000_000u32).map(|i| (i % 251) as u8).collect();
        store.create_new("f", &content).unwrap();
        let mut streamed = Vec::new();
        store.open_read("f").unwrap().read_to_end(&mut streamed).unwrap();
        assert!(streamed == content);
        let chunks = store.chunk_reader("f").unwrap();
        assert_eq!(chunks.size(), content.len() as u64);
        assert_eq!(&chunks.read_at(1_234_567, 89).unwrap()[..], &content[1_234_567..1_234_567 + 89]);
        assert!(chunks.read_at(1_999_999, 2).is_err());
        assert!(chunks.read_at(u64::MAX, usize::MAX).is_err());
        let mut tail = Vec::new();
        chunks.get_read(1_500_000).unwrap().read_to_end(&mut tail).unwrap();
        assert!(tail == content[1_500_000..]);
    });
}

#[test]
fn listing_is_recursive_sorted_and_relative() {
    on_both(|store| {
        for path in ["b/2", "b/10", "a", "b/c/.hidden/x", "bb/z"] {
            store.create_new(path, b"x").unwrap();
        }
        assert_eq!(paths(store, ""), ["a", "b/10", "b/2", "b/c/.hidden/x", "bb/z"]);
        assert_eq!(paths(store, "b/"), ["b/10", "b/2", "b/c/.hidden/x"]);
        assert_eq!(paths(&store.join("b/c").unwrap(), ""), [".hidden/x"]);
        assert!(paths(store, "nowhere").is_empty());
        assert!(!store.exists("b").unwrap(), "a folder is no file");
        let entry = store.entry("a").unwrap().unwrap();
        assert_eq!((entry.size, store.list("").unwrap()[0].clone()), (1, entry));
    });
}

#[test]
fn removing_twice_is_no_error_and_reading_what_is_gone_says_where() {
    on_both(|store| {
        store.create_new("a", b"x").unwrap();
        store.remove("a").unwrap();
        store.remove("a").unwrap();
        assert_eq!(store.size("a").unwrap(), None);
        for error in [store.read("a").unwrap_err(), store.open_read("a").err().unwrap()] {
            assert!(
                matches!(&error, StoreError::NotFound { location } if location.ends_with("/a")),
                "{error}"
            );
        }
    });
}

#[test]
fn paths_that_lead_out_of_the_store_are_refused() {
    on_both(|store| {
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\0b"] {
            assert!(matches!(store.create_new(path, b""), Err(StoreError::InvalidPath { .. })), "{path:?}");
            assert!(matches!(store.read(path), Err(StoreError::InvalidPath { .. })), "{path:?}");
        }
        assert!(store.join("../x").is_err());
    });
}

#[test]
fn locations_open_files_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    Store::local(root).create_new("in/x.jsonl", b"{}").unwrap();
    for location in [format!("{root}/in/x.jsonl"), format!("file://{root}/in/x.jsonl")] {
        let (store, name) = Store::open(&location).unwrap();
        assert_eq!(name.as_deref(), Some("x.jsonl"));
        assert_eq!(&store.read("x.jsonl").unwrap()[..], b"{}");
    }
    let (store, name) = Store::open(&format!("{root}/in")).unwrap();
    assert_eq!((paths(&store, ""), name), (vec!["x.jsonl".to_owned()], None));

    let (store, name) = Store::open("memory://locations/in/").unwrap();
    assert_eq!(name, None);
    store.create_new("x.jsonl", b"{}").unwrap();
    let (store, name) = Store::open("memory://locations/in/x.jsonl").unwrap();
    assert_eq!(
        (store.location("x.jsonl").as_str(), name.as_deref()),
        ("memory://locations/in/x.jsonl", Some("x.jsonl"))
    );
    assert!(paths(&Store::open("memory://other/").unwrap().0, "").is_empty());
}

#[test]
fn unknown_and_unbuilt_schemes_are_told_apart() {
    let error = Store::open("ftp://host/x").unwrap_err();
    assert!(error.to_string().contains("unknown scheme `ftp`"), "{error}");
    if !cfg!(feature = "aws") {
        let error = Store::open("s3://bucket/x").unwrap_err();
        assert!(matches!(error, StoreError::MissingFeature { feature: "aws", .. }), "{error}");
        assert!(error.hint().unwrap().contains("--features aws"));
    }
}

#[test]
fn leftovers_of_killed_writers_are_hidden_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::local(folder.path());
    store.create_new("kept", b"x").unwrap();
    std::fs::write(folder.path().join(format!("{TEMPORARY}0")), b"half").unwrap();
    assert_eq!(paths(&store, ""), ["kept"]);
    assert_eq!(store.remove_stale_temporaries(Duration::from_secs(3600)).unwrap(), 0);
    let writing = store.writer("later").unwrap();
    assert_eq!(store.remove_stale_temporaries(Duration::ZERO).unwrap(), 1);
    assert_eq!(writing.commit().unwrap(), Created::New);
    store.remove("later").unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn folders_are_listed_without_what_is_below() {
    on_both(|store| {
        for path in ["top/b/x", "top/a/y/z", "top/file", "other/c/x"] {
            store.create_new(path, b"").unwrap();
        }
        assert_eq!(store.folders("top").unwrap(), ["a", "b"]);
        assert!(store.folders("nowhere").unwrap().is_empty());
    });
}

#[cfg(unix)]
#[test]
fn links_that_lead_in_circles_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::local(folder.path());
    store.create_new("a/x", b"x").unwrap();
    std::os::unix::fs::symlink("..", folder.path().join("a/up")).unwrap();
    std::os::unix::fs::symlink("x", folder.path().join("a/y")).unwrap();
    assert_eq!(paths(&store, ""), ["a/x", "a/y"]);
}
