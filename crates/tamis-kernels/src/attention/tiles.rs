//! Attention on AMX tiles: queries, keys, softmax weights and values are rounded to bf16 at the entrance of the two
//! products, as `PyTorch`'s bf16 attention does; scores, maxima and sums are f32. The sum is that of the rounded weights, so
//! that they add up to one.
//!
//! Keys are cut into tiles counted from the first position of the prefix. The last positions of a prefix that do not fill
//! a tile are kept as rows and begin the tiles of every sequence, so that tiles fall alike with and without a cache.

use super::{Attention, Group, Mask, PackedHead};
use crate::aligned::Aligned;
use crate::bf16;
use crate::dispatch::dispatched;
use crate::math::{LANES, exp_of_nonpositive, maximum_of, sum_lanes};
use crate::matrix::amx::{self, BLOCK, DEPTH, SIDE, TILE, Tiles};
use crate::path::Mode;
use crate::scratch::TileScratch;
use crate::view::{Rows, RowsMut};
use std::arch::x86_64::*;

/// Keys and values of one head of a prefix.
#[derive(Debug, Clone)]
pub(super) struct CachedTiles {
    /// Positions in whole tiles.
    whole: usize,
    keys: Aligned<u16>,
    values: Aligned<u16>,
    /// The positions after them, rows of `head_dim`.
    last_keys: Vec<f32>,
    last_values: Vec<f32>,
}

impl CachedTiles {
    pub(super) fn pack(keys: Rows<'_>, values: Rows<'_>) -> Self {
        let (tokens, head_dim) = (keys.rows(), keys.width());
        let whole = tokens / BLOCK * BLOCK;
        let mut packed = Self {
            whole,
            keys: Aligned::zeroed(amx::packed_len(whole, head_dim)),
            values: Aligned::zeroed(amx::packed_len(head_dim, whole)),
            last_keys: (whole..tokens).flat_map(|at| keys.row(at)).copied().collect(),
            last_values: (whole..tokens).flat_map(|at| values.row(at)).copied().collect(),
        };
        amx::pack_into(keys.part(0, whole, 0, head_dim), 0, packed.keys.as_mut_slice());
        pack_values(Mode::Avx512, values.part(0, whole, 0, head_dim), packed.values.as_mut_slice());
        packed
    }
}

/// Attends with all query heads of a group; `out` has a row per query and the columns of the group.
pub(super) fn attend(
    tiles: &Tiles,
    attention: &Attention,
    group: Group<'_>,
    mut out: RowsMut<'_>,
    scratch: &mut TileScratch,
) {
    let head_dim = attention.head_dim;
    let prefix = group.prefix.and_then(|(prefix, _)| match prefix {
        PackedHead::Tiles(prefix) => Some(prefix),
        PackedHead::Panels { .. } | PackedHead::Pairs(_) => None,
    });
    let (whole, last) = prefix.map_or((0, 0), |prefix| (prefix.whole, prefix.last_keys.len() / head_dim));
    let (before, own) = (whole + last, last + group.keys.rows());
    let depth = head_dim.div_ceil(DEPTH);
    let own_steps = own.div_ceil(DEPTH);

    let keys = scratch.keys.at_least(amx::packed_len(own, head_dim));
    let values = scratch.values.at_least(amx::packed_len(head_dim, own));
    if let Some(prefix) = prefix.filter(|_| last > 0) {
        amx::pack_into(Rows::contiguous(&prefix.last_keys, head_dim), 0, keys);
    }
    amx::pack_into(group.keys, last, keys);
    let own_values = match prefix.filter(|_| last > 0) {
        None => group.values,
        Some(prefix) => {
            let joined = scratch.joined.at_least(own * head_dim);
            let (first, rest) = joined.split_at_mut(last * head_dim);
            first.copy_from_slice(&prefix.last_values);
            for (at, row) in rest.chunks_exact_mut(head_dim).enumerate() {
                row.copy_from_slice(group.values.row(at));
            }
            Rows::contiguous(joined, head_dim)
        }
    };
    pack_values(Mode::Avx512, own_values, values);

    let stride = whole + own.next_multiple_of(BLOCK);
    let scores = scratch.scores.at_least(BLOCK * stride);
    let weights = scratch.weights.at_least(BLOCK * stride);
    let queries = scratch.queries.at_least(depth * 2 * TILE);
    let sums = scratch.sums.at_least(BLOCK * BLOCK);
    for head in 0..group.queries.width() / head_dim {
        let bias = group.bias.map(|bias| bias.of(head));
        for first in (0..group.queries.rows()).step_by(BLOCK) {
            let rows = BLOCK.min(group.queries.rows() - first);
            let position = group.first_position + first;
            // Positions, from the prefix's first on, that the last row of the block sees.
            let seen = match attention.mask {
                Mask::Causal => before + position + rows,
                Mask::Bidirectional => whole + own,
            };
            amx::cut(group.queries.part(first, rows, head * head_dim, head_dim), queries);
            let cached = prefix.map_or(&[][..], |prefix| prefix.keys.as_slice());
            let blocks = cached.chunks_exact(depth * 2 * TILE).chain(keys.chunks_exact(depth * 2 * TILE));
            for (column, keys) in (0..seen).step_by(BLOCK).zip(blocks) {
                tiles.zero();
                tiles.accumulate(queries, keys);
                tiles.store(&mut scores[column..], stride);
            }
            let steps = seen.div_ceil(DEPTH);
            let mut inverse_sums = [0.0_f32; BLOCK];
            for (row, inverse) in inverse_sums.iter_mut().enumerate().take(rows) {
                let at = before + position + row;
                let visible = if attention.mask == Mask::Causal { at + 1 } else { seen };
                let bias = bias.map(|bias| bias.at(at, visible));
                let to = &mut weights[row / SIDE * TILE + row % SIDE * DEPTH..];
                let from = &mut scores[row * stride..][..steps * DEPTH];
                // SAFETY: tiles are granted only where AVX-512 and AVX-512-BF16 were detected.
                *inverse = unsafe { weigh(from, visible, attention.scale, bias, to, 2 * TILE) };
            }
            let (cached_weights, own_weights) =
                weights[..steps * 2 * TILE].split_at(whole / DEPTH * 2 * TILE);
            for column in (0..head_dim).step_by(BLOCK) {
                tiles.zero();
                if let Some(prefix) = prefix.filter(|_| whole > 0) {
                    let values = &prefix.values.as_slice()[column / BLOCK * cached_weights.len()..];
                    tiles.accumulate(cached_weights, &values[..cached_weights.len()]);
                }
                if !own_weights.is_empty() {
                    let values = &values[column / BLOCK * own_steps * 2 * TILE..][..own_weights.len()];
                    tiles.accumulate(own_weights, values);
                }
                tiles.store(sums, BLOCK);
                let width = BLOCK.min(head_dim - column);
                let out = out.part(first, rows, head * head_dim + column, width);
                divide(Mode::Avx512, sums, &inverse_sums, out);
            }
        }
    }
}

dispatched! {
    fn divide(sums: &[f32], inverse_sums: &[f32], out: RowsMut<'_>) = divide_body;
    fn pack_values(values: Rows<'_>, out: &mut [u16]) = pack_values_body;
}

/// Turns a row of scores into softmax weights not yet divided by their sum, zero after `visible`; gives 1 / sum. Every 32
/// weights are written `apart` values after those before them, as a row of tiles or of a matrix has them.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) fn weigh(
    scores: &mut [f32],
    visible: usize,
    scale: f32,
    bias: Option<&[f32]>,
    weights: &mut [u16],
    apart: usize,
) -> f32 {
    let (seen, masked) = scores.split_at_mut(visible);
    masked.fill(f32::NEG_INFINITY);
    let largest = match bias {
        Some(bias) => {
            seen.iter_mut().zip(bias).for_each(|(score, bias)| *score = *score * scale + bias);
            maximum_of(scores, |score| score)
        }
        None => maximum_of(scores, |score| score * scale),
    };
    let factor = if bias.is_some() { 1.0 } else { scale };
    let mut sums = [_mm512_setzero_ps(); 2];
    for (step, scores) in scores.as_chunks::<DEPTH>().0.iter().enumerate() {
        let mut exact = [0.0_f32; DEPTH];
        for i in 0..DEPTH {
            exact[i] = exp_of_nonpositive::<true>(scores[i] * factor - largest);
        }
        let rounded = amx::round(&exact);
        let halves = [_mm512_castsi512_si256(rounded), _mm512_extracti64x4_epi64::<1>(rounded)];
        for (sum, half) in sums.iter_mut().zip(halves) {
            let widened = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half));
            *sum = _mm512_add_ps(*sum, _mm512_castsi512_ps(widened));
        }
        let weights = &mut weights[step * apart..][..DEPTH];
        // SAFETY: the slice is 64 bytes long.
        unsafe { _mm512_storeu_si512(weights.as_mut_ptr().cast(), rounded) };
    }
    let mut lanes = [0.0_f32; LANES];
    // SAFETY: the array is 64 bytes long.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), _mm512_add_ps(sums[0], sums[1])) };
    1.0 / sum_lanes(lanes)
}

/// Copies sums, each row times its factor.
#[inline(always)]
fn divide_body<const FUSED: bool>(sums: &[f32], inverse_sums: &[f32], mut out: RowsMut<'_>) {
    for row in 0..out.rows() {
        let inverse = inverse_sums[row];
        for (out, sum) in out.row(row).iter_mut().zip(&sums[row * BLOCK..][..BLOCK]) {
            *out = sum * inverse;
        }
    }
}

/// Packs values (tokens × `head_dim`) as the weights of `head_dim` outputs with one input per token, tokens
/// rounded up with zeros to whole tiles.
#[inline(always)]
fn pack_values_body<const FUSED: bool>(values: Rows<'_>, out: &mut [u16]) {
    let steps = values.rows().div_ceil(DEPTH);
    for pair in 0..steps * DEPTH / 2 {
        for column in (0..values.width()).step_by(SIDE) {
            let row = |token: usize| {
                let mut lanes = [0.0_f32; SIDE];
                if token < values.rows() {
                    let width = SIDE.min(values.width() - column);
                    lanes[..width].copy_from_slice(&values.row(token)[column..][..width]);
                }
                lanes
            };
            let (even, odd) = (row(2 * pair), row(2 * pair + 1));
            let tile = (column / BLOCK * steps + 2 * pair / DEPTH) * 2 + column % BLOCK / SIDE;
            let out = &mut out[tile * TILE + pair % SIDE * DEPTH..][..DEPTH];
            for i in 0..SIDE {
                out[2 * i] = bf16::from_f32(even[i]);
                out[2 * i + 1] = bf16::from_f32(odd[i]);
            }
        }
    }
}
