//! Where to cut: the exact threshold of a rate or a budget, found without sorting and without holding the corpus.
//!
//! The search looks at priorities digit by digit, 16 bits at a time, most significant first (a radix selection). One pass
//! over all candidates fills a histogram of the digit in which the answer is not yet known; the bin in which the cut falls
//! is looked into by the next pass. A bin remembers its smallest and largest priority besides its sums, so digits in which
//! all of its documents agree are skipped, and a cut between two bins names the first rejected document at once. Two or three
//! passes are usual; four digits of the value, four of v and eight of the key bound them at sixteen.
//!
//! Memory is at most 65,536 bins for each target that is still searched, whatever the corpus and the number kept. Several
//! targets share the passes. Histograms merge in any order to the same result.

mod histogram;
mod pass;
mod search;
#[cfg(test)]
mod tests;

pub use histogram::Sums;
pub use pass::Pass;
pub use search::{Target, ThresholdSearch, find_thresholds};

use super::poisson::PoissonThreshold;
use super::priority::{Priority, weight};
use tamis_core::Rule;

/// The cut of one target: everything before the first rejected document is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The first document in priority order that is not kept; `None` when all are.
    pub first_rejected: Option<Priority>,
    /// What is kept.
    pub kept: Sums,
    /// Documents kept beyond a target in documents, because they share key and priority with the last one asked for
    /// (equal texts in a corpus without ids).
    pub over: u64,
}

impl Threshold {
    /// Whether a document is kept.
    #[must_use]
    pub fn keeps(&self, priority: &Priority) -> bool {
        self.first_rejected.is_none_or(|first| *priority < first)
    }
}

/// The cut of any rule, so that those who apply it need not care which.
#[derive(Clone, Debug, PartialEq)]
pub enum Cut {
    /// A number of documents, tokens or bytes in priority order.
    Exact(Threshold),
    /// Independent draws.
    Poisson(PoissonThreshold),
}

impl Cut {
    /// Whether a document is kept.
    #[must_use]
    pub fn keeps(&self, priority: &Priority) -> bool {
        match self {
            Self::Exact(threshold) => threshold.keeps(priority),
            Self::Poisson(threshold) => threshold.keeps(priority),
        }
    }

    /// The probability, over seeds, that a document of this score is kept; in [0, 1].
    ///
    /// 1 − exp(−w·t) for weighted and uniform sampling, with t the priority value of the first rejected document: a kept
    /// document stays kept for every value of its own variate below t, so Σ 1/π over the kept estimates the number of
    /// candidates without bias (rank conditioning: Cohen & Kaplan, PODC 2007, DOI 10.1145/1281100.1281133).
    /// min(1, c·w) for Poisson sampling. `None` for top and bottom, where chance decides only ties, and for a score that
    /// the rule cannot use.
    #[must_use]
    pub fn inclusion_probability(&self, rule: Rule, score: f64) -> Option<f64> {
        let weight = match rule {
            Rule::Top | Rule::Bottom | Rule::Band => return None,
            Rule::Random => 1.0,
            Rule::Ips | Rule::Poisson => weight(score)?,
        };
        Some(match self {
            Self::Poisson(threshold) => threshold.inclusion_probability(weight),
            Self::Exact(threshold) => match &threshold.first_rejected {
                None => 1.0,
                Some(first) => -libm::expm1(-weight * first.value()),
            },
        })
    }
}
