//! The signals by name, a file each: what their options are and mean, what can be refused before a document is read, how they
//! are built, what is said of them afterwards.
//!
//! The rest of the façade knows them through [`Definition`] alone, and lists them through [`each_signal!`](crate::each_signal),
//! which is the registry: a new signal is a file here and a line there. What computes the values is elsewhere, in the room of
//! its trade.

use serde::{Deserialize, Serialize};
use tamis_core::{Signal, SignalInfo};
use tamis_io::run::{CorpusVersion, Repeatability, ShardRecord, SignalDir, SignalRecord};

use crate::model_options::{Device, Dtype, Engine, ServerOptions};
use crate::models::{self, is_server};
use crate::planned::SignalPlan;
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::{Error, Observer, Result};

/// Calls a macro with every signal there is: `file: Variant(Options)`, in the order in which people are told of them.
///
/// The registry of tamis, for the façade and for whoever gives each signal something more (the command line its flags).
#[doc(hidden)]
#[macro_export]
macro_rules! each_signal {
    ($callback:ident) => {
        $callback! {
            ask_llm: AskLlm(AskOptions),
            embed: Embed(EmbedOptions),
            density: Density(DensityOptions),
            clusters: Clusters(ClustersOptions),
            semdedup: Semdedup(SemdedupOptions),
            perplexity: Perplexity(PerplexityOptions),
            ngram: Ngram(NgramOptions),
            minhash: Minhash(MinhashOptions),
            copies: Copies(CopiesOptions),
            contamination: Contamination(ContaminationOptions),
            ensemble: Ensemble(EnsembleOptions),
            rules: Rules(RulesOptions),
            counts: Counts(CountsOptions),
            tokens: Tokens(TokensOptions),
            column: Column(ColumnOptions),
        }
    };
}

/// What a signal is called, and the options that a name alone stands for.
pub trait Named: Sized {
    /// As lists and hints have it: `ask-llm`, `column:NAME`.
    const NAME: &'static str;
    /// What it says of a document, in one line.
    const HELP: &'static str;
    /// Whether a selection can be by it.
    const IS_SCORE: bool = true;
    /// Columns that are logarithms, so that no weight can be made of them, and the column that is none.
    const LOGARITHMS: (&'static [&'static str], &'static str) = (&[], "");

    /// The options that a user's name stands for; `None` for the name of another signal.
    fn named(name: &str) -> Option<Self>;
}

/// A signal that can compute.
pub(crate) struct Ready {
    pub(crate) signal: Box<dyn Signal>,
    pub(crate) repeatability: Repeatability,
}

impl Ready {
    /// The same documents give the same bits, however they are batched.
    fn exact(signal: impl Signal + 'static) -> Self {
        Self { signal: Box::new(signal), repeatability: Repeatability::Exact }
    }

    /// By a server where the model's source is the address of one, else by a model that is loaded here.
    fn served_or<S: Signal + 'static, L: Signal + 'static>(
        model: &str,
        served: impl FnOnce() -> Result<S>,
        (engine, device): (Engine, Device),
        loaded: impl FnOnce() -> Result<L>,
    ) -> Result<Self> {
        Ok(if is_server(model) {
            Self { signal: Box::new(served()?), repeatability: Repeatability::BatchVariant }
        } else {
            Self { signal: Box::new(loaded()?), repeatability: models::repeatability(engine, device) }
        })
    }
}

/// What the engine asks of a signal's options. `asked` is always the very same options, as one of all kinds.
pub(crate) trait Definition {
    /// As `--by` names it.
    fn user_name(&self) -> String;

    /// As the run directory has it.
    fn stored_name(&self) -> String {
        self.user_name()
    }

    /// The model or tokenizer that it needs, by its source.
    ///
    /// # Errors
    /// Options that name none where there has to be one.
    fn model(&self) -> Result<Option<&str>> {
        Ok(None)
    }

    /// How a server is asked, for signals that one can compute.
    fn server(&mut self) -> Option<&mut ServerOptions> {
        None
    }

    /// Whether a server can compute it.
    fn can_be_served(&self) -> bool {
        false
    }

    /// The column of the corpus that it reads beside text and id.
    fn column(&self) -> Option<&str> {
        None
    }

    /// The names of other scores and columns of the run that it reads, where its options name some.
    fn scores_read(&mut self) -> Vec<&mut String> {
        Vec::new()
    }

    /// The signal that has to be whole before this one can begin.
    fn first(&self) -> Option<SignalOptions> {
        None
    }

    /// Refuses what can be refused without a model and without a document.
    ///
    /// # Errors
    /// Options that contradict each other, the corpus or the files that they name.
    fn check(&self, _project: &Project) -> Result<()> {
        Ok(())
    }

    /// What it says of itself where that takes no model.
    ///
    /// # Errors
    /// A bug of tamis.
    fn foreseen(&self) -> Result<Option<SignalInfo>> {
        Ok(None)
    }

    /// Whether its values depend on all rows of a corpus, so that it is computed for all at once: see [`crate::whole`].
    /// Its [`Definition::foreseen`] says what it is.
    fn is_of_all_rows(&self) -> bool {
        false
    }

    /// Loads what computes it.
    ///
    /// # Errors
    /// A model, prompt or tokenizer that cannot be had or used.
    fn build(&self, observer: &dyn Observer) -> Result<Ready>;

    /// Whether what was built for a check is worth the memory until the computation.
    fn is_held(&self) -> bool {
        true
    }

    /// Replaces words that say the same by one of them, and drops what changes no value, so that options can be compared;
    /// `digest` is that of the stored signal's model.
    fn unify(&mut self, _digest: &str) {}

    /// The number format, where kernels of this machine compute the signal.
    fn dtype(&mut self) -> Option<&mut Dtype> {
        None
    }

    /// Whether it asks a judge: its first answers are looked at, and it can be tried on a sample.
    fn is_judge(&self) -> bool {
        false
    }

    /// The prompt of a text, exactly as its judge reads it.
    ///
    /// # Errors
    /// As [`Definition::build`].
    fn show_prompt(&self, _text: &str, _observer: &dyn Observer) -> Result<String> {
        Err(Error::usage(format!("`{}` has no prompt", self.user_name()), "leave --show-prompt out"))
    }

    /// Sentences that a person should read once it is computed.
    ///
    /// # Errors
    /// Values that cannot be read.
    fn remarks(
        &self,
        _project: &Project,
        _version: &CorpusVersion,
        _stored: &SignalDir,
    ) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Computes it for every document that has no value yet.
    ///
    /// # Errors
    /// See [`Project::score`].
    fn score(
        &self,
        project: &Project,
        version: &CorpusVersion,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        project.score_by_rows(version, asked, options)
    }

    /// What [`Definition::score`] would do.
    ///
    /// # Errors
    /// A run that cannot be read.
    fn plan(
        &self,
        project: &Project,
        read: &[(usize, ShardRecord)],
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        match self.is_of_all_rows() {
            true => project.plan_whole(read, asked, Vec::new(), options),
            false => project.plan_by_rows(read, asked, options),
        }
    }

    /// The record that the signal will have, and refusals that take the record of [`Definition::first`], which may be stored;
    /// `None`: the signal is the one that was built.
    ///
    /// # Errors
    /// Those of [`Definition::score`] that do not depend on the documents.
    fn foresee(
        &self,
        _project: &Project,
        _first: &SignalRecord,
        _stored: Option<&SignalDir>,
        _options: ScoreOptions,
    ) -> Result<Option<SignalRecord>> {
        Ok(None)
    }
}

macro_rules! register {
    ($($file:ident: $variant:ident($options:ident),)*) => {
        $(pub(crate) mod $file;)*

        $(pub use self::$file::$options;)*

        /// A signal to compute.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", tag = "signal")]
        pub enum SignalOptions {
            $(
                #[doc = concat!("See [`", stringify!($options), "`].")]
                $variant($options),
            )*
        }

        $(
            impl From<$options> for SignalOptions {
                fn from(options: $options) -> Self {
                    Self::$variant(options)
                }
            }
        )*

        impl SignalOptions {
            /// Every signal that can be asked for: its name and what it says of a document.
            pub const ALL: &[(&str, &str)] = &[$((<$options as Named>::NAME, <$options as Named>::HELP),)*];

            /// The names of those that a selection can be by.
            pub fn scores() -> impl Iterator<Item = &'static str> {
                [$((<$options as Named>::NAME, <$options as Named>::IS_SCORE),)*]
                    .into_iter()
                    .filter_map(|(name, is_score)| is_score.then_some(name))
            }

            /// Default options of a signal by its name: one of [`SignalOptions::ALL`], or `perplexity:CHECKPOINT`.
            ///
            /// # Errors
            /// An unknown name, with the nearest known one.
            pub fn named(name: &str) -> Result<Self> {
                $(
                    if let Some(options) = <$options as Named>::named(name) {
                        return Ok(Self::$variant(options));
                    }
                )*
                Err(unknown(name))
            }

            /// The name of its kind, as in [`SignalOptions::ALL`].
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$options as Named>::NAME,)*
                }
            }

            pub(crate) fn definition(&self) -> &dyn Definition {
                match self {
                    $(Self::$variant(options) => options,)*
                }
            }

            pub(crate) fn definition_mut(&mut self) -> &mut dyn Definition {
                match self {
                    $(Self::$variant(options) => options,)*
                }
            }
        }

        /// See [`Named::LOGARITHMS`]; of a stored signal, by its short name.
        pub(crate) fn logarithms(name: &str) -> (&'static [&'static str], &'static str) {
            match name {
                $(<$options as Named>::NAME => <$options as Named>::LOGARITHMS,)*
                _ => (&[], ""),
            }
        }
    };
}

each_signal!(register);

pub use self::ask_llm::Long;
pub use self::clusters::Geometry;
pub(crate) use self::column::stored_as;
pub use self::contamination::FrequentNgrams;
pub use self::density::{DensityKernel, DensityProjection};
pub use self::ensemble::{Combine, Member};
pub use self::minhash::Stays;
pub use self::ngram::NgramWords;
pub use self::perplexity::{Objective, checkpoints};
pub use self::semdedup::KeepOrder;
pub use tamis_samplers::rules::Preset as RulePreset;

/// Key in a signal's notes under which its options are stored, for calls that go on with it.
pub(crate) const OPTIONS_NOTE: &str = "options";

/// The options that a stored signal was computed with, with the numeric path that it was begun on; `None` where this tamis does
/// not know them.
pub(crate) fn stored_options_of(record: &SignalRecord) -> Option<SignalOptions> {
    let mut options: SignalOptions =
        record.notes.get(OPTIONS_NOTE).and_then(|text| serde_json::from_str(text).ok())?;
    if let Some(dtype) = options.definition_mut().dtype()
        && let Some(path) = record.fingerprint.get("numeric_path").and_then(|path| path.parse().ok())
    {
        *dtype = path;
    }
    Some(options)
}

/// Values of an embedding, by the description of its signal.
pub(crate) fn dimension(record: &SignalRecord) -> Result<u32> {
    let fixed = |kind: &str| {
        kind.strip_prefix("fixed-size-list<")?.strip_suffix('>')?.rsplit_once(", ")?.1.parse().ok()
    };
    record.schema.iter().find_map(|column| fixed(&column.data_type)).ok_or_else(|| {
        Error::state(format!("signal `{}` holds no embeddings", record.name), "this is a bug of tamis")
    })
}

/// Options as a stored signal has them.
///
/// # Errors
/// A bug of tamis.
pub(crate) fn options_text(asked: &SignalOptions) -> Result<String> {
    serde_json::to_string(asked)
        .map_err(|error| Error::state(format!("signal options: {error}"), "this is a bug of tamis"))
}

/// Splits `ask-llm.p_yes` into signal and column. Names of corpus columns may hold dots and are not split.
#[must_use]
pub fn split_score(by: &str) -> (&str, Option<&str>) {
    match by.split_once('.') {
        Some((name, column)) if !by.starts_with("column:") => (name, Some(column)),
        _ => (by, None),
    }
}

fn unknown(name: &str) -> Error {
    let names = SignalOptions::ALL.iter().map(|(name, _)| *name);
    let known = names.clone().collect::<Vec<_>>().join(", ");
    let hint = match tamis_core::nearest(name, names) {
        Some(nearest) => format!("did you mean `{nearest}`? known signals: {known}"),
        None => format!("known signals: {known}"),
    };
    Error::usage(format!("unknown signal `{name}`"), hint)
}

/// The name that a user writes, as the run directory has it.
pub(crate) fn short_name(name: &str) -> String {
    SignalOptions::named(name).map_or_else(|_| name.to_owned(), |asked| asked.stored_name())
}

impl SignalOptions {
    /// As `--by` names it.
    #[must_use]
    pub fn user_name(&self) -> String {
        self.definition().user_name()
    }

    /// As the run directory has it.
    #[must_use]
    pub fn stored_name(&self) -> String {
        self.definition().stored_name()
    }

    /// The model that a server may compute; `None` for signals that none can.
    #[must_use]
    pub fn server_model(&self) -> Option<&str> {
        let definition = self.definition();
        definition.can_be_served().then(|| definition.model().ok().flatten()).flatten()
    }

    /// The model or tokenizer that is loaded here; `None` where there is none, or where a server has it.
    pub(crate) fn local_model(&self) -> Result<Option<&str>> {
        Ok(self.definition().model()?.filter(|model| !is_server(model)))
    }

    /// These options, but a server is asked as often and as fast as `asked` says, where that says anything: it changes no
    /// value, so that a signal which goes on may be asked otherwise than it was begun.
    pub(crate) fn paced_as(mut self, asked: &Self) -> Self {
        let mut asked = asked.clone();
        if let (Some(own), Some(asked)) = (self.definition_mut().server(), asked.definition_mut().server()) {
            own.pace_as(asked);
        }
        self
    }
}

#[cfg(test)]
mod tests;
