//! Values of a Parquet column as text, whichever of Arrow's many types it has.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    BinaryViewType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    StringViewType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Fields, Schema};

use super::{CorpusError, CorpusResult};

/// The path of a column: its literal name, else the way through structs that a dotted name stands for.
pub(super) fn find(schema: &Schema, shard: &str, name: &str) -> CorpusResult<Vec<String>> {
    let one = |fields: &Fields, part: &str| match fields.iter().filter(|field| field.name() == part).count() {
        0 | 1 => Ok(()),
        several => Err(CorpusError::Unsupported {
            shard: shard.to_owned(),
            part: format!("column `{name}`"),
            problem: format!(
                "{several} columns are called `{part}`, and nothing says which of them is meant"
            ),
            remedy: "give each column a name of its own, or name another one",
        }),
    };
    if schema.field_with_name(name).is_ok() {
        one(schema.fields(), name)?;
        return Ok(vec![name.to_owned()]);
    }
    let path: Vec<String> = name.split('.').map(str::to_owned).collect();
    let mut fields: Option<&Fields> = Some(schema.fields());
    for part in &path {
        fields.map_or(Ok(()), |fields| one(fields, part))?;
        let field = fields.and_then(|fields| fields.iter().find(|field| field.name() == part));
        fields = match field.map(|field| field.data_type()) {
            Some(DataType::Struct(below)) => Some(below),
            Some(_) => None,
            None => {
                let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                return Err(CorpusError::MissingColumn {
                    shard: shard.to_owned(),
                    column: name.to_owned(),
                    nearest: tamis_core::nearest(name, known.iter().copied()).map(str::to_owned),
                    known: if known.is_empty() { "none".into() } else { format!("`{}`", known.join("`, `")) },
                });
            }
        };
    }
    Ok(path)
}

/// One column of a batch.
pub(super) struct Values<'b> {
    /// The values; of a dictionary, each once.
    array: &'b ArrayRef,
    /// Which value each row has, in a dictionary.
    keys: Option<Vec<usize>>,
    /// Rows in which the column, or a struct around it, is null.
    nulls: Option<NullBuffer>,
}

/// What a column is used for, in words that an error can quote: `a string`, `a string or an integer` or `a string, a
/// number or a boolean`.
type Use = &'static str;

/// What ids may be.
pub(super) const AN_ID: Use = "a string or an integer";

impl<'b> Values<'b> {
    pub(super) fn of(batch: &'b RecordBatch, path: &[String], shard: &str, usage: Use) -> CorpusResult<Self> {
        let refuse = |got: &DataType| CorpusError::ColumnType {
            shard: shard.to_owned(),
            column: path.join("."),
            expected: usage,
            got: got.to_string(),
        };
        let (first, below) = path.split_first().ok_or_else(|| refuse(&DataType::Null))?;
        let mut array = batch.column_by_name(first).ok_or_else(|| refuse(&DataType::Null))?;
        let mut nulls = array.logical_nulls();
        for part in below {
            let inner = array.as_struct_opt().and_then(|fields| fields.column_by_name(part));
            array = inner.ok_or_else(|| refuse(array.data_type()))?;
            nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
        }
        if !suits(array.data_type(), usage) {
            return Err(refuse(array.data_type()));
        }
        let Some(dictionary) = array.as_any_dictionary_opt() else {
            return Ok(Self { array, keys: None, nulls });
        };
        let array = dictionary.values();
        // An empty dictionary, whose rows are all null, has no keys that could be brought into its range.
        let keys = if array.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
        Ok(Self { array, keys: Some(keys), nulls })
    }

    /// The value of a row as text; `None` where it is null.
    ///
    /// # Errors
    /// Bytes that are not UTF-8, in words.
    pub(super) fn get(&self, at: usize) -> Result<Option<Cow<'_, str>>, String> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(at)) {
            return Ok(None);
        }
        text(self.array, self.keys.as_ref().map_or(at, |keys| keys[at])).map(Some)
    }
}

fn suits(data_type: &DataType, usage: Use) -> bool {
    use DataType as T;
    match data_type {
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Binary | T::LargeBinary | T::BinaryView => true,
        T::Dictionary(_, values) => !matches!(**values, T::Dictionary(..)) && suits(values, usage),
        integer if integer.is_integer() => usage != "a string",
        T::Float16 | T::Float32 | T::Float64 | T::Boolean => usage == "a string, a number or a boolean",
        _ => false,
    }
}

fn text(array: &ArrayRef, at: usize) -> Result<Cow<'_, str>, String> {
    use DataType as T;
    macro_rules! number {
        ($type:ty) => {
            Cow::Owned(format!("{:?}", array.as_primitive::<$type>().value(at)))
        };
    }
    fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
        std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| error.to_string())
    }
    Ok(match array.data_type() {
        T::Utf8 => array.as_string::<i32>().value(at).into(),
        T::LargeUtf8 => array.as_string::<i64>().value(at).into(),
        T::Utf8View => array.as_byte_view::<StringViewType>().value(at).into(),
        T::Binary => utf8(array.as_binary::<i32>().value(at))?,
        T::LargeBinary => utf8(array.as_binary::<i64>().value(at))?,
        T::BinaryView => utf8(array.as_byte_view::<BinaryViewType>().value(at))?,
        T::Int8 => number!(Int8Type),
        T::Int16 => number!(Int16Type),
        T::Int32 => number!(Int32Type),
        T::Int64 => number!(Int64Type),
        T::UInt8 => number!(UInt8Type),
        T::UInt16 => number!(UInt16Type),
        T::UInt32 => number!(UInt32Type),
        T::UInt64 => number!(UInt64Type),
        T::Float16 => number!(Float16Type),
        T::Float32 => number!(Float32Type),
        T::Float64 => number!(Float64Type),
        T::Boolean => if array.as_boolean().value(at) { "true" } else { "false" }.into(),
        other => return Err(format!("a value of type {other}")),
    })
}
