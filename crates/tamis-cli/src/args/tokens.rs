//! Flags of `tokens`: `--tokenizer`, which it shares.

use clap::Args;
use tamis::Result;
use tamis::options::TokensOptions;

use super::SignalArgs;

/// None of its own.
#[derive(Debug, Args)]
pub(crate) struct Flags {}

impl super::Flags for Flags {
    type Options = TokensOptions;

    const SHARED: &'static [&'static [&'static str]] = &[&["tokenizer"]];

    fn options(named: TokensOptions, _: &SignalArgs, tokenizer: Option<&str>) -> Result<Vec<TokensOptions>> {
        Ok(vec![TokensOptions { tokenizer: tokenizer.map_or(named.tokenizer, str::to_owned) }])
    }
}
