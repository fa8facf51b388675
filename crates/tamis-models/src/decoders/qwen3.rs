//! Qwen3: Qwen2 without biases, with a norm of each head of queries and keys, and heads of 128.
//!
//! Yang et al., arXiv 2505.09388, §2.

use super::qwen2::upper_layers;
use super::rotary::of_all_layers;
use super::{Defaults, FEED_FORWARD_NORM, Family, GgufFamily, GgufRows, HEAD_NORMS, without_window};
use crate::error::Result;
use crate::graph::{DecoderConfig, Head, HeadNorms};
use crate::source::fields::Fields;
use crate::weights::gguf::GgufFields;

const NAME: &str = "qwen3";

pub(super) static FAMILY: Family = Family {
    model_type: NAME,
    from_json,
    gguf: Some(GgufFamily {
        architecture: NAME,
        config: from_gguf,
        names: &[FEED_FORWARD_NORM, HEAD_NORMS[0], HEAD_NORMS[1]],
        rows: GgufRows::InOrder,
    }),
};

fn from_json(fields: &Fields<'_>) -> Result<DecoderConfig> {
    fields.only("hidden_act", &["silu"], "silu")?;
    let defaults = Defaults { context: 32_768, head_dim: Some(128), head: Head::Untied };
    let mut config = super::from_json(NAME, fields, &defaults, of_all_layers(fields)?)?;
    config.head_norms = HeadNorms::Present;
    config.local = upper_layers(fields, &config)?;
    Ok(config)
}

fn from_gguf(fields: &GgufFields<'_>) -> Result<DecoderConfig> {
    let config = without_window(fields, super::from_gguf(NAME, fields)?)?;
    Ok(DecoderConfig { head_norms: HeadNorms::Present, ..config })
}
