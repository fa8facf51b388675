//! Flags of `ngram`.

use clap::{Args, ValueEnum};
use tamis::Result;
use tamis::options::{NgramOptions, NgramWords};

use super::SignalArgs;

/// Which model scores.
#[derive(Debug, Args)]
#[command(next_help_heading = "N-grams")]
pub(crate) struct Flags {
    /// ARPA file (also .gz, .zst) for `ngram`: from `tamis train-ngram`, lmplz, SRILM …
    #[arg(long, value_name = "FILE")]
    pub ngram: Option<String>,
    /// How text becomes the model's words: as they stand between white space (kenlm), the same in lower case, or as CCNet has
    /// it (lower case, no accents, digits as 0, ASCII punctuation) [default: as the model says, else plain].
    #[arg(long, value_enum)]
    pub ngram_words: Option<WordsArg>,
    /// Model source whose tokenizer's pieces are the model's words.
    #[arg(long, value_name = "SOURCE")]
    pub ngram_tokenizer: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum WordsArg {
    Plain,
    Lower,
    Ccnet,
}

impl super::Flags for Flags {
    type Options = NgramOptions;

    const SHARED: &'static [&'static [&'static str]] = &[];

    fn options(_: NgramOptions, args: &SignalArgs, _tokenizer: Option<&str>) -> Result<Vec<NgramOptions>> {
        let own = &args.ngram;
        Ok(vec![NgramOptions {
            model: own.ngram.clone().unwrap_or_default(),
            words: own.ngram_words.map(words),
            tokenizer: own.ngram_tokenizer.clone(),
        }])
    }
}

/// The words that a flag names.
pub(crate) fn words(words: WordsArg) -> NgramWords {
    match words {
        WordsArg::Plain => NgramWords::Plain,
        WordsArg::Lower => NgramWords::Lower,
        WordsArg::Ccnet => NgramWords::Ccnet,
    }
}
