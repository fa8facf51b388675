//! Corpus and run-directory files of tamis: the only room that touches them.

pub mod clock;
pub mod corpus;
mod error;
pub mod evaluation_files;
pub mod export;
pub mod run;
mod scatter;
pub mod sidecar;
mod sorter;
pub mod store;
mod text_file;

pub use error::{Error, Result};
pub use scatter::{Bodies, Entries, Entry, Scatter, Scattered};
pub use sorter::{Scratch, Sorted, Sorter};
pub use text_file::{TextFile, TextWriter, temporary_file};
