//! Rows of Parquet on their way from many shards into one file, in any order: all columns, value by value with their levels, as kept
//! rows are copied within a shard, and for the same reason: Arrow has fewer types than Parquet.
//!
//! A record is one row: the length of each leaf column's part (u32, little-endian), then the parts. A part is the number of levels
//! (u32), definition levels and repetition levels (u16 each) where the column has any, then the values that are not null.
//! It lives no longer than the process and is no format of any file.

use std::sync::Arc;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::column::writer::{ColumnWriter, ColumnWriterImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::parquet_like::{Tail, finish_like, like, refused};
use super::parquet_shard::{ParquetShard, Slice};
use super::{CorpusError, CorpusResult};
use crate::export::{Hashed, Written};
use crate::store::{Created, Store};

/// A row group is closed when its records have so many bytes, or are so many.
const ROW_GROUP_BYTES: usize = 32 << 20;
const ROW_GROUP_ROWS: usize = 1 << 20;

/// Bytes of values that are given to the encoder at a time.
const BATCH_BYTES: usize = 4 << 20;

const LENGTH: usize = size_of::<u32>();

/// A value of a column as bytes.
trait Plain: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(bytes: &mut &[u8]) -> Self;
}

fn split<'b>(bytes: &mut &'b [u8], at: usize) -> &'b [u8] {
    let (first, rest) = bytes.split_at(at);
    *bytes = rest;
    first
}

macro_rules! plain_number {
    ($($type:ty),*) => {
        $(impl Plain for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(bytes: &mut &[u8]) -> Self {
                Self::from_le_bytes(split(bytes, size_of::<Self>()).try_into().expect("its own bytes"))
            }
        })*
    };
}

plain_number!(u16, u32, i32, i64, f32, f64);

impl Plain for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(bytes: &mut &[u8]) -> Self {
        split(bytes, 1)[0] != 0
    }
}

impl Plain for Int96 {
    fn put(&self, out: &mut Vec<u8>) {
        self.data().iter().for_each(|part| part.put(out));
    }

    fn take(bytes: &mut &[u8]) -> Self {
        let mut number = Self::new();
        let [first, second, third] = std::array::from_fn(|_| u32::take(bytes));
        number.set_data(first, second, third);
        number
    }
}

impl Plain for ByteArray {
    fn put(&self, out: &mut Vec<u8>) {
        // A value of more than 4 GiB has no place in Parquet.
        (self.len() as u32).put(out);
        out.extend_from_slice(self.data());
    }

    fn take(bytes: &mut &[u8]) -> Self {
        let length = u32::take(bytes) as usize;
        Self::from(split(bytes, length).to_vec())
    }
}

impl Plain for FixedLenByteArray {
    fn put(&self, out: &mut Vec<u8>) {
        ByteArray::put(self, out);
    }

    fn take(bytes: &mut &[u8]) -> Self {
        ByteArray::take(bytes).into()
    }
}

impl ParquetShard {
    /// Refuses a shard whose rows cannot stand in a file that is like another.
    pub(super) fn check_like(&self, first: &Self) -> CorpusResult<()> {
        let leaves = |shard: &Self| {
            let columns = shard.metadata().file_metadata().schema_descr().columns().to_vec();
            let what = columns.into_iter().map(|leaf| {
                let levels = (leaf.max_def_level(), leaf.max_rep_level());
                let kind = (leaf.physical_type(), leaf.logical_type_ref().cloned(), leaf.converted_type());
                let length = leaf.self_type_ptr().get_physical_type();
                (leaf.path().string(), levels, kind, length, leaf.type_length())
            });
            what.collect::<Vec<_>>()
        };
        let (ours, theirs) = (leaves(self), leaves(first));
        let differs = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
        let column = match (differs, ours.len() == theirs.len()) {
            (None, true) => return Ok(()),
            (Some((ours, _)), _) => ours.0.clone(),
            (None, false) => "the last".to_owned(),
        };
        Err(CorpusError::Unsupported {
            shard: self.path().to_owned(),
            part: format!("column `{column}`"),
            problem: format!(
                "it stands elsewhere, or has another type or nullability, than in `{}`, and one file cannot hold both",
                first.path()
            ),
            remedy: "export as jsonl.zst, or write the shards with one schema",
        })
    }

    /// See [`super::Block::records`].
    pub(super) fn records(&self, slice: Slice, first_row: u64, rows: &[u64]) -> CorpusResult<Vec<Vec<u8>>> {
        let leaves = self.metadata().file_metadata().schema_descr().num_columns();
        let mut records = vec![vec![0; leaves * LENGTH]; rows.len()];
        let inside = |row: &u64| (first_row..first_row + slice.rows).contains(row);
        if let Some(row) = rows.iter().find(|row| !inside(row)) {
            let problem = format!("there is no row {row} here");
            return Err(CorpusError::Damaged { shard: self.path().to_owned(), row: *row, byte: 0, problem });
        }
        for leaf in 0..leaves {
            let failed = |error: ParquetError| {
                self.damaged(slice.row_group, slice.offset, format!("the Parquet data are damaged: {error}"))
            };
            let reader = self.column_reader(slice.row_group, leaf).map_err(failed)?;
            let column = Column { shard: self, slice, first_row, rows, leaf };
            use ColumnReader as R;
            match reader {
                R::BoolColumnReader(from) => column.read(from, &mut records),
                R::Int32ColumnReader(from) => column.read(from, &mut records),
                R::Int64ColumnReader(from) => column.read(from, &mut records),
                R::Int96ColumnReader(from) => column.read(from, &mut records),
                R::FloatColumnReader(from) => column.read(from, &mut records),
                R::DoubleColumnReader(from) => column.read(from, &mut records),
                R::ByteArrayColumnReader(from) => column.read(from, &mut records),
                R::FixedLenByteArrayColumnReader(from) => column.read(from, &mut records),
            }?;
        }
        Ok(records)
    }
}

/// A leaf column of which some rows are read.
struct Column<'c> {
    shard: &'c ParquetShard,
    slice: Slice,
    first_row: u64,
    rows: &'c [u64],
    leaf: usize,
}

impl Column<'_> {
    fn read<T: DataType>(&self, mut from: ColumnReaderImpl<T>, records: &mut [Vec<u8>]) -> CorpusResult<()>
    where
        T::T: Plain,
    {
        let (max_definition, max_repetition) = self.shard.max_levels(self.leaf);
        let (mut values, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        for (row, record) in self.rows.iter().zip(records) {
            let within = self.slice.offset + (row - self.first_row);
            let damaged = |problem: String| {
                self.shard.damaged(
                    self.slice.row_group,
                    within,
                    format!("the Parquet data are damaged: {problem}"),
                )
            };
            values.clear();
            definition.clear();
            repetition.clear();
            let index = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
            let skipped =
                from.skip_records(index(within - at)).map_err(|error| damaged(error.to_string()))?;
            let (read, ..) = from
                .read_records(
                    1,
                    (max_definition > 0).then_some(&mut definition),
                    (max_repetition > 0).then_some(&mut repetition),
                    &mut values,
                )
                .map_err(|error| damaged(error.to_string()))?;
            if skipped as u64 != within - at || read != 1 {
                return Err(damaged("a row group has fewer rows than its header says".to_owned()));
            }
            at = within + 1;
            let start = record.len();
            let levels = if max_definition > 0 { definition.len() } else { values.len() };
            (levels as u32).put(record);
            definition.iter().chain(&repetition).for_each(|level| (*level as u16).put(record));
            values.iter().for_each(|value: &T::T| value.put(record));
            let length = ((record.len() - start) as u32).to_le_bytes();
            record[self.leaf * LENGTH..][..LENGTH].copy_from_slice(&length);
        }
        Ok(())
    }
}

/// A Parquet file of rows from any shards.
pub struct RecordsFile {
    location: String,
    source: Arc<ParquetShard>,
    writer: SerializedFileWriter<Tail<Hashed>>,
    records: Vec<Vec<u8>>,
    bytes: usize,
}

impl std::fmt::Debug for RecordsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordsFile").field("location", &self.location).finish_non_exhaustive()
    }
}

impl RecordsFile {
    pub(super) fn create(source: Arc<ParquetShard>, out: &Store, path: &str) -> CorpusResult<Self> {
        let location = out.location(path);
        let writer = like(&source, Hashed::create(out, path)?, &location)?;
        Ok(Self { location, source, writer, records: Vec::new(), bytes: 0 })
    }

    /// Adds a row of [`super::Block::records`], of this corpus.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn write(&mut self, record: &[u8]) -> CorpusResult<()> {
        self.bytes += record.len();
        self.records.push(record.to_vec());
        if self.bytes >= ROW_GROUP_BYTES || self.records.len() == ROW_GROUP_ROWS {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> CorpusResult<()> {
        let refuse = |error| refused(&self.location, error);
        let records = std::mem::take(&mut self.records);
        self.bytes = 0;
        let leaves = self.source.metadata().file_metadata().schema_descr().num_columns();
        let length = |record: &[u8], leaf: usize| u32::take(&mut &record[leaf * LENGTH..]) as usize;
        let mut at: Vec<usize> = vec![leaves * LENGTH; records.len()];
        let mut group = self.writer.next_row_group().map_err(refuse)?;
        let mut leaf = 0;
        while let Some(mut column) = group.next_column().map_err(refuse)? {
            let parts = records.iter().zip(&mut at).map(|(record, at)| {
                let start = *at;
                *at += length(record, leaf);
                &record[start..*at]
            });
            let levels = self.source.max_levels(leaf);
            use ColumnWriter as W;
            match column.untyped() {
                W::BoolColumnWriter(to) => write(parts, levels, to),
                W::Int32ColumnWriter(to) => write(parts, levels, to),
                W::Int64ColumnWriter(to) => write(parts, levels, to),
                W::Int96ColumnWriter(to) => write(parts, levels, to),
                W::FloatColumnWriter(to) => write(parts, levels, to),
                W::DoubleColumnWriter(to) => write(parts, levels, to),
                W::ByteArrayColumnWriter(to) => write(parts, levels, to),
                W::FixedLenByteArrayColumnWriter(to) => write(parts, levels, to),
            }
            .map_err(refuse)?;
            column.close().map_err(refuse)?;
            leaf += 1;
        }
        group.close().map_err(refuse)?;
        Ok(())
    }

    /// Makes the file visible unless the name was taken.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn commit(mut self) -> CorpusResult<(Created, Written)> {
        if !self.records.is_empty() {
            self.flush()?;
        }
        Ok(finish_like(&self.source, self.writer, &self.location)?.commit()?)
    }
}

fn write<'p, T: DataType>(
    parts: impl Iterator<Item = &'p [u8]>,
    (max_definition, max_repetition): (i16, i16),
    to: &mut ColumnWriterImpl<'_, T>,
) -> Result<(), ParquetError>
where
    T::T: Plain,
{
    let (mut values, mut definition, mut repetition): (Vec<T::T>, Vec<i16>, Vec<i16>) =
        (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    let mut parts = parts.peekable();
    while let Some(mut part) = parts.next() {
        bytes += part.len();
        let levels = u32::take(&mut part) as usize;
        let mut count = levels;
        if max_definition > 0 {
            let own = (0..levels).map(|_| u16::take(&mut part) as i16);
            let start = definition.len();
            definition.extend(own);
            count = definition[start..].iter().filter(|level| **level == max_definition).count();
        }
        if max_repetition > 0 {
            repetition.extend((0..levels).map(|_| u16::take(&mut part) as i16));
        }
        values.extend((0..count).map(|_| T::T::take(&mut part)));
        if bytes >= BATCH_BYTES || parts.peek().is_none() {
            let definition_levels = (max_definition > 0).then_some(definition.as_slice());
            let repetition_levels = (max_repetition > 0).then_some(repetition.as_slice());
            to.write_batch(&values, definition_levels, repetition_levels)?;
            values.clear();
            definition.clear();
            repetition.clear();
            bytes = 0;
        }
    }
    Ok(())
}
