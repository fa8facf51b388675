//! The rounds of signs and transform with AVX-512: five levels of butterflies on 32 registers at a time.
//!
//! Levels are grouped differently than in the plain form, but every sum and difference is of the same two values, so the
//! bits are the same.

use crate::math::LANES;
use std::arch::x86_64::*;

/// Transforms `work` (P rows of 16 lanes) by as many rounds as there are P signs. Called only where detection found
/// AVX-512.
///
/// # Panics
/// If P is no power of two, or `signs` no whole number of rounds.
pub(super) fn transform(work: &mut [f32], signs: &[u32]) {
    let padded = work.len() / LANES;
    assert!(padded.is_power_of_two() && work.len() == padded * LANES && signs.len().is_multiple_of(padded));
    for signs in signs.chunks_exact(padded) {
        let mut half = 1;
        while half < padded {
            let levels = (padded / half).trailing_zeros().min(5);
            // SAFETY: AVX-512 was detected; rows first + r · half for r < 2^levels stay below P, and there are P signs.
            unsafe {
                match levels {
                    5 => pass::<32>(work, half, signs),
                    4 => pass::<16>(work, half, signs),
                    3 => pass::<8>(work, half, signs),
                    2 => pass::<4>(work, half, signs),
                    _ => pass::<2>(work, half, signs),
                }
            }
            half <<= levels;
        }
        if padded == 1 {
            for value in work.iter_mut() {
                *value = f32::from_bits(value.to_bits() ^ signs[0]);
            }
        }
    }
}

/// log₂ R levels, the first between rows `half` apart; signs are applied where `half` is 1, the beginning of a round.
///
/// # Safety
/// The machine has AVX-512; `work` has a multiple of `R · half` rows, `signs` as many values as `work` has rows.
#[target_feature(enable = "avx512f")]
unsafe fn pass<const R: usize>(work: &mut [f32], half: usize, signs: &[u32]) {
    let padded = work.len() / LANES;
    let base = work.as_mut_ptr();
    let mut group = 0;
    while group < padded {
        for first in group..group + half {
            let mut rows = [_mm512_setzero_ps(); R];
            // SAFETY: first + (R − 1) · half is below the end of the group, which is at most P.
            unsafe {
                for r in 0..R {
                    rows[r] = _mm512_loadu_ps(base.add((first + r * half) * LANES));
                }
                if half == 1 {
                    for r in 0..R {
                        let sign = _mm512_set1_epi32(*signs.get_unchecked(first + r) as i32);
                        rows[r] = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(rows[r]), sign));
                    }
                }
            }
            // A loop with a computed step would keep the rows in memory.
            if R > 1 {
                level::<R, 1>(&mut rows);
            }
            if R > 2 {
                level::<R, 2>(&mut rows);
            }
            if R > 4 {
                level::<R, 4>(&mut rows);
            }
            if R > 8 {
                level::<R, 8>(&mut rows);
            }
            if R > 16 {
                level::<R, 16>(&mut rows);
            }
            // SAFETY: as above.
            unsafe {
                for r in 0..R {
                    _mm512_storeu_ps(base.add((first + r * half) * LANES), rows[r]);
                }
            }
        }
        group += R * half;
    }
}

/// One level: rows r and r + STEP become their sum and difference.
#[inline]
#[target_feature(enable = "avx512f")]
fn level<const R: usize, const STEP: usize>(rows: &mut [__m512; R]) {
    for r in 0..R {
        if r & STEP == 0 && r + STEP < R {
            let (a, b) = (rows[r], rows[r + STEP]);
            rows[r] = _mm512_add_ps(a, b);
            rows[r + STEP] = _mm512_sub_ps(a, b);
        }
    }
}
