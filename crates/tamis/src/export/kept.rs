//! Which rows of a shard a selection keeps, and how often: read from its decisions beside the inventory, as the shard goes by.
//!
//! Memory: a batch of each file, however many rows the shard has.

use std::collections::{BTreeMap, VecDeque};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, UInt32Array};
use tamis_core::{Digest, DocKey, column};
use tamis_io::run::{RunError, SelectionDir, ShardRecord, inventory_column};
use tamis_io::sidecar::{AlignedReader, SidecarColumns, zip_aligned};

use crate::project::Project;
use crate::select::REPEATS;
use crate::{Error, Result};

const SMALLEST_KEPT: &str = "smallest_kept";

/// More copies of a document than anybody trains on.
const MOST_COPIES: u32 = 10_000;

/// A row that is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptRow {
    /// Physical row of the shard.
    pub(super) row: u64,
    pub(super) key: DocKey,
    /// As the inventory has it.
    pub(super) raw_digest: Digest,
    /// Bytes of the text.
    pub(super) text_bytes: u64,
    /// At least one.
    pub(super) copies: u32,
}

/// What is kept of a selection: all that one of its targets keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'s> {
    pub(super) selection: &'s SelectionDir,
    /// What the target asked for: a row is kept whose `smallest_kept` is not larger.
    pub(super) asked: f64,
    /// Whether that is all that the selection keeps; repeats are counted for this one.
    pub(super) largest: bool,
}

/// The kept rows of one shard, in row order.
pub(super) struct KeptRows<'s> {
    kept: Kept<'s>,
    shard: String,
    rows: AlignedReader,
    ready: VecDeque<KeptRow>,
    ended: bool,
}

impl<'s> KeptRows<'s> {
    pub(super) fn of(project: &Project, kept: Kept<'s>, shard: &ShardRecord) -> Result<Self> {
        let columns = [column::ROW, column::DOC_KEY, column::RAW_DIGEST, inventory_column::BYTES];
        let inventory = project.run.read_inventory(&shard.path, SidecarColumns::Named(&columns))?;
        let decisions = kept.selection.read_decisions(&shard.path, SidecarColumns::All)?;
        let rows = zip_aligned(&shard.path, inventory, vec![decisions])?;
        Ok(Self { kept, shard: shard.path.clone(), rows, ready: VecDeque::new(), ended: false })
    }

    /// The next ones that stand before a physical row.
    pub(super) fn before(&mut self, row: u64) -> Result<Vec<KeptRow>> {
        let mut found = Vec::new();
        while self.fill()? {
            let Some(next) = self.ready.front().filter(|next| next.row < row) else { break };
            found.push(*next);
            self.ready.pop_front();
        }
        Ok(found)
    }

    /// Some that come next; `None` at the end.
    pub(super) fn next_batch(&mut self) -> Result<Option<Vec<KeptRow>>> {
        Ok(if self.fill()? { Some(self.ready.drain(..).collect()) } else { None })
    }

    /// Whether no more come.
    pub(super) fn ended(&mut self) -> Result<bool> {
        Ok(!self.fill()?)
    }

    /// Makes sure that the next one is at hand; `false` at the end.
    fn fill(&mut self) -> Result<bool> {
        while self.ready.is_empty() && !self.ended {
            let Some(batch) = self.rows.next().transpose()? else {
                self.ended = true;
                break;
            };
            let (inventory, decisions) = (&batch.inventory, &batch.sidecars[0]);
            let missing = |name: &str| tamis_core::Error::MissingColumn { column: name.to_owned() };
            let listed = |name| inventory.column_by_name(name).ok_or_else(|| missing(name));
            let numbers = listed(column::ROW)?.as_primitive::<UInt64Type>();
            let keys = listed(column::DOC_KEY)?.as_fixed_size_binary();
            let digests = listed(column::RAW_DIGEST)?.as_fixed_size_binary();
            let bytes = listed(inventory_column::BYTES)?.as_primitive::<UInt64Type>();
            let smallest = decisions
                .column_by_name(SMALLEST_KEPT)
                .and_then(|column| column.as_primitive_opt::<Float64Type>())
                .ok_or_else(|| missing(SMALLEST_KEPT))?;
            let repeats = decisions.column_by_name(REPEATS);
            let repeats: Option<&UInt32Array> = repeats
                .map(|column| column.as_primitive_opt::<UInt32Type>().ok_or_else(|| missing(REPEATS)))
                .transpose()?;
            for at in 0..inventory.num_rows() {
                if smallest.is_null(at) || smallest.value(at) > self.kept.asked {
                    continue;
                }
                let copies = repeats.filter(|repeats| repeats.is_valid(at)).map_or(1, |r| r.value(at));
                self.check(numbers.value(at), copies)?;
                if copies > 0 {
                    let sixteen = |bytes: &[u8]| bytes.try_into().expect("inventories hold 16 bytes");
                    self.ready.push_back(KeptRow {
                        row: numbers.value(at),
                        key: DocKey::from_bytes(sixteen(keys.value(at))),
                        raw_digest: Digest::from_bytes(sixteen(digests.value(at))),
                        text_bytes: bytes.value(at),
                        copies,
                    });
                }
            }
        }
        Ok(!self.ready.is_empty())
    }

    fn check(&self, row: u64, copies: u32) -> Result<()> {
        if copies > 1 && !self.kept.largest {
            let selection = &self.kept.selection.plan().name;
            return Err(Error::usage(
                format!(
                    "selection `{selection}` says for its largest target alone how often a document is kept"
                ),
                "leave --target out, or select again with this target alone",
            ));
        }
        if copies > MOST_COPIES {
            return Err(Error::state(
                format!(
                    "shard `{}`: row {row} (from 0) is kept {copies} times, more than {MOST_COPIES}",
                    self.shard
                ),
                "select again with fewer repeats",
            ));
        }
        Ok(())
    }

    /// A row that did not come as it is listed.
    pub(super) fn changed(shard: &str, row: u64) -> Error {
        let problem = format!(
            "shard `{shard}` changed since it was read: row {row} (from 0) is not the one that the inventory lists"
        );
        RunError::CorpusChanged { problems: vec![problem] }.into()
    }
}

/// Documents and bytes of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) documents: u64,
    pub(super) text_bytes: u64,
}

impl Amount {
    fn add(&mut self, other: Self) {
        self.documents += other.documents;
        self.text_bytes += other.text_bytes;
    }
}

/// What is kept in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// By how often they are kept.
    pub(super) by_copies: BTreeMap<u32, Amount>,
}

impl Survey {
    pub(super) fn add(&mut self, row: &KeptRow) {
        let amount = Amount { documents: 1, text_bytes: row.text_bytes };
        self.by_copies.entry(row.copies).or_default().add(amount);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (copies, amount) in &other.by_copies {
            self.by_copies.entry(*copies).or_default().add(*amount);
        }
    }

    /// Different documents.
    pub(super) fn documents(&self) -> u64 {
        self.by_copies.values().map(|amount| amount.documents).sum()
    }

    /// What each epoch holds: the k-th the k-th copies.
    pub(super) fn epochs(&self) -> Vec<Amount> {
        let most = self.by_copies.keys().last().copied().unwrap_or(0);
        let mut epochs = vec![Amount::default(); most as usize];
        for (copies, amount) in &self.by_copies {
            epochs.iter_mut().take(*copies as usize).for_each(|epoch| epoch.add(*amount));
        }
        epochs
    }

    /// All copies of all documents.
    pub(super) fn total(&self) -> Amount {
        let mut total = Amount::default();
        self.epochs().into_iter().for_each(|epoch| total.add(epoch));
        total
    }
}
