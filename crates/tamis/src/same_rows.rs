//! Whether the rows of a shard are still those that its inventory lists.
//!
//! A shard whose time and size are as they were is taken for unchanged when a run is opened, and the digest of a Parquet shard
//! is of its footer alone. Whoever reads documents again holds them against the inventory: a score of another text than the
//! one that was listed would stand under the wrong document, without a word.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use tamis_core::{DocumentBatch, column};
use tamis_io::corpus::Shard;
use tamis_io::run::{RunError, ShardRecord};
use tamis_io::sidecar::{SidecarColumns, SidecarReader};

use crate::Result;
use crate::project::Project;

const COLUMNS: [&str; 3] = [column::ROW, column::DOC_KEY, column::RAW_DIGEST];

/// Goes through an inventory beside the documents that are read again.
pub(crate) struct SameRows {
    shard: String,
    listed: SidecarReader,
    /// Rows that come next, and which of them.
    batch: Option<RecordBatch>,
    at: usize,
    /// Rows before it are not compared.
    first: u64,
}

impl SameRows {
    /// From physical row `first` on.
    pub(crate) fn of(project: &Project, shard: &ShardRecord, first: u64) -> Result<Self> {
        let listed = project.run.read_inventory(&shard.path, SidecarColumns::Named(&COLUMNS))?;
        Ok(Self { shard: shard.path.clone(), listed, batch: None, at: 0, first })
    }

    /// Holds documents, which come in row order and without a gap, against the inventory.
    ///
    /// # Errors
    /// One that is not listed, or with other content (of Parquet: another text or id); one that is listed and missing.
    pub(crate) fn check(&mut self, documents: &DocumentBatch) -> Result<()> {
        let found = |name: &str| {
            let column = documents.as_arrow().column_by_name(name);
            column.ok_or_else(|| tamis_core::Error::MissingColumn { column: name.to_owned() })
        };
        let digests = found(column::RAW_DIGEST)?.as_fixed_size_binary();
        let keys = found(column::DOC_KEY)?.as_fixed_size_binary();
        let rows = found(column::ROW)?.as_primitive::<UInt64Type>();
        let first = self.first;
        for (at, row) in rows.values().iter().copied().enumerate().filter(|(_, row)| *row >= first) {
            if !self.matches(row, keys.value(at), digests.value(at))? {
                return Err(self.changed(row));
            }
        }
        Ok(())
    }

    /// Holds the end of the shard against the inventory.
    ///
    /// # Errors
    /// Documents that are listed and did not come.
    pub(crate) fn finish(mut self) -> Result<()> {
        match self.next_listed()? {
            None => Ok(()),
            Some(row) => Err(self.changed(row)),
        }
    }

    fn changed(&self, row: u64) -> crate::Error {
        let problem = format!(
            "shard `{}` changed since it was read: row {row} (from 0) is not the one that the inventory lists",
            self.shard
        );
        RunError::CorpusChanged { problems: vec![problem] }.into()
    }

    /// The next row that is compared, which stands at `self.at` of the batch.
    fn next_listed(&mut self) -> Result<Option<u64>> {
        loop {
            let batch = match &self.batch {
                Some(batch) if self.at < batch.num_rows() => batch,
                _ => match self.listed.next().transpose()? {
                    Some(batch) => {
                        self.at = 0;
                        self.batch.insert(batch)
                    }
                    None => return Ok(None),
                },
            };
            let rows = batch.column_by_name(column::ROW).expect("the column was asked for");
            let listed = rows.as_primitive::<UInt64Type>().value(self.at);
            if listed >= self.first {
                return Ok(Some(listed));
            }
            self.at += 1;
        }
    }

    fn matches(&mut self, row: u64, key: &[u8], digest: &[u8]) -> Result<bool> {
        let (Some(listed), Some(batch)) = (self.next_listed()?, &self.batch) else { return Ok(false) };
        let value = |name: &str| {
            let values = batch.column_by_name(name).expect("the column was asked for");
            values.as_fixed_size_binary().value(self.at)
        };
        let same = listed == row && value(column::DOC_KEY) == key && value(column::RAW_DIGEST) == digest;
        self.at += 1;
        Ok(same)
    }
}

impl Project {
    /// Holds all documents of a shard against its inventory.
    ///
    /// # Errors
    /// As [`SameRows::check`]; a shard that cannot be read to its end.
    pub(crate) fn check_same_rows(&self, listed: &ShardRecord, shard: &Shard) -> Result<()> {
        let mut same = SameRows::of(self, listed, 0)?;
        let mut reader = self.corpus.open(shard, 0)?;
        while let Some(block) = reader.next_block()? {
            same.check(&block.decode(&self.columns)?.documents)?;
        }
        same.finish()
    }
}
