//! Buffers that a worker keeps between calls, so that nothing is allocated in the steady state.

use crate::aligned::Aligned;

/// Working memory of one worker. It holds no result: calls may share it freely in one thread.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Left operands rounded to bf16.
    pub(crate) operand: Aligned<u16>,
    /// Left operands rounded to int8, and their scales.
    pub(crate) integers: Aligned<u8>,
    pub(crate) row_scales: Aligned<f32>,
    /// Gates and ups of a gated layer, side by side.
    pub(crate) wide: Aligned<f32>,
    /// What a gated layer makes of them.
    pub(crate) gated: Aligned<f32>,
    /// The same, rounded to bf16.
    #[cfg(target_arch = "x86_64")]
    pub(crate) hidden: Aligned<u16>,
    /// What attention needs beside.
    pub(crate) attention: AttentionScratch,
    /// What hashing needs.
    pub(crate) hashing: HashingScratch,
}

/// Working memory of attention.
#[derive(Debug, Default)]
pub(crate) struct AttentionScratch {
    /// Packed keys of one head.
    pub(crate) keys: Aligned<f32>,
    /// Packed values of one head.
    pub(crate) values: Aligned<f32>,
    /// Scores of a block of query rows.
    pub(crate) scores: Aligned<f32>,
    /// What attention on pairs needs instead.
    #[cfg(target_arch = "x86_64")]
    pub(crate) pairs: PairScratch,
    /// What attention on tiles needs instead.
    #[cfg(target_arch = "x86_64")]
    pub(crate) tiles: TileScratch,
}

/// Working memory of attention on pairs.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Default)]
pub(crate) struct PairScratch {
    /// A block of queries.
    pub(crate) queries: Aligned<u16>,
    /// Keys of one head.
    pub(crate) keys: Aligned<u32>,
    /// Values of one head.
    pub(crate) values: Aligned<u32>,
    /// Scores of a block of query rows.
    pub(crate) scores: Aligned<f32>,
    /// Softmax weights of a block of query rows.
    pub(crate) weights: Aligned<u16>,
    /// Sums of a block of query rows.
    pub(crate) sums: Aligned<f32>,
}

/// Working memory of attention on tiles.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Default)]
pub(crate) struct TileScratch {
    /// A block of queries of one head.
    pub(crate) queries: Aligned<u16>,
    /// Keys of one head.
    pub(crate) keys: Aligned<u16>,
    /// Values of one head.
    pub(crate) values: Aligned<u16>,
    /// The end of a prefix and a sequence in one.
    pub(crate) joined: Aligned<f32>,
    /// Scores of a block of query rows.
    pub(crate) scores: Aligned<f32>,
    /// Softmax weights of a block of query rows.
    pub(crate) weights: Aligned<u16>,
    /// Sums of a block of query rows.
    pub(crate) sums: Aligned<f32>,
}

/// Working memory of the sketch's hash family.
#[derive(Debug, Default)]
pub(crate) struct HashingScratch {
    /// A packed tile of embeddings.
    pub(crate) items: Aligned<f32>,
    /// Projections of the tile, one row per hash.
    pub(crate) projected: Aligned<f32>,
    /// Hash states of one sketch row.
    pub(crate) states: Aligned<u64>,
    /// Buckets of one sketch row.
    pub(crate) buckets: Aligned<u32>,
}

impl Scratch {
    /// Empty working memory; it grows to what the first calls need.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
