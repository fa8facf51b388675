use crate::matrix::{Accumulate, PackedMatrix, numbers};
use crate::path::{Dtype, Path};
use crate::scratch::Scratch;
use crate::view::{Rows, RowsMut};
use proptest::prelude::*;

fn int8_paths() -> impl Iterator<Item = Path> {
    Path::supported().into_iter().filter(|path| path.dtype() == Dtype::Int8)
}

fn multiply(path: Path, weights: &[f32], inputs: usize, values: &[f32], accumulate: Accumulate) -> Vec<f32> {
    let outputs = weights.len() / inputs;
    let matrix = PackedMatrix::pack(weights, outputs, inputs, path);
    let a = Rows::contiguous(values, inputs);
    let mut c = vec![0.25; a.rows() * outputs];
    matrix.multiply(a, RowsMut::contiguous(&mut c, outputs), accumulate, &mut Scratch::new());
    c
}

/// Integers and scale of each group of a row, by the definition.
fn groups(row: &[f32]) -> Vec<(Vec<i64>, f32)> {
    row.chunks(64).map(group).collect()
}

fn group(values: &[f32]) -> (Vec<i64>, f32) {
    let (mut values, mut norm) = (values.to_vec(), 1.0);
    if values.len() == 64 {
        norm = 0.125;
        for step in [1, 2, 4, 8, 16, 32] {
            values = (0..64)
                .map(|at| {
                    if at & step == 0 {
                        values[at] + values[at + step]
                    } else {
                        values[at - step] - values[at]
                    }
                })
                .collect();
        }
    }
    let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let factor = 127.0 / largest;
    let integers = values.iter().map(|value| (value * factor).round_ties_even() as i64).collect();
    (integers, largest / 127.0 * norm)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_int8_path_has_the_bits_of_the_definition(
        m in 1_usize..40, n in 1_usize..140, k in 1_usize..300, seed: u64, exponent in -60_i32..60,
        accumulate in prop::sample::select(vec![Accumulate::No, Accumulate::Yes]),
    ) {
        let weights = numbers(seed, n * k);
        let values: Vec<f32> = numbers(seed ^ 1, m * k).iter().map(|value| value * 2_f32.powi(exponent)).collect();
        let mut expected = vec![0.25; m * n];
        for i in 0..m {
            let a = groups(&values[i * k..][..k]);
            for j in 0..n {
                let mut total = 0.0;
                for ((a, row_scale), (w, scale)) in a.iter().zip(groups(&weights[j * k..][..k])) {
                    let sum: i64 = a.iter().zip(&w).map(|(a, w)| a * w).sum();
                    total += sum as f32 * scale * row_scale;
                }
                let c = &mut expected[i * n + j];
                *c = if accumulate == Accumulate::Yes { *c + total } else { total };
            }
        }
        for path in int8_paths() {
            let c = multiply(path, &weights, k, &values, accumulate);
            let same = c.iter().zip(&expected).all(|(c, expected)| c.to_bits() == expected.to_bits());
            prop_assert!(same, "{}", path.name());
        }
    }
}

#[test]
fn an_input_that_stands_out_costs_the_others_little() {
    let k = 256;
    let (weights, mut values) = (numbers(1, k), numbers(2, k));
    values[70] = 100.0;
    let exact: f32 = weights.iter().zip(&values).map(|(w, a)| w * a).sum();
    for path in int8_paths() {
        let c = multiply(path, &weights, k, &values, Accumulate::No);
        assert!((c[0] - exact).abs() < 1.0, "{}: {} for {exact}", path.name(), c[0]);
    }
}

#[test]
fn the_largest_sums_are_exact() {
    for path in int8_paths() {
        for (a, w) in [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)] {
            // 63 inputs are not rotated: every integer is the largest.
            let c = multiply(path, &[w; 63], 63, &[a; 63], Accumulate::No);
            let scale = 1.0_f32 / 127.0;
            assert_eq!(c, [(a * w * 63.0 * 127.0 * 127.0) * scale * scale], "{}", path.name());
        }
    }
}

#[test]
fn what_is_not_finite_stays_visible_and_touches_no_other_row_or_output() {
    for path in int8_paths() {
        for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (k, n) = (71, 20);
            let (mut weights, mut values) = (vec![1.0; n * k], vec![1.0; 3 * k]);
            (weights[4 * k + 66], values[k + 3]) = (poison, poison);
            let c = multiply(path, &weights, k, &values, Accumulate::No);
            for (at, value) in c.iter().enumerate() {
                let poisoned = at / n == 1 || at % n == 4;
                assert_eq!(value.is_nan(), poisoned, "{} {poison} at {at}: {value}", path.name());
            }
        }
    }
}

#[test]
fn rows_of_zeros_and_of_hardly_more_give_zeros() {
    for path in int8_paths() {
        for small in [0.0, -0.0, f32::from_bits(1), f32::MIN_POSITIVE, 1e-31] {
            let c = multiply(path, &[1.0; 15], 5, &[small; 10], Accumulate::No);
            assert!(c.iter().all(|&value| value == 0.0), "{} {small}: {c:?}", path.name());
            let c = multiply(path, &[small; 15], 5, &[1.0; 10], Accumulate::No);
            assert!(c.iter().all(|&value| value == 0.0), "{} {small}: {c:?}", path.name());
        }
        let c = multiply(path, &[1e30; 5], 5, &[1e-30; 5], Accumulate::No);
        assert!((c[0] / 5.0 - 1.0).abs() < 1e-6, "{}", path.name());
    }
}
