//! bf16 products by `vdpbf16ps`: blocks of up to 8 rows × 48 or 12 rows × 32 outputs, two inputs a step.
//!
//! The instruction flushes subnormal operands and results to zero and rounds to nearest even whatever the mode bits.
//! A block has 24 sums, enough that none waits for the one before it, and leaves registers for what they are made of.

use super::avx512::mask_of;
use super::panels::{Output, PairProduct, panels};
use crate::math::silu_times;
use crate::path::Path;
use std::arch::x86_64::*;

const WIDTH: usize = 48;

/// Bytes of the left operand that are gone through for one panel: they stay in the second-level cache.
const LEFT_BYTES: usize = 512 << 10;

/// Computes a product. Called only where detection found AVX-512-BF16.
pub(super) fn product(product: PairProduct<'_, '_>) {
    let PairProduct { a, rows, pairs, panels: packed, outputs, stride, c, output } = product;
    let group = (LEFT_BYTES / 4 / pairs.max(1)).max(8).next_multiple_of(8);
    for from in (0..rows).step_by(group) {
        let rows = group.min(rows - from);
        for panel in panels(outputs, WIDTH) {
            panel_product(PanelProduct {
                a: &a[from * 2 * pairs..],
                a_stride: 2 * pairs,
                rows,
                pairs,
                block: &packed[panel.first * pairs..],
                step: panel.width,
                outputs: panel.outputs,
                stride,
                c: &mut c[from * stride + panel.first..],
                output,
            });
        }
    }
}

/// A product with one panel: `a` has `rows` rows of `2 · pairs` values, `a_stride` apart; `block` for each pair of inputs `step`
/// outputs, of which the first `outputs` (at most 48) are computed.
pub(crate) struct PanelProduct<'a, 'c> {
    pub(crate) a: &'a [u16],
    pub(crate) a_stride: usize,
    pub(crate) rows: usize,
    pub(crate) pairs: usize,
    pub(crate) block: &'a [u32],
    pub(crate) step: usize,
    pub(crate) outputs: usize,
    pub(crate) stride: usize,
    pub(crate) c: &'c mut [f32],
    pub(crate) output: Output,
}

/// Computes the product with one panel.
///
/// # Panics
/// If the operands end before the shape does, or the machine lacks the instructions.
pub(crate) fn panel_product(product: PanelProduct<'_, '_>) {
    let PanelProduct { a, a_stride, rows, pairs, block, step, outputs, stride, c, output } = product;
    if rows == 0 || outputs == 0 {
        return;
    }
    assert!(Path::Bf16Avx512.is_supported(), "AVX-512-BF16 was not detected");
    let vectors = outputs.div_ceil(16);
    assert!(vectors <= 3 && 16 * vectors <= step, "up to 48 of {step} outputs, not {outputs}");
    assert!(
        pairs == 0 || block.len() >= (pairs - 1) * step + 16 * vectors,
        "the panel is as long as the rows"
    );
    assert!(a.len() >= (rows - 1) * a_stride + 2 * pairs, "the left operand has all rows");
    assert!(c.len() >= (rows - 1) * stride + outputs, "the result has all rows");
    let (mut at, mut turn) = (0, 0);
    while at < rows {
        let height = match rows - at {
            12.. if vectors < 3 => 12,
            8.. => 8,
            4.. => 4,
            2.. => 2,
            _ => 1,
        };
        let call = Call {
            a: a[at * a_stride..].as_ptr(),
            a_stride,
            block: block.as_ptr(),
            ahead: ahead(block, pairs * step + 16 * turn, turn < vectors),
            step,
            pairs,
            c: c[at * stride..].as_mut_ptr(),
            stride,
            outputs,
            output,
        };
        // SAFETY: the assertions above: both operands and the result cover `height` rows from `at` on, the panel all
        // pairs; AVX-512-BF16 was detected.
        unsafe {
            match (height, vectors) {
                (12, 2) => block_of::<12, 2>(&call),
                (12, _) => block_of::<12, 1>(&call),
                (8, 3) => block_of::<8, 3>(&call),
                (8, 2) => block_of::<8, 2>(&call),
                (8, _) => block_of::<8, 1>(&call),
                (4, 3) => block_of::<4, 3>(&call),
                (4, 2) => block_of::<4, 2>(&call),
                (4, _) => block_of::<4, 1>(&call),
                (2, 3) => block_of::<2, 3>(&call),
                (2, 2) => block_of::<2, 2>(&call),
                (2, _) => block_of::<2, 1>(&call),
                (_, 3) => block_of::<1, 3>(&call),
                (_, 2) => block_of::<1, 2>(&call),
                (_, _) => block_of::<1, 1>(&call),
            }
        }
        at += height;
        turn += 1;
    }
}

/// Where the weights begin that are fetched into the second-level cache beside a block, one line for each pair of inputs: those
/// that the next panel will need, for the first few blocks of a panel, else what is at hand already. Nothing foresees them
/// otherwise, since a panel takes one of many pages.
fn ahead(weights: &[u32], next: usize, wanted: bool) -> *const u32 {
    weights.get(next..).filter(|_| wanted).unwrap_or(weights).as_ptr()
}

/// Operands of one block: rows of `a` at distance `a_stride`, rows of `c` at distance `stride`, from the panel's first output.
struct Call {
    a: *const u16,
    a_stride: usize,
    block: *const u32,
    /// See [`ahead`]; never read.
    ahead: *const u32,
    step: usize,
    pairs: usize,
    c: *mut f32,
    stride: usize,
    outputs: usize,
    output: Output,
}

/// `R` rows × `16 · V` outputs.
///
/// # Safety
/// The pointers cover what [`Call`] says, for `R` rows and a panel stored at width `16 · V` or more; the machine has
/// AVX-512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn block_of<const R: usize, const V: usize>(call: &Call) {
    let Call { a, a_stride, block, ahead, step, pairs, c, stride, outputs, output } = *call;
    let mask = |v: usize| mask_of(outputs.saturating_sub(16 * v));
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    // SAFETY: the caller's promise; masked lanes beyond the panel's outputs are neither read nor written.
    unsafe {
        if output == Output::Continue {
            for r in 0..R {
                for v in 0..V {
                    sums[r][v] = _mm512_maskz_loadu_ps(mask(v), c.add(r * stride + 16 * v));
                }
            }
        }
        for k in 0..pairs {
            _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(k * step).cast());
            let mut weights = [as_bf16(_mm512_setzero_si512()); V];
            for v in 0..V {
                weights[v] = as_bf16(_mm512_loadu_si512(block.add(k * step + v * 16).cast()));
            }
            for r in 0..R {
                let pair =
                    as_bf16(_mm512_set1_epi32(a.add(r * a_stride + 2 * k).cast::<i32>().read_unaligned()));
                for v in 0..V {
                    sums[r][v] = _mm512_dpbf16_ps(sums[r][v], pair, weights[v]);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                let to = c.add(r * stride + 16 * v);
                let sum = match output {
                    Output::Add => _mm512_add_ps(_mm512_maskz_loadu_ps(mask(v), to), sums[r][v]),
                    Output::Replace | Output::Continue => sums[r][v],
                };
                _mm512_mask_storeu_ps(to, mask(v), sum);
            }
        }
    }
}

/// A layer's gates and ups in one product, and of them silu(gate) · up, rounded to bf16.
///
/// `a` has rows of `2 · pairs` values back to back; `panels` holds `width` gates, then `width` ups, `width` being a multiple of
/// 16; `out` has rows of `width` values.
pub(super) struct GateProduct<'a, 'c> {
    pub(super) a: &'a [u16],
    pub(super) rows: usize,
    pub(super) pairs: usize,
    pub(super) panels: &'a [u32],
    pub(super) width: usize,
    pub(super) out: &'c mut [u16],
}

/// Computes the product: 12 rows at once of 16 gates and the 16 ups that belong to them.
pub(super) fn gate_product(product: GateProduct<'_, '_>) {
    let GateProduct { a, rows, pairs, panels: packed, width, out } = product;
    assert!(Path::Bf16Avx512.is_supported(), "AVX-512-BF16 was not detected");
    assert!(width.is_multiple_of(16) && pairs > 0, "gates come in sixteens");
    assert!(a.len() >= rows * 2 * pairs && out.len() >= rows * width, "operands have all rows");
    assert!(packed.len() >= 2 * width * pairs, "the panels hold all gates and ups");
    // Where 16 outputs from `output` on begin, and the distance to their next pair of inputs.
    let vector = |output: usize| {
        let first = output / WIDTH * WIDTH;
        (first * pairs + output - first, WIDTH.min(2 * width - first))
    };
    for first in (0..width).step_by(16) {
        let ((gates, gate_step), (ups, up_step)) = (vector(first), vector(width + first));
        let next = (first + 16 < width).then(|| [vector(first + 16).0, vector(width + first + 16).0]);
        let (mut at, mut turn) = (0, 0);
        while at < rows {
            let height = match rows - at {
                12.. => 12,
                8.. => 8,
                4.. => 4,
                2.. => 2,
                _ => 1,
            };
            let call = GateCall {
                a: a[at * 2 * pairs..].as_ptr(),
                gates: packed[gates..].as_ptr(),
                gate_step,
                ups: packed[ups..].as_ptr(),
                up_step,
                ahead: ahead(&packed[gates..], next.map_or(0, |next| next[turn & 1] - gates), turn < 2),
                pairs,
                out: out[at * width + first..].as_mut_ptr(),
                width,
            };
            // SAFETY: the assertions above: `a` and `out` cover `height` rows from `at` on, the panels all pairs of
            // the sixteen gates and ups; AVX-512-BF16 was detected.
            unsafe {
                match height {
                    12 => gate_block_of::<12>(&call),
                    8 => gate_block_of::<8>(&call),
                    4 => gate_block_of::<4>(&call),
                    2 => gate_block_of::<2>(&call),
                    _ => gate_block_of::<1>(&call),
                }
            }
            at += height;
            turn += 1;
        }
    }
}

/// Operands of one block of a [`GateProduct`], from its first row and output on.
struct GateCall {
    a: *const u16,
    gates: *const u32,
    gate_step: usize,
    ups: *const u32,
    up_step: usize,
    /// See [`ahead`]; never read.
    ahead: *const u32,
    pairs: usize,
    out: *mut u16,
    width: usize,
}

/// `R` rows × 16 outputs.
///
/// # Safety
/// The pointers cover what [`GateCall`] says, for `R` rows; the machine has AVX-512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
unsafe fn gate_block_of<const R: usize>(call: &GateCall) {
    let GateCall { a, gates, gate_step, ups, up_step, ahead, pairs, out, width } = *call;
    let (mut gate, mut up) = ([_mm512_setzero_ps(); R], [_mm512_setzero_ps(); R]);
    // SAFETY: the caller's promise.
    unsafe {
        for k in 0..pairs {
            _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(k * gate_step).cast());
            let of_gate = as_bf16(_mm512_loadu_si512(gates.add(k * gate_step).cast()));
            let of_up = as_bf16(_mm512_loadu_si512(ups.add(k * up_step).cast()));
            for r in 0..R {
                let pair =
                    as_bf16(_mm512_set1_epi32(a.add(2 * (r * pairs + k)).cast::<i32>().read_unaligned()));
                gate[r] = _mm512_dpbf16_ps(gate[r], pair, of_gate);
                up[r] = _mm512_dpbf16_ps(up[r], pair, of_up);
            }
        }
        for r in 0..R {
            let (mut gates, mut ups) = ([0.0_f32; 16], [0.0_f32; 16]);
            _mm512_storeu_ps(gates.as_mut_ptr(), gate[r]);
            _mm512_storeu_ps(ups.as_mut_ptr(), up[r]);
            for i in 0..16 {
                gates[i] = silu_times::<true>(gates[i], ups[i]);
            }
            let rounded: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(_mm512_loadu_ps(gates.as_ptr())));
            _mm256_storeu_si256(out.add(r * width).cast(), rounded);
        }
    }
}

/// Rounds values to bf16 as the products read them: to nearest even, subnormal numbers to zero.
///
/// # Panics
/// If the lengths differ, or the machine lacks the instructions.
pub(crate) fn round(values: &[f32], out: &mut [u16]) {
    assert_eq!(values.len(), out.len(), "one output per value");
    assert!(Path::Bf16Avx512.is_supported(), "AVX-512-BF16 was not detected");
    // SAFETY: the instructions were detected.
    unsafe { round_all(values, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn round_all(values: &[f32], out: &mut [u16]) {
    let (whole, rest) = values.as_chunks::<32>();
    let (whole_out, rest_out) = out.as_chunks_mut::<32>();
    for (values, out) in whole.iter().zip(whole_out) {
        // SAFETY: 32 values and as many outputs.
        unsafe {
            let (low, high) = (_mm512_loadu_ps(values.as_ptr()), _mm512_loadu_ps(values.as_ptr().add(16)));
            let rounded: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), rounded);
        }
    }
    for (value, out) in rest.iter().zip(rest_out) {
        *out = crate::bf16::from_f32(*value);
    }
}

/// The same bits as 32 numbers.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn as_bf16(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes without invalid bit patterns.
    unsafe { std::mem::transmute(bits) }
}
