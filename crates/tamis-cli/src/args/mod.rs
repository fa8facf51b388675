//! Command-line flags as clap parses them. Validation is elsewhere: `options.rs` turns these into the library's options.

mod export;
mod recipe;
mod shared;
mod table;
mod train_ngram;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tamis::options::{Dtype, Named, SignalOptions};
use tamis::{Result, Rule};

pub(crate) use export::{Export, FormatArg};
pub(crate) use recipe::{Apply, Init, Plan, RecipeArgs};
pub(crate) use shared::{
    COMPUTED, EngineArg, JUDGED, ModelArgs, OF_MODEL, PACE, SERVED, ServerArgs, dtype, engine, server,
};
pub(crate) use table::Table;
pub(crate) use train_ngram::TrainNgram;

/// Pick the documents worth training a language model on.
///
/// Scores a corpus (Ask-LLM, Density, perplexity, a column it carries), selects a share of it, and says why each document was kept.
/// Scores are computed once, stored in a run directory, and outlive every selection made from them.
#[derive(Debug, Parser)]
#[command(
    name = "tamis",
    version,
    propagate_version = true,
    max_term_width = 110,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Worker threads; one a core by default.
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Print one JSON object on standard output instead of a table.
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no remarks; warnings and errors stay.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compute what is missing, select, and write the kept documents.
    #[command(after_help = SELECT_EXAMPLES)]
    Select(Box<Select>),
    /// Compute one signal for every document.
    #[command(after_help = score_help())]
    Score(Box<Score>),
    /// Do what a recipe says: its signals, stage by stage, and its selections.
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(Apply),
    /// Say what a recipe will cost, from a rehearsal on a few hundred documents: documents, tokens, time, disk.
    Plan(Plan),
    /// Look at a corpus and write a recipe for it.
    Init(Init),
    /// Train an n-gram model on a reference corpus, for `score ngram`.
    #[command(after_help = TRAIN_NGRAM_EXAMPLES)]
    TrainNgram(Box<TrainNgram>),
    /// Write what a selection keeps as training data: shuffled, repeated, cut into files; text or tokens.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Box<Export>),
    /// Write one Parquet file of all signals and decisions, for SQL.
    #[command(after_help = TABLE_EXAMPLES)]
    Table(Table),
    /// Show documents with their percentile under every signal.
    Show(Show),
    /// Say of one document every score, percentile, priority and decision.
    Why(Why),
    /// Score and select a small corpus that ships inside, with the packaged models.
    Demo(Demo),
    /// List the samplers of the paper: the command that makes each, its cost, whether its model is at hand.
    Samplers,
    /// Fetch models and say what they are.
    Models(Models),
}

const SELECT_EXAMPLES: &str = "Examples:
  tamis select data/ --by random --rate 10% --out kept/
  tamis select data/ --by ask-llm --rate 10%,20% --run run/ --out kept/
  tamis select data/ --by density --tokens 2000000 --tokenizer smollm2 --out kept/
  tamis select data/ --by perplexity --around 50% --rate 40% --out kept/
  tamis select data/ --by column:quality --rule bottom --documents 1000 --out kept/
  tamis select data/ --by density --rate 10% --run run/ --out kept/ --worker 3/16";

const SCORE_EXAMPLES: &str = "Examples:
  tamis score ask-llm data/ --run run/
  tamis score ask-llm data/ --run run/ --worker 3/16
  tamis score perplexity data/ --run run/ --model early=ckpt/20k,late=ckpt/700k
  tamis score ask-llm --run run/ --sample 1% --prompt mine.txt
  tamis score density data/ --run run/ --hashes 12";

const APPLY_EXAMPLES: &str = "Examples:
  tamis init data/ --out recipe.toml
  tamis apply recipe.toml
  tamis apply recipes/small.toml data/ --run run/
  tamis apply recipe.toml --worker 3/16";

const TRAIN_NGRAM_EXAMPLES: &str = "Examples:
  tamis train-ngram reference/ --order 5 --prune 0 0 1 --out model.arpa.zst
  tamis select data/ --by ngram --ngram model.arpa.zst --rate 20% --out kept/";

const EXPORT_EXAMPLES: &str = "Examples:
  tamis export --run run/ --selection random-5bc72f72 --out data/
  tamis export --run run/ --selection mine --format parquet --shard-size 1GB --shuffle-seed 7 --out data/
  tamis export --run run/ --selection mine --format tokens --tokenizer smollm2 --shard-tokens 500M --out data/";

const TABLE_EXAMPLES: &str = "Examples:
  tamis table --run run/ --out all.parquet
  tamis table --run run/ --selection ask-llm-3f9a01c2=judge --selection random-5bc72f72=random --out all.parquet";

/// Which corpus, and which run.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Corpus")]
pub(crate) struct CorpusArgs {
    /// A file, folder, glob or object-store URL of .jsonl, .ndjson, .json (each also .gz or .zst) or .parquet shards;
    /// may be left out when --run names a run that knows its corpus.
    #[arg(value_name = "CORPUS")]
    pub corpus: Option<String>,
    /// Column of the text [default: text].
    #[arg(long, value_name = "COLUMN")]
    pub text: Option<String>,
    /// Column of the id; `none`: documents are known by their text. By default `id` where at least half of the first documents
    /// have one there, else none.
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
    /// Ids count within their shard alone, as where they restart in every file: an id becomes SHARD:ID, with the path of the
    /// shard without its endings.
    #[arg(long)]
    pub qualify_ids: bool,
    /// Part of every key: keeps corpora apart whose ids collide, when their runs are brought together.
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Columns to keep in the run, for strata and reports; they may be named later too.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub carry: Vec<String>,
    /// A longer line is a failed row [default: 256 MiB].
    #[arg(long, value_name = "BYTES")]
    pub max_line_bytes: Option<u64>,
    /// Share of failed rows above which the exit code is 3.
    #[arg(long, value_name = "SHARE", default_value = "1%")]
    pub max_failed: String,
    /// Leave texts out of the quarantine files.
    #[arg(long)]
    pub no_text: bool,
}

/// Which run directory.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct RunArgs {
    /// Run directory: scores, decisions, receipts. Made when absent.
    #[arg(long, value_name = "FOLDER")]
    pub run: Option<PathBuf>,
    /// Keep a signal that was computed with other settings, and compute this one beside it.
    #[arg(long)]
    pub beside: bool,
    /// Ask only of the documents that a finished selection keeps; NAME:LABEL where it has several rates. The other documents are
    /// not asked, and dropped.
    #[arg(long, value_name = "SELECTION")]
    pub on: Option<String>,
    /// Ask again for rows that failed, as after a server was mended; what has a value keeps it.
    #[arg(long)]
    pub retry_failed: bool,
    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Take every N-th shard, beginning with the I-th: any scheduler can fan out.
    #[arg(long, value_name = "I/N")]
    pub worker: Option<String>,
    /// Wait for what other workers have to do first, as on a terminal; otherwise the command ends with exit code 4, to be
    /// given again.
    #[arg(long)]
    pub wait: bool,
}

/// What a signal's file says of its flags.
pub(crate) trait Flags: Args {
    /// What they become.
    type Options: Named;

    /// Identifiers of flags that it shares with other signals, or that `score` has for some signals alone.
    const SHARED: &'static [&'static [&'static str]];

    /// The options of a signal that was named, with the flags that concern it: several where one command computes several
    /// signals.
    ///
    /// # Errors
    /// Flags that contradict each other.
    fn options(
        named: Self::Options,
        args: &SignalArgs,
        tokenizer: Option<&str>,
    ) -> Result<Vec<Self::Options>>;
}

/// A kind of signal, and the identifiers of the flags that concern it.
pub(crate) struct KindFlags {
    /// See [`SignalOptions::ALL`].
    pub kind: &'static str,
    /// Those that it shares.
    pub shared: Vec<&'static str>,
    /// Those of its own.
    pub own: Vec<String>,
}

fn kind_flags<F: Flags>() -> KindFlags {
    let own = F::augment_args(clap::Command::new(""));
    KindFlags {
        kind: F::Options::NAME,
        shared: F::SHARED.concat(),
        own: own.get_arguments().map(|argument| argument.get_id().to_string()).collect(),
    }
}

macro_rules! signal_flags {
    ($($file:ident: $variant:ident($options:ident),)*) => {
        $(mod $file;)*

        /// The flags of all signals.
        #[derive(Debug, Args)]
        pub(crate) struct SignalArgs {
            #[command(flatten)]
            pub models: ModelArgs,
            #[command(flatten)]
            pub server: ServerArgs,
            $(
                #[command(flatten)]
                pub $file: $file::Flags,
            )*
        }

        /// The signals of a name with the flags that concern them: several for a list of checkpoints, else one.
        ///
        /// # Errors
        /// An unknown name; flags that contradict each other.
        pub(crate) fn signals(name: &str, args: &SignalArgs, tokenizer: Option<&str>) -> Result<Vec<SignalOptions>> {
            Ok(match SignalOptions::named(name)? {
                $(
                    SignalOptions::$variant(named) => <$file::Flags as Flags>::options(named, args, tokenizer)?
                        .into_iter()
                        .map(SignalOptions::$variant)
                        .collect(),
                )*
            })
        }

        /// Every kind of signal with its flags.
        pub(crate) fn flags_of_kinds() -> Vec<KindFlags> {
            vec![$(kind_flags::<$file::Flags>(),)*]
        }
    };
}

tamis::each_signal!(signal_flags);

pub(crate) use ngram::words;

/// Names as help has them.
fn names(names: impl Iterator<Item = &'static str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What each signal says of a document, and examples.
fn score_help() -> String {
    let widest = SignalOptions::ALL.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, help): &(&str, &str)| format!("  {name:widest$}  {help}\n");
    format!("Signals:\n{}\n{SCORE_EXAMPLES}", SignalOptions::ALL.iter().map(line).collect::<String>())
}

/// The rules by name.
fn rule_parser() -> impl TypedValueParser<Value = Rule> {
    let names = PossibleValuesParser::new(Rule::ALL.map(Rule::name));
    names.try_map(|name| name.parse::<Rule>())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ExactDuplicatesArg {
    All,
    One,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DuplicateIdsArg {
    Check,
    One,
}

/// `tamis select`
#[derive(Debug, Args)]
pub(crate) struct Select {
    #[command(flatten)]
    pub corpus: CorpusArgs,
    #[arg(
        long,
        value_name = "SIGNAL",
        help_heading = "Selection",
        help = format!("`random`, {}, or SIGNAL.COLUMN such as `ask-llm.p_yes`.", names(SignalOptions::scores()))
    )]
    pub by: String,
    /// How scores become a selection [default: the signal's own, see docs/signals.md].
    #[arg(long, value_parser = rule_parser(), help_heading = "Selection")]
    pub rule: Option<Rule>,
    /// Centre of the rule band, a percentile of the score [default: 50%]; implies --rule band.
    #[arg(long, value_name = "PERCENTILE", help_heading = "Selection")]
    pub around: Option<String>,
    /// Column within whose values the rule band ranks, such as a language or source; carried from then on; implies --rule
    /// band.
    #[arg(long, value_name = "COLUMN", help_heading = "Selection")]
    pub stratum: Option<String>,
    /// Only documents with at most this score are candidates; alone, all of them are kept.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, help_heading = "Selection")]
    pub at_most: Option<f64>,
    /// Only documents with at least this score are candidates; alone, all of them are kept.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, help_heading = "Selection")]
    pub at_least: Option<f64>,
    /// What a candidate has to pass: 'SIGNAL.COLUMN>=X', 'SIGNAL.COLUMN<=X', or the name of a signal that vetoes documents. May
    /// be given several times.
    #[arg(long, value_name = "FILTER", help_heading = "Selection")]
    pub filter: Vec<String>,
    /// Share of the candidates to keep: 20% or 0.2; several give nested subsets.
    #[arg(long, value_name = "RATES", value_delimiter = ',', help_heading = "Selection")]
    pub rate: Vec<String>,
    /// Number of documents to keep.
    #[arg(long, value_name = "N", help_heading = "Selection")]
    pub documents: Option<u64>,
    /// Tokens to keep, counted by --tokenizer.
    #[arg(long, value_name = "N", help_heading = "Selection")]
    pub tokens: Option<u64>,
    /// Columns whose values have quotas, carried ones or SIGNAL.COLUMN; several make a grid of strata `A / B`.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Selection")]
    pub quota_by: Vec<String>,
    /// Share of a stratum: 'web=10%..40%', 'web=..40%' or 'web=10%..'; `*` stands for each of the others. May be given several times.
    #[arg(long, value_name = "STRATUM=SHARE", help_heading = "Selection")]
    pub quota: Vec<String>,
    /// Fill --tokens with repeats of the best, none more often than this: 100 B tokens of a corpus of 60 B.
    #[arg(long, value_name = "CAP", help_heading = "Selection")]
    pub repeat: Option<f64>,
    /// The share of the tokens, the worst, of which --repeat keeps nothing [default: 40%].
    #[arg(long, value_name = "PERCENTILE", help_heading = "Selection")]
    pub repeat_from: Option<String>,
    /// Bytes of text to keep, e.g. 5GB.
    #[arg(long, value_name = "SIZE", help_heading = "Selection")]
    pub bytes: Option<String>,
    /// Model source whose tokenizer counts tokens, and cuts documents for a server.
    #[arg(long, value_name = "SOURCE", help_heading = "Selection")]
    pub tokenizer: Option<String>,
    /// Seed of random, ips and poisson; rates nest under one seed.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Selection")]
    pub seed: u64,
    /// Whether equal texts under different ids may all stay.
    #[arg(long, value_enum, default_value = "all", help_heading = "Selection")]
    pub exact_duplicates: ExactDuplicatesArg,
    /// Whether documents with one id are versions of each other, of which one stays. `check` refuses where most that repeat
    /// an id have another text, and more than a few do.
    #[arg(long, value_enum, default_value = "check", help_heading = "Selection")]
    pub duplicate_ids: DuplicateIdsArg,
    /// File, plain, .gz or .zst, with one id or document key a line; these documents are never kept. May be given several
    /// times.
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    pub veto: Vec<PathBuf>,
    /// Folder for the kept documents [default: inside the run].
    #[arg(long, value_name = "FOLDER", help_heading = "Selection")]
    pub out: Option<PathBuf>,
    /// Name of the selection in the run.
    #[arg(long, value_name = "NAME", help_heading = "Selection")]
    pub name: Option<String>,
    /// Decide and record, but write no documents.
    #[arg(long, help_heading = "Selection")]
    pub decide_only: bool,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub signal: SignalArgs,
}

/// `tamis score`
#[derive(Debug, Args)]
pub(crate) struct Score {
    #[arg(value_name = "SIGNAL", help = names(SignalOptions::ALL.iter().map(|(name, _)| *name)))]
    pub name: String,
    #[command(flatten)]
    pub corpus: CorpusArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// Fit a new sketch, or new clusters, to the corpus as it is now instead of using the frozen ones.
    #[arg(long, help_heading = "Run")]
    pub refit: bool,
    /// Score only a sample, e.g. 1%, with the prompt or judge at hand, and compare it with the stored scores; writes no
    /// scores.
    #[arg(long, value_name = "SHARE", help_heading = "Ask-LLM", conflicts_with_all = ["worker", "dry_run", "show_prompt"])]
    pub sample: Option<String>,
    /// Stored signal to compare a sample with [default: ask-llm, where there is one].
    #[arg(long, value_name = "SIGNAL", help_heading = "Ask-LLM", requires = "sample")]
    pub against: Option<String>,
    /// Seed of the sample.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Ask-LLM", requires = "sample")]
    pub sample_seed: u64,
    /// Print the rendered prompt of the first document (or of the one with this id), and do nothing else.
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "", help_heading = "Ask-LLM")]
    pub show_prompt: Option<String>,
    /// Model source whose tokenizer counts, for `tokens` [default: smollm2], or cuts documents for a server.
    #[arg(long, value_name = "SOURCE")]
    pub tokenizer: Option<String>,
    #[command(flatten)]
    pub signal: SignalArgs,
}

/// `tamis show`
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Run directory.
    #[arg(long, value_name = "FOLDER")]
    pub run: PathBuf,
    /// Signal, with an optional column, that orders the documents [default: the only one there is].
    #[arg(long, value_name = "SIGNAL", conflicts_with = "disagree")]
    pub by: Option<String>,
    /// Show the N best.
    #[arg(long, value_name = "N", conflicts_with_all = ["bottom", "around", "disagree"])]
    pub top: Option<usize>,
    /// Show the N worst.
    #[arg(long, value_name = "N", conflicts_with_all = ["around", "disagree"])]
    pub bottom: Option<usize>,
    /// Show documents around a percentile, e.g. 50%.
    #[arg(long, value_name = "PERCENTILE", conflicts_with = "disagree")]
    pub around: Option<String>,
    /// List the clusters instead, the largest first: documents, typical words, ids of the documents nearest to the centroid.
    #[arg(long, conflicts_with_all = ["by", "top", "bottom", "around", "disagree"])]
    pub clusters: bool,
    /// Show documents on which two signals disagree most, e.g. ask-llm,density.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub disagree: Vec<String>,
    /// How many documents to show.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, conflicts_with_all = ["top", "bottom"])]
    pub number: usize,
    /// Characters of each text to print; 0 prints none.
    #[arg(long, value_name = "N", default_value_t = 240)]
    pub characters: usize,
}

/// `tamis why`
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// Id, 32-digit document key, or SHARD:LINE.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Run directory.
    #[arg(long, value_name = "FOLDER")]
    pub run: PathBuf,
}

/// `tamis demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder for the demo's corpus, run and kept documents.
    #[arg(long, value_name = "FOLDER", default_value = "tamis-demo")]
    pub out: PathBuf,
}

/// `tamis models`
#[derive(Debug, Args)]
pub(crate) struct Models {
    #[command(subcommand)]
    pub command: ModelsCommand,
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the names that stand for packaged models, and what the cache holds.
    List,
    /// Fetch a model into the cache and print what it is.
    Pull {
        /// Model source.
        source: String,
    },
    /// Say what a judge is worth: AUC on labelled documents under every built-in prompt, by kind of bad, beside trivial counts.
    Check(Box<Check>),
}

/// `tamis models check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Model source: a decoder or a T5, or a server, `http://HOST:PORT/v1#MODEL`.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// JSON lines with `text`, `label` (good or bad) and `kind` [default: the set that ships inside].
    #[arg(long, value_name = "FILE")]
    pub labelled: Option<PathBuf>,
    /// Half of the shipped set; prompts were chosen on the tuning half, so only the other one tells.
    #[arg(long, value_enum, default_value = "reporting", conflicts_with = "labelled")]
    pub half: HalfArg,
    /// Prompts: names or files; each is checked, raw and in the chat template [default: every built-in one, and the likelihood].
    #[arg(long, value_name = "NAME|FILE", value_delimiter = ',')]
    pub prompt: Vec<String>,
    /// Leave out the chat template: half the work.
    #[arg(long)]
    pub raw: bool,
    /// At most so many documents of each kind, for a slow model.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(5..))]
    pub most_of_a_kind: Option<u32>,
    /// Number format of the weights: auto, bf16, f32, int8, or a numeric path [default: auto].
    #[arg(long, value_name = "FORMAT", value_parser = dtype)]
    pub dtype: Option<Dtype>,
    /// Implementation of the graphs [default: native].
    #[arg(long, value_enum)]
    pub engine: Option<EngineArg>,
    /// Model source whose tokenizer cuts documents for a server.
    #[arg(long, value_name = "SOURCE")]
    pub tokenizer: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HalfArg {
    Tuning,
    Reporting,
    Both,
}
