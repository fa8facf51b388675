//! Thresholds of candidates that are at hand as keys and scores: an iterator that can be started again.
//!
//! [`ThresholdSearch`](super::ThresholdSearch) is made for sidecars, whose passes can be spread over threads and machines;
//! here a pass is cheap and the priorities themselves are what costs. A spread-out sample brackets the threshold first
//! (Floyd and Rivest, Communications of the ACM 18(3), 1975, DOI 10.1145/360680.360691). The pass that follows holds the
//! candidates inside the bracket and counts those before it; for these, and for those beyond it, bounds on the logarithm
//! decide, and only near the threshold is it computed. The sample decides how long it takes and never what is kept.
//!
//! Usually the sample and one pass; time O(N). Memory: the priorities of at most 2¹⁸ candidates (8 MiB), a sample of at most
//! 2¹⁷ values and a histogram of 2¹⁶ counts, whatever the number of candidates and the number kept.

use tamis_core::{DocKey, Result};

use super::priority::{Place, Priority, Ranker};
use super::threshold::{Sums, Target, Threshold, find_thresholds};

/// Values of the sample, or up to twice as many where the number of candidates is not known beforehand.
const SAMPLE: usize = 1 << 16;

/// Candidates inside the bracket that are held.
const HELD: usize = 1 << 18;

/// The bracket is cut in so many parts when it holds more.
const BINS: usize = 1 << 16;

/// The threshold of `target` among `(key, score)` that can be gone through again. Candidates whose score the rule cannot use
/// are left out. Gives what [`find_thresholds`] gives over the priorities.
///
/// # Errors
/// As [`find_thresholds`].
///
/// # Panics
/// When the target is a budget of tokens or bytes, which keys and scores do not tell.
pub fn draw<I>(ranker: &Ranker, target: Target, candidates: impl Fn() -> I) -> Result<Threshold>
where
    I: Iterator<Item = (DocKey, f64)>,
{
    assert!(
        matches!(target, Target::Rate(_) | Target::Documents(_)),
        "keys and scores do not tell tokens and bytes"
    );
    let mut bracket = bracket(ranker, target, candidates());
    loop {
        let pass = Pass::over(ranker, bracket, candidates());
        let wanted = pass.wanted(target);
        match pass.narrow(wanted) {
            Step::Found(threshold) => return Ok(threshold),
            Step::Inside(narrower) if narrower != bracket => bracket = narrower,
            // More candidates of one value than are held: keys and draws have to decide.
            Step::Inside(_) => break,
        }
    }
    let priorities = || candidates().filter_map(|(key, score)| ranker.priority(key, score).ok());
    let thresholds = find_thresholds(vec![target], || priorities().map(|priority| (priority, 0, 0)))?;
    Ok(thresholds.into_iter().next().expect("one target, one threshold"))
}

/// Values between which the threshold is thought to be.
type Bracket = (f64, f64);

/// A bracket from a sample, wide enough to miss the threshold once in a thousand million times if candidates come in no
/// particular order.
fn bracket(ranker: &Ranker, target: Target, candidates: impl Iterator<Item = (DocKey, f64)>) -> Bracket {
    let stride = (candidates.size_hint().0 / SAMPLE).max(1);
    let mut sample: Vec<f64> = Vec::with_capacity(2 * SAMPLE);
    let (mut seen, mut every) = (0_usize, 1);
    for (key, score) in candidates.step_by(stride) {
        seen += 1;
        if seen.is_multiple_of(every) {
            sample.extend(ranker.priority(key, score).map(|priority| priority.value()));
            if sample.len() == 2 * SAMPLE {
                let mut keep = false;
                sample.retain(|_| {
                    keep = !keep;
                    keep
                });
                every *= 2;
            }
        }
    }
    sample.sort_unstable_by(f64::total_cmp);
    let all = seen as f64 * stride as f64;
    let share = match target {
        Target::Rate(rate) => rate.as_f64(),
        Target::Documents(documents) => (documents as f64 / all.max(1.0)).min(1.0),
        Target::Tokens(_) | Target::Bytes(_) => unreachable!("refused by the caller"),
    };
    let expected = share * sample.len() as f64;
    let spread = 6.0 * (expected * (1.0 - share)).sqrt() + 6.0;
    let low = if expected < spread { None } else { sample.get((expected - spread) as usize) };
    let high = sample.get((expected + spread).ceil() as usize);
    (low.copied().unwrap_or(f64::NEG_INFINITY), high.copied().unwrap_or(f64::INFINITY))
}

enum Step {
    Found(Threshold),
    Inside(Bracket),
}

/// What a pass over all candidates finds.
struct Pass {
    bracket: Bracket,
    all: u64,
    before: u64,
    inside: u64,
    /// The candidates inside; not all of them once there are [`HELD`].
    held: Vec<Priority>,
    /// Counts of the candidates inside by their value, in equal parts of its ordered bits.
    bins: Vec<u64>,
    /// The first candidate beyond the bracket.
    next: Option<Priority>,
}

impl Pass {
    fn over(ranker: &Ranker, bracket: Bracket, candidates: impl Iterator<Item = (DocKey, f64)>) -> Self {
        let (bins, held) = (vec![0; BINS], Vec::new());
        let mut pass = Self { bracket, all: 0, before: 0, inside: 0, held, bins, next: None };
        // Of the candidates beyond the bracket only those are looked at closely that may be the first of them.
        let mut next_value = f64::INFINITY;
        for (key, score) in candidates {
            match ranker.place(key, score, bracket.0, next_value) {
                Place::Unusable => continue,
                Place::Before => pass.before += 1,
                Place::After => {}
                Place::Within(priority) if priority.value() <= bracket.1 => pass.inside(priority),
                Place::Within(priority) => {
                    if pass.next.is_none_or(|next| priority < next) {
                        pass.next = Some(priority);
                        next_value = priority.value();
                    }
                }
            }
            pass.all += 1;
        }
        pass
    }

    fn inside(&mut self, priority: Priority) {
        self.inside += 1;
        if self.held.len() < HELD {
            self.held.push(priority);
        }
        let (first, width) = self.parts();
        self.bins[((priority.image() - first) / width) as usize] += 1;
    }

    /// The smallest image inside, and how many images a bin has.
    fn parts(&self) -> (u64, u64) {
        let (first, last) = (Priority::image_of(self.bracket.0), Priority::image_of(self.bracket.1));
        (first, (last - first) / BINS as u64 + 1)
    }

    fn wanted(&self, target: Target) -> u64 {
        match target {
            Target::Rate(rate) => rate.of(self.all),
            Target::Documents(documents) => documents.min(self.all),
            Target::Tokens(_) | Target::Bytes(_) => unreachable!("refused by the caller"),
        }
    }

    /// The threshold if it can be told, or where to look for it.
    fn narrow(mut self, wanted: u64) -> Step {
        let (low, high) = self.bracket;
        let threshold = |kept: u64, first_rejected| {
            let over = kept - wanted;
            let kept = Sums { documents: kept, ..Sums::default() };
            Step::Found(Threshold { first_rejected, kept, over })
        };
        if wanted == self.all {
            return threshold(wanted, None);
        }
        // The first one rejected is on this side, or the last one kept on that.
        if wanted < self.before {
            return Step::Inside((f64::NEG_INFINITY, low));
        }
        let mut within = (wanted - self.before) as usize;
        if wanted - self.before > self.inside {
            return Step::Inside((high, f64::INFINITY));
        }
        if self.inside as usize > self.held.len() {
            let (first, width) = self.parts();
            let mut left = wanted - self.before;
            let bin = self.bins.iter().position(|count| {
                let here = left < *count;
                left -= if here { 0 } else { *count };
                here
            });
            // The last part also holds the border that a threshold beyond all of them needs.
            let bin = bin.unwrap_or(BINS - 1) as u64;
            let narrower = (first.saturating_add(bin * width), first.saturating_add((bin + 1) * width - 1));
            return Step::Inside((
                Priority::value_of(narrower.0).max(low),
                Priority::value_of(narrower.1).min(high),
            ));
        }
        if within == self.held.len() {
            return threshold(wanted, self.next);
        }
        self.held.select_nth_unstable(within);
        let mut first_rejected = self.held[within];
        // Equal keys share their fate: if the last one kept has the same, its whole group is kept.
        if within > 0 && self.held[..within].contains(&first_rejected) {
            let group = first_rejected;
            within = self.held.iter().filter(|&&priority| priority <= group).count();
            match self.held.iter().filter(|&&priority| priority > group).min() {
                Some(&next) => first_rejected = next,
                None => return threshold(self.before + within as u64, self.next),
            }
        }
        threshold(self.before + within as u64, Some(first_rejected))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use tamis_core::Rule;

    use crate::selection::Rate;

    fn key(i: u64) -> DocKey {
        DocKey::from_id("", &i.to_string())
    }

    fn same(rule: Rule, target: Target, candidates: &[(DocKey, f64)]) {
        let ranker = Ranker::new(rule, 5);
        let priorities =
            || candidates.iter().filter_map(|&(key, score)| Some((ranker.priority(key, score).ok()?, 0, 0)));
        let expected = find_thresholds(vec![target], priorities).unwrap().remove(0);
        assert_eq!(
            draw(&ranker, target, || candidates.iter().copied()).unwrap(),
            expected,
            "{rule} {target:?}"
        );
        // Without a size to go by, the sample is thinned as it grows.
        let unsized_candidates = || candidates.iter().copied().filter(|_| true);
        assert_eq!(draw(&ranker, target, unsized_candidates).unwrap(), expected, "{rule} {target:?}");
        if let Some(first) = expected.first_rejected {
            for &(key, score) in candidates {
                let kept = ranker.priority(key, score).is_ok_and(|priority| priority < first);
                assert_eq!(ranker.keeps(&expected, key, score), kept);
            }
        }
    }

    const RULES: [Rule; 5] = [Rule::Random, Rule::Ips, Rule::Top, Rule::Bottom, Rule::Poisson];

    #[test]
    fn many_candidates_in_any_order_give_the_same_threshold() {
        let n = 600_000_u64;
        let candidates: Vec<(DocKey, f64)> =
            (0..n).map(|i| (key(i), 0.01 + (i * 7919 % 1000) as f64 / 100.0)).collect();
        for (rule, documents) in [
            (Rule::Ips, n / 10),
            (Rule::Ips, n - 7),
            (Rule::Random, 3),
            (Rule::Random, n / 2),
            (Rule::Top, n / 3),
        ] {
            same(rule, Target::Documents(documents), &candidates);
        }
        // In order of priority a spread-out sample is no worse; of all the same value it says nothing.
        let same_value: Vec<(DocKey, f64)> = (0..n).map(|i| (key(i), 1.0)).collect();
        same(Rule::Top, Target::Documents(n / 3), &same_value);
        // A sample that misleads: every candidate that it sees is light.
        let stride = n as usize / SAMPLE;
        let misleading: Vec<(DocKey, f64)> =
            (0..n).map(|i| (key(i), if (i as usize).is_multiple_of(stride) { 1e-6 } else { 1e6 })).collect();
        same(Rule::Ips, Target::Rate("50%".parse::<Rate>().unwrap()), &misleading);
    }

    proptest! {
        #[test]
        fn equals_the_search_over_priorities(
            scores in prop::collection::vec((0..40_u64, prop_oneof![0.0..2.0_f64, (0..3_u32).prop_map(f64::from), Just(f64::NAN)]), 0..120),
            documents in 0..140_u64, rate in 1..100_u32, rule in 0..5_usize,
        ) {
            let candidates: Vec<(DocKey, f64)> = scores.iter().map(|&(id, score)| (key(id), score)).collect();
            same(RULES[rule], Target::Documents(documents), &candidates);
            same(RULES[rule], Target::Rate(format!("{rate}%").parse::<Rate>().unwrap()), &candidates);
        }
    }
}
