//! The value columns of the signal, whoever embeds.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, StringBuilder, UInt32Builder};
use arrow_array::{ArrayRef, FixedSizeListArray, Float16Array, Float32Array, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use half::f16;
use tamis_core::column;

use super::Precision;

/// Tokens that the encoder read, special ones included; of a server the document's own, null where it does not say.
pub const TOKENS: &str = "tokens";
/// Whether the end of the document was not read; null where a server does not say.
pub const TRUNCATED: &str = "truncated";

/// A document that was embedded.
#[derive(Clone, Copy, Debug)]
pub struct Embedded<'v> {
    /// As many numbers as the signal's dimension.
    pub values: &'v [f32],
    /// See [`TOKENS`].
    pub tokens: Option<usize>,
    /// See [`TRUNCATED`].
    pub truncated: Option<bool>,
}

fn item(precision: Precision) -> FieldRef {
    let data_type = match precision {
        Precision::F16 => DataType::Float16,
        Precision::F32 => DataType::Float32,
    };
    Arc::new(Field::new("item", data_type, false))
}

fn list_size(dimension: usize) -> i32 {
    i32::try_from(dimension).expect("the width is checked when the model is loaded or the server found")
}

/// The schema of embeddings of so many numbers.
///
/// # Panics
/// A dimension beyond 2³¹ − 1.
#[must_use]
pub fn schema(dimension: usize, precision: Precision) -> SchemaRef {
    let list = DataType::FixedSizeList(item(precision), list_size(dimension));
    Arc::new(Schema::new(vec![
        Field::new(column::EMBEDDING, list, true),
        Field::new(TOKENS, DataType::UInt32, true),
        Field::new(TRUNCATED, DataType::Boolean, true),
        Field::new(column::FAILED, DataType::Utf8, true),
    ]))
}

/// The batch of some rows, of a [`schema`] of this dimension and precision; a failed row is null in every column but `failed`.
///
/// # Panics
/// A row of another dimension.
#[must_use]
pub fn batch(
    schema: &SchemaRef,
    dimension: usize,
    precision: Precision,
    rows: &[Result<Embedded<'_>, &'static str>],
) -> RecordBatch {
    let mut flat = Vec::with_capacity(rows.len() * dimension);
    let (mut tokens, mut truncated) = (UInt32Builder::new(), BooleanBuilder::new());
    let mut failed = StringBuilder::new();
    for row in rows {
        let embedded = row.as_ref().ok();
        match embedded {
            Some(embedded) => flat.extend_from_slice(embedded.values),
            None => flat.resize(flat.len() + dimension, 0.0),
        }
        let read = embedded.and_then(|row| row.tokens);
        tokens.append_option(read.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)));
        truncated.append_option(embedded.and_then(|row| row.truncated));
        failed.append_option(row.as_ref().err());
    }
    let numbers: ArrayRef = match precision {
        Precision::F16 => Arc::new(Float16Array::from_iter_values(flat.into_iter().map(f16::from_f32))),
        Precision::F32 => Arc::new(Float32Array::from(flat)),
    };
    let nulls = NullBuffer::from_iter(rows.iter().map(Result::is_ok));
    let list = FixedSizeListArray::try_new(item(precision), list_size(dimension), numbers, Some(nulls))
        .expect("every row has as many numbers as the list is wide");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(list),
        Arc::new(tokens.finish()),
        Arc::new(truncated.finish()),
        Arc::new(failed.finish()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).expect("columns are built in the order of the schema")
}
