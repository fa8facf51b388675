//! Judges and embedders against servers that answer rightly, and wrongly in every way.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop the test as its own body would")]

mod embed;
mod judge;
mod start;
mod stub;

use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch};
use tamis_core::column;
use tamis_models::prompt::{Prompt, PromptSet};
use tamis_remote::{Endpoint, JudgeOptions, RemoteJudge, Result, ServerOptions};

/// Impatient, so that tests are quick.
pub(crate) fn impatient() -> ServerOptions {
    ServerOptions {
        timeout: Duration::from_millis(700),
        retries: 2,
        back_off: Duration::from_millis(2),
        ..ServerOptions::default()
    }
}

pub(crate) fn endpoint(url: &str) -> Endpoint {
    Endpoint::parse(&format!("{url}/v1#fake")).unwrap()
}

pub(crate) fn prompts() -> PromptSet {
    PromptSet::new("test", vec![Prompt::parse("test", "Text: {document}\nGood?").unwrap()]).unwrap()
}

pub(crate) fn judge(url: &str, options: &JudgeOptions) -> Result<RemoteJudge> {
    RemoteJudge::new(&endpoint(url), &prompts(), &impatient(), options)
}

pub(crate) fn reasons(batch: &RecordBatch) -> Vec<Option<String>> {
    let failed = batch.column_by_name(column::FAILED).unwrap().as_string::<i32>();
    failed.iter().map(|reason| reason.map(str::to_owned)).collect()
}

pub(crate) fn floats(batch: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().iter().collect()
}

/// A failed row is null in every column, and a row that did not fail has a value in the first.
pub(crate) fn check_nulls(batch: &RecordBatch) {
    for (row, reason) in reasons(batch).iter().enumerate() {
        let values = &batch.columns()[..batch.num_columns() - 1];
        match reason {
            Some(_) => assert!(values.iter().all(|column| column.is_null(row)), "row {row}"),
            None => assert!(values[0].is_valid(row), "row {row}"),
        }
    }
}
