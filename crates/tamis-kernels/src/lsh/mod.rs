//! Locality-sensitive hashing for the density sketch: project, quantise, combine, count, and read the counts back.
//!
//! A RACE sketch (Coleman and Shrivastava 2020, arXiv:1912.02283; used for density sampling in arXiv:2402.09668,
//! Algorithm 2) has R rows of B counters. Row r hashes an item with p hash functions at once, so that two items share
//! its bucket with probability k(x, y)^p, and counts the items of each bucket.
//!
//! Letters here: N items, D dimension, R sketch rows, p hashes a row, H = R · p hashes, B buckets.
//!
//! All of it is **the same on every machine, bit for bit**: projections fuse multiply and add everywhere and sum in the
//! order of the dimensions, quantisation multiplies and adds apart and rounds down, the rest is integers. A document
//! whose counter was incremented on one machine is found in that counter on another, alone or in any batch.
//!
//! Not for: drawing the random numbers (the caller's generator and seed), or the estimate itself (debiasing, means).

mod bucket;
mod gaussian;
mod hadamard;
#[cfg(target_arch = "x86_64")]
mod hadamard_avx512;
#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::path::Mode;
use crate::scratch::{HashingScratch, Scratch};
use crate::view::Rows;
use bucket::Keys;
pub use gaussian::GaussianProjection;
pub use hadamard::HadamardProjection;

/// Hashes that are projected together before they are counted, so that they are still in a near cache.
const HASH_GROUP: usize = 96;

/// The largest number of items that are hashed together.
const ITEM_GROUP: usize = 240;

/// Random directions: z = W · x with about standard normal entries of W.
#[derive(Debug, Clone)]
pub enum Projection {
    /// Independent normal entries; 2 · D operations a hash.
    Gaussian(GaussianProjection),
    /// Three rounds of random signs and a Hadamard transform; about 3 · log₂ D operations a hash.
    Hadamard(HadamardProjection),
}

impl Projection {
    /// Dimension of the items (D).
    #[must_use]
    pub fn dimension(&self) -> usize {
        match self {
            Self::Gaussian(projection) => projection.dimension(),
            Self::Hadamard(projection) => projection.dimension(),
        }
    }

    /// Number of hashes (H).
    #[must_use]
    pub fn hashes(&self) -> usize {
        match self {
            Self::Gaussian(projection) => projection.hashes(),
            Self::Hadamard(projection) => projection.hashes(),
        }
    }
}

/// From a projected value to a hash value.
#[derive(Debug, Clone, PartialEq)]
pub enum Quantiser {
    /// ⌊z / bandwidth + offset⌋: Euclidean distance (Datar et al. 2004).
    L2 {
        /// 1 / bandwidth, positive and finite.
        inverse_bandwidth: f32,
        /// Per hash a uniform offset in [0, 1): the b of the usual formula, divided by the bandwidth.
        offsets: Vec<f32>,
    },
    /// 1 where z ≥ 0, else 0: angular distance (Charikar 2002).
    Cosine,
}

/// From the hash values of a sketch row to one of B buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Multilinear hashing of all p values to 32 bits, then a multiply-high: strongly universal, so that values that
    /// differ share a bucket with probability 1/B (see [`HashFamily`]).
    Mixed,
    /// The single hash value modulo B, never negative: what the paper prints. Needs p = 1.
    Literal,
}

/// What a hash family is made of.
#[derive(Debug, Clone)]
pub struct HashOptions {
    /// The random directions, H = R · p of them; sketch row r has hashes r · p … r · p + p − 1.
    pub projection: Projection,
    /// From a projected value to a hash value.
    pub quantiser: Quantiser,
    /// Sketch rows (R).
    pub rows: usize,
    /// Hashes a row (p).
    pub hashes_per_row: usize,
    /// Buckets a row (B), at most 2³¹ − 1.
    pub buckets: u32,
    /// From hash values to buckets.
    pub reduction: Reduction,
}

/// Takes the first row, the number of rows, the first item, and rows × items buckets.
type EachRows<'a> = dyn FnMut(usize, usize, usize, &[u32]) + 'a;

/// The hash functions of a sketch.
///
/// [`Reduction::Mixed`]: with hash values v₁, v₂ … (as u32) and 64-bit keys m₀, m₁ … of the sketch row, the state is
/// m₀ + Σ mⱼ · vⱼ modulo 2⁶⁴ and the bucket ⌊(state / 2³²) · B / 2³²⌋ (Lemire and Kaser 2014, arXiv:1202.4961, §3,
/// MULTILINEAR; Lemire 2019, arXiv:1805.10941 for the reduction). Key j of row r is output r · (p + 1) + j of
/// `SplitMix64` started at zero. The keys are constants: the randomness of a sketch is in its projections.
#[derive(Debug, Clone)]
pub struct HashFamily {
    options: HashOptions,
    keys: Keys,
    mode: Mode,
}

impl HashFamily {
    /// Checks the options and makes the family.
    ///
    /// # Errors
    /// [`Error::HashParameter`] naming the one that is out of range or does not fit the others.
    pub fn new(options: HashOptions) -> Result<Self> {
        let refuse = |parameter, problem: String| Err(Error::HashParameter { parameter, problem });
        let hashes = options.projection.hashes();
        if options.rows == 0 || options.hashes_per_row == 0 {
            return refuse("rows", "a sketch needs at least one row and one hash a row".to_owned());
        }
        if options.rows.checked_mul(options.hashes_per_row) != Some(hashes) {
            let (rows, per_row) = (options.rows, options.hashes_per_row);
            return refuse(
                "hashes",
                format!("{rows} rows of {per_row} hashes do not use {hashes} projections"),
            );
        }
        if options.buckets == 0 || options.buckets > i32::MAX as u32 {
            return refuse("buckets", format!("expected 1 to {}, got {}", i32::MAX, options.buckets));
        }
        if options.reduction == Reduction::Literal && options.hashes_per_row != 1 {
            return refuse(
                "hashes_per_row",
                format!("`literal` needs 1 hash a row, got {}", options.hashes_per_row),
            );
        }
        if let Quantiser::L2 { inverse_bandwidth, offsets } = &options.quantiser {
            if !(inverse_bandwidth.is_finite() && *inverse_bandwidth > 0.0) {
                return refuse(
                    "bandwidth",
                    format!("1 / bandwidth is `{inverse_bandwidth}`, not a positive number"),
                );
            }
            if offsets.len() != hashes || offsets.iter().any(|offset| !(0.0..1.0).contains(offset)) {
                return refuse("offsets", format!("expected {hashes} values in [0, 1)"));
            }
        }
        let keys = Keys::new(options.rows, options.hashes_per_row);
        Ok(Self { options, keys, mode: Mode::best() })
    }

    /// What the family is made of.
    #[must_use]
    pub fn options(&self) -> &HashOptions {
        &self.options
    }

    /// Number of counters in a sketch: R · B, row-major.
    #[must_use]
    pub fn counters(&self) -> usize {
        self.options.rows * self.options.buckets as usize
    }

    /// Pass 1: counts every item once in each row of `counters` (R × B, row-major).
    ///
    /// Items must be finite. An item that is not still gets a bucket, the same on every machine, but no meaning.
    ///
    /// # Errors
    /// [`Error::CounterOverflow`] if a counter would exceed a u32; that counter keeps the largest value, the others
    /// count on, and the sketch is of no further use.
    ///
    /// # Panics
    /// If `items` has another dimension or `counters` another length.
    pub fn count(&self, items: Rows<'_>, counters: &mut [u32], scratch: &mut Scratch) -> Result<()> {
        assert_eq!(counters.len(), self.counters(), "rows of {} counters", self.options.buckets);
        let buckets = self.options.buckets as usize;
        let mut overflow: Option<usize> = None;
        self.for_rows(items, scratch, &mut |row, rows, _, item_buckets| {
            let counters = &mut counters[row * buckets..][..rows * buckets];
            if let Some(at) = bucket::count(item_buckets, counters, rows) {
                overflow = Some(overflow.map_or(row + at, |other| other.min(row + at)));
            }
        });
        overflow.map_or(Ok(()), |row| Err(Error::CounterOverflow { row }))
    }

    /// Pass 2: for every item the sum over the rows of the counter that it falls in, and the sum of their squares.
    ///
    /// `sums` and `squares` have a value per item and are overwritten. Squares are added in row order.
    ///
    /// # Panics
    /// If `items` has another dimension, `counters` another length, or there is not one output per item.
    pub fn gather(
        &self,
        items: Rows<'_>,
        counters: &[u32],
        sums: &mut [u64],
        squares: &mut [f64],
        scratch: &mut Scratch,
    ) {
        assert_eq!(counters.len(), self.counters(), "rows of {} counters", self.options.buckets);
        assert!(sums.len() == items.rows() && squares.len() == items.rows(), "one output per item");
        let buckets = self.options.buckets as usize;
        sums.fill(0);
        squares.fill(0.0);
        self.for_rows(items, scratch, &mut |row, rows, first, item_buckets| {
            let range = first..first + item_buckets.len() / rows;
            let counters = &counters[row * buckets..][..rows * buckets];
            bucket::gather(
                self.mode,
                item_buckets,
                counters,
                rows,
                &mut sums[range.clone()],
                &mut squares[range],
            );
        });
    }

    /// The bucket of every item in every row: `out` is R × N, row-major.
    ///
    /// # Panics
    /// If `items` has another dimension or `out` another length.
    pub fn buckets(&self, items: Rows<'_>, out: &mut [u32], scratch: &mut Scratch) {
        let count = items.rows();
        assert_eq!(out.len(), self.options.rows * count, "a bucket per row and item");
        self.for_rows(items, scratch, &mut |row, rows, first, item_buckets| {
            for (row, item_buckets) in (row..).zip(item_buckets.chunks_exact(item_buckets.len() / rows)) {
                out[row * count + first..][..item_buckets.len()].copy_from_slice(item_buckets);
            }
        });
    }

    /// Calls `each(first row, rows, first item, buckets)` for groups of items and of sketch rows, `buckets` being rows ×
    /// items of the group; for one item rows come in order.
    fn for_rows(&self, items: Rows<'_>, scratch: &mut Scratch, each: &mut EachRows<'_>) {
        let options = &self.options;
        assert_eq!(
            items.width(),
            options.projection.dimension(),
            "items have the dimension of the projection"
        );
        let per_row = options.hashes_per_row;
        let HashingScratch { items: packed, projected, states, buckets } = &mut scratch.hashing;
        let rows_at_once = (HASH_GROUP / per_row).max(1);
        let mut finish = |first_row: usize, rows: usize, first: usize, count: usize, z: &[f32]| {
            let (states, buckets) = (states.at_least(count), buckets.at_least(rows * count));
            let each_row = z.chunks_exact(per_row * count).zip(buckets.chunks_exact_mut(count));
            for (row, (z, buckets)) in (first_row..).zip(each_row) {
                self.bucket_row(row, z, states, buckets);
            }
            each(first_row, rows, first, buckets);
        };
        let group = match &options.projection {
            Projection::Gaussian(_) => ITEM_GROUP,
            Projection::Hadamard(projection) => projection.items_at_once(),
        };
        for first in (0..items.rows()).step_by(group) {
            let count = group.min(items.rows() - first);
            let part = items.part(first, count, 0, items.width());
            let row_groups = (0..options.rows)
                .step_by(rows_at_once)
                .map(|first_row| (first_row, rows_at_once.min(options.rows - first_row)));
            match &options.projection {
                Projection::Gaussian(projection) => {
                    let tile = projection.pack(self.mode, part, packed);
                    for (first_row, rows) in row_groups {
                        let z = projected.at_least(rows * per_row * count);
                        projection.project(self.mode, &tile, first_row * per_row, rows * per_row, z);
                        finish(first_row, rows, first, count, z);
                    }
                }
                Projection::Hadamard(projection) => {
                    let z = projected.at_least(projection.hashes() * count);
                    projection.project(self.mode, part, packed, z);
                    for (first_row, rows) in row_groups {
                        let z = &z[first_row * per_row * count..][..rows * per_row * count];
                        finish(first_row, rows, first, count, z);
                    }
                }
            }
        }
    }

    /// Buckets of one sketch row from its projections, p × items.
    fn bucket_row(&self, row: usize, z: &[f32], states: &mut [u64], buckets: &mut [u32]) {
        let options = &self.options;
        let per_row = options.hashes_per_row;
        let count = options.buckets;
        match (&options.quantiser, options.reduction) {
            (Quantiser::L2 { inverse_bandwidth, offsets }, Reduction::Mixed) => {
                let offsets = &offsets[row * per_row..][..per_row];
                bucket::mixed_l2(self.mode, z, *inverse_bandwidth, offsets, self.keys.of(row), states);
                bucket::reduce(self.mode, states, count, buckets);
            }
            (Quantiser::Cosine, Reduction::Mixed) => {
                bucket::mixed_cosine(self.mode, z, self.keys.of(row), states);
                bucket::reduce(self.mode, states, count, buckets);
            }
            (Quantiser::L2 { inverse_bandwidth, offsets }, Reduction::Literal) => {
                bucket::literal_l2(self.mode, z, *inverse_bandwidth, offsets[row], count, buckets);
            }
            (Quantiser::Cosine, Reduction::Literal) => bucket::literal_cosine(z, count, buckets),
        }
    }
}
