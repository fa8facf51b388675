//! `counts`: what needs no model, for selections, for `show`, and as what a judge has to beat.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use tamis_core::{
    Direction, DocumentBatch, Fingerprint, Input, Parallelism, Ranking, Result, Rule, Signal, SignalInfo,
    column,
};

use super::{Definition, Named, Ready};
use crate::Observer;
use crate::evaluation::{TextCounter, TextCounts};

/// Trivial counts of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountsOptions {}

impl Named for CountsOptions {
    const NAME: &'static str = "counts";
    const HELP: &'static str = "trivial counts of its text: words, stop words, line lengths";

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

impl Definition for CountsOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn foreseen(&self) -> crate::Result<Option<SignalInfo>> {
        Ok(Some(Counts::new().info))
    }

    fn build(&self, _observer: &dyn Observer) -> crate::Result<Ready> {
        Ok(Ready::exact(Counts::new()))
    }
}

/// Raised when a count of the same text changes.
const VERSION: u32 = 1;

/// The counts of [`TextCounts`], one column each. No text is too short or too long: no row fails.
struct Counts {
    info: SignalInfo,
}

impl Counts {
    fn new() -> Self {
        let mut fields: Vec<Field> =
            TextCounts::NAMES.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect();
        fields.push(Field::new(column::FAILED, DataType::Utf8, true));
        let info = SignalInfo {
            name: "counts".to_owned(),
            fingerprint: Fingerprint::new("counts", VERSION),
            input: Input::DOCUMENTS,
            parallelism: Parallelism::PerCore,
            schema: Arc::new(Schema::new(fields)),
            // The count that tells most about web text; which one is best on a corpus, labels have to say.
            ranking: Some(Ranking {
                column: "stop_word_share".to_owned(),
                direction: Direction::HigherIsBetter,
                rule: Rule::Top,
            }),
            part_bytes: 32 << 20,
            notes: BTreeMap::from([("stop_words".to_owned(), "English".to_owned())]),
        };
        Self { info }
    }
}

impl Signal for Counts {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        let texts = documents.texts();
        let mut counter = TextCounter::default();
        let rows: Vec<_> = (0..documents.len()).map(|at| counter.count(texts.value(at)).values()).collect();
        let mut columns: Vec<ArrayRef> = (0..TextCounts::NAMES.len())
            .map(|at| Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row[at]))) as ArrayRef)
            .collect();
        columns.push(Arc::new(StringArray::from(vec![None::<&str>; rows.len()])));
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;

    use super::*;

    #[test]
    fn a_batch_is_its_documents_one_by_one_and_hostile_text_is_counted() {
        let texts = [
            "The cat and the hat.",
            "",
            " \n",
            "\u{0}\u{202e}ﷺ\u{10ffff}",
            "a\r\n\r\nb",
            &"x".repeat(100_000),
        ];
        let counts = Counts::new();
        let whole = counts.annotate(DocumentBatch::from_texts(texts).as_arrow()).unwrap();
        assert_eq!(whole.schema(), counts.info().schema);
        for (row, text) in texts.iter().enumerate() {
            let alone = counts.annotate(DocumentBatch::from_texts([*text]).as_arrow()).unwrap();
            let expected = TextCounts::of(text).values();
            for (at, name) in TextCounts::NAMES.iter().enumerate() {
                let value = |batch: &RecordBatch, row| {
                    batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().value(row)
                };
                assert_eq!((value(&whole, row), value(&alone, 0)), (expected[at], expected[at]), "{name}");
            }
        }
    }
}
