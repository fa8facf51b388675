//! Attention by `vdpbf16ps`: queries, keys, softmax weights and values are rounded to bf16 at the entrance of the two
//! products, as `PyTorch`'s bf16 attention does; scores, maxima and sums are f32. The sum is that of the rounded weights, so
//! that they add up to one.
//!
//! The query heads that share keys and values are handled together, each with a few positions, so that a causal block
//! computes few scores that nobody sees. Values are paired by position, counted from the first of the prefix: the last
//! position of an odd prefix is kept as a row and paired with the first one of every sequence, so that pairs fall alike
//! with and without a cache.

use super::{Attention, Group, Mask, PackedHead, tiles};
use crate::aligned::Aligned;
use crate::bf16;
use crate::dispatch::dispatched;
use crate::matrix::avx512bf16::{self, PanelProduct, panel_product};
use crate::matrix::transpose::{SIDE, transpose_pairs};
use crate::matrix::{Output, panels};
use crate::path::Mode;
use crate::scratch::PairScratch;
use crate::view::Rows;
use crate::view::RowsMut;

/// Query rows, of all heads together, that are handled at once.
const BLOCK: usize = 24;
/// Keys a panel.
const KEYS: usize = 48;
/// Columns of values a panel.
const COLUMNS: usize = 32;
/// Weights that are written at once.
const STEP: usize = 32;

/// Keys and values of one head of a prefix.
#[derive(Debug, Clone)]
pub(super) struct CachedPairs {
    tokens: usize,
    keys: Aligned<u32>,
    /// Values of the positions that make whole pairs.
    values: Aligned<u32>,
    /// The values of the last position, if it is left over.
    last: Vec<f32>,
}

impl CachedPairs {
    pub(super) fn pack(mode: Mode, keys: Rows<'_>, values: Rows<'_>) -> Self {
        let (tokens, head_dim) = (keys.rows(), keys.width());
        let whole = tokens / 2 * 2;
        let mut packed = Self {
            tokens,
            keys: Aligned::zeroed(keys_len(tokens, head_dim)),
            values: Aligned::zeroed(values_len(whole, head_dim)),
            last: (whole..tokens).flat_map(|at| values.row(at)).copied().collect(),
        };
        pack_keys(keys, packed.keys.as_mut_slice());
        pack_values(mode, &[], values.part(0, whole, 0, head_dim), packed.values.as_mut_slice());
        packed
    }
}

/// Attends with all query heads of a group; `out` has a row per query and the columns of the group.
pub(super) fn attend(
    attention: &Attention,
    group: Group<'_>,
    mut out: RowsMut<'_>,
    scratch: &mut PairScratch,
) {
    let mode = attention.path.mode();
    let (head_dim, own) = (attention.head_dim, group.keys.rows());
    let prefix = group.prefix.and_then(|(prefix, _)| match prefix {
        PackedHead::Pairs(prefix) => Some(prefix),
        PackedHead::Panels { .. } | PackedHead::Tiles(_) => None,
    });
    let before = prefix.map_or(0, |prefix| prefix.tokens);
    let last = prefix.map_or(&[][..], |prefix| &prefix.last);
    let whole = before / 2 * 2;

    let keys = scratch.keys.at_least(keys_len(own, head_dim));
    pack_keys(group.keys, keys);
    let own_values = before - whole + own;
    let values = scratch.values.at_least(values_len(own_values, head_dim));
    pack_values(mode, last, group.values, values);

    let inputs = head_dim.next_multiple_of(2);
    let queries = scratch.queries.at_least(BLOCK * inputs);
    // An odd number of cache lines, so that rows do not compete for the same places.
    let stride = (before + own).next_multiple_of(2 * STEP) + STEP;
    let scores = scratch.scores.at_least(BLOCK * (stride + 16));
    let (score_stride, weight_stride) = (stride + 16, stride);
    let weights = scratch.weights.at_least(BLOCK * weight_stride);
    let sums = scratch.sums.at_least(BLOCK * COLUMNS);

    let heads = group.queries.width() / head_dim;
    let heads_at_once = heads.min(BLOCK);
    let positions_at_once = BLOCK / heads_at_once;
    for first_head in (0..heads).step_by(heads_at_once) {
        let heads = heads_at_once.min(heads - first_head);
        for first in (0..group.queries.rows()).step_by(positions_at_once) {
            let positions = positions_at_once.min(group.queries.rows() - first);
            let rows = heads * positions;
            // Rows are heads, and of each head its positions.
            let place = |row: usize| (first_head + row / positions, first + row % positions);
            for row in 0..rows {
                let (head, position) = place(row);
                let (to, padding) = queries[row * inputs..][..inputs].split_at_mut(head_dim);
                avx512bf16::round(&group.queries.row(position)[head * head_dim..][..head_dim], to);
                padding.fill(0);
            }
            // Keys of the sequence itself that the last position of the block sees.
            let seen = match attention.mask {
                Mask::Causal => group.first_position + first + positions,
                Mask::Bidirectional => own,
            };
            let parts =
                [prefix.map(|prefix| (prefix.keys.as_slice(), before, before)), Some((&*keys, own, seen))];
            let mut column = 0;
            for (keys, tokens, seen) in parts.into_iter().flatten() {
                for panel in panels(tokens, KEYS).take_while(|panel| panel.first < seen) {
                    panel_product(PanelProduct {
                        a: queries,
                        a_stride: inputs,
                        rows,
                        pairs: inputs / 2,
                        block: &keys[panel.first * inputs / 2..],
                        step: panel.width,
                        outputs: panel.outputs.min(seen - panel.first),
                        stride: score_stride,
                        c: &mut scores[column + panel.first..],
                        output: Output::Replace,
                    });
                }
                column += seen;
            }

            let seen = before + seen;
            let mut inverse_sums = [0.0_f32; BLOCK];
            for (row, inverse) in inverse_sums.iter_mut().enumerate().take(rows) {
                let (head, position) = place(row);
                let position = before + group.first_position + position;
                let visible = if attention.mask == Mask::Causal { position + 1 } else { seen };
                let bias = group.bias.map(|bias| bias.of(head).at(position, visible));
                let from = &mut scores[row * score_stride..][..seen.next_multiple_of(STEP)];
                let to = &mut weights[row * weight_stride..][..seen.next_multiple_of(STEP)];
                // SAFETY: the path exists only where AVX-512 and AVX-512-BF16 were detected.
                *inverse = unsafe { tiles::weigh(from, visible, attention.scale, bias, to, STEP) };
            }

            for panel in panels(head_dim, COLUMNS) {
                let parts = [
                    prefix.map(|prefix| (prefix.values.as_slice(), whole / 2, whole / 2)),
                    Some((&*values, own_values.div_ceil(2), (seen - whole).div_ceil(2))),
                ];
                let (mut column, mut output) = (0, Output::Replace);
                for (values, stored, used) in parts.into_iter().flatten().filter(|(.., used)| *used > 0) {
                    panel_product(PanelProduct {
                        a: &weights[column..],
                        a_stride: weight_stride,
                        rows,
                        pairs: used,
                        block: &values[panel.first * stored..],
                        step: panel.width,
                        outputs: panel.outputs,
                        stride: COLUMNS,
                        c: sums,
                        output,
                    });
                    (column, output) = (column + 2 * used, Output::Continue);
                }
                for row in 0..rows {
                    let (head, position) = place(row);
                    let out = &mut out.row(position)[head * head_dim + panel.first..][..panel.outputs];
                    scaled(mode, &sums[row * COLUMNS..][..panel.outputs], inverse_sums[row], out);
                }
            }
        }
    }
}

/// Words of the packed form of `tokens` keys.
fn keys_len(tokens: usize, head_dim: usize) -> usize {
    tokens.next_multiple_of(16) * head_dim.div_ceil(2)
}

/// Words of the packed form of `tokens` values.
fn values_len(tokens: usize, head_dim: usize) -> usize {
    head_dim.next_multiple_of(16) * tokens.div_ceil(2)
}

dispatched! {
    fn scaled(sums: &[f32], factor: f32, out: &mut [f32]) = scaled_body;
    fn pack_values(first: &[f32], values: Rows<'_>, out: &mut [u32]) = pack_values_body;
}

/// Packs keys as the weights of one output per token, in pairs of inputs.
fn pack_keys(keys: Rows<'_>, out: &mut [u32]) {
    let pairs = keys.width().div_ceil(2);
    for panel in panels(keys.rows(), KEYS) {
        let block = &mut out[panel.first * pairs..][..panel.width * pairs];
        for j in (0..panel.width).step_by(SIDE) {
            let rows = keys.part(panel.first + j, SIDE.min(panel.outputs - j), 0, keys.width());
            for column in (0..keys.width()).step_by(2 * SIDE) {
                let shape = [rows.rows(), (2 * SIDE).min(keys.width() - column)];
                let to = &mut block[column / 2 * panel.width + j..];
                transpose_pairs(&rows.data()[column..], rows.stride(), shape, to, panel.width);
            }
        }
    }
}

/// Copies sums, each times the factor.
#[inline(always)]
fn scaled_body<const FUSED: bool>(sums: &[f32], factor: f32, out: &mut [f32]) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = sum * factor;
    }
}

/// Packs values, `first` before them if it is a row, as the weights of `head_dim` outputs with one input per token, in pairs of
/// tokens.
#[inline(always)]
fn pack_values_body<const FUSED: bool>(first: &[f32], values: Rows<'_>, out: &mut [u32]) {
    let width = values.width();
    let shift = usize::from(!first.is_empty());
    let tokens = values.rows() + shift;
    let pairs = tokens.div_ceil(2);
    for panel in panels(width, COLUMNS) {
        let block = &mut out[panel.first * pairs..][..panel.width * pairs];
        for (pair, block) in block.chunks_exact_mut(panel.width).enumerate() {
            let row = |token: usize| match token.checked_sub(shift) {
                None => Some(first),
                Some(at) => (at < values.rows()).then(|| values.row(at)),
            };
            let columns = |row: &'_ [f32]| -> [f32; COLUMNS] {
                // A copy of known length takes two instructions, another a call.
                if let Some(whole) = row[panel.first..].first_chunk() {
                    return *whole;
                }
                let mut lanes = [0.0; COLUMNS];
                lanes[..panel.outputs].copy_from_slice(&row[panel.first..][..panel.outputs]);
                lanes
            };
            let even = row(2 * pair).map_or([0.0; COLUMNS], columns);
            let odd = row(2 * pair + 1).map_or([0.0; COLUMNS], columns);
            for (i, out) in block.iter_mut().enumerate() {
                *out = pair_of(even[i], odd[i]);
            }
        }
    }
}

#[inline(always)]
fn pair_of(low: f32, high: f32) -> u32 {
    u32::from(bf16::from_f32(low)) | u32::from(bf16::from_f32(high)) << 16
}
