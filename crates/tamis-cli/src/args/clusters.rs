//! Flags of `clusters`.

use clap::{Args, ValueEnum};
use tamis::Result;
use tamis::options::{ClustersOptions, Geometry};

use super::SignalArgs;
use super::embed::{OF_EMBEDDINGS, embeddings};
use super::shared::{COMPUTED, PACE, SERVED};
use crate::options::size;

/// Which clusters.
#[derive(Debug, Args)]
#[command(next_help_heading = "Clusters")]
pub(crate) struct Flags {
    /// k, clusters [default: one for 1000 documents, at most 10000].
    #[arg(long, value_name = "K")]
    pub clusters: Option<u32>,
    /// Whether documents are near by cosine or by distance [default: spherical].
    #[arg(long, value_enum)]
    pub geometry: Option<GeometryArg>,
    /// Passes over the documents of the fit [default: 20].
    #[arg(long, value_name = "N")]
    pub iterations: Option<u32>,
    /// Fits from other beginnings, of which the best stays [default: 1].
    #[arg(long, value_name = "N")]
    pub restarts: Option<u32>,
    /// Documents that clusters are fitted to, a seeded sample; all are assigned [default: at most 256 a cluster].
    #[arg(long, value_name = "N")]
    pub fit_documents: Option<u64>,
    /// Memory for the embeddings of the fit; of more they are read in every pass [default: 2GB].
    #[arg(long, value_name = "SIZE")]
    pub fit_memory: Option<String>,
    /// Seed of the beginnings and of the sample [default: 0].
    #[arg(long, value_name = "N")]
    pub cluster_seed: Option<u64>,
}

/// The flags of [`Flags`], for signals that look into clusters.
pub(crate) const OF_CLUSTERS: &[&str] =
    &["clusters", "geometry", "iterations", "restarts", "fit_documents", "fit_memory", "cluster_seed"];

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GeometryArg {
    Spherical,
    Euclidean,
}

impl super::Flags for Flags {
    type Options = ClustersOptions;

    const SHARED: &'static [&'static [&'static str]] =
        &[OF_EMBEDDINGS, COMPUTED, SERVED, PACE, &["tokenizer", "refit", "wait"]];

    fn options(
        _: ClustersOptions,
        args: &SignalArgs,
        tokenizer: Option<&str>,
    ) -> Result<Vec<ClustersOptions>> {
        clusters(args, tokenizer).map(|options| vec![options])
    }
}

/// The clusters that are asked for.
pub(crate) fn clusters(args: &SignalArgs, tokenizer: Option<&str>) -> Result<ClustersOptions> {
    let own = &args.clusters;
    let default = ClustersOptions::default();
    let memory = own.fit_memory.as_deref().map(|text| size("--fit-memory", text)).transpose()?;
    Ok(ClustersOptions {
        embed: embeddings(args, tokenizer)?,
        clusters: own.clusters,
        geometry: match own.geometry {
            None | Some(GeometryArg::Spherical) => Geometry::Spherical,
            Some(GeometryArg::Euclidean) => Geometry::Euclidean,
        },
        iterations: own.iterations.unwrap_or(default.iterations),
        restarts: own.restarts.unwrap_or(default.restarts),
        fit_documents: own.fit_documents,
        seed: own.cluster_seed.unwrap_or(default.seed),
        fit_memory_bytes: memory.unwrap_or(default.fit_memory_bytes),
    })
}
