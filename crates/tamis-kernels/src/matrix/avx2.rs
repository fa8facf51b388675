//! f32 products with AVX2 and FMA: blocks of up to 6 rows × 16 outputs in 12 of the 16 registers.

use super::blocks::{Block, each_block};
use super::panels::{Output, Product};
use std::arch::x86_64::*;

const WIDTH: usize = 16;

/// Computes a product. Called only where detection found AVX2 and FMA.
pub(super) fn product(product: Product<'_, '_>) {
    each_block(product, WIDTH, 6, |height, block| {
        // SAFETY: the block's pointers cover `height` rows, and every panel is 16 outputs wide; AVX2 and FMA was detected.
        unsafe {
            match height {
                6 => block_of::<6>(block),
                4 => block_of::<4>(block),
                2 => block_of::<2>(block),
                _ => block_of::<1>(block),
            }
        }
    });
}

/// `R` rows × 16 outputs.
///
/// # Safety
/// The block's pointers cover what [`Block`] says, for `R` rows and a panel stored at width 16; the machine has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn block_of<const R: usize>(block: &Block) {
    let Block { a, lda, weights: from, inputs, c, stride, panel, output } = *block;
    // Rows of fewer than 16 outputs go through this buffer.
    let mut edge = [0.0_f32; WIDTH];
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    // SAFETY: the caller's promise; only the panel's outputs are read from and written to `c`.
    unsafe {
        if output == Output::Continue {
            for r in 0..R {
                std::ptr::copy_nonoverlapping(c.add(r * stride), edge.as_mut_ptr(), panel.outputs);
                sums[r] = [_mm256_loadu_ps(edge.as_ptr()), _mm256_loadu_ps(edge.as_ptr().add(8))];
            }
        }
        for k in 0..inputs {
            let weights = [_mm256_loadu_ps(from.add(k * WIDTH)), _mm256_loadu_ps(from.add(k * WIDTH + 8))];
            for r in 0..R {
                let value = _mm256_set1_ps(*a.add(r * lda + k));
                for v in 0..2 {
                    sums[r][v] = _mm256_fmadd_ps(value, weights[v], sums[r][v]);
                }
            }
        }
        for r in 0..R {
            let to = c.add(r * stride);
            let mut sum = sums[r];
            if output == Output::Add {
                std::ptr::copy_nonoverlapping(to, edge.as_mut_ptr(), panel.outputs);
                sum = [
                    _mm256_add_ps(_mm256_loadu_ps(edge.as_ptr()), sum[0]),
                    _mm256_add_ps(_mm256_loadu_ps(edge.as_ptr().add(8)), sum[1]),
                ];
            }
            if panel.outputs == WIDTH {
                _mm256_storeu_ps(to, sum[0]);
                _mm256_storeu_ps(to.add(8), sum[1]);
            } else {
                _mm256_storeu_ps(edge.as_mut_ptr(), sum[0]);
                _mm256_storeu_ps(edge.as_mut_ptr().add(8), sum[1]);
                std::ptr::copy_nonoverlapping(edge.as_ptr(), to, panel.outputs);
            }
        }
    }
}
