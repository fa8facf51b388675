//! Names of columns, checked against the beginnings of the shards: a mistyped one is told before a pass over the corpus.

use std::collections::BTreeSet;

use arrow_array::Array;
use tamis_core::reason;

use crate::column::stored_name;
use crate::project::Project;
use crate::{Error, Result};

impl Project<'_> {
    /// Checks, for a run that has not recorded its corpus yet, that there are rows and that the columns of text and id are
    /// among theirs. A column that is missing here and there is none of this: such rows fail one by one.
    ///
    /// # Errors
    /// Shards that are all empty; a column that no row at the beginning of any shard has, with the nearest name; a shard
    /// that cannot be read.
    pub(crate) fn check_beginnings(&self) -> Result<()> {
        if self.run.latest_corpus()?.is_some() {
            return Ok(());
        }
        let mut known = BTreeSet::new();
        let mut missing = None;
        let mut detail = None;
        for shard in self.corpus.shards() {
            let mut reader = self.corpus.open(shard, 0)?;
            let Some(block) = reader.next_block()? else { continue };
            let decoded = block.decode(&self.columns)?;
            let blank = decoded.documents.is_empty() && decoded.failures.is_empty();
            if !decoded.documents.is_empty() || (blank && reader.next_block()?.is_some()) {
                return Ok(());
            }
            for failure in &decoded.failures {
                missing = match (failure.reason, self.columns.id.column()) {
                    (reason::MISSING_TEXT, _) => Some(("--text", self.columns.text.as_str())),
                    (reason::MISSING_ID, Some(id)) => Some(("--id", id)),
                    _ => return Ok(()),
                };
                detail.get_or_insert_with(|| format!("shard `{}`: {}", shard.path, failure.detail));
            }
            known.extend(block.column_names());
        }
        match missing {
            None => {
                let (location, shards) = (&self.location, self.corpus.shards().len());
                let message =
                    format!("corpus `{location}` holds no document (shards read: {shards}, all empty)");
                Err(Error::state(message, "check the path and how the files were made"))
            }
            Some((flag, name)) if known.contains(name) => {
                if flag == "--id" {
                    self.observer.warn(&format!(
                        "no row at the beginning of any shard has an id in column `{name}`, and rows without one fail ({}); in \
                         a new run with `--id none` documents are known by their text",
                        detail.unwrap_or_default()
                    ));
                }
                Ok(())
            }
            Some((flag, name)) => {
                let message = format!("no row has the column `{flag} {name}`");
                Err(unknown_column(&message, name, &known, &format!("{flag} ")))
            }
        }
    }

    /// Refuses a `column:` that no document at the beginning of any shard has. `self` carries it.
    pub(crate) fn refuse_unknown_column(&self, name: &str) -> Result<()> {
        let stored = stored_name(name);
        if self.run.signals()?.iter().any(|signal| signal.record().name == stored) {
            return Ok(());
        }
        let mut known = BTreeSet::new();
        let mut documents = 0;
        for shard in self.corpus.shards() {
            let Some(block) = self.corpus.open(shard, 0)?.next_block()? else { continue };
            let batch = block.decode(&self.columns)?.documents;
            let values = batch.as_arrow().column_by_name(name);
            if values.is_some_and(|values| values.null_count() < values.len()) {
                return Ok(());
            }
            documents += batch.len();
            known.extend(block.column_names());
        }
        if documents == 0 || known.contains(name) {
            return Ok(());
        }
        Err(unknown_column(&format!("no document has a column `{name}`"), name, &known, "column:"))
    }
}

fn unknown_column(message: &str, name: &str, known: &BTreeSet<String>, before: &str) -> Error {
    const SHOWN: usize = 30;
    let all = known.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let hint = match tamis_core::nearest(name, known.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean `{before}{nearest}`? columns are {all}"),
        None => format!("columns are {all}"),
    };
    Error::usage(message, hint)
}
