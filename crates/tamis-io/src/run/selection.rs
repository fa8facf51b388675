//! Selections: `selections/<name>/` with a plan, one decision a document, and the manifest that makes them count.
//!
//! The plan is written first. Decisions follow from it and from finished sidecars alone, so a selection that was stopped is
//! resumed under the same plan, and another plan under its name is refused: a folder never holds decisions of two. The
//! manifest is written last; without it a selection is unfinished.

use std::collections::BTreeMap;

use arrow_schema::Schema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tamis_core::Fingerprint;

use super::paths::check_name;
use super::{FORMAT_VERSION, RunDirectory, RunError, RunResult, json, shard_name};
use crate::sidecar::{SidecarColumns, SidecarReader, SidecarSummary, SidecarWriter};
use crate::store::{Created, Store};

/// What decides a selection: `selections/<name>/plan.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectionPlan {
    /// [`FORMAT_VERSION`].
    pub format_version: u64,
    /// Name of the selection.
    pub name: String,
    /// Rule, seed, rates, digests of inputs, corpus version: whatever decides which documents are kept.
    pub fields: BTreeMap<String, String>,
}

/// One selection of a run.
#[derive(Clone, Debug)]
pub struct SelectionDir {
    run: RunDirectory,
    plan: SelectionPlan,
}

impl RunDirectory {
    /// Begins a selection, or goes on with one of the same plan.
    ///
    /// # Errors
    /// [`RunError::Conflict`] lists what differs when another plan has this name.
    pub fn open_selection(&self, name: &str, plan: &Fingerprint) -> RunResult<SelectionDir> {
        check_name("selection", name)?;
        let path = format!("selections/{name}/plan.json");
        let asked = SelectionPlan {
            format_version: FORMAT_VERSION,
            name: name.to_owned(),
            fields: plan.fields().clone(),
        };
        if json::create(&self.store, &path, &asked)? == Created::Existed {
            let stored = self.selection(name)?.plan;
            let changes = Fingerprint::from_fields(stored.fields).changes(plan);
            if !changes.is_empty() {
                let changes = changes.iter().map(ToString::to_string).collect();
                return Err(RunError::Conflict { path, changes });
            }
        }
        Ok(SelectionDir { run: self.clone(), plan: asked })
    }

    /// A selection that was begun.
    ///
    /// # Errors
    /// [`RunError::Unknown`] with the nearest known name.
    pub fn selection(&self, name: &str) -> RunResult<SelectionDir> {
        match self.find_selection(name)? {
            Some(selection) => Ok(selection),
            None => {
                let known = self.selections()?;
                let nearest = tamis_core::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
                Err(RunError::Unknown { kind: "selection", name: name.to_owned(), nearest, known })
            }
        }
    }

    /// A selection, if it was begun.
    ///
    /// # Errors
    /// [`RunError::Name`] for a name that no selection can have; [`RunError::Corrupt`].
    pub fn find_selection(&self, name: &str) -> RunResult<Option<SelectionDir>> {
        check_name("selection", name)?;
        let path = format!("selections/{name}/plan.json");
        match json::read::<SelectionPlan>(&self.store, &path)? {
            Some(plan) if plan.name != name => {
                Err(RunError::corrupt(&path, format!("is the plan of `{}`", plan.name)))
            }
            plan => Ok(plan.map(|plan| SelectionDir { run: self.clone(), plan })),
        }
    }

    /// Names of all selections that were begun.
    ///
    /// # Errors
    /// A store that cannot be listed.
    pub fn selections(&self) -> RunResult<Vec<String>> {
        let mut names = Vec::new();
        for name in self.store.folders("selections")? {
            if self.store.exists(&format!("selections/{name}/plan.json"))? {
                names.push(name);
            }
        }
        Ok(names)
    }
}

impl SelectionDir {
    /// What decides it.
    #[must_use]
    pub fn plan(&self) -> &SelectionPlan {
        &self.plan
    }

    fn path(&self, rest: &str) -> String {
        format!("selections/{}/{rest}", self.plan.name)
    }

    fn decisions_path(&self, shard_path: &str) -> RunResult<String> {
        Ok(self.path(&format!("decisions/{}.parquet", shard_name(shard_path)?)))
    }

    /// Where kept documents go when no other place was named.
    ///
    /// # Errors
    /// A store that cannot be opened.
    pub fn documents(&self) -> RunResult<Store> {
        Ok(self.run.store.join(&self.path("documents"))?)
    }

    /// Begins the decisions of a shard: `row`, `doc_key` and what the caller adds, one row per document of the inventory.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn decisions_writer(&self, shard_path: &str, schema: &Schema) -> RunResult<SidecarWriter> {
        SidecarWriter::create(&self.run.store, &self.decisions_path(shard_path)?, schema)
    }

    /// Makes the decisions of a shard visible. Where they stand already they must be the same.
    ///
    /// # Errors
    /// [`RunError::Differs`] when others stand.
    pub fn commit_decisions(&self, shard_path: &str, writer: SidecarWriter) -> RunResult<SidecarSummary> {
        let (created, computed) = writer.commit()?;
        if created == Created::Existed {
            let path = self.decisions_path(shard_path)?;
            let stored = SidecarReader::verify(&self.run.store, &path)?;
            if stored != computed {
                let (stored, computed) = (stored.digest.to_string(), computed.digest.to_string());
                return Err(RunError::Differs { path, stored, computed });
            }
        }
        Ok(computed)
    }

    /// Whether decisions of a shard stand.
    ///
    /// # Errors
    /// A store that does not answer.
    pub fn has_decisions(&self, shard_path: &str) -> RunResult<bool> {
        Ok(self.run.store.exists(&self.decisions_path(shard_path)?)?)
    }

    /// The decisions of a shard.
    ///
    /// # Errors
    /// [`RunError::NotComputed`] when there are none; [`RunError::Corrupt`].
    pub fn read_decisions(&self, shard_path: &str, columns: SidecarColumns<'_>) -> RunResult<SidecarReader> {
        if !self.has_decisions(shard_path)? {
            return Err(RunError::NotComputed {
                what: format!("selection `{}`", self.plan.name),
                shard: shard_path.to_owned(),
            });
        }
        SidecarReader::open(&self.run.store, &self.decisions_path(shard_path)?, columns)
    }

    /// Writes `manifest.json`, which makes the selection count. `manifest` must have the field `format_version`, and nothing
    /// in it that differs between two runs of one plan, such as a time.
    ///
    /// # Errors
    /// [`RunError::Conflict`] when another manifest stands; [`RunError::Corrupt`] without the field (a caller's bug).
    pub fn write_manifest<T: Serialize>(&self, manifest: &T) -> RunResult<Created> {
        let path = self.path("manifest.json");
        let bytes = json::encode(&path, manifest)?;
        json::decode::<serde_json::Value>(&path, &bytes)?;
        let created = self.run.store.create_new(&path, &bytes)?;
        if created == Created::Existed && self.run.store.read(&path)? != bytes {
            let changes = vec!["the same plan gave another result".to_owned()];
            return Err(RunError::Conflict { path, changes });
        }
        Ok(created)
    }

    /// Reads `manifest.json`; `None` while the selection is unfinished. `T` should deny unknown fields.
    ///
    /// # Errors
    /// [`RunError::Newer`] or [`RunError::Corrupt`].
    pub fn read_manifest<T: DeserializeOwned>(&self) -> RunResult<Option<T>> {
        json::read(&self.run.store, &self.path("manifest.json"))
    }
}
