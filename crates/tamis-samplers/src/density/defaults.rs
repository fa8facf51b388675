//! The rule for the parameters that a user does not set.
//!
//! - **Bandwidth** r = 1 for embeddings of norm 1 (in general the median norm): at equal background, r ≥ 1 keeps near copies
//!   visible that a smaller r loses (a neighbour at cosine 0.966 counts 0.155 at r = 1, p = 8, and 0.003 at r = 0.1).
//! - **Hashes** p = the smallest for which the *background* is at most β = 0.5 documents. Background is what unrelated
//!   documents add up to: the median over a sample of Σ k(c)^p over the others with a cosine below 0.8 (copies must not
//!   count), scaled to N. With p = 1 it is thousands, everything looks equally crowded and the selection is Random's. Far
//!   above the smallest such p only exact copies count, and Density turns into removing those.
//! - **Buckets** B from 20,000 upwards until the noise of collisions, σ = √(N · mean(S) / (B · R)), is at most 0.5 documents
//!   within the memory allowed.
//!
//! The constants were measured on one mixed English pool of 20,000 to 56,000 documents with one encoder (all-MiniLM-L6-v2);
//! the rule gives p = 9 and 10 there.

use super::{EmbeddingSample, Kernel, ParameterError, Preset, Projection, RaceParameters};
use crate::cosines::Cosines;

/// Cosines at and above are copies, not background.
const COPY_COSINE: f64 = 0.8;
/// β and the largest σ, in documents.
const BACKGROUND_LIMIT: f64 = 0.5;
const NOISE_LIMIT: f64 = 0.5;
const MAX_HASHES: usize = 32;
/// Bins of the cosine, over [−1, 1].
const BINS: usize = 4096;

/// What the user set; `None` is for the rule to choose.
#[derive(Clone, Debug)]
pub struct DensityOptions {
    /// `Kernel::Cosine`, or `Kernel::L2` with any bandwidth: see [`Self::bandwidth`].
    pub cosine: bool,
    /// r; ignored by the cosine kernel.
    pub bandwidth: Option<f64>,
    /// p.
    pub hashes: Option<u32>,
    /// B.
    pub buckets: Option<u32>,
    /// R.
    pub repetitions: u32,
    /// How projections are made.
    pub projection: Projection,
    /// What the counters may take, in bytes.
    pub sketch_memory_bytes: u64,
    /// Seed of the hash functions.
    pub seed: u64,
}

impl Default for DensityOptions {
    fn default() -> Self {
        Self {
            cosine: false,
            bandwidth: None,
            hashes: None,
            buckets: None,
            repetitions: RaceParameters::DEFAULT_REPETITIONS,
            projection: Projection::Gaussian,
            sketch_memory_bytes: 1_000_000_000,
            seed: 0,
        }
    }
}

impl DensityOptions {
    /// What the counters of a sketch take at most that is made with these options, in bytes: what a reader of its file has
    /// to allow. The rule chooses at least [`RaceParameters::DEFAULT_BUCKETS`], whatever memory is allowed.
    #[must_use]
    pub fn largest_sketch_bytes(&self) -> u64 {
        let of = |buckets: u32| (4 * u64::from(self.repetitions)).saturating_mul(u64::from(buckets));
        match self.buckets {
            Some(buckets) => of(buckets),
            None => of(RaceParameters::DEFAULT_BUCKETS).max(self.sketch_memory_bytes),
        }
    }
}

/// Parameters with what led to them.
#[derive(Clone, Debug, PartialEq)]
pub struct ChosenParameters {
    /// For [`super::RaceSketch::new`].
    pub parameters: RaceParameters,
    /// What unrelated documents add up to in the median, in documents.
    pub background: f64,
    /// Mean kernel sum of the corpus, in documents, as the sample has it.
    pub mean_density: f64,
    /// σ of the collisions, in documents.
    pub collision_noise: f64,
    /// What the user should know: limits that were reached.
    pub warnings: Vec<String>,
}

/// Chooses r, p and B from a sample of the corpus; see the module for the rule. Time: n² · D for n sampled documents.
///
/// # Errors
/// Fewer than two sampled documents, or an option out of range.
pub fn default_parameters(
    sample: &EmbeddingSample,
    options: &DensityOptions,
) -> Result<ChosenParameters, ParameterError> {
    let dimension = sample.dimension();
    let mut embeddings = sample.embeddings();
    let norms = normalize(&mut embeddings, dimension);
    let count = norms.len();
    if count < 2 {
        return Err(ParameterError::TooFewDocuments { documents: count });
    }
    let mut warnings = Vec::new();
    let norm = median(norms.clone());
    if !options.cosine && norms.iter().any(|other| (other / norm - 1.0).abs() > 0.05) {
        warnings.push(
            "embeddings have different norms: the background is computed as if they had the median one; normalise them, or use the cosine kernel"
                .to_owned(),
        );
    }
    // 1 where norms are 1 up to the rounding of f16.
    let unit = if (norm - 1.0).abs() < 0.01 { 1.0 } else { norm };
    let bandwidth = options.bandwidth.unwrap_or(unit);
    let (kernel, kernel_of_unit) = if options.cosine {
        (Kernel::Cosine, Kernel::Cosine)
    } else {
        (Kernel::L2 { bandwidth }, Kernel::L2 { bandwidth: bandwidth / unit })
    };
    // The range of what was given is checked before it is computed with.
    let draft = RaceParameters {
        dimension: u32::try_from(dimension).unwrap_or(u32::MAX),
        repetitions: options.repetitions,
        buckets: options.buckets.unwrap_or(RaceParameters::DEFAULT_BUCKETS),
        hashes: options.hashes.unwrap_or(1),
        kernel,
        projection: options.projection,
        preset: Preset::Mixed,
        seed: options.seed,
    };
    draft.validate()?;
    let documents = sample.documents() as f64;
    let scale = (documents - 1.0) / (count as f64 - 1.0);
    let sums = KernelSums::new(&embeddings, dimension, kernel_of_unit);
    let hashes = match options.hashes {
        Some(hashes) => hashes,
        None => {
            let fits = |p: &usize| sums.background(*p) * scale <= BACKGROUND_LIMIT;
            (1..=MAX_HASHES).find(fits).unwrap_or(MAX_HASHES) as u32
        }
    };
    let background = sums.background(hashes as usize) * scale;
    let mean_density = 1.0 + sums.mean(hashes as usize) * scale;
    if background > BACKGROUND_LIMIT {
        warnings.push(format!(
            "unrelated documents add up to {background:.1} documents with {hashes} hashes a row (at most {BACKGROUND_LIMIT} are wanted): near copies stand out little, and the selection may hardly differ from Random"
        ));
    }
    let mut parameters = RaceParameters { hashes, ..draft };
    let noise = |buckets: f64| (documents * mean_density / (buckets * f64::from(options.repetitions))).sqrt();
    if options.buckets.is_none() && noise(f64::from(parameters.buckets)) > NOISE_LIMIT {
        let wanted = documents * mean_density / (NOISE_LIMIT * NOISE_LIMIT * f64::from(options.repetitions));
        let affordable = options.sketch_memory_bytes / (4 * u64::from(options.repetitions));
        let buckets = (wanted.ceil() as u64).min(affordable).max(u64::from(parameters.buckets));
        parameters.buckets = buckets.min(1 << 30) as u32;
    }
    let collision_noise = noise(f64::from(parameters.buckets));
    if collision_noise > NOISE_LIMIT * 1.001 {
        let needed = 4.0 * documents * mean_density / (NOISE_LIMIT * NOISE_LIMIT);
        warnings.push(format!(
            "collisions blur densities by {collision_noise:.2} documents (at most {NOISE_LIMIT} are wanted): a sketch of {:.1} GB would be needed",
            needed / 1e9
        ));
    }
    parameters.validate()?;
    Ok(ChosenParameters { parameters, background, mean_density, collision_noise, warnings })
}

/// Scales rows to norm 1 in place; returns the norms. Rows of norm 0 stay.
pub(crate) fn normalize(embeddings: &mut [f32], dimension: usize) -> Vec<f64> {
    embeddings
        .chunks_exact_mut(dimension)
        .map(|row| {
            let norm = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
            if norm > 0.0 {
                row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
            }
            norm
        })
        .collect()
}

/// The middle value (the upper one of two); 0 for none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Σ k^p over the others in the sample, for every p at once.
struct KernelSums {
    /// By p − 1: the median over documents of the sum over cosines below 0.8.
    backgrounds: Vec<f64>,
    /// By p − 1: the mean over documents of the sum over all others.
    means: Vec<f64>,
}

impl KernelSums {
    /// Cosines are counted in bins of 1/2048, of which the middle stands for all: k^p is off by less than 2 % at p = 32.
    fn new(embeddings: &[f32], dimension: usize, kernel: Kernel) -> Self {
        const MAX_POWER: usize = 64;
        let count = embeddings.len() / dimension;
        let middle = |bin: usize| (bin as f64 + 0.5) * 2.0 / BINS as f64 - 1.0;
        let kernels: Vec<f64> = (0..BINS).map(|bin| kernel.at_cosine(middle(bin))).collect();
        let first_copy = ((COPY_COSINE + 1.0) / 2.0 * BINS as f64) as usize;
        let mut backgrounds = vec![Vec::new(); MAX_POWER];
        let mut means = vec![0.0; MAX_POWER];
        let bin_of = |cosine: f32| (((cosine + 1.0) * (BINS / 2) as f32) as usize).min(BINS - 1);
        let mut counts = vec![0u32; BINS];
        Cosines::with(embeddings, dimension).each(embeddings, dimension, |i, cosines| {
            counts.fill(0);
            cosines.iter().for_each(|&cosine| counts[bin_of(cosine)] += 1);
            // The document itself.
            counts[bin_of(cosines[i])] -= 1;
            let mut background = [0.0; MAX_POWER];
            let mut copies = [0.0; MAX_POWER];
            for (bin, &n) in counts.iter().enumerate().filter(|&(_, &n)| n > 0) {
                let sums = if bin < first_copy { &mut background } else { &mut copies };
                let mut term = f64::from(n);
                for sum in sums {
                    term *= kernels[bin];
                    *sum += term;
                }
            }
            for p in 0..MAX_POWER {
                backgrounds[p].push(background[p]);
                means[p] += (background[p] + copies[p]) / count as f64;
            }
        });
        Self { backgrounds: backgrounds.into_iter().map(median).collect(), means }
    }

    fn background(&self, hashes: usize) -> f64 {
        self.backgrounds[hashes - 1]
    }

    fn mean(&self, hashes: usize) -> f64 {
        self.means[hashes - 1]
    }
}
