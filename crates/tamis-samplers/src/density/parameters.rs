//! What decides a sketch.

use std::fmt;
use std::str::FromStr;

use tamis_core::Fingerprint;

/// What two embeddings are compared by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// Euclidean distance; Gaussian projections cut into steps of the bandwidth.
    L2 {
        /// r, in the units of the embeddings; 1 suits embeddings of norm 1.
        bandwidth: f64,
    },
    /// Angle; signs of projections.
    Cosine,
}

/// How projections are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    /// Independent normal weights: the kernel holds exactly.
    Gaussian,
    /// Three rounds of random signs and Hadamard transforms (Andoni et al., arXiv 1509.02897, §3.1): several times faster,
    /// the kernel holds nearly.
    Hadamard,
}

/// Which form of the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// p hashes mixed to 64 bits and reduced to B buckets; collisions of the reduction are taken out of the estimate.
    Mixed,
    /// As the paper prints it: floor(…) mod B, one hash a row, the plain mean. Hardly differs from Random; see
    /// `docs/density.md`.
    Literal,
}

macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal),+ }) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant { .. } => $name),+ })
            }
        }
    };
}
named!(Kernel { L2 = "l2", Cosine = "cosine" });
named!(Projection { Gaussian = "gaussian", Hadamard = "hadamard" });
named!(Preset { Mixed = "mixed", Literal = "literal" });

impl FromStr for Projection {
    type Err = ParameterError;

    fn from_str(name: &str) -> Result<Self, ParameterError> {
        [Self::Gaussian, Self::Hadamard]
            .into_iter()
            .find(|projection| projection.to_string() == name)
            .ok_or_else(|| ParameterError::Unknown {
                parameter: "projection",
                got: name.to_owned(),
                known: "`gaussian`, `hadamard`",
            })
    }
}

/// A parameter that makes no sketch.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParameterError {
    /// A number outside its range.
    #[error("sketch: `{parameter}` is {got}, expected {expected}")]
    OutOfRange {
        /// Name of the parameter.
        parameter: &'static str,
        /// What was given.
        got: String,
        /// What is possible.
        expected: &'static str,
    },
    /// A name that does not exist.
    #[error("sketch: `{parameter}` is `{got}`, expected one of {known}")]
    Unknown {
        /// Name of the parameter.
        parameter: &'static str,
        /// What was given.
        got: String,
        /// What exists.
        known: &'static str,
    },
    /// There is nothing to choose parameters from.
    #[error("sketch: {documents} documents have an embedding, at least 2 are needed to choose parameters")]
    TooFewDocuments {
        /// How many have.
        documents: usize,
    },
}

/// Everything that decides the counters of a sketch, apart from the embeddings. Only sketches of equal parameters add.
#[derive(Clone, Debug, PartialEq)]
pub struct RaceParameters {
    /// D, values of an embedding.
    pub dimension: u32,
    /// R, rows of the sketch; the error of an estimate falls with √R.
    pub repetitions: u32,
    /// B, counters in a row.
    pub buckets: u32,
    /// p, hashes that must all agree; the kernel is k^p.
    pub hashes: u32,
    /// What embeddings are compared by.
    pub kernel: Kernel,
    /// How projections are made.
    pub projection: Projection,
    /// Which form of the method.
    pub preset: Preset,
    /// Seed of projections and offsets.
    pub seed: u64,
}

impl RaceParameters {
    /// R of the paper.
    pub const DEFAULT_REPETITIONS: u32 = 1_000;
    /// B of the paper.
    pub const DEFAULT_BUCKETS: u32 = 20_000;
    /// Counters that a sketch can have.
    const MOST_COUNTERS: u64 = 1 << 32;
    /// What the counters of any sketch take at most: 16 GiB.
    pub const MOST_MEMORY_BYTES: u64 = 4 * Self::MOST_COUNTERS;

    /// The paper's sketch as printed: one hash a row, R = 1,000, B = 20,000.
    #[must_use]
    pub fn literal(dimension: u32, bandwidth: f64, seed: u64) -> Self {
        Self {
            dimension,
            repetitions: Self::DEFAULT_REPETITIONS,
            buckets: Self::DEFAULT_BUCKETS,
            hashes: 1,
            kernel: Kernel::L2 { bandwidth },
            projection: Projection::Gaussian,
            preset: Preset::Literal,
            seed,
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first parameter that is out of range.
    pub fn validate(&self) -> Result<(), ParameterError> {
        let check = |parameter, value: u64, range: std::ops::RangeInclusive<u64>, expected| {
            if range.contains(&value) {
                Ok(())
            } else {
                Err(ParameterError::OutOfRange { parameter, got: value.to_string(), expected })
            }
        };
        check("dimension", self.dimension.into(), 1..=1 << 16, "1 to 65536")?;
        check("repetitions", self.repetitions.into(), 1..=1 << 20, "1 to 1048576")?;
        check("buckets", self.buckets.into(), 2..=1 << 30, "2 to 1073741824")?;
        let counters = 2..=Self::MOST_COUNTERS;
        check("repetitions × buckets", self.counters(), counters, "at most 4294967296 counters")?;
        match (self.preset, self.kernel) {
            (Preset::Literal, Kernel::L2 { .. }) => {
                check("hashes", self.hashes.into(), 1..=1, "1 with the preset `literal`")?;
            }
            (Preset::Literal, Kernel::Cosine) => {
                let got = "cosine".to_owned();
                let expected = "`l2` with the preset `literal`";
                return Err(ParameterError::OutOfRange { parameter: "kernel", got, expected });
            }
            (Preset::Mixed, _) => check("hashes", self.hashes.into(), 1..=64, "1 to 64")?,
        }
        let weights = u64::from(self.repetitions) * u64::from(self.hashes) * u64::from(self.dimension);
        check("repetitions × hashes × dimension", weights, 1..=1 << 28, "at most 268435456 weights")?;
        if let Kernel::L2 { bandwidth } = self.kernel
            && !(bandwidth.is_finite() && (1e-6..=1e6).contains(&bandwidth))
        {
            let got = bandwidth.to_string();
            return Err(ParameterError::OutOfRange { parameter: "bandwidth", got, expected: "1e-6 to 1e6" });
        }
        Ok(())
    }

    /// R · B.
    #[must_use]
    pub fn counters(&self) -> u64 {
        u64::from(self.repetitions) * u64::from(self.buckets)
    }

    /// Memory of the counters, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.counters().saturating_mul(4)
    }

    /// Adds every parameter to a fingerprint.
    #[must_use]
    pub fn describe(&self, fingerprint: Fingerprint) -> Fingerprint {
        let fingerprint = fingerprint
            .with("dimension", self.dimension)
            .with("repetitions", self.repetitions)
            .with("buckets", self.buckets)
            .with("hashes", self.hashes)
            .with("kernel", self.kernel)
            .with("projection", self.projection)
            .with("preset", self.preset)
            .with("seed", self.seed);
        match self.kernel {
            Kernel::L2 { bandwidth } => fingerprint.with("bandwidth", bandwidth),
            Kernel::Cosine => fingerprint,
        }
    }
}
