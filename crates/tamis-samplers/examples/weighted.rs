//! Weighted selection without replacement out of keys and weights in memory, beside `rand`.
//!
//! `cargo run --release -p tamis-samplers --example weighted -- [CANDIDATES [KEPT [ROUNDS]]]`, one thread. Prints a line
//! `name value unit round` for each figure. `memory` is the peak beyond what the process held before, in the first round
//! (later ones find memory that the allocator kept), where the system tells (Linux). What `rand` gives is a list of all
//! that it kept; ours is a threshold and a second look at the keys.
#![expect(clippy::print_stdout, reason = "an example reports on stdout")]

use std::hint::black_box;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tamis_core::{DocKey, Rule};
use tamis_samplers::{Ranker, Target, draw};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let candidates = arguments.next().transpose()?.unwrap_or(10_000_000);
    let kept = arguments.next().transpose()?.unwrap_or(1_000_000);
    let rounds = arguments.next().transpose()?.unwrap_or(5);
    // Keys as documents have them; scores, whose inverse is the weight, over three orders of magnitude.
    let list: Vec<(DocKey, f64)> = (0..candidates)
        .map(|i| (DocKey::from_id("", &i.to_string()), 10_f64.powf((i % 1000) as f64 / 333.0 - 1.5)))
        .collect();
    for round in 1..=rounds {
        let ranker = Ranker::new(Rule::Ips, round);
        let (mut selected, mut digest) = (0_u64, 0_u64);
        let (seconds, memory) = measured(|| {
            let threshold = draw(&ranker, Target::Documents(kept), || list.iter().copied())?;
            for (at, &(key, score)) in list.iter().enumerate() {
                if ranker.keeps(&threshold, key, score) {
                    selected += 1;
                    digest = digest.wrapping_mul(31).wrapping_add(at as u64);
                }
            }
            Ok::<_, tamis_core::Error>(())
        })?;
        black_box(digest);
        assert_eq!(selected, kept.min(candidates));
        report("weighted/tamis", seconds, memory, round);

        let mut generator = StdRng::seed_from_u64(round);
        let (seconds, memory) = measured(|| {
            let weight = |at: usize| 1.0 / list[at].1;
            rand::seq::index::sample_weighted(&mut generator, list.len(), weight, kept as usize)
                .map(black_box)
        })?;
        report("weighted/rand", seconds, memory, round);
    }
    Ok(())
}

fn report(name: &str, seconds: f64, memory: Option<f64>, round: u64) {
    println!("{name} {seconds:.3} s {round}");
    if let Some(memory) = memory.filter(|_| round == 1) {
        println!("{name}/memory {memory:.1} MB {round}");
    }
}

/// Seconds, and megabytes that were held at most beyond those that were held before.
fn measured<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(f64, Option<f64>), E> {
    let megabytes = |name: &str| {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1e3)
    };
    let reset = std::fs::write("/proc/self/clear_refs", "5").ok();
    let before = megabytes("VmRSS:");
    let began = Instant::now();
    let result = work()?;
    let seconds = began.elapsed().as_secs_f64();
    drop(result);
    let peak = reset.and_then(|()| megabytes("VmHWM:"));
    Ok((seconds, peak.zip(before).map(|(peak, before)| peak - before)))
}
