//! Documents that must never be kept: decontamination, licences, takedowns.
//!
//! A veto names a document by its id or its key, not by its text. Files are read line by line, so that whatever is no list of
//! names (UTF-16, Parquet, an archive) is refused by name instead of matching nothing.
//!
//! Memory: the bytes of all entries and 24 bytes for each, 32 more for each of 32 hex digits; while they are read twice that.

use std::path::{Path, PathBuf};

use tamis_core::{Digest, DocKey};
use tamis_io::TextFile;

use crate::{Error, Result};

const HINT: &str = "give a UTF-8 file, plain, .gz or .zst, with one id or document key a line";

/// Ids and document keys, one a line in any number of files.
#[derive(Debug, Default)]
pub(super) struct Vetoes {
    /// All entries, one after the other.
    text: String,
    /// Where each distinct entry stands, in the order of the entries.
    spans: Vec<(usize, usize)>,
    /// Entries that are document keys, sorted.
    keys: Vec<(DocKey, usize)>,
    files: Vec<VetoFile>,
    /// Digest of the sorted entries: what a selection's fingerprint records.
    pub(super) digest: Option<Digest>,
}

/// One of the files.
#[derive(Debug)]
pub(super) struct VetoFile {
    /// As the user named it.
    pub(super) name: String,
    /// Its distinct entries, ascending.
    pub(super) entries: Vec<usize>,
}

impl Vetoes {
    /// Reads the files. A line of 32 hex digits is both a key and an id; blank lines are skipped, and so is white space around
    /// an entry. Lines end in `\n`, `\r\n` or `\r`.
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8 text, or holds no entry.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self> {
        let mut text = String::new();
        let mut by_file = Vec::new();
        for file in files {
            let spans = read_entries(file, &mut text)?;
            if spans.is_empty() {
                let hint = "an empty veto file is more often a failed export than a wish; leave --veto out to veto nothing";
                return Err(Error::usage(format!("veto file `{}` holds no entry", file.display()), hint));
            }
            by_file.push((file.display().to_string(), spans));
        }
        let entry = |span: &(usize, usize)| &text[span.0..span.1];
        let mut spans: Vec<(usize, usize)> = by_file.iter().flat_map(|(_, spans)| spans).copied().collect();
        spans.sort_unstable_by(|a, b| entry(a).cmp(entry(b)));
        spans.dedup_by(|a, b| entry(a) == entry(b));
        let files = by_file
            .into_iter()
            .map(|(name, own)| {
                let position = |span| spans.binary_search_by(|other| entry(other).cmp(entry(span)));
                let mut entries: Vec<usize> = own.iter().filter_map(|span| position(span).ok()).collect();
                entries.sort_unstable();
                entries.dedup();
                VetoFile { name, entries }
            })
            .collect();
        let mut keys: Vec<(DocKey, usize)> =
            spans.iter().enumerate().filter_map(|(at, span)| Some((key(entry(span))?, at))).collect();
        keys.sort_unstable();
        let digest = (!spans.is_empty()).then(|| {
            let all: Vec<&str> = spans.iter().map(entry).collect();
            Digest::of(all.join("\n").as_bytes())
        });
        Ok(Self { text, spans, keys, files, digest })
    }

    pub(super) fn need_ids(&self) -> bool {
        !self.spans.is_empty()
    }

    pub(super) fn contains(&self, key: DocKey, id: Option<&str>) -> bool {
        self.by_key(key).next().is_some() || id.is_some_and(|id| self.by_id(id).is_some())
    }

    /// The entry that is this id.
    pub(super) fn by_id(&self, id: &str) -> Option<usize> {
        self.spans.binary_search_by(|span| self.text[span.0..span.1].cmp(id)).ok()
    }

    /// Entries that are this key: hex digits may be written in two ways.
    pub(super) fn by_key(&self, key: DocKey) -> impl Iterator<Item = usize> + '_ {
        let from = self.keys.partition_point(|(other, _)| *other < key);
        self.keys[from..].iter().take_while(move |(other, _)| *other == key).map(|(_, entry)| *entry)
    }

    /// Number of distinct entries.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// An entry as it stands, without the white space around it.
    pub(super) fn entry(&self, at: usize) -> &str {
        let (start, end) = self.spans[at];
        &self.text[start..end]
    }

    pub(super) fn files(&self) -> &[VetoFile] {
        &self.files
    }
}

/// The document key that an entry can be.
pub(super) fn key(entry: &str) -> Option<DocKey> {
    let value = (entry.len() == 32).then(|| u128::from_str_radix(entry, 16).ok()).flatten()?;
    Some(DocKey::from_bytes(value.to_be_bytes()))
}

/// Appends the entries of a file to `text`; where they stand.
fn read_entries(file: &Path, text: &mut String) -> Result<Vec<(usize, usize)>> {
    let name = file.display();
    let refuse =
        |problem: &dyn std::fmt::Display| Error::usage(format!("veto file `{name}`: {problem}"), HINT);
    let location = file.to_str().ok_or_else(|| refuse(&"its name is not UTF-8"))?;
    let mut lines = TextFile::open(location).map_err(|error| refuse(&error))?;
    let mut spans = Vec::new();
    let mut line = Vec::new();
    let mut head = Vec::new();
    let mut number = 0_u64;
    while lines.next_line(&mut line).map_err(|error| refuse(&error))? {
        number += 1;
        if number == 1 {
            head.extend_from_slice(&line[..line.len().min(8)]);
        }
        let not_text = |what: &str| {
            let kind = kind(&head).map_or_else(String::new, |kind| format!(" (it looks like {kind})"));
            refuse(&format!("line {number}: {what}{kind}"))
        };
        let content = std::str::from_utf8(&line).map_err(|_| not_text("not UTF-8"))?;
        if content.contains('\0') {
            return Err(not_text("a NUL character, which no list of ids has"));
        }
        let content = if number == 1 { content.trim_start_matches('\u{feff}') } else { content };
        for entry in content.split('\r').map(str::trim).filter(|entry| !entry.is_empty()) {
            let start = text.len();
            text.push_str(entry);
            spans.push((start, text.len()));
        }
    }
    Ok(spans)
}

/// What a file that is no text is, by its first bytes.
fn kind(head: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 8] = [
        (b"\xff\xfe", "UTF-16; `iconv -f UTF-16 -t UTF-8` makes UTF-8 of it"),
        (b"\xfe\xff", "UTF-16; `iconv -f UTF-16 -t UTF-8` makes UTF-8 of it"),
        (b"PAR1", "Parquet; write its ids as text, one a line"),
        (b"PK\x03\x04", "a zip archive or a spreadsheet; write its ids as text, one a line"),
        (b"\xfd7zXZ", "xz; unpack it"),
        (b"BZh", "bzip2; unpack it"),
        (b"ARROW1", "an Arrow file; write its ids as text, one a line"),
        (b"SQLite", "a database; write its ids as text, one a line"),
    ];
    let found = known.into_iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, kind)| kind);
    // Without a mark, every other byte of plain letters is zero.
    let wide = matches!(head, [a, 0, b, 0, ..] | [0, a, 0, b, ..] if *a != 0 && *b != 0);
    found.or(wide.then_some("UTF-16; `iconv -f UTF-16 -t UTF-8` makes UTF-8 of it"))
}
