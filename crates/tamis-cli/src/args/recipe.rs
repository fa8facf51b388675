//! Flags of `tamis apply`, `tamis plan` and `tamis init`.

use std::path::PathBuf;

use clap::Args;

/// Which recipe, of what, where.
#[derive(Debug, Args)]
pub(crate) struct RecipeArgs {
    /// The recipe, a file of TOML; docs/recipes.md has its keys.
    #[arg(value_name = "RECIPE")]
    pub recipe: PathBuf,
    /// The corpus, instead of the recipe's.
    #[arg(value_name = "CORPUS")]
    pub corpus: Option<String>,
    /// The run directory, instead of the recipe's.
    #[arg(long, value_name = "FOLDER")]
    pub run: Option<PathBuf>,
}

/// `tamis apply`
#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Share of failed rows above which the exit code is 3.
    #[arg(long, value_name = "SHARE", default_value = "1%")]
    pub max_failed: String,
    /// Check the recipe and the corpus, load no model, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Take every N-th shard, beginning with the I-th: any scheduler can fan out.
    #[arg(long, value_name = "I/N")]
    pub worker: Option<String>,
    /// Wait for what other workers have to do first, as on a terminal; otherwise the command ends with exit code 4, to be
    /// given again.
    #[arg(long)]
    pub wait: bool,
    /// Ask again for rows that failed, as after a server was mended; what has a value keeps it.
    #[arg(long)]
    pub retry_failed: bool,
}

/// `tamis plan`
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// What an hour of this machine costs.
    #[arg(long, value_name = "DOLLARS")]
    pub dollars_per_hour: Option<f64>,
    /// List the units of work that are left, a shard of a signal each, instead of rehearsing the recipe.
    #[arg(long)]
    pub tasks: bool,
}

/// `tamis init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// A file, folder, glob or object-store URL of shards.
    #[arg(value_name = "CORPUS")]
    pub corpus: String,
    /// The recipe to write; never overwritten [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
