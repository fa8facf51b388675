//! Attention to the nearest tokens only.
//!
//! Local attention as in Beltagy et al., `Longformer`, arXiv 2004.05150, §3.1, one-sided: a token sees itself and the
//! `tokens - 1` before it. Kernels take it as a bias on the scores that is 0 within the window and −∞ beyond, which the
//! softmax turns into weights of exactly 0. So it costs what attention to everything before would; what it buys here is
//! the model's own numbers, not speed.

use std::sync::{Arc, PoisonError, RwLock};

/// A window, and its biases as far as sequences have needed them.
#[derive(Debug)]
pub(crate) struct Window {
    tokens: usize,
    heads: usize,
    biases: RwLock<Arc<Biases>>,
}

/// Biases of all heads, by distance.
#[derive(Debug)]
pub(crate) struct Biases {
    /// For each head `2 · reach − 1` values, as the kernels want them: from the farthest key before to the farthest after.
    pub(crate) table: Vec<f32>,
    /// Positions that a sequence may have, its prefix included.
    pub(crate) reach: usize,
}

impl Window {
    pub(crate) fn new(tokens: usize, heads: usize) -> Self {
        let biases = RwLock::new(Arc::new(Biases { table: Vec::new(), reach: 0 }));
        Self { tokens, heads, biases }
    }

    /// Whether a query sees a key at the same or an earlier position.
    pub(crate) fn sees(&self, query: usize, key: usize) -> bool {
        query - key < self.tokens
    }

    /// Biases for sequences of up to `positions`.
    pub(crate) fn biases(&self, positions: usize) -> Arc<Biases> {
        // A poisoned lock guards a table that is still whole: it is replaced in one assignment.
        let known = Arc::clone(&self.biases.read().unwrap_or_else(PoisonError::into_inner));
        if known.reach >= positions {
            return known;
        }
        let reach = positions.next_power_of_two();
        let of_head = (0..2 * reach - 1).map(|at| {
            let within = at >= reach || self.sees(reach - 1, at);
            if within { 0.0 } else { f32::NEG_INFINITY }
        });
        let table: Vec<f32> = of_head.collect::<Vec<f32>>().repeat(self.heads);
        let biases = Arc::new(Biases { table, reach });
        *self.biases.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&biases);
        biases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_sees_itself_and_those_just_before() {
        let window = Window::new(3, 2);
        let biases = window.biases(5);
        assert_eq!(biases.reach, 8);
        let width = 2 * biases.reach - 1;
        let (first, second) = biases.table.split_at(width);
        assert_eq!(first, second);
        let before: Vec<bool> = first[..biases.reach].iter().map(|bias| *bias == 0.0).collect();
        assert_eq!(before, [false, false, false, false, false, true, true, true]);
        assert!(window.biases(2).reach >= 8 && window.biases(9).reach >= 9);
    }
}
