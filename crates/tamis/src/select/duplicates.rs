//! Which of several documents with one id, or with one text, stays.
//!
//! Of equal ids the row with the smallest text digest, then raw-line digest, stays; of equal texts the one with the
//! smallest document key. Nothing depends on the names or the order of shards: rows that are equal in all of that are equal
//! byte for byte, and any one of them may stand for the others.
//!
//! Memory: 16 bytes for each document of one range of keys (at most 512 MiB; a larger corpus is gone through range by
//! range, reading one column), and about 100 bytes for each key that occurs twice.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use tamis_core::{Digest, DocKey, column};
use tamis_io::run::{RunDirectory, ShardRecord, inventory_column};
use tamis_io::sidecar::SidecarColumns;

use super::candidates::reason;
use crate::options::ExactDuplicates;
use crate::{Result, pool};

const KEYS_IN_MEMORY: u64 = 32 << 20;

/// What a group of equal documents is ordered by: the first stays. Shard and row break ties between equal bytes only.
type Rank = ([u8; 16], [u8; 16], String, u64);

/// The one that stays of each group with more than one member.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    by_key: BTreeMap<[u8; 16], Rank>,
    by_text: BTreeMap<[u8; 16], Rank>,
}

impl Duplicates {
    /// Goes through the inventories. `ids` says whether the corpus has ids; without them equal keys are equal texts.
    pub(super) fn find(
        run: &RunDirectory,
        shards: &[ShardRecord],
        ids: bool,
        texts: ExactDuplicates,
        threads: usize,
    ) -> Result<Self> {
        let mut found = Self::default();
        if ids {
            let repeated = repeated(run, shards, column::DOC_KEY, threads)?;
            let other = [inventory_column::TEXT_DIGEST, column::RAW_DIGEST];
            found.by_key = winners(run, shards, column::DOC_KEY, other, repeated, threads)?;
        }
        if texts == ExactDuplicates::One {
            let repeated = repeated(run, shards, inventory_column::TEXT_DIGEST, threads)?;
            let other = [column::DOC_KEY, column::RAW_DIGEST];
            found.by_text = winners(run, shards, inventory_column::TEXT_DIGEST, other, repeated, threads)?;
        }
        Ok(found)
    }

    /// Ids that occur more than once.
    pub(super) fn repeated_ids(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn need_digests(&self) -> bool {
        !self.by_key.is_empty() || !self.by_text.is_empty()
    }

    /// The reason for which a document gives way to another one.
    pub(super) fn loses(
        &self,
        key: DocKey,
        digests: Option<(Digest, Digest)>,
        shard: &str,
        row: u64,
    ) -> Option<&'static str> {
        let (text, raw) = digests?;
        let (key, text, raw) = (key.to_bytes(), text.to_bytes(), raw.to_bytes());
        let stays = |group: Option<&Rank>, rank: (&[u8; 16], &[u8; 16])| {
            group.is_none_or(|(a, b, first_shard, first_row)| {
                (a, b, first_shard.as_str(), *first_row) == (rank.0, rank.1, shard, row)
            })
        };
        if !stays(self.by_key.get(&key), (&text, &raw)) {
            return Some(reason::DUPLICATE_ID);
        }
        (!stays(self.by_text.get(&text), (&key, &raw))).then_some(reason::EXACT_DUPLICATE)
    }
}

fn read(
    run: &RunDirectory,
    shard: &ShardRecord,
    columns: &[&str],
    mut each: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<()> {
    for batch in run.read_inventory(&shard.path, SidecarColumns::Named(columns))? {
        each(&batch?)?;
    }
    Ok(())
}

fn bytes16(batch: &RecordBatch, name: &str, at: usize) -> [u8; 16] {
    let array = batch.column_by_name(name).expect("the column was asked for").as_fixed_size_binary();
    array.value(at).try_into().expect("16 bytes by the inventory's schema")
}

/// Values of a 16-byte column that occur more than once, sorted.
fn repeated(run: &RunDirectory, shards: &[ShardRecord], name: &str, threads: usize) -> Result<Vec<[u8; 16]>> {
    let documents: u64 = shards.iter().map(|shard| shard.documents).sum();
    let ranges = documents.div_ceil(KEYS_IN_MEMORY).max(1);
    let mut repeated = Vec::new();
    for range in 0..ranges {
        let of = |value: &[u8; 16]| {
            let prefix = u64::from_be_bytes(value[..8].try_into().expect("8 of 16 bytes"));
            (u128::from(prefix) * u128::from(ranges)) >> 64
        };
        let lists = pool::map(shards.iter().collect(), threads, |shard: &ShardRecord| {
            let mut values = Vec::new();
            read(run, shard, &[name], |batch| {
                let all = (0..batch.num_rows()).map(|at| bytes16(batch, name, at));
                values.extend(all.filter(|value| of(value) == u128::from(range)));
                Ok(())
            })?;
            Ok(values)
        })?;
        let mut values = lists.concat();
        values.sort_unstable();
        let mut last = None;
        for pair in values.windows(2).filter(|pair| pair[0] == pair[1]) {
            if last != Some(pair[0]) {
                repeated.push(pair[0]);
                last = Some(pair[0]);
            }
        }
    }
    Ok(repeated)
}

fn winners(
    run: &RunDirectory,
    shards: &[ShardRecord],
    name: &str,
    other: [&str; 2],
    repeated: Vec<[u8; 16]>,
    threads: usize,
) -> Result<BTreeMap<[u8; 16], Rank>> {
    let mut best: BTreeMap<[u8; 16], Rank> = BTreeMap::new();
    if repeated.is_empty() {
        return Ok(best);
    }
    let found = pool::map(shards.iter().collect(), threads, |shard: &ShardRecord| {
        let mut ranks = Vec::new();
        read(run, shard, &[column::ROW, name, other[0], other[1]], |batch| {
            let rows = batch.column_by_name(column::ROW).expect("the column was asked for");
            for at in 0..batch.num_rows() {
                let value = bytes16(batch, name, at);
                if repeated.binary_search(&value).is_ok() {
                    let row = rows.as_primitive::<UInt64Type>().value(at);
                    let rank = (bytes16(batch, other[0], at), bytes16(batch, other[1], at), shard.path.clone(), row);
                    ranks.push((value, rank));
                }
            }
            Ok(())
        })?;
        Ok(ranks)
    })?;
    for (value, rank) in found.into_iter().flatten() {
        match best.entry(value) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(rank);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                if rank < *entry.get() {
                    entry.insert(rank);
                }
            }
        }
    }
    Ok(best)
}
