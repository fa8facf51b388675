//! What encoders share: sequences in packs, one pooled row for each.

use super::Sink;
use super::blocks::Blocks;
use super::pack::{Limits, Pack, split};
use crate::error::Result;

/// Hands the pooled row of each sequence, of `dimension` numbers, to `sink`.
pub(super) fn embed<B: Blocks>(
    blocks: &B,
    limits: &Limits,
    dimension: usize,
    sequences: &[&[u32]],
    pooled: impl Fn(&Pack) -> Result<B::Rows>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    limits.check(sequences, 0)?;
    for part in split(sequences) {
        let rows = pooled(&Pack::new(&sequences[part.clone()], 0))?;
        blocks.read(&rows, &mut |values| {
            for (sequence, row) in part.clone().zip(values.chunks_exact(dimension)) {
                sink(sequence, row);
            }
        })?;
    }
    Ok(())
}
