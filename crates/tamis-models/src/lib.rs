//! Tokenizers, weights and model graphs of tamis; the Ask-LLM and embedding signals

pub mod ask_llm;
pub mod build;
mod candle_backend;
mod decoders;
pub mod embed;
pub mod error;
pub mod graph;
mod identity;
#[cfg(test)]
mod laws;
mod native;
mod packs;
pub mod perplexity;
pub mod prompt;
pub mod source;
pub mod text_tokens;
pub mod tokenizer;
mod training;
pub mod weights;

pub use decoders::GgufWeights;
pub use error::{Error, Result};
pub use identity::ModelIdentity;
