//! A digest of rows that does not depend on how they are stored.
//!
//! Two computations of a shard are compared by the values of their rows, not by the bytes of their files: parts may have
//! been cut elsewhere, and another version of parquet may encode the same values differently. Rows are hashed one after
//! the other with xxh3-128 over a canonical form, so batch borders leave no trace.
//!
//! Canonical form. First the schema: for each column its name and type (see [`type_name`]), each as length (u64) and
//! UTF-8. Then for each row and each column one byte, 0 for null and 1 for a value, followed by the value: numbers as
//! their bytes, little-endian (floats as their bits, so that −0 and 0 differ); booleans as one byte; text and binary as
//! length (u64) and bytes; fixed-size binary as its bytes; lists as length (u64), then a byte that is 1 when no item is
//! null, then the items in this same form (without their own 0 or 1 when that byte is 1).

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, RecordBatch, downcast_primitive_array};
use arrow_buffer::ToByteSlice;
use arrow_schema::{DataType, Field, Schema};
use tamis_core::Digest;
use xxhash_rust::xxh3::Xxh3;

use crate::run::{RunError, RunResult};

/// Bytes that are collected before they are hashed.
const BLOCK_BYTES: usize = 1 << 16;

/// Hashes rows in order; see the module's header for the form.
pub struct RowDigest {
    hasher: Xxh3,
    block: Vec<u8>,
}

impl RowDigest {
    /// Starts with the schema.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let mut digest = Self { hasher: Xxh3::new(), block: Vec::new() };
        for field in schema.fields() {
            digest.bytes(field.name().as_bytes());
            digest.bytes(type_name(field.data_type()).as_bytes());
        }
        digest
    }

    fn bytes(&mut self, bytes: &[u8]) {
        push_bytes(&mut self.block, bytes);
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// A column of a type that sidecars cannot hold.
    pub fn update(&mut self, batch: &RecordBatch) -> RunResult<()> {
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                push_value(&mut self.block, column.as_ref(), row)?;
            }
            if self.block.len() >= BLOCK_BYTES {
                self.hasher.update(&self.block);
                self.block.clear();
            }
        }
        Ok(())
    }

    /// The digest of everything that was added.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        self.hasher.update(&self.block);
        Digest::from_u128(self.hasher.digest128())
    }
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Little-endian bytes of a slice of numbers.
fn push_numbers<T: ArrowPrimitiveType>(out: &mut Vec<u8>, values: &[T::Native]) {
    if cfg!(target_endian = "little") {
        out.extend_from_slice(values.to_byte_slice());
    } else {
        for value in values {
            out.extend(value.to_byte_slice().iter().rev());
        }
    }
}

fn push_value(out: &mut Vec<u8>, array: &dyn Array, at: usize) -> RunResult<()> {
    if array.is_null(at) {
        out.push(0);
        return Ok(());
    }
    out.push(1);
    push_valid(out, array, at)
}

fn push_valid(out: &mut Vec<u8>, array: &dyn Array, at: usize) -> RunResult<()> {
    fn number<T: ArrowPrimitiveType>(out: &mut Vec<u8>, array: &arrow_array::PrimitiveArray<T>, at: usize) {
        push_numbers::<T>(out, &array.values()[at..=at]);
    }
    downcast_primitive_array!(
        array => number(out, array, at),
        DataType::Boolean => out.push(u8::from(array.as_boolean().value(at))),
        DataType::Utf8 => push_bytes(out, array.as_string::<i32>().value(at).as_bytes()),
        DataType::LargeUtf8 => push_bytes(out, array.as_string::<i64>().value(at).as_bytes()),
        DataType::Binary => push_bytes(out, array.as_binary::<i32>().value(at)),
        DataType::LargeBinary => push_bytes(out, array.as_binary::<i64>().value(at)),
        DataType::FixedSizeBinary(_) => out.extend_from_slice(array.as_fixed_size_binary().value(at)),
        DataType::List(_) => push_items(out, array.as_list::<i32>().value(at).as_ref())?,
        DataType::LargeList(_) => push_items(out, array.as_list::<i64>().value(at).as_ref())?,
        DataType::FixedSizeList(_, _) => push_items(out, array.as_fixed_size_list().value(at).as_ref())?,
        other => return Err(RunError::Arrow(arrow_schema::ArrowError::NotYetImplemented(format!(
            "columns of type {other} cannot be stored in a sidecar"
        )))),
    );
    Ok(())
}

fn push_items(out: &mut Vec<u8>, items: &dyn Array) -> RunResult<()> {
    fn numbers<T: ArrowPrimitiveType>(out: &mut Vec<u8>, array: &arrow_array::PrimitiveArray<T>) {
        push_numbers::<T>(out, array.values());
    }
    out.extend_from_slice(&(items.len() as u64).to_le_bytes());
    let full = items.null_count() == 0;
    out.push(u8::from(full));
    if !full {
        return (0..items.len()).try_for_each(|at| push_value(out, items, at));
    }
    downcast_primitive_array!(
        items => numbers(out, items),
        _ => return (0..items.len()).try_for_each(|at| push_valid(out, items, at)),
    );
    Ok(())
}

/// The name of a type in `signal.json` and in digests: `f64`, `utf8`, `list<f32>`, `fixed-size-list<f16, 384>` ….
#[must_use]
pub fn type_name(data_type: &DataType) -> String {
    let plain = match data_type {
        DataType::Boolean => "bool",
        DataType::Int8 => "i8",
        DataType::Int16 => "i16",
        DataType::Int32 => "i32",
        DataType::Int64 => "i64",
        DataType::UInt8 => "u8",
        DataType::UInt16 => "u16",
        DataType::UInt32 => "u32",
        DataType::UInt64 => "u64",
        DataType::Float16 => "f16",
        DataType::Float32 => "f32",
        DataType::Float64 => "f64",
        DataType::Utf8 => "utf8",
        DataType::LargeUtf8 => "large-utf8",
        DataType::Binary => "binary",
        DataType::LargeBinary => "large-binary",
        DataType::FixedSizeBinary(size) => return format!("fixed-size-binary<{size}>"),
        DataType::List(item) => return format!("list<{}>", type_name(item.data_type())),
        DataType::LargeList(item) => return format!("large-list<{}>", type_name(item.data_type())),
        DataType::FixedSizeList(item, size) => {
            return format!("fixed-size-list<{}, {size}>", type_name(item.data_type()));
        }
        other => return other.to_string(),
    };
    plain.to_owned()
}

/// The type that [`type_name`] named; `None` for a name that it never gives.
pub(crate) fn type_from_name(name: &str) -> Option<DataType> {
    if name.len() > 200 {
        return None; // Names come out of files: nesting must end.
    }
    let inside = |prefix: &str| name.strip_prefix(prefix)?.strip_suffix('>');
    let item = |name: &str| Some(Arc::new(Field::new_list_field(type_from_name(name)?, true)));
    if let Some(size) = inside("fixed-size-binary<") {
        return size.parse().ok().filter(|&size| size >= 0).map(DataType::FixedSizeBinary);
    }
    if let Some(inner) = inside("fixed-size-list<") {
        let (inner, size) = inner.rsplit_once(", ")?;
        return Some(DataType::FixedSizeList(item(inner)?, size.parse().ok().filter(|&size| size >= 0)?));
    }
    if let Some(inner) = inside("list<") {
        return item(inner).map(DataType::List);
    }
    if let Some(inner) = inside("large-list<") {
        return item(inner).map(DataType::LargeList);
    }
    Some(match name {
        "bool" => DataType::Boolean,
        "i8" => DataType::Int8,
        "i16" => DataType::Int16,
        "i32" => DataType::Int32,
        "i64" => DataType::Int64,
        "u8" => DataType::UInt8,
        "u16" => DataType::UInt16,
        "u32" => DataType::UInt32,
        "u64" => DataType::UInt64,
        "f16" => DataType::Float16,
        "f32" => DataType::Float32,
        "f64" => DataType::Float64,
        "utf8" => DataType::Utf8,
        "large-utf8" => DataType::LargeUtf8,
        "binary" => DataType::Binary,
        "large-binary" => DataType::LargeBinary,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder, StringBuilder};
    use arrow_array::{ArrayRef, BooleanArray, Float64Array, StringArray, UInt64Array};
    use proptest::prelude::*;

    use super::*;

    fn digest(batches: &[RecordBatch]) -> Digest {
        let mut digest = RowDigest::new(batches[0].schema_ref());
        batches.iter().for_each(|batch| digest.update(batch).unwrap());
        digest.finish()
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .unwrap()
    }

    fn texts(values: &[Option<&str>]) -> RecordBatch {
        batch(vec![("text", Arc::new(StringArray::from(values.to_vec())))])
    }

    fn lists(values: &[&[Option<f32>]]) -> RecordBatch {
        let mut builder = ListBuilder::new(Float32Builder::new());
        for value in values {
            builder.append_value(value.iter().copied());
        }
        batch(vec![("list", Arc::new(builder.finish()))])
    }

    #[test]
    fn layout_is_pinned() {
        // From the Python package xxhash 4.1.0: xxh3_128 of struct.pack("<Q3sQ3s", 3, b"row", 3, b"u64") followed by
        // struct.pack("<BQ", 1, 7) and b"\0".
        let rows = batch(vec![("row", Arc::new(UInt64Array::from(vec![Some(7), None])))]);
        let mut bytes = Vec::new();
        push_bytes(&mut bytes, b"row");
        push_bytes(&mut bytes, b"u64");
        bytes.extend_from_slice(&[1, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(digest(std::slice::from_ref(&rows)), Digest::of(&bytes));
        assert_eq!(digest(&[rows]).to_string(), PINNED);
    }

    const PINNED: &str = "e77a2575a0014c93372d5750da5659e6";

    #[test]
    fn what_differs_in_value_differs_in_digest() {
        let variants = [
            texts(&[Some("ab"), Some("c")]),
            texts(&[Some("a"), Some("bc")]),
            texts(&[Some("abc"), Some("")]),
            texts(&[Some("abc"), None]),
            texts(&[None, Some("abc")]),
            texts(&[Some("abc")]),
            lists(&[&[Some(1.0)], &[Some(2.0)]]),
            lists(&[&[Some(1.0), Some(2.0)], &[]]),
            lists(&[&[Some(1.0), None], &[Some(2.0)]]),
            lists(&[&[Some(1.0)], &[None, Some(2.0)]]),
            batch(vec![("x", Arc::new(Float64Array::from(vec![0.0])))]),
            batch(vec![("x", Arc::new(Float64Array::from(vec![-0.0])))]),
            batch(vec![("y", Arc::new(Float64Array::from(vec![0.0])))]),
            batch(vec![("x", Arc::new(UInt64Array::from(vec![0])))]),
            batch(vec![("x", Arc::new(BooleanArray::from(vec![false])))]),
        ];
        let mut digests: Vec<Digest> =
            variants.iter().map(|batch| digest(std::slice::from_ref(batch))).collect();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), variants.len());
    }

    proptest! {
        #[test]
        fn borders_of_batches_leave_no_trace(
            rows in prop::collection::vec((any::<f64>(), prop::option::of("[a-z]{0,5}"), any::<bool>()), 1..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let mut embedding = FixedSizeListBuilder::new(Float32Builder::new(), 2);
            let mut words = ListBuilder::new(StringBuilder::new());
            for (value, text, valid) in &rows {
                embedding.values().append_slice(&[*value as f32, 1.0]);
                embedding.append(*valid);
                words.append_value([text.clone(), None]);
            }
            let whole = batch(vec![
                ("score", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.0)))),
                ("text", Arc::new(StringArray::from_iter(rows.iter().map(|row| row.1.clone())))),
                ("embedding", Arc::new(embedding.finish())),
                ("words", Arc::new(words.finish())),
            ]);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows.len())).collect();
            cuts.extend([0, rows.len()]);
            cuts.sort_unstable();
            let pieces: Vec<RecordBatch> =
                cuts.windows(2).map(|pair| whole.slice(pair[0], pair[1] - pair[0])).collect();
            prop_assert_eq!(digest(&pieces), digest(&[whole]));
        }

        #[test]
        fn no_type_name_panics_and_own_names_come_back(name in "[a-z0-9<>, -]{0,30}") {
            if let Some(data_type) = type_from_name(&name) {
                prop_assert_eq!(type_from_name(&type_name(&data_type)), Some(data_type));
            }
            let nested = format!("{}u8{}", "list<".repeat(100_000), ">".repeat(100_000));
            prop_assert!(type_from_name(&nested).is_none());
        }
    }
}
