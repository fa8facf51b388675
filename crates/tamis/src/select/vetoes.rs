//! Documents that must never be kept: decontamination, licences, takedowns.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tamis_core::{Digest, DocKey};

use crate::{Error, Result};

/// Ids and document keys, one a line in any number of files.
#[derive(Debug, Default)]
pub(super) struct Vetoes {
    keys: BTreeSet<DocKey>,
    ids: BTreeSet<String>,
    /// Digest of the sorted entries: what a selection's fingerprint records.
    pub(super) digest: Option<Digest>,
}

impl Vetoes {
    /// Reads the files. A line of 32 hex digits is both a key and an id; blank lines are skipped.
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8, or holds no entry.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self> {
        let mut vetoes = Self::default();
        for file in files {
            let text = std::fs::read_to_string(file).map_err(|error| {
                let hint = "give a UTF-8 file with one id or document key a line";
                Error::usage(format!("veto file `{}`: {error}", file.display()), hint)
            })?;
            let text = text.trim_start_matches('\u{feff}');
            let before = vetoes.ids.len();
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                if line.len() == 32
                    && let Ok(value) = u128::from_str_radix(line, 16)
                {
                    vetoes.keys.insert(DocKey::from_bytes(value.to_be_bytes()));
                }
                vetoes.ids.insert(line.to_owned());
            }
            if vetoes.ids.len() == before && !text.lines().any(|line| vetoes.ids.contains(line.trim())) {
                let hint = "an empty veto file is more often a failed export than a wish; leave --veto out to veto nothing";
                return Err(Error::usage(format!("veto file `{}` holds no entry", file.display()), hint));
            }
        }
        if !vetoes.ids.is_empty() {
            let all: Vec<&str> = vetoes.ids.iter().map(String::as_str).collect();
            vetoes.digest = Some(Digest::of(all.join("\n").as_bytes()));
        }
        Ok(vetoes)
    }

    pub(super) fn need_ids(&self) -> bool {
        !self.ids.is_empty()
    }

    pub(super) fn contains(&self, key: DocKey, id: Option<&str>) -> bool {
        self.keys.contains(&key) || id.is_some_and(|id| self.ids.contains(id))
    }
}
