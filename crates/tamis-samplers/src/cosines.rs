//! Cosines of many embeddings with a fixed set of them.

use tamis_kernels::{Accumulate, Dtype, PackedMatrix, Path, Rows, RowsMut, Scratch};

/// Rows multiplied at once: bounds the memory of the results.
const ROWS: usize = 64;

/// A set of n embeddings of norm 1, packed.
#[derive(Debug)]
pub(crate) struct Cosines {
    count: usize,
    packed: Option<PackedMatrix>,
}

impl Cosines {
    /// `embeddings` is n × D.
    pub(crate) fn with(embeddings: &[f32], dimension: usize) -> Self {
        let count = embeddings.len() / dimension;
        let pack = || PackedMatrix::pack(embeddings, count, dimension, Path::detect(Dtype::F32));
        Self { count, packed: (count > 0).then(pack) }
    }

    /// Calls `each(i, cosines with the n embeddings)` for every row i of `rows` (m × D, norm 1), in order.
    pub(crate) fn each(&self, rows: &[f32], dimension: usize, mut each: impl FnMut(usize, &[f32])) {
        let Some(packed) = &self.packed else { return };
        let mut scratch = Scratch::new();
        let mut cosines = vec![0.0; ROWS * self.count];
        for (block, rows) in rows.chunks(ROWS * dimension).enumerate() {
            let cosines = &mut cosines[..rows.len() / dimension * self.count];
            let out = RowsMut::contiguous(cosines, self.count);
            packed.multiply(Rows::contiguous(rows, dimension), out, Accumulate::No, &mut scratch);
            for (i, cosines) in cosines.chunks_exact(self.count).enumerate() {
                each(block * ROWS + i, cosines);
            }
        }
    }
}
