//! Documents that are alike, and which of them stands for the others: a grouping whose members are counted and put in order.
//!
//! Of each document comes out how many there are of its kind, itself included (`copies`, from 1), where it stands among them
//! (`rank`, from 0), and the key of the one that stands first (`representative`). Nothing is decided by that: a selection by `rank`
//! up to 0 keeps one of each kind, one by `copies` what is rare, and SQL whatever it likes.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tamis_core::{Fingerprint, column, reason};
use tamis_io::run::{CorpusVersion, RunDirectory, ShardRecord, SignalDir};
use tamis_io::sidecar::SidecarColumns;

use crate::groups::{Group, Grouping, GroupingInfo, Pairs, Position, RowResults, Rows, Tile};
use crate::project::Project;
use crate::{Result, pool};

/// Documents of the kind, this one included.
pub(crate) const COPIES: &str = "copies";
/// Documents of the kind that stand before it.
pub(crate) const RANK: &str = "rank";
/// The key of the first.
pub(crate) const REPRESENTATIVE: &str = "representative";

const KEY_BYTES: usize = 16;
const RESULT_BYTES: usize = 8 + 8 + KEY_BYTES;

/// What is alike.
///
/// A payload is a member's order (`order_bytes`, the smallest stands first), its document's key (16 bytes, which decides where the
/// order does not), and what else is known of it ([`Members::tail_bytes`]).
pub(crate) trait Members: Sync {
    /// As [`Grouping::rows`].
    ///
    /// # Errors
    /// Files that cannot be read.
    fn rows<'a>(&'a self, run: &RunDirectory, shard: &ShardRecord) -> Result<Rows<'a>>;

    /// As [`Grouping::emit`]; one pair a row at most, none of a row that failed.
    ///
    /// # Errors
    /// A batch that is not what was asked for.
    fn emit(&self, first: Position, batch: &RecordBatch, pairs: &mut Pairs) -> Result<()>;

    /// Bytes of a payload before the key.
    fn order_bytes(&self) -> usize;

    /// Bytes of a payload after the key.
    fn tail_bytes(&self) -> usize;

    /// Columns of a document beside how it stands among those alike.
    fn fields(&self) -> Vec<Field> {
        Vec::new()
    }

    /// Bytes of [`Members::extra`].
    fn extra_bytes(&self) -> usize {
        0
    }

    /// What is said in these columns, by the tails of the first member and of this one.
    fn extra(&self, _first: &[u8], _own: &[u8], _out: &mut [u8]) {}

    /// The columns, from what [`Members::extra`] said; `None` for a row that failed.
    fn columns(&self, _extras: &[Option<&[u8]>]) -> Vec<ArrayRef> {
        Vec::new()
    }
}

/// The value columns, `failed` last.
pub(crate) fn schema(more: Vec<Field>) -> SchemaRef {
    let mut fields = more;
    fields.extend([
        Field::new(COPIES, DataType::UInt64, true),
        Field::new(RANK, DataType::UInt64, true),
        Field::new(REPRESENTATIVE, DataType::FixedSizeBinary(KEY_BYTES as i32), true),
        Field::new(column::FAILED, DataType::Utf8, true),
    ]);
    Arc::new(Schema::new(fields))
}

impl Project {
    /// How many documents of a finished signal are alike, as a sentence.
    ///
    /// # Errors
    /// Sidecars that cannot be read.
    pub(crate) fn describe_alike(&self, version: &CorpusVersion, signal: &SignalDir) -> Result<String> {
        let counted = pool::map(version.shards.iter().collect(), self.threads, |shard: &ShardRecord| {
            let (mut groups, mut copies, mut largest) = (0_u64, 0_u64, 0_u64);
            for batch in signal.read(shard, SidecarColumns::Named(&[COPIES, RANK]))? {
                let batch = batch?;
                let number = |name: &str| {
                    batch.column_by_name(name).expect("it was asked for").as_primitive::<UInt64Type>().clone()
                };
                for (of, rank) in number(COPIES).iter().zip(&number(RANK)) {
                    let (Some(of), Some(rank)) = (of, rank) else { continue };
                    groups += u64::from(rank == 0 && of > 1);
                    copies += u64::from(rank > 0);
                    largest = largest.max(of);
                }
            }
            Ok((groups, copies, largest))
        })?;
        let sum = |of: fn(&(u64, u64, u64)) -> u64| counted.iter().map(of).sum::<u64>();
        let (groups, copies) = (sum(|count| count.0), sum(|count| count.1));
        let largest = counted.iter().map(|count| count.2).max().unwrap_or(0);
        Ok(match groups {
            0 => "no two documents are alike".to_owned(),
            _ => format!(
                "{groups} groups of documents that are alike, {copies} documents beside the first of each; the largest has \
                 {largest}; `tamis select --by {}.{RANK} --at-most 0` keeps the first of each",
                signal.record().name
            ),
        })
    }
}

/// Documents by kind.
pub(crate) struct Alike<M> {
    members: M,
    info: GroupingInfo,
}

impl<M: Members> Alike<M> {
    /// `name` and `fingerprint` are those of the signal that is found so.
    pub(crate) fn new(name: &str, fingerprint: Fingerprint, members: M) -> Self {
        let info = GroupingInfo {
            name: name.to_owned(),
            stage: Some(format!("group {name}")),
            fingerprint,
            schema: schema(members.fields()),
            pairs_a_row: 1,
            payload_bytes: members.order_bytes() + KEY_BYTES + members.tail_bytes(),
            result_bytes: RESULT_BYTES + members.extra_bytes(),
            tile_rows: 1 << 12,
        };
        Self { members, info }
    }
}

impl<M: Members> Grouping for Alike<M> {
    fn info(&self) -> &GroupingInfo {
        &self.info
    }

    fn rows<'a>(&'a self, run: &RunDirectory, shard: &ShardRecord) -> Result<Rows<'a>> {
        self.members.rows(run, shard)
    }

    fn emit(&self, first: Position, batch: &RecordBatch, pairs: &mut Pairs) -> Result<()> {
        self.members.emit(first, batch, pairs)
    }

    fn group(&self, group: &mut Group<'_>) -> Result<()> {
        let order = self.members.order_bytes();
        let copies = group.members();
        let mut tile = Tile::default();
        let mut representative: Option<Vec<u8>> = None;
        let mut result = vec![0; self.info.result_bytes];
        let mut rank = 0_u64;
        for number in 0..group.tiles() {
            group.tile(number, &mut tile)?;
            for at in 0..tile.len() {
                let own = &tile.payload(at)[order..];
                let first = representative.get_or_insert_with(|| own.to_vec());
                result[..8].copy_from_slice(&copies.to_le_bytes());
                result[8..16].copy_from_slice(&rank.to_le_bytes());
                result[16..RESULT_BYTES].copy_from_slice(&first[..KEY_BYTES]);
                self.members.extra(&first[KEY_BYTES..], &own[KEY_BYTES..], &mut result[RESULT_BYTES..]);
                group.give(tile.place(at), &result)?;
                rank += 1;
            }
        }
        Ok(())
    }

    fn values(&self, results: &RowResults<'_>) -> Result<RecordBatch> {
        let rows = results.rows();
        let (mut copies, mut ranks) = (vec![None; rows], vec![None; rows]);
        let (mut keys, mut extras) = (vec![None; rows], vec![None; rows]);
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        for (row, result) in results.iter() {
            copies[row] = Some(word(&result[..8]));
            ranks[row] = Some(word(&result[8..16]));
            keys[row] = Some(&result[16..RESULT_BYTES]);
            extras[row] = Some(&result[RESULT_BYTES..]);
        }
        let failed: StringArray =
            copies.iter().map(|copies| copies.is_none().then_some(reason::INPUT_FAILED)).collect();
        let keys = FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys.into_iter(), KEY_BYTES as i32)
            .map_err(tamis_core::Error::from)?;
        let mut columns = self.members.columns(&extras);
        columns.extend([
            Arc::new(UInt64Array::from(copies)) as ArrayRef,
            Arc::new(UInt64Array::from(ranks)),
            Arc::new(keys),
            Arc::new(failed),
        ]);
        let batch = RecordBatch::try_new(Arc::clone(&self.info.schema), columns);
        Ok(batch.map_err(tamis_core::Error::from)?)
    }
}
