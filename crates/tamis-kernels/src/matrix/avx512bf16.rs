//! bf16 products by `vdpbf16ps`: blocks of up to 8 rows × 48 outputs, two inputs a step.
//!
//! The instruction flushes subnormal operands and results to zero and rounds to nearest even whatever the mode bits.

use super::avx512::mask_of;
use super::panels::{Output, PairProduct, Panel, panels};
use std::arch::x86_64::*;

const WIDTH: usize = 48;

/// Bytes of the left operand that are gone through for one panel: they stay in the second-level cache.
const LEFT_BYTES: usize = 512 << 10;

/// Computes a product. Called only where detection found AVX-512-BF16.
pub(super) fn product(product: PairProduct<'_, '_>) {
    let PairProduct { a, rows, pairs, panels: packed, outputs, stride, c, output } = product;
    let group = (LEFT_BYTES / 4 / pairs.max(1)).max(8).next_multiple_of(8);
    for from in (0..rows).step_by(group) {
        let until = rows.min(from + group);
        for panel in panels(outputs, WIDTH) {
            let block = &packed[panel.first * pairs..][..panel.width * pairs];
            let mut at = from;
            while at < until {
                let height = match until - at {
                    8.. => 8,
                    4.. => 4,
                    2.. => 2,
                    _ => 1,
                };
                let a = &a[at * 2 * pairs..][..height * 2 * pairs];
                let c = &mut c[at * stride + panel.first..][..(height - 1) * stride + panel.outputs];
                let call = Call {
                    a: a.as_ptr(),
                    block: block.as_ptr(),
                    pairs,
                    c: c.as_mut_ptr(),
                    stride,
                    panel,
                    output,
                };
                // SAFETY: the slices above cover `height` rows of `pairs` pairs, the panel's block, and `height` rows
                // of the panel's outputs; AVX-512-BF16 was
                // detected.
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

/// Operands of one block: rows of `a` back to back, rows of `c` at distance `stride`, from the panel's first output.
struct Call {
    a: *const u16,
    block: *const u32,
    pairs: usize,
    c: *mut f32,
    stride: usize,
    panel: Panel,
    output: Output,
}

/// `R` rows × `16 · V` outputs.
///
/// # Safety
/// The pointers cover what [`Call`] says, for `R` rows and a panel stored at width `16 · V`; the machine has
/// AVX-512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn block_of<const R: usize, const V: usize>(call: &Call) {
    let Call { a, block, pairs, c, stride, panel, output } = *call;
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
        for k in 0..pairs {
            let mut weights = [as_bf16(_mm512_setzero_si512()); V];
            for v in 0..V {
                weights[v] = as_bf16(_mm512_loadu_si512(block.add((k * V + v) * 16).cast()));
            }
            for r in 0..R {
                let pair =
                    as_bf16(_mm512_set1_epi32(a.add(2 * (r * pairs + k)).cast::<i32>().read_unaligned()));
                for v in 0..V {
                    sums[r][v] = _mm512_dpbf16_ps(sums[r][v], pair, weights[v]);
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

/// The same bits as 32 numbers.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn as_bf16(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes without invalid bit patterns.
    unsafe { std::mem::transmute(bits) }
}
