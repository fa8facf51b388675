//! What of a selection can be refused before a corpus is read for hours.

use tamis_samplers::{Rule, Target};

use super::vetoes::Vetoes;
use crate::options::{BandOptions, SelectOptions, SignalOptions};
use crate::project::Project;
use crate::{Error, Result, models};

impl Project<'_> {
    /// Checks what can be checked before any work: targets, rule, veto files, and, where the corpus is still to be read,
    /// that models and prompts can be had. `asked` is the signal of the selection, `None` for `random`.
    ///
    /// # Errors
    /// Those of [`Project::select`] and [`Project::score`] that do not depend on the documents.
    pub fn check_select(&self, options: &SelectOptions, asked: Option<&SignalOptions>) -> Result<()> {
        let targets = super::label(&options.targets)?;
        if asked.is_none() {
            self.rule(None, options)?;
        }
        let holds = |wanted: fn(&Target) -> bool| targets.iter().any(|target| wanted(&target.target));
        if holds(|target| matches!(target, Target::Tokens(_))) && options.tokenizer.is_none() {
            let counted = self.run.signals()?.iter().any(|signal| signal.record().name == "tokens");
            if !counted {
                return Err(needs_tokenizer());
            }
        }
        if options.rule == Some(Rule::Poisson)
            && holds(|target| matches!(target, Target::Tokens(_) | Target::Bytes(_)))
        {
            return Err(poisson_needs_documents());
        }
        if options.rule.is_some_and(|rule| rule != Rule::Band) && options.band != BandOptions::default() {
            return Err(Error::usage(
                "a centre or strata belong to the rule `band`",
                "write --rule band, or leave --around and --stratum out",
            ));
        }
        self.refuse_output_inside_corpus(options.out.as_deref())?;
        Vetoes::read(&options.vetoes)?;
        if let Some(asked) = asked {
            self.check_signal(asked)?;
        }
        if let Some(tokenizer) = &options.tokenizer {
            self.check_signal(&SignalOptions::Tokens { tokenizer: tokenizer.clone() })?;
        }
        Ok(())
    }

    /// Checks that column, models and prompts of a signal can be had, where the corpus is still to be read: a mistyped name is told
    /// at once and not after the first pass.
    ///
    /// # Errors
    /// A column, model or prompt that is unknown or cannot be opened.
    pub fn check_signal(&self, asked: &SignalOptions) -> Result<()> {
        if let SignalOptions::Column { name } = asked {
            if !self.has_signal(&crate::column::stored_name(name))? {
                self.check_columns(&[name.as_str()], "column:")?;
            }
            return Ok(());
        }
        if let SignalOptions::Density(density) = asked {
            crate::density::check_parameters(density)?;
        }
        if let SignalOptions::Density(density) = asked {
            crate::density::check_parameters(density)?;
        }
        let columns = self.corpus_columns();
        for shard in self.corpus.shards() {
            if self.run.inventory_receipt(&shard.path, &columns)?.is_none() {
                return models::check_models(asked, self.observer);
            }
        }
        Ok(())
    }
}

pub(super) fn needs_tokenizer() -> Error {
    let hint = "add --tokenizer SOURCE, e.g. --tokenizer smollm2";
    Error::usage("a budget in tokens needs a tokenizer that counts them", hint)
}

pub(super) fn poisson_needs_documents() -> Error {
    Error::usage(
        "the poisson rule draws documents independently and cannot fill a budget of tokens or bytes",
        "use --rule ips with this budget, or --rate or --documents with --rule poisson",
    )
}
