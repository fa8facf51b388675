//! Producers and workers over a bounded queue: the one place where the driver starts threads.
//!
//! Producers do what must be sequential within a shard (decompress, split lines); workers do what is not. A queue of two
//! items a worker keeps memory bounded whatever the corpus. The first error stops everything that has not begun.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// Hands items from producers to workers; [`Feed::push`] tells a producer to stop once something failed.
pub(crate) struct Feed<'a, T> {
    sender: SyncSender<T>,
    stop: &'a AtomicBool,
}

impl<T> Feed<'_, T> {
    /// Queues an item, waiting while the queue is full. `false` means: stop producing, the run has failed elsewhere.
    #[must_use]
    pub(crate) fn push(&self, item: T) -> bool {
        !self.stop.load(Ordering::Relaxed) && self.sender.send(item).is_ok()
    }
}

/// Runs `produce` on every source, at most `threads` sources at once and in their order, and `work` on every item.
///
/// # Errors
/// The first error of either; work that is under way is finished first.
pub(crate) fn run<S, T>(
    sources: Vec<S>,
    threads: usize,
    produce: impl Fn(S, &Feed<'_, T>) -> Result<()> + Sync,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()>
where
    S: Send,
    T: Send,
{
    let threads = threads.max(1);
    let producers = threads.min(sources.len());
    if producers == 0 {
        return Ok(());
    }
    let stop = AtomicBool::new(false);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let fail = |error: Error| {
        stop.store(true, Ordering::Relaxed);
        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    };
    let sources = Mutex::new(sources.into_iter());
    let (sender, receiver) = sync_channel(2 * threads);
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| {
        for _ in 0..producers {
            let feed = Feed { sender: sender.clone(), stop: &stop };
            let (sources, produce, fail, stop) = (&sources, &produce, &fail, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Some(source) = sources.lock().unwrap_or_else(PoisonError::into_inner).next() else { break };
                    if let Err(error) = produce(source, &feed) {
                        fail(error);
                    }
                }
            });
        }
        drop(sender);
        for _ in 0..threads {
            let (receiver, work, fail, stop) = (&receiver, &work, &fail, &stop);
            scope.spawn(move || {
                while let Some(item) = receive(receiver) {
                    if stop.load(Ordering::Relaxed) {
                        continue; // drain, so that no producer waits for ever
                    }
                    if let Err(error) = work(item) {
                        fail(error);
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn receive<T>(receiver: &Mutex<Receiver<T>>) -> Option<T> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Runs `work` on every item with `threads` workers and returns the results in item order.
///
/// # Errors
/// The first error.
pub(crate) fn map<S: Send, R: Send>(
    items: Vec<S>,
    threads: usize,
    work: impl Fn(S) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let results: Mutex<Vec<Option<R>>> = Mutex::new((0..items.len()).map(|_| None).collect());
    let numbered: Vec<(usize, S)> = items.into_iter().enumerate().collect();
    run(
        numbered,
        threads,
        |item, feed: &Feed<'_, (usize, S)>| {
            let _stopped = feed.push(item);
            Ok(())
        },
        |(at, item)| {
            let result = work(item)?;
            results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(result);
            Ok(())
        },
    )?;
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(results.into_iter().map(|result| result.expect("every item was worked on")).collect())
}

/// Brings results that arrive in any order back into sequence, and hands each to one consumer at a time.
pub(crate) struct InOrder<T> {
    state: Mutex<OrderState<T>>,
}

struct OrderState<T> {
    next: usize,
    waiting: std::collections::BTreeMap<usize, T>,
    draining: bool,
}

impl<T> InOrder<T> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(OrderState { next: 0, waiting: std::collections::BTreeMap::new(), draining: false }) }
    }

    /// Adds item `at`; whoever completes a sequence consumes it, others return at once.
    ///
    /// # Errors
    /// What `consume` says; later items then stay unconsumed.
    pub(crate) fn push(&self, at: usize, item: T, mut consume: impl FnMut(T) -> Result<()>) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.insert(at, item);
        if state.draining {
            return Ok(());
        }
        state.draining = true;
        loop {
            let next = state.next;
            let Some(item) = state.waiting.remove(&next) else { break };
            state.next += 1;
            drop(state);
            consume(item)?;
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        }
        state.draining = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn results_keep_item_order_for_any_number_of_threads() {
        for threads in 1..5 {
            let squares = map((0..100_u64).collect(), threads, |n| Ok(n * n)).unwrap();
            assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn in_order_consumes_in_sequence() {
        let order = InOrder::new();
        let seen = Mutex::new(Vec::new());
        run(
            vec![0..500_usize],
            4,
            |range, feed| {
                range.for_each(|at| assert!(feed.push(at)));
                Ok(())
            },
            |at| {
                if at % 7 == 0 {
                    std::thread::yield_now();
                }
                order.push(at, at, |item| {
                    seen.lock().unwrap().push(item);
                    Ok(())
                })
            },
        )
        .unwrap();
        assert_eq!(seen.into_inner().unwrap(), (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn first_error_stops_the_run_without_hanging() {
        let done = AtomicUsize::new(0);
        let result = run(
            vec![0..10_000_usize],
            2,
            |range, feed| {
                for at in range {
                    if !feed.push(at) {
                        break;
                    }
                }
                Ok(())
            },
            |at| {
                done.fetch_add(1, Ordering::Relaxed);
                if at == 5 { Err(Error::usage("five", "choose another")) } else { Ok(()) }
            },
        );
        assert!(result.is_err());
        assert!(done.load(Ordering::Relaxed) < 10_000);
    }
}
