//! Corpus and run-directory files of tamis: the only room that touches them.

mod error;
pub mod store;

pub use error::{Error, Result};
