//! What the model of a signal is built from beside its weights: `signals/<name>@<digits>/architecture.json`.
//!
//! A fingerprint has the digest of these settings; the file has them in full, so that two digests can be told apart by a
//! person, and a refusal can name what differs. Signals that were stored before fingerprints had the field have no such file.
//! The first call that goes on with one writes it (put if absent: of two, the first wins and the other compares), and from
//! then on the file stands for the missing field: another architecture is another fingerprint.
//!
//! Not here: what the settings are; `tamis-models` describes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tamis_core::{Fingerprint, Settings};

use super::{FORMAT_VERSION, RunDirectory, RunError, RunResult, SignalDir, SignalRecord, json};
use crate::store::Created;

/// What `architecture.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchitectureRecord {
    /// [`FORMAT_VERSION`].
    format_version: u64,
    /// Digest of the settings.
    digest: String,
    /// The settings.
    architecture: BTreeMap<String, String>,
}

/// What opening a signal did about its architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchitectureNote {
    /// Nothing had to be done: there is none, or it stands and is the one that was asked for.
    AsStored,
    /// The signal was stored without one; that of this call stands beside it now.
    WrittenNow,
    /// As before, but the place refuses to be written to. Nothing can be added to the signal until it stands.
    Unwritten(Settings),
}

fn path(full_name: &str) -> String {
    format!("signals/{full_name}/architecture.json")
}

impl RunDirectory {
    /// The architecture that stands beside a signal.
    pub(super) fn architecture_of(&self, full_name: &str) -> RunResult<Option<Settings>> {
        let path = path(full_name);
        let Some(record) = json::read::<ArchitectureRecord>(&self.store, &path)? else { return Ok(None) };
        let settings = Settings::from_values(record.architecture);
        if settings.digest() != record.digest {
            let problem =
                format!("its settings have digest {}, it states {}", settings.digest(), record.digest);
            return Err(RunError::corrupt(&path, problem));
        }
        Ok(Some(settings))
    }

    /// Writes the architecture beside a signal, unless one stands there; returns whether it was the first, and what stands.
    pub(super) fn keep_architecture(
        &self,
        full_name: &str,
        settings: &Settings,
    ) -> RunResult<(Created, Settings)> {
        if let Some(stored) = self.architecture_of(full_name)? {
            return Ok((Created::Existed, stored));
        }
        let record = ArchitectureRecord {
            format_version: FORMAT_VERSION,
            digest: settings.digest(),
            architecture: settings.values().clone(),
        };
        let created = json::create(&self.store, &path(full_name), &record)?;
        let stored = self.architecture_of(full_name)?.ok_or_else(|| RunError::Missing {
            path: path(full_name),
            what: "the architecture, which was there a moment ago,".to_owned(),
        })?;
        Ok((created, stored))
    }

    /// The stored signal without the field that this one is like in all else: it was stored before there was the field. `None`
    /// where there is none, or where it is known to be of another architecture.
    pub(super) fn open_earlier(&self, asked: &SignalRecord) -> RunResult<Earlier> {
        let Some(settings) = &asked.architecture else { return Ok(Earlier::None) };
        let fingerprint = asked.fingerprint().without_architecture();
        let full_name = format!("{}@{}", asked.name, fingerprint.short());
        let Some(record) = self.read_signal(&full_name)? else { return Ok(Earlier::None) };
        if record.fingerprint() != fingerprint {
            return Ok(Earlier::None);
        }
        let (stored, note) = match self.architecture_of(&full_name)? {
            Some(stored) => (stored, ArchitectureNote::AsStored),
            None => match self.keep_architecture(&full_name, settings) {
                Ok((Created::New, stored)) => (stored, ArchitectureNote::WrittenNow),
                Ok((Created::Existed, stored)) => (stored, ArchitectureNote::AsStored),
                // What is complete can be read where nothing can be written.
                Err(RunError::Store(error)) if error.is_refused() => {
                    (settings.clone(), ArchitectureNote::Unwritten(settings.clone()))
                }
                Err(error) => return Err(error),
            },
        };
        if stored != *settings {
            return Ok(Earlier::Other(Box::new(record), stored));
        }
        Ok(Earlier::Same(Box::new(record), note))
    }
}

/// What stands under the fingerprint that a signal would have had before there was the field.
pub(super) enum Earlier {
    /// Nothing.
    None,
    /// A signal of this architecture, as far as is known.
    Same(Box<SignalRecord>, ArchitectureNote),
    /// A signal of another, and which.
    Other(Box<SignalRecord>, Settings),
}

impl SignalDir {
    /// What opening this signal did about its architecture.
    #[must_use]
    pub fn architecture_note(&self) -> &ArchitectureNote {
        &self.architecture
    }

    /// Before anything is added to the signal: what opening could not write is written now, or nothing is.
    ///
    /// # Errors
    /// What the store says; [`RunError::FingerprintChanged`] when another call has written another architecture meanwhile.
    pub(super) fn secure_architecture(&self) -> RunResult<()> {
        let ArchitectureNote::Unwritten(settings) = &self.architecture else { return Ok(()) };
        let (_, stored) = self.run.keep_architecture(self.full_name(), settings)?;
        if stored == *settings {
            return Ok(());
        }
        let asked = self.record.fingerprint().with_architecture(Some(settings));
        Err(RunError::FingerprintChanged {
            stored: self.full_name().to_owned(),
            asked: format!("{}@{}", self.record.name, asked.short()),
            changes: stored.changes(settings),
        })
    }
}

impl SignalRecord {
    /// Refuses an architecture beside a signal that is not the one its fingerprint has the digest of.
    pub(super) fn check_architecture(&self, stored: &Settings) -> RunResult<()> {
        match self.fingerprint.get(Fingerprint::ARCHITECTURE) {
            Some(digest) if *digest != stored.digest() => Err(RunError::corrupt(
                &path(&self.full_name),
                format!("is of architecture {}, the signal's is {digest}", stored.digest()),
            )),
            _ => Ok(()),
        }
    }
}
