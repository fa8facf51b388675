//! Families of decoders: what their files call things, and which choices of the graph they make.
//!
//! The graph is written once, in [`graph`](crate::graph). A family is one file here: how `config.json` and the metadata of a
//! GGUF file become a [`DecoderConfig`], and the names of its tensors in GGUF. `docs/adding-a-model.md` is the recipe.
//!
//! A setting that would change the computation in a way that the graph does not know is refused, never ignored.

mod gemma3;
mod gguf;
mod llama;
mod mistral;
mod qwen2;
mod qwen3;
mod rotary;

pub use self::gguf::GgufWeights;
use crate::error::Result;
use crate::graph::{
    AttentionBias, BlockNorms, DecoderConfig, Gate, Head, HeadNorms, LocalAttention, RopeConfig, RopeScaling,
};
use crate::source::fields::Fields;
use crate::weights::gguf::GgufFields;

/// All families; a new one is one more line.
static FAMILIES: [&Family; 5] =
    [&llama::FAMILY, &mistral::FAMILY, &qwen2::FAMILY, &qwen3::FAMILY, &gemma3::FAMILY];

/// A family of decoders.
pub(crate) struct Family {
    /// `model_type` in `config.json`.
    pub(crate) model_type: &'static str,
    /// Reads `config.json`.
    pub(crate) from_json: fn(&Fields<'_>) -> Result<DecoderConfig>,
    /// How GGUF files hold it; `None` where they have no name for it.
    pub(crate) gguf: Option<GgufFamily>,
}

/// How GGUF files hold a family.
pub(crate) struct GgufFamily {
    /// `general.architecture`.
    pub(crate) architecture: &'static str,
    /// Reads the metadata.
    pub(crate) config: fn(&GgufFields<'_>) -> Result<DecoderConfig>,
    /// Names of tensors within a block, GGUF's and Hugging Face's, beside those that all families have.
    pub(crate) names: &'static [(&'static str, &'static str)],
    /// How the converter orders the rows of query and key projections.
    pub(crate) rows: GgufRows,
}

/// How a GGUF file orders the rows of query and key projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GgufRows {
    /// As Hugging Face's files.
    InOrder,
    /// The two rows that the rotation mixes side by side.
    Interleaved,
}

/// Names within a block that all families have.
const COMMON_NAMES: [(&str, &str); 8] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The norm before the feed-forward, in blocks that normalise nothing else there.
const FEED_FORWARD_NORM: (&str, &str) = ("ffn_norm", "post_attention_layernorm");
/// Norms of heads.
const HEAD_NORMS: [(&str, &str); 2] =
    [("attn_q_norm", "self_attn.q_norm"), ("attn_k_norm", "self_attn.k_norm")];

impl GgufFamily {
    /// Hugging Face's name for a tensor of the file; `None` where the family has no such tensor.
    pub(crate) fn rename(&self, name: &str) -> Option<String> {
        match name {
            "token_embd.weight" => return Some("model.embed_tokens.weight".to_owned()),
            "output_norm.weight" => return Some("model.norm.weight".to_owned()),
            "output.weight" => return Some("lm_head.weight".to_owned()),
            _ => {}
        }
        let (block, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let block: usize = block.parse().ok()?;
        let (part, kind) = rest.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
        let (_, to) = COMMON_NAMES.iter().chain(self.names).find(|(from, _)| *from == part)?;
        Some(format!("model.layers.{block}.{to}.{kind}"))
    }
}

/// The family that `config.json` names.
pub(crate) fn of_model_type(model_type: &str) -> Option<&'static Family> {
    FAMILIES.into_iter().find(|family| family.model_type == model_type)
}

/// What `config.json` may name.
pub(crate) fn model_types() -> impl Iterator<Item = &'static str> {
    FAMILIES.into_iter().map(|family| family.model_type)
}

/// The family that a GGUF file names.
pub(crate) fn of_gguf(architecture: &str) -> Option<&'static GgufFamily> {
    gguf_families().find(|family| family.architecture == architecture)
}

/// What a GGUF file may name.
pub(crate) fn gguf_families() -> impl Iterator<Item = &'static GgufFamily> {
    FAMILIES.into_iter().filter_map(|family| family.gguf.as_ref())
}

/// What `transformers` takes for granted where `config.json` is silent.
struct Defaults {
    context: usize,
    /// Width of a head; `None`: `hidden / heads`.
    head_dim: Option<usize>,
    head: Head,
}

/// What all families have in common, as `config.json` says it; a family changes what it does otherwise.
fn from_json(
    family: &'static str,
    fields: &Fields<'_>,
    defaults: &Defaults,
    rope: RopeConfig,
) -> Result<DecoderConfig> {
    if fields.flag("mlp_bias")? {
        return Err(fields.wrong("mlp_bias", "false", "true"));
    }
    let hidden = fields.needed_size("hidden_size")?;
    let heads = fields.needed_size("num_attention_heads")?;
    let head_dim = match fields.size("head_dim")?.or(defaults.head_dim) {
        Some(head_dim) => head_dim,
        None => {
            hidden.checked_div(heads).ok_or_else(|| fields.wrong("num_attention_heads", "at least 1", "0"))?
        }
    };
    let tied = match fields.get("tie_word_embeddings") {
        Some(_) => fields.flag("tie_word_embeddings")?,
        None => defaults.head == Head::Tied,
    };
    Ok(DecoderConfig {
        family,
        vocabulary: fields.needed_size("vocab_size")?,
        hidden,
        layers: fields.needed_size("num_hidden_layers")?,
        heads,
        kv_heads: fields.size("num_key_value_heads")?.unwrap_or(heads),
        head_dim,
        feed_forward: fields.needed_size("intermediate_size")?,
        context: fields.size("max_position_embeddings")?.unwrap_or(defaults.context),
        norm_epsilon: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
        norm_offset: 0.0,
        rope,
        local: None,
        head: if tied { Head::Tied } else { Head::Untied },
        attention_bias: if fields.flag("attention_bias")? { AttentionBias::All } else { AttentionBias::None },
        head_norms: HeadNorms::Absent,
        block_norms: BlockNorms::Before,
        gate: Gate::Silu,
        embedding_scale: 1.0,
        score_scale: 1.0 / (head_dim as f32).sqrt(),
    })
}

/// Which layers see a window only, as `layer_types` says; `otherwise` where it is silent.
fn local_layers(fields: &Fields<'_>, layers: usize, otherwise: impl Fn(usize) -> bool) -> Result<Vec<bool>> {
    let Some(kinds) = fields.texts("layer_types")? else { return Ok((0..layers).map(otherwise).collect()) };
    let is_local = |kind: &str| match kind {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => Err(fields.wrong("layer_types", "sliding_attention or full_attention", other)),
    };
    kinds.into_iter().map(is_local).collect()
}

/// Local layers that rotate like the others; none where no layer is local.
fn local(config: &DecoderConfig, window: usize, layers: Vec<bool>) -> Option<LocalAttention> {
    layers.contains(&true).then(|| LocalAttention { window, rope: config.rope.clone(), layers })
}

/// Numbers in GGUF metadata that change what a model computes in ways that the graph does not know, and the values with which
/// they mean nothing.
const NEUTRAL_NUMBERS: [(&str, &[f32]); 9] = [
    ("attn_logit_softcapping", &[0.0]),
    ("final_logit_softcapping", &[0.0]),
    ("logit_scale", &[0.0, 1.0]),
    ("embedding_scale", &[0.0, 1.0]),
    ("residual_scale", &[0.0, 1.0]),
    ("attention.clamp_kqv", &[0.0]),
    ("attention.max_alibi_bias", &[0.0]),
    ("rope.scale_linear", &[0.0, 1.0]),
    ("rope.scaling.attn_factor", &[0.0, 1.0]),
];

/// What all families have in common, as the metadata of a GGUF file says it.
fn from_gguf(family: &'static str, fields: &GgufFields<'_>) -> Result<DecoderConfig> {
    if fields.size("expert_count")?.is_some_and(|experts| experts > 0) {
        return Err(fields.wrong("expert_count", "none: mixtures of experts are not supported"));
    }
    let hidden = fields.needed_size("embedding_length")?;
    let heads = fields.needed_size("attention.head_count")?;
    let head_dim = match fields.size("attention.key_length")? {
        Some(head_dim) => head_dim,
        None => hidden
            .checked_div(heads)
            .ok_or_else(|| fields.wrong("attention.head_count", "at least 1, got 0"))?,
    };
    for (name, meaning) in
        [("rope.dimension_count", "all of a head"), ("attention.value_length", "that of keys")]
    {
        if let Some(found) = fields.size(name)?
            && found != head_dim
        {
            return Err(fields.wrong(name, &format!("{head_dim} ({meaning}), got {found}")));
        }
    }
    let scaling = match fields.text("rope.scaling.type") {
        Some("none") => None,
        None => {
            // llama.cpp takes a factor without a type for a linear one; so far such files were read without it.
            fields.neutral("rope.scaling.factor", &[0.0, 1.0])?;
            None
        }
        Some("linear") => Some(RopeScaling::Linear { factor: fields.needed_number("rope.scaling.factor")? }),
        Some(other) => {
            return Err(fields.wrong("rope.scaling.type", &format!("`none` or `linear`, got `{other}`")));
        }
    };
    for (name, neutral) in NEUTRAL_NUMBERS {
        fields.neutral(name, neutral)?;
    }
    for (name, neutral) in [("attention.causal", true), ("use_parallel_residual", false)] {
        if fields.flag(name)?.is_some_and(|value| value != neutral) {
            return Err(fields.wrong(name, &format!("{neutral}, got {}", !neutral)));
        }
    }
    let score_scale = 1.0 / (head_dim as f32).sqrt();
    fields.neutral("attention.scale", &[0.0, score_scale])?;
    let has = |name: &str| fields.has_tensor(name);
    Ok(DecoderConfig {
        family,
        vocabulary: fields.rows_of("token_embd.weight")?,
        hidden,
        layers: fields.needed_size("block_count")?,
        heads,
        kv_heads: fields.size("attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        feed_forward: fields.needed_size("feed_forward_length")?,
        context: fields.needed_size("context_length")?,
        norm_epsilon: fields.needed_number("attention.layer_norm_rms_epsilon")?,
        norm_offset: 0.0,
        rope: RopeConfig { theta: fields.number("rope.freq_base")?.unwrap_or(10_000.0), scaling },
        local: None,
        head: if has("output.weight") { Head::Untied } else { Head::Tied },
        // Of other projections or blocks alone, they are found unused or missing when a graph is built.
        attention_bias: match (has("blk.0.attn_q.bias"), has("blk.0.attn_output.bias")) {
            (false, _) => AttentionBias::None,
            (true, false) => AttentionBias::QueryKeyValue,
            (true, true) => AttentionBias::All,
        },
        head_norms: HeadNorms::Absent,
        block_norms: BlockNorms::Before,
        gate: Gate::Silu,
        embedding_scale: 1.0,
        score_scale,
    })
}

/// Refuses a window in a GGUF file of a family whose files have none; one as long as all that can be read is none.
fn without_window(fields: &GgufFields<'_>, config: DecoderConfig) -> Result<DecoderConfig> {
    match fields.size("attention.sliding_window")? {
        Some(window) if (1..config.context).contains(&window) => {
            Err(fields.not_computed("attention.sliding_window", "none", &window.to_string()))
        }
        _ => Ok(config),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_families_have_one_name() {
        assert_eq!(model_types().collect::<BTreeSet<_>>().len(), FAMILIES.len());
        let architectures: Vec<_> = gguf_families().map(|family| family.architecture).collect();
        assert_eq!(architectures.iter().collect::<BTreeSet<_>>().len(), architectures.len());
    }

    #[test]
    fn names_are_translated_and_unknown_ones_refused() {
        let llama = of_gguf("llama").unwrap();
        let name = |from| llama.rename(from);
        assert_eq!(name("blk.12.attn_k.weight").as_deref(), Some("model.layers.12.self_attn.k_proj.weight"));
        assert_eq!(name("blk.0.attn_q.bias").as_deref(), Some("model.layers.0.self_attn.q_proj.bias"));
        assert_eq!(name("output_norm.weight").as_deref(), Some("model.norm.weight"));
        assert_eq!(name("blk.0.attn_q_norm.weight"), None);
        assert_eq!(name("blk.x.attn_q.weight"), None);
        let gemma3 = of_gguf("gemma3").unwrap();
        assert_eq!(
            gemma3.rename("blk.0.ffn_norm.weight").as_deref(),
            Some("model.layers.0.pre_feedforward_layernorm.weight")
        );
    }
}
