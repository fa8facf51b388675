//! Corpora that tests write, and what comes out of them.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, StringArray};
use tamis_io::corpus::{Columns, Corpus, CorpusResult, Decoded, FailedRow, IdMode, Shard, discover};
use tamis_io::run::inventory_rows;
use tamis_io::store::Store;

/// Columns of a corpus with ids in `id`.
pub(crate) fn with_ids() -> Columns {
    Columns { id: IdMode::Column("id".into()), ..Columns::default() }
}

/// One gzip member or zstd frame for each piece, or the pieces as they are; by the ending of the name.
pub(crate) fn compress(name: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let mut file = Vec::new();
    for piece in pieces {
        if name.ends_with(".gz") {
            let mut encoder = flate2::write::GzEncoder::new(&mut file, flate2::Compression::fast());
            encoder.write_all(piece).unwrap();
            encoder.finish().unwrap();
        } else if name.ends_with(".zst") {
            file.extend(zstd::encode_all(*piece, 1).unwrap());
        } else {
            file.extend_from_slice(piece);
        }
    }
    file
}

/// What a compressed file holds.
pub(crate) fn decompress(name: &str, file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if name.ends_with(".gz") {
        std::io::copy(&mut flate2::read::MultiGzDecoder::new(file), &mut out).unwrap();
    } else if name.ends_with(".zst") {
        out = zstd::decode_all(file).unwrap();
    } else {
        out.extend_from_slice(file);
    }
    out
}

/// A corpus of one file.
pub(crate) fn corpus_of(folder: &Path, name: &str, file: &[u8]) -> Corpus {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, file).unwrap();
    discover(path.to_str().unwrap()).unwrap()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) row: u64,
    pub(crate) id: Option<String>,
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) raw_digest: Vec<u8>,
    pub(crate) carried: Vec<Option<String>>,
}

/// Everything in a shard, as plain values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) documents: Vec<Document>,
    pub(crate) failures: Vec<FailedRow>,
    pub(crate) blank: u64,
    pub(crate) rows: u64,
}

impl Read {
    pub(crate) fn add(&mut self, decoded: &Decoded) {
        let batch = decoded.documents.as_arrow();
        let carried: Vec<&StringArray> = batch.columns()[5..].iter().map(AsArray::as_string).collect();
        let digests = batch.column_by_name("raw_digest").unwrap().as_fixed_size_binary();
        let owned = |array: &StringArray, at: usize| array.is_valid(at).then(|| array.value(at).to_owned());
        for at in 0..decoded.documents.len() {
            self.documents.push(Document {
                row: decoded.documents.rows().value(at),
                id: owned(decoded.documents.ids(), at),
                key: decoded.documents.doc_key(at).to_string(),
                text: decoded.documents.texts().value(at).to_owned(),
                raw_digest: digests.value(at).to_vec(),
                carried: carried.iter().map(|column| owned(column, at)).collect(),
            });
        }
        self.failures.extend(decoded.failures.iter().cloned());
        self.blank += decoded.blank;
    }

    pub(crate) fn texts(&self) -> Vec<&str> {
        self.documents.iter().map(|document| document.text.as_str()).collect()
    }

    pub(crate) fn reasons(&self) -> Vec<(u64, &'static str)> {
        self.failures.iter().map(|failure| (failure.row, failure.reason)).collect()
    }
}

/// Reads a shard from a row to its end; counts must reconcile.
pub(crate) fn read_from(corpus: &Corpus, shard: &Shard, columns: &Columns, from: u64) -> CorpusResult<Read> {
    let mut reader = corpus.open(shard, from)?;
    let mut read = Read::default();
    let mut next = from;
    while let Some(block) = reader.next_block()? {
        assert_eq!(block.first_row(), next, "blocks follow each other");
        next += block.rows();
        let decoded = block.decode(columns)?;
        let measured = block.measure(columns)?;
        assert_eq!(measured.documents, inventory_rows(&decoded.documents, &columns.carry).unwrap());
        assert_eq!((&measured.failures, measured.blank), (&decoded.failures, decoded.blank));
        let counted = decoded.documents.len() + decoded.failures.len();
        assert_eq!(counted as u64 + decoded.blank, block.rows(), "rows = documents + failures + blank");
        read.add(&decoded);
    }
    assert!(reader.digest().is_some());
    read.rows = reader.rows();
    Ok(read)
}

/// Reads the only shard of a corpus.
pub(crate) fn read(corpus: &Corpus, columns: &Columns) -> CorpusResult<Read> {
    read_from(corpus, &corpus.shards()[0], columns, 0)
}

/// A place for kept files that needs no disk.
pub(crate) fn in_memory() -> Store {
    Store::object(Arc::new(object_store::memory::InMemory::new()), "").unwrap()
}

/// The bytes of the kept file of the only shard.
pub(crate) fn kept(corpus: &Corpus, out: &Store, keep: &mut dyn FnMut(u64) -> bool) -> Vec<u8> {
    let shard = &corpus.shards()[0];
    let mut writer = corpus.kept_writer(shard, out, &shard.path).unwrap();
    let mut reader = corpus.open(shard, 0).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        block.write_kept(keep, &mut writer).unwrap();
    }
    writer.replace().unwrap();
    out.read(&shard.path).unwrap().to_vec()
}
