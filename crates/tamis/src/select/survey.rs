//! What is known of a selection before any score is: which veto entries match, which ids repeat.
//!
//! Both come from the inventories alone, so they are told, or refused, before hours of scoring, and kept for the selection
//! that follows.

use std::path::PathBuf;
use std::sync::PoisonError;

use tamis_io::run::CorpusVersion;

use super::repeated::RepeatedIds;
use super::veto_matches::{self, VetoRecord};
use super::vetoes::Vetoes;
use crate::Result;
use crate::options::SelectOptions;
use crate::project::Project;

/// What was found for a version of the corpus and some veto files.
#[derive(Debug)]
pub(crate) struct Survey {
    version: u64,
    files: Vec<PathBuf>,
    pub(super) vetoes: Vetoes,
    pub(super) matched: Vec<VetoRecord>,
    pub(super) repeated: RepeatedIds,
}

impl Project<'_> {
    /// Finds out, and says what should be known.
    ///
    /// # Errors
    /// A veto file that cannot be read; ids that name no documents.
    pub(super) fn survey(&self, version: &CorpusVersion, options: &SelectOptions) -> Result<Survey> {
        let vetoes = Vetoes::read(&options.vetoes)?;
        let repeated = RepeatedIds::find(&self.run, version, self.threads)?;
        if let Some(warning) = repeated.judge(options.duplicate_ids)? {
            self.observer.warn(&warning);
        }
        let matches = veto_matches::find(&vetoes, &self.run, version, self.threads)?;
        matches.warnings.iter().for_each(|warning| self.observer.warn(warning));
        let files = options.vetoes.clone();
        Ok(Survey { version: version.number, files, vetoes, matched: matches.records, repeated })
    }

    /// What [`Project::inventory_for`] found out for this selection, or else it is found now.
    pub(super) fn surveyed(&self, version: &CorpusVersion, options: &SelectOptions) -> Result<Survey> {
        let stored = self.surveyed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match stored {
            Some(stored) if stored.version == version.number && stored.files == options.vetoes => Ok(stored),
            _ => self.survey(version, options),
        }
    }

    /// Says of a corpus that was just read that its ids name no documents.
    pub(crate) fn forecast_ids(&self, version: &CorpusVersion) -> Result<()> {
        if let Some(warning) = RepeatedIds::find(&self.run, version, self.threads)?.forecast() {
            self.observer.warn(&warning);
        }
        Ok(())
    }
}
