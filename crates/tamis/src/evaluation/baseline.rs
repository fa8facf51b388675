//! How far each trivial count alone goes against the labels.

use tamis_core::Direction;

use super::auc::auc_with_interval;
use super::bootstrap::{Bootstrap, Estimate};
use super::counts::{TextCounter, TextCounts};
use super::error::{Result, same_length};

/// One trivial count as a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    /// Name of the count, one of [`TextCounts::NAMES`].
    pub name: &'static str,
    /// Which way round it separates the labels better. Chosen on these very labels: say so wherever `auc` is shown,
    /// because a judge whose direction is fixed beforehand competes at a disadvantage.
    pub direction: Direction,
    /// AUC in that direction, hence at least 0.5. Its interval is resampled with the direction held fixed.
    pub auc: Estimate,
}

impl Baseline {
    /// This count of each document, turned so that larger is better.
    #[must_use]
    pub fn scores(&self, counts: &[TextCounts]) -> Vec<f64> {
        let column = TextCounts::NAMES.iter().position(|name| *name == self.name);
        let sign = match self.direction {
            Direction::HigherIsBetter => 1.0,
            Direction::LowerIsBetter => -1.0,
        };
        counts.iter().map(|count| sign * column.map_or(0.0, |column| count.values()[column])).collect()
    }
}

/// AUC of every trivial count of N texts against N labels, best first; equal ones in the order of [`TextCounts::NAMES`].
///
/// The first of them is the best of nine in the better of two directions, so it flatters the counts a little; on a few
/// hundred documents by a few hundredths.
///
/// # Errors
/// As [`auc`](super::auc): [`Error::Length`](super::Error::Length), [`Error::OneClass`](super::Error::OneClass).
pub fn baselines(texts: &[&str], good: &[bool], bootstrap: Bootstrap) -> Result<Vec<Baseline>> {
    let mut counter = TextCounter::default();
    let counts: Vec<TextCounts> = texts.iter().map(|text| counter.count(text)).collect();
    baselines_of(&counts, good, bootstrap)
}

/// [`baselines`] of texts that are counted already.
///
/// # Errors
/// As [`baselines`].
pub fn baselines_of(counts: &[TextCounts], good: &[bool], bootstrap: Bootstrap) -> Result<Vec<Baseline>> {
    same_length(counts.len(), good.len())?;
    let counts: Vec<_> = counts.iter().map(TextCounts::values).collect();
    let mut found = Vec::with_capacity(TextCounts::NAMES.len());
    for (column, name) in TextCounts::NAMES.into_iter().enumerate() {
        let scores: Vec<f64> = counts.iter().map(|row| row[column]).collect();
        let upward = auc_with_interval(&scores, good, bootstrap)?;
        let baseline = if upward.value >= 0.5 {
            Baseline { name, direction: Direction::HigherIsBetter, auc: upward }
        } else {
            // AUC of the negated score in every resample: the complement.
            let auc = Estimate { value: 1.0 - upward.value, low: 1.0 - upward.high, high: 1.0 - upward.low };
            Baseline { name, direction: Direction::LowerIsBetter, auc }
        };
        found.push(baseline);
    }
    found.sort_by(|a, b| b.auc.value.total_cmp(&a.auc.value));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Error;

    const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 200, seed: 0 };

    #[test]
    fn each_count_is_turned_the_way_it_separates() {
        let texts = [
            "the river is in the valley",
            "a house on a hill and a tree",
            "BUY NOW 99 !!!",
            "SALE SALE 50 %%",
        ];
        let found = baselines(&texts, &[true, true, false, false], BOOTSTRAP).unwrap();
        assert_eq!(found.len(), TextCounts::NAMES.len());
        assert!(found.windows(2).all(|pair| pair[0].auc.value >= pair[1].auc.value));
        assert!(found.iter().all(|baseline| baseline.auc.value >= 0.5 && baseline.auc.high <= 1.0));
        let capitals = found.iter().find(|baseline| baseline.name == "capitals_share").unwrap();
        assert_eq!((capitals.direction, capitals.auc.value), (Direction::LowerIsBetter, 1.0));
        let stop_words = found.iter().find(|baseline| baseline.name == "stop_word_share").unwrap();
        assert_eq!((stop_words.direction, stop_words.auc.value), (Direction::HigherIsBetter, 1.0));
    }

    #[test]
    fn labels_of_one_class_are_refused() {
        let found = baselines(&["one", "two"], &[false, false], BOOTSTRAP);
        assert_eq!(found, Err(Error::OneClass { documents: 2, good: false }));
        assert_eq!(baselines(&["one"], &[], BOOTSTRAP), Err(Error::Length { expected: 1, got: 0 }));
    }

    #[derive(serde::Deserialize)]
    struct DemoDocument {
        id: String,
        text: String,
        label: String,
        kind: String,
        duplicate_of: Option<String>,
        license: String,
    }

    fn demo() -> Vec<DemoDocument> {
        include_str!("../../demo/corpus.jsonl")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn demo_corpus_is_as_its_readme_says() {
        let documents = demo();
        let distinct: Vec<_> = documents.iter().filter(|document| document.duplicate_of.is_none()).collect();
        let good = distinct.iter().filter(|document| document.label == "good").count();
        let copies = documents.iter().filter_map(|document| {
            let of = document.duplicate_of.as_ref()?;
            Some((
                document,
                distinct.iter().find(|original| original.id == *of).expect("copies name an original"),
            ))
        });
        let exact = copies.clone().filter(|(copy, original)| copy.text == original.text).count();
        assert!(
            copies
                .clone()
                .all(|(copy, original)| (&copy.label, &copy.kind) == (&original.label, &original.kind))
        );
        assert_eq!(
            (documents.len(), good, distinct.len() - good, exact, copies.count()),
            (571, 257, 214, 40, 100)
        );
        assert!(
            documents
                .iter()
                .all(|document| !document.license.is_empty() && document.text.trim() == document.text)
        );
    }

    #[test]
    fn length_tells_nothing_about_the_demo_corpus() {
        let documents = demo();
        let distinct: Vec<_> = documents.iter().filter(|document| document.duplicate_of.is_none()).collect();
        let texts: Vec<&str> = distinct.iter().map(|document| document.text.as_str()).collect();
        let good: Vec<bool> = distinct.iter().map(|document| document.label == "good").collect();
        let found = baselines(&texts, &good, BOOTSTRAP).unwrap();
        for baseline in &found {
            println!(
                "{} {:?} {:.3} ({:.3}–{:.3})",
                baseline.name, baseline.direction, baseline.auc.value, baseline.auc.low, baseline.auc.high
            );
        }
        assert!(found.iter().find(|baseline| baseline.name == "characters").unwrap().auc.value < 0.55);
    }
}
