//! The walk over an f32 product that the vector kernels share: groups of rows, panels, and blocks of a few rows of a panel.

use super::panels::{Output, Panel, Product, panels};

/// Bytes of the left operand that are gone through for one panel: they stay in the second-level cache.
const LEFT_BYTES: usize = 512 << 10;

/// Operands of one block: rows of `a` at distance `lda`, rows of `c` at distance `stride`, from the panel's first output.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) a: *const f32,
    pub(super) lda: usize,
    /// The panel's weights.
    pub(super) weights: *const f32,
    pub(super) inputs: usize,
    pub(super) c: *mut f32,
    pub(super) stride: usize,
    pub(super) panel: Panel,
    pub(super) output: Output,
}

/// Calls `compute(rows, block)` for all blocks of a product whose panels are `width` outputs wide: blocks of `tallest` rows, then of
/// 4, 2 and 1. The pointers of a block cover that many rows of `a` and of the panel's outputs in `c`, and the panel's weights.
#[inline(always)]
pub(super) fn each_block(
    product: Product<'_, '_>,
    width: usize,
    tallest: usize,
    mut compute: impl FnMut(usize, &Block),
) {
    let Product { a, panels: packed, mut c, output } = product;
    let (rows, inputs, lda, stride) = (a.rows(), a.width(), a.stride(), c.stride());
    let group = (LEFT_BYTES / 4 / inputs.max(1)).max(tallest).next_multiple_of(tallest);
    for from in (0..rows).step_by(group) {
        let until = rows.min(from + group);
        for panel in panels(c.width(), width) {
            let weights = &packed[panel.first * inputs..][..panel.width * inputs];
            let mut at = from;
            while at < until {
                let height = match until - at {
                    left if left >= tallest => tallest,
                    4.. => 4,
                    2.. => 2,
                    _ => 1,
                };
                let a = &a.data()[at * lda..][..(height - 1) * lda + inputs];
                let c = &mut c.data()[at * stride + panel.first..][..(height - 1) * stride + panel.outputs];
                let (a, weights, c) = (a.as_ptr(), weights.as_ptr(), c.as_mut_ptr());
                compute(height, &Block { a, lda, weights, inputs, c, stride, panel, output });
                at += height;
            }
        }
    }
}
