//! Lines in one frame of Zstandard.

use super::{Hashed, Written};
use crate::store::{Created, Store, StoreError, StoreResult};

const ZSTD_LEVEL: i32 = 3;

/// The compressor is fed pieces of this size whatever the caller writes, so that the same lines give the same bytes.
const PIECE_BYTES: usize = 1 << 20;

/// A file of lines, `.jsonl.zst`: one frame with a checksum, since some readers stop at the end of the first.
pub struct LinesFile {
    location: String,
    encoder: zstd::stream::write::Encoder<'static, Hashed>,
    piece: Vec<u8>,
}

impl std::fmt::Debug for LinesFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinesFile").field("location", &self.location).finish_non_exhaustive()
    }
}

impl LinesFile {
    /// Starts a file.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn create(store: &Store, path: &str) -> StoreResult<Self> {
        let location = store.location(path);
        let failed = |error| StoreError::written(location.clone(), error);
        let mut encoder =
            zstd::stream::write::Encoder::new(Hashed::create(store, path)?, ZSTD_LEVEL).map_err(failed)?;
        encoder.include_checksum(true).map_err(failed)?;
        Ok(Self { location, encoder, piece: Vec::new() })
    }

    /// Adds bytes: lines with their endings, whole or not.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn write(&mut self, mut bytes: &[u8]) -> StoreResult<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.piece.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() == PIECE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StoreResult<()> {
        use std::io::Write;
        self.encoder
            .write_all(&self.piece)
            .map_err(|error| StoreError::written(self.location.clone(), error))?;
        self.piece.clear();
        Ok(())
    }

    /// Makes the file visible unless the name was taken.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn commit(mut self) -> StoreResult<(Created, Written)> {
        self.flush()?;
        let location = self.location;
        self.encoder.finish().map_err(|error| StoreError::written(location, error))?.commit()
    }
}
