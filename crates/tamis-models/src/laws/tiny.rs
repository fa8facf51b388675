//! Tiny models with random weights, one for each way in which the supported architectures differ.

use crate::error::Result;
use crate::graph::{
    Architecture, AttentionBias, BertActivation, BertConfig, BlockNorms, DecoderConfig, Gate, Head,
    HeadNorms, Llama3Scaling, LocalAttention, RopeConfig, RopeScaling, T5Activation, T5Config, T5Head,
};
use crate::weights::Weights;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Weights that exist for every name that is asked for, drawn from a hash of the name: scales near 1, the rest near 0.
pub(super) struct RandomWeights;

impl Weights for RandomWeights {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn shape(&self, _name: &str) -> Option<Vec<usize>> {
        None
    }

    fn load(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let centre = if name.ends_with("norm.weight") || name.ends_with("Norm.weight") { 1.0 } else { 0.0 };
        let embeds = name.contains("embed") || name == "shared.weight" || name.contains("attention_bias");
        let spread = if embeds { 0.25 } else { 0.5 / (shape[shape.len() - 1] as f32).sqrt() };
        let uniform =
            |at: u64| (xxh3_64_with_seed(name.as_bytes(), at) >> 40) as f32 / (1 << 23) as f32 - 1.0;
        let size = shape.iter().product::<usize>() as u64;
        Ok((0..size).map(|at| centre + 2.0 * spread * uniform(at)).collect())
    }

    fn check(&self, _name: &str, _shape: &[usize]) -> Result<()> {
        Ok(())
    }

    fn digest(&self) -> String {
        "random".to_owned()
    }
}

/// Like another, but one value of one tensor is NaN.
pub(super) struct Poisoned(pub(super) &'static str);

impl Weights for Poisoned {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn shape(&self, _name: &str) -> Option<Vec<usize>> {
        None
    }

    fn load(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let mut values = RandomWeights.load(name, shape)?;
        if name.ends_with(self.0) {
            values[1] = f32::NAN;
        }
        Ok(values)
    }

    fn check(&self, _name: &str, _shape: &[usize]) -> Result<()> {
        Ok(())
    }

    fn digest(&self) -> String {
        "poisoned".to_owned()
    }
}

pub(super) const VOCABULARY: usize = 61;
pub(super) const CONTEXT: usize = 200;

/// Untied, grouped queries.
pub(super) fn llama() -> DecoderConfig {
    DecoderConfig {
        family: "llama",
        vocabulary: VOCABULARY,
        hidden: 48,
        layers: 3,
        heads: 6,
        kv_heads: 2,
        head_dim: 8,
        feed_forward: 80,
        context: CONTEXT,
        norm_epsilon: 1e-5,
        norm_offset: 0.0,
        rope: RopeConfig { theta: 10_000.0, scaling: None },
        local: None,
        head: Head::Untied,
        attention_bias: AttentionBias::None,
        head_norms: HeadNorms::Absent,
        block_norms: BlockNorms::Before,
        gate: Gate::Silu,
        embedding_scale: 1.0,
        score_scale: 0.35,
    }
}

/// A window shorter than the sequences of the laws.
fn local(layers: Vec<bool>) -> LocalAttention {
    LocalAttention { window: 11, rope: RopeConfig { theta: 500.0, scaling: None }, layers }
}

pub(super) fn bert() -> BertConfig {
    BertConfig {
        vocabulary: VOCABULARY,
        hidden: 48,
        layers: 3,
        heads: 4,
        feed_forward: 96,
        context: CONTEXT,
        token_types: 2,
        norm_epsilon: 1e-12,
        activation: BertActivation::GeluErf,
    }
}

/// v1.0; all heads together are narrower than a state, and sequences of the tests reach beyond the largest distance.
pub(super) fn t5() -> T5Config {
    T5Config {
        vocabulary: VOCABULARY,
        hidden: 48,
        encoder_layers: 2,
        decoder_layers: 3,
        heads: 5,
        head_dim: 8,
        feed_forward: 64,
        activation: T5Activation::Relu,
        buckets: 16,
        max_distance: 40,
        norm_epsilon: 1e-6,
        head: T5Head::TiedAndScaled,
        start: 0,
        context: CONTEXT,
        projection: None,
    }
}

/// The table that the laws run over: a new architecture is one more line.
pub(super) fn architectures() -> Vec<(&'static str, Architecture)> {
    let scaling = Llama3Scaling {
        factor: 8.0,
        low_frequency_factor: 1.0,
        high_frequency_factor: 4.0,
        original_context: 64,
    };
    vec![
        ("llama", Architecture::Decoder(llama())),
        ("llama, tied head", Architecture::Decoder(DecoderConfig { head: Head::Tied, ..llama() })),
        (
            "llama, all biases, one key head a query head",
            Architecture::Decoder(DecoderConfig {
                attention_bias: AttentionBias::All,
                kv_heads: 6,
                ..llama()
            }),
        ),
        (
            "llama 3 scaling, one key head for all",
            Architecture::Decoder(DecoderConfig {
                rope: RopeConfig { theta: 500_000.0, scaling: Some(RopeScaling::Llama3(scaling)) },
                kv_heads: 1,
                ..llama()
            }),
        ),
        (
            "qwen2 biases, heads wider than hidden",
            Architecture::Decoder(DecoderConfig {
                attention_bias: AttentionBias::QueryKeyValue,
                head_dim: 20,
                ..llama()
            }),
        ),
        (
            "mistral: all layers local",
            Architecture::Decoder(DecoderConfig { local: Some(local(vec![true; 3])), ..llama() }),
        ),
        (
            "qwen3: heads normalised",
            Architecture::Decoder(DecoderConfig { head_norms: HeadNorms::Present, ..llama() }),
        ),
        (
            "gemma3: all of it",
            Architecture::Decoder(DecoderConfig {
                head: Head::Tied,
                head_norms: HeadNorms::Present,
                block_norms: BlockNorms::BeforeAndAfter,
                gate: Gate::GeluTanh,
                norm_offset: -0.25,
                embedding_scale: 7.0,
                score_scale: 0.25,
                rope: RopeConfig { theta: 1e6, scaling: Some(RopeScaling::Linear { factor: 8.0 }) },
                local: Some(local(vec![true, false, true])),
                ..llama()
            }),
        ),
        ("bert", Architecture::Bert(bert())),
        ("t5", Architecture::T5(t5())),
        (
            "t5 v1.1",
            Architecture::T5(T5Config {
                activation: T5Activation::GatedGelu,
                head: T5Head::Untied,
                start: 3,
                ..t5()
            }),
        ),
        ("sentence-t5", Architecture::T5(T5Config { projection: Some(20), ..t5() })),
        ("bert, tanh", Architecture::Bert(BertConfig { activation: BertActivation::GeluTanh, ..bert() })),
    ]
}

/// The decoders among them.
pub(super) fn decoders() -> Vec<(&'static str, DecoderConfig)> {
    let decoder = |(name, architecture)| match architecture {
        Architecture::Decoder(config) => Some((name, config)),
        Architecture::Bert(_) | Architecture::T5(_) => None,
    };
    architectures().into_iter().filter_map(decoder).collect()
}

/// Tokens that look random, a different sequence for each seed.
pub(super) fn tokens(length: usize, seed: u64) -> Vec<u32> {
    (0..length).map(|at| (xxh3_64_with_seed(&at.to_le_bytes(), seed) % VOCABULARY as u64) as u32).collect()
}
