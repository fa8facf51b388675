//! Causal decoders: root-mean-square norms, rotary positions, grouped-query attention, a gated feed-forward.
//!
//! Touvron et al., arXiv 2302.13971; grouped queries: Ainslie et al., arXiv 2305.13245; gating: Shazeer, arXiv 2002.05202.
//! The choices in which families differ (norms of heads and of updates, local layers, gates, scales) are fields of
//! [`DecoderConfig`]; which family makes which is told in [`decoders`](crate::decoders), a file each.
//!
//! Cost a token: two operations a weight in the linear layers, plus attention that grows with the position. For
//! next-token logits the last block computes attention, output projection and feed-forward for the last token of each
//! sequence alone, and only those rows see the head.

use std::sync::Arc;

use super::blocks::{
    Activation, Attention, Bias, Blocks, FeedForward, HeadNorms, LinearPart, NormNames, Parameters, Queries,
};
use super::config::{self, AttentionBias, BlockNorms, DecoderConfig, Gate, Head, RopeConfig};
use super::mask::Mask;
use super::pack::{Limits, Pack, split};
use super::rotary::Rotary;
use super::window::Window;
use super::{CausalLm, Prefix, Sink};
use crate::error::{Error, Result};
use crate::weights::Weights;

/// A decoder on the backend `B`.
pub(crate) struct Decoder<B: Parameters> {
    pub(crate) blocks: B,
    limits: Limits,
    table: B::Table,
    embedding_scale: f32,
    layers: Vec<Layer<B>>,
    pub(crate) norm: B::Norm,
    pub(crate) head: B::Linear,
    /// Tells the prefixes of this model from those of others.
    identity: Arc<()>,
}

struct Layer<B: Parameters> {
    attention: Arc<Attention>,
    norm: B::Norm,
    qkv: B::Linear,
    head_norms: Option<HeadNorms<B>>,
    output: B::Linear,
    norm_of_mixed: Option<B::Norm>,
    feed_forward: FeedForward<B>,
}

/// What a [`Prefix`] of this graph holds.
pub(crate) struct PrefixState<B: Blocks> {
    model: Arc<()>,
    /// One a layer.
    keys_values: Vec<B::KeyValues>,
    /// State of the last token after the last block, which predicts the first token of a sequence.
    last: B::Rows,
}

impl<B: Parameters> Decoder<B> {
    /// Loads the weights.
    ///
    /// # Errors
    /// When the configuration does not fit together, or a tensor is missing or has another shape.
    pub(crate) fn load(blocks: B, config: &DecoderConfig, weights: &dyn Weights) -> Result<Self> {
        config.validate()?;
        let attention = |rope: &RopeConfig, window: Option<usize>| {
            Arc::new(Attention {
                heads: config.heads,
                kv_heads: config.kv_heads,
                head_dim: config.head_dim,
                scale: config.score_scale,
                mask: Mask::Causal,
                window: window.map(|tokens| Arc::new(Window::new(tokens, config.heads))),
                rotary: Some(Arc::new(Rotary::new(rope, config.head_dim))),
            })
        };
        let global = attention(&config.rope, None);
        let local = config.local.as_ref().map(|local| {
            // Where the window holds all that can be read, it is no window.
            attention(&local.rope, Some(local.window).filter(|window| *window < config.context))
        });
        let (vocabulary, hidden) = (config.vocabulary, config.hidden);
        let embedding = "model.embed_tokens.weight";
        let (table, head) = match config.head {
            Head::Tied => blocks.tied_table(weights, embedding, vocabulary, hidden)?,
            Head::Untied => {
                let head = LinearPart::new("lm_head", vocabulary, Bias::Absent);
                (blocks.table(weights, embedding, vocabulary, hidden)?, blocks.head(weights, head, hidden)?)
            }
        };
        let is_local = |at: usize| config.local.as_ref().is_some_and(|local| local.layers[at]);
        let mut layers = Vec::with_capacity(config.layers);
        for at in 0..config.layers {
            let attention = local.as_ref().filter(|_| is_local(at)).unwrap_or(&global);
            let parts = Parts { blocks: &blocks, config, weights, prefix: format!("model.layers.{at}") };
            layers.push(parts.layer(Arc::clone(attention))?);
        }
        let norm = norm(&blocks, config, weights, "model.norm", hidden)?;
        let limits = Limits { context: config.context, vocabulary };
        let embedding_scale = config.embedding_scale;
        Ok(Self { blocks, limits, table, embedding_scale, layers, norm, head, identity: Arc::new(()) })
    }
}

impl<B: Blocks> Decoder<B> {
    /// The states after the last block: one row a token, or one a sequence.
    ///
    /// `keep`, where given, receives the keys and values of each layer.
    pub(crate) fn states(
        &self,
        pack: &Pack,
        prefix: Option<&PrefixState<B>>,
        wanted: Queries,
        mut keep: Option<&mut Vec<B::KeyValues>>,
    ) -> Result<B::Rows> {
        let blocks = &self.blocks;
        let mut x = blocks.embed(&[(&self.table, pack.tokens())], None)?;
        if self.embedding_scale != 1.0 {
            x = blocks.scale(x, self.embedding_scale)?;
        }
        for (at, layer) in self.layers.iter().enumerate() {
            let attention = &*layer.attention;
            let mut qkv = blocks.project(&x, Some(&layer.norm), &layer.qkv)?;
            if let Some(norms) = &layer.head_norms {
                qkv = blocks.normalise_heads(qkv, attention, norms)?;
            }
            if let Some(keep) = keep.as_mut() {
                keep.push(blocks.keys_values(&qkv, attention, pack)?);
            }
            let before = prefix.map(|prefix| &prefix.keys_values[at]);
            let queries = if at + 1 == self.layers.len() { wanted } else { Queries::All };
            let mixed = blocks.attention(qkv, attention, pack, before, queries)?;
            if queries == Queries::Last {
                x = blocks.pick(&x, &pack.sequences().map(|rows| rows.end - 1).collect::<Vec<_>>())?;
            }
            x = match &layer.norm_of_mixed {
                Some(norm) => blocks.residual_normalised(x, &mixed, &layer.output, norm)?,
                None => blocks.residual(x, &mixed, &layer.output, None)?,
            };
            x = blocks.feed_forward(x, &layer.feed_forward)?;
        }
        Ok(x)
    }

    /// Checks a call, and that the prefix is this model's.
    fn check<'p>(
        &self,
        prefix: Option<&'p Prefix>,
        sequences: &[&[u32]],
    ) -> Result<Option<&'p PrefixState<B>>> {
        self.limits.check(sequences, prefix.map_or(0, Prefix::tokens))?;
        prefix
            .map(|prefix| {
                let state = prefix.state.downcast_ref::<PrefixState<B>>();
                state.filter(|state| Arc::ptr_eq(&state.model, &self.identity)).ok_or(Error::ForeignPrefix)
            })
            .transpose()
    }
}

/// What the parts of one layer are loaded from.
struct Parts<'a, B: Parameters> {
    blocks: &'a B,
    config: &'a DecoderConfig,
    weights: &'a dyn Weights,
    /// What the names of the layer's tensors begin with.
    prefix: String,
}

impl<B: Parameters> Parts<'_, B> {
    fn norm(&self, name: &str, width: usize) -> Result<B::Norm> {
        norm(self.blocks, self.config, self.weights, &format!("{}.{name}", self.prefix), width)
    }

    fn linear(&self, parts: &[(&str, usize, Bias)], inputs: usize) -> Result<B::Linear> {
        let parts: Vec<LinearPart> = parts
            .iter()
            .map(|&(name, outputs, bias)| LinearPart::new(&format!("{}.{name}", self.prefix), outputs, bias))
            .collect();
        self.blocks.linear(self.weights, &parts, inputs)
    }

    fn layer(&self, attention: Arc<Attention>) -> Result<Layer<B>> {
        let config = self.config;
        let hidden = config.hidden;
        let (query_width, key_width) = (attention.query_width(), attention.key_width());
        let (input_bias, output_bias) = match config.attention_bias {
            AttentionBias::None => (Bias::Absent, Bias::Absent),
            AttentionBias::QueryKeyValue => (Bias::Present, Bias::Absent),
            AttentionBias::All => (Bias::Present, Bias::Present),
        };
        let qkv = [
            ("self_attn.q_proj", query_width, input_bias),
            ("self_attn.k_proj", key_width, input_bias),
            ("self_attn.v_proj", key_width, input_bias),
        ];
        let gate_up = [
            ("mlp.gate_proj", config.feed_forward, Bias::Absent),
            ("mlp.up_proj", config.feed_forward, Bias::Absent),
        ];
        let head_norms = match config.head_norms {
            config::HeadNorms::Absent => None,
            config::HeadNorms::Present => Some(HeadNorms {
                queries: self.norm("self_attn.q_norm", config.head_dim)?,
                keys: self.norm("self_attn.k_norm", config.head_dim)?,
            }),
        };
        // The same name means another place in the two layouts.
        let (norm_of_mixed, norm_before, norm_of_update) = match config.block_norms {
            BlockNorms::Before => (None, "post_attention_layernorm", None),
            BlockNorms::BeforeAndAfter => (
                Some(self.norm("post_attention_layernorm", hidden)?),
                "pre_feedforward_layernorm",
                Some(self.norm("post_feedforward_layernorm", hidden)?),
            ),
        };
        Ok(Layer {
            norm: self.norm("input_layernorm", hidden)?,
            qkv: self.linear(&qkv, hidden)?,
            head_norms,
            output: self.linear(&[("self_attn.o_proj", hidden, output_bias)], query_width)?,
            norm_of_mixed,
            feed_forward: FeedForward {
                norm_before: Some(self.norm(norm_before, hidden)?),
                up: self.linear(&gate_up, hidden)?,
                activation: match config.gate {
                    Gate::Silu => Activation::SiluGate,
                    Gate::GeluTanh => Activation::GeluTanhGate,
                },
                down: self.linear(&[("mlp.down_proj", hidden, Bias::Absent)], config.feed_forward)?,
                norm_of_update,
                norm_after: None,
            },
            attention,
        })
    }
}

fn norm<B: Parameters>(
    blocks: &B,
    config: &DecoderConfig,
    weights: &dyn Weights,
    name: &str,
    width: usize,
) -> Result<B::Norm> {
    let names = NormNames::RootMeanSquare { scale: format!("{name}.weight"), factor: 1.0 };
    if config.norm_offset == 0.0 {
        return blocks.norm(weights, &names, width, config.norm_epsilon);
    }
    blocks.norm(&Raised { weights, by: config.norm_offset }, &names, width, config.norm_epsilon)
}

/// Weights with a constant added to every value.
struct Raised<'a> {
    weights: &'a dyn Weights,
    by: f32,
}

impl Weights for Raised<'_> {
    fn names(&self) -> Vec<String> {
        self.weights.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.weights.shape(name)
    }

    fn load(&self, name: &str, expected_shape: &[usize]) -> Result<Vec<f32>> {
        let mut values = self.weights.load(name, expected_shape)?;
        values.iter_mut().for_each(|value| *value += self.by);
        Ok(values)
    }

    fn check(&self, name: &str, expected_shape: &[usize]) -> Result<()> {
        self.weights.check(name, expected_shape)
    }

    fn place(&self, name: &str) -> String {
        self.weights.place(name)
    }

    fn digest(&self) -> String {
        self.weights.digest()
    }
}

impl<B: Blocks> CausalLm for Decoder<B> {
    fn context(&self) -> usize {
        self.limits.context
    }

    fn vocabulary(&self) -> usize {
        self.limits.vocabulary
    }

    fn numeric_path(&self) -> String {
        self.blocks.numeric_path()
    }

    fn prefix(&self, tokens: &[u32]) -> Result<Prefix> {
        self.limits.check(&[tokens], 0)?;
        let pack = Pack::new(&[tokens], 0);
        let mut keys_values = Vec::with_capacity(self.layers.len());
        let last = self.states(&pack, None, Queries::Last, Some(&mut keys_values))?;
        let state = PrefixState::<B> { model: Arc::clone(&self.identity), keys_values, last };
        Ok(Prefix { tokens: tokens.len(), state: Box::new(state) })
    }

    fn next_token_logits(
        &self,
        prefix: Option<&Prefix>,
        sequences: &[&[u32]],
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let state = self.check(prefix, sequences)?;
        for part in split(sequences) {
            let pack = Pack::new(&sequences[part.clone()], prefix.map_or(0, Prefix::tokens));
            let last = self.states(&pack, state, Queries::Last, None)?;
            let logits = self.blocks.project(&last, Some(&self.norm), &self.head)?;
            self.blocks.read(&logits, &mut |values| {
                for (sequence, row) in part.clone().zip(values.chunks_exact(self.limits.vocabulary)) {
                    sink(sequence, row);
                }
            })?;
        }
        Ok(())
    }

    fn token_log_probs(
        &self,
        prefix: Option<&Prefix>,
        sequences: &[&[u32]],
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let state = self.check(prefix, sequences)?;
        for part in split(sequences) {
            let sequences = &sequences[part.clone()];
            let pack = Pack::new(sequences, prefix.map_or(0, Prefix::tokens));
            let states = self.states(&pack, state, Queries::All, None)?;

            let predicting: Vec<usize> = pack.sequences().flat_map(|rows| rows.start..rows.end - 1).collect();
            let targets: Vec<u32> = sequences.iter().flat_map(|tokens| &tokens[1..]).copied().collect();
            let states = self.blocks.pick(&states, &predicting)?;
            let mut later = self.log_probs(&states, &targets)?.into_iter();

            let mut first = match state {
                Some(state) => {
                    let states = self.blocks.pick(&state.last, &vec![0; sequences.len()])?;
                    let targets: Vec<u32> = sequences.iter().map(|tokens| tokens[0]).collect();
                    self.log_probs(&states, &targets)?
                }
                None => Vec::new(),
            }
            .into_iter();

            for (sequence, tokens) in part.zip(sequences) {
                let values: Vec<f32> =
                    first.next().into_iter().chain(later.by_ref().take(tokens.len() - 1)).collect();
                sink(sequence, &values);
            }
        }
        Ok(())
    }
}

impl<B: Blocks> Decoder<B> {
    fn log_probs(&self, states: &B::Rows, targets: &[u32]) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(targets.len());
        if !targets.is_empty() {
            let log_probs = self.blocks.log_probs(states, Some(&self.norm), &self.head, targets)?;
            self.blocks.read(&log_probs, &mut |read| values.extend_from_slice(read))?;
        }
        Ok(values)
    }
}
