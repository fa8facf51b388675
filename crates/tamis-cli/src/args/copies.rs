//! Flags of `copies`: none of its own.

use clap::Args;
use tamis::Result;
use tamis::options::CopiesOptions;

use super::SignalArgs;

/// None.
#[derive(Debug, Args)]
pub(crate) struct Flags {}

impl super::Flags for Flags {
    type Options = CopiesOptions;

    const SHARED: &'static [&'static [&'static str]] = &[];

    fn options(named: CopiesOptions, _: &SignalArgs, _tokenizer: Option<&str>) -> Result<Vec<CopiesOptions>> {
        Ok(vec![named])
    }
}
