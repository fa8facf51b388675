//! Parts of unfinished shards, and their merge into a sidecar.
//!
//! A part is a small parquet file under `.parts/`, named by what it holds: the digest of the shard's content, the first
//! physical row and the number of rows. Work that was lost in a crash is at most one part a worker. When the parts of a
//! shard cover all of its rows they are merged in row order; the bytes of the sidecar do not depend on where the borders
//! were or which part came first. Then comes the receipt, then the parts are removed: stopped between any two of these
//! steps, the next attempt goes on from there.
//!
//! A part is read whole and checked against its own digest before it counts. One that cannot be read is removed and
//! counted, and its rows are computed again.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{Array, RecordBatch};
use arrow_schema::{Field, Schema};

use super::receipt::{AskedAgain, ShardReceipt, count_failed};
use super::signal::{Repeatability, columns_of};
use super::{FORMAT_VERSION, RowSpan, RunError, RunResult, ShardRecord, SignalDir, json, shard_name};
use crate::sidecar::{
    InventoryCursor, RowDigest, SidecarColumns, SidecarReader, SidecarSummary, SidecarWriter, check_keyed,
    key_column, row_numbers, type_from_name,
};
use crate::store::{Created, StoreError};

/// The parts of a shard that can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartScan {
    /// What they cover, sorted; spans may overlap when parts were cut in different ways.
    pub spans: Vec<RowSpan>,
    /// Parts that could not be read and were removed.
    pub discarded: u64,
}

impl PartScan {
    /// Rows of a shard of `rows` physical rows that no part covers, in order.
    #[must_use]
    pub fn missing(&self, rows: u64) -> Vec<RowSpan> {
        let mut gaps = Vec::new();
        let mut next = 0;
        for span in &self.spans {
            if span.first_row > next {
                gaps.push(RowSpan { first_row: next, rows: span.first_row.min(rows) - next });
            }
            next = next.max(span.end());
            if next >= rows {
                return gaps;
            }
        }
        if next < rows {
            gaps.push(RowSpan { first_row: next, rows: rows - next });
        }
        gaps
    }
}

/// What becomes of a part that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Damaged {
    Remove,
    Leave,
}

/// `<shard digest>-<first row>-<rows>.parquet`
fn part_name(digest: &str, span: RowSpan) -> String {
    format!("{digest}-{}-{}.parquet", span.first_row, span.rows)
}

fn parse_part_name(name: &str) -> Option<(&str, RowSpan)> {
    let mut fields = name.strip_suffix(".parquet")?.split('-');
    let (digest, first_row, rows) =
        (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let span = RowSpan { first_row, rows };
    (fields.next().is_none() && first_row.checked_add(rows).is_some()).then_some((digest, span))
}

impl SignalDir {
    fn parts_folder(&self, shard_path: &str, generation: u64) -> RunResult<String> {
        Ok(self.generation_path(generation, &format!(".parts/{}", shard_name(shard_path)?)))
    }

    /// Stores the rows of one part: all columns of the sidecar for every document among the physical rows of `span`. Of two
    /// writers of a part the first wins.
    ///
    /// # Errors
    /// A batch of another schema, or rows out of order or outside the span (a caller's bug); [`RunError::Differs`] when the
    /// part stands with other values and the signal is [`Repeatability::Exact`]; what keeps the signal's architecture from
    /// being written, where it still has to be.
    pub fn commit_part(&self, shard: &ShardRecord, span: RowSpan, batch: &RecordBatch) -> RunResult<Created> {
        let folder = self.parts_folder(&shard.path, self.generation(&shard.path)?)?;
        let path = format!("{folder}/{}", part_name(&self.part_digest(shard), span));
        if span.end() > shard.rows {
            return Err(RunError::write(&path, format!("the shard has {} rows only", shard.rows)));
        }
        self.check_columns(batch.schema_ref())
            .and_then(|()| check_rows(span, 0, batch))
            .map_err(|problem| RunError::write(&path, problem))?;
        self.secure_architecture()?;
        loop {
            let mut writer = SidecarWriter::create(self.store(), &path, batch.schema_ref())?;
            writer.write(batch)?;
            let (created, computed) = writer.commit()?;
            if created == Created::New {
                return Ok(created);
            }
            match self.load_part(&path, span) {
                Ok(Some(stored)) => {
                    self.agree(&path, stored, computed)?;
                    return Ok(Created::Existed);
                }
                // Removed by a process that finished the shard: nothing is left to be done for this part.
                Ok(None) => return Ok(Created::Existed),
                Err(RunError::Corrupt { .. }) => self.store().remove(&path)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// The parts of a shard that can be used, after reading each of them. Parts of other content of the shard are ignored.
    ///
    /// # Errors
    /// A store that cannot be read, or a part that a newer tamis wrote.
    pub fn parts(&self, shard: &ShardRecord) -> RunResult<PartScan> {
        self.scan_parts(shard, Damaged::Remove)
    }

    /// As [`SignalDir::parts`], to look and not to write: damaged parts are counted and stay.
    ///
    /// # Errors
    /// As [`SignalDir::parts`].
    pub fn peek_parts(&self, shard: &ShardRecord) -> RunResult<PartScan> {
        self.scan_parts(shard, Damaged::Leave)
    }

    fn scan_parts(&self, shard: &ShardRecord, damaged: Damaged) -> RunResult<PartScan> {
        let folder = self.parts_folder(&shard.path, self.generation(&shard.path)?)?;
        let own = self.part_digest(shard);
        let mut scan = PartScan::default();
        for entry in self.store().list(&folder)? {
            let name = entry.path.strip_prefix(&folder).and_then(|rest| rest.strip_prefix('/'));
            let Some((digest, span)) = name.and_then(parse_part_name) else { continue };
            if digest != own || span.end() > shard.rows {
                continue;
            }
            match self.load_part(&entry.path, span) {
                Ok(Some(_)) => scan.spans.push(span),
                Ok(None) => {}
                Err(RunError::Corrupt { .. }) => {
                    if damaged == Damaged::Remove {
                        self.store().remove(&entry.path)?;
                    }
                    scan.discarded += 1;
                }
                Err(error) => return Err(error),
            }
        }
        scan.spans.sort_unstable();
        Ok(scan)
    }

    /// Merges the parts of a shard into its sidecar, writes the receipt and removes the parts. Does what is left of this when
    /// an earlier attempt, or another process, got part of the way.
    ///
    /// # Errors
    /// [`RunError::Incomplete`] lists rows that no part covers; [`RunError::Misaligned`] when the rows are not those of the
    /// inventory; [`RunError::Differs`] when a sidecar stands with other values and the signal is [`Repeatability::Exact`].
    pub fn finish_shard(&self, shard: &ShardRecord) -> RunResult<ShardReceipt> {
        let generation = self.generation(&shard.path)?;
        let receipt = match self.receipt_of(shard, generation)? {
            Some(receipt) => receipt,
            None => match self.merge(shard, generation) {
                Ok(receipt) => receipt,
                // Another process may have finished the shard and taken the parts away meanwhile.
                Err(error @ (RunError::Incomplete { .. } | RunError::Store(StoreError::NotFound { .. }))) => {
                    self.receipt_of(shard, generation)?.ok_or(error)?
                }
                Err(error) => return Err(error),
            },
        };
        self.remove_parts(&self.parts_folder(&shard.path, generation)?)?;
        Ok(receipt)
    }

    fn merge(&self, shard: &ShardRecord, generation: u64) -> RunResult<ShardReceipt> {
        let scan = self.parts(shard)?;
        let missing = scan.missing(shard.rows);
        if !missing.is_empty() {
            return Err(RunError::Incomplete {
                signal: self.record.full_name.clone(),
                shard: shard.path.clone(),
                missing,
            });
        }
        if generation > 1 {
            return self.merge_again(shard, generation, scan.spans);
        }
        let keys = [tamis_core::column::ROW, tamis_core::column::DOC_KEY];
        let inventory = self.run.read_inventory(&shard.path, SidecarColumns::Named(&keys))?;
        let mut inventory = InventoryCursor::new(&shard.path, inventory)?;
        let path = self.sidecar_path(&shard.path, generation)?;
        let mut writer = SidecarWriter::create(self.store(), &path, &self.schema(shard, &scan)?)?;
        let mut failed = BTreeMap::new();
        let mut next = 0;
        for span in scan.spans {
            if span.end() <= next {
                continue;
            }
            let (part, batches) = self.part_rows(shard, generation, span, next)?;
            for batch in batches {
                inventory.check(&part, &batch)?;
                count_failed(&batch, &mut failed);
                writer.write(&batch)?;
            }
            next = span.end();
        }
        inventory.finish(&path)?;
        let (computed, failed) = self.settle(&path, writer, failed)?;
        self.sign(shard, computed, failed, None)
    }

    /// The name of a part, and its rows from physical row `from` on.
    pub(super) fn part_rows(
        &self,
        shard: &ShardRecord,
        generation: u64,
        span: RowSpan,
        from: u64,
    ) -> RunResult<(String, Vec<RecordBatch>)> {
        let folder = self.parts_folder(&shard.path, generation)?;
        let part = format!("{folder}/{}", part_name(&self.part_digest(shard), span));
        let reader = SidecarReader::from_chunks(&part, self.store().read(&part)?, SidecarColumns::All)?;
        let batches = reader.map(|batch| Ok(from_row(&batch?, from))).collect::<RunResult<_>>()?;
        Ok((part, batches))
    }

    /// Commits the sidecar; where one stands, its digest and failures count.
    pub(super) fn settle(
        &self,
        path: &str,
        writer: SidecarWriter,
        failed: BTreeMap<String, u64>,
    ) -> RunResult<(SidecarSummary, BTreeMap<String, u64>)> {
        let (created, computed) = writer.commit()?;
        if created == Created::New {
            return Ok((computed, failed));
        }
        let stored = SidecarReader::verify(self.store(), path)?;
        self.agree(path, stored, computed)?;
        if stored == computed {
            return Ok((computed, failed));
        }
        let mut failed = BTreeMap::new();
        for batch in SidecarReader::open(self.store(), path, SidecarColumns::All)? {
            count_failed(&batch?, &mut failed);
        }
        Ok((stored, failed))
    }

    /// Writes the receipt; where one stands, it must say the same.
    pub(super) fn sign(
        &self,
        shard: &ShardRecord,
        sidecar: SidecarSummary,
        failed: BTreeMap<String, u64>,
        again: Option<AskedAgain>,
    ) -> RunResult<ShardReceipt> {
        let generation = again.as_ref().map_or(1, |again| again.generation);
        let mut input_generations = self.input_generations_of(&shard.path);
        // The one signal that is read needs no name.
        let input_generation = match self.record.inputs.is_empty() {
            true => std::mem::take(&mut input_generations).into_values().next(),
            false => None,
        };
        let receipt = ShardReceipt {
            format_version: FORMAT_VERSION,
            signal: self.record.full_name.clone(),
            fingerprint: self.record.digest.clone(),
            shard: shard.path.clone(),
            shard_digest: shard.digest.clone(),
            rows: sidecar.rows,
            failed,
            row_digest: sidecar.digest.to_string(),
            again,
            input_generation,
            input_generations,
        };
        let path = self.receipt_path(&shard.path, generation)?;
        if json::create(self.store(), &path, &receipt)? == Created::New {
            return Ok(receipt);
        }
        let stored = self.receipt_of(shard, generation)?.ok_or_else(|| RunError::Missing {
            path: path.clone(),
            what: "the receipt, which was there a moment ago,".to_owned(),
        })?;
        if stored != receipt {
            return Err(RunError::Differs { path, stored: stored.row_digest, computed: receipt.row_digest });
        }
        Ok(stored)
    }

    /// Whether rows that were computed twice may stand: equal, or not promised to be.
    fn agree(&self, path: &str, stored: SidecarSummary, computed: SidecarSummary) -> RunResult<()> {
        let tolerated =
            self.record.repeatability == Repeatability::BatchVariant && stored.rows == computed.rows;
        if stored == computed || tolerated {
            return Ok(());
        }
        Err(RunError::Differs {
            path: path.to_owned(),
            stored: stored.digest.to_string(),
            computed: computed.digest.to_string(),
        })
    }

    /// The schema of the sidecar: that of the parts, or of `signal.json` for a shard without rows.
    fn schema(&self, shard: &ShardRecord, scan: &PartScan) -> RunResult<Schema> {
        if let Some(&span) = scan.spans.first() {
            let path = format!(
                "{}/{}",
                self.parts_folder(&shard.path, 1)?,
                part_name(&self.part_digest(shard), span)
            );
            let bytes = self.store().read(&path)?;
            return Ok(SidecarReader::from_chunks(&path, bytes, SidecarColumns::All)?
                .schema()
                .as_ref()
                .clone());
        }
        let fields = self.record.schema.iter().map(|column| {
            let key = matches!(column.name.as_str(), tamis_core::column::ROW | tamis_core::column::DOC_KEY);
            let data_type = type_from_name(&column.data_type).ok_or_else(|| {
                RunError::corrupt(
                    &self.path("signal.json"),
                    format!("has a column of type `{}`", column.data_type),
                )
            })?;
            Ok(Field::new(&column.name, data_type, !key))
        });
        Ok(Schema::new(fields.collect::<RunResult<Vec<_>>>()?))
    }

    fn check_columns(&self, schema: &Schema) -> Result<(), String> {
        let got = columns_of(schema);
        if got == self.record.schema {
            return Ok(());
        }
        let list = |columns: &[super::ColumnRecord]| {
            let columns: Vec<String> =
                columns.iter().map(|column| format!("{} {}", column.name, column.data_type)).collect();
            columns.join(", ")
        };
        Err(format!("columns: expected {}, got {}", list(&self.record.schema), list(&got)))
    }

    /// Reads a part and checks every row of it; `None` when it is gone.
    fn load_part(&self, path: &str, span: RowSpan) -> RunResult<Option<SidecarSummary>> {
        let bytes = match self.store().read(path) {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let reader = SidecarReader::from_chunks(path, bytes, SidecarColumns::All)?;
        self.check_columns(reader.schema()).map_err(|problem| RunError::corrupt(path, problem))?;
        let stated = (reader.rows(), reader.digest());
        let mut digest = RowDigest::new(reader.schema());
        let (mut rows, mut next) = (0, 0);
        for batch in reader {
            let batch = batch?;
            check_rows(span, next, &batch).map_err(|problem| RunError::corrupt(path, problem))?;
            digest.update(&batch)?;
            rows += batch.num_rows() as u64;
            next = row_numbers(&batch).values().last().map_or(next, |row| row + 1);
        }
        let summary = SidecarSummary { rows, digest: digest.finish() };
        if stated != (summary.rows, summary.digest) {
            return Err(RunError::corrupt(path, "its rows are damaged"));
        }
        Ok(Some(summary))
    }

    fn remove_parts(&self, folder: &str) -> RunResult<()> {
        for entry in self.store().list(folder)? {
            let name = entry.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            if name.is_some_and(|name| !name.contains('/')) {
                self.store().remove(&entry.path)?;
            }
        }
        Ok(())
    }

    /// Removes the parts of shards that have a receipt: left behind by a process that stopped just before it would have.
    pub(super) fn sweep(&self) -> RunResult<()> {
        for generation in self.begun_generations()? {
            let root = self.generation_path(generation, ".parts");
            let mut shards = BTreeSet::new();
            for entry in self.store().list(&root)? {
                let rest = entry.path.strip_prefix(&root).and_then(|rest| rest.strip_prefix('/'));
                if let Some((shard, _)) = rest.and_then(|rest| rest.rsplit_once('/')) {
                    shards.insert(shard.to_owned());
                }
            }
            for shard in shards {
                let receipt = self.generation_path(generation, &format!("receipts/{shard}.json"));
                if self.store().exists(&receipt)? {
                    self.remove_parts(&format!("{root}/{shard}"))?;
                }
            }
        }
        Ok(())
    }
}

/// Checks that row numbers rise, from `next` on, and lie in the span.
fn check_rows(span: RowSpan, next: u64, batch: &RecordBatch) -> Result<(), String> {
    check_keyed("part", batch.schema_ref()).map_err(|error| error.to_string())?;
    if row_numbers(batch).null_count() + key_column(batch).null_count() > 0 {
        return Err("a row number or key is null".to_owned());
    }
    let mut next = next.max(span.first_row);
    for &row in row_numbers(batch).values() {
        if row < next || row >= span.end() {
            return Err(format!("row {row} is out of order or outside {span}"));
        }
        next = row + 1;
    }
    Ok(())
}

/// The rows of a batch from physical row `first` on.
fn from_row(batch: &RecordBatch, first: u64) -> RecordBatch {
    let rows = row_numbers(batch).values();
    let at = rows.partition_point(|&row| row < first);
    batch.slice(at, rows.len() - at)
}
