//! k-means on raw f32 rows: seconds of a fit, objective, memory.
//!
//! `cargo run --release --example clusters -- FILE N D K ITERATIONS THREADS`: FILE has N × D little-endian f32 values.

use std::sync::Mutex;
use std::time::Instant;

use tamis_core::Summary;
use tamis_samplers::clusters::{Geometry, LloydPass, seed_centroids, seeding_documents};

/// Rows of a part.
const ROWS: usize = 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, numbers @ ..] = arguments.as_slice() else {
        return Err("FILE N D K ITERATIONS THREADS".into());
    };
    let numbers = numbers.iter().map(|text| text.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [n, dimension, k, iterations, threads] = numbers[..] else {
        return Err("FILE N D K ITERATIONS THREADS".into());
    };
    let bytes = std::fs::read(file)?;
    let values: Vec<f32> = bytes[..4 * n * dimension]
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("chunks of four")))
        .collect();
    drop(bytes);
    let began = Instant::now();
    // Rows of the file are in no order, so that its beginning is a sample.
    let sample = values[..seeding_documents(k).min(n) * dimension].to_vec();
    let mut centroids = seed_centroids(sample, dimension, Geometry::Spherical, k, 0);
    println!("seeding {:.3} s", began.elapsed().as_secs_f64());
    let values = LloydPass::new(&centroids, 1.0, (1.0, 0)).prepared(values);
    let began = Instant::now();
    for _ in 0..iterations {
        let pass = fold(&values, &LloydPass::new(&centroids, 1.0, (1.0, 0)), threads)?;
        centroids = pass.finish(&centroids);
    }
    let seconds = began.elapsed().as_secs_f64();
    let last = fold(&values, &LloydPass::new(&centroids, 1.0, (1.0, 0)), threads)?;
    println!("iterations {seconds:.3} s");
    println!("objective {:.6}", last.objective());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("memory {}", peak.trim_start_matches("VmHWM:").trim());
    Ok(())
}

fn fold(values: &[f32], empty: &LloydPass, threads: usize) -> tamis_core::Result<LloydPass> {
    let parts = Mutex::new(values.chunks(ROWS * empty.dimension()));
    let sum = Mutex::new(empty.empty());
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let Some(rows) = parts.lock().expect("no thread panics").next() else {
                    return Ok::<(), tamis_core::Error>(());
                };
                let step = empty.step(rows);
                sum.lock().expect("no thread panics").absorb(step)?;
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no thread panics"))
    })?;
    Ok(sum.into_inner().expect("no thread panics"))
}
