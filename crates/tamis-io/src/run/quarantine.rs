//! Rows that could not be used, for people to look at: `quarantine/<shard>.jsonl`, one JSON object a row.
//!
//! Counts do not come from here (the inventory's receipt has them); a quarantine that is deleted is no loss to the run.

use std::io::Write;

use serde::Serialize;

use super::{RunDirectory, RunError, RunResult, shard_name};
use crate::store::{PendingFile, StoreError};

/// Bytes of a row that are kept.
const MOST_RAW_BYTES: usize = 4096;

/// Whether the raw text of a row is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepText {
    /// Up to 4 KiB of it.
    Cut,
    /// Nothing of it.
    No,
}

/// One row that could not be used.
#[derive(Clone, Copy, Debug)]
pub struct Quarantined<'a> {
    /// 0-based physical row.
    pub row: u64,
    /// 1-based line of a file of lines; `None` for parquet.
    pub line: Option<u64>,
    /// One of [`tamis_core::reason`].
    pub reason: &'a str,
    /// What exactly is wrong.
    pub detail: &'a str,
    /// The row as it stands in the file, or its beginning.
    pub raw: &'a [u8],
}

/// As it is written. Fields stay in this order; later versions may add some at the end.
#[derive(Serialize)]
struct Line<'a> {
    format_version: u64,
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    row: u64,
    reason: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

/// Streams the quarantine of one shard. No row, no file; dropped without [`QuarantineWriter::commit`], nothing becomes
/// visible.
#[derive(Debug)]
pub struct QuarantineWriter {
    run: RunDirectory,
    shard_path: String,
    path: String,
    keep: KeepText,
    file: Option<PendingFile>,
    bytes: u64,
}

impl QuarantineWriter {
    /// Adds a row.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn add(&mut self, row: &Quarantined<'_>) -> RunResult<()> {
        let line = Line {
            format_version: super::FORMAT_VERSION,
            file: &self.shard_path,
            line: row.line,
            row: row.row,
            reason: row.reason,
            detail: row.detail,
            raw: (self.keep == KeepText::Cut).then(|| escape(row.raw)),
        };
        let mut bytes = serde_json::to_vec(&line).map_err(|error| RunError::write(&self.path, error))?;
        bytes.push(b'\n');
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(self.run.store.writer(&self.path)?),
        };
        let written = file.write_all(&bytes);
        self.bytes += bytes.len() as u64;
        Ok(written.map_err(|error| StoreError::written(file.location(), error))?)
    }

    /// Makes the file visible where there was a row. One that stands, from an attempt that stopped later on, is left as it is,
    /// unless its length says that it is not whole.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn commit(self) -> RunResult<()> {
        let Some(file) = self.file else { return Ok(()) };
        if self.run.store.size(&self.path)? == Some(self.bytes) {
            return Ok(());
        }
        Ok(file.replace()?)
    }
}

impl RunDirectory {
    /// Begins the quarantine of a shard.
    ///
    /// # Errors
    /// A shard path that cannot be used.
    pub fn quarantine_writer(&self, shard_path: &str, keep: KeepText) -> RunResult<QuarantineWriter> {
        Ok(QuarantineWriter {
            run: self.clone(),
            shard_path: shard_path.to_owned(),
            path: format!("quarantine/{}.jsonl", shard_name(shard_path)?),
            keep,
            file: None,
            bytes: 0,
        })
    }
}

/// UTF-8 stays, other bytes become `\xNN`; what is beyond 4 KiB is cut on a character border and its length stated.
fn escape(raw: &[u8]) -> String {
    let mut kept = raw.len().min(MOST_RAW_BYTES);
    // A character of UTF-8 has at most three bytes after its first.
    while kept < raw.len() && kept + 3 > MOST_RAW_BYTES && raw[kept] & 0xC0 == 0x80 {
        kept -= 1;
    }
    let mut text = String::with_capacity(kept);
    for chunk in raw[..kept].utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    if kept < raw.len() {
        text.push_str(&format!("... and {} bytes more", raw.len() - kept));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invalid_bytes_are_escaped_and_long_rows_cut_between_characters() {
        assert_eq!(escape(b"caf\xc3\xa9 \xff\xfe"), "café \\xFF\\xFE");
        let long = "é".repeat(3000);
        let mut odd = b"x".to_vec();
        odd.extend_from_slice(long.as_bytes());
        assert_eq!(escape(long.as_bytes()), format!("{}... and 1904 bytes more", "é".repeat(2048)));
        assert_eq!(escape(&odd), format!("x{}... and 1906 bytes more", "é".repeat(2047)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_output_is_bounded(raw in prop::collection::vec(any::<u8>(), 0..6000)) {
            prop_assert!(escape(&raw).len() <= MOST_RAW_BYTES * 4 + 40);
        }
    }
}
