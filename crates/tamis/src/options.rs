//! What a caller can ask for, validated by nothing yet: plain data that the command line, recipes and programs fill in.
//!
//! Everything here that changes a score goes into that score's fingerprint, and everything that a later call needs to go
//! on with the same settings is stored in `signal.json` as JSON of these types. What is stored outlives versions: a field that
//! is not there has its default, so that an option added later must default to what was done before it, and is left out of the
//! text while it has that value. A field that is not known is an error, never passed over.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tamis_core::Rule;
use tamis_io::corpus::{DEFAULT_ID, IdMode};
use tamis_io::run::IdColumn;
use tamis_samplers::{Quantile, Target};

/// Where the documents are and which columns matter. `None` is what the run was begun with, else the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusOptions {
    /// A file, folder, glob or object-store URL.
    pub location: String,
    /// Column of the text; `text` by default.
    #[serde(default)]
    pub text: Option<String>,
    /// What names a document.
    #[serde(default)]
    pub id: Ids,
    /// Separates corpora whose ids collide; empty by default.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Columns to keep in the inventory; none by default.
    #[serde(default)]
    pub carry: Option<Vec<String>>,
    /// A longer line is a failed row; 256 MiB by default.
    #[serde(default)]
    pub max_line_bytes: Option<u64>,
}

impl CorpusOptions {
    /// Default columns for a location.
    pub fn new(location: impl Into<String>) -> Self {
        Self {
            location: location.into(),
            text: None,
            id: Ids::default(),
            namespace: None,
            carry: None,
            max_line_bytes: None,
        }
    }

    /// Refuses a limit for lines that could not be kept to.
    pub(crate) fn refuse_line_limit(&self) -> crate::Result<()> {
        let most = tamis_io::corpus::LARGEST_MAX_LINE_BYTES;
        match self.max_line_bytes {
            Some(bytes) if !(1..=most).contains(&bytes) => Err(crate::Error::usage(
                format!("`--max-line-bytes {bytes}` is no limit that lines can have"),
                format!("write 1 to {most}: a text has to fit into one array of Arrow"),
            )),
            _ => Ok(()),
        }
    }

    /// Column of the text when neither the caller nor the run says.
    pub(crate) fn text_or_default(&self) -> String {
        self.text.clone().unwrap_or_else(|| tamis_core::column::TEXT.to_owned())
    }
}

/// What names a document, for ever and in every run.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// What the run was begun with, else the column `id` where at least half of the documents at the beginnings of the shards
    /// have an id in it, else the text.
    #[default]
    AsBegun,
    /// An id in this column; a row without one fails.
    Column(String),
    /// An id that counts within its shard alone, in this column or, left open, in that of [`Ids::AsBegun`].
    Qualified(Option<String>),
    /// The text: equal texts are one document.
    FromText,
}

impl Ids {
    /// What they mean for a run that was begun with `stored`; `None` where the corpus is to say.
    pub(crate) fn resolve(&self, stored: Option<&IdColumn>) -> Option<IdMode> {
        let begun = stored.map(IdMode::from);
        match self {
            Self::AsBegun => begun,
            // A flag that is left out is as the run was begun.
            Self::Column(name) => Some(match begun {
                Some(IdMode::Qualified(begun)) if begun == *name => IdMode::Qualified(begun),
                _ => IdMode::Column(name.clone()),
            }),
            Self::Qualified(name) => {
                let begun = begun.as_ref().and_then(IdMode::column);
                Some(IdMode::Qualified(name.as_deref().or(begun).unwrap_or(DEFAULT_ID).to_owned()))
            }
            Self::FromText => Some(IdMode::FromText),
        }
    }
}

/// What to do with a document that is longer than the judge's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Long {
    /// Judge its beginning.
    #[default]
    Head,
    /// Judge windows that cover it and take the mean.
    Windows,
}

/// Number format of the weights and matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dtype {
    /// The fastest that the machine has in hardware: bf16 where it can, else f32.
    #[default]
    Auto,
    /// 16-bit brain floats with f32 sums.
    Bf16,
    /// 32-bit floats.
    F32,
}

/// Which implementation of the graphs computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Fused kernels for this processor.
    #[default]
    Native,
    /// The same graphs from candle's primitives: slower here, the reference.
    Candle,
}

/// Where models compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(usize),
    /// An Apple GPU.
    Metal,
}

impl Device {
    /// Reads `cpu`, `cuda`, `cuda:1`, `metal`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> crate::Result<Self> {
        let unknown =
            || crate::Error::usage(format!("device `{text}` is unknown"), "write cpu, cuda, cuda:N or metal");
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            None if text == "metal" => Ok(Self::Metal),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }

    fn is_cpu(&self) -> bool {
        *self == Self::Cpu
    }
}

/// How a server is asked, where a model is one's address. Local models ignore it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerOptions {
    /// Name of the model there; `None`: the address's fragment, else the only one.
    pub model: Option<String>,
    /// Requests under way at once.
    pub concurrency: usize,
    /// Most likely tokens that a judge's server is to show.
    pub top_logprobs: usize,
    /// Model source whose tokenizer cuts documents; `None`: the server's, else characters.
    pub tokenizer: Option<String>,
    /// Most characters of a document, instead of tokens.
    pub max_characters: Option<usize>,
    /// Time for one request.
    pub timeout_seconds: u64,
    /// Tries after the first.
    pub retries: u32,
    /// Rows without a value, one after the other, at which scoring stops; 0: never. It changes no value, and is stored only
    /// where somebody chose it.
    #[serde(skip_serializing_if = "is_usual_streak")]
    pub stop_after_failed: u32,
}

fn is_usual_streak(rows: &u32) -> bool {
    *rows == tamis_remote::ServerOptions::STOP_AFTER_FAILED
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            model: None,
            concurrency: 16,
            top_logprobs: 20,
            tokenizer: None,
            max_characters: None,
            timeout_seconds: 120,
            retries: 6,
            stop_after_failed: tamis_remote::ServerOptions::STOP_AFTER_FAILED,
        }
    }
}

impl ServerOptions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The Ask-LLM signal (arXiv 2402.09668, section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AskOptions {
    /// Model source, or the address of a server.
    pub model: String,
    /// Prompt names or files; `auto` is the set stored for the model, else `paper`.
    pub prompts: Vec<String>,
    /// Wrap each prompt in the model's chat template.
    pub chat: bool,
    /// Longer documents.
    pub long: Long,
    /// Most tokens of a document, or of one window; `None` is what the context leaves.
    pub max_tokens: Option<usize>,
    /// Number format.
    pub dtype: Dtype,
    /// Implementation.
    pub engine: Engine,
    /// The server, where the model is one's address.
    #[serde(skip_serializing_if = "ServerOptions::is_default")]
    pub server: ServerOptions,
    /// Where it is computed; another device than the processor means [`Engine::Candle`].
    #[serde(skip_serializing_if = "Device::is_cpu")]
    pub device: Device,
}

impl Default for AskOptions {
    fn default() -> Self {
        Self {
            model: "smollm2".to_owned(),
            prompts: vec!["auto".to_owned()],
            chat: false,
            long: Long::Head,
            max_tokens: None,
            dtype: Dtype::Auto,
            engine: Engine::Native,
            server: ServerOptions::default(),
            device: Device::Cpu,
        }
    }
}

/// Sentence embeddings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbedOptions {
    /// Model source, or the address of a server.
    pub model: String,
    /// Tokens after which a document is cut, markers included; `None` is the model's own limit.
    pub max_tokens: Option<usize>,
    /// Number format of the computation.
    pub dtype: Dtype,
    /// Implementation.
    pub engine: Engine,
    /// Store 32-bit values instead of 16-bit ones.
    pub store_f32: bool,
    /// The server, where the model is one's address.
    #[serde(skip_serializing_if = "ServerOptions::is_default")]
    pub server: ServerOptions,
    /// Where it is computed; another device than the processor means [`Engine::Candle`].
    #[serde(skip_serializing_if = "Device::is_cpu")]
    pub device: Device,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            model: "minilm".to_owned(),
            max_tokens: None,
            dtype: Dtype::Auto,
            engine: Engine::Native,
            store_f32: false,
            server: ServerOptions::default(),
            device: Device::Cpu,
        }
    }
}

/// What a model of perplexity predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Each token, given all before it: decoders.
    Causal,
    /// Spans that were cut out, given the rest: encoder-decoders.
    Span,
    /// The second half, given the first: encoder-decoders.
    Prefix,
}

/// Perplexity (arXiv 2402.09668, appendix B), by one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PerplexityOptions {
    /// Name of the checkpoint: the signal is `perplexity:NAME`. Without one it is `perplexity`.
    pub name: Option<String>,
    /// Model source; `None` is the packaged judge for a signal without a name.
    pub model: Option<String>,
    /// What is predicted; `None` is what the model was made for.
    pub objective: Option<Objective>,
    /// Tokens that the model sees at once; `None` is its context.
    pub window: Option<usize>,
    /// Tokens by which windows of longer documents advance; `None` is half a window.
    pub stride: Option<usize>,
    /// Tokens after which a document is cut; `None` is 32,768.
    pub max_tokens: Option<usize>,
    /// Number format.
    pub dtype: Dtype,
    /// Implementation.
    pub engine: Engine,
    /// Where it is computed.
    #[serde(skip_serializing_if = "Device::is_cpu")]
    pub device: Device,
}

/// Which locality-sensitive hash, and so which kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DensityKernel {
    /// p-stable hashes of the Euclidean distance.
    #[default]
    L2,
    /// Sign random projections of the angle.
    Cosine,
}

/// How random directions are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DensityProjection {
    /// Independent normal entries.
    #[default]
    Gaussian,
    /// Three rounds of random signs and a fast Hadamard transform.
    Hadamard,
}

/// The Density signal (arXiv 2402.09668, section 3.2 and appendix A.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DensityOptions {
    /// Embeddings it is computed from.
    pub embed: EmbedOptions,
    /// R, rows of the sketch.
    pub repetitions: usize,
    /// B, counters a row; `None` lets the default rule choose.
    pub buckets: Option<usize>,
    /// p, hashes a row; `None` lets the default rule choose.
    pub hashes: Option<usize>,
    /// r; `None` is the median norm of the embeddings: 1 where they have norm 1.
    pub bandwidth: Option<f64>,
    /// The kernel.
    pub kernel: DensityKernel,
    /// The projection.
    pub projection: DensityProjection,
    /// The paper's sketch as printed: one hash a row, floor(…) mod B, no correction.
    pub literal: bool,
    /// Memory that the sketch may take, in bytes.
    pub sketch_memory_bytes: u64,
    /// Seed of the hashes and of samples.
    pub seed: u64,
}

impl Default for DensityOptions {
    fn default() -> Self {
        Self {
            embed: EmbedOptions::default(),
            repetitions: 1000,
            buckets: None,
            hashes: None,
            bandwidth: None,
            kernel: DensityKernel::L2,
            projection: DensityProjection::Gaussian,
            literal: false,
            sketch_memory_bytes: 1_000_000_000,
            seed: 0,
        }
    }
}

/// What is done to text before it is cut into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NgramWords {
    /// Nothing: words stand between white space, as for kenlm.
    #[default]
    Plain,
    /// Lower case.
    Lower,
    /// Lower case, no accents, digits as 0, ASCII punctuation: as CCNet has it.
    Ccnet,
}

/// Perplexity under an n-gram model.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NgramOptions {
    /// Path or URL of an ARPA file, also .gz or .zst.
    pub model: String,
    /// How text becomes words; `None` is what the model's header says, else plain.
    pub words: Option<NgramWords>,
    /// Model source whose tokenizer's pieces are the words.
    pub tokenizer: Option<String>,
}

/// How to train an n-gram model.
#[derive(Clone, Debug)]
pub struct TrainNgramOptions {
    /// The text.
    pub corpus: CorpusOptions,
    /// N, the length of the longest n-grams.
    pub order: usize,
    /// Path or URL of the ARPA file to be written, also .gz or .zst. Must be free.
    pub out: String,
    /// n-grams that occur at most so often are left out, by length.
    pub prune: Vec<u64>,
    /// Discounts where the corpus gives none.
    pub discount_fallback: Option<[f64; 3]>,
    /// How text becomes words.
    pub words: NgramWords,
    /// Model source whose tokenizer's pieces are the words.
    pub tokenizer: Option<String>,
    /// Memory for n-grams; what does not fit goes to disk.
    pub memory_bytes: u64,
    /// Folder for what does not fit; `None` is the system's.
    pub temporary: Option<PathBuf>,
    /// Worker threads; 0 is one a core.
    pub threads: usize,
}

/// A signal to compute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "signal")]
pub enum SignalOptions {
    /// P(yes) of a judge.
    AskLlm(AskOptions),
    /// Sentence embeddings.
    Embed(EmbedOptions),
    /// Kernel density of embeddings.
    Density(DensityOptions),
    /// Perplexity under an n-gram model.
    Ngram(NgramOptions),
    /// Perplexity under a language model.
    Perplexity(PerplexityOptions),
    /// A number that the corpus already carries.
    Column {
        /// Name of the column.
        name: String,
    },
    /// Trivial counts of the text.
    Counts,
    /// Tokens of the text by a named tokenizer.
    Tokens {
        /// Model source whose tokenizer counts.
        tokenizer: String,
    },
}

/// Whether equal texts under different ids may all stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExactDuplicates {
    /// All are candidates.
    #[default]
    All,
    /// Only one of each text is a candidate.
    One,
}

/// Whether one of several documents with an id is taken for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DuplicateIds {
    /// Unless most that repeat an id have another text, and more than a few do: then the selection is refused.
    #[default]
    Check,
    /// Always: whatever has an id that occurred is a version of the same document.
    One,
}

/// What the rule `band` keeps the middle of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BandOptions {
    /// The centre, as a share of the documents with lower scores.
    pub around: Quantile,
    /// Carried column within whose values ranks are taken; `None`: over the whole corpus.
    pub stratum: Option<String>,
}

impl Default for BandOptions {
    fn default() -> Self {
        Self { around: Quantile::MIDDLE, stratum: None }
    }
}

/// How to select.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelectOptions {
    /// `random`, `column:NAME`, or a signal with an optional column: `ask-llm.p_yes`. A full name, `ask-llm@3f9a01c2`, is that of
    /// a stored one.
    pub by: String,
    /// How the signal is computed where it is missing; `None`: by its defaults.
    pub signal: Option<SignalOptions>,
    /// Whether `signal` is meant to the letter. Otherwise a stored signal of that name goes on with the options that it has.
    pub exactly: bool,
    /// The rule; `None` is the signal's default.
    pub rule: Option<Rule>,
    /// For the rule `band`.
    pub band: BandOptions,
    /// One or more rates, or exactly one other budget.
    pub targets: Vec<Target>,
    /// Model source whose tokenizer counts tokens.
    pub tokenizer: Option<String>,
    /// Seed of the draws.
    pub seed: u64,
    /// Equal texts.
    pub exact_duplicates: ExactDuplicates,
    /// Equal ids; decides whether there is a selection, not which.
    pub duplicate_ids: DuplicateIds,
    /// Files with one id or 32-digit document key a line: never kept.
    pub vetoes: Vec<PathBuf>,
    /// Folder for kept documents; `None` puts them into the run.
    pub out: Option<PathBuf>,
    /// Name under `selections/`; `None` makes one from the signal and the selection's fingerprint.
    pub name: Option<String>,
    /// Decide and record, write no documents.
    pub decide_only: bool,
}

impl Default for SelectOptions {
    fn default() -> Self {
        Self {
            by: "random".to_owned(),
            signal: None,
            exactly: false,
            rule: None,
            band: BandOptions::default(),
            targets: Vec::new(),
            tokenizer: None,
            seed: 0,
            exact_duplicates: ExactDuplicates::All,
            duplicate_ids: DuplicateIds::Check,
            vetoes: Vec::new(),
            out: None,
            name: None,
            decide_only: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What 0.1.0 wrote for the defaults, word for word.
    fn written_by_0_1() -> Vec<(SignalOptions, Value)> {
        let embed = json!({
            "model": "minilm", "max_tokens": null, "dtype": "auto", "engine": "native", "store_f32": false
        });
        let mut tagged = embed.clone();
        tagged["signal"] = json!("embed");
        vec![
            (
                SignalOptions::AskLlm(AskOptions::default()),
                json!({
                    "signal": "ask-llm", "model": "smollm2", "prompts": ["auto"], "chat": false, "long": "head",
                    "max_tokens": null, "dtype": "auto", "engine": "native"
                }),
            ),
            (SignalOptions::Embed(EmbedOptions::default()), tagged),
            (
                SignalOptions::Density(DensityOptions::default()),
                json!({
                    "signal": "density", "embed": embed, "repetitions": 1000, "buckets": null, "hashes": null,
                    "bandwidth": null, "kernel": "l2", "projection": "gaussian", "literal": false,
                    "sketch_memory_bytes": 1_000_000_000, "seed": 0
                }),
            ),
            (
                SignalOptions::Perplexity(PerplexityOptions::default()),
                json!({
                    "signal": "perplexity", "name": null, "model": null, "objective": null, "window": null,
                    "stride": null, "max_tokens": null, "dtype": "auto", "engine": "native"
                }),
            ),
            (
                SignalOptions::Ngram(NgramOptions::default()),
                json!({ "signal": "ngram", "model": "", "words": null, "tokenizer": null }),
            ),
        ]
    }

    /// The object without one of its fields, at any depth, for each of them but the tag.
    fn without_each_field(object: &Value) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        for (name, inner) in object.as_object().unwrap().iter().filter(|(name, _)| *name != "signal") {
            let mut shorter = object.clone();
            shorter.as_object_mut().unwrap().remove(name);
            all.push((name.clone(), shorter));
            if inner.is_object() && ["embed", "server"].contains(&name.as_str()) {
                for (inside, shorter) in without_each_field(inner) {
                    let mut outer = object.clone();
                    outer[name] = shorter;
                    all.push((format!("{name}.{inside}"), outer));
                }
            }
        }
        all
    }

    #[test]
    fn options_without_a_field_that_was_added_later_have_its_default() {
        for (options, written) in written_by_0_1() {
            assert_eq!(serde_json::to_value(&options).unwrap(), written);
            for (field, older) in without_each_field(&written) {
                let read: SignalOptions =
                    serde_json::from_value(older).unwrap_or_else(|error| panic!("without {field}: {error}"));
                assert_eq!(read, options, "without {field}");
            }
        }
        // Those of a server are written only where one is asked.
        let server = ServerOptions { concurrency: 3, ..ServerOptions::default() };
        let asked =
            SignalOptions::AskLlm(AskOptions { server, device: Device::Cuda(1), ..AskOptions::default() });
        let written = serde_json::to_value(&asked).unwrap();
        assert_eq!(serde_json::from_value::<SignalOptions>(written.clone()).unwrap(), asked);
        for (field, older) in without_each_field(&written) {
            assert!(serde_json::from_value::<SignalOptions>(older).is_ok(), "without {field}");
        }
    }

    #[test]
    fn selections_and_corpora_are_read_back_as_they_were_written() {
        let rate = tamis_samplers::Rate::parse("12.5%").unwrap();
        let select = SelectOptions {
            by: "perplexity".to_owned(),
            signal: Some(SignalOptions::Perplexity(PerplexityOptions::default())),
            rule: Some(Rule::Band),
            band: BandOptions { around: Quantile::parse("30%").unwrap(), stratum: Some("lang".to_owned()) },
            targets: vec![Target::Rate(rate)],
            duplicate_ids: DuplicateIds::One,
            ..SelectOptions::default()
        };
        let written = serde_json::to_value(&select).unwrap();
        assert_eq!(written["rule"], json!("band"));
        assert_eq!(written["band"], json!({ "around": "30%", "stratum": "lang" }));
        assert_eq!(written["targets"], json!([{ "rate": "12.5%" }]));
        assert_eq!(serde_json::from_value::<SelectOptions>(written.clone()).unwrap(), select);
        for name in written.as_object().unwrap().keys() {
            let mut shorter = written.clone();
            shorter.as_object_mut().unwrap().remove(name);
            assert!(serde_json::from_value::<SelectOptions>(shorter).is_ok(), "without {name}");
        }
        let corpus: CorpusOptions = serde_json::from_value(json!({ "location": "c" })).unwrap();
        assert_eq!(corpus, CorpusOptions::new("c"));
        let qualified = CorpusOptions { id: Ids::Qualified(None), ..corpus };
        let written = serde_json::to_value(&qualified).unwrap();
        assert_eq!(serde_json::from_value::<CorpusOptions>(written).unwrap(), qualified);
        assert!(serde_json::from_value::<SelectOptions>(json!({ "rates": ["5%"] })).is_err());
    }

    #[test]
    fn a_field_that_is_not_known_is_never_passed_over() {
        for (_, written) in written_by_0_1() {
            let mut newer = written;
            newer["an_option_of_tomorrow"] = json!(1);
            assert!(serde_json::from_value::<SignalOptions>(newer.clone()).is_err(), "{newer}");
        }
    }
}
