//! How the library tells a person or a program how far it is, without printing anything itself.

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
