//! Attention from candle's primitives, one sequence at a time.

use std::ops::Range;

use candle_core::{D, Tensor};

use super::{CandleBlocks, KeyValues, PositionBias};
use crate::error::Result;
use crate::graph::blocks::{Attention, Between, Queries};
use crate::graph::mask::Mask;
use crate::graph::pack::Pack;

/// Projections of two packs: queries of the one, keys and values of the other.
pub(super) struct Source<'a> {
    pub(super) queries: &'a Tensor,
    pub(super) keys: &'a Tensor,
    pub(super) values: &'a Tensor,
}

/// See [`Blocks::attention`](crate::graph::blocks::Blocks::attention).
pub(super) fn attend(
    blocks: &CandleBlocks,
    qkv: &Tensor,
    attention: &Attention,
    pack: &Pack,
    prefix: Option<&KeyValues>,
    queries: Queries,
) -> Result<Tensor> {
    let mixed = pack.sequences().map(|rows| {
        let own = qkv.narrow(0, rows.start, rows.len())?;
        let from = match queries {
            Queries::All => 0,
            Queries::Last => rows.len() - 1,
        };
        attend_sequence(blocks, &own, attention, pack.start(), prefix, from)
    });
    Ok(Tensor::cat(&mixed.collect::<Result<Vec<_>>>()?, 0)?)
}

/// See [`Blocks::biased_attention`](crate::graph::blocks::Blocks::biased_attention).
pub(super) fn attend_biased(
    blocks: &CandleBlocks,
    qkv: &Tensor,
    attention: &Attention,
    bias: &PositionBias,
    pack: &Pack,
) -> Result<Tensor> {
    let (queries, keys) = (attention.query_width(), attention.key_width());
    let mixed = pack.sequences().map(|rows| {
        let own = qkv.narrow(0, rows.start, rows.len())?;
        let mut added = bias.between(rows.len())?;
        if attention.mask == Mask::Causal {
            added = added.broadcast_add(&causal(0, rows.len(), rows.len(), attention, own.device())?)?;
        }
        mix(
            blocks,
            attention,
            &heads(&own, 0..queries, attention)?,
            &heads(&own, queries..queries + keys, attention)?,
            &heads(&own, queries + keys..queries + 2 * keys, attention)?,
            Some(&added),
        )
    });
    Ok(Tensor::cat(&mixed.collect::<Result<Vec<_>>>()?, 0)?)
}

/// See [`Blocks::cross_attention`](crate::graph::blocks::Blocks::cross_attention).
pub(super) fn attend_across(
    blocks: &CandleBlocks,
    source: &Source<'_>,
    attention: &Attention,
    between: &Between<'_, Tensor>,
) -> Result<Tensor> {
    let mixed = between.pack.sequences().zip(between.source.sequences()).map(|(own, read)| {
        let part = |rows: &Tensor, range: &Range<usize>| {
            heads(&rows.narrow(0, range.start, range.len())?, 0..attention.key_width(), attention)
        };
        let (keys, values) = (part(source.keys, &read)?, part(source.values, &read)?);
        mix(blocks, attention, &part(source.queries, &own)?, &keys, &values, None)
    });
    Ok(Tensor::cat(&mixed.collect::<Result<Vec<_>>>()?, 0)?)
}

impl PositionBias {
    /// Biases of a sequence of so many tokens: heads × queries × keys.
    fn between(&self, tokens: usize) -> Result<Tensor> {
        let tokens = tokens as i64;
        let buckets: Vec<u32> = (0..tokens)
            .flat_map(|query| (0..tokens).map(move |key| self.buckets.of(key - query) as u32))
            .collect();
        let buckets = Tensor::from_vec(buckets, (tokens * tokens) as usize, self.values.device())?;
        let biases = self.values.index_select(&buckets, 0)?.t()?.contiguous()?;
        Ok(biases.reshape((self.values.dim(1)?, tokens as usize, tokens as usize))?)
    }
}

/// Rotated keys, and values, of a sequence that starts at a position.
pub(super) fn keys_values(qkv: &Tensor, attention: &Attention, start: usize) -> Result<KeyValues> {
    let (queries, keys) = (attention.query_width(), attention.key_width());
    Ok(KeyValues {
        keys: rotate(heads(qkv, queries..queries + keys, attention)?, attention, start)?,
        values: heads(qkv, queries + keys..queries + 2 * keys, attention)?,
    })
}

/// Attention of one sequence, for its queries from row `from` on.
fn attend_sequence(
    blocks: &CandleBlocks,
    qkv: &Tensor,
    attention: &Attention,
    start: usize,
    prefix: Option<&KeyValues>,
    from: usize,
) -> Result<Tensor> {
    let KeyValues { mut keys, mut values } = keys_values(qkv, attention, start)?;
    if let Some(prefix) = prefix {
        keys = Tensor::cat(&[&prefix.keys, &keys], 1)?;
        values = Tensor::cat(&[&prefix.values, &values], 1)?;
    }
    let wanted = qkv.dim(0)? - from;
    let queries = rotate(heads(qkv, 0..attention.query_width(), attention)?, attention, start)?;
    let queries = queries.narrow(1, from, wanted)?.contiguous()?;

    let mask = match attention.mask {
        Mask::Causal => Some(causal(start + from, wanted, keys.dim(1)?, attention, keys.device())?),
        Mask::Full => None,
    };
    mix(blocks, attention, &queries, &keys, &values, mask.as_ref())
}

/// Values mixed by the softmax of the scores, to which `added` is added: queries × all heads side by side.
fn mix(
    blocks: &CandleBlocks,
    attention: &Attention,
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    added: Option<&Tensor>,
) -> Result<Tensor> {
    let keys = for_each_query_head(keys, attention)?;
    let mut scores = queries.matmul(&keys.transpose(1, 2)?.contiguous()?)?;
    scores = (scores * f64::from(attention.scale))?;
    if let Some(added) = added {
        scores = scores.broadcast_add(added)?;
    }
    let largest = scores.max_keepdim(D::Minus1)?.detach();
    let weights = scores.broadcast_sub(&largest)?.exp()?;
    let weights = blocks.dropped(weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?)?;
    let mixed = weights.matmul(&for_each_query_head(values, attention)?)?;
    Ok(mixed.transpose(0, 1)?.reshape((queries.dim(1)?, attention.query_width()))?)
}

/// Columns of a projection as heads × T × head width.
fn heads(qkv: &Tensor, columns: Range<usize>, attention: &Attention) -> Result<Tensor> {
    let part = qkv.narrow(1, columns.start, columns.len())?;
    let split = part.reshape((qkv.dim(0)?, columns.len() / attention.head_dim, attention.head_dim))?;
    Ok(split.transpose(0, 1)?.contiguous()?)
}

/// Repeats each key or value head for the query heads that it serves.
fn for_each_query_head(heads: &Tensor, attention: &Attention) -> Result<Tensor> {
    let group = attention.heads / attention.kv_heads;
    if group == 1 {
        return Ok(heads.clone());
    }
    let (kv_heads, tokens, width) = heads.dims3()?;
    let repeated = heads.unsqueeze(1)?.broadcast_as((kv_heads, group, tokens, width))?;
    Ok(repeated.contiguous()?.reshape((attention.heads, tokens, width))?)
}

/// Rotates heads × T × head width, whose first row is at position `start`.
fn rotate(heads: Tensor, attention: &Attention, start: usize) -> Result<Tensor> {
    let Some(rotary) = &attention.rotary else { return Ok(heads) };
    let tokens = heads.dim(1)?;
    let half = rotary.frequencies().len();
    let angles: Vec<f64> = (start..start + tokens)
        .flat_map(|position| {
            rotary.frequencies().iter().map(move |frequency| f64::from(position as f32 * frequency))
        })
        .collect();
    let of_angles = |function: fn(f64) -> f64| {
        let values = angles.iter().map(|&angle| function(angle) as f32).collect();
        Tensor::from_vec(values, (tokens, half), heads.device())
    };
    let (cosines, sines) = (of_angles(libm::cos)?, of_angles(libm::sin)?);
    let (left, right) = (heads.narrow(2, 0, half)?, heads.narrow(2, half, half)?);
    let new_left = (left.broadcast_mul(&cosines)? - right.broadcast_mul(&sines)?)?;
    let new_right = (right.broadcast_mul(&cosines)? + left.broadcast_mul(&sines)?)?;
    Ok(Tensor::cat(&[new_left, new_right], 2)?)
}

/// Zero where query row `row`, at position `first + row`, sees the key; −∞ elsewhere.
fn causal(
    first: usize,
    rows: usize,
    keys: usize,
    attention: &Attention,
    device: &candle_core::Device,
) -> Result<Tensor> {
    let sees = |query: usize, key: usize| {
        key <= query && attention.window.as_ref().is_none_or(|window| window.sees(query, key))
    };
    let mask = (first..first + rows).flat_map(|query| (0..keys).map(move |key| (query, key)));
    let mask: Vec<f32> =
        mask.map(|(query, key)| if sees(query, key) { 0.0 } else { f32::NEG_INFINITY }).collect();
    Ok(Tensor::from_vec(mask, (rows, keys), device)?)
}
