//! Flags of `semdedup`.

use clap::{Args, ValueEnum};
use tamis::Result;
use tamis::options::{KeepOrder, SemdedupOptions};

use super::SignalArgs;
use super::clusters::{OF_CLUSTERS, clusters};
use super::embed::OF_EMBEDDINGS;
use super::shared::{COMPUTED, PACE, SERVED};

/// What is a duplicate.
#[derive(Debug, Args)]
#[command(next_help_heading = "SemDeDup")]
pub(crate) struct Flags {
    /// Documents are of one group where a cosine is more than 1 - EPSILON [default: 0.05]; selections by the score may draw the
    /// line elsewhere.
    #[arg(long, value_name = "EPSILON")]
    pub epsilon: Option<f64>,
    /// Which document of a group stands first, and so stays: the farthest from the centroid, the nearest, or any by a draw
    /// [default: farthest].
    #[arg(long, value_enum)]
    pub stays: Option<StaysArg>,
    /// Clusters of a document that are looked into: its own, or the second nearest too [default: 1].
    #[arg(long, value_name = "1|2")]
    pub probe: Option<usize>,
    /// Seed of `--stays seed` [default: 0].
    #[arg(long, value_name = "N")]
    pub stays_seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StaysArg {
    Farthest,
    Nearest,
    Seed,
}

impl super::Flags for Flags {
    type Options = SemdedupOptions;

    const SHARED: &'static [&'static [&'static str]] =
        &[OF_CLUSTERS, OF_EMBEDDINGS, COMPUTED, SERVED, PACE, &["tokenizer", "refit", "wait"]];

    fn options(
        _: SemdedupOptions,
        args: &SignalArgs,
        tokenizer: Option<&str>,
    ) -> Result<Vec<SemdedupOptions>> {
        let own = &args.semdedup;
        let default = SemdedupOptions::default();
        Ok(vec![SemdedupOptions {
            clusters: clusters(args, tokenizer)?,
            keep: match own.stays {
                None | Some(StaysArg::Farthest) => KeepOrder::Farthest,
                Some(StaysArg::Nearest) => KeepOrder::Nearest,
                Some(StaysArg::Seed) => KeepOrder::Seed,
            },
            epsilon: own.epsilon.unwrap_or(default.epsilon),
            probe: own.probe.unwrap_or(default.probe),
            seed: own.stays_seed.unwrap_or(default.seed),
        }])
    }
}
