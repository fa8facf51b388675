//! What a grouping writes and reads: pairs going in, members of a group in tiles, results coming out.

use std::ops::Range;

use tamis_io::Sorted;

use super::{GroupingInfo, KEY_BYTES, Key, PLACE_BYTES, Places, bucket_of};
use crate::Result;

/// Pairs of the rows of a batch, divided by key.
#[derive(Debug)]
pub(crate) struct Pairs {
    payload_bytes: usize,
    first: u64,
    /// Records of each part.
    parts: Vec<Vec<u8>>,
}

impl Pairs {
    pub(super) fn new(info: &GroupingInfo, parts: usize) -> Self {
        Self { payload_bytes: info.payload_bytes, first: 0, parts: vec![Vec::new(); parts] }
    }

    /// Begins a batch whose first row has this number.
    pub(super) fn begin(&mut self, first: u64) {
        self.first = first;
        self.parts.iter_mut().for_each(Vec::clear);
    }

    /// The pairs of each part, one record each.
    pub(super) fn parts(&self) -> &[Vec<u8>] {
        &self.parts
    }

    /// Adds a pair of the row at `row` of the batch.
    ///
    /// # Panics
    /// A payload of another size than was stated.
    pub(crate) fn push(&mut self, row: usize, key: &Key, payload: &[u8]) {
        assert_eq!(payload.len(), self.payload_bytes, "a payload has its stated size");
        let part = if self.parts.len() == 1 { 0 } else { bucket_of(key, self.parts.len()) };
        let records = &mut self.parts[part];
        records.reserve(KEY_BYTES + self.payload_bytes + PLACE_BYTES);
        records.extend_from_slice(key);
        records.extend_from_slice(payload);
        records.extend_from_slice(&(self.first + row as u64).to_be_bytes());
    }
}

/// A member's number over the whole corpus: whom a result is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// Some members of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tile {
    records: Vec<u8>,
    width: usize,
}

impl Tile {
    /// Number of members.
    pub(crate) fn len(&self) -> usize {
        self.records.len().checked_div(self.width).unwrap_or(0)
    }

    fn record(&self, at: usize) -> &[u8] {
        &self.records[at * self.width..][..self.width]
    }

    /// Payload of a member.
    pub(crate) fn payload(&self, at: usize) -> &[u8] {
        &self.record(at)[KEY_BYTES..self.width - PLACE_BYTES]
    }

    /// Place of a member.
    pub(crate) fn place(&self, at: usize) -> Place {
        let bytes = &self.record(at)[self.width - PLACE_BYTES..];
        Place(u64::from_be_bytes(bytes.try_into().expect("a place has 8 bytes")))
    }
}

/// The members of a key, and where their results go.
pub(crate) struct Group<'a> {
    pub(super) sorted: &'a Sorted,
    pub(super) range: Range<u64>,
    pub(super) info: &'a GroupingInfo,
    pub(super) places: &'a Places,
    /// Takes records of results.
    pub(super) out: &'a mut dyn FnMut(u64, &[u8]) -> Result<()>,
    pub(super) record: &'a mut Vec<u8>,
}

impl Group<'_> {
    /// Number of members.
    pub(crate) fn members(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Number of tiles.
    pub(crate) fn tiles(&self) -> u64 {
        self.members().div_ceil(self.info.tile_rows)
    }

    /// Reads the tile of a number below [`Group::tiles`] into `tile`: members in the order of the group, the same ones whenever
    /// it is asked for.
    ///
    /// # Errors
    /// A disk that does not give back what was written.
    ///
    /// # Panics
    /// A tile that there is not.
    pub(crate) fn tile(&self, at: u64, tile: &mut Tile) -> Result<()> {
        assert!(at < self.tiles(), "tile {at} of {}", self.tiles());
        let start = self.range.start + at * self.info.tile_rows;
        tile.records.clear();
        tile.width = self.info.pair_bytes();
        self.sorted.read(start..(start + self.info.tile_rows).min(self.range.end), &mut tile.records)?;
        Ok(())
    }

    /// Number of the shard that a member is of.
    pub(crate) fn shard(&self, place: Place) -> usize {
        self.places.shard(place.0)
    }

    /// Number of a member's row over the whole corpus, in the order of its version.
    pub(crate) fn number(&self, place: Place) -> u64 {
        place.0
    }

    /// Gives a result to the row of a member.
    ///
    /// # Errors
    /// No room for it.
    ///
    /// # Panics
    /// A result of another size than was stated.
    pub(crate) fn give(&mut self, place: Place, result: &[u8]) -> Result<()> {
        assert_eq!(result.len(), self.info.result_bytes, "a result has its stated size");
        self.record.clear();
        self.record.extend_from_slice(&place.0.to_be_bytes());
        self.record.extend_from_slice(result);
        (self.out)(place.0, self.record)
    }
}

/// Hands every group of some pairs to a grouping; `out` takes the number of a row with a record of a result of it.
pub(super) fn each(
    grouping: &dyn super::Grouping,
    places: &Places,
    sorted: &Sorted,
    mut out: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let info = grouping.info();
    let mut record = Vec::new();
    sorted.equal(KEY_BYTES, |range| {
        grouping.group(&mut Group { sorted, range, info, places, out: &mut out, record: &mut record })
    })
}
