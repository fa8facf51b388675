//! What a document becomes: the bytes that are put in order, and that files are made of.
//!
//! Lines are taken as they stand, without being parsed; the digest of each is compared with the inventory's. Everything else is decoded, and
//! key and digest are compared. A document is tokenized once, however many copies of it there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tamis_core::{Digest, column};
use tamis_io::corpus::{Block, Container, Corpus, CorpusResult, IdMode, Shard};
use tamis_io::export::{LinesFile, TokenWidth, TokensFile};
use tamis_io::store::Store;
use tamis_models::tokenizer::Tokenizer;

use super::files::{OpenFile, TextRows};
use super::kept::{KeptRow, KeptRows};
use super::options::ExportFormat;
use crate::project::Project;
use crate::{Error, Result, models};

/// Stands for the length of a null.
const NULL: u32 = u32::MAX;

/// How documents become bodies, and bodies files.
pub(super) enum Content {
    /// Lines, with their endings.
    Lines,
    /// Id, text and carried columns.
    Texts(SchemaRef),
    /// Rows of Parquet with all their columns.
    Rows(RowsLike),
    /// Tokens, the separator among them, then the id.
    Tokens(Box<Tokens>),
}

/// Rows of a corpus of Parquet, whose files are like its first shard.
pub(super) struct RowsLike {
    corpus: Corpus,
    first: Shard,
}

/// A tokenizer and what is behind each document.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    /// Source in full.
    pub(super) source: String,
    pub(super) separator: u32,
    pub(super) width: TokenWidth,
    /// Documents that hold the separator themselves.
    holding: AtomicU64,
}

/// A document on its way.
pub(super) struct Body {
    pub(super) row: KeptRow,
    /// In the unit in which files are cut.
    pub(super) size: u64,
    pub(super) bytes: Vec<u8>,
}

impl Content {
    /// Loads what a format needs.
    pub(super) fn open(project: &Project, format: &ExportFormat) -> Result<Self> {
        Ok(match format {
            ExportFormat::Lines => Self::Lines,
            ExportFormat::Parquet => match project.rows_like() {
                Some(rows) => Self::Rows(rows),
                None => Self::Texts(project.text_schema()),
            },
            ExportFormat::Tokens { tokenizer, separator } => {
                Self::Tokens(Box::new(Tokens::open(project, tokenizer, *separator)?))
            }
        })
    }

    /// Bytes of a body that are expected for so many bytes of text; what is wrong by a little costs a little time.
    pub(super) fn expected_bytes(&self, documents: u64, text_bytes: u64) -> u64 {
        match self {
            Self::Lines | Self::Rows(_) => text_bytes + text_bytes / 8 + 128 * documents,
            Self::Texts(_) => text_bytes + 64 * documents,
            Self::Tokens(tokens) => text_bytes * tokens.width.bytes() as u64 / 3 + 32 * documents,
        }
    }

    /// Bytes of the unit in which files are cut.
    pub(super) fn unit_bytes(&self) -> u64 {
        match self {
            Self::Lines | Self::Texts(_) | Self::Rows(_) => 1,
            Self::Tokens(tokens) => tokens.width.bytes() as u64,
        }
    }

    /// The bodies of kept rows of a block, which are all that are kept of it.
    pub(super) fn bodies(&self, project: &Project, block: &Block, rows: &[KeptRow]) -> Result<Vec<Body>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Lines => lines(project, block, rows),
            Self::Texts(schema) => {
                let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                decoded(project, block, rows, |documents, at| {
                    let mut bytes = Vec::new();
                    for name in &names {
                        let values = documents.column_by_name(name).map(AsArray::as_string::<i32>);
                        let value =
                            values.filter(|values| values.is_valid(at)).map(|values| values.value(at));
                        put(&mut bytes, value);
                    }
                    let size = bytes.len() - size_of::<u32>() * names.len();
                    Ok((size as u64, bytes))
                })
            }
            Self::Rows(_) => whole(project, block, rows, Block::records),
            Self::Tokens(tokens) => decoded(project, block, rows, |documents, at| {
                let value = |name| {
                    let values = documents.column_by_name(name)?.as_string_opt::<i32>()?;
                    values.is_valid(at).then(|| values.value(at))
                };
                tokens.body(value(column::TEXT).unwrap_or_default(), value(column::ID))
            }),
        }
    }

    /// Names of the files of the `n`-th piece.
    pub(super) fn paths(&self, n: usize) -> Vec<String> {
        let stem = format!("part-{n:05}");
        match self {
            Self::Lines => vec![format!("{stem}.jsonl.zst")],
            Self::Texts(_) | Self::Rows(_) => vec![format!("{stem}.parquet")],
            Self::Tokens(_) => TokensFile::paths(&stem).to_vec(),
        }
    }

    /// Starts the files of the `n`-th piece.
    pub(super) fn create(&self, out: &Store, n: usize) -> Result<OpenFile> {
        let path = &self.paths(n)[0];
        Ok(match self {
            Self::Lines => OpenFile::Lines(Box::new(LinesFile::create(out, path)?)),
            Self::Texts(schema) => OpenFile::Texts(Box::new(TextRows::create(out, path, schema)?)),
            Self::Rows(rows) => OpenFile::Rows(Box::new(rows.corpus.records_file(&rows.first, out, path)?)),
            Self::Tokens(tokens) => {
                let stem = path.strip_suffix(".npy").unwrap_or(path);
                OpenFile::Tokens(Box::new(TokensFile::create(out, stem, tokens.width)?), tokens.width)
            }
        })
    }

    /// Says what a reader of the files should know.
    pub(super) fn tell(&self, project: &Project) {
        if let Self::Tokens(tokens) = self {
            let holding = tokens.holding.load(Ordering::Relaxed);
            if holding > 0 {
                project.observer.warn(&format!(
                    "{holding} documents hold token {} themselves, which separates documents: readers that look for it will find more \
                     documents than there are",
                    tokens.separator
                ));
            }
        }
    }
}

impl Tokens {
    fn open(project: &Project, source: &str, separator: Option<u32>) -> Result<Self> {
        let (tokenizer, source) = models::open_tokenizer(source, &*project.observer)?;
        let separator = separator.or(tokenizer.special().eos).ok_or_else(|| {
            Error::usage(
                format!("tokenizer `{source}` has no token that ends a text"),
                "name the token that is to separate documents: --separator-id N",
            )
        })?;
        let vocabulary = tokenizer.vocab_size();
        if separator as usize >= vocabulary {
            project.observer.warn(&format!(
                "the separator {separator} is none of the tokenizer's {vocabulary} tokens: a model needs a row more for it"
            ));
        }
        let largest = u32::try_from(vocabulary.saturating_sub(1)).unwrap_or(u32::MAX).max(separator);
        Ok(Self { tokenizer, source, separator, width: TokenWidth::of(largest), holding: AtomicU64::new(0) })
    }

    /// What decides the tokens.
    pub(super) fn digest(&self) -> &str {
        self.tokenizer.digest()
    }

    /// One more than the largest token.
    pub(super) fn vocabulary(&self) -> u64 {
        self.tokenizer.vocab_size() as u64
    }

    pub(super) fn pieces_version(&self) -> Option<&'static str> {
        self.tokenizer.pieces_version()
    }

    fn body(&self, text: &str, id: Option<&str>) -> Result<(u64, Vec<u8>)> {
        let tokens = self.tokenizer.encode(text)?;
        if tokens.contains(&self.separator) {
            self.holding.fetch_add(1, Ordering::Relaxed);
        }
        let mut bytes = Vec::with_capacity((tokens.len() + 1) * self.width.bytes() + 40);
        for token in tokens.iter().chain([&self.separator]) {
            bytes.extend(self.width.encode(*token));
        }
        put(&mut bytes, id);
        Ok((tokens.len() as u64 + 1, bytes))
    }
}

/// Appends a value with its length.
fn put(bytes: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => bytes.extend_from_slice(&NULL.to_le_bytes()),
        Some(value) => {
            // A text has 1 GiB at most.
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
    }
}

/// Takes the next value that [`put`] appended.
pub(super) fn take<'b>(bytes: &mut &'b [u8]) -> Option<&'b str> {
    let (length, rest) = bytes.split_at(size_of::<u32>());
    let length = u32::from_le_bytes(length.try_into().expect("4 bytes"));
    if length == NULL {
        *bytes = rest;
        return None;
    }
    let (value, rest) = rest.split_at(length as usize);
    *bytes = rest;
    Some(std::str::from_utf8(value).expect("it was text"))
}

/// Lines as they stand, rows of Parquet as objects.
fn lines(project: &Project, block: &Block, rows: &[KeptRow]) -> Result<Vec<Body>> {
    if block.container() == Container::Parquet {
        return whole(project, block, rows, Block::objects);
    }
    let mut bodies = Vec::with_capacity(rows.len());
    let mut left = rows.iter().peekable();
    let mut wrong = None;
    block.each_line(&mut |at, line| {
        if let Some(row) = left.next_if(|row| row.row == at) {
            if Digest::of(line.content) != row.raw_digest {
                wrong.get_or_insert(at);
            }
            let mut bytes = Vec::with_capacity(line.bytes.len() + 1);
            bytes.extend_from_slice(line.bytes);
            if bytes.last() != Some(&b'\n') {
                bytes.push(b'\n');
            }
            bodies.push(Body { row: *row, size: bytes.len() as u64, bytes });
        }
    });
    match wrong.or(left.next().map(|row| row.row)) {
        Some(row) => Err(KeptRows::changed(block.shard(), row)),
        None => Ok(bodies),
    }
}

/// Rows of Parquet with all that they hold, as `read` has them; their texts and keys are compared.
fn whole(
    project: &Project,
    block: &Block,
    rows: &[KeptRow],
    read: impl Fn(&Block, &[u64]) -> CorpusResult<Vec<Vec<u8>>>,
) -> Result<Vec<Body>> {
    decoded(project, block, rows, |_, _| Ok((0, Vec::new())))?;
    let numbers: Vec<u64> = rows.iter().map(|row| row.row).collect();
    let bodies = rows.iter().zip(read(block, &numbers)?);
    Ok(bodies.map(|(row, bytes)| Body { row: *row, size: bytes.len() as u64, bytes }).collect())
}

/// Kept documents of a block as `body` has them, each with its size.
fn decoded(
    project: &Project,
    block: &Block,
    rows: &[KeptRow],
    body: impl Fn(&RecordBatch, usize) -> Result<(u64, Vec<u8>)>,
) -> Result<Vec<Body>> {
    let documents = block.decode(&project.columns)?.documents;
    let batch = documents.as_arrow();
    let found = |name: &str| {
        batch.column_by_name(name).ok_or_else(|| tamis_core::Error::MissingColumn { column: name.to_owned() })
    };
    let numbers = found(column::ROW)?.as_primitive::<UInt64Type>();
    let keys = found(column::DOC_KEY)?.as_fixed_size_binary();
    let digests = found(column::RAW_DIGEST)?.as_fixed_size_binary();
    let mut bodies = Vec::with_capacity(rows.len());
    for row in rows {
        let changed = || KeptRows::changed(block.shard(), row.row);
        let at = numbers.values().binary_search(&row.row).map_err(|_| changed())?;
        if keys.value(at) != row.key.to_bytes() || digests.value(at) != row.raw_digest.to_bytes() {
            return Err(changed());
        }
        let (size, bytes) = body(batch, at)?;
        bodies.push(Body { row: *row, size, bytes });
    }
    Ok(bodies)
}

impl Project {
    /// Where all shards are Parquet: what files of their rows are like.
    pub(super) fn rows_like(&self) -> Option<RowsLike> {
        let shards = self.corpus.shards();
        let all = shards.iter().all(|shard| shard.container == Container::Parquet);
        let first = shards.first().filter(|_| all)?;
        Some(RowsLike { corpus: self.corpus.clone(), first: first.clone() })
    }

    /// The columns of texts: `id` where there are ids, `text`, and the carried ones.
    fn text_schema(&self) -> SchemaRef {
        let id = (self.columns.id != IdMode::FromText).then(|| Field::new(column::ID, DataType::Utf8, false));
        let mut fields: Vec<Field> = id.into_iter().collect();
        fields.push(Field::new(column::TEXT, DataType::Utf8, false));
        fields.extend(self.columns.carry.iter().map(|name| Field::new(name, DataType::Utf8, true)));
        Arc::new(Schema::new(fields))
    }
}
