//! How often a document is repeated, by its quality: for budgets with more tokens than there are good ones.
//!
//! OLMo 3 (arXiv 2512.13961, §3.4 and A.2.4) draws a document of the token-weighted quality quantile x
//! f(x) = C (x − a)^p e^{λ (x − a)} times on average, and not at all below a. Of the curves whose integral is the tokens wanted over the
//! tokens available and whose mean over the best vigintile is at most the cap, the published solver takes the largest p of 20
//! equal steps from 0.01 to 2, and then the largest λ up to 2: as little as possible of what is bad. So does this one, with the
//! integral as a series instead of quadrature; where even p = 0.01 is beyond the cap it goes on to p = 0, so that everything up to the
//! most that can be had is solved.
//!
//! As published, all documents of a vigintile share the mean of f over it. Along the curve itself every document has its own
//! f(x), and the cap is that of f(1).

use serde::{Deserialize, Serialize};

use super::mid_ranks::Quantile;

/// Vigintiles, as published.
const BUCKETS: usize = 20;
const STEPS_OF_P: u32 = 20;
const SMALLEST_P: f64 = 0.01;
const LARGEST_P: f64 = 2.0;
const LARGEST_LAMBDA: f64 = 2.0;
/// Halvings of the range of λ.
const HALVINGS: u32 = 50;
/// How far over the cap rounding may come.
const TOLERANCE: f64 = 1e-6;

/// How repeats follow quality.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepeatShape {
    /// The curve's mean over each twentieth of the tokens.
    #[default]
    Vigintiles,
    /// The curve.
    Curve,
    /// Steps: from a quantile on, so many times, up to a common factor. Rising quantiles.
    Table(Vec<(Quantile, f64)>),
}

/// Repeats that cannot be had.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RepeatError {
    /// More tokens than the cap allows.
    #[error("{wanted:.3} times the available tokens are wanted, and the cap allows {most:.3}")]
    BeyondCap {
        /// Tokens wanted over tokens available.
        wanted: f64,
        /// The most of that.
        most: f64,
    },
    /// No such shape.
    #[error("{0}")]
    Shape(&'static str),
}

/// Repeats by quantile, in [0, cap].
#[derive(Clone, Debug, PartialEq)]
pub struct RepeatRates {
    cap: f64,
    rates: Rates,
}

#[derive(Clone, Debug, PartialEq)]
enum Rates {
    Steps(Vec<(f64, f64)>),
    Curve(Curve),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Curve {
    from: f64,
    scale: f64,
    power: f64,
    lambda: f64,
}

/// ∫ x^p e^{λx} from 0 to `to`, as Σ λ^k to^{p+k+1} / (k! (p+k+1)): the terms of λ·to ≤ 2 fall fast.
fn integral(power: f64, lambda: f64, to: f64) -> f64 {
    if to <= 0.0 {
        return 0.0;
    }
    let mut term = libm::pow(to, power + 1.0);
    let mut sum = 0.0;
    for k in 0..60 {
        let k = f64::from(k);
        sum += term / (power + k + 1.0);
        term *= lambda * to / (k + 1.0);
    }
    sum
}

impl Curve {
    fn at(&self, quantile: f64) -> f64 {
        let x = quantile - self.from;
        if x < 0.0 {
            return 0.0;
        }
        self.scale * libm::pow(x, self.power) * libm::exp(self.lambda * x)
    }

    fn mean(&self, low: f64, high: f64) -> f64 {
        let to = |end: f64| integral(self.power, self.lambda, (end - self.from).max(0.0));
        self.scale * (to(high) - to(low)) / (high - low)
    }

    /// The curve of this shape with an integral.
    fn new(from: f64, ratio: f64, power: f64, lambda: f64) -> Self {
        Self { from, scale: ratio / integral(power, lambda, 1.0 - from), power, lambda }
    }

    /// What the cap is held against.
    fn highest(&self, top: f64) -> f64 {
        if top > 0.0 { self.mean(1.0 - top, 1.0) } else { self.at(1.0) }
    }

    fn solve(from: f64, cap: f64, ratio: f64, top: f64) -> Option<Self> {
        let fits = |curve: &Self| curve.highest(top) <= cap + TOLERANCE;
        let step = (LARGEST_P - SMALLEST_P) / f64::from(STEPS_OF_P - 1);
        let powers = (0..STEPS_OF_P).rev().map(|at| SMALLEST_P + step * f64::from(at)).chain([0.0]);
        let flattest = powers.map(|power| Self::new(from, ratio, power, 0.0)).find(fits)?;
        let (mut low, mut high) = (0.0, LARGEST_LAMBDA);
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            match fits(&Self::new(from, ratio, flattest.power, middle)) {
                true => low = middle,
                false => high = middle,
            }
        }
        Some(Self::new(from, ratio, flattest.power, low))
    }
}

impl RepeatRates {
    /// The repeats whose integral is `ratio`: tokens wanted over tokens available. None below the quantile `from`, nowhere more
    /// than `cap`.
    ///
    /// # Errors
    /// [`RepeatError::BeyondCap`] says the most that can be had.
    pub fn solve(shape: &RepeatShape, from: Quantile, cap: f64, ratio: f64) -> Result<Self, RepeatError> {
        if !(cap.is_finite() && cap > 0.0) {
            return Err(RepeatError::Shape("the cap of repeats is no positive number"));
        }
        let from = from.as_f64();
        let rates = match shape {
            RepeatShape::Table(steps) => Rates::Steps(table(steps, cap, ratio)?),
            _ if from >= 1.0 => return Err(RepeatError::Shape("repeats that begin at 100% keep nothing")),
            RepeatShape::Curve => Rates::Curve(
                Curve::solve(from, cap, ratio, 0.0)
                    .ok_or(RepeatError::BeyondCap { wanted: ratio, most: cap * (1.0 - from) })?,
            ),
            RepeatShape::Vigintiles => {
                let width = 1.0 / BUCKETS as f64;
                // A little above the border is above it, whatever rounding made of the quotient.
                let first = (from * BUCKETS as f64 + 1e-9).floor() as usize;
                let from = first as f64 * width;
                let curve = Curve::solve(from, cap, ratio, width)
                    .ok_or(RepeatError::BeyondCap { wanted: ratio, most: cap * (1.0 - from) })?;
                let bucket = |at: usize| {
                    let low = at as f64 * width;
                    let rate = if at < first { 0.0 } else { curve.mean(low, low + width) };
                    (low, rate.min(cap))
                };
                Rates::Steps((0..BUCKETS).map(bucket).collect())
            }
        };
        Ok(Self { cap, rates })
    }

    /// How often a document at a quantile in [0, 1] is drawn on average.
    #[must_use]
    pub fn at(&self, quantile: f64) -> f64 {
        match &self.rates {
            Rates::Curve(curve) => curve.at(quantile).min(self.cap),
            Rates::Steps(steps) => {
                let after = steps.partition_point(|(from, _)| *from <= quantile);
                after.checked_sub(1).map_or(0.0, |at| steps[at].1)
            }
        }
    }

    /// The mean over quantiles from `low` to `high`, at which documents of one score stand.
    #[must_use]
    pub fn mean(&self, low: f64, high: f64) -> f64 {
        if high - low < 1e-12 {
            return self.at(f64::midpoint(low, high));
        }
        let mean = match &self.rates {
            Rates::Curve(curve) => curve.mean(low, high),
            Rates::Steps(steps) => {
                let ends = steps.iter().skip(1).map(|step| step.0).chain([1.0_f64.max(high)]);
                let inside = |(from, end): (f64, f64)| (end.min(high) - from.max(low)).max(0.0);
                let sum: f64 =
                    steps.iter().zip(ends).map(|((from, rate), end)| rate * inside((*from, end))).sum();
                sum / (high - low)
            }
        };
        mean.clamp(0.0, self.cap)
    }

    /// From a quantile on, so often; of a curve its means over twentieths. For people.
    #[must_use]
    pub fn steps(&self) -> Vec<(f64, f64)> {
        match &self.rates {
            Rates::Steps(steps) => steps.clone(),
            Rates::Curve(curve) => {
                let width = 1.0 / BUCKETS as f64;
                let step =
                    |at: usize| (at as f64 * width, curve.mean(at as f64 * width, (at + 1) as f64 * width));
                (0..BUCKETS).map(step).collect()
            }
        }
    }

    /// p, λ and C, where repeats follow a curve.
    #[must_use]
    pub fn parameters(&self) -> Option<[f64; 3]> {
        match &self.rates {
            Rates::Curve(curve) => Some([curve.power, curve.lambda, curve.scale]),
            Rates::Steps(_) => None,
        }
    }
}

/// The steps of a table, by the factor that gives them an integral; none above the cap.
fn table(steps: &[(Quantile, f64)], cap: f64, ratio: f64) -> Result<Vec<(f64, f64)>, RepeatError> {
    let rises = steps.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if steps.is_empty() || !rises || steps.iter().any(|(_, rate)| !(rate.is_finite() && *rate >= 0.0)) {
        return Err(RepeatError::Shape("a table of repeats needs rising quantiles and rates of 0 or more"));
    }
    let ends = steps.iter().skip(1).map(|(from, _)| from.as_f64()).chain([1.0]);
    let widths: Vec<f64> = steps.iter().zip(ends).map(|((from, _), end)| end - from.as_f64()).collect();
    let mut most = 0.0;
    // Factors at which a step meets the cap, the highest steps first.
    let mut order: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].1 > 0.0).collect();
    order.iter().for_each(|at| most += widths[*at] * cap);
    if ratio > most + TOLERANCE {
        return Err(RepeatError::BeyondCap { wanted: ratio, most });
    }
    order.sort_by(|a, b| steps[*b].1.total_cmp(&steps[*a].1));
    let mut left = ratio;
    let mut open: f64 = order.iter().map(|at| widths[*at] * steps[*at].1).sum();
    let mut factor = left / open.max(f64::MIN_POSITIVE);
    for at in &order {
        factor = left / open.max(f64::MIN_POSITIVE);
        if factor * steps[*at].1 <= cap {
            break;
        }
        left -= widths[*at] * cap;
        open -= widths[*at] * steps[*at].1;
    }
    Ok(steps.iter().map(|(from, rate)| (from.as_f64(), (factor * rate).min(cap))).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantile(percent: f64) -> Quantile {
        Quantile::parse(&format!("{percent}%")).unwrap()
    }

    fn mean(steps: &[(f64, f64)]) -> f64 {
        let ends = steps.iter().skip(1).map(|step| step.0).chain([1.0]);
        steps.iter().zip(ends).map(|((from, rate), end)| rate * (end - from)).sum()
    }

    proptest! {
        #[test]
        fn repeats_rise_keep_the_cap_and_have_the_integral(from in 0..95u32, cap in 1..12u32, share in 0.01..1.0f64) {
            let (from, cap) = (quantile(f64::from(from)), f64::from(cap));
            for shape in [RepeatShape::Vigintiles, RepeatShape::Curve] {
                let whole = match shape {
                    RepeatShape::Curve => 1.0 - from.as_f64(),
                    _ => 1.0 - (from.as_f64() * 20.0 + 1e-9).floor() / 20.0,
                };
                let ratio = share * cap * whole;
                let rates = RepeatRates::solve(&shape, from, cap, ratio).unwrap();
                let steps = rates.steps();
                prop_assert!((mean(&steps) - ratio).abs() < 1e-4 * ratio.max(1.0), "{} {}", mean(&steps), ratio);
                prop_assert!(steps.windows(2).all(|pair| pair[0].1 <= pair[1].1 + 1e-9));
                let all: Vec<f64> = (0..=1000).map(|at| rates.at(f64::from(at) / 1000.0)).collect();
                prop_assert!(all.iter().all(|rate| (0.0..=cap).contains(rate)), "{:?}", all);
                prop_assert!(all.is_sorted());
                let parts: f64 = (0..37).map(|at| rates.mean(f64::from(at) / 37.0, f64::from(at + 1) / 37.0) / 37.0).sum();
                prop_assert!((parts - ratio).abs() < 1e-4 * ratio.max(1.0), "{} {}", parts, ratio);
                let beyond = RepeatRates::solve(&shape, from, cap, 1.001 * cap * whole);
                prop_assert!(matches!(beyond, Err(RepeatError::BeyondCap { .. })), "{:?}", beyond);
            }
        }

        #[test]
        fn tables_keep_their_shape_below_the_cap(high in 1.0..9.0f64, cap in 1..5u32, share in 0.05..1.0f64) {
            let cap = f64::from(cap);
            let shape = vec![(quantile(50.0), 1.0), (quantile(90.0), high)];
            let ratio = share * cap * 0.5;
            let rates = RepeatRates::solve(&RepeatShape::Table(shape), quantile(0.0), cap, ratio).unwrap();
            let steps = rates.steps();
            let found: f64 = steps[0].1 * 0.4 + steps[1].1 * 0.1;
            prop_assert!((found - ratio).abs() < 1e-9);
            prop_assert!(steps[1].1 <= cap && (steps[1].1 == cap || (steps[1].1 / steps[0].1 - high).abs() < 1e-9));
            prop_assert_eq!(rates.at(0.2), 0.0);
        }
    }

    /// The published solver's problem by quadrature: see `tests/fixtures/repeats/make_repeats.py`.
    #[test]
    fn vigintiles_are_those_of_the_published_curve() {
        for line in include_str!("../../tests/fixtures/repeats/expected.tsv").lines() {
            let all: Vec<f64> = line.split('\t').map(|value| value.parse().unwrap()).collect();
            let [from, cap, ratio, power, lambda, scale] = all[..6] else { panic!("{line}") };
            let rates =
                RepeatRates::solve(&RepeatShape::Vigintiles, quantile(100.0 * from), cap, ratio).unwrap();
            for (at, (found, expected)) in rates.steps().iter().zip(&all[6..]).enumerate() {
                assert!((found.1 - expected).abs() < 1e-5, "{line}: bucket {at} has {}", found.1);
            }
            let curve = Curve::solve(from, cap, ratio, 0.05).unwrap();
            let found = [curve.power, curve.lambda, curve.scale];
            for (found, expected) in found.iter().zip([power, lambda, scale]) {
                assert!(
                    (found - expected).abs() < 1e-4 * expected.max(1.0),
                    "{line}: {found} for {expected}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let table = |steps| RepeatShape::Table(steps);
        let solve = |shape: RepeatShape| RepeatRates::solve(&shape, quantile(100.0), 7.0, 0.5);
        assert!(solve(RepeatShape::Curve).is_err() && solve(table(vec![])).is_err());
        assert!(solve(table(vec![(quantile(50.0), 1.0), (quantile(20.0), 2.0)])).is_err());
        assert!(solve(table(vec![(quantile(50.0), -1.0)])).is_err());
        assert!(RepeatRates::solve(&RepeatShape::Curve, quantile(0.0), 0.0, 0.5).is_err());
    }
}
