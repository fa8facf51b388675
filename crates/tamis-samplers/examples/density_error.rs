//! Error of the density sketch on real embeddings, against the exact sums, by projection.
//!
//! `cargo run --release -p tamis-samplers --example density_error -- FILE DIMENSION [QUERIES [SEEDS]]`. FILE holds embeddings of
//! norm 1 as f32, little-endian, row by row. For each R, p and projection it prints the root mean square error of the density of
//! QUERIES documents spread over the file, over SEEDS sketches, in documents and as a share of the root mean square density; the
//! part of it that is bias; and the mean error of a seed with its standard error.
#![expect(clippy::print_stdout, reason = "an example reports on stdout")]

use tamis_core::Fingerprint;
use tamis_samplers::{Kernel, Preset, Projection, RaceParameters, RaceSketch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bytes = std::fs::read(arguments.next().ok_or("name a file")?)?;
    let dimension: usize = arguments.next().ok_or("name a dimension")?.parse()?;
    let asked: usize = arguments.next().map_or(Ok(500), |text| text.parse())?;
    let seeds: u64 = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let rows: Vec<&[f32]> = values.chunks_exact(dimension).collect();
    let queries: Vec<&[f32]> = rows.iter().copied().step_by(rows.len().div_ceil(asked)).collect();
    let flat: Vec<f32> = queries.concat();
    println!(
        "# {} embeddings of {dimension}, {} queries, {seeds} seeds, l2, r = 1",
        rows.len(),
        queries.len()
    );
    let kernel = Kernel::L2 { bandwidth: 1.0 };
    let agreements: Vec<Vec<f64>> =
        queries.iter().map(|query| rows.iter().map(|row| kernel.between(row, query)).collect()).collect();
    for hashes in [1, 10] {
        let exact: Vec<f64> = agreements
            .iter()
            .map(|agreements| agreements.iter().map(|agreement| agreement.powi(hashes)).sum())
            .collect();
        let scale = root_mean_square(exact.iter().copied());
        for repetitions in [200, 1000] {
            for projection in [Projection::Gaussian, Projection::Hadamard] {
                let mut errors: Vec<Vec<f64>> = Vec::new();
                for seed in 0..seeds {
                    let parameters = RaceParameters {
                        dimension: dimension as u32,
                        repetitions,
                        buckets: RaceParameters::DEFAULT_BUCKETS,
                        hashes: hashes as u32,
                        kernel,
                        projection,
                        preset: Preset::Mixed,
                        seed,
                    };
                    let mut sketch = RaceSketch::new(parameters, &Fingerprint::new("bench", 1))?;
                    sketch.add_embeddings(&values)?;
                    let estimates = sketch.estimate(&flat);
                    errors.push(estimates.iter().zip(&exact).map(|(e, exact)| e.density - exact).collect());
                }
                let by_seed: Vec<f64> =
                    errors.iter().map(|errors| root_mean_square(errors.iter().copied())).collect();
                let all = root_mean_square(errors.iter().flatten().copied());
                let bias: Vec<f64> = (0..exact.len())
                    .map(|at| errors.iter().map(|errors| errors[at]).sum::<f64>() / seeds as f64)
                    .collect();
                let mean = by_seed.iter().sum::<f64>() / seeds as f64;
                let spread = root_mean_square(by_seed.iter().map(|error| error - mean));
                println!(
                    "R = {repetitions:4}, p = {hashes:2}, {projection}: error {all:.4} documents, {:.3} % of {scale:.2}; mean over seeds \
                     off by {:.4}; a seed {mean:.4} ± {:.4}",
                    100.0 * all / scale,
                    root_mean_square(bias.into_iter()),
                    spread / (seeds as f64 - 1.0).sqrt(),
                );
            }
        }
    }
    Ok(())
}

fn root_mean_square(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0, 0.0), |(count, sum), value| (count + 1, sum + value * value));
    (sum / f64::from(count.max(1))).sqrt()
}
