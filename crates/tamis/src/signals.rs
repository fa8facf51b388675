//! From options to a finished signal: load the model, compare fingerprints with what the run holds, compute what is missing.

use tamis_core::Signal;
use tamis_io::run::{Beside, CorpusVersion, Repeatability, ShardRecord, SignalDir, SignalRecord};
use tamis_io::sidecar::SidecarColumns;

use crate::column::{ColumnSignal, stored_name};
use crate::map::{MapReport, Worker};
use crate::models;
use crate::options::{AskOptions, DensityOptions, EmbedOptions, NgramOptions, SignalOptions};
use crate::project::Project;
use crate::{Error, Result};

/// Key in a signal's notes under which its options are stored, for calls that go on with it.
pub(crate) const OPTIONS_NOTE: &str = "options";

/// Names that can be scored, for hints.
pub(crate) const KNOWN: [&str; 6] = ["ask-llm", "embed", "density", "ngram", "tokens", "column:NAME"];

/// How to score, beside what.
#[derive(Clone, Copy, Debug)]
pub struct ScoreOptions {
    /// Which shards.
    pub worker: Worker,
    /// Keep a signal of the same name that was computed otherwise.
    pub beside: bool,
    /// Fit a new sketch although one is there.
    pub refit: bool,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self { worker: Worker::ALONE, beside: false, refit: false }
    }
}

/// What scoring did.
#[derive(Clone, Debug)]
pub struct ScoreReport {
    /// What the map did.
    pub map: MapReport,
    /// Sentences that a person should read: what the judge or the sketch is worth here.
    pub findings: Vec<String>,
}

/// The name that a user writes, as the run directory has it.
pub(crate) fn short_name(name: &str) -> String {
    name.strip_prefix("column:").map_or_else(|| name.to_owned(), stored_name)
}

impl SignalOptions {
    /// Default options of a signal by its name: `ask-llm`, `embed`, `density`, `ngram`, `tokens`, `column:NAME`.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "ask-llm" => Self::AskLlm(AskOptions::default()),
            "embed" => Self::Embed(EmbedOptions::default()),
            "density" => Self::Density(DensityOptions::default()),
            "ngram" => Self::Ngram(NgramOptions::default()),
            "tokens" => Self::Tokens { tokenizer: models::DEFAULT_JUDGE.to_owned() },
            _ => match name.strip_prefix("column:") {
                Some(column) if !column.is_empty() => Self::Column { name: column.to_owned() },
                _ => {
                    let known = KNOWN.join(", ");
                    let hint = match tamis_core::nearest(name, KNOWN) {
                        Some(nearest) => format!("did you mean `{nearest}`? known signals: {known}"),
                        None => format!("known signals: {known}"),
                    };
                    return Err(Error::usage(format!("unknown signal `{name}`"), hint));
                }
            },
        })
    }

    /// As the run directory has it.
    #[must_use]
    pub fn stored_name(&self) -> String {
        match self {
            Self::AskLlm(_) => "ask-llm".to_owned(),
            Self::Embed(_) => "embed".to_owned(),
            Self::Density(_) => "density".to_owned(),
            Self::Ngram(_) => "ngram".to_owned(),
            Self::Tokens { .. } => "tokens".to_owned(),
            Self::Column { name } => stored_name(name),
        }
    }
}

impl Project<'_> {
    /// Computes a signal for every document that has no value yet.
    ///
    /// # Errors
    /// A model that cannot be loaded; a signal of this name that was computed otherwise; what stops the computation.
    pub fn score(
        &self,
        version: &CorpusVersion,
        signal: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        match signal {
            SignalOptions::Density(density) => self.score_density(version, density, options),
            SignalOptions::Column { name } => {
                let project = self.carrying(name);
                project.refuse_unknown_column(name)?;
                project.score_one(version, &ColumnSignal::new(name), signal, options)
            }
            SignalOptions::AskLlm(ask) => {
                let (built, repeatability) = models::judge(ask, self.observer)?;
                self.score_as(version, &*built, signal, options, repeatability)
            }
            SignalOptions::Embed(embed) => {
                let (built, repeatability) = models::any_embedder(embed, self.observer)?;
                self.score_as(version, &*built, signal, options, repeatability)
            }
            SignalOptions::Ngram(ngram) => {
                let built = crate::ngram::load(ngram, self.observer)?;
                self.score_one(version, &built, signal, options)
            }
            SignalOptions::Tokens { tokenizer } => {
                let built = models::tokens(tokenizer, self.observer)?;
                self.score_one(version, &built, signal, options)
            }
        }
    }

    fn score_one(
        &self,
        version: &CorpusVersion,
        signal: &dyn Signal,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        self.score_as(version, signal, asked, options, Repeatability::Exact)
    }

    pub(crate) fn score_as(
        &self,
        version: &CorpusVersion,
        signal: &dyn Signal,
        asked: &SignalOptions,
        options: ScoreOptions,
        repeatability: Repeatability,
    ) -> Result<(SignalDir, ScoreReport)> {
        let directory = self.open_signal(signal, asked, options.beside, repeatability)?;
        let shards: Vec<&ShardRecord> = version.shards.iter().collect();
        let map = self.map(version, &shards, signal, &directory, options.worker)?;
        let mut findings = Vec::new();
        if matches!(asked, SignalOptions::AskLlm(_)) && map.unfinished_shards == 0 {
            findings.extend(self.judge_findings(version, &directory)?);
        }
        Ok((directory, ScoreReport { map, findings }))
    }

    pub(crate) fn open_signal(
        &self,
        signal: &dyn Signal,
        asked: &SignalOptions,
        beside: bool,
        repeatability: Repeatability,
    ) -> Result<SignalDir> {
        let mut record = SignalRecord::new(signal.info(), repeatability);
        record.notes.insert(OPTIONS_NOTE.to_owned(), options_text(asked)?);
        let beside = if beside { Beside::Allow } else { Beside::Refuse };
        Ok(self.run.open_signal(&record, beside)?)
    }

    /// The signal that a selection is made by: the stored one where it is complete and nothing else was asked for, else
    /// computed now. `explicit` says that the caller named options of the signal.
    ///
    /// # Errors
    /// As [`Project::score`]; several stored signals of this name.
    pub fn signal_for(
        &self,
        version: &CorpusVersion,
        asked: &SignalOptions,
        explicit: bool,
        options: ScoreOptions,
    ) -> Result<(SignalDir, Option<ScoreReport>)> {
        let name = asked.stored_name();
        let stored: Vec<SignalDir> =
            self.run.signals()?.into_iter().filter(|signal| signal.record().name == name).collect();
        if explicit || stored.is_empty() {
            let (directory, report) = self.score(version, asked, options)?;
            return Ok((directory, Some(report)));
        }
        let directory = self.run.resolve(&name)?;
        if self.is_complete(version, &directory)? {
            return Ok((directory, None));
        }
        // Go on with the settings it was begun with.
        let begun = directory.record().notes.get(OPTIONS_NOTE);
        let begun = begun.and_then(|text| serde_json::from_str::<SignalOptions>(text).ok());
        let (directory, report) = self.score(version, begun.as_ref().unwrap_or(asked), options)?;
        Ok((directory, Some(report)))
    }

    /// The options that a stored signal, named in full, was computed with.
    ///
    /// # Errors
    /// A name that no stored signal has; one of a tamis whose options this one does not know.
    pub fn stored_options(&self, full_name: &str) -> Result<SignalOptions> {
        let directory = self.run.resolve(full_name)?;
        let options =
            directory.record().notes.get(OPTIONS_NOTE).and_then(|text| serde_json::from_str(text).ok());
        options.ok_or_else(|| {
            let message = format!("signal `{full_name}` does not state options that this tamis knows");
            Error::state(message, "compute it again with the options you want")
        })
    }

    /// A stored signal by its full name, with what it lacks computed by the settings it was begun with.
    ///
    /// # Errors
    /// As [`Project::score`]; a name that no stored signal has.
    pub fn stored_signal(
        &self,
        version: &CorpusVersion,
        full_name: &str,
    ) -> Result<(SignalDir, Option<ScoreReport>)> {
        let directory = self.run.resolve(full_name)?;
        if self.is_complete(version, &directory)? {
            return Ok((directory, None));
        }
        let asked = self.stored_options(full_name)?;
        let (computed, report) =
            self.score(version, &asked, ScoreOptions { beside: true, ..ScoreOptions::default() })?;
        if computed.full_name() != directory.full_name() {
            let message = format!(
                "`{}` cannot be completed: its options now give `{}`, which was computed beside it",
                directory.full_name(),
                computed.full_name()
            );
            return Err(Error::state(
                message,
                "say which of the two to use, or complete it on the machine that began it",
            ));
        }
        Ok((computed, Some(report)))
    }

    /// Counts of tokens: by this tokenizer, else by the one that counted before where there is exactly one, else none.
    ///
    /// # Errors
    /// As [`Project::score`].
    pub fn token_counts(
        &self,
        version: &CorpusVersion,
        tokenizer: Option<&str>,
    ) -> Result<Option<SignalDir>> {
        if let Some(tokenizer) = tokenizer {
            let asked = SignalOptions::Tokens { tokenizer: tokenizer.to_owned() };
            let options = ScoreOptions { beside: true, ..ScoreOptions::default() };
            return Ok(Some(self.score(version, &asked, options)?.0));
        }
        let mut stored = Vec::new();
        for signal in self.run.signals()? {
            if signal.record().name == "tokens" && self.is_complete(version, &signal)? {
                stored.push(signal);
            }
        }
        Ok(if stored.len() == 1 { stored.pop() } else { None })
    }

    /// Whether every shard of a version has its sidecar.
    pub(crate) fn is_complete(&self, version: &CorpusVersion, signal: &SignalDir) -> Result<bool> {
        for shard in &version.shards {
            if signal.receipt(shard)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What a finished Ask-LLM signal tells of its judge: little mass on the answers, or hardly any spread.
    fn judge_findings(&self, version: &CorpusVersion, directory: &SignalDir) -> Result<Vec<String>> {
        let mut diagnostics = tamis_models::ask_llm::JudgeDiagnostics::default();
        for shard in &version.shards {
            for batch in directory.read(shard, SidecarColumns::All)? {
                diagnostics.add(&tamis_core::ScoreBatch::new(batch?)?)?;
            }
        }
        Ok(diagnostics.warning().into_iter().collect())
    }
}

pub(crate) fn options_text(asked: &SignalOptions) -> Result<String> {
    serde_json::to_string(asked)
        .map_err(|error| Error::state(format!("signal options: {error}"), "this is a bug of tamis"))
}
