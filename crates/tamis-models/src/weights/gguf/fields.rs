//! What a family of decoders asks of a GGUF header.

use super::blocks::{self, Format};
use super::header::Header;
use super::value::Value;
use super::{WeightFile, data_type_error};
use crate::error::{Error, Result};
use crate::source::error::SourceError;

/// The tensor of Llama 3's rotary scaling: a factor for each wavelength.
pub(crate) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Metadata and tensors, read with errors that name the key, what was expected and what was found. Keys are given without
/// the architecture that they begin with.
pub(crate) struct GgufFields<'a> {
    pub(super) file: &'a WeightFile,
    pub(super) header: &'a Header,
    pub(super) architecture: &'a str,
}

impl GgufFields<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.header.metadata.get(&self.key(name))
    }

    pub(crate) fn wrong(&self, name: &str, expected: &str) -> Error {
        self.file.malformed(format!("metadata `{}`: expected {expected}", self.key(name))).into()
    }

    pub(crate) fn size(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let size = value.as_integer().and_then(|value| usize::try_from(value).ok());
        size.map(Some).ok_or_else(|| self.wrong(name, "a size"))
    }

    pub(crate) fn needed_size(&self, name: &str) -> Result<usize> {
        self.size(name)?.ok_or_else(|| self.wrong(name, "a size, got nothing"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f32>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Float(value)) => Ok(Some(*value as f32)),
            Some(_) => Err(self.wrong(name, "a number")),
        }
    }

    pub(crate) fn needed_number(&self, name: &str) -> Result<f32> {
        self.number(name)?.ok_or_else(|| self.wrong(name, "a number, got nothing"))
    }

    /// The error for a value that would have to be computed otherwise.
    pub(crate) fn not_computed(&self, name: &str, expected: &str, got: &str) -> Error {
        Error::Source(SourceError::NotComputed {
            path: self.file.path().to_owned(),
            field: self.key(name),
            expected: expected.to_owned(),
            got: got.to_owned(),
        })
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// Refuses a number other than those with which it means nothing; absent, it means nothing.
    pub(crate) fn neutral(&self, name: &str, neutral: &[f32]) -> Result<()> {
        match self.number(name)? {
            Some(value) if !neutral.contains(&value) => {
                let known: Vec<String> = neutral.iter().map(f32::to_string).collect();
                Err(self.not_computed(name, &known.join(" or "), &value.to_string()))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }

    pub(crate) fn has_tensor(&self, name: &str) -> bool {
        self.header.tensors.contains_key(name)
    }

    /// Rows of a matrix.
    pub(crate) fn rows_of(&self, name: &str) -> Result<usize> {
        match self.header.tensors.get(name) {
            Some(info) if info.shape.len() == 2 => Ok(info.shape[0]),
            _ => Err(self.file.malformed(format!("tensor `{name}`: expected a matrix")).into()),
        }
    }

    /// Values of a small tensor; `None` where the file has none of the name.
    pub(crate) fn values(&self, name: &str) -> Result<Option<Vec<f32>>> {
        let Some(info) = self.header.tensors.get(name) else { return Ok(None) };
        let format: Format = info.format.map_err(|number| data_type_error(self.file, name, number))?;
        let bytes = self.file.read(info.offset, info.length)?;
        // The shape cannot be larger than the bytes allow: the header was refused otherwise.
        let mut values = vec![0.0; info.shape.iter().product()];
        blocks::dequantise(format, &bytes, &mut values);
        Ok(Some(values))
    }
}
