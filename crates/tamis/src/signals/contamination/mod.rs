//! `contamination`: words in a row that documents share with items of evaluations.

mod evaluations;
mod findings;
mod passes;

use serde::{Deserialize, Serialize};
use tamis_core::SignalInfo;
use tamis_io::run::{CorpusVersion, SignalDir};
use tamis_samplers::contamination::{ContaminationSignal, DEFAULT_WORDS, Frequent};

use super::{Definition, Named, Ready, SignalOptions};
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::{Error, Observer, Result};

/// Which evaluations are looked for, and what counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContaminationOptions {
    /// Files, folders, globs or URLs of evaluations.
    pub evaluations: Vec<String>,
    /// Columns whose strings are the texts of an item; none: every string is.
    pub columns: Vec<String>,
    /// Words in a row (N).
    pub gram: usize,
    /// An n-gram that is found in more documents is a phrase of the corpus.
    pub frequent: FrequentNgrams,
}

/// In how many documents an n-gram may be found and still count: the larger of both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrequentNgrams {
    /// Documents.
    pub documents: u64,
    /// Of all documents, in [0, 1].
    pub share: f64,
}

impl Default for FrequentNgrams {
    fn default() -> Self {
        let Frequent { documents, share } = Frequent::default();
        Self { documents, share }
    }
}

impl From<FrequentNgrams> for Frequent {
    fn from(FrequentNgrams { documents, share }: FrequentNgrams) -> Self {
        Self { documents, share }
    }
}

impl Default for ContaminationOptions {
    fn default() -> Self {
        Self {
            evaluations: Vec::new(),
            columns: Vec::new(),
            gram: DEFAULT_WORDS,
            frequent: FrequentNgrams::default(),
        }
    }
}

impl Named for ContaminationOptions {
    const NAME: &'static str = ContaminationSignal::NAME;
    const HELP: &'static str = "words in a row that it shares with items of evaluations";

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

impl Definition for ContaminationOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn check(&self, project: &Project) -> Result<()> {
        if !(0.0..=1.0).contains(&self.frequent.share) {
            return Err(Error::usage(
                "a share of documents lies between 0 and 1",
                "write --frequent 10, --frequent 0.001% or --frequent 10,0.001%",
            ));
        }
        self.read(&*project.observer).map(drop)
    }

    fn is_of_all_rows(&self) -> bool {
        true
    }

    fn foreseen(&self) -> Result<Option<SignalInfo>> {
        Ok(Some(ContaminationSignal::foreseen()))
    }

    fn build(&self, _observer: &dyn Observer) -> Result<Ready> {
        Err(Error::usage(
            "what is frequent is counted over the whole corpus",
            "ask for contamination by `Project::score`",
        ))
    }

    fn score(
        &self,
        project: &Project,
        version: &CorpusVersion,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        project.score_contamination(version, self, asked, options)
    }
}
