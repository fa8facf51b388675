//! From the tokens that a server showed to the two answers, and to what is not known of them.
//!
//! With the k most likely tokens shown, m the probability of the least of them, and u = 1 − Σ shown: an answer whose
//! spellings have the probability s among them has at least s, and at most s + min(u, h·m), where h is the number of its
//! tokens that may have stayed hidden: each of them is less likely than the k-th, and all of them are within u.

use crate::logprobs::Shown;

/// Tokens that may read as one spelling: vocabularies have at most a word with a space in it and one that is given one.
const TOKENS_PER_SPELLING: usize = 2;

/// Error of a sum of probabilities that were printed as 32-bit logarithms.
const ROUNDING: f64 = 1e-6;

/// What is known of the probability of one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Side {
    /// ln of the probability of its spellings that were shown; `None`: none was.
    pub(crate) shown: Option<f64>,
    /// ln of the largest probability that it may have.
    pub(crate) log_at_most: f64,
}

/// What is known of both answers under one prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) yes: Side,
    pub(crate) no: Side,
    /// Probability of all tokens that were not shown.
    pub(crate) unseen: f64,
}

impl Seen {
    pub(crate) fn new(shown: &Shown, yes: &[String], no: &[String]) -> Self {
        let unseen = (1.0 - shown.mass()).max(0.0);
        let least = shown.tokens.iter().map(|(_, log_p)| *log_p).fold(f64::INFINITY, f64::min);
        let side = |spellings: &[String]| {
            let found: Vec<f64> = shown
                .tokens
                .iter()
                .filter(|(text, _)| spellings.contains(text))
                .map(|(_, log_p)| *log_p)
                .collect();
            let hidden = (TOKENS_PER_SPELLING * spellings.len()).saturating_sub(found.len());
            let largest = found.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = |values: &[f64], largest: f64| {
                largest + libm::log(values.iter().map(|value| libm::exp(value - largest)).sum())
            };
            let log_hidden = (libm::log(hidden as f64) + least).min(libm::log(unseen + ROUNDING));
            let sum = (!found.is_empty()).then(|| log_sum(&found, largest));
            let log_at_most = match sum {
                Some(sum) => log_sum(&[sum, log_hidden], sum.max(log_hidden)).min(0.0),
                None => log_hidden,
            };
            Side { shown: sum, log_at_most }
        };
        Self { yes: side(yes), no: side(no), unseen }
    }

    /// ln P(yes) − ln P(no), where both were shown.
    pub(crate) fn log_odds(&self) -> Option<f64> {
        Some(self.yes.shown? - self.no.shown?)
    }

    /// What to rank by: the log odds; where one answer was not shown, of the log odds that are possible those closest to
    /// 0. `None`: neither was shown.
    pub(crate) fn score(&self) -> Option<f64> {
        match (self.yes.shown, self.no.shown) {
            (Some(yes), Some(no)) => Some(yes - no),
            (Some(yes), None) => Some((yes - self.no.log_at_most).max(0.0)),
            (None, Some(no)) => Some((self.yes.log_at_most - no).min(0.0)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn seen(tokens: &[(&str, f64)]) -> Seen {
        let tokens = tokens.iter().map(|(text, p)| ((*text).to_owned(), p.ln())).collect();
        Seen::new(&Shown { tokens, ..Shown::default() }, &words(&["yes", " yes"]), &words(&["no", " no"]))
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn spellings_are_added_and_what_is_hidden_is_a_bound() {
        let both = seen(&[("yes", 0.5), (" yes", 0.2), ("no", 0.1), ("maybe", 0.01)]);
        assert!(close(both.yes.shown.unwrap(), 0.7_f64.ln()) && close(both.unseen, 0.19));
        assert!(close(both.score().unwrap(), 7_f64.ln()) && both.log_odds() == both.score());
        // Two tokens of yes, three of no may be hidden, each below 0.01.
        assert!(close(both.yes.log_at_most, 0.72_f64.ln()) && close(both.no.log_at_most, 0.13_f64.ln()));

        let certain = seen(&[("yes", 0.98), ("the", 0.0001)]);
        assert_eq!((certain.no.shown, certain.log_odds()), (None, None));
        assert!(close(certain.no.log_at_most, 0.0004_f64.ln()), "four tokens, each below the least shown");
        assert!(close(certain.score().unwrap(), (0.98_f64 / 0.0004).ln()));

        let all = seen(&[("yes", 0.9), ("x", 0.1)]);
        assert!(close(all.no.log_at_most, ROUNDING.ln()), "nothing is left but rounding");
    }

    #[test]
    fn ranking_by_a_bound_never_crosses_zero() {
        let yes = seen(&[("yes", 0.01), ("a", 0.01)]);
        assert_eq!(yes.score(), Some(0.0), "no may be four times as likely");
        let no = seen(&[("no", 0.01), ("a", 0.01)]);
        assert_eq!(no.score(), Some(0.0));
        assert_eq!(seen(&[("a", 0.9)]).score(), None);
        assert_eq!(seen(&[]).score(), None);
    }

    proptest! {
        /// Whatever the whole distribution is, the k largest of it bound both answers, and the score is within the bounds.
        #[test]
        fn bounds_hold_for_every_distribution_and_cut(
            logits in proptest::collection::vec(-12f64..4.0, 8..40), k in 1usize..30,
        ) {
            let total = logits.iter().map(|l| l.exp()).sum::<f64>();
            let names = ["yes", " yes", "no", " no"];
            let mut tokens: Vec<(String, f64)> = logits.iter().enumerate()
                .map(|(at, l)| (names.get(at).map_or_else(|| format!("t{at}"), |&n| n.to_owned()), l - total.ln()))
                .collect();
            let p = |text: &str| tokens.iter().find(|t| t.0 == text).unwrap().1.exp();
            let (yes, no) = (p("yes") + p(" yes"), p("no") + p(" no"));
            tokens.sort_by(|a, b| b.1.total_cmp(&a.1));
            tokens.truncate(k);
            let seen = Seen::new(&Shown { tokens, ..Shown::default() }, &words(&["yes", " yes"]), &words(&["no", " no"]));
            for (side, truth) in [(seen.yes, yes), (seen.no, no)] {
                prop_assert!(side.shown.unwrap_or(f64::NEG_INFINITY).exp() <= truth + 1e-9);
                prop_assert!(side.log_at_most.exp() >= truth - 1e-9);
            }
            if let Some(score) = seen.score() {
                let truth = (yes / no).ln();
                match seen.log_odds() {
                    Some(_) => {}
                    None if seen.yes.shown.is_some() => prop_assert!(score >= 0.0 && score <= truth.max(0.0) + 1e-9),
                    None => prop_assert!(score <= 0.0 && score >= truth.min(0.0) - 1e-9),
                }
            }
        }
    }
}
