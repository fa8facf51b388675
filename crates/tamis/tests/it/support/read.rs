//! Sidecars and decisions as plain rows.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use tamis::Project;
use tamis_io::run::{CorpusVersion, SignalDir};
use tamis_io::sidecar::SidecarColumns;

/// What was decided about a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decided {
    pub(crate) id: String,
    pub(crate) bytes: u64,
    pub(crate) reason: String,
    pub(crate) smallest_kept: Option<f64>,
    pub(crate) priority: Option<f64>,
    pub(crate) probabilities: Vec<Option<f64>>,
}

impl Decided {
    /// Whether a target keeps it; targets are asked in ascending order.
    pub(crate) fn kept_at(&self, target: f64) -> bool {
        self.smallest_kept.is_some_and(|smallest| smallest <= target)
    }
}

fn number(batch: &RecordBatch, name: &str, at: usize) -> Option<f64> {
    let array = batch.column_by_name(name).unwrap().as_primitive::<Float64Type>();
    array.is_valid(at).then(|| array.value(at))
}

/// Every decision of a selection, in the order of the corpus version.
pub(crate) fn decisions(project: &Project, version: &CorpusVersion, name: &str) -> Vec<Decided> {
    let run = project.run_directory();
    let selection = run.selection(name).unwrap();
    let mut all = Vec::new();
    for shard in &version.shards {
        let mut ids = Vec::new();
        for batch in run.read_inventory(&shard.path, SidecarColumns::Named(&["id", "bytes"])).unwrap() {
            let batch = batch.unwrap();
            let names = batch.column_by_name("id").unwrap().as_string::<i32>();
            let bytes = batch.column_by_name("bytes").unwrap().as_primitive::<UInt64Type>();
            for at in 0..batch.num_rows() {
                let id = if names.is_valid(at) { names.value(at) } else { "" };
                ids.push((id.to_owned(), bytes.value(at)));
            }
        }
        let mut ids = ids.into_iter();
        for batch in selection.read_decisions(&shard.path, SidecarColumns::All).unwrap() {
            let batch = batch.unwrap();
            let reasons = batch.column_by_name("reason").unwrap().as_string::<i32>();
            for at in 0..batch.num_rows() {
                let (id, bytes) = ids.next().unwrap();
                let schema = batch.schema();
                let names = schema.fields().iter().map(|field| field.name().as_str());
                all.push(Decided {
                    id,
                    bytes,
                    reason: reasons.value(at).to_owned(),
                    smallest_kept: number(&batch, "smallest_kept", at),
                    priority: number(&batch, "priority", at),
                    probabilities: names
                        .filter(|name| name.starts_with("inclusion_probability_"))
                        .map(|name| number(&batch, name, at))
                        .collect(),
                });
            }
        }
        assert!(ids.next().is_none());
    }
    all
}

/// Ids and values of one column of a signal, in the order of the corpus version.
pub(crate) fn values(
    project: &Project,
    version: &CorpusVersion,
    signal: &SignalDir,
    column: &str,
) -> Vec<(String, Option<f64>)> {
    let run = project.run_directory();
    let mut all = Vec::new();
    for shard in &version.shards {
        let mut ids = Vec::new();
        for batch in run.read_inventory(&shard.path, SidecarColumns::Named(&["id"])).unwrap() {
            let batch = batch.unwrap();
            ids.extend(batch.column(0).as_string::<i32>().iter().map(|id| id.unwrap_or_default().to_owned()));
        }
        let mut ids = ids.into_iter();
        for batch in signal.read(shard, SidecarColumns::All).unwrap() {
            let scores = tamis_core::ScoreBatch::new(batch.unwrap()).unwrap();
            all.extend(scores.values(column).unwrap().into_iter().map(|value| (ids.next().unwrap(), value)));
        }
        assert!(ids.next().is_none());
    }
    all
}
