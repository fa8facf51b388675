//! The cache folder: where it is, and how a finished folder appears in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::SourceError;

/// The cache folder: `$TAMIS_CACHE`, else `$XDG_CACHE_HOME/tamis`, else `~/.cache/tamis`.
#[must_use]
pub fn default_cache() -> PathBuf {
    cache_from(|name| std::env::var_os(name))
}

fn cache_from(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("TAMIS_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("tamis")))
        .or_else(|| set("HOME").or_else(|| set("USERPROFILE")).map(|home| home.join(".cache").join("tamis")))
        .unwrap_or_else(|| PathBuf::from(".tamis-cache"))
}

/// A temporary folder on the same file system as the cache; it goes away unless it is published.
pub(super) fn temporary(cache: &Path) -> Result<tempfile::TempDir, SourceError> {
    let failed = |source| SourceError::Io { action: "write to the cache", path: cache.to_owned(), source };
    std::fs::create_dir_all(cache).map_err(failed)?;
    tempfile::Builder::new().prefix(".fetching-").tempdir_in(cache).map_err(failed)
}

/// Makes a finished folder visible under its final name at once. When another process was faster, its folder stays:
/// both were made from the same package.
pub(super) fn publish(finished: &Path, target: &Path) -> Result<(), SourceError> {
    let failed = |source| SourceError::Io { action: "write to the cache", path: target.to_owned(), source };
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a folder is never renamed over one that has files in it: the first wins"
    )]
    let renamed = std::fs::rename(finished, target);
    match renamed {
        Err(_) if target.is_dir() => Ok(()),
        other => other.map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> =
                set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            cache_from(move |name| set.iter().find(|(k, _)| k == name).map(|(_, v)| v.into()))
        };
        let all = [("TAMIS_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(with(&all), Path::new("/a"));
        assert_eq!(with(&all[1..]), Path::new("/b/tamis"));
        assert_eq!(with(&all[2..]), Path::new("/c/.cache/tamis"));
        assert_eq!(with(&[("TAMIS_CACHE", ""), ("HOME", "/c")]), Path::new("/c/.cache/tamis"));
    }

    #[test]
    fn the_first_of_two_processes_wins() {
        let cache = tempfile::tempdir().unwrap();
        let target = cache.path().join("pypi/model/1.0");
        for content in ["first", "second"] {
            let folder = temporary(cache.path()).unwrap();
            std::fs::write(folder.path().join("file"), content).unwrap();
            publish(folder.path(), &target).unwrap();
        }
        assert_eq!(std::fs::read_to_string(target.join("file")).unwrap(), "first");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1, "nothing temporary stays");
    }
}
