//! Flags of `tamis train-ngram`.

use std::path::PathBuf;

use clap::Args;

use super::ngram::WordsArg;

/// `tamis train-ngram`
#[derive(Debug, Args)]
pub(crate) struct TrainNgram {
    /// A file, folder, glob or object-store URL of shards with text.
    #[arg(value_name = "CORPUS")]
    pub corpus: String,
    /// Column of the text [default: text].
    #[arg(long, value_name = "COLUMN", help_heading = "Corpus")]
    pub text: Option<String>,
    /// A longer line is a failed row [default: 256 MiB].
    #[arg(long, value_name = "BYTES", help_heading = "Corpus")]
    pub max_line_bytes: Option<u64>,
    /// Share of failed rows above which the exit code is 3.
    #[arg(long, value_name = "SHARE", default_value = "1%", help_heading = "Corpus")]
    pub max_failed: String,
    /// The ARPA file to write; .gz and .zst compress it. Never overwritten.
    #[arg(long, value_name = "FILE")]
    pub out: String,
    /// N, words of the longest n-grams.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub order: usize,
    /// Leave out n-grams that occur at most so often, by length; the last number holds for all longer ones.
    #[arg(long, value_name = "N", num_args = 1..)]
    pub prune: Vec<u64>,
    /// Discounts where the corpus is too small to give any [without numbers: 0.5 1 1.5].
    #[arg(long, value_name = "D", num_args = 0..=3)]
    pub discount_fallback: Option<Vec<f64>>,
    /// How text becomes words: as it stands between white space (kenlm), the same in lower case, or as CCNet has it (lower
    /// case, no accents, digits as 0, ASCII punctuation).
    #[arg(long, value_enum, default_value = "plain")]
    pub words: WordsArg,
    /// Count the pieces of this model source's tokenizer instead of words.
    #[arg(long, value_name = "SOURCE")]
    pub tokenizer: Option<String>,
    /// Memory for n-grams, e.g. 8GB; what does not fit goes to disk.
    #[arg(long, value_name = "SIZE", default_value = "2GB")]
    pub memory: String,
    /// Folder for what does not fit [default: the system's].
    #[arg(long, value_name = "FOLDER")]
    pub temporary: Option<PathBuf>,
}
