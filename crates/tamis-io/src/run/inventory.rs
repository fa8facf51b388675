//! The inventory: what the first pass over a shard found, one row per document.
//!
//! The rows stand in `inventory/<shard>.parquet`, the receipt with counts, digests and part borders in
//! `inventory/<shard>.json`. Every sidecar is compared with the inventory, row by row, so it is the one list of which
//! documents there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use tamis_core::{Digest, DocumentBatch, column};

use super::corpus::{CorpusColumns, PART_TEXT_BYTES, PartRecord, ShardRecord};
use super::signal::columns_of;
use super::{FORMAT_VERSION, RunDirectory, RunError, RunResult, inventory_column, json, shard_name};
use crate::sidecar::{SidecarColumns, SidecarReader, SidecarWriter};
use crate::store::Created;

/// What makes an inventory count: written last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryReceipt {
    /// [`FORMAT_VERSION`].
    pub format_version: u64,
    /// How rows were read.
    pub columns: CorpusColumns,
    /// The shard as it was found.
    pub shard: ShardRecord,
    /// 32 hex digits of the digest of the inventory's rows.
    pub row_digest: String,
}

/// How rows are read, from before the first inventory on: of two processes that begin one run at once, one learns it here.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begun {
    format_version: u64,
    columns: CorpusColumns,
}

const BEGUN: &str = "corpus/begun.json";

/// What is known about a shard when its last row was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardEnd {
    /// Physical rows.
    pub rows: u64,
    /// Rows that could not be read, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// 32 hex digits of the content's digest.
    pub digest: String,
    /// Modification time or entity tag.
    pub version: String,
}

/// The columns of an inventory: `row`, `id`, `doc_key`, `text_digest`, `raw_digest`, `bytes`, `characters`, then the carried
/// ones as text (dictionary-coded in the file).
fn inventory_schema(carry: &[String]) -> RunResult<SchemaRef> {
    let [row, id, doc_key, _] = DocumentBatch::base_fields();
    let digest = |name: &str| Field::new(name, DataType::FixedSizeBinary(16), false);
    let mut fields = vec![
        row,
        id,
        doc_key,
        digest(inventory_column::TEXT_DIGEST),
        digest(column::RAW_DIGEST),
        Field::new(inventory_column::BYTES, DataType::UInt64, false),
        Field::new(inventory_column::CHARACTERS, DataType::UInt64, false),
    ];
    for name in carry {
        if fields.iter().any(|field| field.name() == name) {
            return Err(RunError::Name {
                kind: "carried column",
                name: name.clone(),
                problem: "named twice, or the inventory has a column of its own of this name".to_owned(),
            });
        }
        fields.push(Field::new(name, DataType::Utf8, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The rows that an inventory holds for a batch of documents; pure, for any thread. `carry` must be columns of the batch,
/// as text.
///
/// # Errors
/// A batch without `raw_digest` or a carried column; a carried column whose name the inventory uses itself.
pub fn inventory_rows(documents: &DocumentBatch, carry: &[String]) -> RunResult<RecordBatch> {
    let batch = documents.as_arrow();
    let schema = inventory_schema(carry)?;
    let texts = documents.texts();
    let texts = || (0..texts.len()).map(|at| texts.value(at));
    let mut digests = Vec::with_capacity(batch.num_rows() * 16);
    texts().for_each(|text| digests.extend_from_slice(&Digest::of(text.as_bytes()).to_bytes()));
    let digests: ArrayRef = Arc::new(FixedSizeBinaryArray::try_new(16, digests.into(), None)?);
    let bytes: ArrayRef = Arc::new(UInt64Array::from_iter_values(texts().map(|text| text.len() as u64)));
    let characters: ArrayRef =
        Arc::new(UInt64Array::from_iter_values(texts().map(|text| text.chars().count() as u64)));
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        inventory_column::TEXT_DIGEST => Ok(Arc::clone(&digests)),
        inventory_column::BYTES => Ok(Arc::clone(&bytes)),
        inventory_column::CHARACTERS => Ok(Arc::clone(&characters)),
        name => batch
            .column_by_name(name)
            .cloned()
            .ok_or_else(|| RunError::Batch(tamis_core::Error::MissingColumn { column: name.to_owned() })),
    });
    let columns = columns.collect::<RunResult<Vec<_>>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Streams the inventory of one shard; dropped without [`InventoryWriter::commit`], nothing becomes visible.
pub struct InventoryWriter {
    run: RunDirectory,
    shard_path: String,
    columns: CorpusColumns,
    sidecar: SidecarWriter,
    parts: Vec<PartRecord>,
    next_row: u64,
}

impl InventoryWriter {
    /// Adds rows that [`inventory_rows`] made, in row order.
    ///
    /// # Errors
    /// A batch of another schema, rows out of order (both a caller's bug), or a store that refuses.
    pub fn write(&mut self, rows: &RecordBatch) -> RunResult<()> {
        self.sidecar.write(rows)?;
        let numbers = |name: &str| {
            rows.column_by_name(name)
                .and_then(|array| array.as_primitive_opt::<UInt64Type>())
                .ok_or_else(|| RunError::Batch(tamis_core::Error::MissingColumn { column: name.to_owned() }))
        };
        let (at, bytes) = (numbers(column::ROW)?, numbers(inventory_column::BYTES)?);
        for (&row, &bytes) in at.values().iter().zip(bytes.values()) {
            if row < self.next_row {
                let problem = format!("row {row} was written after row {}", self.next_row - 1);
                return Err(RunError::write(&self.shard_path, problem));
            }
            self.next_row = row + 1;
            match self.parts.last_mut() {
                Some(part) if part.text_bytes < PART_TEXT_BYTES => {
                    part.documents += 1;
                    part.text_bytes += bytes;
                }
                last => {
                    let first_row = if let Some(part) = last {
                        part.rows = row - part.first_row;
                        row
                    } else {
                        0
                    };
                    self.parts.push(PartRecord { first_row, rows: 0, documents: 1, text_bytes: bytes });
                }
            }
        }
        Ok(())
    }

    /// Makes the inventory count: the rows first, the receipt last. When another process was first, its inventory stands and
    /// this one is compared with it.
    ///
    /// # Errors
    /// [`RunError::Differs`] or [`RunError::CorpusChanged`] when an inventory of this shard stands and has other rows.
    pub fn commit(mut self, end: ShardEnd) -> RunResult<InventoryReceipt> {
        let documents = self.sidecar.rows();
        match self.parts.last_mut() {
            Some(part) => part.rows = end.rows.saturating_sub(part.first_row),
            None if end.rows > 0 => {
                self.parts.push(PartRecord { first_row: 0, rows: end.rows, documents: 0, text_bytes: 0 });
            }
            None => {}
        }
        let path = rows_path(&self.shard_path)?;
        let (created, summary) = self.sidecar.commit()?;
        if created == Created::Existed {
            let stored = SidecarReader::open(&self.run.store, &path, SidecarColumns::All)?.digest();
            if stored != summary.digest {
                let (stored, computed) = (stored.to_string(), summary.digest.to_string());
                return Err(RunError::Differs { path, stored, computed });
            }
        }
        let receipt = InventoryReceipt {
            format_version: FORMAT_VERSION,
            columns: self.columns,
            shard: ShardRecord {
                path: self.shard_path.clone(),
                rows: end.rows,
                documents,
                failed: end.failed,
                bytes: end.bytes,
                digest: end.digest,
                version: end.version,
                parts: self.parts,
            },
            row_digest: summary.digest.to_string(),
        };
        let receipt_path = receipt_path(&self.shard_path)?;
        receipt.shard.check().map_err(|problem| RunError::write(&receipt_path, problem))?;
        if json::create(&self.run.store, &receipt_path, &receipt)? == Created::New {
            return Ok(receipt);
        }
        let stored = self.run.inventory_receipt(&self.shard_path, &receipt.columns)?;
        let stored = stored.ok_or_else(|| RunError::Missing {
            path: receipt_path.clone(),
            what: "the receipt, which was there a moment ago,".to_owned(),
        })?;
        if stored.row_digest != receipt.row_digest || !stored.shard.same_content(&receipt.shard) {
            return Err(RunError::Differs {
                path: receipt_path,
                stored: stored.row_digest,
                computed: receipt.row_digest,
            });
        }
        Ok(stored)
    }
}

fn rows_path(shard_path: &str) -> RunResult<String> {
    Ok(format!("inventory/{}.parquet", shard_name(shard_path)?))
}

fn receipt_path(shard_path: &str) -> RunResult<String> {
    Ok(format!("inventory/{}.json", shard_name(shard_path)?))
}

impl RunDirectory {
    /// Begins the inventory of a shard.
    ///
    /// # Errors
    /// A shard path or carried column that cannot be used, or a store that refuses.
    pub fn inventory_writer(&self, shard_path: &str, columns: &CorpusColumns) -> RunResult<InventoryWriter> {
        let schema = inventory_schema(&columns.carry)?;
        Ok(InventoryWriter {
            run: self.clone(),
            shard_path: shard_path.to_owned(),
            columns: columns.clone(),
            sidecar: SidecarWriter::create(&self.store, &rows_path(shard_path)?, &schema)?,
            parts: Vec::new(),
            next_row: 0,
        })
    }

    /// The receipt of a shard's inventory; `None` while it has none.
    ///
    /// # Errors
    /// [`RunError::CorpusChanged`] when the inventory was made with other columns; [`RunError::Corrupt`].
    pub fn inventory_receipt(
        &self,
        shard_path: &str,
        columns: &CorpusColumns,
    ) -> RunResult<Option<InventoryReceipt>> {
        let Some(receipt) = self.any_inventory_receipt(shard_path)? else { return Ok(None) };
        let problems = receipt.columns.differences(columns);
        if problems.is_empty() { Ok(Some(receipt)) } else { Err(RunError::CorpusChanged { problems }) }
    }

    /// Begins the corpus of a run: from now on rows are read like this. The columns that count, which are another's where
    /// another process began it.
    ///
    /// # Errors
    /// [`RunError::Corrupt`], or a store that cannot be written.
    pub fn begin_columns(&self, columns: &CorpusColumns) -> RunResult<CorpusColumns> {
        let begun = Begun { format_version: FORMAT_VERSION, columns: columns.clone() };
        if json::create(&self.store, BEGUN, &begun)? == Created::New {
            return Ok(begun.columns);
        }
        let stored = json::read::<Begun>(&self.store, BEGUN)?;
        Ok(stored.unwrap_or(begun).columns)
    }

    /// How rows are read in a run whose first pass was stopped before there was a version of its corpus; `None` when it has
    /// not begun.
    ///
    /// # Errors
    /// [`RunError::Corrupt`], or a store that cannot be listed.
    pub fn begun_columns(&self) -> RunResult<Option<CorpusColumns>> {
        if let Some(begun) = json::read::<Begun>(&self.store, BEGUN)? {
            return Ok(Some(begun.columns));
        }
        // A run of an earlier tamis has no such file.
        for entry in self.store.list("inventory")? {
            if entry.path.ends_with(".json")
                && let Some(receipt) = json::read::<InventoryReceipt>(&self.store, &entry.path)?
            {
                return Ok(Some(receipt.columns));
            }
        }
        Ok(None)
    }

    /// The receipt, whatever columns it was made with.
    pub(crate) fn any_inventory_receipt(&self, shard_path: &str) -> RunResult<Option<InventoryReceipt>> {
        let path = receipt_path(shard_path)?;
        let Some(receipt) = json::read::<InventoryReceipt>(&self.store, &path)? else { return Ok(None) };
        receipt.shard.check().map_err(|problem| RunError::corrupt(&path, problem))?;
        if receipt.shard.path != shard_path {
            let problem = format!("is of shard `{}`, not of `{shard_path}`", receipt.shard.path);
            return Err(RunError::corrupt(&path, problem));
        }
        Ok(Some(receipt))
    }

    /// The rows of a shard's inventory. Name `row` and `doc_key` among the columns for [`crate::sidecar::zip_aligned`].
    ///
    /// # Errors
    /// [`RunError::NotComputed`] without a receipt; [`RunError::Missing`] or [`RunError::Corrupt`] when the file is not what
    /// the receipt says.
    pub fn read_inventory(&self, shard_path: &str, columns: SidecarColumns<'_>) -> RunResult<SidecarReader> {
        let receipt = self.any_inventory_receipt(shard_path)?.ok_or_else(|| RunError::NotComputed {
            what: "inventory".to_owned(),
            shard: shard_path.to_owned(),
        })?;
        let path = rows_path(shard_path)?;
        let reader = SidecarReader::open(&self.store, &path, columns)?;
        reader.expect(receipt.shard.documents, &receipt.row_digest)?;
        let wanted = columns_of(inventory_schema(&receipt.columns.carry)?.as_ref());
        if let Some(other) = columns_of(reader.schema()).into_iter().find(|column| !wanted.contains(column)) {
            let problem =
                format!("column `{}` of type {} is not one of an inventory", other.name, other.data_type);
            return Err(RunError::corrupt(&path, problem));
        }
        Ok(reader)
    }
}
