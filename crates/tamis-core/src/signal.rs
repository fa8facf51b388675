//! Anything that is computed per document.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::{Direction, Error, Fingerprint, Result, Rule, column};

/// What a signal reads: documents or not, and the values of any number of other signals.
///
/// A batch for [`Signal::annotate`] has the columns `row` and `doc_key`, those of the documents ([`crate::DocumentBatch`]) where
/// they are read, and every value column of each signal that is read, with `failed`, as `ROLE.column`
/// ([`Input::of_role`] gives them back under their own names). A row that failed there is null and has a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Whether documents are read.
    pub documents: bool,
    /// Signals by what they are to this one.
    pub signals: Vec<InputSignal>,
}

/// Another signal that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSignal {
    /// What it is here, e.g. `embedding`; no two have the same.
    pub role: String,
    /// Its full name, e.g. `embed@0a1b2c3d`. Its fingerprint belongs into that of the signal that reads it.
    pub name: String,
}

impl Input {
    /// Documents and nothing else.
    pub const DOCUMENTS: Self = Self { documents: true, signals: Vec::new() };

    /// One signal, and no documents.
    pub fn signal(role: impl Into<String>, name: impl Into<String>) -> Self {
        Self { documents: false, signals: Vec::new() }.and(role, name)
    }

    /// One more signal.
    #[must_use]
    pub fn and(mut self, role: impl Into<String>, name: impl Into<String>) -> Self {
        self.signals.push(InputSignal { role: role.into(), name: name.into() });
        self
    }

    /// The name of a signal's column in the batch of one that reads it.
    #[must_use]
    pub fn column(role: &str, column: &str) -> String {
        format!("{role}.{column}")
    }

    /// The rows of a sidecar as columns of a role; the opposite of [`Input::of_role`].
    ///
    /// # Errors
    /// A bug: names that repeat.
    pub fn in_role(sidecar: &RecordBatch, role: &str) -> Result<RecordBatch> {
        let schema = sidecar.schema();
        let renamed = |field: &Field| match field.name().as_str() {
            column::ROW | column::DOC_KEY => field.clone(),
            name => Field::new(Self::column(role, name), field.data_type().clone(), field.is_nullable()),
        };
        let fields: Vec<Field> = schema.fields().iter().map(|field| renamed(field)).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), sidecar.columns().to_vec())?)
    }

    /// The columns of one role under their own names, after `row` and `doc_key`.
    ///
    /// # Errors
    /// [`Error::MissingColumn`] when the batch has no column of the role, or has no rows and keys.
    pub fn of_role(batch: &RecordBatch, role: &str) -> Result<RecordBatch> {
        let schema = batch.schema();
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for name in [column::ROW, column::DOC_KEY] {
            let (at, field) = schema
                .column_with_name(name)
                .ok_or_else(|| Error::MissingColumn { column: name.to_owned() })?;
            fields.push(field.clone());
            columns.push(Arc::clone(batch.column(at)));
        }
        for (field, values) in schema.fields().iter().zip(batch.columns()) {
            if let Some(name) = field.name().strip_prefix(role).and_then(|rest| rest.strip_prefix('.')) {
                fields.push(Field::new(name, field.data_type().clone(), field.is_nullable()));
                columns.push(Arc::clone(values));
            }
        }
        if columns.len() == 2 {
            return Err(Error::MissingColumn { column: Self::column(role, "…") });
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
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
    /// Bytes of text after which a part is worth committing: about ten seconds of work of one worker. Where workers would have
    /// nothing to do otherwise, parts are smaller.
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

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Float64Array};
    use arrow_schema::DataType;

    use super::*;
    use crate::DocumentBatch;

    #[test]
    fn columns_of_a_role_come_back_under_their_own_names() {
        let documents = DocumentBatch::from_texts(["a", "b"]);
        let keys = documents.as_arrow().project(&[0, 2]).unwrap();
        let score: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1.5]));
        let fields = [keys.schema().field(0).clone(), keys.schema().field(1).clone()];
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, [column::ROW, column::DOC_KEY]);
        let schema = Schema::new(vec![
            fields[0].clone(),
            fields[1].clone(),
            Field::new(column::SCORE, DataType::Float64, true),
        ]);
        let columns = vec![Arc::clone(keys.column(0)), Arc::clone(keys.column(1)), score];
        let sidecar = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        let read = Input::in_role(&sidecar, "x").unwrap();
        assert_eq!(read.schema().field(2).name(), "x.score");
        assert_eq!(Input::of_role(&read, "x").unwrap(), sidecar);
        // A name that another begins with is another role.
        assert!(Input::of_role(&read, "x.sc").is_err());
        assert!(Input::of_role(&read, "").is_err());
        assert!(Input::of_role(documents.as_arrow(), "x").is_err());
    }
}
