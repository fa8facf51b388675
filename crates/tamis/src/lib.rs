//! Plan, resumable driver, selection and explanation: the façade that programs link against.
//!
//! A [`Project`] is a corpus with its run directory. Its methods are the steps that the command line offers: read the corpus
//! ([`Project::inventory`]), compute a signal ([`Project::score`]), select ([`Project::select`]), explain
//! ([`Project::show`], [`Project::why`]). Each can be interrupted at any moment and goes on where it stopped.

mod again;
mod audit;
mod carried;
mod check;
mod column;
mod counts;
mod cutter;

pub mod demo;
mod density;
mod early;
mod error;
pub mod evaluation;
mod explain;
mod failures;
mod frozen;
mod inventory;
mod known_columns;
mod map;
mod models;
mod ngram;
mod observer;
pub mod options;
mod places;
mod plan;
mod pool;
mod prefetch;
mod project;
mod ready;
mod same_rows;
mod sample;
mod select;
mod servers;
mod signals;
mod standing;

pub use again::FailedRows;
pub use audit::{Started, without_secrets};
pub use check::{CheckOptions, CheckReport, CheckedJudge, Half, KindOfBad, Verdict, check_model};
pub use error::{Error, Result};
pub use explain::{Decision, Identity, Order, Reading, ShowReport, ShownDocument, WhyReport, split_score};
pub use failures::UnreadableRow;
pub use map::{MapReport, Worker};
pub use models::{PulledModel, known_models, model_cache, pull_model, show_prompt};
pub use ngram::{TrainNgramReport, train_ngram};
pub use observer::{Observer, Silent};
pub use places::{refuse_output_inside_corpus, refuse_shared_folder};
pub use plan::{By, Plan};
pub use project::Project;
pub use sample::{SampleOptions, SampleReport};
pub use select::{Counts, Manifest, SelectReport, TargetRecord, VetoRecord};
pub use servers::is_server;
pub use signals::{ScoreOptions, ScoreReport, checkpoints};
pub use tamis_core::{Direction, Rule};
pub use tamis_io::run::CorpusVersion;
pub use tamis_samplers::{Quantile, Rate, Target};
