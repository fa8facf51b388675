//! Contamination: documents that hold words in a row of an item of an evaluation.
//!
//! # The rule
//! Texts of items and documents become words as for near-duplicates ([`crate::minhash::words`]): lower case, Unicode letters, marks and
//! numbers, no punctuation, a character a word in scripts that are written without spaces. A document *matches* an item
//! where N words in a row of one text of the item (N = 13 by default) stand in a row in the document. A text of fewer words than
//! N, but [`SHORTEST`] at least, is looked for as a whole; a shorter one is not looked for, and an item none of whose texts is
//! long enough is counted as such. An n-gram that is found in more documents than [`Frequent`] allows is a phrase of the corpus,
//! and does not count.
//!
//! # Beside others
//! - GPT-3 (arXiv 2005.14165, App. C) has 13-grams of lower-case words that are cut at white space, without punctuation; for test sets
//!   of short examples N is the 5th percentile of their length, 8 at least, which is where the 8 here comes from. N-grams in more
//!   than ten documents did not count. It cut out what matched, with 200 characters on either side; here a document is said to
//!   match, and what becomes of it is the selection's business.
//! - datatrove has 12-grams of lower-case words without diacritics and punctuation, every number written as `0`, cut by a tokenizer of
//!   the language; of answers, and of questions across into answers, unless told otherwise. The first match takes the document out,
//!   and no n-gram is too frequent.
//! - OLMo (arXiv 2402.00838, by Paloma, arXiv 2312.10523) looks for whole paragraphs of 13 words and more.
//!
//! # How
//! [`EvaluationIndex`] holds the items' n-grams by 64-bit hashes: about 40 bytes an n-gram, its words included (example `contamination`). [`Scanner`] reads a
//! document once: a hash a word, two hashes of words in a row, which a table of bits answers nearly always. A false match takes two
//! different rows of words with one hash: G n-grams and W words of corpus have G · W / 2⁶⁴ on average, 0.05 for a million n-grams and a
//! trillion words.
//!
//! [`MatchesSignal`] keeps the n-grams of each document, which no other document decides; [`DocumentCounts`] sums up in how many
//! documents each is; [`ContaminationSignal`] says of each document what counts.
//!
//! Not for: reading evaluation files, paraphrases and translations, or single answers: `B` and `42` are everywhere.
//!
//! Letters: N words an n-gram, G n-grams, W words of the corpus.

mod counts;
mod error;
mod frequent;
mod grams;
mod index;
mod matches;
mod scan;
#[cfg(test)]
mod tests;
mod verdicts;

pub use counts::DocumentCounts;
pub use error::ContaminationError;
pub use frequent::Frequent;
pub use index::{Evaluation, EvaluationIndex, IndexBuilder};
pub use matches::{MatchesSignal, NGRAMS};
pub use scan::{MOST_MATCHES, Scanner};
pub use verdicts::{ContaminationSignal, EVALUATION, MATCHED, MATCHES, Made, Verdicts};

/// Words of the shortest text that is looked for as a whole, unless n-grams are shorter.
pub const SHORTEST: usize = 8;
/// The least words of an n-gram: fewer are said by everybody.
pub const FEWEST_WORDS: usize = 5;
/// The most.
pub const MOST_WORDS: usize = 64;
/// N unless something else is asked for.
pub const DEFAULT_WORDS: usize = 13;
