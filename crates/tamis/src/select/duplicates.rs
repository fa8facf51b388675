//! Which of several documents with one id, or with one text, stays.
//!
//! Of equal ids the row with the smallest text digest, then raw-line digest, stays; of equal texts the one with the
//! smallest document key. Rows that are equal in all of that are equal byte for byte, any one of them may stand for the others, and
//! nothing depends on the names or the order of shards. (Rows of Parquet have no lines: where they differ in other columns alone, the
//! one whose shard comes first by path stays.)
//!
//! A row that loses to another of its id, or that is vetoed, stands for no text: otherwise a text would vanish although
//! another row has it. So of each text exactly one row stays, unless all of its rows are out for another reason. A veto names
//! documents, not texts: copies of a vetoed text under other ids are vetoed by their own ids. Whether a row has a score is
//! not looked at, so the same rows stay under every signal.

use tamis_core::column;
use tamis_io::run::{CorpusVersion, inventory_column};

use super::groups::{By, Equal, Marks, is_marked};
use super::vetoes::Vetoes;
use super::{reason, repeated};
use crate::Result;
use crate::groups::Keep;
use crate::project::Project;
use crate::select_options::ExactDuplicates;

/// Of rows with one text the smallest document key stays, then the smallest digest of a line.
pub(super) const TEXTS: By<'_> =
    By { what: "texts", group: inventory_column::TEXT_DIGEST, rank: [column::DOC_KEY, column::RAW_DIGEST] };

/// The documents that lose to others.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// Paths of the shards, sorted as those of a corpus version are.
    shards: Vec<String>,
    by_id: Marks,
    by_text: Marks,
}

impl Duplicates {
    /// Adds to the rows that lose to another of their id those that lose to another of their text.
    pub(super) fn find(
        project: &Project,
        version: &CorpusVersion,
        by_id: Marks,
        texts: ExactDuplicates,
        vetoes: &Vetoes,
    ) -> Result<Self> {
        let mut by_text = Marks::new();
        if texts == ExactDuplicates::One {
            let ids = repeated::by_id(version);
            let texts = Equal::new(version, TEXTS).without(vetoes, ids.as_ref(), &by_id);
            by_text = texts.losers(project, version, Keep::InRun)?.marks;
        }
        let shards = version.shards.iter().map(|shard| shard.path.clone()).collect();
        Ok(Self { shards, by_id, by_text })
    }

    /// Position of a shard, for [`Duplicates::loses`].
    pub(super) fn shard(&self, path: &str) -> usize {
        self.shards.binary_search_by(|shard| shard.as_str().cmp(path)).unwrap_or(usize::MAX)
    }

    /// The reason for which the `document`-th of a shard loses to another one.
    pub(super) fn loses(&self, shard: usize, document: usize) -> Option<&'static str> {
        if is_marked(&self.by_id, shard, document) {
            return Some(reason::DUPLICATE_ID);
        }
        is_marked(&self.by_text, shard, document).then_some(reason::EXACT_DUPLICATE)
    }
}
