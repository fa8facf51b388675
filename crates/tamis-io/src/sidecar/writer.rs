//! Writes sidecars: same rows, same bytes.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::coalesce::BatchCoalescer;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use tamis_core::{Digest, column};

use super::digest::{RowDigest, type_from_name, type_name};
use super::footer;
use crate::run::{FORMAT_VERSION, RunError, RunResult};
use crate::store::{Created, PendingFile, Store, StoreError};

/// What a finished sidecar holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SidecarSummary {
    /// Number of rows.
    pub rows: u64,
    /// Digest of the rows.
    pub digest: Digest,
}

/// Rows of one row group: 65,536, or the power of two (1,024 at least) that keeps a group under 16 MiB for wide rows.
///
/// It depends on the schema alone, since it decides the bytes of the file.
#[must_use]
pub fn rows_per_group(schema: &Schema) -> usize {
    const TARGET_BYTES: usize = 16 << 20;
    const MOST: usize = 65_536;
    const LEAST: usize = 1024;
    let width: usize = schema.fields().iter().map(|field| width(field.data_type())).sum();
    let fits = TARGET_BYTES / width.max(1);
    // The largest power of two that is not above `fits`.
    let power = if fits == 0 { 1 } else { 1 << fits.ilog2() };
    power.clamp(LEAST, MOST)
}

/// Bytes of one value, roughly; what has no fixed size counts as 32.
fn width(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeBinary(size) => usize::try_from(*size).unwrap_or(0),
        DataType::FixedSizeList(item, size) => {
            width(item.data_type()).saturating_mul(usize::try_from(*size).unwrap_or(0))
        }
        other => other.primitive_width().unwrap_or(32),
    }
}

/// Streams rows into a sidecar; dropped without [`SidecarWriter::commit`], nothing becomes visible.
///
/// Memory: at most two row groups (see [`rows_per_group`]). The file is opened when the first group is complete, so that
/// writers may be made for many shards at once.
pub struct SidecarWriter {
    path: String,
    store: Store,
    inner: Option<ArrowWriter<PendingFile>>,
    coalescer: BatchCoalescer,
    digest: RowDigest,
    schema: SchemaRef,
    rows: u64,
}

impl SidecarWriter {
    /// Begins a file at `path`. Metadata of the schema and its fields is left out, since its order could vary.
    ///
    /// # Errors
    /// A column of a type that sidecars cannot hold. The store is asked only when there is something to write.
    pub fn create(store: &Store, path: &str, schema: &Schema) -> RunResult<Self> {
        let schema: SchemaRef = Arc::new(bare(schema));
        for field in schema.fields() {
            if type_from_name(&type_name(field.data_type())).is_none() {
                let problem =
                    format!("column `{}`: type {} cannot be stored", field.name(), field.data_type());
                return Err(RunError::write(path, problem));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            store: store.clone(),
            inner: None,
            coalescer: BatchCoalescer::new(Arc::clone(&schema), rows_per_group(&schema)),
            digest: RowDigest::new(&schema),
            schema,
            rows: 0,
        })
    }

    /// Adds rows; columns must be those of the schema, in its order.
    ///
    /// # Errors
    /// A batch of another schema (a caller's bug), or a store that refuses.
    pub fn write(&mut self, batch: &RecordBatch) -> RunResult<()> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec())?;
        self.digest.update(&batch)?;
        self.rows += batch.num_rows() as u64;
        self.coalescer.push_batch(batch)?;
        self.drain()
    }

    fn drain(&mut self) -> RunResult<()> {
        while let Some(group) = self.coalescer.next_completed_batch() {
            let inner = self.opened()?;
            let written = inner.write(&group).and_then(|()| inner.flush());
            written.map_err(|error| refused(&self.store, &self.path, error))?;
        }
        Ok(())
    }

    fn opened(&mut self) -> RunResult<&mut ArrowWriter<PendingFile>> {
        match &mut self.inner {
            Some(inner) => Ok(inner),
            empty => {
                let file = self.store.writer(&self.path)?;
                let properties = properties(&self.schema);
                let inner = ArrowWriter::try_new(file, Arc::clone(&self.schema), Some(properties))
                    .map_err(|error| refused(&self.store, &self.path, error))?;
                Ok(empty.insert(inner))
            }
        }
    }

    /// Number of rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Makes the file visible unless one is there already; [`Created::Existed`] leaves that one as it is.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn commit(mut self) -> RunResult<(Created, SidecarSummary)> {
        self.coalescer.finish_buffered_batch()?;
        self.drain()?;
        self.opened()?;
        let summary = SidecarSummary { rows: self.rows, digest: self.digest.finish() };
        let mut inner = self.inner.take().expect("it was just opened");
        for (key, value) in [
            (footer::FORMAT_VERSION, FORMAT_VERSION.to_string()),
            (footer::ROW_DIGEST, summary.digest.to_string()),
        ] {
            inner.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let file = inner.into_inner().map_err(|error| refused(&self.store, &self.path, error))?;
        Ok((file.commit()?, summary))
    }
}

/// What the store said where it is inside, else that Parquet could not be written.
fn refused(store: &Store, path: &str, error: ParquetError) -> RunError {
    match StoreError::written_parquet(store.location(path), error) {
        Ok(error) => error.into(),
        Err(error) => RunError::write(path, error),
    }
}

/// The schema without any metadata.
fn bare(schema: &Schema) -> Schema {
    fn field(from: &Field) -> Field {
        let data_type = match from.data_type() {
            DataType::List(item) => DataType::List(Arc::new(field(item))),
            DataType::LargeList(item) => DataType::LargeList(Arc::new(field(item))),
            DataType::FixedSizeList(item, size) => DataType::FixedSizeList(Arc::new(field(item)), *size),
            other => other.clone(),
        };
        Field::new(from.name(), data_type, from.is_nullable())
    }
    Schema::new(schema.fields().iter().map(|from| field(from)).collect::<Vec<_>>())
}

/// Everything that decides the bytes of a file, beside its rows.
fn properties(schema: &Schema) -> WriterProperties {
    let level = ZstdLevel::try_new(3).expect("3 is a level of zstd");
    let mut builder = WriterProperties::builder()
        .set_created_by("tamis".to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(rows_per_group(schema)))
        .set_max_row_group_bytes(None)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for field in schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        if field.name() == column::ROW {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        } else if !matches!(field.data_type(), DataType::Utf8 | DataType::Boolean) {
            // Keys, digests and scores hardly repeat; a dictionary would be built and thrown away.
            let leaf = match field.data_type() {
                DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                    ColumnPath::new(vec![field.name().clone(), "list".to_owned(), item.name().clone()])
                }
                _ => path,
            };
            builder = builder.set_column_dictionary_enabled(leaf.clone(), false);
            if matches!(field.data_type(), DataType::FixedSizeList(..) | DataType::FixedSizeBinary(_)) {
                // Embeddings are noise to a compressor: a tenth smaller for several times the time. So are keys and digests.
                builder = builder.set_column_compression(leaf, Compression::UNCOMPRESSED);
            }
        }
    }
    builder.build()
}
