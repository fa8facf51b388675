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
    /// The files hold tensors that the graph does not ask for, and that change what the model computes.
    #[error("weights `{file}`: {}", left_over(tensors, *more))]
    Unused {
        /// The file that holds the first of them.
        file: String,
        /// Why they are left over, as far as their names tell.
        cause: UnusedCause,
        /// Some of their names, as the file has them.
        tensors: Vec<String>,
        /// How many more there are.
        more: usize,
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

/// Why tensors are left over, as far as their names tell: it decides what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusedCause {
    /// Low-rank updates that were not merged.
    Adapter,
    /// Numbers that belong to quantised ones.
    Quantisation,
    /// A head beside a table that the configuration ties it to.
    HeadThatIsTied,
    /// More blocks than the configuration says.
    MoreLayers,
    /// Biases of attention that the configuration does not speak of.
    AttentionBiases,
    /// Something else.
    Other,
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
            Self::Unused { cause, .. } => Some(match cause {
                UnusedCause::Adapter => {
                    "merge the adapter into the weights and save them (peft: `merge_and_unload`, then `save_pretrained`), or \
                     let a server run the model and name it: `--model http://…`"
                        .to_owned()
                }
                UnusedCause::Quantisation => {
                    "convert the weights to bf16 (transformers: `dequantize`, then `save_pretrained`), name a GGUF file of \
                     the model, or let a server run it and name it: `--model http://…`"
                        .to_owned()
                }
                UnusedCause::HeadThatIsTied => {
                    "set `tie_word_embeddings` to false in config.json where the head is meant; where it is not, save the \
                     weights without it"
                        .to_owned()
                }
                UnusedCause::MoreLayers => {
                    "take the configuration that belongs to these weights: it states as many layers as they have".to_owned()
                }
                UnusedCause::AttentionBiases => {
                    "where the model has these biases, let its files say so: `attention_bias`: true in config.json for all \
                     four projections, or a family that has some of them (qwen2)"
                        .to_owned()
                }
                UnusedCause::Other => {
                    "take the configuration that belongs to these weights; if the model has parts that tamis does not \
                     compute, let a server run it and name it: `--model http://…`"
                        .to_owned()
                }
            }),
        }
    }
}

fn left_over(names: &[String], more: usize) -> String {
    let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let listed = listed.join(", ");
    match (names.len(), more) {
        (1, 0) => format!("tensor {listed} would not be used, and changes what the model computes"),
        (some, 0) => {
            format!("{some} tensors would not be used, and change what the model computes: {listed}")
        }
        (some, more) => format!(
            "{} tensors would not be used, and change what the model computes: {listed} and {more} more",
            some + more
        ),
    }
}
