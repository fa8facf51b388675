//! Dropout, from a seed.

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::error::Result;

/// How often values are dropped in training, and what decides which.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of the values that become zero, in [0, 1); the others grow by 1 / (1 − rate).
    pub rate: f32,
    /// Another one for each step; the same gives the same step.
    pub seed: u64,
}

/// A dropout that is on.
#[derive(Debug)]
pub(super) struct Masks {
    rate: f32,
    generator: ChaCha8Rng,
}

impl Masks {
    pub(super) fn new(dropout: Dropout) -> Self {
        Self { rate: dropout.rate, generator: ChaCha8Rng::seed_from_u64(dropout.seed) }
    }

    /// The values, some of them dropped.
    pub(super) fn apply(&mut self, values: &Tensor) -> Result<Tensor> {
        let kept = 1.0 / (1.0 - self.rate);
        // A value is dropped where a uniform number of 32 bits falls below the rate.
        let limit = (f64::from(self.rate) * 2f64.powi(32)) as u64;
        let mask: Vec<f32> = (0..values.elem_count())
            .map(|_| if u64::from(self.generator.next_u32()) < limit { 0.0 } else { kept })
            .collect();
        Ok((values * Tensor::from_vec(mask, values.shape(), values.device())?)?)
    }
}
