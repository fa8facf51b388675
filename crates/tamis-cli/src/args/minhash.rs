//! Flags of `minhash`.

use clap::Args;
use tamis::options::{MinhashOptions, Stays};
use tamis::{Error, Result};

use super::SignalArgs;

/// What is near.
#[derive(Debug, Args)]
#[command(next_help_heading = "MinHash")]
pub(crate) struct Flags {
    /// Words a shingle; characters, in scripts that are written without spaces [default: 5].
    #[arg(long, value_name = "N")]
    pub shingle: Option<usize>,
    /// Bands and rows: documents that agree in all rows of a band are near-duplicates [default: 14x8].
    #[arg(long, value_name = "BxR")]
    pub bands: Option<String>,
    /// Which of a group stands first, and so stays: `longest`, `first-by:SIGNAL` or `newest:COLUMN` [default: longest].
    #[arg(long, value_name = "ORDER")]
    pub keep: Option<String>,
    /// Jaccard similarity of the shingles that near-duplicates must have by their texts, which are read once more for it, such as
    /// 0.7 [default: to agree in a band is enough].
    #[arg(long, value_name = "SIMILARITY")]
    pub verify: Option<f64>,
    /// Column within whose values documents are near-duplicates, such as a dump; carried from then on [default: the whole
    /// corpus].
    #[arg(long, value_name = "COLUMN")]
    pub within: Option<String>,
    /// Seed of the permutations [default: 0].
    #[arg(long, value_name = "N")]
    pub permutation_seed: Option<u64>,
}

impl super::Flags for Flags {
    type Options = MinhashOptions;

    const SHARED: &'static [&'static [&'static str]] = &[&["wait"]];

    fn options(
        _: MinhashOptions,
        args: &SignalArgs,
        _tokenizer: Option<&str>,
    ) -> Result<Vec<MinhashOptions>> {
        let own = &args.minhash;
        let default = MinhashOptions::default();
        let (bands, rows) = match &own.bands {
            None => (default.bands, default.rows),
            Some(text) => bands(text)?,
        };
        Ok(vec![MinhashOptions {
            ngram: own.shingle.unwrap_or(default.ngram),
            bands,
            rows,
            seed: own.permutation_seed.unwrap_or(default.seed),
            stays: own.keep.as_deref().map(stays).transpose()?.unwrap_or(default.stays),
            verify: own.verify,
            within: own.within.clone(),
        }])
    }
}

fn bands(text: &str) -> Result<(usize, usize)> {
    let parsed =
        text.split_once('x').and_then(|(bands, rows)| Some((bands.parse().ok()?, rows.parse().ok()?)));
    parsed.ok_or_else(|| {
        Error::usage(
            format!("`--bands {text}` is not BxR"),
            "write bands and rows a band, such as --bands 14x8",
        )
    })
}

fn stays(text: &str) -> Result<Stays> {
    match text.split_once(':') {
        None if text == "longest" => Ok(Stays::Longest),
        Some(("first-by", signal)) if !signal.is_empty() => Ok(Stays::FirstBy(signal.to_owned())),
        Some(("newest", column)) if !column.is_empty() => Ok(Stays::Newest(column.to_owned())),
        _ => Err(Error::usage(
            format!("`--keep {text}` is no order of near-duplicates"),
            "write longest, first-by:SIGNAL (such as first-by:ask-llm) or newest:COLUMN",
        )),
    }
}
