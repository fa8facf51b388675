//! The value columns of the signal.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, StringBuilder, UInt32Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tamis_core::column;

/// NLL in nats over the bytes of the text that it is of; the default score, lower = kept first.
pub const NLL_PER_BYTE: &str = "nll_per_byte";
/// exp(mean NLL), at least 1: the paper's score.
pub const PERPLEXITY: &str = "perplexity";
/// NLL in nats over predicted tokens.
pub const MEAN_NLL: &str = "mean_nll";
/// NLL in nats of all predicted tokens together.
pub const NLL: &str = "nll";
/// Tokens that have a likelihood.
pub const PREDICTED_TOKENS: &str = "predicted_tokens";
/// Tokens that the model read for this row; those that two windows share count twice.
pub const TOKENS: &str = "tokens";
/// Tokens of the whole document, whether read or not.
pub const DOCUMENT_TOKENS: &str = "document_tokens";
/// Windows that it was read in.
pub const WINDOWS: &str = "windows";
/// Whether a part of the document was not read.
pub const TRUNCATED: &str = "truncated";

const FLOATS: [&str; 4] = [NLL_PER_BYTE, PERPLEXITY, MEAN_NLL, NLL];
const COUNTS: [&str; 4] = [PREDICTED_TOKENS, TOKENS, DOCUMENT_TOKENS, WINDOWS];

/// The schema of the value columns.
pub(super) fn schema() -> SchemaRef {
    let floats = FLOATS.map(|name| Field::new(name, DataType::Float64, true));
    let counts = COUNTS.map(|name| Field::new(name, DataType::UInt32, true));
    let others =
        [Field::new(TRUNCATED, DataType::Boolean, true), Field::new(column::FAILED, DataType::Utf8, true)];
    Arc::new(Schema::new(floats.into_iter().chain(counts).chain(others).collect::<Vec<_>>()))
}

/// A row that was scored.
#[derive(Clone, Debug)]
pub(super) struct Scored {
    pub(super) nll_per_byte: f64,
    pub(super) perplexity: f64,
    pub(super) mean_nll: f64,
    pub(super) nll: f64,
    pub(super) predicted_tokens: u32,
    pub(super) tokens: u32,
    pub(super) document_tokens: u32,
    pub(super) windows: u32,
    pub(super) truncated: bool,
}

/// The batch of some rows; a failed row is null in every column but `failed`.
pub(super) fn batch(schema: &SchemaRef, rows: &[Result<Scored, &'static str>]) -> RecordBatch {
    let mut floats: [Float64Builder; FLOATS.len()] = std::array::from_fn(|_| Float64Builder::new());
    let mut counts: [UInt32Builder; COUNTS.len()] = std::array::from_fn(|_| UInt32Builder::new());
    let (mut truncated, mut failed) = (BooleanBuilder::new(), StringBuilder::new());
    for row in rows {
        let scored = row.as_ref().ok();
        let values = scored.map(|row| [row.nll_per_byte, row.perplexity, row.mean_nll, row.nll]);
        let numbers = scored.map(|row| [row.predicted_tokens, row.tokens, row.document_tokens, row.windows]);
        for (at, builder) in floats.iter_mut().enumerate() {
            builder.append_option(values.map(|values| values[at]));
        }
        for (at, builder) in counts.iter_mut().enumerate() {
            builder.append_option(numbers.map(|numbers| numbers[at]));
        }
        truncated.append_option(scored.map(|row| row.truncated));
        failed.append_option(row.as_ref().err());
    }
    let mut columns: Vec<ArrayRef> =
        floats.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef).collect();
    columns.extend(counts.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef));
    columns.extend([Arc::new(truncated.finish()) as ArrayRef, Arc::new(failed.finish())]);
    RecordBatch::try_new(Arc::clone(schema), columns).expect("columns are built in the order of the schema")
}
