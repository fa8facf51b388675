//! Settings of `config.json` that change what a model computes, that no graph here computes, and that no missing or unused
//! tensor would give away.
//!
//! `config.json` is an open list: most of what stands in it says nothing about the computation, and models bring settings of
//! their own, so that a setting which is not known cannot be refused. These are known: each names the value (beside absent
//! and null) with which it means nothing, and any other is refused.

use serde_json::Value;

use super::SourceError;
use super::fields::Fields;
use crate::error::Result;
use crate::graph::{Architecture, DecoderConfig, HeadNorms, T5Activation, T5Config};

/// With which value a setting means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Neutral {
    /// false, 0, or empty.
    Off,
    /// 1.
    One,
    /// true.
    On,
}

impl Neutral {
    fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Off, Value::Bool(value)) => !value,
            (Self::Off, Value::Number(value)) => value.as_f64() == Some(0.0),
            (Self::Off, Value::String(value)) => value.is_empty(),
            (Self::Off, Value::Array(values)) => values.is_empty(),
            (Self::Off, Value::Object(values)) => values.is_empty(),
            (Self::One, Value::Number(value)) => value.as_f64() == Some(1.0),
            (Self::On, Value::Bool(value)) => *value,
            (_, Value::Null) => true,
            _ => false,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Off => "none",
            Self::One => "1",
            Self::On => "true",
        }
    }
}

/// Of every architecture.
const ANYWHERE: [(&str, Neutral); 3] = [
    // Heads that transformers takes out of the layers after loading.
    ("pruned_heads", Neutral::Off),
    // Layers that look at another model's states.
    ("add_cross_attention", Neutral::Off),
    // Experts of which a router chooses some.
    ("num_local_experts", Neutral::Off),
];

/// Weights that are no plain numbers, or are not meant to be used as they are.
const QUANTISED: [&str; 3] = ["quantization_config", "compression_config", "quantization"];

/// Of decoders.
const IN_DECODERS: [(&str, Neutral); 24] = [
    // Rotation of a part of each head only, of neighbouring pairs, or not in all layers.
    ("partial_rotary_factor", Neutral::One),
    ("rotary_pct", Neutral::One),
    ("rope_interleave", Neutral::Off),
    ("rope_interleaved", Neutral::Off),
    ("no_rope_layers", Neutral::Off),
    ("no_rope_layer_interval", Neutral::Off),
    ("alibi", Neutral::Off),
    // Factors on states, residuals and logits: Granite, MiniCPM, Cohere.
    ("embedding_multiplier", Neutral::One),
    ("residual_multiplier", Neutral::One),
    ("logits_scaling", Neutral::One),
    ("logit_scale", Neutral::One),
    ("scale_emb", Neutral::One),
    ("scale_depth", Neutral::Off),
    ("dim_model_base", Neutral::Off),
    // Bounds on scores, logits and projections: Gemma 2, Grok, MPT.
    ("attn_logit_softcapping", Neutral::Off),
    ("final_logit_softcapping", Neutral::Off),
    ("clip_qkv", Neutral::Off),
    // Scores that grow with the position, chunks of attention: Llama 4.
    ("attn_temperature_tuning", Neutral::Off),
    ("attention_chunk_size", Neutral::Off),
    // Attention and feed-forward of the same input.
    ("use_parallel_residual", Neutral::Off),
    ("parallel_attn", Neutral::Off),
    // Decoders that were made encoders.
    ("use_bidirectional_attention", Neutral::Off),
    ("bidirectional", Neutral::Off),
    ("is_causal", Neutral::On),
];

/// Names of a switch for norms of heads, which some models have without a tensor.
const HEAD_NORM_SWITCHES: [&str; 3] = ["use_qk_norm", "qk_norm", "qk_layernorm"];

/// Refuses settings that the graph of this architecture does not compute.
pub(super) fn refuse(fields: &Fields<'_>, architecture: &Architecture) -> Result<()> {
    for name in QUANTISED {
        if fields.get(name).is_some_and(|value| !Neutral::Off.holds(value)) {
            let path = fields.path().to_owned();
            return Err(SourceError::Quantised { path, field: name }.into());
        }
    }
    refuse_all(fields, &ANYWHERE)?;
    match architecture {
        Architecture::Decoder(config) => in_decoder(fields, config),
        Architecture::Bert(_) => match fields.text("feed_forward_type")? {
            None | Some("original") => Ok(()),
            Some(other) => Err(fields.not_computed("feed_forward_type", "original", other)),
        },
        Architecture::T5(config) => in_t5(fields, config),
    }
}

fn refuse_all(fields: &Fields<'_>, settings: &[(&str, Neutral)]) -> Result<()> {
    for (name, neutral) in settings {
        if let Some(value) = fields.get(name).filter(|value| !neutral.holds(value)) {
            return Err(fields.not_computed(name, neutral.words(), &value.to_string()));
        }
    }
    Ok(())
}

fn in_decoder(fields: &Fields<'_>, config: &DecoderConfig) -> Result<()> {
    refuse_all(fields, &IN_DECODERS)?;
    if let Some(scale) = fields.number("attention_multiplier")?
        && scale != config.score_scale
    {
        let expected = config.score_scale.to_string();
        return Err(fields.not_computed("attention_multiplier", &expected, &scale.to_string()));
    }
    for name in HEAD_NORM_SWITCHES {
        if fields.flag(name)? && config.head_norms == HeadNorms::Absent {
            return Err(fields.not_computed(name, "false", "true"));
        }
    }
    // A window that the family knows is in the configuration by now; here is one that it does not know.
    if config.local.is_none() {
        let unused = fields.get("use_sliding_window").is_some_and(|value| value.as_bool() == Some(false));
        if let Some(window) = fields.size("sliding_window")?
            && !unused
            && config.family == "llama"
            && (1..config.context).contains(&window)
        {
            let expected = format!("none, or at least {}", config.context);
            return Err(fields.not_computed("sliding_window", &expected, &window.to_string()));
        }
    }
    // Whatever names the kinds of layers has to agree with what is computed.
    if let Some(kinds) = fields.texts("layer_types")? {
        let is_local =
            |at: usize| config.local.as_ref().is_some_and(|local| local.layers.get(at) == Some(&true));
        // A window as long as all that can be read is none.
        let moot = fields.size("sliding_window")?.is_some_and(|window| window >= config.context);
        for (at, kind) in kinds.into_iter().enumerate() {
            let computed = if is_local(at) { "sliding_attention" } else { "full_attention" };
            if kind != computed && !(moot && kind == "sliding_attention") {
                return Err(fields.not_computed("layer_types", &format!("`{computed}` at {at}"), kind));
            }
        }
    }
    Ok(())
}

fn in_t5(fields: &Fields<'_>, config: &T5Config) -> Result<()> {
    // transformers takes these two, where they are there, before `feed_forward_proj`.
    let (activation, gated): (&[&str], bool) = match config.activation {
        T5Activation::Relu => (&["relu"], false),
        T5Activation::GatedGelu => (&["gelu_new", "gelu_pytorch_tanh"], true),
    };
    if let Some(name) = fields.text("dense_act_fn")?
        && !activation.contains(&name)
    {
        return Err(fields.not_computed("dense_act_fn", activation[0], name));
    }
    match fields.get("is_gated_act").and_then(Value::as_bool) {
        Some(stated) if stated != gated => {
            Err(fields.not_computed("is_gated_act", &gated.to_string(), &stated.to_string()))
        }
        _ => Ok(()),
    }
}

/// Refuses what an object of rotary settings says beside its type and that is not computed.
pub(crate) fn refuse_rotary(part: &Fields<'_>) -> Result<()> {
    refuse_all(part, &[("partial_rotary_factor", Neutral::One)])?;
    let typed = part.get("rope_type").is_some() || part.get("type").is_some();
    match part.get("factor") {
        Some(factor) if !typed && !Neutral::One.holds(factor) => {
            Err(part.not_computed("factor", "a `rope_type` beside it", &factor.to_string()))
        }
        _ => Ok(()),
    }
}
