//! Does Density do anything here? Kept shares of documents with many, few and no near copies, beside Random's.
//!
//! What does not tell, and is therefore not here: the coefficient of variation of the scores (a few large groups set it),
//! the overlap with Random's choice (most documents are near-equal singletons, so it is never low), Spearman's correlation
//! (singletons tie).

use std::sync::{Arc, OnceLock};

use arrow_array::RecordBatch;
use tamis_core::{BatchSummary, EmbeddingBatch, Error, Result, Summary};

use super::defaults::{median, normalize};
use super::{EmbeddingSample, Estimate, finite_rows};
use crate::bytes::{ByteReader, finish, start};
use crate::cosines::Cosines;

const WHAT: &str = "neighbour probe";
const MAGIC: [u8; 8] = *b"tamis-NP";
const VERSION: u32 = 1;
/// Magic, version, sizes, checksum.
const HEADER_BYTES: u64 = 36;
/// Neighbours above this cosine are near copies.
const COPY_COSINE: f32 = 0.95;
/// Fewer documents than this in a group tell nothing.
const ENOUGH: usize = 20;
/// Density counts as different from Random when documents with near copies are kept at most this often, compared with
/// documents without.
const DIFFERENT: f64 = 0.8;

/// Counts the near copies of some sampled documents in a whole corpus.
///
/// Stored with the embeddings that it compares with, so that whoever reads one can go on counting, and counts of other probes
/// are never added. Cosines near the limit may fall on either side of it on machines with other instruction sets.
#[derive(Clone, Debug)]
pub struct NeighbourProbe {
    probes: Arc<Probes>,
    counts: Vec<u64>,
}

/// What documents are compared with.
#[derive(Debug)]
struct Probes {
    dimension: usize,
    /// n × D, each of norm 1.
    values: Vec<f32>,
    /// Made when first used: counts are merged and stored without.
    cosines: OnceLock<Cosines>,
}

impl Probes {
    /// For each probe, how many of m × D values are near it.
    fn count(&self, mut values: Vec<f32>) -> Vec<u64> {
        normalize(&mut values, self.dimension);
        let mut counts = vec![0; self.values.len() / self.dimension];
        let cosines = self.cosines.get_or_init(|| Cosines::with(&self.values, self.dimension));
        cosines.each(&values, self.dimension, |_, cosines| {
            for (count, cosine) in counts.iter_mut().zip(cosines) {
                *count += u64::from(*cosine > COPY_COSINE);
            }
        });
        counts
    }
}

impl NeighbourProbe {
    /// Probes are the first `count` documents of the sample (which is uniform, so they are). 1,000 cost about as much as one
    /// hash of a sketch of 1,000 rows.
    #[must_use]
    pub fn new(sample: &EmbeddingSample, count: usize) -> Self {
        let dimension = sample.dimension();
        let mut values = sample.embeddings();
        values.truncate(count * dimension);
        let counts = vec![0; normalize(&mut values, dimension).len()];
        Self { probes: Arc::new(Probes { dimension, values, cosines: OnceLock::new() }), counts }
    }

    /// Compares the documents of a batch with the probes. Every batch of the corpus is shown once.
    ///
    /// # Errors
    /// A batch of another dimension.
    pub fn add_batch(&mut self, batch: &EmbeddingBatch) -> Result<()> {
        let (_, values) = finite_rows(batch, self.probes.dimension)?;
        self.absorb(self.probes.count(values))
    }

    /// For each probe, the *other* documents with a cosine above 0.95. Every probe has met itself once.
    #[must_use]
    pub fn neighbours(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.saturating_sub(1)).collect()
    }
}

impl Summary for NeighbourProbe {
    /// Documents near each probe.
    type Part = Vec<u64>;

    /// The probes are shared.
    fn empty(&self) -> Self {
        Self { counts: vec![0; self.counts.len()], probes: Arc::clone(&self.probes) }
    }

    fn absorb(&mut self, part: Vec<u64>) -> Result<()> {
        let refuse = |problem: &str| Err(Error::Merge { what: WHAT, problem: problem.to_owned() });
        if part.len() != self.counts.len() {
            return refuse("the probes differ");
        }
        if self.counts.iter().zip(&part).any(|(mine, theirs)| mine.checked_add(*theirs).is_none()) {
            return refuse("a count would overflow");
        }
        self.counts.iter_mut().zip(part).for_each(|(mine, theirs)| *mine += theirs);
        Ok(())
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        let bits = |probes: &Probes| probes.values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
        let same = Arc::ptr_eq(&self.probes, &other.probes)
            || (self.probes.dimension == other.probes.dimension && bits(&self.probes) == bits(&other.probes));
        if !same {
            return Err(Error::Merge { what: WHAT, problem: "the probes differ".to_owned() });
        }
        self.absorb(other.counts)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = start(MAGIC, VERSION);
        out.extend_from_slice(&(self.probes.dimension as u64).to_le_bytes());
        out.extend_from_slice(&(self.counts.len() as u64).to_le_bytes());
        self.probes.values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        self.counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
        finish(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = ByteReader::open(WHAT, MAGIC, VERSION, bytes)?;
        let (dimension, count) = (reader.u64()?, reader.u64()?);
        // What is taken is there, so that neither number can claim memory.
        let sizes = usize::try_from(dimension).ok().filter(|size| *size > 0).zip(usize::try_from(count).ok());
        let length = |(dimension, count): (usize, usize)| dimension.checked_mul(count)?.checked_mul(4);
        let Some(((dimension, count), length)) = sizes.and_then(|sizes| Some((sizes, length(sizes)?))) else {
            return Err(reader.corrupt("sizes are impossible"));
        };
        let values: Vec<f32> = reader
            .take(length)?
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("chunks of four")))
            .collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(reader.corrupt("a value is not finite"));
        }
        let counts = reader.rest().len() / 8;
        if counts != count {
            return Err(reader.corrupt(format!("{count} probes, {counts} counts")));
        }
        let counts = (0..count).map(|_| reader.u64()).collect::<Result<Vec<u64>>>()?;
        reader.end()?;
        Ok(Self { probes: Arc::new(Probes { dimension, values, cosines: OnceLock::new() }), counts })
    }

    fn size_bytes(&self) -> u64 {
        let probe = (self.probes.dimension as u64).saturating_mul(4).saturating_add(8);
        probe.saturating_mul(self.counts.len() as u64).saturating_add(HEADER_BYTES)
    }
}

impl BatchSummary for NeighbourProbe {
    fn parts(&self) -> impl Fn(&RecordBatch) -> Result<Vec<u64>> + Send + Sync + 'static {
        let probes = Arc::clone(&self.probes);
        move |batch| {
            let (_, values) = finite_rows(&EmbeddingBatch::new(batch.clone())?, probes.dimension)?;
            Ok(probes.count(values))
        }
    }
}

/// One group of documents by near copies.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupShare {
    /// `5 or more`, `2 to 4`, `1`, `none`.
    pub near_copies: &'static str,
    /// Sampled documents in the group.
    pub documents: usize,
    /// Expected share of them that is kept; `None` for an empty group.
    pub kept: Option<f64>,
}

/// Whether Density selects otherwise than Random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Documents with near copies are kept clearly less often.
    Differs,
    /// They are kept about as often as others.
    LikeRandom,
    /// The sample has too few documents with near copies, or too few without, to tell.
    CannotTell,
}

/// What a density signal does to documents with and without near copies.
#[derive(Clone, Debug, PartialEq)]
pub struct DensityDiagnostics {
    /// The rate that shares are for; Random keeps this share of every group.
    pub rate: f64,
    /// By number of near copies, the most first.
    pub groups: Vec<GroupShare>,
    /// Median density of documents without near copies, less themselves, in documents.
    pub background: f64,
    /// Mean standard error of a density, in documents.
    pub sketch_error: f64,
    /// The summary.
    pub verdict: Verdict,
}

impl DensityDiagnostics {
    /// From probes: their near copies and their densities, in the same order, at a rate in (0, 1].
    ///
    /// Shares are expectations over the seed: with weights 1/density and a threshold t such that Σ (1 − exp(−t/density)) is
    /// the number to keep, so no chance blurs them.
    ///
    /// # Panics
    /// When the two differ in length.
    #[must_use]
    pub fn new(neighbours: &[u64], estimates: &[Estimate], rate: f64) -> Self {
        assert_eq!(neighbours.len(), estimates.len(), "one estimate a probe");
        let scores: Vec<f64> = estimates.iter().map(|estimate| estimate.density.max(1.0)).collect();
        let kept = kept_probabilities(&scores, rate);
        let group = |near_copies, range: std::ops::RangeInclusive<u64>| {
            let members = || neighbours.iter().zip(&kept).filter(|(n, _)| range.contains(n));
            let documents = members().count();
            let total: f64 = members().map(|(_, kept)| kept).sum();
            GroupShare { near_copies, documents, kept: (documents > 0).then(|| total / documents as f64) }
        };
        let groups = vec![
            group("5 or more", 5..=u64::MAX),
            group("2 to 4", 2..=4),
            group("1", 1..=1),
            group("none", 0..=0),
        ];
        let (many, none) = (group("", 2..=u64::MAX), group("", 0..=0));
        let verdict =
            match (many.kept, none.kept) {
                (Some(many_kept), Some(none_kept))
                    if many.documents >= ENOUGH && none.documents >= ENOUGH =>
                {
                    if many_kept <= DIFFERENT * none_kept { Verdict::Differs } else { Verdict::LikeRandom }
                }
                _ => Verdict::CannotTell,
            };
        let single = neighbours.iter().zip(estimates).filter(|(n, _)| **n == 0);
        let background = median(single.map(|(_, estimate)| estimate.density - 1.0).collect());
        let errors: f64 = estimates.iter().map(|estimate| estimate.standard_error).sum();
        let sketch_error = errors / estimates.len().max(1) as f64;
        Self { rate, groups, background, sketch_error, verdict }
    }

    /// A sentence for the user when the selection hardly differs from Random's.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (self.verdict == Verdict::LikeRandom).then(|| {
            let share = |at: usize| self.groups[at].kept.map_or("–".to_owned(), |s| format!("{:.1} %", 100.0 * s));
            format!(
                "density hardly differs from Random here: at a rate of {:.0} % it keeps {} of documents with 5 or more near copies and {} of those with none; the background is {:.1} documents, use more hashes a row",
                100.0 * self.rate,
                share(0),
                share(3),
                self.background
            )
        })
    }
}

/// π = 1 − exp(−t/score) with Σ π = rate · n.
fn kept_probabilities(scores: &[f64], rate: f64) -> Vec<f64> {
    let wanted = rate * scores.len() as f64;
    let probabilities = |t: f64| scores.iter().map(move |score| -libm::expm1(-t / score));
    if rate >= 1.0 {
        return vec![1.0; scores.len()];
    }
    // In log space: the sum grows with t, from 0 to n.
    let (mut low, mut high) = (-60.0, 60.0 + scores.iter().fold(1.0, |a: f64, &b| a.max(b)).ln());
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        let sum: f64 = probabilities(f64::exp(middle)).sum();
        if sum < wanted { low = middle } else { high = middle }
    }
    probabilities(f64::exp(low)).collect()
}
