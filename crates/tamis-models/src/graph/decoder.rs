//! The Llama family: pre-normalised causal decoder with rotary positions, grouped-query attention and a SiLU-gated
//! feed-forward.
//!
//! Touvron et al., arXiv 2302.13971; grouped queries: Ainslie et al., arXiv 2305.13245; gating: Shazeer, arXiv 2002.05202.
//! Covers Llama 1–3, SmolLM2, Mistral without its window, and with biases Qwen2.
//!
//! Cost a token: two operations a weight in the linear layers, plus attention that grows with the position. For
//! next-token logits the last block computes attention, output projection and feed-forward for the last token of each
//! sequence alone, and only those rows see the head.

use std::sync::Arc;

use super::blocks::{Activation, Attention, Bias, Blocks, FeedForward, LinearPart, Mask, NormNames, Queries};
use super::config::{AttentionBias, Head, LlamaConfig};
use super::pack::{Limits, Pack, split};
use super::rotary::Rotary;
use super::{CausalLm, Prefix, Sink};
use crate::error::{Error, Result};
use crate::weights::Weights;

/// A decoder on the backend `B`.
pub(crate) struct Llama<B: Blocks> {
    pub(super) blocks: B,
    limits: Limits,
    attention: Attention,
    table: B::Table,
    layers: Vec<Layer<B>>,
    pub(super) norm: B::Norm,
    pub(super) head: B::Linear,
    /// Tells the prefixes of this model from those of others.
    identity: Arc<()>,
}

struct Layer<B: Blocks> {
    norm: B::Norm,
    qkv: B::Linear,
    output: B::Linear,
    feed_forward: FeedForward<B>,
}

/// What a [`Prefix`] of this graph holds.
pub(super) struct PrefixState<B: Blocks> {
    model: Arc<()>,
    /// One a layer.
    keys_values: Vec<B::KeyValues>,
    /// State of the last token after the last block, which predicts the first token of a sequence.
    last: B::Rows,
}

impl<B: Blocks> Llama<B> {
    /// Loads the weights.
    ///
    /// # Errors
    /// When the configuration does not fit together, or a tensor is missing or has another shape.
    pub(crate) fn load(blocks: B, config: &LlamaConfig, weights: &dyn Weights) -> Result<Self> {
        config.validate()?;
        let attention = Attention {
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            mask: Mask::Causal,
            rotary: Some(Arc::new(Rotary::new(&config.rope, config.head_dim))),
        };
        let (vocabulary, hidden) = (config.vocabulary, config.hidden);
        let embedding = "model.embed_tokens.weight";
        let (table, head) = match config.head {
            Head::Tied => blocks.tied_table(weights, embedding, vocabulary, hidden)?,
            Head::Untied => {
                let head = LinearPart::new("lm_head", vocabulary, Bias::Absent);
                (
                    blocks.table(weights, embedding, vocabulary, hidden)?,
                    blocks.linear(weights, &[head], hidden)?,
                )
            }
        };
        let layers = (0..config.layers)
            .map(|at| Layer::load(&blocks, config, &attention, weights, &format!("model.layers.{at}")))
            .collect::<Result<_>>()?;
        let norm = root_mean_square(&blocks, config, weights, "model.norm")?;
        let limits = Limits { context: config.context, vocabulary };
        Ok(Self { blocks, limits, attention, table, layers, norm, head, identity: Arc::new(()) })
    }

    /// The states after the last block: one row a token, or one a sequence.
    ///
    /// `keep`, where given, receives the keys and values of each layer.
    pub(super) fn states(
        &self,
        pack: &Pack,
        prefix: Option<&PrefixState<B>>,
        wanted: Queries,
        mut keep: Option<&mut Vec<B::KeyValues>>,
    ) -> Result<B::Rows> {
        let blocks = &self.blocks;
        let mut x = blocks.embed(&[(&self.table, pack.tokens())], None)?;
        for (at, layer) in self.layers.iter().enumerate() {
            let qkv = blocks.project(&x, Some(&layer.norm), &layer.qkv)?;
            if let Some(keep) = keep.as_mut() {
                keep.push(blocks.keys_values(&qkv, &self.attention, pack)?);
            }
            let before = prefix.map(|prefix| &prefix.keys_values[at]);
            let queries = if at + 1 == self.layers.len() { wanted } else { Queries::All };
            let mixed = blocks.attention(qkv, &self.attention, pack, before, queries)?;
            if queries == Queries::Last {
                x = blocks.pick(&x, &pack.sequences().map(|rows| rows.end - 1).collect::<Vec<_>>())?;
            }
            x = blocks.residual(x, &mixed, &layer.output, None)?;
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

impl<B: Blocks> Layer<B> {
    fn load(
        blocks: &B,
        config: &LlamaConfig,
        attention: &Attention,
        weights: &dyn Weights,
        layer: &str,
    ) -> Result<Self> {
        let (input_bias, output_bias) = match config.attention_bias {
            AttentionBias::None => (Bias::Absent, Bias::Absent),
            AttentionBias::QueryKeyValue => (Bias::Present, Bias::Absent),
            AttentionBias::All => (Bias::Present, Bias::Present),
        };
        let part = |name: &str, outputs, bias| LinearPart::new(&format!("{layer}.{name}"), outputs, bias);
        let qkv = [
            part("self_attn.q_proj", attention.query_width(), input_bias),
            part("self_attn.k_proj", attention.key_width(), input_bias),
            part("self_attn.v_proj", attention.key_width(), input_bias),
        ];
        let output = [part("self_attn.o_proj", config.hidden, output_bias)];
        let gate_up = [
            part("mlp.gate_proj", config.feed_forward, Bias::Absent),
            part("mlp.up_proj", config.feed_forward, Bias::Absent),
        ];
        let down = [part("mlp.down_proj", config.hidden, Bias::Absent)];
        let norm_after_attention = format!("{layer}.post_attention_layernorm");
        Ok(Self {
            norm: root_mean_square(blocks, config, weights, &format!("{layer}.input_layernorm"))?,
            qkv: blocks.linear(weights, &qkv, config.hidden)?,
            output: blocks.linear(weights, &output, attention.query_width())?,
            feed_forward: FeedForward {
                norm_before: Some(root_mean_square(blocks, config, weights, &norm_after_attention)?),
                up: blocks.linear(weights, &gate_up, config.hidden)?,
                activation: Activation::SiluGate,
                down: blocks.linear(weights, &down, config.feed_forward)?,
                norm_after: None,
            },
        })
    }
}

fn root_mean_square<B: Blocks>(
    blocks: &B,
    config: &LlamaConfig,
    weights: &dyn Weights,
    name: &str,
) -> Result<B::Norm> {
    let names = NormNames::RootMeanSquare { scale: format!("{name}.weight") };
    blocks.norm(weights, &names, config.hidden, config.norm_epsilon)
}

impl<B: Blocks> CausalLm for Llama<B> {
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

impl<B: Blocks> Llama<B> {
    fn log_probs(&self, states: &B::Rows, targets: &[u32]) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(targets.len());
        if !targets.is_empty() {
            let log_probs = self.blocks.log_probs(states, &self.norm, &self.head, targets)?;
            self.blocks.read(&log_probs, &mut |read| values.extend_from_slice(read))?;
        }
        Ok(values)
    }
}
