//! Lines that a random selection is likely to keep, set aside while the corpus is read for the first time.
//!
//! An exact rate is known only when every document is, so that kept lines come from a second pass. But which documents will
//! be kept is nearly known in the first: those whose draw lies below the rate, and a few more. Set aside, they need not be
//! found, decompressed and cut again.

use std::sync::PoisonError;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use tamis_core::{DocKey, column};
use tamis_io::corpus::{Block, Chunk, Spool};
use tamis_io::run::CorpusVersion;
use tamis_samplers::{Ranker, Rule, Target};

use crate::Result;
use crate::options::SelectOptions;
use crate::project::Project;

/// At larger rates the second pass costs little more than what it would be spared.
const HIGHEST_RATE: f64 = 0.4;

/// Lines that were set aside for a random selection.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(super) seed: u64,
    /// Priorities below it were set aside.
    pub(super) below: f64,
    pub(crate) spool: Spool,
    ranker: Ranker,
}

impl Aside {
    fn new(project: &Project<'_>, options: &SelectOptions) -> Option<Self> {
        let random = options.by == "random" && matches!(options.rule, None | Some(Rule::Random));
        if !random || options.decide_only {
            return None;
        }
        let rates = options.targets.iter().map(|target| match target {
            Target::Rate(rate) => Some(rate.as_f64()),
            _ => None,
        });
        let rate = rates.collect::<Option<Vec<_>>>()?.into_iter().fold(0.0, f64::max);
        if rate == 0.0 || rate > HIGHEST_RATE {
            return None;
        }
        // The draws of the documents kept reach about to the rate: of 100,000 documents within a hundredth of it or less.
        let share = rate * 1.02 + 0.002;
        Some(Self {
            seed: options.seed,
            below: -libm::log1p(-share),
            spool: Spool::beside(project.run.store())?,
            ranker: Ranker::new(Rule::Random, options.seed),
        })
    }

    /// Sets aside what is likely to be kept of a block; `documents` are the rows of the inventory that it gave.
    pub(crate) fn add(&self, block: &Block, documents: &RecordBatch) -> Option<Chunk> {
        let rows = documents.column_by_name(column::ROW)?.as_primitive::<UInt64Type>().values();
        let keys = documents.column_by_name(column::DOC_KEY)?.as_fixed_size_binary();
        let mut likely = rows.iter().zip(keys.iter().flatten()).filter_map(|(row, key)| {
            let key = DocKey::from_bytes(key.try_into().ok()?);
            let priority = self.ranker.priority(key, 1.0).ok()?;
            (priority.value() < self.below).then_some(*row)
        });
        let mut next = likely.next();
        self.spool.add(block, &mut |row| {
            let found = next == Some(row);
            if found {
                next = likely.next();
            }
            found
        })
    }
}

impl Project<'_> {
    /// As [`Project::inventory`], and what the selection that follows is likely to keep is set aside where that saves
    /// reading the corpus again. What is selected and written is the same.
    ///
    /// What of the selection can be known from the inventories alone is told, or refused, here.
    ///
    /// # Errors
    /// As [`Project::inventory`]; a veto file that cannot be read; ids of which most that repeat have another text.
    pub fn inventory_for(&self, options: &SelectOptions) -> Result<CorpusVersion> {
        let aside = Aside::new(self, options);
        let (version, _) = self.inventory_beside(aside.as_ref())?;
        let survey = self.survey(&version, options)?;
        *self.surveyed.lock().unwrap_or_else(PoisonError::into_inner) = Some(survey);
        *self.aside.lock().unwrap_or_else(PoisonError::into_inner) = aside;
        Ok(version)
    }
}
