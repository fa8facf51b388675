//! A short look at which of two paths is faster on this machine, for processors that nobody has measured.

use crate::path::Path;
use crate::{Accumulate, PackedMatrix, Rows, RowsMut, Scratch};
use std::time::{Duration, Instant};

/// Rows, outputs and inputs of the product: a projection of a small language model.
const SHAPE: [usize; 3] = [144, 1536, 576];
/// Products of each path; the fastest counts, since everything else that a machine does only slows them.
const TURNS: usize = 9;

/// The least time that each path took for one product, the paths in turns; some tens of milliseconds in all.
///
/// # Panics
/// If this machine lacks one of the paths.
#[must_use]
pub fn fastest_products<const N: usize>(paths: [Path; N]) -> [Duration; N] {
    let [rows, outputs, inputs] = SHAPE;
    let numbers = |count: usize| -> Vec<f32> {
        (0..count).map(|at| (at.wrapping_mul(2_654_435_761) >> 7 & 0xff) as f32 / 128.0 - 1.0).collect()
    };
    let (weights, a) = (numbers(outputs * inputs), numbers(rows * inputs));
    let packed = paths.map(|path| PackedMatrix::pack(&weights, outputs, inputs, path));
    let mut c = vec![0.0; rows * outputs];
    let mut scratch = Scratch::default();
    let mut best = [Duration::MAX; N];
    for _ in 0..TURNS {
        for (packed, best) in packed.iter().zip(&mut best) {
            let began = Instant::now();
            let out = RowsMut::contiguous(&mut c, outputs);
            packed.multiply(Rows::contiguous(&a, inputs), out, Accumulate::No, &mut scratch);
            *best = began.elapsed().min(*best);
        }
    }
    std::hint::black_box(c);
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_timed() {
        let paths = [Path::detect(crate::Dtype::F32), Path::detect(crate::Dtype::Bf16)];
        let times = fastest_products(paths);
        eprintln!("{paths:?} {times:?}");
        assert!(times.iter().all(|time| (1..5_000_000_000).contains(&time.as_nanos())));
    }
}
