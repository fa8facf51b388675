//! What can be wrong with a file of weights.

use std::path::PathBuf;

/// What can be wrong with a file of weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file could not be read.
    #[error("weights `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it claims to be: cut short, damaged, or made to do harm.
    #[error("weights `{}`: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with what was expected and found.
        problem: String,
    },
    /// The graph needs a tensor that the file lacks.
    #[error("weights `{file}`: tensor `{tensor}` is missing")]
    MissingTensor {
        /// The file, or the folder of its shards.
        file: String,
        /// Name of the tensor.
        tensor: String,
        /// The most similar name that is there.
        nearest: Option<String>,
    },
    /// A tensor has another shape than the configuration says.
    #[error("weights `{file}`: tensor `{tensor}`: expected shape {expected:?}, got {got:?}")]
    Shape {
        /// The file.
        file: String,
        /// Name of the tensor.
        tensor: String,
        /// The shape that follows from the configuration.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },
    /// A tensor's number format is not supported.
    #[error("weights `{file}`: tensor `{tensor}`: expected one of {known}, got `{got}`")]
    DataType {
        /// The file.
        file: String,
        /// Name of the tensor.
        tensor: String,
        /// The formats that can be read.
        known: &'static str,
        /// The format in the file.
        got: String,
    },
}

impl WeightsError {
    /// What the caller can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("check that the file exists and can be read".to_owned()),
            Self::Malformed { .. } => Some("download or convert the file again".to_owned()),
            Self::MissingTensor { nearest: Some(name), .. } => Some(format!(
                "the nearest name in the file is `{name}`; check that configuration and weights belong together"
            )),
            Self::MissingTensor { .. } | Self::Shape { .. } => {
                Some("check that configuration and weights belong to the same model".to_owned())
            }
            Self::DataType { .. } => Some("convert the model to one of these formats".to_owned()),
        }
    }
}
