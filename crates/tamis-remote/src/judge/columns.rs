//! The value columns: those of the embedded engine, and four that say what the server did not show.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, ListBuilder, StringBuilder, UInt32Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tamis_core::column;
use tamis_models::ask_llm::columns::{
    CONTRAST, DELIMITER_IN_TEXT, DOCUMENT_TOKENS, LOG_ODDS, LOG_ODDS_BY_PROMPT, LOG_P_NO, LOG_P_YES, P_NO,
    P_YES, TOKENS, TRUNCATED,
};

use crate::answer::{Seen, Side};
use crate::cut::Piece;

/// Probability of all tokens that the server did not show.
pub const P_UNSEEN: &str = "p_unseen";
/// Largest probability that yes may have, in [`P_YES`] … 1.
pub const P_YES_AT_MOST: &str = "p_yes_at_most";
/// Largest probability that no may have.
pub const P_NO_AT_MOST: &str = "p_no_at_most";
/// Whether `score` is a bound because one of the answers was not shown.
pub const BOUNDED: &str = "bounded";

const FLOATS: [&str; 10] = [
    column::SCORE,
    LOG_P_YES,
    LOG_P_NO,
    P_YES,
    P_NO,
    CONTRAST,
    LOG_ODDS,
    P_UNSEEN,
    P_YES_AT_MOST,
    P_NO_AT_MOST,
];

pub(crate) fn schema() -> SchemaRef {
    let mut fields: Vec<Field> =
        FLOATS.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect();
    fields.extend([
        Field::new(BOUNDED, DataType::Boolean, true),
        Field::new(TOKENS, DataType::UInt32, true),
        Field::new(DOCUMENT_TOKENS, DataType::UInt32, true),
        Field::new(TRUNCATED, DataType::Boolean, true),
        Field::new(DELIMITER_IN_TEXT, DataType::Boolean, true),
        Field::new(LOG_ODDS_BY_PROMPT, DataType::new_list(DataType::Float64, true), true),
        Field::new(column::FAILED, DataType::Utf8, true),
    ]);
    Arc::new(Schema::new(fields))
}

/// A row that was scored: means over its prompts.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    floats: [Option<f64>; FLOATS.len()],
    bounded: bool,
    tokens: Option<u32>,
    document_tokens: Option<u32>,
    truncated: Option<bool>,
    delimiter_in_text: bool,
    log_odds_by_prompt: Vec<Option<f64>>,
}

impl Scored {
    /// `None` when some prompt showed neither answer. A mean is null where one of its terms is.
    pub(crate) fn new(
        seen: &[Seen],
        tokens: Option<u32>,
        piece: &Piece<'_>,
        delimiter_in_text: bool,
    ) -> Option<Self> {
        let n = seen.len() as f64;
        let mean = |of: &dyn Fn(&Seen) -> Option<f64>| -> Option<f64> {
            seen.iter().map(of).sum::<Option<f64>>().map(|sum| sum / n)
        };
        let score = mean(&Seen::score)?;
        // One prompt's own logarithm: exp and ln would lose bits.
        let log_mean = |side: &dyn Fn(&Seen) -> Side| match seen {
            [one] => side(one).shown,
            _ => mean(&|seen| side(seen).shown.map(libm::exp)).map(libm::log),
        };
        let (log_yes, log_no) = (log_mean(&|seen| seen.yes), log_mean(&|seen| seen.no));
        let log_odds_by_prompt: Vec<Option<f64>> = seen.iter().map(Seen::log_odds).collect();
        let floats = [
            Some(score),
            log_yes,
            log_no,
            log_yes.map(libm::exp),
            log_no.map(libm::exp),
            log_yes.zip(log_no).map(|(yes, no)| 1.0 / (1.0 + libm::exp(no - yes))),
            mean(&Seen::log_odds),
            mean(&|seen| Some(seen.unseen)),
            mean(&|seen| Some(libm::exp(seen.yes.log_at_most))),
            mean(&|seen| Some(libm::exp(seen.no.log_at_most))),
        ];
        Some(Self {
            floats,
            bounded: log_odds_by_prompt.iter().any(Option::is_none),
            tokens,
            document_tokens: piece.document_tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)),
            truncated: piece.truncated,
            delimiter_in_text,
            log_odds_by_prompt,
        })
    }
}

/// The batch of some rows; a failed row is null in every column but `failed`.
pub(crate) fn batch(schema: &SchemaRef, rows: &[Result<Scored, &'static str>]) -> RecordBatch {
    let mut floats: [Float64Builder; FLOATS.len()] = std::array::from_fn(|_| Float64Builder::new());
    let (mut tokens, mut document_tokens) = (UInt32Builder::new(), UInt32Builder::new());
    let [mut bounded, mut truncated, mut delimiter] = std::array::from_fn(|_| BooleanBuilder::new());
    let mut by_prompt = ListBuilder::new(Float64Builder::new());
    let mut failed = StringBuilder::new();
    for row in rows {
        let scored = row.as_ref().ok();
        for (at, builder) in floats.iter_mut().enumerate() {
            builder.append_option(scored.and_then(|row| row.floats[at]));
        }
        bounded.append_option(scored.map(|row| row.bounded));
        tokens.append_option(scored.and_then(|row| row.tokens));
        document_tokens.append_option(scored.and_then(|row| row.document_tokens));
        truncated.append_option(scored.and_then(|row| row.truncated));
        delimiter.append_option(scored.map(|row| row.delimiter_in_text));
        by_prompt.append_option(scored.map(|row| row.log_odds_by_prompt.iter().copied()));
        failed.append_option(row.as_ref().err());
    }
    let mut columns: Vec<ArrayRef> =
        floats.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef).collect();
    columns.extend([
        Arc::new(bounded.finish()) as ArrayRef,
        Arc::new(tokens.finish()),
        Arc::new(document_tokens.finish()),
        Arc::new(truncated.finish()),
        Arc::new(delimiter.finish()),
        Arc::new(by_prompt.finish()),
        Arc::new(failed.finish()),
    ]);
    RecordBatch::try_new(Arc::clone(schema), columns).expect("columns are built in the order of the schema")
}
