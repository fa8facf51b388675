//! An object store that fails at one of its operations.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not at all.
    None,
    /// It is refused, as are all later ones.
    Down,
    /// It is refused; others are not.
    Error,
    /// Nobody answers in time; others are answered.
    TimedOut,
    /// It is done, but the answer is lost: for a write, the caller cannot know.
    LostAnswer,
    /// It is done, the answer is lost, and the client asks again: a write then finds its own object there.
    LostAnswerAndRetried,
    /// A store that is not atomic: half of what is written stays there, and the write fails.
    Half,
}

/// Objects in memory, and an operation (1-based) that fails.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<InMemory>,
    count: AtomicU64,
    at: u64,
    fault: Fault,
}

impl Faulty {
    pub(crate) fn new(inner: &Arc<InMemory>, at: u64, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), count: AtomicU64::new(0), at, fault })
    }

    /// Operations so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// The fault of the operation that begins now.
    fn step(&self) -> Result<Fault> {
        let step = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        match self.fault {
            Fault::Down if step >= self.at => Err(refused("503 Slow Down")),
            Fault::Error if step == self.at => Err(refused("500 Internal Error")),
            Fault::TimedOut if step == self.at => Err(refused("operation timed out")),
            fault if step == self.at => Ok(fault),
            _ => Ok(Fault::None),
        }
    }
}

fn refused(why: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: why.into() }
}

fn answer<T>(fault: Fault, done: T) -> Result<T> {
    if fault == Fault::LostAnswer { Err(refused("connection reset by peer")) } else { Ok(done) }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let fault = self.step()?;
        if fault == Fault::Half {
            let bytes: Vec<u8> = payload.iter().flat_map(|chunk| chunk.to_vec()).collect();
            let half = bytes[..bytes.len() / 2].to_vec();
            self.inner.put_opts(location, half.into(), opts).await?;
            return Err(refused("connection reset by peer"));
        }
        let done = self.inner.put_opts(location, payload.clone(), opts.clone()).await?;
        if fault == Fault::LostAnswerAndRetried {
            return self.inner.put_opts(location, payload, opts).await;
        }
        answer(fault, done)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.step()?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let fault = self.step()?;
        answer(fault, self.inner.get_opts(location, options).await?)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.step() {
            Ok(fault) => self.inner.delete_stream(locations).map(move |done| answer(fault, done?)).boxed(),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.step() {
            Ok(_) => self.inner.list(prefix),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let fault = self.step()?;
        answer(fault, self.inner.list_with_delimiter(prefix).await?)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
