//! One iteration: every document is assigned and added up, the means are the next centroids.

use std::sync::Arc;

use arrow_array::RecordBatch;
use tamis_core::{BatchSummary, EmbeddingBatch, Error, Result, Summary};
use tamis_kernels::{add_fixed, to_fixed};

use super::{Assigner, Centroids, Geometry};
use crate::bytes::{ByteReader, finish, start};
use crate::density::{finite_rows, normalize};
use crate::selection::UniformDraws;

const WHAT: &str = "pass of k-means";
const MAGIC: [u8; 8] = *b"tamis-KP";
const VERSION: u32 = 1;

/// Values are added up in units of 2⁻³⁰ of the bound, so that 2³² documents cannot overflow a sum.
const UNIT: f64 = (1_u64 << 30) as f64;

/// Who takes part in a fit.
#[derive(Clone, Debug)]
struct Sampled {
    draws: UniformDraws,
    seed: u64,
    /// Draws below this take part; 1: all.
    rate: f64,
}

/// A pass of Lloyd's algorithm over documents: sums and counts by cluster, and the objective of the centroids it began with.
#[derive(Clone, Debug)]
pub struct LloydPass {
    assigner: Arc<Assigner>,
    /// The bytes of the centroids.
    origin: Arc<Vec<u8>>,
    geometry: Geometry,
    /// No value is larger; what is counts as much as the bound.
    bound: f32,
    sampled: Sampled,
    sums: Vec<i64>,
    counts: Vec<u64>,
    /// In units of 2⁻³⁰ of the squared bound.
    objective: i128,
}

/// What some rows add to a pass.
#[derive(Clone, Debug)]
pub struct LloydStep {
    clusters: Vec<u32>,
    /// m × D in units.
    values: Vec<i32>,
    objective: i128,
}

impl LloydPass {
    /// A pass that begins with these centroids. `bound` is at least as large as most values in space (of unit vectors it is 1); of
    /// the documents those take part whose keyed draw is below `rate`, in (0, 1].
    ///
    /// # Panics
    /// A bound that is not positive and finite.
    #[must_use]
    pub fn new(centroids: &Centroids, bound: f32, (rate, seed): (f64, u64)) -> Self {
        assert!(bound > 0.0 && bound.is_finite(), "a bound of values");
        let (clusters, dimension) = (centroids.clusters(), centroids.dimension as usize);
        Self {
            assigner: Arc::new(Assigner::new(centroids)),
            origin: Arc::new(centroids.encode()),
            geometry: centroids.geometry,
            bound: if centroids.geometry == Geometry::Spherical { 1.0 } else { bound },
            sampled: Sampled { draws: UniformDraws::new(seed, "kmeans-fit"), seed, rate },
            sums: vec![0; clusters * dimension],
            counts: vec![0; clusters],
            objective: 0,
        }
    }

    /// D.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.assigner.dimension()
    }

    /// Documents that took part.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Mean of 1 − cosine, or of the squared distance, to the centroids that the pass began with.
    #[must_use]
    pub fn objective(&self) -> f64 {
        let square = f64::from(self.bound) * f64::from(self.bound);
        self.objective as f64 / UNIT * square / self.documents().max(1) as f64
    }

    /// Documents of each cluster of the centroids that the pass began with.
    #[must_use]
    pub fn sizes(&self) -> &[u64] {
        &self.counts
    }

    /// The rows of a batch that take part, m × D, as [`LloydPass::step`] takes them: of norm 1 in the spherical geometry.
    ///
    /// # Errors
    /// A batch of another dimension.
    pub fn rows_of(&self, batch: &EmbeddingBatch) -> Result<Vec<f32>> {
        let dimension = self.assigner.dimension();
        let (indices, mut values) = finite_rows(batch, dimension)?;
        if self.sampled.rate < 1.0 {
            let mut kept = 0;
            for (row, at) in indices.into_iter().enumerate() {
                if self.sampled.draws.unit(batch.doc_key(at)) < self.sampled.rate {
                    values.copy_within(row * dimension..(row + 1) * dimension, kept * dimension);
                    kept += 1;
                }
            }
            values.truncate(kept * dimension);
        }
        self.assigner.prepare(&mut values);
        Ok(values)
    }

    /// Finite rows, m × D, as [`LloydPass::step`] takes them.
    #[must_use]
    pub fn prepared(&self, mut values: Vec<f32>) -> Vec<f32> {
        self.assigner.prepare(&mut values);
        values
    }

    /// What prepared rows, m × D, add.
    #[must_use]
    pub fn step(&self, values: &[f32]) -> LloydStep {
        let mut clusters = Vec::with_capacity(values.len() / self.assigner.dimension());
        let mut objective = 0_i128;
        let square = f64::from(self.bound) * f64::from(self.bound);
        self.assigner.nearest_of(values, |cluster, distance| {
            clusters.push(cluster as u32);
            objective += (f64::from(distance) / square * UNIT) as i128;
        });
        let mut fixed = vec![0; values.len()];
        to_fixed(self.assigner.path(), values, (UNIT / f64::from(self.bound)) as f32, &mut fixed);
        LloydStep { clusters, values: fixed, objective }
    }

    /// The next centroids: the means, with the sizes and the objective of this pass.
    ///
    /// A cluster without documents takes half of the largest one (of equal ones the first), as faiss does: both get its mean, moved
    /// apart by a 1024th in every value. So k stays k, nothing is drawn, and no odd single document becomes a cluster, as it would
    /// where the farthest document is taken.
    #[must_use]
    pub fn finish(&self, before: &Centroids) -> Centroids {
        let dimension = self.assigner.dimension();
        let mut values = vec![0.0_f32; self.sums.len()];
        let scale = f64::from(self.bound) / UNIT;
        for (cluster, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let sums = &self.sums[cluster * dimension..][..dimension];
            let out = &mut values[cluster * dimension..][..dimension];
            out.iter_mut()
                .zip(sums)
                .for_each(|(out, sum)| *out = (*sum as f64 / *count as f64 * scale) as f32);
        }
        let mut counts = self.counts.clone();
        for empty in (0..counts.len()).filter(|&cluster| self.counts[cluster] == 0) {
            let largest =
                (0..counts.len()).max_by_key(|&at| (counts[at], std::cmp::Reverse(at))).unwrap_or(0);
            if counts[largest] == 0 {
                // No document took part.
                values[empty * dimension..][..dimension]
                    .copy_from_slice(&before.values[empty * dimension..][..dimension]);
                continue;
            }
            for at in 0..dimension {
                let value = values[largest * dimension + at];
                let apart = if at % 2 == 0 { 1.0 / 1024.0 } else { -1.0 / 1024.0 };
                values[empty * dimension + at] = value * (1.0 + apart);
                values[largest * dimension + at] = value * (1.0 - apart);
            }
            counts[empty] = counts[largest] / 2;
            counts[largest] -= counts[empty];
        }
        if self.geometry == Geometry::Spherical {
            normalize(&mut values, dimension);
        }
        Centroids {
            iterations: before.iterations + 1,
            documents: self.documents(),
            objective: self.objective(),
            sizes: self.counts.clone(),
            ..Centroids::new(self.geometry, dimension, values)
        }
    }

    /// The same centroids, with the sizes and the objective that this pass found for them.
    #[must_use]
    pub fn measured(&self, centroids: &Centroids) -> Centroids {
        Centroids {
            documents: self.documents(),
            objective: self.objective(),
            sizes: self.counts.clone(),
            ..centroids.clone()
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        let kind = |pass: &Self| {
            (Arc::clone(&pass.origin), pass.bound.to_bits(), pass.sampled.rate.to_bits(), pass.sampled.seed)
        };
        kind(self) == kind(other)
    }
}

impl Summary for LloydPass {
    type Part = LloydStep;

    fn empty(&self) -> Self {
        Self {
            assigner: Arc::clone(&self.assigner),
            origin: Arc::clone(&self.origin),
            sampled: self.sampled.clone(),
            sums: vec![0; self.sums.len()],
            counts: vec![0; self.counts.len()],
            objective: 0,
            ..*self
        }
    }

    fn absorb(&mut self, part: LloydStep) -> Result<()> {
        let dimension = self.assigner.dimension();
        if part.clusters.len() * dimension != part.values.len() {
            return Err(Error::Merge { what: WHAT, problem: "dimensions differ".to_owned() });
        }
        if self.documents() + part.clusters.len() as u64 > 1 << 32 {
            return Err(Error::Merge { what: WHAT, problem: "a sum would overflow".to_owned() });
        }
        for (cluster, row) in part.clusters.iter().zip(part.values.chunks_exact(dimension)) {
            let cluster = *cluster as usize;
            self.counts[cluster] += 1;
            add_fixed(self.assigner.path(), row, &mut self.sums[cluster * dimension..][..dimension]);
        }
        self.objective += part.objective;
        Ok(())
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        let refuse = |problem: &str| Err(Error::Merge { what: WHAT, problem: problem.to_owned() });
        if !self.is_like(&other) {
            return refuse("they began with other centroids");
        }
        if self.documents().checked_add(other.documents()).is_none_or(|sum| sum > 1 << 32) {
            return refuse("a sum would overflow");
        }
        let sums = self.sums.iter().zip(&other.sums).map(|(a, b)| a.checked_add(*b));
        let Some(sums) = sums.collect::<Option<Vec<i64>>>() else { return refuse("a sum would overflow") };
        let Some(objective) = self.objective.checked_add(other.objective) else {
            return refuse("the objective would overflow");
        };
        (self.sums, self.objective) = (sums, objective);
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = start(MAGIC, VERSION);
        out.extend_from_slice(&(self.origin.len() as u64).to_le_bytes());
        out.extend_from_slice(&self.origin);
        out.extend_from_slice(&self.bound.to_bits().to_le_bytes());
        out.extend_from_slice(&self.sampled.seed.to_le_bytes());
        out.extend_from_slice(&self.sampled.rate.to_bits().to_le_bytes());
        out.extend_from_slice(&self.objective.to_le_bytes());
        self.counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
        self.sums.iter().for_each(|sum| out.extend_from_slice(&sum.to_le_bytes()));
        finish(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = ByteReader::open(WHAT, MAGIC, VERSION, bytes)?;
        let length = usize::try_from(reader.u64()?).map_err(|_| reader.corrupt("sizes are impossible"))?;
        let centroids = Centroids::decode(reader.take(length)?)?;
        let bound = f32::from_bits(reader.u32()?);
        let seed = reader.u64()?;
        let rate = f64::from_bits(reader.u64()?);
        if !(bound > 0.0 && bound.is_finite() && rate > 0.0 && rate <= 1.0) {
            return Err(reader.corrupt("parameters are impossible"));
        }
        let objective = reader.u128()? as i128;
        let mut pass = Self::new(&centroids, bound, (rate, seed));
        pass.objective = objective;
        if reader.rest().len() != 8 * (pass.counts.len() + pass.sums.len()) {
            return Err(reader.corrupt("sizes are impossible"));
        }
        for count in &mut pass.counts {
            *count = reader.u64()?;
        }
        for sum in &mut pass.sums {
            *sum = reader.u64()? as i64;
        }
        if pass.counts.iter().try_fold(0_u64, |a, b| a.checked_add(*b)).is_none_or(|sum| sum > 1 << 32) {
            return Err(reader.corrupt("more documents than can be counted"));
        }
        reader.end()?;
        Ok(pass)
    }

    fn size_bytes(&self) -> u64 {
        (8 * self.sums.len() + 8 * self.counts.len() + self.origin.len() + 64) as u64
    }
}

impl BatchSummary for LloydPass {
    fn parts(&self) -> impl Fn(&RecordBatch) -> Result<LloydStep> + Send + Sync + 'static {
        let pass = self.empty();
        move |batch| Ok(pass.step(&pass.rows_of(&EmbeddingBatch::new(batch.clone())?)?))
    }
}
