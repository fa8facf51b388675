//! Projection by three rounds of random signs and a fast Hadamard transform (`HD₃HD₂HD₁`; Andoni et al. 2015,
//! arXiv:1509.02897, §3), a cheap stand-in for a Gaussian matrix.
//!
//! Items are padded with zeros to P, the next power of two of their dimension. One block gives P hashes; more come from
//! further blocks with signs of their own. Values are scaled by 1/P, a power of two, so that for unit vectors they have
//! variance 1 like Gaussian projections. Sums and differences only, always in the same order: the same bits everywhere.
//! Within a block hashes are orthogonal rather than independent, which lowers the error of a sketch.
//!
//! Cost: 3 · log₂ P additions a hash. Sixteen items are transformed side by side.

#[cfg(target_arch = "x86_64")]
use super::hadamard_avx512::{self, Target};
use crate::aligned::Aligned;
use crate::dispatch::dispatched;
use crate::error::{Error, Result};
use crate::math::LANES;
use crate::path::Mode;
use crate::view::Rows;

/// Rounds of signs and transform.
const ROUNDS: usize = 3;

/// The largest dimension: beyond it one block alone would leave every cache.
const MAX_DIMENSION: usize = 1 << 20;

/// H hashes of dimension D, in blocks of the next power of two of D.
#[derive(Debug, Clone)]
pub struct HadamardProjection {
    dimension: usize,
    hashes: usize,
    padded: usize,
    /// Per block, round and padded dimension the sign bit of an f32, set for −1.
    signs: Vec<u32>,
}

impl HadamardProjection {
    /// Draws the signs from `next`, which gives uniform 64-bit numbers: per block of P hashes three rounds of P signs,
    /// 64 signs a number from its lowest bit up, a set bit being −1; a round begins with a new number.
    ///
    /// # Errors
    /// [`Error::HashParameter`] if `dimension` or `hashes` is zero, or `dimension` above 2²⁰.
    pub fn new(dimension: usize, hashes: usize, next: &mut dyn FnMut() -> u64) -> Result<Self> {
        if dimension == 0 || dimension > MAX_DIMENSION || hashes == 0 {
            let problem = format!("no projection of dimension {dimension} to {hashes} hashes");
            return Err(Error::HashParameter { parameter: "dimension", problem });
        }
        let padded = dimension.next_power_of_two();
        let mut signs = Vec::with_capacity(hashes.div_ceil(padded) * ROUNDS * padded);
        for _ in 0..hashes.div_ceil(padded) * ROUNDS {
            for first in (0..padded).step_by(64) {
                let bits = next();
                signs.extend((0..64.min(padded - first)).map(|bit| ((bits >> bit) as u32 & 1) << 31));
            }
        }
        Ok(Self { dimension, hashes, padded, signs })
    }

    /// Dimension of the items (D).
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Number of hashes (H).
    #[must_use]
    pub fn hashes(&self) -> usize {
        self.hashes
    }

    /// Items to hash together so that their projections stay in the second-level cache.
    pub(super) fn items_at_once(&self) -> usize {
        ((512 << 10) / 4 / self.hashes).clamp(LANES, 240) / LANES * LANES
    }

    /// Projects items into `z`, hashes × items.
    pub(super) fn project(&self, mode: Mode, items: Rows<'_>, buffer: &mut Aligned<f32>, z: &mut [f32]) {
        let scale = 1.0 / self.padded as f32;
        #[cfg(target_arch = "x86_64")]
        if mode == Mode::Avx512 && self.padded > 1 {
            return self.project_avx512(items, buffer, scale, z);
        }
        let buffer = buffer.at_least(2 * self.padded * LANES);
        let (source, work) = buffer.split_at_mut(self.padded * LANES);
        for first in (0..items.rows()).step_by(LANES) {
            let count = LANES.min(items.rows() - first);
            interleave(mode, items.part(first, count, 0, items.width()), source);
            let blocks =
                z.chunks_mut(self.padded * items.rows()).zip(self.signs.chunks_exact(ROUNDS * self.padded));
            for (z, signs) in blocks {
                work.copy_from_slice(source);
                transform(mode, work, signs);
                scatter(mode, work, scale, &mut z[first..], items.rows(), count);
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn project_avx512(&self, items: Rows<'_>, buffer: &mut Aligned<f32>, scale: f32, z: &mut [f32]) {
        let stride = items.rows();
        let (source, work) = buffer
            .at_least(2 * hadamard_avx512::work_len(self.padded))
            .split_at_mut(hadamard_avx512::work_len(self.padded));
        source.fill(0.0);
        for first in (0..stride).step_by(LANES) {
            let count = LANES.min(stride - first);
            hadamard_avx512::interleave(items.part(first, count, 0, items.width()), source);
            let blocks =
                z.chunks_mut(self.padded * stride).zip(self.signs.chunks_exact(ROUNDS * self.padded));
            for (z, signs) in blocks {
                let hashes = z.len() / stride;
                let target = Target { z: &mut z[first..], stride, hashes, items: count, scale };
                hadamard_avx512::transform(self.padded, source, work, signs, target);
            }
        }
    }
}

dispatched! {
    fn interleave(items: Rows<'_>, out: &mut [f32]) = interleave_body;
    fn transform(work: &mut [f32], signs: &[u32]) = transform_body;
    fn scatter(work: &[f32], scale: f32, z: &mut [f32], stride: usize, count: usize) = scatter_body;
}

/// Dimension k of item t goes to `out[k · LANES + t]`; padding is zero.
#[inline(always)]
fn interleave_body<const FUSED: bool>(items: Rows<'_>, out: &mut [f32]) {
    let (out, padding) = out.split_at_mut(items.width() * LANES);
    padding.fill(0.0);
    if items.rows() < LANES {
        out.fill(0.0);
    }
    // Sixteen dimensions at a time, whose lines stay in the nearest cache until every item has written to them.
    for (part, out) in out.as_chunks_mut::<LANES>().0.chunks_mut(LANES).enumerate() {
        for t in 0..items.rows() {
            for (out, &value) in out.iter_mut().zip(&items.row(t)[part * LANES..]) {
                out[t] = value;
            }
        }
    }
}

#[inline(always)]
fn transform_body<const FUSED: bool>(work: &mut [f32], signs: &[u32]) {
    let work = work.as_chunks_mut::<LANES>().0;
    for signs in signs.chunks_exact(work.len()) {
        for (lanes, &sign) in work.iter_mut().zip(signs) {
            for value in lanes {
                *value = f32::from_bits(value.to_bits() ^ sign);
            }
        }
        let mut half = 1;
        while half < work.len() {
            // Three levels at a time as long as there are three: eight rows of lanes fit the registers.
            if 8 * half <= work.len() {
                for first in (0..work.len()).step_by(8 * half) {
                    for at in first..first + half {
                        butterflies::<8>(work, at, half);
                    }
                }
                half *= 8;
            } else {
                for first in (0..work.len()).step_by(2 * half) {
                    for at in first..first + half {
                        butterflies::<2>(work, at, half);
                    }
                }
                half *= 2;
            }
        }
    }
}

/// log₂ R levels of butterflies on the R rows at `first`, `first + step`, …
#[inline(always)]
fn butterflies<const R: usize>(work: &mut [[f32; LANES]], first: usize, step: usize) {
    let mut rows = [[0.0; LANES]; R];
    for r in 0..R {
        rows[r] = work[first + r * step];
    }
    let mut half = 1;
    while half < R {
        for r in 0..R {
            if r & half == 0 {
                let (a, b) = (rows[r], rows[r + half]);
                for t in 0..LANES {
                    rows[r][t] = a[t] + b[t];
                    rows[r + half][t] = a[t] - b[t];
                }
            }
        }
        half *= 2;
    }
    for r in 0..R {
        work[first + r * step] = rows[r];
    }
}

/// Row h of the work goes, scaled, to `z[h · stride …]`, for as many rows as `z` holds.
#[inline(always)]
fn scatter_body<const FUSED: bool>(work: &[f32], scale: f32, z: &mut [f32], stride: usize, count: usize) {
    for (lanes, z) in work.as_chunks::<LANES>().0.iter().zip(z.chunks_mut(stride)) {
        if count == LANES {
            for t in 0..LANES {
                z[t] = lanes[t] * scale;
            }
        } else {
            for (z, value) in z[..count].iter_mut().zip(lanes) {
                *z = value * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::numbers;

    #[test]
    fn vector_and_plain_transforms_agree_bit_for_bit_and_with_the_definition() {
        for levels in 0..12 {
            let padded = 1 << levels;
            let signs: Vec<u32> =
                numbers(levels, ROUNDS * padded).iter().map(|x| u32::from(*x < 0.0) << 31).collect();
            let source = numbers(99 + levels, padded * LANES);
            let mut plain = source.clone();
            transform(Mode::Portable, &mut plain, &signs);
            for mode in Mode::available() {
                let mut work = source.clone();
                transform(mode, &mut work, &signs);
                assert_eq!(work, plain, "{mode:?}");
            }
            if levels <= 6 {
                let mut exact: Vec<f64> = (0..padded).map(|k| f64::from(source[k * LANES + 3])).collect();
                for signs in signs.chunks_exact(padded) {
                    let signed: Vec<f64> =
                        exact.iter().zip(signs).map(|(x, sign)| if *sign == 0 { *x } else { -x }).collect();
                    let entry =
                        |h: usize, k: usize| if (h & k).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
                    exact = (0..padded)
                        .map(|h| signed.iter().enumerate().map(|(k, x)| entry(h, k) * x).sum())
                        .collect();
                }
                let norm = exact.iter().map(|x| x * x).sum::<f64>().sqrt();
                for (h, exact) in exact.iter().enumerate() {
                    assert!((f64::from(plain[h * LANES + 3]) - exact).abs() < 1e-5 * norm);
                }
            }
        }
    }

    #[test]
    fn projections_agree_bit_for_bit_at_every_size() {
        for dimension in [1_usize, 2, 3, 16, 17, 33, 100, 300, 768, 1030, 2100] {
            let padded = dimension.next_power_of_two();
            for (hashes, items) in [(1, 1), (padded, 16), (2 * padded + 5, 37)] {
                let mut state = 0_u64;
                let mut next = || {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                    state ^ state >> 33
                };
                let projection = HadamardProjection::new(dimension, hashes, &mut next).unwrap();
                let values = numbers(dimension as u64, items * dimension);
                let project = |mode| {
                    let mut z = vec![f32::NAN; hashes * items];
                    // What another call left behind is not seen.
                    let mut buffer = Aligned::zeroed(7);
                    buffer.at_least(5 * padded * LANES).fill(f32::NAN);
                    projection.project(mode, Rows::contiguous(&values, dimension), &mut buffer, &mut z);
                    z.iter().map(|z| z.to_bits()).collect::<Vec<_>>()
                };
                let plain = project(Mode::Portable);
                for mode in Mode::available() {
                    assert!(project(mode) == plain, "{mode:?} {dimension} {hashes} {items}");
                }
            }
        }
    }
}
