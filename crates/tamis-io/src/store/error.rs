//! What can be wrong with a store.

use std::io;

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

impl StoreError {
    pub(crate) fn io(action: &'static str, location: impl Into<String>, source: io::Error) -> Self {
        Self::Io { action, location: location.into(), source }
    }

    /// What to do about it, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        use io::ErrorKind;
        Some(match self {
            Self::Io { source, .. } => match source.kind() {
                ErrorKind::PermissionDenied => "check who owns the folder and its permissions".into(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    "make room and run the same command again: finished parts are kept".into()
                }
                ErrorKind::Unsupported => {
                    "files are published by hard links, which this file system does not have; use another folder".into()
                }
                _ => return None,
            },
            Self::InvalidLocation { .. } => "give a local path, or a URL such as s3://bucket/folder".into(),
            Self::MissingFeature { feature, .. } => format!("build it with `--features {feature}`"),
            Self::InvalidPath { .. } => "rename the file".into(),
            Self::NotFound { .. } | Self::Object { .. } => return None,
        })
    }
}
