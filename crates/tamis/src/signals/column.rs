//! `column:NAME`: a number that the corpus already carries, as a signal like any other.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use tamis_core::{
    Digest, Direction, Error, Fingerprint, Input, Parallelism, Ranking, Result, Rule, Signal, SignalInfo,
    column, reason,
};
use tamis_io::run::{CorpusVersion, SignalDir};

use super::{Definition, Named, Ready, SignalOptions};
use crate::Observer;
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};

/// What the names of these signals begin with.
const PREFIX: &str = "column:";

/// A number that the corpus already carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnOptions {
    /// Name of the column.
    pub name: String,
}

impl Named for ColumnOptions {
    const NAME: &'static str = "column:NAME";
    const HELP: &'static str = "the number that it has in a column of the corpus";

    fn named(name: &str) -> Option<Self> {
        let column = name.strip_prefix(PREFIX).filter(|column| !column.is_empty())?;
        Some(Self { name: column.to_owned() })
    }
}

impl Definition for ColumnOptions {
    fn user_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    fn stored_name(&self) -> String {
        stored_name(&self.name)
    }

    fn column(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn check(&self, project: &Project) -> crate::Result<()> {
        if project.has_signal(&self.stored_name())? {
            return Ok(());
        }
        project.check_columns(&[self.name.as_str()], PREFIX).map(drop)
    }

    fn foreseen(&self) -> crate::Result<Option<SignalInfo>> {
        Ok(Some(ColumnSignal::new(&self.name).info))
    }

    fn build(&self, _observer: &dyn Observer) -> crate::Result<Ready> {
        Ok(Ready::exact(ColumnSignal::new(&self.name)))
    }

    fn score(
        &self,
        project: &Project,
        version: &CorpusVersion,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> crate::Result<(SignalDir, ScoreReport)> {
        if !project.has_signal(&self.stored_name())? {
            project.unsure_columns(&[self.name.as_str()], PREFIX)?;
        }
        project.score_by_rows(version, asked, options)
    }
}

/// Reads one carried column as a finite number.
struct ColumnSignal {
    name: String,
    info: SignalInfo,
}

/// `column:quality` is stored as `column-quality`.
fn stored_name(name: &str) -> String {
    stored_as("column", name)
}

/// Name of a signal for a column of the corpus. One with other characters, or too long for a name, gets a part of its digest,
/// so that `a.b` and `a-b` are two signals: `column-a-b-5f1d6c2e`.
pub(crate) fn stored_as(kind: &str, name: &str) -> String {
    /// With what stands before it, a name that a run directory takes.
    const LONGEST: usize = 90;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.len() <= LONGEST && name.chars().all(is_plain) {
        return format!("{kind}-{name}");
    }
    let readable: String = name.chars().map(|c| if is_plain(c) { c } else { '-' }).take(40).collect();
    format!("{kind}-{readable}-{}", &Digest::of(name.as_bytes()).to_string()[..8])
}

impl ColumnSignal {
    fn new(name: &str) -> Self {
        let schema = Schema::new(vec![
            Field::new(column::SCORE, DataType::Float64, true),
            Field::new(column::FAILED, DataType::Utf8, true),
        ]);
        let info = SignalInfo {
            name: stored_name(name),
            fingerprint: Fingerprint::new("column", 1).with("column", name),
            input: Input::DOCUMENTS,
            parallelism: Parallelism::PerCore,
            schema: Arc::new(schema),
            ranking: Some(Ranking {
                column: column::SCORE.to_owned(),
                direction: Direction::HigherIsBetter,
                rule: Rule::Top,
            }),
            part_bytes: 32 << 20,
            notes: BTreeMap::new(),
        };
        Self { name: name.to_owned(), info }
    }
}

impl Signal for ColumnSignal {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
        let values = input
            .column_by_name(&self.name)
            .and_then(|array| array.as_string_opt::<i32>())
            .ok_or_else(|| Error::MissingColumn { column: self.name.clone() })?;
        let parsed: Vec<std::result::Result<f64, &str>> = (0..values.len())
            .map(|at| {
                if values.is_null(at) {
                    return Err(reason::MISSING_OR_NULL);
                }
                let number = match values.value(at) {
                    "true" => Ok(1.0),
                    "false" => Ok(0.0),
                    text => text.trim().parse::<f64>().map_err(|_| reason::NOT_A_NUMBER),
                }?;
                if number.is_finite() { Ok(number) } else { Err(reason::NOT_A_NUMBER) }
            })
            .collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from_iter(parsed.iter().map(|value| value.ok()))),
            Arc::new(StringArray::from_iter(parsed.iter().map(|value| value.err()))),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_other_names_are_other_signals() {
        assert_eq!(stored_name("quality"), "column-quality");
        let names: std::collections::BTreeSet<_> =
            ["a.b", "a-b", "a b", "a_b", "質", "點"].map(stored_name).into();
        assert_eq!(names.len(), 6);
    }
}
