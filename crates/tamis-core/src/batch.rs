//! Arrow batches whose columns were checked once, so that readers of them need not check again.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use half::slice::HalfFloatSliceExt;

use crate::{DocKey, Error, Result};

/// Names of the columns that tamis itself writes.
pub mod column {
    /// 0-based physical row within the shard.
    pub const ROW: &str = "row";
    /// The document's id as text; null in a corpus without ids.
    pub const ID: &str = "id";
    /// [`crate::DocKey`], 16 bytes.
    pub const DOC_KEY: &str = "doc_key";
    /// The document's text.
    pub const TEXT: &str = "text";
    /// The digest of the raw line, 16 bytes.
    pub const RAW_DIGEST: &str = "raw_digest";
    /// An embedding: fixed-size list of f16 or f32.
    pub const EMBEDDING: &str = "embedding";
    /// The column that selection uses by default.
    pub const SCORE: &str = "score";
    /// Why a document should not be kept, in a few words that many documents share; null where nothing speaks against it.
    pub const VETO: &str = "veto";
    /// Why a row has no values; null where it has.
    pub const FAILED: &str = "failed";
}

fn get<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::MissingColumn { column: name.to_owned() })
}

fn wrong(name: &str, expected: &'static str, array: &ArrayRef) -> Error {
    Error::ColumnType { column: name.to_owned(), expected, got: array.data_type().clone() }
}

fn no_nulls(name: &str, array: &ArrayRef) -> Result<()> {
    match (0..array.len()).find(|&at| array.is_null(at)) {
        Some(at) if array.null_count() > 0 => Err(Error::Null { column: name.to_owned(), at }),
        _ => Ok(()),
    }
}

fn check_keys(batch: &RecordBatch) -> Result<()> {
    let rows = get(batch, column::ROW)?;
    rows.as_primitive_opt::<UInt64Type>().ok_or_else(|| wrong(column::ROW, "u64", rows))?;
    no_nulls(column::ROW, rows)?;
    let keys = get(batch, column::DOC_KEY)?;
    match keys.data_type() {
        DataType::FixedSizeBinary(16) => no_nulls(column::DOC_KEY, keys),
        _ => Err(wrong(column::DOC_KEY, "fixed-size binary of 16 bytes", keys)),
    }
}

macro_rules! keyed_batch {
    ($name:ident) => {
        impl $name {
            /// The batch as Arrow has it.
            #[must_use]
            pub fn as_arrow(&self) -> &RecordBatch {
                &self.0
            }

            /// Number of rows.
            #[must_use]
            pub fn len(&self) -> usize {
                self.0.num_rows()
            }

            /// Whether there are no rows.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Physical rows within the shard.
            #[must_use]
            pub fn rows(&self) -> &UInt64Array {
                self.0.column_by_name(column::ROW).expect("checked in new").as_primitive::<UInt64Type>()
            }

            /// Document keys, 16 bytes each.
            #[must_use]
            pub fn doc_keys(&self) -> &FixedSizeBinaryArray {
                self.0.column_by_name(column::DOC_KEY).expect("checked in new").as_fixed_size_binary()
            }

            /// The key of one row.
            ///
            /// # Panics
            /// When `at` is not below [`Self::len`].
            #[must_use]
            pub fn doc_key(&self, at: usize) -> DocKey {
                DocKey::from_bytes(self.doc_keys().value(at).try_into().expect("16 bytes, checked in new"))
            }
        }
    };
}

/// Documents: `row` u64, `id` utf8 or null, `doc_key` 16 bytes, `text` utf8, and any columns that the caller named.
#[derive(Clone, Debug)]
pub struct DocumentBatch(RecordBatch);
keyed_batch!(DocumentBatch);

impl DocumentBatch {
    /// The four columns that every batch of documents starts with.
    #[must_use]
    pub fn base_fields() -> [Field; 4] {
        [
            Field::new(column::ROW, DataType::UInt64, false),
            Field::new(column::ID, DataType::Utf8, true),
            Field::new(column::DOC_KEY, DataType::FixedSizeBinary(16), false),
            Field::new(column::TEXT, DataType::Utf8, false),
        ]
    }

    /// Checks the columns once.
    ///
    /// # Errors
    /// A missing column, one of another type, or a null row number, key or text.
    pub fn new(batch: RecordBatch) -> Result<Self> {
        check_keys(&batch)?;
        let ids = get(&batch, column::ID)?;
        ids.as_string_opt::<i32>().ok_or_else(|| wrong(column::ID, "utf8", ids))?;
        let texts = get(&batch, column::TEXT)?;
        texts.as_string_opt::<i32>().ok_or_else(|| wrong(column::TEXT, "utf8", texts))?;
        no_nulls(column::TEXT, texts)?;
        Ok(Self(batch))
    }

    /// Documents from texts alone, numbered from 0; for tests, demos and one-off scoring.
    ///
    /// # Panics
    /// When the texts are together longer than 2 GiB.
    #[must_use]
    pub fn from_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts: Vec<&str> = texts.into_iter().collect();
        let keys: Vec<[u8; 16]> = texts.iter().map(|text| DocKey::from_text("", text).to_bytes()).collect();
        let keys: ArrayRef = if keys.is_empty() {
            Arc::new(FixedSizeBinaryArray::new(16, Vec::<u8>::new().into(), None))
        } else {
            Arc::new(FixedSizeBinaryArray::try_from_iter(keys.iter()).expect("keys have 16 bytes each"))
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(0..texts.len() as u64)),
            Arc::new(StringArray::from(vec![None::<&str>; texts.len()])),
            keys,
            Arc::new(StringArray::from(texts)),
        ];
        let schema = Arc::new(Schema::new(Self::base_fields().to_vec()));
        Self(RecordBatch::try_new(schema, columns).expect("columns match the schema"))
    }

    /// Ids; null where the corpus has none.
    #[must_use]
    pub fn ids(&self) -> &StringArray {
        self.0.column_by_name(column::ID).expect("checked in new").as_string()
    }

    /// Texts, none of them null.
    #[must_use]
    pub fn texts(&self) -> &StringArray {
        self.0.column_by_name(column::TEXT).expect("checked in new").as_string()
    }
}

/// Embeddings: `row`, `doc_key`, `embedding` (fixed-size list of D f16 or f32; null where it failed).
#[derive(Clone, Debug)]
pub struct EmbeddingBatch(RecordBatch);
keyed_batch!(EmbeddingBatch);

impl EmbeddingBatch {
    /// Checks the columns once.
    ///
    /// # Errors
    /// A missing column or one of another type.
    pub fn new(batch: RecordBatch) -> Result<Self> {
        check_keys(&batch)?;
        let array = get(&batch, column::EMBEDDING)?;
        match array.data_type() {
            DataType::FixedSizeList(item, _)
                if matches!(item.data_type(), DataType::Float16 | DataType::Float32) => {}
            _ => return Err(wrong(column::EMBEDDING, "fixed-size list of f16 or f32", array)),
        }
        Ok(Self(batch))
    }

    /// D, the number of values of one embedding.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.list().value_length().unsigned_abs() as usize
    }

    fn list(&self) -> &arrow_array::FixedSizeListArray {
        self.0.column_by_name(column::EMBEDDING).expect("checked in new").as_fixed_size_list()
    }

    /// Whether a row has an embedding.
    #[must_use]
    pub fn is_valid(&self, at: usize) -> bool {
        self.list().is_valid(at)
    }

    /// Copies one embedding, widened to f32, into `out`.
    ///
    /// # Panics
    /// When `out` is not D long or `at` is out of range.
    pub fn read_into(&self, at: usize, out: &mut [f32]) {
        let list = self.list();
        let from = list.value_offset_at(at);
        match list.values().as_primitive_opt::<Float32Type>() {
            Some(values) => out.copy_from_slice(&values.values()[from..from + out.len()]),
            None => {
                let values = list.values().as_primitive::<Float16Type>();
                values.values()[from..from + self.dimension()].convert_to_f32_slice(out);
            }
        }
    }
}

/// Scores: `row`, `doc_key`, value columns, `failed` utf8 (null where the row has values).
#[derive(Clone, Debug)]
pub struct ScoreBatch(RecordBatch);
keyed_batch!(ScoreBatch);

impl ScoreBatch {
    /// Checks the columns once.
    ///
    /// # Errors
    /// A missing column or one of another type.
    pub fn new(batch: RecordBatch) -> Result<Self> {
        check_keys(&batch)?;
        let failed = get(&batch, column::FAILED)?;
        failed.as_string_opt::<i32>().ok_or_else(|| wrong(column::FAILED, "utf8", failed))?;
        Ok(Self(batch))
    }

    /// The schema of a sidecar whose value columns (with `failed` last) are `values`.
    #[must_use]
    pub fn sidecar_schema(values: &Schema) -> SchemaRef {
        let [row, _, doc_key, _] = DocumentBatch::base_fields();
        let fields: Vec<Field> = [row, doc_key]
            .into_iter()
            .chain(values.fields().iter().map(|field| field.as_ref().clone()))
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// Reasons; null where the row has values.
    #[must_use]
    pub fn failed(&self) -> &StringArray {
        self.0.column_by_name(column::FAILED).expect("checked in new").as_string()
    }

    /// A value column as f64, with nulls where rows failed; floats, integers and booleans are widened.
    ///
    /// # Errors
    /// A column that is missing or not a number.
    pub fn values(&self, name: &str) -> Result<Vec<Option<f64>>> {
        let array = get(&self.0, name)?;
        numbers(array).ok_or_else(|| wrong(name, "a number", array))
    }
}

/// Numbers of an array as f64; `None` when it holds no numbers.
fn numbers(array: &ArrayRef) -> Option<Vec<Option<f64>>> {
    use arrow_array::types::{
        Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    };
    macro_rules! widen {
        ($type:ty, $to:expr) => {
            array.as_primitive::<$type>().iter().map(|value| value.map($to)).collect()
        };
    }
    Some(match array.data_type() {
        DataType::Float64 => widen!(Float64Type, |v| v),
        DataType::Float32 => widen!(Float32Type, f64::from),
        DataType::Float16 => widen!(Float16Type, f64::from),
        DataType::Int8 => widen!(Int8Type, f64::from),
        DataType::Int16 => widen!(Int16Type, f64::from),
        DataType::Int32 => widen!(Int32Type, f64::from),
        DataType::Int64 => widen!(Int64Type, |v| v as f64),
        DataType::UInt8 => widen!(UInt8Type, f64::from),
        DataType::UInt16 => widen!(UInt16Type, f64::from),
        DataType::UInt32 => widen!(UInt32Type, f64::from),
        DataType::UInt64 => widen!(UInt64Type, |v| v as f64),
        DataType::Boolean => {
            array.as_boolean().iter().map(|value| value.map(|v| if v { 1.0 } else { 0.0 })).collect()
        }
        _ => return None,
    })
}
