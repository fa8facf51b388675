//! Producers and workers over a bounded queue: the one place where the driver starts threads.
//!
//! Producers do what must be sequential within a shard (decompress, split lines); workers do what is not. A
//! [`Backlog`] between them keeps memory bounded whatever the corpus, and where results have to come back into order a
//! producer is never further ahead than a window. The first error stops everything that has not begun. A panic in a worker, of an
//! observer say, stops it likewise and goes on in the caller once all threads have ended: nobody waits for ever.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backlog::Backlog;
use crate::{Error, Result};

/// A backlog that threads share.
struct Queue<T> {
    state: Mutex<QueueState<T>>,
    room: Condvar,
    more: Condvar,
}

struct QueueState<T> {
    backlog: Backlog<T>,
    /// Producers that have not ended.
    producers: usize,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, item: T) {
        let mut state = self.lock();
        while !state.backlog.has_room() {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.backlog.push(item);
        self.more.notify_one();
    }

    /// Waits for an item; `None` when no more come.
    fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.backlog.pop() {
                self.room.notify_all();
                return Some(item);
            }
            if state.producers == 0 {
                return None;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn producer_ended(&self) {
        let mut state = self.lock();
        state.producers -= 1;
        if state.producers == 0 {
            self.more.notify_all();
        }
    }
}

/// Hands items from producers to workers; [`Feed::push`] tells a producer to stop once something failed.
pub(crate) struct Feed<'a, T> {
    queue: &'a Queue<T>,
    stop: &'a AtomicBool,
}

impl<T> Feed<'_, T> {
    /// Queues an item, waiting while the queue is full. `false` means: stop producing, the run has failed elsewhere.
    #[must_use]
    pub(crate) fn push(&self, item: T) -> bool {
        if self.stopped() {
            return false;
        }
        self.queue.push(item);
        true
    }

    /// Whether something failed, so that nothing more is wanted.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What ended a run early.
enum Failure {
    Error(Error),
    Panic(Box<dyn std::any::Any + Send>),
}

/// Runs `produce` on every source, at most `threads` sources at once and in their order, and `work` on every item.
///
/// # Errors
/// The first error of either; work that is under way is finished first.
///
/// # Panics
/// When either panics, after everything has come to rest.
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
    run_through(Backlog::in_order(threads), sources, produce, work)
}

/// As [`run`], through a backlog that says how many workers there are and what is done next.
///
/// # Errors
/// As [`run`].
///
/// # Panics
/// As [`run`].
pub(crate) fn run_through<S, T>(
    backlog: Backlog<T>,
    sources: Vec<S>,
    produce: impl Fn(S, &Feed<'_, T>) -> Result<()> + Sync,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()>
where
    S: Send,
    T: Send,
{
    let threads = backlog.workers();
    let producers = threads.min(sources.len());
    if producers == 0 {
        return Ok(());
    }
    let stop = AtomicBool::new(false);
    let failure: Mutex<Option<Failure>> = Mutex::new(None);
    let guarded = |step: &mut dyn FnMut() -> Result<()>| {
        let failed = match catch_unwind(AssertUnwindSafe(step)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => Failure::Error(error),
            Err(panic) => Failure::Panic(panic),
        };
        stop.store(true, Ordering::Relaxed);
        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failed);
    };
    let sources = Mutex::new(sources.into_iter());
    let state = Mutex::new(QueueState { backlog, producers });
    let queue = Queue { state, room: Condvar::new(), more: Condvar::new() };
    std::thread::scope(|scope| {
        for _ in 0..producers {
            let feed = Feed { queue: &queue, stop: &stop };
            let (sources, produce, guarded) = (&sources, &produce, &guarded);
            scope.spawn(move || {
                while !feed.stopped() {
                    let next = sources.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(source) = next else { break };
                    let mut source = Some(source);
                    guarded(&mut || source.take().map_or(Ok(()), |source| produce(source, &feed)));
                }
                feed.queue.producer_ended();
            });
        }
        for _ in 0..threads {
            let (queue, work, guarded, stop) = (&queue, &work, &guarded, &stop);
            scope.spawn(move || {
                while let Some(item) = queue.pop() {
                    if stop.load(Ordering::Relaxed) {
                        continue; // drain, so that no producer waits for ever
                    }
                    let mut item = Some(item);
                    guarded(&mut || item.take().map_or(Ok(()), work));
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(Failure::Error(error)) => Err(error),
        Some(Failure::Panic(panic)) => resume_unwind(panic),
        None => Ok(()),
    }
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
///
/// A consumer may be slower than all who feed it, one that compresses say: what waits for it is bounded by the producer,
/// which asks for room before it goes on.
pub(crate) struct InOrder<T> {
    state: Mutex<OrderState<T>>,
    advanced: Condvar,
    window: usize,
}

struct OrderState<T> {
    next: usize,
    waiting: std::collections::BTreeMap<usize, T>,
    draining: bool,
}

impl<T> InOrder<T> {
    /// For one of `sources` sequences that `threads` threads work on at the same time: together they hold a few items a
    /// thread, one alone may have all of that.
    pub(crate) fn new(threads: usize, sources: usize) -> Self {
        let at_once = sources.clamp(1, threads.max(1));
        let state = OrderState { next: 0, waiting: std::collections::BTreeMap::new(), draining: false };
        Self {
            state: Mutex::new(state),
            advanced: Condvar::new(),
            window: (4 * threads.max(1)).div_ceil(at_once).max(4),
        }
    }

    /// Waits until item `at` is among the next few to be consumed; for producers, before they make it. `false` means:
    /// stop producing, the run has failed elsewhere.
    #[must_use]
    pub(crate) fn wait_for_room<I>(&self, at: usize, feed: &Feed<'_, I>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while at >= state.next + self.window {
            if feed.stopped() {
                return false;
            }
            // What stops the run may be elsewhere and tell nobody here.
            let waited = self.advanced.wait_timeout(state, Duration::from_millis(20));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        !feed.stopped()
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
            self.advanced.notify_all();
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
        let order = InOrder::new(4, 1);
        let seen = Mutex::new(Vec::new());
        run(
            vec![0..500_usize],
            4,
            |range, feed| {
                range.for_each(|at| assert!(order.wait_for_room(at, feed) && feed.push(at)));
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

    #[test]
    fn a_slow_consumer_holds_the_producer_back() {
        let order = InOrder::new(4, 1);
        let (made, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        run(
            vec![0..300_usize],
            4,
            |range, feed| {
                for at in range {
                    assert!(order.wait_for_room(at, feed));
                    made.fetch_add(1, Ordering::SeqCst);
                    assert!(feed.push(at));
                }
                Ok(())
            },
            |at| {
                order.push(at, at, |item| {
                    std::thread::sleep(Duration::from_micros(200));
                    most.fetch_max(made.load(Ordering::SeqCst) - item, Ordering::SeqCst);
                    Ok(())
                })
            },
        )
        .unwrap();
        assert_eq!(made.into_inner(), 300);
        let most = most.into_inner();
        assert!(most <= 17, "{most} items were under way");
    }

    #[test]
    fn an_item_that_fails_before_its_turn_keeps_no_producer_waiting() {
        for threads in 1..4 {
            let order = InOrder::new(threads, 1);
            let result = run(
                vec![0..10_000_usize],
                threads,
                |range, feed| {
                    for at in range {
                        if !order.wait_for_room(at, feed) || !feed.push(at) {
                            break;
                        }
                    }
                    Ok(())
                },
                |at| match at {
                    7 => Err(Error::usage("seven", "choose another")),
                    _ => order.push(at, at, |_| Ok(())),
                },
            );
            assert!(result.is_err());
        }
    }

    #[test]
    fn a_panic_of_a_worker_or_a_producer_reaches_the_caller() {
        for threads in 1..4 {
            let caught = catch_unwind(|| {
                run(
                    vec![0..10_000_usize, 0..10_000],
                    threads,
                    |range, feed| {
                        for at in range {
                            if !feed.push(at) {
                                break;
                            }
                        }
                        Ok(())
                    },
                    |at| if at == 9 { panic!("nine") } else { Ok(()) },
                )
            });
            assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"nine"));
            let caught = catch_unwind(|| {
                let produce = |_: usize, _: &Feed<'_, usize>| -> Result<()> { panic!("no source") };
                run(vec![1, 2], threads, produce, |_| Ok(()))
            });
            assert!(caught.is_err());
        }
    }
}
