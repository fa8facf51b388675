//! What a graph needs to know about a model: sizes, and the few choices in which members of a family differ.
//!
//! A configuration is read from `config.json` or from GGUF metadata by the weights module and is checked once, by
//! `validate`, before anything is allocated for it.

use crate::error::{Error, Result};

/// No size of a real model comes near this; a hostile header does, and products of two sizes must not overflow.
const LARGEST_SIZE: usize = 1 << 28;

/// The graph that a model needs, with its sizes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Architecture {
    /// A causal decoder: Llama and its relatives.
    Decoder(DecoderConfig),
    /// A BERT encoder.
    Bert(BertConfig),
    /// A T5 encoder–decoder, or its encoder alone.
    T5(T5Config),
}

impl Architecture {
    /// This one's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Decoder(config) => config.family,
            Self::Bert(_) => "bert",
            Self::T5(_) => "t5",
        }
    }

    /// Tokens that the embedding has rows for.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Decoder(config) => config.vocabulary,
            Self::Bert(config) => config.vocabulary,
            Self::T5(config) => config.vocabulary,
        }
    }
}

/// A decoder with root-mean-square norms, rotary positions, grouped-query attention and a gated feed-forward, and the
/// choices in which families of them differ.
///
/// Names in brackets are those of Hugging Face's `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Name of the family.
    pub family: &'static str,
    /// Tokens that the embedding has rows for (`vocab_size`).
    pub vocabulary: usize,
    /// Width of a token's state (`hidden_size`).
    pub hidden: usize,
    /// Number of blocks (`num_hidden_layers`).
    pub layers: usize,
    /// Query heads (`num_attention_heads`).
    pub heads: usize,
    /// Key and value heads, a divisor of `heads` (`num_key_value_heads`).
    pub kv_heads: usize,
    /// Width of one head, even (`head_dim`; where absent, `hidden / heads`).
    pub head_dim: usize,
    /// Width of the feed-forward (`intermediate_size`).
    pub feed_forward: usize,
    /// Longest sequence in tokens (`max_position_embeddings`).
    pub context: usize,
    /// Added to the mean square in each normalisation (`rms_norm_eps`).
    pub norm_epsilon: f32,
    /// Added to the stored scale of each normalisation: 1 where files hold it less one, as Gemma's do, else 0.
    pub norm_offset: f32,
    /// Rotary position embedding (`rope_theta`, `rope_scaling`).
    pub rope: RopeConfig,
    /// Layers that see the nearest tokens only.
    pub local: Option<LocalAttention>,
    /// Whether the head is the embedding table (`tie_word_embeddings`).
    pub head: Head,
    /// Which attention projections have a bias (`attention_bias`).
    pub attention_bias: AttentionBias,
    /// Whether each head of queries and keys is normalised before its rotation.
    pub head_norms: HeadNorms,
    /// Where a block normalises.
    pub block_norms: BlockNorms,
    /// Non-linearity of the gate (`hidden_act`).
    pub gate: Gate,
    /// Factor on the embeddings of tokens; 1 in most families.
    pub embedding_scale: f32,
    /// Factor on attention scores; 1/√`head_dim` in most families.
    pub score_scale: f32,
}

/// Layers whose tokens see a window of the nearest tokens only.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalAttention {
    /// Tokens that a token sees, itself included (`sliding_window`).
    pub window: usize,
    /// Their rotary position embedding.
    pub rope: RopeConfig,
    /// For each layer, whether it is one of them (`layer_types`).
    pub layers: Vec<bool>,
}

/// Rotary position embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// Base of the geometric series of wavelengths.
    pub theta: f32,
    /// Stretching of wavelengths, if the model was extended that way.
    pub scaling: Option<RopeScaling>,
}

/// How wavelengths are stretched for a longer context.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// All of them by one factor (`linear`).
    Linear {
        /// `factor`
        factor: f32,
    },
    /// The long ones (`llama3`).
    Llama3(Llama3Scaling),
    /// Each by a factor of its own, as GGUF files keep Llama 3's.
    Factors(Vec<f32>),
}

/// Llama 3's rotary scaling (`rope_type` = `llama3`): wavelengths longer than `original_context / low_frequency_factor`
/// are stretched by `factor`, those shorter than `original_context / high_frequency_factor` stay, those between are
/// interpolated.
#[derive(Debug, Clone, PartialEq)]
pub struct Llama3Scaling {
    /// `factor`
    pub factor: f32,
    /// `low_freq_factor`
    pub low_frequency_factor: f32,
    /// `high_freq_factor`
    pub high_frequency_factor: f32,
    /// `original_max_position_embeddings`
    pub original_context: usize,
}

/// Whether each head of queries and keys is normalised before its rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadNorms {
    /// No: Llama, Mistral, Qwen2.
    Absent,
    /// Yes: Qwen3, Gemma 3.
    Present,
}

/// Where a block normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockNorms {
    /// Before attention and before the feed-forward.
    Before,
    /// Also what each of the two adds: Gemma 2 and 3.
    BeforeAndAfter,
}

/// Non-linearity of the gate in a feed-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// x·σ(x)
    Silu,
    /// The tanh approximation of GELU.
    GeluTanh,
}

/// Where the matrix that turns states into logits comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// It is the embedding table.
    Tied,
    /// It is a tensor of its own, `lm_head.weight`.
    Untied,
}

/// Which attention projections have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionBias {
    /// None of them: Llama, Mistral, SmolLM2.
    None,
    /// Query, key and value, but not the output: Qwen2.
    QueryKeyValue,
    /// All four: Hugging Face's `attention_bias = true`.
    All,
}

/// A BERT encoder: learned positions, layer norm after each block, GELU feed-forward.
///
/// Names in brackets are those of Hugging Face's `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// Tokens that the embedding has rows for (`vocab_size`).
    pub vocabulary: usize,
    /// Width of a token's state, and of the embedding that comes out (`hidden_size`).
    pub hidden: usize,
    /// Number of blocks (`num_hidden_layers`).
    pub layers: usize,
    /// Attention heads (`num_attention_heads`).
    pub heads: usize,
    /// Width of the feed-forward (`intermediate_size`).
    pub feed_forward: usize,
    /// Learned positions, which is the longest sequence in tokens (`max_position_embeddings`).
    pub context: usize,
    /// Rows of the token-type table; every token here has type 0 (`type_vocab_size`).
    pub token_types: usize,
    /// Added to the variance in each normalisation (`layer_norm_eps`).
    pub norm_epsilon: f32,
    /// Non-linearity of the feed-forward (`hidden_act`).
    pub activation: BertActivation,
}

/// Non-linearity of a BERT feed-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BertActivation {
    /// x·Φ(x), by the error function (`gelu`).
    GeluErf,
    /// Its tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
}

/// A T5: root-mean-square norm before each block, relative position biases, attention scores that are not scaled, no
/// biases in linear layers.
///
/// Names in brackets are those of Hugging Face's `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct T5Config {
    /// Tokens that the embedding has rows for (`vocab_size`), usually more than the tokenizer has.
    pub vocabulary: usize,
    /// Width of a token's state (`d_model`).
    pub hidden: usize,
    /// Blocks of the encoder (`num_layers`).
    pub encoder_layers: usize,
    /// Blocks of the decoder (`num_decoder_layers`; where absent, as many as the encoder has).
    pub decoder_layers: usize,
    /// Attention heads (`num_heads`).
    pub heads: usize,
    /// Width of one head (`d_kv`); all heads together need not be as wide as a state.
    pub head_dim: usize,
    /// Width of the feed-forward (`d_ff`).
    pub feed_forward: usize,
    /// Its non-linearity (`feed_forward_proj`).
    pub activation: T5Activation,
    /// Relative position biases of each head (`relative_attention_num_buckets`).
    pub buckets: usize,
    /// Distance from which on all positions share a bias (`relative_attention_max_distance`).
    pub max_distance: usize,
    /// Added to the mean square in each normalisation (`layer_norm_epsilon`).
    pub norm_epsilon: f32,
    /// Whether the head is the embedding table: T5 v1.0, which also scales its states by d^-½ before it, or v1.1.
    pub head: T5Head,
    /// Token that the decoder starts from (`decoder_start_token_id`).
    pub start: u32,
    /// Longest input in tokens that the model was trained on (`n_positions`; where absent, 512). Positions are relative:
    /// longer inputs can be read all the same.
    pub context: usize,
    /// Outputs of the projection after pooling, in Sentence-T5; its weights are `linear.weight`.
    pub projection: Option<usize>,
}

/// Non-linearity of a T5 feed-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum T5Activation {
    /// max(x, 0): v1.0 (`relu`).
    Relu,
    /// gelu(gate) · up, by the tanh approximation: v1.1 and FLAN (`gated-gelu`).
    GatedGelu,
}

/// How a T5 turns states into logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum T5Head {
    /// By the embedding table, states scaled by d^-½ before it: v1.0.
    TiedAndScaled,
    /// By the embedding table as it is.
    Tied,
    /// By a tensor of its own, `lm_head.weight`: v1.1 and FLAN.
    Untied,
    /// By `lm_head.weight` where the weights have it, else by the embedding table. Newer `config.json` do not tell.
    UntiedWhereThere,
}

impl T5Config {
    /// Checks that the sizes fit together and are not absurd.
    ///
    /// # Errors
    /// [`Error::Config`] names the field, what was expected and what was found.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocabulary),
            ("d_model", self.hidden),
            ("num_layers", self.encoder_layers),
            ("num_decoder_layers", self.decoder_layers),
            ("num_heads", self.heads),
            ("d_kv", self.head_dim),
            ("d_ff", self.feed_forward),
            ("relative_attention_num_buckets", self.buckets),
            ("relative_attention_max_distance", self.max_distance),
            ("n_positions", self.context),
        ];
        check_sizes(&sizes)?;
        check_sizes(&[("out_features", self.projection.unwrap_or(1))])?;
        // So that both the encoder's halves and what of them is exact are whole numbers.
        check_multiple("relative_attention_num_buckets", self.buckets, 4)?;
        if self.max_distance <= self.buckets / 2 {
            return Err(Error::Config {
                field: "relative_attention_max_distance",
                expected: format!("more than {}, half of the buckets", self.buckets / 2),
                got: self.max_distance.to_string(),
            });
        }
        if self.start as usize >= self.vocabulary {
            return Err(Error::Config {
                field: "decoder_start_token_id",
                expected: format!("less than `vocab_size`, {}", self.vocabulary),
                got: self.start.to_string(),
            });
        }
        check_positive("layer_norm_epsilon", self.norm_epsilon)
    }
}

impl DecoderConfig {
    /// Checks that the sizes fit together and are not absurd.
    ///
    /// # Errors
    /// [`Error::Config`] names the field, what was expected and what was found.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocabulary),
            ("hidden_size", self.hidden),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("intermediate_size", self.feed_forward),
            ("max_position_embeddings", self.context),
        ];
        check_sizes(&sizes)?;
        check_multiple("num_attention_heads", self.heads, self.kv_heads)?;
        check_multiple("head_dim", self.head_dim, 2)?;
        check_positive("rms_norm_eps", self.norm_epsilon)?;
        check_positive("embedding scale", self.embedding_scale)?;
        check_positive("query_pre_attn_scalar", self.score_scale)?;
        self.rope.validate(self.head_dim)?;
        if let Some(local) = &self.local {
            check_sizes(&[("sliding_window", local.window)])?;
            local.rope.validate(self.head_dim)?;
            if local.layers.len() != self.layers {
                return Err(Error::Config {
                    field: "layer_types",
                    expected: format!("{} of them", self.layers),
                    got: local.layers.len().to_string(),
                });
            }
        }
        Ok(())
    }
}

impl RopeConfig {
    fn validate(&self, head_dim: usize) -> Result<()> {
        check_positive("rope_theta", self.theta)?;
        match &self.scaling {
            None => Ok(()),
            Some(RopeScaling::Linear { factor }) => check_positive("rope_scaling.factor", *factor),
            Some(RopeScaling::Factors(factors)) => {
                if factors.len() != head_dim / 2 {
                    return Err(Error::Config {
                        field: "rope_freqs",
                        expected: format!("{} factors", head_dim / 2),
                        got: factors.len().to_string(),
                    });
                }
                factors.iter().try_for_each(|factor| check_positive("rope_freqs", *factor))
            }
            Some(RopeScaling::Llama3(scaling)) => {
                check_positive("rope_scaling.factor", scaling.factor)?;
                check_positive("rope_scaling.low_freq_factor", scaling.low_frequency_factor)?;
                check_sizes(&[("rope_scaling.original_max_position_embeddings", scaling.original_context)])?;
                let order = scaling.high_frequency_factor.partial_cmp(&scaling.low_frequency_factor);
                if order == Some(std::cmp::Ordering::Greater) {
                    return Ok(());
                }
                Err(Error::Config {
                    field: "rope_scaling.high_freq_factor",
                    expected: format!("a number above `{}`", scaling.low_frequency_factor),
                    got: scaling.high_frequency_factor.to_string(),
                })
            }
        }
    }
}

impl BertConfig {
    /// Checks that the sizes fit together and are not absurd.
    ///
    /// # Errors
    /// [`Error::Config`] names the field, what was expected and what was found.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocabulary),
            ("hidden_size", self.hidden),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("intermediate_size", self.feed_forward),
            ("max_position_embeddings", self.context),
            ("type_vocab_size", self.token_types),
        ];
        check_sizes(&sizes)?;
        check_multiple("hidden_size", self.hidden, self.heads)?;
        check_positive("layer_norm_eps", self.norm_epsilon)
    }
}

fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<()> {
    for &(field, value) in sizes {
        if value == 0 || value > LARGEST_SIZE {
            return Err(Error::Config {
                field,
                expected: format!("1 to {LARGEST_SIZE}"),
                got: value.to_string(),
            });
        }
    }
    Ok(())
}

fn check_multiple(field: &'static str, value: usize, of: usize) -> Result<()> {
    if value.is_multiple_of(of) {
        return Ok(());
    }
    Err(Error::Config { field, expected: format!("a multiple of {of}"), got: value.to_string() })
}

fn check_positive(field: &'static str, value: f32) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::Config { field, expected: "a positive number".to_owned(), got: value.to_string() })
}
