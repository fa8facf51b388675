//! f32 products with NEON: blocks of up to 6 rows × 16 outputs in 24 of the 32 registers.
//!
//! Not timed. Its inner loop has 1.4 instructions for each fused multiply-add of four values, that of the plain kernel 1.75 (counted in
//! what rustc 1.96 makes of them).

use super::blocks::{Block, each_block};
use super::panels::{Output, Product};
use std::arch::aarch64::*;

/// Outputs per panel.
pub(super) const WIDTH: usize = 16;

/// Computes a product. NEON is part of every 64-bit ARM.
pub(super) fn product(product: Product<'_, '_>) {
    each_block(product, WIDTH, 6, |height, block| {
        // SAFETY: the block's pointers cover `height` rows, and every panel is 16 outputs wide.
        unsafe {
            match height {
                6 => compute::<6>(block),
                4 => compute::<4>(block),
                2 => compute::<2>(block),
                _ => compute::<1>(block),
            }
        }
    });
}

/// `R` rows × 16 outputs.
///
/// # Safety
/// The block's pointers cover what [`Block`] says, for `R` rows and a panel stored at width 16.
#[target_feature(enable = "neon")]
unsafe fn compute<const R: usize>(block: &Block) {
    const VECTORS: usize = WIDTH / 4;
    let Block { a, lda, weights, inputs, c, stride, panel, output } = *block;
    let mut sums = [[vdupq_n_f32(0.0); VECTORS]; R];
    // Rows of fewer than 16 outputs go through this buffer.
    let mut edge = [0.0_f32; WIDTH];
    // SAFETY: the caller's promise; only the panel's outputs are read from and written to `c`.
    unsafe {
        if output == Output::Continue {
            for r in 0..R {
                std::ptr::copy_nonoverlapping(c.add(r * stride), edge.as_mut_ptr(), panel.outputs);
                for v in 0..VECTORS {
                    sums[r][v] = vld1q_f32(edge.as_ptr().add(4 * v));
                }
            }
        }
        for k in 0..inputs {
            let mut row = [vdupq_n_f32(0.0); VECTORS];
            for v in 0..VECTORS {
                row[v] = vld1q_f32(weights.add(k * WIDTH + 4 * v));
            }
            for r in 0..R {
                let value = *a.add(r * lda + k);
                for v in 0..VECTORS {
                    sums[r][v] = vfmaq_n_f32(sums[r][v], row[v], value);
                }
            }
        }
        for r in 0..R {
            let to = c.add(r * stride);
            if output == Output::Add {
                std::ptr::copy_nonoverlapping(to, edge.as_mut_ptr(), panel.outputs);
                for v in 0..VECTORS {
                    sums[r][v] = vaddq_f32(vld1q_f32(edge.as_ptr().add(4 * v)), sums[r][v]);
                }
            }
            for v in 0..VECTORS {
                vst1q_f32(edge.as_mut_ptr().add(4 * v), sums[r][v]);
            }
            std::ptr::copy_nonoverlapping(edge.as_ptr(), to, panel.outputs);
        }
    }
}
