//! f32 products with AVX2 and FMA: blocks of up to 6 rows × 16 outputs in 12 of the 16 registers.

use super::panels::{Output, Panel, Product, panels};
use std::arch::x86_64::*;

const WIDTH: usize = 16;

/// Bytes of the left operand that are gone through for one panel: they stay in the second-level cache.
const LEFT_BYTES: usize = 512 << 10;

/// Computes a product. Called only where detection found AVX2 and FMA.
pub(super) fn product(product: Product<'_, '_>) {
    let Product { a, panels: packed, mut c, output } = product;
    let (rows, inputs, lda, stride) = (a.rows(), a.width(), a.stride(), c.stride());
    let group = (LEFT_BYTES / 4 / inputs.max(1)).max(6).next_multiple_of(6);
    for from in (0..rows).step_by(group) {
        let until = rows.min(from + group);
        for panel in panels(c.width(), WIDTH) {
            let block = &packed[panel.first * inputs..][..panel.width * inputs];
            let mut at = from;
            while at < until {
                let height = match until - at {
                    6.. => 6,
                    4.. => 4,
                    2.. => 2,
                    _ => 1,
                };
                let a = &a.data()[at * lda..][..(height - 1) * lda + inputs];
                let c = &mut c.data()[at * stride + panel.first..][..(height - 1) * stride + panel.outputs];
                let call = Call {
                    a: a.as_ptr(),
                    lda,
                    block: block.as_ptr(),
                    inputs,
                    c: c.as_mut_ptr(),
                    stride,
                    panel,
                    output,
                };
                // SAFETY: the slices above cover `height` rows of `inputs` values, the panel's block, and `height` rows
                // of the panel's outputs; AVX2 and FMA was detected.
                unsafe {
                    match height {
                        6 => block_of::<6>(&call),
                        4 => block_of::<4>(&call),
                        2 => block_of::<2>(&call),
                        _ => block_of::<1>(&call),
                    }
                }
                at += height;
            }
        }
    }
}

/// Operands of one block: rows of `a` at distance `lda`, rows of `c` at distance `stride`, from the panel's first output.
struct Call {
    a: *const f32,
    lda: usize,
    block: *const f32,
    inputs: usize,
    c: *mut f32,
    stride: usize,
    panel: Panel,
    output: Output,
}

/// `R` rows × 16 outputs.
///
/// # Safety
/// The pointers cover what [`Call`] says, for `R` rows and a panel stored at width 16; the machine has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn block_of<const R: usize>(call: &Call) {
    let Call { a, lda, block, inputs, c, stride, panel, output } = *call;
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
            let weights = [_mm256_loadu_ps(block.add(k * WIDTH)), _mm256_loadu_ps(block.add(k * WIDTH + 8))];
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
