//! The counters, and the estimates that are read from them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use tamis_core::{BatchSummary, Digest, EmbeddingBatch, Error, Fingerprint, Result, Summary};
use tamis_kernels::Scratch;

use super::{BucketBlock, ParameterError, Preset, RaceHasher, RaceParameters, finite_rows};

pub(super) const WHAT: &str = "sketch";
/// A counter is at most N, so up to this N none can overflow.
const CANNOT_OVERFLOW: u64 = u32::MAX as u64;
/// What a stored sketch takes beside its counters.
const HEADER_BYTES: u64 = 256;

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
        let hasher = Arc::new(RaceHasher::new(parameters)?);
        let counters = vec![0; hasher.parameters().counters() as usize];
        Ok(Self { hasher, embedding: embedding.digest(), documents: 0, counters })
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
        let (indices, values) = finite_rows(batch, self.parameters().dimension as usize)?;
        self.add_embeddings(&values)?;
        Ok(indices.len())
    }

    /// Counts m embeddings, m × D finite values row by row.
    ///
    /// # Errors
    /// A counter that would overflow; nothing is counted then.
    ///
    /// # Panics
    /// When the number of values is not a multiple of D.
    pub fn add_embeddings(&mut self, values: &[f32]) -> Result<()> {
        let hasher = Arc::clone(&self.hasher);
        let items = hasher.items(values);
        let documents = self.documents + items.rows() as u64;
        if documents > CANNOT_OVERFLOW {
            return self.add(&hasher.hash(values));
        }
        if items.rows() > 0 {
            let counted = hasher.family().count(items, &mut self.counters, &mut Scratch::new());
            counted.expect("a counter is at most the number of documents, which fits");
        }
        self.documents = documents;
        Ok(())
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
        if self.documents + block.len() as u64 > CANNOT_OVERFLOW {
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

    /// Kernel sums around m embeddings, m × D finite values row by row, in documents.
    ///
    /// # Panics
    /// When the number of values is not a multiple of D.
    #[must_use]
    pub fn estimate(&self, values: &[f32]) -> Vec<Estimate> {
        let items = self.hasher.items(values);
        let (mut sums, mut squares) = (vec![0; items.rows()], vec![0.0; items.rows()]);
        if items.rows() > 0 {
            let family = self.hasher.family();
            family.gather(items, &self.counters, &mut sums, &mut squares, &mut Scratch::new());
        }
        sums.into_iter().zip(squares).map(|(sum, squares)| self.estimate_of(sum, squares)).collect()
    }

    /// From the sum of an embedding's R counters and of their squares.
    fn estimate_of(&self, sum: u64, squares: f64) -> Estimate {
        let rows = f64::from(self.parameters().repetitions);
        let mean = sum as f64 / rows;
        let variance = (squares / rows - mean * mean).max(0.0) * rows / (rows - 1.0).max(1.0);
        let standard_error = (variance / rows).sqrt();
        match self.parameters().preset {
            Preset::Literal => Estimate { density: mean, standard_error },
            // Of the N documents, a share (1 − k^p)/B lands in the same bucket without meaning it.
            Preset::Mixed => {
                let buckets = f64::from(self.parameters().buckets);
                Estimate {
                    density: (buckets * mean - self.documents as f64) / (buckets - 1.0),
                    standard_error: standard_error * buckets / (buckets - 1.0),
                }
            }
        }
    }
}

impl Summary for RaceSketch {
    type Part = BucketBlock;

    /// Hash functions are shared; memory is taken as it is counted in.
    fn empty(&self) -> Self {
        Self {
            hasher: Arc::clone(&self.hasher),
            embedding: self.embedding.clone(),
            documents: 0,
            counters: vec![0; self.counters.len()],
        }
    }

    fn absorb(&mut self, part: BucketBlock) -> Result<()> {
        self.add(&part)
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
        Self::decode_within(bytes, RaceParameters::MOST_MEMORY_BYTES)
    }

    /// R × B counters. Stored they take less: those that are 0 take nothing.
    fn size_bytes(&self) -> u64 {
        self.parameters().memory_bytes() + HEADER_BYTES
    }
}

impl BatchSummary for RaceSketch {
    fn parts(&self) -> impl Fn(&RecordBatch) -> Result<BucketBlock> + Send + Sync + 'static {
        let hasher = Arc::clone(&self.hasher);
        move |batch| Ok(hasher.hash_batch(&EmbeddingBatch::new(batch.clone())?)?.1)
    }
}
