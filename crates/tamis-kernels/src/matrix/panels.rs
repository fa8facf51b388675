//! The panel layout, and the operands of a product over panels.
//!
//! With N outputs, K inputs and a kernel width W, panel p holds outputs p·W … of all inputs, K-major: value (k, j) at
//! p·W·K + k·w + j, where w is W, or for the last panel the remaining outputs rounded up to 16. Missing outputs are
//! zero.

use crate::view::{Rows, RowsMut};

/// Outputs of the last panel are rounded up to a multiple of this.
pub(crate) const GRAIN: usize = 16;

/// Outputs per panel of the portable kernels.
pub(crate) const PORTABLE_WIDTH: usize = 16;

/// What computes an f32 product. `Avx2`, `Avx512`, `Neon` and `Fused` agree bit for bit; so do `Separate` and `SeparateOnAvx2`.
/// Made by [`F32Kernel::of`] and [`F32Kernel::fused`] from a detected mode alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum F32Kernel {
    /// Plain Rust, multiply and add rounded separately.
    Separate,
    /// The same, compiled with AVX2.
    SeparateOnAvx2,
    /// Plain Rust with fused multiply-add; slow where the hardware has none, for the portable form of hashing.
    Fused,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512.
    Avx512,
    /// NEON.
    Neon,
}

impl F32Kernel {
    /// Outputs per panel.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Separate | Self::SeparateOnAvx2 | Self::Fused => PORTABLE_WIDTH,
            Self::Avx2 | Self::Neon => 16,
            Self::Avx512 => 48,
        }
    }
}

/// How a product meets the values that its output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// They are replaced.
    Replace,
    /// Accumulators start from them: a sum over K that was begun by another product goes on in order.
    Continue,
    /// The finished product is added to them.
    Add,
}

/// Operands of an f32 product: `a` is M × K, `panels` packed N × K, `c` M × N.
pub(crate) struct Product<'a, 'c> {
    pub(crate) a: Rows<'a>,
    pub(crate) panels: &'a [f32],
    pub(crate) c: RowsMut<'c>,
    pub(crate) output: Output,
}

/// Operands of a bf16 product: `a` is rows × 2·pairs, back to back.
pub(crate) struct PairProduct<'a, 'c> {
    pub(crate) a: &'a [u16],
    pub(crate) rows: usize,
    pub(crate) pairs: usize,
    pub(crate) panels: &'a [u32],
    pub(crate) outputs: usize,
    pub(crate) stride: usize,
    pub(crate) c: &'c mut [f32],
    pub(crate) output: Output,
}

/// One panel: where it starts among the outputs, how many it has, and the width at which they are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel {
    pub(crate) first: usize,
    pub(crate) outputs: usize,
    pub(crate) width: usize,
}

/// The panels of `outputs` outputs at kernel width `width`.
pub(crate) fn panels(outputs: usize, width: usize) -> impl Iterator<Item = Panel> {
    (0..outputs).step_by(width).map(move |first| {
        let outputs = width.min(outputs - first);
        Panel { first, outputs, width: outputs.next_multiple_of(GRAIN) }
    })
}

/// Values in the packed form of `outputs` × `inputs`.
pub(crate) fn packed_len(kernel: F32Kernel, outputs: usize, inputs: usize) -> usize {
    debug_assert!(kernel.width().is_multiple_of(GRAIN));
    outputs.next_multiple_of(GRAIN) * inputs
}
