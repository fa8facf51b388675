//! BERT: post-normalised bidirectional encoder with learned positions, here as a sentence embedder.
//!
//! Devlin et al., arXiv 1810.04805; pooled by the mean over all tokens and scaled to length 1 as in Reimers and Gurevych,
//! arXiv 1908.10084. Cost a token: two operations a weight in the linear layers, plus attention over the sequence.

use super::blocks::{
    Activation, Attention, Bias, Blocks, FeedForward, LinearPart, NormNames, Parameters, Queries,
};
use super::config::{BertActivation, BertConfig};
use super::mask::Mask;
use super::pack::{Limits, Pack};
use super::{Encoder, Sink, pooled};
use crate::error::Result;
use crate::weights::Weights;

/// An encoder on the backend `B`.
pub(crate) struct Bert<B: Parameters> {
    pub(crate) blocks: B,
    limits: Limits,
    dimension: usize,
    attention: Attention,
    words: B::Table,
    positions: B::Table,
    types: B::Table,
    norm: B::Norm,
    layers: Vec<Layer<B>>,
}

struct Layer<B: Parameters> {
    qkv: B::Linear,
    output: B::Linear,
    norm: B::Norm,
    feed_forward: FeedForward<B>,
}

impl<B: Parameters> Bert<B> {
    /// Loads the weights, with or without the name of the model (`bert.`) before each tensor's.
    ///
    /// # Errors
    /// When the configuration does not fit together, or a tensor is missing or has another shape.
    pub(crate) fn load(blocks: B, config: &BertConfig, weights: &dyn Weights) -> Result<Self> {
        config.validate()?;
        let words = "embeddings.word_embeddings.weight";
        let root = if weights.shape(&format!("bert.{words}")).is_some() { "bert." } else { "" };
        let head_dim = config.hidden / config.heads;
        let attention = Attention {
            heads: config.heads,
            kv_heads: config.heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            mask: Mask::Full,
            window: None,
            rotary: None,
        };
        let table = |name: &str, rows| {
            blocks.table(weights, &format!("{root}embeddings.{name}_embeddings.weight"), rows, config.hidden)
        };
        let words = table("word", config.vocabulary)?;
        let positions = table("position", config.context)?;
        let types = table("token_type", config.token_types)?;
        let norm = layer_norm(&blocks, config, weights, &format!("{root}embeddings.LayerNorm"))?;
        let layers = (0..config.layers)
            .map(|at| Layer::load(&blocks, config, weights, &format!("{root}encoder.layer.{at}")))
            .collect::<Result<_>>()?;
        let limits = Limits { context: config.context, vocabulary: config.vocabulary };
        let dimension = config.hidden;
        Ok(Self { blocks, limits, dimension, attention, words, positions, types, norm, layers })
    }
}

impl<B: Blocks> Bert<B> {
    /// The embedding of each sequence.
    pub(crate) fn pooled(&self, pack: &Pack) -> Result<B::Rows> {
        let blocks = &self.blocks;
        let types = vec![0; pack.tokens().len()];
        let lookups =
            [(&self.words, pack.tokens()), (&self.positions, pack.positions()), (&self.types, &types)];
        let mut x = blocks.embed(&lookups, Some(&self.norm))?;
        for layer in &self.layers {
            let qkv = blocks.project(&x, None, &layer.qkv)?;
            let mixed = blocks.attention(qkv, &self.attention, pack, None, Queries::All)?;
            x = blocks.residual(x, &mixed, &layer.output, Some(&layer.norm))?;
            x = blocks.feed_forward(x, &layer.feed_forward)?;
        }
        blocks.unit(blocks.mean(&x, pack)?)
    }
}

impl<B: Parameters> Layer<B> {
    fn load(blocks: &B, config: &BertConfig, weights: &dyn Weights, layer: &str) -> Result<Self> {
        let part = |name: &str, outputs| LinearPart::new(&format!("{layer}.{name}"), outputs, Bias::Present);
        let qkv =
            ["query", "key", "value"].map(|name| part(&format!("attention.self.{name}"), config.hidden));
        let output = [part("attention.output.dense", config.hidden)];
        let up = [part("intermediate.dense", config.feed_forward)];
        let down = [part("output.dense", config.hidden)];
        let norm_after = layer_norm(blocks, config, weights, &format!("{layer}.output.LayerNorm"))?;
        Ok(Self {
            qkv: blocks.linear(weights, &qkv, config.hidden)?,
            output: blocks.linear(weights, &output, config.hidden)?,
            norm: layer_norm(blocks, config, weights, &format!("{layer}.attention.output.LayerNorm"))?,
            feed_forward: FeedForward {
                norm_before: None,
                up: blocks.linear(weights, &up, config.hidden)?,
                activation: match config.activation {
                    BertActivation::GeluErf => Activation::GeluErf,
                    BertActivation::GeluTanh => Activation::GeluTanh,
                },
                down: blocks.linear(weights, &down, config.feed_forward)?,
                norm_of_update: None,
                norm_after: Some(norm_after),
            },
        })
    }
}

fn layer_norm<B: Parameters>(
    blocks: &B,
    config: &BertConfig,
    weights: &dyn Weights,
    name: &str,
) -> Result<B::Norm> {
    let names = NormNames::Layer { scale: format!("{name}.weight"), shift: format!("{name}.bias") };
    blocks.norm(weights, &names, config.hidden, config.norm_epsilon)
}

impl<B: Blocks> Encoder for Bert<B> {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn max_tokens(&self) -> usize {
        self.limits.context
    }

    fn numeric_path(&self) -> String {
        self.blocks.numeric_path()
    }

    fn embed(&self, sequences: &[&[u32]], sink: &mut Sink<'_>) -> Result<()> {
        let pooled = |pack: &Pack| self.pooled(pack);
        pooled::embed(&self.blocks, &self.limits, self.dimension, sequences, pooled, sink)
    }
}
