//! Metadata and tensors of a GGUF file, under the names that it has for them.
//!
//! What a family of models calls things is told in [`decoders`](crate::decoders), which makes weights of a file.

mod blocks;
mod fields;
mod header;
mod rows;
mod value;

use std::path::Path;

pub(crate) use fields::{GgufFields, ROPE_FACTORS};
pub use value::{Numbers, Value};

use super::file::{WeightFile, combine_digests};
use super::{WeightsError, check_shape};
use crate::error::Result;
use blocks::Format;
use header::{Header, TensorInfo};

/// A GGUF file whose header was read.
#[derive(Debug)]
pub struct GgufFile {
    file: WeightFile,
    header: Header,
}

/// A tensor of a file, and what it is asked for as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Its name in the file.
    pub(crate) stored: &'a str,
    /// Its name in messages.
    pub(crate) name: &'a str,
    /// The shape that it has to have.
    pub(crate) shape: &'a [usize],
}

impl GgufFile {
    /// Reads the header.
    ///
    /// # Errors
    /// A file that cannot be read or does not fit its header.
    pub fn open(path: &Path) -> Result<Self> {
        let file = WeightFile::open(path)?;
        let header = header::read(&file)?;
        Ok(Self { file, header })
    }

    /// One metadata value.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&Value> {
        self.header.metadata.get(key)
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

    /// As messages name it.
    pub(crate) fn display(&self) -> String {
        self.file.display()
    }

    /// The error for a file that is not what it says.
    pub(crate) fn malformed(&self, problem: String) -> WeightsError {
        self.file.malformed(problem)
    }

    /// Digest of the whole file, which is read for it.
    pub(crate) fn digest(&self) -> Result<String> {
        Ok(combine_digests(&[self.file.digest()?]))
    }

    /// The metadata of an architecture.
    pub(crate) fn fields<'a>(&'a self, architecture: &'a str) -> GgufFields<'a> {
        GgufFields { file: &self.file, header: &self.header, architecture }
    }

    /// Names and shapes of all tensors.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.header.tensors.iter().map(|(name, info)| (name.as_str(), info.shape.as_slice()))
    }

    /// The shape of a tensor.
    pub(crate) fn shape(&self, stored: &str) -> Option<&[usize]> {
        self.header.tensors.get(stored).map(|info| info.shape.as_slice())
    }

    /// Whether a tensor can be read.
    ///
    /// # Errors
    /// Another shape, or a number format that is not known.
    pub(crate) fn check(&self, wanted: Wanted<'_>) -> Result<(), WeightsError> {
        self.readable(wanted).map(drop)
    }

    /// Reads a tensor; with `heads`, its rows are put back from the order in which llama.cpp rotates them.
    ///
    /// # Errors
    /// As [`GgufFile::check`], and what the file says.
    pub(crate) fn load(&self, wanted: Wanted<'_>, heads: Option<usize>) -> Result<Vec<f32>> {
        let (info, format) = self.readable(wanted)?;
        let bytes = self.file.read(info.offset, info.length)?;
        // The shape cannot be larger than the bytes allow: the header was refused otherwise.
        let mut values = vec![0.0; info.shape.iter().product()];
        blocks::dequantise(format, &bytes, &mut values);
        Ok(match heads {
            None => values,
            Some(heads) => rows::restore(&values, info.shape[0], heads),
        })
    }

    fn readable(&self, wanted: Wanted<'_>) -> Result<(&TensorInfo, Format), WeightsError> {
        let Some(info) = self.header.tensors.get(wanted.stored) else {
            let names: Vec<String> = self.header.tensors.keys().cloned().collect();
            return Err(super::missing(&self.file.display(), wanted.name, &names));
        };
        check_shape(&self.file.display(), wanted.name, wanted.shape, &info.shape)?;
        let format = info.format.map_err(|number| data_type_error(&self.file, wanted.name, number))?;
        Ok((info, format))
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
