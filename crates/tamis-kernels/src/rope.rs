//! Rotary position embedding, half-split convention (Su et al. 2021, arXiv:2104.09864, as laid out by GPT-NeoX and
//! Hugging Face): dimension i of a head is rotated together with dimension i + `head_dim` / 2.
//!
//! Angles are position · frequency in f32, as the reference implementations compute them, their cosine and sine in f64.

use crate::dispatch::dispatched;
use crate::path::Path;
use crate::view::RowsMut;

/// Cosines and sines for positions `0..positions`.
#[derive(Debug, Clone)]
pub struct RopeTable {
    half: usize,
    positions: usize,
    /// Per position `half` cosines, then `half` sines.
    values: Vec<f32>,
}

impl RopeTable {
    /// A table from the frequencies of the pairs (`head_dim / 2` of them, scaled already where the model asks for it).
    ///
    /// # Panics
    /// If there are no frequencies.
    #[must_use]
    pub fn from_frequencies(frequencies: &[f32], positions: usize) -> Self {
        assert!(!frequencies.is_empty(), "a rotation needs at least one frequency");
        let half = frequencies.len();
        let mut values = Vec::with_capacity(positions * 2 * half);
        for position in 0..positions {
            let angle = |frequency: &f32| f64::from(position as f32 * frequency);
            values.extend(frequencies.iter().map(|frequency| libm::cos(angle(frequency)) as f32));
            values.extend(frequencies.iter().map(|frequency| libm::sin(angle(frequency)) as f32));
        }
        Self { half, positions, values }
    }

    /// A table for frequencies theta^(−2i / `head_dim`).
    ///
    /// # Panics
    /// If `head_dim` is zero or odd.
    #[must_use]
    pub fn new(head_dim: usize, theta: f32, positions: usize) -> Self {
        assert!(head_dim > 0 && head_dim.is_multiple_of(2), "head dimension {head_dim} is not even");
        let frequency = |i: usize| 1.0 / libm::pow(f64::from(theta), (2 * i) as f64 / head_dim as f64) as f32;
        let frequencies: Vec<f32> = (0..head_dim / 2).map(frequency).collect();
        Self::from_frequencies(&frequencies, positions)
    }

    /// Number of positions that the table covers.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.positions
    }

    fn at(&self, position: usize) -> (&[f32], &[f32]) {
        assert!(position < self.positions, "position {position} is beyond a table of {}", self.positions);
        self.values[position * 2 * self.half..][..2 * self.half].split_at(self.half)
    }
}

/// Rotates the heads in each row of `x` by the row's position. A row is a whole number of heads (queries, or keys, or
/// queries followed by keys in a fused projection).
///
/// # Panics
/// If there is not one position per row, a position is beyond the table, or a row is no whole number of heads.
pub fn rope(path: Path, mut x: RowsMut<'_>, table: &RopeTable, positions: &[u32]) {
    assert_eq!(x.rows(), positions.len(), "one position per row");
    assert!(x.width().is_multiple_of(2 * table.half), "a row of {} is no whole number of heads", x.width());
    let mode = path.mode();
    for (at, &position) in positions.iter().enumerate() {
        let (cosines, sines) = table.at(position as usize);
        rotate(mode, x.row(at), cosines, sines);
    }
}

dispatched! { fn rotate(row: &mut [f32], cosines: &[f32], sines: &[f32]) = rotate_body; }

#[inline(always)]
fn rotate_body<const FUSED: bool>(row: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let half = cosines.len();
    for head in row.chunks_exact_mut(2 * half) {
        let (first, second) = head.split_at_mut(half);
        // Products and sums are rounded separately, as the reference implementations do.
        for i in 0..half {
            let (a, b) = (first[i], second[i]);
            first[i] = a * cosines[i] - b * sines[i];
            second[i] = b * cosines[i] + a * sines[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_keeps_lengths_and_depends_on_distance_only() {
        let table = RopeTable::new(8, 10_000.0, 64);
        let dot = |query: u32, key: u32| {
            let mut x: Vec<f32> = (0..16).map(|i| ((i * 7 % 5) as f32 - 2.0) / 3.0).collect();
            rope(Path::F32Portable, RowsMut::contiguous(&mut x, 8), &table, &[query, key]);
            let length: f32 = x[..8].iter().map(|v| v * v).sum();
            (x[..8].iter().zip(&x[8..]).map(|(a, b)| a * b).sum::<f32>(), length)
        };
        let ((near, length), (far, other_length)) = (dot(5, 3), dot(45, 43));
        assert!((near - far).abs() < 1e-5 && (length - other_length).abs() < 1e-5);
        assert!((near - dot(5, 4).0).abs() > 1e-3);
    }

    #[test]
    fn a_row_is_rotated_alike_in_every_mode_and_at_position_zero_not_at_all() {
        let table = RopeTable::new(64, 100_000.0, 300);
        let source: Vec<f32> = (0..192).map(|i| (i as f32 * 0.37).sin()).collect();
        let expected = {
            let mut x = source.clone();
            rope(Path::F32Portable, RowsMut::contiguous(&mut x, 192), &table, &[277]);
            x
        };
        for path in Path::supported() {
            let mut x = source.clone();
            rope(path, RowsMut::contiguous(&mut x, 192), &table, &[277]);
            assert_eq!(x, expected, "{}", path.name());
            let mut still = source.clone();
            rope(path, RowsMut::contiguous(&mut still, 192), &table, &[0]);
            assert_eq!(still, source);
        }
    }
}
