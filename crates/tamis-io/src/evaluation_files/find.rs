//! Which files are meant.

use std::collections::BTreeMap;

use super::{EvaluationFileError, EvaluationFileResult};
use crate::corpus::{Pattern, by_name, is_glob, is_own_folder, split_pattern};
use crate::store::{Found, Oddity, Store};

/// The endings that are read, for messages.
pub(super) const KNOWN: &str =
    "`.jsonl`, `.ndjson`, `.json`, `.csv`, `.tsv`, `.txt` (each also with `.gz` or `.zst`) or `.parquet`";

/// How items lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A JSON value a line.
    Lines,
    /// One JSON value.
    Json,
    /// Fields between commas, with quotation marks.
    Commas,
    /// Fields between tabs, without.
    Tabs,
    /// Paragraphs.
    Text,
    /// Parquet.
    Parquet,
}

const KINDS: [(&str, Kind); 6] = [
    (".jsonl", Kind::Lines),
    (".ndjson", Kind::Lines),
    (".json", Kind::Json),
    (".csv", Kind::Commas),
    (".tsv", Kind::Tabs),
    (".txt", Kind::Text),
];

/// The kind that an ending says, and the path without it.
fn recognise(path: &str) -> Option<(Kind, &str)> {
    let strip = |path: &str, ending: &str| -> Option<usize> {
        let at = path.len().checked_sub(ending.len())?;
        let (stem, found) = (path.get(..at)?, path.get(at..)?);
        (found.eq_ignore_ascii_case(ending) && !stem.is_empty() && !stem.ends_with('/')).then_some(at)
    };
    if let Some(end) = strip(path, ".parquet") {
        return Some((Kind::Parquet, &path[..end]));
    }
    let plain = strip(path, ".gz").or_else(|| strip(path, ".zst")).map_or(path, |end| &path[..end]);
    KINDS.iter().find_map(|(ending, kind)| Some((*kind, &plain[..strip(plain, ending)?])))
}

/// Begins of the names of files that say what lies beside them, in capitals.
const DOCUMENTATION: [&str; 6] = ["README", "LICENSE", "LICENCE", "NOTICE", "CITATION", "COPYING"];

/// Whether a file that is not named itself says what lies beside it.
fn is_documentation(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_uppercase();
    name.ends_with(".MD") || DOCUMENTATION.iter().any(|begin| name.starts_with(begin))
}

/// One file of evaluations.
#[derive(Clone, Debug)]
pub struct EvaluationFile {
    /// Its path below what was named, without endings.
    pub name: String,
    /// Where it lies, for messages.
    pub location: String,
    pub(super) store: Store,
    pub(super) path: String,
    pub(super) kind: Kind,
}

/// Files of evaluations, and what lies among them and is none.
#[derive(Clone, Debug, Default)]
pub struct EvaluationFiles {
    /// Sorted by name; no two have the same.
    pub files: Vec<EvaluationFile>,
    /// Locations of licences and descriptions that were passed over.
    pub passed_over: Vec<String>,
}

/// Finds the files of what a user named: each a file, a folder (with all folders in it), a glob, or a URL of any of these.
///
/// In folders and by globs hidden files, those that programs keep for themselves, and licences and descriptions (`README…`,
/// `LICENSE…`, `.md`) are passed over.
///
/// # Errors
/// A location in which there is nothing, a file of an unknown kind, two files of one name, a folder that cannot be read.
pub fn find(locations: &[String]) -> EvaluationFileResult<EvaluationFiles> {
    let mut found = EvaluationFiles::default();
    let mut by_names: BTreeMap<String, EvaluationFile> = BTreeMap::new();
    for location in locations {
        let mut files = Vec::new();
        if is_glob(location) {
            let (store, pattern) = split_pattern(location)?;
            survey(&store, Some(&pattern), &mut files, &mut found.passed_over)?;
        } else {
            match Store::open(location)? {
                (store, Some(path)) => files.push(file(&store, &path)?),
                (store, None) => survey(&store, None, &mut files, &mut found.passed_over)?,
            }
        }
        if files.is_empty() {
            let there = std::path::Path::new(location).exists();
            let problem =
                if there { "there is no file of an evaluation in it" } else { "no such file or folder" };
            return Err(EvaluationFileError::Nothing { location: location.clone(), problem });
        }
        for file in files {
            if let Some(first) = by_names.get(&file.name) {
                return Err(EvaluationFileError::SameName {
                    name: file.name,
                    first: first.location.clone(),
                    second: file.location,
                });
            }
            by_names.insert(file.name.clone(), file);
        }
    }
    found.files = by_names.into_values().collect();
    Ok(found)
}

fn file(store: &Store, path: &str) -> EvaluationFileResult<EvaluationFile> {
    let location = store.location(path);
    let Some((kind, stem)) = recognise(path) else {
        let problem = "its ending is not known".to_owned();
        return Err(EvaluationFileError::UnknownKind { location, problem });
    };
    Ok(EvaluationFile { name: stem.to_owned(), location, store: store.clone(), path: path.to_owned(), kind })
}

/// The files of a folder, those that match a pattern where there is one.
fn survey(
    store: &Store,
    pattern: Option<&Pattern>,
    files: &mut Vec<EvaluationFile>,
    passed_over: &mut Vec<String>,
) -> EvaluationFileResult<()> {
    let spelled = |name: &str| pattern.is_some_and(|pattern| pattern.spells(name));
    let enters = |folder: &str| {
        let name = folder.rsplit('/').next().unwrap_or_default();
        let shunned = (name.starts_with('.') || is_own_folder(name)) && !spelled(name);
        !shunned && pattern.is_none_or(|pattern| pattern.leads_into(folder))
    };
    for found in store.survey(&enters)? {
        let path = found.path().to_owned();
        let is_meant = pattern.is_none_or(|pattern| pattern.matches(&path));
        if !is_meant || by_name(&path, &spelled).is_some() {
            continue;
        }
        let refuse = |problem: String| {
            Err(EvaluationFileError::UnknownKind { location: store.location(&path), problem })
        };
        match found {
            Found::File(_) if recognise(&path).is_none() && is_documentation(&path) => {
                passed_over.push(store.location(&path));
            }
            Found::File(_) => files.push(file(store, &path)?),
            Found::Odd { oddity: Oddity::Unreachable { problem, .. }, .. } => return refuse(problem),
            Found::Odd { oddity: Oddity::Special, .. } => {
                return refuse("a pipe, a socket or a device, not a file".to_owned());
            }
            Found::Odd { oddity: Oddity::FolderAbove | Oddity::NotEntered, .. } => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_the_kind_and_the_name() {
        for (path, kind, stem) in [
            ("gsm8k/test.jsonl", Kind::Lines, "gsm8k/test"),
            ("a.b.JSON.gz", Kind::Json, "a.b"),
            ("mmlu/test/anatomy_test.csv.zst", Kind::Commas, "mmlu/test/anatomy_test"),
            ("cola/dev.tsv", Kind::Tabs, "cola/dev"),
            ("é.txt", Kind::Text, "é"),
            ("é.parquet", Kind::Parquet, "é"),
        ] {
            assert_eq!(recognise(path), Some((kind, stem)), "{path}");
        }
        for path in ["a.xml", "a.parquet.gz", ".jsonl", "a/.txt", "a", "a.gz", ""] {
            assert_eq!(recognise(path), None, "{path}");
        }
        for path in ["bbh/LICENSE", "Readme", "a/NOTES.md", "LICENCE-MIT"] {
            assert!(is_documentation(path), "{path}");
        }
        assert!(!is_documentation("data.xml"));
    }
}
