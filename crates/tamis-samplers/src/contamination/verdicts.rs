//! What the n-grams of a document come to, once it is known which are frequent.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{StringBuilder, UInt32Builder};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use tamis_core::{
    Direction, Error, Fingerprint, Input, Parallelism, Ranking, Result, Rule, Signal, SignalInfo, column,
    reason,
};

use super::counts::{ngrams_of, values};
use super::{DocumentCounts, EvaluationIndex};

/// N-grams of evaluations that count.
pub const MATCHES: &str = "matches";
/// The evaluation that most of them are of.
pub const EVALUATION: &str = "evaluation";
/// The words of the first of that evaluation.
pub const MATCHED: &str = "matched";

/// What is read: the n-grams of each document.
const ROLE: &str = "matches";

/// Which n-grams count, and what documents come to by them.
#[derive(Clone, Debug)]
pub struct Verdicts {
    index: Arc<EvaluationIndex>,
    /// By n-gram: found in more documents than count.
    is_frequent: Vec<bool>,
}

/// What a document comes to by its n-grams that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict<'v> {
    /// How many count.
    matches: u32,
    /// The evaluation that most of them are of, by its number; of several the first by name.
    evaluation: usize,
    /// The words of the first n-gram of that evaluation.
    words: &'v str,
}

impl Verdicts {
    /// By how many documents each n-gram is found in; of those in more than `most` none counts.
    ///
    /// # Errors
    /// Counts of another index.
    pub fn new(index: Arc<EvaluationIndex>, counts: &DocumentCounts, most: u64) -> Result<Self> {
        counts.check_of(&index)?;
        let is_frequent = counts.counts().iter().map(|count| u64::from(*count) > most).collect();
        Ok(Self { index, is_frequent })
    }

    /// N-grams that do not count.
    #[must_use]
    pub fn frequent(&self) -> usize {
        self.is_frequent.iter().filter(|is| **is).count()
    }

    /// Of each evaluation the items that have an n-gram which counts and is found in a document.
    ///
    /// # Panics
    /// If the counts are of another index.
    #[must_use]
    pub fn items_found(&self, counts: &DocumentCounts) -> Vec<u64> {
        let mut found = vec![false; self.index.items() as usize];
        for (ngram, count) in (0_u32..).zip(counts.counts()) {
            if *count > 0 && !self.is_frequent[ngram as usize] {
                self.index.items_of(ngram).iter().for_each(|item| found[*item as usize] = true);
            }
        }
        let mut items = vec![0; self.index.evaluations().len()];
        for item in (0_u32..).zip(&found).filter(|(_, found)| **found).map(|(item, _)| item) {
            items[self.index.evaluation_of(item)] += 1;
        }
        items
    }

    /// The evaluations of the n-grams that count, rising, each with how many and the first of them; `own` is made anew.
    fn tally(&self, ngrams: &[u32], own: &mut Vec<(usize, u32, u32)>) -> Result<u32> {
        own.clear();
        let mut matches = 0;
        for &ngram in ngrams {
            let other =
                || Error::Corrupt { what: "n-grams of a document", problem: format!("no n-gram {ngram}") };
            if *self.is_frequent.get(ngram as usize).ok_or_else(other)? {
                continue;
            }
            matches += 1;
            let mut before = None;
            for evaluation in self.index.items_of(ngram).iter().map(|item| self.index.evaluation_of(*item)) {
                // Items are by evaluation.
                if before.replace(evaluation) == Some(evaluation) {
                    continue;
                }
                match own.binary_search_by_key(&evaluation, |(evaluation, ..)| *evaluation) {
                    Ok(at) => own[at].1 += 1,
                    Err(at) => own.insert(at, (evaluation, 1, ngram)),
                }
            }
        }
        Ok(matches)
    }

    /// Adds a document to each evaluation of which one of a batch of [`super::MatchesSignal`] has an n-gram that counts. Documents that
    /// have any.
    ///
    /// # Errors
    /// A batch of another signal, or of another index.
    ///
    /// # Panics
    /// If there are fewer places than evaluations.
    pub fn count_documents(&self, batch: &RecordBatch, by_evaluation: &mut [u64]) -> Result<u64> {
        let lists = ngrams_of(batch)?;
        let (mut own, mut documents) = (Vec::new(), 0);
        for at in (0..lists.len()).filter(|at| lists.is_valid(*at) && lists.value_length(*at) > 0) {
            documents += u64::from(self.tally(values(&lists.value(at))?, &mut own)? > 0);
            own.iter().for_each(|(evaluation, ..)| by_evaluation[*evaluation] += 1);
        }
        Ok(documents)
    }

    /// What a document comes to; `None` where no n-gram counts.
    fn verdict(&self, ngrams: &[u32], own: &mut Vec<(usize, u32, u32)>) -> Result<Option<Verdict<'_>>> {
        let matches = self.tally(ngrams, own)?;
        // Of equal counts the last in this order is the first evaluation.
        let most = own.iter().rev().max_by_key(|(_, count, _)| *count);
        Ok(most.map(|&(evaluation, _, first)| Verdict {
            matches,
            evaluation,
            words: self.index.words(first),
        }))
    }
}

/// Where the signal comes from, for its fingerprint.
#[derive(Clone, Copy, Debug)]
pub struct Made<'m> {
    /// Fingerprint and full name of the sidecars that are read.
    pub matches: (&'m Fingerprint, &'m str),
    /// What evaluations there are: their names and contents.
    pub evaluations: &'m str,
    /// What is frequent.
    pub frequent: &'m str,
    /// All rows that decide what is frequent, as a field of the fingerprint: its name and value.
    pub all_rows: (&'m str, &'m str),
}

/// How contaminated documents are.
///
/// Columns: `matches` u32 (n-grams that count; fewer are better), `evaluation` (the one that most are of, null where there are none),
/// `matched` (words of its first n-gram), `veto` (`contaminated` and the evaluation), `failed`. It reads [`super::MatchesSignal`].
#[derive(Clone, Debug)]
pub struct ContaminationSignal {
    verdicts: Arc<Verdicts>,
    info: SignalInfo,
}

impl ContaminationSignal {
    /// Its name.
    pub const NAME: &'static str = "contamination";
    /// Version of the values; raised only when they change.
    const VERSION: u32 = 1;

    /// What it says of itself, apart from where it comes from.
    #[must_use]
    pub fn foreseen() -> SignalInfo {
        let schema = Schema::new(vec![
            Field::new(MATCHES, DataType::UInt32, true),
            Field::new(EVALUATION, DataType::Utf8, true),
            Field::new(MATCHED, DataType::Utf8, true),
            Field::new(column::VETO, DataType::Utf8, true),
            Field::new(column::FAILED, DataType::Utf8, true),
        ]);
        SignalInfo {
            name: Self::NAME.to_owned(),
            fingerprint: Fingerprint::new(Self::NAME, Self::VERSION),
            input: Input { documents: false, signals: Vec::new() },
            parallelism: Parallelism::PerCore,
            schema: Arc::new(schema),
            ranking: Some(Ranking {
                column: MATCHES.to_owned(),
                direction: Direction::LowerIsBetter,
                rule: Rule::Bottom,
            }),
            part_bytes: 1 << 30,
            notes: BTreeMap::new(),
        }
    }

    /// The signal of verdicts.
    #[must_use]
    pub fn new(verdicts: Arc<Verdicts>, made: &Made<'_>) -> Self {
        let mut info = Self::foreseen();
        let (fingerprint, name) = made.matches;
        info.input = Input::signal(ROLE, name);
        info.fingerprint = info
            .fingerprint
            .with_input(ROLE, fingerprint)
            .with("evaluations", made.evaluations)
            .with("frequent", made.frequent)
            .with(made.all_rows.0, made.all_rows.1);
        Self { verdicts, info }
    }
}

impl Signal for ContaminationSignal {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
        let batch = Input::of_role(input, ROLE)?;
        let lists = ngrams_of(&batch)?;
        let evaluations = self.verdicts.index.evaluations();
        let mut matches = UInt32Builder::with_capacity(lists.len());
        let [mut names, mut words, mut vetoes, mut failed] = [(); 4].map(|()| StringBuilder::new());
        let mut own = Vec::new();
        for at in 0..lists.len() {
            let verdict = match lists.is_valid(at) {
                true => self.verdicts.verdict(values(&lists.value(at))?, &mut own)?,
                false => None,
            };
            let name = verdict.map(|verdict| evaluations[verdict.evaluation].name.as_str());
            matches.append_option(lists.is_valid(at).then(|| verdict.map_or(0, |verdict| verdict.matches)));
            names.append_option(name);
            words.append_option(verdict.map(|verdict| verdict.words));
            vetoes.append_option(name.map(|name| format!("contaminated {name}")));
            failed.append_option(lists.is_null(at).then_some(reason::INPUT_FAILED));
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(matches.finish()),
            Arc::new(names.finish()),
            Arc::new(words.finish()),
            Arc::new(vetoes.finish()),
            Arc::new(failed.finish()),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}
