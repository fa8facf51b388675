//! The passes over a run: the n-grams of every document, in how many documents each is, what counts of each document.
//!
//! Texts are read by the first alone, whose sidecars no other document decides: a corpus that grows, and another limit of what
//! is frequent, read what is there.

use std::sync::Arc;
use std::time::Instant;

use tamis_core::{Digest, Sharded, Signal};
use tamis_io::run::{ALL_ROWS, CorpusVersion, Repeatability, ShardRecord, SignalDir};
use tamis_samplers::contamination::{
    ContaminationSignal, DocumentCounts, Frequent, Made, MatchesSignal, Verdicts,
};

use super::ContaminationOptions;
use super::evaluations::Evaluations;
use super::findings::Found;
use crate::fold::{Inputs, Kept};
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::signals::SignalOptions;
use crate::{Error, Result};

/// The field of the fingerprint with the digest of the evaluations.
const EVALUATIONS: &str = "evaluations";

impl Project {
    pub(super) fn score_contamination(
        &self,
        version: &CorpusVersion,
        contamination: &ContaminationOptions,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        let began = Instant::now();
        // Refused before the corpus is read once more.
        let stored = self.same_settings(asked, options)?;
        let Evaluations { index, content } = contamination.read(&*self.observer)?;
        if let Some(stored) = stored.filter(|_| !options.beside) {
            refuse_other_contents(&stored, &content)?;
        }
        let signal = MatchesSignal::new(Arc::clone(&index));
        let matches = self.open_signal_of(signal.info(), None, true, Repeatability::Exact)?;
        let shards: Vec<&ShardRecord> = version.shards.iter().collect();
        self.map(version, &shards, &signal, &matches, options.worker)?;
        self.wait_for_whole(version, &matches, options.wait)?;
        let matches = matches.pinned(version)?;

        let partials_name = partials_name(&matches);
        let partials = self.run.partials(&partials_name)?;
        let inputs = Inputs {
            version,
            signal: &matches,
            stage: Some("count n-grams"),
            kept: Some(Kept { partials: &partials, worker: options.worker }),
        };
        let Sharded { inner: counts, .. } = self.fold(&inputs, &DocumentCounts::new(&index))?;
        let frequent = Frequent::from(contamination.frequent);
        let most = frequent.most(version.documents());
        let verdicts = Arc::new(Verdicts::new(Arc::clone(&index), &counts, most)?);

        let all_rows = self.all_rows(&version.shards, &[&matches])?.to_string();
        let made = Made {
            matches: (&signal.info().fingerprint, matches.full_name()),
            evaluations: &content,
            frequent: &frequent.to_string(),
            all_rows: (ALL_ROWS, &all_rows),
        };
        let signal = ContaminationSignal::new(Arc::clone(&verdicts), &made);
        let directory = self.begin_whole(asked, signal.info(), options)?;
        let directory = directory.reading(matches.full_name(), matches.generations());
        let mut map = self.map(version, &shards, &signal, &directory, options.worker)?;
        map.seconds = began.elapsed().as_secs_f64();
        drop(partials);
        let mut findings = Vec::new();
        if map.unfinished_shards == 0 {
            // Whoever finishes it clears away what was kept for all workers.
            self.run.sweep_partials(&partials_name)?;
            let found = Found { index: &index, verdicts: &verdicts, counts: &counts, most };
            findings = self.describe_contamination(version, (&matches, &directory), &found)?;
        }
        Ok((directory, self.score_report(version, map, findings)))
    }
}

/// Refuses a stored signal that looked for other texts under the same paths.
fn refuse_other_contents(stored: &SignalDir, content: &str) -> Result<()> {
    match stored.record().fingerprint.get(EVALUATIONS) {
        Some(then) if then != content => Err(Error::state(
            format!(
                "the evaluation files are not those that `{}` looked for: stored `{then}`, now `{content}`",
                stored.full_name()
            ),
            "add --beside to keep both, or put back the files that were there",
        )),
        _ => Ok(()),
    }
}

/// Under which name partials are kept until the signal is finished.
fn partials_name(matches: &SignalDir) -> String {
    format!("contamination-{:.8}", Digest::of(matches.full_name().as_bytes()).to_string())
}
