//! A Hub that is a thread of the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::error::Error;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Files by path; large ones lie under their SHA-256.
type Files = BTreeMap<&'static str, (String, Vec<u8>)>;

struct Hub {
    endpoint: String,
    requests: Arc<AtomicUsize>,
}

fn serve(files: Files) -> Hub {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            answer(stream.unwrap(), &files);
        }
    });
    Hub { endpoint, requests }
}

fn answer(mut stream: TcpStream, files: &Files) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut from = 0;
    let mut to = usize::MAX;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            let (start, end) = range.split_once('-').unwrap();
            from = start.parse().unwrap();
            to = end.parse().unwrap_or(usize::MAX);
        }
    }
    let mut send = |status: &str, headers: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        // The client may hang up early.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    };
    if path == "/api/models/owner/name/revision/main" {
        let siblings: Vec<String> =
            files.keys().map(|name| format!(r#"{{"rfilename": "{name}"}}"#)).collect();
        let body = format!(r#"{{"sha": "{COMMIT}", "siblings": [{}]}}"#, siblings.join(","));
        return send("200 OK", "", body.as_bytes());
    }
    let file = path.strip_prefix(&format!("/owner/name/resolve/{COMMIT}/")).and_then(|name| files.get(name));
    let Some((etag, content)) = file else { return send("404 Not Found", "", b"") };
    let body = &content[from.min(content.len())..to.saturating_add(1).min(content.len())];
    let headers = format!(
        "ETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Range: bytes {from}-{}/{}\r\n",
        from + body.len() - 1,
        content.len()
    );
    send("206 Partial Content", &headers, body);
}

fn files(weights_digest: Option<&str>) -> Files {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let weights_path = root.join("gguf_tiny.safetensors");
    let digest = weights_digest.map_or_else(|| sha256::of_file(&weights_path).unwrap(), str::to_owned);
    let config = br#"{"model_type": "llama"}"#.to_vec();
    BTreeMap::from([
        ("config.json", ("c0ffee".to_owned(), config)),
        (
            "tokenizer.json",
            ("beef".to_owned(), std::fs::read(root.join("gguf_tiny_tokenizer.json")).unwrap()),
        ),
        ("model.safetensors", (digest, std::fs::read(weights_path).unwrap())),
        ("pytorch_model.bin", ("dead".to_owned(), vec![0])),
        ("../escape.json", ("bad".to_owned(), vec![0])),
    ])
}

fn settings(endpoint: &str, cache: &Path) -> Settings {
    Settings {
        cache: cache.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        offline: false,
        token: Some("hf_secret".to_owned()),
    }
}

#[test]
fn a_model_is_fetched_once_and_then_needs_no_network() {
    let hub = serve(files(None));
    let cache = tempfile::tempdir().unwrap();
    let mut settings = settings(&hub.endpoint, cache.path());
    let found = fetch("owner/name", "main", &settings, &|_| ()).unwrap();
    assert_eq!(found.commit, COMMIT);
    let ModelFiles::Safetensors { folder, files } = found.files else { panic!("safetensors") };
    assert_eq!(files.len(), 1);
    assert!(folder.join("tokenizer.json").is_file());
    assert!(!folder.join("pytorch_model.bin").exists());
    let requests = hub.requests.load(Ordering::SeqCst);
    for offline in [false, true] {
        settings.offline = offline;
        for revision in ["main", COMMIT] {
            fetch("owner/name", revision, &settings, &|_| panic!("nothing to fetch")).unwrap();
        }
    }
    assert_eq!(hub.requests.load(Ordering::SeqCst), requests);
}

#[test]
fn a_file_with_a_wrong_digest_is_refused_and_not_kept() {
    let wrong = "f".repeat(64);
    let hub = serve(files(Some(&wrong)));
    let cache = tempfile::tempdir().unwrap();
    let settings = settings(&hub.endpoint, cache.path());
    let error = fetch("owner/name", "main", &settings, &|_| ()).err().unwrap();
    assert!(
        matches!(&error, Error::Source(SourceError::Digest { expected, .. }) if expected.contains(&wrong)),
        "{error}"
    );
    assert!(cached("owner/name", COMMIT, cache.path()).is_none());
}

#[test]
fn what_the_hub_lacks_or_offline_forbids_is_said_without_the_token() {
    let hub = serve(Files::new());
    let cache = tempfile::tempdir().unwrap();
    let mut settings = settings(&hub.endpoint, cache.path());
    let failure = |name: &str, settings: &Settings| {
        let error = fetch(name, "main", settings, &|_| ()).err().unwrap();
        assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hf_secret"));
        error.to_string()
    };
    assert!(failure("owner/other", &settings).contains("no such repository"), "404");
    assert!(failure("owner/name", &settings).contains("no safetensors"), "empty");
    settings.offline = true;
    assert!(failure("owner/name", &settings).contains("HF_HUB_OFFLINE"));
    settings.offline = false;
    settings.endpoint = Some("http://127.0.0.1:1".to_owned());
    assert!(failure("owner/name", &settings).contains("cannot be reached"));
}

#[test]
fn settings_are_read_as_hugging_face_reads_them() {
    let with = |set: &'static [(&str, &str)]| {
        Settings::from(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    };
    let all = with(&[
        ("HF_HOME", "/h"),
        ("HF_ENDPOINT", "https://mirror/"),
        ("HF_HUB_OFFLINE", "TRUE"),
        ("HF_TOKEN", "t"),
    ]);
    assert_eq!((all.cache.as_path(), all.offline), (Path::new("/h/hub"), true));
    assert_eq!((all.endpoint.as_deref(), all.token.as_deref()), (Some("https://mirror"), Some("t")));
    let home = with(&[("HOME", "/u"), ("HF_HUB_OFFLINE", "0")]);
    assert_eq!((home.cache.as_path(), home.offline), (Path::new("/u/.cache/huggingface/hub"), false));
    assert_eq!(with(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h")]).cache, Path::new("/c"));
}
