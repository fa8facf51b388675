//! Documents that are alike, and which of them stands for the others: a grouping whose members are counted and put in order.
//!
//! Of each document comes out how many there are of its kind, itself included (`copies`, from 1), where it stands among them
//! (`rank`, from 0), and the key of the one that stands first (`representative`). Nothing is decided by that: a selection by `rank`
//! up to 0 keeps one of each kind, one by `copies` what is rare, and SQL whatever it likes.

use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tamis_core::{Fingerprint, column, reason};
use tamis_io::run::{RunDirectory, ShardRecord};

use crate::Result;
use crate::groups::{Group, Grouping, GroupingInfo, Pairs, Position, RowResults, Rows, Tile};

/// Documents of the kind, this one included.
pub(crate) const COPIES: &str = "copies";
/// Documents of the kind that stand before it.
pub(crate) const RANK: &str = "rank";
/// The key of the first.
pub(crate) const REPRESENTATIVE: &str = "representative";
/// How similar it is to the first, from 0 to 1.
pub(crate) const SIMILARITY: &str = "similarity";

const KEY_BYTES: usize = 16;
const RESULT_BYTES: usize = 8 + 8 + KEY_BYTES + 8;

/// How similar two members are, by what each has in its payload.
pub(crate) type Similarity = fn(&[u8], &[u8]) -> f64;

/// What is alike.
///
/// A payload is a member's order (`order_bytes`, the smallest stands first), its document's key (16 bytes, which decides where the
/// order does not), and what [`Members::similarity`] compares.
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

    /// Compares what two members have after the key; `None`: there is no such column.
    fn similarity(&self) -> Option<Similarity>;
}

/// The value columns, `failed` last.
pub(crate) fn schema(with_similarity: bool) -> SchemaRef {
    let mut fields = vec![
        Field::new(COPIES, DataType::UInt64, true),
        Field::new(RANK, DataType::UInt64, true),
        Field::new(REPRESENTATIVE, DataType::FixedSizeBinary(KEY_BYTES as i32), true),
    ];
    fields.extend(with_similarity.then(|| Field::new(SIMILARITY, DataType::Float64, true)));
    fields.push(Field::new(column::FAILED, DataType::Utf8, true));
    Arc::new(Schema::new(fields))
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
            schema: schema(members.similarity().is_some()),
            pairs_a_row: 1,
            payload_bytes: members.order_bytes() + KEY_BYTES + members.tail_bytes(),
            result_bytes: RESULT_BYTES,
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
        let (copies, similarity) = (group.members(), self.members.similarity());
        let mut tile = Tile::default();
        let mut representative: Option<Vec<u8>> = None;
        let mut rank = 0_u64;
        for number in 0..group.tiles() {
            group.tile(number, &mut tile)?;
            for at in 0..tile.len() {
                let own = &tile.payload(at)[order..];
                let first = representative.get_or_insert_with(|| own.to_vec());
                let alike = match similarity {
                    Some(similarity) if rank > 0 => similarity(&first[KEY_BYTES..], &own[KEY_BYTES..]),
                    _ => 1.0,
                };
                let mut result = [0; RESULT_BYTES];
                result[..8].copy_from_slice(&copies.to_le_bytes());
                result[8..16].copy_from_slice(&rank.to_le_bytes());
                result[16..16 + KEY_BYTES].copy_from_slice(&first[..KEY_BYTES]);
                result[16 + KEY_BYTES..].copy_from_slice(&alike.to_le_bytes());
                group.give(tile.place(at), &result)?;
                rank += 1;
            }
        }
        Ok(())
    }

    fn values(&self, results: &RowResults<'_>) -> Result<RecordBatch> {
        let rows = results.rows();
        let (mut copies, mut ranks) = (vec![None; rows], vec![None; rows]);
        let (mut keys, mut similarities) = (vec![None; rows], vec![None; rows]);
        let word = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).expect("8 bytes");
        for (row, result) in results.iter() {
            copies[row] = Some(u64::from_le_bytes(word(&result[..8])));
            ranks[row] = Some(u64::from_le_bytes(word(&result[8..16])));
            keys[row] = Some(&result[16..16 + KEY_BYTES]);
            similarities[row] = Some(f64::from_le_bytes(word(&result[16 + KEY_BYTES..])));
        }
        let failed: StringArray =
            copies.iter().map(|copies| copies.is_none().then_some(reason::INPUT_FAILED)).collect();
        let keys = FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys.into_iter(), KEY_BYTES as i32)
            .map_err(tamis_core::Error::from)?;
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(UInt64Array::from(copies)), Arc::new(UInt64Array::from(ranks)), Arc::new(keys)];
        if self.members.similarity().is_some() {
            columns.push(Arc::new(Float64Array::from(similarities)));
        }
        columns.push(Arc::new(failed));
        let batch = RecordBatch::try_new(Arc::clone(&self.info.schema), columns);
        Ok(batch.map_err(tamis_core::Error::from)?)
    }
}
