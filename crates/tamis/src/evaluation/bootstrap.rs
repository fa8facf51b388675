//! Percentile intervals by resampling documents (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
//! 13).
//!
//! Documents, not pairs, are drawn with replacement: a pair's two sides are shared with other pairs, so that resampling
//! pairs would make intervals far too narrow. Copies of a document are documents too: leave duplicates out of the
//! labelled set, or intervals are too narrow as well.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// How an interval is resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Resamples; 0 gives an interval of the estimate alone.
    pub replicates: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { replicates: 1000, seed: 0 }
    }
}

/// A value with its 95 % percentile interval.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Estimate {
    /// The value on all documents.
    pub value: f64,
    /// 2.5th percentile of the resamples' values.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

impl Bootstrap {
    /// Value and interval of a statistic that takes how often each of `documents` was drawn.
    ///
    /// A resample for which `statistic` has no value (`None`) is drawn again; when that happens more than 100 times as
    /// often as asked, the resamples at hand must do.
    pub(super) fn estimate(
        self,
        value: f64,
        documents: usize,
        mut statistic: impl FnMut(&[u32]) -> Option<f64>,
    ) -> Estimate {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        let mut drawn = vec![0_u32; documents];
        let mut values = Vec::new();
        let mut attempts = 0_usize;
        while values.len() < self.replicates && attempts < self.replicates.saturating_mul(100) {
            attempts += 1;
            drawn.fill(0);
            for _ in 0..documents {
                drawn[below(&mut generator, documents)] += 1;
            }
            values.extend(statistic(&drawn));
        }
        values.sort_unstable_by(f64::total_cmp);
        match (percentile(&values, 0.025), percentile(&values, 0.975)) {
            (Some(low), Some(high)) => Estimate { value, low, high },
            _ => Estimate { value, low: value, high: value },
        }
    }
}

/// A number in [0, n) by multiplication; its bias of n / 2^64 is far below what any resampling can show.
fn below(generator: &mut ChaCha8Rng, n: usize) -> usize {
    let product = u128::from(generator.next_u64()) * n as u128;
    (product >> 64) as usize
}

/// Linear interpolation between the two nearest order statistics, as numpy does by default.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * sorted.len().checked_sub(1)? as f64;
    let low = sorted.get(at.floor() as usize)?;
    let high = sorted.get(at.ceil() as usize)?;
    Some(low + (high - low) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate_as_numpy_does() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.025), Some(1.225));
        assert_eq!(percentile(&values, 0.975), Some(9.775));
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[3.0], 0.975), Some(3.0));
    }

    #[test]
    fn draws_are_pinned_by_the_seed() {
        let mut generator = ChaCha8Rng::seed_from_u64(0);
        let draws: Vec<usize> = (0..8).map(|_| below(&mut generator, 10)).collect();
        let mut again = ChaCha8Rng::seed_from_u64(0);
        assert_eq!(draws, (0..8).map(|_| below(&mut again, 10)).collect::<Vec<_>>());
        assert!(draws.iter().all(|&draw| draw < 10));
    }

    #[test]
    fn interval_of_a_mean_is_as_wide_as_theory_says() {
        let values: Vec<f64> = (0..400).map(|n| f64::from(n % 20)).collect();
        let mean = |drawn: &[u32]| {
            Some(drawn.iter().zip(&values).map(|(&n, v)| f64::from(n) * v).sum::<f64>() / values.len() as f64)
        };
        let found = Bootstrap { replicates: 2000, seed: 7 }.estimate(9.5, values.len(), mean);
        let standard_error = (33.25_f64 / 400.0).sqrt(); // variance of 0..20 is (20² − 1) / 12
        assert!((found.high - found.low - 2.0 * 1.96 * standard_error).abs() < 0.06, "{found:?}");
    }
}
