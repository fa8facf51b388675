//! Finds the shards of a corpus.

use std::collections::{BTreeMap, BTreeSet};

use super::format::{KNOWN, recognise};
use super::glob::{Pattern, is_pattern};
use super::left_out::{self, LeftOut, LeftOutReason};
use super::{Corpus, CorpusError, CorpusResult, Shard};
use crate::store::{Entry, Found, Oddity, Store, split_url};

/// Finds the shards of what a user named: a file, a folder (with all folders in it), a glob, or a URL of any of these.
///
/// Shards are sorted by path. A location that exists as it stands is never read as a glob. In a folder or a glob, hidden files,
/// those that programs keep for themselves and those of unknown endings are left out, as [`Corpus::left_out`] says; a glob
/// that writes such a name out means it, and one that states an ending that is not read is refused.
///
/// # Errors
/// [`CorpusError::Empty`] when there is nothing to read, which says what was looked for; [`CorpusError::NotRead`] for a link
/// that leads nowhere and whatever else was named and is no file; [`CorpusError::Collision`] for `a.jsonl` beside
/// `a.jsonl.gz`; a store that does not answer.
pub fn discover(location: &str) -> CorpusResult<Corpus> {
    discover_beside(location, &BTreeSet::new())
}

/// As [`discover`], for a run that has read shards of these paths before: they stay shards, whatever their names.
///
/// # Errors
/// As [`discover`].
pub fn discover_beside(location: &str, known: &BTreeSet<String>) -> CorpusResult<Corpus> {
    if is_glob(location) {
        return find_pattern(location, known);
    }
    let (store, name) = Store::open(location)?;
    if let Some(name) = name {
        let entry = store.entry(&name)?;
        if let Some(shard) = entry.and_then(shard) {
            return Ok(Corpus::new(store, vec![shard]));
        }
        return Err(empty(location, format!("the ending of `{name}` is not known")));
    }
    let search = Search { location, pattern: None, known, store: &store };
    let (found, shards, left_out) = search.run()?;
    if found == 0 {
        return Err(nothing(location, &store));
    }
    if shards.is_empty() {
        let problem = format!("of {found} files in it none has a known ending (hidden ones do not count)");
        return Err(empty(location, in_full(problem, &left_out)));
    }
    corpus(store, shards, left_out)
}

/// Whether a location is read as a glob: one that exists as it stands never is.
pub(crate) fn is_glob(location: &str) -> bool {
    is_pattern(location) && !std::path::Path::new(location).exists()
}

/// What is wrong with a location in which there is nothing.
fn nothing(location: &str, store: &Store) -> CorpusError {
    let Some(path) = store.local_path("") else { return empty(location, "there are no files in it".into()) };
    let link = std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
    let problem = match std::fs::metadata(&path) {
        Err(error) if link => return not_read(location, location, dangling(true, &error.to_string()), MEND),
        Err(_) => "no such file or folder",
        Ok(metadata) if !metadata.is_dir() => "it is neither a file nor a folder",
        Ok(_) => "there are no files in it",
    };
    empty(location, problem.into())
}

/// The folder of a glob and what is matched in it. The folder that is listed ends before the first segment with a special
/// character; the host of a URL has none.
pub(crate) fn split_pattern(location: &str) -> CorpusResult<(Store, Pattern)> {
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
    Ok((store, pattern))
}

fn find_pattern(location: &str, known: &BTreeSet<String>) -> CorpusResult<Corpus> {
    let (store, pattern) = split_pattern(location)?;
    let search = Search { location, pattern: Some(&pattern), known, store: &store };
    let (found, shards, left_out) = search.run()?;
    if shards.is_empty() {
        let folder = store.location("");
        let problem = match found {
            0 => format!("no file in `{folder}` matches the pattern"),
            _ => format!("{found} files in `{folder}` match the pattern, none with a known ending"),
        };
        return Err(empty(location, in_full(problem, &left_out)));
    }
    corpus(store, shards, left_out)
}

/// A problem, with what was left out.
fn in_full(problem: String, left_out: &LeftOut) -> String {
    let more = left_out.notes().into_iter().chain(left_out.warnings());
    std::iter::once(problem).chain(more).collect::<Vec<_>>().join("; ")
}

const MEND: &str = "mend the link or remove it, or name the files to read with a glob";
const NO_FILE: &str = "move it away, or name the files to read with a glob";
const RECOMPRESS: &str = "write it as .jsonl, .jsonl.gz, .jsonl.zst or .parquet, or leave it out of the glob";

fn dangling(link: bool, problem: &str) -> String {
    if link {
        format!("a link that leads nowhere: {problem}")
    } else {
        format!("could not look at it: {problem}")
    }
}

/// A look through a folder for shards.
struct Search<'s> {
    location: &'s str,
    pattern: Option<&'s Pattern>,
    known: &'s BTreeSet<String>,
    store: &'s Store,
}

impl Search<'_> {
    /// How many files and other things there are, the shards among them, and the rest.
    fn run(&self) -> CorpusResult<(usize, Vec<Shard>, LeftOut)> {
        let mut left_out = LeftOut::default();
        let mut shards: Vec<Shard> = Vec::new();
        let mut identities: BTreeMap<(u64, u64), String> = BTreeMap::new();
        let mut count = 0;
        for found in self.store.survey(&|folder| self.enters(folder))? {
            let matches = |pattern: &Pattern| match &found {
                Found::File(_) | Found::Odd { oddity: Oddity::Special, .. } => pattern.matches(found.path()),
                // These are folders, or may have been.
                Found::Odd { .. } => pattern.leads_into(found.path()),
            };
            if self.pattern.is_some_and(|pattern| !matches(pattern)) {
                continue;
            }
            count += 1;
            let spelled = |name: &str| self.spells(name);
            let by_name = left_out::by_name(found.path(), &spelled);
            if let Some((reason, path)) = by_name.filter(|_| !self.known.contains(found.path())) {
                let noise = reason == LeftOutReason::Hidden && recognise(found.path()).is_none();
                if !noise {
                    left_out.add(reason, path);
                }
                continue;
            }
            let entry = match found {
                Found::File(entry) => entry,
                Found::Odd { path, oddity } => {
                    self.odd(&path, oddity, &mut left_out)?;
                    continue;
                }
            };
            if recognise(&entry.path).is_none() {
                if self.pattern.is_some_and(|pattern| pattern.states_the_ending_of(&entry.path)) {
                    let problem = "its ending is not known".to_owned();
                    return Err(not_read(self.location, &entry.path, problem, RECOMPRESS));
                }
                let reason = left_out::by_ending(&entry.path);
                // Some object stores have empty objects for folders.
                if entry.size > 0 || reason != LeftOutReason::OtherEnding {
                    left_out.add(reason, &entry.path);
                }
                continue;
            }
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            let meant = self.known.contains(&entry.path) || self.spells(name);
            if !meant && left_out::is_json_document(self.store, &entry)? {
                left_out.add(LeftOutReason::JsonDocument, &entry.path);
                continue;
            }
            if let Some(identity) = entry.identity {
                let first = identities.entry(identity).or_insert_with(|| entry.path.clone());
                if *first != entry.path {
                    left_out.add_linked(&entry.path, first);
                }
            }
            if entry.size == 0 {
                left_out.add_empty(&entry.path);
            }
            shards.extend(shard(entry));
        }
        Ok((count, shards, left_out))
    }

    /// Whether a folder is looked into. In hidden ones and those of programs there may be what the run has read before.
    fn enters(&self, folder: &str) -> bool {
        let name = folder.rsplit('/').next().unwrap_or_default();
        let shunned = (name.starts_with('.') || left_out::is_own_folder(name)) && !self.spells(name);
        if shunned {
            let inside = format!("{folder}/");
            return self.known.range(inside.clone()..).next().is_some_and(|path| path.starts_with(&inside));
        }
        self.pattern.is_none_or(|pattern| pattern.leads_into(folder))
    }

    fn spells(&self, name: &str) -> bool {
        self.pattern.is_some_and(|pattern| pattern.spells(name) || pattern.shows_hidden(name))
    }

    fn odd(&self, path: &str, oddity: Oddity, left_out: &mut LeftOut) -> CorpusResult<()> {
        match oddity {
            Oddity::Unreachable { link, problem } => {
                Err(not_read(self.location, path, dangling(link, &problem), MEND))
            }
            Oddity::Special if recognise(path).is_some() => {
                let problem = "a pipe, a socket or a device, not a file".to_owned();
                Err(not_read(self.location, path, problem, NO_FILE))
            }
            Oddity::Special => {
                left_out.add(LeftOutReason::OtherEnding, path);
                Ok(())
            }
            Oddity::FolderAbove => {
                left_out.add(LeftOutReason::FolderAbove, path);
                Ok(())
            }
            // What is not entered was told by its name.
            Oddity::NotEntered => Ok(()),
        }
    }
}

fn shard(entry: Entry) -> Option<Shard> {
    let (container, compression, _) = recognise(&entry.path)?;
    Some(Shard { container, compression, path: entry.path, size_bytes: entry.size, version: entry.version })
}

/// Refuses shards that a run directory could not tell apart.
fn corpus(store: Store, shards: Vec<Shard>, left_out: LeftOut) -> CorpusResult<Corpus> {
    let mut stems: BTreeMap<&str, &str> = BTreeMap::new();
    for shard in &shards {
        if let Some(first) = stems.insert(shard.stem(), &shard.path) {
            return Err(CorpusError::Collision { first: first.to_owned(), second: shard.path.clone() });
        }
    }
    Ok(Corpus::new(store, shards).with_left_out(left_out))
}

fn empty(location: &str, problem: String) -> CorpusError {
    CorpusError::Empty { location: location.to_owned(), problem, known: KNOWN.to_owned() }
}

fn not_read(location: &str, path: &str, problem: String, remedy: &'static str) -> CorpusError {
    CorpusError::NotRead { location: location.to_owned(), path: path.to_owned(), problem, remedy }
}
