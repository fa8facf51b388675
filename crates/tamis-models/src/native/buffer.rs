//! Activations whose memory returns to the thread that used it last.
//!
//! A pack needs a few megabytes of activations again and again; fresh memory from the system would cost a page fault for
//! every 4 KiB each time. Each thread keeps what it has used, so a worker allocates during its first pack only.

use std::cell::RefCell;

use tamis_kernels::{Rows, RowsMut};

/// Buffers that a thread keeps.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// A matrix of activations, row-major. What it holds at first is arbitrary: whoever takes one writes all of it.
#[derive(Debug)]
pub(crate) struct Buffer {
    values: Vec<f32>,
    rows: usize,
    width: usize,
}

impl Buffer {
    /// A matrix of that size, its contents arbitrary.
    pub(super) fn take(rows: usize, width: usize) -> Self {
        let size = rows * width;
        let mut values = FREE.with_borrow_mut(|free| {
            let fitting = free.iter().enumerate().filter(|(_, values)| values.len() >= size);
            let best = fitting.min_by_key(|(_, values)| values.len()).map(|(at, _)| at);
            best.or(free.len().checked_sub(1)).map(|at| free.swap_remove(at)).unwrap_or_default()
        });
        if values.len() < size {
            values.resize(size, 0.0);
        }
        Self { values, rows, width }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values[..self.rows * self.width]
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.rows * self.width]
    }

    pub(super) fn row(&self, at: usize) -> &[f32] {
        &self.values()[at * self.width..][..self.width]
    }

    pub(super) fn row_mut(&mut self, at: usize) -> &mut [f32] {
        let width = self.width;
        &mut self.values_mut()[at * width..][..width]
    }

    /// The rows with these indices, in this order.
    pub(super) fn pick(&self, indices: &[usize]) -> Self {
        let mut picked = Self::take(indices.len(), self.width);
        for (to, &from) in indices.iter().enumerate() {
            picked.row_mut(to).copy_from_slice(self.row(from));
        }
        picked
    }

    pub(super) fn view(&self) -> Rows<'_> {
        Rows::contiguous(self.values(), self.width)
    }

    pub(super) fn view_mut(&mut self) -> RowsMut<'_> {
        let width = self.width;
        RowsMut::contiguous(self.values_mut(), width)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        // Fails while the thread ends, when nobody will want the memory again.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(values);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_by_the_thread_that_dropped_it() {
        let first = Buffer::take(10, 100);
        let address = first.values().as_ptr();
        drop(first);
        let second = Buffer::take(3, 7);
        assert_eq!(second.values().as_ptr(), address);
        assert_eq!((second.values().len(), second.row(2).len()), (21, 7));
    }
}
