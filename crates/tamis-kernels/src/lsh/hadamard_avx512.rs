//! The Hadamard projection with AVX-512: sixteen items at a time, up to four levels of butterflies on registers.
//!
//! Levels are grouped differently than in the plain form, but every sum and difference is of the same two values, so the
//! bits are the same.

use crate::math::LANES;
use crate::matrix::avx512::mask_of;
use crate::matrix::transpose::transpose;
use crate::view::Rows;
use std::arch::x86_64::*;

/// After so many rows of the work one is left free, so that rows at a distance of a power of two do not compete for the same
/// places of the nearest cache.
const SKEW: usize = 32;

/// Levels that are gone through at once, at most: their sixteen rows stay in registers, which 32 would not.
const LEVELS: u32 = 4;

/// Floats that hold the work on P rows.
pub(super) fn work_len(padded: usize) -> usize {
    place(padded) * LANES
}

/// Where a row of the work begins, in rows.
fn place(row: usize) -> usize {
    row + row / SKEW
}

/// Up to sixteen items side by side; rows after their dimensions are left alone.
pub(super) fn interleave(items: Rows<'_>, source: &mut [f32]) {
    for first in (0..items.width()).step_by(LANES) {
        let shape = [items.rows(), LANES.min(items.width() - first)];
        transpose(&items.data()[first..], items.stride(), shape, &mut source[place(first) * LANES..], LANES);
    }
}

/// Where the result goes: value t of row h, scaled, to `z[h · stride + t]`, for `hashes` rows and `items` values of each.
pub(super) struct Target<'a> {
    pub(super) z: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) hashes: usize,
    pub(super) items: usize,
    pub(super) scale: f32,
}

/// Transforms `source`, P rows as [`interleave`] lays them, by as many rounds as there are P signs. `work` is as long. Called
/// only where detection found AVX-512.
///
/// # Panics
/// If P is no power of two above 1, there is no whole number of rounds, or a slice ends too early.
pub(super) fn transform(padded: usize, source: &[f32], work: &mut [f32], signs: &[u32], target: Target<'_>) {
    let Target { z, stride, hashes, items, scale } = target;
    assert!(
        padded > 1 && padded.is_power_of_two() && signs.len().is_multiple_of(padded) && !signs.is_empty()
    );
    assert!(source.len() >= work_len(padded) && work.len() >= work_len(padded));
    assert!((1..=LANES).contains(&items) && (1..=padded).contains(&hashes));
    assert!(z.len() >= (hashes - 1) * stride + items);
    let (mut from, to) = (source.as_ptr(), work.as_mut_ptr());
    let rounds = signs.len() / padded;
    for (round, signs) in signs.chunks_exact(padded).enumerate() {
        let mut half = 1;
        while half < padded {
            let rest = (padded / half).trailing_zeros();
            let levels = rest.div_ceil(rest.div_ceil(LEVELS));
            let last = round + 1 == rounds && half << levels == padded;
            let pass = Pass {
                from,
                to,
                padded,
                half,
                signs,
                z: z.as_mut_ptr(),
                stride,
                hashes,
                mask: mask_of(items),
                scale,
            };
            // SAFETY: AVX-512 was detected; rows first + r · half for r < 2^levels stay below P, for which `from` and `to`
            // have room, and there are P signs; `z` holds `hashes` rows of `items` values.
            unsafe {
                match (levels, last) {
                    (4, false) => pass.run::<16, false>(),
                    (3, false) => pass.run::<8, false>(),
                    (2, false) => pass.run::<4, false>(),
                    (_, false) => pass.run::<2, false>(),
                    (4, true) => pass.run::<16, true>(),
                    (3, true) => pass.run::<8, true>(),
                    (2, true) => pass.run::<4, true>(),
                    (_, true) => pass.run::<2, true>(),
                }
            }
            from = to.cast_const();
            half <<= levels;
        }
    }
}

/// Some levels of a round.
struct Pass<'a> {
    from: *const f32,
    to: *mut f32,
    padded: usize,
    /// The distance of rows at the first level; where it is 1, a round begins and signs are applied.
    half: usize,
    signs: &'a [u32],
    /// See [`Target`].
    z: *mut f32,
    stride: usize,
    hashes: usize,
    mask: __mmask16,
    scale: f32,
}

impl Pass<'_> {
    /// log₂ R levels, which are the last ones of all if `LAST`.
    ///
    /// # Safety
    /// The machine has AVX-512; P is a multiple of `R · half`, and if `LAST` equal to it; there are P signs; the pointers cover
    /// what [`transform`] says.
    #[target_feature(enable = "avx512f")]
    unsafe fn run<const R: usize, const LAST: bool>(&self) {
        let Self { from, to, padded, half, signs, z, stride, hashes, mask, scale } = *self;
        for group in (0..padded).step_by(R * half) {
            for first in group..group + half {
                let mut rows = [_mm512_setzero_ps(); R];
                // SAFETY: first + (R − 1) · half is below the end of the group, which is at most P.
                unsafe {
                    for r in 0..R {
                        rows[r] = _mm512_loadu_ps(from.add(place(first + r * half) * LANES));
                    }
                    if half == 1 {
                        for r in 0..R {
                            let sign = _mm512_set1_epi32(*signs.get_unchecked(first + r) as i32);
                            rows[r] =
                                _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(rows[r]), sign));
                        }
                    }
                }
                // A loop with a computed step would keep the rows in memory.
                level::<R, 1>(&mut rows);
                level::<R, 2>(&mut rows);
                level::<R, 4>(&mut rows);
                level::<R, 8>(&mut rows);
                // SAFETY: as above, and `z` has room for the first `hashes` rows.
                unsafe {
                    for r in 0..R {
                        let row = first + r * half;
                        if !LAST {
                            _mm512_storeu_ps(to.add(place(row) * LANES), rows[r]);
                        } else if row < hashes {
                            let value = _mm512_mul_ps(rows[r], _mm512_set1_ps(scale));
                            _mm512_mask_storeu_ps(z.add(row * stride), mask, value);
                        }
                    }
                }
            }
        }
    }
}

/// One level: rows r and r + STEP become their sum and difference.
#[inline]
#[target_feature(enable = "avx512f")]
fn level<const R: usize, const STEP: usize>(rows: &mut [__m512; R]) {
    if STEP >= R {
        return;
    }
    for pair in 0..R / 2 {
        let r = pair / STEP * 2 * STEP + pair % STEP;
        let (a, b) = (rows[r], rows[r + STEP]);
        rows[r] = _mm512_add_ps(a, b);
        rows[r + STEP] = _mm512_sub_ps(a, b);
    }
}
