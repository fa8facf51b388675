//! Rows of Parquet as objects of JSON.
//!
//! Strings, booleans, integers, and floats (the shortest decimal that reads back as the same bits; JSON has no word for NaN and infinity,
//! which become null), lists, structs and maps (of strings to what is here). Times, dates, decimals and bytes have no word of their own in
//! JSON: whoever has them keeps Parquet. What is null is null and not left out.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, StringViewType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelector;

use super::parquet_shard::{ParquetShard, Slice};
use super::{CorpusError, CorpusResult};

impl ParquetShard {
    pub(super) fn check_objects(&self) -> CorpusResult<()> {
        let schema = self.schema();
        match schema.fields().iter().find(|field| !has_word(field.data_type())) {
            None => Ok(()),
            Some(field) => Err(CorpusError::Unsupported {
                shard: self.path().to_owned(),
                part: format!("column `{}`", field.name()),
                problem: format!("JSON has no word for {}", field.data_type()),
                remedy: "export as Parquet, which keeps every column",
            }),
        }
    }

    /// See [`super::Block::objects`].
    pub(super) fn objects(&self, slice: Slice, first_row: u64, rows: &[u64]) -> CorpusResult<Vec<Vec<u8>>> {
        self.check_objects()?;
        let mut selection = vec![RowSelector::skip(index(slice.offset))];
        let mut at = first_row;
        for row in rows {
            if *row < at || *row >= first_row + slice.rows {
                let problem = format!("there is no row {row} here");
                return Err(CorpusError::Damaged {
                    shard: self.path().to_owned(),
                    row: *row,
                    byte: 0,
                    problem,
                });
            }
            selection.extend([RowSelector::skip(index(row - at)), RowSelector::select(1)]);
            at = row + 1;
        }
        selection.retain(|run| run.row_count > 0);
        let mut objects = Vec::with_capacity(rows.len());
        self.each_batch(slice, first_row, ProjectionMask::all(), selection, &mut |_, batch| {
            objects.extend((0..batch.num_rows()).map(|at| object(batch, at)));
            Ok(())
        })?;
        Ok(objects)
    }
}

/// Rows of one row group fit: they were counted against a header that was read.
fn index(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

fn has_word(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Null | T::Boolean | T::Utf8 | T::LargeUtf8 | T::Utf8View => true,
        T::Float16 | T::Float32 | T::Float64 => true,
        T::Dictionary(_, values) => matches!(**values, T::Utf8 | T::LargeUtf8),
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => has_word(item.data_type()),
        T::Struct(fields) => fields.iter().all(|field| has_word(field.data_type())),
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) if fields.len() == 2 => {
                matches!(fields[0].data_type(), T::Utf8 | T::LargeUtf8) && has_word(fields[1].data_type())
            }
            _ => false,
        },
        other => other.is_integer(),
    }
}

fn object(batch: &RecordBatch, at: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let schema = batch.schema_ref();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    members(&mut out, names.zip(batch.columns()), at);
    out.push(b'\n');
    out
}

fn members<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = (&'a str, &'a ArrayRef)>, at: usize) {
    out.push(b'{');
    for (n, (name, array)) in values.enumerate() {
        if n > 0 {
            out.extend_from_slice(b", ");
        }
        string(out, name);
        out.extend_from_slice(b": ");
        value(out, array, at);
    }
    out.push(b'}');
}

fn items(out: &mut Vec<u8>, array: &ArrayRef) {
    out.push(b'[');
    for at in 0..array.len() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        value(out, array, at);
    }
    out.push(b']');
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("memory takes what is written");
}

fn value(out: &mut Vec<u8>, array: &ArrayRef, at: usize) {
    use DataType as T;
    if array.is_null(at) || *array.data_type() == T::Null {
        out.extend_from_slice(b"null");
        return;
    }
    macro_rules! integer {
        ($type:ty) => {
            write!(out, "{}", array.as_primitive::<$type>().value(at)).expect("memory takes what is written")
        };
    }
    match array.data_type() {
        T::Boolean => out.extend_from_slice(if array.as_boolean().value(at) { b"true" } else { b"false" }),
        T::Utf8 => string(out, array.as_string::<i32>().value(at)),
        T::LargeUtf8 => string(out, array.as_string::<i64>().value(at)),
        T::Utf8View => string(out, array.as_byte_view::<StringViewType>().value(at)),
        T::Int8 => integer!(Int8Type),
        T::Int16 => integer!(Int16Type),
        T::Int32 => integer!(Int32Type),
        T::Int64 => integer!(Int64Type),
        T::UInt8 => integer!(UInt8Type),
        T::UInt16 => integer!(UInt16Type),
        T::UInt32 => integer!(UInt32Type),
        T::UInt64 => integer!(UInt64Type),
        T::Float16 => float(out, f64::from(array.as_primitive::<Float16Type>().value(at))),
        T::Float32 => {
            let number = array.as_primitive::<Float32Type>().value(at);
            let finite = number.is_finite();
            if finite { serde_json::to_writer(out, &number).expect("a number") } else { float(out, f64::NAN) }
        }
        T::Float64 => float(out, array.as_primitive::<Float64Type>().value(at)),
        T::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            value(out, dictionary.values(), dictionary.normalized_keys()[at]);
        }
        T::List(_) => items(out, &array.as_list::<i32>().value(at)),
        T::LargeList(_) => items(out, &array.as_list::<i64>().value(at)),
        T::FixedSizeList(..) => items(out, &array.as_fixed_size_list().value(at)),
        T::Struct(fields) => {
            let columns = array.as_struct().columns();
            members(out, fields.iter().map(|field| field.name().as_str()).zip(columns), at);
        }
        T::Map(..) => {
            let entries = array.as_map().value(at);
            let (keys, values) = (entries.column(0), entries.column(1));
            out.push(b'{');
            for at in 0..entries.len() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                value(out, keys, at);
                out.extend_from_slice(b": ");
                value(out, values, at);
            }
            out.push(b'}');
        }
        other => unreachable!("type {other} was refused"),
    }
}

fn float(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        serde_json::to_writer(out, &number).expect("memory takes what is written");
    } else {
        out.extend_from_slice(b"null");
    }
}
