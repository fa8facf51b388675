//! The targets of `fuzz/` on a stable compiler: seeds are mutated and spliced, and what comes of it is fed in.
//!
//! Each target gets `TAMIS_FUZZ_SECONDS` (1; `make fuzz` gives 100 to each of the six). `TAMIS_SEED` says which mutations. An input on
//! which the process dies stays under `tmp/fuzz` of the build folder, also where nothing could be caught: when memory or the
//! stack runs out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::random::Random;

#[path = "../../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a library of its own, whose functions are used here as they are")]
mod targets;

use targets::TARGETS;

/// No input takes longer, on a machine that does other things too.
const SLOWEST: Duration = Duration::from_secs(10);

/// Inputs are kept below this size, or the time goes into reading them.
const LARGEST_BYTES: usize = 64 << 10;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Numbers at which lengths and counts go wrong.
const EDGES: [u64; 12] =
    [0, 1, 7, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX];

/// Words that mean something to one of the formats.
const WORDS: [&[u8]; 16] = [
    b"{",
    b"}",
    b"[[[[[[[[",
    b"\"text\": ",
    b"null",
    b"\\ud800",
    b"\xff\xfe",
    b"\n",
    b"{document}",
    b"{% for i in range(99999999) %}",
    b"1e999",
    b"-0",
    b"data_offsets",
    b"GGUF",
    b"PAR1",
    b"\x28\xb5\x2f\xfd",
];

/// One step away from `bytes`; `other` is another seed.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.next() as u8,
        2 => drop(bytes.splice(at.., [])),
        3 => {
            let end = (at + 1 + random.below(64)).min(bytes.len());
            drop(bytes.drain(at.min(end)..end));
        }
        4 => {
            let end = (at + 1 + random.below(256)).min(bytes.len());
            let again = bytes[at.min(end)..end].repeat(1 + random.below(4));
            drop(bytes.splice(at..at, again));
        }
        5 | 6 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let edge = EDGES[random.below(EDGES.len())].wrapping_add(random.below(3) as u64).wrapping_sub(1);
            let end = (at + width).min(bytes.len());
            drop(bytes.splice(at..end, edge.to_le_bytes()[..width].iter().copied()));
        }
        7 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
        _ => {
            let from = random.below(other.len() + 1);
            drop(bytes.splice(at.., other[from..].iter().copied()));
        }
    }
    bytes.truncate(LARGEST_BYTES);
}

#[test]
fn untrusted_input_does_no_harm() {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
    };
    let (seconds, seed) = (number("TAMIS_FUZZ_SECONDS", 1), number("TAMIS_SEED", std::process::id().into()));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).unwrap();
    // The Parquet reader is held in check by catching its panics, which are no news. Beside other tests they have to be told.
    let quiet = std::env::var_os("TAMIS_FUZZ_SECONDS").map(|_| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        hook
    });
    let mut report = Vec::new();
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let mut random = Random::new(seed);
        let (began, mut inputs, mut slowest) = (Instant::now(), 0_u64, Duration::ZERO);
        let current = folder.join(format!("{name}-{seed}"));
        while inputs < seeds.len() as u64 || began.elapsed().as_secs() < seconds {
            let mut bytes = seeds[inputs as usize % seeds.len()].clone();
            if inputs >= seeds.len() as u64 {
                let other = &seeds[random.below(seeds.len())];
                for _ in 0..=random.below(6) {
                    mutate(&mut bytes, other, &mut random);
                }
            }
            std::fs::write(&current, &bytes).unwrap();
            let started = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| target(&bytes)));
            let took = started.elapsed();
            if outcome.is_err() {
                drop(std::panic::take_hook());
                eprintln!("{name} panics on {} (TAMIS_SEED={seed})", current.display());
                target(&bytes);
            }
            assert!(took < SLOWEST, "{name} takes {took:?} on {} (TAMIS_SEED={seed})", current.display());
            slowest = slowest.max(took);
            inputs += 1;
        }
        std::fs::remove_file(current).unwrap();
        report.push(format!("{name}: {inputs} inputs, slowest {:.0} ms", slowest.as_secs_f64() * 1e3));
    }
    if let Some(hook) = quiet {
        std::panic::set_hook(hook);
    }
    targets::clean();
    report.push(format!("seed {seed}, {seconds} s each; most memory of the process: {}", peak()));
    println!("{}", report.join("\n"));
}

/// The most memory that the process had, in the system's own words.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |size| size.trim().to_owned())
}
