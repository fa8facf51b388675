//! How to select: plain data that the command line, recipes and programs fill in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tamis_core::Rule;
use tamis_samplers::{Quantile, Rate, RepeatShape, Target};

use crate::signals::SignalOptions;
use crate::{Error, Result};

/// Whether equal texts under different ids may all stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExactDuplicates {
    /// All are candidates.
    #[default]
    All,
    /// Only one of each text is a candidate.
    One,
}

/// Whether one of several documents with an id is taken for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DuplicateIds {
    /// Unless most that repeat an id have another text, and more than a few do: then the selection is refused.
    #[default]
    Check,
    /// Always: whatever has an id that occurred is a version of the same document.
    One,
}

/// What the rule `band` keeps the middle of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BandOptions {
    /// The centre, as a share of the documents with lower scores.
    pub around: Quantile,
    /// Carried column within whose values ranks are taken; `None`: over the whole corpus.
    pub stratum: Option<String>,
}

impl Default for BandOptions {
    fn default() -> Self {
        Self { around: Quantile::MIDDLE, stratum: None }
    }
}

/// Scores outside of which no document is a candidate, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreLimits {
    /// The lowest score; `None`: any.
    pub at_least: Option<f64>,
    /// The highest score; `None`: any.
    pub at_most: Option<f64>,
}

impl ScoreLimits {
    /// Whether every score is within.
    #[must_use]
    pub fn are_open(&self) -> bool {
        self.at_least.is_none() && self.at_most.is_none()
    }

    /// Refuses limits that no score is within.
    ///
    /// # Errors
    /// One that is no number, or a lowest score above the highest.
    pub fn check(&self) -> Result<()> {
        let limits = [self.at_least, self.at_most];
        if limits.into_iter().flatten().any(f64::is_nan) {
            return Err(Error::usage("a limit of scores is no number", "write --at-most 0.95"));
        }
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) if least > most => Err(Error::usage(
                format!("no score is at least {least} and at most {most}"),
                "swap the two, or leave one out",
            )),
            _ => Ok(()),
        }
    }

    /// Whether a score is within.
    #[must_use]
    pub fn hold(&self, score: f64) -> bool {
        self.at_least.is_none_or(|least| score >= least) && self.at_most.is_none_or(|most| score <= most)
    }
}

/// Bounds of a stratum's share of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShareBounds {
    /// The least; `None`: nothing.
    pub at_least: Option<Rate>,
    /// The most; `None`: all.
    pub at_most: Option<Rate>,
}

/// Shares of strata: see `docs/selection.md`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaOptions {
    /// Columns whose values are the strata, carried ones or SIGNAL.COLUMN; several make a grid.
    pub by: Vec<String>,
    /// Bounds by name of the stratum, which of a grid is `A / B`.
    pub shares: BTreeMap<String, ShareBounds>,
    /// Bounds of each of the other strata.
    pub others: ShareBounds,
}

impl QuotaOptions {
    /// The bounds of a stratum.
    #[must_use]
    pub fn of(&self, stratum: &str) -> ShareBounds {
        self.shares.get(stratum).copied().unwrap_or(self.others)
    }

    /// As a plan has them.
    pub(crate) fn text(&self) -> String {
        let bounds = |name: &str, bounds: &ShareBounds| {
            let rate = |rate: Option<Rate>, none: &str| {
                rate.map_or_else(|| none.to_owned(), |rate| rate.to_string())
            };
            format!("{name:?} {} to {}", rate(bounds.at_least, "0%"), rate(bounds.at_most, "100%"))
        };
        let shares = self.shares.iter().map(|(name, share)| bounds(name, share));
        let all: Vec<String> = shares.chain([bounds("others", &self.others)]).collect();
        format!("by {:?}: {}", self.by, all.join(", "))
    }
}

/// How often documents are repeated, where a budget of tokens is to be filled with the best: see `docs/selection.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepeatOptions {
    /// The share of the tokens, the worst, of which nothing is kept.
    pub from: Quantile,
    /// No document is repeated more often.
    pub cap: f64,
    /// How repeats follow quality.
    pub shape: RepeatShape,
}

impl Default for RepeatOptions {
    fn default() -> Self {
        Self { from: Quantile::parse("40%").expect("a quantile"), cap: 7.0, shape: RepeatShape::Vigintiles }
    }
}

/// What a candidate has to pass.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// A signal with an optional column, as [`SelectOptions::by`] names one.
    pub by: String,
    /// Values that pass. None: a document passes that the signal does not veto.
    #[serde(default)]
    pub limits: ScoreLimits,
    /// What `by` is called in the reasons of decisions; `None`: itself.
    #[serde(default)]
    pub name: Option<String>,
}

impl Filter {
    /// `NAME>=X`, `NAME<=X`, or a name alone.
    ///
    /// # Errors
    /// A limit that is no number.
    pub fn parse(text: &str) -> Result<Self> {
        let number = |limit: &str| {
            limit.trim().parse::<f64>().ok().filter(|limit| !limit.is_nan()).ok_or_else(|| {
                Error::usage(
                    format!("`{limit}` in the filter `{text}` is no number"),
                    "write a limit as in 'ask-llm>=0.5'",
                )
            })
        };
        let (by, limits) = if let Some((by, least)) = text.split_once(">=") {
            (by, ScoreLimits { at_least: Some(number(least)?), at_most: None })
        } else if let Some((by, most)) = text.split_once("<=") {
            (by, ScoreLimits { at_least: None, at_most: Some(number(most)?) })
        } else {
            (text, ScoreLimits::default())
        };
        Ok(Self { by: by.trim().to_owned(), limits, name: None })
    }
}

/// How to select.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelectOptions {
    /// `random`, `column:NAME`, or a signal with an optional column: `ask-llm.p_yes`. A full name, `ask-llm@3f9a01c2`, is that of
    /// a stored one.
    pub by: String,
    /// How the signal is computed where it is missing; `None`: by its defaults.
    pub signal: Option<SignalOptions>,
    /// Whether `signal` is meant to the letter. Otherwise a stored signal of that name goes on with the options that it has.
    pub exactly: bool,
    /// The rule; `None` is the signal's default.
    pub rule: Option<Rule>,
    /// For the rule `band`.
    pub band: BandOptions,
    /// A finished selection of the run, or NAME:LABEL of one with several rates: what it keeps are the candidates, and what is
    /// missing of the signals is computed for these alone.
    pub on: Option<String>,
    /// Documents with other scores are dropped before any are ranked: rates are of the others.
    pub limits: ScoreLimits,
    /// What else a candidate has to pass, in this order.
    pub filters: Vec<Filter>,
    /// One or more rates, or exactly one other budget. None: all within the limits, where there are any.
    pub targets: Vec<Target>,
    /// Shares that strata have of every target; `None`: what one threshold gives them.
    pub quotas: Option<QuotaOptions>,
    /// A budget of tokens is filled with repeats of the best; `None`: every document is kept once at most.
    pub repeat: Option<RepeatOptions>,
    /// Model source whose tokenizer counts tokens.
    pub tokenizer: Option<String>,
    /// Seed of the draws.
    pub seed: u64,
    /// Equal texts.
    pub exact_duplicates: ExactDuplicates,
    /// Equal ids; decides whether there is a selection, not which.
    pub duplicate_ids: DuplicateIds,
    /// Files with one id or 32-digit document key a line: never kept.
    pub vetoes: Vec<PathBuf>,
    /// Folder for kept documents; `None` puts them into the run.
    pub out: Option<PathBuf>,
    /// Name under `selections/`; `None` makes one from the signal and the selection's fingerprint.
    pub name: Option<String>,
    /// Where no name is given: what its name begins with, instead of that of the signal.
    pub stem: Option<String>,
    /// Decide and record, write no documents.
    pub decide_only: bool,
}

impl Default for SelectOptions {
    fn default() -> Self {
        Self {
            by: "random".to_owned(),
            signal: None,
            exactly: false,
            rule: None,
            band: BandOptions::default(),
            on: None,
            limits: ScoreLimits::default(),
            filters: Vec::new(),
            targets: Vec::new(),
            quotas: None,
            repeat: None,
            tokenizer: None,
            seed: 0,
            exact_duplicates: ExactDuplicates::All,
            duplicate_ids: DuplicateIds::Check,
            vetoes: Vec::new(),
            out: None,
            name: None,
            stem: None,
            decide_only: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::corpus_options::{CorpusOptions, Ids};
    use crate::signals::PerplexityOptions;

    #[test]
    fn selections_and_corpora_are_read_back_as_they_were_written() {
        let rate = tamis_samplers::Rate::parse("12.5%").unwrap();
        let select = SelectOptions {
            by: "perplexity".to_owned(),
            signal: Some(SignalOptions::Perplexity(PerplexityOptions::default())),
            rule: Some(Rule::Band),
            band: BandOptions { around: Quantile::parse("30%").unwrap(), stratum: Some("lang".to_owned()) },
            limits: ScoreLimits { at_most: Some(0.95), ..ScoreLimits::default() },
            targets: vec![Target::Rate(rate)],
            duplicate_ids: DuplicateIds::One,
            ..SelectOptions::default()
        };
        let written = serde_json::to_value(&select).unwrap();
        assert_eq!(written["rule"], json!("band"));
        assert_eq!(written["band"], json!({ "around": "30%", "stratum": "lang" }));
        assert_eq!(written["targets"], json!([{ "rate": "12.5%" }]));
        assert_eq!(serde_json::from_value::<SelectOptions>(written.clone()).unwrap(), select);
        for name in written.as_object().unwrap().keys() {
            let mut shorter = written.clone();
            shorter.as_object_mut().unwrap().remove(name);
            assert!(serde_json::from_value::<SelectOptions>(shorter).is_ok(), "without {name}");
        }
        let corpus: CorpusOptions = serde_json::from_value(json!({ "location": "c" })).unwrap();
        assert_eq!(corpus, CorpusOptions::new("c"));
        let qualified = CorpusOptions { id: Ids::Qualified(None), ..corpus };
        let written = serde_json::to_value(&qualified).unwrap();
        assert_eq!(serde_json::from_value::<CorpusOptions>(written).unwrap(), qualified);
        assert!(serde_json::from_value::<SelectOptions>(json!({ "rates": ["5%"] })).is_err());
    }
}
