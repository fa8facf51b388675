//! The block operations on tamis-kernels: weights packed once for a numeric path, fused, inference only.
//!
//! What makes it fast: matrices that share an input lie side by side (one product for q, k and v, one for gate and up); the
//! feed-forward goes through its rows in blocks, so that its wide activations stay in the cache; only wanted rows go
//! through the last block and the head; all memory is used again ([`buffer`]). Nothing here adds across rows except
//! attention and pooling, which stay within a sequence and add in an order that the sequence alone decides: therefore a
//! sequence gives the same bits in every pack.
//!
//! Not for: gradients, threads. Any number of threads may call one model at once.

mod attention;
mod bias;
mod buffer;
mod cross;
mod weights;

use std::cell::RefCell;

use tamis_kernels::{
    Accumulate, LogSumExp, PackedMatrix, Path, Rows, RowsMut, Scratch, add, add_bias, gelu_erf, gelu_tanh,
    gelu_tanh_gate, l2_normalize, layer_norm, mean_rows, relu, rms_norm, silu_gate, silu_gated_layer,
};

use self::attention::{KeyValues, With};
use self::bias::PositionBias;
use self::buffer::Buffer;
use self::cross::Cross;
use self::weights::{Linear, Norm, Table};
use crate::error::Result;
use crate::graph::blocks::{
    Activation, Attention, Between, Blocks, CrossNames, FeedForward, HeadNorms, LinearPart, NormNames,
    Parameters, Queries,
};
use crate::graph::pack::Pack;
use crate::graph::relative::Buckets;
use crate::weights::Weights;

/// Rows that are normalised and multiplied at once: enough to use each weight often, few enough that what lies between stays
/// in the cache; whole blocks of the kernels, which are 12 and 8 rows high.
const ROWS_AT_ONCE: usize = 144;
/// Rows that see the head at once for log probabilities: enough to read its weights seldom.
const HEAD_ROWS: usize = 192;
/// Outputs of the head that exist at once for log probabilities: what [`HEAD_ROWS`] have of them stays in the cache.
const HEAD_OUTPUTS: usize = 5 * PackedMatrix::GRAIN;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The block operations on a numeric path.
#[derive(Debug)]
pub(crate) struct NativeBlocks {
    path: Path,
}

impl NativeBlocks {
    /// # Errors
    /// When this machine lacks the path's instructions.
    pub(crate) fn new(path: Path) -> Result<Self> {
        Ok(Self { path: path.require()? })
    }

    /// Rows `from..from + count`, normalised, in a buffer of their own.
    fn normalised(&self, rows: &Buffer, from: usize, count: usize, norm: &Norm) -> Buffer {
        let mut out = Buffer::take(count, rows.width());
        let source = &rows.values()[from * rows.width()..][..count * rows.width()];
        match norm {
            Norm::RootMeanSquare { scale, epsilon } => {
                rms_norm(self.path, source, scale, *epsilon, out.values_mut());
            }
            Norm::Layer { .. } => {
                out.values_mut().copy_from_slice(source);
                self.normalise_in_place(&mut out, norm);
            }
        }
        out
    }

    /// Normalises in place.
    fn normalise_in_place(&self, rows: &mut Buffer, norm: &Norm) {
        match norm {
            Norm::RootMeanSquare { .. } => *rows = self.normalised(rows, 0, rows.rows(), norm),
            Norm::Layer { scale, shift, epsilon } => {
                layer_norm(self.path, rows.values_mut(), scale, shift, *epsilon);
            }
        }
    }

    /// linear(rows from..from + count), after the normalisation if there is one.
    fn linear_of(
        &self,
        rows: &Buffer,
        from: usize,
        count: usize,
        norm: Option<&Norm>,
        linear: &Linear,
    ) -> Buffer {
        let mut out = Buffer::take(count, linear.matrix.outputs());
        let width = rows.width();
        let source = &rows.values()[from * width..][..count * width];
        match norm {
            Some(norm) => {
                let outputs = out.width();
                for (first, count) in row_blocks(count, ROWS_AT_ONCE) {
                    let normalised = self.normalised(rows, from + first, count, norm);
                    let out = &mut out.values_mut()[first * outputs..][..count * outputs];
                    self.multiply(normalised.values(), linear, out, Accumulate::No);
                }
            }
            None => self.multiply(source, linear, out.values_mut(), Accumulate::No),
        }
        out
    }

    /// `out = linear(rows)`, or `out += linear(rows)`.
    fn multiply(&self, rows: &[f32], linear: &Linear, out: &mut [f32], accumulate: Accumulate) {
        let (rows, out_rows) = (
            Rows::contiguous(rows, linear.matrix.inputs()),
            RowsMut::contiguous(out, linear.matrix.outputs()),
        );
        SCRATCH.with_borrow_mut(|scratch| linear.matrix.multiply(rows, out_rows, accumulate, scratch));
        if let Some(bias) = &linear.bias {
            add_bias(self.path, out, bias);
        }
    }

    /// The activation of rows of width `2 · width` (gated) or `width`.
    fn activate(&self, mut wide: Buffer, activation: Activation) -> Buffer {
        match activation {
            Activation::SiluGate | Activation::GeluTanhGate => {
                let gate = if activation == Activation::SiluGate { silu_gate } else { gelu_tanh_gate };
                let mut gated = Buffer::take(wide.rows(), wide.width() / 2);
                gate(self.path, wide.values(), wide.width() / 2, gated.values_mut());
                return gated;
            }
            Activation::Relu => relu(self.path, wide.values_mut()),
            Activation::GeluErf => gelu_erf(self.path, wide.values_mut()),
            Activation::GeluTanh => gelu_tanh(self.path, wide.values_mut()),
        }
        wide
    }
}

/// Cuts `rows` rows into blocks: (first, count) each.
fn row_blocks(rows: usize, block: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(block).map(move |from| (from, block.min(rows - from)))
}

impl Parameters for NativeBlocks {
    type Table = Table;
    type Norm = Norm;
    type Linear = Linear;
    type PositionBias = PositionBias;
    type Cross = Cross;

    fn table(&self, weights: &dyn Weights, name: &str, rows: usize, width: usize) -> Result<Table> {
        Table::load(self.path, weights, name, rows, width)
    }

    fn tied_table(
        &self,
        weights: &dyn Weights,
        name: &str,
        rows: usize,
        width: usize,
    ) -> Result<(Table, Linear)> {
        Table::load_tied(self.path, weights, name, rows, width)
    }

    fn norm(&self, weights: &dyn Weights, names: &NormNames, width: usize, epsilon: f32) -> Result<Norm> {
        Norm::load(weights, names, width, epsilon)
    }

    fn linear(&self, weights: &dyn Weights, parts: &[LinearPart], inputs: usize) -> Result<Linear> {
        Linear::load(self.path, weights, parts, inputs)
    }

    fn head(&self, weights: &dyn Weights, part: LinearPart, inputs: usize) -> Result<Linear> {
        Linear::load_head(self.path, weights, &part, inputs)
    }

    fn position_bias(
        &self,
        weights: &dyn Weights,
        name: &str,
        buckets: Buckets,
        heads: usize,
    ) -> Result<PositionBias> {
        PositionBias::load(weights, name, buckets, heads)
    }

    fn cross(
        &self,
        weights: &dyn Weights,
        names: &CrossNames,
        attention: &Attention,
        inputs: usize,
    ) -> Result<Cross> {
        Cross::load(self.path, weights, names, attention, inputs)
    }
}

impl Blocks for NativeBlocks {
    type Rows = Buffer;
    type KeyValues = KeyValues;

    fn numeric_path(&self) -> String {
        self.path.name().to_owned()
    }

    fn embed(&self, lookups: &[(&Table, &[u32])], norm: Option<&Norm>) -> Result<Buffer> {
        let (table, tokens) = lookups[0];
        let mut rows = Buffer::take(tokens.len(), table.width());
        for at in 0..tokens.len() {
            let row = rows.row_mut(at);
            table.copy(tokens[at], row);
            for (table, tokens) in &lookups[1..] {
                table.add(tokens[at], row);
            }
        }
        if let Some(norm) = norm {
            self.normalise_in_place(&mut rows, norm);
        }
        Ok(rows)
    }

    fn scale(&self, mut rows: Buffer, factor: f32) -> Result<Buffer> {
        rows.values_mut().iter_mut().for_each(|value| *value *= factor);
        Ok(rows)
    }

    fn normalise_heads(
        &self,
        mut qkv: Buffer,
        attention: &Attention,
        norms: &HeadNorms<Self>,
    ) -> Result<Buffer> {
        attention::normalise_heads(self.path, &mut qkv, attention, [&norms.queries, &norms.keys]);
        Ok(qkv)
    }

    fn project(&self, rows: &Buffer, norm: Option<&Norm>, linear: &Linear) -> Result<Buffer> {
        Ok(self.linear_of(rows, 0, rows.rows(), norm, linear))
    }

    fn attention(
        &self,
        qkv: Buffer,
        attention: &Attention,
        pack: &Pack,
        prefix: Option<&KeyValues>,
        queries: Queries,
    ) -> Result<Buffer> {
        Ok(SCRATCH.with_borrow_mut(|scratch| {
            let with = With { prefix, bias: None };
            attention::attend(self.path, qkv, attention, pack, with, queries, scratch)
        }))
    }

    fn keys_values(&self, qkv: &Buffer, attention: &Attention, pack: &Pack) -> Result<KeyValues> {
        Ok(attention::keys_values(self.path, qkv, attention, pack))
    }

    fn biased_attention(
        &self,
        qkv: Buffer,
        attention: &Attention,
        bias: &PositionBias,
        pack: &Pack,
    ) -> Result<Buffer> {
        let table = bias.table(pack.longest());
        let with = With { prefix: None, bias: Some(table.view()) };
        Ok(SCRATCH.with_borrow_mut(|scratch| {
            attention::attend(self.path, qkv, attention, pack, with, Queries::All, scratch)
        }))
    }

    fn cross_attention(
        &self,
        queries: &Buffer,
        attention: &Attention,
        cross: &Cross,
        between: Between<'_, Buffer>,
    ) -> Result<Buffer> {
        Ok(SCRATCH.with_borrow_mut(|scratch| cross.attend(queries, attention, between, scratch)))
    }

    fn residual(
        &self,
        mut rows: Buffer,
        update: &Buffer,
        linear: &Linear,
        norm: Option<&Norm>,
    ) -> Result<Buffer> {
        self.multiply(update.values(), linear, rows.values_mut(), Accumulate::Yes);
        if let Some(norm) = norm {
            self.normalise_in_place(&mut rows, norm);
        }
        Ok(rows)
    }

    fn residual_normalised(
        &self,
        mut rows: Buffer,
        update: &Buffer,
        linear: &Linear,
        norm: &Norm,
    ) -> Result<Buffer> {
        let update = self.linear_of(update, 0, update.rows(), None, linear);
        let update = self.normalised(&update, 0, update.rows(), norm);
        add(self.path, rows.values_mut(), update.values());
        Ok(rows)
    }

    fn feed_forward(&self, mut rows: Buffer, layer: &FeedForward<Self>) -> Result<Buffer> {
        let width = rows.width();
        let (up, down) = (&layer.up, &layer.down);
        for (from, count) in row_blocks(rows.rows(), ROWS_AT_ONCE) {
            if let (Activation::SiluGate, Some(norm), None, None, None) =
                (layer.activation, &layer.norm_before, &layer.norm_of_update, &up.bias, &down.bias)
            {
                let normalised = self.normalised(&rows, from, count, norm);
                let block = &mut rows.values_mut()[from * width..][..count * width];
                let block = RowsMut::contiguous(block, width);
                SCRATCH.with_borrow_mut(|scratch| {
                    silu_gated_layer(&up.matrix, &down.matrix, normalised.view(), block, scratch);
                });
                continue;
            }
            let wide = self.linear_of(&rows, from, count, layer.norm_before.as_ref(), up);
            let wide = self.activate(wide, layer.activation);
            let block = &mut rows.values_mut()[from * width..][..count * width];
            match &layer.norm_of_update {
                None => self.multiply(wide.values(), down, block, Accumulate::Yes),
                Some(norm) => {
                    let update = self.linear_of(&wide, 0, count, None, down);
                    add(self.path, block, self.normalised(&update, 0, count, norm).values());
                }
            }
        }
        if let Some(norm) = &layer.norm_after {
            self.normalise_in_place(&mut rows, norm);
        }
        Ok(rows)
    }

    fn pick(&self, rows: &Buffer, indices: &[usize]) -> Result<Buffer> {
        Ok(rows.pick(indices))
    }

    fn normalise(&self, rows: &Buffer, norm: &Norm) -> Result<Buffer> {
        Ok(self.normalised(rows, 0, rows.rows(), norm))
    }

    fn mean(&self, rows: &Buffer, pack: &Pack) -> Result<Buffer> {
        let width = rows.width();
        let mut pooled = Buffer::take(pack.lengths().len(), width);
        for (at, sequence) in pack.sequences().enumerate() {
            let states = &rows.values()[sequence.start * width..sequence.end * width];
            mean_rows(self.path, states, pooled.row_mut(at));
        }
        Ok(pooled)
    }

    fn unit(&self, mut rows: Buffer) -> Result<Buffer> {
        let width = rows.width();
        l2_normalize(self.path, rows.values_mut(), width);
        Ok(rows)
    }

    fn log_probs(
        &self,
        rows: &Buffer,
        norm: Option<&Norm>,
        head: &Linear,
        targets: &[u32],
    ) -> Result<Buffer> {
        let mut log_probs = Buffer::take(targets.len(), 1);
        let vocabulary = head.matrix.outputs();
        for (from, count) in row_blocks(rows.rows(), HEAD_ROWS) {
            let normalised = norm.map(|norm| self.normalised(rows, from, count, norm));
            let states = normalised.as_ref().map_or_else(
                || {
                    Rows::contiguous(
                        &rows.values()[from * rows.width()..][..count * rows.width()],
                        rows.width(),
                    )
                },
                Buffer::view,
            );
            let targets = &targets[from..from + count];
            let (mut totals, mut logits_of_targets) =
                (vec![LogSumExp::default(); count], vec![f32::NAN; count]);
            for (first, width) in row_blocks(vocabulary, HEAD_OUTPUTS) {
                let mut logits = Buffer::take(count, width);
                SCRATCH.with_borrow_mut(|scratch| {
                    let out = logits.view_mut();
                    head.matrix.multiply_part(first..first + width, states, out, Accumulate::No, scratch);
                });
                if let Some(bias) = &head.bias {
                    add_bias(self.path, logits.values_mut(), &bias[first..first + width]);
                }
                for at in 0..count {
                    totals[at].add(self.path, logits.row(at));
                    if let Some(&logit) = (targets[at] as usize)
                        .checked_sub(first)
                        .and_then(|target| logits.row(at).get(target))
                    {
                        logits_of_targets[at] = logit;
                    }
                }
            }
            for (at, (total, logit)) in totals.iter().zip(logits_of_targets).enumerate() {
                log_probs.row_mut(from + at)[0] = (f64::from(logit) - total.value()) as f32;
            }
        }
        Ok(log_probs)
    }

    fn read(&self, rows: &Buffer, read: &mut dyn FnMut(&[f32])) -> Result<()> {
        read(rows.values());
        Ok(())
    }
}
