//! Loops over rows: norms, softmax, gates and the like, each fused into one pass where that saves one.
//!
//! Every function takes the [`Path`] of its signal and gives the same bits for a row whatever rows stand beside it.
//! Sums over a row run in 16 lanes, element i in lane i mod 16, and end in a balanced tree.

use crate::dispatch::dispatched;
use crate::math::{
    LANES, erfc_of_positive, exp_of_nonpositive, maximum_of, multiply_add, sigmoid, silu_times, sum_of,
};
use crate::path::Path;

fn check_rows(values: usize, width: usize) {
    assert!(
        width > 0 && values.is_multiple_of(width),
        "{values} values are no whole number of rows of {width}"
    );
}

/// Root mean square norm: out = x · weight / √(mean(x²) + epsilon), row by row; rows have `weight.len()` values.
///
/// # Panics
/// If `x` is no whole number of rows or `out` has another length.
pub fn rms_norm(path: Path, x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    check_rows(x.len(), weight.len());
    assert_eq!(x.len(), out.len(), "one output per value");
    run_rms_norm(path.mode(), x, weight, epsilon, out);
}

/// Layer norm in place: x = (x − mean) / √(variance + epsilon) · weight + bias; rows have `weight.len()` values.
///
/// # Panics
/// If `x` is no whole number of rows or `bias` has another length than `weight`.
pub fn layer_norm(path: Path, x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    check_rows(x.len(), weight.len());
    assert_eq!(weight.len(), bias.len(), "one bias per weight");
    run_layer_norm(path.mode(), x, weight, bias, epsilon);
}

/// Softmax of one row in place: of `scale · row[..valid]`; the values after `valid` become 0.
///
/// # Panics
/// If `valid` exceeds the row.
pub fn softmax(path: Path, row: &mut [f32], scale: f32, valid: usize) {
    assert!(valid <= row.len(), "{valid} valid of {} values", row.len());
    run_softmax(path.mode(), row, scale, valid);
}

/// Gated unit of the Llama family: out = silu(gate) · up, where a row of `gate_up` is `width` gates, then `width` ups.
///
/// # Panics
/// If `gate_up` is no whole number of rows of `2 · width` or `out` is not half as long.
pub fn silu_gate(path: Path, gate_up: &[f32], width: usize, out: &mut [f32]) {
    check_rows(gate_up.len(), 2 * width);
    assert_eq!(gate_up.len(), 2 * out.len(), "one output per gate");
    run_silu_gate(path.mode(), gate_up, width, out);
}

/// out = gate · up for rows of `gate_up` as in [`silu_gate`], the gate's activation having been applied already.
///
/// # Panics
/// As [`silu_gate`].
pub fn multiply_gate(path: Path, gate_up: &[f32], width: usize, out: &mut [f32]) {
    check_rows(gate_up.len(), 2 * width);
    assert_eq!(gate_up.len(), 2 * out.len(), "one output per gate");
    run_multiply_gate(path.mode(), gate_up, width, out);
}

/// x = x · Φ(x) in place, Φ the normal distribution function (the exact GELU of BERT).
pub fn gelu_erf(path: Path, x: &mut [f32]) {
    run_gelu_erf(path.mode(), x);
}

/// The tanh approximation of GELU in place: x / 2 · (1 + tanh(√(2/π) (x + 0.044715 x³))).
pub fn gelu_tanh(path: Path, x: &mut [f32]) {
    run_gelu_tanh(path.mode(), x);
}

/// Gated unit of T5 v1.1: out = gelu(gate) · up by the tanh approximation, for rows as in [`silu_gate`].
///
/// # Panics
/// As [`silu_gate`].
pub fn gelu_tanh_gate(path: Path, gate_up: &[f32], width: usize, out: &mut [f32]) {
    check_rows(gate_up.len(), 2 * width);
    assert_eq!(gate_up.len(), 2 * out.len(), "one output per gate");
    run_gelu_tanh_gate(path.mode(), gate_up, width, out);
}

/// x = max(x, 0) in place; NaN stays.
pub fn relu(path: Path, x: &mut [f32]) {
    run_relu(path.mode(), x);
}

/// Adds `bias` to every row of `x`; rows have `bias.len()` values.
///
/// # Panics
/// If `x` is no whole number of rows.
pub fn add_bias(path: Path, x: &mut [f32], bias: &[f32]) {
    check_rows(x.len(), bias.len());
    run_add_bias(path.mode(), x, bias);
}

/// x += y (a residual connection).
///
/// # Panics
/// If the lengths differ.
pub fn add(path: Path, x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "one addend per value");
    run_add(path.mode(), x, y);
}

/// ln Σ e^x of one row, with the sum in f64; −∞ for an empty row, NaN if any value is NaN or +∞.
///
/// Subtracting it from a logit in f64 gives the log probability to about 1e-7.
#[must_use]
pub fn log_sum_exp(path: Path, row: &[f32]) -> f64 {
    let mut sum = LogSumExp::default();
    sum.add(path, row);
    sum.value()
}

/// [`log_sum_exp`] of a row that comes in parts. The value depends on where it is cut, by rounding in f64.
#[derive(Debug, Clone, Copy)]
pub struct LogSumExp {
    largest: f32,
    /// Σ e^(x − largest).
    sum: f64,
}

impl Default for LogSumExp {
    fn default() -> Self {
        Self { largest: f32::NEG_INFINITY, sum: 0.0 }
    }
}

impl LogSumExp {
    /// Adds the next values.
    pub fn add(&mut self, path: Path, values: &[f32]) {
        let mode = path.mode();
        let largest = run_maximum(mode, values);
        if largest > self.largest {
            // ∞ − ∞ makes the sum NaN, as it must be.
            self.sum *= libm::exp(f64::from(self.largest) - f64::from(largest));
            self.largest = largest;
        }
        if self.largest == f32::NEG_INFINITY {
            // Nothing but −∞ and NaN, which a maximum passes over.
            self.sum += if values.iter().any(|value| value.is_nan()) { f64::NAN } else { 0.0 };
            return;
        }
        // NaN, and ∞ − ∞, end up in the sum.
        self.sum += run_sum_exp(mode, values, self.largest);
    }

    /// ln Σ e^x of all values.
    #[must_use]
    pub fn value(&self) -> f64 {
        if self.largest == f32::NEG_INFINITY && !self.sum.is_nan() {
            return f64::NEG_INFINITY;
        }
        f64::from(self.largest) + libm::log(self.sum)
    }
}

/// Divides every row of `width` values by its Euclidean length; a row of zeros stays.
///
/// # Panics
/// If `x` is no whole number of rows.
pub fn l2_normalize(path: Path, x: &mut [f32], width: usize) {
    check_rows(x.len(), width);
    run_l2_normalize(path.mode(), x, width);
}

/// Mean over the rows of `x`, column by column, summed in row order; zeros where there are no rows. Rows have
/// `out.len()` values.
///
/// # Panics
/// If `x` is no whole number of rows.
pub fn mean_rows(path: Path, x: &[f32], out: &mut [f32]) {
    check_rows(x.len(), out.len());
    run_mean_rows(path.mode(), x, out);
}

dispatched! {
    fn run_rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) = rms_norm_body;
    fn run_layer_norm(x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) = layer_norm_body;
    fn run_softmax(row: &mut [f32], scale: f32, valid: usize) = softmax_body;
    fn run_silu_gate(gate_up: &[f32], width: usize, out: &mut [f32]) = silu_gate_body;
    fn run_multiply_gate(gate_up: &[f32], width: usize, out: &mut [f32]) = multiply_gate_body;
    fn run_gelu_erf(x: &mut [f32]) = gelu_erf_body;
    fn run_gelu_tanh(x: &mut [f32]) = gelu_tanh_body;
    fn run_gelu_tanh_gate(gate_up: &[f32], width: usize, out: &mut [f32]) = gelu_tanh_gate_body;
    fn run_relu(x: &mut [f32]) = relu_body;
    fn run_add_bias(x: &mut [f32], bias: &[f32]) = add_bias_body;
    fn run_add(x: &mut [f32], y: &[f32]) = add_body;
    fn run_maximum(row: &[f32]) -> f32 = maximum_body;
    fn run_sum_exp(row: &[f32], largest: f32) -> f64 = sum_exp_body;
    fn run_l2_normalize(x: &mut [f32], width: usize) = l2_normalize_body;
    fn run_mean_rows(x: &[f32], out: &mut [f32]) = mean_rows_body;
}

#[inline(always)]
fn sum_of_squares<const FUSED: bool>(row: &[f32]) -> f32 {
    sum_of(row, |value, sum| multiply_add::<FUSED>(value, value, sum))
}

#[inline(always)]
fn rms_norm_body<const FUSED: bool>(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    for (row, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let scale = 1.0 / (sum_of_squares::<FUSED>(row) / width as f32 + epsilon).sqrt();
        for ((out, value), weight) in out.iter_mut().zip(row).zip(weight) {
            *out = value * scale * weight;
        }
    }
}

#[inline(always)]
fn layer_norm_body<const FUSED: bool>(x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let width = weight.len();
    for row in x.chunks_exact_mut(width) {
        let mean = sum_of(row, |value, sum| sum + value) / width as f32;
        let squares = sum_of(row, |value, sum| multiply_add::<FUSED>(value - mean, value - mean, sum));
        let scale = 1.0 / (squares / width as f32 + epsilon).sqrt();
        for ((value, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
            *value = multiply_add::<FUSED>((*value - mean) * scale, *weight, *bias);
        }
    }
}

#[inline(always)]
fn softmax_body<const FUSED: bool>(row: &mut [f32], scale: f32, valid: usize) {
    let (row, masked) = row.split_at_mut(valid);
    masked.fill(0.0);
    let largest = maximum_of(row, |value| value * scale);
    for value in row.iter_mut() {
        *value = exp_of_nonpositive::<FUSED>(*value * scale - largest);
    }
    let inverse = 1.0 / sum_of(row, |value, sum| sum + value);
    for value in row.iter_mut() {
        *value *= inverse;
    }
}

#[inline(always)]
fn silu_gate_body<const FUSED: bool>(gate_up: &[f32], width: usize, out: &mut [f32]) {
    for (row, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
        let (gate, up) = row.split_at(width);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = silu_times::<FUSED>(*gate, *up);
        }
    }
}

#[inline(always)]
fn multiply_gate_body<const FUSED: bool>(gate_up: &[f32], width: usize, out: &mut [f32]) {
    for (row, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
        let (gate, up) = row.split_at(width);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate * up;
        }
    }
}

#[inline(always)]
fn gelu_erf_body<const FUSED: bool>(x: &mut [f32]) {
    for x in x {
        // Φ(x) through erfc of |x| keeps its relative accuracy in the negative tail.
        let half = 0.5 * *x * erfc_of_positive::<FUSED>(x.abs() * std::f32::consts::FRAC_1_SQRT_2);
        *x = if *x > 0.0 { *x - half } else { half };
    }
}

#[inline(always)]
fn gelu_tanh_of<const FUSED: bool>(x: f32) -> f32 {
    // (1 + tanh u) / 2 is the sigmoid of 2u.
    const TWO_ROOT_2_OVER_PI: f32 = 1.595_769_2;
    let cubic = multiply_add::<FUSED>(x * x, 0.044_715, 1.0) * x;
    x * sigmoid::<FUSED>(TWO_ROOT_2_OVER_PI * cubic)
}

#[inline(always)]
fn gelu_tanh_body<const FUSED: bool>(x: &mut [f32]) {
    for x in x {
        *x = gelu_tanh_of::<FUSED>(*x);
    }
}

#[inline(always)]
fn gelu_tanh_gate_body<const FUSED: bool>(gate_up: &[f32], width: usize, out: &mut [f32]) {
    for (row, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
        let (gate, up) = row.split_at(width);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gelu_tanh_of::<FUSED>(*gate) * up;
        }
    }
}

#[inline(always)]
fn relu_body<const FUSED: bool>(x: &mut [f32]) {
    for x in x {
        // Not `max`, which would turn NaN into 0.
        if *x < 0.0 {
            *x = 0.0;
        }
    }
}

#[inline(always)]
fn add_bias_body<const FUSED: bool>(x: &mut [f32], bias: &[f32]) {
    for row in x.chunks_exact_mut(bias.len()) {
        add_body::<FUSED>(row, bias);
    }
}

#[inline(always)]
fn add_body<const FUSED: bool>(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[inline(always)]
fn maximum_body<const FUSED: bool>(row: &[f32]) -> f32 {
    maximum_of(row, |value| value)
}

#[inline(always)]
fn sum_exp_body<const FUSED: bool>(row: &[f32], largest: f32) -> f64 {
    // f64 lanes: a vocabulary of 50,000 small terms beside a large one would lose digits in f32.
    let mut sums = [0.0_f64; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            sums[i] += f64::from(exp_of_nonpositive::<FUSED>(chunk[i] - largest));
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(exp_of_nonpositive::<FUSED>(value - largest));
    }
    sums.into_iter().sum()
}

#[inline(always)]
fn l2_normalize_body<const FUSED: bool>(x: &mut [f32], width: usize) {
    for row in x.chunks_exact_mut(width) {
        let length = sum_of_squares::<FUSED>(row).sqrt();
        if length > 0.0 {
            for value in row.iter_mut() {
                *value /= length;
            }
        }
    }
}

#[inline(always)]
fn mean_rows_body<const FUSED: bool>(x: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    let rows = x.len() / out.len();
    for row in x.chunks_exact(out.len()) {
        add_body::<FUSED>(out, row);
    }
    for out in out {
        *out /= rows.max(1) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::numbers;
    use proptest::prelude::*;

    fn double(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&x| f64::from(x)).collect()
    }

    /// The largest difference, relative to the larger of 1 and the largest expected value.
    fn difference(got: &[f32], expected: &[f64]) -> f64 {
        let size = expected.iter().fold(1.0_f64, |size, x| size.max(x.abs()));
        assert_eq!(got.len(), expected.len());
        got.iter()
            .zip(expected)
            .map(|(got, expected)| (f64::from(*got) - expected).abs() / size)
            .fold(0.0, f64::max)
    }

    type Loop<'a> = Box<dyn Fn(Path, &[f32]) -> Vec<f32> + 'a>;
    type IntoLoop<'a> = Box<dyn Fn(Path, &[f32], &mut [f32]) + 'a>;
    type Reference<'a> = Box<dyn Fn(&[f64]) -> Vec<f64> + 'a>;

    /// Every loop over one row: its name, itself, and the same in f64.
    fn loops<'a>(
        weight: &'a [f32],
        bias: &'a [f32],
        valid: usize,
    ) -> Vec<(&'static str, Loop<'a>, Reference<'a>)> {
        let width = weight.len();
        let in_place = |f: fn(Path, &mut [f32])| -> Loop<'a> {
            Box::new(move |path, x| {
                let mut x = x.to_vec();
                f(path, &mut x);
                x
            })
        };
        let into = |len: usize, f: IntoLoop<'a>| -> Loop<'a> {
            Box::new(move |path, x| {
                let mut out = vec![f32::NAN; x.len() / width * len];
                f(path, x, &mut out);
                out
            })
        };
        let each =
            |f: fn(f64) -> f64| -> Reference<'a> { Box::new(move |x| x.iter().map(|&x| f(x)).collect()) };
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        vec![
            (
                "rms_norm",
                into(width, Box::new(|path, x, out| rms_norm(path, x, weight, 1e-5, out))),
                Box::new(move |x| {
                    let scale = 1.0 / (mean(&x.iter().map(|x| x * x).collect::<Vec<_>>()) + 1e-5).sqrt();
                    x.iter().zip(weight).map(|(x, w)| x * scale * f64::from(*w)).collect()
                }),
            ),
            (
                "layer_norm",
                Box::new(|path, x| {
                    let mut x = x.to_vec();
                    layer_norm(path, &mut x, weight, bias, 1e-3);
                    x
                }),
                Box::new(move |x| {
                    let middle = mean(x);
                    let variance = mean(&x.iter().map(|x| (x - middle) * (x - middle)).collect::<Vec<_>>());
                    let scale = 1.0 / (variance + 1e-3).sqrt();
                    x.iter()
                        .zip(weight)
                        .zip(bias)
                        .map(|((x, w), b)| (x - middle) * scale * f64::from(*w) + f64::from(*b))
                        .collect()
                }),
            ),
            (
                "softmax",
                Box::new(move |path, x| {
                    let mut x = x.to_vec();
                    x.chunks_exact_mut(width).for_each(|row| softmax(path, row, 0.5, valid));
                    x
                }),
                Box::new(move |x| {
                    let sum: f64 = x[..valid].iter().map(|x| (0.5 * x).exp()).sum();
                    x.iter()
                        .enumerate()
                        .map(|(i, x)| if i < valid { (0.5 * x).exp() / sum } else { 0.0 })
                        .collect()
                }),
            ),
            (
                "silu_gate",
                into(width / 2, Box::new(move |path, x, out| silu_gate(path, x, width / 2, out))),
                Box::new(move |x| {
                    x.iter().zip(&x[width / 2..]).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect()
                }),
            ),
            (
                "multiply_gate",
                into(width / 2, Box::new(move |path, x, out| multiply_gate(path, x, width / 2, out))),
                Box::new(move |x| x.iter().zip(&x[width / 2..]).map(|(g, u)| g * u).collect()),
            ),
            ("gelu_erf", in_place(gelu_erf), each(|x| x * 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2))),
            (
                "gelu_tanh",
                in_place(gelu_tanh),
                each(|x| {
                    x / 2.0
                        * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh())
                }),
            ),
            (
                "gelu_tanh_gate",
                into(width / 2, Box::new(move |path, x, out| gelu_tanh_gate(path, x, width / 2, out))),
                Box::new(move |x| {
                    let gelu = |x: f64| {
                        let root = (2.0 / std::f64::consts::PI).sqrt();
                        x / 2.0 * (1.0 + (root * (x + 0.044_715 * x * x * x)).tanh())
                    };
                    x.iter().zip(&x[width / 2..]).map(|(g, u)| gelu(*g) * u).collect()
                }),
            ),
            ("relu", in_place(relu), each(|x| x.max(0.0))),
            (
                "add_bias",
                Box::new(|path, x| {
                    let mut x = x.to_vec();
                    add_bias(path, &mut x, bias);
                    x
                }),
                Box::new(move |x| x.iter().zip(bias).map(|(x, b)| x + f64::from(*b)).collect()),
            ),
            (
                "l2_normalize",
                Box::new(move |path, x| {
                    let mut x = x.to_vec();
                    l2_normalize(path, &mut x, width);
                    x
                }),
                Box::new(|x| {
                    let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
                    x.iter().map(|x| x / length).collect()
                }),
            ),
            (
                "log_sum_exp",
                Box::new(move |path, x| {
                    x.chunks_exact(width).map(|row| log_sum_exp(path, row) as f32).collect()
                }),
                Box::new(|x| vec![x.iter().map(|x| x.exp()).sum::<f64>().ln()]),
            ),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_loop_matches_f64_and_a_row_does_not_depend_on_its_batch(
            half in 1_usize..90, rows in 1_usize..6, scale in 0.5_f32..12.0, valid in 0.0_f64..1.0, seed: u64,
        ) {
            let width = 2 * half;
            let valid = 1 + (valid * (width - 1) as f64) as usize;
            let x: Vec<f32> = numbers(seed, rows * width).iter().map(|x| scale * x).collect();
            let (weight, bias) = (numbers(seed ^ 1, width), numbers(seed ^ 2, width));
            for (name, run, exact) in loops(&weight, &bias, valid) {
                for path in Path::supported() {
                    let batch = run(path, &x);
                    let len = batch.len() / rows;
                    for (row, got) in x.chunks_exact(width).zip(batch.chunks_exact(len)) {
                        let alone: Vec<u32> = run(path, row).iter().map(|x| x.to_bits()).collect();
                        prop_assert_eq!(alone, got.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), "{} {}", name, path.name());
                        let error = difference(got, &exact(&double(row)));
                        prop_assert!(error < 1.5e-6, "{name} {}: {error:.2e}", path.name());
                    }
                }
            }
        }
    }

    #[test]
    fn log_sum_exp_keeps_what_a_large_vocabulary_needs_and_names_what_is_not_a_number() {
        let logits: Vec<f32> = numbers(3, 49_152).iter().map(|x| 12.0 * x).collect();
        let exact = double(&logits).iter().map(|x| x.exp()).sum::<f64>().ln();
        for path in Path::supported() {
            assert!((log_sum_exp(path, &logits) - exact).abs() < 1e-7, "{}", path.name());
            assert_eq!(log_sum_exp(path, &[]), f64::NEG_INFINITY);
            assert_eq!(log_sum_exp(path, &[f32::NEG_INFINITY; 40]), f64::NEG_INFINITY);
            let mut in_parts = LogSumExp::default();
            logits.chunks(480).for_each(|part| in_parts.add(path, part));
            assert!((in_parts.value() - exact).abs() < 1e-7, "{}", path.name());
            let mut after_nothing = LogSumExp::default();
            after_nothing.add(path, &[f32::NEG_INFINITY; 40]);
            after_nothing.add(path, &logits);
            assert_eq!(after_nothing.value(), log_sum_exp(path, &logits));
            for bad in [f32::NAN, f32::INFINITY] {
                let mut row = vec![1.0; 70];
                row[66] = bad;
                assert!(log_sum_exp(path, &row).is_nan());
                row.fill(bad);
                assert!(log_sum_exp(path, &row).is_nan());
                in_parts.add(path, &row);
                in_parts.add(path, &[1.0; 40]);
                assert!(in_parts.value().is_nan());
            }
        }
    }

    #[test]
    fn a_row_with_nan_stays_visible_as_nan() {
        for path in Path::supported() {
            let mut row = numbers(4, 50);
            row[33] = f32::NAN;
            softmax(path, &mut row, 1.0, 50);
            assert!(row.iter().all(|x| x.is_nan()), "{}", path.name());
            let mut x = [f32::NAN, 1.0];
            gelu_erf(path, &mut x);
            assert!(x[0].is_nan());
            let mut out = [0.0];
            silu_gate(path, &[f32::NAN, 1.0], 1, &mut out);
            assert!(out[0].is_nan());
            let mut x = [f32::NAN, -1.0];
            relu(path, &mut x);
            assert!(x[0].is_nan() && x[1] == 0.0);
        }
    }

    #[test]
    fn means_and_zero_rows() {
        for path in Path::supported() {
            let mut out = [9.0; 3];
            mean_rows(path, &[1.0, 2.0, 3.0, 3.0, 4.0, 5.0], &mut out);
            assert_eq!(out, [2.0, 3.0, 4.0]);
            mean_rows(path, &[], &mut out);
            assert_eq!(out, [0.0; 3]);
            let mut x = [0.0, 0.0, 3.0, 4.0];
            l2_normalize(path, &mut x, 2);
            assert_eq!(x, [0.0, 0.0, 0.6, 0.8]);
            let mut x = [1.0, 2.0];
            add(path, &mut x, &[0.5, 0.25]);
            assert_eq!(x, [1.5, 2.25]);
        }
    }
}
