//! Perplexity of documents under an n-gram model, as a signal.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use tamis_core::{
    Direction, DocumentBatch, Error, Fingerprint, Input, Parallelism, Ranking, Result, Rule, Signal,
    SignalInfo, column, reason,
};

use super::{NgramModel, Scorer, Segment};

/// A model and how text becomes its words.
pub struct NgramSource {
    /// The model.
    pub model: NgramModel,
    /// Digest of the lines of its file.
    pub digest: String,
    /// How lines are cut into words.
    pub segment: Arc<dyn Segment>,
}

impl std::fmt::Debug for NgramSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NgramSource")
            .field("digest", &self.digest)
            .field("segment", &self.segment.name())
            .finish_non_exhaustive()
    }
}

/// Per document, over the words and the ends of all its lines that have a word:
///
/// | column | value |
/// | --- | --- |
/// | `perplexity` | exp(`nll_token`); lower = more like the text that the model was trained on |
/// | `nll` | −ln p of the document, in nats |
/// | `nll_token`, `nll_byte` | the same per token and per byte of text |
/// | `tokens` | words and ends of lines |
/// | `oov_share` | share of the words that the model does not know, in [0, 1] |
#[derive(Debug)]
pub struct NgramSignal {
    source: NgramSource,
    info: SignalInfo,
}

impl NgramSignal {
    /// Version of the scoring; raised only when values change.
    const VERSION: u32 = 1;

    /// The signal of a model.
    #[must_use]
    pub fn new(source: NgramSource) -> Self {
        let float = |name: &str| Field::new(name, DataType::Float64, true);
        let schema = Schema::new(vec![
            float("perplexity"),
            float("nll"),
            float("nll_token"),
            float("nll_byte"),
            Field::new("tokens", DataType::UInt64, true),
            float("oov_share"),
            Field::new(column::FAILED, DataType::Utf8, true),
        ]);
        let counts: Vec<String> = source.model.counts().iter().map(u64::to_string).collect();
        let mut notes = BTreeMap::from([
            ("ngrams".to_owned(), counts.join(" ")),
            ("memory_bytes".to_owned(), source.model.memory_bytes().to_string()),
        ]);
        if source.model.inserted() > 0 {
            notes.insert("inserted_ngrams".to_owned(), source.model.inserted().to_string());
        }
        let info = SignalInfo {
            name: "ngram".to_owned(),
            fingerprint: Fingerprint::new("ngram", Self::VERSION)
                .with("model", &source.digest)
                .with("order", source.model.order())
                .with("text", source.segment.name()),
            input: Input::DOCUMENTS,
            parallelism: Parallelism::PerCore,
            schema: Arc::new(schema),
            ranking: Some(Ranking {
                column: "perplexity".to_owned(),
                direction: Direction::LowerIsBetter,
                rule: Rule::Bottom,
            }),
            part_bytes: 32 << 20,
            notes,
        };
        Self { source, info }
    }
}

impl Signal for NgramSignal {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        let texts = documents.texts();
        let mut scorer = Scorer::new(&self.source.model);
        let mut values: [Vec<Option<f64>>; 5] = Default::default();
        let mut tokens = Vec::with_capacity(documents.len());
        let mut failed = Vec::with_capacity(documents.len());
        for at in 0..documents.len() {
            let text = texts.value(at);
            let score = scorer
                .score(text, &*self.source.segment)
                .map_err(|problem| Error::signal("ngram", std::io::Error::other(problem)))?;
            let nll = -score.log10 * std::f64::consts::LN_10;
            let problem = match score.tokens() {
                0 => Some(reason::NO_TOKENS),
                _ if !score.perplexity().is_finite() => Some(reason::NOT_FINITE),
                _ => None,
            };
            let count = score.tokens();
            let row = [
                score.perplexity(),
                nll,
                nll / count as f64,
                nll / text.len() as f64,
                score.unknown as f64 / score.words as f64,
            ];
            for (values, value) in values.iter_mut().zip(row) {
                values.push(problem.is_none().then_some(value));
            }
            tokens.push(problem.is_none().then_some(count));
            failed.push(problem);
        }
        let [perplexity, nll, nll_token, nll_byte, oov_share] =
            values.map(|values| Arc::new(Float64Array::from(values)) as ArrayRef);
        let tokens = Arc::new(UInt64Array::from(tokens));
        let failed = Arc::new(StringArray::from(failed));
        let columns = vec![perplexity, nll, nll_token, nll_byte, tokens, oov_share, failed];
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}
