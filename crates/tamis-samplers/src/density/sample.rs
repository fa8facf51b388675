//! A uniform sample of embeddings in bounded memory.

use arrow_array::RecordBatch;
use tamis_core::{BatchSummary, DocKey, EmbeddingBatch, Error, Result, Summary};

use super::finite_rows;
use crate::bytes::{ByteReader, finish, start};
use crate::selection::UniformDraws;

const WHAT: &str = "embedding sample";
const MAGIC: [u8; 8] = *b"tamis-ES";
const VERSION: u32 = 1;
const STAGE: &str = "density-sample";
/// Magic, version, seed, numbers, checksum.
const HEADER_BYTES: u64 = 60;

/// The embeddings of the documents with the smallest keyed hashes: the same sample whatever the order of shards.
#[derive(Clone, Debug)]
pub struct EmbeddingSample {
    seed: u64,
    capacity: usize,
    dimension: usize,
    documents: u64,
    draws: UniformDraws,
    entries: Vec<Entry>,
    /// After a cut, entries at or above this are not needed.
    bound: Option<(u64, DocKey)>,
}

/// Ordered by hash, then key, then content: copies under one key are interchangeable only if they are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    bits: u64,
    key: DocKey,
    /// f32 bits of the D values.
    values: Box<[u32]>,
}

/// Documents with their draws, for an [`EmbeddingSample`] to choose from.
#[derive(Clone, Debug)]
pub struct DrawnEmbeddings {
    dimension: usize,
    drawn: Vec<(u64, DocKey)>,
    /// n × D.
    values: Vec<f32>,
}

fn draw(draws: &UniformDraws, dimension: usize, batch: &EmbeddingBatch) -> Result<DrawnEmbeddings> {
    let (indices, values) = finite_rows(batch, dimension)?;
    let drawn = indices.into_iter().map(|at| {
        let key = batch.doc_key(at);
        (draws.bits(key), key)
    });
    Ok(DrawnEmbeddings { dimension, drawn: drawn.collect(), values })
}

impl EmbeddingSample {
    /// A sample of at most `capacity` embeddings of `dimension` values.
    #[must_use]
    pub fn new(capacity: usize, dimension: usize, seed: u64) -> Self {
        Self {
            seed,
            capacity: capacity.max(1),
            dimension,
            documents: 0,
            draws: UniformDraws::new(seed, STAGE),
            entries: Vec::new(),
            bound: None,
        }
    }

    /// N, documents with a finite embedding seen so far, sampled or not.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// D.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Shows the documents of a batch to the sample.
    ///
    /// # Errors
    /// A batch of another dimension.
    pub fn add_batch(&mut self, batch: &EmbeddingBatch) -> Result<()> {
        self.absorb(draw(&self.draws, self.dimension, batch)?)
    }

    fn cut(&mut self) {
        self.entries.sort_unstable();
        if self.entries.len() >= self.capacity {
            self.entries.truncate(self.capacity);
            self.bound = self.entries.last().map(|entry| (entry.bits, entry.key));
        }
    }

    fn sorted(&self) -> Self {
        let mut sorted = self.clone();
        sorted.cut();
        sorted
    }

    /// The sampled embeddings, n × D, in the order of their hashes.
    #[must_use]
    pub fn embeddings(&self) -> Vec<f32> {
        let sorted = self.sorted();
        sorted
            .entries
            .iter()
            .flat_map(|entry| entry.values.iter().map(|&bits| f32::from_bits(bits)))
            .collect()
    }
}

impl Summary for EmbeddingSample {
    type Part = DrawnEmbeddings;

    fn empty(&self) -> Self {
        Self::new(self.capacity, self.dimension, self.seed)
    }

    fn absorb(&mut self, part: DrawnEmbeddings) -> Result<()> {
        if part.dimension != self.dimension {
            return Err(Error::Merge { what: WHAT, problem: "dimensions differ".to_owned() });
        }
        for ((bits, key), values) in part.drawn.into_iter().zip(part.values.chunks_exact(self.dimension)) {
            self.documents = self.documents.saturating_add(1);
            if self.bound.is_none_or(|bound| (bits, key) <= bound) {
                let values = values.iter().map(|value| value.to_bits()).collect();
                self.entries.push(Entry { bits, key, values });
                if self.entries.len() >= self.capacity.saturating_mul(2) {
                    self.cut();
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        let kind = |sample: &Self| (sample.seed, sample.capacity, sample.dimension);
        if kind(self) != kind(&other) {
            return Err(Error::Merge { what: WHAT, problem: "seed, size or dimension differ".to_owned() });
        }
        self.documents = self.documents.saturating_add(other.documents);
        self.entries.extend(other.entries);
        self.cut();
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let sorted = self.sorted();
        let mut out = start(MAGIC, VERSION);
        let sizes = [self.capacity, self.dimension, sorted.entries.len()].map(|size| size as u64);
        for value in [self.seed, self.documents].into_iter().chain(sizes) {
            out.extend_from_slice(&value.to_le_bytes());
        }
        for entry in &sorted.entries {
            out.extend_from_slice(&entry.key.to_bytes());
            entry.values.iter().for_each(|bits| out.extend_from_slice(&bits.to_le_bytes()));
        }
        finish(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = ByteReader::open(WHAT, MAGIC, VERSION, bytes)?;
        let (seed, documents) = (reader.u64()?, reader.u64()?);
        let (capacity, dimension, count) = (reader.u64()?, reader.u64()?, reader.u64()?);
        // Memory is taken entry by entry, for bytes that are there: what was written can be read, however large.
        let size = |value: u64| usize::try_from(value).ok().filter(|size| *size > 0);
        let (Some(capacity), Some(dimension), true) =
            (size(capacity), size(dimension), count <= documents.min(capacity))
        else {
            return Err(reader.corrupt("sizes are impossible"));
        };
        let entry_bytes =
            dimension.checked_mul(4).ok_or_else(|| reader.corrupt("an embedding is too long"))?;
        let mut sample = Self::new(capacity, dimension, seed);
        for _ in 0..count {
            let key = DocKey::from_bytes(reader.u128()?.to_le_bytes());
            let values = reader.take(entry_bytes)?;
            let values: Box<[u32]> = values
                .chunks_exact(4)
                .map(|bytes| u32::from_le_bytes(bytes.try_into().expect("chunks of four")))
                .collect();
            if values.iter().any(|&bits| !f32::from_bits(bits).is_finite()) {
                return Err(reader.corrupt("a value is not finite"));
            }
            sample.entries.push(Entry { bits: sample.draws.bits(key), key, values });
        }
        reader.end()?;
        if !sample.entries.is_sorted() {
            return Err(reader.corrupt("entries are not in order"));
        }
        sample.documents = documents;
        sample.cut();
        Ok(sample)
    }

    /// As it is stored; in memory it takes up to twice that.
    fn size_bytes(&self) -> u64 {
        let entry = (self.dimension as u64).saturating_mul(4).saturating_add(16);
        entry.saturating_mul(self.capacity as u64).saturating_add(HEADER_BYTES)
    }
}

impl BatchSummary for EmbeddingSample {
    fn parts(&self) -> impl Fn(&RecordBatch) -> Result<DrawnEmbeddings> + Send + Sync + 'static {
        let (draws, dimension) = (self.draws.clone(), self.dimension);
        move |batch| draw(&draws, dimension, &EmbeddingBatch::new(batch.clone())?)
    }
}
