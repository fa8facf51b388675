use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, RecordBatch};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tamis_core::{DocumentBatch, Signal, column, reason};

use super::*;

fn hasher(ngram: usize, bands: usize, rows: usize, seed: u64) -> MinHasher {
    MinHasher::new(MinHashOptions { ngram, banding: Banding::new(bands, rows).unwrap(), seed }).unwrap()
}

fn shingles(text: &str, n: usize) -> Vec<u64> {
    let mut found = Vec::new();
    Shingles::new(n).unwrap().each(text, |shingle| found.push(shingle));
    found
}

fn compact(hasher: &MinHasher, text: &str) -> Vec<u8> {
    hasher.signature(text).map(|signature| hasher.compact(&signature).collect()).unwrap_or_default()
}

/// Text of words `w1 w2 …` with n = 1 is a set of shingles of known overlap with another.
fn numbered(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ")
}

/// Two texts of `each` shingles (n = 1), `common` of them in both.
fn overlapping(each: u64, common: u64, first: u64) -> (String, String) {
    let a = numbered(first..first + each);
    let b = numbered((first..first + common).chain(first + each..first + 2 * each - common));
    (a, b)
}

/// Expected values by Python with xxhash 4.1.0:
///
/// ```python
/// import xxhash
/// M, ALL = 0x9e6c63d0876a3f6b, 2**64 - 1
/// def mix(x):
///     x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & ALL
///     x = (x ^ (x >> 27)) * 0x94d049bb133111eb & ALL
///     return x ^ (x >> 31)
/// def shingles(units, n):
///     n = min(n, len(units))
///     for at in range(len(units) - n + 1):
///         total = 0
///         for unit in units[at:at + n]:
///             total = (total * M + xxhash.xxh3_64_intdigest(unit.encode())) & ALL
///         yield mix(total)
/// ```
#[test]
fn shingles_are_pinned() {
    for (text, n, expected) in [
        (
            "Don't STOP me now!",
            2,
            &[0x778a22d5235a32f7, 0x34d3faeb95899230, 0x5f69b2dbe0473f12, 0x55502be5dc49e6cf][..],
        ),
        ("我喜欢GPT-4。", 3, &[0x1e638abb2b156181, 0xfcbe40b14ced811d, 0x48df5279cfadce3f][..]),
        ("Ёлка и ёжик", 2, &[0x7337c4e3304b324e, 0x6e64099490c5445d][..]),
        ("हिन्दी में लिखा", 2, &[0xd857fb3672171f6b, 0x3fcb2c78170ee603][..]),
        ("ภาษาไทย", 5, &[0xfd24bdeee7886e09, 0x19e2dc768b1a0f6c, 0x0247ccad76d99ed3][..]),
        ("مرحبا بالعالم", 5, &[0x4fc8ff57fb2d051c][..]),
        ("안녕 세계, 안녕", 2, &[0x959f081d37f2f9da, 0xa74bcb2274de8040][..]),
    ] {
        assert_eq!(shingles(text, n), expected, "{text}");
    }
}

#[test]
fn short_documents_have_one_shingle_and_empty_ones_none() {
    assert_eq!(shingles("One two", 5), shingles("one, TWO!", 5));
    assert_eq!(shingles("one two", 5).len(), 1);
    assert_eq!(shingles("one two three four five", 5).len(), 1);
    assert_eq!(shingles("one two three four five six", 5).len(), 2);
    assert_ne!(shingles("one two", 5), shingles("two one", 5));
    assert_ne!(shingles("cat", 5), shingles("dog", 5));
    for text in ["", " \n\t", "… — !", "\u{301}\u{301}", "👍"] {
        assert_eq!(shingles(text, 5), [0; 0]);
        assert!(hasher(5, 14, 8, 0).signature(text).is_none());
    }
    assert!(Shingles::new(0).is_err() && Shingles::new(65).is_err() && Shingles::new(64).is_ok());
}

#[test]
fn text_without_spaces_is_compared_by_its_characters() {
    let (a, b) = ("世界经济史是一部基于假象和谎言的连续剧。", "《世界经济史》是一部基于假象和谎言的連续剧");
    let n = Shingles::new(3).unwrap();
    let similarity = ShingleSet::of(a, &n).jaccard(&ShingleSet::of(b, &n));
    assert!((0.6..0.9).contains(&similarity), "{similarity}");
    assert_eq!(ShingleSet::of("我喜欢健身", &n).jaccard(&ShingleSet::of("我喜欢普洱茶", &n)), 1.0 / 6.0);
}

proptest! {
    #[test]
    fn rolling_shingles_are_those_of_every_window(text in "(\\PC|[a-c ]){0,80}", n in 1_usize..9) {
        let mut units = Vec::new();
        words::each_unit(&text, |unit| units.push(String::from_utf8(unit.to_vec()).unwrap()));
        let expected: Vec<u64> = match units.len() {
            0 => Vec::new(),
            count => units.windows(n.min(count)).map(|window| shingles(&window.join(" "), 64)[0]).collect(),
        };
        prop_assert_eq!(shingles(&text, n), expected);
    }

    #[test]
    fn a_batch_equals_its_documents_one_by_one(texts in proptest::collection::vec(".{0,40}|[a-d ]{0,60}", 0..12), at in 0_usize..12) {
        let signal = MinHashSignal::new(MinHashOptions::default()).unwrap();
        let all = annotate(&signal, &texts);
        prop_assert_eq!(all.num_rows(), texts.len());
        if at < texts.len() {
            prop_assert_eq!(annotate(&signal, &texts[at..=at]), all.slice(at, 1));
        }
    }

    #[test]
    fn a_signature_is_that_of_the_set_of_shingles(mut lines in proptest::collection::vec("[a-f]{1,2}", 1..30), seed: u64) {
        // With n = 1 order and repetition of words make no difference.
        let hasher = hasher(1, 4, 3, seed);
        let minima = hasher.signature(&lines.join(" ")).unwrap().minima().to_vec();
        lines.reverse();
        let twice = lines.join(" ") + "\n" + &lines.join("; ");
        let signature = hasher.signature(&twice).unwrap();
        prop_assert_eq!(signature.minima(), &minima[..]);
        prop_assert_eq!(signature.shingles(), 2 * lines.len() as u64);
        // Naively.
        let set: BTreeSet<u64> = shingles(&twice, 1).into_iter().collect();
        let permuted = tamis_kernels::minhash::Permutations::new(&multipliers(seed, 12));
        let mut expected = permuted.start();
        set.iter().for_each(|&shingle| permuted.update(&[shingle], &mut expected));
        prop_assert_eq!(expected.values(), &minima[..]);
    }
}

fn multipliers(seed: u64, count: usize) -> Vec<u64> {
    use rand_chacha::rand_core::{RngCore, SeedableRng};
    let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| generator.next_u64()).collect()
}

fn annotate<T: AsRef<str>>(signal: &MinHashSignal, texts: &[T]) -> RecordBatch {
    let documents = DocumentBatch::from_texts(texts.iter().map(AsRef::as_ref));
    signal.annotate(documents.as_arrow()).unwrap()
}

#[test]
fn the_signal_has_its_columns_and_its_reason() {
    let signal = MinHashSignal::new(MinHashOptions::default()).unwrap();
    let info = signal.info();
    let batch = annotate(&signal, &["A text of six words, say.", "—", "a TEXT of six words say"]);
    assert_eq!(batch.schema(), info.schema);
    let bands = batch.column_by_name(BANDS).unwrap().as_fixed_size_list();
    let keys = |at: usize| bands.value(at).as_primitive::<UInt64Type>().values().to_vec();
    assert_eq!((bands.value_length(), bands.is_null(1)), (14, true));
    assert_eq!(keys(0), keys(2));
    assert_eq!(
        BTreeSet::from_iter(keys(0)).len(),
        14,
        "a set of one element, and yet no two bands share a key"
    );
    let compact = batch.column_by_name(COMPACT).unwrap().as_fixed_size_binary();
    assert_eq!((compact.value_length(), compact.is_null(1)), (112, true));
    assert_eq!(compact.value(0), compact.value(2));
    let counts = batch.column_by_name(SHINGLES).unwrap().as_primitive::<UInt64Type>();
    assert_eq!((counts.value(0), counts.is_null(1)), (2, true));
    let failed = batch.column_by_name(column::FAILED).unwrap().as_string::<i32>();
    assert_eq!((failed.is_null(0), failed.value(1)), (true, reason::NO_WORDS));
    assert!(reason::is_the_documents_own(reason::NO_WORDS));
    assert_eq!(info.notes["bytes_per_document"], "232");
}

#[test]
fn everything_that_decides_a_value_is_in_the_fingerprint() {
    let of = |ngram, bands, rows, seed| {
        let banding = Banding::new(bands, rows).unwrap();
        let signal = MinHashSignal::new(MinHashOptions { ngram, banding, seed }).unwrap();
        signal.info().fingerprint.clone()
    };
    let first = of(5, 14, 8, 0);
    for other in [of(4, 14, 8, 0), of(5, 8, 14, 0), of(5, 14, 7, 0), of(5, 14, 8, 1)] {
        assert_ne!(first, other);
    }
    assert_eq!(first.get("normalisation"), Some(words::NORMALISATION));
    assert!(first.get("unicode").is_some());
}

/// Stored signatures depend on every one of these.
#[test]
fn a_signature_is_pinned() {
    let hasher = hasher(5, 14, 8, 0);
    let signature = hasher.signature("The quick brown fox jumps over the lazy dog.").unwrap();
    assert_eq!(signature.shingles(), 5);
    let keys: Vec<u64> = hasher.band_keys(&signature).collect();
    let bytes: Vec<u8> = hasher.compact(&signature).collect();
    assert_eq!((keys[0], keys[13]), (16_939_279_821_019_638_539, 7_197_318_326_058_632_999));
    assert_eq!(bytes[..4], [87, 210, 163, 144]);
}

/// Every element of a set should be the minimum equally often. 200 sets of 10, 112 permutations of 40 seeds: expected 1/10 of
/// 896,000; χ² with nine degrees of freedom is below 27.9 with probability 0.999.
#[test]
fn every_element_is_the_minimum_equally_often() {
    let mut counts = [0_u64; 10];
    for seed in 0..40 {
        let hasher = hasher(1, 14, 8, seed);
        for set in 0..200_u64 {
            let elements: Vec<u64> = (0..10).map(|element| 1000 * set + element).collect();
            let all = hasher.signature(&numbered(elements.iter().copied())).unwrap();
            for (count, &element) in counts.iter_mut().zip(&elements) {
                let alone = hasher.signature(&numbered([element])).unwrap();
                *count += all.minima().iter().zip(alone.minima()).filter(|(a, b)| a == b).count() as u64;
            }
        }
    }
    assert_eq!(counts.iter().sum::<u64>(), 40 * 200 * 112);
    let expected = 40.0 * 200.0 * 11.2;
    let chi2: f64 = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    assert!(chi2 < 27.9, "{chi2}: {counts:?}");
}

/// Mean and spread of estimates at known similarities: 400 pairs each of 200 shingles. The mean may be off by four of its
/// standard errors, the spread by a fifth of what independent permutations have.
#[test]
fn estimates_are_unbiased_and_as_exact_as_they_say() {
    for common in [0, 50, 100, 150, 190] {
        let (mut from_minima, mut from_bytes) = (Vec::new(), Vec::new());
        let exact = common as f64 / (400 - common) as f64;
        let mut stated = 0.0;
        for pair in 0..400_u64 {
            let hasher = hasher(1, 14, 8, pair);
            let (a, b) = overlapping(200, common, 10_000 * pair);
            let (x, y) = (hasher.signature(&a).unwrap(), hasher.signature(&b).unwrap());
            let equal = x.minima().iter().zip(y.minima()).filter(|(x, y)| x == y).count();
            from_minima.push(equal as f64 / 112.0);
            let found = estimate(&compact(&hasher, &a), &compact(&hasher, &b));
            from_bytes.push(found.similarity);
            stated += found.standard_error / 400.0;
        }
        for (values, chance) in [(&from_minima, 0.0), (&from_bytes, 1.0 / 256.0)] {
            let mean = values.iter().sum::<f64>() / 400.0;
            let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 399.0).sqrt();
            let share = exact + (1.0 - exact) * chance;
            let expected = (share * (1.0 - share) / 112.0).sqrt() / (1.0 - chance);
            assert!(
                (mean - exact).abs() <= 4.0 * expected / 20.0 + 0.003 * f64::from(u8::from(common == 0)),
                "{mean} {exact}"
            );
            assert!(common == 0 || (spread / expected - 1.0).abs() < 0.2, "{spread} {expected}");
        }
        assert!(common == 0 || (stated - (exact * (1.0 - exact) / 112.0).sqrt()).abs() < 0.004, "{stated}");
    }
}

/// 600 pairs each at similarities on the slope: within four standard errors of the formula.
#[test]
fn candidates_are_as_many_as_the_curve_says() {
    let banding = Banding::default();
    for (each, common) in [(100, 75), (100, 80), (100, 84), (100, 88), (100, 92)] {
        let similarity = common as f64 / (2 * each - common) as f64;
        let found = (0..600_u64).filter(|&pair| {
            let hasher = hasher(1, 14, 8, 77 + pair);
            let (a, b) = overlapping(each, common, 1_000 * pair);
            let (x, y) = (hasher.signature(&a).unwrap(), hasher.signature(&b).unwrap());
            hasher.band_keys(&x).zip(hasher.band_keys(&y)).any(|(x, y)| x == y)
        });
        let (rate, expected) = (found.count() as f64 / 600.0, banding.candidate_probability(similarity));
        let error = (expected * (1.0 - expected) / 600.0).sqrt();
        assert!((rate - expected).abs() < 4.0 * error + 1e-3, "at {similarity}: {rate}, expected {expected}");
    }
}

/// 1,000 documents of 60 to 200 words of a vocabulary of 500, 300 of them edited copies.
fn corpus() -> Vec<String> {
    let mut random = StdRng::seed_from_u64(5);
    let mut documents: Vec<Vec<u64>> = (0..700)
        .map(|_| {
            let length = random.random_range(60..200);
            (0..length).map(|_| random.random_range(0..500)).collect()
        })
        .collect();
    for _ in 0..300 {
        let mut copy = documents[random.random_range(0..700)].clone();
        for _ in 0..random.random_range(0..7) {
            let at = random.random_range(0..copy.len());
            copy[at] = random.random_range(0..500);
        }
        documents.push(copy);
    }
    documents.shuffle(&mut random);
    documents.into_iter().map(numbered).collect()
}

/// With 28 bands of 5 rows a pair at 0.7 is a candidate with probability 0.995; pairs below go by the exact check, or, without
/// reading texts, by the estimate, whose standard error at 0.7 is 0.039.
#[test]
fn pairs_are_found_as_brute_force_finds_them() {
    let (texts, n) = (corpus(), Shingles::new(5).unwrap());
    let sets: Vec<ShingleSet> = texts.iter().map(|text| ShingleSet::of(text, &n)).collect();
    let mut wanted = BTreeSet::new();
    for (a, first) in sets.iter().enumerate() {
        for (b, second) in sets.iter().enumerate().skip(a + 1) {
            if first.jaccard(second) >= 0.7 {
                wanted.insert((a, b));
            }
        }
    }
    assert!(wanted.len() > 150, "{}", wanted.len());
    let hasher = hasher(5, 28, 5, 0);
    let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (number, text) in texts.iter().enumerate() {
        hasher
            .band_keys(&hasher.signature(text).unwrap())
            .for_each(|key| groups.entry(key).or_default().push(number));
    }
    let candidates: BTreeSet<(usize, usize)> = groups
        .values()
        .flat_map(|group| {
            group.iter().flat_map(|&a| group.iter().filter(move |&&b| b > a).map(move |&b| (a, b)))
        })
        .collect();
    let found = candidates.intersection(&wanted).count() as f64 / wanted.len() as f64;
    assert!(found >= 0.95, "recall {found}");
    // The exact check leaves nothing but what is wanted.
    assert!(
        candidates
            .iter()
            .filter(|&&(a, b)| sets[a].jaccard(&sets[b]) >= 0.7)
            .all(|pair| wanted.contains(pair))
    );
    // By the estimate nothing is kept that is far below.
    let bytes: Vec<Vec<u8>> = texts.iter().map(|text| compact(&hasher, text)).collect();
    let kept = candidates.iter().filter(|&&(a, b)| estimate(&bytes[a], &bytes[b]).similarity >= 0.7);
    assert!(kept.clone().all(|&(a, b)| sets[a].jaccard(&sets[b]) > 0.7 - 4.0 * 0.039));
    assert!(kept.count() as f64 >= 0.8 * wanted.len() as f64);
}

#[test]
fn exact_similarity_of_small_sets() {
    let of = |text: &str| ShingleSet::of(text, &Shingles::new(1).unwrap());
    assert_eq!(of("a b c").jaccard(&of("b c d")), 0.5);
    assert_eq!(of("a a B").jaccard(&of("b, A")), 1.0);
    assert_eq!(of("a").jaccard(&of("b")), 0.0);
    assert_eq!((of("").jaccard(&of("")), of("").is_empty(), of("a a b").len()), (0.0, true, 2));
}

/// Ten million separators, a word of ten million letters, marks alone, a page of one word: time and memory as any text.
#[test]
fn hostile_texts_have_signatures_or_none() {
    let hasher = hasher(5, 14, 8, 0);
    let shingles = |text: &str| hasher.signature(text).map(|signature| signature.shingles());
    assert_eq!(shingles(&"\n".repeat(10_000_000)), None);
    assert_eq!(shingles(&"\u{300}".repeat(1_000_000)), None);
    assert_eq!(shingles(&"x".repeat(10_000_000)), Some(10_000_000_u64.div_ceil(256) - 4));
    assert_eq!(shingles(&format!("a{}", "\u{300}".repeat(1_000_000))), Some(1));
    assert_eq!(shingles(&"a ".repeat(1_000_000)), Some(999_996));
    assert_eq!(shingles(&"中".repeat(100_000)), Some(99_996));
}

#[test]
fn a_signal_is_shared_between_threads() {
    let signal = Arc::new(MinHashSignal::new(MinHashOptions::default()).unwrap());
    let texts = corpus();
    let expected = annotate(&signal, &texts[..100]);
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (signal, texts) = (Arc::clone(&signal), texts[..100].to_vec());
            std::thread::spawn(move || annotate(&signal, &texts))
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), expected);
    }
}
