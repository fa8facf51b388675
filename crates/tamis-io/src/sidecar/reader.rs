//! Reads sidecars, a row group at a time, only the columns that are asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;
use tamis_core::Digest;

use super::digest::RowDigest;
use super::footer;
use super::writer::{SidecarSummary, rows_per_group};
use crate::run::{FORMAT_VERSION, RunError, RunResult};
use crate::store::{ChunkFile, Store, StoreError};

/// Which columns of a sidecar are read.
#[derive(Clone, Copy, Debug)]
pub enum Columns<'a> {
    /// All of them.
    All,
    /// These, in the order of the file.
    Named(&'a [&'a str]),
}

/// An iterator over the batches of a sidecar, in row order; a batch is one row group at most.
///
/// Stops after the first error.
#[derive(Debug)]
pub struct SidecarReader {
    path: String,
    schema: SchemaRef,
    rows: u64,
    digest: Digest,
    inner: Option<ParquetRecordBatchReader>,
    /// Where the bytes come from, unless they are at hand.
    file: Option<ChunkFile>,
}

impl SidecarReader {
    /// Opens a sidecar and reads its footer.
    ///
    /// # Errors
    /// [`RunError::Missing`]; [`RunError::Newer`]; [`RunError::Corrupt`] for anything that is no sidecar, or that lacks a
    /// column that was named. Whatever the bytes are, there is no panic.
    pub fn open(store: &Store, path: &str, columns: Columns<'_>) -> RunResult<Self> {
        match store.chunk_reader(path) {
            Ok(file) => match Self::from_chunks(path, file.clone(), columns) {
                Ok(reader) => Ok(Self { file: Some(file), ..reader }),
                Err(error) => Err(blame(path, Some(&file), error)),
            },
            Err(StoreError::NotFound { .. }) => {
                Err(RunError::Missing { path: path.to_owned(), what: "the sidecar".to_owned() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a sidecar whose bytes are at hand; `path` is for messages.
    pub(crate) fn from_chunks<R: ChunkReader + 'static>(
        path: &str,
        chunks: R,
        columns: Columns<'_>,
    ) -> RunResult<Self> {
        let builder = guarded(path, || ParquetRecordBatchReaderBuilder::try_new(chunks))?;
        let metadata = builder.metadata().file_metadata();
        let value = |key: &str| {
            let pairs = metadata.key_value_metadata()?;
            pairs.iter().find(|pair| pair.key == key)?.value.clone()
        };
        let version =
            value(footer::FORMAT_VERSION).and_then(|text| text.parse::<u64>().ok()).ok_or_else(|| {
                RunError::corrupt(path, "parquet, but no file of tamis: it states no format version")
            })?;
        if version > FORMAT_VERSION {
            return Err(RunError::Newer { path: path.to_owned(), found: version, known: FORMAT_VERSION });
        }
        let digest = value(footer::ROW_DIGEST)
            .and_then(|text| u128::from_str_radix(&text, 16).ok())
            .map(Digest::from_u128)
            .ok_or_else(|| RunError::corrupt(path, "the footer holds no digest of the rows"))?;
        let rows = u64::try_from(metadata.num_rows())
            .map_err(|_| RunError::corrupt(path, "the footer states a negative number of rows"))?;
        let full = SchemaRef::clone(builder.schema());
        let batch_size = rows_per_group(&full).min(usize::try_from(rows).unwrap_or(usize::MAX)).max(1);
        let mask = mask(path, &full, builder.parquet_schema(), columns)?;
        let inner = guarded(path, || builder.with_projection(mask).with_batch_size(batch_size).build())?;
        let schema = SchemaRef::clone(&arrow_array::RecordBatchReader::schema(&inner));
        Ok(Self { path: path.to_owned(), schema, rows, digest, inner: Some(inner), file: None })
    }

    /// Path within the store.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The columns that batches will have.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Number of rows that the footer states.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Digest of all rows and columns that the footer states; [`SidecarReader::verify`] checks it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Compares what the footer states with what a receipt states.
    pub(crate) fn expect(&self, rows: u64, digest: &str) -> RunResult<()> {
        if self.rows != rows {
            let problem = format!("its receipt says {rows} rows, the file has {}", self.rows);
            return Err(RunError::corrupt(&self.path, problem));
        }
        if self.digest.to_string() != digest {
            let problem = format!("its receipt says digest {digest}, the file {}", self.digest);
            return Err(RunError::corrupt(&self.path, problem));
        }
        Ok(())
    }

    /// Reads everything and compares rows and digest with what the footer states.
    ///
    /// # Errors
    /// [`RunError::Corrupt`] when they differ or something cannot be read.
    pub fn verify(store: &Store, path: &str) -> RunResult<SidecarSummary> {
        let reader = Self::open(store, path, Columns::All)?;
        let (stated_rows, stated_digest) = (reader.rows, reader.digest);
        let mut digest = RowDigest::new(&reader.schema);
        let mut rows = 0;
        for batch in reader {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            digest.update(&batch)?;
        }
        let digest = digest.finish();
        if rows != stated_rows {
            return Err(RunError::corrupt(path, format!("expected {stated_rows} rows, got {rows}")));
        }
        if digest != stated_digest {
            return Err(RunError::corrupt(
                path,
                format!("rows are damaged: expected digest {stated_digest}, got {digest}"),
            ));
        }
        Ok(SidecarSummary { rows, digest })
    }
}

impl Iterator for SidecarReader {
    type Item = RunResult<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut inner = self.inner.take()?;
        let path = self.path.as_str();
        match guarded(path, || inner.next().transpose()) {
            Ok(Some(batch)) => {
                self.inner = Some(inner);
                Some(Ok(batch))
            }
            Ok(None) => None,
            Err(error) => Some(Err(blame(path, self.file.as_ref(), error))),
        }
    }
}

/// What the decoder took for damage is none when the place did not give the bytes.
fn blame(path: &str, file: Option<&ChunkFile>, error: RunError) -> RunError {
    match file.and_then(ChunkFile::take_failure) {
        Some(problem) => RunError::Read { path: path.to_owned(), problem },
        None => error,
    }
}

/// Runs a step of the parquet decoder; its errors, and its panics on hostile bytes, become [`RunError::Corrupt`].
fn guarded<T, E: std::fmt::Display>(path: &str, step: impl FnOnce() -> Result<T, E>) -> RunResult<T> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(RunError::corrupt(path, format!("cannot be read as parquet: {error}"))),
        Err(_) => Err(RunError::corrupt(path, "cannot be read as parquet: the decoder gave up")),
    }
}

fn mask(
    path: &str,
    schema: &Schema,
    parquet: &parquet::schema::types::SchemaDescriptor,
    columns: Columns<'_>,
) -> RunResult<ProjectionMask> {
    let Columns::Named(names) = columns else { return Ok(ProjectionMask::all()) };
    let mut roots = Vec::with_capacity(names.len());
    for name in names {
        let root = schema.fields().iter().position(|field| field.name() == name).ok_or_else(|| {
            let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let meant = tamis_core::nearest(name, known.iter().copied());
            let meant = meant.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default();
            RunError::corrupt(path, format!("has no column `{name}`{meant}; columns: {}", known.join(", ")))
        })?;
        roots.push(root);
    }
    Ok(ProjectionMask::roots(parquet, roots))
}
