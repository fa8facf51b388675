//! The nearest centroids of many rows.
//!
//! A packed product gives all cosines of a row nearly; which centroid is nearest is decided among those that the error of the
//! product leaves in question, by [`dot`], whose bits are the same on every machine. So neither the kernel nor its number format
//! decides anything but speed. Where a machine has integer products several times as fast as those of floats, the product is
//! one of 8 bits ([`Filter`]), whose error is bounded row by row; a few centroids of a thousand are left in question then.

use tamis_kernels::{
    Accumulate, Dtype, PackedMatrix, Path, Rows, RowsMut, Scratch, at_least, dot, largest, to_unit_length,
};

use super::{Centroids, Geometry};

/// Rows multiplied at once: their products stay in the second-level cache.
const ROWS: usize = 64;

/// What rounding sums may add to a product of unit vectors, or of vectors of norms that are multiplied with it; 2⁻²⁴ for each of a
/// few thousand values, added up, stays below.
const ROUNDING: f32 = 1e-4;

/// Fewer centroids or values do not repay rounding them to integers.
const FILTERED_CLUSTERS: usize = 96;
const FILTERED_DIMENSION: usize = 128;

/// Where a document belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assigned {
    /// The nearest centroid; of equally near ones the first.
    pub cluster: u32,
    /// The second nearest; the nearest where there is one cluster.
    pub second: u32,
    /// Cosine to the nearest, −1 to 1; 0 for a zero vector.
    pub similarity: f32,
    /// 1 − cosine, or the squared distance.
    pub distance: f32,
}

/// Centroids, packed for products.
#[derive(Debug)]
pub struct Assigner {
    geometry: Geometry,
    dimension: usize,
    clusters: usize,
    path: Path,
    /// k × D.
    values: std::sync::Arc<[f32]>,
    packed: Packed,
    /// What is taken from a product before products are compared: half the squared norm, in space.
    offsets: Vec<f32>,
    norms: Vec<f32>,
    largest_norm: f32,
}

/// What gives all products of a row, nearly.
#[derive(Debug)]
enum Packed {
    Floats(PackedMatrix),
    Integers(Filter),
}

/// Products of 8 bits.
#[derive(Debug)]
struct Filter {
    packed: PackedMatrix,
    /// At most how far a centroid is from what it was rounded to.
    largest_error: f32,
}

/// The path whose integer products are several times as fast as products of floats here: those with VNNI, which multiply and
/// add 64 (of 256 bits 32) pairs by one instruction where floats have 16 (8).
fn integer_path() -> Option<Path> {
    [Path::Int8Avx512, Path::Int8AvxVnni].into_iter().find(|path| path.is_supported())
}

/// A row, the indices of two centroids, and the product that decided for the first.
struct Found<'r> {
    row: &'r [f32],
    best: usize,
    second: usize,
    product: f32,
}

impl Assigner {
    /// Packs the centroids.
    #[must_use]
    pub fn new(centroids: &Centroids) -> Self {
        let worth = centroids.clusters() >= FILTERED_CLUSTERS
            && centroids.dimension as usize >= FILTERED_DIMENSION
            && centroids.geometry == Geometry::Spherical;
        Self::by(centroids, integer_path().filter(|_| worth))
    }

    /// By integer products on this path, or by floats.
    pub(super) fn by(centroids: &Centroids, integers: Option<Path>) -> Self {
        let (dimension, clusters) = (centroids.dimension as usize, centroids.clusters());
        let path = Path::detect(Dtype::F32);
        let rows = || centroids.values.chunks_exact(dimension);
        let norms: Vec<f32> = rows().map(|row| dot(path, row, row).sqrt()).collect();
        let pack = |path| PackedMatrix::pack(&centroids.values, clusters, dimension, path);
        let packed = match integers {
            None => Packed::Floats(pack(path)),
            Some(path) => {
                let packed = pack(path);
                let largest_error = packed.output_errors().into_iter().fold(0.0, f32::max);
                Packed::Integers(Filter { packed, largest_error })
            }
        };
        Self {
            geometry: centroids.geometry,
            dimension,
            clusters,
            path,
            values: std::sync::Arc::clone(&centroids.values),
            packed,
            offsets: rows().map(|row| 0.5 * dot(path, row, row)).collect(),
            largest_norm: norms.iter().copied().fold(0.0, f32::max),
            norms,
        }
    }

    /// D.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// k.
    #[must_use]
    pub fn clusters(&self) -> usize {
        self.clusters
    }

    /// Rows as they are compared: of norm 1 in the spherical geometry (a zero vector stays one).
    pub(super) fn prepare(&self, values: &mut [f32]) {
        if self.geometry == Geometry::Spherical {
            to_unit_length(self.path, values, self.dimension);
        }
    }

    /// The instructions in use.
    pub(super) fn path(&self) -> Path {
        self.path
    }

    /// Assigns m finite rows, m × D.
    ///
    /// # Panics
    /// Values that are no whole number of rows.
    #[must_use]
    pub fn assign(&self, mut values: Vec<f32>) -> Vec<Assigned> {
        self.prepare(&mut values);
        let mut assigned = Vec::with_capacity(values.len() / self.dimension);
        self.each(&values, 2, |found| assigned.push(self.assigned(&found)));
        assigned
    }

    /// The nearest centroid of each prepared row, with its distance.
    pub(super) fn nearest_of(&self, values: &[f32], mut each: impl FnMut(usize, f32)) {
        self.each(values, 1, |found| each(found.best, self.assigned(&found).distance));
    }

    /// Calls `each` with the nearest centroids of every prepared row: one, or two.
    fn each(&self, values: &[f32], wanted: usize, mut each: impl FnMut(Found<'_>)) {
        assert!(values.len().is_multiple_of(self.dimension), "whole rows");
        let mut scratch = Scratch::new();
        let mut products = vec![0.0; ROWS * self.clusters];
        let mut errors = [0.0; ROWS];
        let mut places = Vec::new();
        for rows in values.chunks(ROWS * self.dimension) {
            let height = rows.len() / self.dimension;
            let products = &mut products[..height * self.clusters];
            let out = RowsMut::contiguous(products, self.clusters);
            let a = Rows::contiguous(rows, self.dimension);
            match &self.packed {
                Packed::Floats(packed) => packed.multiply(a, out, Accumulate::No, &mut scratch),
                Packed::Integers(filter) => {
                    filter.packed.multiply_with_errors(a, out, &mut errors[..height], &mut scratch);
                }
            }
            let rows = rows.chunks_exact(self.dimension);
            let products = products.chunks_exact_mut(self.clusters);
            for ((row, products), error) in rows.zip(products).zip(errors) {
                let within = self.uncertainty(row, error);
                if self.geometry == Geometry::Euclidean {
                    products.iter_mut().zip(&self.offsets).for_each(|(product, offset)| *product -= offset);
                }
                each(self.decide(row, products, within, wanted, &mut places));
            }
        }
    }

    /// At most how far a product of a row is off.
    fn uncertainty(&self, row: &[f32], error: f32) -> f32 {
        let norm = match self.geometry {
            Geometry::Spherical => 1.0,
            Geometry::Euclidean => dot(self.path, row, row).sqrt(),
        };
        let largest = self.largest_norm;
        let rounding = ROUNDING * (norm * largest + largest * largest);
        match &self.packed {
            Packed::Floats(_) => rounding,
            Packed::Integers(filter) => error * largest + (norm + error) * filter.largest_error + rounding,
        }
    }

    /// The nearest centroids among those that products which are off by `within` leave in question.
    fn decide<'r>(
        &self,
        row: &'r [f32],
        products: &[f32],
        within: f32,
        wanted: usize,
        places: &mut Vec<u32>,
    ) -> Found<'r> {
        let (first, most) = largest(self.path, products).unwrap_or((0, 0.0));
        let mut least = most;
        if wanted > 1 {
            let parts = [&products[..first], &products[first + 1..]];
            let next = parts.into_iter().filter_map(|part| largest(self.path, part)).map(|(_, value)| value);
            least = next.fold(f32::NEG_INFINITY, f32::max).min(most);
        }
        places.clear();
        at_least(self.path, products, least - 2.0 * within, places);
        let value = |at: usize| {
            let product = dot(self.path, row, &self.values[at * self.dimension..][..self.dimension]);
            match self.geometry {
                Geometry::Spherical => product,
                Geometry::Euclidean => product - self.offsets[at],
            }
        };
        let (mut best, mut second) = ((first, f32::NEG_INFINITY), (first, f32::NEG_INFINITY));
        for &at in &*places {
            let found = (at as usize, value(at as usize));
            if found.1 > best.1 {
                (best, second) = (found, best);
            } else if found.1 > second.1 {
                second = found;
            }
        }
        // Of one cluster, or of products that overflowed, nothing is second.
        let second = if second.1 == f32::NEG_INFINITY { best.0 } else { second.0 };
        Found { row, best: best.0, second, product: best.1 }
    }

    fn assigned(&self, found: &Found<'_>) -> Assigned {
        let Found { row, best, second, product } = *found;
        let (similarity, distance) = match self.geometry {
            Geometry::Spherical => {
                let cosine = product.clamp(-1.0, 1.0);
                (cosine, 1.0 - cosine)
            }
            Geometry::Euclidean => {
                let square = dot(self.path, row, row);
                let norms = square.sqrt() * self.norms[best];
                let inner = product + self.offsets[best];
                let cosine = if norms > 0.0 { (inner / norms).clamp(-1.0, 1.0) } else { 0.0 };
                (cosine, (square - 2.0 * product).max(0.0))
            }
        };
        Assigned { cluster: best as u32, second: second as u32, similarity, distance }
    }
}
