//! Parquet shards: slices of row groups, of which only the columns that are needed are decoded.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Fields, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    RowSelection, RowSelector,
};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::serialized_reader::SerializedPageReader;
use tamis_core::{Digest, reason};

use super::columns::NoText;
use super::decoded::Builder;
use super::input::open_shard;
use super::parquet_footer;
use super::parquet_pages::FilledPages;
use super::parquet_refusals::{encrypted, refuse_what_cannot_be_kept, unmapped};
use super::parquet_values::{AN_ID, Values, find};
use super::{Container, Corpus, CorpusError, CorpusResult, KeptWriter, Shard};
use crate::store::ChunkFile;

/// Uncompressed bytes of all columns that a slice has, by the row group's average.
const SLICE_BYTES: u64 = 16 << 20;

/// No slice has more rows, however short they are.
const SLICE_ROWS: u64 = 1 << 17;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 1024;

/// The schema that all Parquet shards of a corpus must have, and the shard that it is of.
#[derive(Debug)]
pub(super) struct FirstSchema {
    path: String,
    schema: SchemaRef,
}

/// An open Parquet file.
#[derive(Debug)]
pub(super) struct ParquetShard {
    path: String,
    file: ChunkFile,
    metadata: ArrowReaderMetadata,
    digest: Digest,
    /// The schema as the footer has it.
    schema_bytes: Vec<u8>,
}

/// Consecutive rows of one row group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) row_group: usize,
    /// Rows of the row group before the slice.
    pub(super) offset: u64,
    pub(super) rows: u64,
    pub(super) size_bytes: u64,
}

impl Slice {
    pub(super) fn skip(&mut self, rows: u64) {
        self.offset += rows;
        self.rows -= rows;
    }

    pub(super) fn expected_bytes(&self) -> usize {
        usize::try_from(self.size_bytes.min(SLICE_BYTES)).unwrap_or(0)
    }
}

/// All slices of a file, in row order.
#[derive(Debug)]
pub(super) struct Slices {
    /// Rows and uncompressed bytes of each row group.
    row_groups: Vec<(u64, u64)>,
    row_group: usize,
    offset: u64,
}

impl Iterator for Slices {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        loop {
            let (rows, bytes) = *self.row_groups.get(self.row_group)?;
            if self.offset >= rows {
                self.row_group += 1;
                self.offset = 0;
                continue;
            }
            let step = rows.div_ceil(bytes.div_ceil(SLICE_BYTES).max(1)).clamp(1, SLICE_ROWS);
            let taken = step.min(rows - self.offset);
            let size_bytes = (bytes / rows).saturating_mul(taken);
            let slice = Slice { row_group: self.row_group, offset: self.offset, rows: taken, size_bytes };
            self.offset += taken;
            return Some(slice);
        }
    }
}

impl Corpus {
    /// Opens a Parquet shard and compares its schema with the first one's.
    pub(super) fn open_parquet(&self, shard: &Shard) -> CorpusResult<ParquetShard> {
        let opened = self.open_any_schema(shard)?;
        let first = match self.schema.get() {
            Some(first) => first,
            None => {
                let first =
                    self.shards.iter().find(|shard| shard.container == Container::Parquet).unwrap_or(shard);
                let schema = if first.path == shard.path {
                    opened.schema()
                } else {
                    self.open_any_schema(first)?.schema()
                };
                self.schema.get_or_init(|| FirstSchema { path: first.path.clone(), schema })
            }
        };
        match difference(first.schema.fields(), opened.metadata.schema().fields()) {
            None => Ok(opened),
            Some(difference) => {
                Err(CorpusError::SchemaDiffers { shard: opened.path, first: first.path.clone(), difference })
            }
        }
    }

    fn open_any_schema(&self, shard: &Shard) -> CorpusResult<ParquetShard> {
        let file = open_shard(shard, self.store.chunk_reader(&shard.path))?;
        let damaged = |problem: String| {
            let shard = shard.path.clone();
            match file.take_failure() {
                Some(problem) => CorpusError::Read { shard, row: 0, problem },
                None => CorpusError::Damaged { shard, row: 0, byte: 0, problem },
            }
        };
        let unreadable =
            |error: &dyn std::fmt::Display| damaged(format!("not a readable Parquet file: {error}"));
        let metadata = ParquetMetaDataReader::new()
            .with_offset_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&file)
            .map_err(|error| {
                let end = file.size().checked_sub(4).and_then(|at| file.read_at(at, 4).ok());
                if end.is_some_and(|end| end == ENCRYPTED) {
                    return encrypted(shard, "the footer");
                }
                unreadable(&error)
            })?;
        let (digest, footer) = read_footer(&file).map_err(|error| unreadable(&error))?;
        let footer = &footer[..footer.len().saturating_sub(8)];
        let schema_bytes = parquet_footer::schema(footer).map(<[u8]>::to_vec);
        let schema_bytes = schema_bytes.ok_or_else(|| unreadable(&"its footer has no schema"))?;
        refuse_what_cannot_be_kept(shard, &metadata, footer)?;
        let metadata = Arc::new(metadata);
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(&metadata), ArrowReaderOptions::new())
            .map_err(|error| unmapped(shard, &metadata, &error))?;
        Ok(ParquetShard { path: shard.path.clone(), file, metadata, digest, schema_bytes })
    }
}

/// What ends a file whose footer is encrypted.
const ENCRYPTED: &[u8] = b"PARE";

/// Digest of the size of the file and of its footer; the footer, with its length and the magic number.
fn read_footer(file: &ChunkFile) -> std::io::Result<(Digest, bytes::Bytes)> {
    let tail = file.read_at(file.size().saturating_sub(8), 8)?;
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]])) + 8;
    let footer =
        file.read_at(file.size().saturating_sub(length), usize::try_from(length).unwrap_or(usize::MAX))?;
    let mut bytes = file.size().to_le_bytes().to_vec();
    bytes.extend_from_slice(&footer);
    Ok((Digest::of(&bytes), footer))
}

/// How two lists of columns differ, `None` when they are the same. Order, nullability and metadata do not count.
/// Of columns of one name the first is compared with the first, the second with the second.
fn difference(first: &Fields, other: &Fields) -> Option<String> {
    let named = |fields: &Fields, name: &str, nth: usize| {
        fields.iter().filter(|field| field.name() == name).nth(nth).cloned()
    };
    let before = |fields: &Fields, at: usize, name: &str| {
        fields.iter().take(at).filter(|field| field.name() == name).count()
    };
    let mut differences = Vec::new();
    for (at, field) in first.iter().enumerate() {
        match named(other, field.name(), before(first, at, field.name())) {
            None => differences.push(format!("column `{}` is missing", field.name())),
            Some(other) if !same(field.data_type(), other.data_type()) => differences.push(format!(
                "column `{}` is {} instead of {}",
                field.name(),
                other.data_type(),
                field.data_type()
            )),
            Some(_) => {}
        }
    }
    let additional = other
        .iter()
        .enumerate()
        .filter(|(at, field)| named(first, field.name(), before(other, *at, field.name())).is_none());
    for (_, field) in additional {
        differences.push(format!("column `{}` ({}) is additional", field.name(), field.data_type()));
    }
    (!differences.is_empty()).then(|| differences.join(", "))
}

/// Nested fields are compared as columns are.
fn same(first: &DataType, other: &DataType) -> bool {
    match (first, other) {
        (DataType::Struct(first), DataType::Struct(other)) => difference(first, other).is_none(),
        (DataType::List(first), DataType::List(other))
        | (DataType::LargeList(first), DataType::LargeList(other))
        | (DataType::Map(first, _), DataType::Map(other, _)) => same(first.data_type(), other.data_type()),
        _ => first == other,
    }
}

impl ParquetShard {
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(self.metadata.schema())
    }

    pub(super) fn has_column(&self, name: &str) -> bool {
        !matches!(find(self.metadata.schema(), &self.path, name), Err(CorpusError::MissingColumn { .. }))
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// The schema as it lies in the footer.
    pub(super) fn schema_bytes(&self) -> &[u8] {
        &self.schema_bytes
    }

    /// Bytes that so many rows of a row group have in the file, on average.
    pub(super) fn compressed_bytes(&self, row_group: usize, rows: u64) -> u64 {
        let group = self.metadata().row_group(row_group);
        share(group.compressed_size(), group.num_rows()).saturating_mul(rows)
    }

    /// Bytes that a row has in a column, on average.
    pub(super) fn bytes_a_record(&self, row_group: usize, leaf: usize) -> u64 {
        let group = self.metadata().row_group(row_group);
        share(group.column(leaf).uncompressed_size(), group.num_rows())
    }

    /// The largest definition and repetition level of a column.
    pub(super) fn max_levels(&self, leaf: usize) -> (i16, i16) {
        let column = self.metadata.parquet_schema().column(leaf);
        (column.max_def_level(), column.max_rep_level())
    }

    /// The values and levels of a column in a row group, from its first row on.
    pub(super) fn column_reader(&self, row_group: usize, leaf: usize) -> Result<ColumnReader, ParquetError> {
        let metadata = self.metadata();
        let group = metadata.row_group(row_group);
        let pages = metadata.page_index_for_row_group(row_group).page_locations(leaf).cloned();
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let pages = SerializedPageReader::new(Arc::new(self.file.clone()), group.column(leaf), rows, pages)?;
        Ok(get_column_reader(self.metadata.parquet_schema().column(leaf), Box::new(FilledPages(pages))))
    }

    /// An error at a row of a row group, of the place where that is to blame.
    pub(super) fn damaged(&self, row_group: usize, row: u64, problem: String) -> CorpusError {
        let before = self.metadata().row_groups().iter().take(row_group);
        let first: u64 = before.map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum();
        let (shard, row) = (self.path.clone(), first + row);
        match self.file.take_failure() {
            Some(problem) => CorpusError::Read { shard, row, problem },
            None => CorpusError::Damaged { shard, row, byte: self.start_of(row_group), problem },
        }
    }

    pub(super) fn slices(&self) -> Slices {
        let groups = self.metadata.metadata().row_groups();
        let size = |value: i64| u64::try_from(value).unwrap_or(0);
        let row_groups =
            groups.iter().map(|group| (size(group.num_rows()), size(group.total_byte_size()))).collect();
        Slices { row_groups, row_group: 0, offset: 0 }
    }

    fn read(
        &self,
        row_group: usize,
        projection: ProjectionMask,
        selection: RowSelection,
    ) -> parquet::errors::Result<ParquetRecordBatchReader> {
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone())
            .with_row_groups(vec![row_group])
            .with_projection(projection)
            .with_row_selection(selection)
            .with_batch_size(BATCH_ROWS)
            .build()
    }

    /// Gives every batch of the selected rows to `visit`, with the number of rows before it.
    pub(super) fn each_batch(
        &self,
        slice: Slice,
        first_row: u64,
        projection: ProjectionMask,
        selection: Vec<RowSelector>,
        visit: &mut dyn FnMut(u64, &RecordBatch) -> CorpusResult<()>,
    ) -> CorpusResult<()> {
        let expected: usize = selection.iter().filter(|run| !run.skip).map(|run| run.row_count).sum();
        let damaged = |done: u64, problem: String| {
            let (shard, row) = (self.path.clone(), first_row + done);
            match self.file.take_failure() {
                Some(problem) => CorpusError::Read { shard, row, problem },
                None => CorpusError::Damaged { shard, row, byte: self.start_of(slice.row_group), problem },
            }
        };
        let mut done = 0;
        let batches = self
            .read(slice.row_group, projection, selection.into())
            .map_err(|error| damaged(done, format!("the Parquet data are damaged: {error}")))?;
        for batch in batches {
            let batch =
                batch.map_err(|error| damaged(done, format!("the Parquet data are damaged: {error}")))?;
            visit(done, &batch)?;
            done += batch.num_rows() as u64;
        }
        if done != expected as u64 {
            return Err(damaged(
                done,
                format!("row group {} has fewer rows than its header says", slice.row_group),
            ));
        }
        Ok(())
    }

    /// Where a row group starts in the file.
    fn start_of(&self, row_group: usize) -> u64 {
        let group = self.metadata.metadata().row_group(row_group);
        group.columns().iter().map(|column| column.byte_range().0).min().unwrap_or(0)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn fill(&self, slice: Slice, first_row: u64, builder: &mut Builder<'_>) -> CorpusResult<()> {
        let columns = builder.columns;
        columns.check()?;
        let paths: Vec<Vec<String>> = columns
            .names()
            .into_iter()
            .map(|name| find(self.metadata.schema(), &self.path, name))
            .collect::<Result<_, _>>()?;
        let leaves = self.metadata.parquet_schema();
        let needed = (0..leaves.num_columns()).filter(|leaf| {
            let parts = leaves.column(*leaf);
            paths.iter().any(|path| parts.path().parts().starts_with(path))
        });
        let projection = ProjectionMask::leaves(leaves, needed);
        let selection = vec![RowSelector::skip(index(slice.offset)), RowSelector::select(index(slice.rows))];
        self.each_batch(slice, first_row, projection, selection, &mut |done, batch| {
            let values = |at: usize, what| Values::of(batch, &paths[at], &self.path, what);
            let text = values(0, "a string")?;
            let (id, first_carried) = match columns.id.column() {
                None => (None, 1),
                Some(_) => (Some(values(1, AN_ID)?), 2),
            };
            let carried = (0..columns.carried().count())
                .map(|at| values(first_carried + at, "a string, a number or a boolean"))
                .collect::<CorpusResult<Vec<_>>>()?;
            for at in 0..batch.num_rows() {
                add(builder, first_row + done + at as u64, at, &text, id.as_ref(), &carried);
            }
            Ok(())
        })
    }

    pub(super) fn write_kept(
        self: &Arc<Self>,
        slice: Slice,
        first_row: u64,
        keep: &mut dyn FnMut(u64) -> bool,
        out: &mut KeptWriter,
    ) -> CorpusResult<()> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for at in (0..slice.rows).filter(|at| keep(first_row + at)) {
            let row = slice.offset + at;
            match runs.last_mut() {
                Some(run) if run.end == row => run.end += 1,
                _ => runs.push(row..row + 1),
            }
        }
        if runs.is_empty() { Ok(()) } else { out.write_rows(self, slice.row_group, runs) }
    }
}

/// A size that a header states, by row.
fn share(bytes: i64, rows: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0) / u64::try_from(rows).unwrap_or(0).max(1)
}

/// Rows of one row group fit: they were counted against a header that was read.
fn index(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

fn add(
    builder: &mut Builder<'_>,
    row: u64,
    at: usize,
    text: &Values<'_>,
    id: Option<&Values<'_>>,
    carried: &[Values<'_>],
) {
    let columns = builder.columns;
    let name = &columns.text;
    let text = match text.get(at) {
        Ok(None) => return builder.failed(row, reason::NULL_TEXT, format!("`{name}` is null"), &[], 0),
        Err(problem) => {
            return builder.failed(row, reason::INVALID_UTF8, format!("`{name}`: {problem}"), &[], 0);
        }
        Ok(Some(text)) => text,
    };
    if text.chars().all(char::is_whitespace) {
        let what = if text.is_empty() { "empty" } else { "only white space" };
        return builder.failed(row, reason::EMPTY_TEXT, format!("`{name}` is {what}"), &[], 0);
    }
    let id = match id.map(|id| id.get(at)) {
        None => None,
        Some(Ok(Some(id))) => Some(id),
        Some(Ok(None)) => return builder.failed(row, reason::MISSING_ID, "the id is null".into(), &[], 0),
        Some(Err(problem)) => {
            return builder.failed(row, reason::INVALID_UTF8, format!("the id: {problem}"), &[], 0);
        }
    };
    let mut values = Vec::with_capacity(carried.len());
    for (column, (name, no_text)) in carried.iter().zip(columns.carried()) {
        match column.get(at) {
            Ok(value) => values.push(value),
            Err(_) if no_text == NoText::IsNull => values.push(None),
            Err(problem) => {
                return builder.failed(row, reason::INVALID_UTF8, format!("`{name}`: {problem}"), &[], 0);
            }
        }
    }
    builder.document(row, id.as_deref(), text.as_bytes(), Digest::of(text.as_bytes()));
    for (at, value) in values.into_iter().enumerate() {
        builder.carry(at, value.as_deref());
    }
}
