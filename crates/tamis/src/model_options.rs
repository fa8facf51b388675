//! How models compute, whichever signal they are for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_kernels::Path as NumericPath;

/// Number format of the weights and matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Dtype {
    /// What a stored signal was begun with; of a new one f32 or bf16, whichever was measured to be faster on this processor.
    #[default]
    Auto,
    /// 16-bit brain floats with f32 sums.
    Bf16,
    /// 32-bit floats.
    F32,
    /// 8-bit integers with scales, where somebody asks for them; heads, norms and attention in f32. Not for perplexity.
    Int8,
    /// Exactly this numeric path: a format, and the instructions that compute it.
    Path(NumericPath),
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::Int8 => "int8",
            Self::Path(path) => path.name(),
        })
    }
}

impl FromStr for Dtype {
    type Err = crate::Error;

    /// Reads `auto`, `bf16`, `f32`, `int8`, or the name of a numeric path.
    fn from_str(text: &str) -> crate::Result<Self> {
        Ok(match text {
            "auto" => Self::Auto,
            "bf16" => Self::Bf16,
            "f32" => Self::F32,
            "int8" => Self::Int8,
            _ => Self::Path(NumericPath::from_name(text).map_err(|_| {
                let paths = NumericPath::ALL.map(NumericPath::name).join(", ");
                crate::Error::usage(
                    format!("number format `{text}` is unknown"),
                    format!("write auto, bf16, f32, int8, or one numeric path: {paths}"),
                )
            })?),
        })
    }
}

impl TryFrom<String> for Dtype {
    type Error = crate::Error;

    fn try_from(text: String) -> crate::Result<Self> {
        text.parse()
    }
}

impl From<Dtype> for String {
    fn from(dtype: Dtype) -> Self {
        dtype.to_string()
    }
}

/// Which implementation of the graphs computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Fused kernels for this processor.
    #[default]
    Native,
    /// The same graphs from candle's primitives: slower here, the reference.
    Candle,
}

/// Where models compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(usize),
    /// An Apple GPU.
    Metal,
}

impl Device {
    /// Reads `cpu`, `cuda`, `cuda:1`, `metal`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> crate::Result<Self> {
        let unknown =
            || crate::Error::usage(format!("device `{text}` is unknown"), "write cpu, cuda, cuda:N or metal");
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            None if text == "metal" => Ok(Self::Metal),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }

    pub(crate) fn is_cpu(&self) -> bool {
        *self == Self::Cpu
    }
}

/// How a server is asked, where a model is one's address. Local models ignore it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerOptions {
    /// Name of the model there; `None`: the address's fragment, else the only one.
    pub model: Option<String>,
    /// Requests under way at once.
    pub concurrency: usize,
    /// Most likely tokens that a judge's server is to show.
    pub top_logprobs: usize,
    /// Model source whose tokenizer cuts documents; `None`: the server's, else characters.
    pub tokenizer: Option<String>,
    /// Most characters of a document, instead of tokens.
    pub max_characters: Option<usize>,
    /// Time for one request.
    pub timeout_seconds: u64,
    /// Tries after the first.
    pub retries: u32,
    /// Rows without a value, one after the other, at which scoring stops; 0: never. It changes no value, and is stored only
    /// where somebody chose it.
    #[serde(skip_serializing_if = "is_usual_streak")]
    pub stop_after_failed: u32,
}

fn is_usual_streak(rows: &u32) -> bool {
    *rows == tamis_remote::ServerOptions::STOP_AFTER_FAILED
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            model: None,
            concurrency: 16,
            top_logprobs: 20,
            tokenizer: None,
            max_characters: None,
            timeout_seconds: 120,
            retries: 6,
            stop_after_failed: tamis_remote::ServerOptions::STOP_AFTER_FAILED,
        }
    }
}

impl ServerOptions {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// As often and as fast as `asked` says, where that says anything.
    pub(crate) fn pace_as(&mut self, asked: &Self) {
        fn given<T: PartialEq + Copy>(asked: T, default: T, own: &mut T) {
            if asked != default {
                *own = asked;
            }
        }
        let default = Self::default();
        given(asked.concurrency, default.concurrency, &mut self.concurrency);
        given(asked.timeout_seconds, default.timeout_seconds, &mut self.timeout_seconds);
        given(asked.retries, default.retries, &mut self.retries);
        given(asked.stop_after_failed, default.stop_after_failed, &mut self.stop_after_failed);
    }

    /// What of them changes a value.
    pub(crate) fn deciding(self) -> Self {
        let Self { concurrency, timeout_seconds, retries, .. } = Self::default();
        Self { concurrency, timeout_seconds, retries, ..self }
    }
}
