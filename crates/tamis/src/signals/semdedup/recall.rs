//! What looking into clusters alone misses: some documents held against the whole corpus.

use std::sync::{Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use tamis_core::{DocKey, EmbeddingBatch, Input, InputSignal, Result as CoreResult};
use tamis_io::run::{CorpusVersion, ShardRecord, SignalDir};
use tamis_samplers::{Queries, Reach, RecallReport, UniformDraws, clusters};

use super::pairs::{CLUSTERS, EMBEDDING};
use crate::pool::Feed;
use crate::project::Project;
use crate::{Result, fold, pool};

/// Documents that are held against all.
const QUERIES: usize = 1_000;
/// Rows of a part.
const ROWS_AT_ONCE: usize = 1024;

/// A document with all that decides where it is looked for.
struct Document {
    key: DocKey,
    embedding: Vec<f32>,
    reach: Reach,
}

/// The documents of a batch that have an embedding, with their clusters.
fn documents(batch: &RecordBatch, probe: usize) -> CoreResult<Vec<Document>> {
    let embeddings = EmbeddingBatch::new(Input::of_role(batch, EMBEDDING)?)?;
    let of_clusters = Input::of_role(batch, CLUSTERS)?;
    let number = |name: &str| {
        let column = of_clusters.column_by_name(name);
        column
            .and_then(|column| column.as_primitive_opt::<UInt32Type>())
            .cloned()
            .ok_or_else(|| tamis_core::Error::MissingColumn { column: name.to_owned() })
    };
    let (own, second) = (number(clusters::CLUSTER)?, number(clusters::SECOND)?);
    let mut documents = Vec::with_capacity(batch.num_rows());
    for (at, own) in own.iter().enumerate() {
        let Some(own) = own.filter(|_| embeddings.is_valid(at)) else { continue };
        let mut embedding = vec![0.0; embeddings.dimension()];
        embeddings.read_into(at, &mut embedding);
        let reach = [own, if probe > 1 { second.value(at) } else { own }];
        documents.push(Document { key: embeddings.doc_key(at), embedding, reach });
    }
    Ok(documents)
}

impl Project {
    /// Holds a sample of documents against all, and says how many of those near them are in reach of their clusters.
    ///
    /// # Errors
    /// Sidecars that cannot be read.
    pub(super) fn cluster_recall(
        &self,
        version: &CorpusVersion,
        reader: &SignalDir,
        (above, probe): (f32, usize),
    ) -> Result<RecallReport> {
        let signals = reader.record().inputs.iter();
        let signals: Vec<InputSignal> =
            signals.map(|(role, name)| InputSignal { role: role.clone(), name: name.clone() }).collect();
        let draws = UniformDraws::new(0, "cluster-recall");
        self.observer.begin("sample documents", version.documents());
        let sampled: Mutex<Vec<(u64, Document)>> = Mutex::default();
        pool::map(version.shards.iter().collect(), self.threads, |shard: &ShardRecord| {
            let mut own: Vec<(u64, Document)> = Vec::new();
            let mut rows = self.rows_of_signals(&signals, reader, shard)?;
            while let Some(batch) = rows.as_mut().map(crate::inputs::Rows::next).transpose()?.flatten() {
                self.go_on()?;
                own.extend(documents(&batch, probe)?.into_iter().map(|one| (draws.bits(one.key), one)));
                keep_smallest(&mut own);
                let rows = batch.num_rows() as u64;
                self.observer.advance(rows, 0, rows);
            }
            let mut all = sampled.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(own);
            keep_smallest(&mut all);
            Ok(())
        })?;
        self.observer.end();
        let sampled = sampled.into_inner().unwrap_or_else(PoisonError::into_inner);
        let dimension = sampled.first().map_or(1, |(_, one)| one.embedding.len());
        let values = sampled.iter().flat_map(|(_, one)| one.embedding.iter().copied()).collect();
        let names = sampled.iter().map(|(_, one)| (one.key, one.reach)).unzip();
        let queries = Queries::new(values, dimension, names, above);
        self.observer.begin("measure recall", version.documents());
        let produce = |shard: &ShardRecord, feed: &Feed<'_, RecordBatch>| {
            let mut rows = self.rows_of_signals(&signals, reader, shard)?;
            while let Some(batch) = rows.as_mut().map(crate::inputs::Rows::next).transpose()?.flatten() {
                for from in (0..batch.num_rows()).step_by(ROWS_AT_ONCE) {
                    if !feed.push(batch.slice(from, ROWS_AT_ONCE.min(batch.num_rows() - from))) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        };
        let shards = version.shards.iter().collect();
        let recall = fold::together(shards, self.threads, queries.nothing(), produce, |batch| {
            self.go_on()?;
            let documents = documents(&batch, probe)?;
            let values = documents.iter().flat_map(|one| one.embedding.iter().copied()).collect();
            let (keys, reaches): (Vec<DocKey>, Vec<Reach>) =
                documents.iter().map(|one| (one.key, one.reach)).unzip();
            let part = queries.compare(values, &keys, &reaches);
            let rows = batch.num_rows() as u64;
            self.observer.advance(rows, 0, rows);
            Ok(part)
        })?;
        self.observer.end();
        Ok(recall.report())
    }
}

/// Cuts a sample to its size; which of several documents of one key comes first is decided by what they are.
fn keep_smallest(sample: &mut Vec<(u64, Document)>) {
    if sample.len() > QUERIES {
        let bits = |one: &Document| one.embedding.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
        sample.sort_by(|(a, one), (b, other)| {
            a.cmp(b).then_with(|| one.key.cmp(&other.key)).then_with(|| bits(one).cmp(&bits(other)))
        });
        sample.truncate(QUERIES);
    }
}
