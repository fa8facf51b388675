//! Tokenizers, weights and model graphs of tamis; the Ask-LLM and embedding signals

pub mod error;
pub mod graph;

pub use error::{Error, Result};
