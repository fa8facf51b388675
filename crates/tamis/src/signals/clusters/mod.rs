//! `clusters`: the k-means cluster of a document, and how near to its centroid it is (SSL Prototypes, arXiv 2206.14486).

mod fit;

use serde::{Deserialize, Serialize};
use tamis_core::SignalInfo;
use tamis_io::run::{CorpusVersion, Repeatability, ShardRecord, SignalDir, SignalRecord};
use tamis_samplers::clusters;

use super::embed::EmbedOptions;
use super::{Definition, Named, Ready, SignalOptions, dimension};
use crate::model_options::ServerOptions;
use crate::planned::SignalPlan;
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::{Error, Observer, Result};

/// In which geometry documents are near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Geometry {
    /// By cosine.
    #[default]
    Spherical,
    /// By distance.
    Euclidean,
}

impl From<Geometry> for clusters::Geometry {
    fn from(geometry: Geometry) -> Self {
        match geometry {
            Geometry::Spherical => Self::Spherical,
            Geometry::Euclidean => Self::Euclidean,
        }
    }
}

/// Clusters of embeddings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClustersOptions {
    /// Embeddings they are made of.
    pub embed: EmbedOptions,
    /// k; `None` lets the default rule choose.
    pub clusters: Option<u32>,
    /// What is near.
    pub geometry: Geometry,
    /// Passes over the documents of the fit.
    pub iterations: u32,
    /// Fits from other beginnings, of which the best stays.
    pub restarts: u32,
    /// Documents of the fit at most; `None`: 256 for each cluster.
    pub fit_documents: Option<u64>,
    /// Seed of the beginnings, and of who is in the fit.
    pub seed: u64,
    /// Memory for the documents of the fit, in bytes; of more it reads the embeddings anew in every pass.
    pub fit_memory_bytes: u64,
}

impl Default for ClustersOptions {
    fn default() -> Self {
        Self {
            embed: EmbedOptions::default(),
            clusters: None,
            geometry: Geometry::Spherical,
            iterations: 20,
            restarts: 1,
            fit_documents: None,
            seed: 0,
            fit_memory_bytes: 2_000_000_000,
        }
    }
}

/// What SSL Prototypes goes by: the same signal, whose default column is the similarity.
const PROTOTYPES: &str = "prototypes";

impl Named for ClustersOptions {
    const NAME: &'static str = "clusters";
    const HELP: &'static str = "its cluster, and how near the centroid is (`prototypes`)";

    fn named(name: &str) -> Option<Self> {
        [Self::NAME, PROTOTYPES].contains(&name).then(Self::default)
    }
}

impl Definition for ClustersOptions {
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
        let none = |what: &str, flag: &str| {
            Err(Error::usage(format!("no {what}"), format!("give {flag} a number of at least 1")))
        };
        if self.clusters == Some(0) {
            return none("clusters", "--clusters");
        }
        if self.iterations == 0 {
            return none("iterations", "--iterations");
        }
        if self.restarts == 0 {
            return none("fits", "--restarts");
        }
        if self.fit_documents == Some(0) {
            return none("documents of a fit", "--fit-documents");
        }
        Ok(())
    }

    fn foreseen(&self) -> Result<Option<SignalInfo>> {
        Ok(Some(fit::foreseen()))
    }

    fn build(&self, _observer: &dyn Observer) -> Result<Ready> {
        Err(Error::usage(
            "clusters are fitted to all embeddings before any shard can be assigned",
            "score `embed` in tasks, then clusters by `Project::score`",
        ))
    }

    /// How much memory a fit may take decides no value.
    fn unify(&mut self, digest: &str) {
        self.embed.unify(digest);
        self.fit_memory_bytes = 0;
    }

    fn score(
        &self,
        project: &Project,
        version: &CorpusVersion,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        project.score_clusters(version, self, asked, options)
    }

    fn plan(
        &self,
        project: &Project,
        read: &[(usize, ShardRecord)],
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        project.plan_clusters(read, self, asked, options)
    }

    fn foresee(
        &self,
        project: &Project,
        first: &SignalRecord,
        stored: Option<&SignalDir>,
        options: ScoreOptions,
    ) -> Result<Option<SignalRecord>> {
        dimension(first)?;
        if stored.is_some() && !options.refit {
            project.same_settings(&self.clone().into(), options)?;
        }
        Ok(Some(SignalRecord::new(&fit::foreseen(), Repeatability::Exact)))
    }
}
