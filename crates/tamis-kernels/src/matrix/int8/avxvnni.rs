//! int8 products by `vpdpbusd` on vectors of 256 bits: blocks of up to 6 rows × 16 outputs in 12 of the 16 registers.

use super::QuadProduct;
use crate::matrix::panels::{Output, PORTABLE_WIDTH, panels};
use crate::path::Path;
use std::arch::x86_64::*;

/// Rows of a block.
const HEIGHT: usize = 6;

/// Computes a product.
///
/// # Panics
/// If the operands end before the shape does, or the machine lacks the instructions.
pub(super) fn product(product: QuadProduct<'_, '_>) {
    let QuadProduct { a, row_scales, quads, words, scales, starts, stride, c, output } = product;
    assert!(Path::Int8AvxVnni.is_supported(), "AVX-VNNI was not detected");
    for panel in panels(scales.len(), PORTABLE_WIDTH) {
        let block = &words[panel.first * quads..][..PORTABLE_WIDTH * quads];
        let mut padded = [0; PORTABLE_WIDTH];
        padded[..panel.outputs].copy_from_slice(&starts[panel.first..][..panel.outputs]);
        let mut at = 0;
        while at < row_scales.len() {
            let height = if at + HEIGHT <= row_scales.len() { HEIGHT } else { 1 };
            let a = &a[at * 4 * quads..][..height * 4 * quads];
            let mut sums = [[0; PORTABLE_WIDTH]; HEIGHT];
            // SAFETY: the slices cover `height` rows of four values a quad, and sixteen words a quad; AVX-VNNI was detected.
            unsafe {
                if height == HEIGHT {
                    block_of::<HEIGHT>(a.as_ptr(), block.as_ptr(), quads, &padded, &mut sums);
                } else {
                    block_of::<1>(a.as_ptr(), block.as_ptr(), quads, &padded, &mut sums);
                }
            }
            for (r, sums) in sums[..height].iter().enumerate() {
                let c = &mut c[(at + r) * stride + panel.first..][..panel.outputs];
                for (j, c) in c.iter_mut().enumerate() {
                    let value = sums[j] as f32 * row_scales[at + r] * scales[panel.first + j];
                    *c = if output == Output::Add { *c + value } else { value };
                }
            }
            at += height;
        }
    }
}

/// Sums of `R` rows × 16 outputs.
///
/// # Safety
/// `a` has `R` rows of four values a quad, `block` sixteen words a quad; the machine has AVX-VNNI.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn block_of<const R: usize>(
    a: *const u8,
    block: *const u32,
    quads: usize,
    starts: &[i32; PORTABLE_WIDTH],
    out: &mut [[i32; PORTABLE_WIDTH]; HEIGHT],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let halves =
            [_mm256_loadu_si256(starts.as_ptr().cast()), _mm256_loadu_si256(starts.as_ptr().add(8).cast())];
        let mut sums = [halves; R];
        for k in 0..quads {
            let low = _mm256_loadu_si256(block.add(16 * k).cast());
            let high = _mm256_loadu_si256(block.add(16 * k + 8).cast());
            for r in 0..R {
                let values = _mm256_set1_epi32(a.add(4 * (r * quads + k)).cast::<i32>().read_unaligned());
                sums[r][0] = _mm256_dpbusd_avx_epi32(sums[r][0], values, low);
                sums[r][1] = _mm256_dpbusd_avx_epi32(sums[r][1], values, high);
            }
        }
        for r in 0..R {
            _mm256_storeu_si256(out[r].as_mut_ptr().cast(), sums[r][0]);
            _mm256_storeu_si256(out[r].as_mut_ptr().add(8).cast(), sums[r][1]);
        }
    }
}
