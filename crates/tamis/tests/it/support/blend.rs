//! A signal of the caller's own that reads two others, with or without the documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use tamis::{
    Direction, Fingerprint, Input, Parallelism, Project, Ranking, Repeatability, Rule, ScoreOptions, Scorer,
    Signal, SignalInfo, Worker,
};
use tamis_core::{DocumentBatch, column, reason};
use tamis_io::run::CorpusVersion;

use crate::signals::column as column_signal;

/// 1 + the logarithm of the number of words + the number in a column, + the length of the text where documents are read.
struct Blend {
    info: SignalInfo,
}

/// Columns of the two that are read.
const WORDS: &str = "words";
const NUMBER: &str = "number";

/// The signal, with the two that it reads computed for the worker's shards.
pub(crate) fn blend(
    project: &Project,
    version: &CorpusVersion,
    worker: Worker,
    documents: bool,
) -> tamis::Result<Scorer> {
    let options = ScoreOptions { worker, ..ScoreOptions::default() };
    let counts = tamis::options::SignalOptions::named("counts")?;
    let (words, _) = project.score(version, &counts, options)?;
    let (number, _) = project.score(version, &column_signal("q-a"), options)?;
    let name = if documents { "blend-documents" } else { "blend" };
    let fields = vec![
        Field::new(column::SCORE, DataType::Float64, true),
        Field::new(column::FAILED, DataType::Utf8, true),
    ];
    let info = SignalInfo {
        name: name.to_owned(),
        fingerprint: Fingerprint::new(name, 1)
            .with("input.words", words.record().fingerprint().digest())
            .with("input.number", number.record().fingerprint().digest()),
        input: Input { documents, signals: Vec::new() }
            .and(WORDS, words.full_name())
            .and(NUMBER, number.full_name()),
        parallelism: Parallelism::PerCore,
        schema: Arc::new(Schema::new(fields)),
        ranking: Some(Ranking {
            column: column::SCORE.to_owned(),
            direction: Direction::HigherIsBetter,
            rule: Rule::Top,
        }),
        part_bytes: 32 << 20,
        notes: BTreeMap::new(),
    };
    Ok(Scorer::of(Box::new(Blend { info }), Repeatability::Exact))
}

impl Signal for Blend {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> tamis_core::Result<RecordBatch> {
        let (words, number) = (Input::of_role(input, WORDS)?, Input::of_role(input, NUMBER)?);
        let value = |batch: &RecordBatch, name: &str, at: usize| {
            let values = batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().clone();
            values.is_valid(at).then(|| values.value(at))
        };
        let lengths = match self.info.input.documents {
            true => {
                let documents = DocumentBatch::new(input.clone())?;
                documents.texts().iter().map(|text| text.unwrap().len() as f64).collect()
            }
            false => vec![0.0; input.num_rows()],
        };
        let score = |at: usize| {
            let words = value(&words, "words", at)?;
            Some(1.0 + (1.0 + words).ln() + value(&number, column::SCORE, at)? + lengths[at])
        };
        let scores: Vec<Option<f64>> = (0..input.num_rows()).map(score).collect();
        let failed = scores.iter().map(|score| score.is_none().then_some(reason::INPUT_FAILED));
        let failed: ArrayRef = Arc::new(failed.collect::<StringArray>());
        let columns = vec![Arc::new(Float64Array::from(scores)) as ArrayRef, failed];
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}
