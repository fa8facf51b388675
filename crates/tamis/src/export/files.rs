//! The files of one piece while they are written.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use tamis_io::corpus::RecordsFile;
use tamis_io::export::{LinesFile, RowsFile, TokenWidth, TokensFile, Written};
use tamis_io::store::{Created, Store};

use super::content::take;
use crate::Result;

/// Rows, and bytes of them, that become a batch of a Parquet file together.
const BATCH_ROWS: usize = 1024;
const BATCH_BYTES: usize = 4 << 20;

/// Files of a piece that are being written.
pub(super) enum OpenFile {
    Lines(Box<LinesFile>),
    Texts(Box<TextRows>),
    Rows(Box<RecordsFile>),
    Tokens(Box<TokensFile>, TokenWidth),
}

impl OpenFile {
    /// Adds a document of a shard and row.
    pub(super) fn write(&mut self, body: &[u8], size: u64, shard: &str, row: u64) -> Result<()> {
        match self {
            Self::Lines(file) => Ok(file.write(body)?),
            Self::Texts(file) => file.write(body),
            Self::Rows(file) => Ok(file.write(body)?),
            Self::Tokens(file, width) => {
                let (numbers, mut id) = body.split_at(size as usize * width.bytes());
                Ok(file.write(numbers, take(&mut id), shard, row)?)
            }
        }
    }

    pub(super) fn commit(self) -> Result<Vec<(Created, Written)>> {
        Ok(match self {
            Self::Lines(file) => vec![file.commit()?],
            Self::Texts(file) => vec![file.commit()?],
            Self::Rows(file) => vec![file.commit()?],
            Self::Tokens(file, _) => file.commit()?.to_vec(),
        })
    }
}

/// A Parquet file of texts, batch by batch.
pub(super) struct TextRows {
    file: RowsFile,
    schema: SchemaRef,
    columns: Vec<StringBuilder>,
    rows: usize,
    bytes: usize,
}

impl TextRows {
    pub(super) fn create(out: &Store, path: &str, schema: &SchemaRef) -> Result<Self> {
        let columns = schema.fields().iter().map(|_| StringBuilder::new()).collect();
        let file = RowsFile::create(out, path, schema)?;
        Ok(Self { file, schema: Arc::clone(schema), columns, rows: 0, bytes: 0 })
    }

    fn write(&mut self, mut body: &[u8]) -> Result<()> {
        self.bytes += body.len();
        for column in &mut self.columns {
            column.append_option(take(&mut body));
        }
        self.rows += 1;
        if self.rows == BATCH_ROWS || self.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let values =
            self.columns.iter_mut().map(|column| Arc::<StringArray>::new(column.finish()) as ArrayRef);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), values.collect())
            .map_err(tamis_core::Error::from)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(self.file.write(&batch)?)
    }

    fn commit(mut self) -> Result<(Created, Written)> {
        if self.rows > 0 {
            self.flush()?;
        }
        Ok(self.file.commit()?)
    }
}
