//! Names of columns, checked against the beginnings of the shards: a mistyped one is told before a pass over the corpus.

use std::collections::BTreeSet;

use arrow_array::Array;
use tamis_core::reason;
use tamis_io::corpus::{Columns, Container, Corpus};

use crate::carried::carries;
use crate::project::Project;
use crate::{Error, Observer, Result};

/// Bytes of beginnings after which it is left open whether a column is there.
const MOST_BYTES: u64 = 1 << 30;

/// Checks that there are rows and that the columns of text and id are among theirs. A column that is missing here and there is none of this: such rows fail one by one.
///
/// # Errors
/// Shards that are all empty; a column that no row at the beginning of any shard has, with the nearest name; a shard
/// that cannot be read.
pub(crate) fn check_beginnings(
    corpus: &Corpus,
    columns: &Columns,
    location: &str,
    observer: &dyn Observer,
) -> Result<()> {
    let mut known = BTreeSet::new();
    let mut missing = None;
    let mut detail = None;
    for shard in corpus.shards() {
        let mut reader = corpus.open(shard, 0)?;
        let Some(block) = reader.next_block()? else { continue };
        let decoded = block.decode(columns)?;
        let blank = decoded.documents.is_empty() && decoded.failures.is_empty();
        if !decoded.documents.is_empty() || (blank && reader.next_block()?.is_some()) {
            return Ok(());
        }
        for failure in &decoded.failures {
            missing = match (failure.reason, columns.id.column()) {
                (reason::MISSING_TEXT, _) => Some(("--text", columns.text.as_str())),
                (reason::MISSING_ID, Some(id)) => Some(("--id", id)),
                _ => return Ok(()),
            };
            detail.get_or_insert_with(|| format!("shard `{}`: {}", shard.path, failure.detail));
        }
        known.extend(block.column_names());
    }
    match missing {
        None => {
            let shards = corpus.shards().len();
            let message = format!("corpus `{location}` holds no document (shards read: {shards}, all empty)");
            Err(Error::state(message, "check the path and how the files were made"))
        }
        Some((flag, name)) if known.contains(name) => {
            if flag == "--id" {
                observer.warn(&format!(
                    "no row at the beginning of any shard has an id in column `{name}`, and rows without one fail ({}); in a \
                     new run with `--id none` documents are known by their text",
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

impl Project {
    /// [`check_beginnings`] for a run that has not recorded its corpus yet.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn check_beginnings(&self) -> Result<()> {
        match self.run.latest_corpus()? {
            Some(_) => Ok(()),
            None => check_beginnings(&self.corpus, &self.columns, &self.location, &*self.observer),
        }
    }

    /// Checks columns that are to be carried and are not yet; gives those that no shard begins with, and warns of them.
    pub(crate) fn check_carried(&self) -> Result<Vec<String>> {
        let unsure = self.unsure_carried()?;
        Ok(self.warn_of(unsure, ""))
    }

    /// Columns that are to be carried, are not yet, and may not be there; see [`Self::unsure_columns`].
    pub(crate) fn unsure_carried(&self) -> Result<Vec<(String, Option<String>)>> {
        let mut names: Vec<&str> = Vec::new();
        if self.run.latest_corpus()?.is_none() {
            names.extend(self.columns.carry.iter().map(String::as_str));
        }
        let signals = self.run.of_all().signals()?;
        let is_there = |name: &str| signals.iter().any(|signal| carries(signal.record()) == Some(name));
        names.extend(self.later.iter().map(String::as_str).filter(|name| !is_there(name)));
        self.unsure_columns(&names, "")
    }

    /// Whether the run carries a column or is to.
    pub(crate) fn is_asked_for(&self, name: &str) -> Result<bool> {
        let named = |names: &[String]| names.iter().any(|other| other == name);
        let stored = self.run.of_all().signals()?.iter().any(|signal| carries(signal.record()) == Some(name));
        Ok(stored || named(&self.columns.carry) || named(&self.later))
    }

    fn warn_of(&self, unsure: Vec<(String, Option<String>)>, before: &str) -> Vec<String> {
        for (name, nearest) in &unsure {
            let nearest = nearest
                .as_ref()
                .map_or_else(String::new, |nearest| format!(" (there is `{before}{nearest}`)"));
            self.observer.warn(&format!(
                "no shard begins with a document that has a column `{name}`{nearest}; going on"
            ));
        }
        unsure.into_iter().map(|(name, _)| name).collect()
    }

    /// Refuses columns that the corpus cannot have, and warns of those that it may have further on; gives these. `before` is
    /// what the user writes before a column's name.
    pub(crate) fn check_columns(&self, names: &[&str], before: &str) -> Result<Vec<String>> {
        let unsure = self.unsure_columns(names, before)?;
        Ok(self.warn_of(unsure, before))
    }

    /// Columns that no document at the beginning of any shard has, each with the nearest known name, where the rest of the
    /// shards may yet have them.
    ///
    /// # Errors
    /// A column that is certain not to be there: the schema of Parquet shards lacks it, all rows were looked at, or it is a
    /// known one with white space around it. One of a type that cannot be used.
    pub(crate) fn unsure_columns(
        &self,
        names: &[&str],
        before: &str,
    ) -> Result<Vec<(String, Option<String>)>> {
        let columns = Columns {
            carry: Vec::new(),
            also: names.iter().map(|name| (*name).to_owned()).collect(),
            ..self.columns.clone()
        };
        columns.check()?;
        let mut left: Vec<&str> = names.to_vec();
        let mut known = BTreeSet::new();
        let (mut documents, mut looked_at, mut all, mut schema_seen) = (0, 0, true, false);
        for shard in self.corpus.shards() {
            let is_parquet = shard.container == Container::Parquet;
            // All Parquet shards have one schema, and each must have the column.
            if names.is_empty() || (is_parquet && schema_seen) || (!is_parquet && left.is_empty()) {
                continue;
            }
            if looked_at > MOST_BYTES {
                all = false;
                break;
            }
            let mut reader = self.corpus.open(shard, 0)?;
            let Some(block) = reader.next_block()? else { continue };
            looked_at += block.size_bytes();
            known.extend(block.column_names());
            if is_parquet {
                schema_seen = true;
                if let Some(name) = names.iter().find(|name| block.schema_has(name) == Some(false)) {
                    let message = format!("shard `{}`: there is no column `{name}`", shard.path);
                    return Err(unknown_column(&message, name, &known, before));
                }
            }
            let batch = block.decode(&columns)?.documents;
            documents += batch.len();
            left.retain(|name| {
                let values = batch.as_arrow().column_by_name(name);
                !is_parquet
                    && !known.contains(*name)
                    && values.is_none_or(|values| values.null_count() == values.len())
            });
            all = all && (is_parquet || reader.next_block()?.is_none());
        }
        if documents == 0 {
            return Ok(Vec::new());
        }
        let padded =
            |name: &&&str| name.trim() != **name && (name.trim().is_empty() || known.contains(name.trim()));
        let certain = if all { left.first() } else { left.iter().find(padded) };
        if let Some(name) = certain {
            return Err(unknown_column(&format!("no document has a column `{name}`"), name, &known, before));
        }
        let nearest =
            |name: &str| tamis_core::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        Ok(left.into_iter().map(|name| (name.to_owned(), nearest(name))).collect())
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
