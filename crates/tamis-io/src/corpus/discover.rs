//! Finds the shards of a corpus.

use std::collections::BTreeMap;

use super::format::{KNOWN, recognise};
use super::glob::{Pattern, is_pattern};
use super::{Corpus, CorpusError, CorpusResult, Shard};
use crate::store::{Entry, Store, split_url};

/// Finds the shards of what a user named: a file, a folder (with all folders in it), a glob, or a URL of any of these.
///
/// Shards are sorted by path. In a folder or a glob, files of unknown endings and hidden ones (with a name that starts with
/// a dot, or in a folder of such a name) are left out. A location that exists as it stands is never read as a glob.
///
/// # Errors
/// [`CorpusError::Empty`] when there is nothing to read, which says what was looked for; [`CorpusError::Collision`] for
/// `a.jsonl` beside `a.jsonl.gz`; a store that does not answer.
pub fn discover(location: &str) -> CorpusResult<Corpus> {
    if is_pattern(location) && !std::path::Path::new(location).exists() {
        return find_pattern(location);
    }
    let (store, name) = Store::open(location)?;
    if let Some(name) = name {
        let entry = store.entry(&name)?;
        if let Some(shard) = entry.and_then(shard) {
            return Ok(Corpus::new(store, vec![shard]));
        }
        return Err(empty(location, format!("the ending of `{name}` is not known")));
    }
    let entries = store.list("")?;
    if entries.is_empty() {
        let missing = store.local_path("").is_some_and(|path| !path.exists());
        let problem = if missing { "no such file or folder" } else { "there are no files in it" };
        return Err(empty(location, problem.into()));
    }
    let found = entries.len();
    let visible =
        entries.into_iter().filter(|entry| !entry.path.split('/').any(|name| name.starts_with('.')));
    let shards: Vec<Shard> = visible.filter_map(shard).collect();
    if shards.is_empty() {
        return Err(empty(
            location,
            format!("of {found} files in it none has a known ending (hidden ones do not count)"),
        ));
    }
    corpus(store, shards)
}

fn find_pattern(location: &str) -> CorpusResult<Corpus> {
    // The folder that is listed ends before the first segment with a special character; the host of a URL has none.
    let path_start = match split_url(location) {
        Some((scheme, rest)) => scheme.len() + 3 + rest.find('/').map_or(rest.len(), |slash| slash + 1),
        None => 0,
    };
    let (host, path) = location.split_at(path_start);
    let refuse = |problem: String| CorpusError::Pattern { location: location.to_owned(), problem };
    let special =
        path.find(['*', '?', '[', '{']).ok_or_else(|| refuse("a host cannot be a pattern".into()))?;
    let base = path[..special].rfind('/').map_or(0, |slash| slash + 1);
    let pattern = Pattern::new(&path[base..]).map_err(refuse)?;
    let folder = format!("{host}{}", &path[..base]);
    let (store, _) = Store::open(if folder.is_empty() { "." } else { &folder })?;
    let entries: Vec<Entry> =
        store.list("")?.into_iter().filter(|entry| pattern.matches(&entry.path)).collect();
    let found = entries.len();
    let shards: Vec<Shard> = entries.into_iter().filter_map(shard).collect();
    if shards.is_empty() {
        let folder = store.location("");
        let problem = match found {
            0 => format!("no file in `{folder}` matches the pattern"),
            _ => format!("{found} files in `{folder}` match the pattern, none with a known ending"),
        };
        return Err(empty(location, problem));
    }
    corpus(store, shards)
}

fn shard(entry: Entry) -> Option<Shard> {
    let (container, compression, _) = recognise(&entry.path)?;
    Some(Shard { container, compression, path: entry.path, size_bytes: entry.size, version: entry.version })
}

/// Refuses shards that a run directory could not tell apart.
fn corpus(store: Store, shards: Vec<Shard>) -> CorpusResult<Corpus> {
    let mut stems: BTreeMap<&str, &str> = BTreeMap::new();
    for shard in &shards {
        if let Some(first) = stems.insert(shard.stem(), &shard.path) {
            return Err(CorpusError::Collision { first: first.to_owned(), second: shard.path.clone() });
        }
    }
    Ok(Corpus::new(store, shards))
}

fn empty(location: &str, problem: String) -> CorpusError {
    CorpusError::Empty { location: location.to_owned(), problem, known: KNOWN.to_owned() }
}
