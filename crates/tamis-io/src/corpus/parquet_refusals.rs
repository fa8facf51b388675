//! What a Parquet shard may have that cannot be read, or not be kept as it is: named when the shard is opened.

use parquet::arrow::{ProjectionMask, parquet_to_arrow_schema_by_columns};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::parquet_footer::{self, Encryption};
use super::{CorpusError, CorpusResult, Shard};

/// An error for a part of a shard that is encrypted.
pub(super) fn encrypted(shard: &Shard, part: &str) -> CorpusError {
    CorpusError::Unsupported {
        shard: shard.path.clone(),
        part: part.to_owned(),
        problem: "encrypted".to_owned(),
        remedy: "decrypt the file: write it anew without encryption",
    }
}

/// What could be opened and then not be read, or not be kept: told before the first row.
pub(super) fn refuse_what_cannot_be_kept(
    shard: &Shard,
    metadata: &ParquetMetaData,
    footer: &[u8],
) -> CorpusResult<()> {
    let descriptor = metadata.file_metadata().schema_descr();
    let name = |leaf: usize| format!("column `{}`", descriptor.column(leaf).path().string());
    let refuse = |leaf: usize, problem: String, remedy: &'static str| {
        let (shard, part) = (shard.path.clone(), name(leaf));
        Err(CorpusError::Unsupported { shard, part, problem, remedy })
    };
    if let Some(Encryption::Columns(columns)) = parquet_footer::encryption(footer) {
        let names: Vec<String> =
            columns.into_iter().filter(|leaf| *leaf < descriptor.num_columns()).map(name).collect();
        let part = if names.is_empty() { "the file".to_owned() } else { names.join(", ") };
        return Err(encrypted(shard, &part));
    }
    for group in metadata.row_groups() {
        for (leaf, column) in group.columns().iter().enumerate() {
            if let Some(path) = column.file_path() {
                let remedy = "read the files that hold the data instead";
                return refuse(leaf, format!("its data are in another file, `{path}`"), remedy);
            }
            if let codec @ (Compression::BROTLI(_) | Compression::LZO) = column.compression() {
                let codec = if codec == Compression::LZO { "LZO" } else { "Brotli" };
                let remedy = "write the file anew with zstd, snappy, gzip, lz4 or no compression";
                return refuse(leaf, format!("compressed with {codec}, which is not read"), remedy);
            }
        }
    }
    Ok(())
}

/// Why a schema is not read: the first column that has no type in Arrow, where it is one.
pub(super) fn unmapped(shard: &Shard, metadata: &ParquetMetaData, error: &ParquetError) -> CorpusError {
    let descriptor = metadata.file_metadata().schema_descr();
    let alone = |leaf: usize| {
        let one = ProjectionMask::leaves(descriptor, [leaf]);
        parquet_to_arrow_schema_by_columns(descriptor, one, None).err().map(|error| (leaf, error))
    };
    let (part, problem) = match (0..descriptor.num_columns()).find_map(alone) {
        Some((leaf, error)) => {
            (format!("column `{}`", descriptor.column(leaf).path().string()), error.to_string())
        }
        None => ("the schema".to_owned(), error.to_string()),
    };
    CorpusError::Unsupported {
        shard: shard.path.clone(),
        part,
        problem: format!("of a type that is not read: {problem}"),
        remedy: "write the file anew without this column, or with another type of it",
    }
}
