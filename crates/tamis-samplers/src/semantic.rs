//! Semantic duplicates: how near a document is to one that stands before it.
//!
//! SemDeDup (Abbas et al. 2023, arXiv 2303.09540; as a baseline arXiv 2402.09668, appendix B): within a cluster documents stand in
//! an order, and each is held against all *earlier* ones; it is a duplicate where the largest cosine is more than 1 − ε. So the
//! first of each group stays. Cost: D·n² multiplications for n documents of a cluster, by packed products; memory two tiles.
//!
//! A product of two rows has the same bits in any tile and whichever of the two is packed, so that no tile size decides anything.

use crate::cosines::Cosines;
use crate::density::normalize;

/// Some documents of a cluster, which follow each other in its order.
#[derive(Debug)]
pub struct OrderedTile {
    dimension: usize,
    /// n × D, of norm 1.
    values: Vec<f32>,
}

/// The nearest earlier document of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearestEarlier {
    /// The largest cosine, −1 where nothing is earlier.
    pub cosine: f32,
    /// Number of that document in the order; of several the first.
    pub at: Option<u64>,
}

impl NearestEarlier {
    /// Of a document that nothing was held against yet.
    pub const NONE: Self = Self { cosine: -1.0, at: None };

    fn offer(&mut self, cosine: f32, at: u64) {
        if self.at.is_none() || cosine > self.cosine {
            *self = Self { cosine: cosine.max(-1.0), at: Some(at) };
        }
    }
}

impl OrderedTile {
    /// Finite embeddings, n × D, of any norm; one of norm 0 has cosine 0 with every other.
    ///
    /// # Panics
    /// A D of 0, or values that are no whole number of embeddings.
    #[must_use]
    pub fn new(mut values: Vec<f32>, dimension: usize) -> Self {
        assert!(dimension > 0 && values.len().is_multiple_of(dimension), "whole embeddings");
        normalize(&mut values, dimension);
        Self { dimension, values }
    }

    /// Documents in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.dimension
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Holds each document of it against all of an earlier tile, the first of which has number `first` in the order.
    ///
    /// # Panics
    /// A `best` of another length than the tile.
    pub fn against(&self, earlier: &Self, first: u64, best: &mut [NearestEarlier]) {
        assert_eq!(best.len(), self.len(), "one a document");
        Cosines::with(&earlier.values, self.dimension).each(&self.values, self.dimension, |row, cosines| {
            offer_largest(&mut best[row], cosines, first);
        });
    }

    /// Holds each document against those before it in the tile, whose own first has number `first`.
    ///
    /// # Panics
    /// As [`Self::against`].
    pub fn among(&self, first: u64, best: &mut [NearestEarlier]) {
        assert_eq!(best.len(), self.len(), "one a document");
        Cosines::with(&self.values, self.dimension).each(&self.values, self.dimension, |row, cosines| {
            offer_largest(&mut best[row], &cosines[..row], first);
        });
    }
}

fn offer_largest(best: &mut NearestEarlier, cosines: &[f32], first: u64) {
    // Most rows are near nothing: the largest is found first, by a loop that becomes vector instructions.
    let largest =
        cosines.chunks(16).map(|some| some.iter().fold(f32::MIN, |a, &b| if b > a { b } else { a }));
    // Of rounding alone a cosine may be over 1, and one copy is as near as another.
    let largest = largest.fold(f32::MIN, f32::max).min(1.0);
    if let Some(at) = cosines.iter().position(|cosine| *cosine >= largest) {
        best.offer(largest, first + at as u64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every document against every earlier one, one by one.
    fn plainly(values: &[f32], dimension: usize) -> Vec<NearestEarlier> {
        let tile = OrderedTile::new(values.to_vec(), dimension);
        let row = |at: usize| &tile.values[at * dimension..][..dimension];
        (0..tile.len())
            .map(|at| {
                let mut best = NearestEarlier::NONE;
                for earlier in 0..at {
                    let cosine: f64 =
                        row(at).iter().zip(row(earlier)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    best.offer(cosine as f32, earlier as u64);
                }
                best
            })
            .collect()
    }

    fn in_tiles(values: &[f32], dimension: usize, rows: usize) -> Vec<NearestEarlier> {
        let tiles: Vec<OrderedTile> =
            values.chunks(rows * dimension).map(|tile| OrderedTile::new(tile.to_vec(), dimension)).collect();
        let mut all = Vec::new();
        for (at, tile) in tiles.iter().enumerate() {
            let mut best = vec![NearestEarlier::NONE; tile.len()];
            for (number, earlier) in tiles[..at].iter().enumerate() {
                tile.against(earlier, (number * rows) as u64, &mut best);
            }
            tile.among((at * rows) as u64, &mut best);
            all.extend(best);
        }
        all
    }

    proptest! {
        #[test]
        fn tiles_decide_nothing(
            (dimension, values) in (1_usize..40).prop_flat_map(|d| {
                (Just(d), (0_usize..70).prop_flat_map(move |n| proptest::collection::vec(-1.0_f32..1.0, n * d)))
            }),
            rows in 1_usize..80,
            copies in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20),
        ) {
            let mut values = values;
            let n = values.len() / dimension;
            for (from, to) in copies.iter().filter(|_| n > 0) {
                let (from, to) = (from.index(n), to.index(n));
                let copy = values[from * dimension..][..dimension].to_vec();
                values[to * dimension..][..dimension].copy_from_slice(&copy);
            }
            let whole = in_tiles(&values, dimension, n.max(1));
            for (at, (tiled, whole)) in in_tiles(&values, dimension, rows).iter().zip(&whole).enumerate() {
                prop_assert_eq!(tiled, whole, "document {}", at);
            }
            for (found, plain) in whole.iter().zip(plainly(&values, dimension)) {
                prop_assert!((found.cosine - plain.cosine).abs() < 1e-5);
                prop_assert_eq!(found.at.is_some(), plain.at.is_some());
            }
        }
    }

    #[test]
    fn a_zero_vector_is_near_nothing() {
        let found = in_tiles(&[0.0, 0.0, 0.0, 0.0, 1.0, 0.0], 2, 3);
        assert_eq!(found[0], NearestEarlier::NONE);
        assert_eq!((found[1].cosine, found[2].cosine), (0.0, 0.0));
    }
}
