//! The rule `band`: ranks of all candidates, fitted in one pass before thresholds are sought.

use std::sync::{Mutex, PoisonError};

use tamis_io::run::ShardRecord;
use tamis_samplers::{MidRanks, Quantile, Quantiles};

use super::candidates::{Candidates, Fate};
use crate::{Result, pool};

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
        let merged = Mutex::new(MidRanks::new());
        pool::map(shards.iter().collect(), threads, |shard: &ShardRecord| {
            let mut own = MidRanks::new();
            candidates.for_each(shard, |row| {
                if let Fate::Candidate(_) = row.fate {
                    own.add(&row.stratum, row.score)?;
                }
                Ok(())
            })?;
            Ok(merged.lock().unwrap_or_else(PoisonError::into_inner).merge(&own)?)
        })?;
        let quantiles = merged.into_inner().unwrap_or_else(PoisonError::into_inner).quantiles();
        Ok(Self { quantiles, around })
    }

    /// |q − q₀| of a candidate.
    pub(super) fn distance(&self, stratum: &str, score: f64) -> Option<f64> {
        self.quantiles.distance(stratum, score, self.around)
    }
}
