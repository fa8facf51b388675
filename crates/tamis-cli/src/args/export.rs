//! Flags of `tamis export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What the files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Lines as they stand in the corpus; rows of Parquet as objects.
    #[value(name = "jsonl.zst")]
    Lines,
    /// Rows of Parquet: id, text and carried columns.
    Parquet,
    /// Numbers of tokens, with an index of documents, as OLMo-core and nanoGPT read them.
    Tokens,
}

/// `tamis export`
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Run directory.
    #[arg(long, value_name = "FOLDER")]
    pub run: PathBuf,
    /// Name of a finished selection.
    #[arg(long, value_name = "NAME")]
    pub selection: String,
    /// Folder for the files, which belongs to one export.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// What the files hold.
    #[arg(long, value_enum, default_value = "jsonl.zst")]
    pub format: FormatArg,
    /// Which of several rates, by its label, e.g. rate-10 [default: the largest].
    #[arg(long, value_name = "LABEL")]
    pub target: Option<String>,
    /// Bytes of lines, or of values, in a file, before compression [default: 256MB].
    #[arg(long, value_name = "SIZE")]
    pub shard_size: Option<String>,
    /// Tokens in a file [default: 100M].
    #[arg(long, value_name = "N", conflicts_with = "shard_size")]
    pub shard_tokens: Option<String>,
    /// Seed of the order.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "no_shuffle")]
    pub shuffle_seed: u64,
    /// Leave documents in the order of the corpus, epoch by epoch.
    #[arg(long)]
    pub no_shuffle: bool,
    /// Memory for putting documents in order; what does not fit goes to a file without a name in the run.
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub memory: String,
    /// Model source whose tokenizer makes tokens.
    #[arg(long, value_name = "SOURCE")]
    pub tokenizer: Option<String>,
    /// Token behind each document [default: the tokenizer's end of text].
    #[arg(long, value_name = "N")]
    pub separator_id: Option<u32>,
    /// Print what would be written, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}
