use crate::matrix::{Accumulate, PackedMatrix, numbers};
use crate::path::{Dtype, Path};
use crate::scratch::Scratch;
use crate::view::{Rows, RowsMut};
use proptest::prelude::*;

fn int8_paths() -> impl Iterator<Item = Path> {
    Path::supported().into_iter().filter(|path| path.dtype() == Dtype::Int8)
}

fn multiply(
    path: Path,
    weights: &[f32],
    inputs: usize,
    values: &[f32],
    accumulate: Accumulate,
) -> Vec<f32> {
    let outputs = weights.len() / inputs;
    let matrix = PackedMatrix::pack(weights, outputs, inputs, path);
    let a = Rows::contiguous(values, inputs);
    let mut c = vec![0.25; a.rows() * outputs];
    matrix.multiply(a, RowsMut::contiguous(&mut c, outputs), accumulate, &mut Scratch::new());
    c
}

/// Integers and scale of a row, by the definition.
fn integers(row: &[f32]) -> (Vec<i64>, f32) {
    let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let factor = 127.0 / largest;
    (row.iter().map(|value| (value * factor).round_ties_even() as i64).collect(), largest / 127.0)
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
            let (a, row_scale) = integers(&values[i * k..][..k]);
            for j in 0..n {
                let (w, scale) = integers(&weights[j * k..][..k]);
                let sum: i64 = a.iter().zip(&w).map(|(a, w)| a * w).sum();
                let value = sum as f32 * row_scale * scale;
                let c = &mut expected[i * n + j];
                *c = if accumulate == Accumulate::Yes { *c + value } else { value };
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
fn the_longest_sums_of_the_largest_numbers_are_exact() {
    for path in int8_paths() {
        for (a, w) in [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)] {
            let inputs = super::MAX_INPUTS;
            let c = multiply(path, &vec![w; inputs], inputs, &vec![a; inputs], Accumulate::No);
            let scale = 1.0_f32 / 127.0;
            let sum = i64::from(127 * 127) * inputs as i64;
            assert_eq!(c, [a * w * (sum as f32 * scale * scale)], "{}", path.name());
        }
        // One more, and the layer stays in f32.
        let inputs = super::MAX_INPUTS + 1;
        let c = multiply(path, &vec![1.0; inputs], inputs, &vec![1.0; inputs], Accumulate::No);
        assert_eq!(c, [inputs as f32], "{}", path.name());
    }
}

#[test]
fn what_is_not_finite_stays_visible_and_touches_no_other_row_or_output() {
    for path in int8_paths() {
        for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (k, n) = (7, 20);
            let (mut weights, mut values) = (vec![1.0; n * k], vec![1.0; 3 * k]);
            (weights[4 * k + 6], values[k + 3]) = (poison, poison);
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
        let c = multiply(path, &[f32::MAX; 5], 5, &[1e-30; 5], Accumulate::No);
        assert!((c[0] / (f32::MAX * 5e-30) - 1.0).abs() < 1e-6, "{}", path.name());
    }
}
