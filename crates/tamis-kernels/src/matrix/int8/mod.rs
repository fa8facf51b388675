//! Products of integers of 8 bits.
//!
//! A row of activations x becomes round(x / s) with s = max |x| / 127, and so do the weights of each output (Dettmers et al.,
//! arXiv 2208.07339, section 2: "vector-wise"). The sum over the inputs is exact in 32 bits, so it has no order; it is scaled once:
//! `float(sum) · s_row · s_output`, rounded in this order. All int8 paths therefore agree bit for bit.
//!
//! The instruction multiplies unsigned by signed numbers, so activations are stored with 128 added, and sums start from
//! −128 · Σ weights. A sum may wrap on its way, its end does not: it is at most 127² · [`MAX_INPUTS`] < 2³¹.
//!
//! A row that holds a number that is not finite has a scale that is NaN, and so has such an output: what they give is NaN.
//! Rows without a number above 2⁻¹⁰⁰ count as zeros.

#[cfg(target_arch = "x86_64")]
mod avx512vnni;
#[cfg(target_arch = "x86_64")]
mod avxvnni;
mod portable;
#[cfg(test)]
mod tests;

use super::panels::{GRAIN, Output, PORTABLE_WIDTH, panels};
use crate::aligned::Aligned;
use crate::dispatch::dispatched;
use crate::path::Path;
use crate::scratch::Scratch;
use crate::view::{Rows, RowsMut};
use std::ops::Range;

/// Most inputs of a layer; one with more keeps its f32 weights.
pub(super) const MAX_INPUTS: usize = 1 << 17;

/// Largest integer.
const STEPS: f32 = 127.0;
/// What is added to activations, so that they are unsigned.
const OFFSET: u8 = 128;
/// 2⁻¹⁰⁰: `STEPS / largest` is finite from here on.
const SMALLEST: f32 = f32::from_bits((127 - 100) << 23);

/// Weights of a layer in panels (see [`panels`]) of words, each the weights of four neighbouring inputs, the first lowest.
/// Inputs beyond the last are zero.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    words: Aligned<u32>,
    /// Words of an output.
    quads: usize,
    /// What an integer of each output stands for.
    scales: Vec<f32>,
    /// −128 · the sum of each output's integers.
    starts: Vec<i32>,
}

/// Operands of a product: `a` is rows × 4·quads, back to back; `scales` and `starts` have a value for each of `outputs`.
struct QuadProduct<'a, 'c> {
    a: &'a [u8],
    row_scales: &'a [f32],
    quads: usize,
    words: &'a [u32],
    scales: &'a [f32],
    starts: &'a [i32],
    stride: usize,
    c: &'c mut [f32],
    output: Output,
}

impl Packed {
    pub(super) fn pack(path: Path, weights: Rows<'_>) -> Self {
        let (outputs, inputs) = (weights.rows(), weights.width());
        assert!(inputs <= MAX_INPUTS, "sums of {inputs} inputs could overflow");
        let quads = inputs.div_ceil(4);
        let mut words = Aligned::zeroed(outputs.next_multiple_of(GRAIN) * quads);
        let (mut scales, mut starts) = (Vec::with_capacity(outputs), Vec::with_capacity(outputs));
        let mut row = vec![OFFSET; 4 * quads];
        for panel in panels(outputs, width(path)) {
            let block = &mut words.as_mut_slice()[panel.first * quads..][..panel.width * quads];
            for j in 0..panel.outputs {
                scales.push(quantise(path.mode(), weights.row(panel.first + j), &mut row[..inputs]));
                let mut sum = 0;
                for (k, quad) in row.as_chunks::<4>().0.iter().enumerate() {
                    let quad = quad.map(|value| value ^ OFFSET);
                    sum += quad.iter().map(|value| i32::from(value.cast_signed())).sum::<i32>();
                    block[k * panel.width + j] = u32::from_le_bytes(quad);
                }
                starts.push(-i32::from(OFFSET) * sum);
            }
        }
        Self { words, quads, scales, starts }
    }

    /// The product for some of the outputs.
    pub(super) fn multiply(
        &self,
        path: Path,
        outputs: Range<usize>,
        a: Rows<'_>,
        mut c: RowsMut<'_>,
        output: Output,
        scratch: &mut Scratch,
    ) {
        debug_assert!(output != Output::Continue, "sums of integers are not stored");
        let mode = path.mode();
        let row_scales = scratch.row_scales.at_least(a.rows());
        let integers = scratch.integers.at_least(a.rows() * 4 * self.quads);
        for (at, row) in integers.chunks_exact_mut(4 * self.quads).enumerate() {
            let (values, padding) = row.split_at_mut(a.width());
            row_scales[at] = quantise(mode, a.row(at), values);
            padding.fill(OFFSET);
        }
        let product = QuadProduct {
            a: integers,
            row_scales,
            quads: self.quads,
            words: &self.words.as_slice()[outputs.start * self.quads..],
            scales: &self.scales[outputs.clone()],
            starts: &self.starts[outputs],
            stride: c.stride(),
            c: c.data(),
            output,
        };
        match path {
            #[cfg(target_arch = "x86_64")]
            Path::Int8Avx512 => avx512vnni::product(product),
            #[cfg(target_arch = "x86_64")]
            Path::Int8AvxVnni => avxvnni::product(product),
            _ => portable::product(mode, product),
        }
    }
}

/// Outputs per panel.
fn width(path: Path) -> usize {
    if path == Path::Int8Avx512 { 48 } else { PORTABLE_WIDTH }
}

dispatched! {
    fn quantise(values: &[f32], out: &mut [u8]) -> f32 = quantise_body;
}

/// Rounds values to integers, to nearest even, plus [`OFFSET`]. Gives their scale.
#[inline(always)]
fn quantise_body<const FUSED: bool>(values: &[f32], out: &mut [u8]) -> f32 {
    /// 1.5 · 2²³: a number added to it is rounded to an integer, which then stands in the lowest bits.
    const ROUNDING: f32 = 12_582_912.0;
    // As bits, NaN is above infinity, and infinity above all numbers.
    let largest = values.iter().fold(0, |largest, value| largest.max(value.to_bits() & 0x7fff_ffff));
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        out.fill(OFFSET);
        return f32::NAN;
    }
    if largest < SMALLEST {
        out.fill(OFFSET);
        return 0.0;
    }
    let factor = STEPS / largest;
    for (out, value) in out.iter_mut().zip(values) {
        *out = (value * factor + ROUNDING).to_bits() as u8 ^ OFFSET;
    }
    largest / STEPS
}
