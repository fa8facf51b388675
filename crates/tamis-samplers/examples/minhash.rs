//! Speed and quality of near-duplicate signatures on one core.
//!
//! ```text
//! cargo run --release -p tamis-samplers --example minhash -- speed DOCUMENTS ROUND
//! cargo run --release -p tamis-samplers --example minhash -- quality DOCUMENTS COUNT
//! cargo run --release -p tamis-samplers --example minhash -- pairs DOCUMENTS PAIRS
//! ```
//! DOCUMENTS are texts separated by NUL. `speed` prints MB a second of the
//! processor (Linux only); reading is not timed. `quality` compares candidates among the
//! first COUNT documents with the exact similarity of all their pairs. `pairs` says how many pairs of document numbers, one
//! `FIRST SECOND` a line, are candidates or in one component, for several parameters.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::hint::black_box;

use tamis_samplers::UnionFind;
use tamis_samplers::minhash::{Banding, MinHashOptions, MinHasher, ShingleSet, Shingles, estimate, words};

type Pairs = BTreeSet<(u32, u32)>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, documents, more] = &arguments[..] else {
        return Err("speed|quality|pairs DOCUMENTS …".into());
    };
    let texts = std::fs::read_to_string(documents)?;
    let texts: Vec<&str> = texts.split('\0').collect();
    match what.as_str() {
        "speed" => speed(&texts, more),
        "quality" => quality(&texts[..texts.len().min(more.parse()?)]),
        "pairs" => pairs(&texts, &std::fs::read_to_string(more)?),
        _ => Err(format!("no `{what}`").into()),
    }
}

fn options(ngram: usize, bands: usize, rows: usize) -> Result<MinHashOptions, Box<dyn Error>> {
    Ok(MinHashOptions { ngram, banding: Banding::new(bands, rows)?, seed: 0 })
}

/// Time that this thread ran, whatever else the machine does.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

fn speed(texts: &[&str], round: &str) -> Result<(), Box<dyn Error>> {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let rate = |name: &str, began: f64| {
        println!("{name} {:.1} MB/s {round}", bytes as f64 / (processor_seconds() - began) / 1e6);
    };
    let began = processor_seconds();
    let mut sum = 0;
    texts.iter().for_each(|text| words::each_unit(text, |unit| sum += unit.len()));
    black_box(sum);
    rate("minhash-words/tamis", began);
    let shingles = Shingles::new(5)?;
    let began = processor_seconds();
    let (mut sum, mut count) = (0, 0_u64);
    for text in texts {
        shingles.each(text, |shingle| {
            sum ^= shingle;
            count += 1;
        });
    }
    black_box(sum);
    rate("minhash-shingles/tamis", began);
    for (bands, rows) in [(14, 8), (9, 13), (32, 8)] {
        let hasher = MinHasher::new(options(5, bands, rows)?)?;
        let mut signature = hasher.start();
        let began = processor_seconds();
        let mut sum = 0_u64;
        for text in texts {
            if hasher.sign(text, &mut signature) {
                sum ^= hasher.band_keys(&signature).fold(0, |all, key| all ^ key);
                sum ^= hasher.compact(&signature).map(u64::from).sum::<u64>();
            }
        }
        black_box(sum);
        rate(&format!("minhash-signature-{bands}x{rows}/tamis"), began);
    }
    println!("# {} documents, {bytes} bytes, {count} shingles of 5", texts.len());
    Ok(())
}

/// Candidate pairs, and the compact signatures.
fn candidates(texts: &[&str], hasher: &MinHasher) -> (Pairs, Vec<Vec<u8>>) {
    let mut groups: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    let mut compact = Vec::new();
    for (number, text) in (0_u32..).zip(texts) {
        let signature = hasher.signature(text);
        if let Some(signature) = &signature {
            hasher.band_keys(signature).for_each(|key| groups.entry(key).or_default().push(number));
        }
        compact.push(signature.map(|signature| hasher.compact(&signature).collect()).unwrap_or_default());
    }
    let mut pairs = Pairs::new();
    for group in groups.values() {
        for (at, &a) in group.iter().enumerate() {
            pairs.extend(group[at + 1..].iter().map(|&b| (a, b)));
        }
    }
    (pairs, compact)
}

fn quality(texts: &[&str]) -> Result<(), Box<dyn Error>> {
    for ngram in [5, 3] {
        let shingles = Shingles::new(ngram)?;
        let sets: Vec<ShingleSet> = texts.iter().map(|text| ShingleSet::of(text, &shingles)).collect();
        let mut exact: BTreeMap<(u32, u32), f64> = BTreeMap::new();
        for (a, first) in (0_u32..).zip(&sets) {
            for (b, second) in (a + 1..).zip(&sets[a as usize + 1..]) {
                let (short, long) = (first.len().min(second.len()), first.len().max(second.len()));
                // Not more alike than their sizes.
                if short * 2 >= long && long > 0 {
                    let similarity = first.jaccard(second);
                    if similarity >= 0.5 {
                        exact.insert((a, b), similarity);
                    }
                }
            }
        }
        for (bands, rows) in [(14, 8), (20, 6), (25, 5), (28, 7)] {
            let hasher = MinHasher::new(options(ngram, bands, rows)?)?;
            let (found, compact) = candidates(texts, &hasher);
            for threshold in [0.7, 0.75, 0.8, 0.85] {
                let wanted = |pair: &(u32, u32)| exact.get(pair).is_some_and(|&s| s >= threshold);
                let estimated = |pair: &&(u32, u32)| {
                    estimate(&compact[pair.0 as usize], &compact[pair.1 as usize]).similarity >= threshold
                };
                let all = exact.values().filter(|&&s| s >= threshold).count();
                let right = found.iter().filter(|pair| wanted(pair)).count();
                let kept: Vec<_> = found.iter().filter(estimated).collect();
                let kept_right = kept.iter().filter(|pair| wanted(pair)).count();
                let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
                println!(
                    "{ngram}-grams {bands}x{rows} at {threshold}: {all} pairs; candidates recall {:.3} precision {:.3}; \
                     with the exact check {:.3} 1.000; with the estimate {:.3} {:.3}",
                    share(right, all),
                    share(right, found.len()),
                    share(right, all),
                    share(kept_right, all),
                    share(kept_right, kept.len()),
                );
            }
        }
    }
    Ok(())
}

fn pairs(texts: &[&str], lines: &str) -> Result<(), Box<dyn Error>> {
    let mut wanted = Vec::new();
    for line in lines.lines() {
        let (a, b) = line.split_once(' ').ok_or("a line is FIRST SECOND")?;
        wanted.push((a.parse::<u32>()?, b.parse::<u32>()?));
    }
    for ngram in [5, 3, 2] {
        let shingles = Shingles::new(ngram)?;
        let mut similarity: Vec<f64> = Vec::new();
        for &(a, b) in &wanted {
            let set = |number: u32| ShingleSet::of(texts[number as usize], &shingles);
            similarity.push(set(a).jaccard(&set(b)));
        }
        similarity.sort_by(f64::total_cmp);
        let at = |share: f64| similarity[((similarity.len() - 1) as f64 * share) as usize];
        println!(
            "# {ngram}-grams: Jaccard of the {} pairs: 5 % below {:.3}, half below {:.3}, 95 % below {:.3}",
            wanted.len(),
            at(0.05),
            at(0.5),
            at(0.95)
        );
        for (bands, rows) in [(14, 8), (20, 6), (25, 5), (32, 4)] {
            let hasher = MinHasher::new(options(ngram, bands, rows)?)?;
            let mut groups: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
            let mut keys: Vec<Vec<u64>> = Vec::new();
            for (number, text) in (0_u32..).zip(texts) {
                let signature = hasher.signature(text);
                let own: Vec<u64> = signature.iter().flat_map(|s| hasher.band_keys(s)).collect();
                own.iter().for_each(|&key| groups.entry(key).or_default().push(number));
                keys.push(own);
            }
            let candidates = wanted
                .iter()
                .filter(|(a, b)| keys[*a as usize].iter().any(|key| keys[*b as usize].contains(key)));
            let candidates = candidates.count();
            let mut components = UnionFind::new(texts.len() as u64);
            let pairs = groups.values().flat_map(|group| group.windows(2));
            pairs.for_each(|pair| components.join(pair[0].into(), pair[1].into()));
            components.settle();
            let label = |at: u32| components.label(at.into());
            let together = wanted.iter().filter(|(a, b)| label(*a) == label(*b)).count();
            let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
            (0..texts.len() as u64).for_each(|at| *sizes.entry(components.label(at)).or_default() += 1);
            sizes.retain(|_, size| *size > 1);
            let share = |count: usize| count as f64 / wanted.len() as f64;
            println!(
                "{ngram}-grams {bands}x{rows}: candidates {:.3}, in one component {:.3}; {} components of two and more, \
                 the largest of {}, {} documents over",
                share(candidates),
                share(together),
                sizes.len(),
                sizes.values().max().unwrap_or(&0),
                sizes.values().map(|size| size - 1).sum::<u64>(),
            );
        }
    }
    Ok(())
}
