//! Files of training data: lines, Parquet, tokens.
//!
//! Each is written whole under a temporary name, and becomes visible in one step where the name is free; its digest is taken
//! on the way. The same content gives the same bytes, whatever pieces it came in.
//!
//! Not here: what goes into them and in which order. Kept documents in the corpus' own layout are [`crate::corpus::KeptWriter`]'s.

mod lines;
mod rows;
mod tokens;

use std::io::{self, Read, Write};

use tamis_core::Digest;
use xxhash_rust::xxh3::Xxh3;

use crate::store::{Created, PendingFile, Store, StoreError, StoreResult};

pub use lines::LinesFile;
pub use rows::RowsFile;
pub use tokens::{TokenWidth, TokensFile};

/// A file that was written, or that stood there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its path in the store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// 128-bit xxh3 of its bytes.
    pub digest: Digest,
}

impl Written {
    /// What stands under a name; `None` where there is no file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn standing(store: &Store, path: &str) -> StoreResult<Option<Self>> {
        let mut file = match store.open_read(path) {
            Ok(file) => file,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut hasher, mut bytes, mut buffer) = (Xxh3::new(), 0, vec![0; 1 << 18]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    bytes += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io("read", store.location(path), error)),
            }
        }
        Ok(Some(Self { path: path.to_owned(), bytes, digest: Digest::from_u128(hasher.digest128()) }))
    }
}

/// A file under construction, and the digest of what was written to it.
pub(crate) struct Hashed {
    path: String,
    file: PendingFile,
    hasher: Xxh3,
    bytes: u64,
}

impl Hashed {
    pub(crate) fn create(store: &Store, path: &str) -> StoreResult<Self> {
        Ok(Self { path: path.to_owned(), file: store.writer(path)?, hasher: Xxh3::new(), bytes: 0 })
    }

    /// Makes the file visible unless the name was taken, and says what was written.
    pub(crate) fn commit(self) -> StoreResult<(Created, Written)> {
        let written = Written {
            path: self.path,
            bytes: self.bytes,
            digest: Digest::from_u128(self.hasher.digest128()),
        };
        Ok((self.file.commit()?, written))
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{RecordBatch, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn the_same_content_in_other_pieces_is_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path());
        let line = |n: usize| format!("{{\"text\": \"{}\"}}\n", "word ".repeat(n % 50));
        let mut first = LinesFile::create(&store, "a.jsonl.zst").unwrap();
        let mut second = LinesFile::create(&store, "b.jsonl.zst").unwrap();
        let all: String = (0..30_000).map(line).collect();
        all.as_bytes().chunks(777).for_each(|piece| first.write(piece).unwrap());
        second.write(all.as_bytes()).unwrap();
        let ((created, first), (_, second)) = (first.commit().unwrap(), second.commit().unwrap());
        assert_eq!((created, first.bytes, first.digest), (Created::New, second.bytes, second.digest));
        assert_eq!(Written::standing(&store, "a.jsonl.zst").unwrap().unwrap(), first);
        assert_eq!(Written::standing(&store, "none").unwrap(), None);
        let read = zstd::decode_all(&std::fs::read(folder.path().join("b.jsonl.zst")).unwrap()[..]).unwrap();
        assert!(read == all.as_bytes());
    }

    #[test]
    fn a_name_that_is_taken_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path());
        store.create_new("a.parquet", b"mine").unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, false)]));
        let batch =
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(StringArray::from(vec!["a"]))]).unwrap();
        let mut rows = RowsFile::create(&store, "a.parquet", &schema).unwrap();
        rows.write(&batch).unwrap();
        assert_eq!(rows.commit().unwrap().0, Created::Existed);
        assert_eq!(&store.read("a.parquet").unwrap()[..], b"mine");
    }

    #[test]
    fn tokens_lie_one_after_the_other_and_their_borders_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path());
        for (width, name) in [(TokenWidth::Two, "two"), (TokenWidth::Four, "four")] {
            let mut file = TokensFile::create(&store, name, width).unwrap();
            let encode = |tokens: &[u32]| tokens.iter().flat_map(|t| width.encode(*t)).collect::<Vec<u8>>();
            file.write(&encode(&[1, 65_535, 0]), Some("a"), "x/y.jsonl", 7).unwrap();
            file.write(&encode(&[0]), Some("b,\"\n"), "x/y.jsonl", 1).unwrap();
            file.write(&encode(&[5, 0]), None, "z.jsonl", 0).unwrap();
            let [tokens, index] = file.commit().unwrap().map(|(_, written)| written.path);
            assert_eq!((tokens, index), (format!("{name}.npy"), format!("{name}.csv.gz")));
            let bytes = std::fs::read(folder.path().join(format!("{name}.npy"))).unwrap();
            let read: Vec<u32> = bytes.chunks(width.bytes()).map(|bytes| width.decode(bytes)).collect();
            assert_eq!(read, [1, 65_535, 0, 0, 5, 0]);
            let mut index = String::new();
            let file = std::fs::File::open(folder.path().join(format!("{name}.csv.gz"))).unwrap();
            flate2::read::GzDecoder::new(file).read_to_string(&mut index).unwrap();
            assert_eq!(index, "0,3,a,x/y.jsonl,8\n3,4,\"b,\"\"\\n\",x/y.jsonl,2\n4,6,,z.jsonl,1\n");
        }
    }
}
