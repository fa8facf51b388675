//! Attention in f32 over packed panels.

use super::{Attention, Group, Mask, PackedHead};
use crate::dispatch::dispatched;
use crate::math::{exp_of_nonpositive, maximum_of, sum_of};
use crate::matrix::{F32Kernel, Output, Panel, Product, f32_product, pack_f32, packed_len, panels};
use crate::scratch::AttentionScratch;
use crate::view::{Rows, RowsMut};

/// Query rows that are handled together.
const BLOCK: usize = 32;

/// Packed keys (tokens × `head_dim` as weights) and values (the transpose) of one head.
#[derive(Clone, Copy)]
struct HeadKeys<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    tokens: usize,
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

/// Attends with all query heads of a group; `out` has a row per query and the columns of the group.
pub(super) fn attend(
    attention: &Attention,
    group: Group<'_>,
    mut out: RowsMut<'_>,
    scratch: &mut AttentionScratch,
) {
    let mode = attention.path.mode();
    let kernel = F32Kernel::of(mode);
    let (head_dim, tokens) = (attention.head_dim, group.keys.rows());
    let keys = scratch.keys.at_least(packed_len(kernel, tokens, head_dim));
    pack_f32(kernel, group.keys, keys);
    let values = scratch.values.at_least(packed_len(kernel, head_dim, tokens));
    pack_values(kernel, group.values, values);
    let own = HeadKeys { keys, values, tokens };
    let prefix = group.prefix.and_then(|(prefix, tokens)| match prefix {
        PackedHead::Panels { keys, values } => {
            Some(HeadKeys { keys: keys.as_slice(), values: values.as_slice(), tokens })
        }
        #[cfg(target_arch = "x86_64")]
        PackedHead::Pairs(_) | PackedHead::Tiles(_) => None,
    });
    let before = prefix.map_or(0, |prefix| prefix.tokens);
    let stride = (before + tokens).next_multiple_of(16);
    let scores = scratch.scores.at_least(BLOCK * stride);

    for head in 0..group.queries.width() / head_dim {
        let bias = group.bias.map(|bias| bias.of(head));
        for first in (0..group.queries.rows()).step_by(BLOCK) {
            let rows = BLOCK.min(group.queries.rows() - first);
            let queries = group.queries.part(first, rows, head * head_dim, head_dim);
            // Keys of the sequence itself that the last row of the block sees; whole panels are computed.
            let seen = match attention.mask {
                Mask::Causal => group.first_position + first + rows,
                Mask::Bidirectional => tokens,
            };
            let computed = seen.next_multiple_of(kernel.width()).min(tokens);
            if let Some(prefix) = prefix {
                let c = RowsMut::new(scores, rows, prefix.tokens, stride);
                f32_product(kernel, Product { a: queries, panels: prefix.keys, c, output: Output::Replace });
            }
            let c = RowsMut::new(&mut scores[before..], rows, computed, stride);
            f32_product(kernel, Product { a: queries, panels: own.keys, c, output: Output::Replace });

            let mut inverse_sums = [0.0_f32; BLOCK];
            for (row, inverse) in inverse_sums.iter_mut().enumerate().take(rows) {
                let position = before + group.first_position + first + row;
                let visible = match attention.mask {
                    Mask::Causal => position + 1,
                    Mask::Bidirectional => before + tokens,
                };
                let bias = bias.map(|bias| bias.at(position, visible));
                *inverse =
                    weigh(mode, &mut scores[row * stride..][..before + seen], visible, attention.scale, bias);
            }

            let mut out = out.part(first, rows, head * head_dim, head_dim);
            for panel in panels(head_dim, kernel.width()) {
                let parts = [(prefix, before), (Some(own), seen)];
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
    let largest = match bias {
        Some(bias) => {
            scores.iter_mut().zip(bias).for_each(|(score, bias)| *score = *score * scale + bias);
            maximum_of(scores, |score| score)
        }
        None => maximum_of(scores, |score| score * scale),
    };
    let factor = if bias.is_some() { 1.0 } else { scale };
    for score in scores.iter_mut() {
        *score = exp_of_nonpositive::<FUSED>(*score * factor - largest);
    }
    1.0 / sum_of(scores, |value, sum| sum + value)
}
