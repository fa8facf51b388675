//! Attention over a pack of sequences: multi-head or grouped-query, causal or bidirectional, with an optional prefix
//! whose keys and values are held once and attended to by every sequence.
//!
//! Per sequence and key/value head, keys and values are packed into panels; then blocks of query rows compute all their
//! scores (f32), their softmax weights, and the weighted sum of values. A causal block stops at its last visible key.
//! Scores of a row are complete before its softmax, so there is no running rescale, and memory is 32 rows of scores.
//!
//! The sum over keys runs in order of position, prefix first: a sequence behind a cached prefix gets the bits that it
//! would get if the prefix were part of it, and no sequence sees another. The products of `bf16/avx512bf16` and `bf16/amx` take
//! operands rounded to bf16; all else is f32.

mod block;
#[cfg(target_arch = "x86_64")]
mod pairs;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tiles;

use crate::aligned::Aligned;
use crate::matrix::{F32Kernel, pack_f32, packed_len};
use crate::path::Path;
use crate::scratch::Scratch;
use crate::view::{Rows, RowsMut};

/// Which keys a query sees, beside all of the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// Those of its own sequence up to its own position.
    Causal,
    /// All of its own sequence.
    Bidirectional,
}

/// For which positions there are query rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryRows<'a> {
    /// One for every position of every sequence.
    All,
    /// One for the last position of each sequence (the last layer, where only that is needed).
    Last,
    /// So many for each sequence, which are of other positions than its keys (cross attention): each sees all keys, so
    /// the mask is [`Mask::Bidirectional`] and there is no bias.
    Others(&'a [usize]),
}

impl QueryRows<'_> {
    /// Query rows of sequence `at`, which has `tokens` keys.
    fn of(self, at: usize, tokens: usize) -> usize {
        match self {
            Self::All => tokens,
            Self::Last => 1,
            Self::Others(counts) => counts[at],
        }
    }
}

/// Shape and meaning of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// The numeric path.
    pub path: Path,
    /// Number of query heads; a multiple of `key_value_heads`.
    pub query_heads: usize,
    /// Number of key/value heads; each serves as many neighbouring query heads as there are per key/value head.
    pub key_value_heads: usize,
    /// Values in a head.
    pub head_dim: usize,
    /// Factor on the scores, positive; usually 1/√`head_dim`.
    pub scale: f32,
    /// Which keys a query sees.
    pub mask: Mask,
}

/// A bias on the scores that depends on the head and on how far the key is from the query.
#[derive(Debug, Clone, Copy)]
pub struct RelativeBias<'a> {
    /// For each query head `2 · reach − 1` values: first the bias of a key `reach − 1` positions before the query, in
    /// the middle that of the query's own position, last that of a key `reach − 1` positions after it.
    pub table: &'a [f32],
    /// Number of positions that prefix and sequence may have together.
    pub reach: usize,
}

/// One pack of sequences.
#[derive(Debug, Clone, Copy)]
pub struct AttentionInput<'a> {
    /// Rows of `query_heads · head_dim` values; see [`QueryRows`].
    pub queries: Rows<'a>,
    /// Rows of `key_value_heads · head_dim` values, one per position, sequences back to back.
    pub keys: Rows<'a>,
    /// Like `keys`.
    pub values: Rows<'a>,
    /// Length of each sequence; the sum is the number of key rows.
    pub lengths: &'a [usize],
    /// For which positions there are query rows.
    pub query_rows: QueryRows<'a>,
    /// Keys and values that precede every sequence.
    pub prefix: Option<&'a KeyValueCache>,
    /// Bias on the scores.
    pub bias: Option<RelativeBias<'a>>,
}

/// Keys and values of a prefix, packed once for one layer. They are final: rotated by position already.
#[derive(Debug, Clone)]
pub struct KeyValueCache {
    attention: Attention,
    tokens: usize,
    heads: Vec<PackedHead>,
}

#[derive(Debug, Clone)]
enum PackedHead {
    Panels {
        keys: Aligned<f32>,
        values: Aligned<f32>,
    },
    #[cfg(target_arch = "x86_64")]
    Pairs(pairs::CachedPairs),
    #[cfg(target_arch = "x86_64")]
    Tiles(tiles::CachedTiles),
}

/// One sequence and the query heads that share one key/value head.
#[derive(Clone, Copy)]
struct Group<'a> {
    /// The columns of the group's query heads, side by side.
    queries: Rows<'a>,
    /// Position of the first query row within the sequence; of no meaning where every query sees all keys alike.
    first_position: usize,
    keys: Rows<'a>,
    values: Rows<'a>,
    /// The prefix and its length.
    prefix: Option<(&'a PackedHead, usize)>,
    /// Biases of the group's heads.
    bias: Option<RelativeBias<'a>>,
}

impl<'a> RelativeBias<'a> {
    /// The table of one head.
    fn of(&self, head: usize) -> Self {
        let width = 2 * self.reach - 1;
        Self { table: &self.table[head * width..][..width], reach: self.reach }
    }

    /// Biases of the first `visible` positions for a query at a position, both counted from the prefix's first.
    fn at(&self, position: usize, visible: usize) -> &'a [f32] {
        &self.table[self.reach - 1 - position..][..visible]
    }
}

impl KeyValueCache {
    /// Number of positions that it holds.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}

impl Attention {
    fn check(&self) {
        assert!(self.head_dim > 0, "heads have at least one value");
        assert!(
            self.scale > 0.0 && self.scale.is_finite(),
            "the factor on scores is positive, not {}",
            self.scale
        );
        assert!(
            self.key_value_heads > 0 && self.query_heads.is_multiple_of(self.key_value_heads),
            "{} query heads cannot share {} key/value heads evenly",
            self.query_heads,
            self.key_value_heads
        );
    }

    /// Packs the keys and values of a prefix, rows as in [`AttentionInput`], for [`AttentionInput::prefix`].
    ///
    /// # Panics
    /// If the shapes do not agree, or this machine does not support the path.
    #[must_use]
    pub fn cache(&self, keys: Rows<'_>, values: Rows<'_>) -> KeyValueCache {
        self.check();
        let width = self.key_value_heads * self.head_dim;
        assert!(keys.width() == width && values.width() == width, "keys and values have rows of {width}");
        assert_eq!(keys.rows(), values.rows(), "one row of values per row of keys");
        let kernel = F32Kernel::of(self.path.mode());
        let tokens = keys.rows();
        let pack = |head: usize| {
            let columns = head * self.head_dim;
            let (keys, values) = (
                keys.part(0, tokens, columns, self.head_dim),
                values.part(0, tokens, columns, self.head_dim),
            );
            #[cfg(target_arch = "x86_64")]
            if self.path == Path::Bf16Avx512 {
                return PackedHead::Pairs(pairs::CachedPairs::pack(self.path.mode(), keys, values));
            }
            #[cfg(target_arch = "x86_64")]
            if self.path == Path::Bf16Amx {
                return PackedHead::Tiles(tiles::CachedTiles::pack(keys, values));
            }
            let mut packed_keys = Aligned::zeroed(packed_len(kernel, tokens, self.head_dim));
            let mut packed_values = Aligned::zeroed(packed_len(kernel, self.head_dim, tokens));
            pack_f32(kernel, keys, packed_keys.as_mut_slice());
            block::pack_values(kernel, values, packed_values.as_mut_slice());
            PackedHead::Panels { keys: packed_keys, values: packed_values }
        };
        KeyValueCache { attention: *self, tokens, heads: (0..self.key_value_heads).map(pack).collect() }
    }

    /// Attends: `out` gets a row of `query_heads · head_dim` values for every query row.
    ///
    /// # Panics
    /// If the shapes do not agree, a sequence is empty where its last position is asked for, the prefix was packed for
    /// another layer shape or path, the bias does not reach far enough, or this machine does not support the path.
    pub fn attend(&self, input: AttentionInput<'_>, mut out: RowsMut<'_>, scratch: &mut Scratch) {
        self.check();
        self.check_input(&input, &out);
        let _ = self.path.mode();
        #[cfg(target_arch = "x86_64")]
        let tiles = (self.path == Path::Bf16Amx).then(crate::matrix::amx::Tiles::take);
        let per_key_value = self.query_heads / self.key_value_heads;
        let (mut first_key, mut first_query) = (0, 0);
        for (at, &tokens) in input.lengths.iter().enumerate() {
            let queries = input.query_rows.of(at, tokens);
            for shared in 0..self.key_value_heads {
                let columns = shared * self.head_dim;
                let (first_column, width) = (columns * per_key_value, self.head_dim * per_key_value);
                let group = Group {
                    queries: input.queries.part(first_query, queries, first_column, width),
                    first_position: tokens.saturating_sub(queries),
                    keys: input.keys.part(first_key, tokens, columns, self.head_dim),
                    values: input.values.part(first_key, tokens, columns, self.head_dim),
                    prefix: input.prefix.map(|prefix| (&prefix.heads[shared], prefix.tokens)),
                    bias: input.bias.map(|bias| {
                        let width = per_key_value * (2 * bias.reach - 1);
                        RelativeBias { table: &bias.table[shared * width..][..width], reach: bias.reach }
                    }),
                };
                let out = out.part(first_query, queries, first_column, width);
                #[cfg(target_arch = "x86_64")]
                if let Some(tiles) = &tiles {
                    tiles::attend(tiles, self, group, out, &mut scratch.attention.tiles);
                    continue;
                }
                #[cfg(target_arch = "x86_64")]
                if self.path == Path::Bf16Avx512 {
                    pairs::attend(self, group, out, &mut scratch.attention.pairs);
                    continue;
                }
                block::attend(self, group, out, &mut scratch.attention);
            }
            first_key += tokens;
            first_query += queries;
        }
    }

    fn check_input(&self, input: &AttentionInput<'_>, out: &RowsMut<'_>) {
        let (wide, narrow) = (self.query_heads * self.head_dim, self.key_value_heads * self.head_dim);
        assert!(
            input.queries.width() == wide && out.width() == wide,
            "queries and output have rows of {wide}"
        );
        assert!(
            input.keys.width() == narrow && input.values.width() == narrow,
            "keys and values have rows of {narrow}"
        );
        let tokens: usize = input.lengths.iter().sum();
        assert!(
            input.keys.rows() == tokens && input.values.rows() == tokens,
            "one row of keys and values per position"
        );
        let queries = match input.query_rows {
            QueryRows::All => tokens,
            QueryRows::Last => {
                assert!(!input.lengths.contains(&0), "an empty sequence has no last position");
                input.lengths.len()
            }
            QueryRows::Others(counts) => {
                assert_eq!(counts.len(), input.lengths.len(), "a number of query rows for each sequence");
                assert!(
                    self.mask == Mask::Bidirectional && input.bias.is_none(),
                    "queries of other positions see all keys alike"
                );
                counts.iter().sum()
            }
        };
        assert!(
            input.queries.rows() == queries && out.rows() == queries,
            "{queries} query rows were announced"
        );
        if let Some(prefix) = input.prefix {
            let shape = |attention: &Self| (attention.path, attention.key_value_heads, attention.head_dim);
            assert_eq!(
                shape(&prefix.attention),
                shape(self),
                "the prefix was packed for another layer shape or path"
            );
        }
        if let Some(bias) = input.bias {
            let longest = input.lengths.iter().max().copied().unwrap_or(0)
                + input.prefix.map_or(0, KeyValueCache::tokens);
            assert!(
                bias.reach >= longest.max(1),
                "the bias reaches {} positions, {longest} are needed",
                bias.reach
            );
            assert_eq!(
                bias.table.len(),
                self.query_heads * (2 * bias.reach - 1),
                "a bias for every head and distance"
            );
        }
    }
}
