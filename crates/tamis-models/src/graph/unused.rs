//! Tensors that a graph does not ask for: they would change what the model computes, and the scores would be another model's.
//!
//! A tensor that is in the files and is not used means that configuration and weights do not belong together (a layer more,
//! biases that the configuration is silent about), that the weights are not the model yet (an adapter that was not merged,
//! scales of quantised numbers), or that the model has parts which no graph here computes. All of these are refused. What may
//! be left unused is listed here, with why; a tensor that is a copy of one that is used has to be one, bit for bit.
//!
//! Not here: settings that change the computation and leave no tensor behind; those are refused where `config.json` and GGUF
//! metadata are read.

use std::collections::BTreeSet;

use super::config::{Architecture, BertConfig, DecoderConfig, Head, T5Config, T5Head};
use super::{Task, t5};
use crate::error::Result;
use crate::weights::{UnusedCause, Weights, WeightsError};

/// Names that a message lists.
const NAMED: usize = 3;

/// What it means that a tensor is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unused<'a> {
    /// It cannot change the result.
    Harmless,
    /// As long as it holds the same numbers as this one, which is used.
    CopyOf(&'a str),
    /// The result is another without it.
    Changes,
}

/// Refuses weights of which something would be left unused that changes the result. `asked` is all that the graph asks for.
pub(super) fn refuse(
    architecture: &Architecture,
    task: Task,
    weights: &dyn Weights,
    asked: &BTreeSet<String>,
) -> Result<()> {
    let mut unused = Vec::new();
    for name in weights.names().into_iter().filter(|name| !asked.contains(name)) {
        let meaning = match architecture {
            Architecture::Decoder(config) => in_decoder(config, &name),
            Architecture::Bert(config) => in_bert(config, &name),
            Architecture::T5(config) => in_t5(config, task, &name, asked),
        };
        let changes = match meaning {
            Unused::Harmless => false,
            Unused::CopyOf(other) => !weights.are_equal(&name, other)?,
            Unused::Changes => true,
        };
        if changes {
            unused.push(name);
        }
    }
    let Some(first) = unused.first() else { return Ok(()) };
    let named = unused.iter().take(NAMED).map(|name| weights.stored_name(name)).collect();
    Err(WeightsError::Unused {
        file: weights.place(first),
        cause: cause(architecture, &unused),
        more: unused.len().saturating_sub(NAMED),
        tensors: named,
    }
    .into())
}

fn in_decoder(config: &DecoderConfig, name: &str) -> Unused<'static> {
    // Wavelengths, which are computed from the configuration; old versions of transformers stored them.
    if name.ends_with(".rotary_emb.inv_freq") {
        return Unused::Harmless;
    }
    match (name, config.head) {
        ("lm_head.weight", Head::Tied) => Unused::CopyOf("model.embed_tokens.weight"),
        _ => Unused::Changes,
    }
}

fn in_bert(_config: &BertConfig, name: &str) -> Unused<'static> {
    let name = name.strip_prefix("bert.").unwrap_or(name);
    let harmless = [
        // 0, 1, 2, … and zeros: which row of a table is looked up is computed.
        "embeddings.position_ids",
        "embeddings.token_type_ids",
        // What follows the encoder in pre-training. An embedding is the mean of the encoder's states.
        "pooler.",
        "cls.predictions.",
        "cls.seq_relationship.",
    ];
    let is = |known: &str| if known.ends_with('.') { name.starts_with(known) } else { name == known };
    if harmless.into_iter().any(is) { Unused::Harmless } else { Unused::Changes }
}

fn in_t5<'a>(config: &T5Config, task: Task, name: &str, asked: &'a BTreeSet<String>) -> Unused<'a> {
    let table = || t5::TABLES.into_iter().find_map(|table| asked.get(table));
    // An encoder that embeds has no use for what comes after it.
    if task == Task::Encoder && (name.starts_with("decoder.") || name == "lm_head.weight") {
        return Unused::Harmless;
    }
    match name {
        // What v1.0 was trained with and the reference code ignores: cross attention has no position biases.
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight" => Unused::Harmless,
        // The dense layer after pooling, which an answer has no use for.
        "linear.weight" if task != Task::Encoder && config.projection.is_some() => Unused::Harmless,
        "lm_head.weight" if matches!(config.head, T5Head::Tied | T5Head::TiedAndScaled) => {
            table().map_or(Unused::Changes, |table| Unused::CopyOf(table))
        }
        _ if t5::TABLES.contains(&name) => table().map_or(Unused::Changes, |table| Unused::CopyOf(table)),
        _ => Unused::Changes,
    }
}

fn cause(architecture: &Architecture, unused: &[String]) -> UnusedCause {
    let any = |test: &dyn Fn(&str) -> bool| unused.iter().any(|name| test(name));
    let all = |test: &dyn Fn(&str) -> bool| unused.iter().all(|name| test(name));
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    const SCALES: [&str; 18] = [
        "weight_scale",
        "weight_scale_inv",
        "weight_scale_2",
        "input_scale",
        "output_scale",
        "k_scale",
        "v_scale",
        "weight_zero_point",
        "weight_packed",
        "weight_shape",
        "qweight",
        "qzeros",
        "scales",
        "g_idx",
        "absmax",
        "quant_map",
        "nested_absmax",
        "SCB",
    ];
    if any(&|name| name.contains("lora_")) {
        return UnusedCause::Adapter;
    }
    if any(&|name| SCALES.contains(&last(name).as_str()) || name.contains(".quant_state.")) {
        return UnusedCause::Quantisation;
    }
    if all(&|name| name == "lm_head.weight") {
        return UnusedCause::HeadThatIsTied;
    }
    let attention_bias = |name: &str| name.contains(".self_attn.") && name.ends_with("_proj.bias");
    if matches!(architecture, Architecture::Decoder(_)) && all(&attention_bias) {
        return UnusedCause::AttentionBiases;
    }
    let is_further = |name: &str| match architecture {
        Architecture::Decoder(config) => block(name, "model.layers.").is_some_and(|at| at >= config.layers),
        Architecture::Bert(config) => {
            let name = name.strip_prefix("bert.").unwrap_or(name);
            block(name, "encoder.layer.").is_some_and(|at| at >= config.layers)
        }
        Architecture::T5(config) => {
            block(name, "encoder.block.").is_some_and(|at| at >= config.encoder_layers)
                || block(name, "decoder.block.").is_some_and(|at| at >= config.decoder_layers)
        }
    };
    if all(&is_further) { UnusedCause::MoreLayers } else { UnusedCause::Other }
}

/// The number of the block that a tensor is of.
fn block(name: &str, start: &str) -> Option<usize> {
    name.strip_prefix(start)?.split('.').next()?.parse().ok()
}
