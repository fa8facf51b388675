//! What a graph asks of its weights, known without loading them.
//!
//! A graph is loaded into a backend that keeps names and nothing else. Each tensor is looked for as it is asked for, so that
//! one that is missing, has another shape or another number format is found from the headers of the files alone; what was
//! asked for is then held against what is there, see [`unused`](super::unused).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::blocks::{Attention, CrossNames, LinearPart, NormNames, Parameters};
use super::relative::Buckets;
use crate::error::Result;
use crate::weights::Weights;

/// Keeps the names of all tensors that are asked for.
#[derive(Debug, Default)]
pub(super) struct Survey {
    asked: Mutex<BTreeSet<String>>,
}

impl Survey {
    /// The names.
    pub(super) fn asked(self) -> BTreeSet<String> {
        self.asked.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, weights: &dyn Weights, name: &str, shape: &[usize]) -> Result<()> {
        weights.check(name, shape)?;
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Ok(())
    }
}

impl Parameters for Survey {
    type Table = ();
    type Norm = ();
    type Linear = ();
    type PositionBias = ();
    type Cross = ();

    fn table(&self, weights: &dyn Weights, name: &str, rows: usize, width: usize) -> Result<()> {
        self.ask(weights, name, &[rows, width])
    }

    fn tied_table(&self, weights: &dyn Weights, name: &str, rows: usize, width: usize) -> Result<((), ())> {
        Ok((self.ask(weights, name, &[rows, width])?, ()))
    }

    fn norm(&self, weights: &dyn Weights, names: &NormNames, width: usize, _epsilon: f32) -> Result<()> {
        match names {
            NormNames::RootMeanSquare { scale, .. } => self.ask(weights, scale, &[width]),
            NormNames::Layer { scale, shift } => {
                self.ask(weights, scale, &[width])?;
                self.ask(weights, shift, &[width])
            }
        }
    }

    fn linear(&self, weights: &dyn Weights, parts: &[LinearPart], inputs: usize) -> Result<()> {
        for LinearPart { weight, bias, outputs } in parts {
            self.ask(weights, weight, &[*outputs, inputs])?;
            if let Some(bias) = bias {
                self.ask(weights, bias, &[*outputs])?;
            }
        }
        Ok(())
    }

    fn position_bias(&self, weights: &dyn Weights, name: &str, buckets: Buckets, heads: usize) -> Result<()> {
        self.ask(weights, name, &[buckets.count, heads])
    }

    fn cross(
        &self,
        weights: &dyn Weights,
        names: &CrossNames,
        attention: &Attention,
        inputs: usize,
    ) -> Result<()> {
        for name in [&names.key, &names.value] {
            self.ask(weights, name, &[attention.key_width(), inputs])?;
        }
        Ok(())
    }
}
