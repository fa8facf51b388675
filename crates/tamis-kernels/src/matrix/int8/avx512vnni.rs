//! int8 products by `vpdpbusd` on vectors of 512 bits: blocks of up to 4 rows × 48 or 8 rows × 16 outputs, four inputs a step.
//!
//! Half of the sums are those of a group, half those of the groups before it.

use super::{GROUP, OFFSET, QUADS, QuadProduct, ROUNDING, factor_and_scale, quantise_by};
use crate::matrix::avx512::mask_of;
use crate::matrix::panels::{Output, panels};
use crate::path::Path;
use std::arch::x86_64::*;

const WIDTH: usize = 48;

/// Bytes of the left operand that are gone through for one panel: they stay in the second-level cache.
const LEFT_BYTES: usize = 512 << 10;

/// Computes a product.
///
/// # Panics
/// If the operands end before the shape does, or the machine lacks the instructions.
pub(super) fn product(product: QuadProduct<'_, '_>) {
    let QuadProduct { a, row_scales, rows, quads, words, scales, starts, outputs, stride, c, output } =
        product;
    assert!(Path::Int8Avx512.is_supported(), "AVX-512-VNNI was not detected");
    let groups = quads.div_ceil(QUADS);
    let at_once = (LEFT_BYTES / 4 / quads.max(1)).max(8).next_multiple_of(8);
    for from in (0..rows).step_by(at_once) {
        let until = rows.min(from + at_once);
        for panel in panels(outputs, WIDTH) {
            let words = &words[panel.first * quads..][..panel.width * quads];
            let scales = &scales[panel.first * groups..][..panel.width * groups];
            let starts = &starts[panel.first * groups..][..panel.width * groups];
            let mut at = from;
            while at < until {
                let height = match until - at {
                    8.. if panel.width == 16 => 8,
                    4.. => 4,
                    2.. => 2,
                    _ => 1,
                };
                let call = Call {
                    a: a[at * 4 * quads..][..height * 4 * quads].as_ptr(),
                    row_scales: row_scales[at * groups..][..height * groups].as_ptr(),
                    quads,
                    words: words.as_ptr(),
                    scales: scales.as_ptr(),
                    starts: starts.as_ptr(),
                    c: c[at * stride + panel.first..][..(height - 1) * stride + panel.outputs].as_mut_ptr(),
                    stride,
                    outputs: panel.outputs,
                    output,
                };
                // SAFETY: the slices above cover `height` rows of four values a quad and of a scale a group, the panel's words,
                // scales and starts, and `height` rows of its outputs; AVX-512-VNNI was detected.
                unsafe {
                    match (height, panel.width / 16) {
                        (4, 3) => block_of::<4, 3>(&call),
                        (2, 3) => block_of::<2, 3>(&call),
                        (_, 3) => block_of::<1, 3>(&call),
                        (4, 2) => block_of::<4, 2>(&call),
                        (2, 2) => block_of::<2, 2>(&call),
                        (_, 2) => block_of::<1, 2>(&call),
                        (8, _) => block_of::<8, 1>(&call),
                        (4, _) => block_of::<4, 1>(&call),
                        (2, _) => block_of::<2, 1>(&call),
                        (_, _) => block_of::<1, 1>(&call),
                    }
                }
                at += height;
            }
        }
    }
}

/// Operands of one block: rows of `a` and of scales, back to back, the panel, and rows of `c` at distance `stride` from the
/// panel's first output.
struct Call {
    a: *const u8,
    row_scales: *const f32,
    quads: usize,
    words: *const u32,
    scales: *const f32,
    starts: *const i32,
    c: *mut f32,
    stride: usize,
    outputs: usize,
    output: Output,
}

/// `R` rows × `16 · V` outputs.
///
/// # Safety
/// The pointers cover what [`Call`] says, for `R` rows and a panel stored at width `16 · V`; the machine has AVX-512-VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn block_of<const R: usize, const V: usize>(call: &Call) {
    let Call { a, row_scales, quads, words, scales, starts, c, stride, outputs, output } = *call;
    let groups = quads.div_ceil(QUADS);
    let mut totals = [[_mm512_setzero_ps(); V]; R];
    // SAFETY: the caller's promise; masked lanes beyond the panel's outputs are neither read nor written.
    unsafe {
        for group in 0..groups {
            let mut sums = [[_mm512_setzero_si512(); V]; R];
            for v in 0..V {
                let start = _mm512_loadu_si512(starts.add((group * V + v) * 16).cast());
                for r in 0..R {
                    sums[r][v] = start;
                }
            }
            for k in group * QUADS..quads.min((group + 1) * QUADS) {
                let mut weights = [_mm512_setzero_si512(); V];
                for v in 0..V {
                    weights[v] = _mm512_loadu_si512(words.add((k * V + v) * 16).cast());
                }
                for r in 0..R {
                    let values = _mm512_set1_epi32(a.add(4 * (r * quads + k)).cast::<i32>().read_unaligned());
                    for v in 0..V {
                        sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], values, weights[v]);
                    }
                }
            }
            for v in 0..V {
                let scale = _mm512_loadu_ps(scales.add((group * V + v) * 16));
                for r in 0..R {
                    let row_scale = _mm512_set1_ps(*row_scales.add(r * groups + group));
                    let value =
                        _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][v]), scale), row_scale);
                    totals[r][v] = _mm512_add_ps(totals[r][v], value);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                let mask = mask_of(outputs.saturating_sub(16 * v));
                let to = c.add(r * stride + 16 * v);
                let total = match output {
                    Output::Add => _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), totals[r][v]),
                    Output::Replace | Output::Continue => totals[r][v],
                };
                _mm512_mask_storeu_ps(to, mask, total);
            }
        }
    }
}

/// [`quantise`](super::quantise) with a group in four registers, with the same bits.
///
/// # Panics
/// If the machine lacks the instructions.
pub(super) fn quantise(values: &[f32], out: &mut [u8], scales: &mut [f32]) {
    assert!(Path::Int8Avx512.is_supported(), "AVX-512-VNNI was not detected");
    // SAFETY: the instructions were detected.
    unsafe { quantise_row(values, out, scales) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn quantise_row(values: &[f32], out: &mut [u8], scales: &mut [f32]) {
    quantise_by(|values, out| rotate_group(values, out), values, out, scales);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn rotate_group(values: &[f32; GROUP], out: &mut [u8; GROUP]) -> f32 {
    let mut rows = [_mm512_setzero_ps(); 4];
    for r in 0..4 {
        // SAFETY: sixteen of the 64 values.
        let mut row = unsafe { _mm512_loadu_ps(values.as_ptr().add(16 * r)) };
        // Sums where the bit of the distance is clear, else differences.
        let other = _mm512_permute_ps::<0xb1>(row);
        row = _mm512_mask_sub_ps(_mm512_add_ps(row, other), 0xaaaa, other, row);
        let other = _mm512_permute_ps::<0x4e>(row);
        row = _mm512_mask_sub_ps(_mm512_add_ps(row, other), 0xcccc, other, row);
        let other = _mm512_shuffle_f32x4::<0xb1>(row, row);
        row = _mm512_mask_sub_ps(_mm512_add_ps(row, other), 0xf0f0, other, row);
        let other = _mm512_shuffle_f32x4::<0x4e>(row, row);
        rows[r] = _mm512_mask_sub_ps(_mm512_add_ps(row, other), 0xff00, other, row);
    }
    let [a, b, c, d] = rows;
    let (a, b, c, d) = (_mm512_add_ps(a, b), _mm512_sub_ps(a, b), _mm512_add_ps(c, d), _mm512_sub_ps(c, d));
    let rows = [_mm512_add_ps(a, c), _mm512_add_ps(b, d), _mm512_sub_ps(a, c), _mm512_sub_ps(b, d)];
    let mut largest = _mm512_setzero_si512();
    for row in rows {
        largest = _mm512_max_epu32(largest, _mm512_castps_si512(_mm512_abs_ps(row)));
    }
    let (factor, scale) = factor_and_scale(_mm512_reduce_max_epu32(largest));
    for r in 0..4 {
        let rounded = _mm512_add_ps(_mm512_mul_ps(rows[r], _mm512_set1_ps(factor)), _mm512_set1_ps(ROUNDING));
        let integers = _mm512_cvtepi32_epi8(_mm512_castps_si512(rounded));
        let integers = _mm_xor_si128(integers, _mm_set1_epi8(OFFSET.cast_signed()));
        // SAFETY: sixteen of the 64 integers.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().add(16 * r).cast(), integers) };
    }
    scale
}
