//! How the library tells a person or a program how far it is, without printing anything itself.

use std::sync::Arc;

/// Receives progress and warnings; called from any worker thread.
///
/// Implementors return quickly: a slow observer slows the run.
pub trait Observer: Send + Sync {
    /// A stage begins, e.g. `score ask-llm`; `total` is its size in bytes of text or of files, 0 when unknown.
    fn begin(&self, stage: &str, total: u64);
    /// Some work of the current stage is done, in documents, tokens (0 where none are counted) and the unit of `total`.
    fn advance(&self, documents: u64, tokens: u64, units: u64);
    /// This much of the current stage was done by an earlier call: it counts for the share, not for the rate.
    fn skip(&self, units: u64) {
        self.advance(0, 0, units);
    }
    /// The current stage is complete.
    fn end(&self);
    /// Something that the user should know although nothing failed.
    fn warn(&self, message: &str);
    /// A plain remark, e.g. that a stage was done before.
    fn note(&self, message: &str);
    /// Whether the work is to stop; asked between blocks of a shard and between parts of a signal. What was committed stays,
    /// and the same call goes on from there.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Whoever has an observer may keep a share of it, to look at it while the library reports to it.
impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn begin(&self, stage: &str, total: u64) {
        (**self).begin(stage, total);
    }
    fn advance(&self, documents: u64, tokens: u64, units: u64) {
        (**self).advance(documents, tokens, units);
    }
    fn skip(&self, units: u64) {
        (**self).skip(units);
    }
    fn end(&self) {
        (**self).end();
    }
    fn warn(&self, message: &str) {
        (**self).warn(message);
    }
    fn note(&self, message: &str) {
        (**self).note(message);
    }
    fn cancelled(&self) -> bool {
        (**self).cancelled()
    }
}

/// An observer that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn begin(&self, _stage: &str, _total: u64) {}
    fn advance(&self, _documents: u64, _tokens: u64, _units: u64) {}
    fn end(&self) {}
    fn warn(&self, _message: &str) {}
    fn note(&self, _message: &str) {}
}
