//! The panel layout, and the product over panels in terms of one micro-kernel call per block.
//!
//! With N outputs, K inputs and a kernel width W, panel p holds outputs p·W … of all inputs, K-major: value (k, j) at
//! p·W·K + k·w + j, where w is W, or for the last panel the remaining outputs rounded up to 16. Missing outputs are
//! zero.

use super::portable;
#[cfg(target_arch = "x86_64")]
use super::transpose::transpose;
use crate::aligned::Aligned;
use crate::bf16;
use crate::path::{Mode, Path};
use crate::scratch::Scratch;
use crate::view::{Rows, RowsMut};

/// Outputs of the last panel are rounded up to a multiple of this.
pub(crate) const GRAIN: usize = 16;

/// What computes an f32 product. `Avx2`, `Avx512` and `Fused` agree bit for bit; so do `Separate` and `SeparateOnAvx2`.
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
}

impl F32Kernel {
    /// Outputs per panel.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Separate | Self::SeparateOnAvx2 | Self::Fused => portable::WIDTH,
            Self::Avx2 => 16,
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

/// Inputs that are transposed together, so that the lines they are written to stay in the nearest cache.
const TRANSPOSED: usize = 16;

/// Packs N × K weights into `out`, which is [`packed_len`] long; every value of it is written.
pub(crate) fn pack_f32(kernel: F32Kernel, weights: Rows<'_>, out: &mut [f32]) {
    let inputs = weights.width();
    for panel in panels(weights.rows(), kernel.width()) {
        let block = &mut out[panel.first * inputs..][..panel.width * inputs];
        #[cfg(target_arch = "x86_64")]
        if kernel == F32Kernel::Avx512 {
            for j in (0..panel.width).step_by(GRAIN) {
                let rows = weights.part(panel.first + j, GRAIN.min(panel.outputs - j), 0, inputs);
                for k in (0..inputs).step_by(GRAIN) {
                    let shape = [rows.rows(), GRAIN.min(inputs - k)];
                    let to = &mut block[k * panel.width + j..];
                    transpose(&rows.data()[k..], rows.stride(), shape, to, panel.width);
                }
            }
            continue;
        }
        for (part, block) in block.chunks_mut(TRANSPOSED * panel.width).enumerate() {
            for j in 0..panel.width {
                let to = block.iter_mut().skip(j).step_by(panel.width);
                if j < panel.outputs {
                    let from = &weights.row(panel.first + j)[part * TRANSPOSED..];
                    to.zip(from).for_each(|(to, &weight)| *to = weight);
                } else {
                    to.for_each(|to| *to = 0.0);
                }
            }
        }
    }
}

/// Packs N × K weights as bf16 pairs; an odd last input is paired with zero.
pub(crate) fn pack_pairs(width: usize, weights: Rows<'_>) -> Aligned<u32> {
    let (outputs, pairs) = (weights.rows(), weights.width().div_ceil(2));
    let mut packed = Aligned::zeroed(outputs.next_multiple_of(GRAIN) * pairs);
    for panel in panels(outputs, width) {
        let block = &mut packed.as_mut_slice()[panel.first * pairs..][..panel.width * pairs];
        for j in 0..panel.outputs {
            for (k, pair) in weights.row(panel.first + j).chunks(2).enumerate() {
                let high = pair.get(1).map_or(0, |&weight| bf16::from_f32(weight));
                block[k * panel.width + j] = u32::from(bf16::from_f32(pair[0])) | u32::from(high) << 16;
            }
        }
    }
    packed
}

/// Rounds rows to bf16 into the scratch, back to back with `width` ≥ K values each, zeros after K.
pub(crate) fn round_rows<'s>(path: Path, a: Rows<'_>, width: usize, scratch: &'s mut Scratch) -> &'s [u16] {
    let mode = path.mode();
    let operand = scratch.operand.at_least(a.rows() * width);
    for (at, out) in operand.chunks_exact_mut(width.max(1)).enumerate() {
        let (values, padding) = out.split_at_mut(a.width());
        match path {
            #[cfg(target_arch = "x86_64")]
            Path::Bf16Avx512 => super::avx512bf16::round(a.row(at), values),
            _ => bf16::convert(mode, a.row(at), values),
        }
        padding.fill(0);
    }
    operand
}

/// Computes an f32 product.
pub(crate) fn f32_product(kernel: F32Kernel, product: Product<'_, '_>) {
    debug_assert!(product.panels.len() >= packed_len(kernel, product.c.width(), product.a.width()));
    debug_assert_eq!(product.a.rows(), product.c.rows());
    match kernel {
        F32Kernel::Separate => portable::product(Mode::Portable, product),
        F32Kernel::SeparateOnAvx2 => portable::product(Mode::PortableOnAvx2, product),
        F32Kernel::Fused => portable::fused_product(product),
        #[cfg(target_arch = "x86_64")]
        F32Kernel::Avx2 => super::avx2::product(product),
        #[cfg(target_arch = "x86_64")]
        F32Kernel::Avx512 => super::avx512::product(product),
        #[cfg(not(target_arch = "x86_64"))]
        F32Kernel::Avx2 | F32Kernel::Avx512 => unreachable!("detection never offers x86 kernels elsewhere"),
    }
}
