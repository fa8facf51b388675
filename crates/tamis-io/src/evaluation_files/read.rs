//! Reads one file, item by item.

use std::io::Read;

use serde_json::Value;
use tamis_core::Digest;
use xxhash_rust::xxh3::Xxh3;

use super::find::Kind;
use super::table::Table;
use super::{EvaluationFile, EvaluationFileError, EvaluationFileResult, json, parquet};
use crate::store::StoreError;
use crate::text_file::TextFile;

/// Text that a file may have, decompressed.
const MOST_BYTES: u64 = 1 << 30;

/// Columns that a message lists.
const MOST_LISTED: usize = 12;

/// Hears of items, and counts them.
struct Items<'e, E> {
    each: &'e mut dyn FnMut(&[&str]) -> Result<(), E>,
    items: u64,
    with_text: u64,
    /// What stopped it; then nothing more is told.
    stopped: Option<E>,
}

impl<E> Items<'_, E> {
    fn add(&mut self, texts: &[&str]) {
        if self.stopped.is_none() {
            self.items += 1;
            self.with_text += u64::from(!texts.is_empty());
            self.stopped = (self.each)(texts).err();
        }
    }
}

impl EvaluationFile {
    /// Gives the texts of every item to `each`, in the order of the file; the digest of the content comes back: of text, whatever it
    /// is compressed by.
    ///
    /// # Errors
    /// A file that cannot be read, that is broken, too large, or has no text; what `each` says, in the inner result.
    pub fn read<E>(
        &self,
        columns: Option<&[String]>,
        each: &mut dyn FnMut(&[&str]) -> Result<(), E>,
    ) -> EvaluationFileResult<Result<Digest, E>> {
        let mut items = Items { each, items: 0, with_text: 0, stopped: None };
        let (digest, known) = match self.kind {
            Kind::Parquet => self.read_parquet(columns, &mut items)?,
            _ => self.read_text(columns, MOST_BYTES, &mut items)?,
        };
        if let Some(error) = items.stopped {
            return Ok(Err(error));
        }
        if items.with_text > 0 {
            return Ok(Ok(digest));
        }
        let location = self.location.clone();
        Err(match columns {
            Some(columns) if items.items > 0 => {
                let known = known.into_iter().take(MOST_LISTED).collect::<Vec<_>>();
                let known = if known.is_empty() { "not named".to_owned() } else { listed(&known) };
                EvaluationFileError::NoColumn { location, columns: listed(columns), known }
            }
            _ => EvaluationFileError::NoText { location, items: items.items },
        })
    }

    fn broken(&self, place: String, problem: impl Into<String>) -> EvaluationFileError {
        EvaluationFileError::Broken { location: self.location.clone(), place, problem: problem.into() }
    }

    fn read_parquet<E>(
        &self,
        columns: Option<&[String]>,
        items: &mut Items<'_, E>,
    ) -> EvaluationFileResult<(Digest, Vec<String>)> {
        let file = self.store.chunk_reader(&self.path)?;
        let mut hasher = Xxh3::new();
        let mut stream = self.store.open_read(&self.path)?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = stream
                .read(&mut buffer)
                .map_err(|error| StoreError::io("read", self.location.clone(), error))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
        let known = parquet::rows(&file, columns, &mut |texts| {
            items.add(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        });
        let known = known.map_err(|(row, problem)| self.broken(format!("row {row}"), problem))?;
        Ok((Digest::from_u128(hasher.digest128()), known))
    }

    fn read_text<E>(
        &self,
        columns: Option<&[String]>,
        most_bytes: u64,
        items: &mut Items<'_, E>,
    ) -> EvaluationFileResult<(Digest, Vec<String>)> {
        let mut file = TextFile::open(&self.location)?;
        let too_large =
            || EvaluationFileError::TooLarge { location: self.location.clone(), most: most_bytes };
        let bytes = file.rest(most_bytes)?.ok_or_else(too_large)?;
        let content = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut known = Vec::new();
        match self.kind {
            Kind::Lines => {
                for (at, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
                    if !line.iter().all(u8::is_ascii_whitespace) {
                        let value = serde_json::from_slice(line);
                        let value =
                            value.map_err(|error| self.broken(format!("line {at}"), json_problem(&error)))?;
                        add_value(&value, columns, items, &mut known);
                    }
                }
            }
            Kind::Json => {
                let mut values = Vec::new();
                for value in serde_json::Deserializer::from_slice(content).into_iter::<Value>() {
                    let at = |error: &serde_json::Error| format!("line {}", error.line());
                    values.push(value.map_err(|error| self.broken(at(&error), json_problem(&error)))?);
                }
                // Several values are lines of values, whatever the name says.
                if let [_] = values.as_slice() {
                    values = values.into_iter().flat_map(json::items).collect();
                }
                values.iter().for_each(|value| add_value(value, columns, items, &mut known));
            }
            Kind::Commas | Kind::Tabs => {
                let separator = if self.kind == Kind::Commas { b',' } else { b'\t' };
                let table = Table::read(content, separator, columns.is_some())
                    .map_err(|(row, problem)| self.broken(format!("row {row}"), problem))?;
                let places = table.places(columns);
                let mut texts = Vec::new();
                for row in &table.rows {
                    texts.clear();
                    let fields = places.iter().filter_map(|at| row.get(*at)).map(String::as_str);
                    texts.extend(fields.filter(|text| !text.is_empty()));
                    items.add(&texts);
                }
                known.extend(table.header.into_iter().flatten());
            }
            Kind::Text => {
                let text = std::str::from_utf8(content).map_err(|error| {
                    let lines = content[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
                    self.broken(format!("line {}", lines + 1), "it is not UTF-8")
                })?;
                paragraphs(text, |paragraph| items.add(&[paragraph]));
            }
            Kind::Parquet => unreachable!("Parquet is read elsewhere"),
        }
        Ok((file.digest(), known))
    }
}

fn add_value<E>(
    value: &Value,
    columns: Option<&[String]>,
    items: &mut Items<'_, E>,
    known: &mut Vec<String>,
) {
    let mut texts = Vec::new();
    json::texts(value, columns, &mut texts);
    items.add(&texts);
    if items.with_text == 0 {
        json::keys(value, MOST_LISTED, known);
    }
}

/// What serde says, without the place, which is told by the file.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let without = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    format!("it is no JSON: {without}")
}

/// Lines up to a blank one.
fn paragraphs(text: &str, mut each: impl FnMut(&str)) {
    let mut start = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        match (line.trim().is_empty(), start) {
            (true, Some(from)) => {
                each(text[from..at].trim());
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
        at += line.len();
    }
    if let Some(from) = start {
        each(text[from..].trim());
    }
}

fn listed(names: &[String]) -> String {
    format!("`{}`", names.join("`, `"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation_files::find;

    #[test]
    fn a_file_that_is_too_large_is_refused_before_it_is_parsed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl.zst");
        let zeros = zstd::encode_all(&vec![b' '; 1 << 20][..], 3).unwrap();
        std::fs::write(&path, zeros).unwrap();
        let found = find(&[path.to_str().unwrap().to_owned()]).unwrap();
        let mut nothing = |_: &[&str]| Ok::<(), ()>(());
        let mut items = Items { each: &mut nothing, items: 0, with_text: 0, stopped: None };
        let error = found.files[0].read_text(None, 1 << 16, &mut items).unwrap_err();
        assert!(matches!(error, EvaluationFileError::TooLarge { most: 65_536, .. }), "{error}");
    }

    #[test]
    fn paragraphs_end_at_blank_lines() {
        let found = |text: &str| {
            let mut found = Vec::new();
            paragraphs(text, |paragraph| found.push(paragraph.to_owned()));
            found
        };
        assert_eq!(found(" \n = A = \n \nb\nc\r\n\r\n\n d"), ["= A =", "b\nc", "d"]);
        assert!(found("").is_empty() && found(" \n\t\n").is_empty());
    }
}
