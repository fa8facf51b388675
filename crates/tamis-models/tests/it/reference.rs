//! What the reference tests share: the demo corpus, the packaged models, and statistics of errors.

use std::path::{Path, PathBuf};
use std::thread;

use arrow_array::RecordBatch;
use serde_json::Value;
use tamis_core::{DocumentBatch, Signal};
use tamis_models::source::{LoadedModel, default_cache, open_model};

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

/// Ids and texts of the demo corpus, in its order.
pub(crate) fn corpus() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tamis/demo/corpus.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let document: Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| document[name].as_str().unwrap().to_owned();
            (field("id"), field("text"))
        })
        .collect()
}

/// A packaged model, from the cache of the tests.
pub(crate) fn model(source: &str) -> LoadedModel {
    open_model(source, &default_cache(), &|_| {}).unwrap()
}

/// The signal's values for all texts, by two workers; results are in the order of the texts.
pub(crate) fn annotate(signal: &dyn Signal, texts: &[&str]) -> Vec<RecordBatch> {
    const BATCH: usize = 16;
    let mut parts: Vec<(usize, RecordBatch)> = thread::scope(|scope| {
        let workers = [0, 1].map(|worker| {
            scope.spawn(move || {
                let mine = texts.chunks(BATCH).enumerate().filter(|(at, _)| at % 2 == worker);
                mine.map(|(at, texts)| {
                    let batch = DocumentBatch::from_texts(texts.iter().copied());
                    (at, signal.annotate(batch.as_arrow()).unwrap())
                })
                .collect::<Vec<_>>()
            })
        });
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    parts.sort_by_key(|(at, _)| *at);
    parts.into_iter().map(|(_, batch)| batch).collect()
}

/// How far values are from a reference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errors {
    pub(crate) largest: f64,
    pub(crate) rms: f64,
    /// 1 − Spearman's rank correlation.
    pub(crate) disorder: f64,
}

impl Errors {
    pub(crate) fn of(values: &[f64], reference: &[f64]) -> Self {
        assert_eq!(values.len(), reference.len());
        let differences = || values.iter().zip(reference).map(|(a, b)| a - b);
        let (ranks, others) = (ranks(values), ranks(reference));
        let mean = (values.len() - 1) as f64 / 2.0;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
        Self {
            largest: differences().map(f64::abs).fold(0.0, f64::max),
            rms: (differences().map(|d| d * d).sum::<f64>() / values.len() as f64).sqrt(),
            disorder: 1.0 - dot(&ranks, &others) / (dot(&ranks, &ranks) * dot(&others, &others)).sqrt(),
        }
    }

    pub(crate) fn no_larger_than(self, other: Self) -> bool {
        self.largest <= other.largest && self.rms <= other.rms && self.disorder <= other.disorder
    }
}

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { largest, rms, disorder } = self;
        write!(f, "largest {largest:.2e}, RMS {rms:.2e}, 1 - Spearman {disorder:.2e}")
    }
}

/// Mid-ranks, from 0.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let first = order.iter().position(|at| *at == tied[0]).unwrap();
        for &at in tied {
            ranks[at] = first as f64 + (tied.len() - 1) as f64 / 2.0;
        }
    }
    ranks
}
