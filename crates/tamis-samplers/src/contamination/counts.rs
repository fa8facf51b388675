//! In how many documents each n-gram of the evaluations is.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ListArray, RecordBatch};
use tamis_core::{BatchSummary, Digest, Error, Result, Summary};

use super::{EvaluationIndex, NGRAMS};
use crate::bytes::{ByteReader, finish, start};

const WHAT: &str = "count of documents by n-gram";
const MAGIC: [u8; 8] = *b"tamis-CD";
const VERSION: u32 = 1;

/// Documents by n-gram, 4 bytes an n-gram: what the sidecars of [`super::MatchesSignal`] add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentCounts {
    /// Of the index, so that nothing is added that numbers other n-grams.
    of: Digest,
    counts: Vec<u32>,
}

impl DocumentCounts {
    /// Of no documents yet.
    #[must_use]
    pub fn new(index: &EvaluationIndex) -> Self {
        Self { of: index.digest(), counts: vec![0; index.ngrams()] }
    }

    /// By the number of the n-gram.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Refuses counts of another index.
    pub(super) fn check_of(&self, index: &EvaluationIndex) -> Result<()> {
        self.check_like(&Self::new(index))
    }

    fn check_like(&self, other: &Self) -> Result<()> {
        match self.of == other.of && self.counts.len() == other.counts.len() {
            true => Ok(()),
            false => Err(Error::Merge { what: WHAT, problem: "they count other n-grams".to_owned() }),
        }
    }

    /// Adds so many documents to an n-gram.
    fn add(&mut self, ngram: usize, documents: u32) -> Result<()> {
        let other = || Error::Merge { what: WHAT, problem: format!("there is no n-gram {ngram}") };
        let count = self.counts.get_mut(ngram).ok_or_else(other)?;
        let full = || Error::Merge { what: WHAT, problem: "a counter overflows".to_owned() };
        *count = count.checked_add(documents).ok_or_else(full)?;
        Ok(())
    }
}

/// Numbers of n-grams, each as often as there are documents that have it.
impl Summary for DocumentCounts {
    type Part = Vec<u32>;

    fn empty(&self) -> Self {
        Self { of: self.of, counts: vec![0; self.counts.len()] }
    }

    fn absorb(&mut self, part: Vec<u32>) -> Result<()> {
        part.into_iter().try_for_each(|ngram| self.add(ngram as usize, 1))
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.check_like(&other)?;
        let mut some = other.counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
        some.try_for_each(|(ngram, count)| self.add(ngram, count))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = start(MAGIC, VERSION);
        out.extend_from_slice(&self.of.to_bytes());
        out.extend_from_slice(&(self.counts.len() as u64).to_le_bytes());
        out.extend(self.counts.iter().flat_map(|count| count.to_le_bytes()));
        finish(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = ByteReader::open(WHAT, MAGIC, VERSION, bytes)?;
        let of = Digest::from_bytes(reader.take(16)?.try_into().expect("16 bytes were taken"));
        let ngrams = reader.u64()?;
        let counts = reader.rest();
        if ngrams.checked_mul(4) != Some(counts.len() as u64) {
            return Err(reader.corrupt(format!("{} bytes are no {ngrams} counts", counts.len())));
        }
        let counts = counts.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        Ok(Self { of, counts })
    }

    fn size_bytes(&self) -> u64 {
        64 + 4 * self.counts.len() as u64
    }
}

impl BatchSummary for DocumentCounts {
    fn parts(&self) -> impl Fn(&RecordBatch) -> Result<Vec<u32>> + Send + Sync + 'static {
        |batch| {
            let lists = ngrams_of(batch)?;
            let mut all = Vec::new();
            for at in (0..lists.len()).filter(|at| lists.is_valid(*at)) {
                all.extend_from_slice(values(&lists.value(at))?);
            }
            Ok(all)
        }
    }
}

/// The column of the n-grams of documents.
pub(super) fn ngrams_of(batch: &RecordBatch) -> Result<&ListArray> {
    let missing = || Error::MissingColumn { column: NGRAMS.to_owned() };
    let column = batch.column_by_name(NGRAMS).ok_or_else(missing)?;
    column.as_list_opt::<i32>().ok_or_else(|| wrong(column.as_ref()))
}

/// The n-grams of one document.
pub(super) fn values(list: &dyn Array) -> Result<&[u32]> {
    Ok(list.as_primitive_opt::<UInt32Type>().ok_or_else(|| wrong(list))?.values())
}

fn wrong(got: &dyn Array) -> Error {
    let expected = "a list of u32";
    Error::ColumnType { column: NGRAMS.to_owned(), expected, got: got.data_type().clone() }
}
