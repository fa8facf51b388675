//! Gemma 3, the text models: norms before and after each part of a block, norms of heads, five local layers to each
//! global one with wavelengths of their own, GELU gates, embeddings times √d.
//!
//! Gemma Team, arXiv 2503.19786, §2. Files hold the scales of norms less one; GGUF's converter adds it. The multimodal
//! checkpoints (`model_type` = `gemma3`) are other files and are not read.

use super::rotary::{self, Base};
use super::{Defaults, Family, GgufFamily, GgufRows, HEAD_NORMS, local_layers};
use crate::error::Result;
use crate::graph::{BlockNorms, DecoderConfig, Gate, Head, HeadNorms, LocalAttention, RopeConfig};
use crate::source::fields::Fields;
use crate::weights::gguf::GgufFields;

const NAME: &str = "gemma3";
/// Every so many layers one sees everything, where the files do not say otherwise.
const PATTERN: usize = 6;
/// Base of the local layers' wavelengths, where the files do not say otherwise.
const LOCAL_THETA: f32 = 10_000.0;
/// That of the global ones.
const GLOBAL_THETA: f32 = 1_000_000.0;
/// Layers of the one size whose scores are scaled by the width of the model over the number of heads.
const LAYERS_OF_27B: usize = 62;

pub(super) static FAMILY: Family = Family {
    model_type: "gemma3_text",
    from_json,
    gguf: Some(GgufFamily {
        architecture: NAME,
        config: from_gguf,
        names: &[
            HEAD_NORMS[0],
            HEAD_NORMS[1],
            ("post_attention_norm", "post_attention_layernorm"),
            ("ffn_norm", "pre_feedforward_layernorm"),
            ("post_ffw_norm", "post_feedforward_layernorm"),
        ],
        rows: GgufRows::InOrder,
    }),
};

fn from_json(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let gelu = "gelu_pytorch_tanh";
    fields.only("hidden_activation", &[gelu], gelu)?;
    for name in ["final_logit_softcapping", "attn_logit_softcapping"] {
        if let Some(value) = fields.get(name) {
            return Err(fields.wrong(name, "none", &value.to_string()));
        }
    }
    if fields.flag("use_bidirectional_attention")? {
        return Err(fields.wrong("use_bidirectional_attention", "false", "true"));
    }
    let global = Base { field: "rope_theta", otherwise: GLOBAL_THETA };
    let local = Base { field: "rope_local_base_freq", otherwise: LOCAL_THETA };
    let (global, nearby) = rotary::of_kinds(fields, global, local)?;
    let defaults = Defaults { context: 131_072, head_dim: Some(256), head: Head::Tied };
    let plain = super::from_json(NAME, fields, &defaults, global)?;
    let scalar = fields.number("query_pre_attn_scalar")?.unwrap_or(256.0);
    let pattern = fields.size("sliding_window_pattern")?.unwrap_or(PATTERN);
    let layers = local_layers(fields, plain.layers, |at| is_local(at, pattern))?;
    let window = fields.size("sliding_window")?.unwrap_or(4096);
    Ok(DecoderConfig {
        norm_offset: 1.0,
        local: Some(LocalAttention { window, rope: nearby, layers }),
        score_scale: scalar.sqrt().recip(),
        ..gemma(plain)
    })
}

fn from_gguf(fields: &GgufFields<'_>) -> Result<DecoderConfig> {
    let plain = super::from_gguf(NAME, fields)?;
    let pattern = fields.size("attention.sliding_window_pattern")?.unwrap_or(PATTERN);
    let local = LocalAttention {
        window: fields.needed_size("attention.sliding_window")?,
        rope: RopeConfig {
            theta: fields.number("rope.freq_base_swa")?.unwrap_or(LOCAL_THETA),
            scaling: None,
        },
        layers: (0..plain.layers).map(|at| is_local(at, pattern)).collect(),
    };
    let score_scale = if plain.layers == LAYERS_OF_27B {
        (plain.heads as f32 / plain.hidden as f32).sqrt()
    } else {
        plain.score_scale
    };
    Ok(DecoderConfig { local: Some(local), score_scale, ..gemma(plain) })
}

fn is_local(layer: usize, pattern: usize) -> bool {
    !(layer + 1).is_multiple_of(pattern)
}

/// What both kinds of files leave unsaid.
fn gemma(plain: DecoderConfig) -> DecoderConfig {
    DecoderConfig {
        head_norms: HeadNorms::Present,
        block_norms: BlockNorms::BeforeAndAfter,
        gate: Gate::GeluTanh,
        embedding_scale: (plain.hidden as f32).sqrt(),
        ..plain
    }
}
