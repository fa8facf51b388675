//! Products in plain Rust: the only form on machines without vector paths, and the twin that the others are tested
//! against.

use super::panels::{Output, PORTABLE_WIDTH, PairProduct, Panel, Product, panels};
use crate::dispatch::dispatched;
use crate::math::multiply_add;
use crate::path::Mode;

/// Rows handled together; more would spill the 16 registers of baseline x86.
const HEIGHT: usize = if cfg!(target_arch = "aarch64") { 4 } else { 2 };

/// An f32 product with multiply and add rounded separately; `mode` says how it is compiled.
pub(super) fn product(mode: Mode, product: Product<'_, '_>) {
    run_product(mode, product);
}

/// An f32 product with fused multiply-add.
pub(super) fn fused_product(product: Product<'_, '_>) {
    product_body::<true>(product);
}

/// A bf16 product with arithmetic in f32: for each pair of inputs the first product is added, then the second.
pub(super) fn pair_product(mode: Mode, product: PairProduct<'_, '_>) {
    run_pair_product(mode, product);
}

dispatched! {
    fn run_product(product: Product<'_, '_>) = product_body;
    fn run_pair_product(product: PairProduct<'_, '_>) = pair_product_body;
}

#[inline(always)]
fn product_body<const FUSED: bool>(product: Product<'_, '_>) {
    let Product { a, panels: packed, mut c, output } = product;
    let (rows, inputs, stride) = (a.rows(), a.width(), c.stride());
    for panel in panels(c.width(), PORTABLE_WIDTH) {
        let block = &packed[panel.first * inputs..][..PORTABLE_WIDTH * inputs];
        let mut at = 0;
        while at < rows {
            let c = &mut c.data()[at * stride..];
            if at + HEIGHT <= rows {
                let a = std::array::from_fn::<_, HEIGHT, _>(|r| a.row(at + r));
                rows_of_panel::<FUSED, HEIGHT>(a, block, c, stride, panel, output);
                at += HEIGHT;
            } else {
                rows_of_panel::<FUSED, 1>([a.row(at)], block, c, stride, panel, output);
                at += 1;
            }
        }
    }
}

#[inline(always)]
fn rows_of_panel<const FUSED: bool, const R: usize>(
    a: [&[f32]; R],
    block: &[f32],
    c: &mut [f32],
    stride: usize,
    panel: Panel,
    output: Output,
) {
    // A copy whose address nobody takes stays in registers.
    let start: [_; R] = load(c, stride, panel, output);
    let mut sums = start;
    for (k, weights) in block.as_chunks::<PORTABLE_WIDTH>().0.iter().enumerate() {
        for r in 0..R {
            let value = a[r][k];
            for j in 0..PORTABLE_WIDTH {
                sums[r][j] = multiply_add::<FUSED>(value, weights[j], sums[r][j]);
            }
        }
    }
    let end = sums;
    store(&end, c, stride, panel, output);
}

#[inline(always)]
fn pair_product_body<const FUSED: bool>(product: PairProduct<'_, '_>) {
    let PairProduct { a, rows, pairs, panels: packed, outputs, stride, c, output } = product;
    for panel in panels(outputs, PORTABLE_WIDTH) {
        let block = &packed[panel.first * pairs..][..PORTABLE_WIDTH * pairs];
        let mut at = 0;
        while at < rows {
            let c = &mut c[at * stride..];
            let row = |r: usize| &a[(at + r) * 2 * pairs..][..2 * pairs];
            if at + HEIGHT <= rows {
                pair_rows_of_panel::<HEIGHT>(std::array::from_fn(row), block, c, stride, panel, output);
                at += HEIGHT;
            } else {
                pair_rows_of_panel::<1>([row(0)], block, c, stride, panel, output);
                at += 1;
            }
        }
    }
}

#[inline(always)]
fn pair_rows_of_panel<const R: usize>(
    a: [&[u16]; R],
    block: &[u32],
    c: &mut [f32],
    stride: usize,
    panel: Panel,
    output: Output,
) {
    let start: [_; R] = load(c, stride, panel, output);
    let mut sums = start;
    for (k, weights) in block.as_chunks::<PORTABLE_WIDTH>().0.iter().enumerate() {
        for r in 0..R {
            let (first, second) = (crate::bf16::to_f32(a[r][2 * k]), crate::bf16::to_f32(a[r][2 * k + 1]));
            for j in 0..PORTABLE_WIDTH {
                sums[r][j] += first * f32::from_bits(weights[j] << 16);
                sums[r][j] += second * f32::from_bits(weights[j] & 0xffff_0000);
            }
        }
    }
    let end = sums;
    store(&end, c, stride, panel, output);
}

#[inline(always)]
fn load<const R: usize>(
    c: &[f32],
    stride: usize,
    panel: Panel,
    output: Output,
) -> [[f32; PORTABLE_WIDTH]; R] {
    let mut sums = [[0.0; PORTABLE_WIDTH]; R];
    if output == Output::Continue {
        for (r, sums) in sums.iter_mut().enumerate() {
            sums[..panel.outputs].copy_from_slice(&c[r * stride + panel.first..][..panel.outputs]);
        }
    }
    sums
}

#[inline(always)]
fn store<const R: usize>(
    sums: &[[f32; PORTABLE_WIDTH]; R],
    c: &mut [f32],
    stride: usize,
    panel: Panel,
    output: Output,
) {
    for (r, sums) in sums.iter().enumerate() {
        let c = &mut c[r * stride + panel.first..][..panel.outputs];
        match output {
            Output::Replace | Output::Continue => c.copy_from_slice(&sums[..panel.outputs]),
            Output::Add => c.iter_mut().zip(sums).for_each(|(c, sum)| *c += sum),
        }
    }
}
