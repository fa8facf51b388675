//! Attention to the states of another sequence.
//!
//! Keys are K = H·Wₖᵀ and values V = H·Wᵥᵀ for states H of the input, head by head. Where a sequence has few queries, they
//! are not computed: q·(Wₖ h) = (Wₖᵀ q)·h, and Σ w·(Wᵥ h) = Wᵥ Σ w·h. So the query goes through Wₖᵀ, attends to the states
//! themselves, and what comes back goes through Wᵥ. For one query (the first step of an answer) that takes one
//! multiplication a head and state value in place of one a weight: the input costs the encoder, and next to nothing more.
//! With n queries it costs n / head width of the other way.
//!
//! Which way is taken depends on the number of a sequence's queries alone, never on the pack.

use tamis_kernels::{
    Accumulate, Attention as Kernel, AttentionInput, Mask, PackedMatrix, Path, QueryRows, Rows, RowsMut,
    Scratch,
};

use super::attention::{columns, kernel};
use super::buffer::Buffer;
use crate::error::Result;
use crate::graph::blocks::{Attention, Between, CrossNames};
use crate::weights::Weights;

/// Queries of a sequence up to which the states are read in place of keys and values.
const FEW_QUERIES: usize = 4;

/// Wₖ and Wᵥ.
#[derive(Debug)]
pub(crate) struct Cross {
    path: Path,
    scale: f32,
    /// Keys, then values, of all heads.
    keys_values: PackedMatrix,
    heads: Vec<Head>,
}

#[derive(Debug)]
struct Head {
    /// Wₖᵀ: a query of this head to a query of states.
    query: PackedMatrix,
    /// Wᵥ: a mean of states to a mean of values.
    value: PackedMatrix,
}

impl Cross {
    pub(super) fn load(
        path: Path,
        weights: &dyn Weights,
        names: &CrossNames,
        attention: &Attention,
        inputs: usize,
    ) -> Result<Self> {
        let (width, head_dim) = (attention.key_width(), attention.head_dim);
        let mut keys = weights.load(&names.key, &[width, inputs])?;
        let values = weights.load(&names.value, &[width, inputs])?;
        let heads = keys
            .chunks_exact(head_dim * inputs)
            .zip(values.chunks_exact(head_dim * inputs))
            .map(|(keys, values)| {
                let transposed: Vec<f32> = (0..inputs)
                    .flat_map(|input| (0..head_dim).map(move |at| keys[at * inputs + input]))
                    .collect();
                Head {
                    query: PackedMatrix::pack_sensitive(&transposed, inputs, head_dim, path),
                    value: PackedMatrix::pack_sensitive(values, head_dim, inputs, path),
                }
            })
            .collect();
        keys.extend_from_slice(&values);
        Ok(Self {
            path,
            scale: attention.scale,
            keys_values: PackedMatrix::pack_sensitive(&keys, 2 * width, inputs, path),
            heads,
        })
    }

    /// See [`Blocks::cross_attention`](crate::graph::blocks::Blocks::cross_attention).
    pub(super) fn attend(
        &self,
        queries: &Buffer,
        attention: &Attention,
        between: Between<'_, Buffer>,
        scratch: &mut Scratch,
    ) -> Buffer {
        let (few, many) = (
            Chosen::of(&between, |count| count <= FEW_QUERIES),
            Chosen::of(&between, |count| count > FEW_QUERIES),
        );
        if many.counts.is_empty() {
            return self.attend_to_states(queries, between.states, &few, scratch);
        }
        if few.counts.is_empty() {
            return self.attend_to_keys(queries, between.states, attention, &many, scratch);
        }
        let mut mixed = Buffer::take(queries.rows(), queries.width());
        for chosen in [few, many] {
            let own = queries.pick(&chosen.rows);
            let states = between.states.pick(&chosen.source_rows);
            let own = if chosen.counts[0] <= FEW_QUERIES {
                self.attend_to_states(&own, &states, &chosen, scratch)
            } else {
                self.attend_to_keys(&own, &states, attention, &chosen, scratch)
            };
            for (from, &to) in chosen.rows.iter().enumerate() {
                mixed.row_mut(to).copy_from_slice(own.row(from));
            }
        }
        mixed
    }

    fn attend_to_keys(
        &self,
        queries: &Buffer,
        states: &Buffer,
        attention: &Attention,
        chosen: &Chosen,
        scratch: &mut Scratch,
    ) -> Buffer {
        let width = attention.key_width();
        let mut keys_values = Buffer::take(states.rows(), 2 * width);
        self.keys_values.multiply(states.view(), keys_values.view_mut(), Accumulate::No, scratch);
        let mut mixed = Buffer::take(queries.rows(), queries.width());
        let input = AttentionInput {
            queries: queries.view(),
            keys: columns(&keys_values, 0, width),
            values: columns(&keys_values, width, width),
            lengths: &chosen.lengths,
            query_rows: QueryRows::Others(&chosen.counts),
            prefix: None,
            bias: None,
        };
        kernel(self.path, attention).attend(input, mixed.view_mut(), scratch);
        mixed
    }

    /// All heads of a query are rows of one head as wide as a state.
    fn attend_to_states(
        &self,
        queries: &Buffer,
        states: &Buffer,
        chosen: &Chosen,
        scratch: &mut Scratch,
    ) -> Buffer {
        let (rows, width, heads) = (queries.rows(), states.width(), self.heads.len());
        let head_dim = queries.width() / heads;
        let mut wide = Buffer::take(rows * heads, width);
        for (at, head) in self.heads.iter().enumerate() {
            let wide = RowsMut::new(&mut wide.values_mut()[at * width..], rows, width, heads * width);
            head.query.multiply(columns(queries, at * head_dim, head_dim), wide, Accumulate::No, scratch);
        }
        let counts: Vec<usize> = chosen.counts.iter().map(|count| count * heads).collect();
        let input = AttentionInput {
            queries: wide.view(),
            keys: states.view(),
            values: states.view(),
            lengths: &chosen.lengths,
            query_rows: QueryRows::Others(&counts),
            prefix: None,
            bias: None,
        };
        let mut means = Buffer::take(rows * heads, width);
        let kernel = Kernel {
            path: self.path,
            query_heads: 1,
            key_value_heads: 1,
            head_dim: width,
            scale: self.scale,
            mask: Mask::Bidirectional,
        };
        kernel.attend(input, means.view_mut(), scratch);
        let mut mixed = Buffer::take(rows, queries.width());
        for (at, head) in self.heads.iter().enumerate() {
            let means = Rows::new(&means.values()[at * width..], rows, width, heads * width);
            let all = heads * head_dim;
            let mixed = RowsMut::new(&mut mixed.values_mut()[at * head_dim..], rows, head_dim, all);
            head.value.multiply(means, mixed, Accumulate::No, scratch);
        }
        mixed
    }
}

/// The sequences that go one way.
struct Chosen {
    /// Queries of each.
    counts: Vec<usize>,
    /// States of each.
    lengths: Vec<usize>,
    /// Their rows among all queries.
    rows: Vec<usize>,
    /// Their rows among all states.
    source_rows: Vec<usize>,
}

impl Chosen {
    fn of(between: &Between<'_, Buffer>, wanted: impl Fn(usize) -> bool) -> Self {
        let mut chosen = Self { counts: vec![], lengths: vec![], rows: vec![], source_rows: vec![] };
        for (own, source) in between.pack.sequences().zip(between.source.sequences()) {
            if wanted(own.len()) {
                chosen.counts.push(own.len());
                chosen.lengths.push(source.len());
                chosen.rows.extend(own);
                chosen.source_rows.extend(source);
            }
        }
        chosen
    }
}
