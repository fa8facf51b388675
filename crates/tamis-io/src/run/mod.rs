//! The run directory: what was computed about a corpus, so that it can be resumed, merged, inspected and used again.
//!
//! Three rules hold everywhere. *Put if absent*: a file is written whole, becomes visible in one step, and is neither
//! changed nor extended afterwards; of two writers the first wins and the other compares. *What counts is what has a
//! receipt*: a sidecar or an inventory without its receipt is unfinished work, and resuming means doing what has none. *No
//! state elsewhere*: any number of processes on any number of machines may share the directory, because everything that
//! they have to know of each other is in these files. `docs/run-directory.md` describes each of them.
//!
//! Letters used in the documentation: N documents of a shard.
//!
//! Not here: what to compute, in which order, and what a score means; the driver decides that.

mod architecture;
mod audit;
mod corpus;
mod error;
mod frozen;
mod generation;
mod grouping;
mod inventory;
mod json;
mod lock;
mod partials;
mod parts;
mod paths;
mod quarantine;
mod receipt;
mod segments;
mod selection;
mod signal;

pub use architecture::ArchitectureNote;
pub use audit::{AuditRecord, redact, secrets_in_environment};
pub use corpus::{CorpusColumns, CorpusVersion, IdColumn, PART_TEXT_BYTES, PartRecord, ShardRecord};
pub use error::{Candidate, RowSpan, RunError, RunResult};
pub use frozen::Frozen;
pub use grouping::{GroupingDir, Unit};
pub use inventory::{InventoryReceipt, InventoryWriter, ShardEnd, inventory_rows};
pub use json::FORMAT_VERSION;
pub use lock::ShardLock;
pub use partials::Partials;
pub use parts::PartScan;
pub use paths::{check_shard_names, shard_name, shard_stem};
pub use quarantine::{KeepText, QuarantineWriter, Quarantined};
pub use receipt::{AskedAgain, ShardReceipt};
pub use segments::{SegmentWriter, Segments};
pub use selection::{SelectionDir, SelectionPlan};
pub use signal::{
    ALL_ROWS, Beside, ColumnRecord, GATE, GATE_NOTE, REVISION_NOTE, Repeatability, SignalDir, SignalRecord,
};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::store::Store;

/// Names of the inventory's columns, beside those of [`tamis_core::column`].
pub mod inventory_column {
    /// 128-bit xxh3 of the text, 16 bytes.
    pub const TEXT_DIGEST: &str = "text_digest";
    /// Length of the text in bytes of UTF-8.
    pub const BYTES: &str = "bytes";
    /// Length of the text in Unicode scalar values.
    pub const CHARACTERS: &str = "characters";
}

const MARK: &str = "run.json";

/// Says that a folder is a run directory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    format_version: u64,
    kind: String,
}

/// A run directory: a folder, or a prefix in an object store.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    store: Store,
    /// See [`RunDirectory::within`].
    gate: Option<Arc<str>>,
}

/// Whether a folder or prefix is marked as a run directory.
#[must_use]
pub fn is_run_directory(folder: &Store) -> bool {
    matches!(json::read::<Mark>(folder, MARK), Ok(Some(_)))
}

impl RunDirectory {
    /// Opens a run directory.
    ///
    /// # Errors
    /// [`RunError::NotARun`] when there is none; [`RunError::Newer`] when a later tamis made it.
    pub fn open(store: Store) -> RunResult<Self> {
        match json::read::<Mark>(&store, MARK)? {
            Some(_) => Ok(Self { store, gate: None }),
            None => Err(RunError::NotARun { location: store.location("") }),
        }
    }

    /// Opens a run directory, or makes one where there is none. Temporary files that a writer left behind a day ago or
    /// earlier, because it was killed, are removed.
    ///
    /// # Errors
    /// [`RunError::Newer`], or what the store says.
    pub fn open_or_create(store: Store) -> RunResult<Self> {
        let mark = Mark { format_version: FORMAT_VERSION, kind: "tamis run directory".to_owned() };
        if json::read::<Mark>(&store, MARK)?.is_none() {
            json::create(&store, MARK, &mark)?;
        }
        store.remove_stale_temporaries(Store::STALE)?;
        Ok(Self { store, gate: None })
    }

    /// Opens a run directory that may not be there yet, to look and not to write: nothing is made.
    ///
    /// # Errors
    /// [`RunError::Newer`], or what the store says.
    pub fn peek(store: Store) -> RunResult<Self> {
        json::read::<Mark>(&store, MARK)?;
        Ok(Self { store, gate: None })
    }

    /// The same run as those see it who ask only some of its documents: signals are those whose field [`GATE`] has this digest.
    #[must_use]
    pub fn within(&self, gate: &str) -> Self {
        Self { store: self.store.clone(), gate: Some(gate.into()) }
    }

    /// The same run as those see it who ask all documents.
    #[must_use]
    pub fn of_all(&self) -> Self {
        Self { store: self.store.clone(), gate: None }
    }

    /// Where it lies.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }
}
