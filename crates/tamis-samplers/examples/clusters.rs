//! k-means on raw f32 rows, and SemDeDup within its clusters: seconds, objective, memory.
//!
//! `cargo run --release --example clusters -- FILE N D K ITERATIONS THREADS`: FILE has N × D little-endian f32 values. Prints
//! `NAME VALUE UNIT` a line.

#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::sync::Mutex;
use std::time::Instant;

use tamis_core::Summary;
use tamis_samplers::clusters::{Assigner, Geometry, LloydPass, seed_centroids, seeding_documents};
use tamis_samplers::{NearestEarlier, OrderedTile};

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
    for _ in 0..iterations {
        let pass = fold(&values, &LloydPass::new(&centroids, 1.0, (1.0, 0)), threads)?;
        centroids = pass.finish(&centroids);
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("fit {seconds:.3} s");
    let last = fold(&values, &LloydPass::new(&centroids, 1.0, (1.0, 0)), threads)?;
    println!("objective {:.6} mean", last.objective());
    let began = Instant::now();
    let duplicates = compare(&values, &Assigner::new(&centroids), threads);
    println!("semdedup {:.3} s", began.elapsed().as_secs_f64());
    println!("duplicates {duplicates} documents");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("memory {}", peak.trim_start_matches("VmHWM:").trim().replace("kB", "KB"));
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

/// Documents within a cosine of 0.95 of an earlier one of their cluster; farthest from the centroid first.
fn compare(values: &[f32], assigner: &Assigner, threads: usize) -> usize {
    let dimension = assigner.dimension();
    let assigned = Mutex::new(vec![(0_u32, 0.0_f32); values.len() / dimension]);
    let parts = Mutex::new(values.chunks(ROWS * dimension).enumerate());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((part, rows)) = parts.lock().expect("no thread panics").next() else { return };
                    let found = assigner.assign(rows.to_vec());
                    let mut all = assigned.lock().expect("no thread panics");
                    for (at, one) in found.iter().enumerate() {
                        all[part * ROWS + at] = (one.cluster, one.similarity);
                    }
                }
            });
        }
    });
    let assigned = assigned.into_inner().expect("no thread panics");
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); assigner.clusters()];
    assigned.iter().enumerate().for_each(|(at, (cluster, _))| members[*cluster as usize].push(at));
    let members = Mutex::new(members.into_iter());
    let duplicates = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(mut own) = members.lock().expect("no thread panics").next() else { return };
                    own.sort_by(|a, b| assigned[*a].1.total_cmp(&assigned[*b].1));
                    let rows =
                        own.iter().flat_map(|at| values[at * dimension..][..dimension].iter().copied());
                    let tile = OrderedTile::new(rows.collect(), dimension);
                    let mut best = vec![NearestEarlier::NONE; tile.len()];
                    tile.among(0, &mut best);
                    let near = best.iter().filter(|best| best.cosine > 0.95).count();
                    *duplicates.lock().expect("no thread panics") += near;
                }
            });
        }
    });
    duplicates.into_inner().expect("no thread panics")
}
