//! Why an evaluation has no value.

/// Result of an evaluation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an evaluation has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two slices that should run in parallel do not.
    #[error("expected one value for each of {expected} documents, got {got}")]
    Length {
        /// Length of the first slice.
        expected: usize,
        /// Length of the other.
        got: usize,
    },
    /// A value that has no rank.
    #[error("value {index} is not a number")]
    NotANumber {
        /// Where it is.
        index: usize,
    },
    /// All documents carry the same label.
    #[error("all {documents} documents are labelled {}", if *good { "good" } else { "bad" })]
    OneClass {
        /// How many there are, possibly none.
        documents: usize,
        /// Their label.
        good: bool,
    },
    /// All values of one side are equal, or there are fewer than two.
    #[error("{documents} values without any difference among them have no rank correlation")]
    Constant {
        /// How many there are.
        documents: usize,
    },
}

impl Error {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Length { .. } => {
                "pass one score and one label for each document, in the same order".to_owned()
            }
            Self::NotANumber { .. } => "leave out documents whose score failed, with their labels".to_owned(),
            Self::OneClass { .. } => "label at least one good and one bad document".to_owned(),
            Self::Constant { .. } => "compare scores that differ between documents".to_owned(),
        })
    }
}

/// Refuses slices of unequal length.
pub(super) fn same_length(expected: usize, got: usize) -> Result<()> {
    if expected == got { Ok(()) } else { Err(Error::Length { expected, got }) }
}

/// Refuses NaN; infinities have a rank.
pub(super) fn numbers(values: &[f64]) -> Result<()> {
    match values.iter().position(|value| value.is_nan()) {
        Some(index) => Err(Error::NotANumber { index }),
        None => Ok(()),
    }
}
