//! Density as a signal over embeddings: the second pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use tamis_core::{
    Direction, EmbeddingBatch, Fingerprint, Input, Parallelism, Ranking, Result, Rule, Signal, SignalInfo,
    column, reason,
};

use super::{RaceSketch, finite_rows};

/// Name of the column of standard errors.
const STANDARD_ERROR: &str = "standard_error";

/// What the signal that is read is to this one.
pub(super) const EMBEDDING_ROLE: &str = "embedding";

/// Whether the sketch counted the documents that are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It holds them: a document counts itself, so an estimate is at least 1.
    Member,
    /// It does not (a shard that came later): what it holds near the document, plus the document itself.
    Other,
}

/// Scores documents by the estimated number of documents near them (themselves included): ≥ 1, lower = rarer.
///
/// Columns: `score` f64, `standard_error` f64 (both in documents), `failed`. The default rule is inverse propensity
/// sampling, weight 1 / score.
#[derive(Clone)]
pub struct Density {
    sketch: Arc<RaceSketch>,
    membership: Membership,
    info: SignalInfo,
}

impl Density {
    /// Scores against a complete sketch. `embedding_name` is the full name of the sidecar that is read, e.g.
    /// `embed@0a1b2c3d`. Signals of both memberships have one fingerprint: they are one sidecar, shard by shard.
    #[must_use]
    pub fn new(sketch: Arc<RaceSketch>, embedding_name: &str, membership: Membership) -> Self {
        let parameters = sketch.parameters();
        let fingerprint = parameters
            .describe(Fingerprint::new("race-density", 1))
            .with("input.embedding", sketch.embedding())
            .with("input.sketch", sketch.digest())
            .with("sketch_documents", sketch.documents());
        let schema = Schema::new(vec![
            Field::new(column::SCORE, DataType::Float64, true),
            Field::new(STANDARD_ERROR, DataType::Float64, true),
            Field::new(column::FAILED, DataType::Utf8, true),
        ]);
        let info = SignalInfo {
            name: "density".to_owned(),
            fingerprint,
            input: Input::signal(EMBEDDING_ROLE, embedding_name),
            parallelism: Parallelism::PerCore,
            schema: Arc::new(schema),
            ranking: Some(Ranking {
                column: column::SCORE.to_owned(),
                direction: Direction::LowerIsBetter,
                rule: Rule::Ips,
            }),
            // A few seconds of one core at two kilobytes of text a document.
            part_bytes: 64 << 20,
            notes: BTreeMap::new(),
        };
        Self { sketch, membership, info }
    }

    /// The same signal for shards that the sketch does (not) hold.
    #[must_use]
    pub fn with_membership(&self, membership: Membership) -> Self {
        Self { membership, ..self.clone() }
    }

    /// Adds a line to what a reader of `signal.json` is told.
    #[must_use]
    pub fn with_note(mut self, name: &str, text: impl Into<String>) -> Self {
        self.info.notes.insert(name.to_owned(), text.into());
        self
    }

    /// The sketch that is scored against.
    #[must_use]
    pub fn sketch(&self) -> &Arc<RaceSketch> {
        &self.sketch
    }
}

impl Signal for Density {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
        let batch = EmbeddingBatch::new(Input::of_role(input, EMBEDDING_ROLE)?)?;
        let (indices, values) = finite_rows(&batch, self.sketch.parameters().dimension as usize)?;
        let mut scores = vec![None; batch.len()];
        let mut errors = vec![None; batch.len()];
        for (at, estimate) in indices.into_iter().zip(self.sketch.estimate(&values)) {
            scores[at] = Some(match self.membership {
                Membership::Member => estimate.density.max(1.0),
                Membership::Other => estimate.density.max(0.0) + 1.0,
            });
            errors[at] = Some(estimate.standard_error);
        }
        let failed: StringArray = (0..batch.len())
            .map(|at| match scores[at] {
                Some(_) => None,
                None if batch.is_valid(at) => Some(reason::NOT_FINITE),
                None => Some(reason::INPUT_FAILED),
            })
            .collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(scores)),
            Arc::new(Float64Array::from(errors)),
            Arc::new(failed),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}
