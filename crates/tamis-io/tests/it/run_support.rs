//! A small corpus, a signal over it, and stores that break, for the tests of the run directory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tamis_core::{
    Direction, DocKey, DocumentBatch, Fingerprint, Input, Parallelism, Ranking, Rule, SignalInfo,
};
use tamis_io::run::{
    CorpusColumns, IdColumn, InventoryReceipt, Repeatability, RowSpan, RunDirectory, RunResult, ShardEnd,
    ShardRecord, SignalRecord, inventory_rows,
};
use tamis_io::store::Store;

/// Every third physical row of a test shard is blank, so that rows and documents differ.
pub(crate) fn rows_of(physical: u64) -> Vec<u64> {
    (0..physical).filter(|row| row % 3 != 2).collect()
}

pub(crate) fn columns() -> CorpusColumns {
    CorpusColumns {
        text: "text".to_owned(),
        id: IdColumn::Column("id".to_owned()),
        namespace: String::new(),
        carry: vec!["source".to_owned()],
        max_line_bytes: 1 << 27,
    }
}

fn key_array(keys: impl Iterator<Item = DocKey>) -> ArrayRef {
    let bytes: Vec<u8> = keys.flat_map(DocKey::to_bytes).collect();
    Arc::new(FixedSizeBinaryArray::try_new(16, bytes.into(), None).unwrap())
}

fn key(row: u64) -> DocKey {
    DocKey::from_id("", &format!("doc-{row}"))
}

/// Documents of the given physical rows.
pub(crate) fn documents(rows: &[u64]) -> DocumentBatch {
    let mut fields = DocumentBatch::base_fields().to_vec();
    fields.push(Field::new("raw_digest", DataType::FixedSizeBinary(16), false));
    fields.push(Field::new("source", DataType::Utf8, true));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(rows.to_vec())),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| format!("doc-{row}")))),
        key_array(rows.iter().map(|&row| key(row))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| format!("Text é number {row}.")))),
        key_array(rows.iter().map(|&row| key(row + 1_000_000))),
        Arc::new(StringArray::from_iter(
            rows.iter().map(|row| (row % 5 > 0).then(|| format!("site-{}", row % 7))),
        )),
    ];
    DocumentBatch::new(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()).unwrap()
}

fn value_schema() -> Schema {
    Schema::new(vec![
        Field::new("score", DataType::Float64, true),
        Field::new("tokens", DataType::UInt32, true),
        Field::new("failed", DataType::Utf8, true),
    ])
}

pub(crate) fn score_schema() -> SchemaRef {
    tamis_core::ScoreBatch::sidecar_schema(&value_schema())
}

/// Sidecar rows of a made-up signal; `shift` changes the values. Every tenth document failed.
pub(crate) fn scores(rows: &[u64], shift: f64) -> RecordBatch {
    let ok = |row: &u64| !row.is_multiple_of(10);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(rows.to_vec())),
        key_array(rows.iter().map(|&row| key(row))),
        Arc::new(Float64Array::from_iter(
            rows.iter().map(|row| ok(row).then_some(*row as f64 / 7.0 + shift)),
        )),
        Arc::new(UInt32Array::from_iter(rows.iter().map(|row| ok(row).then_some((row * 31 % 977) as u32)))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| (!ok(row)).then_some("no-tokens")))),
    ];
    RecordBatch::try_new(score_schema(), columns).unwrap()
}

/// Sidecar rows of the documents in a span.
pub(crate) fn scores_in(span: RowSpan, physical: u64, shift: f64) -> RecordBatch {
    let inside = |row: &u64| (span.first_row..span.end()).contains(row);
    scores(&rows_of(physical).into_iter().filter(inside).collect::<Vec<_>>(), shift)
}

pub(crate) fn fingerprint() -> Fingerprint {
    Fingerprint::new("made-up", 1).with("prompt", "paper").with("numeric_path", "f32/portable")
}

pub(crate) fn record(fingerprint: Fingerprint, repeatability: Repeatability) -> SignalRecord {
    let info = SignalInfo {
        name: "made-up".to_owned(),
        fingerprint,
        input: Input::DOCUMENTS,
        parallelism: Parallelism::PerCore,
        schema: Arc::new(value_schema()),
        ranking: Some(Ranking {
            column: "score".to_owned(),
            direction: Direction::HigherIsBetter,
            rule: Rule::Top,
        }),
        part_bytes: 1 << 20,
        notes: BTreeMap::from([("licence".to_owned(), "none".to_owned())]),
    };
    SignalRecord::new(&info, repeatability)
}

pub(crate) fn exact() -> SignalRecord {
    record(fingerprint(), Repeatability::Exact)
}

/// Commits the inventory of a shard of `physical` rows, written in batches of `batch` documents.
pub(crate) fn take_inventory(
    run: &RunDirectory,
    path: &str,
    physical: u64,
    batch: usize,
) -> RunResult<InventoryReceipt> {
    let mut writer = run.inventory_writer(path, &columns())?;
    for rows in rows_of(physical).chunks(batch) {
        writer.write(&inventory_rows(&documents(rows), &columns().carry)?)?;
    }
    writer.commit(ShardEnd {
        rows: physical,
        failed: BTreeMap::from([("invalid-json".to_owned(), physical / 6)]),
        bytes: physical * 40,
        digest: format!("{:032x}", u128::from(physical) + 7),
        version: "1".to_owned(),
    })
}

/// A run in a temporary folder whose shard has an inventory.
pub(crate) fn local_run(physical: u64) -> (tempfile::TempDir, RunDirectory, ShardRecord) {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDirectory::open_or_create(Store::local(folder.path())).unwrap();
    let shard = take_inventory(&run, "web/a.jsonl.zst", physical, 1000).unwrap().shard;
    (folder, run, shard)
}

pub(crate) fn span(first_row: u64, rows: u64) -> RowSpan {
    RowSpan { first_row, rows }
}

/// Every file of a store with its bytes, but for audit and locks.
pub(crate) fn contents(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let entries = store.list("").unwrap();
    let entries = entries.into_iter().filter(|entry| !entry.path.starts_with(".locks/"));
    entries.map(|entry| (entry.path.clone(), store.read(&entry.path).unwrap().to_vec())).collect()
}

/// When a broken store stops a writing operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Before it has done anything.
    Before,
    /// After it was done, so that the caller never learns of it.
    After,
    /// Before it has done anything, saying that the caller may not write.
    Denied,
}

/// An object store whose writes and removals fail for ever after the first few.
#[derive(Debug)]
pub(crate) struct Breaking {
    inner: Arc<InMemory>,
    left: AtomicUsize,
    stop: Stop,
}

impl Breaking {
    pub(crate) fn new(inner: &Arc<InMemory>, operations: usize, stop: Stop) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), left: AtomicUsize::new(operations), stop })
    }

    /// Whether the operation may go on; `Err` when the store is broken before it.
    fn step(&self) -> Result<bool> {
        let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match (before, self.stop) {
            (Ok(1), Stop::After) => Ok(false),
            (Ok(_), _) => Ok(true),
            (Err(_), Stop::Denied) => Err(object_store::Error::PermissionDenied {
                path: "run".to_owned(),
                source: "read only".into(),
            }),
            (Err(_), _) => Err(broken()),
        }
    }
}

fn broken() -> object_store::Error {
    object_store::Error::Generic { store: "breaking", source: "the test stopped it".into() }
}

impl fmt::Display for Breaking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("breaking")
    }
}

#[async_trait]
impl ObjectStore for Breaking {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let acknowledged = self.step()?;
        let done = self.inner.put_opts(location, payload, opts).await?;
        if acknowledged { Ok(done) } else { Err(broken()) }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.step() {
            Ok(true) => self.inner.delete_stream(locations),
            Ok(false) => {
                let done = self.inner.delete_stream(locations);
                Box::pin(futures::StreamExt::map(done, |_| Err(broken())))
            }
            Err(error) => Box::pin(futures::stream::once(async { Err(error) })),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
