//! Mistral: Llama in which every token sees a window of the nearest ones. Its GGUF files call themselves Llama, and have no
//! window.
//!
//! Jiang et al., arXiv 2310.06825, §2.

use super::rotary::of_all_layers;
use super::{Defaults, Family, local};
use crate::error::Result;
use crate::graph::{DecoderConfig, Head};
use crate::source::fields::Fields;

const NAME: &str = "mistral";

pub(super) static FAMILY: Family = Family { model_type: NAME, from_json, gguf: None };

fn from_json(fields: &Fields<'_>) -> Result<DecoderConfig> {
    fields.only("hidden_act", &["silu"], "silu")?;
    let defaults = Defaults { context: 131_072, head_dim: None, head: Head::Untied };
    let mut config = super::from_json(NAME, fields, &defaults, of_all_layers(fields)?)?;
    if fields.get("num_key_value_heads").is_none() {
        config.kv_heads = 8;
    }
    // Absent is the first version's window, null is none.
    let absent = (!fields.is_there("sliding_window")).then_some(4096);
    if let Some(window) = fields.size("sliding_window")?.or(absent) {
        config.local = local(&config, window, vec![true; config.layers]);
    }
    Ok(config)
}
