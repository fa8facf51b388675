//! The rule `band`: how far a score lies from the centre, in ranks over all candidates.

use tamis_samplers::{MidRanks, Quantile, Quantiles};

/// Mid-ranks of the candidates, and the centre.
pub(super) struct Band {
    quantiles: Quantiles,
    around: Quantile,
}

impl Band {
    /// From counts of the scores of all candidates.
    pub(super) fn new(ranks: MidRanks, around: Quantile) -> Self {
        Self { quantiles: ranks.quantiles(), around }
    }

    /// |q − q₀| of a candidate.
    pub(super) fn distance(&self, stratum: &str, score: f64) -> Option<f64> {
        self.quantiles.distance(stratum, score, self.around)
    }
}
