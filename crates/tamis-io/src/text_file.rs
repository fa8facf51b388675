//! Plain text files, such as ARPA models, read line by line and written, each also `.gz` or `.zst`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use tamis_core::Digest;
use xxhash_rust::xxh3::Xxh3;

use crate::corpus::{Compression, explain};
use crate::store::{Created, PendingFile, Store, StoreError, StoreResult};

const BUFFER_BYTES: usize = 1 << 18;

/// A text file that is read line by line. How it is compressed is seen from its first bytes.
pub struct TextFile {
    lines: BufReader<Box<dyn Read + Send>>,
    compression: Compression,
    location: String,
    size_bytes: u64,
    taken: Arc<AtomicU64>,
    hasher: Xxh3,
}

impl std::fmt::Debug for TextFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextFile").field("location", &self.location).finish_non_exhaustive()
    }
}

impl TextFile {
    /// Opens a path or URL.
    ///
    /// # Errors
    /// There is no such file, or it cannot be opened.
    pub fn open(location: &str) -> StoreResult<Self> {
        let (store, name) = Store::open(location)?;
        let name = name.ok_or_else(|| StoreError::NotFound { location: location.to_owned() })?;
        let failed = |source| StoreError::io("read", location, source);
        let size_bytes = store.size(&name)?.unwrap_or(0);
        let taken = Arc::new(AtomicU64::new(0));
        let file = Counted { file: store.open_read(&name)?, taken: Arc::clone(&taken) };
        let mut buffered = BufReader::with_capacity(BUFFER_BYTES, file);
        let (compression, stream): (_, Box<dyn Read + Send>) = match buffered.fill_buf().map_err(failed)? {
            [0x1f, 0x8b, ..] => (Compression::Gzip, Box::new(MultiGzDecoder::new(buffered))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let decoder = zstd::stream::read::Decoder::with_buffer(buffered).map_err(failed)?;
                (Compression::Zstd, Box::new(decoder))
            }
            _ => (Compression::None, Box::new(buffered)),
        };
        Ok(Self {
            lines: BufReader::with_capacity(BUFFER_BYTES, stream),
            compression,
            location: location.to_owned(),
            size_bytes,
            taken,
            hasher: Xxh3::new(),
        })
    }

    /// Puts the next line into `line`, without its newline; `false` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or its compression is damaged or cut.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> StoreResult<bool> {
        line.clear();
        let read = self.lines.read_until(b'\n', line).map_err(|error| {
            let problem = explain(self.compression, &error);
            StoreError::io("read", self.location.clone(), io::Error::new(error.kind(), problem))
        })?;
        self.hasher.update(line);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(read > 0)
    }

    /// All that is left of the file; `None` where that is more than so many bytes.
    ///
    /// # Errors
    /// As [`TextFile::next_line`].
    pub fn rest(&mut self, most_bytes: u64) -> StoreResult<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        (&mut self.lines).take(most_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| {
            let problem = explain(self.compression, &error);
            StoreError::io("read", self.location.clone(), io::Error::new(error.kind(), problem))
        })?;
        self.hasher.update(&bytes);
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most_bytes))
    }

    /// Digest of what was read so far, whatever it is compressed by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_u128(self.hasher.digest128())
    }

    /// Size of the file as it lies there.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Bytes of the file that were taken in so far.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

struct Counted {
    file: Box<dyn Read + Send>,
    taken: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A text file that is being written: compressed as its name ends, and not there before it is whole.
pub struct TextWriter {
    location: String,
    encoder: Encoder,
}

enum Encoder {
    Plain(PendingFile),
    Gzip(GzEncoder<PendingFile>),
    Zstd(zstd::stream::write::Encoder<'static, PendingFile>),
}

impl std::fmt::Debug for TextWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextWriter").field("location", &self.location).finish_non_exhaustive()
    }
}

impl TextWriter {
    /// Starts the file of a path or URL; `None` where there is one already.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn create(location: &str) -> StoreResult<Option<Self>> {
        let (folder, name) = match location.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some((folder, name)) => (folder, name),
            None => (".", location),
        };
        let (store, file) = Store::open(folder)?;
        if file.is_some() || name.is_empty() {
            let problem = "it is no place for a file".to_owned();
            return Err(StoreError::InvalidLocation { location: location.to_owned(), problem });
        }
        if store.exists(name)? {
            return Ok(None);
        }
        let pending = store.writer(name)?;
        let encoder = match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("gz") => Encoder::Gzip(GzEncoder::new(pending, flate2::Compression::default())),
            Some("zst") => {
                let failed = |source| StoreError::io("write", location, source);
                let mut encoder = zstd::stream::write::Encoder::new(pending, 3).map_err(failed)?;
                encoder.include_checksum(true).map_err(failed)?;
                Encoder::Zstd(encoder)
            }
            _ => Encoder::Plain(pending),
        };
        Ok(Some(Self { location: location.to_owned(), encoder }))
    }

    /// Makes the file visible, unless the name was taken meanwhile.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn commit(self) -> StoreResult<Created> {
        let failed = |source| StoreError::io("write", self.location.clone(), source);
        match self.encoder {
            Encoder::Plain(pending) => pending,
            Encoder::Gzip(encoder) => encoder.finish().map_err(failed)?,
            Encoder::Zstd(encoder) => encoder.finish().map_err(failed)?,
        }
        .commit()
    }
}

impl Write for TextWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.encoder {
            Encoder::Plain(file) => file.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.encoder {
            Encoder::Plain(file) => file.flush(),
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// A file without a name, in a folder or in the system's place for such files: gone when it is dropped, and when the process
/// is killed.
///
/// # Errors
/// There is no such folder or no room.
pub fn temporary_file(folder: Option<&Path>) -> io::Result<File> {
    match folder {
        Some(folder) => tempfile::tempfile_in(folder),
        None => tempfile::tempfile(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(location: &str) -> StoreResult<(Vec<String>, Digest)> {
        let mut file = TextFile::open(location)?;
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        while file.next_line(&mut line)? {
            lines.push(String::from_utf8(line.clone()).unwrap());
        }
        Ok((lines, file.digest()))
    }

    #[test]
    fn every_compression_gives_the_same_lines_and_digest() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let names = ["a.arpa", "a.arpa.gz", "a.arpa.zst"];
        for name in names {
            let mut writer = TextWriter::create(&at(name)).unwrap().unwrap();
            writer.write_all("one\n\nthrée".as_bytes()).unwrap();
            assert!(!std::path::Path::new(&at(name)).exists(), "visible before it is whole");
            assert_eq!(writer.commit().unwrap(), Created::New);
            assert!(TextWriter::create(&at(name)).unwrap().is_none(), "would overwrite");
        }
        let [plain, gzip, zstd] = names.map(|name| read(&at(name)).unwrap());
        assert_eq!(plain.0, ["one", "", "thrée"]);
        assert!(plain == gzip && plain == zstd);
        for name in &names[1..] {
            let bytes = std::fs::read(at(name)).unwrap();
            std::fs::write(at("cut"), &bytes[..bytes.len() - 6]).unwrap();
            let error = read(&at("cut")).unwrap_err().to_string();
            assert!(error.contains("truncated"), "{error}");
        }
        assert!(matches!(TextFile::open(&at("none")), Err(StoreError::NotFound { .. })));
    }
}
