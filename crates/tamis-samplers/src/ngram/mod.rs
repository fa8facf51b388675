//! N-gram language models: modified Kneser–Ney estimation, ARPA files, and perplexity of documents.
//!
//! The model and its estimate are those of Chen & Goodman (1999, doi:10.1006/csla.1999.0128), in the interpolated form and
//! by the streaming method of Heafield et al. (2013, aclanthology.org/P13-2121), whose `lmplz` and `kenlm` people filter with
//! today. What is counted and how it departs from them is in `docs/ngram.md`.
//!
//! - [`Counter`] counts the n-grams of documents; one a thread, and what they hold together does not depend on who
//!   counted what.
//! - [`estimate`] turns counters into an ARPA file in memory that the caller bounds.
//! - [`ArpaParser`] turns the lines of an ARPA file into an [`NgramModel`].
//! - [`NgramSignal`] gives documents their perplexity.
//!
//! A sentence is a line of a document that has a word; it is scored from `<s>` to `</s>`. Nothing here opens a file: lines
//! come from the caller, and runs that do not fit memory go through [`Scratch`].
//!
//! Letters: N order of the model, V words of its vocabulary, T words of a text.

mod arpa;
mod count;
mod error;
mod estimate;
mod lines;
mod model;
mod signal;
mod sort;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod vocabulary;

pub use arpa::{ArpaHeader, ArpaParser};
pub use count::{Counter, Tally};
pub use error::{ArpaError, TrainError};
pub use estimate::{Discounts, Estimated, Estimator, FallbackDiscounts, Progress, estimate};
pub use lines::sentences;
pub use model::{LineScore, NgramModel, Scorer};
pub use signal::{NgramSignal, NgramSource};
pub use sort::{RunFile, Scratch};
pub use text::{Normalisation, Segment, Words};

/// The longest n-grams that are read, counted and scored.
pub const MAX_ORDER: usize = 8;

/// Stands for every word that the model does not know.
pub const UNKNOWN: &str = "<unk>";
/// Begins a sentence.
pub const BEGIN: &str = "<s>";
/// Ends a sentence.
pub const END: &str = "</s>";

/// Whether a word of a text has the spelling of one of the model's own. Such words are no words of the text: counted they
/// would end sentences, scored they would be free.
pub(crate) fn is_reserved(word: &str) -> bool {
    word.starts_with('<') && matches!(word, UNKNOWN | BEGIN | END)
}
