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
        let mut digest = Self { hasher: Xxh3::new(), block: Vec::with_capacity(BLOCK_BYTES) };
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
