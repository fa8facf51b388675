//! A file of weights that is read piece by piece, with bounds checked before memory is asked for.

use std::fs::File;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::WeightsError;

/// Bytes that are hashed at a time.
const HASH_CHUNK_BYTES: usize = 1 << 20;

/// An open file, its length at opening, and positioned reads.
#[derive(Debug)]
pub(crate) struct WeightFile {
    path: PathBuf,
    file: File,
    size_bytes: u64,
}

impl WeightFile {
    pub(crate) fn open(path: &Path) -> Result<Self, WeightsError> {
        let failed = |source| WeightsError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(WeightsError::Malformed {
                path: path.to_owned(),
                problem: "it is not a file".to_owned(),
            });
        }
        Ok(Self { path: path.to_owned(), file, size_bytes: metadata.len() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path as messages show it.
    pub(crate) fn display(&self) -> String {
        self.path.display().to_string()
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn malformed(&self, problem: impl Into<String>) -> WeightsError {
        WeightsError::Malformed { path: self.path.clone(), problem: problem.into() }
    }

    /// Reads `length` bytes from `offset` on; memory is asked for only after the range is known to lie in the file.
    pub(crate) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, WeightsError> {
        let within = offset.checked_add(length).is_some_and(|end| end <= self.size_bytes);
        let length = usize::try_from(length).ok().filter(|_| within).ok_or_else(|| {
            self.malformed(format!(
                "expected {length} bytes at offset {offset}, but the file ends at {}",
                self.size_bytes
            ))
        })?;
        let mut bytes = vec![0; length];
        self.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Fills `bytes` from `offset` on.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), WeightsError> {
        read_exact_at(&self.file, bytes, offset)
            .map_err(|source| WeightsError::Read { path: self.path.clone(), source })
    }

    /// xxh3-128 of the whole file.
    pub(crate) fn digest(&self) -> Result<u128, WeightsError> {
        let mut hasher = Xxh3::new();
        let mut chunk = vec![0; HASH_CHUNK_BYTES];
        let mut offset = 0;
        while offset < self.size_bytes {
            let length = (self.size_bytes - offset).min(HASH_CHUNK_BYTES as u64) as usize;
            self.read_at(&mut chunk[..length], offset)?;
            hasher.update(&chunk[..length]);
            offset += length as u64;
        }
        Ok(hasher.digest128())
    }
}

/// The digest of several files from the digests of each, in name order; of one file, its own.
pub(crate) fn combine_digests(digests: &[u128]) -> String {
    let digest = match digests {
        [only] => *only,
        many => {
            let mut hasher = Xxh3::new();
            for digest in many {
                hasher.update(&digest.to_be_bytes());
            }
            hasher.digest128()
        }
    };
    format!("xxh3:{digest:032x}")
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}
