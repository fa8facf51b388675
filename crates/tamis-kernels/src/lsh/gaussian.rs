//! Projection by independent normal directions: a matrix product in a fixed order.
//!
//! The items of a tile take the place of the weights (they are packed), the directions that of the rows, so that the
//! result comes out one hash after the other. Each value is one chain of fused multiply-adds over the dimensions in
//! order, hence the same bits whatever the tile and the machine.

use crate::aligned::Aligned;
use crate::error::{Error, Result};
use crate::matrix::{F32Kernel, Output, Product, f32_product, pack_f32, packed_len};
use crate::path::Mode;
use crate::view::{Rows, RowsMut};

/// H directions of dimension D.
#[derive(Debug, Clone)]
pub struct GaussianProjection {
    dimension: usize,
    hashes: usize,
    directions: Vec<f32>,
}

/// Packed items.
pub(super) struct Tile<'a> {
    packed: &'a [f32],
    items: usize,
}

impl GaussianProjection {
    /// Takes H × D directions, row-major; entries are standard normal draws of the caller.
    ///
    /// # Errors
    /// [`Error::HashParameter`] if there are none, or no whole number of them.
    pub fn new(directions: Vec<f32>, dimension: usize) -> Result<Self> {
        if dimension == 0 || directions.is_empty() || !directions.len().is_multiple_of(dimension) {
            let problem = format!("{} values are no directions of dimension {dimension}", directions.len());
            return Err(Error::HashParameter { parameter: "directions", problem });
        }
        Ok(Self { dimension, hashes: directions.len() / dimension, directions })
    }

    /// Dimension of the items (D).
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Number of hashes (H).
    #[must_use]
    pub fn hashes(&self) -> usize {
        self.hashes
    }

    pub(super) fn pack<'a>(&self, mode: Mode, items: Rows<'_>, packed: &'a mut Aligned<f32>) -> Tile<'a> {
        let kernel = F32Kernel::fused(mode);
        let packed = packed.at_least(packed_len(kernel, items.rows(), self.dimension));
        pack_f32(kernel, items, packed);
        Tile { packed, items: items.rows() }
    }

    /// Hashes `first … first + hashes − 1` of a tile into `z`, hashes × items.
    pub(super) fn project(&self, mode: Mode, tile: &Tile<'_>, first: usize, hashes: usize, z: &mut [f32]) {
        let a = Rows::contiguous(
            &self.directions[first * self.dimension..][..hashes * self.dimension],
            self.dimension,
        );
        let c = RowsMut::contiguous(z, tile.items);
        f32_product(F32Kernel::fused(mode), Product { a, panels: tile.packed, c, output: Output::Replace });
    }
}
