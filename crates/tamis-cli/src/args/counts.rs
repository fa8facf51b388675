//! Flags of `counts`: none of its own.

use clap::Args;
use tamis::Result;
use tamis::options::CountsOptions;

use super::SignalArgs;

/// None.
#[derive(Debug, Args)]
pub(crate) struct Flags {}

impl super::Flags for Flags {
    type Options = CountsOptions;

    const SHARED: &'static [&'static [&'static str]] = &[];

    fn options(named: CountsOptions, _: &SignalArgs, _tokenizer: Option<&str>) -> Result<Vec<CountsOptions>> {
        Ok(vec![named])
    }
}
