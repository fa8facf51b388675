//! Which files beside the shards are not the corpus, by their names and what they hold, and how that is said.
//!
//! Programs that write corpora leave files of their own among them. Those that have a known ending would be read as shards;
//! a name that a program is known to use is therefore left out, and any other is read: `_train.jsonl` is data. Nothing but
//! hidden files is left out without a word, and what may be data is warned of.

use std::collections::BTreeMap;
use std::io::Read;

use super::format::recognise;
use super::{Compression, Container};
use crate::store::{Entry, Store, StoreResult};

/// Why a file, or a folder with all in it, is left out of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOutReason {
    /// Its name starts with a dot.
    Hidden,
    /// A program that writes corpora keeps it for itself: `_SUCCESS`, `_temporary/`, `_delta_log/`, `dataset_infos.json`.
    Bookkeeping,
    /// By its ending not finished, or a copy that an editor made: `.tmp`, `.inprogress`, `~`.
    Temporary,
    /// A link to a folder that it is in: its files are read there.
    FolderAbove,
    /// A `.json` file of one object that spans lines.
    JsonDocument,
    /// Of an ending that data have, in a format or a compression that is not read.
    OtherFormat,
    /// Of any other ending, or no file.
    OtherEnding,
}

impl LeftOutReason {
    const ALL: [Self; 7] = [
        Self::Hidden,
        Self::Bookkeeping,
        Self::Temporary,
        Self::FolderAbove,
        Self::JsonDocument,
        Self::OtherFormat,
        Self::OtherEnding,
    ];

    /// The name by which programs know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Bookkeeping => "bookkeeping",
            Self::Temporary => "temporary",
            Self::FolderAbove => "folder-above",
            Self::JsonDocument => "json-document",
            Self::OtherFormat => "other-format",
            Self::OtherEnding => "other-ending",
        }
    }
}

/// How many, and the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Few {
    count: u64,
    first: String,
    last: String,
}

impl Few {
    /// What comes in the order of paths is counted once.
    fn add(&mut self, path: &str) {
        if self.count == 0 {
            path.clone_into(&mut self.first);
        } else if self.last == path {
            return;
        }
        path.clone_into(&mut self.last);
        self.count += 1;
    }
}

/// What lies among the shards of a corpus and is not read, and which shards are odd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    by_reason: BTreeMap<LeftOutReason, Few>,
    /// Shards that are the same file as another one.
    linked: Few,
    /// Shards of no bytes.
    empty: Few,
}

impl LeftOut {
    pub(super) fn add(&mut self, reason: LeftOutReason, path: &str) {
        self.by_reason.entry(reason).or_default().add(path);
    }

    pub(super) fn add_linked(&mut self, path: &str, first: &str) {
        self.linked.add(&format!("{path}` and `{first}"));
    }

    pub(super) fn add_empty(&mut self, path: &str) {
        self.empty.add(path);
    }

    /// How many files, or folders that were not looked into, are left out.
    #[must_use]
    pub fn count(&self, reason: LeftOutReason) -> u64 {
        self.by_reason.get(&reason).map_or(0, |some| some.count)
    }

    /// The counts by [`LeftOutReason::name`], without those that are 0.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.by_reason.iter().map(|(reason, some)| (reason.name(), some.count)).collect()
    }

    /// What to remark, one line each: files that are surely not data.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let parts: Vec<String> = LeftOutReason::ALL
            .into_iter()
            .filter_map(|reason| {
                let Few { count, first, .. } = self.by_reason.get(&reason)?;
                let what = match reason {
                    LeftOutReason::Bookkeeping => "kept by programs for themselves",
                    LeftOutReason::Temporary => "not finished or copies of editors",
                    LeftOutReason::FolderAbove => "links to a folder above",
                    LeftOutReason::OtherEnding => "of other endings",
                    _ => return None,
                };
                Some(format!("{count} {what} (such as `{first}`)"))
            })
            .collect();
        let mut notes = Vec::new();
        if !parts.is_empty() {
            notes.push(format!("left out: {}", parts.join(", ")));
        }
        if self.empty.count > 0 {
            let Few { count, first, .. } = &self.empty;
            notes.push(format!("{count} of the shards have no bytes (such as `{first}`)"));
        }
        notes
    }

    /// What to warn of, one line each: files that may be data, and such as are read twice.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(Few { count, first, .. }) = self.by_reason.get(&LeftOutReason::OtherFormat) {
            warnings.push(format!(
                "left out: {count} in a format that is not read (such as `{first}`); if they are data, write them as \
                 .jsonl, .jsonl.gz, .jsonl.zst or .parquet; a glob that does not match them says that they are not"
            ));
        }
        if let Some(Few { count, first, .. }) = self.by_reason.get(&LeftOutReason::JsonDocument) {
            warnings.push(format!(
                "left out: {count} of one JSON object over several lines (such as `{first}`); if they are documents, \
                 `jq -c .` writes each as a line"
            ));
        }
        if self.linked.count > 0 {
            let Few { count, first, .. } = &self.linked;
            warnings.push(format!(
                "{count} of the shards are the same file as another, by a link (such as `{first}`): their documents \
                 are read twice; a glob that matches one of them reads them once"
            ));
        }
        warnings
    }
}

/// Folders that programs keep for themselves: Spark, Delta Lake, macOS, file systems.
const FOLDERS: [&str; 8] = [
    "_temporary",
    "_delta_log",
    "_delta_index",
    "_change_data",
    "_spark_metadata",
    "_symlink_format_manifest",
    "__MACOSX",
    "lost+found",
];

/// Files that programs keep for themselves: Spark, Parquet, Hugging Face datasets.
const FILES: [&str; 6] = [
    "_SUCCESS",
    "_metadata",
    "_common_metadata",
    "dataset_infos.json",
    "dataset_info.json",
    "dataset_dict.json",
];

/// Begins of names of Databricks' commits.
const COMMITS: [&str; 2] = ["_started_", "_committed_"];

/// Endings of what is not finished, or was copied by an editor.
const TEMPORARY: [&str; 15] = [
    ".tmp",
    ".temp",
    ".inprogress",
    ".part",
    ".partial",
    ".incomplete",
    ".crdownload",
    ".download",
    ".aria2",
    "._COPYING_",
    ".swp",
    ".bak",
    ".orig",
    ".old",
    "~",
];

/// Endings of compressions, archives and tables that are not read.
const FORMATS: [&str; 38] = [
    ".xz",
    ".bz2",
    ".lz4",
    ".br",
    ".lzma",
    ".lzo",
    ".sz",
    ".snappy",
    ".z",
    ".zstd",
    ".gz",
    ".gzip",
    ".zst",
    ".zip",
    ".7z",
    ".rar",
    ".tar",
    ".tgz",
    ".tbz2",
    ".txz",
    ".csv",
    ".tsv",
    ".arrow",
    ".feather",
    ".ipc",
    ".avro",
    ".orc",
    ".pq",
    ".parq",
    ".jl",
    ".jsonlines",
    ".warc",
    ".wet",
    ".msgpack",
    ".h5",
    ".mds",
    ".tfrecord",
    ".xlsx",
];

/// The first part of a path that is known not to be data, and why. `spelled` says which names the user wrote out: these are
/// meant.
pub(crate) fn by_name<'p>(path: &'p str, spelled: &dyn Fn(&str) -> bool) -> Option<(LeftOutReason, &'p str)> {
    let mut start = 0;
    for name in path.split('/') {
        let end = start + name.len();
        if name.starts_with('.') && !spelled(name) {
            return Some((LeftOutReason::Hidden, &path[..end]));
        }
        let last = end == path.len();
        let bookkeeping = is_own_folder(name) || (last && is_own_file(path, name));
        if bookkeeping && !spelled(name) {
            return Some((LeftOutReason::Bookkeeping, &path[..end]));
        }
        start = end + 1;
    }
    None
}

pub(crate) fn is_own_folder(name: &str) -> bool {
    FOLDERS.contains(&name)
}

fn is_own_file(path: &str, name: &str) -> bool {
    // The table format Iceberg has these in a folder of their own.
    let iceberg = path.ends_with(".metadata.json") && path.rsplit('/').nth(1) == Some("metadata");
    FILES.contains(&name)
        || COMMITS.iter().any(|begin| name.starts_with(begin))
        || ends_with(name, ".crc")
        || iceberg
}

/// Why a file that has no known ending is left out.
pub(super) fn by_ending(path: &str) -> LeftOutReason {
    if TEMPORARY.iter().any(|ending| ends_with(path, ending)) {
        LeftOutReason::Temporary
    } else if FORMATS.iter().any(|ending| ends_with(path, ending)) {
        LeftOutReason::OtherFormat
    } else {
        LeftOutReason::OtherEnding
    }
}

fn ends_with(path: &str, ending: &str) -> bool {
    let at = path.len().checked_sub(ending.len());
    at.and_then(|at| path.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
}

/// No larger file is looked into: shards are larger as a rule, and rows of one that is no shard fail and are told.
const MAX_DOCUMENT_BYTES: u64 = 1 << 20;

/// Bytes in which the first line has to end.
const FIRST_LINE_BYTES: u64 = 1 << 16;

/// Whether a file is a `.json` of one object that spans lines, by what is in it.
pub(super) fn is_json_document(store: &Store, entry: &Entry) -> StoreResult<bool> {
    let plain = matches!(recognise(&entry.path), Some((Container::Jsonl, Compression::None, _)));
    if !plain || !ends_with(&entry.path, ".json") || entry.size > MAX_DOCUMENT_BYTES {
        return Ok(false);
    }
    let failed = |source| crate::store::StoreError::io("read", store.location(&entry.path), source);
    let mut file = store.open_read(&entry.path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(FIRST_LINE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let begin = |bytes: &[u8]| {
        let mark = usize::from(bytes.starts_with(b"\xef\xbb\xbf")) * 3;
        bytes[mark..].iter().position(|byte| !byte.is_ascii_whitespace()).map(|at| at + mark)
    };
    let Some(start) = begin(&bytes) else { return Ok(false) };
    let Some(line) = bytes[start..].iter().position(|byte| *byte == b'\n') else { return Ok(false) };
    let object = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes);
    // A line that is an object is a document, and one that is wrong is a failed row.
    if bytes[start] != b'{' || !object(&bytes[start..start + line]).is_err_and(|error| error.is_eof()) {
        return Ok(false);
    }
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(object(&bytes[start..]).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_programs_are_told_from_names_of_data() {
        let none = |_: &str| false;
        for (path, reason, part) in [
            ("_SUCCESS", LeftOutReason::Bookkeeping, "_SUCCESS"),
            ("a/_temporary/0/part-0.json", LeftOutReason::Bookkeeping, "a/_temporary"),
            ("t/_delta_log/0.json", LeftOutReason::Bookkeeping, "t/_delta_log"),
            ("t/_started_12", LeftOutReason::Bookkeeping, "t/_started_12"),
            ("t/.part.jsonl.crc", LeftOutReason::Hidden, "t/.part.jsonl.crc"),
            ("t/part.parquet.crc", LeftOutReason::Bookkeeping, "t/part.parquet.crc"),
            ("t/metadata/v1.metadata.json", LeftOutReason::Bookkeeping, "t/metadata/v1.metadata.json"),
            ("dataset_infos.json", LeftOutReason::Bookkeeping, "dataset_infos.json"),
            ("a/._b.jsonl", LeftOutReason::Hidden, "a/._b.jsonl"),
        ] {
            assert_eq!(by_name(path, &none), Some((reason, part)), "{path}");
        }
        for path in [
            "_train.jsonl",
            "lang=en/part-0.jsonl",
            "_x/a.jsonl",
            "v1.metadata.json",
            "dataset_infos.jsonl",
            "_SUCCESS.jsonl",
            "state.json",
        ] {
            assert_eq!(by_name(path, &none), None, "{path}");
        }
        assert_eq!(by_name("_temporary/a.jsonl", &|name| name == "_temporary"), None);
    }

    #[test]
    fn endings_that_data_have_are_told_from_others() {
        for (path, reason) in [
            ("a.jsonl.xz", LeftOutReason::OtherFormat),
            ("a.JSONL.BZ2", LeftOutReason::OtherFormat),
            ("a.csv", LeftOutReason::OtherFormat),
            ("a.txt.gz", LeftOutReason::OtherFormat),
            ("a.parquet.gz", LeftOutReason::OtherFormat),
            ("a.jsonl.zst.tmp", LeftOutReason::Temporary),
            ("a.jsonl~", LeftOutReason::Temporary),
            ("a.jsonl._COPYING_", LeftOutReason::Temporary),
            ("README.md", LeftOutReason::OtherEnding),
            ("LICENSE", LeftOutReason::OtherEnding),
        ] {
            assert_eq!(by_ending(path), reason, "{path}");
        }
    }

    #[test]
    fn a_json_document_is_one_object_over_several_lines() {
        let store = Store::open("memory://json-documents/").unwrap().0;
        for (name, content, expected) in [
            ("pretty.json", "{\n  \"a\": 1\n}\n", true),
            ("odd.json", "\u{feff} \n{ \"a\":\n 1 }", true),
            ("lines.json", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n", false),
            ("one.json", "{\"text\":\"a\"}", false),
            ("cut.json", "{\"text\":\"a\n{\"text\":\"b\"}\n", false),
            ("list.json", "[\n{\"text\":\"a\"}\n]\n", false),
            ("two.json", "{\n}\n{\n}\n", false),
            ("lines.jsonl", "{\n  \"a\": 1\n}\n", false),
            ("empty.json", "", false),
        ] {
            store.create_new(name, content.as_bytes()).unwrap();
            let entry = store.entry(name).unwrap().unwrap();
            assert_eq!(is_json_document(&store, &entry).unwrap(), expected, "{name}");
        }
    }
}
