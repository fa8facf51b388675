//! Several files of one shard, read side by side.
//!
//! A row that one file has and another lacks would give a document the score of its neighbour, or let it pass unseen. So
//! every row of every file is compared with the inventory, by row number and key, and the first difference is an error.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use tamis_core::{DocKey, column};

use super::reader::SidecarReader;
use crate::run::{RunError, RunResult};

/// The same rows from the inventory and from each sidecar, in the order in which the files were given.
#[derive(Clone, Debug)]
pub struct AlignedBatch {
    /// Rows of the inventory.
    pub inventory: RecordBatch,
    /// The same rows of each sidecar.
    pub sidecars: Vec<RecordBatch>,
}

/// Reads an inventory and sidecars of one shard together; see [`zip_aligned`]. Stops after the first error.
#[derive(Debug)]
pub struct AlignedReader {
    shard: String,
    inventory: Pending,
    sidecars: Vec<Pending>,
    next_row: u64,
    done: bool,
}

/// Zips files of one shard. Every file must be read with its `row` and `doc_key` columns.
///
/// # Errors
/// [`RunError::Corrupt`] when a file lacks these columns. The iterator gives [`RunError::Misaligned`], naming shard and row,
/// where a sidecar has another row than the inventory, or lacks one, or has more.
pub fn zip_aligned(
    shard: &str,
    inventory: SidecarReader,
    sidecars: Vec<SidecarReader>,
) -> RunResult<AlignedReader> {
    Ok(AlignedReader {
        shard: shard.to_owned(),
        inventory: Pending::new(inventory)?,
        sidecars: sidecars.into_iter().map(Pending::new).collect::<RunResult<_>>()?,
        next_row: 0,
        done: false,
    })
}

impl Iterator for AlignedReader {
    type Item = RunResult<AlignedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.step().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

impl AlignedReader {
    fn step(&mut self) -> RunResult<Option<AlignedBatch>> {
        let have = self.inventory.fill()?;
        if !have {
            for sidecar in &mut self.sidecars {
                if sidecar.fill()? {
                    let row = row_numbers(&sidecar.batch).value(sidecar.at);
                    return Err(misaligned(
                        &self.shard,
                        row,
                        &sidecar.reader,
                        "the inventory has no such row",
                    ));
                }
            }
            return Ok(None);
        }
        let mut count = self.inventory.left();
        for sidecar in &mut self.sidecars {
            if !sidecar.fill()? {
                let row = row_numbers(&self.inventory.batch).value(self.inventory.at);
                return Err(misaligned(&self.shard, row, &sidecar.reader, "the row is missing"));
            }
            count = count.min(sidecar.left());
        }
        let inventory = self.inventory.take(count);
        let sidecars: Vec<RecordBatch> =
            self.sidecars.iter_mut().map(|sidecar| sidecar.take(count)).collect();
        for (batch, sidecar) in sidecars.iter().zip(&self.sidecars) {
            compare(&self.shard, sidecar.reader.path(), &inventory, batch)?;
        }
        for &row in row_numbers(&inventory).values() {
            if row < self.next_row {
                let problem = format!("row {row} comes after row {}", self.next_row - 1);
                return Err(RunError::corrupt(self.inventory.reader.path(), problem));
            }
            self.next_row = row.saturating_add(1);
        }
        Ok(Some(AlignedBatch { inventory, sidecars }))
    }
}

fn misaligned(shard: &str, row: u64, reader: &SidecarReader, problem: &str) -> RunError {
    RunError::Misaligned {
        shard: shard.to_owned(),
        row,
        file: reader.path().to_owned(),
        problem: problem.to_owned(),
    }
}

/// Checks that rows and keys of two batches of the same length are equal.
fn compare(shard: &str, file: &str, inventory: &RecordBatch, batch: &RecordBatch) -> RunResult<()> {
    if row_numbers(inventory) == row_numbers(batch) && key_column(inventory) == key_column(batch) {
        return Ok(());
    }
    let error =
        |row, problem| RunError::Misaligned { shard: shard.to_owned(), row, file: file.to_owned(), problem };
    for at in 0..inventory.num_rows() {
        let (wanted, got) = (row_numbers(inventory).value(at), row_numbers(batch).value(at));
        if wanted < got {
            return Err(error(wanted, "the row is missing".to_owned()));
        }
        if wanted > got {
            return Err(error(got, "the inventory has no such row".to_owned()));
        }
        let (wanted_key, got_key) = (key_column(inventory).value(at), key_column(batch).value(at));
        if wanted_key != got_key {
            let show = |bytes: &[u8]| bytes.try_into().map(DocKey::from_bytes).map(|key| key.to_string());
            let (wanted_key, got_key) = (show(wanted_key), show(got_key));
            let problem = format!(
                "expected key {}, got {}",
                wanted_key.unwrap_or_default(),
                got_key.unwrap_or_default()
            );
            return Err(error(wanted, problem));
        }
    }
    Err(error(0, "rows or keys are null".to_owned()))
}

/// Checks that a schema has the two columns by which rows are compared.
pub(crate) fn check_keyed(path: &str, schema: &arrow_schema::Schema) -> RunResult<()> {
    for (name, wanted) in [(column::ROW, DataType::UInt64), (column::DOC_KEY, DataType::FixedSizeBinary(16))]
    {
        match schema.field_with_name(name) {
            Ok(field) if *field.data_type() == wanted => {}
            Ok(field) => {
                let problem = format!("column `{name}`: expected {wanted}, got {}", field.data_type());
                return Err(RunError::corrupt(path, problem));
            }
            Err(_) => {
                return Err(RunError::corrupt(path, format!("has no column `{name}`, or it was not read")));
            }
        }
    }
    Ok(())
}

/// The `row` column of a batch whose schema was checked.
pub(crate) fn row_numbers(batch: &RecordBatch) -> &UInt64Array {
    batch.column_by_name(column::ROW).expect("the schema was checked").as_primitive::<UInt64Type>()
}

/// The `doc_key` column of a batch whose schema was checked.
pub(crate) fn key_column(batch: &RecordBatch) -> &FixedSizeBinaryArray {
    batch.column_by_name(column::DOC_KEY).expect("the schema was checked").as_fixed_size_binary()
}

/// A reader and the part of its last batch that was not taken yet.
#[derive(Debug)]
struct Pending {
    reader: SidecarReader,
    batch: RecordBatch,
    at: usize,
}

impl Pending {
    fn new(reader: SidecarReader) -> RunResult<Self> {
        check_keyed(reader.path(), reader.schema())?;
        let batch = RecordBatch::new_empty(Arc::clone(reader.schema()));
        Ok(Self { reader, batch, at: 0 })
    }

    fn left(&self) -> usize {
        self.batch.num_rows() - self.at
    }

    /// Reads on when nothing is left; false at the end of the file.
    fn fill(&mut self) -> RunResult<bool> {
        while self.left() == 0 {
            match self.reader.next() {
                None => return Ok(false),
                Some(batch) => {
                    self.batch = batch?;
                    self.at = 0;
                    if row_numbers(&self.batch).null_count() + key_column(&self.batch).null_count() > 0 {
                        return Err(RunError::corrupt(self.reader.path(), "a row number or key is null"));
                    }
                }
            }
        }
        Ok(true)
    }

    fn take(&mut self, count: usize) -> RecordBatch {
        let taken = self.batch.slice(self.at, count);
        self.at += count;
        taken
    }
}

/// A sidecar whose rows are taken beside those of something else that is read in row order.
#[derive(Debug)]
pub struct SidecarCursor {
    shard: String,
    pending: Pending,
}

impl SidecarCursor {
    /// Of a shard; the sidecar must be read with its `row` and `doc_key` columns.
    ///
    /// # Errors
    /// [`RunError::Corrupt`] when it lacks these columns.
    pub fn new(shard: &str, sidecar: SidecarReader) -> RunResult<Self> {
        Ok(Self { shard: shard.to_owned(), pending: Pending::new(sidecar)? })
    }

    /// The rows that stand beside those of a batch with the two key columns. Rows before the batch's first one are passed over;
    /// from there on no row may be in one of the two alone.
    ///
    /// # Errors
    /// [`RunError::Misaligned`]; a sidecar that cannot be read on.
    pub fn beside(&mut self, batch: &RecordBatch) -> RunResult<RecordBatch> {
        let wanted = row_numbers(batch).values();
        let mut pieces = Vec::new();
        let mut have = 0;
        while have < wanted.len() {
            if !self.pending.fill()? {
                return Err(misaligned(
                    &self.shard,
                    wanted[have],
                    &self.pending.reader,
                    "the row is missing",
                ));
            }
            if have == 0 {
                let rows = row_numbers(&self.pending.batch).values();
                let before = rows[self.pending.at..].partition_point(|row| *row < wanted[0]);
                self.pending.at += before;
                if self.pending.left() == 0 {
                    continue;
                }
            }
            let count = self.pending.left().min(wanted.len() - have);
            let piece = self.pending.take(count);
            compare(&self.shard, self.pending.reader.path(), &batch.slice(have, count), &piece)?;
            have += count;
            pieces.push(piece);
        }
        let schema = self.pending.reader.schema();
        Ok(arrow_select::concat::concat_batches(schema, &pieces)?)
    }
}

/// An inventory against which rows are checked as they come, in order.
pub(crate) struct InventoryCursor {
    shard: String,
    pending: Pending,
}

impl InventoryCursor {
    pub(crate) fn new(shard: &str, inventory: SidecarReader) -> RunResult<Self> {
        Ok(Self { shard: shard.to_owned(), pending: Pending::new(inventory)? })
    }

    /// Checks that these rows are the next ones of the inventory. The batch must have the two key columns.
    pub(crate) fn check(&mut self, file: &str, batch: &RecordBatch) -> RunResult<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            if !self.pending.fill()? {
                return Err(RunError::Misaligned {
                    shard: self.shard.clone(),
                    row: row_numbers(batch).value(at),
                    file: file.to_owned(),
                    problem: "the inventory has no such row".to_owned(),
                });
            }
            let count = self.pending.left().min(batch.num_rows() - at);
            compare(&self.shard, file, &self.pending.take(count), &batch.slice(at, count))?;
            at += count;
        }
        Ok(())
    }

    /// Checks that the inventory has no further row.
    pub(crate) fn finish(&mut self, file: &str) -> RunResult<()> {
        if !self.pending.fill()? {
            return Ok(());
        }
        Err(RunError::Misaligned {
            shard: self.shard.clone(),
            row: row_numbers(&self.pending.batch).value(self.pending.at),
            file: file.to_owned(),
            problem: "the row is missing".to_owned(),
        })
    }
}
