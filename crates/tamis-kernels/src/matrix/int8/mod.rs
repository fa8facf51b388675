//! Products of integers of 8 bits.
//!
//! Inputs are taken in groups of 64. A group x of a row of activations becomes round(x / s) with s = max |x| / 127, and so does a
//! group of the weights of each output (Dettmers et al., arXiv 2208.07339, section 2, by groups); both are [rotated](rotate)
//! before. The sum over a group is exact, so it has no order; sums of groups are added in f32 in their order, each as
//! `float(sum) · s_output · s_row`. All int8 paths therefore agree bit for bit.
//!
//! The instruction multiplies unsigned by signed numbers, so activations are stored with 128 added, and sums start from
//! −128 · Σ weights.
//!
//! A group that holds a number that is not finite has a scale that is NaN: what its row or output gives is NaN. A group without a
//! number above 2⁻¹⁰⁰ counts as zeros.
//!
//! One scale a row and an output, without rotation, gives the packaged judge five times the error, the embedder three times.

#[cfg(target_arch = "x86_64")]
mod avx512vnni;
#[cfg(target_arch = "x86_64")]
mod avxvnni;
mod portable;
mod rotate;
#[cfg(test)]
mod tests;

use super::panels::{GRAIN, Output, PORTABLE_WIDTH, panels};
use crate::aligned::Aligned;
use crate::dispatch::dispatched;
use crate::path::Path;
use crate::scratch::Scratch;
use crate::view::{Rows, RowsMut};
use std::ops::Range;

/// Inputs that share a scale.
const GROUP: usize = rotate::BLOCK;
/// Words of a group, of four inputs each.
const QUADS: usize = GROUP / 4;
/// Largest integer.
const STEPS: f32 = 127.0;
/// What is added to activations, so that they are unsigned.
const OFFSET: u8 = 128;
/// 1.5 · 2²³: a number added to it is rounded to an integer, which then stands in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;
/// 2⁻¹⁰⁰: `STEPS / largest` is finite from here on.
const SMALLEST: f32 = f32::from_bits((127 - 100) << 23);

/// Weights of a layer in panels (see [`panels`]) of words, each the weights of four neighbouring inputs, the first lowest.
/// Inputs beyond the last are zero. Scales and starts lie in panels of groups likewise.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    inputs: usize,
    words: Aligned<u32>,
    /// What an integer of each group and output stands for.
    scales: Aligned<f32>,
    /// −128 · the sum of its integers.
    starts: Aligned<i32>,
}

/// Operands of a product: `a` is rows × 4·quads, `row_scales` rows × groups, back to back.
struct QuadProduct<'a, 'c> {
    a: &'a [u8],
    row_scales: &'a [f32],
    rows: usize,
    quads: usize,
    words: &'a [u32],
    scales: &'a [f32],
    starts: &'a [i32],
    outputs: usize,
    stride: usize,
    c: &'c mut [f32],
    output: Output,
}

impl Packed {
    pub(super) fn pack(path: Path, weights: Rows<'_>) -> Self {
        let (outputs, inputs) = (weights.rows(), weights.width());
        let (quads, groups) = (inputs.div_ceil(4), inputs.div_ceil(GROUP));
        let padded = outputs.next_multiple_of(GRAIN);
        let mut packed = Self {
            inputs,
            words: Aligned::zeroed(padded * quads),
            scales: Aligned::zeroed(padded * groups),
            starts: Aligned::zeroed(padded * groups),
        };
        let (mut row, mut row_scales) = (vec![0; 4 * quads], vec![0.0; groups]);
        for panel in panels(outputs, width(path)) {
            let words = &mut packed.words.as_mut_slice()[panel.first * quads..][..panel.width * quads];
            let scales = &mut packed.scales.as_mut_slice()[panel.first * groups..][..panel.width * groups];
            let starts = &mut packed.starts.as_mut_slice()[panel.first * groups..][..panel.width * groups];
            for j in 0..panel.outputs {
                quantise(path.mode(), weights.row(panel.first + j), &mut row, &mut row_scales);
                for (k, quad) in row.as_chunks::<4>().0.iter().enumerate() {
                    let quad = quad.map(|value| value ^ OFFSET);
                    words[k * panel.width + j] = u32::from_le_bytes(quad);
                    let sum: i32 = quad.iter().map(|value| i32::from(value.cast_signed())).sum();
                    starts[k / QUADS * panel.width + j] -= i32::from(OFFSET) * sum;
                }
                for (group, scale) in row_scales.iter().enumerate() {
                    scales[group * panel.width + j] = *scale;
                }
            }
        }
        packed
    }

    /// At most how far each output's weights are, as a vector, from what they were rounded to.
    pub(super) fn errors(&self, path: Path, outputs: usize) -> Vec<f32> {
        let groups = self.inputs.div_ceil(GROUP);
        let mut errors = Vec::with_capacity(outputs);
        for panel in panels(outputs, width(path)) {
            let scales = &self.scales.as_slice()[panel.first * groups..][..panel.width * groups];
            errors.extend((0..panel.outputs).map(|j| error(scales[j..].iter().step_by(panel.width))));
        }
        errors
    }

    /// The same of the rows that were last multiplied.
    pub(super) fn row_errors(&self, rows: usize, scratch: &mut Scratch, errors: &mut [f32]) {
        let groups = self.inputs.div_ceil(GROUP);
        let scales = scratch.row_scales.at_least(rows * groups).chunks_exact(groups.max(1));
        scales.zip(errors).for_each(|(scales, out)| *out = error(scales));
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
        debug_assert!(output != Output::Continue, "what a product goes on from has no groups");
        let (quads, groups) = (self.inputs.div_ceil(4), self.inputs.div_ceil(GROUP));
        let integers = scratch.integers.at_least(a.rows() * 4 * quads);
        let row_scales = scratch.row_scales.at_least(a.rows() * groups);
        let rows = integers.chunks_exact_mut(4 * quads).zip(row_scales.chunks_exact_mut(groups));
        for (at, (integers, scales)) in rows.enumerate() {
            match path {
                #[cfg(target_arch = "x86_64")]
                Path::Int8Avx512 => avx512vnni::quantise(a.row(at), integers, scales),
                _ => quantise(path.mode(), a.row(at), integers, scales),
            }
        }
        let product = QuadProduct {
            a: integers,
            row_scales,
            rows: a.rows(),
            quads,
            words: &self.words.as_slice()[outputs.start * quads..],
            scales: &self.scales.as_slice()[outputs.start * groups..],
            starts: &self.starts.as_slice()[outputs.start * groups..],
            outputs: outputs.len(),
            stride: c.stride(),
            c: c.data(),
            output,
        };
        match path {
            #[cfg(target_arch = "x86_64")]
            Path::Int8Avx512 => avx512vnni::product(product),
            #[cfg(target_arch = "x86_64")]
            Path::Int8AvxVnni => avxvnni::product(product),
            _ => portable::product(path.mode(), product),
        }
    }
}

/// A value is half a step away from its integer at most, and a little more by rounding before; rotation keeps lengths.
fn error<'s>(scales: impl IntoIterator<Item = &'s f32>) -> f32 {
    const HALF: f32 = 0.5001;
    let squares = scales.into_iter().map(|scale| (HALF * scale) * (HALF * scale));
    (GROUP as f32 * squares.sum::<f32>()).sqrt()
}

/// Outputs per panel.
fn width(path: Path) -> usize {
    if path == Path::Int8Avx512 { 48 } else { PORTABLE_WIDTH }
}

dispatched! {
    fn quantise(values: &[f32], out: &mut [u8], scales: &mut [f32]) = quantise_body;
}

/// Rotates a row and rounds it to integers, to nearest even, plus [`OFFSET`]; `out` is as long as the row or up to three longer,
/// `scales` gets one for each group.
#[inline(always)]
fn quantise_body<const FUSED: bool>(values: &[f32], out: &mut [u8], scales: &mut [f32]) {
    let rotate_group = |values: &_, out: &mut [u8; GROUP]| quantise_group(&rotate::rotated(values), out);
    quantise_by(rotate_group, values, out, scales);
}

/// [`quantise`] by what rotates a whole group, rounds it, and gives what an integer of it stands for, not normalised.
#[inline(always)]
fn quantise_by(
    rotate_group: impl Fn(&[f32; GROUP], &mut [u8; GROUP]) -> f32,
    values: &[f32],
    out: &mut [u8],
    scales: &mut [f32],
) {
    let (groups, rest) = values.as_chunks::<GROUP>();
    let (out_groups, out_rest) = out.split_at_mut(groups.as_flattened().len());
    for ((values, out), scale) in groups.iter().zip(out_groups.as_chunks_mut::<GROUP>().0).zip(&mut *scales) {
        *scale = rotate_group(values, out) * rotate::NORM;
    }
    if !rest.is_empty() {
        let (out, padding) = out_rest.split_at_mut(rest.len());
        scales[groups.len()] = quantise_group(rest, out);
        padding.fill(OFFSET);
    }
}

/// Rounds a group to integers; gives what one stands for.
#[inline(always)]
fn quantise_group(values: &[f32], out: &mut [u8]) -> f32 {
    // As bits, NaN is above infinity, and infinity above all numbers.
    let largest = values.iter().fold(0, |largest, value| largest.max(value.to_bits() & 0x7fff_ffff));
    let (factor, scale) = factor_and_scale(largest);
    for (out, value) in out.iter_mut().zip(values) {
        *out = (value * factor + ROUNDING).to_bits() as u8 ^ OFFSET;
    }
    scale
}

/// What the values of a group are multiplied by, and what an integer then stands for, from the bits of the largest of them
/// without its sign.
#[inline(always)]
fn factor_and_scale(largest: u32) -> (f32, f32) {
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        (f32::NAN, f32::NAN)
    } else if largest < SMALLEST {
        (0.0, 0.0)
    } else {
        (STEPS / largest, largest / STEPS)
    }
}
