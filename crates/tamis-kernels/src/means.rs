//! What k-means needs beside products: the largest of a row, fixed-point sums, distances to one row.
//!
//! The results are the same on every machine: sums are of integers, or over fixed lanes that are added up in one order, and
//! nothing is contracted.

use crate::dispatch::dispatched;
use crate::path::Path;

/// Values that are looked at together.
const LANES: usize = 32;

/// The first of the largest values of a row and its place; `None` of an empty row. Not for NaN.
#[must_use]
pub fn largest(path: Path, row: &[f32]) -> Option<(usize, f32)> {
    run_largest(path.mode(), row)
}

/// Places of the values of a row that are at least `least`, in their order. Not for NaN.
pub fn at_least(path: Path, row: &[f32], least: f32, out: &mut Vec<u32>) {
    run_at_least(path.mode(), row, least, out);
}

/// Sum of the products of two rows: each product is rounded, sums are over fixed lanes.
///
/// # Panics
/// If the two differ in length.
#[must_use]
pub fn dot(path: Path, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "two rows of one length");
    run_dot(path.mode(), a, b)
}

/// Values in units of 1 / `scale`, rounded to even, at most ±2³⁰.
///
/// # Panics
/// If the two differ in length.
pub fn to_fixed(path: Path, values: &[f32], scale: f32, out: &mut [i32]) {
    assert_eq!(values.len(), out.len(), "one out of each");
    run_to_fixed(path.mode(), values, scale, out);
}

/// Adds values to sums.
///
/// # Panics
/// If the two differ in length, or a sum overflows in a build that checks.
pub fn add_fixed(path: Path, values: &[i32], sums: &mut [i64]) {
    assert_eq!(values.len(), sums.len(), "one sum of each");
    run_add_fixed(path.mode(), values, sums);
}

/// Divides every row of `width` values by its Euclidean length, which is computed in f64; a row of zeros stays.
///
/// # Panics
/// If `x` is no whole number of rows.
pub fn to_unit_length(path: Path, x: &mut [f32], width: usize) {
    assert!(width > 0 && x.len().is_multiple_of(width), "whole rows");
    run_to_unit_length(path.mode(), x, width);
}

/// Lowers `nearest`, one for each row of `rows`, to the squared distance to `row` where that is smaller.
///
/// # Panics
/// If the lengths do not agree.
pub fn lower_to_squared_distance(path: Path, rows: &[f32], row: &[f32], nearest: &mut [f32]) {
    assert_eq!(rows.len(), nearest.len() * row.len(), "one distance a row");
    run_lower(path.mode(), rows, row, nearest);
}

dispatched! {
    fn run_largest(row: &[f32]) -> Option<(usize, f32)> = largest_body;
    fn run_at_least(row: &[f32], least: f32, out: &mut Vec<u32>) = at_least_body;
    fn run_dot(a: &[f32], b: &[f32]) -> f32 = dot_body;
    fn run_to_fixed(values: &[f32], scale: f32, out: &mut [i32]) = to_fixed_body;
    fn run_add_fixed(values: &[i32], sums: &mut [i64]) = add_fixed_body;
    fn run_to_unit_length(x: &mut [f32], width: usize) = to_unit_length_body;
    fn run_lower(rows: &[f32], row: &[f32], nearest: &mut [f32]) = lower_body;
}

#[inline(always)]
fn largest_body<const FUSED: bool>(row: &[f32]) -> Option<(usize, f32)> {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for at in 0..LANES {
            lanes[at] = if chunk[at] > lanes[at] { chunk[at] } else { lanes[at] };
        }
    }
    let both = lanes.iter().chain(rest);
    let value = both.fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    for (number, chunk) in chunks.iter().enumerate() {
        let mut any = false;
        for at in 0..LANES {
            any |= chunk[at] == value;
        }
        if any {
            return chunk.iter().position(|x| *x == value).map(|at| (number * LANES + at, value));
        }
    }
    rest.iter().position(|x| *x == value).map(|at| (chunks.len() * LANES + at, value))
}

#[inline(always)]
fn at_least_body<const FUSED: bool>(row: &[f32], least: f32, out: &mut Vec<u32>) {
    for (number, chunk) in row.chunks(LANES).enumerate() {
        let mut any = false;
        for value in chunk {
            any |= *value >= least;
        }
        if any {
            let places = chunk.iter().enumerate().filter(|(_, value)| **value >= least);
            out.extend(places.map(|(at, _)| (number * LANES + at) as u32));
        }
    }
}

#[inline(always)]
fn dot_body<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let ((left, left_rest), (right, right_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in left.iter().zip(right) {
        for at in 0..LANES {
            lanes[at] += a[at] * b[at];
        }
    }
    let rest = left_rest.iter().zip(right_rest).map(|(a, b)| a * b);
    lanes.iter().copied().chain(rest).fold(0.0, |sum, product| sum + product)
}

#[inline(always)]
fn to_fixed_body<const FUSED: bool>(values: &[f32], scale: f32, out: &mut [i32]) {
    const MOST: f32 = (1_u32 << 30) as f32;
    for (value, out) in values.iter().zip(out) {
        let scaled = (value * scale).round_ties_even();
        let scaled = if scaled > MOST { MOST } else { scaled };
        // NaN is taken for the least: the comparison is false of it.
        let scaled = if scaled >= -MOST { scaled } else { -MOST };
        // SAFETY: a number within ±2³⁰ fits.
        *out = unsafe { scaled.to_int_unchecked() };
    }
}

#[inline(always)]
fn add_fixed_body<const FUSED: bool>(values: &[i32], sums: &mut [i64]) {
    for (value, sum) in values.iter().zip(sums) {
        *sum += i64::from(*value);
    }
}

#[inline(always)]
fn to_unit_length_body<const FUSED: bool>(x: &mut [f32], width: usize) {
    const WIDE: usize = 8;
    for row in x.chunks_exact_mut(width) {
        let mut lanes = [0.0_f64; WIDE];
        let (chunks, rest) = row.as_chunks::<WIDE>();
        for chunk in chunks {
            for at in 0..WIDE {
                lanes[at] += f64::from(chunk[at]) * f64::from(chunk[at]);
            }
        }
        let rest = rest.iter().map(|value| f64::from(*value) * f64::from(*value));
        let norm = lanes.iter().copied().chain(rest).fold(0.0, |sum, square| sum + square).sqrt();
        if norm > 0.0 {
            for value in row {
                *value = (f64::from(*value) / norm) as f32;
            }
        }
    }
}

#[inline(always)]
fn lower_body<const FUSED: bool>(rows: &[f32], row: &[f32], nearest: &mut [f32]) {
    for (other, nearest) in rows.chunks_exact(row.len().max(1)).zip(nearest) {
        let mut lanes = [0.0_f32; LANES];
        let ((left, left_rest), (right, right_rest)) = (other.as_chunks::<LANES>(), row.as_chunks::<LANES>());
        for (a, b) in left.iter().zip(right) {
            for at in 0..LANES {
                let apart = a[at] - b[at];
                lanes[at] += apart * apart;
            }
        }
        let rest = left_rest.iter().zip(right_rest).map(|(a, b)| (a - b) * (a - b));
        let square = lanes.iter().copied().chain(rest).fold(0.0, |sum, square| sum + square);
        if square < *nearest {
            *nearest = square;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_path_gives_the_bits_of_plain_loops(
            width in 1_usize..120,
            seed in proptest::collection::vec(-2.0_f32..2.0, 1..400),
            scale in 1.0_f32..2e9,
        ) {
            let rows = seed.len().div_ceil(width);
            let values: Vec<f32> = seed.iter().copied().cycle().take(rows * width).collect();
            let mut expected = None;
            for path in Path::supported() {
                let found = largest(path, &values).unwrap();
                let value = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                prop_assert_eq!(found, (values.iter().position(|x| *x == value).unwrap(), value));
                let mut places = Vec::new();
                at_least(path, &values, value - 0.5, &mut places);
                let plain = (0..values.len() as u32).filter(|at| values[*at as usize] >= value - 0.5);
                prop_assert_eq!(places, plain.collect::<Vec<_>>());
                let product = dot(path, &values[..width], &values[values.len() - width..]);
                let mut fixed = vec![0; values.len()];
                to_fixed(path, &values, scale, &mut fixed);
                let plain = |x: &f32| (x * scale).round_ties_even().clamp(-1_073_741_824.0, 1_073_741_824.0) as i32;
                prop_assert_eq!(&fixed, &values.iter().map(plain).collect::<Vec<_>>());
                let mut sums = vec![7_i64; values.len()];
                add_fixed(path, &fixed, &mut sums);
                prop_assert!(sums.iter().zip(&fixed).all(|(sum, value)| *sum == 7 + i64::from(*value)));
                let mut unit = values.clone();
                to_unit_length(path, &mut unit, width);
                let mut nearest = vec![0.5; rows];
                lower_to_squared_distance(path, &unit, &values[..width], &mut nearest);
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                let all = (bits(&unit), bits(&nearest), product.to_bits());
                prop_assert_eq!(expected.get_or_insert_with(|| all.clone()), &all);
                for row in unit.chunks_exact(width) {
                    let norm: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
                    prop_assert!(norm == 0.0 || (norm - 1.0).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn odd_rows_have_an_answer() {
        for path in Path::supported() {
            assert_eq!(largest(path, &[]), None);
            assert_eq!(largest(path, &[f32::NEG_INFINITY; 40]), Some((0, f32::NEG_INFINITY)));
            let mut zeros = [0.0; 4];
            to_unit_length(path, &mut zeros, 2);
            assert_eq!(zeros, [0.0; 4]);
        }
    }
}
