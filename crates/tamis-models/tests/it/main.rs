//! Integration tests of tamis-models, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod added_tokens;
mod ask_llm;
mod beside;
mod chat_templates;
mod decoders;
mod embed;
mod folders;
mod joined;
mod named_files;
mod perplexity;
mod reference;
mod rotary;
mod settings;
mod sources;
mod t5;
mod tokenizers;
mod unused;
mod weights;
