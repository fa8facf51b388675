//! From options to a finished signal: load the model, compare fingerprints with what the run holds, compute what is missing.

use std::collections::BTreeMap;

use tamis_core::{Signal, SignalInfo};
use tamis_io::run::{ArchitectureNote, Beside, CorpusVersion, Repeatability, ShardRecord, SignalDir};

use crate::again::FailedRows;
use crate::early::EarlyLook;
use crate::map::MapReport;
use crate::model_options::Dtype;
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::signals::{OPTIONS_NOTE, Ready, SignalOptions, TokensOptions, options_text, stored_options_of};
use crate::{Error, Result, numeric};

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
        self.check_gate(version)?;
        signal.definition().score(self, version, signal, options)
    }

    /// Computes a signal that needs nothing but the rows of the corpus.
    pub(crate) fn score_by_rows(
        &self,
        version: &CorpusVersion,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        let (signal, directory) = self.begun(asked, options.beside)?;
        let definition = asked.definition();
        let reading = self.reading_for(asked);
        let project = reading.as_ref().unwrap_or(self);
        let shards: Vec<&ShardRecord> = version.shards.iter().collect();
        let looked_at = EarlyLook::new(&*signal, &*self.observer);
        let signal: &dyn Signal = if definition.is_judge() { &looked_at } else { &*signal };
        let mut map = project.map(version, &shards, signal, &directory, options.worker)?;
        if options.failed == FailedRows::Retry {
            project.retry(version, signal, &directory, options.worker, &mut map, |_| true)?;
        }
        let mut findings = Vec::new();
        if map.unfinished_shards == 0 {
            findings.extend(definition.remarks(self, version, &directory)?);
        }
        Ok((directory, self.score_report(version, map, findings)))
    }

    /// What computes a signal, and the signal in the run.
    fn begun(&self, asked: &SignalOptions, beside: bool) -> Result<(Box<dyn Signal>, SignalDir)> {
        let mut settled = self.settled(asked, beside)?;
        loop {
            let Ready { signal, repeatability } = self.ready(&settled)?;
            let opened = self.open_signal_of(signal.info(), Some(asked), beside, repeatability);
            // A worker on another processor may have begun it while the model was loaded here.
            if opened.is_err() {
                let now = self.settled(asked, beside)?;
                if now != settled {
                    settled = now;
                    continue;
                }
            }
            let directory = opened?;
            self.note_followed(asked, &directory);
            return Ok((signal, directory));
        }
    }

    /// Says so where a signal goes on on another numeric path than a new one would be begun on here.
    fn note_followed(&self, asked: &SignalOptions, directory: &SignalDir) {
        let Some(Dtype::Auto) = asked.clone().definition_mut().dtype().copied() else { return };
        let own = numeric::choose(Dtype::Auto).path.name();
        if let Some(path) = directory.record().fingerprint.get("numeric_path").filter(|path| *path != own) {
            let name = directory.full_name();
            self.observer.note(&format!(
                "`{name}` was begun on the numeric path `{path}` and goes on so, where a new one would take `{own}`"
            ));
        }
    }

    /// The same project that also reads the column of a signal that needs one.
    pub(crate) fn reading_for(&self, asked: &SignalOptions) -> Option<Self> {
        asked.definition().column().map(|column| self.also_reading(column))
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
        let mut record = self.record_of(info, repeatability);
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
        self.tell_gate(directory.record());
        if options.failed == FailedRows::Keep && self.is_complete(version, &directory)? {
            return Ok((directory, None));
        }
        // Go on with the settings it was begun with, for the documents that it was begun for.
        let begun = stored_options_of(directory.record()).map(|begun| begun.paced_as(asked));
        let home = self.home_of(directory.record())?;
        let project = home.as_ref().unwrap_or(self);
        let (directory, report) = project.score(version, begun.as_ref().unwrap_or(asked), options)?;
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
        options: ScoreOptions,
    ) -> Result<(SignalDir, Option<ScoreReport>)> {
        let directory = self.run.resolve(full_name)?;
        if options.failed == FailedRows::Keep && self.is_complete(version, &directory)? {
            return Ok((directory, None));
        }
        let asked = self.stored_options(full_name)?;
        let home = self.home_of(directory.record())?;
        let project = home.as_ref().unwrap_or(self);
        let (computed, report) = project.score(version, &asked, ScoreOptions { beside: true, ..options })?;
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
        options: ScoreOptions,
    ) -> Result<Option<SignalDir>> {
        if let Some(tokenizer) = tokenizer {
            let asked = TokensOptions { tokenizer: tokenizer.to_owned() }.into();
            let options = ScoreOptions { beside: true, ..options };
            return Ok(Some(self.score(version, &asked, options)?.0));
        }
        let mut stored = Vec::new();
        for signal in self.stored_counts_of_tokens()? {
            if self.is_complete(version, &signal)? {
                stored.push(signal);
            }
        }
        Ok(if stored.len() == 1 { stored.pop() } else { None })
    }

    /// Counts of tokens that say something of every document that is asked.
    pub(crate) fn stored_counts_of_tokens(&self) -> Result<Vec<SignalDir>> {
        let counts = |run: &tamis_io::run::RunDirectory| -> Result<Vec<SignalDir>> {
            let mut signals = run.own_signals()?;
            signals.retain(|signal| signal.record().name == "tokens");
            Ok(signals)
        };
        match counts(&self.run)? {
            own if own.is_empty() => counts(&self.run.of_all()),
            own => Ok(own),
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
        self.is_of(&version.shards, signal)
    }
}
