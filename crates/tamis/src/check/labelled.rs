//! Labelled documents: the set that ships inside, or a file of the user's.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use tamis_core::Digest;

use crate::{Error, Result};

/// 348 good documents, each spoilt in two ways, and real junk of ten kinds; see `labelled/README.md`.
const SHIPPED: &str = include_str!("../../labelled/labelled.jsonl");

/// Kind of documents in a file that names none.
const NO_KIND: &str = "bad";

/// Fewer documents of a class make every interval too wide to say anything.
const FEWEST: usize = 10;

/// Which part of the shipped set. Prompts and calibration were chosen on the tuning half alone, so only figures of the
/// reporting half say what a judge is worth. A document and all that was made of it are in one half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Half {
    /// What prompts may be chosen on.
    Tuning,
    /// What results are stated on.
    #[default]
    Reporting,
    /// Both.
    Both,
}

/// A document with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labelled {
    pub(crate) text: String,
    pub(crate) good: bool,
    /// What it is; for bad documents, the way in which they are bad.
    pub(crate) kind: String,
}

/// Labelled documents and where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelledSet {
    pub(crate) name: String,
    /// Digest of everything that was read.
    pub(crate) digest: Digest,
    pub(crate) documents: Vec<Labelled>,
}

#[derive(Deserialize)]
struct Row {
    text: Option<String>,
    label: Option<serde_json::Value>,
    kind: Option<String>,
    half: Option<String>,
}

impl LabelledSet {
    /// A half of the set that ships inside.
    pub(crate) fn shipped(half: Half) -> Result<Self> {
        let (name, wanted) = match half {
            Half::Tuning => ("the tuning half of the shipped set", Some("tuning")),
            Half::Reporting => ("the reporting half of the shipped set", Some("reporting")),
            Half::Both => ("the shipped set", None),
        };
        Self::parse(name, SHIPPED, wanted)
    }

    /// A file of JSON lines with `text`, `label` (good or bad) and, for figures by kind, `kind`.
    ///
    /// # Errors
    /// A file that cannot be read, a line that is no such object, a label of another word, or too few of a class.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::usage(format!("labelled file `{name}`: {error}"), "name a file of JSON lines in UTF-8")
        })?;
        Self::parse(&name, &text, None)
    }

    fn parse(name: &str, lines: &str, half: Option<&str>) -> Result<Self> {
        let mut documents = Vec::new();
        for (at, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = || format!("labelled file `{name}`, line {}", at + 1);
            let row: Row = serde_json::from_str(line).map_err(|error| {
                Error::usage(
                    format!("{}: {error}", place()),
                    r#"a line is {"text": "…", "label": "good", "kind": "news"}"#,
                )
            })?;
            if half.is_some_and(|half| row.half.as_deref() != Some(half)) {
                continue;
            }
            let missing = |column: &str| {
                Error::usage(
                    format!("{}: no `{column}`", place()),
                    "every line needs `text` and `label` (good or bad); `kind` says in which way a document is bad",
                )
            };
            let text = row.text.ok_or_else(|| missing("text"))?;
            let label = row.label.ok_or_else(|| missing("label"))?;
            let good = good_or_bad(&label).ok_or_else(|| {
                Error::usage(
                    format!("{}: expected label `good` or `bad`, got `{label}`", place()),
                    "labels are good or bad, true or false, 1 or 0",
                )
            })?;
            let kind = row.kind.filter(|kind| !kind.is_empty()).unwrap_or_else(|| NO_KIND.to_owned());
            documents.push(Labelled { text, good, kind });
        }
        let good = documents.iter().filter(|document| document.good).count();
        let bad = documents.len() - good;
        if good == 0 || bad == 0 {
            return Err(Error::usage(
                format!("labelled file `{name}`: {good} good and {bad} bad documents"),
                "a judge can only be checked with documents of both labels",
            ));
        }
        if good < FEWEST || bad < FEWEST {
            return Err(Error::usage(
                format!(
                    "labelled file `{name}`: {good} good and {bad} bad documents, expected {FEWEST} of each"
                ),
                "label more: with fewer, chance decides; with 50 of a kind an interval is about 0.1 wide on each side",
            ));
        }
        Ok(Self { name: name.to_owned(), digest: Digest::of(lines.as_bytes()), documents })
    }

    /// Leaves at most so many documents of each label and kind: those that come first in the order of their digests, so
    /// that a set that grows changes little.
    pub(crate) fn at_most(&mut self, most: usize) {
        let mut order: Vec<(Digest, usize)> = self
            .documents
            .iter()
            .enumerate()
            .map(|(at, document)| (Digest::of(document.text.as_bytes()), at))
            .collect();
        order.sort_by_key(|(digest, at)| (digest.to_string(), *at));
        let mut counts: BTreeMap<(bool, String), usize> = BTreeMap::new();
        let mut stays = vec![false; self.documents.len()];
        for (_, at) in order {
            let document = &self.documents[at];
            let count = counts.entry((document.good, document.kind.clone())).or_default();
            *count += 1;
            stays[at] = *count <= most;
        }
        let mut stays = stays.into_iter();
        self.documents.retain(|_| stays.next().unwrap_or(false));
    }

    /// Kinds of bad documents in alphabetical order.
    pub(crate) fn kinds_of_bad(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self
            .documents
            .iter()
            .filter(|document| !document.good)
            .map(|document| document.kind.clone())
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }
}

fn good_or_bad(label: &serde_json::Value) -> Option<bool> {
    use serde_json::Value;
    match label {
        Value::Bool(good) => Some(*good),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(word) => match word.to_lowercase().as_str() {
            "good" | "yes" | "1" | "true" => Some(true),
            "bad" | "no" | "0" | "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{Bootstrap, baselines};

    #[test]
    fn shipped_halves_share_no_document_and_have_enough_of_each_kind() {
        #[derive(serde::Deserialize)]
        struct Row {
            label: String,
            kind: String,
            half: String,
            of: String,
        }
        let rows: Vec<Row> = SHIPPED.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut halves: BTreeMap<&str, &str> = BTreeMap::new();
        let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for row in &rows {
            assert_eq!(*halves.entry(&row.of).or_insert(&row.half), row.half, "{} is in both halves", row.of);
            *kinds.entry((&row.label, &row.kind)).or_default() += 1;
        }
        assert!(kinds.values().all(|count| *count >= 30), "{kinds:?}");
        let good = kinds.keys().filter(|(label, _)| *label == "good").count();
        assert!(good >= 8 && kinds.len() - good >= 12, "{kinds:?}");
        assert!(SHIPPED.len() < 1_500_000);
    }

    #[test]
    fn length_tells_nothing_about_either_half() {
        for half in [Half::Tuning, Half::Reporting, Half::Both] {
            let set = LabelledSet::shipped(half).unwrap();
            let texts: Vec<&str> = set.documents.iter().map(|document| document.text.as_str()).collect();
            let good: Vec<bool> = set.documents.iter().map(|document| document.good).collect();
            let found = baselines(&texts, &good, Bootstrap { replicates: 0, seed: 0 }).unwrap();
            let length = found.iter().find(|baseline| baseline.name == "characters").unwrap();
            assert!(length.auc.value <= 0.55, "{half:?}: {length:?}");
        }
    }

    #[test]
    fn unusable_files_are_refused_with_the_line_and_a_hint() {
        let good = r#"{"text": "a", "label": "good"}"#;
        let cases = [
            ("", "0 good and 0 bad"),
            (good, "1 good and 0 bad"),
            ("{}", "line 1: no `text`"),
            (r#"{"text": "a"}"#, "line 1: no `label`"),
            (r#"{"text": "a", "label": "fine"}"#, "got `\"fine\"`"),
            (r#"{"text": "a", "label": 2}"#, "got `2`"),
            ("not json", "line 1: "),
            (r#"{"text": 7, "label": 1}"#, "line 1: "),
        ];
        for (lines, expected) in cases {
            let error = LabelledSet::parse("mine", lines, None).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.hint().is_some() && error.is_usage());
        }
        let few = [good, r#"{"text": "b", "label": "bad"}"#].join("\n");
        let error = LabelledSet::parse("mine", &few, None).unwrap_err();
        assert!(error.to_string().contains("expected 10 of each"), "{error}");
        assert!(LabelledSet::read(Path::new("/no/such.jsonl")).unwrap_err().is_usage());
    }

    #[test]
    fn labels_may_be_words_numbers_or_truths_and_a_kind_may_be_missing() {
        let lines: Vec<String> = (0..30)
            .map(|n| match n % 3 {
                0 => format!(r#"{{"text": "t{n}", "label": "Good"}}"#),
                1 => format!(r#"{{"text": "t{n}", "label": 0, "kind": "spam"}}"#),
                _ => format!(r#"{{"text": "t{n}", "label": false}}"#),
            })
            .collect();
        let mut set = LabelledSet::parse("mine", &lines.join("\n\n"), None).unwrap();
        assert_eq!(set.kinds_of_bad(), ["bad", "spam"]);
        assert_eq!(set.documents.iter().filter(|document| document.good).count(), 10);
        set.at_most(4);
        assert_eq!(set.documents.len(), 12);
    }
}
