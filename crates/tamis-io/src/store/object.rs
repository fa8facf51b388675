//! The object-store side of a store: futures, run to their end on one hidden runtime.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::{Buf, Bytes};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::runtime::{Builder, Runtime};

use super::error::{StoreError, StoreResult};
use super::{Created, Entry, split_url};

/// Runs a future to its end. Threads that call this at once share the runtime: one drives it, the others are woken.
///
/// # Panics
/// When called from inside an asynchronous runtime.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime without threads can be built")
        })
        .block_on(future)
}

/// Objects under a prefix.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    pub(super) store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The part of the URL before the prefix, for messages.
    base: Arc<str>,
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: &str, base: Option<&str>) -> StoreResult<Self> {
        let base: Arc<str> = base.map_or_else(|| format!("{store}:/"), str::to_owned).into();
        Ok(Self { store, prefix: parse(prefix)?, base })
    }

    pub(super) fn join(&self, folder: &str) -> StoreResult<Self> {
        Ok(Self { prefix: self.full(folder)?, ..self.clone() })
    }

    pub(super) fn location(&self, path: &str) -> String {
        [self.base.trim_end_matches('/'), self.prefix.as_ref(), path]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/")
    }

    pub(super) fn full(&self, path: &str) -> StoreResult<Path> {
        if self.prefix.as_ref().is_empty() { parse(path) } else { parse(&format!("{}/{path}", self.prefix)) }
    }

    pub(super) fn error(&self, action: &'static str, path: &str, source: object_store::Error) -> StoreError {
        let location = self.location(path);
        match source {
            object_store::Error::NotFound { .. } => StoreError::NotFound { location },
            source => StoreError::Object { action, location, source: Box::new(source) },
        }
    }

    pub(super) fn entry(&self, path: &str) -> StoreResult<Option<Entry>> {
        let full = self.full(path)?;
        match block_on(self.store.head(&full)) {
            Ok(meta) => Ok(Some(describe(path.to_owned(), &meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("look at", path, error)),
        }
    }

    pub(super) fn list(&self, folder: &str) -> StoreResult<Vec<Entry>> {
        let under = if folder.is_empty() { self.prefix.clone() } else { self.full(folder)? };
        let metas: Vec<ObjectMeta> = block_on(self.store.list(Some(&under)).try_collect())
            .map_err(|error| self.error("list", folder, error))?;
        let skip = match self.prefix.as_ref().len() {
            0 => 0,
            length => length + 1,
        };
        // Some stores keep empty objects as folder markers, whose names cannot be told from the prefix itself.
        let named = metas.iter().filter(|meta| meta.location.as_ref().len() > skip);
        Ok(named.map(|meta| describe(meta.location.as_ref()[skip..].to_owned(), meta)).collect())
    }

    pub(super) fn folders(&self, folder: &str) -> StoreResult<Vec<String>> {
        let full = self.full(folder)?;
        let listed = block_on(self.store.list_with_delimiter(Some(&full)))
            .map_err(|error| self.error("list", folder, error))?;
        let names = listed.common_prefixes.iter().filter_map(|prefix| prefix.filename());
        Ok(names.map(str::to_owned).collect())
    }

    pub(super) fn read(&self, path: &str) -> StoreResult<Bytes> {
        let full = self.full(path)?;
        block_on(async { self.store.get(&full).await?.bytes().await })
            .map_err(|error| self.error("read", path, error))
    }

    pub(super) fn stream(&self, path: &str) -> StoreResult<ObjectRead> {
        let full = self.full(path)?;
        let got = block_on(self.store.get(&full)).map_err(|error| self.error("read", path, error))?;
        Ok(ObjectRead { stream: Mutex::new(got.into_stream()), chunk: Bytes::new() })
    }

    pub(super) fn create_new(&self, path: &str, bytes: Bytes) -> StoreResult<Created> {
        let full = self.full(path)?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match block_on(self.store.put_opts(&full, bytes.into(), options)) {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::Existed),
            Err(error) => Err(self.error("write", path, error)),
        }
    }

    pub(super) fn remove(&self, path: &str) -> StoreResult<()> {
        let full = self.full(path)?;
        match block_on(self.store.delete(&full)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error("remove", path, error)),
        }
    }
}

fn parse(path: &str) -> StoreResult<Path> {
    Path::parse(path).map_err(|_| StoreError::InvalidPath {
        path: path.to_owned(),
        problem: "it has characters or segments that object stores do not take",
    })
}

fn describe(path: String, meta: &ObjectMeta) -> Entry {
    let version = meta.e_tag.clone().or_else(|| meta.version.clone());
    Entry {
        path,
        size: meta.size,
        version: version.unwrap_or_else(|| meta.last_modified.timestamp_micros().to_string()),
        identity: None,
    }
}

/// An object as a blocking stream.
pub(super) struct ObjectRead {
    // The mutex is never contended: it makes the stream, which is `Send` but not `Sync`, fit for sharing.
    stream: Mutex<BoxStream<'static, object_store::Result<Bytes>>>,
    chunk: Bytes,
}

impl Read for ObjectRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let stream =
                self.stream.get_mut().map_err(|_| io::Error::other("a reader of this object panicked"))?;
            match block_on(stream.next()) {
                None => return Ok(0),
                Some(chunk) => self.chunk = chunk.map_err(io::Error::other)?,
            }
        }
        let length = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Opens a URL: the objects of its folder, and the name when the URL is that of an object.
pub(super) fn open(location: &str) -> StoreResult<(Objects, Option<String>)> {
    let (scheme, rest) = split_url(location).expect("the caller saw a scheme");
    let (store, base, path) = match scheme {
        "memory" => {
            let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
            (memory(name), format!("memory://{name}"), path.to_owned())
        }
        _ => cloud(location, scheme)?,
    };
    let path = path.trim_matches('/');
    let objects = Objects::new(Arc::clone(&store), path, Some(&base))?;
    if path.is_empty() || location.ends_with('/') {
        return Ok((objects, None));
    }
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = Objects::new(store, folder, Some(&base))?;
    match parent.entry(name)? {
        Some(_) => Ok((parent, Some(name.to_owned()))),
        None => Ok((objects, None)),
    }
}

/// The process-wide store of a name.
fn memory(name: &str) -> Arc<dyn ObjectStore> {
    static STORES: Mutex<BTreeMap<String, Arc<InMemory>>> = Mutex::new(BTreeMap::new());
    let mut stores = STORES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let store: Arc<InMemory> = Arc::clone(stores.entry(name.to_owned()).or_default());
    store
}

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure", feature = "http"))]
fn cloud(location: &str, scheme: &str) -> StoreResult<(Arc<dyn ObjectStore>, String, String)> {
    let invalid = |problem: String| StoreError::InvalidLocation { location: location.to_owned(), problem };
    let url = url::Url::parse(location).map_err(|error| invalid(error.to_string()))?;
    if feature_of(scheme).is_none_or(|(_, built)| !built) {
        return Err(unknown_scheme(location, scheme));
    }
    // Settings have short aliases too (`token`, `region`); only a variable with the provider's name in front is meant so.
    let settings = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str()?.to_ascii_lowercase();
        let ours = ["aws_", "google_", "azure_"].iter().any(|provider| name.starts_with(provider));
        ours.then(|| Some((name, value.into_string().ok()?)))?
    });
    let (store, path) =
        object_store::parse_url_opts(&url, settings).map_err(|error| invalid(error.to_string()))?;
    let base = format!("{scheme}://{}", url.authority());
    Ok((store.into(), base, path.as_ref().to_owned()))
}

#[cfg(not(any(feature = "aws", feature = "gcp", feature = "azure", feature = "http")))]
fn cloud(location: &str, scheme: &str) -> StoreResult<(Arc<dyn ObjectStore>, String, String)> {
    Err(unknown_scheme(location, scheme))
}

/// The feature of this crate that a scheme needs, and whether it is built in.
fn feature_of(scheme: &str) -> Option<(&'static str, bool)> {
    match scheme {
        "s3" | "s3a" => Some(("aws", cfg!(feature = "aws"))),
        "gs" => Some(("gcp", cfg!(feature = "gcp"))),
        "az" | "adl" | "azure" | "abfs" | "abfss" => Some(("azure", cfg!(feature = "azure"))),
        "http" | "https" => Some(("http", cfg!(feature = "http"))),
        _ => None,
    }
}

fn unknown_scheme(location: &str, scheme: &str) -> StoreError {
    match feature_of(scheme) {
        Some((feature, _)) => StoreError::MissingFeature { location: location.to_owned(), feature },
        None => StoreError::InvalidLocation {
            location: location.to_owned(),
            problem: format!(
                "unknown scheme `{scheme}`; known are file, memory, s3, gs, az, http and https (and plain paths)"
            ),
        },
    }
}
