//! What can be wrong with a run directory.

use std::fmt;

use arrow_schema::ArrowError;
use tamis_core::FingerprintChange;

use crate::store::{AGAIN, StoreError};

/// Result of an operation on a run directory or a sidecar.
pub type RunResult<T> = Result<T, RunError>;

/// What can be wrong with a run directory or one of its files. Paths are relative to the run directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder or object store refused an operation.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An operation on Arrow arrays failed; a caller's bug.
    #[error("arrow: {0}")]
    Arrow(#[from] ArrowError),
    /// A batch does not have the columns that its type promises; a caller's bug.
    #[error(transparent)]
    Batch(#[from] tamis_core::Error),
    /// There is no run directory at this place.
    #[error("`{location}` is not a run directory: it has no `run.json`")]
    NotARun {
        /// Where it was looked for.
        location: String,
    },
    /// A file that has to be there is not.
    #[error("`{path}`: {what} is missing")]
    Missing {
        /// The file.
        path: String,
        /// What it would hold.
        what: String,
    },
    /// The file was written by a later version of tamis.
    #[error("`{path}`: format version {found} is newer than {known}, the newest that this tamis reads")]
    Newer {
        /// The file.
        path: String,
        /// The version that the file states.
        found: u64,
        /// The version that this program writes.
        known: u64,
    },
    /// A file's content is not what tamis wrote.
    #[error("`{path}`: {problem}")]
    Corrupt {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The place did not give the bytes of a file; nothing is known about its content.
    #[error("`{path}`: could not read: {problem}")]
    Read {
        /// The file.
        path: String,
        /// What the file system or the object store says.
        problem: String,
    },
    /// Parquet could not be written.
    #[error("`{path}`: {problem}")]
    Write {
        /// The file.
        path: String,
        /// What went wrong.
        problem: String,
    },
    /// A shard path or a name cannot be used as the name of a file.
    #[error("{kind} `{name}`: {problem}")]
    Name {
        /// `shard`, `signal`, `selection` ….
        kind: &'static str,
        /// The name.
        name: String,
        /// Why not.
        problem: String,
    },
    /// A signal of this short name exists and was computed with something else.
    #[error("signal `{asked}` differs from the stored `{stored}` in {}", Listed(changes))]
    FingerprintChanged {
        /// Full name of the stored signal.
        stored: String,
        /// Full name of the signal that was asked for.
        asked: String,
        /// In which fields.
        changes: Vec<FingerprintChange>,
    },
    /// A short name stands for several signals.
    #[error("signal `{name}` is ambiguous: {}", Listed(candidates))]
    Ambiguous {
        /// The name that was asked for.
        name: String,
        /// All of that name, with what tells them apart.
        candidates: Vec<Candidate>,
    },
    /// No signal (sketch, selection) has this name.
    #[error("there is no {kind} `{name}` in this run{}", Known(known))]
    Unknown {
        /// `signal`, `sketch`, `selection`.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// The known name that is closest to it.
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// A shard lacks rows that have to be there before this operation.
    #[error("signal `{signal}`, shard `{shard}`: no rows for {}", Listed(missing))]
    Incomplete {
        /// Full name of the signal.
        signal: String,
        /// The shard.
        shard: String,
        /// Physical rows that no part covers.
        missing: Vec<RowSpan>,
    },
    /// A signal, or the inventory, has no finished file for a shard.
    #[error("{what}, shard `{shard}`: not computed yet")]
    NotComputed {
        /// `inventory` or ``signal `ask-llm@3f9a01c2` ``.
        what: String,
        /// The shard.
        shard: String,
    },
    /// Rows of two files of one shard do not belong together.
    #[error("shard `{shard}`, row {row}: `{file}` does not line up with the inventory: {problem}")]
    Misaligned {
        /// The shard.
        shard: String,
        /// Physical row at which they part.
        row: u64,
        /// The file that differs.
        file: String,
        /// In which way.
        problem: String,
    },
    /// Two computations of the same rows gave different values.
    #[error("`{path}`: computed twice with different results: stored digest {stored}, this one {computed}")]
    Differs {
        /// The file that stands.
        path: String,
        /// Digest of its rows.
        stored: String,
        /// Digest of the rows that were computed now.
        computed: String,
    },
    /// A file of this name exists and its content is not what would be written now.
    #[error("`{path}` exists with other content: {}", Listed(changes))]
    Conflict {
        /// The file that stands.
        path: String,
        /// What differs.
        changes: Vec<String>,
    },
    /// The corpus is no longer the one that the run knows.
    #[error("corpus: {}", Listed(problems))]
    CorpusChanged {
        /// One sentence a shard or option.
        problems: Vec<String>,
    },
    /// Two shards would have the same sidecar.
    #[error("shards `{first}` and `{second}` have the same name once their extensions are dropped")]
    Collision {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
}

impl RunError {
    /// What the caller can do about it; `None` where nothing better than the message can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Store(error) => return error.hint(),
            Self::FingerprintChanged { stored, .. } => format!(
                "repeat the stored options, or add `--beside` to keep both signals side by side; where the stored one was a mistake, \
                 remove `signals/{stored}`"
            ),
            Self::Ambiguous { candidates, .. } => {
                let name = candidates.first().map_or("NAME@DIGITS", |candidate| candidate.full_name.as_str());
                let is_of_some = |candidate: &Candidate| {
                    candidate.distinct.iter().any(|(field, _)| field == super::GATE_NOTE)
                };
                let or = match candidates.iter().all(is_of_some) {
                    true => ", name one of these selections with --on, or score all documents first",
                    false => "",
                };
                format!("write the full name, e.g. `{name}`{or}")
            }
            Self::Unknown { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::NotComputed { .. } | Self::Incomplete { .. } => {
                "run `tamis score` for this signal again: it computes what is missing".to_owned()
            }
            Self::Newer { .. } => "use the tamis that wrote the run, or a newer one".to_owned(),
            Self::NotARun { .. } => "give the folder that `--run` named when the run was made".to_owned(),
            Self::Collision { .. } => "rename one of the two files".to_owned(),
            Self::CorpusChanged { .. } => {
                "put the corpus and its options back as they were, or start another run directory".to_owned()
            }
            Self::Corrupt { path, .. } => {
                format!("if the file was damaged, remove {} and run the command again", with_receipt(path))
            }
            Self::Differs { path, .. } => format!(
                "the machines or builds that computed it do not agree; remove {} to compute it anew",
                with_receipt(path)
            ),
            Self::Read { .. } => AGAIN.to_owned(),
            Self::Conflict { .. } => "give another `--name`, or remove what stands".to_owned(),
            _ => return None,
        })
    }

    pub(crate) fn corrupt(path: &str, problem: impl fmt::Display) -> Self {
        Self::Corrupt { path: path.to_owned(), problem: problem.to_string() }
    }

    pub(crate) fn write(path: &str, problem: impl fmt::Display) -> Self {
        Self::Write { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// One of several signals that share a short name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Name with fingerprint digits.
    pub full_name: String,
    /// The fields that tell it apart from the others, with its values.
    pub distinct: Vec<(String, String)>,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (", self.full_name)?;
        for (at, (field, value)) in self.distinct.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{field} `{}`", cut(value, 60))?;
        }
        f.write_str(")")
    }
}

/// Physical rows `first..first + rows` of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowSpan {
    /// First physical row.
    pub first_row: u64,
    /// Number of physical rows.
    pub rows: u64,
}

impl RowSpan {
    /// The first row after the span.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first_row.saturating_add(self.rows)
    }
}

impl fmt::Display for RowSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rows {}..{}", self.first_row, self.end())
    }
}

/// A file, and the receipt that vouches for it where it has one: without it the file is not looked for.
fn with_receipt(path: &str) -> String {
    let receipt = path.strip_suffix(".parquet").and_then(|stem| {
        if stem.starts_with("inventory/") {
            return Some(format!("{stem}.json"));
        }
        let (home, rest) = stem.split_once('/').filter(|(home, _)| matches!(*home, "signals" | "groups"))?;
        let (signal, rest) = rest.split_once('/')?;
        if rest.split('/').any(|folder| folder == ".parts") {
            return None;
        }
        Some(match rest.strip_prefix(".generations/").and_then(|rest| rest.split_once('/')) {
            Some((number, shard)) => format!("{home}/{signal}/.generations/{number}/receipts/{shard}.json"),
            None => format!("{home}/{signal}/receipts/{rest}.json"),
        })
    });
    match receipt {
        Some(receipt) => format!("`{path}` and its receipt `{receipt}`"),
        None => format!("`{path}`"),
    }
}

struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        for (at, item) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{item}", if at > 0 { "; " } else { "" })?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(f, "; and {more} more"),
            _ => Ok(()),
        }
    }
}

struct Known<'a>(&'a [String]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str(", which has none yet"),
            known => write!(f, "; known: {}", Listed(known)),
        }
    }
}

/// At most `longest` characters of a value, marked when something was cut.
pub(crate) fn cut(value: &str, longest: usize) -> String {
    match value.char_indices().nth(longest) {
        Some((at, _)) => format!("{}...", &value[..at]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_removed_with_the_receipt_that_vouches_for_it() {
        for (path, receipt) in [
            ("inventory/web/a.parquet", Some("inventory/web/a.json")),
            ("signals/embed@0123abcd/web/a.parquet", Some("signals/embed@0123abcd/receipts/web/a.json")),
            (
                "signals/embed@0123abcd/.generations/2/web/a.parquet",
                Some("signals/embed@0123abcd/.generations/2/receipts/web/a.json"),
            ),
            ("groups/texts@0123abcd/web/a.parquet", Some("groups/texts@0123abcd/receipts/web/a.json")),
            ("signals/embed@0123abcd/.parts/web/a/0-9.parquet", None),
            ("signals/embed@0123abcd/.generations/2/.parts/web/a/0-9.parquet", None),
            ("signals/embed@0123abcd/signal.json", None),
            ("corpus/1.json", None),
        ] {
            let hint = RunError::corrupt(path, "odd").hint().unwrap();
            let named = match receipt {
                Some(receipt) => format!("remove `{path}` and its receipt `{receipt}` and run"),
                None => format!("remove `{path}` and run"),
            };
            assert!(hint.contains(&named), "{hint}");
        }
    }
}
