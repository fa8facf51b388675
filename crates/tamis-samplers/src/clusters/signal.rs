//! Clusters as a signal over embeddings: which one, how near to its centroid, how large.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use tamis_core::{
    Direction, EmbeddingBatch, Fingerprint, Input, Parallelism, Ranking, Result, Rule, Signal, SignalInfo,
    column, reason,
};

use super::{Assigner, Centroids};
use crate::density::finite_rows;

/// The nearest centroid.
pub const CLUSTER: &str = "cluster";
/// The second nearest.
pub const SECOND: &str = "second";
/// Cosine to the nearest.
pub const SIMILARITY: &str = "similarity";
/// Documents of the cluster.
pub const SIZE: &str = "size";

const EMBEDDING_ROLE: &str = "embedding";

/// Raised when the same centroids give other values.
const VERSION: u32 = 1;

/// Assigns documents to frozen centroids.
///
/// Columns: `cluster` u32 from 0, `second` u32, `similarity` f64 (cosine to the own centroid, −1 to 1), `size` u64 (documents of the
/// fit in the cluster, scaled to the corpus of the fit where that was a sample), `failed`. By default the smallest similarity is
/// kept first: SSL Prototypes (Sorscher et al. 2022, arXiv 2206.14486), which drops what is closest to its prototype.
#[derive(Debug)]
pub struct Clusters {
    assigner: Assigner,
    sizes: Vec<u64>,
    info: SignalInfo,
}

impl Clusters {
    /// `embedding` is the fingerprint and the full name of the sidecar that is read; `corpus_documents` how many documents the fit stands
    /// for.
    #[must_use]
    pub fn new(centroids: &Centroids, embedding: (&Fingerprint, &str), corpus_documents: u64) -> Self {
        let (fingerprint, name) = embedding;
        let scale = corpus_documents.max(1) as f64 / centroids.documents.max(1) as f64;
        let sizes = centroids.sizes.iter().map(|size| (*size as f64 * scale).round() as u64).collect();
        let schema = Schema::new(vec![
            Field::new(CLUSTER, DataType::UInt32, true),
            Field::new(SECOND, DataType::UInt32, true),
            Field::new(SIMILARITY, DataType::Float64, true),
            Field::new(SIZE, DataType::UInt64, true),
            Field::new(column::FAILED, DataType::Utf8, true),
        ]);
        let info = SignalInfo {
            name: "clusters".to_owned(),
            fingerprint: Fingerprint::new("kmeans", VERSION)
                .with_input(EMBEDDING_ROLE, fingerprint)
                .with("geometry", centroids.geometry)
                .with("clusters", centroids.clusters())
                .with("centroids", centroids.digest())
                .with("fit_documents", centroids.documents)
                .with("corpus_documents", corpus_documents),
            input: Input::signal(EMBEDDING_ROLE, name),
            parallelism: Parallelism::PerCore,
            schema: Arc::new(schema),
            ranking: Some(Ranking {
                column: SIMILARITY.to_owned(),
                direction: Direction::LowerIsBetter,
                rule: Rule::Bottom,
            }),
            part_bytes: 64 << 20,
            notes: BTreeMap::new(),
        };
        Self { assigner: Assigner::new(centroids), sizes, info }
    }

    /// Adds a line to what a reader of `signal.json` is told.
    #[must_use]
    pub fn with_note(mut self, name: &str, text: impl Into<String>) -> Self {
        self.info.notes.insert(name.to_owned(), text.into());
        self
    }
}

impl Signal for Clusters {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
        let batch = EmbeddingBatch::new(Input::of_role(input, EMBEDDING_ROLE)?)?;
        let (indices, values) = finite_rows(&batch, self.assigner.dimension())?;
        let mut assigned = vec![None; batch.len()];
        for (at, found) in indices.into_iter().zip(self.assigner.assign(values)) {
            assigned[at] = Some(found);
        }
        let failed: StringArray = (0..batch.len())
            .map(|at| match assigned[at] {
                Some(_) => None,
                None if batch.is_valid(at) => Some(reason::NOT_FINITE),
                None => Some(reason::INPUT_FAILED),
            })
            .collect();
        let found = || assigned.iter();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(found().map(|one| one.map(|one| one.cluster)).collect::<UInt32Array>()),
            Arc::new(found().map(|one| one.map(|one| one.second)).collect::<UInt32Array>()),
            Arc::new(found().map(|one| one.map(|one| f64::from(one.similarity))).collect::<Float64Array>()),
            Arc::new(
                found().map(|one| one.map(|one| self.sizes[one.cluster as usize])).collect::<UInt64Array>(),
            ),
            Arc::new(failed),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}
