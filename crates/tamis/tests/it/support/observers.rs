//! Observers that count, and one that stops a run in its middle.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tamis::{Observer, Silent};

/// What tests give as an observer: one that ignores everything, or one that they look at.
pub(crate) trait Shared {
    fn shared(&self) -> Arc<dyn Observer>;
}

impl Shared for Silent {
    fn shared(&self) -> Arc<dyn Observer> {
        Arc::new(Self)
    }
}

impl<O: Observer + 'static> Shared for Arc<O> {
    fn shared(&self) -> Arc<dyn Observer> {
        Arc::<O>::clone(self)
    }
}

/// Counts the documents of every stage and collects what is said; panics after so many advances of one stage.
#[derive(Default)]
pub(crate) struct Watch {
    stage: Mutex<String>,
    documents: Mutex<BTreeMap<String, u64>>,
    said: Mutex<Vec<String>>,
    stop: Option<(String, u64)>,
    advances: AtomicU64,
    stopped: AtomicBool,
}

impl Watch {
    /// Stops nothing.
    pub(crate) fn counting() -> Arc<Self> {
        Arc::default()
    }

    /// Stops in the `advances`-th step (1-based) of a stage.
    pub(crate) fn stopping(stage: &str, advances: u64) -> Arc<Self> {
        Arc::new(Self { stop: Some((stage.to_owned(), advances)), ..Self::default() })
    }

    /// Documents that a stage reported.
    pub(crate) fn documents(&self, stage: &str) -> u64 {
        self.documents.lock().unwrap().get(stage).copied().unwrap_or(0)
    }

    /// All stages with the documents that they reported.
    pub(crate) fn stages(&self) -> BTreeMap<String, u64> {
        self.documents.lock().unwrap().clone()
    }

    /// Warnings and notes, a line each.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }
}

impl Observer for Watch {
    fn begin(&self, stage: &str, _total: u64) {
        stage.clone_into(&mut self.stage.lock().unwrap());
    }

    fn advance(&self, documents: u64, _tokens: u64, units: u64) {
        let stage = self.stage.lock().unwrap().clone();
        *self.documents.lock().unwrap().entry(stage.clone()).or_default() += documents;
        let Some((stops, advances)) = &self.stop else { return };
        if stage == *stops && documents + units > 0 {
            let at = self.advances.fetch_add(1, Ordering::SeqCst) + 1;
            if at == *advances {
                self.stopped.store(true, Ordering::SeqCst);
                // A panic that prints nothing.
                resume_unwind(Box::new(Stopped));
            }
        }
    }

    fn end(&self) {}

    fn warn(&self, message: &str) {
        self.said.lock().unwrap().push(message.to_owned());
    }

    fn note(&self, message: &str) {
        self.said.lock().unwrap().push(message.to_owned());
    }
}

/// Asks the run to stop once it was asked so often whether it is to.
pub(crate) struct Cancels {
    after: u64,
    asked: AtomicU64,
}

impl Cancels {
    pub(crate) fn after(questions: u64) -> Arc<Self> {
        Arc::new(Self { after: questions, asked: AtomicU64::new(0) })
    }
}

impl Observer for Cancels {
    fn begin(&self, _stage: &str, _total: u64) {}
    fn advance(&self, _documents: u64, _tokens: u64, _units: u64) {}
    fn end(&self) {}
    fn warn(&self, _message: &str) {}
    fn note(&self, _message: &str) {}
    fn cancelled(&self) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst) >= self.after
    }
}

/// What the panic of a stopped run carries.
struct Stopped;

/// Runs until the observer stops it; `true` when it did, `false` when the work ended before.
pub(crate) fn until_stopped<T>(watch: &Arc<Watch>, work: impl FnOnce(&Arc<Watch>) -> T) -> bool {
    let result = catch_unwind(AssertUnwindSafe(|| work(watch)));
    if let Err(panic) = &result {
        assert!(panic.is::<Stopped>() && watch.stopped.load(Ordering::SeqCst), "the run failed of itself");
    }
    result.is_err()
}
