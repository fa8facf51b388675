//! JSON files: a format version in each, strict when read back, the same bytes for the same content.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{RunError, RunResult};
use crate::store::{Created, Store, StoreError};

/// Version of every file of a run directory. A file that states a newer one is refused, never guessed at.
pub const FORMAT_VERSION: u64 = 1;

/// Reads what is needed before anything else may be trusted.
#[derive(Deserialize)]
struct Versioned {
    format_version: u64,
}

/// Pretty JSON with a final line break; fields stand in the order of the struct, maps are sorted.
pub(crate) fn encode<T: Serialize>(path: &str, value: &T) -> RunResult<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| RunError::write(path, error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes a file unless there is one.
pub(crate) fn create<T: Serialize>(store: &Store, path: &str, value: &T) -> RunResult<Created> {
    Ok(store.create_new(path, &encode(path, value)?)?)
}

/// Reads a file; `None` when there is none.
pub(crate) fn read<T: DeserializeOwned>(store: &Store, path: &str) -> RunResult<Option<T>> {
    match store.read(path) {
        Ok(bytes) => decode(path, &bytes).map(Some),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Parses a file: first its version, then, strictly, the rest.
pub(crate) fn decode<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> RunResult<T> {
    let versioned: Versioned = serde_json::from_slice(bytes).map_err(|error| invalid(path, &error))?;
    if versioned.format_version > FORMAT_VERSION {
        return Err(RunError::Newer {
            path: path.to_owned(),
            found: versioned.format_version,
            known: FORMAT_VERSION,
        });
    }
    if versioned.format_version == 0 {
        return Err(RunError::corrupt(path, "format version 0 was never written"));
    }
    serde_json::from_slice(bytes).map_err(|error| invalid(path, &error))
}

fn invalid(path: &str, error: &serde_json::Error) -> RunError {
    RunError::corrupt(path, format!("not what tamis wrote: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        format_version: u64,
        name: String,
    }

    #[test]
    fn newer_versions_are_refused_even_when_they_have_other_fields() {
        let error = decode::<Example>("x.json", br#"{"format_version": 2, "what": {}}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`x.json`: format version 2 is newer than 1, the newest that this tamis reads"
        );
    }

    #[test]
    fn unknown_fields_and_other_shapes_are_errors() {
        for text in [
            r#"{"format_version": 1, "name": "a", "more": 1}"#,
            r#"{"format_version": 0, "name": "a"}"#,
            r#"{"format_version": -1, "name": "a"}"#,
            r#"{"format_version": 1}"#,
            r#"{"name": "a"}"#,
            "[]",
            "",
            "\u{feff}{}",
        ] {
            assert!(
                matches!(decode::<Example>("x.json", text.as_bytes()), Err(RunError::Corrupt { .. })),
                "{text}"
            );
        }
        let deep = "[".repeat(100_000);
        assert!(decode::<Example>("x.json", deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode::<Example>("x.json", &bytes).is_err());
        }
    }
}
