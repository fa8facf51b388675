//! Command-line flags as clap parses them. Validation is elsewhere: `options.rs` turns these into the library's options.

mod ngram;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tamis::Rule;

pub(crate) use ngram::{NgramArgs, TrainNgram, WordsArg};

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
    #[command(after_help = SCORE_EXAMPLES)]
    Score(Box<Score>),
    /// Train an n-gram model on a reference corpus, for `score ngram`.
    #[command(after_help = TRAIN_NGRAM_EXAMPLES)]
    TrainNgram(Box<TrainNgram>),
    /// Show documents with their percentile under every signal.
    Show(Show),
    /// Say of one document every score, percentile, priority and decision.
    Why(Why),
    /// Score and select a small corpus that ships inside, with the packaged models.
    Demo(Demo),
    /// Fetch models and say what they are.
    Models(Models),
}

const SELECT_EXAMPLES: &str = "Examples:
  tamis select data/ --by random --rate 10% --out kept/
  tamis select data/ --by ask-llm --rate 10%,20% --run run/ --out kept/
  tamis select data/ --by density --tokens 2000000 --tokenizer smollm2 --out kept/
  tamis select data/ --by perplexity --around 50% --rate 40% --out kept/
  tamis select data/ --by column:quality --rule bottom --documents 1000 --out kept/";

const SCORE_EXAMPLES: &str = "Examples:
  tamis score ask-llm data/ --run run/
  tamis score ask-llm data/ --run run/ --worker 3/16
  tamis score perplexity data/ --run run/ --model early=ckpt/20k,late=ckpt/700k
  tamis score ask-llm --run run/ --sample 1% --prompt mine.txt
  tamis score density data/ --run run/ --hashes 12";

const TRAIN_NGRAM_EXAMPLES: &str = "Examples:
  tamis train-ngram reference/ --order 5 --prune 0 0 1 --out model.arpa.zst
  tamis select data/ --by ngram --ngram model.arpa.zst --rate 20% --out kept/";

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
    /// Ask again for rows that failed, as after a server was mended; what has a value keeps it.
    #[arg(long)]
    pub retry_failed: bool,
    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Ask-LLM, embeddings and density.
#[derive(Debug, Args)]
pub(crate) struct SignalArgs {
    /// Judge, or model of perplexity: `pypi:PACKAGE==V`, `hf:OWNER/NAME`, a folder, a .gguf file, or for a judge a server,
    /// `http://HOST:PORT/v1#MODEL` [default: smollm2, the packaged judge]. For perplexity also a list `A,B` or
    /// `NAME=A,OTHER=B`: a signal `perplexity:NAME` of each.
    #[arg(long, value_name = "SOURCE", help_heading = "Ask-LLM")]
    pub model: Option<String>,
    /// Prompts: `auto`, names, or files that contain {document}; several are averaged [default: auto].
    #[arg(long, value_name = "NAME|FILE", value_delimiter = ',', help_heading = "Ask-LLM")]
    pub prompt: Vec<String>,
    /// Wrap the prompt in the model's chat template.
    #[arg(long, help_heading = "Ask-LLM")]
    pub chat: bool,
    /// What to do with documents longer than the context [default: head].
    #[arg(long, value_enum, help_heading = "Ask-LLM")]
    pub long: Option<LongArg>,
    /// Most tokens of a document, or of a window [default: what the context leaves; for perplexity 32768].
    #[arg(long, value_name = "N", help_heading = "Ask-LLM")]
    pub max_document_tokens: Option<usize>,
    /// Number format of the weights [default: auto].
    #[arg(long, value_enum, help_heading = "Ask-LLM")]
    pub dtype: Option<DtypeArg>,
    /// Implementation of the graphs [default: native].
    #[arg(long, value_enum, help_heading = "Ask-LLM")]
    pub engine: Option<EngineArg>,
    /// Where models compute: cpu, cuda, cuda:N or metal [default: cpu].
    #[arg(long, value_name = "DEVICE", help_heading = "Ask-LLM")]
    pub device: Option<String>,
    /// Tokens that the model sees at once [default: its context].
    #[arg(long, value_name = "N", help_heading = "Perplexity")]
    pub window: Option<usize>,
    /// Tokens by which windows of longer documents advance [default: half a window].
    #[arg(long, value_name = "N", help_heading = "Perplexity")]
    pub stride: Option<usize>,
    /// What is predicted [default: what the model was made for].
    #[arg(long, value_enum, help_heading = "Perplexity")]
    pub objective: Option<ObjectiveArg>,
    /// Embedding model, or a server: `http://HOST:PORT` [default: minilm, the packaged embedder].
    #[arg(long, value_name = "SOURCE", help_heading = "Embeddings")]
    pub embedder: Option<String>,
    /// Tokens after which a document is cut for its embedding [default: the model's own limit].
    #[arg(long, value_name = "N", help_heading = "Embeddings")]
    pub embed_tokens: Option<usize>,
    /// Store embeddings as 32-bit floats instead of 16-bit ones.
    #[arg(long, help_heading = "Embeddings")]
    pub store_f32: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    /// R, rows of the sketch [default: 1000].
    #[arg(long, value_name = "R", help_heading = "Density")]
    pub repetitions: Option<usize>,
    /// B, counters a row [default: by the rule of docs/density.md].
    #[arg(long, value_name = "B", help_heading = "Density")]
    pub buckets: Option<usize>,
    /// p, hashes a row [default: by the rule of docs/density.md].
    #[arg(long, value_name = "P", help_heading = "Density")]
    pub hashes: Option<usize>,
    /// r, width of the hash's cells [default: 1].
    #[arg(long, value_name = "R", help_heading = "Density")]
    pub bandwidth: Option<f64>,
    /// Kernel of the density [default: l2].
    #[arg(long, value_enum, help_heading = "Density")]
    pub kernel: Option<KernelArg>,
    /// How random directions are made [default: gaussian].
    #[arg(long, value_enum, help_heading = "Density")]
    pub projection: Option<ProjectionArg>,
    /// `literal` is the paper's sketch as printed (one hash a row).
    #[arg(long, value_enum, help_heading = "Density")]
    pub preset: Option<PresetArg>,
    /// Memory that the sketch may take, e.g. 1GB [default: 1GB].
    #[arg(long, value_name = "SIZE", help_heading = "Density")]
    pub sketch_memory: Option<String>,
    /// Seed of the sketch's hashes [default: 0].
    #[arg(long, value_name = "N", help_heading = "Density")]
    pub sketch_seed: Option<u64>,
    #[command(flatten)]
    pub ngram: NgramArgs,
}

/// Models behind a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub(crate) struct ServerArgs {
    /// Name of the model on the server [default: what follows # in the address, else the only one there].
    #[arg(long, value_name = "NAME")]
    pub server_model: Option<String>,
    /// Requests under way at once.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub concurrency: usize,
    /// Most likely tokens that the server is to show of an answer [default: 20].
    #[arg(long, value_name = "K")]
    pub top_logprobs: Option<usize>,
    /// Most characters of a document, where nobody can count tokens [default: three a token of the context].
    #[arg(long, value_name = "N")]
    pub max_document_characters: Option<usize>,
    /// Time for one request.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub request_timeout: u64,
    /// Tries of a request after the first, with growing waits.
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub retries: u32,
    /// Stop after so many rows in a row without a value; 0 never stops.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub stop_after_failed: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LongArg {
    Head,
    Windows,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DtypeArg {
    Auto,
    Bf16,
    F32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum EngineArg {
    Native,
    Candle,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ObjectiveArg {
    Causal,
    Span,
    Prefix,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KernelArg {
    L2,
    Cosine,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ProjectionArg {
    Gaussian,
    Hadamard,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PresetArg {
    Default,
    Literal,
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
    /// `random`, `ask-llm`, `density`, `perplexity`, `perplexity:CHECKPOINT`, `ngram`, `column:NAME`, or SIGNAL.COLUMN
    /// such as `ask-llm.p_yes`.
    #[arg(long, value_name = "SIGNAL", help_heading = "Selection")]
    pub by: String,
    /// How scores become a selection [default: the signal's own: ask-llm top, density ips, perplexity
    /// bottom, column top].
    #[arg(long, value_parser = rule_parser(), help_heading = "Selection")]
    pub rule: Option<Rule>,
    /// Centre of the rule band, a percentile of the score [default: 50%]; implies --rule band.
    #[arg(long, value_name = "PERCENTILE", help_heading = "Selection")]
    pub around: Option<String>,
    /// Column within whose values the rule band ranks, such as a language or source; carried from then on; implies --rule
    /// band.
    #[arg(long, value_name = "COLUMN", help_heading = "Selection")]
    pub stratum: Option<String>,
    /// Share of the candidates to keep: 20% or 0.2; several give nested subsets.
    #[arg(long, value_name = "RATES", value_delimiter = ',', help_heading = "Selection")]
    pub rate: Vec<String>,
    /// Number of documents to keep.
    #[arg(long, value_name = "N", help_heading = "Selection")]
    pub documents: Option<u64>,
    /// Tokens to keep, counted by --tokenizer.
    #[arg(long, value_name = "N", help_heading = "Selection")]
    pub tokens: Option<u64>,
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
    /// `ask-llm`, `embed`, `density`, `perplexity`, `ngram`, `counts`, `tokens` or `column:NAME`.
    #[arg(value_name = "SIGNAL")]
    pub name: String,
    #[command(flatten)]
    pub corpus: CorpusArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// Take every N-th shard, beginning with the I-th: any scheduler can fan out.
    #[arg(long, value_name = "I/N", help_heading = "Run")]
    pub worker: Option<String>,
    /// Wait for what other workers have to do first, as on a terminal; otherwise the command ends with exit code 4, to be
    /// given again.
    #[arg(long, help_heading = "Run")]
    pub wait: bool,
    /// Fit a new sketch on the corpus as it is now instead of using the frozen one.
    #[arg(long, help_heading = "Density")]
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
    /// Number format of the weights [default: auto].
    #[arg(long, value_enum)]
    pub dtype: Option<DtypeArg>,
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
