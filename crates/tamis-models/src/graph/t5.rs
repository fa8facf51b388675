//! T5: pre-normalised encoder and causal decoder with relative position biases, here for one step of an answer, for the
//! probability of given targets, and (the encoder alone) for sentence embeddings.
//!
//! Raffel et al., arXiv 1910.10683; v1.1 with its gated GELU and untied head: Shazeer, arXiv 2002.05202; Sentence-T5: Ni et
//! al., arXiv 2108.08877 (mean over all tokens, projection, length 1). As in the reference code: one table of biases a
//! stack, which its first layer holds and all layers use; in the encoder for both directions, in the decoder for what is
//! before; none in cross attention; scores are not scaled; norms subtract no mean; no linear layer has a bias.
//!
//! Sequences lie back to back without padding, so there is no padding mask: no sequence sees another.
//!
//! Cost: an input token, two operations a weight of the encoder; a target token, the same of the decoder and the head. A
//! first decoder step reads the states of the input in place of keys and values of its own, see
//! [`Blocks::cross_attention`].

use super::blocks::{
    Activation, Attention, Between, Bias, Blocks, CrossNames, FeedForward, LinearPart, NormNames, Parameters,
};
use super::config::{T5Activation, T5Config, T5Head};
use super::mask::Mask;
use super::pack::{Limits, Pack, split, split_lengths};
use super::relative::Buckets;
use super::{Encoder, EncoderDecoder, Pair, Sink, pooled};
use crate::error::{Error, Result};
use crate::weights::Weights;

/// Longest input and longest target. Positions are relative, so this is a bound on memory and not on what the model can do.
const LONGEST: usize = 1 << 16;

/// Names under which the shared table of embeddings is found: what tied tensors were saved as differs between tools.
pub(crate) const TABLES: [&str; 3] =
    ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

/// An encoder–decoder on the backend `B`.
pub(crate) struct T5<B: Parameters> {
    pub(crate) blocks: B,
    limits: Limits,
    context: usize,
    start: u32,
    table: B::Table,
    encoder: EncoderStack<B>,
    decoder: DecoderStack<B>,
    head: B::Linear,
}

/// An encoder with mean pooling, on the backend `B`.
pub(crate) struct SentenceT5<B: Parameters> {
    pub(crate) blocks: B,
    limits: Limits,
    dimension: usize,
    table: B::Table,
    encoder: EncoderStack<B>,
    projection: Option<B::Linear>,
}

struct EncoderStack<B: Parameters> {
    attention: Attention,
    bias: B::PositionBias,
    layers: Vec<EncoderLayer<B>>,
    norm: B::Norm,
}

struct EncoderLayer<B: Parameters> {
    attention: SelfAttention<B>,
    feed_forward: FeedForward<B>,
}

struct DecoderStack<B: Parameters> {
    attention: Attention,
    cross: Attention,
    bias: B::PositionBias,
    layers: Vec<DecoderLayer<B>>,
    norm: B::Norm,
}

struct DecoderLayer<B: Parameters> {
    attention: SelfAttention<B>,
    cross_norm: B::Norm,
    cross_query: B::Linear,
    cross: B::Cross,
    cross_output: B::Linear,
    feed_forward: FeedForward<B>,
}

struct SelfAttention<B: Parameters> {
    norm: B::Norm,
    qkv: B::Linear,
    output: B::Linear,
}

/// What loads the parts of a model.
struct Loader<'a, B: Parameters> {
    blocks: &'a B,
    config: &'a T5Config,
    weights: &'a dyn Weights,
}

impl<B: Parameters> Loader<'_, B> {
    fn attention(&self, mask: Mask) -> Attention {
        Attention {
            heads: self.config.heads,
            kv_heads: self.config.heads,
            head_dim: self.config.head_dim,
            scale: 1.0,
            mask,
            window: None,
            rotary: None,
        }
    }

    fn norm(&self, name: &str, factor: f32) -> Result<B::Norm> {
        let names = NormNames::RootMeanSquare { scale: format!("{name}.weight"), factor };
        self.blocks.norm(self.weights, &names, self.config.hidden, self.config.norm_epsilon)
    }

    fn linear(&self, names: &[String], outputs: usize, inputs: usize) -> Result<B::Linear> {
        let parts: Vec<LinearPart> =
            names.iter().map(|name| LinearPart::new(name, outputs, Bias::Absent)).collect();
        self.blocks.linear(self.weights, &parts, inputs)
    }

    fn bias(&self, stack: &str, mask: Mask) -> Result<B::PositionBias> {
        let name = format!("{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let buckets = Buckets { count: self.config.buckets, max_distance: self.config.max_distance, mask };
        self.blocks.position_bias(self.weights, &name, buckets, self.config.heads)
    }

    fn self_attention(&self, layer: &str) -> Result<SelfAttention<B>> {
        let (hidden, inner) = (self.config.hidden, self.config.heads * self.config.head_dim);
        let name = |part: &str| format!("{layer}.SelfAttention.{part}");
        Ok(SelfAttention {
            norm: self.norm(&format!("{layer}.layer_norm"), 1.0)?,
            qkv: self.linear(&["q", "k", "v"].map(name), inner, hidden)?,
            output: self.linear(&[name("o")], hidden, inner)?,
        })
    }

    fn feed_forward(&self, layer: &str) -> Result<FeedForward<B>> {
        let (hidden, wide) = (self.config.hidden, self.config.feed_forward);
        let name = |part: &str| format!("{layer}.DenseReluDense.{part}");
        let (up, activation) = match self.config.activation {
            T5Activation::Relu => (self.linear(&[name("wi")], wide, hidden)?, Activation::Relu),
            T5Activation::GatedGelu => {
                (self.linear(&["wi_0", "wi_1"].map(name), wide, hidden)?, Activation::GeluTanhGate)
            }
        };
        Ok(FeedForward {
            norm_before: Some(self.norm(&format!("{layer}.layer_norm"), 1.0)?),
            up,
            activation,
            down: self.linear(&[name("wo")], hidden, wide)?,
            norm_of_update: None,
            norm_after: None,
        })
    }

    fn encoder(&self) -> Result<EncoderStack<B>> {
        let layer = |at: usize| {
            Ok(EncoderLayer {
                attention: self.self_attention(&format!("encoder.block.{at}.layer.0"))?,
                feed_forward: self.feed_forward(&format!("encoder.block.{at}.layer.1"))?,
            })
        };
        Ok(EncoderStack {
            attention: self.attention(Mask::Full),
            bias: self.bias("encoder", Mask::Full)?,
            layers: (0..self.config.encoder_layers).map(layer).collect::<Result<_>>()?,
            norm: self.norm("encoder.final_layer_norm", 1.0)?,
        })
    }

    fn decoder(&self, scale: f32) -> Result<DecoderStack<B>> {
        let (hidden, inner) = (self.config.hidden, self.config.heads * self.config.head_dim);
        let cross = self.attention(Mask::Full);
        let layer = |at: usize| {
            let layer = format!("decoder.block.{at}.layer");
            let name = |part: &str| format!("{layer}.1.EncDecAttention.{part}");
            let names =
                CrossNames { key: format!("{}.weight", name("k")), value: format!("{}.weight", name("v")) };
            Ok(DecoderLayer {
                attention: self.self_attention(&format!("{layer}.0"))?,
                cross_norm: self.norm(&format!("{layer}.1.layer_norm"), 1.0)?,
                cross_query: self.linear(&[name("q")], inner, hidden)?,
                cross: self.blocks.cross(self.weights, &names, &cross, hidden)?,
                cross_output: self.linear(&[name("o")], hidden, inner)?,
                feed_forward: self.feed_forward(&format!("{layer}.2"))?,
            })
        };
        Ok(DecoderStack {
            attention: self.attention(Mask::Causal),
            bias: self.bias("decoder", Mask::Causal)?,
            layers: (0..self.config.decoder_layers).map(layer).collect::<Result<_>>()?,
            norm: self.norm("decoder.final_layer_norm", scale)?,
            cross,
        })
    }

    /// Name of the table of embeddings.
    fn table(&self) -> &'static str {
        TABLES.into_iter().find(|name| self.weights.shape(name).is_some()).unwrap_or(TABLES[0])
    }
}

impl<B: Parameters> T5<B> {
    /// Loads the weights.
    ///
    /// # Errors
    /// When the configuration does not fit together, or a tensor is missing or has another shape.
    pub(crate) fn load(blocks: B, config: &T5Config, weights: &dyn Weights) -> Result<Self> {
        config.validate()?;
        let loader = Loader { blocks: &blocks, config, weights };
        let (vocabulary, hidden) = (config.vocabulary, config.hidden);
        let own_head = match config.head {
            T5Head::TiedAndScaled | T5Head::Tied => false,
            T5Head::Untied => true,
            T5Head::UntiedWhereThere => weights.shape("lm_head.weight").is_some(),
        };
        let (table, head) = if own_head {
            (
                blocks.table(weights, loader.table(), vocabulary, hidden)?,
                blocks.head(weights, LinearPart::new("lm_head", vocabulary, Bias::Absent), hidden)?,
            )
        } else {
            blocks.tied_table(weights, loader.table(), vocabulary, hidden)?
        };
        // What the reference multiplies states by after the last norm, the norm multiplies them by here.
        let scale = if config.head == T5Head::TiedAndScaled { (hidden as f32).sqrt().recip() } else { 1.0 };
        let (encoder, decoder) = (loader.encoder()?, loader.decoder(scale)?);
        let limits = Limits { context: LONGEST, vocabulary };
        let (context, start) = (config.context.min(LONGEST), config.start);
        Ok(Self { blocks, limits, context, start, table, encoder, decoder, head })
    }
}

impl<B: Blocks> T5<B> {
    /// The normalised states of the decoder: one row for each token of `targets`, of which each sequence begins with the
    /// start token.
    fn states(&self, inputs: &Pack, targets: &Pack) -> Result<B::Rows> {
        let states = self.encoder.states(&self.blocks, &self.table, inputs)?;
        self.decoder.states(
            &self.blocks,
            &self.table,
            Between { pack: targets, source: inputs, states: &states },
        )
    }

    /// ln P of every target token, sequences back to back, in a single column.
    pub(crate) fn target_log_probs(&self, pairs: &[Pair<'_>]) -> Result<B::Rows> {
        let states = self.teacher_forced(pairs)?.0;
        let targets: Vec<u32> = pairs.iter().flat_map(|pair| pair.target).copied().collect();
        self.blocks.log_probs(&states, None, &self.head, &targets)
    }

    /// States that predict each target token, and the pack that they are rows of.
    fn teacher_forced(&self, pairs: &[Pair<'_>]) -> Result<(B::Rows, Pack)> {
        let inputs: Vec<&[u32]> = pairs.iter().map(|pair| pair.input).collect();
        let shifted: Vec<Vec<u32>> = pairs
            .iter()
            .map(|pair| [&[self.start], &pair.target[..pair.target.len() - 1]].concat())
            .collect();
        let targets = Pack::new(&shifted.iter().map(Vec::as_slice).collect::<Vec<_>>(), 0);
        Ok((self.states(&Pack::new(&inputs, 0), &targets)?, targets))
    }

    /// Checks every pair of a call before anything is computed.
    pub(crate) fn check(&self, pairs: &[Pair<'_>]) -> Result<()> {
        for part in [|pair: &Pair<'_>| pair.input.len(), |pair: &Pair<'_>| pair.target.len()] {
            if let Some(sequence) = pairs.iter().position(|pair| part(pair) == 0) {
                return Err(Error::EmptySequence { sequence });
            }
        }
        self.limits.check(&pairs.iter().map(|pair| pair.input).collect::<Vec<_>>(), 0)?;
        self.limits.check(&pairs.iter().map(|pair| pair.target).collect::<Vec<_>>(), 0)
    }
}

impl<B: Blocks> EncoderStack<B> {
    /// The normalised states, one row a token.
    fn states(&self, blocks: &B, table: &B::Table, pack: &Pack) -> Result<B::Rows> {
        let mut x = blocks.embed(&[(table, pack.tokens())], None)?;
        for layer in &self.layers {
            x = layer.attention.apply(blocks, x, (&self.attention, &self.bias), pack)?;
            x = blocks.feed_forward(x, &layer.feed_forward)?;
        }
        blocks.normalise(&x, &self.norm)
    }
}

impl<B: Blocks> DecoderStack<B> {
    /// The normalised states, one row a token of the pack that attends.
    fn states(&self, blocks: &B, table: &B::Table, between: Between<'_, B::Rows>) -> Result<B::Rows> {
        let mut x = blocks.embed(&[(table, between.pack.tokens())], None)?;
        for layer in &self.layers {
            x = layer.attention.apply(blocks, x, (&self.attention, &self.bias), between.pack)?;
            let queries = blocks.project(&x, Some(&layer.cross_norm), &layer.cross_query)?;
            let mixed = blocks.cross_attention(&queries, &self.cross, &layer.cross, between)?;
            x = blocks.residual(x, &mixed, &layer.cross_output, None)?;
            x = blocks.feed_forward(x, &layer.feed_forward)?;
        }
        blocks.normalise(&x, &self.norm)
    }
}

impl<B: Blocks> SelfAttention<B> {
    fn apply(
        &self,
        blocks: &B,
        x: B::Rows,
        (attention, bias): (&Attention, &B::PositionBias),
        pack: &Pack,
    ) -> Result<B::Rows> {
        let qkv = blocks.project(&x, Some(&self.norm), &self.qkv)?;
        let mixed = blocks.biased_attention(qkv, attention, bias, pack)?;
        blocks.residual(x, &mixed, &self.output, None)
    }
}

impl<B: Blocks> EncoderDecoder for T5<B> {
    fn context(&self) -> usize {
        self.context
    }

    fn longest(&self) -> usize {
        self.limits.context
    }

    fn vocabulary(&self) -> usize {
        self.limits.vocabulary
    }

    fn numeric_path(&self) -> String {
        self.blocks.numeric_path()
    }

    fn first_token_logits(&self, inputs: &[&[u32]], sink: &mut Sink<'_>) -> Result<()> {
        self.limits.check(inputs, 0)?;
        let start = [self.start];
        for part in split(inputs) {
            let starts = vec![&start[..]; part.len()];
            let states = self.states(&Pack::new(&inputs[part.clone()], 0), &Pack::new(&starts, 0))?;
            let logits = self.blocks.project(&states, None, &self.head)?;
            self.blocks.read(&logits, &mut |values| {
                for (at, row) in part.clone().zip(values.chunks_exact(self.limits.vocabulary)) {
                    sink(at, row);
                }
            })?;
        }
        Ok(())
    }

    fn logits(&self, pairs: &[Pair<'_>], sink: &mut Sink<'_>) -> Result<()> {
        self.check(pairs)?;
        for part in split_lengths(pairs.iter().map(Pair::tokens)) {
            let (states, targets) = self.teacher_forced(&pairs[part.clone()])?;
            for (at, rows) in part.zip(targets.sequences()) {
                let states = self.blocks.pick(&states, &rows.collect::<Vec<_>>())?;
                let logits = self.blocks.project(&states, None, &self.head)?;
                self.blocks.read(&logits, &mut |values| sink(at, values))?;
            }
        }
        Ok(())
    }

    fn token_log_probs(&self, pairs: &[Pair<'_>], sink: &mut Sink<'_>) -> Result<()> {
        self.check(pairs)?;
        for part in split_lengths(pairs.iter().map(Pair::tokens)) {
            let log_probs = self.target_log_probs(&pairs[part.clone()])?;
            self.blocks.read(&log_probs, &mut |mut values| {
                for at in part.clone() {
                    let (own, rest) = values.split_at(pairs[at].target.len());
                    sink(at, own);
                    values = rest;
                }
            })?;
        }
        Ok(())
    }
}

impl<B: Parameters> SentenceT5<B> {
    /// Loads the encoder's weights, and the projection's where there is one.
    ///
    /// # Errors
    /// When the configuration does not fit together, or a tensor is missing or has another shape.
    pub(crate) fn load(blocks: B, config: &T5Config, weights: &dyn Weights) -> Result<Self> {
        config.validate()?;
        let loader = Loader { blocks: &blocks, config, weights };
        let table = blocks.table(weights, loader.table(), config.vocabulary, config.hidden)?;
        let encoder = loader.encoder()?;
        let projection = config
            .projection
            .map(|outputs| {
                blocks.head(weights, LinearPart::new("linear", outputs, Bias::Absent), config.hidden)
            })
            .transpose()?;
        let limits = Limits { context: LONGEST, vocabulary: config.vocabulary };
        let dimension = config.projection.unwrap_or(config.hidden);
        Ok(Self { blocks, limits, dimension, table, encoder, projection })
    }
}

impl<B: Blocks> SentenceT5<B> {
    /// The embedding of each sequence.
    pub(crate) fn pooled(&self, pack: &Pack) -> Result<B::Rows> {
        let states = self.encoder.states(&self.blocks, &self.table, pack)?;
        let mut pooled = self.blocks.mean(&states, pack)?;
        if let Some(projection) = &self.projection {
            pooled = self.blocks.project(&pooled, None, projection)?;
        }
        self.blocks.unit(pooled)
    }
}

impl<B: Blocks> Encoder for SentenceT5<B> {
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
