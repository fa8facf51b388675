//! The one driver of reductions: parts of shards are absorbed by a [`Summary`], on all threads, and what was folded over a long
//! time is kept span by span.
//!
//! [`together`] folds in memory: whoever has items (batches, whole shards) says how one becomes a part; there is one summary, and
//! parts are computed outside of its lock. [`Project::fold`] does so over the sidecars of a signal, and can keep what it has:
//! shards are taken in spans, and each span that is finished is committed as a [`Sharded`] partial. A stop loses a span at most.
//! Partials are not made shard by shard, since a summary may be larger than what it sums up (1,024 shards × a sketch of 80 MB
//! would be 82 GB): a span has a million documents or more, and as many as it takes to keep what is stored under
//! [`MOST_STORED_BYTES`]. Where everything is one span, nothing is stored.
//!
//! A partial is named by a digest of what it holds (shards and their content, the digests of the rows that were read) and of
//! the empty summary (its parameters): one of other parameters, of other generations or of a shard that changed is never asked
//! for. Spans are units of work, which processes share by locks, as they share shards in a map; each merges all partials in the
//! end, and by the laws of summaries they get the same bits. Partials are merged from where they were stored, one at a time, so
//! that memory holds two summaries: the span and what it is stored as, or the sum and the partial that is added.
//!
//! Removing partials is left to the caller, who knows when the result stands. Iteration (k-means) is a loop round this.
//!
//! Not for results that need order, nor for rows that have to be seen side by side.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arrow_array::RecordBatch;
use tamis_core::{BatchSummary, Digest, Sharded, Summary};
use tamis_io::run::{CorpusVersion, Partials, ShardRecord, SignalDir};
use tamis_io::sidecar::SidecarColumns;

use crate::map::Worker;
use crate::pool::{self, Feed};
use crate::project::Project;
use crate::{Error, Result};

/// What the partials of a fold take at most, by the size that a full summary has.
const MOST_STORED_BYTES: u64 = 4 << 30;
/// Rows that become a part together: large batches are cut so that all threads have some.
const ROWS_A_PART: usize = 1024;
/// Between two looks at a span that another process works on.
const LOOKS_AGAIN: Duration = Duration::from_millis(300);

/// Folds items into one summary, in memory. `produce` makes the items of one input, `part` makes a part of an item, each on
/// any thread.
///
/// # Errors
/// What either says, and what the summary says of a part.
pub(crate) fn together<S: Summary, I: Send, T: Send>(
    inputs: Vec<I>,
    threads: usize,
    empty: S,
    produce: impl Fn(I, &Feed<'_, T>) -> Result<()> + Sync,
    part: impl Fn(T) -> Result<S::Part> + Sync,
) -> Result<S> {
    let merged = Mutex::new(empty);
    pool::run(inputs, threads, produce, |item| {
        let part = part(item)?;
        Ok(merged.lock().unwrap_or_else(PoisonError::into_inner).absorb(part)?)
    })?;
    Ok(merged.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// As [`together`], where each input is a part: for rows that are cheap and would be dear to hand over one by one.
pub(crate) fn one_part_each<S: Summary, I: Send>(
    inputs: Vec<I>,
    threads: usize,
    empty: S,
    part: impl Fn(I) -> Result<S::Part> + Sync,
) -> Result<S> {
    let hand_over = |input, feed: &Feed<'_, I>| {
        let _stopped = feed.push(input);
        Ok(())
    };
    together(inputs, threads, empty, hand_over, part)
}

/// A shard as a summary remembers it: a copy of its file under another name is another shard.
pub(crate) fn part_name(shard: &ShardRecord) -> String {
    format!("{} {}", shard.digest, shard.path)
}

/// What is folded: the rows of a signal for every shard of a version, which has to be there.
pub(crate) struct Inputs<'a> {
    pub(crate) version: &'a CorpusVersion,
    /// With its generations pinned, where partials are kept.
    pub(crate) signal: &'a SignalDir,
    /// As an observer sees it, if it is to.
    pub(crate) stage: Option<&'static str>,
    /// Where a stop is to lose no more than a span.
    pub(crate) kept: Option<Kept<'a>>,
}

/// Where partials are kept.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'a> {
    pub(crate) partials: &'a Partials,
    /// Workers begin at different spans: on object stores there are no locks that would tell them apart.
    pub(crate) worker: Worker,
}

/// Consecutive shards whose partial is one file.
struct Span<'a> {
    shards: &'a [ShardRecord],
    /// Digest of all that the partial depends on.
    holds: Digest,
}

impl Span<'_> {
    fn documents(&self) -> u64 {
        self.shards.iter().map(|shard| shard.documents).sum()
    }

    fn parts(&self) -> BTreeSet<String> {
        self.shards.iter().map(part_name).collect()
    }
}

/// Cuts shards into as many spans as have `least` documents each, and no more of them than may be stored.
fn cut(shards: &[ShardRecord], least: u64, summary_bytes: u64) -> Vec<&[ShardRecord]> {
    let documents: u64 = shards.iter().map(|shard| shard.documents).sum();
    let most_spans = (MOST_STORED_BYTES / summary_bytes.max(1)).max(1);
    let least = least.max(documents.div_ceil(most_spans)).max(1);
    let mut spans = Vec::new();
    let (mut first, mut held, mut left) = (0, 0, documents);
    for (at, shard) in shards.iter().enumerate() {
        held += shard.documents;
        left -= shard.documents;
        // What is too little for a span of its own goes to the last one.
        if held >= least && left >= least {
            spans.push(&shards[first..=at]);
            (first, held) = (at + 1, 0);
        }
    }
    if first < shards.len() {
        spans.push(&shards[first..]);
    }
    spans
}

impl Project {
    /// Folds all rows of a signal.
    ///
    /// # Errors
    /// Sidecars that cannot be read, partials that cannot be written, [`Error::Cancelled`]; what was kept stays, and the next
    /// call goes on from there.
    pub(crate) fn fold<S: BatchSummary>(&self, inputs: &Inputs<'_>, empty: &S) -> Result<Sharded<S>> {
        let parts = empty.parts();
        let shown = inputs.stage.is_some();
        if let Some(stage) = inputs.stage {
            self.observer.begin(stage, inputs.version.documents());
        }
        let skip = |documents| {
            if shown {
                self.observer.skip(documents);
            }
        };
        let read = |shard: &ShardRecord, feed: &Feed<'_, RecordBatch>| {
            for batch in inputs.signal.read(shard, SidecarColumns::All)? {
                let batch = batch?;
                for from in (0..batch.num_rows()).step_by(ROWS_A_PART) {
                    if !feed.push(batch.slice(from, ROWS_A_PART.min(batch.num_rows() - from))) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        };
        let folded = self.fold_spans(inputs, empty, skip, |shards| {
            together(shards.iter().collect(), self.threads, empty.empty(), read, |batch| {
                self.go_on()?;
                let part = parts(&batch)?;
                if shown {
                    let rows = batch.num_rows() as u64;
                    self.observer.advance(rows, 0, rows);
                }
                Ok(part)
            })
        })?;
        if shown {
            self.observer.end();
        }
        Ok(folded)
    }

    /// Folds span by span, where spans are kept; `fold` folds the shards of one, and `skip` hears of documents that are folded
    /// already.
    fn fold_spans<S: Summary>(
        &self,
        inputs: &Inputs<'_>,
        empty: &S,
        skip: impl Fn(u64),
        fold: impl Fn(&[ShardRecord]) -> Result<S>,
    ) -> Result<Sharded<S>> {
        let shards = &inputs.version.shards;
        let cuts = cut(shards, self.span_documents, empty.size_bytes());
        let (Some(kept), true) = (inputs.kept, cuts.len() > 1) else {
            return Ok(Sharded { parts: shards.iter().map(part_name).collect(), inner: fold(shards)? });
        };
        let kind = kind_of(empty);
        let spans = cuts.into_iter().map(|shards| {
            let holds = self.holds(kind, inputs.signal, shards)?;
            Ok(Span { shards, holds })
        });
        let spans = spans.collect::<Result<Vec<Span<'_>>>>()?;
        let partials = kept.partials;
        let mut open: Vec<&Span<'_>> = spans.iter().collect();
        let before_mine = kept.worker.index.saturating_sub(1) * spans.len() / kept.worker.of.max(1);
        open.rotate_left(before_mine % spans.len());
        while !open.is_empty() {
            let mut busy = Vec::new();
            for span in open {
                self.go_on()?;
                if partials.has(span.holds)? {
                    skip(span.documents());
                    continue;
                }
                let Some(_lock) = partials.try_lock(span.holds)? else {
                    busy.push(span);
                    continue;
                };
                // Another process may have finished it before the lock was ours.
                if partials.has(span.holds)? {
                    skip(span.documents());
                    continue;
                }
                let partial = Sharded { parts: span.parts(), inner: fold(span.shards)? };
                partials.commit(span.holds, &partial.encode())?;
            }
            open = busy;
            if !open.is_empty() {
                // Another process holds these; it finishes them, or dies and leaves them to us.
                std::thread::sleep(LOOKS_AGAIN);
            }
        }
        let mut whole = Sharded::new(empty.empty());
        for span in &spans {
            self.go_on()?;
            let partial = match self.stored_partial(partials, span, empty)? {
                Some(partial) => partial,
                None => Sharded { parts: span.parts(), inner: fold(span.shards)? },
            };
            whole.merge(partial)?;
        }
        Ok(whole)
    }

    /// The partial of a span; `None` where it is gone, or was damaged and is removed.
    fn stored_partial<S: Summary>(
        &self,
        partials: &Partials,
        span: &Span<'_>,
        empty: &S,
    ) -> Result<Option<Sharded<S>>> {
        let Some(bytes) = partials.read(span.holds)? else { return Ok(None) };
        let problem = match Sharded::<S>::decode(&bytes) {
            Ok(partial) if partial.parts != span.parts() => {
                "it holds other shards than its name says".to_owned()
            }
            Ok(partial) if !is_like(&partial.inner, empty) => "it is of other parameters".to_owned(),
            Ok(partial) => return Ok(Some(partial)),
            Err(error) => error.to_string(),
        };
        self.observer.warn(&format!(
            "`{}`: {problem}; it is removed, and {} shards are folded again",
            partials.location(span.holds),
            span.shards.len()
        ));
        partials.discard(span.holds)?;
        Ok(None)
    }

    /// Names a partial by all that it depends on.
    fn holds(&self, kind: Digest, signal: &SignalDir, shards: &[ShardRecord]) -> Result<Digest> {
        let mut text = format!("{kind} {}\n", signal.record().digest);
        for shard in shards {
            let receipt = signal.receipt(shard)?.ok_or_else(|| Error::Waiting {
                missing: 1,
                shards: shards.len(),
                what: signal.full_name().to_owned(),
            })?;
            text.push_str(&format!("{} {}\n", receipt.row_digest, part_name(shard)));
        }
        Ok(Digest::of(text.as_bytes()))
    }
}

/// Whether two summaries can be merged, judged by their size first, which is cheap however large one claims to be.
fn is_like<S: Summary>(summary: &S, empty: &S) -> bool {
    summary.size_bytes() == empty.size_bytes() && kind_of(&summary.empty()) == kind_of(empty)
}

/// Digest of the parameters of a summary that holds nothing.
fn kind_of(empty: &impl Summary) -> Digest {
    Digest::of(&empty.encode())
}

#[cfg(test)]
mod tests;
