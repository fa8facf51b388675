//! Which folders may lie where: what is written must not be read as something else by the next call.
//!
//! Paths are compared as the file system has them, not as they are spelt: through links, `.` and `..`, and in the spelling of
//! letters that a folder really has. What does not exist yet is where its nearest existing folder is. URLs of object stores are
//! compared as they are written.

use std::path::{Component, Path, PathBuf};

use tamis_io::run::is_run_directory;
use tamis_io::store::{Store, StoreError};

use crate::{Error, Result};

/// Says whose kept documents a folder holds.
pub(crate) const CLAIM: &str = ".tamis-selection.json";

/// Says which export a folder holds.
pub(crate) const EXPORT_CLAIM: &str = ".tamis-export.json";

/// The URL that stands where a path may stand.
fn as_url(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.contains("://"))
}

/// The store of a folder that a user named: a path, or the URL of a prefix.
///
/// # Errors
/// A URL that cannot be opened, or that names an object.
pub(crate) fn store_at(folder: &Path) -> Result<Store> {
    let Some(url) = as_url(folder) else { return Ok(Store::local(folder)) };
    match Store::open(url)? {
        (store, None) => Ok(store),
        (_, Some(name)) => Err(StoreError::InvalidLocation {
            location: url.to_owned(),
            problem: format!("there is an object `{name}`, and a folder is needed"),
        }
        .into()),
    }
}

/// As [`store_at`]; a local folder is watched by whom `beside` is.
///
/// # Errors
/// As [`store_at`].
pub(crate) fn store_beside(beside: &Store, folder: &Path) -> Result<Store> {
    if as_url(folder).is_some() { store_at(folder) } else { Ok(beside.local_beside(folder)) }
}

/// Where a path or URL leads, whether it exists or not.
fn resolved(path: &Path) -> Option<PathBuf> {
    if let Some(url) = as_url(path) {
        return match Store::path_of(url).ok()? {
            Some(local) => resolved(&local),
            // As a path without a root it lies in no local folder.
            None => Some(PathBuf::from(url.trim_end_matches('/'))),
        };
    }
    let mut resolved = PathBuf::new();
    for part in std::path::absolute(path).ok()?.components() {
        match part {
            // What was walked so far holds no link any more, so that its parent is the real one.
            Component::ParentDir => drop(resolved.pop()),
            part => {
                resolved.push(part);
                if let Ok(real) = resolved.canonicalize() {
                    resolved = real;
                }
            }
        }
    }
    Some(resolved)
}

/// Where a location leads, however it was spelt.
pub(crate) fn place_of(location: &str) -> String {
    resolved(Path::new(location)).map_or_else(|| location.to_owned(), |place| place.display().to_string())
}

/// Says of a store that what is put there ends with the process.
pub(crate) fn tell_fleeting(store: &Store, what: &str, observer: &dyn crate::Observer) {
    if store.is_fleeting() {
        let location = store.location("");
        observer.warn(&format!(
            "{what} `{location}` is in the memory of this process: nothing of it stays when it ends"
        ));
    }
}

/// The way from one folder to another inside it; `None` where it lies elsewhere.
fn way_inside(outer: &Path, inner: &Path) -> Option<PathBuf> {
    inner.strip_prefix(outer).ok().map(Path::to_owned)
}

/// Whether a way leads through a hidden name, which no reader of a folder follows.
fn is_hidden(way: &Path) -> bool {
    way.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
}

/// A folder and all that it lies in; of a URL those within its store.
fn folders_above(folder: &Path) -> impl Iterator<Item = &Path> {
    let within = usize::from(as_url(folder).is_some()) * 2;
    folder.ancestors().filter(move |above| above.components().count() >= within)
}

/// Refuses a folder for kept documents inside the corpus.
///
/// # Errors
/// Files there would be read as shards by the next call. Hidden folders are not read.
pub fn refuse_output_inside_corpus(corpus: &str, out: Option<&Path>) -> Result<()> {
    out.map_or(Ok(()), |out| refuse_inside_corpus(corpus, "--out", out))
}

/// Refuses a folder for kept documents that the pattern of a corpus would take in, where they have the names of its shards.
/// `base` is the folder that the pattern starts in.
pub(crate) fn refuse_inside_pattern(location: &str, base: &Path, shards: &[&str], out: &Path) -> Result<()> {
    let (Some(base), Some(inside)) = (resolved(base), resolved(out)) else { return Ok(()) };
    let Some(way) = way_inside(&base, &inside).filter(|way| !is_hidden(way)) else { return Ok(()) };
    let way = way.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
    // Several rates have a folder each. In the base itself a file that is there already is not written over.
    for folder in [way.clone(), format!("{way}/rate-10")] {
        let folder = folder.trim_start_matches('/');
        if !folder.is_empty() && tamis_io::corpus::would_take_in(location, folder, shards) {
            let message = format!("--out `{}` lies where the corpus `{location}` is read", inside.display());
            let hint = "choose a folder that the pattern does not match: files in it would be read as shards";
            return Err(Error::usage(message, hint));
        }
    }
    Ok(())
}

/// Refuses to begin a run in a folder of kept documents, where its files would be taken for some of them.
pub(crate) fn refuse_run_among_kept(run: &Path) -> Result<()> {
    let is_run = |folder: &Path| Ok::<_, Error>(is_run_directory(&store_at(folder)?));
    let Some(real) = resolved(run) else { return Ok(()) };
    if is_run(&real)? {
        return Ok(());
    }
    for folder in folders_above(&real) {
        let is_kept = store_at(folder)?.exists(CLAIM).unwrap_or(false);
        if is_kept && !way_inside(folder, &real).is_some_and(|way| is_hidden(&way)) {
            let message = format!("--run `{}` lies among the kept documents of a selection", run.display());
            let hint =
                format!("name a folder beside them, or a hidden one: `{}`", folder.join(".tamis").display());
            return Err(Error::usage(message, hint));
        }
    }
    Ok(())
}

pub(crate) fn refuse_inside_corpus(corpus: &str, what: &str, path: &Path) -> Result<()> {
    let (Some(corpus), Some(inside)) = (resolved(Path::new(corpus)), resolved(path)) else { return Ok(()) };
    let Some(way) = way_inside(&corpus, &inside) else { return Ok(()) };
    if is_hidden(&way) || (as_url(&corpus).is_none() && !corpus.is_dir()) {
        return Ok(());
    }
    let message = format!("{what} `{}` lies inside the corpus `{}`", inside.display(), corpus.display());
    Err(Error::usage(message, "choose a folder beside the corpus: files in it would be read as shards"))
}

/// Refuses to keep documents and a run in one folder, or one of them inside the other: files of the run would be taken for
/// documents by whoever reads the folder, and kept files for files of the run. A hidden run inside the kept documents is the
/// default.
///
/// # Errors
/// The two folders are one, or one lies openly inside the other; the folder for kept documents is the run directory of
/// others.
pub fn refuse_shared_folder(run: &Path, out: &Path) -> Result<()> {
    let (Some(real_run), Some(real_out)) = (resolved(run), resolved(out)) else { return Ok(()) };
    let (run, out) = (run.display(), out.display());
    if real_run == real_out {
        return Err(Error::usage(
            format!("--run `{run}` and --out `{out}` are one folder"),
            format!("name two folders, or leave --run out: the run is then `{out}/.tamis`"),
        ));
    }
    if way_inside(&real_out, &real_run).is_some_and(|way| !is_hidden(&way)) {
        return Err(Error::usage(
            format!("--run `{run}` lies inside --out `{out}`, among the kept documents"),
            format!("name a folder beside it, or leave --run out: the run is then `{out}/.tamis`"),
        ));
    }
    if way_inside(&real_run, &real_out).is_some() {
        return Err(Error::usage(
            format!("--out `{out}` lies inside --run `{run}`"),
            "name a folder beside the run, or leave --out out: the run then keeps documents in a place of its own",
        ));
    }
    for folder in folders_above(&real_out) {
        if is_run_directory(&store_at(folder)?) {
            return Err(Error::usage(
                format!("--out `{out}` is a run directory, or lies in one"),
                "choose another folder for kept documents",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detour_does_not_hide_where_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = folder.path().join("corpus");
        std::fs::create_dir(&corpus).unwrap();
        let refused = |corpus: &Path, out: &str| {
            refuse_inside_corpus(&corpus.display().to_string(), "--out", &folder.path().join(out)).is_err()
        };
        for out in ["corpus", "corpus/kept", "corpus/./kept", "corpus/../corpus/kept", "new/../corpus/kept"] {
            assert!(refused(&corpus, out), "{out}");
        }
        for out in ["kept", "corpus/../kept", "corpus/.kept", "corpus2"] {
            assert!(!refused(&corpus, out), "{out}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&corpus, folder.path().join("link")).unwrap();
            std::fs::create_dir_all(folder.path().join("far/inner")).unwrap();
            std::os::unix::fs::symlink(folder.path().join("far/inner"), folder.path().join("near")).unwrap();
            assert!(refused(&corpus, "link") && refused(&corpus, "link/kept"));
            assert!(refused(&folder.path().join("link"), "corpus/kept"));
            // The parent of what a link leads to, not the folder that the link is in.
            assert!(!refused(&corpus, "near/../corpus"));
            assert!(refused(&folder.path().join("far"), "near/../kept"));
        }
    }

    #[test]
    fn a_pattern_takes_in_what_lies_below_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("data");
        std::fs::create_dir_all(&base).unwrap();
        let refused = |pattern: &str, out: &str| {
            let location = format!("{}/{pattern}", base.display());
            refuse_inside_pattern(&location, &base, &["a/s.jsonl", "t.jsonl"], &base.join(out)).is_err()
        };
        assert!(refused("**/*.jsonl", "kept") && refused("*/*.jsonl", "kept") && refused("*", "kept"));
        assert!(refused("*/*/*.jsonl", "kept") && refused("*/*.jsonl", "../data/./kept"));
        assert!(!refused("*.jsonl", "kept") && !refused("**/*.jsonl", ".kept") && !refused("*", "../kept"));
        assert!(!refused("[ab]/*.jsonl", "kept") && refused("{a,kept}/*.jsonl", "kept"));
    }

    #[test]
    fn a_run_is_not_begun_among_kept_documents() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("kept/old")).unwrap();
        std::fs::write(path("kept").join(CLAIM), "{}").unwrap();
        assert!(
            refuse_run_among_kept(&path("kept")).is_err()
                && refuse_run_among_kept(&path("kept/run")).is_err()
        );
        assert!(
            refuse_run_among_kept(&path("kept/.tamis")).is_ok()
                && refuse_run_among_kept(&path("run")).is_ok()
        );
        // One that stands there already goes on.
        tamis_io::run::RunDirectory::open_or_create(Store::local(path("kept/old"))).unwrap();
        assert!(refuse_run_among_kept(&path("kept/old")).is_ok());
        assert!(refuse_shared_folder(&path("run"), &path("kept/old/x")).is_err());
    }

    #[test]
    fn a_run_and_its_kept_documents_are_told_apart_however_they_are_spelt() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("there/deep")).unwrap();
        let refused = |run: &str, out: &str| refuse_shared_folder(&path(run), &path(out)).is_err();
        for (run, out) in [
            ("new", "new"),
            ("there", "there/."),
            ("there/../new", "new"),
            ("there", "there/kept"),
            ("there", "there/deep/../kept"),
            ("there/.tamis", "there/.tamis/kept"),
            ("there/run", "there"),
            ("new/deep/run", "new"),
        ] {
            assert!(refused(run, out), "{run} and {out}");
        }
        for (run, out) in [("run", "kept"), ("run", "run2"), ("kept/.tamis", "kept"), ("kept/.a/run", "kept")]
        {
            assert!(!refused(run, out), "{run} and {out}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("there"), path("link")).unwrap();
            assert!(
                refused("there", "link") && refused("link/run", "there") && refused("link", "there/kept")
            );
            std::os::unix::fs::symlink(path("nowhere"), path("dangling")).unwrap();
            assert!(!refused("dangling", "there"));
        }
    }

    #[test]
    fn urls_are_compared_as_they_are_written() {
        let refused = |run: &str, out: &str| refuse_shared_folder(Path::new(run), Path::new(out)).is_err();
        assert!(refused("memory://places/a", "memory://places/a/"));
        assert!(refused("memory://places/a", "memory://places/a/b"));
        assert!(refused("memory://places/a/b", "memory://places/a"));
        assert!(!refused("memory://places/a/.tamis", "memory://places/a"));
        assert!(!refused("memory://places/ab", "memory://places/a"));
        assert!(!refused("memory://places/a", "memory/places/a"));
        let inside =
            |out: &str| refuse_inside_corpus("memory://places/corpus/", "--out", Path::new(out)).is_err();
        assert!(inside("memory://places/corpus/kept") && !inside("memory://places/kept"));
        let run = store_at(Path::new("memory://places/run")).unwrap();
        tamis_io::run::RunDirectory::open_or_create(run).unwrap();
        assert!(refused("memory://places/other", "memory://places/run/x"));
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        assert!(refused(&url, folder.path().join("kept").to_str().unwrap()));
        std::fs::create_dir(folder.path().join("a b")).unwrap();
        let spaced = folder.path().join("a b");
        for spelt in [
            format!("{url}/a%20b/kept"),
            format!("{url}/./a%20b/kept").replace("file://", "file://localhost"),
        ] {
            assert!(refused(spaced.to_str().unwrap(), &spelt), "{spelt}");
            let corpus = format!("{url}/a%20b");
            assert!(refuse_inside_corpus(&corpus, "--out", Path::new(&spelt)).is_err(), "{spelt}");
        }
        assert!(store_at(Path::new("file://")).is_err() && store_at(Path::new("file://a")).is_err());
        store_at(Path::new("memory://places")).unwrap().create_new("object", b"x").unwrap();
        assert!(store_at(Path::new("memory://places/object")).is_err());
    }
}
