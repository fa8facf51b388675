//! A project for some of its documents: see [`crate::gate`].

use std::sync::Arc;

use tamis_core::{Digest, Fingerprint, SignalInfo, reason};
use tamis_io::run::{CorpusVersion, GATE, GATE_NOTE, Repeatability, ShardRecord, SignalDir, SignalRecord};
use tamis_io::sidecar::{SidecarColumns, SidecarCursor};

use crate::gate::{Gate, Known};
use crate::project::Project;
use crate::select::{Manifest, corpus_digest};
use crate::{Error, Result};

impl Project {
    /// This project for the documents alone that a finished selection of its run keeps: what is scored is scored for them, and
    /// what is selected is selected among them. `selection` is its name, or NAME:LABEL where it has several rates and another
    /// than the largest is meant.
    ///
    /// # Errors
    /// A selection that is not there, is not finished, or keeps nothing.
    pub fn on(&self, selection: &str) -> Result<Self> {
        let gate = self.open_gate(selection)?;
        let mut project = self.again();
        project.run = project.run.within(&gate.digest.to_string());
        project.gate = Some(Arc::new(gate));
        Ok(project)
    }

    fn open_gate(&self, name: &str) -> Result<Gate> {
        let (selection, label) = match name.split_once(':') {
            Some((selection, label)) => (selection, Some(label)),
            None => (name, None),
        };
        let directory = self.run.selection(selection)?;
        let manifest = directory.read_manifest::<Manifest>()?.ok_or_else(|| {
            Error::state(
                format!("selection `{selection}` is not finished"),
                "run its `tamis select` to the end first",
            )
        })?;
        let target = match label {
            None => manifest.targets.last(),
            Some(label) => manifest.targets.iter().find(|target| target.label == label),
        };
        let target = target.ok_or_else(|| {
            let labels: Vec<&str> = manifest.targets.iter().map(|target| target.label.as_str()).collect();
            Error::usage(
                format!("selection `{selection}` has no target `{}`", label.unwrap_or_default()),
                format!("name one of {}", labels.join(", ")),
            )
        })?;
        if target.documents == 0 {
            return Err(Error::state(
                format!("selection `{name}` keeps no document: nothing would be asked"),
                "name a selection that keeps some with --on",
            ));
        }
        let fields = Fingerprint::from_fields(directory.plan().fields.clone());
        let digest = Digest::of(format!("{} {}", fields.digest(), target.label).as_bytes());
        let (most, documents) = (target.asked, target.documents);
        Ok(Gate { name: name.to_owned(), selection: directory, most, documents, digest })
    }

    /// The project that a stored signal goes on in, behind the gate that it was begun behind, where that is not this one.
    ///
    /// # Errors
    /// As [`Project::on`].
    pub(crate) fn home_of(&self, record: &SignalRecord) -> Result<Option<Self>> {
        let gate = record.fingerprint.get(GATE);
        if gate == self.gate.as_ref().map(|gate| gate.digest.to_string()).as_ref() {
            return Ok(None);
        }
        match (gate, record.notes.get(GATE_NOTE)) {
            (None, _) | (_, None) => Ok(Some(self.without_gate())),
            (Some(_), Some(name)) => self.without_gate().on(name).map(Some),
        }
    }

    /// The same project for all documents.
    pub(crate) fn without_gate(&self) -> Self {
        let mut project = self.again();
        project.run = project.run.of_all();
        project.gate = None;
        project
    }

    /// Names the gate in what a signal says of itself.
    pub(crate) fn gated_info(&self, info: &SignalInfo) -> SignalInfo {
        let mut info = info.clone();
        if let Some(gate) = &self.gate
            && info.fingerprint.get(GATE).is_none()
        {
            info.fingerprint = info.fingerprint.with(GATE, gate.digest);
            info.notes.insert(GATE_NOTE.to_owned(), gate.name.clone());
        }
        info
    }

    /// What `signal.json` says of a signal that is begun here.
    pub(crate) fn record_of(&self, info: &SignalInfo, repeatability: Repeatability) -> SignalRecord {
        SignalRecord::new(&self.gated_info(info), repeatability)
    }

    /// What is known of a shard's rows before a signal is computed from its documents.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub(crate) fn known_of(
        &self,
        shard: &ShardRecord,
        signal: &SignalDir,
        elsewhere: &[SignalDir],
    ) -> Result<Known> {
        if signal.generation(&shard.path)? > 1 {
            return Ok(Known::default());
        }
        let inside = self.gate.as_ref().map(|gate| gate.of_shard(shard)).transpose()?;
        let mut donors = Vec::new();
        for other in elsewhere {
            if other.receipt(shard)?.is_some() {
                let reader = other.read(shard, SidecarColumns::All)?;
                donors.push(SidecarCursor::new(&shard.path, reader)?);
            }
        }
        Ok(Known { inside, donors })
    }

    /// What a person should know of the documents that a signal was computed for.
    pub(crate) fn tell_gate(&self, record: &SignalRecord) {
        if let (None, Some(name)) = (&self.gate, record.notes.get(GATE_NOTE)) {
            self.observer.note(&format!(
                "`{}` was computed for what selection `{name}` keeps; the other documents are dropped as `{}`",
                record.full_name,
                reason::NOT_ASKED
            ));
        }
    }

    /// Refuses a corpus that the selection behind the gate was not made from.
    ///
    /// # Errors
    /// Shards that were added or changed since.
    pub(crate) fn check_gate(&self, version: &CorpusVersion) -> Result<()> {
        let Some(gate) = &self.gate else { return Ok(()) };
        let stored = gate.selection.plan().fields.get("corpus");
        if stored.is_some_and(|stored| *stored == corpus_digest(version).to_string()) {
            return Ok(());
        }
        Err(Error::state(
            format!("the corpus has other shards than when selection `{}` was made", gate.name),
            "make the selection again under another name, and name that one with --on: what was computed is used",
        ))
    }

    /// Documents that are asked.
    pub(crate) fn asked_documents(&self, version: &CorpusVersion) -> u64 {
        self.gate.as_ref().map_or_else(|| version.documents(), |gate| gate.documents)
    }
}
