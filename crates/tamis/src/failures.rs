//! Rows that could not be read: the first of each reason with its place, for people.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use serde_json::Value;
use tamis_io::run::{CorpusVersion, ShardRecord, shard_name};

use crate::project::Project;
use crate::{Error, Result};

impl Project<'_> {
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
            if told.insert(reason.to_owned()) {
                let place = match (row["line"].as_u64(), row["row"].as_u64()) {
                    (Some(line), _) => format!("line {line}"),
                    (None, row) => format!("row {}", row.unwrap_or(0)),
                };
                lines.push(format!("shard `{}`, {place}: {reason}: {detail}", shard.path));
            }
            if shard.failed.keys().all(|reason| told.contains(reason)) {
                break;
            }
        }
        Ok(())
    }
}
