//! The rule `band`: ranks of all candidates, fitted in one pass before thresholds are sought.

use tamis_io::run::ShardRecord;
use tamis_samplers::{MidRanks, Quantile, Quantiles};

use super::candidates::{Candidates, Fate};
use crate::{Result, fold};

/// Mid-ranks of the candidates, and the centre.
pub(super) struct Band {
    quantiles: Quantiles,
    around: Quantile,
}

impl Band {
    /// Counts the scores of all candidates. `candidates` rank by score: vetoed, repeated and failed documents are in no rank.
    ///
    /// # Errors
    /// Files that cannot be read or do not line up; more strata than ranks can be kept for.
    pub(super) fn fit(
        candidates: &Candidates<'_>,
        shards: &[ShardRecord],
        around: Quantile,
        threads: usize,
    ) -> Result<Self> {
        let shards = shards.iter().collect();
        let ranks = fold::one_part_each(shards, threads, MidRanks::new(), |shard: &ShardRecord| {
            let mut own = MidRanks::new();
            candidates.for_each(shard, |row| {
                if let Fate::Candidate(_) = row.fate {
                    own.add(&row.stratum, row.score)?;
                }
                Ok(())
            })?;
            Ok(own)
        })?;
        Ok(Self { quantiles: ranks.quantiles(), around })
    }

    /// |q − q₀| of a candidate.
    pub(super) fn distance(&self, stratum: &str, score: f64) -> Option<f64> {
        self.quantiles.distance(stratum, score, self.around)
    }
}
