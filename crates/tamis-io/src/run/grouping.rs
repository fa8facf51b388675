//! Groupings of a run: `groups/<name>@<digits>/`, results that stand row-aligned as those of a signal, and what the stages of
//! an unfinished grouping hand to each other.
//!
//! Sidecars, parts and receipts are those of a [`SignalDir`] under another folder: a grouping is no score, and depends on all
//! rows of one version of the corpus. What the stages write lies under `.work/` until every shard has its receipt:
//!
//! - `plan.json` says over how many buckets the keys are divided. Whoever begins decides it, and all others follow.
//! - `<buckets>/pairs/<shard>` has the pairs of a shard, a segment for each bucket;
//! - `<buckets>/results/<bucket>` the results of a bucket, a segment for each shard of the version.
//!
//! Their names hold the number of buckets, so that those of two plans never mix: a process that was held up while others
//! finished, and cleared away, may begin another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::segments::{SegmentWriter, Segments};
use super::signal::GROUPS;
use super::signal::SignalRecord;
use super::{FORMAT_VERSION, RunDirectory, RunError, RunResult, ShardRecord, SignalDir, json, shard_name};
use crate::store::Created;

/// More were never planned.
const MOST_BUCKETS: usize = 1 << 16;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    format_version: u64,
    buckets: usize,
}

/// What one unit of a stage wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// The pairs of a shard, by bucket.
    Pairs(&'a ShardRecord),
    /// The results of a bucket, by shard.
    Results(usize),
}

/// One grouping of a run.
#[derive(Clone, Debug)]
pub struct GroupingDir {
    sidecars: SignalDir,
}

impl RunDirectory {
    /// A grouping that was begun; `None` where it was not.
    ///
    /// # Errors
    /// [`RunError::FingerprintChanged`] for another one whose fingerprint begins alike; [`RunError::Corrupt`].
    pub fn grouping(&self, record: &SignalRecord) -> RunResult<Option<GroupingDir>> {
        let path = record_path(record);
        let Some(stored) = json::read::<SignalRecord>(&self.store, &path)? else { return Ok(None) };
        let changes = stored.fingerprint().changes(&record.fingerprint());
        if !changes.is_empty() {
            let (stored, asked) = (stored.full_name, record.full_name.clone());
            return Err(RunError::FingerprintChanged { stored, asked, changes });
        }
        if stored.schema != record.schema {
            return Err(RunError::corrupt(&path, "states other columns than the grouping has now"));
        }
        // No row is asked again: a grouping has one generation.
        let sidecars = SignalDir::of_grouping(self, stored).at(BTreeMap::new());
        Ok(Some(GroupingDir { sidecars }))
    }

    /// Begins a grouping, or opens it where it was begun.
    ///
    /// # Errors
    /// As [`RunDirectory::grouping`], and a store that cannot be written.
    pub fn begin_grouping(&self, record: &SignalRecord) -> RunResult<GroupingDir> {
        super::paths::check_name("grouping", &record.name)?;
        let path = record_path(record);
        json::create(&self.store, &path, record)?;
        self.grouping(record)?.ok_or_else(|| RunError::Missing {
            path,
            what: "the grouping's description, which was there a moment ago,".to_owned(),
        })
    }
}

fn record_path(record: &SignalRecord) -> String {
    format!("{GROUPS}/{}/signal.json", record.full_name)
}

impl GroupingDir {
    /// The results, row-aligned.
    #[must_use]
    pub fn sidecars(&self) -> &SignalDir {
        &self.sidecars
    }

    /// What locks of a stage are called.
    #[must_use]
    pub fn lock_name(&self, stage: &str) -> String {
        format!("{GROUPS}/{}/{stage}", self.sidecars.full_name())
    }

    /// The number of buckets: `buckets`, unless another process decided it.
    ///
    /// # Errors
    /// [`RunError::Corrupt`], or a store that cannot be written.
    pub fn buckets(&self, buckets: usize) -> RunResult<usize> {
        let path = self.work("plan.json");
        let plan = Plan { format_version: FORMAT_VERSION, buckets };
        if json::create(self.sidecars.store(), &path, &plan)? == Created::New {
            return Ok(buckets);
        }
        let stored = json::read::<Plan>(self.sidecars.store(), &path)?.unwrap_or(plan).buckets;
        if !(1..=MOST_BUCKETS).contains(&stored) {
            return Err(RunError::corrupt(&path, format!("states {stored} buckets")));
        }
        Ok(stored)
    }

    fn work(&self, rest: &str) -> String {
        self.sidecars.path(&format!(".work/{rest}"))
    }

    fn unit_path(&self, buckets: usize, unit: Unit<'_>) -> RunResult<String> {
        Ok(match unit {
            Unit::Pairs(shard) => self.work(&format!("{buckets}/pairs/{}", shard_name(&shard.path)?)),
            Unit::Results(bucket) => self.work(&format!("{buckets}/results/{bucket}")),
        })
    }

    /// Begins the file of a unit.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn write(&self, buckets: usize, unit: Unit<'_>) -> RunResult<SegmentWriter> {
        SegmentWriter::create(self.sidecars.store(), &self.unit_path(buckets, unit)?)
    }

    /// What a unit wrote, in so many segments; `None` while it has not.
    ///
    /// # Errors
    /// [`RunError::Corrupt`] where the file is damaged.
    pub fn open(&self, buckets: usize, unit: Unit<'_>, segments: usize) -> RunResult<Option<Segments>> {
        Segments::open(self.sidecars.store(), &self.unit_path(buckets, unit)?, segments)
    }

    /// Reads a segment, some records of `width` bytes at a time. What `each` was given counts only when all of it was read.
    ///
    /// # Errors
    /// [`RunError::Store`] of a file that is gone; [`RunError::Corrupt`]; what `each` says.
    ///
    /// # Panics
    /// A segment that there is not.
    pub fn read<E: From<RunError>>(
        &self,
        segments: &Segments,
        segment: usize,
        width: usize,
        each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        segments.read(self.sidecars.store(), segment, width, each)
    }

    /// Removes a file that cannot be used.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn remove(&self, path: &str) -> RunResult<()> {
        Ok(self.sidecars.store().remove(path)?)
    }

    /// Removes what the stages wrote for each other, and what a process that was killed left of the sidecars.
    ///
    /// # Errors
    /// A store that cannot be listed or written.
    pub fn clear(&self) -> RunResult<()> {
        for entry in self.sidecars.store().list(&self.sidecars.path(".work"))? {
            self.sidecars.store().remove(&entry.path)?;
        }
        self.sidecars.sweep()
    }
}
