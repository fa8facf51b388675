//! Prints GFLOP/s of the products and of attention per numeric path, and embeddings/s of both passes of the density
//! sketch, on one core.
//!
//! `cargo run --release -p tamis-kernels --example kernel_bench [-- peak|gemm|attention|rows|lsh [PATH]]`
#![expect(clippy::print_stdout, reason = "an example reports on stdout")]
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the peak is that of one instruction, which is written out")
)]

use std::time::Instant;
use tamis_kernels::lsh::{
    GaussianProjection, HadamardProjection, HashFamily, HashOptions, Projection, Quantiser, Reduction,
};
use tamis_kernels::{
    Accumulate, Attention, AttentionInput, Mask, PackedMatrix, Path, QueryRows, Rows, RowsMut, Scratch,
    gelu_erf, log_sum_exp, rms_norm, silu_gate,
};

/// Seconds of one call: processor time of this thread where the system tells it (other processes then count less), the
/// best of several rounds.
fn best(mut work: impl FnMut()) -> f64 {
    work();
    let mut best = f64::INFINITY;
    for _ in 0..4 {
        let (start, began) = (processor_seconds(), Instant::now());
        let mut calls = 0;
        while calls < 2 || began.elapsed().as_secs_f64() < 0.15 {
            work();
            calls += 1;
        }
        let seconds = match (start, processor_seconds()) {
            (Some(start), Some(end)) => end - start,
            _ => began.elapsed().as_secs_f64(),
        };
        best = best.min(seconds / f64::from(calls));
    }
    best
}

fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

/// The supported paths, or of them the one that the second argument names.
fn paths() -> Vec<Path> {
    let asked = std::env::args().nth(2);
    Path::supported()
        .into_iter()
        .filter(|path| asked.as_deref().is_none_or(|asked| asked == path.name()))
        .collect()
}

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (uniform() + uniform() + uniform() + uniform()) * 1.73).collect()
}

/// What the matrix instruction of this machine gives at most: nothing but it, on registers, on every core at once.
#[cfg(target_arch = "x86_64")]
fn peak() {
    use std::arch::x86_64::*;
    /// Independent sums, more than the instruction's latency can use.
    const SUMS: usize = 24;
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn turns(count: usize) -> f32 {
        // SAFETY: 64 bytes each, without invalid bit patterns.
        let one: __m512bh = unsafe { std::mem::transmute(std::hint::black_box(_mm512_set1_epi16(0x3f80))) };
        let mut sums = std::hint::black_box([_mm512_setzero_ps(); SUMS]);
        for _ in 0..count {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, one, one);
            }
        }
        let mut all = _mm512_setzero_ps();
        for sum in sums {
            all = _mm512_add_ps(all, sum);
        }
        _mm512_reduce_add_ps(all)
    }
    if !Path::Bf16Avx512.is_supported() {
        println!("peak: no AVX-512-BF16 here");
        return;
    }
    const TURNS: usize = 2_000_000;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let one_core = || {
        let begun = Instant::now();
        // SAFETY: the instructions were detected.
        std::hint::black_box(unsafe { turns(std::hint::black_box(TURNS)) });
        (SUMS * 64 * TURNS) as f64 / begun.elapsed().as_secs_f64() / 1e9
    };
    let best = |rounds: usize| (0..rounds).map(|_| one_core()).fold(0.0, f64::max);
    let alone = best(5);
    let together: Vec<f64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| best(5))).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let together: Vec<String> = together.iter().map(|rate| format!("{rate:.0}")).collect();
    println!(
        "peak: vdpbf16ps on registers, GFLOP/s: one core {alone:.0}; all cores at once {}",
        together.join(" ")
    );
}

#[cfg(not(target_arch = "x86_64"))]
fn peak() {
    println!("peak: not known on this machine");
}

fn gemm() {
    println!("product: GFLOP/s by rows × outputs × inputs");
    let shapes = [
        (256, 960, 576),
        (256, 576, 576),
        (256, 3072, 576),
        (256, 576, 1536),
        (256, 1536, 384),
        (256, 384, 1536),
        (2048, 3072, 576),
        (1, 49_152, 576),
        (8, 49_152, 576),
        (32, 49_152, 576),
        (256, 1024, 1024),
    ];
    for (rows, outputs, inputs) in shapes {
        print!("{rows:5} × {outputs:5} × {inputs:4}:");
        let weights = numbers(1, outputs * inputs);
        let values = numbers(2, rows * inputs);
        let mut out = vec![0.0; rows * outputs];
        for path in paths() {
            let matrix = PackedMatrix::pack(&weights, outputs, inputs, path);
            let mut scratch = Scratch::new();
            let seconds = best(|| {
                let c = RowsMut::contiguous(&mut out, outputs);
                matrix.multiply(Rows::contiguous(&values, inputs), c, Accumulate::No, &mut scratch);
            });
            print!("  {} {:.0}", path.name(), 2.0 * (rows * outputs * inputs) as f64 / seconds / 1e9);
        }
        println!();
    }
}

fn attention() {
    println!(
        "attention, 9 query and 3 key/value heads of 64, causal: microseconds a token and layer (GFLOP/s of the visible half)"
    );
    for tokens in [128, 256, 512, 1024] {
        print!("{tokens:5} tokens:");
        for path in paths() {
            let layer = Attention {
                path,
                query_heads: 9,
                key_value_heads: 3,
                head_dim: 64,
                scale: 0.125,
                mask: Mask::Causal,
            };
            let fused = numbers(3, tokens * 960);
            let mut out = vec![0.0; tokens * 576];
            let mut scratch = Scratch::new();
            let seconds = best(|| {
                let input = AttentionInput {
                    queries: Rows::new(&fused, tokens, 576, 960),
                    keys: Rows::new(&fused[576..], tokens, 192, 960),
                    values: Rows::new(&fused[768..], tokens, 192, 960),
                    lengths: &[tokens],
                    query_rows: QueryRows::All,
                    prefix: None,
                    bias: None,
                };
                layer.attend(input, RowsMut::contiguous(&mut out, 576), &mut scratch);
            });
            let flops = 2.0 * (tokens * (tokens + 1)) as f64 * 576.0;
            print!("  {} {:.1} ({:.0})", path.name(), seconds / tokens as f64 * 1e6, flops / seconds / 1e9);
        }
        println!();
    }
}

fn rows() {
    println!("row loops: nanoseconds a value");
    let source = numbers(4, 256 * 3072);
    for path in paths() {
        let mut x = source.clone();
        let weight = numbers(5, 576);
        let mut out = vec![0.0; x.len()];
        let rows = &source[..source.len() / 576 * 576];
        let norm = best(|| rms_norm(path, rows, &weight, 1e-5, &mut out[..rows.len()])) / rows.len() as f64;
        let gate =
            best(|| silu_gate(path, &source, 1536, &mut out[..source.len() / 2])) / (source.len() / 2) as f64;
        let gelu = best(|| {
            x.copy_from_slice(&source);
            gelu_erf(path, &mut x);
        }) / source.len() as f64;
        let lse = best(|| assert!(log_sum_exp(path, &source[..49_152]).is_finite())) / 49_152.0;
        println!(
            "{:16} rms_norm {:.2}  silu_gate {:.2}  gelu_erf {:.2}  log_sum_exp {:.2}",
            path.name(),
            norm * 1e9,
            gate * 1e9,
            gelu * 1e9,
            lse * 1e9
        );
    }
}

fn lsh() {
    let (dimension, buckets, items) = (768, 20_000_u32, 4_800);
    println!(
        "sketch, D = {dimension}, B = {buckets}, {items} unit vectors, bandwidth 1: embeddings/s of pass 1 and pass 2"
    );
    let mut vectors = numbers(6, items * dimension);
    tamis_kernels::l2_normalize(Path::F32Portable, &mut vectors, dimension);
    for (rows, hashes_per_row, reduction) in
        [(1000, 1, Reduction::Literal), (1000, 1, Reduction::Mixed), (100, 10, Reduction::Mixed)]
    {
        for hadamard in [false, true] {
            let hashes = rows * hashes_per_row;
            let projection = if hadamard {
                let mut state = 1_u64;
                let mut next = || {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    state ^ (state >> 33)
                };
                Projection::Hadamard(
                    HadamardProjection::new(dimension, hashes, &mut next).expect("valid shape"),
                )
            } else {
                Projection::Gaussian(
                    GaussianProjection::new(numbers(7, hashes * dimension), dimension).expect("valid shape"),
                )
            };
            let offsets = numbers(8, hashes).iter().map(|x| x.abs().fract()).collect();
            let quantiser = Quantiser::L2 { inverse_bandwidth: 1.0, offsets };
            let options = HashOptions { projection, quantiser, rows, hashes_per_row, buckets, reduction };
            let family = HashFamily::new(options).expect("valid options");
            let mut counters = vec![0; family.counters()];
            let mut scratch = Scratch::new();
            let view = Rows::contiguous(&vectors, dimension);
            let pass_1 = best(|| family.count(view, &mut counters, &mut scratch).expect("few items"));
            let (mut sums, mut squares) = (vec![0; items], vec![0.0; items]);
            let pass_2 = best(|| family.gather(view, &counters, &mut sums, &mut squares, &mut scratch));
            let name = if hadamard { "hadamard" } else { "gaussian" };
            println!(
                "R = {rows:4}, p = {hashes_per_row:2}, {reduction:?}, {name}: {:.0}  {:.0}",
                items as f64 / pass_1,
                items as f64 / pass_2
            );
        }
    }
}

fn main() {
    let what = std::env::args().nth(1);
    let asked = |name: &str| what.as_deref().is_none_or(|what| what == name);
    println!(
        "paths: {}; auto {}, first choice f32 {}, bf16 {}",
        Path::supported().iter().map(|path| path.name()).collect::<Vec<_>>().join(", "),
        tamis_kernels::measured().map_or("probed", |measured| measured.path.name()),
        Path::detect(tamis_kernels::Dtype::F32).name(),
        Path::detect(tamis_kernels::Dtype::Bf16).name()
    );
    for (name, run) in
        [("peak", peak as fn()), ("gemm", gemm), ("attention", attention), ("rows", rows), ("lsh", lsh)]
    {
        if asked(name) {
            run();
        }
    }
}
