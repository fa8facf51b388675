//! Rank correlations of two scores of the same documents, both corrected for ties: in [−1, 1], 1 for the same order, −1
//! for the opposite.
//!
//! Kendall's τ-b (Kendall 1945, doi:10.1093/biomet/33.3.239) by Knight's method (1966, doi:10.1080/01621459.1966.10480879):
//! sort by one side, count the exchanges that a merge sort of the other needs; O(N log N) time, O(N) space. Pairs are
//! counted in whole numbers, so nothing is lost before the last division. Spearman's ρ is Pearson's r of mid-ranks.

use std::cmp::Ordering;

use super::error::{Error, Result, numbers, same_length};

/// Ranks from 1 (smallest) to N; equal values share the mean of their ranks.
///
/// # Errors
/// [`Error::NotANumber`].
pub fn mid_ranks(values: &[f64]) -> Result<Vec<f64>> {
    numbers(values)?;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for run in order.chunk_by(|&a, &b| values[a] == values[b]) {
        // Ranks before + 1 … before + n have the mean before + (n + 1) / 2.
        let rank = before as f64 + (run.len() + 1) as f64 / 2.0;
        run.iter().for_each(|&at| ranks[at] = rank);
        before += run.len();
    }
    Ok(ranks)
}

/// Spearman's ρ of two scores (N each).
///
/// # Errors
/// [`Error::Length`], [`Error::NotANumber`], [`Error::Constant`] when a side has no two different values.
pub fn spearman(first: &[f64], second: &[f64]) -> Result<f64> {
    same_length(first.len(), second.len())?;
    let (first, second) = (mid_ranks(first)?, mid_ranks(second)?);
    // Ranks always have this mean, and it is exact: no cancellation to fear in the sums below.
    let mean = (first.len() + 1) as f64 / 2.0;
    let (mut both, mut squares_first, mut squares_second) = (0.0, 0.0, 0.0);
    for (a, b) in first.iter().zip(&second) {
        let (a, b) = (a - mean, b - mean);
        both += a * b;
        squares_first += a * a;
        squares_second += b * b;
    }
    if squares_first == 0.0 || squares_second == 0.0 {
        return Err(Error::Constant { documents: first.len() });
    }
    Ok((both / (squares_first.sqrt() * squares_second.sqrt())).clamp(-1.0, 1.0))
}

/// Kendall's τ-b of two scores (N each).
///
/// # Errors
/// [`Error::Length`], [`Error::NotANumber`], [`Error::Constant`] when a side has no two different values.
pub fn kendall_tau_b(first: &[f64], second: &[f64]) -> Result<f64> {
    same_length(first.len(), second.len())?;
    numbers(first)?;
    numbers(second)?;
    let mut pairs: Vec<(f64, f64)> = first.iter().copied().zip(second.iter().copied()).collect();
    pairs.sort_unstable_by(|a, b| compare(a.0, b.0).then_with(|| compare(a.1, b.1)));
    let tied_first = tied_pairs(&pairs, |a, b| a.0 == b.0);
    let tied_both = tied_pairs(&pairs, |a, b| a == b);
    let mut seconds: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
    let discordant = exchanges(&mut seconds, &mut vec![0.0; pairs.len()]);
    let tied_second = tied_pairs(&seconds, |a, b| a == b);
    let all = pairs_of(pairs.len());
    if tied_first == all || tied_second == all {
        return Err(Error::Constant { documents: pairs.len() });
    }
    // concordant + discordant = all − tied_first − tied_second + tied_both; u64 holds N up to 6 × 10^9.
    let untied = all - tied_first - (tied_second - tied_both);
    let difference = untied as f64 - 2.0 * discordant as f64;
    let (first, second) = (all - tied_first, all - tied_second);
    // The same ties on both sides need no root: equal orders give exactly 1.
    let product = if first == second { first as f64 } else { (first as f64).sqrt() * (second as f64).sqrt() };
    Ok((difference / product).clamp(-1.0, 1.0))
}

/// Order of numbers in which 0 and −0 are equal; NaN was refused before.
fn compare(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

fn pairs_of(n: usize) -> u64 {
    let n = n as u64;
    n * n.saturating_sub(1) / 2
}

fn tied_pairs<T>(sorted: &[T], same: impl FnMut(&T, &T) -> bool) -> u64 {
    sorted.chunk_by(same).map(|run| pairs_of(run.len())).sum()
}

/// Sorts by merging and returns how many pairs stood in the wrong order (equal values do not).
fn exchanges(values: &mut [f64], scratch: &mut [f64]) -> u64 {
    let n = values.len();
    let mut count = 0;
    let mut width = 1;
    while width < n {
        for start in (0..n).step_by(2 * width) {
            let (middle, end) = ((start + width).min(n), (start + 2 * width).min(n));
            let (mut left, mut right) = (start, middle);
            for slot in &mut scratch[start..end] {
                let take_left = left < middle && (right == end || values[left] <= values[right]);
                if take_left {
                    *slot = values[left];
                    left += 1;
                } else {
                    *slot = values[right];
                    right += 1;
                    count += (middle - left) as u64; // all that is left over there is larger
                }
            }
        }
        values.copy_from_slice(scratch);
        width *= 2;
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mid_ranks_share_the_mean() {
        assert_eq!(mid_ranks(&[2.0, 1.0, 2.0, 5.0]).unwrap(), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(mid_ranks(&[0.0, -0.0]).unwrap(), [1.5, 1.5]);
        assert_eq!(mid_ranks(&[]).unwrap(), [0.0; 0]);
        assert_eq!(mid_ranks(&[f64::NAN]), Err(Error::NotANumber { index: 0 }));
    }

    #[test]
    fn worked_by_hand() {
        // Of six pairs five agree and one (2, 3 against 3, 2) does not: (5 − 1) / 6.
        let tau = kendall_tau_b(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]).unwrap();
        assert!((tau - 4.0 / 6.0).abs() < 1e-15);
        // ρ = 1 − 6 (0 + 1 + 1 + 0) / (4 × 15).
        let rho = spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]).unwrap();
        assert!((rho - 0.8).abs() < 1e-15);
    }

    #[test]
    fn constant_or_short_input_has_no_correlation() {
        for (a, b) in
            [(&[][..], &[][..]), (&[1.0], &[2.0]), (&[1.0, 1.0], &[1.0, 2.0]), (&[1.0, 2.0], &[3.0, 3.0])]
        {
            let documents = a.len();
            assert_eq!(kendall_tau_b(a, b), Err(Error::Constant { documents }));
            assert_eq!(spearman(a, b), Err(Error::Constant { documents }));
        }
        assert_eq!(spearman(&[1.0], &[]), Err(Error::Length { expected: 1, got: 0 }));
        assert_eq!(kendall_tau_b(&[1.0, 2.0], &[f64::NAN, 1.0]), Err(Error::NotANumber { index: 0 }));
    }

    /// Values by `fixtures/make_reference.py` (scipy 1.17.1, numpy 2.4.6).
    #[test]
    fn equals_scipy() {
        for line in include_str!("fixtures/reference.tsv").lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let numbers =
                |field: &str| -> Vec<f64> { field.split(',').map(|n| n.parse().unwrap()).collect() };
            let (a, b) = (numbers(fields[1]), numbers(fields[2]));
            let expected = numbers(fields[3]);
            let good: Vec<bool> = fields[4].bytes().map(|byte| byte == b'1').collect();
            let found = [
                kendall_tau_b(&a, &b).unwrap(),
                spearman(&a, &b).unwrap(),
                super::super::auc(&a, &good).unwrap(),
            ];
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-13, "{}: {found} against {expected}", fields[0]);
            }
        }
    }

    proptest! {
        #[test]
        fn tau_equals_counting_all_pairs(pairs in prop::collection::vec((0..9_i32, 0..9_i32), 2..60)) {
            let a: Vec<f64> = pairs.iter().map(|p| f64::from(p.0)).collect();
            let b: Vec<f64> = pairs.iter().map(|p| f64::from(p.1)).collect();
            let (mut sum, mut untied_a, mut untied_b) = (0_i64, 0_i64, 0_i64);
            for i in 0..pairs.len() {
                for j in 0..i {
                    let da = i64::from((pairs[i].0 - pairs[j].0).signum());
                    let db = i64::from((pairs[i].1 - pairs[j].1).signum());
                    sum += da * db;
                    untied_a += da.abs();
                    untied_b += db.abs();
                }
            }
            match kendall_tau_b(&a, &b) {
                Ok(tau) => prop_assert!((tau - sum as f64 / ((untied_a * untied_b) as f64).sqrt()).abs() < 1e-12),
                Err(_) => prop_assert_eq!(untied_a * untied_b, 0),
            }
        }

        #[test]
        fn order_of_documents_and_sides_does_not_matter(pairs in prop::collection::vec((-5..5_i32, -5..5_i32), 2..40)) {
            let a: Vec<f64> = pairs.iter().map(|p| f64::from(p.0)).collect();
            let b: Vec<f64> = pairs.iter().map(|p| f64::from(p.1)).collect();
            let (ra, rb): (Vec<f64>, Vec<f64>) = a.iter().zip(&b).rev().map(|(x, y)| (*x, *y)).unzip();
            prop_assert_eq!(kendall_tau_b(&a, &b), kendall_tau_b(&rb, &ra));
            if let Ok(rho) = spearman(&a, &b) {
                prop_assert!((rho - spearman(&rb, &ra).unwrap()).abs() < 1e-12);
            }
        }
    }
}
