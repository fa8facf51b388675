//! One totally ordered number per document: the smaller it is, the sooner the document is kept.
//!
//! Weighted sampling without replacement uses exponential variates, e = −ln(1 − v)/w, of which the smallest win: the
//! method of Efraimidis and Spirakis (Information Processing Letters 97(5), 2006, DOI 10.1016/j.ipl.2005.11.003) in log
//! space, where keys v^(1/w) of light documents would all round to 0. The logarithm is `libm`'s, pinned, so that the same
//! seed selects the same documents on every machine. Deviation: the weight is 1/score, so e is computed as
//! −ln(1 − v)·score, with one rounding less.

use std::fmt;

use tamis_core::{DocKey, Rule};

use super::uniform::{SELECTION_STAGE, UniformDraws, unit_of_bits};

/// A document that may be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Who it is.
    pub key: DocKey,
    /// Its score; not looked at by [`Rule::Random`].
    pub score: f64,
    /// Its length in tokens; 0 where no tokenizer is known.
    pub tokens: u64,
    /// Its length in bytes of text.
    pub bytes: u64,
}

/// A score that a rule cannot use. The row has failed; it never gets a priority.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum InvalidScore {
    /// NaN or infinite.
    #[error("rule `{rule}`: score `{score}` is not finite")]
    NotFinite {
        /// The rule that was asked for.
        rule: Rule,
        /// The score.
        score: f64,
    },
    /// Weights are 1 / score, so the score must be positive (and not so small that 1 / score overflows).
    #[error("rule `{rule}`: score `{score}` is not positive, and the weight is 1 / score")]
    NotPositive {
        /// The rule that was asked for.
        rule: Rule,
        /// The score.
        score: f64,
    },
}

impl InvalidScore {
    /// The constant that the `reason` column of the decisions holds.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFinite { .. } => "score-not-finite",
            Self::NotPositive { .. } => "score-not-positive",
        }
    }
}

/// Where a document stands in the order of a selection: by priority value, then v, then key. Smaller is kept first.
///
/// Values are held as 64-bit integers of the same order, so that a radix search can look at their digits. Two documents
/// compare equal only if their keys are equal, too: such documents share their fate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority {
    image: u64,
    tie: u64,
    key: DocKey,
}

impl Priority {
    /// Number of 16-bit digits: four of the value, four of v, eight of the key.
    pub(crate) const DIGITS: usize = 16;

    /// The priority of `value`, ties broken by `tie` (the bits of v), then by key.
    ///
    /// # Panics
    /// When `value` is NaN, which has no place in an order.
    #[must_use]
    pub fn new(value: f64, tie: u64, key: DocKey) -> Self {
        Self { image: ordered_image(value), tie, key }
    }

    /// The smallest possible one.
    pub(crate) fn lowest() -> Self {
        Self::from_bytes([0; 32])
    }

    /// The largest possible one.
    pub(crate) fn highest() -> Self {
        Self::from_bytes([0xff; 32])
    }

    /// The number that the rule computed: ∓score, an exponential variate, or v / w.
    #[must_use]
    pub fn value(&self) -> f64 {
        Self::value_of(self.image)
    }

    /// The value of an integer.
    pub(crate) fn value_of(image: u64) -> f64 {
        f64::from_bits(if image >> 63 == 1 { image & !(1 << 63) } else { !image })
    }

    /// The document.
    #[must_use]
    pub fn key(&self) -> DocKey {
        self.key
    }

    /// 32 bytes whose order is the order of priorities, as manifests keep a threshold.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.image.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.tie.to_be_bytes());
        bytes[16..].copy_from_slice(&self.key.to_bytes());
        bytes
    }

    /// What [`Priority::to_bytes`] wrote. Any 32 bytes are some priority.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let word = |from: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[from..from + 8]);
            u64::from_be_bytes(word)
        };
        let mut key = [0; 16];
        key.copy_from_slice(&bytes[16..]);
        Self { image: word(0), tie: word(8), key: DocKey::from_bytes(key) }
    }

    /// 16-bit digit `at`, the most significant first.
    pub(crate) fn digit(&self, at: usize) -> u16 {
        match at {
            0..4 => (self.image >> (48 - 16 * at)) as u16,
            4..8 => (self.tie >> (48 - 16 * (at - 4))) as u16,
            _ => {
                let bytes = self.key.to_bytes();
                u16::from_be_bytes([bytes[2 * (at - 8)], bytes[2 * (at - 8) + 1]])
            }
        }
    }

    /// The first digit in which two priorities differ; `None` when they are equal.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<usize> {
        (0..Self::DIGITS).find(|&at| self.digit(at) != other.digit(at))
    }
}

impl fmt::Debug for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Priority({}, {:#x}, {})", self.value(), self.tie, self.key)
    }
}

/// An integer that orders as the number does. −0 is 0.
///
/// # Panics
/// For NaN, which has no place in an order.
#[must_use]
pub fn ordered_image(value: f64) -> u64 {
    assert!(!value.is_nan(), "a priority is never NaN: scores are checked before");
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// Priorities of one rule under one seed.
#[derive(Clone, Debug)]
pub struct Ranker {
    rule: Rule,
    draws: UniformDraws,
}

impl Ranker {
    /// Draws of [`SELECTION_STAGE`]. The same seed gives nested selections over rates, and over rules the same v.
    #[must_use]
    pub fn new(rule: Rule, seed: u64) -> Self {
        Self { rule, draws: UniformDraws::new(seed, SELECTION_STAGE) }
    }

    /// The rule.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The priority of a document; smaller is kept first. `score` is not looked at by [`Rule::Random`], and is the distance
    /// to the centre for [`Rule::Band`].
    ///
    /// # Errors
    /// A score that the rule cannot use: the row has failed.
    pub fn priority(&self, key: DocKey, score: f64) -> Result<Priority, InvalidScore> {
        let rule = self.rule;
        if rule.needs_score() && !score.is_finite() {
            return Err(InvalidScore::NotFinite { rule, score });
        }
        if matches!(rule, Rule::Ips | Rule::Poisson) && weight(score).is_none() {
            return Err(InvalidScore::NotPositive { rule, score });
        }
        let tie = self.draws.bits(key);
        let v = unit_of_bits(tie);
        let value = match rule {
            Rule::Top => -score,
            Rule::Bottom | Rule::Band => score,
            Rule::Ips => -libm::log1p(-v) * score,
            Rule::Random => -libm::log1p(-v),
            Rule::Poisson => v * score,
        };
        Ok(Priority::new(value, tie, key))
    }
}

/// 1 / score; `None` unless the score is positive and the weight a finite positive number.
pub(crate) fn weight(score: f64) -> Option<f64> {
    let weight = 1.0 / score;
    (score > 0.0 && weight.is_finite() && weight > 0.0).then_some(weight)
}

/// The priority of one document. For many documents prepare a [`Ranker`] once.
///
/// # Errors
/// A score that the rule cannot use: the row has failed.
pub fn priority(rule: Rule, seed: u64, candidate: &Candidate) -> Result<Priority, InvalidScore> {
    Ranker::new(rule, seed).priority(candidate.key, candidate.score)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(i: u64) -> DocKey {
        DocKey::from_id("", &i.to_string())
    }

    #[test]
    fn scores_that_a_rule_cannot_use_are_refused() {
        for rule in [Rule::Top, Rule::Bottom, Rule::Ips, Rule::Poisson] {
            for score in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let error = Ranker::new(rule, 1).priority(key(1), score).unwrap_err();
                assert_eq!(error.reason(), "score-not-finite");
            }
        }
        for rule in [Rule::Ips, Rule::Poisson] {
            for score in [0.0, -0.0, -1.0, 1e-310] {
                let error = Ranker::new(rule, 1).priority(key(1), score).unwrap_err();
                assert_eq!(error.reason(), "score-not-positive");
            }
        }
        assert!(Ranker::new(Rule::Random, 1).priority(key(1), f64::NAN).is_ok());
    }

    #[test]
    fn values_are_pinned() {
        // Changed values change selected sets: a breaking change.
        let value = |rule, score| Ranker::new(rule, 42).priority(key(1), score).unwrap().value();
        let v = super::super::unit_interval(42, SELECTION_STAGE, key(1));
        assert_eq!(value(Rule::Top, 2.5), -2.5);
        assert_eq!(value(Rule::Bottom, 2.5), 2.5);
        assert_eq!(value(Rule::Random, 0.0), -libm::log1p(-v));
        assert_eq!(value(Rule::Ips, 2.5), -libm::log1p(-v) * 2.5);
        assert_eq!(value(Rule::Poisson, 2.5), v * 2.5);
    }

    #[test]
    fn negative_zero_ties_with_zero() {
        let (a, b) = (Priority::new(-0.0, 3, key(1)), Priority::new(0.0, 3, key(1)));
        assert_eq!(a, b);
    }

    proptest! {
        #[test]
        fn order_of_images_is_order_of_values(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            let (p, q) = (Priority::new(a, 0, key(1)), Priority::new(b, 0, key(1)));
            prop_assert_eq!(p.cmp(&q), a.partial_cmp(&b).unwrap());
            prop_assert_eq!(p.value(), a);
        }

        #[test]
        fn order_of_digits_and_bytes_is_order_of_priorities(a in any::<[u8; 32]>(), b in any::<[u8; 32]>(), same in 0..32usize) {
            let mut b = b;
            b[..same].copy_from_slice(&a[..same]);
            let (p, q) = (Priority::from_bytes(a), Priority::from_bytes(b));
            prop_assert_eq!(p.to_bytes(), a);
            prop_assert_eq!(p.cmp(&q), a.cmp(&b));
            match p.first_difference(&q) {
                Some(at) => prop_assert_eq!(p.digit(at).cmp(&q.digit(at)), p.cmp(&q)),
                None => prop_assert_eq!(p, q),
            }
        }
    }
}
