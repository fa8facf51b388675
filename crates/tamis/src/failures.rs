//! Rows that could not be read: the first of each reason with its place, for people.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use serde::Serialize;
use serde_json::Value;
use tamis_io::corpus::IdMode;
use tamis_io::run::{CorpusVersion, ShardRecord, shard_name, shard_stem};

use crate::project::Project;
use crate::{Error, Result};

/// A row that could not be read, as the quarantine has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnreadableRow {
    /// Path of its shard.
    pub shard: String,
    /// 0-based physical row.
    pub row: u64,
    /// Whether rows are lines there.
    #[serde(skip)]
    pub in_lines: bool,
    /// Why, in a word.
    pub reason: String,
    /// Why, in full.
    pub detail: String,
    /// Its beginning, unless it was left out.
    pub raw: Option<String>,
}

impl Project {
    /// Rows that could not be read and answer to a name: `SHARD:LINE` (1-based), or an id, which has to stand in the row
    /// between quotation marks or as a number of its own.
    ///
    /// # Errors
    /// A run without a corpus; a quarantine file that cannot be read.
    pub fn unreadable_rows_named(&self, name: &str) -> Result<Vec<UnreadableRow>> {
        let version = self.latest_version()?;
        let place = name.rsplit_once(':').and_then(|(shard, line)| Some((shard, line.parse::<u64>().ok()?)));
        let ids = IdMode::from(&version.columns.id);
        let column = ids.column().map(|column| column.rsplit('.').next().unwrap_or(column));
        let mut found = Vec::new();
        for shard in version.shards.iter().filter(|shard| !shard.failed.is_empty()) {
            // As it stands in the row, a qualified id does not name the shard.
            let qualifier = matches!(ids, IdMode::Qualified(_)).then(|| shard_stem(&shard.path));
            let bare = qualifier.and_then(|stem| name.strip_prefix(stem)?.strip_prefix(':'));
            let id = bare.unwrap_or(name);
            self.each_unreadable(shard, |row| {
                let here = place.is_some_and(|(path, line)| path == row.shard && line == row.row + 1);
                let raw = row.raw.as_deref().unwrap_or_default();
                if here || column.is_some_and(|column| names(raw, column, id)) {
                    found.push(row);
                }
                true
            })?;
        }
        Ok(found)
    }

    /// Warns of rows that could not be read, as [`Project::unreadable_rows`] has it.
    ///
    /// # Errors
    /// A quarantine file that cannot be read.
    pub fn tell_unreadable(&self, version: &CorpusVersion) -> Result<()> {
        self.unreadable_rows(version)?.iter().for_each(|line| self.observer.warn(line));
        Ok(())
    }

    /// One line for the first row of each reason, with file, line and what is wrong, and one that says where the others are.
    /// Nothing where every row could be read.
    ///
    /// # Errors
    /// A quarantine file that cannot be read.
    pub fn unreadable_rows(&self, version: &CorpusVersion) -> Result<Vec<String>> {
        if version.failed_rows() == 0 {
            return Ok(Vec::new());
        }
        let mut told: BTreeSet<String> = BTreeSet::new();
        let mut lines = Vec::new();
        for shard in &version.shards {
            if shard.failed.keys().any(|reason| !told.contains(reason)) {
                self.first_failures(shard, &mut told, &mut lines)?;
            }
        }
        let failed = version.failed_rows();
        lines.push(format!(
            "{failed} of {} rows could not be read and are in no selection; each is in `{}` with file, line and reason. Mend \
             them in a new run, or go on without them",
            version.documents() + failed,
            self.run.store().location("quarantine")
        ));
        Ok(lines)
    }

    /// Adds the first failure of every reason of the shard that was not told yet.
    fn first_failures(
        &self,
        shard: &ShardRecord,
        told: &mut BTreeSet<String>,
        lines: &mut Vec<String>,
    ) -> Result<()> {
        self.each_unreadable(shard, |row| {
            if told.insert(row.reason.clone()) {
                let place =
                    if row.in_lines { format!("line {}", row.row + 1) } else { format!("row {}", row.row) };
                lines.push(format!("shard `{}`, {place}: {}: {}", shard.path, row.reason, row.detail));
            }
            !shard.failed.keys().all(|reason| told.contains(reason))
        })
    }

    /// The rows in the quarantine of a shard, until `each` says that it wants no more.
    fn each_unreadable(
        &self,
        shard: &ShardRecord,
        mut each: impl FnMut(UnreadableRow) -> bool,
    ) -> Result<()> {
        let path = format!("quarantine/{}.jsonl", shard_name(&shard.path)?);
        let store = self.run.store();
        // A quarantine may be deleted: the counts do not come from it.
        if !store.exists(&path)? {
            return Ok(());
        }
        for line in BufReader::new(store.open_read(&path)?).lines() {
            let line = line.map_err(|error| Error::state(format!("`{path}`: {error}"), ""))?;
            let Ok(row) = serde_json::from_str::<Value>(&line) else { continue };
            let (Some(reason), Some(detail)) = (row["reason"].as_str(), row["detail"].as_str()) else {
                continue;
            };
            let row = UnreadableRow {
                shard: shard.path.clone(),
                row: row["row"].as_u64().unwrap_or(0),
                in_lines: row["line"].is_u64(),
                reason: reason.to_owned(),
                detail: detail.to_owned(),
                raw: row["raw"].as_str().map(str::to_owned),
            };
            if !each(row) {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a row that may be no JSON states this id: the column's name in quotation marks, a colon, and the id.
fn names(raw: &str, column: &str, id: &str) -> bool {
    let quoted = serde_json::Value::from(column).to_string();
    raw.match_indices(&quoted).any(|(at, _)| {
        let rest = raw[at + quoted.len()..].trim_start();
        let Some(value) = rest.strip_prefix(':').map(str::trim_start) else { return false };
        let text = value.starts_with(&serde_json::Value::from(id).to_string());
        let number = value.strip_prefix(id).is_some_and(|after| {
            id.parse::<i64>().is_ok() && !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.')
        });
        text || number
    })
}
