//! Llama 1 to 3, and what copies it: SmolLM2, TinyLlama, the GGUF files of Mistral.
//!
//! Touvron et al., arXiv 2302.13971. In GGUF, Llama 3's rotary scaling is a tensor of factors, one a wavelength.

use super::rotary::of_all_layers;
use super::{Defaults, FEED_FORWARD_NORM, Family, GgufFamily, GgufRows, without_window};
use crate::error::Result;
use crate::graph::{DecoderConfig, Head, RopeScaling};
use crate::source::fields::Fields;
use crate::weights::gguf::{GgufFields, ROPE_FACTORS};

const NAME: &str = "llama";

pub(super) static FAMILY: Family = Family {
    model_type: NAME,
    from_json,
    gguf: Some(GgufFamily {
        architecture: NAME,
        config: from_gguf,
        names: &[FEED_FORWARD_NORM],
        rows: GgufRows::Interleaved,
    }),
};

fn from_json(fields: &Fields<'_>) -> Result<DecoderConfig> {
    fields.only("hidden_act", &["silu"], "silu")?;
    let defaults = Defaults { context: 2048, head_dim: None, head: Head::Untied };
    super::from_json(NAME, fields, &defaults, of_all_layers(fields)?)
}

fn from_gguf(fields: &GgufFields<'_>) -> Result<DecoderConfig> {
    let mut config = without_window(fields, super::from_gguf(NAME, fields)?)?;
    if let Some(factors) = fields.values(ROPE_FACTORS)? {
        config.rope.scaling = Some(RopeScaling::Factors(factors));
    }
    Ok(config)
}
