//! Some rows of a shard, decompressed but not parsed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decoded::{Builder, Decoded, Measured};
use super::json;
use super::line_reader::Buffer;
use super::lines::{self, Lines, each_line};
use super::parquet_shard::{ParquetShard, Slice};
use super::{Columns, Container, CorpusError, CorpusResult, KeptWriter};

/// Consecutive rows of one shard: about 4 MiB of lines, one longer line, or a slice of a Parquet row group.
#[derive(Debug)]
pub struct Block {
    pub(super) shard: Arc<str>,
    pub(super) first_row: u64,
    pub(super) rows: u64,
    pub(super) content: Content,
    pub(super) max_line_bytes: u64,
}

#[derive(Debug)]
pub(super) enum Content {
    Lines(Buffer),
    TooLong { head: Vec<u8>, length: u64 },
    Parquet { file: Arc<ParquetShard>, slice: Slice },
}

impl Block {
    /// Path of the shard that the rows are of.
    #[must_use]
    pub fn shard(&self) -> &str {
        &self.shard
    }

    /// 0-based physical row of the first one.
    #[must_use]
    pub fn first_row(&self) -> u64 {
        self.first_row
    }

    /// Number of rows, failed and blank ones included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of its lines, or those that its Parquet rows are estimated to have; for shares of memory and of work.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match &self.content {
            Content::Lines(bytes) => bytes.bytes().len() as u64,
            Content::TooLong { head, .. } => head.len() as u64,
            Content::Parquet { slice, .. } => slice.size_bytes,
        }
    }

    /// Leaves out the first rows.
    pub(super) fn skip(&mut self, rows: u64) {
        let rows = rows.min(self.rows);
        self.first_row += rows;
        self.rows -= rows;
        match &mut self.content {
            Content::Lines(bytes) => bytes.skip_lines(rows),
            Content::TooLong { .. } => {}
            Content::Parquet { slice, .. } => slice.skip(rows),
        }
    }

    /// Documents and failed rows. Does not depend on how the shard was cut into blocks.
    ///
    /// # Errors
    /// Names of columns that do not go together; for Parquet also a column that is missing or of an unusable type, and
    /// data that are damaged.
    pub fn decode(&self, columns: &Columns) -> CorpusResult<Decoded> {
        let mut builder = Builder::keeping_texts(columns, &self.shard, self.text_bytes());
        self.fill(&mut builder)?;
        builder.finish()
    }

    /// As [`Self::decode`], but of the texts only what the inventory holds is kept: at twice the speed.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn measure(&self, columns: &Columns) -> CorpusResult<Measured> {
        let mut builder = Builder::measuring(columns, &self.shard, self.text_bytes());
        self.fill(&mut builder)?;
        builder.finish_measured()
    }

    /// Bytes of text that are expected.
    fn text_bytes(&self) -> usize {
        match &self.content {
            Content::Lines(bytes) => bytes.bytes().len(),
            Content::TooLong { .. } => 0,
            Content::Parquet { slice, .. } => slice.expected_bytes(),
        }
    }

    fn fill(&self, builder: &mut Builder<'_>) -> CorpusResult<()> {
        let max_line_bytes = self.max_line_bytes;
        match &self.content {
            Content::Lines(bytes) => {
                Lines { bytes: bytes.bytes(), first_row: self.first_row, max_line_bytes }.fill(builder)
            }
            Content::TooLong { head, length } => {
                lines::too_long(self.first_row, head, *length, max_line_bytes, builder);
                Ok(())
            }
            Content::Parquet { file, slice } => file.fill(*slice, self.first_row, builder),
        }
    }

    /// How its rows lie in the file.
    #[must_use]
    pub fn container(&self) -> Container {
        match &self.content {
            Content::Lines(_) | Content::TooLong { .. } => Container::Jsonl,
            Content::Parquet { .. } => Container::Parquet,
        }
    }

    /// Gives every line, with its physical row, to `visit`; nothing where rows are no lines, and none that is over the limit.
    pub fn each_line(&self, visit: &mut dyn FnMut(u64, PlainLine<'_>)) {
        let Content::Lines(bytes) = &self.content else { return };
        let bytes = bytes.bytes();
        let mut row = self.first_row;
        each_line(bytes, |range| {
            visit(row, PlainLine::of(row, &bytes[range]));
            row += 1;
        });
    }

    /// Parquet rows (physical, ascending) as lines of JSON: an object of all columns each, in their order, and a line break.
    ///
    /// # Errors
    /// A type that JSON has no word for (see [`super::Corpus::check_objects`]), data that are damaged, or a row that is not there.
    ///
    /// # Panics
    /// Where rows are lines.
    pub fn objects(&self, rows: &[u64]) -> CorpusResult<Vec<Vec<u8>>> {
        match &self.content {
            Content::Parquet { file, slice } => file.objects(*slice, self.first_row, rows),
            Content::Lines(_) | Content::TooLong { .. } => panic!("lines are objects already"),
        }
    }

    /// Parquet rows (physical, ascending) with all their columns, each as bytes for a [`super::RecordsFile`].
    ///
    /// # Errors
    /// Data that are damaged, or a row that is not there.
    ///
    /// # Panics
    /// Where rows are lines.
    pub fn records(&self, rows: &[u64]) -> CorpusResult<Vec<Vec<u8>>> {
        match &self.content {
            Content::Parquet { file, slice } => file.records(*slice, self.first_row, rows),
            Content::Lines(_) | Content::TooLong { .. } => panic!("lines are no rows of Parquet"),
        }
    }

    /// Names of the columns that its first rows have, nested ones as `outer.inner`; for hints in messages.
    #[must_use]
    pub fn column_names(&self) -> Vec<String> {
        const LINES: usize = 100;
        match &self.content {
            Content::Lines(bytes) => {
                let text = String::from_utf8_lossy(&bytes.bytes()[..bytes.bytes().len().min(1 << 20)]);
                let names: BTreeSet<String> = text.lines().take(LINES).flat_map(json::names).collect();
                names.into_iter().collect()
            }
            Content::TooLong { .. } => Vec::new(),
            Content::Parquet { file, .. } => {
                file.schema().fields().iter().map(|field| field.name().clone()).collect()
            }
        }
    }

    /// Whether every row has a column of this name, nested ones as `outer.inner`; `None` for lines, whose rows differ.
    #[must_use]
    pub fn schema_has(&self, name: &str) -> Option<bool> {
        match &self.content {
            Content::Lines(_) | Content::TooLong { .. } => None,
            Content::Parquet { file, .. } => Some(file.has_column(name)),
        }
    }

    /// Appends the numbers of the rows for which `keep` (given the physical row, ascending) says so to `out`, in 8 bytes each,
    /// then their lines; how many they are. `None` where rows are no lines.
    pub(super) fn pick(&self, keep: &mut dyn FnMut(u64) -> bool, out: &mut Vec<u8>) -> Option<usize> {
        match &self.content {
            Content::Lines(bytes) => {
                let bytes = bytes.bytes();
                let mut row = self.first_row;
                let mut picked = Vec::new();
                each_line(bytes, |line| {
                    if keep(row) {
                        out.extend_from_slice(&row.to_le_bytes());
                        picked.push(line);
                    }
                    row += 1;
                });
                let rows = picked.len();
                picked.into_iter().for_each(|line| out.extend_from_slice(&bytes[line]));
                Some(rows)
            }
            Content::TooLong { .. } => Some(0),
            Content::Parquet { .. } => None,
        }
    }

    /// Writes the rows for which `keep` (given the physical row, ascending) says so: lines byte for byte, Parquet rows with
    /// all their columns. Blocks must be written in order.
    ///
    /// # Errors
    /// A place that cannot be written, Parquet data that are damaged, a writer of the other format, or a row kept that is
    /// longer than the limit for lines (a failed row, which no selection keeps).
    pub fn write_kept(&self, keep: &mut dyn FnMut(u64) -> bool, out: &mut KeptWriter) -> CorpusResult<()> {
        match &self.content {
            Content::Lines(bytes) => {
                let mut row = self.first_row..;
                write_lines(bytes.bytes(), &mut || row.next().is_some_and(&mut *keep), out)
            }
            Content::TooLong { length, .. } => {
                if keep(self.first_row) {
                    return Err(CorpusError::Damaged {
                        shard: self.shard.to_string(),
                        row: self.first_row,
                        byte: 0,
                        problem: format!("a line of {length} bytes, over the limit, cannot be kept"),
                    });
                }
                Ok(())
            }
            Content::Parquet { file, slice } => file.write_kept(*slice, self.first_row, keep, out),
        }
    }
}

/// A line as it stands in its file.
#[derive(Clone, Copy, Debug)]
pub struct PlainLine<'b> {
    /// With its ending, which a last line may lack, and without a byte-order mark.
    pub bytes: &'b [u8],
    /// Without its ending: what the raw digest is of.
    pub content: &'b [u8],
}

impl<'b> PlainLine<'b> {
    fn of(row: u64, bytes: &'b [u8]) -> Self {
        let bytes =
            if row == 0 { bytes.strip_prefix(lines::BYTE_ORDER_MARK).unwrap_or(bytes) } else { bytes };
        let content = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        Self { bytes, content: content.strip_suffix(b"\r").unwrap_or(content) }
    }
}

/// Writes the lines for which `keep`, asked once a line, says so.
pub(super) fn write_lines(
    bytes: &[u8],
    keep: &mut dyn FnMut() -> bool,
    out: &mut KeptWriter,
) -> CorpusResult<()> {
    let mut run = 0..0;
    let mut rows = 0;
    let mut outcome = Ok(());
    each_line(bytes, |line| {
        if keep() {
            if run.end != line.start {
                if outcome.is_ok() {
                    outcome = out.write_lines(&bytes[run.clone()], rows);
                }
                (run.start, rows) = (line.start, 0);
            }
            run.end = line.end;
            rows += 1;
        }
    });
    outcome?;
    out.write_lines(&bytes[run], rows)
}
