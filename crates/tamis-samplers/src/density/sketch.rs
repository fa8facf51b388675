//! The counters, and the estimates that are read from them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use tamis_core::{Digest, EmbeddingBatch, Error, Fingerprint, Result, Summary};

use super::{BucketBlock, ParameterError, Preset, RaceHasher, RaceParameters};

pub(super) const WHAT: &str = "sketch";

/// A RACE sketch: R × B counters of the embeddings that were added.
///
/// Sketches of disjoint parts add up to the sketch of the whole, in any order, to the bit.
#[derive(Clone, Debug)]
pub struct RaceSketch {
    pub(super) hasher: Arc<RaceHasher>,
    /// Digest of the fingerprint of the embeddings.
    pub(super) embedding: String,
    /// N, embeddings counted.
    pub(super) documents: u64,
    /// Row r, bucket b at r · B + b.
    pub(super) counters: Vec<u32>,
}

/// The kernel sum around one embedding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Documents near it, itself included if the sketch holds it. Can be negative by chance where it is near 0.
    pub density: f64,
    /// Spread of the rows / √R, in documents.
    pub standard_error: f64,
}

impl RaceSketch {
    /// Counts nothing yet. `embedding` is the fingerprint of the embeddings that will be added.
    ///
    /// # Errors
    /// A parameter out of range.
    pub fn new(
        parameters: RaceParameters,
        embedding: &Fingerprint,
    ) -> std::result::Result<Self, ParameterError> {
        let counters = vec![0; parameters.repetitions as usize * parameters.buckets as usize];
        let hasher = Arc::new(RaceHasher::new(parameters)?);
        Ok(Self { hasher, embedding: embedding.digest(), documents: 0, counters })
    }

    /// An empty sketch of the same kind, for another thread or shard; hash functions are shared.
    #[must_use]
    pub fn empty(&self) -> Self {
        Self {
            hasher: Arc::clone(&self.hasher),
            embedding: self.embedding.clone(),
            documents: 0,
            counters: vec![0; self.counters.len()],
        }
    }

    /// What decides the counters.
    #[must_use]
    pub fn parameters(&self) -> &RaceParameters {
        self.hasher.parameters()
    }

    /// The hash functions. Threads can hash with them and give the buckets to one sketch.
    #[must_use]
    pub fn hasher(&self) -> &Arc<RaceHasher> {
        &self.hasher
    }

    /// N, embeddings counted.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Digest of the fingerprint of the embeddings.
    #[must_use]
    pub fn embedding(&self) -> &str {
        &self.embedding
    }

    /// Digest of parameters and counters: what density scores depend on.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut bytes = self.header();
        for chunk in self.counters.chunks(1 << 16) {
            let chunk: Vec<u8> = chunk.iter().flat_map(|counter| counter.to_le_bytes()).collect();
            bytes.extend_from_slice(&Digest::of(&chunk).to_bytes());
        }
        Digest::of(&bytes).to_string()
    }

    /// Counts the rows of a batch that have a finite embedding; returns how many those are.
    ///
    /// # Errors
    /// A batch of another dimension, or a counter that would overflow.
    pub fn add_batch(&mut self, batch: &EmbeddingBatch) -> Result<usize> {
        let (indices, block) = self.hasher.hash_batch(batch)?;
        self.add(&block)?;
        Ok(indices.len())
    }

    /// Counts embeddings that [`Self::hasher`] hashed.
    ///
    /// # Errors
    /// A counter that would overflow, at 4,294,967,296 documents at the earliest; nothing is counted then.
    ///
    /// # Panics
    /// When the block comes from the hasher of other parameters.
    pub fn add(&mut self, block: &BucketBlock) -> Result<()> {
        let buckets = self.parameters().buckets as usize;
        let rows = self.parameters().repetitions as usize;
        assert_eq!(block.buckets.len(), rows * block.len(), "a block of the same sketch");
        // A counter is at most N, so it can only overflow beyond this.
        if self.documents + block.len() as u64 > u64::from(u32::MAX) {
            let full = block.len() as u32;
            let counters = self.counters.chunks_exact(buckets).enumerate();
            let overflows =
                counters.flat_map(|(row, counters)| block.row(row).iter().map(|&b| counters[b as usize]));
            if overflows.into_iter().any(|counter| counter > u32::MAX - full) {
                return Err(Error::Merge { what: WHAT, problem: "a counter would overflow".to_owned() });
            }
        }
        for (row, counters) in self.counters.chunks_exact_mut(buckets).enumerate() {
            for &bucket in block.row(row) {
                counters[bucket as usize] += 1;
            }
        }
        self.documents += block.len() as u64;
        Ok(())
    }

    /// Kernel sums around embeddings that [`Self::hasher`] hashed, in documents.
    ///
    /// # Panics
    /// When the block comes from the hasher of other parameters.
    #[must_use]
    pub fn estimate(&self, block: &BucketBlock) -> Vec<Estimate> {
        let parameters = self.parameters();
        let rows = f64::from(parameters.repetitions);
        let buckets = parameters.buckets as usize;
        assert_eq!(
            block.buckets.len(),
            parameters.repetitions as usize * block.len(),
            "a block of the same sketch"
        );
        // Sums of counters below 2³² are exact in f64; their squares round, always in the order of the rows.
        let mut sums = vec![(0.0, 0.0); block.len()];
        for (row, counters) in self.counters.chunks_exact(buckets).enumerate() {
            for ((sum, squares), &bucket) in sums.iter_mut().zip(block.row(row)) {
                let counter = f64::from(counters[bucket as usize]);
                *sum += counter;
                *squares += counter * counter;
            }
        }
        let estimate = |(sum, squares): (f64, f64)| {
            let mean = sum / rows;
            let variance = (squares / rows - mean * mean).max(0.0) * rows / (rows - 1.0).max(1.0);
            let standard_error = (variance / rows).sqrt();
            match parameters.preset {
                Preset::Literal => Estimate { density: mean, standard_error },
                // Of the N documents, a share (1 − k^p)/B lands in the same bucket without meaning it.
                Preset::Mixed => {
                    let b = f64::from(parameters.buckets);
                    Estimate {
                        density: (b * mean - self.documents as f64) / (b - 1.0),
                        standard_error: standard_error * b / (b - 1.0),
                    }
                }
            }
        };
        sums.into_iter().map(estimate).collect()
    }
}

impl Summary for RaceSketch {
    fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        self.add_batch(&EmbeddingBatch::new(batch.clone())?).map(|_| ())
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        let refuse = |problem: &str| Err(Error::Merge { what: WHAT, problem: problem.to_owned() });
        if self.parameters() != other.parameters() {
            return refuse("parameters differ");
        }
        if self.embedding != other.embedding {
            return refuse("embeddings were made differently");
        }
        let fits = self.counters.iter().zip(&other.counters).all(|(a, b)| a.checked_add(*b).is_some());
        let Some(documents) = self.documents.checked_add(other.documents).filter(|_| fits) else {
            return refuse("a counter would overflow");
        };
        self.counters.iter_mut().zip(&other.counters).for_each(|(a, b)| *a += b);
        self.documents = documents;
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        Self::decode_within(bytes, super::codec::DEFAULT_MEMORY_BYTES)
    }
}
