//! What a model of perplexity predicts.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::graph::Architecture;

/// What a model is asked to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objective {
    /// Each token, given all before it.
    Causal,
    /// The spans that were cut out of the document, given the rest: T5's own training (Raffel et al., arXiv 1910.10683,
    /// §3.1.4).
    Span,
    /// The second half of the document, given the first.
    Prefix,
}

impl Objective {
    /// Every objective.
    pub const ALL: [Self; 3] = [Self::Causal, Self::Span, Self::Prefix];

    /// The word for it in options and fingerprints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Causal => "causal",
            Self::Span => "span",
            Self::Prefix => "prefix",
        }
    }

    /// The objective that was asked for, or what a model was made for: `causal` for decoders, `span` for encoder–decoders.
    ///
    /// # Errors
    /// [`Error::Objective`] when the model has no such objective.
    pub fn of(asked: Option<Self>, architecture: &Architecture) -> Result<Self> {
        let (has, known): (&[Self], _) = match architecture {
            Architecture::T5(_) => (&[Self::Span, Self::Prefix], "span or prefix"),
            _ => (&[Self::Causal], "causal"),
        };
        let objective = asked.unwrap_or(has[0]);
        if has.contains(&objective) {
            return Ok(objective);
        }
        let architecture = architecture.name();
        Err(Error::Objective { objective: objective.name(), architecture, known })
    }
}

/// An objective by a name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("objective `{name}` is unknown, expected `causal`, `span` or `prefix`")]
pub struct ParseObjectiveError {
    /// What was given.
    pub name: String,
}

impl FromStr for Objective {
    type Err = ParseObjectiveError;

    fn from_str(name: &str) -> Result<Self, ParseObjectiveError> {
        let found = Self::ALL.into_iter().find(|objective| objective.name() == name);
        found.ok_or_else(|| ParseObjectiveError { name: name.to_owned() })
    }
}
