//! Poisson sampling: every document is drawn for itself, with probability min(1, c·w).
//!
//! c solves Σ min(1, c·w) = k. The sum is over a histogram of w whose bins are the binary exponent and the first ten bits of
//! the mantissa (a relative width of 1/1024), with the exact integer sum of mantissas in each, so that histograms merge in
//! any order to the same bits. Only in the one bin in which c·w passes 1 is a mean taken for its members; the expected size
//! is off by less than n/4096 of the n documents of that bin.
//!
//! A document is kept where v/w < c, and c grows with k, so that rates nest under one seed.

use std::collections::BTreeMap;

use tamis_core::{Error, Result, Summary};

use super::Priority;
use super::priority::weight;
use crate::bytes::{ByteReader, finish, start};

const WHAT: &str = "weight histogram";
const MAGIC: [u8; 8] = *b"tamis-WH";
const VERSION: u32 = 1;
const KEPT_MANTISSA_BITS: u32 = 10;
/// Exponents of finite numbers, times what is kept of mantissas.
const MOST_BINS: u64 = 2047 << KEPT_MANTISSA_BITS;
/// As stored: number, documents, sum.
const BIN_BYTES: u64 = 28;

/// A mergeable histogram of weights, from which c follows for any expected size.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PoissonSearch {
    /// By the upper bits of the f64.
    bins: BTreeMap<u32, Bin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Bin {
    documents: u64,
    mantissas: u128,
}

/// Mantissa (an integer) of a positive finite f64.
fn mantissa(bits: u64) -> u64 {
    let fraction = bits & ((1 << 52) - 1);
    if bits >> 52 == 0 { fraction } else { fraction | 1 << 52 }
}

impl Bin {
    /// Mean weight of the bin numbered `at`.
    fn mean(&self, at: u32) -> f64 {
        let exponent = ((at >> KEPT_MANTISSA_BITS).max(1)) as i32 - 1075;
        libm::scalbn(self.mantissas as f64 / self.documents as f64, exponent)
    }
}

/// c of one expected size.
#[derive(Clone, Debug, PartialEq)]
pub struct PoissonThreshold {
    /// c: a document is kept where v/w < c. Infinite when all are kept.
    pub scale: f64,
    /// Σ min(1, c·w), the expected number of documents.
    pub expected_documents: f64,
    /// √Σ π(1 − π), the standard deviation of the number kept.
    pub standard_deviation: f64,
}

impl PoissonThreshold {
    /// Whether a document is kept.
    #[must_use]
    pub fn keeps(&self, priority: &Priority) -> bool {
        priority.value() < self.scale
    }

    /// min(1, c·w).
    pub(super) fn inclusion_probability(&self, weight: f64) -> f64 {
        (self.scale * weight).min(1.0)
    }
}

impl PoissonSearch {
    /// Holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a document by its score; one whose score gives no weight is not counted (it has no priority either).
    pub fn add(&mut self, score: f64) {
        let Some(weight) = weight(score) else { return };
        let bits = weight.to_bits();
        let bin = self.bins.entry((bits >> (52 - KEPT_MANTISSA_BITS)) as u32).or_default();
        bin.documents += 1;
        bin.mantissas += u128::from(mantissa(bits));
    }

    /// Documents added.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.bins.values().map(|bin| bin.documents).sum()
    }

    /// The threshold whose expected number of documents is `documents` (or all, if there are fewer).
    #[must_use]
    pub fn solve(&self, documents: u64) -> PoissonThreshold {
        let candidates = self.documents();
        if documents >= candidates {
            let expected_documents = candidates as f64;
            return PoissonThreshold { scale: f64::INFINITY, expected_documents, standard_deviation: 0.0 };
        }
        // Ascending weights with running sums of them: from the light end, so that the sums are as exact as f64 allows.
        let mut lighter = 0.0;
        let mut sums = Vec::with_capacity(self.bins.len());
        for (&at, bin) in &self.bins {
            let mean = bin.mean(at);
            lighter += mean * bin.documents as f64;
            sums.push((mean, bin.documents, lighter));
        }
        // Heaviest bins are certain as long as c, computed from the others, would give them c·w ≥ 1.
        let mut certain = 0;
        let mut scale = 0.0;
        for &(mean, count, weight_up_to_here) in sums.iter().rev() {
            scale = documents.saturating_sub(certain) as f64 / weight_up_to_here;
            if scale * mean < 1.0 {
                break;
            }
            certain += count;
        }
        let (mut expected_documents, mut variance) = (0.0, 0.0);
        for (mean, count, _) in sums {
            let probability = (scale * mean).min(1.0);
            expected_documents += probability * count as f64;
            variance += probability * (1.0 - probability) * count as f64;
        }
        PoissonThreshold { scale, expected_documents, standard_deviation: variance.sqrt() }
    }
}

impl Summary for PoissonSearch {
    /// Of the rows of a shard, say.
    type Part = Self;

    fn empty(&self) -> Self {
        Self::new()
    }

    fn absorb(&mut self, part: Self) -> Result<()> {
        self.merge(part)
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        let overflow = || Error::Merge { what: WHAT, problem: "a count would overflow".to_owned() };
        self.documents().checked_add(other.documents()).ok_or_else(overflow)?;
        for (at, theirs) in other.bins {
            let mine = self.bins.entry(at).or_default();
            mine.documents += theirs.documents;
            mine.mantissas += theirs.mantissas;
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = start(MAGIC, VERSION);
        out.extend_from_slice(&(self.bins.len() as u32).to_le_bytes());
        for (at, bin) in &self.bins {
            out.extend_from_slice(&at.to_le_bytes());
            out.extend_from_slice(&bin.documents.to_le_bytes());
            out.extend_from_slice(&bin.mantissas.to_le_bytes());
        }
        finish(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = ByteReader::open(WHAT, MAGIC, VERSION, bytes)?;
        let count = reader.u32()?;
        let mut bins = BTreeMap::new();
        let (mut total, mut before) = (0u64, None);
        for _ in 0..count {
            let at = reader.u32()?;
            let bin = Bin { documents: reader.u64()?, mantissas: reader.u128()? };
            let low = mantissa(u64::from(at) << (52 - KEPT_MANTISSA_BITS));
            let high = low + ((1 << (52 - KEPT_MANTISSA_BITS)) - 1);
            let possible =
                u128::from(low) * u128::from(bin.documents)..=u128::from(high) * u128::from(bin.documents);
            total = match total.checked_add(bin.documents) {
                Some(total) if bin.documents > 0 && before < Some(at) && at >> KEPT_MANTISSA_BITS < 2047 => {
                    total
                }
                _ => return Err(reader.corrupt("a bin is impossible")),
            };
            if !possible.contains(&bin.mantissas) || bin.mantissas == 0 {
                return Err(reader.corrupt("a bin has an impossible sum"));
            }
            bins.insert(at, bin);
            before = Some(at);
        }
        reader.end()?;
        Ok(Self { bins })
    }

    fn size_bytes(&self) -> u64 {
        MOST_BINS * BIN_BYTES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact_size(scores: &[f64], scale: f64) -> f64 {
        scores.iter().map(|score| (scale / score).min(1.0)).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn expected_size_is_the_one_asked_for(
            scores in prop::collection::vec(prop_oneof![1e-3..1e3f64, Just(1.0), Just(7.0)], 1..400),
            share in 0.0..1.0f64,
        ) {
            let mut search = PoissonSearch::new();
            scores.iter().for_each(|&score| search.add(score));
            let asked = (share * scores.len() as f64) as u64;
            let threshold = search.solve(asked);
            prop_assert!((threshold.expected_documents - asked as f64).abs() < 1e-6 * scores.len() as f64);
            let exact = exact_size(&scores, threshold.scale);
            prop_assert!((exact - asked as f64).abs() < 1e-3 * scores.len() as f64, "{exact} {asked}");
            let more = search.solve(asked + 1);
            prop_assert!(more.scale > threshold.scale, "rates nest");
        }

        #[test]
        fn merging_in_any_order_gives_the_same_bits(
            a in prop::collection::vec(any::<f64>(), 0..50),
            b in prop::collection::vec(1e-300..1e300f64, 0..50),
        ) {
            let of = |scores: &[f64]| {
                let mut search = PoissonSearch::new();
                scores.iter().for_each(|&score| search.add(score));
                search
            };
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(of(&b)).unwrap();
            ba.merge(of(&a)).unwrap();
            prop_assert_eq!(&ab, &ba);
            prop_assert_eq!(&ab, &of(&[a, b].concat()));
            prop_assert_eq!(ab.encode(), ba.encode());
            prop_assert_eq!(PoissonSearch::decode(&ab.encode()).unwrap(), ab);
        }
    }

    #[test]
    fn all_are_kept_when_all_are_asked_for() {
        let mut search = PoissonSearch::new();
        for score in [1.0, 2.0, 4.0] {
            search.add(score);
        }
        let threshold = search.solve(3);
        assert_eq!((threshold.scale, threshold.standard_deviation), (f64::INFINITY, 0.0));
        assert_eq!(search.solve(0).scale, 0.0);
        assert_eq!(PoissonSearch::new().solve(5).expected_documents, 0.0);
    }

    #[test]
    fn flipped_bits_are_refused() {
        let mut search = PoissonSearch::new();
        search.add(2.0);
        let bytes = search.encode();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(PoissonSearch::decode(&bytes).is_err());
            assert!(PoissonSearch::decode(&bytes[..at]).is_err());
        }
    }
}
