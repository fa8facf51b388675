//! Tensors of a model by their Hugging Face names, whatever file they come from.
//!
//! A [`Weights`] is opened by reading a header alone. A tensor is read from its file when it is asked for and widened or
//! dequantised to f32 then, so that a graph can pack one tensor after the other into its own layout and peak memory
//! stays near one copy of the model. Files are read with positioned reads rather than mapped: a file that is cut short
//! while we read it is an error here and not a signal that ends the process, and no `unsafe` is needed.
//!
//! Not for: arithmetic on quantised blocks (slower than f32 for this work; see `docs/design.md`), or writing weights.

mod convert;
pub(crate) mod error;
mod file;
pub mod gguf;
mod memory;
mod safetensors;

pub use error::{UnusedCause, WeightsError};
pub use memory::MemoryWeights;
pub use safetensors::SafetensorsWeights;

pub(crate) use file::WeightFile;

use crate::error::Result;

/// The tensors of one model.
///
/// Implementors promise: names are Hugging Face's; shapes are row-major with the outermost dimension first, so that a
/// linear layer is `[outputs, inputs]`; `load` may be called from several threads at once.
pub trait Weights: Send + Sync {
    /// All names, in byte order.
    fn names(&self) -> Vec<String>;

    /// The shape of a tensor; `None` where there is no tensor of that name.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// Reads one tensor as f32, row-major.
    ///
    /// # Errors
    /// [`WeightsError::MissingTensor`], [`WeightsError::Shape`] (before anything is read), or what the file says.
    fn load(&self, name: &str, expected_shape: &[usize]) -> Result<Vec<f32>>;

    /// Whether a tensor could be loaded: it is there, in this shape, in a number format that can be read. Nothing is read.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    fn check(&self, name: &str, expected_shape: &[usize]) -> Result<()> {
        match self.shape(name) {
            None => Err(missing(&self.place(name), name, &self.names()).into()),
            Some(got) => Ok(check_shape(&self.place(name), name, expected_shape, &got)?),
        }
    }

    /// Whether two tensors have the same shape and hold the same numbers, bit for bit. One that is not there equals none.
    ///
    /// # Errors
    /// What the file says.
    fn are_equal(&self, one: &str, other: &str) -> Result<bool> {
        let (Some(shape), Some(second)) = (self.shape(one), self.shape(other)) else { return Ok(false) };
        if shape != second {
            return Ok(false);
        }
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits);
        Ok(bits(self.load(one, &shape)?).eq(bits(self.load(other, &shape)?)))
    }

    /// The file that holds a tensor, or would, as messages name it.
    fn place(&self, _name: &str) -> String {
        "in memory".to_owned()
    }

    /// What the file calls a tensor.
    fn stored_name(&self, name: &str) -> String {
        name.to_owned()
    }

    /// `xxh3:` and 32 hex digits over the bytes of the files that hold the tensors.
    fn digest(&self) -> String;
}

/// The error for a name that is not there, with the nearest one that is.
pub(crate) fn missing(file: &str, name: &str, names: &[String]) -> WeightsError {
    WeightsError::MissingTensor {
        file: file.to_owned(),
        tensor: name.to_owned(),
        nearest: tamis_core::nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
    }
}

/// Compares the shape that a graph expects with the one in the file.
fn check_shape(file: &str, name: &str, expected: &[usize], got: &[usize]) -> Result<(), WeightsError> {
    if expected == got {
        return Ok(());
    }
    Err(WeightsError::Shape {
        file: file.to_owned(),
        tensor: name.to_owned(),
        expected: expected.to_vec(),
        got: got.to_vec(),
    })
}
