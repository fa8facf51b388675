//! What waits between producers and workers: bounded, and the longest first as far as that keeps nobody waiting.
//!
//! Workers that take the longest of all that is left end together (Graham 1969, DOI 10.1137/0117039). While more is to come than
//! there is room for, the order matters little, and it is first come, first served: so nothing small waits while a corpus goes
//! by, with the block of the shard that it is a slice of, and shards are finished in turn.

use std::collections::VecDeque;

/// Items a worker that may wait, whatever their size.
const FEW: usize = 2;

/// Items a worker, and items in all, that may wait where sizes are known.
const MANY: (usize, usize) = (64, 4096);

/// Bytes up to which more than a [`FEW`] wait.
const MANY_BYTES: u64 = 16 << 20;

/// Items that wait for workers.
pub(crate) struct Backlog<T> {
    workers: usize,
    /// Bytes of an item; without, order is all there is.
    size: Option<fn(&T) -> u64>,
    items: VecDeque<T>,
    bytes: u64,
}

impl<T> Backlog<T> {
    /// First come, first served.
    pub(crate) fn in_order(workers: usize) -> Self {
        Self { workers: workers.max(1), size: None, items: VecDeque::new(), bytes: 0 }
    }

    /// The longest first, by bytes, unless it is full.
    pub(crate) fn longest_first(workers: usize, size: fn(&T) -> u64) -> Self {
        Self { size: Some(size), ..Self::in_order(workers) }
    }

    /// Threads that work on it.
    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    /// Whether another item may come.
    pub(crate) fn has_room(&self) -> bool {
        let (each, all) = MANY;
        let many = self.size.is_some() && self.bytes < MANY_BYTES;
        self.items.len() < FEW * self.workers
            || (many && self.items.len() < all.min(each.saturating_mul(self.workers)))
    }

    /// Adds an item.
    pub(crate) fn push(&mut self, item: T) {
        self.bytes += self.size_of(&item);
        self.items.push_back(item);
    }

    /// The item to do next.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let longest = match self.size {
            Some(size) if self.has_room() => {
                (0..self.items.len()).rev().max_by_key(|&at| size(&self.items[at])).unwrap_or(0)
            }
            _ => 0,
        };
        let item = self.items.remove(longest)?;
        self.bytes -= self.size_of(&item);
        Some(item)
    }

    fn size_of(&self, item: &T) -> u64 {
        self.size.map_or(0, |size| size(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_comes_first_unless_the_backlog_is_full() {
        let mut backlog = Backlog::longest_first(1, |item: &(u64, usize)| item.0);
        [3, 9, 1, 9].into_iter().enumerate().for_each(|(at, bytes)| backlog.push((bytes, at)));
        assert_eq!((backlog.pop(), backlog.pop()), (Some((9, 1)), Some((9, 3))));
        for at in 4.. {
            if !backlog.has_room() {
                break;
            }
            backlog.push((at, at as usize));
        }
        assert_eq!(backlog.pop(), Some((3, 0)), "the oldest");
        assert_eq!(backlog.pop(), Some((65, 65)), "there is room again");
    }

    #[test]
    fn room_is_bounded_by_items_and_by_bytes_and_never_less_than_two_a_worker() {
        let filled = |mut backlog: Backlog<u64>, item: u64| {
            while backlog.has_room() {
                backlog.push(item);
            }
            backlog.items.len()
        };
        for (workers, most) in [(1, 64), (2, 128), (64, 4096), (3000, 6000)] {
            assert_eq!(filled(Backlog::in_order(workers), 1 << 30), 2 * workers);
            assert_eq!(filled(Backlog::longest_first(workers, |item| *item), 1 << 10), most);
            assert_eq!(filled(Backlog::longest_first(workers, |item| *item), 1 << 30), 2 * workers);
        }
        assert_eq!(filled(Backlog::longest_first(64, |item| *item), 64 << 10), 256);
    }
}
