//! What is known of a selection before any score is: which veto entries match, which ids repeat.
//!
//! Both come from the inventories alone, so they are told, or refused, before hours of scoring.

use tamis_io::run::CorpusVersion;

use super::repeated::RepeatedIds;
use super::veto_matches::{self, VetoRecord};
use super::vetoes::Vetoes;
use crate::Result;
use crate::groups::Keep;
use crate::project::Project;
use crate::select_options::SelectOptions;

/// What was found for a version of the corpus and some veto files.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(super) vetoes: Vetoes,
    pub(super) matched: Vec<VetoRecord>,
    pub(super) repeated: RepeatedIds,
}

impl Project {
    /// Finds out, and says what should be known.
    ///
    /// # Errors
    /// A veto file that cannot be read; ids that name no documents.
    pub(super) fn survey(
        &self,
        version: &CorpusVersion,
        options: &SelectOptions,
        keep: Keep,
    ) -> Result<Survey> {
        let vetoes = Vetoes::read(&options.vetoes)?;
        let repeated = RepeatedIds::find(self, version, keep)?;
        if let Some(warning) = repeated.judge(options.duplicate_ids)? {
            self.observer.warn(&warning);
        }
        let matches = veto_matches::find(&vetoes, &self.run, version, self.threads)?;
        matches.warnings.iter().for_each(|warning| self.observer.warn(warning));
        Ok(Survey { vetoes, matched: matches.records, repeated })
    }

    /// Says of a corpus that was just read that its ids name no documents.
    pub(crate) fn forecast_ids(&self, version: &CorpusVersion) -> Result<()> {
        if let Some(warning) = RepeatedIds::find(self, version, Keep::InRun)?.forecast() {
            self.observer.warn(&warning);
        }
        Ok(())
    }
}
