//! Signals that are ready before the first document is read: whatever cannot be had is refused while nothing is lost by it.
//!
//! To know that a model can be used it has to be built, and to know the columns of a signal too. So it is built once, held,
//! and taken by the computation that follows.

use std::sync::PoisonError;

use tamis_core::SignalInfo;
use tamis_io::run::{Repeatability, SignalDir, SignalRecord};

use crate::again::FailedRows;
use crate::project::{Held, Project};
use crate::scoring::ScoreOptions;
use crate::signals::stored_options_of;
use crate::signals::{Ready, SignalOptions, options_text};
use crate::{Result, numeric};

/// What is known of a signal before it is computed.
pub(crate) struct Foreseen {
    /// What its `signal.json` says or would say.
    pub(crate) record: SignalRecord,
    /// The stored one, where it is this for certain.
    pub(crate) stored: Option<SignalDir>,
}

impl Project {
    /// A signal that is computed from documents, by [settled](Project::settled) options, built now unless a check before built it.
    ///
    /// # Errors
    /// A model, prompt or tokenizer that cannot be had or used.
    pub(crate) fn ready(&self, asked: &SignalOptions) -> Result<Ready> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        match held {
            Some(Held { asked: held, signal, repeatability }) if held == options_text(asked)? => {
                Ok(Ready { signal, repeatability })
            }
            // Two models at once may be more than fits.
            other => {
                drop(other);
                asked.definition().build(&*self.observer)
            }
        }
    }

    /// Refuses whatever of a computation can be refused before a document is read: columns, models, prompts, parameters, other
    /// settings than the stored ones. What was built for it is held for [`Project::score`].
    ///
    /// # Errors
    /// Those of [`Project::score`] that do not depend on the documents.
    pub fn check_score(&self, asked: &SignalOptions, options: ScoreOptions) -> Result<()> {
        self.foresee(asked, options)?;
        Ok(self.run.store().check_writable()?)
    }

    /// What a dry run can refuse of a computation: all that needs no model and writes nothing.
    ///
    /// # Errors
    /// Columns that the corpus has not; parameters that make no sketch.
    pub fn check_planned_score(&self, asked: &SignalOptions) -> Result<()> {
        self.check_beginnings()?;
        self.check_listed()?;
        self.unsure_carried()?;
        self.check_options(asked)
    }

    pub(crate) fn check_options(&self, asked: &SignalOptions) -> Result<()> {
        if let Some(model) = asked.local_model()? {
            tamis_models::source::check_spelling(model)?;
        }
        if let Some(dtype) = asked.clone().definition_mut().dtype() {
            numeric::check(*dtype)?;
        }
        asked.definition().check(self)
    }

    /// As [`Project::check_score`], with what is known then.
    pub(crate) fn foresee(&self, asked: &SignalOptions, options: ScoreOptions) -> Result<Foreseen> {
        self.check_options(asked)?;
        let first = asked.definition().first();
        if asked.definition().is_of_all_rows() {
            self.same_settings(asked, options)?;
            if let Some(first) = first {
                self.foresee(&first, options)?;
            }
            let info = asked.definition().foreseen()?.ok_or_else(|| {
                crate::Error::state(
                    "a signal of all rows has columns before it is computed",
                    "this is a bug of tamis",
                )
            })?;
            return Ok(Foreseen { record: self.record_of(&info, Repeatability::Exact), stored: None });
        }
        let own = self.settled(first.as_ref().unwrap_or(asked), options.beside)?;
        // The models of an earlier check make room first.
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ready = own.definition().build(&*self.observer)?;
        let stored = self.refuse_other_settings(ready.signal.info(), &own, options, ready.repeatability)?;
        let record = self.record_of(ready.signal.info(), ready.repeatability);
        if own.definition().is_held() {
            let Ready { signal, repeatability } = ready;
            let held = Held { asked: options_text(&own)?, signal, repeatability };
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        }
        Ok(match asked.definition().foresee(self, &record, stored.as_ref(), options)? {
            Some(record) => Foreseen { record, stored: None },
            None => Foreseen { record, stored },
        })
    }

    /// Where a signal of this name stands: opens the same, refuses another. A new name is left to the computation, so that a
    /// call that is refused for something else has begun nothing.
    fn refuse_other_settings(
        &self,
        info: &SignalInfo,
        asked: &SignalOptions,
        options: ScoreOptions,
        repeatability: Repeatability,
    ) -> Result<Option<SignalDir>> {
        let own = self.run.own_signals()?;
        if options.beside || !own.iter().any(|signal| signal.record().name == info.name) {
            return Ok(None);
        }
        self.open_signal_of(info, Some(asked), false, repeatability).map(Some)
    }

    /// The signal that a selection is by, as [`Project::signal_for`] finds it, checked and not computed.
    pub(crate) fn foresee_by(
        &self,
        asked: &SignalOptions,
        explicit: bool,
        options: ScoreOptions,
    ) -> Result<Foreseen> {
        let name = asked.stored_name();
        if explicit || !self.has_signal(&name)? {
            return self.foresee(asked, options);
        }
        let stored = self.run.resolve(&name)?;
        if options.failed == FailedRows::Retry || !self.is_complete_so_far(&stored)? {
            let begun = stored_options_of(stored.record()).map(|begun| begun.paced_as(asked));
            let foreseen = self.foresee(begun.as_ref().unwrap_or(asked), options)?;
            // Of other rows it will be another signal.
            if asked.definition().is_of_all_rows() {
                return Ok(foreseen);
            }
        }
        Ok(Foreseen { record: stored.record().clone(), stored: Some(stored) })
    }

    /// A stored signal that a selection names in full, checked and not computed.
    pub(crate) fn foresee_stored(&self, full_name: &str, failed: FailedRows) -> Result<Foreseen> {
        let stored = self.run.resolve(full_name)?;
        if failed == FailedRows::Retry || !self.is_complete_so_far(&stored)? {
            let asked = self.stored_options(full_name)?;
            self.foresee(&asked, ScoreOptions { beside: true, ..ScoreOptions::default() })?;
        }
        Ok(Foreseen { record: stored.record().clone(), stored: Some(stored) })
    }

    /// Whether a signal has a value for every document of the corpus as its shards are listed now.
    pub(crate) fn is_complete_so_far(&self, signal: &SignalDir) -> Result<bool> {
        let columns = self.corpus_columns();
        let mut shards = Vec::new();
        for shard in self.corpus.shards() {
            let Some(receipt) = self.run.inventory_receipt(&shard.path, &columns)? else { return Ok(false) };
            if signal.receipt(&receipt.shard)?.is_none() {
                return Ok(false);
            }
            shards.push(receipt.shard);
        }
        self.is_of(&shards, signal)
    }
}
