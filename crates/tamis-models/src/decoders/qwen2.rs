//! Qwen2 and Qwen2.5: Llama with biases on queries, keys and values, and a window in the upper layers where asked for.
//!
//! Yang et al., arXiv 2407.10671.

use super::rotary::of_all_layers;
use super::{Defaults, FEED_FORWARD_NORM, Family, GgufFamily, GgufRows, local, local_layers, without_window};
use crate::error::Result;
use crate::graph::{AttentionBias, DecoderConfig, Head, LocalAttention};
use crate::source::fields::Fields;
use crate::weights::gguf::GgufFields;

const NAME: &str = "qwen2";

pub(super) static FAMILY: Family = Family {
    model_type: NAME,
    from_json,
    gguf: Some(GgufFamily {
        architecture: NAME,
        config: from_gguf,
        names: &[FEED_FORWARD_NORM],
        rows: GgufRows::InOrder,
    }),
};

fn from_json(fields: &Fields<'_>) -> Result<DecoderConfig> {
    fields.only("hidden_act", &["silu"], "silu")?;
    let defaults = Defaults { context: 32_768, head_dim: None, head: Head::Untied };
    let mut config = super::from_json(NAME, fields, &defaults, of_all_layers(fields)?)?;
    config.attention_bias = AttentionBias::QueryKeyValue;
    config.local = upper_layers(fields, &config)?;
    Ok(config)
}

/// The layers from `max_window_layers` on, with `use_sliding_window`.
pub(super) fn upper_layers(fields: &Fields<'_>, config: &DecoderConfig) -> Result<Option<LocalAttention>> {
    if !fields.flag("use_sliding_window")? {
        return Ok(None);
    }
    // Absent is a window of 4096, null is none.
    if fields.is_there("sliding_window") && fields.get("sliding_window").is_none() {
        return Ok(None);
    }
    let window = fields.size("sliding_window")?.unwrap_or(4096);
    let first = fields.size("max_window_layers")?.unwrap_or(28);
    Ok(local(config, window, local_layers(fields, config.layers, |at| at >= first)?))
}

fn from_gguf(fields: &GgufFields<'_>) -> Result<DecoderConfig> {
    without_window(fields, super::from_gguf(NAME, fields)?)
}
