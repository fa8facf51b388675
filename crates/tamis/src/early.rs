//! A look at the first answers of a judge, while there is still time to stop.
//!
//! A judge that hardly ever says yes or no is found at the end of a run by the mean of all rows; this finds it after the first
//! ones. It changes nothing of what is computed, and it speaks once. Whose rows are first depends on the workers, so the number
//! that it names may differ from call to call; the finding at the end does not.

use std::sync::{Mutex, PoisonError};

use arrow_array::RecordBatch;
use tamis_core::{Result, Signal, SignalInfo};
use tamis_models::ask_llm::JudgeDiagnostics;

use crate::Observer;

/// Rows that are enough to tell a judge that does not answer from a few odd documents.
const ENOUGH_ROWS: u64 = 32;

/// A judge that is looked at.
pub(crate) struct EarlyLook<'a> {
    judge: &'a dyn Signal,
    observer: &'a dyn Observer,
    /// What was seen so far; `None` once it was enough.
    seen: Mutex<Option<JudgeDiagnostics>>,
}

impl<'a> EarlyLook<'a> {
    pub(crate) fn new(judge: &'a dyn Signal, observer: &'a dyn Observer) -> Self {
        Self { judge, observer, seen: Mutex::new(Some(JudgeDiagnostics::default())) }
    }

    fn look(&self, answers: &RecordBatch) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(diagnostics) = seen.as_mut() else { return };
        diagnostics.add_annotated(answers);
        if diagnostics.rows < ENOUGH_ROWS {
            return;
        }
        if let Some(warning) = diagnostics.warning() {
            self.observer.warn(&format!("after the first {} documents: {warning}", diagnostics.rows));
        }
        *seen = None;
    }
}

impl Signal for EarlyLook<'_> {
    fn info(&self) -> &SignalInfo {
        self.judge.info()
    }

    fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
        let answers = self.judge.annotate(input)?;
        self.look(&answers);
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array};
    use tamis_core::{DocumentBatch, Fingerprint, Input, Parallelism};
    use tamis_models::ask_llm::columns::{P_NO, P_YES};

    use super::*;

    /// Puts the same probability on yes and on no, whatever it reads.
    struct Constant {
        info: SignalInfo,
        mass: f64,
    }

    impl Signal for Constant {
        fn info(&self) -> &SignalInfo {
            &self.info
        }

        fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
            let column = || Arc::new(Float64Array::from(vec![self.mass; input.num_rows()])) as ArrayRef;
            Ok(RecordBatch::try_from_iter([(P_YES, column()), (P_NO, column())])?)
        }
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Observer for Heard {
        fn begin(&self, _stage: &str, _total: u64) {}
        fn advance(&self, _documents: u64, _tokens: u64, _units: u64) {}
        fn end(&self) {}
        fn warn(&self, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
        fn note(&self, _message: &str) {}
    }

    fn heard(mass: f64, batches: usize) -> Vec<String> {
        let info = SignalInfo {
            name: "ask-llm".to_owned(),
            fingerprint: Fingerprint::new("ask-llm", 1),
            input: Input::DOCUMENTS,
            parallelism: Parallelism::PerCore,
            schema: Arc::new(arrow_schema::Schema::empty()),
            ranking: None,
            part_bytes: 1,
            notes: BTreeMap::new(),
        };
        let (judge, observer) = (Constant { info, mass }, Heard::default());
        let look = EarlyLook::new(&judge, &observer);
        let documents = DocumentBatch::from_texts(["a"; 20]);
        for _ in 0..batches {
            let answers = look.annotate(documents.as_arrow()).unwrap();
            assert_eq!(answers, judge.annotate(documents.as_arrow()).unwrap(), "nothing is changed");
        }
        observer.0.into_inner().unwrap()
    }

    #[test]
    fn judge_that_does_not_answer_is_told_once_and_early() {
        assert!(heard(0.01, 1).is_empty(), "20 rows are not enough");
        let told = heard(0.01, 9);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("after the first 40 documents: the judge puts only 2.0 %"),
            "{}",
            told[0]
        );
        assert!(heard(0.4, 9).is_empty());
    }
}
