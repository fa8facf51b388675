//! Plan, resumable driver, selection and explanation: the façade that programs link against.
//!
//! A [`Project`] is a corpus with its run directory. Its methods are the steps that the command line offers: read the corpus
//! ([`Project::inventory`]), compute a signal ([`Project::score`]), select ([`Project::select`]), explain
//! ([`Project::show`], [`Project::why`]). Each can be interrupted at any moment and goes on where it stopped.
//! [`Project::run_selection`] is all of a selection in one call; [`Project::tasks`] and [`Project::run_task`] are for engines that
//! dispatch the work themselves, and for signals of one's own:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//!
//! use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
//! use arrow_schema::{DataType, Field, Schema};
//! use tamis::options::{CorpusOptions, SelectOptions};
//! use tamis::{
//!     Direction, Fingerprint, Input, Parallelism, Project, Ranking, Rate, Repeatability, Rule, ScoreOptions, Scorer, Signal,
//!     SignalInfo, Silent, Target,
//! };
//! use tamis_core::{DocumentBatch, Result};
//!
//! /// How many characters of a text are vowels.
//! struct Vowels(SignalInfo);
//!
//! impl Vowels {
//!     fn load() -> Self {
//!         let schema =
//!             [Field::new("score", DataType::Float64, true), Field::new("failed", DataType::Utf8, true)];
//!         Self(SignalInfo {
//!             name: "vowels".to_owned(),
//!             fingerprint: Fingerprint::new("vowels", 1),
//!             input: Input::DOCUMENTS,
//!             parallelism: Parallelism::PerCore,
//!             schema: Arc::new(Schema::new(schema.to_vec())),
//!             ranking: Some(Ranking {
//!                 column: "score".to_owned(),
//!                 direction: Direction::HigherIsBetter,
//!                 rule: Rule::Top,
//!             }),
//!             part_bytes: 1 << 20,
//!             notes: BTreeMap::new(),
//!         })
//!     }
//! }
//!
//! impl Signal for Vowels {
//!     fn info(&self) -> &SignalInfo {
//!         &self.0
//!     }
//!
//!     fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
//!         let documents = DocumentBatch::new(input.clone())?;
//!         let vowels = |text: Option<&str>| text.map(|text| text.matches(['a', 'e', 'i', 'o', 'u']).count() as f64);
//!         let scores: ArrayRef = Arc::new(documents.texts().iter().map(vowels).collect::<Float64Array>());
//!         let failed: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; documents.len()]));
//!         Ok(RecordBatch::try_new(Arc::clone(&self.0.schema), vec![scores, failed])?)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (corpus, run) = (folder.path().join("corpus"), folder.path().join("run"));
//! # std::fs::create_dir(&corpus)?;
//! # for (shard, text) in [("a", "rhythm"), ("b", "queueing")] {
//! #     std::fs::write(corpus.join(format!("{shard}.jsonl")), format!("{{\"id\": \"{shard}\", \"text\": \"{text}\"}}\n"))?;
//! # }
//! # let corpus = corpus.display().to_string();
//! let project = Project::open(Some(CorpusOptions::new(corpus)), &run, 0, Arc::new(Silent))?;
//! let version = project.inventory()?;
//! let vowels = Scorer::of(Box::new(Vowels::load()), Repeatability::Exact);
//! let signal = project.begin(&vowels, false)?;
//! // Two shards, in any order and any process, and one load.
//! for task in project.tasks(&version, &signal)? {
//!     project.run_task(&version, &vowels, &signal, &task)?;
//! }
//! let select = SelectOptions {
//!     by: signal.full_name().to_owned(),
//!     targets: vec![Target::Rate(Rate::parse("50%")?)],
//!     ..SelectOptions::default()
//! };
//! let report = project.run_selection(&select, ScoreOptions::default())?;
//! assert_eq!((report.manifest.counts.documents_in, report.manifest.counts.kept), (2, 1));
//! # Ok(())
//! # }
//! ```

mod again;
mod alike;
mod audit;
mod backlog;
mod carried;
mod check;
mod corpus_options;
mod cutter;
pub mod demo;
mod early;
mod error;
pub mod evaluation;
mod explain;
mod export;
mod failures;
mod fold;
mod gate;
mod gated;
mod groups;
mod inputs;
mod inventory;
mod kinds;
mod known_columns;
mod map;
mod model_options;
mod models;
mod ngram_words;
mod numeric;
mod observer;
mod places;
mod plan;
mod planned;
mod pool;
mod prefetch;
mod project;
mod prompt;
mod ready;
mod recipe;
mod same_rows;
mod sample;
mod samplers;
mod schedule;
mod score;
mod scoring;
mod select;
mod select_options;
mod servers;
mod signals;
mod standing;
mod table;
mod tasks;
mod train_ngram;
mod waiting;
mod whole;

/// What a caller can ask for, validated by nothing yet: plain data that the command line, recipes and programs fill in.
///
/// Everything here that changes a score goes into that score's fingerprint, and everything that a later call needs to go on with
/// the same settings is stored in `signal.json` as JSON of these types. What is stored outlives versions: a field that is not
/// there has its default, so that an option added later must default to what was done before it, and is left out of the text
/// while it has that value. A field that is not known is an error, never passed over.
pub mod options {
    pub use crate::corpus_options::{CorpusOptions, Ids};
    pub use crate::export::{ExportFormat, ExportOptions, ExportOrder};
    pub use crate::model_options::{Device, Dtype, Engine, ServerOptions};
    pub use crate::select_options::{
        BandOptions, DuplicateIds, ExactDuplicates, Filter, QuotaOptions, RepeatOptions, ScoreLimits,
        SelectOptions, ShareBounds,
    };
    pub use crate::signals::*;
    pub use crate::table::{TableOptions, TableSelection};
    pub use crate::train_ngram::TrainNgramOptions;
}

pub use again::FailedRows;
pub use audit::{Started, without_secrets};
pub use check::{CheckOptions, CheckReport, CheckedJudge, Half, KindOfBad, Verdict, check_model};
pub use error::{Error, Result};
pub use explain::{
    ClusterReport, ClustersReport, Decision, Identity, Order, ShowReport, ShownDocument, SignalValues,
    WhyReport, split_score,
};
pub use export::{ExportManifest, ExportPlan, ExportReport, ExportedFile};
pub use failures::UnreadableRow;
pub use map::{MapReport, Worker};
pub use models::{PulledModel, is_server, known_models, model_cache, pull_model};
pub use observer::{Observer, Silent};
pub use places::{refuse_output_inside_corpus, refuse_shared_folder};
pub use plan::{By, Plan};
pub use project::Project;
pub use prompt::show_prompt;
pub use recipe::{
    ApplyReport, Expected, Recipe, RecipeColumns, RecipeCorpus, RecipeOutput, RecipePlan, RecipeSelection,
    RecipeSignal, RecipeTask, Stage, StageKind, StagePlan, recipe_for,
};
pub use sample::{SampleOptions, SampleReport};
pub use samplers::{PaperSampler, paper_samplers};
pub use scoring::{ScoreOptions, ScoreReport};
pub use select::{Counts, Manifest, SelectReport, StratumShare, TargetRecord, VetoRecord};
pub use signals::checkpoints;
pub use table::TableReport;
pub use tamis_core::{
    Direction, Fingerprint, Input, InputSignal, Parallelism, Ranking, Rule, Signal, SignalInfo,
};
pub use tamis_io::run::{CorpusVersion, Repeatability, SignalDir};
pub use tamis_samplers::{Quantile, Rate, RepeatShape, Target};
pub use tasks::{Scorer, Task};
pub use train_ngram::{TrainNgramReport, train_ngram};
