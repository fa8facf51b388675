//! A new Parquet file with the schema of another: its bytes, its key-value pairs, and the codec of each column.
//!
//! What the writer has no word for (a logical type that is younger than it) is left out while it writes, and stands in the footer
//! nevertheless, which is made anew from the bytes of the other's.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel, LogicalType, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::parquet_footer::with_schema;
use super::parquet_shard::ParquetShard;
use super::{CorpusError, CorpusResult};
use crate::store::StoreError;

const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 6;

/// Starts a file that is like another.
pub(super) fn like<W: Write + Send>(
    source: &ParquetShard,
    file: W,
    location: &str,
) -> CorpusResult<SerializedFileWriter<Tail<W>>> {
    let refuse = |error| refused(location, error);
    let metadata = source.metadata();
    let mut properties = WriterProperties::builder()
        .set_key_value_metadata(metadata.file_metadata().key_value_metadata().cloned());
    for column in
        metadata.row_groups().first().into_iter().flat_map(parquet::file::metadata::RowGroupMetaData::columns)
    {
        let codec = codec(column.compression()).map_err(refuse)?;
        properties = properties.set_column_compression(column.column_path().clone(), codec);
    }
    let descriptor = metadata.file_metadata().schema_descr();
    let mut schema = descriptor.root_schema_ptr();
    if has_unknown(&schema) {
        for leaf in descriptor.columns().iter().filter(|leaf| has_unknown(&leaf.self_type_ptr())) {
            // In which order values of an unknown type are is not known either.
            let none = EnabledStatistics::None;
            properties = properties.set_column_statistics_enabled(leaf.path().clone(), none);
        }
        schema = without_unknown(&schema).map_err(refuse)?;
    }
    let tail = Tail { file, held: None };
    SerializedFileWriter::new(tail, schema, Arc::new(properties.build())).map_err(refuse)
}

/// Writes the footer, with the schema of the other.
pub(super) fn finish_like<W: Write + Send>(
    source: &ParquetShard,
    mut writer: SerializedFileWriter<Tail<W>>,
    location: &str,
) -> CorpusResult<W> {
    let refuse = |error| refused(location, error);
    // What was written so far is not to be held.
    writer.flush().map_err(|error| StoreError::written(location, error))?;
    writer.inner_mut().held = Some(Vec::new());
    let Tail { mut file, held } = writer.into_inner().map_err(refuse)?;
    let tail = held
        .and_then(|held| with_footer(&held, source.schema_bytes()))
        .ok_or_else(|| refuse(ParquetError::General("the footer could not be made".to_owned())))?;
    file.write_all(&tail).map_err(|error| StoreError::written(location, error))?;
    Ok(file)
}

/// The end of a file (indexes, footer, its length, the magic number) with another schema.
fn with_footer(tail: &[u8], schema: &[u8]) -> Option<Vec<u8>> {
    let end = tail.len().checked_sub(8)?;
    let length = u32::from_le_bytes(tail[end..end + 4].try_into().ok()?);
    let start = end.checked_sub(usize::try_from(length).ok()?)?;
    let footer = with_schema(&tail[start..end], schema)?;
    let length = u32::try_from(footer.len()).ok()?;
    Some([&tail[..start], &footer, &length.to_le_bytes(), &tail[end + 4..]].concat())
}

/// A file of which the last part is held back.
pub(super) struct Tail<W> {
    file: W,
    held: Option<Vec<u8>>,
}

impl<W: Write> Write for Tail<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.held {
            Some(held) => held.write(bytes),
            None => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The same codec, at the level that lines are compressed with.
fn codec(input: Compression) -> Result<Compression, ParquetError> {
    Ok(match input {
        Compression::ZSTD(_) => Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?),
        Compression::GZIP(_) => Compression::GZIP(GzipLevel::try_new(GZIP_LEVEL)?),
        other => other,
    })
}

/// Whether a type, or one inside it, has a logical type that is younger than the writer.
fn has_unknown(schema: &Type) -> bool {
    matches!(schema.get_basic_info().logical_type_ref(), Some(LogicalType::_Unknown { .. }))
        || (schema.is_group() && schema.get_fields().iter().any(|field| has_unknown(field)))
}

/// The same schema without logical types that the writer would refuse; the kept file's footer has them nevertheless.
fn without_unknown(schema: &Type) -> Result<TypePtr, ParquetError> {
    let info = schema.get_basic_info();
    let logical = info.logical_type_ref().filter(|known| !matches!(known, LogicalType::_Unknown { .. }));
    let id = info.has_id().then(|| info.id());
    let built = match schema {
        Type::PrimitiveType { physical_type, type_length, scale, precision, .. } => {
            Type::primitive_type_builder(info.name(), *physical_type)
                .with_repetition(info.repetition())
                .with_converted_type(info.converted_type())
                .with_logical_type(logical.cloned())
                .with_length(*type_length)
                .with_precision(*precision)
                .with_scale(*scale)
                .with_id(id)
                .build()?
        }
        Type::GroupType { fields, .. } => {
            let fields = fields
                .iter()
                .map(|field| without_unknown(field))
                .collect::<Result<Vec<_>, ParquetError>>()?;
            let builder = Type::group_type_builder(info.name())
                .with_converted_type(info.converted_type())
                .with_logical_type(logical.cloned())
                .with_fields(fields)
                .with_id(id);
            if info.has_repetition() { builder.with_repetition(info.repetition()) } else { builder }
                .build()?
        }
    };
    Ok(Arc::new(built))
}

pub(super) fn refused(location: &str, error: ParquetError) -> CorpusError {
    match StoreError::written_parquet(location, error) {
        Ok(error) => error.into(),
        Err(error) => CorpusError::Write { location: location.to_owned(), problem: error.to_string() },
    }
}
