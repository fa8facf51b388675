//! A folder to run the binary in, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A temporary folder; paths in it are given relative to it, so that messages do not depend on where it lies.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

/// A finished process.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a corpus `corpus/` of three shards of forty documents, with ids, a number `q` and a nested one `meta.score`.
    pub(crate) fn with_corpus() -> Self {
        let world = Self::new();
        for shard in 0..3 {
            world.write(&format!("corpus/s{shard}.jsonl"), shard_text(shard, 40));
        }
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The binary with these arguments, split at spaces.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tamis"));
        command.current_dir(self.folder.path()).args(arguments.split_whitespace());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Run {
        Run::of(&mut self.command(arguments))
    }

    /// Runs and expects success.
    pub(crate) fn ok(&self, arguments: &str) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "tamis {arguments}\n{run:#?}");
        run
    }

    /// Runs with `--json --quiet` and gives the object, whatever the exit code; its counts must add up.
    pub(crate) fn json(&self, arguments: &str) -> (i32, Value) {
        let run = self.run(&format!("{arguments} --json --quiet"));
        let value: Value =
            serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}\n{run:#?}"));
        if value.get("kept").is_some() {
            let count = |name: &str| value[name].as_u64().unwrap();
            assert_eq!(
                count("documents_in"),
                count("kept") + count("dropped") + count("failed"),
                "{value:#}"
            );
        }
        (run.code, value)
    }

    /// Expects an exit code and every one of some words in what was said.
    pub(crate) fn says(&self, arguments: &str, code: i32, words: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, code, "tamis {arguments}\n{run:#?}");
        for word in words {
            assert!(run.stderr.contains(word), "tamis {arguments}\nexpected `{word}` in:\n{}", run.stderr);
        }
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        run
    }

    /// Expects an error with a remedy.
    pub(crate) fn refuses(&self, arguments: &str, code: i32, words: &[&str]) {
        let run = self.says(arguments, code, words);
        assert!(run.stderr.contains("error: ") && run.stderr.contains("hint: "), "{}", run.stderr);
        assert_eq!(run.stdout, "");
    }

    /// All files below a folder with their bytes, by their path in it; those under a hidden name left out.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.all_files(folder);
        files.retain(|path, _| !path.split('/').any(|part| part.starts_with('.')));
        files
    }

    /// All files below a folder with their bytes.
    pub(crate) fn all_files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.path(folder);
        let mut files = BTreeMap::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, std::fs::read(path).unwrap());
                }
            }
        }
        files
    }

    /// Lines of all jsonl files below a folder.
    pub(crate) fn lines(&self, folder: &str) -> BTreeSet<Vec<u8>> {
        let files = self.files(folder);
        files
            .values()
            .flat_map(|bytes| bytes.split_inclusive(|byte| *byte == b'\n'))
            .map(<[u8]>::to_vec)
            .collect()
    }

    /// Rows of all quarantine files of a run.
    pub(crate) fn quarantine(&self, run: &str) -> Vec<Value> {
        let files = self.files(&format!("{run}/quarantine"));
        let lines = files
            .values()
            .flat_map(|bytes| bytes.split(|byte| *byte == b'\n'))
            .filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Both outputs with times and rates, which differ from run to run, replaced.
    pub(crate) fn transcript(&self) -> String {
        let mut text = String::new();
        for line in self.stderr.lines().chain(["----"]).chain(self.stdout.lines()) {
            // `in 0.1 s`, `1234/s`, `12.8 k/s`, `1.2 M/s`
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            for at in 0..words.len() {
                if words[at].ends_with("/s") && words[at] != "tokens/s" {
                    words[at] = "[rate]".to_owned();
                    if at > 0 && words[at - 1].parse::<f64>().is_ok() && line.contains(" k/s") {
                        words[at - 1] = String::new();
                    }
                }
                if words[at] == "s" && at > 0 {
                    words[at - 1] = "[time]".to_owned();
                }
            }
            let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
            writeln!(text, "{}", words.join(" ")).unwrap();
        }
        text
    }
}

/// Lines of one shard, the same on every call.
pub(crate) fn shard_text(shard: usize, documents: usize) -> String {
    let mut text = String::new();
    for at in 0..documents {
        let words = "word ".repeat(1 + (at * 7 + shard * 5) % 23);
        let q = 1 + (at * 37 + shard * 11) % 101;
        let score = at as f64 / 8.0;
        writeln!(
            text,
            r#"{{"id": "d{shard}-{at}", "text": "Document {at} of {shard}: {words}é", "q": {q}, "meta": {{"score": {score}}}}}"#
        )
        .unwrap();
    }
    text
}

/// A fixture of `tamis-models`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tamis-models/tests/fixtures").join(name)
}
