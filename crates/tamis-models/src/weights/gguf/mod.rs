//! Weights, configuration and licence out of a GGUF file.
//!
//! GGUF has its own tensor names, and for Llama llama.cpp's converter reorders the rows of the query and key
//! projections to suit its rotary kernel. Both are undone here, so that one graph reads either kind of file. What a family
//! calls things is told in [`decoders`](crate::decoders); others are refused by name.

mod blocks;
mod fields;
mod header;
mod rows;
mod value;

use std::collections::BTreeMap;
use std::path::Path;

pub(crate) use fields::{GgufFields, ROPE_FACTORS};
pub use value::{Numbers, Value};

use super::file::{WeightFile, combine_digests};
use super::{Weights, WeightsError, check_shape, missing};
use crate::decoders::{self, GgufFamily, GgufRows};
use crate::error::{Error, Result};
use crate::graph::{Architecture, DecoderConfig, RopeScaling};
use blocks::Format;
use header::TensorInfo;

/// How the rows of a tensor have to be put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// They are in order.
    AsStored,
    /// Per head, value pairs (2j, 2j + 1) become (j, j + half).
    Rotary {
        /// Heads of this projection.
        heads: usize,
    },
}

/// One tensor under its Hugging Face name.
#[derive(Clone, Debug)]
struct Entry {
    /// Its name in the file.
    name: String,
    info: TensorInfo,
    rows: Rows,
}

/// A GGUF file: its metadata and its tensors under Hugging Face names.
#[derive(Debug)]
pub struct GgufWeights {
    file: WeightFile,
    metadata: BTreeMap<String, Value>,
    architecture: Architecture,
    entries: BTreeMap<String, Entry>,
    digest: String,
}

impl GgufWeights {
    /// Reads the header; the whole file is read once for the digest.
    ///
    /// # Errors
    /// A file that cannot be read or does not fit its header; an architecture that is not known.
    pub fn open(path: &Path) -> Result<Self> {
        let file = WeightFile::open(path)?;
        let header = header::read(&file)?;
        let named = header.metadata.get("general.architecture").and_then(Value::as_text).unwrap_or("nothing");
        let family = decoders::of_gguf(named).ok_or_else(|| Error::UnknownArchitecture {
            file: file.display(),
            got: named.to_owned(),
            known: decoders::gguf_families().map(|family| family.architecture).collect::<Vec<_>>().join(", "),
        })?;
        let fields = GgufFields { file: &file, header: &header, architecture: family.architecture };
        let config = (family.config)(&fields)?;
        config.validate().map_err(|error| error.of_file(path))?;
        let entries = entries(&file, header.tensors, family, &config)?;
        let digest = combine_digests(&[file.digest()?]);
        Ok(Self {
            file,
            metadata: header.metadata,
            architecture: Architecture::Decoder(config),
            entries,
            digest,
        })
    }

    /// The graph that these weights are for.
    #[must_use]
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// One metadata value.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// The metadata value as text, where it is text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata(key).and_then(Value::as_text)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

impl Weights for GgufWeights {
    fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.entries.get(name).map(|entry| entry.info.shape.clone())
    }

    fn load(&self, name: &str, expected_shape: &[usize]) -> Result<Vec<f32>> {
        let (Entry { info, rows, .. }, format) = self.readable(name, expected_shape)?;
        let bytes = self.file.read(info.offset, info.length)?;
        // The shape cannot be larger than the bytes allow: the header was refused otherwise.
        let mut values = vec![0.0; info.shape.iter().product()];
        blocks::dequantise(format, &bytes, &mut values);
        Ok(match rows {
            Rows::AsStored => values,
            Rows::Rotary { heads } => rows::restore(&values, info.shape[0], *heads),
        })
    }

    fn check(&self, name: &str, expected_shape: &[usize]) -> Result<()> {
        Ok(self.readable(name, expected_shape).map(drop)?)
    }

    fn place(&self, _name: &str) -> String {
        self.file.display()
    }

    fn stored_name(&self, name: &str) -> String {
        self.entries.get(name).map_or_else(|| name.to_owned(), |entry| entry.name.clone())
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }
}

impl GgufWeights {
    /// A tensor that can be read, and its format.
    fn readable(&self, name: &str, expected_shape: &[usize]) -> Result<(&Entry, Format), WeightsError> {
        let Some(entry) = self.entries.get(name) else {
            return Err(missing(&self.file.display(), name, &self.names()));
        };
        check_shape(&self.file.display(), name, expected_shape, &entry.info.shape)?;
        let format = entry.info.format.map_err(|number| data_type_error(&self.file, name, number))?;
        Ok((entry, format))
    }
}

fn data_type_error(file: &WeightFile, tensor: &str, number: u32) -> WeightsError {
    WeightsError::DataType {
        file: file.display(),
        tensor: tensor.to_owned(),
        known: Format::KNOWN,
        got: format!("ggml type {number}"),
    }
}

/// Renames the tensors. One whose name is not known is refused: it would be computed without.
fn entries(
    file: &WeightFile,
    tensors: BTreeMap<String, TensorInfo>,
    family: &GgufFamily,
    config: &DecoderConfig,
) -> Result<BTreeMap<String, Entry>, WeightsError> {
    let mut entries = BTreeMap::new();
    for (name, info) in tensors {
        if name == ROPE_FACTORS && matches!(config.rope.scaling, Some(RopeScaling::Factors(_))) {
            continue;
        }
        let to = family
            .rename(&name)
            .ok_or_else(|| file.malformed(format!("tensor `{name}` is no part of {}", config.family)))?;
        let heads = match family.rows {
            GgufRows::InOrder => None,
            GgufRows::Interleaved if to.contains("self_attn.q_proj") => Some(config.heads),
            GgufRows::Interleaved if to.contains("self_attn.k_proj") => Some(config.kv_heads),
            GgufRows::Interleaved => None,
        };
        if let Some(heads) = heads
            && info.shape[0] != heads * config.head_dim
        {
            let others = info.shape[1..].iter().copied();
            return Err(WeightsError::Shape {
                file: file.display(),
                tensor: to,
                expected: std::iter::once(heads * config.head_dim).chain(others).collect(),
                got: info.shape,
            });
        }
        let rows = heads.map_or(Rows::AsStored, |heads| Rows::Rotary { heads });
        entries.insert(to, Entry { name, info, rows });
    }
    Ok(entries)
}
