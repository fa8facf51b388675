//! f32 products with AVX-512: blocks of up to 8 rows × 48 outputs in 24 of the 32 registers.

use super::blocks::{Block, each_block};
use super::panels::{Output, Product};
use std::arch::x86_64::*;

const WIDTH: usize = 48;

/// Computes a product. Called only where detection found AVX-512.
pub(super) fn product(product: Product<'_, '_>) {
    each_block(product, WIDTH, 8, |height, block| {
        // SAFETY: the block's pointers cover `height` rows; AVX-512 was detected.
        unsafe {
            match (height, block.panel.width / 16) {
                (8, 3) => block_of::<8, 3>(block),
                (8, 2) => block_of::<8, 2>(block),
                (8, _) => block_of::<8, 1>(block),
                (4, 3) => block_of::<4, 3>(block),
                (4, 2) => block_of::<4, 2>(block),
                (4, _) => block_of::<4, 1>(block),
                (2, 3) => block_of::<2, 3>(block),
                (2, 2) => block_of::<2, 2>(block),
                (2, _) => block_of::<2, 1>(block),
                (_, 3) => block_of::<1, 3>(block),
                (_, 2) => block_of::<1, 2>(block),
                (_, _) => block_of::<1, 1>(block),
            }
        }
    });
}

/// `R` rows × `16 · V` outputs.
///
/// # Safety
/// The block's pointers cover what [`Block`] says, for `R` rows and a panel stored at width `16 · V`; the machine has AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn block_of<const R: usize, const V: usize>(block: &Block) {
    let Block { a, lda, weights: from, inputs, c, stride, panel, output } = *block;
    let mask = |v: usize| mask_of(panel.outputs.saturating_sub(16 * v));
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    // SAFETY: the caller's promise; masked lanes beyond the panel's outputs are neither read nor written.
    unsafe {
        if output == Output::Continue {
            for r in 0..R {
                for v in 0..V {
                    sums[r][v] = _mm512_maskz_loadu_ps(mask(v), c.add(r * stride + 16 * v));
                }
            }
        }
        for k in 0..inputs {
            // Closures (`array::from_fn`) are not compiled with the function's instructions and end in calls.
            let mut weights = [_mm512_setzero_ps(); V];
            for v in 0..V {
                weights[v] = _mm512_loadu_ps(from.add((k * V + v) * 16));
            }
            for r in 0..R {
                let value = _mm512_set1_ps(*a.add(r * lda + k));
                for v in 0..V {
                    sums[r][v] = _mm512_fmadd_ps(value, weights[v], sums[r][v]);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                let to = c.add(r * stride + 16 * v);
                let sum = match output {
                    Output::Add => _mm512_add_ps(_mm512_maskz_loadu_ps(mask(v), to), sums[r][v]),
                    Output::Replace | Output::Continue => sums[r][v],
                };
                _mm512_mask_storeu_ps(to, mask(v), sum);
            }
        }
    }
}

/// The first `count` of 16 lanes.
pub(crate) fn mask_of(count: usize) -> u16 {
    if count >= 16 { 0xffff } else { (1 << count) - 1 }
}
