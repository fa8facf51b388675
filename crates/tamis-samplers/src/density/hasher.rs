//! From embeddings to the buckets that they fall into: draws the random numbers, `tamis_kernels::lsh` does the work.
//!
//! Hashes are the same on every machine to the bit, alone or in any batch, so that both passes put the same stored
//! embedding into the same buckets: otherwise a document would miss its own counter.

use std::sync::OnceLock;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tamis_core::{EmbeddingBatch, Result};
use tamis_kernels::lsh::{
    GaussianProjection, HadamardProjection, HashFamily, HashOptions, Projection as Directions, Quantiser,
    Reduction,
};
use tamis_kernels::{Rows, Scratch};

use super::{Kernel, ParameterError, Preset, Projection, RaceParameters, finite_rows};

/// The hash functions of a sketch. Shared between threads; made when first used, since reading a sketch does not need them.
#[derive(Debug)]
pub struct RaceHasher {
    parameters: RaceParameters,
    family: OnceLock<HashFamily>,
}

/// The buckets of m embeddings: `row r, embedding i` at `r · m + i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketBlock {
    pub(super) embeddings: usize,
    pub(super) buckets: Vec<u32>,
}

impl BucketBlock {
    /// m, how many embeddings were hashed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.embeddings
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.embeddings == 0
    }

    /// The buckets of all embeddings in one row of the sketch.
    pub(super) fn row(&self, row: usize) -> &[u32] {
        &self.buckets[row * self.embeddings..][..self.embeddings]
    }
}

impl RaceHasher {
    /// The functions of these parameters.
    ///
    /// # Errors
    /// A parameter out of range.
    pub fn new(parameters: RaceParameters) -> std::result::Result<Self, ParameterError> {
        parameters.validate()?;
        Ok(Self { parameters, family: OnceLock::new() })
    }

    /// What the functions were made from.
    #[must_use]
    pub fn parameters(&self) -> &RaceParameters {
        &self.parameters
    }

    /// Hashes the rows of a batch that have a finite embedding; returns their indices in the batch, too.
    ///
    /// # Errors
    /// A batch of another dimension.
    pub fn hash_batch(&self, batch: &EmbeddingBatch) -> Result<(Vec<usize>, BucketBlock)> {
        let (indices, values) = finite_rows(batch, self.parameters.dimension as usize)?;
        Ok((indices, self.hash(&values)))
    }

    /// Hashes m embeddings, m × D finite values row by row.
    ///
    /// # Panics
    /// When the number of values is not a multiple of D.
    #[must_use]
    pub fn hash(&self, values: &[f32]) -> BucketBlock {
        let items = self.items(values);
        let embeddings = items.rows();
        let mut buckets = vec![0; self.parameters.repetitions as usize * embeddings];
        if embeddings > 0 {
            self.family().buckets(items, &mut buckets, &mut Scratch::new());
        }
        BucketBlock { embeddings, buckets }
    }

    /// m × D values as the kernels take them.
    pub(super) fn items<'a>(&self, values: &'a [f32]) -> Rows<'a> {
        let dimension = self.parameters.dimension as usize;
        assert_eq!(values.len() % dimension, 0, "whole embeddings");
        Rows::contiguous(values, dimension)
    }

    pub(super) fn family(&self) -> &HashFamily {
        self.family.get_or_init(|| family(&self.parameters))
    }
}

fn family(parameters: &RaceParameters) -> HashFamily {
    const VALID: &str = "parameters were validated";
    let rows = parameters.repetitions as usize;
    let hashes = rows * parameters.hashes as usize;
    let dimension = parameters.dimension as usize;
    let stream = |number| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&parameters.seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(seed);
        rng.set_stream(number);
        rng
    };
    let mut rng = stream(1);
    let projection = match parameters.projection {
        Projection::Gaussian => {
            let mut directions: Vec<f32> =
                (0..(hashes * dimension).div_ceil(2)).flat_map(|_| normals(&mut rng)).collect();
            directions.truncate(hashes * dimension);
            Directions::Gaussian(GaussianProjection::new(directions, dimension).expect(VALID))
        }
        Projection::Hadamard => {
            let directions = HadamardProjection::new(dimension, hashes, &mut || rng.next_u64());
            Directions::Hadamard(directions.expect(VALID))
        }
    };
    let mut rng = stream(2);
    let quantiser = match parameters.kernel {
        Kernel::L2 { bandwidth } => Quantiser::L2 {
            inverse_bandwidth: (1.0 / bandwidth) as f32,
            // 24 bits: exact in f32 and below 1.
            offsets: (0..hashes).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32).collect(),
        },
        Kernel::Cosine => Quantiser::Cosine,
    };
    let reduction = match parameters.preset {
        Preset::Mixed => Reduction::Mixed,
        Preset::Literal => Reduction::Literal,
    };
    HashFamily::new(HashOptions {
        projection,
        quantiser,
        rows,
        hashes_per_row: parameters.hashes as usize,
        buckets: parameters.buckets,
        reduction,
    })
    .expect(VALID)
}

/// Two independent standard normal numbers (Box–Muller), from pinned functions.
fn normals(rng: &mut ChaCha8Rng) -> [f32; 2] {
    const STEP: f64 = 1.0 / (1u64 << 52) as f64;
    let mut unit = || ((rng.next_u64() >> 12) as f64 + 0.5) * STEP;
    let radius = libm::sqrt(-2.0 * libm::log(unit()));
    let angle = 2.0 * std::f64::consts::PI * unit();
    [(radius * libm::cos(angle)) as f32, (radius * libm::sin(angle)) as f32]
}
