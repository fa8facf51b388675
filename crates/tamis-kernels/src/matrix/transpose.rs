//! Transposing with AVX-512, sixteen by sixteen.

use super::avx512::mask_of;
use std::arch::x86_64::*;

/// The side of a block.
pub(crate) const SIDE: usize = 16;

/// Writes `from`, up to 16 rows that are `stride` apart and up to 16 columns, as `columns` rows of 16 values that are `to_stride`
/// apart, with zeros for rows that are not there. Called only where detection found AVX-512.
///
/// # Panics
/// If there are more rows or columns, or one of the slices ends too early.
pub(crate) fn transpose(
    from: &[f32],
    stride: usize,
    [rows, columns]: [usize; 2],
    to: &mut [f32],
    to_stride: usize,
) {
    assert!((1..=SIDE).contains(&rows) && (1..=SIDE).contains(&columns), "a block of {rows} × {columns}");
    assert!(from.len() >= (rows - 1) * stride + columns, "all rows are there");
    assert!(to.len() >= (columns - 1) * to_stride + SIDE, "all columns have a place");
    // SAFETY: the assertions above; AVX-512 was detected.
    unsafe { transpose_block(from.as_ptr(), stride, [rows, columns], to.as_mut_ptr(), to_stride) }
}

/// # Safety
/// What [`transpose`] asserts; the machine has AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn transpose_block(
    from: *const f32,
    stride: usize,
    [rows, columns]: [usize; 2],
    to: *mut f32,
    to_stride: usize,
) {
    let mask = mask_of(columns);
    let mut block = [_mm512_setzero_ps(); SIDE];
    for r in 0..SIDE {
        if r < rows {
            // SAFETY: row r has as many values as the mask has bits.
            block[r] = unsafe { _mm512_maskz_loadu_ps(mask, from.add(r * stride)) };
        }
    }
    let block = turned(block);
    for c in 0..SIDE {
        if c < columns {
            // SAFETY: column c has a place for 16 values.
            unsafe { _mm512_storeu_ps(to.add(c * to_stride), block[c]) };
        }
    }
}

/// [`transpose`] of pairs of neighbouring columns, up to 16, each rounded to two bf16 of which the first is in the low half; an odd
/// last column is paired with zero. Called only where detection found AVX-512-BF16.
///
/// # Panics
/// If there are more rows or columns, or one of the slices ends too early.
pub(crate) fn transpose_pairs(
    from: &[f32],
    stride: usize,
    [rows, columns]: [usize; 2],
    to: &mut [u32],
    to_stride: usize,
) {
    assert!((1..=SIDE).contains(&rows) && (1..=2 * SIDE).contains(&columns), "a block of {rows} × {columns}");
    assert!(from.len() >= (rows - 1) * stride + columns, "all rows are there");
    assert!(to.len() >= (columns.div_ceil(2) - 1) * to_stride + SIDE, "all pairs have a place");
    // SAFETY: the assertions above; AVX-512-BF16 was detected.
    unsafe { transpose_block_of_pairs(from.as_ptr(), stride, [rows, columns], to.as_mut_ptr(), to_stride) }
}

/// # Safety
/// What [`transpose_pairs`] asserts; the machine has AVX-512-BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn transpose_block_of_pairs(
    from: *const f32,
    stride: usize,
    [rows, columns]: [usize; 2],
    to: *mut u32,
    to_stride: usize,
) {
    let (low, high) = (mask_of(columns), mask_of(columns.saturating_sub(SIDE)));
    let mut block = [_mm512_setzero_ps(); SIDE];
    for r in 0..SIDE {
        if r < rows {
            // SAFETY: row r has as many values as the masks have bits, and both vectors are 64 bytes without invalid bit
            // patterns.
            block[r] = unsafe {
                let row = from.add(r * stride);
                let low = _mm512_maskz_loadu_ps(low, row);
                let high = _mm512_maskz_loadu_ps(high, row.wrapping_add(SIDE));
                std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low))
            };
        }
    }
    let block = turned(block);
    for c in 0..SIDE {
        if 2 * c < columns {
            // SAFETY: pair c has a place for 16 words.
            unsafe { _mm512_storeu_ps(to.add(c * to_stride).cast(), block[c]) };
        }
    }
}

/// Lane r of vector c becomes lane c of vector r, bit for bit.
#[inline]
#[target_feature(enable = "avx512f")]
fn turned(mut a: [__m512; SIDE]) -> [__m512; SIDE] {
    // In each quarter of a vector a block of four by four is transposed: first pairs of rows, then pairs of pairs.
    let mut b = [_mm512_setzero_ps(); SIDE];
    for r in 0..SIDE / 4 {
        let low = |x, y| _mm512_castps_pd(_mm512_unpacklo_ps(x, y));
        let high = |x, y| _mm512_castps_pd(_mm512_unpackhi_ps(x, y));
        let (low_a, high_a) = (low(a[4 * r], a[4 * r + 1]), high(a[4 * r], a[4 * r + 1]));
        let (low_b, high_b) = (low(a[4 * r + 2], a[4 * r + 3]), high(a[4 * r + 2], a[4 * r + 3]));
        b[4 * r] = _mm512_castpd_ps(_mm512_unpacklo_pd(low_a, low_b));
        b[4 * r + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low_a, low_b));
        b[4 * r + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high_a, high_b));
        b[4 * r + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high_a, high_b));
    }
    // Then the quarters: vector 4q + i has, of column 4p + i in quarter p, rows 4q … 4q + 3.
    for i in 0..4 {
        let even_a = _mm512_shuffle_f32x4::<0x88>(b[i], b[4 + i]);
        let odd_a = _mm512_shuffle_f32x4::<0xdd>(b[i], b[4 + i]);
        let even_b = _mm512_shuffle_f32x4::<0x88>(b[8 + i], b[12 + i]);
        let odd_b = _mm512_shuffle_f32x4::<0xdd>(b[8 + i], b[12 + i]);
        a[i] = _mm512_shuffle_f32x4::<0x88>(even_a, even_b);
        a[4 + i] = _mm512_shuffle_f32x4::<0x88>(odd_a, odd_b);
        a[8 + i] = _mm512_shuffle_f32x4::<0xdd>(even_a, even_b);
        a[12 + i] = _mm512_shuffle_f32x4::<0xdd>(odd_a, odd_b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bf16;
    use crate::matrix::numbers;
    use crate::path::Mode;

    #[test]
    fn a_block_is_transposed_and_nothing_else_is_written() {
        if !Mode::available().contains(&Mode::Avx512) {
            return;
        }
        let (stride, to_stride) = (21, 23);
        let from = numbers(1, SIDE * stride);
        for rows in 1..=SIDE {
            for columns in 1..=SIDE {
                let mut to = vec![f32::NAN; SIDE * to_stride];
                transpose(
                    &from[..(rows - 1) * stride + columns],
                    stride,
                    [rows, columns],
                    &mut to,
                    to_stride,
                );
                for (at, value) in to.iter().enumerate() {
                    let (column, row) = (at / to_stride, at % to_stride);
                    if column >= columns || row >= SIDE {
                        assert!(value.is_nan());
                    } else if row < rows {
                        assert_eq!(value.to_bits(), from[row * stride + column].to_bits());
                    } else {
                        assert_eq!(*value, 0.0);
                    }
                }
            }
        }
    }

    #[test]
    fn pairs_are_rounded_and_transposed() {
        if !crate::Path::Bf16Avx512.is_supported() {
            return;
        }
        let (stride, to_stride) = (37, 19);
        let from = numbers(2, SIDE * stride);
        for rows in 1..=SIDE {
            for columns in 1..=2 * SIDE {
                let mut to = vec![7; SIDE * to_stride];
                let part = &from[..(rows - 1) * stride + columns];
                transpose_pairs(part, stride, [rows, columns], &mut to, to_stride);
                for (at, word) in to.iter().enumerate() {
                    let (pair, row) = (at / to_stride, at % to_stride);
                    let value = |column| {
                        let inside = row < rows && column < columns;
                        u32::from(bf16::from_f32(if inside { from[row * stride + column] } else { 0.0 }))
                    };
                    let expected = if pair >= columns.div_ceil(2) || row >= SIDE {
                        7
                    } else {
                        value(2 * pair) | value(2 * pair + 1) << 16
                    };
                    assert_eq!(*word, expected, "{rows} × {columns} at {pair}, {row}");
                }
            }
        }
    }
}
