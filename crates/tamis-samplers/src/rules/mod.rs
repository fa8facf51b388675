//! The published rules of thumb for web text as measures with thresholds: Gopher, C4, `FineWeb`.
//!
//! A rule is a measure of a text and a limit: a document breaks it when the measure is under (or over) its threshold. The measures are
//! kept whatever the thresholds say, so that other thresholds need no second pass. [`RuleSet`] says which; [`RuleMeasurer`] measures, with
//! memory that it uses again.
//!
//! What is counted, and what happens at a boundary, is that of datatrove's filters, by which `FineWeb` was made; the papers say less. Where
//! words are counted they are spaCy's there, and here those of a plain rule which is near it, so that a document in some hundred gets
//! another verdict: `docs/rules.md` has the figures.
//!
//! Time is proportional to the text (ten passes at worst, of a text that is one n-gram over and over), memory a few times its size and no
//! more than some hundred megabytes for words. Nothing here edits a text, knows a language but English, or has a list of bad words.

mod c4;
mod characters;
mod error;
mod fineweb;
mod gopher_quality;
mod gopher_repetition;
mod lines;
mod ngrams;
mod seen;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tamis_core::{Fingerprint, nearest};

use self::c4::C4;
use self::gopher_quality::GopherQuality;
use self::ngrams::Ngrams;
use self::seen::Seen;
pub use error::RulesError;

/// Version of all measures; raised only when one of the same text changes.
const VERSION: u32 = 1;

/// The rules of one publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Words, symbols, lines of lists: Gopher, arXiv 2112.11446, appendix A.1.
    GopherQuality,
    /// What repeats itself: the same, table A1.
    GopherRepetition,
    /// What C4 would have left of it: arXiv 1910.10683, section 2.2.
    C4,
    /// Lines: `FineWeb`, arXiv 2406.17557, section 3.5.
    #[serde(rename = "fineweb")]
    FineWeb,
}

impl Preset {
    /// All of them, in the order of columns and reasons.
    pub const ALL: [Self; 4] = [Self::GopherQuality, Self::GopherRepetition, Self::C4, Self::FineWeb];

    /// Its name, as flags and fingerprints have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GopherQuality => "gopher-quality",
            Self::GopherRepetition => "gopher-repetition",
            Self::C4 => "c4",
            Self::FineWeb => "fineweb",
        }
    }

    /// The preset of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// What it measures, in the order of columns.
    #[must_use]
    pub fn measures(self) -> &'static [Measure] {
        match self {
            Self::GopherQuality => gopher_quality::MEASURES,
            Self::GopherRepetition => gopher_repetition::MEASURES,
            Self::C4 => c4::MEASURES,
            Self::FineWeb => fineweb::MEASURES,
        }
    }

    /// Its rules with their published thresholds, in the order in which the first that is broken is named.
    #[must_use]
    pub fn limits(self) -> &'static [Limit] {
        match self {
            Self::GopherQuality => gopher_quality::LIMITS,
            Self::GopherRepetition => gopher_repetition::LIMITS,
            Self::C4 => c4::LIMITS,
            Self::FineWeb => fineweb::LIMITS,
        }
    }
}

/// What a measure is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Whole, and not negative.
    Count,
    /// Of something that is part of something, in [0, 1].
    Share,
    /// Finite and not negative.
    Number,
}

/// Something that is measured of every text. What has no value (a mean of no words, a share of no lines) is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its column.
    pub column: &'static str,
    /// What it is a number of.
    pub unit: Unit,
}

/// Which side of its threshold breaks a rule; the threshold itself never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What is smaller.
    Least,
    /// What is larger.
    Most,
}

/// A rule: a measure and its limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// What it is called where a threshold is given.
    pub name: &'static str,
    /// Column of the measure.
    pub column: &'static str,
    /// Which side breaks it.
    pub bound: Bound,
    /// Its threshold.
    pub threshold: f64,
}

impl Limit {
    const fn least(name: &'static str, column: &'static str, threshold: f64) -> Self {
        Self { name, column, bound: Bound::Least, threshold }
    }

    const fn most(name: &'static str, column: &'static str, threshold: f64) -> Self {
        Self { name, column, bound: Bound::Most, threshold }
    }

    /// Whether a measure breaks it.
    #[must_use]
    pub fn is_broken_by(&self, value: f64) -> bool {
        match self.bound {
            Bound::Least => value < self.threshold,
            Bound::Most => value > self.threshold,
        }
    }
}

/// What is wrong with a document that breaks the rule: `gopher-words < 50`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.bound {
            Bound::Least => '<',
            Bound::Most => '>',
        };
        write!(f, "{} {sign} {}", self.column.replace('_', "-"), self.threshold)
    }
}

/// Which rules, and where their thresholds are.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSet {
    presets: Vec<Preset>,
    measures: Vec<Measure>,
    /// Each with the place of its measure.
    limits: Vec<(usize, Limit)>,
}

/// What the rules say of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Rules that it breaks.
    pub broken: u16,
    /// The first of them, as a place in [`RuleSet::limits`].
    pub first: Option<usize>,
}

impl RuleSet {
    /// The rules of presets, of which order and repetitions do not matter, with other thresholds for some of them.
    ///
    /// # Errors
    /// No preset, a threshold for a rule that is of none of them, one that is not finite; [`RulesError::hint`] says what to write.
    pub fn new(presets: &[Preset], thresholds: &BTreeMap<String, f64>) -> Result<Self, RulesError> {
        let presets: Vec<Preset> =
            Preset::ALL.into_iter().filter(|preset| presets.contains(preset)).collect();
        if presets.is_empty() {
            return Err(RulesError::NoPreset);
        }
        let measures: Vec<Measure> = presets.iter().flat_map(|preset| preset.measures()).copied().collect();
        let at = |column: &str| {
            measures
                .iter()
                .position(|measure| measure.column == column)
                .expect("a rule's measure is of its preset")
        };
        let limits = presets.iter().flat_map(|preset| preset.limits());
        let mut limits: Vec<(usize, Limit)> = limits.map(|limit| (at(limit.column), *limit)).collect();
        for (name, &value) in thresholds {
            if !value.is_finite() {
                return Err(RulesError::NotFinite { name: name.clone(), value });
            }
            match limits.iter_mut().find(|(_, limit)| limit.name == name) {
                // Minus nothing is nothing.
                Some((_, limit)) => limit.threshold = value + 0.0,
                None => return Err(unknown(name, &presets)),
            }
        }
        Ok(Self { presets, measures, limits })
    }

    /// The presets, in order.
    #[must_use]
    pub fn presets(&self) -> &[Preset] {
        &self.presets
    }

    /// What is measured, in the order of columns.
    #[must_use]
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// The rules, in the order in which the first that is broken is named.
    pub fn limits(&self) -> impl ExactSizeIterator<Item = &Limit> {
        self.limits.iter().map(|(_, limit)| limit)
    }

    /// What they say of a text with these measures.
    ///
    /// # Panics
    /// If there are not as many values as measures.
    #[must_use]
    pub fn judge(&self, values: &[f64]) -> Verdict {
        assert_eq!(values.len(), self.measures.len(), "a value for each measure");
        let mut verdict = Verdict { broken: 0, first: None };
        for (place, (at, limit)) in self.limits.iter().enumerate() {
            if limit.is_broken_by(values[*at]) {
                verdict.broken += 1;
                verdict.first.get_or_insert(place);
            }
        }
        verdict
    }

    /// Adds everything that decides measures and verdicts.
    #[must_use]
    pub fn describe(&self, mut fingerprint: Fingerprint) -> Fingerprint {
        let (major, minor, update) = char::UNICODE_VERSION;
        fingerprint = fingerprint
            .with("presets", names(&self.presets))
            .with("measures", VERSION)
            .with("words", words::WORDS)
            .with("unicode", format!("{major}.{minor}.{update}"));
        for limit in self.limits() {
            fingerprint = fingerprint.with(&format!("threshold.{}", limit.name), limit.threshold);
        }
        fingerprint
    }
}

fn names(presets: &[Preset]) -> String {
    presets.iter().map(|preset| preset.name()).collect::<Vec<_>>().join(",")
}

fn unknown(name: &str, presets: &[Preset]) -> RulesError {
    let of = |preset: &Preset| preset.limits().iter().any(|limit| limit.name == name);
    if let Some(preset) = Preset::ALL.iter().find(|preset| of(preset)) {
        return RulesError::OtherPreset {
            name: name.to_owned(),
            preset: preset.name(),
            presets: names(presets),
        };
    }
    let known: Vec<&'static str> =
        presets.iter().flat_map(|preset| preset.limits()).map(|limit| limit.name).collect();
    let nearest = nearest(name, known.iter().copied());
    RulesError::Unknown {
        name: name.to_owned(),
        nearest: nearest.and_then(|nearest| known.iter().copied().find(|known| *known == nearest)),
        known,
    }
}

/// Measures one text after another, in memory that is used again.
#[derive(Debug, Default)]
pub struct RuleMeasurer {
    ngrams: Ngrams,
    seen: Seen,
    c4: C4,
}

impl RuleMeasurer {
    /// Appends the measures of a text to `values`, in the order of [`RuleSet::measures`].
    pub fn measure(&mut self, text: &str, rules: &RuleSet, values: &mut Vec<f64>) {
        let has = |preset| rules.presets.contains(&preset);
        let repetition = has(Preset::GopherRepetition);
        let characters = text.chars().count() as u64;
        let mut quality = GopherQuality::default();
        let mut words = 0_u64;
        // Bytes up to the last word of which n-grams are made, where that is not the last of the text.
        let mut looked_at = None;
        self.ngrams.clear();
        if repetition || has(Preset::GopherQuality) || has(Preset::FineWeb) {
            words::each_word(text, |word| {
                words += 1;
                quality.push(&word);
                if repetition && looked_at.is_none() {
                    self.ngrams.push(word.text, word.characters);
                    if self.ngrams.is_full() {
                        looked_at =
                            Some(word.text.as_ptr() as usize + word.text.len() - text.as_ptr() as usize);
                    }
                }
            });
        }
        for preset in &rules.presets {
            match preset {
                Preset::GopherQuality => values.extend(quality.values(text)),
                Preset::GopherRepetition => {
                    let of_words = looked_at.map_or(characters, |end| text[..end].chars().count() as u64);
                    let ngrams = &mut self.ngrams;
                    let seen = &mut self.seen;
                    values.extend(gopher_repetition::values(text, (characters, of_words), ngrams, seen));
                }
                Preset::C4 => values.extend(self.c4.values(text)),
                Preset::FineWeb => values.extend(fineweb::values(text, characters, words, &mut self.seen)),
            }
        }
    }
}

/// A part of a whole; 0 where there is no whole.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
