//! `density`: how many documents lie near, by a sketch of all embeddings (arXiv 2402.09668, section 3.2 and appendix A.2).

mod frozen;
mod passes;
mod plan;

use serde::{Deserialize, Serialize};
use tamis_core::SignalInfo;
use tamis_io::run::{CorpusVersion, Repeatability, ShardRecord, SignalDir, SignalRecord};

use super::embed::EmbedOptions;
use super::{Definition, Named, Ready, SignalOptions};
use crate::model_options::ServerOptions;
use crate::planned::SignalPlan;
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::{Error, Observer, Result};

/// Which locality-sensitive hash, and so which kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DensityKernel {
    /// p-stable hashes of the Euclidean distance.
    #[default]
    L2,
    /// Sign random projections of the angle.
    Cosine,
}

/// How random directions are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DensityProjection {
    /// Independent normal entries, as the paper has them.
    Gaussian,
    /// Three rounds of random signs and a fast Hadamard transform.
    Hadamard,
}

/// The Density signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DensityOptions {
    /// Embeddings it is computed from.
    pub embed: EmbedOptions,
    /// R, rows of the sketch.
    pub repetitions: usize,
    /// B, counters a row; `None` lets the default rule choose.
    pub buckets: Option<usize>,
    /// p, hashes a row; `None` lets the default rule choose.
    pub hashes: Option<usize>,
    /// r; `None` is the median norm of the embeddings: 1 where they have norm 1.
    pub bandwidth: Option<f64>,
    /// The kernel.
    pub kernel: DensityKernel,
    /// The projection; `None`: that of the stored sketch, of a new one [`DensityProjection::Hadamard`] (of a literal one Gaussian).
    pub projection: Option<DensityProjection>,
    /// The paper's sketch as printed: one hash a row, floor(…) mod B, no correction.
    pub literal: bool,
    /// Memory that the sketch may take, in bytes.
    pub sketch_memory_bytes: u64,
    /// Seed of the hashes and of samples.
    pub seed: u64,
}

impl Default for DensityOptions {
    fn default() -> Self {
        Self {
            embed: EmbedOptions::default(),
            repetitions: 1000,
            buckets: None,
            hashes: None,
            bandwidth: None,
            kernel: DensityKernel::L2,
            projection: None,
            literal: false,
            sketch_memory_bytes: 1_000_000_000,
            seed: 0,
        }
    }
}

impl DensityOptions {
    /// The projection of a new sketch.
    fn new_projection(&self) -> DensityProjection {
        let default = if self.literal { DensityProjection::Gaussian } else { DensityProjection::Hadamard };
        self.projection.unwrap_or(default)
    }
}

impl Named for DensityOptions {
    const NAME: &'static str = "density";
    const HELP: &'static str = "how many documents lie near it";

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

impl Definition for DensityOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn model(&self) -> Result<Option<&str>> {
        self.embed.model()
    }

    fn server(&mut self) -> Option<&mut ServerOptions> {
        self.embed.server()
    }

    fn can_be_served(&self) -> bool {
        true
    }

    fn first(&self) -> Option<SignalOptions> {
        Some(self.embed.clone().into())
    }

    fn check(&self, _project: &Project) -> Result<()> {
        passes::check_options(self)
    }

    fn foreseen(&self) -> Result<Option<SignalInfo>> {
        passes::foreseen().map(Some)
    }

    fn build(&self, _observer: &dyn Observer) -> Result<Ready> {
        Err(Error::usage(
            "density is fitted on all embeddings before any shard can be scored",
            "score `embed` in tasks, then density by `Project::score`",
        ))
    }

    fn score(
        &self,
        project: &Project,
        version: &CorpusVersion,
        _asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        project.score_density(version, self, options)
    }

    fn plan(
        &self,
        project: &Project,
        read: &[(usize, ShardRecord)],
        _asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        project.plan_density(read, self, options)
    }

    fn foresee(
        &self,
        project: &Project,
        first: &SignalRecord,
        stored: Option<&SignalDir>,
        options: ScoreOptions,
    ) -> Result<Option<SignalRecord>> {
        passes::check_parameters(self, super::dimension(first)?)?;
        if let Some(embedding) = stored
            && !options.beside
            && !options.refit
        {
            project.stored_sketches(self, embedding.full_name())?.refuse_other()?;
        }
        Ok(Some(SignalRecord::new(&passes::foreseen()?, Repeatability::Exact)))
    }
}
