//! Anything that is computed per document.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::{Direction, Fingerprint, Result, Rule};

/// What a signal reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Batches of documents ([`crate::DocumentBatch`]).
    Documents,
    /// The sidecar of another signal, by its full name, e.g. `embed@0a1b2c3d`.
    Signal(String),
}

/// How many calls to [`Signal::annotate`] may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parallelism {
    /// One single-threaded worker a core.
    PerCore,
    /// One call at a time, on a device that it fills alone.
    Exclusive,
    /// Up to this many calls that mostly wait.
    InFlight(usize),
}

/// How a signal is used for selection unless the user says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranking {
    /// The default column.
    pub column: String,
    /// Which end of it is better.
    pub direction: Direction,
    /// The default rule.
    pub rule: Rule,
}

/// Everything about a signal that does not depend on a document.
#[derive(Clone, Debug)]
pub struct SignalInfo {
    /// Short name, e.g. `ask-llm`; with the fingerprint's first digits it names the sidecar.
    pub name: String,
    /// What decides the values.
    pub fingerprint: Fingerprint,
    /// What is read.
    pub input: Input,
    /// How many calls may run at once.
    pub parallelism: Parallelism,
    /// The value columns that [`Signal::annotate`] returns, `failed` included as the last one.
    pub schema: SchemaRef,
    /// Default use in selection; `None` for a signal that is no score, such as an embedding.
    pub ranking: Option<Ranking>,
    /// Bytes of text after which a part is worth committing: about ten seconds of work of one worker.
    pub part_bytes: u64,
    /// What a reader of `signal.json` should know beside the fingerprint (licences, spellings, rendered prompt).
    pub notes: BTreeMap<String, String>,
}

/// A function from a batch of rows to one row of values each.
///
/// Implementors promise: as many rows out as in, in the same order; a row that cannot be scored is null in every value
/// column and has a reason in `failed`; the values of a row do not depend on the other rows of the batch.
pub trait Signal: Send + Sync {
    /// Name, fingerprint, schema and the like.
    fn info(&self) -> &SignalInfo;

    /// Computes the value columns of [`SignalInfo::schema`] for every row of `input`.
    ///
    /// # Errors
    /// Only for what concerns the whole signal (a device is lost, a batch of the wrong schema); the part is retried or the
    /// run stops. What concerns one row is a null and a reason.
    fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch>;
}
