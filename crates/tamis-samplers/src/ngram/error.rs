//! What can be wrong with an ARPA file and with a corpus to be counted.

use std::io;

/// An ARPA file that is not one, or not whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ArpaError {
    /// 1-based line in which it was found.
    pub line: u64,
    /// What is wrong there.
    pub problem: String,
}

/// What prevents an estimate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Parameters that cannot be.
    #[error("{0}")]
    Parameter(String),
    /// No sentence has a word.
    #[error("the corpus has no words to count")]
    NoWords,
    /// The closed-form discounts need n-grams that were seen once, twice, three and four times, in sane proportions.
    #[error("no Kneser-Ney discount for {order}-grams: {problem}")]
    Discount {
        /// Length of the n-grams.
        order: usize,
        /// What is missing or out of range.
        problem: String,
    },
    /// The words alone fill the memory.
    #[error("the {words} words of the vocabulary do not fit into the {memory_bytes} bytes of memory allowed")]
    Memory {
        /// Words so far.
        words: usize,
        /// What was allowed.
        memory_bytes: u64,
    },
    /// A tokenizer failed.
    #[error("{0}")]
    Segment(String),
    /// A run that does not fit memory could not be written or read back, or the model could not be written.
    #[error("could not write or read back n-grams: {0}")]
    Io(#[from] io::Error),
}

impl TrainError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Segment(_) => return None,
            Self::Parameter(_) => "`tamis train-ngram --help` says what it takes".into(),
            Self::NoWords => "name a corpus whose documents have text".into(),
            Self::Discount { .. } => {
                "the corpus is too small or too repetitive for this order: remove duplicates, give more text \
                or a lower --order, or add --discount-fallback (0.5 1 1.5)"
                    .into()
            }
            Self::Memory { .. } => {
                "allow more by --memory, or count pieces of a --tokenizer, which are few".into()
            }
            Self::Io(_) => "look for room in the folder for temporary files (--temporary FOLDER)".into(),
        })
    }
}
