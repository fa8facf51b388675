//! Tokenizers, weights and model graphs of tamis; the Ask-LLM and embedding signals

pub mod ask_llm;
mod candle_backend;
mod decoders;
pub mod embed;
pub mod error;
pub mod graph;
mod identity;
mod native;
mod packs;
pub mod perplexity;
pub mod prompt;
pub mod source;
pub mod text_tokens;
pub mod tokenizer;
pub mod weights;

pub use error::{Error, Result};
pub use identity::ModelIdentity;
