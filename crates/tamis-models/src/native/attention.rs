//! Rotation and attention on slices of a fused projection.

use tamis_kernels::{
    Attention as Kernel, AttentionInput, KeyValueCache, Mask as KernelMask, Path, QueryRows, RelativeBias,
    Rows, RowsMut, Scratch, rms_norm, rope,
};

use super::buffer::Buffer;
use super::weights::Norm;
use crate::graph::blocks::{Attention, Queries};
use crate::graph::mask::Mask;
use crate::graph::pack::Pack;

/// Rotated keys and values of a prefix, packed.
pub(crate) type KeyValues = KeyValueCache;

/// What one attention has beside its projection.
#[derive(Clone, Copy, Default)]
pub(super) struct With<'a> {
    pub(super) prefix: Option<&'a KeyValues>,
    pub(super) bias: Option<RelativeBias<'a>>,
}

/// See [`Blocks::attention`](crate::graph::blocks::Blocks::attention).
pub(super) fn attend(
    path: Path,
    mut qkv: Buffer,
    attention: &Attention,
    pack: &Pack,
    with: With<'_>,
    queries: Queries,
    scratch: &mut Scratch,
) -> Buffer {
    let (query_width, key_width) = (attention.query_width(), attention.key_width());
    rotate(path, &mut qkv, query_width + key_width, attention, pack);

    let last = (queries == Queries::Last).then(|| {
        let mut last = Buffer::take(pack.lengths().len(), query_width);
        for (at, rows) in pack.sequences().enumerate() {
            last.row_mut(at).copy_from_slice(&qkv.row(rows.end - 1)[..query_width]);
        }
        last
    });
    let biases = attention.window.as_ref().map(|window| window.biases(pack.longest()));
    let windowed = biases.as_ref().map(|biases| RelativeBias { table: &biases.table, reach: biases.reach });
    let input = AttentionInput {
        queries: last.as_ref().map_or_else(|| columns(&qkv, 0, query_width), Buffer::view),
        keys: columns(&qkv, query_width, key_width),
        values: columns(&qkv, query_width + key_width, key_width),
        lengths: pack.lengths(),
        query_rows: match queries {
            Queries::All => QueryRows::All,
            Queries::Last => QueryRows::Last,
        },
        prefix: with.prefix,
        bias: with.bias.or(windowed),
    };
    let mut mixed = Buffer::take(input.queries.rows(), query_width);
    kernel(path, attention).attend(input, mixed.view_mut(), scratch);
    mixed
}

/// See [`Blocks::normalise_heads`](crate::graph::blocks::Blocks::normalise_heads).
pub(super) fn normalise_heads(path: Path, qkv: &mut Buffer, attention: &Attention, norms: [&Norm; 2]) {
    let mut whole = Buffer::take(1, attention.query_width().max(attention.key_width()));
    let widths = [attention.query_width(), attention.key_width()];
    for at in 0..qkv.rows() {
        let mut rest = qkv.row_mut(at);
        for (norm, width) in norms.into_iter().zip(widths) {
            let Norm::RootMeanSquare { scale, epsilon } = norm else {
                unreachable!("graphs normalise heads by their root mean square")
            };
            let (heads, after) = rest.split_at_mut(width);
            let source = &mut whole.row_mut(0)[..width];
            source.copy_from_slice(heads);
            rms_norm(path, source, scale, *epsilon, heads);
            rest = after;
        }
    }
}

/// See [`Blocks::keys_values`](crate::graph::blocks::Blocks::keys_values).
pub(super) fn keys_values(path: Path, qkv: &Buffer, attention: &Attention, pack: &Pack) -> KeyValues {
    let (query_width, key_width) = (attention.query_width(), attention.key_width());
    let mut keys = Buffer::take(qkv.rows(), key_width);
    for at in 0..qkv.rows() {
        keys.row_mut(at).copy_from_slice(&qkv.row(at)[query_width..][..key_width]);
    }
    rotate(path, &mut keys, key_width, attention, pack);
    kernel(path, attention).cache(keys.view(), columns(qkv, query_width + key_width, key_width))
}

pub(super) fn kernel(path: Path, attention: &Attention) -> Kernel {
    Kernel {
        path,
        query_heads: attention.heads,
        key_value_heads: attention.kv_heads,
        head_dim: attention.head_dim,
        scale: attention.scale,
        mask: match attention.mask {
            Mask::Causal => KernelMask::Causal,
            Mask::Full => KernelMask::Bidirectional,
        },
    }
}

/// Rotates the heads in the first `width` columns.
fn rotate(path: Path, rows: &mut Buffer, width: usize, attention: &Attention, pack: &Pack) {
    if let Some(rotary) = &attention.rotary {
        let table = rotary.table(pack.longest());
        let (count, stride) = (rows.rows(), rows.width());
        let heads = RowsMut::new(rows.values_mut(), count, width, stride);
        rope(path, heads, &table, pack.positions());
    }
}

/// `width` columns from column `first` on.
pub(super) fn columns(rows: &Buffer, first: usize, width: usize) -> Rows<'_> {
    Rows::new(&rows.values()[first..], rows.rows(), width, rows.width())
}
