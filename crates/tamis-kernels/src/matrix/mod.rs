//! Matrix products with weights that are packed once.
//!
//! `C = A · Wᵀ` for activations A (rows × K) and weights W (N outputs × K inputs), as every linear layer needs it.
//! W is stored in panels of a few dozen outputs, K-major, so that a kernel streams a panel while it keeps a small block
//! of C in registers. Each output element has one accumulator that runs over K in order, hence its bits do not depend on
//! how many rows there are or where in the batch a row stands.
//!
//! Panels are the outer loop: with few rows every weight is read from memory once, which is what bounds a large head.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512bf16;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod blocks;
mod int8;
#[cfg(target_arch = "aarch64")]
mod neon;
mod panels;
mod portable;
mod products;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
pub(crate) mod transpose;

pub(crate) use panels::{F32Kernel, Output, Panel, Product, packed_len, panels};
pub(crate) use products::{f32_product, pack_f32};
#[cfg(test)]
pub(crate) use tests::numbers;

use crate::aligned::Aligned;
use crate::path::{Dtype, Mode, Path};
use crate::rows::silu_gate;
use crate::scratch::Scratch;
use crate::view::{Rows, RowsMut};

/// What happens to the values that the output holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accumulate {
    /// They are replaced.
    No,
    /// The finished product is added to them (a residual connection).
    Yes,
}

/// Weights of a linear layer, packed for one numeric path.
#[derive(Debug, Clone)]
pub struct PackedMatrix {
    outputs: usize,
    inputs: usize,
    path: Path,
    weights: Weights,
}

#[derive(Debug, Clone)]
enum Weights {
    F32(Aligned<f32>),
    /// Two bf16 of neighbouring inputs to a word, the first in the low half.
    Pairs(Aligned<u32>),
    #[cfg(target_arch = "x86_64")]
    Tiles(Aligned<u16>),
    Integers(int8::Packed),
}

impl PackedMatrix {
    /// Packs `weights`, row-major with `outputs` rows of `inputs` values. A bf16 path rounds them to nearest even, an int8 path
    /// to integers, 64 inputs of an output at a time.
    ///
    /// # Panics
    /// If there are not `outputs · inputs` weights, or this machine does not support `path`.
    #[must_use]
    pub fn pack(weights: &[f32], outputs: usize, inputs: usize, path: Path) -> Self {
        assert_eq!(weights.len(), outputs * inputs, "weights are {outputs} rows of {inputs}");
        let rows = Rows::new(weights, outputs, inputs, inputs);
        let weights = match path {
            Path::F32Portable | Path::F32Avx2 | Path::F32Avx512 | Path::F32Neon => {
                Self::pack_f32_weights(rows, path)
            }
            Path::Bf16Portable | Path::Bf16Avx512 => {
                let _ = path.mode();
                Weights::Pairs(products::pack_pairs(pair_width(path), rows))
            }
            #[cfg(target_arch = "x86_64")]
            Path::Bf16Amx => {
                let _ = path.mode();
                Weights::Tiles(amx::pack(rows))
            }
            #[cfg(not(target_arch = "x86_64"))]
            Path::Bf16Amx => {
                unreachable!("`Path::mode` refuses paths that the machine lacks: {:?}", path.mode())
            }
            Path::Int8Portable | Path::Int8AvxVnni | Path::Int8Avx512 => {
                Weights::Integers(int8::Packed::pack(path, rows))
            }
        };
        Self { outputs, inputs, path, weights }
    }

    /// [`PackedMatrix::pack`] for a layer whose few rows do not repay what rounding costs, a head for one: an int8 path
    /// computes it in f32. Other paths make no difference.
    ///
    /// # Panics
    /// As [`PackedMatrix::pack`].
    #[must_use]
    pub fn pack_sensitive(weights: &[f32], outputs: usize, inputs: usize, path: Path) -> Self {
        if path.dtype() != Dtype::Int8 {
            return Self::pack(weights, outputs, inputs, path);
        }
        assert_eq!(weights.len(), outputs * inputs, "weights are {outputs} rows of {inputs}");
        let weights = Self::pack_f32_weights(Rows::new(weights, outputs, inputs, inputs), path);
        Self { outputs, inputs, path, weights }
    }

    fn pack_f32_weights(rows: Rows<'_>, path: Path) -> Weights {
        let kernel = F32Kernel::of(path.mode());
        let mut packed = Aligned::zeroed(packed_len(kernel, rows.rows(), rows.width()));
        pack_f32(kernel, rows, packed.as_mut_slice());
        Weights::F32(packed)
    }

    /// Panels of every path, 48, 32 or 16 outputs wide, begin at the multiples of this.
    pub const GRAIN: usize = 96;

    /// Number of outputs (N).
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of inputs (K).
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The path that the weights were packed for.
    #[must_use]
    pub fn path(&self) -> Path {
        self.path
    }

    /// `c = a · Wᵀ`, or `c += a · Wᵀ`: `a` has rows of [`Self::inputs`] values, `c` as many rows of [`Self::outputs`].
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn multiply(&self, a: Rows<'_>, c: RowsMut<'_>, accumulate: Accumulate, scratch: &mut Scratch) {
        self.multiply_part(0..self.outputs, a, c, accumulate, scratch);
    }

    /// [`PackedMatrix::multiply`] by an int8 path, which rounds both sides: `row_errors` gets for each row at most how far (as a
    /// vector) it is from what it was rounded to. With `e` of a row a and `f` of an output w, of [`Self::output_errors`], a product
    /// is off by at most e · |w| + (|a| + e) · f, and about 10⁻⁵ of |a| · |w| by rounding sums.
    ///
    /// # Panics
    /// If the shapes do not agree, or the path is none of int8.
    pub fn multiply_with_errors(
        &self,
        a: Rows<'_>,
        c: RowsMut<'_>,
        row_errors: &mut [f32],
        scratch: &mut Scratch,
    ) {
        assert_eq!(row_errors.len(), a.rows(), "one error a row");
        let rows = a.rows();
        self.multiply(a, c, Accumulate::No, scratch);
        match &self.weights {
            Weights::Integers(packed) => packed.row_errors(rows, scratch, row_errors),
            _ => panic!("`{}` rounds to no integers", self.path.name()),
        }
    }

    /// For each output of an int8 path at most how far its weights are from what they were rounded to.
    ///
    /// # Panics
    /// If the path is none of int8.
    #[must_use]
    pub fn output_errors(&self) -> Vec<f32> {
        match &self.weights {
            Weights::Integers(packed) => packed.errors(self.path, self.outputs),
            _ => panic!("`{}` rounds to no integers", self.path.name()),
        }
    }

    /// [`PackedMatrix::multiply`] for some of the outputs, with the same bits: `c` has rows of as many values. Where there are
    /// very many outputs, what is done with them can then be done while they are in a near cache.
    ///
    /// # Panics
    /// If the shapes do not agree, or the part does not begin and end (unless with the last output) at a multiple of
    /// [`PackedMatrix::GRAIN`].
    pub fn multiply_part(
        &self,
        outputs: std::ops::Range<usize>,
        a: Rows<'_>,
        mut c: RowsMut<'_>,
        accumulate: Accumulate,
        scratch: &mut Scratch,
    ) {
        assert_eq!(a.width(), self.inputs, "rows of the left operand have one value per input");
        assert!(
            outputs.start <= outputs.end && outputs.end <= self.outputs,
            "outputs {outputs:?} of {}",
            self.outputs
        );
        assert!(
            outputs.start.is_multiple_of(Self::GRAIN)
                && (outputs.end.is_multiple_of(Self::GRAIN) || outputs.end == self.outputs),
            "outputs {outputs:?} are no whole number of panels"
        );
        assert_eq!(c.width(), outputs.len(), "rows of the result have one value per output");
        assert_eq!(a.rows(), c.rows(), "one result row per row of the left operand");
        let first = outputs.start;
        let output = match accumulate {
            Accumulate::No => Output::Replace,
            Accumulate::Yes => Output::Add,
        };
        if a.rows() == 0 || outputs.is_empty() {
            return;
        }
        if self.inputs == 0 {
            if accumulate == Accumulate::No {
                (0..c.rows()).for_each(|row| c.row(row).fill(0.0));
            }
            return;
        }
        match &self.weights {
            Weights::F32(packed) => {
                let kernel = F32Kernel::of(self.path.mode());
                f32_product(
                    kernel,
                    Product { a, panels: &packed.as_slice()[first * self.inputs..], c, output },
                );
            }
            Weights::Pairs(packed) => {
                let operand = products::round_rows(self.path, a, self.inputs.next_multiple_of(2), scratch);
                let product = panels::PairProduct {
                    a: operand,
                    rows: a.rows(),
                    pairs: self.inputs.div_ceil(2),
                    panels: &packed.as_slice()[first * self.inputs.div_ceil(2)..],
                    outputs: outputs.len(),
                    stride: c.stride(),
                    c: c.data(),
                    output,
                };
                match self.path {
                    #[cfg(target_arch = "x86_64")]
                    Path::Bf16Avx512 => avx512bf16::product(product),
                    _ => portable::pair_product(self.path.mode(), product),
                }
            }
            #[cfg(target_arch = "x86_64")]
            Weights::Tiles(packed) => {
                let packed = &packed.as_slice()[amx::packed_len(first, self.inputs)..];
                amx::product(packed, a, &mut c, output, scratch);
            }
            Weights::Integers(packed) => packed.multiply(self.path, outputs, a, c, output, scratch),
        }
    }
}

/// Rows that a gated layer takes at once, so that its wide values stay in the second-level cache; whole blocks of 12 and of 8.
const GATED_ROWS: usize = 144;

/// The gated layer of the Llama family on normalised rows: `c += down(silu(gate) · up)`, where the outputs of `gate_up` are all
/// gates, then as many ups (Shazeer, arXiv 2002.05202). The same bits as [`PackedMatrix::multiply`] by `gate_up`, [`silu_gate`],
/// and [`PackedMatrix::multiply`] by `down` give.
///
/// # Panics
/// If the shapes or the paths do not agree.
pub fn silu_gated_layer(
    gate_up: &PackedMatrix,
    down: &PackedMatrix,
    a: Rows<'_>,
    mut c: RowsMut<'_>,
    scratch: &mut Scratch,
) {
    let width = down.inputs;
    assert_eq!(gate_up.outputs, 2 * width, "a gate and an up for every input of the second layer");
    assert_eq!(gate_up.path, down.path, "both layers are packed for one path");
    assert_eq!((a.rows(), a.width()), (c.rows(), gate_up.inputs), "one result row per row");
    for first in (0..a.rows()).step_by(GATED_ROWS) {
        let rows = GATED_ROWS.min(a.rows() - first);
        let a = a.part(first, rows, 0, gate_up.inputs);
        let c_width = c.width();
        let c = c.part(first, rows, 0, c_width);
        #[cfg(target_arch = "x86_64")]
        if let (Path::Bf16Avx512, Weights::Pairs(wide), Weights::Pairs(narrow)) =
            (gate_up.path, &gate_up.weights, &down.weights)
            && width.is_multiple_of(16)
            && width > 0
            && gate_up.inputs > 0
        {
            gated_block(gate_up, wide.as_slice(), down, narrow.as_slice(), a, c, scratch);
            continue;
        }
        let (mut wide, mut gated) = (std::mem::take(&mut scratch.wide), std::mem::take(&mut scratch.gated));
        let both = wide.at_least(rows * 2 * width);
        gate_up.multiply(a, RowsMut::new(both, rows, 2 * width, 2 * width), Accumulate::No, scratch);
        let values = gated.at_least(rows * width);
        if width > 0 {
            silu_gate(gate_up.path, both, width, values);
        }
        down.multiply(Rows::new(values, rows, width, width), c, Accumulate::Yes, scratch);
        (scratch.wide, scratch.gated) = (wide, gated);
    }
}

/// A few rows of [`silu_gated_layer`] without wide values in f32.
#[cfg(target_arch = "x86_64")]
fn gated_block(
    gate_up: &PackedMatrix,
    wide: &[u32],
    down: &PackedMatrix,
    narrow: &[u32],
    a: Rows<'_>,
    mut c: RowsMut<'_>,
    scratch: &mut Scratch,
) {
    let (rows, width) = (a.rows(), down.inputs);
    let mut hidden = std::mem::take(&mut scratch.hidden);
    let out = hidden.at_least(rows * width);
    let operand = products::round_rows(gate_up.path, a, gate_up.inputs.next_multiple_of(2), scratch);
    avx512bf16::gate_product(avx512bf16::GateProduct {
        a: operand,
        rows,
        pairs: gate_up.inputs.div_ceil(2),
        panels: wide,
        width,
        out,
    });
    avx512bf16::product(panels::PairProduct {
        a: out,
        rows,
        pairs: width / 2,
        panels: narrow,
        outputs: down.outputs,
        stride: c.stride(),
        c: c.data(),
        output: Output::Add,
    });
    scratch.hidden = hidden;
}

/// Outputs per panel of a bf16 path.
fn pair_width(path: Path) -> usize {
    if path == Path::Bf16Avx512 { 48 } else { panels::PORTABLE_WIDTH }
}

impl F32Kernel {
    /// The f32 kernel of a mode.
    pub(crate) fn of(mode: Mode) -> Self {
        match mode {
            Mode::Portable => Self::Separate,
            Mode::PortableOnAvx2 => Self::SeparateOnAvx2,
            Mode::Avx2 => Self::Avx2,
            Mode::Avx512 => Self::Avx512,
            Mode::Neon => Self::Neon,
        }
    }

    /// The kernel of a mode whose bits are the same in every mode: multiply and add are always fused.
    pub(crate) fn fused(mode: Mode) -> Self {
        match mode {
            Mode::Portable | Mode::PortableOnAvx2 => Self::Fused,
            Mode::Avx2 => Self::Avx2,
            Mode::Avx512 => Self::Avx512,
            Mode::Neon => Self::Neon,
        }
    }
}
