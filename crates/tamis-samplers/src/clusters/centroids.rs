//! The centroids: what is frozen, and its bytes.

use std::sync::Arc;

use tamis_core::{Digest, Error, Result};

use crate::bytes::{ByteReader, finish, start};

const WHAT: &str = "centroids";
const MAGIC: [u8; 8] = *b"tamis-KM";
const VERSION: u32 = 1;

/// In which geometry documents are near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// By cosine: embeddings and centroids have norm 1.
    Spherical,
    /// By distance.
    Euclidean,
}

impl std::fmt::Display for Geometry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Spherical => "spherical",
            Self::Euclidean => "euclidean",
        })
    }
}

/// k centroids of D values, with what is known of their clusters.
#[derive(Clone, Debug, PartialEq)]
pub struct Centroids {
    /// Geometry of the fit and of every assignment.
    pub geometry: Geometry,
    /// D.
    pub dimension: u32,
    /// k × D, finite.
    pub values: Arc<[f32]>,
    /// Documents of the fit in each cluster.
    pub sizes: Vec<u64>,
    /// Mean over the documents of the fit of 1 − cosine, or of the squared distance; lower is better. 0 before a fit.
    pub objective: f64,
    /// Documents of the fit.
    pub documents: u64,
    /// Passes over them.
    pub iterations: u32,
}

impl Centroids {
    /// Centroids that nothing was fitted to yet.
    ///
    /// # Panics
    /// Values that are no whole number of centroids, or none.
    #[must_use]
    pub fn new(geometry: Geometry, dimension: usize, values: Vec<f32>) -> Self {
        assert!(
            dimension > 0 && !values.is_empty() && values.len().is_multiple_of(dimension),
            "whole centroids"
        );
        let sizes = vec![0; values.len() / dimension];
        let dimension = dimension as u32;
        Self {
            geometry,
            dimension,
            values: values.into(),
            sizes,
            objective: 0.0,
            documents: 0,
            iterations: 0,
        }
    }

    /// k.
    #[must_use]
    pub fn clusters(&self) -> usize {
        self.values.len() / self.dimension as usize
    }

    /// Digest of geometry and values: what assignments depend on.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut bytes = self.geometry.to_string().into_bytes();
        bytes.extend_from_slice(&self.dimension.to_le_bytes());
        self.values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        Digest::of(&bytes).to_string()
    }

    /// Bytes with header, version and checksum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = start(MAGIC, VERSION);
        let geometry = match self.geometry {
            Geometry::Spherical => 0_u32,
            Geometry::Euclidean => 1,
        };
        for value in [geometry, self.dimension, self.iterations, self.clusters() as u32] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&self.documents.to_le_bytes());
        out.extend_from_slice(&self.objective.to_le_bytes());
        self.sizes.iter().for_each(|size| out.extend_from_slice(&size.to_le_bytes()));
        self.values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        finish(out)
    }

    /// What [`Centroids::encode`] wrote. Memory is taken for bytes that are there.
    ///
    /// # Errors
    /// Bytes that are damaged, of another version, or no centroids.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = ByteReader::open(WHAT, MAGIC, VERSION, bytes)?;
        let geometry = match reader.u32()? {
            0 => Geometry::Spherical,
            1 => Geometry::Euclidean,
            _ => return Err(reader.corrupt("an unknown geometry")),
        };
        let (dimension, iterations, clusters) = (reader.u32()?, reader.u32()?, reader.u32()? as usize);
        let documents = reader.u64()?;
        let objective = f64::from_bits(reader.u64()?);
        let wanted = (clusters as u64).checked_mul(8 + 4 * u64::from(dimension));
        if dimension == 0 || clusters == 0 || wanted != Some(reader.rest().len() as u64) {
            return Err(reader.corrupt("sizes are impossible"));
        }
        let sizes = (0..clusters).map(|_| reader.u64()).collect::<Result<Vec<u64>>>()?;
        let bytes = reader.take(clusters * dimension as usize * 4)?;
        let values: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().expect("chunks of four")))
            .collect();
        if values.iter().any(|value| !value.is_finite()) || !objective.is_finite() {
            return Err(reader.corrupt("a value is not finite"));
        }
        if sizes.iter().try_fold(0_u64, |sum, size| sum.checked_add(*size)) != Some(documents) {
            return Err(Error::Corrupt { what: WHAT, problem: "sizes do not add up".to_owned() });
        }
        reader.end()?;
        Ok(Self { geometry, dimension, values: values.into(), sizes, objective, documents, iterations })
    }
}
