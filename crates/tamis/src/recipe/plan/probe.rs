//! How fast a signal is computed here, from the computation of a few documents.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::Observer;

/// Adds up the time of stages, without what lies between them: models that are loaded. Says nothing.
#[derive(Default)]
pub(super) struct Stopwatch(Mutex<Timed>);

#[derive(Default)]
struct Timed {
    began: Option<Instant>,
    seconds: f64,
}

impl Stopwatch {
    /// Seconds of stages since it was asked last.
    pub(super) fn take(&self) -> f64 {
        std::mem::take(&mut self.timed().seconds)
    }

    fn timed(&self) -> MutexGuard<'_, Timed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Stopwatch {
    fn begin(&self, _stage: &str, _total: u64) {
        self.timed().began = Some(Instant::now());
    }

    fn advance(&self, _documents: u64, _tokens: u64, _units: u64) {}

    fn end(&self) {
        let mut timed = self.timed();
        if let Some(began) = timed.began.take() {
            timed.seconds += began.elapsed().as_secs_f64();
        }
    }

    fn warn(&self, _message: &str) {}

    fn note(&self, _message: &str) {}
}
