//! What can be wrong with n-grams of evaluation items.

use super::{FEWEST_WORDS, MOST_WORDS};

/// What can be wrong with n-grams of evaluation items.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContaminationError {
    /// A number of words that makes no n-gram.
    #[error("n-grams of {found} words: expected {FEWEST_WORDS} to {MOST_WORDS}")]
    Words {
        /// What was asked for.
        found: usize,
    },
    /// More than an index can number.
    #[error("the evaluations have more than {most} {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much an index holds.
        most: u64,
    },
    /// Nothing that could be looked for.
    #[error("none of {items} evaluation items has a text of {shortest} words or more")]
    Nothing {
        /// All items.
        items: u64,
        /// The shortest text that is looked for, in words.
        shortest: usize,
    },
}

impl ContaminationError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Words { .. } => "the default is 13 words",
            Self::TooMuch { .. } => "look for fewer evaluations at a time",
            Self::Nothing { .. } => {
                "name evaluation files with questions, passages or worked answers in them"
            }
        }
    }
}
