//! Tokenizers, weights and model graphs of tamis; the Ask-LLM and embedding signals
