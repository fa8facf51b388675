//! Where files end: decided from the sizes of documents in order, before any is written, so that files can be written by several threads,
//! and an export that was stopped writes those alone that are missing.

use tamis_io::Scattered;

use super::order::Head;
use crate::Result;

/// A place in the order: a bucket, and how many of its records are before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bucket: usize,
    pub(super) at: usize,
}

/// What one file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: Place,
    /// Copies of documents.
    pub(super) documents: u64,
    /// Sum of their sizes.
    pub(super) size: u64,
}

/// Cuts all records, in order, into pieces of a size at most; a record that is larger is a piece of its own, and none is divided.
pub(super) fn cut(scattered: &Scattered, most: u64) -> Result<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    for bucket in 0..scattered.buckets() {
        let entries = scattered.entries(bucket)?;
        for at in 0..entries.len() {
            let size = Head::decode(entries.get(at).head).size;
            match pieces.last_mut().filter(|piece| piece.size.saturating_add(size) <= most) {
                Some(piece) => {
                    piece.documents += 1;
                    piece.size += size;
                }
                None => pieces.push(Piece { first: Place { bucket, at }, documents: 1, size }),
            }
        }
    }
    Ok(pieces)
}
