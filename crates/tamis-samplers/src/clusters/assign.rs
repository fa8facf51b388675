//! The nearest centroids of many rows.

use tamis_kernels::{Accumulate, Dtype, PackedMatrix, Path, Rows, RowsMut, Scratch, largest, to_unit_length};

use super::{Centroids, Geometry};

/// Rows multiplied at once: their products stay in the second-level cache.
const ROWS: usize = 64;

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
    packed: PackedMatrix,
    /// What is taken from a product before products are compared: half the squared norm, in space.
    offsets: Vec<f32>,
    norms: Vec<f32>,
}

impl Assigner {
    /// Packs the centroids.
    #[must_use]
    pub fn new(centroids: &Centroids) -> Self {
        let (dimension, clusters) = (centroids.dimension as usize, centroids.clusters());
        let squares: Vec<f64> = centroids.values.chunks_exact(dimension).map(|row| dot(row, row)).collect();
        Self {
            geometry: centroids.geometry,
            dimension,
            clusters,
            packed: PackedMatrix::pack(&centroids.values, clusters, dimension, Path::detect(Dtype::F32)),
            offsets: squares.iter().map(|square| (0.5 * square) as f32).collect(),
            norms: squares.iter().map(|square| square.sqrt() as f32).collect(),
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
            to_unit_length(self.packed.path(), values, self.dimension);
        }
    }

    /// The instructions in use.
    pub(super) fn path(&self) -> Path {
        self.packed.path()
    }

    /// Assigns m finite rows, m × D.
    ///
    /// # Panics
    /// Values that are no whole number of rows.
    #[must_use]
    pub fn assign(&self, mut values: Vec<f32>) -> Vec<Assigned> {
        self.prepare(&mut values);
        let mut assigned = Vec::with_capacity(values.len() / self.dimension);
        self.each(&values, |row, products| {
            let best = self.nearest(products, None);
            let second = if products.len() > 1 { self.nearest(products, Some(best)) } else { best };
            assigned.push(self.assigned(row, products, best, second));
        });
        assigned
    }

    /// The nearest centroid of each prepared row, with its distance.
    pub(super) fn nearest_of(&self, values: &[f32], mut each: impl FnMut(usize, f32)) {
        self.each(values, |row, products| {
            let best = self.nearest(products, None);
            each(best, self.assigned(row, products, best, best).distance);
        });
    }

    /// Calls `each` with every row and its products with the centroids.
    fn each(&self, values: &[f32], mut each: impl FnMut(&[f32], &[f32])) {
        assert!(values.len().is_multiple_of(self.dimension), "whole rows");
        let mut scratch = Scratch::new();
        let mut products = vec![0.0; ROWS * self.clusters];
        for rows in values.chunks(ROWS * self.dimension) {
            let products = &mut products[..rows.len() / self.dimension * self.clusters];
            let out = RowsMut::contiguous(products, self.clusters);
            self.packed.multiply(Rows::contiguous(rows, self.dimension), out, Accumulate::No, &mut scratch);
            if self.geometry == Geometry::Euclidean {
                for products in products.chunks_exact_mut(self.clusters) {
                    products.iter_mut().zip(&self.offsets).for_each(|(product, offset)| *product -= offset);
                }
            }
            let rows = rows.chunks_exact(self.dimension);
            rows.zip(products.chunks_exact(self.clusters)).for_each(|(row, products)| each(row, products));
        }
    }

    /// The nearest centroid by the products of a row, not looking at one of them.
    fn nearest(&self, products: &[f32], but: Option<usize>) -> usize {
        let path = self.packed.path();
        let Some(but) = but else { return largest(path, products).map_or(0, |(at, _)| at) };
        let (before, after) = (largest(path, &products[..but]), largest(path, &products[but + 1..]));
        match (before, after) {
            (Some((at, a)), Some((_, b))) if a >= b => at,
            (_, Some((at, _))) => but + 1 + at,
            (Some((at, _)), None) => at,
            (None, None) => but,
        }
    }

    fn assigned(&self, row: &[f32], products: &[f32], best: usize, second: usize) -> Assigned {
        let (similarity, distance) = match self.geometry {
            Geometry::Spherical => {
                let cosine = products[best].clamp(-1.0, 1.0);
                (cosine, 1.0 - cosine)
            }
            Geometry::Euclidean => {
                let square = dot(row, row) as f32;
                let norms = square.sqrt() * self.norms[best];
                let product = products[best] + self.offsets[best];
                let cosine = if norms > 0.0 { (product / norms).clamp(-1.0, 1.0) } else { 0.0 };
                (cosine, (square - 2.0 * products[best]).max(0.0))
            }
        };
        Assigned { cluster: best as u32, second: second as u32, similarity, distance }
    }
}

/// In f64, one after the other: the same on every machine.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
