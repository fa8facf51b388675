//! Flags of `ensemble`.

use clap::{Args, ValueEnum};
use tamis::Result;
use tamis::options::{Combine, EnsembleOptions, Member};

use super::SignalArgs;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CombineArg {
    Mean,
    Product,
    Max,
}

/// Which scores, and how they are joined.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ensemble")]
pub(crate) struct Flags {
    /// A score that the run holds, as --by names it, with a weight after `*`: ask-llm.p_yes*2. Two or more.
    #[arg(long, value_name = "SCORE")]
    pub member: Vec<String>,
    /// How ranks are joined: their weighted mean, geometric mean, or largest bucket [default: mean].
    #[arg(long, value_enum, value_name = "HOW")]
    pub combine: Option<CombineArg>,
    /// Buckets of --combine max [default: 20].
    #[arg(long, value_name = "N")]
    pub rank_buckets: Option<u32>,
    /// Column, carried or SIGNAL.COLUMN, within whose values ranks are taken.
    #[arg(long, value_name = "COLUMN")]
    pub ranks_within: Option<String>,
}

impl super::Flags for Flags {
    type Options = EnsembleOptions;

    const SHARED: &'static [&'static [&'static str]] = &[&["wait"]];

    fn options(named: EnsembleOptions, args: &SignalArgs, _: Option<&str>) -> Result<Vec<EnsembleOptions>> {
        let flags = &args.ensemble;
        Ok(vec![EnsembleOptions {
            members: flags.member.iter().map(|text| Member::parse(text)).collect::<Result<_>>()?,
            combine: match flags.combine {
                None | Some(CombineArg::Mean) => Combine::Mean,
                Some(CombineArg::Product) => Combine::Product,
                Some(CombineArg::Max) => Combine::Max,
            },
            buckets: flags.rank_buckets.unwrap_or(named.buckets),
            within: flags.ranks_within.clone(),
        }])
    }
}
