//! Relative position biases, by head and distance.

use std::sync::{Arc, PoisonError, RwLock};

use tamis_kernels::RelativeBias;

use crate::error::Result;
use crate::graph::relative::Buckets;
use crate::weights::Weights;

/// The learned biases of a stack.
#[derive(Debug)]
pub(crate) struct PositionBias {
    buckets: Buckets,
    heads: usize,
    /// Buckets × heads.
    values: Vec<f32>,
    /// As far as a sequence has needed them.
    table: RwLock<Arc<DistanceTable>>,
}

/// Biases of every distance up to a reach.
#[derive(Debug)]
pub(crate) struct DistanceTable {
    reach: usize,
    values: Vec<f32>,
}

impl DistanceTable {
    pub(super) fn view(&self) -> RelativeBias<'_> {
        RelativeBias { table: &self.values, reach: self.reach }
    }
}

impl PositionBias {
    pub(super) fn load(weights: &dyn Weights, name: &str, buckets: Buckets, heads: usize) -> Result<Self> {
        let values = weights.load(name, &[buckets.count, heads])?;
        let table = RwLock::new(Arc::new(DistanceTable { reach: 0, values: Vec::new() }));
        Ok(Self { buckets, heads, values, table })
    }

    /// A table for sequences of at least `positions` tokens.
    pub(super) fn table(&self, positions: usize) -> Arc<DistanceTable> {
        // A poisoned lock guards a table that is still whole: it is replaced in one assignment.
        let known = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        if known.reach >= positions.max(1) {
            return known;
        }
        let reach = positions.next_power_of_two();
        let distances = 1 - reach as i64..reach as i64;
        let buckets: Vec<usize> = distances.map(|distance| self.buckets.of(distance)).collect();
        let values = (0..self.heads)
            .flat_map(|head| buckets.iter().map(move |bucket| self.values[bucket * self.heads + head]))
            .collect();
        let table = Arc::new(DistanceTable { reach, values });
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&table);
        table
    }
}
