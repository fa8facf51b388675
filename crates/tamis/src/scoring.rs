//! How to score, and what came of it.

use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::Result;
use crate::again::FailedRows;
use crate::map::{MapReport, Worker};

/// How to score, beside what.
#[derive(Clone, Copy, Debug)]
pub struct ScoreOptions {
    /// Which shards.
    pub worker: Worker,
    /// Keep a signal of the same name that was computed otherwise.
    pub beside: bool,
    /// Fit a new sketch although one is there.
    pub refit: bool,
    /// Rows of earlier calls that have no value.
    pub failed: FailedRows,
    /// Whether a worker waits for what others have to do first, rather than ending with [`Error::Waiting`](crate::Error::Waiting).
    pub wait: bool,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self { worker: Worker::ALONE, beside: false, refit: false, failed: FailedRows::Keep, wait: false }
    }
}

/// What scoring did.
#[derive(Clone, Debug)]
pub struct ScoreReport {
    /// What the map did.
    pub map: MapReport,
    /// Sentences that a person should read: what the judge or the sketch is worth here.
    pub findings: Vec<String>,
    /// Rows of the corpus that are documents or should have been.
    pub documents_in: u64,
    /// Rows that could not be read, by reason.
    pub unreadable: BTreeMap<String, u64>,
    /// What lies among the shards and was not read: how many files, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
}

impl ScoreReport {
    /// Rows that could not be read, and rows without a score, by reason.
    #[must_use]
    pub fn failed_by_reason(&self) -> BTreeMap<String, u64> {
        let mut reasons = self.map.failed.clone();
        for (reason, count) in &self.unreadable {
            *reasons.entry(reason.clone()).or_default() += count;
        }
        reasons
    }

    /// All of them.
    #[must_use]
    pub fn failed_rows(&self) -> u64 {
        self.map.failed.values().chain(self.unreadable.values()).sum()
    }
}

/// The object that `--json` prints: counts of documents, rows that failed by reason, tokens and seconds of this call.
impl Serialize for ScoreReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map = &self.map;
        let mut object = serializer.serialize_struct("ScoreReport", 13)?;
        object.serialize_field("signal", &map.signal)?;
        object.serialize_field("documents_in", &self.documents_in)?;
        object.serialize_field("documents", &map.documents)?;
        object.serialize_field("computed", &map.computed)?;
        object.serialize_field("asked_again", &map.asked_again)?;
        object.serialize_field("mended", &map.mended)?;
        object.serialize_field("failed", &self.failed_rows())?;
        object.serialize_field("failed_by_reason", &self.failed_by_reason())?;
        object.serialize_field("tokens", &map.tokens)?;
        object.serialize_field("unfinished_shards", &map.unfinished_shards)?;
        object.serialize_field("findings", &self.findings)?;
        object.serialize_field("seconds", &map.seconds)?;
        object.serialize_field("left_out", &self.left_out)?;
        object.end()
    }
}
