//! Area under the receiver operating characteristic: the probability that a good document scores above a bad one, ties
//! counted half.
//!
//! By mid-ranks (Hanley et al. 1982, doi:10.1148/radiology.143.1.7063747): with the sum W of the good documents'
//! ranks, AUC = (W − g (g + 1) / 2) / (g b). O(N log N) time, O(N) space; a resample costs O(N), because it changes how
//! often a document counts but not the order.

use super::bootstrap::{Bootstrap, Estimate};
use super::error::{Error, Result, numbers, same_length};

/// AUC of `scores` (N) against labels `good` (N): 1 when every good document scores above every bad one, 0.5 when the
/// score tells nothing, 0 when it is upside down.
///
/// # Errors
/// [`Error::Length`], [`Error::NotANumber`] (leave out documents whose score failed), [`Error::OneClass`].
pub fn auc(scores: &[f64], good: &[bool]) -> Result<f64> {
    let sorted = Sorted::new(scores, good)?;
    sorted.auc(|_| 1).ok_or_else(|| one_class(good))
}

/// [`auc`] with its 95 % interval by resampling documents.
///
/// # Errors
/// As [`auc`].
pub fn auc_with_interval(scores: &[f64], good: &[bool], bootstrap: Bootstrap) -> Result<Estimate> {
    let sorted = Sorted::new(scores, good)?;
    let value = sorted.auc(|_| 1).ok_or_else(|| one_class(good))?;
    Ok(bootstrap.estimate(value, scores.len(), |drawn| sorted.auc(|document| drawn[document])))
}

/// AUC of `first` less that of `second` on the same N documents, with its 95 % interval: each resample draws documents
/// once for both scores, so that what the two have in common does not widen it.
///
/// # Errors
/// As [`auc`].
pub fn auc_difference(
    first: &[f64],
    second: &[f64],
    good: &[bool],
    bootstrap: Bootstrap,
) -> Result<Estimate> {
    let (first, second) = (Sorted::new(first, good)?, Sorted::new(second, good)?);
    let difference = |drawn: &dyn Fn(usize) -> u32| Some(first.auc(drawn)? - second.auc(drawn)?);
    let value = difference(&|_| 1).ok_or_else(|| one_class(good))?;
    Ok(bootstrap.estimate(value, good.len(), |drawn| difference(&|document| drawn[document])))
}

fn one_class(good: &[bool]) -> Error {
    Error::OneClass { documents: good.len(), good: good.first().copied().unwrap_or(false) }
}

/// Documents in ascending order of score, with the ends of runs of equal scores.
struct Sorted<'a> {
    good: &'a [bool],
    order: Vec<usize>,
    tie_ends: Vec<usize>,
}

impl<'a> Sorted<'a> {
    fn new(scores: &[f64], good: &'a [bool]) -> Result<Self> {
        same_length(scores.len(), good.len())?;
        numbers(scores)?;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        // `==`, not the order's own equality: 0 and −0 are a tie.
        let mut tie_ends: Vec<usize> =
            (1..order.len()).filter(|&at| scores[order[at - 1]] != scores[order[at]]).collect();
        tie_ends.push(order.len());
        Ok(Self { good, order, tie_ends })
    }

    /// `None` when a class has no document. Counts are whole numbers below 2^64 until the last division.
    fn auc(&self, times: impl Fn(usize) -> u32) -> Option<f64> {
        let (mut goods_before, mut bads_before, mut twice_wins) = (0_u64, 0_u64, 0_u128);
        let mut start = 0;
        for &end in &self.tie_ends {
            let (mut goods, mut bads) = (0_u64, 0_u64);
            for &document in &self.order[start..end] {
                let count = u64::from(times(document));
                if self.good[document] { goods += count } else { bads += count }
            }
            twice_wins += u128::from(goods) * u128::from(2 * bads_before + bads);
            goods_before += goods;
            bads_before += bads;
            start = end;
        }
        let pairs = u128::from(goods_before) * u128::from(bads_before);
        (pairs > 0).then(|| twice_wins as f64 / (2.0 * pairs as f64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: bool = true;
    const BAD: bool = false;

    #[test]
    fn worked_by_hand() {
        // Pairs (good, bad): 3>1, 3>2, 2>1, 2=2: 3.5 of 4.
        assert_eq!(auc(&[3.0, 2.0, 2.0, 1.0], &[GOOD, GOOD, BAD, BAD]), Ok(0.875));
        assert_eq!(auc(&[1.0, 1.0], &[GOOD, BAD]), Ok(0.5));
        assert_eq!(auc(&[0.0, 1.0], &[GOOD, BAD]), Ok(0.0));
        assert_eq!(auc(&[f64::INFINITY, f64::NEG_INFINITY], &[GOOD, BAD]), Ok(1.0));
        assert_eq!(auc(&[-0.0, 0.0], &[GOOD, BAD]), Ok(0.5));
    }

    #[test]
    fn unusable_input_is_refused_with_a_hint() {
        let failures = [
            (auc(&[1.0], &[GOOD, BAD]), Error::Length { expected: 1, got: 2 }),
            (auc(&[1.0, f64::NAN], &[GOOD, BAD]), Error::NotANumber { index: 1 }),
            (auc(&[1.0, 2.0], &[GOOD, GOOD]), Error::OneClass { documents: 2, good: true }),
            (auc(&[], &[]), Error::OneClass { documents: 0, good: false }),
        ];
        for (found, expected) in failures {
            assert!(expected.hint().is_some());
            assert_eq!(found, Err(expected));
        }
    }

    #[test]
    fn interval_is_pinned_by_the_seed_and_holds_the_value() {
        let scores: Vec<f64> = (0..60).map(|n| f64::from(n * 37 % 60)).collect();
        let good: Vec<bool> = (0..60).map(|n| n % 3 != 0 || n > 40).collect();
        let bootstrap = Bootstrap { replicates: 500, seed: 3 };
        let found = auc_with_interval(&scores, &good, bootstrap).unwrap();
        assert_eq!(found, auc_with_interval(&scores, &good, bootstrap).unwrap());
        assert!(found.low < found.value && found.value < found.high, "{found:?}");
        assert_ne!(found, auc_with_interval(&scores, &good, Bootstrap { seed: 4, ..bootstrap }).unwrap());
    }

    #[test]
    fn interval_agrees_with_the_normal_approximation() {
        // Hanley and McNeil's standard error for AUC 0.5 with g = b = 200 is sqrt((g + b + 1) / (12 g b)) = 0.0289.
        let scores: Vec<f64> = (0..400).map(|n| f64::from(n * 7919 % 400)).collect();
        let good: Vec<bool> = (0..400).map(|n| n % 2 == 0).collect();
        let found = auc_with_interval(&scores, &good, Bootstrap { replicates: 2000, seed: 1 }).unwrap();
        assert!((found.high - found.low - 2.0 * 1.96 * 0.0289).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn difference_of_like_scores_is_nothing_and_is_narrower_than_both() {
        let scores: Vec<f64> = (0..200).map(|n| f64::from(n * 7919 % 200)).collect();
        let nearly: Vec<f64> =
            scores.iter().enumerate().map(|(n, s)| s + if n % 9 == 0 { 20.0 } else { 0.0 }).collect();
        let good: Vec<bool> = (0..200).map(|n| n % 2 == 0).collect();
        let bootstrap = Bootstrap { replicates: 500, seed: 3 };
        let same = auc_difference(&scores, &scores, &good, bootstrap).unwrap();
        assert_eq!((same.low, same.value, same.high), (0.0, 0.0, 0.0));
        let found = auc_difference(&nearly, &scores, &good, bootstrap).unwrap();
        assert_eq!(found.value, auc(&nearly, &good).unwrap() - auc(&scores, &good).unwrap());
        let alone = auc_with_interval(&scores, &good, bootstrap).unwrap();
        assert!(found.low <= found.value && found.value <= found.high);
        assert!(found.high - found.low < 0.5 * (alone.high - alone.low), "{found:?} {alone:?}");
        assert_eq!(
            auc_difference(&scores[1..], &scores, &good, bootstrap),
            Err(Error::Length { expected: 199, got: 200 })
        );
    }

    #[test]
    fn one_bad_document_still_has_an_interval() {
        let found = auc_with_interval(&[3.0, 2.0, 1.0], &[GOOD, BAD, GOOD], Bootstrap::default()).unwrap();
        assert_eq!((found.low, found.value, found.high), (0.0, 0.5, 1.0));
    }

    proptest! {
        #[test]
        fn equals_the_share_of_pairs(documents in prop::collection::vec((0..8_i32, any::<bool>()), 0..40)) {
            let scores: Vec<f64> = documents.iter().map(|d| f64::from(d.0)).collect();
            let good: Vec<bool> = documents.iter().map(|d| d.1).collect();
            let (mut wins, mut pairs) = (0.0, 0.0);
            for g in documents.iter().filter(|d| d.1) {
                for b in documents.iter().filter(|d| !d.1) {
                    pairs += 1.0;
                    wins += if g.0 > b.0 { 1.0 } else if g.0 == b.0 { 0.5 } else { 0.0 };
                }
            }
            match auc(&scores, &good) {
                Ok(found) => prop_assert_eq!(found, wins / pairs),
                Err(_) => prop_assert_eq!(pairs, 0.0),
            }
        }

        #[test]
        fn turning_scores_round_gives_the_complement(documents in prop::collection::vec((-9..9_i32, any::<bool>()), 2..40)) {
            let scores: Vec<f64> = documents.iter().map(|d| f64::from(d.0)).collect();
            let turned: Vec<f64> = scores.iter().map(|s| -s).collect();
            let good: Vec<bool> = documents.iter().map(|d| d.1).collect();
            if let Ok(found) = auc(&scores, &good) {
                prop_assert!((found + auc(&turned, &good).unwrap() - 1.0).abs() < 1e-15);
            }
        }
    }
}
