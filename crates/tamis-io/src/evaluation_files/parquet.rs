//! The texts of Parquet rows.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray;
use arrow_array::types::StringViewType;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, Fields};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::store::ChunkFile;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 1024;

/// Whether there are strings in a column, below a named key where columns are named.
fn has_texts(field: &Field, columns: Option<&[String]>) -> bool {
    let columns = columns.filter(|columns| !columns.contains(field.name()));
    let fields = |fields: &Fields| fields.iter().any(|field| has_texts(field, columns));
    match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => columns.is_none(),
        DataType::Dictionary(_, values) => is_string(values) && columns.is_none(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            has_texts(item, columns)
        }
        DataType::Struct(inner) => fields(inner),
        DataType::Map(entries, _) => has_texts(entries, columns),
        _ => false,
    }
}

fn is_string(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Gives every row's strings to `each`; the names of all columns come back.
///
/// # Errors
/// In words, what is wrong with the file; the row (from 1) by which it was.
pub(super) fn rows(
    file: &ChunkFile,
    columns: Option<&[String]>,
    each: &mut dyn FnMut(&[String]),
) -> Result<Vec<String>, (u64, String)> {
    // Decoders of hostile files may panic.
    let mut row = 0;
    let guarded = catch_unwind(AssertUnwindSafe(|| read(file, columns, &mut row, each)));
    let result = guarded.unwrap_or_else(|_| Err("the decoder gave up".to_owned()));
    result.map_err(|problem| (row + 1, file.take_failure().unwrap_or(problem)))
}

fn read(
    file: &ChunkFile,
    columns: Option<&[String]>,
    row: &mut u64,
    each: &mut dyn FnMut(&[String]),
) -> Result<Vec<String>, String> {
    let damaged = |error: &dyn std::fmt::Display| format!("cannot be read as Parquet: {error}");
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone()).map_err(|error| damaged(&error))?;
    let schema = std::sync::Arc::clone(builder.schema());
    let names = schema.fields().iter().map(|field| field.name().clone()).collect();
    let wanted = (0..schema.fields().len()).filter(|at| has_texts(schema.field(*at), columns));
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
    let mut texts = Vec::new();
    for batch in reader.map_err(|error| damaged(&error))? {
        let batch = batch.map_err(|error| damaged(&error))?;
        let schema = batch.schema();
        for at in 0..batch.num_rows() {
            texts.clear();
            for (field, array) in schema.fields().iter().zip(batch.columns()) {
                push(field, array, at, columns, &mut texts);
            }
            each(&texts);
            *row += 1;
        }
    }
    Ok(names)
}

/// The strings of one value.
fn push(field: &Field, array: &ArrayRef, at: usize, columns: Option<&[String]>, out: &mut Vec<String>) {
    if array.is_null(at) {
        return;
    }
    let columns = columns.filter(|columns| !columns.contains(field.name()));
    let mut items = |item: &Field, values: &ArrayRef| {
        (0..values.len()).for_each(|at| push(item, values, at, columns, out));
    };
    match array.data_type() {
        DataType::List(item) => items(item, &array.as_list::<i32>().value(at)),
        DataType::LargeList(item) => items(item, &array.as_list::<i64>().value(at)),
        DataType::FixedSizeList(item, _) => items(item, &array.as_fixed_size_list().value(at)),
        DataType::Map(entries, _) => {
            let inner: ArrayRef = std::sync::Arc::new(array.as_map().value(at));
            items(entries, &inner);
        }
        DataType::Struct(fields) => {
            for (field, values) in fields.iter().zip(array.as_struct().columns()) {
                push(field, values, at, columns, out);
            }
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let keys = dictionary.normalized_keys();
            push(field, dictionary.values(), keys[at], columns, out);
        }
        _ if columns.is_some() => {}
        DataType::Utf8 => out.push(array.as_string::<i32>().value(at).to_owned()),
        DataType::LargeUtf8 => out.push(array.as_string::<i64>().value(at).to_owned()),
        DataType::Utf8View => out.push(array.as_byte_view::<StringViewType>().value(at).to_owned()),
        _ => {}
    }
}
