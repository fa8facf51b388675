//! Documents and failed rows of one block, and the builder that both formats fill.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use tamis_core::{Digest, DocKey, DocumentBatch, column};

use super::{Columns, CorpusResult};

/// Bytes of a failed row that are kept for the quarantine.
pub const RAW_LIMIT: usize = 2048;

/// A row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRow {
    /// 0-based physical row within the shard.
    pub row: u64,
    /// One of [`tamis_core::reason`].
    pub reason: &'static str,
    /// What exactly is wrong, and at which byte of the line (1-based) where that is known.
    pub detail: String,
    /// The line without its ending, cut to [`RAW_LIMIT`] bytes; empty for a Parquet row.
    pub raw: Bytes,
    /// Bytes of the whole line.
    pub raw_bytes: u64,
}

/// What one block holds: rows = documents + failures + blank.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The base columns, `raw_digest` (16 bytes, never null), then the carried columns (utf8).
    ///
    /// The raw digest is that of the line without its ending and without a byte-order mark; in Parquet, where there is no
    /// line, that of the text.
    pub documents: DocumentBatch,
    /// Rows that cannot be used, in row order.
    pub failures: Vec<FailedRow>,
    /// Lines of nothing but white space: neither documents nor failures.
    pub blank: u64,
}

pub(super) struct Builder<'c> {
    columns: &'c Columns,
    rows: Vec<u64>,
    ids: StringBuilder,
    /// 16 bytes a document.
    keys: Vec<u8>,
    texts: StringBuilder,
    /// 16 bytes a document.
    raw_digests: Vec<u8>,
    carried: Vec<StringBuilder>,
    failures: Vec<FailedRow>,
    pub(super) blank: u64,
}

impl<'c> Builder<'c> {
    /// A builder for about `bytes` of text.
    pub(super) fn new(columns: &'c Columns, bytes: usize) -> Self {
        let rows = bytes / 2048;
        Self {
            columns,
            rows: Vec::with_capacity(rows),
            ids: StringBuilder::with_capacity(rows, rows * 16),
            keys: Vec::with_capacity(rows * 16),
            texts: StringBuilder::with_capacity(rows, bytes),
            raw_digests: Vec::with_capacity(rows * 16),
            carried: columns.carry.iter().map(|_| StringBuilder::new()).collect(),
            failures: Vec::new(),
            blank: 0,
        }
    }

    /// Adds a document, all but its carried columns: those must follow, each once.
    pub(super) fn document(&mut self, row: u64, id: Option<&str>, text: &str, raw_digest: Digest) {
        let namespace = &self.columns.namespace;
        let key = match id {
            Some(id) => DocKey::from_id(namespace, id),
            None => DocKey::from_text(namespace, text),
        };
        self.rows.push(row);
        self.ids.append_option(id);
        self.keys.extend_from_slice(&key.to_bytes());
        self.texts.append_value(text);
        self.raw_digests.extend_from_slice(&raw_digest.to_bytes());
    }

    /// Adds the value of one carried column to the document that was added last.
    pub(super) fn carry(&mut self, at: usize, value: Option<&str>) {
        self.carried[at].append_option(value);
    }

    pub(super) fn failed(
        &mut self,
        row: u64,
        reason: &'static str,
        detail: String,
        raw: &[u8],
        raw_bytes: u64,
    ) {
        let raw = Bytes::copy_from_slice(&raw[..raw.len().min(RAW_LIMIT)]);
        self.failures.push(FailedRow { row, reason, detail, raw, raw_bytes });
    }

    pub(super) fn finish(mut self) -> CorpusResult<Decoded> {
        let mut fields = DocumentBatch::base_fields().to_vec();
        fields.push(Field::new(column::RAW_DIGEST, DataType::FixedSizeBinary(16), false));
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(self.rows)),
            Arc::new(self.ids.finish()),
            Arc::new(FixedSizeBinaryArray::new(16, self.keys.into(), None)),
            Arc::new(self.texts.finish()),
            Arc::new(FixedSizeBinaryArray::new(16, self.raw_digests.into(), None)),
        ];
        for (name, mut values) in self.columns.carry.iter().zip(self.carried) {
            fields.push(Field::new(name, DataType::Utf8, true));
            arrays.push(Arc::new(values.finish()));
        }
        let batch =
            RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(tamis_core::Error::from)?;
        Ok(Decoded { documents: DocumentBatch::new(batch)?, failures: self.failures, blank: self.blank })
    }
}
