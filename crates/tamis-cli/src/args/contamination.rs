//! Flags of `contamination`.

use clap::Args;
use tamis::options::{ContaminationOptions, FrequentNgrams};
use tamis::{Error, Result};

use super::SignalArgs;
use crate::options::share;

/// What is looked for, and what counts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Contamination")]
pub(crate) struct Flags {
    /// File, folder, glob or URL of evaluations: .jsonl, .ndjson, .json, .csv, .tsv, .txt (each also .gz or .zst) or .parquet. May
    /// be given several times.
    #[arg(long, value_name = "PATH")]
    pub evaluation: Vec<String>,
    /// Columns whose strings are the texts of an item [default: every string is one].
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub evaluation_columns: Vec<String>,
    /// Words in a row, from 5 to 64; a text of fewer, but 8 at least, is looked for as a whole [default: 13].
    #[arg(long, value_name = "N")]
    pub gram: Option<usize>,
    /// An n-gram that is found in more documents does not count: a number, a share of the corpus, or `N,SHARE` for the larger of
    /// both; `none`: all count [default: 10,0.001%].
    #[arg(long, value_name = "DOCUMENTS")]
    pub frequent: Option<String>,
}

impl super::Flags for Flags {
    type Options = ContaminationOptions;

    const SHARED: &'static [&'static [&'static str]] = &[&["wait"]];

    fn options(
        named: ContaminationOptions,
        args: &SignalArgs,
        _tokenizer: Option<&str>,
    ) -> Result<Vec<ContaminationOptions>> {
        let own = &args.contamination;
        Ok(vec![ContaminationOptions {
            evaluations: own.evaluation.clone(),
            columns: own.evaluation_columns.clone(),
            gram: own.gram.unwrap_or(named.gram),
            frequent: own.frequent.as_deref().map(frequent).transpose()?.unwrap_or(named.frequent),
        }])
    }
}

/// A number alone has no share beside it; a share alone has the default number.
fn frequent(text: &str) -> Result<FrequentNgrams> {
    if text == "none" {
        return Ok(FrequentNgrams { documents: 0, share: 1.0 });
    }
    let refused = || {
        Error::usage(
            format!("`--frequent {text}` is no number of documents and no share of them"),
            "write --frequent 10, --frequent 0.001%, --frequent 10,0.001% or --frequent none",
        )
    };
    let of_share = |text: &str| match text.ends_with('%') {
        true => share("--frequent", text).map_err(|_| refused()),
        false => Err(refused()),
    };
    let of_number = |text: &str| text.trim().parse::<u64>().map_err(|_| refused());
    match text.split_once(',') {
        Some((documents, share)) => {
            Ok(FrequentNgrams { documents: of_number(documents)?, share: of_share(share.trim())? })
        }
        None if text.ends_with('%') => {
            Ok(FrequentNgrams { share: of_share(text)?, ..FrequentNgrams::default() })
        }
        None => Ok(FrequentNgrams { documents: of_number(text)?, share: 0.0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_is_frequent_is_a_number_a_share_or_both() {
        let parsed = |text| frequent(text).map(|parsed| (parsed.documents, parsed.share)).ok();
        assert_eq!(parsed("25"), Some((25, 0.0)));
        assert_eq!(parsed("1%"), Some((10, 0.01)));
        assert_eq!(parsed("5, 50%"), Some((5, 0.5)));
        assert_eq!(parsed("none"), Some((0, 1.0)));
        for wrong in ["", "x", "1,2", "1%,2", "101%", "-1", "1.5", "10,"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
