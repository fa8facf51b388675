//! Parameters as the native backend holds them.

use std::sync::Arc;

use tamis_kernels::{Dtype, PackedMatrix, Path, bf16};

use crate::error::Result;
use crate::graph::blocks::{LinearPart, NormNames};
use crate::weights::Weights;

/// A table of embeddings, in the number format of the path; for int8 in f32.
#[derive(Debug)]
pub(crate) struct Table {
    width: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
}

/// A normalisation.
#[derive(Debug)]
pub(crate) enum Norm {
    RootMeanSquare { scale: Vec<f32>, epsilon: f32 },
    Layer { scale: Vec<f32>, shift: Vec<f32>, epsilon: f32 },
}

/// Linear layers side by side.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(super) matrix: Arc<PackedMatrix>,
    pub(super) bias: Option<Vec<f32>>,
}

impl Table {
    pub(super) fn load(
        path: Path,
        weights: &dyn Weights,
        name: &str,
        rows: usize,
        width: usize,
    ) -> Result<Self> {
        Ok(Self::new(path, width, weights.load(name, &[rows, width])?))
    }

    /// The table and the head that is its transpose.
    pub(super) fn load_tied(
        path: Path,
        weights: &dyn Weights,
        name: &str,
        rows: usize,
        width: usize,
    ) -> Result<(Self, Linear)> {
        let values = weights.load(name, &[rows, width])?;
        let matrix = Arc::new(PackedMatrix::pack_sensitive(&values, rows, width, path));
        Ok((Self::new(path, width, values), Linear { matrix, bias: None }))
    }

    fn new(path: Path, width: usize, values: Vec<f32>) -> Self {
        let values = match path.dtype() {
            Dtype::F32 | Dtype::Int8 => Values::F32(values),
            Dtype::Bf16 => {
                let mut rounded = vec![0; values.len()];
                bf16::from_f32_slice(&values, &mut rounded);
                Values::Bf16(rounded)
            }
        };
        Self { width, values }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// out = row `index`
    pub(super) fn copy(&self, index: u32, out: &mut [f32]) {
        out.fill(0.0);
        self.add(index, out);
    }

    /// out += row `index`
    pub(super) fn add(&self, index: u32, out: &mut [f32]) {
        let from = index as usize * self.width;
        match &self.values {
            Values::F32(values) => {
                out.iter_mut().zip(&values[from..][..self.width]).for_each(|(out, value)| *out += value);
            }
            Values::Bf16(values) => {
                let values = values[from..][..self.width].iter().map(|&value| bf16::to_f32(value));
                out.iter_mut().zip(values).for_each(|(out, value)| *out += value);
            }
        }
    }
}

impl Norm {
    pub(super) fn load(weights: &dyn Weights, names: &NormNames, width: usize, epsilon: f32) -> Result<Self> {
        let load = |name: &str| weights.load(name, &[width]);
        Ok(match names {
            NormNames::RootMeanSquare { scale, factor } => {
                let scale = load(scale)?.into_iter().map(|scale| scale * factor).collect();
                Self::RootMeanSquare { scale, epsilon }
            }
            NormNames::Layer { scale, shift } => {
                Self::Layer { scale: load(scale)?, shift: load(shift)?, epsilon }
            }
        })
    }
}

impl Linear {
    /// Layers that all rows see.
    pub(super) fn load(
        path: Path,
        weights: &dyn Weights,
        parts: &[LinearPart],
        inputs: usize,
    ) -> Result<Self> {
        Self::load_with(PackedMatrix::pack, path, weights, parts, inputs)
    }

    /// A layer that few rows see.
    pub(super) fn load_head(
        path: Path,
        weights: &dyn Weights,
        part: &LinearPart,
        inputs: usize,
    ) -> Result<Self> {
        Self::load_with(PackedMatrix::pack_sensitive, path, weights, std::slice::from_ref(part), inputs)
    }

    fn load_with(
        pack: fn(&[f32], usize, usize, Path) -> PackedMatrix,
        path: Path,
        weights: &dyn Weights,
        parts: &[LinearPart],
        inputs: usize,
    ) -> Result<Self> {
        let outputs = parts.iter().map(|part| part.outputs).sum();
        let mut stacked = Vec::new();
        let mut bias = Vec::new();
        for part in parts {
            let values = weights.load(&part.weight, &[part.outputs, inputs])?;
            if stacked.is_empty() {
                stacked = values;
            } else {
                stacked.extend_from_slice(&values);
            }
            match &part.bias {
                Some(name) => bias.extend(weights.load(name, &[part.outputs])?),
                None => bias.resize(bias.len() + part.outputs, 0.0),
            }
        }
        let bias = parts.iter().any(|part| part.bias.is_some()).then_some(bias);
        Ok(Self { matrix: Arc::new(pack(&stacked, outputs, inputs, path)), bias })
    }
}
