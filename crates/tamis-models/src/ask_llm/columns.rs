//! The value columns of the signal, whoever judges.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, ListBuilder, StringBuilder, UInt32Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tamis_core::column;

/// ln P(yes) − ln P(no).
pub const LOG_ODDS: &str = "log_odds";
/// ln of `p_yes`.
pub const LOG_P_YES: &str = "log_p_yes";
/// ln of `p_no`.
pub const LOG_P_NO: &str = "log_p_no";
/// P(yes), the paper's score; of a reversed prompt, P(no): the answer that speaks for the document.
pub const P_YES: &str = "p_yes";
/// P(no); of a reversed prompt, P(yes).
pub const P_NO: &str = "p_no";
/// `p_yes / (p_yes + p_no)`.
pub const CONTRAST: &str = "contrast";
/// Tokens that the model read for this row, the shared prefix left out, over all prompts and windows.
pub const TOKENS: &str = "tokens";
/// Tokens of the whole document, whether read or not.
pub const DOCUMENT_TOKENS: &str = "document_tokens";
/// Whether a part of the document was not read.
pub const TRUNCATED: &str = "truncated";
/// Whether the document holds a string by which it could imitate the end of the prompt.
pub const DELIMITER_IN_TEXT: &str = "delimiter_in_text";
/// `log_odds` under each prompt of the set, in its order.
pub const LOG_ODDS_BY_PROMPT: &str = "log_odds_by_prompt";

const FLOATS: [&str; 7] = [column::SCORE, LOG_P_YES, LOG_P_NO, P_YES, P_NO, CONTRAST, LOG_ODDS];

/// Columns that one kind of judge has beside those of all.
#[derive(Clone, Copy, Debug, Default)]
pub struct More {
    /// Of numbers.
    pub floats: &'static [&'static str],
    /// Of yes or no.
    pub flags: &'static [&'static str],
}

/// A row that was scored.
#[derive(Clone, Debug)]
pub struct Scored {
    /// `score`, `log_p_yes`, `log_p_no`, `p_yes`, `p_no`, `contrast`, `log_odds`.
    pub floats: [Option<f64>; 7],
    /// Those of [`More::floats`].
    pub more: Vec<Option<f64>>,
    /// Those of [`More::flags`].
    pub flags: Vec<bool>,
    /// See [`TOKENS`].
    pub tokens: Option<u32>,
    /// See [`DOCUMENT_TOKENS`].
    pub document_tokens: Option<u32>,
    /// See [`TRUNCATED`].
    pub truncated: Option<bool>,
    /// See [`DELIMITER_IN_TEXT`].
    pub delimiter_in_text: bool,
    /// See [`LOG_ODDS_BY_PROMPT`].
    pub log_odds_by_prompt: Vec<Option<f64>>,
}

/// The schema of the value columns.
#[must_use]
pub fn schema(more: More) -> SchemaRef {
    let floats = FLOATS.iter().chain(more.floats).map(|name| Field::new(*name, DataType::Float64, true));
    let flags = more.flags.iter().map(|name| Field::new(*name, DataType::Boolean, true));
    let mut fields: Vec<Field> = floats.chain(flags).collect();
    fields.extend([
        Field::new(TOKENS, DataType::UInt32, true),
        Field::new(DOCUMENT_TOKENS, DataType::UInt32, true),
        Field::new(TRUNCATED, DataType::Boolean, true),
        Field::new(DELIMITER_IN_TEXT, DataType::Boolean, true),
        Field::new(LOG_ODDS_BY_PROMPT, DataType::new_list(DataType::Float64, true), true),
        Field::new(column::FAILED, DataType::Utf8, true),
    ]);
    Arc::new(Schema::new(fields))
}

/// The batch of some rows, of the [`schema`] with the same `more`; a failed row is null in every column but `failed`.
///
/// # Panics
/// A row with fewer values of `more`.
#[must_use]
pub fn batch(schema: &SchemaRef, more: More, rows: &[Result<Scored, &'static str>]) -> RecordBatch {
    let mut floats: Vec<Float64Builder> =
        FLOATS.iter().chain(more.floats).map(|_| Float64Builder::new()).collect();
    let mut flags: Vec<BooleanBuilder> = more.flags.iter().map(|_| BooleanBuilder::new()).collect();
    let (mut tokens, mut document_tokens) = (UInt32Builder::new(), UInt32Builder::new());
    let (mut truncated, mut delimiter) = (BooleanBuilder::new(), BooleanBuilder::new());
    let mut by_prompt = ListBuilder::new(Float64Builder::new());
    let mut failed = StringBuilder::new();
    for row in rows {
        let scored = row.as_ref().ok();
        let (own, others) = floats.split_at_mut(FLOATS.len());
        for (at, builder) in own.iter_mut().enumerate() {
            builder.append_option(scored.and_then(|row| row.floats[at]));
        }
        for (at, builder) in others.iter_mut().enumerate() {
            builder.append_option(scored.and_then(|row| row.more[at]));
        }
        for (at, builder) in flags.iter_mut().enumerate() {
            builder.append_option(scored.map(|row| row.flags[at]));
        }
        tokens.append_option(scored.and_then(|row| row.tokens));
        document_tokens.append_option(scored.and_then(|row| row.document_tokens));
        truncated.append_option(scored.and_then(|row| row.truncated));
        delimiter.append_option(scored.map(|row| row.delimiter_in_text));
        by_prompt.append_option(scored.map(|row| row.log_odds_by_prompt.iter().copied()));
        failed.append_option(row.as_ref().err());
    }
    let mut columns: Vec<ArrayRef> =
        floats.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef).collect();
    columns.extend(flags.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef));
    columns.extend([
        Arc::new(tokens.finish()) as ArrayRef,
        Arc::new(document_tokens.finish()),
        Arc::new(truncated.finish()),
        Arc::new(delimiter.finish()),
        Arc::new(by_prompt.finish()),
        Arc::new(failed.finish()),
    ]);
    RecordBatch::try_new(Arc::clone(schema), columns).expect("columns are built in the order of the schema")
}
