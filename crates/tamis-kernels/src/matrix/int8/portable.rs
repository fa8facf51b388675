//! int8 products in plain Rust: the twin that the others are tested against, and what machines without the instruction have.

use super::{GROUP, QUADS, QuadProduct};
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
    const W: usize = PORTABLE_WIDTH;
    let QuadProduct { a, row_scales, rows, quads, words, scales, starts, outputs, stride, c, output } =
        product;
    let groups = quads.div_ceil(QUADS);
    for panel in panels(outputs, W) {
        let words = words[panel.first * quads..][..W * quads].as_chunks::<W>().0;
        let scales = scales[panel.first * groups..][..W * groups].as_chunks::<W>().0;
        let starts = starts[panel.first * groups..][..W * groups].as_chunks::<W>().0;
        for at in 0..rows {
            let row = &a[at * 4 * quads..][..4 * quads];
            let row_scales = &row_scales[at * groups..][..groups];
            let mut totals = [0.0; W];
            for (group, values) in row.chunks(GROUP).enumerate() {
                let mut sums = starts[group];
                for (values, words) in values.as_chunks::<4>().0.iter().zip(&words[group * QUADS..]) {
                    for j in 0..W {
                        let weights = words[j].to_le_bytes().map(u8::cast_signed);
                        for i in 0..4 {
                            sums[j] += i32::from(values[i]) * i32::from(weights[i]);
                        }
                    }
                }
                for j in 0..W {
                    totals[j] += sums[j] as f32 * scales[group][j] * row_scales[group];
                }
            }
            let c = &mut c[at * stride + panel.first..][..panel.outputs];
            for (c, total) in c.iter_mut().zip(totals) {
                *c = if output == Output::Add { *c + total } else { total };
            }
        }
    }
}
