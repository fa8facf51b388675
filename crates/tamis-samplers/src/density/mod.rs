//! Density: how crowded the neighbourhood of a document is, in documents.
//!
//! "How to Train Data-Efficient LLMs" (arXiv 2402.09668, §3.2, App. A.2, Algorithm 2) estimates Σₓ k(x, y) over a corpus with
//! a RACE sketch (Coleman & Shrivastava, arXiv 1912.02283): R rows of B counters, a locality-sensitive hash a row. One pass
//! over the embeddings counts, a second one looks its counters up. Sketches of parts add up to the sketch of the whole, to
//! the bit.
//!
//! Deviation: with one hash a row, as printed, unrelated documents still collide so often (k of 0.07 to 0.3) that everything
//! has thousands of "copies" and the selection is Random in disguise. Here p hashes a row are combined, which makes the kernel
//! k^p, and the collisions of the reduction to B buckets are taken out of the estimate. [`Preset::Literal`] is the paper's
//! form. [`default_parameters`] holds the rule for p, r and B.
//!
//! Letters: N documents, D dimension, R repetitions (rows), B buckets, p hashes a row, r bandwidth.

mod codec;
mod defaults;
mod diagnostics;
mod hasher;
mod kernel;
mod parameters;
mod sample;
mod signal;
mod sketch;
#[cfg(test)]
mod tests;

pub(crate) use defaults::normalize;
pub use defaults::{ChosenParameters, DensityOptions, default_parameters};
pub use diagnostics::{DensityDiagnostics, GroupShare, NeighbourProbe, Verdict};
pub use hasher::{BucketBlock, RaceHasher};
pub use parameters::{Kernel, ParameterError, Preset, Projection, RaceParameters};
pub use sample::{DrawnEmbeddings, EmbeddingSample};
pub use signal::{Density, Membership};
pub use sketch::{Estimate, RaceSketch};

use tamis_core::{EmbeddingBatch, Error, Result};

/// The rows of a batch that have a finite embedding: their indices, and their values one after the other (m × D).
pub(crate) fn finite_rows(batch: &EmbeddingBatch, dimension: usize) -> Result<(Vec<usize>, Vec<f32>)> {
    if batch.dimension() != dimension {
        let problem = format!("embeddings have {} values, expected {dimension}", batch.dimension());
        return Err(Error::Corrupt { what: "embedding batch", problem });
    }
    let mut indices = Vec::with_capacity(batch.len());
    let mut values = Vec::with_capacity(batch.len() * dimension);
    for at in (0..batch.len()).filter(|&at| batch.is_valid(at)) {
        let from = values.len();
        values.resize(from + dimension, 0.0);
        batch.read_into(at, &mut values[from..]);
        // Without a way out, so that it takes vectors.
        if values[from..].iter().fold(true, |all, value: &f32| all & value.is_finite()) {
            indices.push(at);
        } else {
            values.truncate(from);
        }
    }
    Ok((indices, values))
}
