//! From logits to the probabilities of the two answers, in log space and f64.

use super::labels::LabelTokens;

/// ln P of both answers, from one prompt and one window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) log_yes: f64,
    pub(crate) log_no: f64,
}

impl Answer {
    /// `None` when a value is not a finite number.
    pub(crate) fn new(log_yes: f64, log_no: f64) -> Option<Self> {
        (log_yes.is_finite() && log_no.is_finite()).then_some(Self { log_yes, log_no })
    }

    pub(crate) fn log_odds(self) -> f64 {
        self.log_yes - self.log_no
    }
}

/// A row's values: the mean over its answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MeanAnswer {
    pub(crate) log_p_yes: f64,
    pub(crate) log_p_no: f64,
    pub(crate) p_yes: f64,
    pub(crate) p_no: f64,
    pub(crate) contrast: f64,
    pub(crate) log_odds: f64,
}

impl MeanAnswer {
    /// Probabilities and log odds are means over the answers; the logarithms are those of the mean probabilities, and the
    /// contrast is their ratio, so that the columns of a row agree with each other.
    ///
    /// # Panics
    /// When there is no answer.
    pub(crate) fn of(answers: &[Answer]) -> Self {
        assert!(!answers.is_empty(), "a row has at least one answer");
        let n = answers.len() as f64;
        let log_mean = |log: fn(&Answer) -> f64| {
            log_sum_exp(answers.iter().map(log)) - if answers.len() == 1 { 0.0 } else { libm::log(n) }
        };
        let log_p_yes = log_mean(|answer| answer.log_yes);
        let log_p_no = log_mean(|answer| answer.log_no);
        Self {
            log_p_yes,
            log_p_no,
            p_yes: libm::exp(log_p_yes),
            p_no: libm::exp(log_p_no),
            contrast: 1.0 / (1.0 + libm::exp(log_p_no - log_p_yes)),
            log_odds: answers.iter().map(|answer| answer.log_odds()).sum::<f64>() / n,
        }
    }
}

/// ln Σ exp(x), by way of the largest x so that nothing overflows; −∞ for nothing.
///
/// Exponentials are `libm`'s, added in order, so that the result is the same on every machine.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    let sum: f64 = values.map(|value| libm::exp(value - largest)).sum();
    if sum == 1.0 { largest } else { largest + libm::log(sum) }
}

/// ln P of a label's single tokens under the logits of the whole vocabulary, whose `log_sum_exp` is `total`.
pub(crate) fn single_log_p(label: &LabelTokens, logits: &[f32], total: f64) -> f64 {
    match label {
        LabelTokens::Single(tokens) => {
            log_sum_exp(
                tokens.iter().map(|(token, _)| {
                    logits.get(*token as usize).map_or(f64::NAN, |logit| f64::from(*logit))
                }),
            ) - total
        }
        LabelTokens::Sequence(..) => f64::NAN,
    }
}

/// ln Σ exp over the vocabulary; NaN when a logit is NaN.
pub(crate) fn vocabulary_log_sum_exp(logits: &[f32]) -> f64 {
    // `f64::max` drops NaN, so it has to be looked for.
    if logits.iter().any(|logit| logit.is_nan()) {
        return f64::NAN;
    }
    log_sum_exp(logits.iter().map(|logit| f64::from(*logit)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn single(tokens: &[u32]) -> LabelTokens {
        LabelTokens::Single(tokens.iter().map(|token| (*token, String::new())).collect())
    }

    #[test]
    fn huge_and_tiny_logits_neither_overflow_nor_vanish() {
        let logits = [3e38_f32, -3e38, 0.0];
        let total = vocabulary_log_sum_exp(&logits);
        assert_eq!(single_log_p(&single(&[0]), &logits, total), 0.0);
        assert!(single_log_p(&single(&[1]), &logits, total) < -5e38);
        let far = [0.0_f32, -800.0];
        let log_p = single_log_p(&single(&[1]), &far, vocabulary_log_sum_exp(&far));
        assert_eq!(log_p, -800.0, "exp(-800) is 0 in f64, its logarithm is kept");
    }

    #[test]
    fn what_is_not_finite_is_no_answer() {
        assert!(vocabulary_log_sum_exp(&[0.0, f32::NAN]).is_nan());
        assert_eq!(Answer::new(f64::NAN, 0.0), None);
        assert_eq!(Answer::new(0.0, f64::NEG_INFINITY), None);
        let infinite = [f32::INFINITY, 0.0];
        let total = vocabulary_log_sum_exp(&infinite);
        assert_eq!(Answer::new(single_log_p(&single(&[0]), &infinite, total), -1.0), None);
        let outside = single_log_p(&single(&[9]), &[0.0, 1.0], 1.0);
        assert!(!outside.is_finite());
    }

    #[test]
    fn mean_of_one_answer_is_that_answer_to_the_bit() {
        let answer = Answer { log_yes: -0.7, log_no: -123.456 };
        let mean = MeanAnswer::of(&[answer]);
        assert_eq!((mean.log_p_yes, mean.log_p_no), (answer.log_yes, answer.log_no));
        assert_eq!(mean.log_odds, answer.log_yes - answer.log_no);
    }

    proptest! {
        #[test]
        fn probabilities_of_all_labels_add_to_one(logits in proptest::collection::vec(-50f32..50.0, 2..200)) {
            let total = vocabulary_log_sum_exp(&logits);
            let (first, rest) = (single(&[0]), single(&(1..logits.len() as u32).collect::<Vec<_>>()));
            let sum = libm::exp(single_log_p(&first, &logits, total)) + libm::exp(single_log_p(&rest, &logits, total));
            prop_assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        }

        #[test]
        fn means_agree_with_the_plain_formula(pairs in proptest::collection::vec((-30f64..-0.01, -30f64..-0.01), 1..6)) {
            let answers: Vec<_> = pairs.iter().map(|&(log_yes, log_no)| Answer { log_yes, log_no }).collect();
            let mean = MeanAnswer::of(&answers);
            let n = pairs.len() as f64;
            let p_yes = pairs.iter().map(|p| p.0.exp()).sum::<f64>() / n;
            let p_no = pairs.iter().map(|p| p.1.exp()).sum::<f64>() / n;
            prop_assert!((mean.p_yes / p_yes - 1.0).abs() < 1e-12);
            prop_assert!((mean.p_no / p_no - 1.0).abs() < 1e-12);
            prop_assert!((mean.contrast - p_yes / (p_yes + p_no)).abs() < 1e-12);
            prop_assert!((mean.log_odds - pairs.iter().map(|p| p.0 - p.1).sum::<f64>() / n).abs() < 1e-9);
        }
    }
}
