//! Kept rows of a Parquet shard: its own columns, copied value by value with their levels.
//!
//! Nothing is turned into Arrow's types on the way: these are fewer than Parquet's, and what they have no word for (UUID, JSON,
//! ENUM, a day stored as milliseconds, a list without its group) would come out as something else. The schema of the kept file
//! is the bytes of the input's; so are its key-value pairs. Row groups, pages, encodings and statistics are our own.
//!
//! Which rows are kept is noted first, block by block; once they are worth a row group, it is written column by column, so
//! that no more than a batch of one column and what the encoder of one column holds is in memory.

use std::ops::Range;
use std::sync::Arc;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::column::writer::{ColumnWriter, ColumnWriterImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::CorpusResult;
use super::parquet_like::{Tail, finish_like, like, refused};
use super::parquet_shard::ParquetShard;
use crate::store::PendingFile;

/// A row group is closed when its rows had about so many bytes in the input.
const ROW_GROUP_BYTES: u64 = 64 << 20;

/// A row group has no more rows.
const ROW_GROUP_ROWS: u64 = 1 << 20;

/// Records and bytes that are read of a column at a time.
const BATCH_RECORDS: u64 = 1024;
const BATCH_BYTES: u64 = 4 << 20;

/// Between two kept records, so many records of so many bytes are read and thrown away rather than skipped.
const GAP_RECORDS: u64 = 16;
const GAP_BYTES: u64 = 16 << 10;

/// Values of a batch that are not larger share one buffer.
const SHARED_BYTES: usize = 64 << 10;

/// Writes kept rows of one shard.
pub(super) struct ParquetCopy {
    location: String,
    source: Arc<ParquetShard>,
    writer: SerializedFileWriter<Tail<PendingFile>>,
    picked: Vec<Picked>,
    rows: u64,
    bytes: u64,
}

/// Kept rows of one row group that are not written yet: ascending, counted within it.
struct Picked {
    file: Arc<ParquetShard>,
    row_group: usize,
    runs: Vec<Range<u64>>,
}

impl ParquetCopy {
    pub(super) fn new(source: Arc<ParquetShard>, file: PendingFile, location: &str) -> CorpusResult<Self> {
        let writer = like(&source, file, location)?;
        let location = location.to_owned();
        Ok(Self { location, source, writer, picked: Vec::new(), rows: 0, bytes: 0 })
    }

    /// Notes kept rows of a row group, which come after all that were noted before, and writes a row group when it is full.
    pub(super) fn keep(
        &mut self,
        file: &Arc<ParquetShard>,
        row_group: usize,
        runs: Vec<Range<u64>>,
    ) -> CorpusResult<()> {
        if file.digest() != self.source.digest() {
            return Err(file.damaged(row_group, 0, "the file changed while it was read".to_owned()));
        }
        let rows = runs.iter().map(|run| run.end - run.start).sum();
        if self.rows + rows > ROW_GROUP_ROWS {
            self.flush()?;
        }
        self.rows += rows;
        self.bytes = self.bytes.saturating_add(file.compressed_bytes(row_group, rows));
        match self.picked.last_mut().filter(|last| last.row_group == row_group) {
            Some(last) => last.runs.extend(runs),
            None => self.picked.push(Picked { file: Arc::clone(file), row_group, runs }),
        }
        if self.bytes >= ROW_GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> CorpusResult<()> {
        (self.rows, self.bytes) = (0, 0);
        let picked = std::mem::take(&mut self.picked);
        if picked.is_empty() {
            return Ok(());
        }
        let location = &self.location;
        let refuse = |error| refused(location, error);
        let mut group = self.writer.next_row_group().map_err(refuse)?;
        let mut leaf = 0;
        while let Some(mut column) = group.next_column().map_err(refuse)? {
            for picked in &picked {
                copy_column(picked, leaf, column.untyped(), location)?;
            }
            column.close().map_err(refuse)?;
            leaf += 1;
        }
        group.close().map_err(refuse)?;
        Ok(())
    }

    /// Writes what is left, and the footer with the input's schema.
    pub(super) fn finish(mut self) -> CorpusResult<PendingFile> {
        self.flush()?;
        finish_like(&self.source, self.writer, &self.location)
    }
}

fn copy_column(
    picked: &Picked,
    leaf: usize,
    writer: &mut ColumnWriter<'_>,
    location: &str,
) -> CorpusResult<()> {
    use {ColumnReader as R, ColumnWriter as W};
    let Picked { file, row_group, runs } = picked;
    let failed = |error| file.damaged(*row_group, runs[0].start, damage(&error));
    let reader = file.column_reader(*row_group, leaf).map_err(failed)?;
    let (max_definition, max_repetition) = file.max_levels(leaf);
    let bytes = file.bytes_a_record(*row_group, leaf).max(1);
    let copy = Copy {
        file,
        row_group: *row_group,
        runs,
        max_definition,
        max_repetition,
        batch: (BATCH_BYTES / bytes).clamp(1, BATCH_RECORDS),
        gap: (GAP_BYTES / bytes).min(GAP_RECORDS),
        location,
    };
    match (reader, writer) {
        (R::BoolColumnReader(from), W::BoolColumnWriter(to)) => copy.run(from, to),
        (R::Int32ColumnReader(from), W::Int32ColumnWriter(to)) => copy.run(from, to),
        (R::Int64ColumnReader(from), W::Int64ColumnWriter(to)) => copy.run(from, to),
        (R::Int96ColumnReader(from), W::Int96ColumnWriter(to)) => copy.run(from, to),
        (R::FloatColumnReader(from), W::FloatColumnWriter(to)) => copy.run(from, to),
        (R::DoubleColumnReader(from), W::DoubleColumnWriter(to)) => copy.run(from, to),
        (R::ByteArrayColumnReader(from), W::ByteArrayColumnWriter(to)) => copy.run(from, to),
        (R::FixedLenByteArrayColumnReader(from), W::FixedLenByteArrayColumnWriter(to)) => copy.run(from, to),
        _ => {
            let problem = "the type of a column changed while it was read".to_owned();
            Err(file.damaged(*row_group, runs[0].start, problem))
        }
    }
}

/// How the kept records of one column chunk are copied.
struct Copy<'c> {
    file: &'c ParquetShard,
    row_group: usize,
    runs: &'c [Range<u64>],
    max_definition: i16,
    max_repetition: i16,
    /// Records that are read at a time.
    batch: u64,
    /// Records between kept ones that are read too.
    gap: u64,
    location: &'c str,
}

impl Copy<'_> {
    fn run<T: DataType>(
        &self,
        mut from: ColumnReaderImpl<T>,
        to: &mut ColumnWriterImpl<'_, T>,
    ) -> CorpusResult<()>
    where
        T::T: Detach,
    {
        let (has_definition, has_repetition) = (self.max_definition > 0, self.max_repetition > 0);
        let mut batch = Batch { values: Vec::new(), definition: Vec::new(), repetition: Vec::new() };
        let mut at = 0;
        let mut runs = self.runs.iter().cloned();
        let mut next = runs.next();
        let mut kept: Vec<Range<u64>> = Vec::new();
        while let Some(run) = next.take() {
            let damaged = |problem| self.file.damaged(self.row_group, run.start, problem);
            // As many kept records as are close together.
            kept.clear();
            let start = run.start;
            let mut end = run.end.min(start + self.batch);
            kept.push(start..end);
            next = if end < run.end { Some(end..run.end) } else { runs.next() };
            while let Some(near) = next.clone().filter(|near| {
                near.start - end <= self.gap && near.end - start <= self.batch && near.start > end
            }) {
                end = near.end;
                kept.push(near);
                next = runs.next();
            }
            let skipped = from.skip_records(index(start - at)).map_err(|error| damaged(damage(&error)))?;
            batch.clear();
            let (records, ..) = from
                .read_records(
                    index(end - start),
                    has_definition.then_some(&mut batch.definition),
                    has_repetition.then_some(&mut batch.repetition),
                    &mut batch.values,
                )
                .map_err(|error| damaged(damage(&error)))?;
            let short =
                || damaged(format!("row group {} has fewer rows than its header says", self.row_group));
            if skipped as u64 != start - at || records as u64 != end - start {
                return Err(short());
            }
            at = end;
            if kept.len() > 1 {
                batch.retain(start, &kept, self.max_definition).ok_or_else(short)?;
            }
            T::T::detach(&mut batch.values);
            let definition = has_definition.then_some(batch.definition.as_slice());
            let repetition = has_repetition.then_some(batch.repetition.as_slice());
            to.write_batch(&batch.values, definition, repetition)
                .map_err(|error| refused(self.location, error))?;
        }
        Ok(())
    }
}

/// Records of a column: its values that are not null, and the levels of all.
struct Batch<V> {
    values: Vec<V>,
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

impl<V> Batch<V> {
    fn clear(&mut self) {
        self.values.clear();
        self.definition.clear();
        self.repetition.clear();
    }

    /// Leaves the kept records of those from `start` on. `None` where levels and values do not go together.
    fn retain(&mut self, start: u64, kept: &[Range<u64>], max_definition: i16) -> Option<()> {
        let end = kept.last()?.end;
        let mut keep = vec![false; index(end - start)];
        for run in kept {
            keep.get_mut(index(run.start - start)..index(run.end - start))?.fill(true);
        }
        if max_definition == 0 {
            return retain(&mut self.values, &keep);
        }
        let (mut levels, mut values) = (Vec::with_capacity(self.definition.len()), Vec::new());
        let mut record: Option<usize> = None;
        for (at, level) in self.definition.iter().enumerate() {
            if self.repetition.get(at).is_none_or(|level| *level == 0) {
                record = Some(record.map_or(0, |record| record + 1));
            }
            let keeps = *keep.get(record?)?;
            levels.push(keeps);
            if *level == max_definition {
                values.push(keeps);
            }
        }
        retain(&mut self.values, &values)?;
        retain(&mut self.definition, &levels)?;
        if self.repetition.is_empty() { Some(()) } else { retain(&mut self.repetition, &levels) }
    }
}

fn retain<V>(values: &mut Vec<V>, keep: &[bool]) -> Option<()> {
    if values.len() != keep.len() {
        return None;
    }
    let mut keep = keep.iter();
    values.retain(|_| keep.next().is_some_and(|keep| *keep));
    Some(())
}

/// Values that lie in a page that was read. An encoder holds some of them (a dictionary's, the smallest, the largest): they
/// are moved into buffers of their own, or each would hold its whole page.
trait Detach: Sized {
    fn detach(_values: &mut [Self]) {}
}

impl Detach for bool {}
impl Detach for i32 {}
impl Detach for i64 {}
impl Detach for Int96 {}
impl Detach for f32 {}
impl Detach for f64 {}

impl Detach for ByteArray {
    fn detach(values: &mut [Self]) {
        let total: usize = values.iter().map(ByteArray::len).sum();
        if total > SHARED_BYTES {
            values.iter_mut().for_each(|value| *value = ByteArray::from(value.data().to_vec()));
            return;
        }
        let mut shared = Vec::with_capacity(total);
        values.iter().for_each(|value| shared.extend_from_slice(value.data()));
        let shared = bytes::Bytes::from(shared);
        let mut at = 0;
        for value in values {
            let end = at + value.len();
            *value = ByteArray::from(shared.slice(at..end));
            at = end;
        }
    }
}

impl Detach for FixedLenByteArray {
    fn detach(values: &mut [Self]) {
        let mut bytes: Vec<ByteArray> = values.iter().map(|value| ByteArray::clone(value)).collect();
        ByteArray::detach(&mut bytes);
        values.iter_mut().zip(bytes).for_each(|(value, bytes)| *value = bytes.into());
    }
}

/// Rows of one row group fit: they were counted against a header that was read.
fn index(records: u64) -> usize {
    usize::try_from(records).unwrap_or(usize::MAX)
}

fn damage(error: &ParquetError) -> String {
    format!("the Parquet data are damaged: {error}")
}
