//! Weights that live in memory: random tiny models for tests, weights made on the spot.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

use super::Weights;
use crate::error::Result;

/// Named tensors in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryWeights {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl MemoryWeights {
    /// No tensors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor, row-major; one of the same name is replaced.
    ///
    /// # Panics
    /// When `values` does not hold exactly as many numbers as `shape` says.
    pub fn insert(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "tensor `{name}`: shape {shape:?}");
        self.tensors.insert(name.to_owned(), (shape.to_vec(), values));
    }
}

impl Weights for MemoryWeights {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|(shape, _)| shape.clone())
    }

    fn load(&self, name: &str, expected_shape: &[usize]) -> Result<Vec<f32>> {
        self.check(name, expected_shape)?;
        Ok(self.tensors[name].1.clone())
    }

    fn digest(&self) -> String {
        let mut hasher = Xxh3::new();
        for (name, (shape, values)) in &self.tensors {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(&(shape.len() as u64).to_le_bytes());
            for &size in shape {
                hasher.update(&(size as u64).to_le_bytes());
            }
            for value in values {
                hasher.update(&value.to_le_bytes());
            }
        }
        format!("xxh3:{:032x}", hasher.digest128())
    }
}
