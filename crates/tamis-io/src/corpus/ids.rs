//! Decides whether a corpus has ids, by the beginnings of its shards.
//!
//! A corpus has ids everywhere or nowhere. Where the user does not say which, half of the documents decide, not the first
//! one: an export whose first row lacks its id is no corpus without ids, and one stray id makes none with them. Whatever is
//! given up, a column that is there and is not used or rows that will fail, is a finding to be told.

use tamis_core::reason;

use super::lines::absent;
use super::{Block, Columns, Corpus, CorpusError, CorpusResult, DEFAULT_ID, IdMode, Shard};

/// Shards that are looked at, spread evenly over all of them.
const SHARDS: usize = 16;

/// Documents of a shard that are looked at.
const DOCUMENTS: usize = 1000;

/// How documents of a corpus get their key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedIds {
    /// The way.
    pub mode: IdMode,
    /// What a user should know about it, where not everything speaks for that way.
    pub finding: Option<IdFinding>,
}

/// Documents with and without an id in [`DEFAULT_ID`], where there are both or where none of them can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdFinding {
    /// Documents that were looked at.
    pub documents: u64,
    /// Those of them that have an id.
    pub with_id: u64,
    /// Shards that they are of.
    pub shards: u64,
    /// Shard, row and what is there instead of an id, of the first document without one.
    pub example: Option<(String, u64, String)>,
    /// Why no document of a shard can have one: shard and what is wrong with the column.
    pub unusable: Option<(String, String)>,
}

impl ResolvedIds {
    /// The finding in words, with what helps; `None` where all is as it should be.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let IdFinding { documents, with_id, shards, example, unusable } = self.finding.as_ref()?;
        let place = match example {
            Some((shard, row, what)) => format!(", not row {row} of shard `{shard}`: {what}"),
            None => String::new(),
        };
        let shards = if *shards == 1 { "one shard".to_owned() } else { format!("{shards} shards") };
        let counted = format!(
            "at the beginning of {shards} {with_id} of {documents} documents have an id in it{place}"
        );
        Some(match (&self.mode, unusable) {
            (IdMode::FromText, Some((shard, problem))) => format!(
                "column `{DEFAULT_ID}` is not used: in shard `{shard}` {problem}; documents are known by their text. Ids \
                 written as strings or integers are used in a new run; `--id none` says that the text is meant"
            ),
            (IdMode::FromText, None) if *with_id == 0 => format!(
                "column `{DEFAULT_ID}` is not used: {counted}; documents are known by their text. Ids written as strings or \
                 integers are used in a new run; `--id none` says that the text is meant"
            ),
            (IdMode::FromText, None) => format!(
                "column `{DEFAULT_ID}` is not used: {counted}; documents are known by their text. A new run with \
                 `--id {DEFAULT_ID}` uses it, and rows without an id then fail; `--id none` says that the text is meant"
            ),
            _ => format!(
                "column `{DEFAULT_ID}`: {counted}; rows without one fail as `{}`. In a new run with `--id none` they do not: \
                 documents are known by their text there",
                reason::MISSING_ID
            ),
        })
    }
}

/// What the beginnings of some shards have.
#[derive(Default)]
struct Seen {
    /// Documents that have a usable id, and others.
    with_id: u64,
    without: u64,
    shards: u64,
    /// Some document has the key, or the Parquet files the column, whatever is in it.
    exists: bool,
    example: Option<(String, u64, String)>,
    unusable: Option<(String, String)>,
}

impl Corpus {
    /// How documents of this corpus get their key: from the column that the user names, else from [`DEFAULT_ID`] where at
    /// least half of the documents have one there, else from the text. Looked at are the first documents, a thousand at most,
    /// of sixteen shards, which are spread evenly over all of them.
    ///
    /// To be asked once for a corpus and recorded: shards that are added later must not change the answer. A corpus without
    /// a single document that can be read has no ids.
    ///
    /// # Errors
    /// A shard that cannot be read.
    pub fn resolve_ids(&self, text: &str, id: Option<&IdMode>) -> CorpusResult<ResolvedIds> {
        if let Some(mode) = id {
            return Ok(ResolvedIds { mode: mode.clone(), finding: None });
        }
        let mode = IdMode::Column(DEFAULT_ID.into());
        let columns = Columns { text: text.to_owned(), id: mode.clone(), ..Columns::default() };
        let spread = spread(self.shards().len());
        let rest = (0..self.shards().len()).filter(|at| !spread.contains(at));
        let mut seen = Seen::default();
        for (looked, at) in spread.iter().copied().chain(rest).enumerate() {
            if looked >= spread.len() && seen.shards > 0 {
                break;
            }
            self.look(&self.shards()[at], &columns, &mut seen)?;
        }
        let documents = seen.with_id + seen.without;
        let used = seen.unusable.is_none() && seen.with_id > 0 && seen.with_id >= seen.without;
        let told = if used { seen.without > 0 } else { seen.exists };
        let finding = told.then_some(IdFinding {
            documents,
            with_id: seen.with_id,
            shards: seen.shards,
            example: seen.example,
            unusable: seen.unusable,
        });
        Ok(ResolvedIds { mode: if used { mode } else { IdMode::FromText }, finding })
    }

    /// Counts the first documents of a shard.
    fn look(&self, shard: &Shard, columns: &Columns, seen: &mut Seen) -> CorpusResult<()> {
        let mut reader = self.open(shard, 0)?;
        while let Some(block) = reader.next_block()? {
            if seen.block(&block, columns)? {
                seen.shards += 1;
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Seen {
    /// Counts the first documents of a block; whether it has any.
    fn block(&mut self, block: &Block, columns: &Columns) -> CorpusResult<bool> {
        let decoded = match block.decode(columns) {
            Ok(decoded) => decoded,
            Err(CorpusError::MissingColumn { column, .. })
                if column == DEFAULT_ID && columns.text != column =>
            {
                // Whatever other shards have: here nothing could be read as an id.
                self.blocked(block, "there is no such column".to_owned());
                return Ok(true);
            }
            Err(CorpusError::ColumnType { column, expected, got, .. })
                if column == DEFAULT_ID && expected == super::parquet_values::AN_ID =>
            {
                self.exists = true;
                self.blocked(block, format!("its type is {got}, and ids are strings or integers"));
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let missing = decoded.failures.iter().filter(|failure| failure.reason == reason::MISSING_ID);
        let mut rows: Vec<(u64, Option<&str>)> =
            missing.map(|failure| (failure.row, Some(failure.detail.as_str()))).collect();
        rows.extend(decoded.documents.rows().values().iter().map(|row| (*row, None)));
        rows.sort_unstable_by_key(|(row, _)| *row);
        rows.truncate(DOCUMENTS);
        for (row, problem) in &rows {
            match problem {
                None => {
                    self.with_id += 1;
                    self.exists = true;
                }
                Some(problem) => {
                    self.without += 1;
                    self.exists |= *problem != absent(DEFAULT_ID);
                    self.example
                        .get_or_insert_with(|| (block.shard().to_owned(), *row, (*problem).to_owned()));
                }
            }
        }
        Ok(!rows.is_empty())
    }

    fn blocked(&mut self, block: &Block, problem: String) {
        self.unusable.get_or_insert_with(|| (block.shard().to_owned(), problem));
    }
}

/// Which of `shards` shards are looked at, ascending.
fn spread(shards: usize) -> Vec<usize> {
    let looked = shards.min(SHARDS);
    (0..looked).map(|at| at * (shards - 1) / (looked - 1).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_looked_at_from_the_first_to_the_last() {
        assert_eq!(spread(0), [0; 0]);
        assert_eq!(spread(1), [0]);
        assert_eq!(spread(3), [0, 1, 2]);
        let many = spread(1000);
        assert_eq!((many.len(), many[0], many[SHARDS - 1]), (SHARDS, 0, 999));
        assert!(many.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
