//! Llama in GGUF: configuration, tensor names, row order.

use std::collections::BTreeMap;

use super::super::WeightsError;
use super::super::file::WeightFile;
use super::header::{Header, TensorInfo};
use super::value::Value;
use super::{Entry, Rows};
use crate::error::{Error, Result};
use crate::graph::{Architecture, AttentionBias, Head, LlamaConfig, RopeConfig};

/// GGUF's names within a block, Hugging Face's, and whether the converter reordered the rows.
const BLOCK_NAMES: &[(&str, &str, Reordered)] = &[
    ("attn_norm", "input_layernorm", Reordered::No),
    ("attn_q", "self_attn.q_proj", Reordered::Query),
    ("attn_k", "self_attn.k_proj", Reordered::Key),
    ("attn_v", "self_attn.v_proj", Reordered::No),
    ("attn_output", "self_attn.o_proj", Reordered::No),
    ("ffn_norm", "post_attention_layernorm", Reordered::No),
    ("ffn_gate", "mlp.gate_proj", Reordered::No),
    ("ffn_up", "mlp.up_proj", Reordered::No),
    ("ffn_down", "mlp.down_proj", Reordered::No),
];

#[derive(Clone, Copy, Debug)]
enum Reordered {
    No,
    Query,
    Key,
}

/// Reads numbers of the metadata with an error that names the key.
struct Fields<'a> {
    file: &'a WeightFile,
    metadata: &'a BTreeMap<String, Value>,
}

impl Fields<'_> {
    fn wrong(&self, key: &str, expected: &str) -> Error {
        self.file.malformed(format!("metadata `{key}`: expected {expected}")).into()
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(value) => value
                .as_integer()
                .and_then(|value| usize::try_from(value).ok())
                .map(Some)
                .ok_or_else(|| self.wrong(key, "a size")),
        }
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| self.wrong(key, "a size, got nothing"))
    }

    fn optional_number(&self, key: &str) -> Result<Option<f32>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Float(value)) => Ok(Some(*value as f32)),
            Some(_) => Err(self.wrong(key, "a number")),
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).and_then(Value::as_text)
    }
}

pub(super) fn config(file: &WeightFile, header: &Header) -> Result<LlamaConfig> {
    let fields = Fields { file, metadata: &header.metadata };
    match fields.text("general.architecture") {
        Some("llama") => {}
        other => {
            return Err(Error::UnknownArchitecture {
                file: file.display(),
                got: other.unwrap_or("nothing").to_owned(),
                known: "llama".to_owned(),
            });
        }
    }
    if let Some(scaling) = fields.text("llama.rope.scaling.type").filter(|scaling| *scaling != "none") {
        return Err(fields.wrong("llama.rope.scaling.type", &format!("`none`, got `{scaling}`")));
    }
    // Llama 3.1 and later keep the stretched wavelengths as a tensor; ignoring it would give wrong numbers silently.
    if header.tensors.contains_key("rope_freqs.weight") {
        return Err(file
            .malformed(
                "rotary scaling by `rope_freqs.weight` is not supported; use the model's safetensors files",
            )
            .into());
    }
    if fields.optional_size("llama.expert_count")?.is_some_and(|experts| experts > 0) {
        return Err(fields.wrong("llama.expert_count", "none: mixtures of experts are not supported"));
    }
    let hidden = fields.size("llama.embedding_length")?;
    let heads = fields.size("llama.attention.head_count")?;
    let head_dim = match fields.optional_size("llama.attention.key_length")? {
        Some(head_dim) => head_dim,
        None => hidden
            .checked_div(heads)
            .ok_or_else(|| fields.wrong("llama.attention.head_count", "at least 1, got 0"))?,
    };
    if let Some(rotated) = fields.optional_size("llama.rope.dimension_count")?
        && rotated != head_dim
    {
        let expected = format!("{head_dim} (all of a head), got {rotated}");
        return Err(fields.wrong("llama.rope.dimension_count", &expected));
    }
    let vocabulary = match header.tensors.get("token_embd.weight") {
        Some(info) if info.shape.len() == 2 => info.shape[0],
        _ => return Err(file.malformed("tensor `token_embd.weight`: expected a matrix").into()),
    };
    let has = |name: &str| header.tensors.contains_key(name);
    let config = LlamaConfig {
        vocabulary,
        hidden,
        layers: fields.size("llama.block_count")?,
        heads,
        kv_heads: fields.optional_size("llama.attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        feed_forward: fields.size("llama.feed_forward_length")?,
        context: fields.size("llama.context_length")?,
        norm_epsilon: fields
            .optional_number("llama.attention.layer_norm_rms_epsilon")?
            .ok_or_else(|| fields.wrong("llama.attention.layer_norm_rms_epsilon", "a number, got nothing"))?,
        rope: RopeConfig {
            theta: fields.optional_number("llama.rope.freq_base")?.unwrap_or(10_000.0),
            scaling: None,
        },
        head: if has("output.weight") { Head::Untied } else { Head::Tied },
        attention_bias: match (has("blk.0.attn_q.bias"), has("blk.0.attn_output.bias")) {
            (false, _) => AttentionBias::None,
            (true, false) => AttentionBias::QueryKeyValue,
            (true, true) => AttentionBias::All,
        },
    };
    config.validate()?;
    Ok(config)
}

/// Renames the tensors. One whose name is not known is refused: it would be computed without.
pub(super) fn entries(
    file: &WeightFile,
    tensors: BTreeMap<String, TensorInfo>,
    config: &LlamaConfig,
) -> Result<BTreeMap<String, Entry>, WeightsError> {
    let mut entries = BTreeMap::new();
    for (name, info) in tensors {
        let (to, reordered) = rename(&name).ok_or_else(|| {
            file.malformed(format!("tensor `{name}` is no part of {}", Architecture::KNOWN[0]))
        })?;
        let rows = match reordered {
            Reordered::No => Rows::AsStored,
            Reordered::Query => Rows::Rotary { heads: config.heads },
            Reordered::Key => Rows::Rotary { heads: config.kv_heads },
        };
        if let Rows::Rotary { heads } = rows
            && info.shape[0] != heads * config.head_dim
        {
            return Err(WeightsError::Shape {
                file: file.display(),
                tensor: to,
                expected: std::iter::once(heads * config.head_dim)
                    .chain(info.shape[1..].iter().copied())
                    .collect(),
                got: info.shape,
            });
        }
        entries.insert(to, Entry { info, rows });
    }
    Ok(entries)
}

fn rename(name: &str) -> Option<(String, Reordered)> {
    let whole = match name {
        "token_embd.weight" => Some("model.embed_tokens.weight"),
        "output_norm.weight" => Some("model.norm.weight"),
        "output.weight" => Some("lm_head.weight"),
        _ => None,
    };
    if let Some(to) = whole {
        return Some((to.to_owned(), Reordered::No));
    }
    let (block, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let block: usize = block.parse().ok()?;
    let (part, kind) = rest.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
    let (_, to, reordered) = BLOCK_NAMES.iter().find(|(from, _, _)| *from == part)?;
    Some((format!("model.layers.{block}.{to}.{kind}"), *reordered))
}

/// Undoes the converter's order of rows. It stores row (half i, pair j) of a head at 2j + i, so that the two values
/// which the rotation mixes are neighbours; Hugging Face's graph mixes j and j + half.
pub(super) fn restore_rows(values: &[f32], rows: usize, heads: usize) -> Vec<f32> {
    let (head_rows, width) = (rows / heads, values.len() / rows);
    let mut restored = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_rows * width) {
        for half in 0..2 {
            for pair in 0..head_rows / 2 {
                restored.extend_from_slice(&head[(2 * pair + half) * width..][..width]);
            }
        }
    }
    restored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_the_order_of_hugging_face() {
        // Two heads of four rows, one value a row: the converter stores 0 2 1 3 of each head.
        let stored = [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0];
        assert_eq!(restore_rows(&stored, 8, 2), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn names_are_translated_and_unknown_ones_refused() {
        let name = |from| rename(from).map(|(to, _)| to);
        assert_eq!(name("blk.12.attn_k.weight").as_deref(), Some("model.layers.12.self_attn.k_proj.weight"));
        assert_eq!(name("blk.0.attn_q.bias").as_deref(), Some("model.layers.0.self_attn.q_proj.bias"));
        assert_eq!(name("output_norm.weight").as_deref(), Some("model.norm.weight"));
        assert_eq!(name("blk.0.attn_q_norm.weight"), None);
        assert_eq!(name("blk.x.attn_q.weight"), None);
    }
}
