//! int8 products by `vpdpbusd` on vectors of 256 bits: blocks of up to 3 rows × 16 outputs, four inputs a step.

use super::{QUADS, QuadProduct};
use crate::matrix::panels::{Output, PORTABLE_WIDTH, panels};
use crate::path::Path;
use std::arch::x86_64::*;

/// Rows of a block.
const HEIGHT: usize = 3;

/// Computes a product.
///
/// # Panics
/// If the operands end before the shape does, or the machine lacks the instructions.
pub(super) fn product(product: QuadProduct<'_, '_>) {
    let QuadProduct { a, row_scales, rows, quads, words, scales, starts, outputs, stride, c, output } =
        product;
    assert!(Path::Int8AvxVnni.is_supported(), "AVX-VNNI was not detected");
    let groups = quads.div_ceil(QUADS);
    for panel in panels(outputs, PORTABLE_WIDTH) {
        let words = &words[panel.first * quads..][..PORTABLE_WIDTH * quads];
        let scales = &scales[panel.first * groups..][..PORTABLE_WIDTH * groups];
        let starts = &starts[panel.first * groups..][..PORTABLE_WIDTH * groups];
        let mut at = 0;
        while at < rows {
            let height = if at + HEIGHT <= rows { HEIGHT } else { 1 };
            let call = Call {
                a: a[at * 4 * quads..][..height * 4 * quads].as_ptr(),
                row_scales: row_scales[at * groups..][..height * groups].as_ptr(),
                quads,
                words: words.as_ptr(),
                scales: scales.as_ptr(),
                starts: starts.as_ptr(),
            };
            let mut totals = [[0.0; PORTABLE_WIDTH]; HEIGHT];
            // SAFETY: the slices above cover `height` rows of four values a quad and of a scale a group, and the panel's
            // words, scales and starts; AVX-VNNI was detected.
            unsafe {
                if height == HEIGHT {
                    block_of::<HEIGHT>(&call, &mut totals);
                } else {
                    block_of::<1>(&call, &mut totals);
                }
            }
            for (r, totals) in totals[..height].iter().enumerate() {
                let c = &mut c[(at + r) * stride + panel.first..][..panel.outputs];
                for (c, total) in c.iter_mut().zip(totals) {
                    *c = if output == Output::Add { *c + total } else { *total };
                }
            }
            at += height;
        }
    }
}

/// Operands of one block: rows of `a` and of scales, back to back, and the panel.
struct Call {
    a: *const u8,
    row_scales: *const f32,
    quads: usize,
    words: *const u32,
    scales: *const f32,
    starts: *const i32,
}

/// `R` rows × 16 outputs.
///
/// # Safety
/// The pointers cover what [`Call`] says, for `R` rows; the machine has AVX-VNNI.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn block_of<const R: usize>(call: &Call, out: &mut [[f32; PORTABLE_WIDTH]; HEIGHT]) {
    let Call { a, row_scales, quads, words, scales, starts } = *call;
    let groups = quads.div_ceil(QUADS);
    let mut totals = [[_mm256_setzero_ps(); 2]; R];
    // SAFETY: the caller's promise.
    unsafe {
        for group in 0..groups {
            let mut sums = [[_mm256_setzero_si256(); 2]; R];
            for v in 0..2 {
                let start = _mm256_loadu_si256(starts.add(group * 16 + 8 * v).cast());
                for r in 0..R {
                    sums[r][v] = start;
                }
            }
            for k in group * QUADS..quads.min((group + 1) * QUADS) {
                let low = _mm256_loadu_si256(words.add(16 * k).cast());
                let high = _mm256_loadu_si256(words.add(16 * k + 8).cast());
                for r in 0..R {
                    let values = _mm256_set1_epi32(a.add(4 * (r * quads + k)).cast::<i32>().read_unaligned());
                    sums[r][0] = _mm256_dpbusd_avx_epi32(sums[r][0], values, low);
                    sums[r][1] = _mm256_dpbusd_avx_epi32(sums[r][1], values, high);
                }
            }
            for v in 0..2 {
                let scale = _mm256_loadu_ps(scales.add(group * 16 + 8 * v));
                for r in 0..R {
                    let row_scale = _mm256_set1_ps(*row_scales.add(r * groups + group));
                    let value =
                        _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[r][v]), scale), row_scale);
                    totals[r][v] = _mm256_add_ps(totals[r][v], value);
                }
            }
        }
        for r in 0..R {
            _mm256_storeu_ps(out[r].as_mut_ptr(), totals[r][0]);
            _mm256_storeu_ps(out[r].as_mut_ptr().add(8), totals[r][1]);
        }
    }
}
