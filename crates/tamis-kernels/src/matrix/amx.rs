//! bf16 products on AMX tiles (`tdpbf16ps`), 32 rows × 32 outputs at a time in four of the eight tiles.
//!
//! A tile is 16 rows of 64 bytes. Left operands are rounded to bf16 and cut into tiles of 16 rows × 32 inputs, weights
//! into tiles of 16 input pairs × 16 outputs, both lying in memory in the order in which they are used; missing rows,
//! inputs and outputs are zero. An output element is accumulated by one tile instruction per 32 inputs, in order, and
//! rows of a tile do not meet, so a row's bits do not depend on its neighbours. Subnormal operands and results are
//! flushed to zero.
//!
//! Tiles are reached through inline assembly: the compiler's intrinsics are not stable. Compiled code never uses them, so
//! their state may live between the assembly blocks of one call; it is released before the call ends. Linux
//! grants tiles to a process that asks; other systems are not asked.

use super::panels::Output;
use crate::aligned::Aligned;
use crate::dispatch::dispatched;
use crate::path::{Mode, Path};
use crate::scratch::Scratch;
use crate::view::{Rows, RowsMut};
use std::arch::asm;
use std::arch::x86_64::{__m512i, _mm512_cvtne2ps_pbh, _mm512_loadu_ps, _mm512_storeu_si512};
use std::marker::PhantomData;

/// Rows of a tile, and outputs of a tile of weights.
pub(crate) const SIDE: usize = 16;
/// Inputs of a tile.
pub(crate) const DEPTH: usize = 32;
/// Numbers of 16 bits in a tile.
pub(crate) const TILE: usize = SIDE * DEPTH;
/// Rows, and outputs, of a block: two tiles.
pub(crate) const BLOCK: usize = 2 * SIDE;
/// Bytes of the left operand that are gone through for one block of outputs: they stay in the second-level cache.
const LEFT_BYTES: usize = 512 << 10;

/// Packs N × K weights: for every 32 outputs and 32 inputs two tiles, each 16 pairs of inputs × 16 outputs.
pub(super) fn pack(weights: Rows<'_>) -> Aligned<u16> {
    let mut packed = Aligned::zeroed(packed_len(weights.rows(), weights.width()));
    pack_into(weights, 0, packed.as_mut_slice());
    packed
}

/// Values in the packed form of N × K.
pub(crate) fn packed_len(outputs: usize, inputs: usize) -> usize {
    outputs.div_ceil(BLOCK) * inputs.div_ceil(DEPTH) * 2 * TILE
}

/// Rounds 32 values to bf16 as the tile instructions read them: to nearest even, subnormal numbers to zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) fn round(values: &[f32; DEPTH]) -> __m512i {
    // SAFETY: both halves lie within the array; 32 numbers of 16 bits are 64 bytes without invalid bit patterns.
    unsafe {
        let (low, high) = (_mm512_loadu_ps(values.as_ptr()), _mm512_loadu_ps(values.as_ptr().add(SIDE)));
        std::mem::transmute(_mm512_cvtne2ps_pbh(high, low))
    }
}

/// [`round`] into memory.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn round_to(values: &[f32; DEPTH], out: &mut [u16; DEPTH]) {
    // SAFETY: the array is 64 bytes long.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), round(values)) };
}

/// Up to 32 values, zeros after them.
#[inline]
fn padded(values: &[f32]) -> [f32; DEPTH] {
    let mut all = [0.0; DEPTH];
    all[..values.len()].copy_from_slice(values);
    all
}

/// Writes weights as outputs `first` … of a packed form; what it does not hold stays as it is.
pub(crate) fn pack_into(weights: Rows<'_>, first: usize, out: &mut [u16]) {
    assert!(Path::Bf16Amx.is_supported(), "tiles were not granted");
    // SAFETY: the instructions were detected.
    unsafe { pack_rows(weights, first, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_rows(weights: Rows<'_>, first: usize, out: &mut [u16]) {
    let depth = weights.width().div_ceil(DEPTH);
    for row in 0..weights.rows() {
        let output = first + row;
        let tile = output / BLOCK * depth * 2 + output % BLOCK / SIDE;
        let column = output % SIDE * 2;
        for (step, chunk) in weights.row(row).chunks(DEPTH).enumerate() {
            let mut rounded = [0; DEPTH];
            round_to(&padded(chunk), &mut rounded);
            let out = out[(tile + step * 2) * TILE..][..TILE].as_chunks_mut::<DEPTH>().0;
            for pair in 0..SIDE {
                out[pair][column] = rounded[2 * pair];
                out[pair][column + 1] = rounded[2 * pair + 1];
            }
        }
    }
}

/// Rounds rows to bf16 and cuts them into tiles, for every 32 rows and 32 inputs two. Missing inputs are zero, missing
/// rows of the last tiles are left as they are: they reach no result.
pub(crate) fn cut(a: Rows<'_>, out: &mut [u16]) {
    assert!(Path::Bf16Amx.is_supported(), "tiles were not granted");
    // SAFETY: the instructions were detected.
    unsafe { cut_rows(a, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn cut_rows(a: Rows<'_>, out: &mut [u16]) {
    let depth = a.width().div_ceil(DEPTH);
    let out = out.as_chunks_mut::<DEPTH>().0;
    for at in 0..a.rows() {
        let first = (at / BLOCK * depth * 2 + at % BLOCK / SIDE) * SIDE + at % SIDE;
        let (chunks, rest) = a.row(at).as_chunks::<DEPTH>();
        for (step, chunk) in chunks.iter().enumerate() {
            round_to(chunk, &mut out[first + step * 2 * SIDE]);
        }
        if !rest.is_empty() {
            round_to(&padded(rest), &mut out[first + chunks.len() * 2 * SIDE]);
        }
    }
}

/// Computes a product with packed weights. Called only where [`available`] says so.
pub(super) fn product(
    packed: &[u16],
    a: Rows<'_>,
    c: &mut RowsMut<'_>,
    output: Output,
    scratch: &mut Scratch,
) {
    debug_assert_ne!(output, Output::Continue, "tiles always start from zero");
    assert!(a.width() > 0, "there is at least one input");
    let (rows, outputs, depth) = (a.rows(), c.width(), a.width().div_ceil(DEPTH));
    assert!(packed.len() >= outputs.div_ceil(BLOCK) * depth * 2 * TILE, "weights for every output");
    let group = (LEFT_BYTES / (2 * DEPTH * depth) / BLOCK).max(1) * BLOCK;
    let left = scratch.operand.at_least(rows.min(group).next_multiple_of(BLOCK) * depth * DEPTH);
    let mut block = Block([0.0; BLOCK * BLOCK]);
    let tiles = Tiles::take();
    for from in (0..rows).step_by(group) {
        let count = group.min(rows - from);
        cut(a.part(from, count, 0, a.width()), left);
        for (first, weights) in (0..outputs).step_by(BLOCK).zip(packed.chunks_exact(depth * 2 * TILE)) {
            let width = BLOCK.min(outputs - first);
            for (at, left) in (0..count).step_by(BLOCK).zip(left.chunks_exact(depth * 2 * TILE)) {
                let height = BLOCK.min(count - at);
                let mut c = c.part(from + at, height, first, width);
                tiles.zero();
                tiles.accumulate(left, weights);
                if output == Output::Replace && height == BLOCK && width == BLOCK {
                    let stride = c.stride();
                    tiles.store(c.data(), stride);
                } else {
                    tiles.store(&mut block.0, BLOCK);
                    store(Mode::Avx512, &block.0, c, output);
                }
            }
        }
    }
}

/// A block of results on cache lines.
#[repr(align(64))]
struct Block([f32; BLOCK * BLOCK]);

dispatched! { fn store(block: &[f32], c: RowsMut<'_>, output: Output) = store_body; }

/// Copies the rows and outputs that exist from a block to the result, or adds them.
#[inline(always)]
fn store_body<const FUSED: bool>(block: &[f32], mut c: RowsMut<'_>, output: Output) {
    for (at, sums) in block.chunks_exact(BLOCK).enumerate().take(c.rows()) {
        let c = c.row(at);
        match output {
            Output::Add if c.len() == BLOCK => (0..BLOCK).for_each(|i| c[i] += sums[i]),
            Output::Add => c.iter_mut().zip(sums).for_each(|(c, sum)| *c += sum),
            Output::Replace | Output::Continue => c.copy_from_slice(&sums[..c.len()]),
        }
    }
}

/// The tiles of this thread, configured as eight tiles of 16 rows of 64 bytes; dropping it releases them.
///
/// Four of them hold a block of 32 × 32 sums. One value of this type lives in a thread at a time.
pub(crate) struct Tiles(PhantomData<*const ()>);

impl Tiles {
    /// Configures the tiles.
    ///
    /// # Panics
    /// Where [`available`] says no.
    pub(crate) fn take() -> Self {
        #[repr(C, align(64))]
        struct Configuration {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            bytes_per_row: [u16; 16],
            rows: [u8; 16],
        }
        static CONFIGURATION: Configuration = Configuration {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
            rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
        };
        assert!(Path::Bf16Amx.is_supported(), "tiles were not granted");
        // SAFETY: the process may use tiles; the instruction reads the 64 bytes of a valid configuration.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, readonly)) };
        Self(PhantomData)
    }

    /// Starts a block of sums from zero.
    pub(crate) fn zero(&self) {
        // SAFETY: tiles are configured; declared as clobbered, though the compiler keeps nothing in them.
        unsafe {
            asm!(
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                options(nostack, nomem),
            );
        }
    }

    /// Adds the product of two runs of tiles, for every 32 inputs two of 16 rows and two of 16 outputs.
    ///
    /// # Panics
    /// If the runs are not equally long, or empty, or end within a pair of tiles.
    pub(crate) fn accumulate(&self, left: &[u16], right: &[u16]) {
        assert!(left.len() == right.len() && !left.is_empty() && left.len().is_multiple_of(2 * TILE));
        // The left tiles are loaded with the hint that they pass by (`t1`), so that in the nearest cache the right ones stay,
        // which the next rows need again.
        // SAFETY: tiles are configured, and the loop reads the 2 · depth tiles that both slices hold.
        unsafe {
            asm!(
                "2:",
                "tileloaddt1 tmm4, [{left} + {line}]",
                "tileloadd tmm6, [{right} + {line}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{right} + {line} + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloaddt1 tmm5, [{left} + {line} + 1024]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left}, 2048",
                "add {right}, 2048",
                "dec {depth}",
                "jnz 2b",
                left = inout(reg) left.as_ptr() => _,
                right = inout(reg) right.as_ptr() => _,
                depth = inout(reg) left.len() / (2 * TILE) => _,
                line = in(reg) 64_usize,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly),
            );
        }
    }

    /// Writes the 32 × 32 sums to rows `stride` values apart.
    ///
    /// # Panics
    /// If `to` ends before the last row does.
    pub(crate) fn store(&self, to: &mut [f32], stride: usize) {
        assert!(stride >= BLOCK && to.len() >= (BLOCK - 1) * stride + BLOCK, "room for a block");
        // SAFETY: tiles are configured, and 32 rows of 32 values lie within `to`.
        unsafe {
            asm!(
                "tilestored [{to} + {stride}], tmm0",
                "tilestored [{to} + {stride} + 64], tmm1",
                "tilestored [{below} + {stride}], tmm2",
                "tilestored [{below} + {stride} + 64], tmm3",
                to = in(reg) to.as_mut_ptr(),
                below = in(reg) to[SIDE * stride..].as_mut_ptr(),
                stride = in(reg) stride * 4,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: releases what `take` configured.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
