//! What can be wrong with a store.

use std::io;

use parquet::errors::ParquetError;

/// Result of an operation on a store.
pub type StoreResult<T, E = StoreError> = std::result::Result<T, E>;

/// What can be wrong with a store or one of its files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such file.
    #[error("`{location}`: no such file")]
    NotFound {
        /// Local path or URL.
        location: String,
    },
    /// The file system refused an operation.
    #[error("`{location}`: could not {action}: {source}")]
    Io {
        /// `read`, `write`, `list`, ….
        action: &'static str,
        /// Local path.
        location: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The object store refused an operation or did not answer.
    #[error("`{location}`: could not {action}: {source}")]
    Object {
        /// `read`, `write`, `list`, ….
        action: &'static str,
        /// URL.
        location: String,
        /// What the object store says.
        #[source]
        source: Box<object_store::Error>,
    },
    /// A path cannot be one of a file in a store.
    #[error("`{path}` is not a usable path: {problem}")]
    InvalidPath {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A location names no store.
    #[error("`{location}`: {problem}")]
    InvalidLocation {
        /// What the user gave.
        location: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The location needs a part of this crate that was not built in.
    #[error("`{location}`: this tamis was built without feature `{feature}`")]
    MissingFeature {
        /// What the user gave.
        location: String,
        /// The cargo feature.
        feature: &'static str,
    },
}

/// The remedy where the place itself is to blame.
pub(crate) const AGAIN: &str =
    "when the disk or the store works again, run the same command again: what is finished is kept";

impl StoreError {
    /// Whether the place answers and does not let the caller do what was asked: a read-only disk, a missing permission.
    pub(crate) fn is_refused(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
            }
            Self::Object { source, .. } => matches!(
                **source,
                object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }
            ),
            _ => false,
        }
    }

    pub(crate) fn io(action: &'static str, location: impl Into<String>, source: io::Error) -> Self {
        Self::Io { action, location: location.into(), source }
    }

    /// What a writer of the file at `location` failed with: the object store's own error where it is inside.
    pub(crate) fn written(location: impl Into<String>, error: io::Error) -> Self {
        match error.downcast::<object_store::Error>() {
            Ok(source) => {
                Self::Object { action: "write", location: location.into(), source: Box::new(source) }
            }
            Err(error) => Self::io("write", location, error),
        }
    }

    /// As [`StoreError::written`], from inside a Parquet writer; `Err` gives back an error that is Parquet's own.
    pub(crate) fn written_parquet(
        location: impl Into<String>,
        error: ParquetError,
    ) -> Result<Self, ParquetError> {
        let ParquetError::External(inner) = error else { return Err(error) };
        match inner.downcast::<io::Error>() {
            Ok(error) => Ok(Self::written(location, *error)),
            Err(inner) => Err(ParquetError::External(inner)),
        }
    }

    /// What to do about it, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        use io::ErrorKind;
        Some(match self {
            Self::Io { source, .. } => match source.kind() {
                ErrorKind::PermissionDenied => "check who owns the folder and its permissions".into(),
                ErrorKind::ReadOnlyFilesystem => "choose a folder on a file system that can be written".into(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    "make room and run the same command again: finished parts are kept".into()
                }
                ErrorKind::Unsupported => {
                    "files are published by hard links, which this file system does not have; use another folder".into()
                }
                ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                    "a file is where a folder has to be: choose another place, or move it away".into()
                }
                _ => AGAIN.into(),
            },
            Self::Object { .. } => AGAIN.into(),
            Self::InvalidLocation { .. } => "give a local path, or a URL such as s3://bucket/folder".into(),
            Self::MissingFeature { feature, .. } => format!("build it with `--features {feature}`"),
            Self::InvalidPath { .. } => "rename the file".into(),
            Self::NotFound { .. } => return None,
        })
    }
}
