//! Flags of `density`.

use clap::{Args, ValueEnum};
use tamis::options::{DensityKernel, DensityOptions, DensityProjection};
use tamis::{Error, Result};

use super::SignalArgs;
use super::embed::{OF_EMBEDDINGS, embeddings};
use super::shared::{COMPUTED, PACE, SERVED};
use crate::options::size;

/// Which sketch.
#[derive(Debug, Args)]
#[command(next_help_heading = "Density")]
pub(crate) struct Flags {
    /// R, rows of the sketch [default: 1000].
    #[arg(long, value_name = "R")]
    pub repetitions: Option<usize>,
    /// B, counters a row [default: by the rule of docs/density.md].
    #[arg(long, value_name = "B")]
    pub buckets: Option<usize>,
    /// p, hashes a row [default: by the rule of docs/density.md].
    #[arg(long, value_name = "P")]
    pub hashes: Option<usize>,
    /// r, width of the hash's cells [default: 1].
    #[arg(long, value_name = "R")]
    pub bandwidth: Option<f64>,
    /// Kernel of the density [default: l2].
    #[arg(long, value_enum)]
    pub kernel: Option<KernelArg>,
    /// How random directions are made: `gaussian` as in the paper, `hadamard` several times faster [default: that of the stored
    /// sketch, else hadamard].
    #[arg(long, value_enum)]
    pub projection: Option<ProjectionArg>,
    /// `literal` is the paper's sketch as printed (one hash a row).
    #[arg(long, value_enum)]
    pub preset: Option<PresetArg>,
    /// Memory that the sketch may take, e.g. 1GB [default: 1GB].
    #[arg(long, value_name = "SIZE")]
    pub sketch_memory: Option<String>,
    /// Seed of the sketch's hashes [default: 0].
    #[arg(long, value_name = "N")]
    pub sketch_seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KernelArg {
    L2,
    Cosine,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ProjectionArg {
    Gaussian,
    Hadamard,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PresetArg {
    Default,
    Literal,
}

impl super::Flags for Flags {
    type Options = DensityOptions;

    const SHARED: &'static [&'static [&'static str]] =
        &[OF_EMBEDDINGS, COMPUTED, SERVED, PACE, &["tokenizer", "refit", "wait"]];

    fn options(_: DensityOptions, args: &SignalArgs, tokenizer: Option<&str>) -> Result<Vec<DensityOptions>> {
        let own = &args.density;
        let default = DensityOptions::default();
        let memory = own.sketch_memory.as_deref().map(|text| size("--sketch-memory", text)).transpose()?;
        refuse_contradictions(own, own.repetitions.unwrap_or(default.repetitions), memory)?;
        Ok(vec![DensityOptions {
            embed: embeddings(args, tokenizer)?,
            repetitions: own.repetitions.unwrap_or(default.repetitions),
            buckets: own.buckets,
            hashes: own.hashes,
            bandwidth: own.bandwidth,
            kernel: match own.kernel {
                None | Some(KernelArg::L2) => DensityKernel::L2,
                Some(KernelArg::Cosine) => DensityKernel::Cosine,
            },
            projection: own.projection.map(|projection| match projection {
                ProjectionArg::Gaussian => DensityProjection::Gaussian,
                ProjectionArg::Hadamard => DensityProjection::Hadamard,
            }),
            literal: matches!(own.preset, Some(PresetArg::Literal)),
            sketch_memory_bytes: memory.unwrap_or(default.sketch_memory_bytes),
            seed: own.sketch_seed.unwrap_or(default.seed),
        }])
    }
}

/// Refuses parameters of a sketch of which one leaves the other without effect.
fn refuse_contradictions(flags: &Flags, repetitions: usize, memory: Option<u64>) -> Result<()> {
    let cosine = matches!(flags.kernel, Some(KernelArg::Cosine));
    if matches!(flags.preset, Some(PresetArg::Literal)) {
        if cosine {
            return Err(Error::usage(
                "the literal preset is the paper's l2 sketch",
                "leave --kernel cosine out",
            ));
        }
        if flags.hashes.is_some_and(|hashes| hashes != 1) {
            return Err(Error::usage(
                "the literal preset has one hash a row",
                "leave --hashes out, or --preset literal",
            ));
        }
    }
    if cosine && flags.bandwidth.is_some() {
        return Err(Error::usage(
            "the cosine kernel has no bandwidth",
            "leave --bandwidth out, or --kernel cosine",
        ));
    }
    if let (Some(buckets), Some(memory)) = (flags.buckets, memory) {
        let needed = 4 * repetitions as u128 * buckets as u128;
        if needed > u128::from(memory) {
            return Err(Error::usage(
                format!(
                    "{repetitions} rows of {buckets} counters take {needed} bytes, --sketch-memory allows {memory}"
                ),
                "leave --buckets out, so that they are chosen within the memory, or allow as much",
            ));
        }
    }
    Ok(())
}
