use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, FixedSizeListArray, Float32Array, RecordBatch, UInt64Array,
};
use arrow_schema::{DataType, Field};
use proptest::prelude::*;
use tamis_core::{BatchSummary, DocKey, Fingerprint, Input, Signal, Summary, column};
use tamis_kernels::{Dtype, Path, dot, to_unit_length};

use super::*;
use crate::density::normalize;

/// A mixture of `k` groups of unit vectors, seeded.
fn mixture(n: usize, dimension: usize, k: usize, seed: u64) -> Vec<f32> {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = move || {
        let sum: f64 = (0..12).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX)).sum();
        (sum - 6.0) as f32
    };
    let centres: Vec<f32> = (0..k * dimension).map(|_| normal()).collect();
    let mut values: Vec<f32> = (0..n)
        .flat_map(|at| centres[at % k * dimension..][..dimension].to_vec())
        .map(|centre| centre + 0.4 * normal())
        .collect();
    normalize(&mut values, dimension);
    values
}

fn batch_of(keys: &[DocKey], values: &[f32], dimension: usize) -> RecordBatch {
    let rows: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..keys.len() as u64));
    let keys = FixedSizeBinaryArray::try_from_iter(keys.iter().map(|key| key.to_bytes())).unwrap();
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    let values: ArrayRef = Arc::new(Float32Array::from(values.to_vec()));
    let list = FixedSizeListArray::try_new(item, dimension as i32, values, None).unwrap();
    RecordBatch::try_from_iter_with_nullable([
        (column::ROW, rows, false),
        (column::DOC_KEY, Arc::new(keys) as ArrayRef, false),
        (column::EMBEDDING, Arc::new(list) as ArrayRef, true),
    ])
    .unwrap()
}

/// Lloyd's algorithm one by one, in f64.
fn plainly(values: &[f32], centroids: &Centroids, iterations: usize) -> (Vec<f32>, f64) {
    let dimension = centroids.dimension as usize;
    let mut means = centroids.values.to_vec();
    let mut objective = 0.0;
    for _ in 0..iterations {
        let mut sums = vec![0.0_f64; means.len()];
        let mut counts = vec![0_u64; means.len() / dimension];
        objective = 0.0;
        for row in values.chunks_exact(dimension) {
            let distance = |mean: &[f32]| -> f64 {
                let square: f64 =
                    row.iter().zip(mean).map(|(a, b)| f64::from(a - b) * f64::from(a - b)).sum();
                if centroids.geometry == Geometry::Spherical { square / 2.0 } else { square }
            };
            let distances: Vec<f64> = means.chunks_exact(dimension).map(distance).collect();
            let best = (0..distances.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b])).unwrap();
            objective += distances[best];
            counts[best] += 1;
            row.iter().zip(&mut sums[best * dimension..]).for_each(|(x, sum)| *sum += f64::from(*x));
        }
        for (cluster, count) in counts.iter().enumerate() {
            assert!(*count > 0, "a cluster is empty");
            for at in 0..dimension {
                means[cluster * dimension + at] = (sums[cluster * dimension + at] / *count as f64) as f32;
            }
        }
        if centroids.geometry == Geometry::Spherical {
            normalize(&mut means, dimension);
        }
    }
    (means, objective * dimension as f64 / values.len() as f64)
}

fn pass(values: &[f32], centroids: &Centroids, rows: usize) -> LloydPass {
    let mut pass = LloydPass::new(centroids, 4.0, (1.0, 0));
    for some in values.chunks(rows * centroids.dimension as usize) {
        let step = pass.step(&pass.prepared(some.to_vec()));
        pass.absorb(step).unwrap();
    }
    pass
}

#[test]
fn iterations_are_those_of_the_plain_algorithm() {
    for geometry in [Geometry::Spherical, Geometry::Euclidean] {
        let values = mixture(600, 24, 12, 1);
        let first = seed_centroids(values.clone(), 24, geometry, 12, 3);
        let mut centroids = first.clone();
        let mut before = f64::INFINITY;
        for _ in 0..6 {
            let pass = pass(&values, &centroids, 64);
            assert!(pass.objective() <= before + 1e-6, "{geometry}: {} after {before}", pass.objective());
            before = pass.objective();
            centroids = pass.finish(&centroids);
        }
        let (means, objective) = plainly(&values, &first, 6);
        assert!((before - objective).abs() < 1e-5 * objective.max(1e-3), "{geometry}: {before} {objective}");
        for (ours, plain) in centroids.values.iter().zip(means) {
            assert!((ours - plain).abs() < 1e-5, "{geometry}: {ours} {plain}");
        }
        assert_eq!((centroids.documents, centroids.iterations), (600, 6));
        assert_eq!(centroids.sizes.iter().sum::<u64>(), 600);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn batches_and_their_order_decide_nothing(
        rows in 1_usize..90,
        split in 0_usize..150,
        euclidean in any::<bool>(),
        k in 1_usize..40,
    ) {
        let geometry = if euclidean { Geometry::Euclidean } else { Geometry::Spherical };
        let values = mixture(150, 19, 5, 7);
        let centroids = seed_centroids(values.clone(), 19, geometry, k, 1);
        let whole = pass(&values, &centroids, 150).finish(&centroids);
        prop_assert_eq!(&pass(&values, &centroids, rows).finish(&centroids), &whole);
        let (left, right) = values.split_at(split * 19);
        let mut one = pass(right, &centroids, rows);
        one.merge(pass(left, &centroids, rows)).unwrap();
        prop_assert_eq!(&one.finish(&centroids), &whole);
        // Alone as in a batch.
        let assigner = Assigner::new(&centroids);
        let together = assigner.assign(values.clone());
        for (row, found) in values.chunks_exact(19).zip(&together) {
            prop_assert_eq!(&assigner.assign(row.to_vec())[0], found);
            prop_assert!(k == 1 || found.cluster != found.second);
        }
    }
}

#[test]
fn a_pass_comes_back_and_damage_is_refused() {
    let values = mixture(50, 5, 3, 2);
    let centroids = seed_centroids(values.clone(), 5, Geometry::Spherical, 3, 0);
    let full = pass(&values, &centroids, 7);
    let bytes = full.encode();
    assert_eq!(bytes.len() as u64, full.size_bytes());
    let back = LloydPass::decode(&bytes).unwrap();
    assert_eq!((back.encode(), back.finish(&centroids)), (bytes.clone(), full.finish(&centroids)));
    for length in 0..bytes.len() {
        assert!(LloydPass::decode(&bytes[..length]).is_err(), "cut to {length}");
    }
    let fitted = full.finish(&centroids);
    let bytes = fitted.encode();
    assert_eq!(Centroids::decode(&bytes).unwrap(), fitted);
    for at in 0..bytes.len() {
        assert!(Centroids::decode(&bytes[..at]).is_err());
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x11;
        assert!(Centroids::decode(&damaged).is_err(), "byte {at}");
    }
    let mut other = pass(&values, &fitted, 9);
    assert!(other.merge(full).is_err());
}

#[test]
fn empty_clusters_take_half_of_the_largest() {
    // Two points, four centroids: two of them have no document.
    let values: Vec<f32> = [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]].concat();
    let far = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]].concat();
    let centroids = Centroids::new(Geometry::Spherical, 2, far);
    let next = pass(&values, &centroids, 3).finish(&centroids);
    assert_eq!(next.sizes, [1, 2, 0, 0]);
    let row = |at: usize| &next.values[2 * at..2 * at + 2];
    assert!(row(2)[1] > 0.99 && (row(3)[0] > 0.99 || row(3)[1] > 0.99), "{:?}", next.values);
    // Of no documents nothing is made.
    assert_eq!(pass(&[], &centroids, 1).finish(&centroids).values, centroids.values);
}

#[test]
fn odd_inputs_have_a_place() {
    let one = [0.6, 0.8];
    for k in [1, 3, 70] {
        // More clusters than distinct documents.
        let values = one.repeat(100);
        let centroids = seed_centroids(values.clone(), 2, Geometry::Spherical, k, 0);
        let next = pass(&values, &centroids, 10).finish(&centroids);
        assert_eq!((next.clusters(), next.documents), (k, 100));
        assert!(next.values.iter().all(|value| value.is_finite()) && next.objective < 1e-6);
    }
    let centroids = Centroids::new(Geometry::Spherical, 2, vec![1.0, 0.0, 0.0, 1.0]);
    let zero = Assigner::new(&centroids).assign(vec![0.0, 0.0])[0];
    assert_eq!((zero.cluster, zero.similarity), (0, 0.0));
    let every = mixture(30, 6, 30, 4);
    let k_is_n = seed_centroids(every.clone(), 6, Geometry::Euclidean, 30, 0);
    // Squares and products are in f32: a document at its centroid is this far from it by rounding.
    assert!(pass(&every, &k_is_n, 8).objective() < 1e-6);
}

#[test]
fn a_fit_on_a_sample_takes_the_drawn_documents_whatever_the_batches() {
    let values = mixture(200, 8, 4, 5);
    let centroids = seed_centroids(values.clone(), 8, Geometry::Spherical, 4, 0);
    let keys: Vec<DocKey> =
        (0..200_u128).map(|at| DocKey::from_bytes((at * 0x9e37_79b9).to_le_bytes())).collect();
    let batch = batch_of(&keys, &values, 8);
    let taken = |rows: usize| {
        let mut pass = LloydPass::new(&centroids, 1.0, (0.3, 9));
        let part = pass.parts();
        for from in (0..200).step_by(rows) {
            let rows = rows.min(200 - from);
            pass.absorb(part(&batch.slice(from, rows)).unwrap()).unwrap();
        }
        pass
    };
    let whole = taken(200);
    assert!((40..80).contains(&whole.documents()), "{}", whole.documents());
    assert_eq!(taken(7).finish(&centroids), whole.finish(&centroids));
}

#[test]
fn seeding_finds_groups_that_lie_apart() {
    // 100 groups far apart: nearly every one has a seed.
    let values = mixture(3000, 32, 100, 11);
    for geometry in [Geometry::Spherical, Geometry::Euclidean] {
        let centroids = seed_centroids(values.clone(), 32, geometry, 100, 2);
        let groups: std::collections::BTreeSet<usize> = centroids
            .values
            .chunks_exact(32)
            .map(|centroid| {
                let cosine = |at: &usize| -> f32 {
                    values[at * 32..][..32].iter().zip(centroid).map(|(a, b)| a * b).sum()
                };
                (0..3000).max_by(|a, b| cosine(a).total_cmp(&cosine(b))).unwrap() % 100
            })
            .collect();
        assert!(groups.len() >= 90, "{geometry}: {}", groups.len());
        assert_eq!(seed_centroids(values.clone(), 32, geometry, 100, 2), centroids);
    }
}

#[test]
fn the_signal_says_why_a_row_has_none() {
    let centroids = Centroids::new(Geometry::Spherical, 2, vec![1.0, 0.0, 0.0, 1.0]);
    let signal = Clusters::new(&centroids, (&Fingerprint::new("embed", 1), "embed@00000000"), 2);
    let keys = [1_u128, 2].map(|at| DocKey::from_bytes(at.to_le_bytes()));
    let batch = batch_of(&keys, &[0.1, 2.0, f32::NAN, 0.0], 2);
    let batch = Input::in_role(&batch, "embedding").unwrap();
    let found = signal.annotate(&batch).unwrap();
    assert_eq!(found.schema(), Arc::clone(&signal.info().schema));
    assert_eq!(found.column(0).as_primitive::<UInt32Type>().value(0), 1);
    assert!(found.column(0).is_null(1) && found.column(4).is_valid(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn integers_decide_nothing(
        seed in any::<u64>(),
        k in 1_usize..150,
        dimension in 1_usize..200,
        noise in prop_oneof![Just(0.0_f32), Just(1e-7), Just(1e-4), Just(0.02)],
        outlier in any::<bool>(),
    ) {
        // Centroids so near each other that rounding could turn any decision, and rows on them.
        let mut values = mixture(40, dimension, 4, seed);
        let mut centroids = mixture(k, dimension, 3, seed ^ 1);
        for (at, value) in centroids.iter_mut().enumerate() {
            let shift = ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1 << 24) as f32;
            *value = values[at % dimension] * 0.5 + *value * 1e-3 + noise * shift;
        }
        if outlier {
            values[0] = 50.0;
            centroids[0] += 30.0;
        }
        normalize(&mut centroids, dimension);
        let centroids = Centroids::new(Geometry::Spherical, dimension, centroids);
        let floats = Assigner::by(&centroids, None).assign(values.clone());
        for path in Path::supported().into_iter().filter(|path| path.dtype() == Dtype::Int8) {
            prop_assert_eq!(&Assigner::by(&centroids, Some(path)).assign(values.clone()), &floats, "{}", path.name());
        }
        // The first of the nearest by the one product that decides.
        let mut unit = values;
        to_unit_length(Path::detect(Dtype::F32), &mut unit, dimension);
        for (row, found) in unit.chunks_exact(dimension).zip(&floats) {
            let product = |at: usize| dot(Path::detect(Dtype::F32), row, &centroids.values[at * dimension..][..dimension]);
            let best = (0..k).fold(0, |best, at| if product(at) > product(best) { at } else { best });
            prop_assert_eq!(found.cluster as usize, best);
        }
    }
}

/// Files of `tests/fixtures/kmeans`, made by `make_kmeans.py` there with scikit-learn 1.9.1.
#[test]
fn iterations_are_those_of_scikit_learn() {
    let numbers =
        |line: &str| line.split('\t').map(|value| value.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let rows: Vec<f32> = include_str!("../../tests/fixtures/kmeans/rows.tsv")
        .lines()
        .flat_map(|line| line.split('\t').map(|value| value.parse::<f32>().unwrap()).collect::<Vec<_>>())
        .collect();
    let mut lines = include_str!("../../tests/fixtures/kmeans/expected.tsv").lines();
    let mut centroids = Centroids::new(Geometry::Euclidean, 6, rows[..7 * 6].to_vec());
    while let Some(head) = lines.next() {
        let head: Vec<&str> = head.split(' ').collect();
        let (iterations, inertia): (u32, f64) = (head[1].parse().unwrap(), head[3].parse().unwrap());
        while centroids.iterations < iterations {
            centroids = pass(&rows, &centroids, 32).finish(&centroids);
        }
        let clusters = numbers(lines.next().unwrap());
        let found = Assigner::new(&centroids).assign(rows.clone());
        let sum = pass(&rows, &centroids, 32).objective() * 120.0;
        assert!((sum / inertia - 1.0).abs() < 1e-6, "{sum} for {inertia} after {iterations}");
        for (found, expected) in found.iter().zip(clusters) {
            assert_eq!(f64::from(found.cluster), expected);
        }
        for centroid in centroids.values.chunks_exact(6) {
            for (found, expected) in centroid.iter().zip(numbers(lines.next().unwrap())) {
                assert!((f64::from(*found) - expected).abs() < 2e-6, "{found} for {expected}");
            }
        }
    }
    assert_eq!(centroids.iterations, 50);
}

/// The same on every machine: whoever changes these bits changes what is selected.
#[test]
fn a_small_fit_is_pinned() {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let rows: Vec<f32> = (0..900 * 140).map(|_| next()).collect();
    for (geometry, pinned) in [
        (Geometry::Spherical, "3d2d0159c722954017c0b9f2feb28b77"),
        (Geometry::Euclidean, "5efd182f12dd34841d417df1aa5c274c"),
    ] {
        let mut centroids = seed_centroids(rows.clone(), 140, geometry, 100, 3);
        for _ in 0..3 {
            centroids = pass(&rows, &centroids, 64).finish(&centroids);
        }
        assert_eq!(centroids.digest(), pinned, "{geometry}");
    }
}
