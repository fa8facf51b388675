//! Flags of `tamis table`.

use std::path::PathBuf;

use clap::Args;

/// `tamis table`
#[derive(Debug, Args)]
pub(crate) struct Table {
    /// Run directory.
    #[arg(long, value_name = "FOLDER")]
    pub run: PathBuf,
    /// Selection whose decisions become columns, and what their names begin with; may be given several times [default: all that
    /// are finished, by their names].
    #[arg(long, value_name = "NAME[=ALIAS]")]
    pub selection: Vec<String>,
    /// The Parquet file to write. Never overwritten.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
