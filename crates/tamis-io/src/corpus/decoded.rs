//! Documents and failed rows of one block, and the builder that both formats fill.

use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, StringBuilder, UInt64Builder};
use arrow_array::{ArrayRef, RecordBatch};
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
    rows: UInt64Builder,
    ids: StringBuilder,
    keys: FixedSizeBinaryBuilder,
    texts: StringBuilder,
    raw_digests: FixedSizeBinaryBuilder,
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
            rows: UInt64Builder::with_capacity(rows),
            ids: StringBuilder::with_capacity(rows, rows * 16),
            keys: FixedSizeBinaryBuilder::with_capacity(rows, 16),
            texts: StringBuilder::with_capacity(rows, bytes),
            raw_digests: FixedSizeBinaryBuilder::with_capacity(rows, 16),
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
        self.rows.append_value(row);
        self.ids.append_option(id);
        self.keys.append_value(key.to_bytes()).expect("a key has 16 bytes");
        self.texts.append_value(text);
        self.raw_digests.append_value(raw_digest.to_bytes()).expect("a digest has 16 bytes");
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
            Arc::new(self.rows.finish()),
            Arc::new(self.ids.finish()),
            Arc::new(self.keys.finish()),
            Arc::new(self.texts.finish()),
            Arc::new(self.raw_digests.finish()),
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
