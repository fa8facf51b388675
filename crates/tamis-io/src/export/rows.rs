//! Rows in a Parquet file that any reader of Parquet takes.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{Hashed, Written};
use crate::corpus::{CorpusError, CorpusResult};
use crate::store::{Created, Store, StoreError};

const ZSTD_LEVEL: i32 = 3;

/// A row group is closed when its rows have so many bytes in memory, or are so many.
const ROW_GROUP_BYTES: usize = 32 << 20;
const ROW_GROUP_ROWS: usize = 1 << 20;

/// A Parquet file: zstd, row groups of about 32 MiB, neither time nor version in it.
pub struct RowsFile {
    location: String,
    writer: ArrowWriter<Hashed>,
    bytes: usize,
    rows: usize,
}

impl std::fmt::Debug for RowsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowsFile").field("location", &self.location).finish_non_exhaustive()
    }
}

impl RowsFile {
    /// Starts a file.
    ///
    /// # Errors
    /// A place that cannot be written, or a type that Parquet has not.
    pub fn create(store: &Store, path: &str, schema: &SchemaRef) -> CorpusResult<Self> {
        let location = store.location(path);
        let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("3 is a level of zstd");
        let mut properties = WriterProperties::builder()
            .set_created_by("tamis".to_owned())
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(None)
            .set_max_row_group_bytes(None)
            .set_statistics_enabled(EnabledStatistics::Chunk);
        for field in schema.fields().iter().filter(|field| !field.is_nullable()) {
            // Ids and texts hardly repeat: a dictionary would be built and thrown away, and bounds of texts tell nothing.
            if *field.data_type() == DataType::Utf8 {
                let path = ColumnPath::from(field.name().as_str());
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_statistics_enabled(path, EnabledStatistics::None);
            }
        }
        let file = Hashed::create(store, path)?;
        let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties.build()))
            .map_err(|error| refused(&location, error))?;
        Ok(Self { location, writer, bytes: 0, rows: 0 })
    }

    /// Adds rows. Where a row group ends depends on the rows of each batch, so that the same batches give the same bytes.
    ///
    /// # Errors
    /// A place that cannot be written, or a batch of another schema (a caller's bug).
    pub fn write(&mut self, batch: &RecordBatch) -> CorpusResult<()> {
        let refuse = |error| refused(&self.location, error);
        self.writer.write(batch).map_err(refuse)?;
        self.rows += batch.num_rows();
        self.bytes += batch.columns().iter().map(|column| sliced_bytes(column)).sum::<usize>();
        if self.bytes >= ROW_GROUP_BYTES || self.rows >= ROW_GROUP_ROWS {
            self.writer.flush().map_err(refuse)?;
            (self.bytes, self.rows) = (0, 0);
        }
        Ok(())
    }

    /// Makes the file visible unless the name was taken.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn commit(self) -> CorpusResult<(Created, Written)> {
        let location = self.location;
        let file = self.writer.into_inner().map_err(|error| refused(&location, error))?;
        Ok(file.commit()?)
    }
}

/// Bytes of the values of an array, whatever else its buffers hold.
fn sliced_bytes(array: &dyn Array) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or(0)
}

fn refused(location: &str, error: ParquetError) -> CorpusError {
    match StoreError::written_parquet(location, error) {
        Ok(error) => error.into(),
        Err(error) => CorpusError::Write { location: location.to_owned(), problem: error.to_string() },
    }
}
