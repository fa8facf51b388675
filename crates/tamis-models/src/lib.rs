//! Tokenizers, weights and model graphs of tamis; the Ask-LLM and embedding signals

pub mod ask_llm;
pub mod error;
pub mod graph;
pub mod prompt;
pub mod source;
pub mod text_tokens;
pub mod tokenizer;
pub mod weights;

pub use error::{Error, Result};
