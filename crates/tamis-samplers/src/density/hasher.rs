//! From embeddings to the buckets that they fall into.
//!
//! A projection is computed in one fixed order, so that both passes, every batch and every thread put the same stored
//! embedding into the same buckets: otherwise a document would miss its own counter.

use std::sync::OnceLock;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tamis_core::{EmbeddingBatch, Result};

use super::{Kernel, ParameterError, Preset, Projection, RaceParameters, finite_rows};

/// Embeddings hashed at once: bounds scratch memory.
const TILE: usize = 128;

/// The hash functions of a sketch. Shared between threads; made lazily, since reading a sketch does not need them.
#[derive(Debug)]
pub struct RaceHasher {
    parameters: RaceParameters,
    functions: OnceLock<Functions>,
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

#[derive(Debug)]
struct Functions {
    projector: Projector,
    /// b/r of hash h of row r at `h · R + r`, in [0, 1).
    offsets: Vec<f32>,
    /// What the mixing of a row starts with.
    row_seeds: Vec<u64>,
}

#[derive(Debug)]
enum Projector {
    /// Weights, one column of D values per output.
    Gaussian(Columns),
    /// Signs of three rounds for each block of outputs: blocks × 3 × padded D.
    Hadamard { signs: Vec<f32>, padded: usize },
}

impl RaceHasher {
    /// The functions of these parameters.
    ///
    /// # Errors
    /// A parameter out of range.
    pub fn new(parameters: RaceParameters) -> std::result::Result<Self, ParameterError> {
        parameters.validate()?;
        Ok(Self { parameters, functions: OnceLock::new() })
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
        let dimension = self.parameters.dimension as usize;
        assert_eq!(values.len() % dimension, 0, "whole embeddings");
        let rows = self.parameters.repetitions as usize;
        let outputs = rows * self.parameters.hashes as usize;
        let embeddings = values.len() / dimension;
        let functions = self.functions.get_or_init(|| Functions::new(&self.parameters));
        let mut buckets = vec![0; rows * embeddings];
        let mut projections = vec![0.0; outputs * TILE.min(embeddings)];
        let mut scratch = Vec::new();
        for (tile, values) in values.chunks(TILE * dimension).enumerate() {
            let count = values.len() / dimension;
            let projections = &mut projections[..outputs * count];
            functions.projector.project(values, dimension, outputs, projections, &mut scratch);
            for (i, projections) in projections.chunks_exact(outputs).enumerate() {
                for row in 0..rows {
                    let hashes = (row..outputs).step_by(rows);
                    buckets[row * embeddings + tile * TILE + i] =
                        functions.bucket(&self.parameters, row, hashes, projections);
                }
            }
        }
        BucketBlock { embeddings, buckets }
    }
}

impl Functions {
    fn new(parameters: &RaceParameters) -> Self {
        let rows = parameters.repetitions as usize;
        let outputs = rows * parameters.hashes as usize;
        let dimension = parameters.dimension as usize;
        let stream = |number| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&parameters.seed.to_le_bytes());
            let mut rng = ChaCha8Rng::from_seed(seed);
            rng.set_stream(number);
            rng
        };
        let mut rng = stream(1);
        let projector = match parameters.projection {
            Projection::Gaussian => {
                Projector::Gaussian(Columns::new(dimension, outputs, || normals(&mut rng)))
            }
            Projection::Hadamard => {
                let padded = dimension.next_power_of_two();
                let blocks = outputs.div_ceil(padded);
                let signs = (0..blocks * 3 * padded)
                    .map(|_| if rng.next_u32() >> 31 == 0 { 1.0 } else { -1.0 })
                    .collect();
                Projector::Hadamard { signs, padded }
            }
        };
        let mut rng = stream(2);
        // 24 bits, so that every offset is exact in f32 and below 1.
        let offsets = (0..outputs).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32).collect();
        let mut rng = stream(3);
        let row_seeds = (0..rows).map(|_| rng.next_u64()).collect();
        Self { projector, offsets, row_seeds }
    }

    /// The bucket of one embedding in one row.
    fn bucket(
        &self,
        parameters: &RaceParameters,
        row: usize,
        hashes: impl Iterator<Item = usize>,
        projections: &[f32],
    ) -> u32 {
        let buckets = parameters.buckets;
        let mut mixed = self.row_seeds[row];
        for at in hashes {
            let value = match parameters.kernel {
                Kernel::L2 { bandwidth } => {
                    // Multiply, then add: a fused operation would round once less and disagree with other machines.
                    let step = projections[at] * (1.0 / bandwidth) as f32;
                    (step + self.offsets[at]).floor() as i32
                }
                Kernel::Cosine => i32::from(projections[at] >= 0.0),
            };
            if parameters.preset == Preset::Literal {
                return i64::from(value).rem_euclid(i64::from(buckets)) as u32;
            }
            mixed = (mixed ^ u64::from(value as u32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^= mixed >> 32;
        }
        mixed = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
        (((mixed >> 32) * u64::from(buckets)) >> 32) as u32
    }
}

/// Two independent standard normal numbers (Box–Muller), from pinned functions.
fn normals(rng: &mut ChaCha8Rng) -> [f32; 2] {
    const STEP: f64 = 1.0 / (1u64 << 52) as f64;
    let mut unit = || ((rng.next_u64() >> 12) as f64 + 0.5) * STEP;
    let radius = libm::sqrt(-2.0 * libm::log(unit()));
    let angle = 2.0 * std::f64::consts::PI * unit();
    [(radius * libm::cos(angle)) as f32, (radius * libm::sin(angle)) as f32]
}

impl Projector {
    /// Projects m embeddings: `projections` is m × outputs.
    fn project(
        &self,
        values: &[f32],
        dimension: usize,
        outputs: usize,
        projections: &mut [f32],
        scratch: &mut Vec<f32>,
    ) {
        match self {
            Self::Gaussian(columns) => columns.multiply(values, projections),
            Self::Hadamard { signs, padded } => {
                let scale = 1.0 / *padded as f32;
                scratch.resize(*padded, 0.0);
                for (values, projections) in
                    values.chunks_exact(dimension).zip(projections.chunks_exact_mut(outputs))
                {
                    for (signs, out) in signs.chunks_exact(3 * padded).zip(projections.chunks_mut(*padded)) {
                        scratch[..dimension].copy_from_slice(values);
                        scratch[dimension..].fill(0.0);
                        for signs in signs.chunks_exact(*padded) {
                            scratch.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
                            hadamard(scratch);
                        }
                        out.iter_mut().zip(&*scratch).for_each(|(out, value)| *out = value * scale);
                    }
                }
            }
        }
    }
}

/// Unnormalised Walsh–Hadamard transform in place; the length is a power of two.
fn hadamard(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

const WIDTH: usize = 32;

/// D × J weights in panels of 32 columns, for products that add up in the order of D whatever the batch.
#[derive(Debug)]
pub(super) struct Columns {
    dimension: usize,
    columns: usize,
    panels: Vec<f32>,
}

impl Columns {
    /// Fills columns one after the other with pairs of numbers.
    fn new(dimension: usize, columns: usize, mut pairs: impl FnMut() -> [f32; 2]) -> Self {
        let mut panels = vec![0.0; columns.div_ceil(WIDTH) * dimension * WIDTH];
        let mut spare = None;
        for column in 0..columns {
            for k in 0..dimension {
                let value = spare.take().unwrap_or_else(|| {
                    let [now, later] = pairs();
                    spare = Some(later);
                    now
                });
                panels[(column / WIDTH * dimension + k) * WIDTH + column % WIDTH] = value;
            }
        }
        Self { dimension, columns, panels }
    }

    /// Columns that are the given rows of D values.
    pub(super) fn of_rows(dimension: usize, rows: &[f32]) -> Self {
        let columns = rows.len() / dimension;
        let mut panels = vec![0.0; columns.div_ceil(WIDTH) * dimension * WIDTH];
        for (column, row) in rows.chunks_exact(dimension).enumerate() {
            for (k, value) in row.iter().enumerate() {
                panels[(column / WIDTH * dimension + k) * WIDTH + column % WIDTH] = *value;
            }
        }
        Self { dimension, columns, panels }
    }

    /// `out` (m × J) = `rows` (m × D) times the weights.
    pub(super) fn multiply(&self, rows: &[f32], out: &mut [f32]) {
        for (panel, weights) in self.panels.chunks_exact(self.dimension * WIDTH).enumerate() {
            let from = panel * WIDTH;
            let width = WIDTH.min(self.columns - from);
            for (row, out) in rows.chunks_exact(self.dimension).zip(out.chunks_exact_mut(self.columns)) {
                let mut sums = [0.0f32; WIDTH];
                for (x, weights) in row.iter().zip(weights.chunks_exact(WIDTH)) {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += x * weight;
                    }
                }
                out[from..from + width].copy_from_slice(&sums[..width]);
            }
        }
    }
}
