//! Sidecars: parquet files with one row per document, that line up with a shard of the corpus.
//!
//! The same rows give the same bytes, however they arrived: batches are cut anew into row groups whose size depends on the
//! schema alone, and the file holds no time, no path and no program version. Beside the rows the file keeps their
//! [`RowDigest`], so that two files can be compared by content, and damage is noticed, without a second file.
//!
//! Not a general parquet library: only the types that [`type_name`] names, and never more than one row group in memory.

mod aligned;
mod digest;
mod reader;
mod writer;

pub use aligned::{AlignedBatch, AlignedReader, SidecarCursor, zip_aligned};
pub(crate) use aligned::{InventoryCursor, check_keyed, key_column, row_numbers};
pub(crate) use digest::type_from_name;
pub use digest::{RowDigest, type_name};
pub use reader::{Columns as SidecarColumns, SidecarReader};
pub use writer::{SidecarSummary, SidecarWriter, rows_per_group};

/// Keys of the parquet footer's key-value metadata.
mod footer {
    /// The [`crate::run::FORMAT_VERSION`] of the file, in decimal.
    pub(super) const FORMAT_VERSION: &str = "tamis.format_version";
    /// 32 hex digits of the row digest.
    pub(super) const ROW_DIGEST: &str = "tamis.row_digest";
}
