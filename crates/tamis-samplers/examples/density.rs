//! Embeddings a second of both passes of the density sketch, one thread, D = 768, B = 20,000, unit vectors, bandwidth 1.
//!
//! `cargo run --release -p tamis-samplers --example density -- [EMBEDDINGS [SECONDS [ROUND]]]`. Prints a line
//! `name value unit round` for each figure. `literal` is ⌊…⌋ mod B with p = 1, what the paper prints; `mixed` is the default.
#![expect(clippy::print_stdout, reason = "an example reports on stdout")]

use std::hint::black_box;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tamis_core::Fingerprint;
use tamis_samplers::{Kernel, Preset, Projection, RaceParameters, RaceSketch};

const DIMENSION: u32 = 768;

/// Embeddings that are handed over at a time, as the driver does with a batch.
const BATCH: usize = 4_800;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let embeddings: usize = arguments.next().map_or(Ok(BATCH), |text| text.parse())?;
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let round = arguments.next().unwrap_or_else(|| "1".to_owned());
    let mut random = StdRng::seed_from_u64(7);
    let mut values: Vec<f32> = (0..embeddings * DIMENSION as usize)
        .map(|_| (0..4).map(|_| random.random::<f32>() - 0.5).sum())
        .collect();
    tamis_kernels::l2_normalize(tamis_kernels::Path::F32Portable, &mut values, DIMENSION as usize);
    for (repetitions, hashes, preset) in
        [(1000, 1, Preset::Literal), (1000, 1, Preset::Mixed), (100, 10, Preset::Mixed)]
    {
        for projection in [Projection::Gaussian, Projection::Hadamard] {
            let parameters = RaceParameters {
                dimension: DIMENSION,
                repetitions,
                buckets: RaceParameters::DEFAULT_BUCKETS,
                hashes,
                kernel: Kernel::L2 { bandwidth: 1.0 },
                projection,
                preset,
                seed: 1,
            };
            let mut sketch = RaceSketch::new(parameters, &Fingerprint::new("bench", 1))?;
            let batches = || values.chunks(BATCH * DIMENSION as usize);
            sketch.add_embeddings(&values[..DIMENSION as usize])?;
            let pass_1 = rate(embeddings, seconds, || {
                batches().for_each(|batch| sketch.add_embeddings(batch).expect("few embeddings"));
            });
            let pass_2 = rate(embeddings, seconds, || {
                batches().for_each(|batch| drop(black_box(sketch.estimate(batch))));
            });
            for (pass, rate) in [(1, pass_1), (2, pass_2)] {
                println!(
                    "density-{repetitions}x{hashes}-pass{pass}/tamis-{projection}-{preset} {rate:.0} embeddings/s {round}"
                );
            }
        }
    }
    Ok(())
}

/// Items a second over all calls that begin within `seconds`.
fn rate(items: usize, seconds: f64, mut call: impl FnMut()) -> f64 {
    let (began, mut calls) = (Instant::now(), 0);
    while began.elapsed().as_secs_f64() < seconds {
        call();
        calls += 1;
    }
    (items * calls) as f64 / began.elapsed().as_secs_f64()
}
