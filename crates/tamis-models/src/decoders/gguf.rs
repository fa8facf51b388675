//! Weights and configuration of a decoder out of a GGUF file.
//!
//! GGUF has its own tensor names, and for Llama llama.cpp's converter reorders the rows of the query and key projections to suit
//! its rotary kernel. Both are undone here, so that one graph reads either kind of file. What a family calls things is told in
//! its own file; others are refused by name.

use std::collections::BTreeMap;
use std::path::Path;

use super::{GgufFamily, GgufRows, gguf_families, of_gguf};
use crate::error::{Error, Result};
use crate::graph::{Architecture, DecoderConfig, RopeScaling};
use crate::weights::gguf::{GgufFile, ROPE_FACTORS, Wanted};
use crate::weights::{Weights, WeightsError, missing};

/// One tensor under its Hugging Face name.
#[derive(Clone, Debug)]
struct Entry {
    /// Its name in the file.
    name: String,
    /// Heads of a projection whose rows have to be put back: per head, value pairs (2j, 2j + 1) become (j, j + half).
    heads: Option<usize>,
}

/// A GGUF file: its tensors under Hugging Face names, and the graph that they are for.
#[derive(Debug)]
pub struct GgufWeights {
    file: GgufFile,
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
        let file = GgufFile::open(path)?;
        let named = file.text("general.architecture").unwrap_or("nothing");
        let family = of_gguf(named).ok_or_else(|| Error::UnknownArchitecture {
            file: file.display(),
            got: named.to_owned(),
            known: gguf_families().map(|family| family.architecture).collect::<Vec<_>>().join(", "),
        })?;
        let config = (family.config)(&file.fields(family.architecture))?;
        config.validate().map_err(|error| error.of_file(path))?;
        let entries = entries(&file, family, &config)?;
        let digest = file.digest()?;
        Ok(Self { file, architecture: Architecture::Decoder(config), entries, digest })
    }

    /// The graph that these weights are for.
    #[must_use]
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The file as it is.
    #[must_use]
    pub fn file(&self) -> &GgufFile {
        &self.file
    }

    fn entry(&self, name: &str) -> Result<&Entry, WeightsError> {
        self.entries.get(name).ok_or_else(|| missing(&self.file.display(), name, &self.names()))
    }
}

impl Weights for GgufWeights {
    fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.entries.get(name).and_then(|entry| self.file.shape(&entry.name)).map(<[usize]>::to_vec)
    }

    fn load(&self, name: &str, expected_shape: &[usize]) -> Result<Vec<f32>> {
        let Entry { name: stored, heads } = self.entry(name)?;
        self.file.load(Wanted { stored, name, shape: expected_shape }, *heads)
    }

    fn check(&self, name: &str, expected_shape: &[usize]) -> Result<()> {
        let stored = &self.entry(name)?.name;
        Ok(self.file.check(Wanted { stored, name, shape: expected_shape })?)
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

/// Renames the tensors. One whose name is not known is refused: it would be computed without.
fn entries(
    file: &GgufFile,
    family: &GgufFamily,
    config: &DecoderConfig,
) -> Result<BTreeMap<String, Entry>, WeightsError> {
    let mut entries = BTreeMap::new();
    for (name, shape) in file.tensors() {
        if name == ROPE_FACTORS && matches!(config.rope.scaling, Some(RopeScaling::Factors(_))) {
            continue;
        }
        let to = family
            .rename(name)
            .ok_or_else(|| file.malformed(format!("tensor `{name}` is no part of {}", config.family)))?;
        let heads = match family.rows {
            GgufRows::InOrder => None,
            GgufRows::Interleaved if to.contains("self_attn.q_proj") => Some(config.heads),
            GgufRows::Interleaved if to.contains("self_attn.k_proj") => Some(config.kv_heads),
            GgufRows::Interleaved => None,
        };
        if let Some(heads) = heads
            && shape[0] != heads * config.head_dim
        {
            let others = shape[1..].iter().copied();
            return Err(WeightsError::Shape {
                file: file.display(),
                tensor: to,
                expected: std::iter::once(heads * config.head_dim).chain(others).collect(),
                got: shape.to_vec(),
            });
        }
        entries.insert(to, Entry { name: name.to_owned(), heads });
    }
    Ok(entries)
}
