//! Does Density do anything here? Kept shares of documents with many, few and no near copies, beside Random's.
//!
//! What does not tell, and is therefore not here: the coefficient of variation of the scores (a few large groups set it),
//! the overlap with Random's choice (most documents are near-equal singletons, so it is never low), Spearman's correlation
//! (singletons tie).

use std::sync::Arc;

use tamis_core::{EmbeddingBatch, Error, Result};

use super::cosines::Cosines;
use super::defaults::{median, normalize};
use super::{EmbeddingSample, Estimate, finite_rows};

/// Neighbours above this cosine are near copies.
const COPY_COSINE: f32 = 0.95;
/// Fewer documents than this in a group tell nothing.
const ENOUGH: usize = 20;
/// Density counts as different from Random when documents with near copies are kept at most this often, compared with
/// documents without.
const DIFFERENT: f64 = 0.8;

/// Counts the near copies of some sampled documents in a whole corpus.
#[derive(Clone, Debug)]
pub struct NeighbourProbe {
    dimension: usize,
    probes: Arc<Cosines>,
    counts: Vec<u64>,
}

impl NeighbourProbe {
    /// Probes are the first `count` documents of the sample (which is uniform, so they are). 1,000 cost about as much as one
    /// hash of a sketch of 1,000 rows.
    #[must_use]
    pub fn new(sample: &EmbeddingSample, count: usize) -> Self {
        let dimension = sample.dimension();
        let mut probes = sample.embeddings();
        probes.truncate(count * dimension);
        let counts = vec![0; normalize(&mut probes, dimension).len()];
        Self { dimension, probes: Arc::new(Cosines::with(&probes, dimension)), counts }
    }

    /// The same probes with nothing counted, for another thread.
    #[must_use]
    pub fn empty(&self) -> Self {
        Self { counts: vec![0; self.counts.len()], ..self.clone() }
    }

    /// Compares the documents of a batch with the probes. Every batch of the corpus is shown once.
    ///
    /// # Errors
    /// A batch of another dimension.
    pub fn add_batch(&mut self, batch: &EmbeddingBatch) -> Result<()> {
        let (_, values) = finite_rows(batch, self.dimension)?;
        self.add(values);
        Ok(())
    }

    /// Compares m × D values with the probes.
    pub fn add(&mut self, mut values: Vec<f32>) {
        normalize(&mut values, self.dimension);
        let counts = &mut self.counts;
        self.probes.each(&values, self.dimension, |_, cosines| {
            for (count, cosine) in counts.iter_mut().zip(cosines) {
                *count += u64::from(*cosine > COPY_COSINE);
            }
        });
    }

    /// Adds what another thread counted.
    ///
    /// # Errors
    /// [`Error::Merge`] when the probes are others.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.counts.len() != other.counts.len() || self.dimension != other.dimension {
            return Err(Error::Merge { what: "neighbour probe", problem: "the probes differ".to_owned() });
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        Ok(())
    }

    /// For each probe, the *other* documents with a cosine above 0.95. Every probe has met itself once.
    #[must_use]
    pub fn neighbours(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.saturating_sub(1)).collect()
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
