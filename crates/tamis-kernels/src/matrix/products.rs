//! Weights into panels, rows into operands, and the product over panels by the kernel that was detected.

use super::panels::{F32Kernel, GRAIN, Product, packed_len, panels};
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::transpose::transpose;
use crate::aligned::Aligned;
use crate::bf16;
use crate::path::{Mode, Path};
use crate::scratch::Scratch;
use crate::view::Rows;

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
        #[cfg(target_arch = "aarch64")]
        F32Kernel::Neon => super::neon::product(product),
        #[cfg(not(target_arch = "aarch64"))]
        F32Kernel::Neon => unreachable!("detection never offers ARM kernels elsewhere"),
    }
}
