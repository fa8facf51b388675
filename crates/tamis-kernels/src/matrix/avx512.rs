//! f32 products with AVX-512: blocks of up to 8 rows × 48 outputs in 24 of the 32 registers.

use super::panels::{Output, Panel, Product, panels};
use std::arch::x86_64::*;

const WIDTH: usize = 48;

/// Bytes of the left operand that are gone through for one panel: they stay in the second-level cache.
const LEFT_BYTES: usize = 512 << 10;

/// Computes a product. Called only where detection found AVX-512.
pub(super) fn product(product: Product<'_, '_>) {
    let Product { a, panels: packed, mut c, output } = product;
    let (rows, inputs, lda, stride) = (a.rows(), a.width(), a.stride(), c.stride());
    let group = (LEFT_BYTES / 4 / inputs.max(1)).max(8).next_multiple_of(8);
    for from in (0..rows).step_by(group) {
        let until = rows.min(from + group);
        for panel in panels(c.width(), WIDTH) {
            let block = &packed[panel.first * inputs..][..panel.width * inputs];
            let mut at = from;
            while at < until {
                let height = match until - at {
                    8.. => 8,
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
                // of the panel's outputs; AVX-512 was detected.
                unsafe {
                    match (height, panel.width / 16) {
                        (8, 3) => block_of::<8, 3>(&call),
                        (8, 2) => block_of::<8, 2>(&call),
                        (8, _) => block_of::<8, 1>(&call),
                        (4, 3) => block_of::<4, 3>(&call),
                        (4, 2) => block_of::<4, 2>(&call),
                        (4, _) => block_of::<4, 1>(&call),
                        (2, 3) => block_of::<2, 3>(&call),
                        (2, 2) => block_of::<2, 2>(&call),
                        (2, _) => block_of::<2, 1>(&call),
                        (_, 3) => block_of::<1, 3>(&call),
                        (_, 2) => block_of::<1, 2>(&call),
                        (_, _) => block_of::<1, 1>(&call),
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

/// `R` rows × `16 · V` outputs.
///
/// # Safety
/// The pointers cover what [`Call`] says, for `R` rows and a panel stored at width `16 · V`; the machine has AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn block_of<const R: usize, const V: usize>(call: &Call) {
    let Call { a, lda, block, inputs, c, stride, panel, output } = *call;
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
                weights[v] = _mm512_loadu_ps(block.add((k * V + v) * 16));
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
