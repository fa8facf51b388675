//! Flags of `column:NAME`: none of its own.

use clap::Args;
use tamis::Result;
use tamis::options::ColumnOptions;

use super::SignalArgs;

/// None.
#[derive(Debug, Args)]
pub(crate) struct Flags {}

impl super::Flags for Flags {
    type Options = ColumnOptions;

    const SHARED: &'static [&'static [&'static str]] = &[];

    fn options(named: ColumnOptions, _: &SignalArgs, _tokenizer: Option<&str>) -> Result<Vec<ColumnOptions>> {
        Ok(vec![named])
    }
}
