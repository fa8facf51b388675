//! Tokenizers, weights and model graphs of tamis; the Ask-LLM and embedding signals

pub mod ask_llm;
pub mod error;
pub mod graph;
pub mod prompt;
pub mod text_tokens;

pub use error::{Error, Result};
