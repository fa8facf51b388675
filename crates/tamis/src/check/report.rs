//! Figures of one candidate: over all, by kind of bad, and beside the best trivial count.

use serde::{Deserialize, Serialize};

use super::candidate::Judged;
use super::labelled::LabelledSet;
use crate::Result;
use crate::evaluation::{
    Baseline, Bootstrap, Estimate, TextCounter, TextCounts, auc_difference, auc_with_interval, baselines_of,
    mid_ranks,
};

/// One kind of bad document against all good ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindOfBad {
    /// Its name.
    pub kind: String,
    /// Bad documents of it.
    pub documents: usize,
    /// AUC of the judge.
    pub auc: Estimate,
}

/// Whether the judge is worth its hours beside the trivial counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The rank average of judge and best count beats that count: the interval of the difference lies above 0.
    Adds,
    /// It does not.
    AddsNothing,
    /// The judge ranks bad documents above good ones: its interval lies below 0.5.
    Inverted,
}

/// What a judge did under one question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedJudge {
    /// Name of the prompt or set of prompts; `negative mean NLL` when nothing was asked.
    pub prompt: String,
    /// `raw`, `chat`, or `none`.
    pub rendering: String,
    /// What identifies judge and question: fields of the signal's fingerprint. Empty when nothing was asked.
    pub identity: String,
    /// Documents that were scored.
    pub documents: usize,
    /// Documents that failed: they take no part.
    pub failed: usize,
    /// AUC over all.
    pub auc: Estimate,
    /// By kind of bad, in alphabetical order.
    pub kinds: Vec<KindOfBad>,
    /// Mean probability on yes and no together.
    pub mass: Option<f64>,
    /// Name of the best trivial count on the documents that were scored, in its better direction.
    pub baseline: String,
    /// AUC of that count.
    pub baseline_auc: Estimate,
    /// AUC of the mean of the ranks by judge and by that count.
    pub with_baseline: Estimate,
    /// What the judge adds: that AUC less the count's alone, interval by paired resampling.
    pub gain: Estimate,
    /// What follows from it.
    pub verdict: Verdict,
    /// Tokens read, a shared beginning of the prompt left out.
    pub tokens: u64,
    /// Seconds of scoring.
    pub seconds: f64,
}

impl CheckedJudge {
    /// Kinds for which the interval reaches 0.5: the judge is blind to them, or upside down.
    #[must_use]
    pub fn unseen_kinds(&self) -> Vec<&KindOfBad> {
        self.kinds.iter().filter(|kind| kind.auc.low <= 0.5).collect()
    }

    /// The verdict as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Estimate { value, low, high } = self.gain;
        let numbers = format!(
            "rank average {:.3} against {:.3} alone, difference {value:+.3} [{low:+.3}, {high:+.3}]",
            self.with_baseline.value, self.baseline_auc.value
        );
        let baseline = &self.baseline;
        match self.verdict {
            Verdict::Adds => format!("adds to `{baseline}`: {numbers}"),
            Verdict::AddsNothing => format!("adds nothing to `{baseline}`: {numbers}; not worth its hours"),
            Verdict::Inverted => format!("upside down, AUC {:.2}: it prefers bad documents", self.auc.value),
        }
    }
}

/// The documents with what needs no model.
pub(super) struct Ground<'a> {
    pub(super) set: &'a LabelledSet,
    pub(super) good: Vec<bool>,
    pub(super) counts: Vec<TextCounts>,
    pub(super) bootstrap: Bootstrap,
}

impl<'a> Ground<'a> {
    pub(super) fn new(set: &'a LabelledSet, bootstrap: Bootstrap) -> Self {
        let mut counter = TextCounter::default();
        let counts = set.documents.iter().map(|document| counter.count(&document.text)).collect();
        Self { set, good: set.documents.iter().map(|document| document.good).collect(), counts, bootstrap }
    }

    /// Trivial counts, best first, over all.
    pub(super) fn baselines(&self) -> Result<Vec<Baseline>> {
        Ok(baselines_of(&self.counts, &self.good, self.bootstrap)?)
    }

    /// The best trivial count for each kind of bad, chosen anew for each.
    pub(super) fn best_by_kind(&self) -> Result<Vec<(String, usize, Baseline)>> {
        let mut found = Vec::new();
        for kind in self.set.kinds_of_bad() {
            let of: Vec<usize> = self.with_kind(&kind);
            let counts: Vec<TextCounts> = of.iter().map(|&at| self.counts[at]).collect();
            let good: Vec<bool> = of.iter().map(|&at| self.good[at]).collect();
            let bad = good.iter().filter(|good| !**good).count();
            found.push((kind, bad, baselines_of(&counts, &good, self.bootstrap)?.swap_remove(0)));
        }
        Ok(found)
    }

    /// All good documents, and the bad ones of a kind.
    fn with_kind(&self, kind: &str) -> Vec<usize> {
        let documents = self.set.documents.iter().enumerate();
        documents.filter(|(_, document)| document.good || document.kind == kind).map(|(at, _)| at).collect()
    }

    /// Figures of a candidate from what it said of each document.
    ///
    /// # Errors
    /// When all documents of a label failed.
    pub(super) fn figures(
        &self,
        names: [String; 3],
        judged: &[Option<Judged>],
        seconds: f64,
    ) -> Result<CheckedJudge> {
        let scored: Vec<(usize, Judged)> =
            judged.iter().enumerate().filter_map(|(at, judged)| Some((at, (*judged)?))).collect();
        let good: Vec<bool> = scored.iter().map(|(at, _)| self.good[*at]).collect();
        let scores: Vec<f64> = scored.iter().map(|(_, judged)| judged.score).collect();
        let counts: Vec<TextCounts> = scored.iter().map(|(at, _)| self.counts[*at]).collect();
        let auc = auc_with_interval(&scores, &good, self.bootstrap)?;

        let best = baselines_of(&counts, &good, self.bootstrap)?.swap_remove(0);
        let alone = best.scores(&counts);
        let average: Vec<f64> =
            mid_ranks(&scores)?.iter().zip(mid_ranks(&alone)?).map(|(judge, count)| judge + count).collect();
        let with_baseline = auc_with_interval(&average, &good, self.bootstrap)?;
        let gain = auc_difference(&average, &alone, &good, self.bootstrap)?;
        let verdict = if auc.high < 0.5 {
            Verdict::Inverted
        } else if gain.low > 0.0 {
            Verdict::Adds
        } else {
            Verdict::AddsNothing
        };

        let mut kinds = Vec::new();
        for kind in self.set.kinds_of_bad() {
            let of = |at: usize| self.good[at] || self.set.documents[at].kind == kind;
            let (scores, good): (Vec<f64>, Vec<bool>) = scored
                .iter()
                .filter(|(at, _)| of(*at))
                .map(|(at, judged)| (judged.score, self.good[*at]))
                .unzip();
            let documents = good.iter().filter(|good| !**good).count();
            if documents > 0 {
                kinds.push(KindOfBad {
                    kind,
                    documents,
                    auc: auc_with_interval(&scores, &good, self.bootstrap)?,
                });
            }
        }
        let masses: Vec<f64> = scored.iter().filter_map(|(_, judged)| judged.mass).collect();
        let [prompt, rendering, identity] = names;
        Ok(CheckedJudge {
            prompt,
            rendering,
            identity,
            documents: scored.len(),
            failed: judged.len() - scored.len(),
            auc,
            kinds,
            mass: (!masses.is_empty()).then(|| masses.iter().sum::<f64>() / masses.len() as f64),
            baseline: best.name.to_owned(),
            baseline_auc: best.auc,
            with_baseline,
            gain,
            verdict,
            tokens: scored.iter().map(|(_, judged)| judged.tokens).sum(),
            seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::labelled::Labelled;

    fn set() -> LabelledSet {
        let document = |n: usize| {
            let good = n.is_multiple_of(2);
            let kind = if good {
                "news"
            } else if n % 4 == 1 {
                "spam"
            } else {
                "menu"
            };
            // Stop words separate the labels in two thirds of the documents.
            let text =
                if good != n.is_multiple_of(3) { "and cat is on the mat" } else { "cat mat rat bat hat h" };
            Labelled { text: format!("{text} {n}"), good, kind: kind.to_owned() }
        };
        LabelledSet {
            name: "mine".to_owned(),
            digest: tamis_core::Digest::of(b""),
            documents: (0..240).map(document).collect(),
        }
    }

    fn figures(score: impl Fn(&Labelled, usize) -> Option<f64>) -> CheckedJudge {
        let set = set();
        let ground = Ground::new(&set, Bootstrap { replicates: 300, seed: 1 });
        let judged: Vec<Option<Judged>> = set
            .documents
            .iter()
            .enumerate()
            .map(|(at, document)| Some(Judged { score: score(document, at)?, mass: Some(0.5), tokens: 3 }))
            .collect();
        ground.figures(["p".to_owned(), "raw".to_owned(), "id".to_owned()], &judged, 1.0).unwrap()
    }

    #[test]
    fn a_judge_that_knows_adds_and_one_that_guesses_does_not() {
        let knows =
            figures(|document, at| Some(f64::from(u8::from(document.good)) + (at * 37 % 101) as f64 / 60.0));
        assert_eq!((knows.baseline.as_str(), knows.verdict), ("stop_word_share", Verdict::Adds));
        assert!(knows.sentence().starts_with("adds to `stop_word_share`"), "{}", knows.sentence());
        let guesses = figures(|_, at| Some((at * 7919 % 241) as f64));
        assert_eq!(guesses.verdict, Verdict::AddsNothing);
        assert!(guesses.sentence().contains("not worth its hours"));
        // The same order as the count adds nothing either, and its difference is exactly none.
        let copies = figures(|document, _| Some(TextCounts::of(&document.text).stop_word_share));
        assert_eq!((copies.verdict, copies.gain.value), (Verdict::AddsNothing, 0.0));
    }

    #[test]
    fn upside_down_and_blind_kinds_are_named() {
        let inverted =
            figures(|document, at| Some(-f64::from(u8::from(document.good)) + (at % 7) as f64 / 10.0));
        assert_eq!(inverted.verdict, Verdict::Inverted);
        let blind = figures(|document, at| {
            let seen = f64::from(u8::from(document.kind != "spam"));
            Some(
                seen * f64::from(u8::from(document.good || document.kind == "menu"))
                    + (at * 37 % 101) as f64 / 300.0,
            )
        });
        let unseen: Vec<&str> = blind.unseen_kinds().iter().map(|kind| kind.kind.as_str()).collect();
        assert_eq!(unseen, ["menu"]);
        assert_eq!(blind.kinds.iter().map(|kind| kind.documents).sum::<usize>(), 120);
    }

    #[test]
    fn failed_documents_take_no_part_and_are_counted() {
        let some = figures(|document, at| (at % 5 != 0).then(|| f64::from(u8::from(document.good))));
        assert_eq!((some.documents, some.failed), (192, 48));
        assert_eq!((some.auc.value, some.mass, some.tokens), (1.0, Some(0.5), 3 * 192));
        let set = set();
        let ground = Ground::new(&set, Bootstrap::default());
        let names = ["p".to_owned(), "raw".to_owned(), String::new()];
        assert!(ground.figures(names, &vec![None; 240], 1.0).is_err());
    }
}
