use super::*;
use crate::bf16;
use crate::path::Dtype;
use proptest::prelude::*;

/// Numbers in about −1..1 from a fixed sequence.
pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// The product in f64, and the sum of the absolute values of its terms, which scales its error.
fn exact(path: Path, a: &[f32], w: &[f32]) -> (f64, f64) {
    let round =
        |x: f32| f64::from(if path.dtype() == Dtype::Bf16 { bf16::to_f32(bf16::from_f32(x)) } else { x });
    a.iter().zip(w).fold((0.0, 0.0), |(sum, size), (&a, &w)| {
        (sum + round(a) * round(w), size + (round(a) * round(w)).abs())
    })
}

fn multiply(
    matrix: &PackedMatrix,
    a: Rows<'_>,
    extra: usize,
    start: f32,
    accumulate: Accumulate,
) -> Vec<f32> {
    let stride = matrix.outputs() + extra;
    let mut c = vec![start; a.rows() * stride];
    let view = RowsMut::new(&mut c, a.rows(), matrix.outputs(), stride);
    matrix.multiply(a, view, accumulate, &mut Scratch::new());
    c
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_path_matches_f64_and_a_row_does_not_depend_on_its_batch(
        m in 1_usize..40, n in 1_usize..140, k in 1_usize..200, extra_a in 0_usize..5, extra_c in 0_usize..5, seed: u64,
        accumulate in prop::sample::select(vec![Accumulate::No, Accumulate::Yes]),
    ) {
        let weights = numbers(seed, n * k);
        let values = numbers(seed ^ 0xabcd, m * (k + extra_a));
        let a = Rows::new(&values, m, k, k + extra_a);
        for path in Path::supported() {
            let matrix = PackedMatrix::pack(&weights, n, k, path);
            let start = 0.5;
            let c = multiply(&matrix, a, extra_c, start, accumulate);
            let added = if accumulate == Accumulate::Yes { f64::from(start) } else { 0.0 };
            for i in 0..m {
                let row = &c[i * (n + extra_c)..][..n + extra_c];
                for j in 0..n {
                    let (sum, size) = exact(path, a.row(i), &weights[j * k..][..k]);
                    let error = (f64::from(row[j]) - sum - added).abs();
                    let tolerance = match path.dtype() {
                        Dtype::F32 | Dtype::Bf16 => 1e-7 * (size + 1.0) * (2.0 + (k as f64).sqrt()),
                        // Both factors of a product are off by half a step.
                        Dtype::Int8 => k as f64 * 1.01 / 127.0,
                    };
                    prop_assert!(error <= tolerance, "{} ({i}, {j}): {error} of {size}", path.name());
                }
                prop_assert!(row[n..].iter().all(|&value| value == start), "{} wrote between rows", path.name());
                let alone = multiply(&matrix, Rows::contiguous(a.row(i), k), 0, start, accumulate);
                let same = alone.iter().zip(row).all(|(alone, value)| alone.to_bits() == value.to_bits());
                prop_assert!(same, "{}: row {i} differs from the row alone", path.name());
            }
        }
    }

    #[test]
    fn a_part_of_the_outputs_has_the_bits_of_the_whole(m in 1_usize..20, n in 1_usize..400, k in 1_usize..40, seed: u64) {
        let (weights, values) = (numbers(seed, n * k), numbers(seed ^ 1, m * k));
        let a = Rows::contiguous(&values, k);
        for path in Path::supported() {
            let matrix = PackedMatrix::pack(&weights, n, k, path);
            let whole = multiply(&matrix, a, 0, 0.0, Accumulate::No);
            let mut parts = vec![f32::NAN; m * n];
            for first in (0..n).step_by(PackedMatrix::GRAIN) {
                let width = PackedMatrix::GRAIN.min(n - first);
                let c = RowsMut::new(&mut parts[first..], m, width, n);
                matrix.multiply_part(first..first + width, a, c, Accumulate::No, &mut Scratch::new());
            }
            prop_assert_eq!(parts, whole, "{}", path.name());
        }
    }

    #[test]
    fn a_gated_layer_has_the_bits_of_its_three_steps(
        m in 1_usize..160, n in 1_usize..60, width in prop::sample::select(vec![5_usize, 16, 48, 80, 96]), k in 1_usize..40, seed: u64,
    ) {
        let (wide, narrow) = (numbers(seed, 2 * width * k), numbers(seed ^ 1, n * width));
        let values = numbers(seed ^ 2, m * k).iter().map(|x| 8.0 * x).collect::<Vec<_>>();
        let a = Rows::contiguous(&values, k);
        for path in Path::supported() {
            let (gate_up, down) =
                (PackedMatrix::pack(&wide, 2 * width, k, path), PackedMatrix::pack(&narrow, n, width, path));
            let mut c = vec![0.25; m * n];
            silu_gated_layer(&gate_up, &down, a, RowsMut::contiguous(&mut c, n), &mut Scratch::new());
            let both = multiply(&gate_up, a, 0, 0.0, Accumulate::No);
            let mut gated = vec![0.0; m * width];
            silu_gate(path, &both, width, &mut gated);
            let steps = multiply(&down, Rows::contiguous(&gated, width), 0, 0.25, Accumulate::Yes);
            let same = c.iter().zip(&steps).all(|(c, step)| c.to_bits() == step.to_bits());
            prop_assert!(same, "{}", path.name());
        }
    }

    #[test]
    fn fused_kernels_agree_bit_for_bit_and_so_do_separate_ones(m in 1_usize..20, n in 1_usize..100, k in 1_usize..100, seed: u64) {
        let weights = numbers(seed, n * k);
        let values = numbers(seed ^ 1, m * k);
        let run = |kernel: F32Kernel, output: Output| {
            let mut packed = vec![f32::NAN; packed_len(kernel, n, k)];
            pack_f32(kernel, Rows::contiguous(&weights, k), &mut packed);
            let mut c = vec![0.25; m * n];
            let a = Rows::contiguous(&values, k);
            f32_product(kernel, Product { a, panels: &packed, c: RowsMut::contiguous(&mut c, n), output });
            c
        };
        for output in [Output::Replace, Output::Continue, Output::Add] {
            for mode in Mode::available() {
                prop_assert_eq!(run(F32Kernel::fused(mode), output), run(F32Kernel::Fused, output));
            }
            if Mode::available().contains(&Mode::PortableOnAvx2) {
                prop_assert_eq!(run(F32Kernel::SeparateOnAvx2, output), run(F32Kernel::Separate, output));
            }
        }
    }

    #[test]
    fn a_product_continued_over_two_parts_of_the_inputs_equals_the_whole(m in 1_usize..20, n in 1_usize..100, k in 2_usize..100, cut in 0.0_f64..1.0, seed: u64) {
        let cut = ((k as f64 * cut) as usize).clamp(1, k - 1);
        let weights = numbers(seed, n * k);
        let values = numbers(seed ^ 1, m * k);
        for mode in Mode::available() {
            let kernel = F32Kernel::of(mode);
            let mut c = vec![0.0; m * n];
            for (from, until, output) in [(0, cut, Output::Replace), (cut, k, Output::Continue)] {
                let part = Rows::new(&weights[from..], n, until - from, k);
                let mut packed = vec![0.0; packed_len(kernel, n, until - from)];
                pack_f32(kernel, part, &mut packed);
                let a = Rows::new(&values[from..], m, until - from, k);
                f32_product(kernel, Product { a, panels: &packed, c: RowsMut::contiguous(&mut c, n), output });
            }
            let mut whole = vec![0.0; m * n];
            let mut packed = vec![0.0; packed_len(kernel, n, k)];
            pack_f32(kernel, Rows::contiguous(&weights, k), &mut packed);
            let a = Rows::contiguous(&values, k);
            f32_product(kernel, Product { a, panels: &packed, c: RowsMut::contiguous(&mut whole, n), output: Output::Replace });
            prop_assert_eq!(c, whole);
        }
    }
}

#[test]
fn empty_shapes_are_harmless() {
    for path in Path::supported() {
        let matrix = PackedMatrix::pack(&[], 0, 5, path);
        matrix.multiply(
            Rows::new(&[], 0, 5, 5),
            RowsMut::new(&mut [], 0, 0, 0),
            Accumulate::No,
            &mut Scratch::new(),
        );
        let matrix = PackedMatrix::pack(&[], 3, 0, path);
        let mut c = [1.0; 3];
        matrix.multiply(
            Rows::new(&[], 1, 0, 0),
            RowsMut::contiguous(&mut c, 3),
            Accumulate::No,
            &mut Scratch::new(),
        );
        assert_eq!(c, [0.0; 3], "{}", path.name());
    }
}
