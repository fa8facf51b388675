//! The n-grams of evaluations in each document, as a signal.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, UInt32Builder};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use tamis_core::{DocumentBatch, Fingerprint, Input, Parallelism, Result, Signal, SignalInfo, column};

use super::{EvaluationIndex, MOST_MATCHES};
use crate::minhash::words;

/// Column of the n-grams of a document: their numbers in the index, each once, in the order in which they end.
pub const NGRAMS: &str = "ngrams";

/// N-grams of evaluations in documents, whether they are frequent or not. Columns: `ngrams` list of u32, `failed` (never).
///
/// A document without an n-gram has an empty list, one without words too. A list has no more than [`MOST_MATCHES`] numbers and, since
/// every one takes a word, about as many bytes as the text at most.
#[derive(Clone, Debug)]
pub struct MatchesSignal {
    index: Arc<EvaluationIndex>,
    info: SignalInfo,
}

impl MatchesSignal {
    /// Its name.
    pub const NAME: &'static str = "contamination-matches";
    /// Version of the values; raised only when they change.
    const VERSION: u32 = 1;

    /// The signal of an index.
    #[must_use]
    pub fn new(index: Arc<EvaluationIndex>) -> Self {
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::UInt32, true)));
        let schema = Schema::new(vec![
            Field::new(NGRAMS, list, true),
            Field::new(column::FAILED, DataType::Utf8, true),
        ]);
        let notes = BTreeMap::from([
            ("ngrams".to_owned(), index.ngrams().to_string()),
            ("index_bytes".to_owned(), index.size_bytes().to_string()),
        ]);
        let info = SignalInfo {
            name: Self::NAME.to_owned(),
            fingerprint: Fingerprint::new(Self::NAME, Self::VERSION)
                .with("ngrams", index.digest())
                .with("words", index.words_of_ngrams())
                .with("most", MOST_MATCHES)
                .with("normalisation", words::NORMALISATION)
                .with("unicode", words::unicode_version()),
            input: Input::DOCUMENTS,
            parallelism: Parallelism::PerCore,
            schema: Arc::new(schema),
            ranking: None,
            part_bytes: 512 << 20,
            notes,
        };
        Self { index, info }
    }
}

impl Signal for MatchesSignal {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        let mut scanner = self.index.scanner();
        let mut lists = ListBuilder::new(UInt32Builder::new());
        for text in documents.texts() {
            lists.values().append_slice(text.map_or(&[], |text| scanner.scan(text)));
            lists.append(true);
        }
        let failed: StringArray = std::iter::repeat_n(None::<&str>, documents.len()).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(lists.finish()), Arc::new(failed)];
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}
