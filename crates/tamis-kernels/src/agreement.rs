//! The f32 paths that fuse multiply and add give the same bits on every machine: one chain of kernels, from a norm to a logarithm
//! of a sum, ends in the number below on x86 and on ARM. No script made it: it is what `f32/avx2` gave, and any of them gives it.

use crate::matrix::numbers;
use crate::*;

/// FNV-1a over the bits of all values.
fn digest(values: impl IntoIterator<Item = u64>) -> u64 {
    values
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |digest, bits| (digest ^ bits).wrapping_mul(0x0100_0000_01b3))
}

fn layer(path: Path) -> u64 {
    let (tokens, width, heads, head_dim, reach) = (45, 80, 2, 40, 45);
    let mut scratch = Scratch::new();
    let bits = |values: &[f32]| digest(values.iter().map(|value| u64::from(value.to_bits())));
    let mut digests = Vec::new();

    let mut x = numbers(1, tokens * width);
    let mut normed = vec![0.0; x.len()];
    rms_norm(path, &x, &numbers(2, width), 1e-5, &mut normed);
    let mut projected = vec![0.0; tokens * 3 * width];
    PackedMatrix::pack(&numbers(3, 3 * width * width), 3 * width, width, path).multiply(
        Rows::contiguous(&normed, width),
        RowsMut::contiguous(&mut projected, 3 * width),
        Accumulate::No,
        &mut scratch,
    );
    digests.push(bits(&projected));

    let positions: Vec<u32> = (0..tokens as u32).collect();
    let table = RopeTable::new(head_dim, 10_000.0, tokens);
    rope(path, RowsMut::new(&mut projected, tokens, 2 * width, 3 * width), &table, &positions);
    let all = Rows::contiguous(&projected, 3 * width);
    let [queries, keys, values] = [0, 1, 2].map(|at| all.part(0, tokens, at * width, width));
    let (bias, lengths) = (numbers(4, heads * (2 * reach - 1)), [7, 38]);
    let mut attended = vec![0.0; tokens * width];
    for mask in [Mask::Causal, Mask::Bidirectional] {
        let scale = 0.2;
        let attention = Attention { path, query_heads: heads, key_value_heads: heads, head_dim, scale, mask };
        let bias = (mask == Mask::Bidirectional).then_some(RelativeBias { table: &bias, reach });
        let (query_rows, prefix) = (QueryRows::All, None);
        let input = AttentionInput { queries, keys, values, lengths: &lengths, query_rows, prefix, bias };
        attention.attend(input, RowsMut::contiguous(&mut attended, width), &mut scratch);
        digests.push(bits(&attended));
    }

    add(path, &mut x, &attended);
    layer_norm(path, &mut x, &numbers(5, width), &numbers(6, width), 1e-6);
    let [gate_up, down] = [(7, 2 * width, width), (8, width, width)].map(|(seed, outputs, inputs)| {
        PackedMatrix::pack(&numbers(seed, outputs * inputs), outputs, inputs, path)
    });
    let hidden = Rows::contiguous(&normed, width);
    silu_gated_layer(&gate_up, &down, hidden, RowsMut::contiguous(&mut x, width), &mut scratch);
    digests.push(bits(&x));

    let mut gated = vec![0.0; x.len() / 2];
    gelu_tanh_gate(path, &x, width / 2, &mut gated);
    gelu_erf(path, &mut x);
    l2_normalize(path, &mut x, width);
    softmax(path, &mut gated, 0.5, tokens * width / 2 - 3);
    digests.extend([bits(&gated), bits(&x), log_sum_exp(path, &projected).to_bits()]);
    digest(digests)
}

#[test]
fn fused_f32_paths_give_the_same_bits_on_every_machine() {
    for path in [Path::F32Avx2, Path::F32Avx512, Path::F32Neon] {
        if path.is_supported() {
            assert_eq!(layer(path), 7_697_459_597_997_788_372, "{}", path.name());
        }
    }
}
