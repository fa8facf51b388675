//! int8 products in plain Rust: the twin that the others are tested against, and what machines without the instruction have.

use super::QuadProduct;
use crate::dispatch::dispatched;
use crate::matrix::panels::{Output, PORTABLE_WIDTH, panels};
use crate::path::Mode;

/// Computes a product; `mode` says how it is compiled.
pub(super) fn product(mode: Mode, product: QuadProduct<'_, '_>) {
    run_product(mode, product);
}

dispatched! {
    fn run_product(product: QuadProduct<'_, '_>) = product_body;
}

#[inline(always)]
fn product_body<const FUSED: bool>(product: QuadProduct<'_, '_>) {
    let QuadProduct { a, row_scales, quads, words, scales, starts, stride, c, output } = product;
    for panel in panels(scales.len(), PORTABLE_WIDTH) {
        let block = &words[panel.first * quads..][..PORTABLE_WIDTH * quads];
        for (at, &row_scale) in row_scales.iter().enumerate() {
            let mut sums = [0_i32; PORTABLE_WIDTH];
            sums[..panel.outputs].copy_from_slice(&starts[panel.first..][..panel.outputs]);
            let row = a[at * 4 * quads..][..4 * quads].as_chunks::<4>().0;
            for (values, words) in row.iter().zip(block.as_chunks::<PORTABLE_WIDTH>().0) {
                for j in 0..PORTABLE_WIDTH {
                    let weights = words[j].to_le_bytes().map(u8::cast_signed);
                    for i in 0..4 {
                        sums[j] = sums[j].wrapping_add(i32::from(values[i]) * i32::from(weights[i]));
                    }
                }
            }
            let c = &mut c[at * stride + panel.first..][..panel.outputs];
            for (j, c) in c.iter_mut().enumerate() {
                let value = sums[j] as f32 * row_scale * scales[panel.first + j];
                *c = if output == Output::Add { *c + value } else { value };
            }
        }
    }
}
