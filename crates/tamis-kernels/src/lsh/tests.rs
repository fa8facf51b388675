use super::*;
use crate::matrix::numbers;
use proptest::prelude::*;

fn unit_vectors(seed: u64, count: usize, dimension: usize) -> Vec<f32> {
    let mut values = normal(seed, count * dimension);
    for row in values.chunks_exact_mut(dimension) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    values
}

/// About normal: sums of twelve uniform numbers.
fn normal(seed: u64, count: usize) -> Vec<f32> {
    numbers(seed, 12 * count).chunks_exact(12).map(|chunk| chunk.iter().sum::<f32>() / 2.0).collect()
}

fn sign_source(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29) ^ (state << 21)
    }
}

fn family(
    hadamard: bool,
    cosine: bool,
    reduction: Reduction,
    shape: (usize, usize, usize, u32),
    seed: u64,
) -> HashFamily {
    let (dimension, rows, hashes_per_row, buckets) = shape;
    let hashes = rows * hashes_per_row;
    let projection = if hadamard {
        Projection::Hadamard(HadamardProjection::new(dimension, hashes, &mut sign_source(seed)).unwrap())
    } else {
        Projection::Gaussian(GaussianProjection::new(normal(seed, hashes * dimension), dimension).unwrap())
    };
    let quantiser = if cosine {
        Quantiser::Cosine
    } else {
        let offsets = numbers(seed ^ 9, hashes).iter().map(|x| (x + 1.0) / 2.0).collect();
        Quantiser::L2 { inverse_bandwidth: 2.0, offsets }
    };
    HashFamily::new(HashOptions { projection, quantiser, rows, hashes_per_row, buckets, reduction }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]
    #[test]
    fn buckets_do_not_depend_on_the_machine_or_the_batch_and_counts_add_up(
        hadamard: bool, cosine: bool, literal: bool, dimension in 1_usize..100, rows in 1_usize..30, per_row in 1_usize..5,
        buckets in 1_u32..300, items in 1_usize..70, seed: u64,
    ) {
        let (per_row, reduction) = if literal { (1, Reduction::Literal) } else { (per_row, Reduction::Mixed) };
        let mut family = family(hadamard, cosine, reduction, (dimension, rows, per_row, buckets), seed);
        let vectors = unit_vectors(seed ^ 77, items, dimension);
        let view = Rows::contiguous(&vectors, dimension);
        let mut scratch = Scratch::new();
        let mut expected = vec![0; rows * items];
        family.mode = Mode::Portable;
        family.buckets(view, &mut expected, &mut scratch);
        prop_assert!(expected.iter().all(|&bucket| bucket < buckets));
        for mode in Mode::available() {
            family.mode = mode;
            let mut got = vec![u32::MAX; rows * items];
            family.buckets(view, &mut got, &mut scratch);
            prop_assert_eq!(&got, &expected, "{:?}", mode);
            let mut alone = vec![0; rows];
            let item = seed as usize % items;
            family.buckets(Rows::contiguous(view.row(item), dimension), &mut alone, &mut scratch);
            for row in 0..rows {
                prop_assert_eq!(alone[row], expected[row * items + item]);
            }
        }
        let mut counters = vec![0; family.counters()];
        family.count(view, &mut counters, &mut scratch).unwrap();
        let mut naive = vec![0; family.counters()];
        for (at, &bucket) in expected.iter().enumerate() {
            naive[at / items * buckets as usize + bucket as usize] += 1_u32;
        }
        prop_assert_eq!(&counters, &naive);
        let (mut sums, mut squares) = (vec![7; items], vec![7.0; items]);
        family.gather(view, &counters, &mut sums, &mut squares, &mut scratch);
        for item in 0..items {
            let values = (0..rows).map(|row| u64::from(counters[row * buckets as usize + expected[row * items + item] as usize]));
            prop_assert_eq!(sums[item], values.clone().sum::<u64>());
            prop_assert_eq!(squares[item], values.map(|value| (value * value) as f64).sum::<f64>());
        }
    }
}

/// The share of rows in which two items at a given cosine collide.
fn collision_rate(family: &HashFamily, dimension: usize, cosine: f32) -> f64 {
    let pairs = 40;
    let base = unit_vectors(5, 2 * pairs, dimension);
    let mut vectors = Vec::new();
    for pair in base.chunks_exact(2 * dimension) {
        let (a, b) = pair.split_at(dimension);
        let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        let orthogonal: Vec<f32> = a.iter().zip(b).map(|(a, b)| b - dot * a).collect();
        let length = orthogonal.iter().map(|x| x * x).sum::<f32>().sqrt();
        vectors.extend_from_slice(a);
        vectors.extend(
            a.iter().zip(&orthogonal).map(|(a, o)| cosine * a + (1.0 - cosine * cosine).sqrt() * o / length),
        );
    }
    let rows = family.options().rows;
    let mut buckets = vec![0; rows * 2 * pairs];
    family.buckets(Rows::contiguous(&vectors, dimension), &mut buckets, &mut Scratch::new());
    let hits = buckets.chunks_exact(2).filter(|pair| pair[0] == pair[1]).count();
    hits as f64 / (rows * pairs) as f64
}

#[test]
fn collision_rates_follow_the_closed_forms() {
    let (dimension, rows, buckets) = (96, 512, 20_000);
    for hadamard in [false, true] {
        for per_row in [1, 3] {
            let l2 = family(hadamard, false, Reduction::Mixed, (dimension, rows, per_row, buckets), 11);
            let angular = family(hadamard, true, Reduction::Mixed, (dimension, rows, per_row, buckets), 12);
            for cosine in [0.95_f32, 0.7, 0.2] {
                let distance = f64::from((2.0 - 2.0 * cosine).sqrt());
                let t = 0.5 / distance;
                let tail = libm::erfc(t / std::f64::consts::SQRT_2);
                let gauss = (1.0 - libm::exp(-t * t / 2.0)) * 2.0 / ((2.0 * std::f64::consts::PI).sqrt() * t);
                let expected = (1.0 - tail - gauss).powi(per_row as i32);
                let got = collision_rate(&l2, dimension, cosine);
                assert!(
                    (got - expected).abs() < 0.012,
                    "l2 {hadamard} p={per_row} cosine {cosine}: {got} for {expected}"
                );
                let expected = (1.0 - f64::from(cosine).acos() / std::f64::consts::PI).powi(per_row as i32);
                let got = collision_rate(&angular, dimension, cosine);
                assert!(
                    (got - expected).abs() < 0.012,
                    "cosine {hadamard} p={per_row} cosine {cosine}: {got} for {expected}"
                );
            }
        }
    }
}

#[test]
fn values_that_differ_share_a_bucket_about_once_in_b() {
    let family = family(false, false, Reduction::Mixed, (64, 400, 8, 50), 3);
    let vectors = unit_vectors(8, 2, 64);
    let vectors: Vec<f32> = vectors.iter().map(|x| 100.0 * x).collect();
    let mut buckets = vec![0; 400 * 2];
    family.buckets(Rows::contiguous(&vectors, 64), &mut buckets, &mut Scratch::new());
    let hits = buckets.chunks_exact(2).filter(|pair| pair[0] == pair[1]).count();
    assert!((1..=20).contains(&hits), "{hits} of 400 for an expectation of 8");
}

#[test]
fn parameters_out_of_range_are_named() {
    let projection = || Projection::Gaussian(GaussianProjection::new(vec![0.5; 12], 3).unwrap());
    let good = HashOptions {
        projection: projection(),
        quantiser: Quantiser::Cosine,
        rows: 2,
        hashes_per_row: 2,
        buckets: 10,
        reduction: Reduction::Mixed,
    };
    assert!(HashFamily::new(good.clone()).is_ok());
    let l2 = |inverse_bandwidth, offsets| Quantiser::L2 { inverse_bandwidth, offsets };
    for (options, word) in [
        (HashOptions { rows: 3, ..good.clone() }, "hashes"),
        (HashOptions { rows: 0, ..good.clone() }, "rows"),
        (HashOptions { buckets: 0, ..good.clone() }, "buckets"),
        (HashOptions { buckets: u32::MAX, ..good.clone() }, "buckets"),
        (HashOptions { reduction: Reduction::Literal, ..good.clone() }, "hashes_per_row"),
        (HashOptions { quantiser: l2(f32::NAN, vec![0.0; 4]), ..good.clone() }, "bandwidth"),
        (HashOptions { quantiser: l2(1.0, vec![0.0; 3]), ..good.clone() }, "offsets"),
        (HashOptions { quantiser: l2(1.0, vec![1.0; 4]), ..good }, "offsets"),
    ] {
        let message = HashFamily::new(options).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
    assert!(GaussianProjection::new(vec![1.0; 5], 3).is_err());
    assert!(HadamardProjection::new(0, 3, &mut || 0).is_err());
}
