//! Bands and rows: which similarity makes a candidate, with what probability.

use super::MinHashError;

/// The most permutations of a signature.
const MOST_PERMUTATIONS: usize = 1 << 14;

/// B bands of R rows: two documents are a candidate pair when all rows of a band are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banding {
    bands: usize,
    rows: usize,
}

impl Default for Banding {
    /// Fourteen bands of eight rows.
    fn default() -> Self {
        Self { bands: 14, rows: 8 }
    }
}

impl Banding {
    /// B bands of R rows.
    ///
    /// # Errors
    /// [`MinHashError::Banding`] where there are none, or more than 16,384 permutations.
    pub fn new(bands: usize, rows: usize) -> Result<Self, MinHashError> {
        match bands.checked_mul(rows) {
            Some(1..=MOST_PERMUTATIONS) => Ok(Self { bands, rows }),
            _ => Err(MinHashError::Banding { bands, rows, most: MOST_PERMUTATIONS }),
        }
    }

    /// B.
    #[must_use]
    pub fn bands(&self) -> usize {
        self.bands
    }

    /// R.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// B · R.
    #[must_use]
    pub fn permutations(&self) -> usize {
        self.bands * self.rows
    }

    /// 1 − (1 − sᴿ)ᴮ: the probability that documents of Jaccard similarity s in [0, 1] become a candidate pair.
    #[must_use]
    pub fn candidate_probability(&self, similarity: f64) -> f64 {
        let band = libm::pow(similarity, self.rows as f64);
        -libm::expm1(self.bands as f64 * libm::log1p(-band))
    }

    /// (1 / B)^(1 / R): about where the curve is steepest, and near to where every second pair is a candidate. It is *not* a
    /// similarity above which pairs are found: that is [`Banding::similarity_found_with`].
    #[must_use]
    pub fn threshold(&self) -> f64 {
        libm::pow(1.0 / self.bands as f64, 1.0 / self.rows as f64)
    }

    /// The similarity whose pairs become candidates with probability p in (0, 1), e.g. 0.95: (1 − (1 − p)^(1 / B))^(1 / R).
    #[must_use]
    pub fn similarity_found_with(&self, probability: f64) -> f64 {
        let band = -libm::expm1(libm::log1p(-probability) / self.bands as f64);
        libm::pow(band, 1.0 / self.rows as f64)
    }

    /// The bands of most rows, within so many permutations, that find pairs of this similarity with this probability: most rows
    /// because they keep the most dissimilar pairs apart. None where no number of rows does.
    #[must_use]
    pub fn finding(similarity: f64, probability: f64, permutations: usize) -> Option<Self> {
        let permutations = permutations.min(MOST_PERMUTATIONS);
        (1..=permutations).rev().find_map(|rows| {
            let most = Self { bands: permutations / rows, rows };
            if most.candidate_probability(similarity) < probability {
                return None;
            }
            (1..=most.bands)
                .map(|bands| Self { bands, rows })
                .find(|banding| banding.candidate_probability(similarity) >= probability)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_curve_is_the_published_one() {
        let banding = Banding::default();
        // datatrove's header: threshold 0.72, 0.924 at 0.8; FineWeb's: 0.562 at 0.7 (56 %), 0.771 at 0.75, 0.988 at 0.85.
        assert!((banding.threshold() - 0.719).abs() < 0.0005);
        for (similarity, expected) in [(0.7, 0.565), (0.75, 0.772), (0.8, 0.924), (0.85, 0.988)] {
            assert!((banding.candidate_probability(similarity) - expected).abs() < 0.001, "{similarity}");
        }
        assert_eq!((banding.candidate_probability(0.0), banding.candidate_probability(1.0)), (0.0, 1.0));
        assert!((banding.similarity_found_with(0.95) - 0.814).abs() < 0.001);
    }

    #[test]
    fn inverse_and_choice_agree_with_the_curve() {
        for (bands, rows) in [(1, 1), (14, 8), (32, 4), (450, 20)] {
            let banding = Banding::new(bands, rows).unwrap();
            for probability in [0.05, 0.5, 0.95] {
                let similarity = banding.similarity_found_with(probability);
                assert!((banding.candidate_probability(similarity) - probability).abs() < 1e-9);
            }
        }
        let chosen = Banding::finding(0.8, 0.95, 128).unwrap();
        assert!(chosen.candidate_probability(0.8) >= 0.95 && chosen.permutations() <= 128);
        let more = Banding::new(128 / (chosen.rows() + 1), chosen.rows() + 1).unwrap();
        assert!(more.candidate_probability(0.8) < 0.95);
        assert_eq!(Banding::finding(0.1, 0.999, 4), None);
    }

    #[test]
    fn no_bands_and_too_many_are_refused() {
        for (bands, rows) in [(0, 8), (8, 0), (1 << 14, 2), (usize::MAX, 2)] {
            assert!(Banding::new(bands, rows).is_err());
        }
        let message = Banding::new(0, 8).unwrap_err().to_string();
        assert!(message.starts_with("`0` bands of `8` rows"), "{message}");
    }
}
