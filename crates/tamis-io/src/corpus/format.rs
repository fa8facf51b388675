//! Formats, told by the ending of a file's name.

/// How rows lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// One JSON object a line.
    Jsonl,
    /// Parquet.
    Parquet,
}

/// How a file of lines is compressed. A Parquet file is compressed inside and counts as `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, of any number of members.
    Gzip,
    /// Zstandard, of any number of frames.
    Zstd,
}

/// One file of a corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Path relative to the corpus, with `/`.
    pub path: String,
    /// How rows lie in it.
    pub container: Container,
    /// How it is compressed.
    pub compression: Compression,
    /// Size of the file in bytes.
    pub size_bytes: u64,
    /// Changes when the file does (modification time or entity tag); compare for equality only.
    pub version: String,
}

impl Shard {
    /// The path without its known endings: what files about this shard are called in a run directory.
    #[must_use]
    pub fn stem(&self) -> &str {
        stem(&self.path)
    }
}

/// A path without its known endings; one whose ending is not known stays as it is.
pub(crate) fn stem(path: &str) -> &str {
    recognise(path).map_or(path, |(_, _, stem)| stem)
}

const LINES: [&str; 3] = [".jsonl", ".ndjson", ".json"];

/// The endings that are read, for messages.
pub(super) const KNOWN: &str =
    "`.jsonl`, `.ndjson`, `.json` (each also with `.gz` or `.zst` after it) or `.parquet`";

/// Format of a file and its path without known endings; `None` when the ending is not known. Case does not matter.
pub(super) fn recognise(path: &str) -> Option<(Container, Compression, &str)> {
    if let Some(stem) = strip(path, ".parquet") {
        return Some((Container::Parquet, Compression::None, stem));
    }
    let (compression, lines) = match (strip(path, ".gz"), strip(path, ".zst")) {
        (Some(stem), _) => (Compression::Gzip, stem),
        (_, Some(stem)) => (Compression::Zstd, stem),
        _ => (Compression::None, path),
    };
    let stem = LINES.into_iter().find_map(|ending| strip(lines, ending))?;
    Some((Container::Jsonl, compression, stem))
}

/// A file that is nothing but its ending has no name left and is not recognised.
fn strip<'p>(path: &'p str, ending: &str) -> Option<&'p str> {
    let at = path.len().checked_sub(ending.len())?;
    let (stem, found) = (path.get(..at)?, path.get(at..)?);
    (found.eq_ignore_ascii_case(ending) && !stem.is_empty() && !stem.ends_with('/')).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_the_format() {
        for (path, container, compression, stem) in [
            ("a/b.jsonl", Container::Jsonl, Compression::None, "a/b"),
            ("b.NDJSON.GZ", Container::Jsonl, Compression::Gzip, "b"),
            ("b.0.json.zst", Container::Jsonl, Compression::Zstd, "b.0"),
            ("é.parquet", Container::Parquet, Compression::None, "é"),
        ] {
            assert_eq!(recognise(path), Some((container, compression, stem)), "{path}");
        }
        for path in ["a.gz", "a.txt", "json", ".jsonl", "a/.json.gz", "a.parquet.gz", "é", ""] {
            assert_eq!(recognise(path), None, "{path}");
        }
    }
}
