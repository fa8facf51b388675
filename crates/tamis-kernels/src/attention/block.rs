//! One head of one sequence.

use super::{Mask, RelativeBias};
use crate::aligned::Aligned;
use crate::dispatch::dispatched;
use crate::math::{exp, maximum, sum_of};
use crate::matrix::{F32Kernel, Output, Panel, Product, f32_product, panels};
use crate::path::Mode;
use crate::view::{Rows, RowsMut};

/// Query rows that are handled together.
const BLOCK: usize = 32;

/// Packed keys (tokens × `head_dim` as weights) and values (the transpose) of one head.
#[derive(Clone, Copy)]
pub(super) struct HeadKeys<'a> {
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
    pub(super) tokens: usize,
}

/// One query head of one sequence, with the keys and values that it sees.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) mode: Mode,
    pub(super) scale: f32,
    pub(super) mask: Mask,
    pub(super) queries: Rows<'a>,
    /// Position of the first query row within the sequence.
    pub(super) first_position: usize,
    pub(super) prefix: Option<HeadKeys<'a>>,
    pub(super) own: HeadKeys<'a>,
    pub(super) bias: Option<RelativeBias<'a>>,
}

/// Packs values (tokens × `head_dim`) as the weights of `head_dim` outputs with one input per token.
pub(super) fn pack_values(kernel: F32Kernel, values: Rows<'_>, out: &mut [f32]) {
    let tokens = values.rows();
    for panel in panels(values.width(), kernel.width()) {
        let block = &mut out[panel.first * tokens..][..panel.width * tokens];
        for (token, block) in block.chunks_exact_mut(panel.width).enumerate() {
            let (used, padding) = block.split_at_mut(panel.outputs);
            used.copy_from_slice(&values.row(token)[panel.first..][..panel.outputs]);
            padding.fill(0.0);
        }
    }
}

/// Attends with one head; `out` has a row per query.
pub(super) fn attend(head: Head<'_>, mut out: RowsMut<'_>, scores: &mut Aligned<f32>) {
    let kernel = F32Kernel::of(head.mode);
    let head_dim = head.queries.width();
    let before = head.prefix.map_or(0, |prefix| prefix.tokens);
    let stride = (before + head.own.tokens).next_multiple_of(16);
    let scores = scores.at_least(BLOCK * stride);
    for first in (0..head.queries.rows()).step_by(BLOCK) {
        let rows = BLOCK.min(head.queries.rows() - first);
        let queries = head.queries.part(first, rows, 0, head_dim);
        // Keys of the sequence itself that the last row of the block sees; whole panels are computed.
        let seen = match head.mask {
            Mask::Causal => head.first_position + first + rows,
            Mask::Bidirectional => head.own.tokens,
        };
        let computed = seen.next_multiple_of(kernel.width()).min(head.own.tokens);
        if let Some(prefix) = head.prefix {
            let c = RowsMut::new(scores, rows, prefix.tokens, stride);
            f32_product(kernel, Product { a: queries, panels: prefix.keys, c, output: Output::Replace });
        }
        let c = RowsMut::new(&mut scores[before..], rows, computed, stride);
        f32_product(kernel, Product { a: queries, panels: head.own.keys, c, output: Output::Replace });

        let mut inverse_sums = [0.0_f32; BLOCK];
        for (row, inverse) in inverse_sums.iter_mut().enumerate().take(rows) {
            let position = head.first_position + first + row;
            let visible = match head.mask {
                Mask::Causal => before + position + 1,
                Mask::Bidirectional => before + head.own.tokens,
            };
            let bias = head.bias.map(|bias| &bias.table[bias.reach - 1 - before - position..][..visible]);
            *inverse =
                weigh(head.mode, &mut scores[row * stride..][..before + seen], visible, head.scale, bias);
        }

        let mut out = out.part(first, rows, 0, head_dim);
        for panel in panels(head_dim, kernel.width()) {
            let parts = [(head.prefix, before), (Some(head.own), seen)];
            let (mut column, mut output) = (0, Output::Replace);
            for (keys, used) in parts {
                let Some(keys) = keys.filter(|_| used > 0) else { continue };
                let a = Rows::new(&scores[column..], rows, used, stride);
                let c = out.part(0, rows, panel.first, panel.outputs);
                f32_product(kernel, Product { a, panels: values_of(keys, panel, used), c, output });
                (column, output) = (column + used, Output::Continue);
            }
        }
        for (row, inverse) in inverse_sums.into_iter().enumerate().take(rows) {
            out.row(row).iter_mut().for_each(|value| *value *= inverse);
        }
    }
}

/// The first `used` tokens of a panel of packed values.
fn values_of<'a>(keys: HeadKeys<'a>, panel: Panel, used: usize) -> &'a [f32] {
    &keys.values[panel.first * keys.tokens..][..panel.width * used]
}

dispatched! {
    fn weigh(scores: &mut [f32], visible: usize, scale: f32, bias: Option<&[f32]>) -> f32 = weigh_body;
}

/// Turns scores into softmax weights that are not yet divided by their sum, zero after `visible`; gives 1 / sum.
#[inline(always)]
fn weigh_body<const FUSED: bool>(
    scores: &mut [f32],
    visible: usize,
    scale: f32,
    bias: Option<&[f32]>,
) -> f32 {
    let (scores, masked) = scores.split_at_mut(visible);
    masked.fill(0.0);
    match bias {
        Some(bias) => scores.iter_mut().zip(bias).for_each(|(score, bias)| *score = *score * scale + bias),
        None => scores.iter_mut().for_each(|score| *score *= scale),
    }
    let largest = maximum(scores);
    for score in scores.iter_mut() {
        *score = exp::<FUSED>(*score - largest);
    }
    1.0 / sum_of(scores, |value, sum| sum + value)
}
