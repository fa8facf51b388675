//! Documents and failed rows of one block, and the builder that both formats fill.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use tamis_core::{Digest, DocKey, DocumentBatch, column};

use super::format::stem;
use super::{Columns, CorpusResult, IdMode, scan};
use crate::run::inventory_column;

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

/// What the inventory says of the documents of one block; the texts themselves are gone.
#[derive(Clone, Debug)]
pub struct Measured {
    /// `row`, `id`, `doc_key`, `text_digest`, `raw_digest`, `bytes`, `characters`, then the carried columns (utf8).
    pub documents: RecordBatch,
    /// Rows that cannot be used, in row order.
    pub failures: Vec<FailedRow>,
    /// Lines of nothing but white space: neither documents nor failures.
    pub blank: u64,
}

/// What becomes of the texts.
enum Texts {
    Kept(StringBuilder),
    Measured {
        /// 16 bytes a document.
        digests: Vec<u8>,
        bytes: Vec<u64>,
        characters: Vec<u64>,
    },
}

fn utf8(text: &[u8]) -> &str {
    std::str::from_utf8(text).expect("texts are UTF-8")
}

pub(super) struct Builder<'c> {
    pub(super) columns: &'c Columns,
    /// Path of the shard without known endings, where ids are to name it.
    qualifier: Option<&'c str>,
    /// A qualified id.
    qualified: String,
    rows: Vec<u64>,
    ids: StringBuilder,
    /// 16 bytes a document.
    keys: Vec<u8>,
    texts: Texts,
    /// 16 bytes a document.
    raw_digests: Vec<u8>,
    carried: Vec<StringBuilder>,
    failures: Vec<FailedRow>,
    pub(super) blank: u64,
}

impl<'c> Builder<'c> {
    /// A builder for about `bytes` of text.
    pub(super) fn keeping_texts(columns: &'c Columns, shard: &'c str, bytes: usize) -> Self {
        let rows = bytes / 2048;
        Self::new(columns, shard, rows, Texts::Kept(StringBuilder::with_capacity(rows, bytes)))
    }

    /// A builder that takes of about `bytes` of text what the inventory wants to know.
    pub(super) fn measuring(columns: &'c Columns, shard: &'c str, bytes: usize) -> Self {
        let rows = bytes / 2048;
        let digests = Vec::with_capacity(rows * 16);
        let (bytes, characters) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        Self::new(columns, shard, rows, Texts::Measured { digests, bytes, characters })
    }

    fn new(columns: &'c Columns, shard: &'c str, rows: usize, texts: Texts) -> Self {
        Self {
            columns,
            qualifier: matches!(columns.id, IdMode::Qualified(_)).then(|| stem(shard)),
            qualified: String::new(),
            rows: Vec::with_capacity(rows),
            ids: StringBuilder::with_capacity(rows, rows * 16),
            keys: Vec::with_capacity(rows * 16),
            texts,
            raw_digests: Vec::with_capacity(rows * 16),
            carried: columns.carried().map(|_| StringBuilder::new()).collect(),
            failures: Vec::new(),
            blank: 0,
        }
    }

    /// Adds a document, all but its carried columns: those must follow, each once. The text must be UTF-8.
    pub(super) fn document(&mut self, row: u64, id: Option<&str>, text: &[u8], raw_digest: Digest) {
        let namespace = &self.columns.namespace;
        let key = match (id, self.qualifier) {
            (Some(id), Some(shard)) => DocKey::from_shard_id(namespace, shard, id),
            (Some(id), None) => DocKey::from_id(namespace, id),
            (None, _) => DocKey::from_text(namespace, utf8(text)),
        };
        self.rows.push(row);
        match (id, self.qualifier) {
            (Some(id), Some(shard)) => {
                self.qualified.clear();
                self.qualified.extend([shard, ":", id]);
                self.ids.append_value(&self.qualified);
            }
            _ => self.ids.append_option(id),
        }
        self.keys.extend_from_slice(&key.to_bytes());
        match &mut self.texts {
            Texts::Kept(texts) => texts.append_value(utf8(text)),
            Texts::Measured { digests, bytes, characters } => {
                digests.extend_from_slice(&Digest::of(text).to_bytes());
                bytes.push(text.len() as u64);
                characters.push(scan::characters(text));
            }
        }
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

    /// The documents with their texts.
    ///
    /// # Panics
    /// When the builder measures.
    pub(super) fn finish(self) -> CorpusResult<Decoded> {
        let (documents, failures, blank) = self.batch()?;
        Ok(Decoded { documents: DocumentBatch::new(documents)?, failures, blank })
    }

    /// What is known of the documents.
    pub(super) fn finish_measured(self) -> CorpusResult<Measured> {
        let (documents, failures, blank) = self.batch()?;
        Ok(Measured { documents, failures, blank })
    }

    fn batch(mut self) -> CorpusResult<(RecordBatch, Vec<FailedRow>, u64)> {
        let binary =
            |values: Vec<u8>| Arc::new(FixedSizeBinaryArray::new(16, values.into(), None)) as ArrayRef;
        let numbers = |values: Vec<u64>| Arc::new(UInt64Array::from(values)) as ArrayRef;
        let digest = |name: &str| Field::new(name, DataType::FixedSizeBinary(16), false);
        let number = |name: &str| Field::new(name, DataType::UInt64, false);
        let [row, id, key, text] = DocumentBatch::base_fields();
        let mut columns = vec![
            (row, numbers(self.rows)),
            (id, Arc::new(self.ids.finish()) as ArrayRef),
            (key, binary(self.keys)),
        ];
        let raw_digests = (digest(column::RAW_DIGEST), binary(self.raw_digests));
        match self.texts {
            Texts::Kept(mut texts) => {
                columns.extend([(text, Arc::new(texts.finish()) as ArrayRef), raw_digests]);
            }
            Texts::Measured { digests, bytes, characters } => columns.extend([
                (digest(inventory_column::TEXT_DIGEST), binary(digests)),
                raw_digests,
                (number(inventory_column::BYTES), numbers(bytes)),
                (number(inventory_column::CHARACTERS), numbers(characters)),
            ]),
        }
        for ((name, _), mut values) in self.columns.carried().zip(self.carried) {
            columns.push((Field::new(name, DataType::Utf8, true), Arc::new(values.finish())));
        }
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        let batch =
            RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(tamis_core::Error::from)?;
        Ok((batch, self.failures, self.blank))
    }
}
