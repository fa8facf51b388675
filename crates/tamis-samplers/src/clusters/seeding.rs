//! Where the centroids begin: far apart, and in proportion to what is there.
//!
//! k-means++ (Arthur & Vassilvitskii, SODA 2007) takes one document after the other, each with a probability in proportion to its
//! squared distance to the nearest that was taken. That is k passes over the sample. k-means‖ (Bahmani et al., PVLDB 5, 2012, arXiv
//! 1203.6402) takes some k/2 at once by the same probabilities, a few times over, which is a few packed products; then k of these
//! candidates by k-means++, each weighed by how many documents of the sample it is the nearest of. It is used where k is more than
//! [`ONE_BY_ONE`].

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use tamis_kernels::{Dtype, Path, lower_to_squared_distance, to_unit_length};

use super::{Assigner, Centroids, Geometry};

/// Centroids up to which they are taken one by one from the whole sample.
const ONE_BY_ONE: usize = 64;

/// Times that candidates are taken, and more where they are too few.
const ROUNDS: usize = 5;
const MOST_ROUNDS: usize = 20;

/// Documents of the sample for each cluster, and at least.
const SAMPLED_A_CLUSTER: usize = 8;
const SAMPLED_AT_LEAST: usize = 10_000;

/// Documents that k centroids are seeded from.
#[must_use]
pub fn seeding_documents(clusters: usize) -> usize {
    (SAMPLED_A_CLUSTER * clusters).max(SAMPLED_AT_LEAST)
}

/// k centroids out of a sample of n × D finite values, whose order must not depend on that of shards. Where the sample has fewer
/// distinct documents than k, some are equal; a pass then takes them apart or leaves them empty.
///
/// # Panics
/// A sample without documents, or values that are no whole number of them.
#[must_use]
pub fn seed_centroids(
    mut values: Vec<f32>,
    dimension: usize,
    geometry: Geometry,
    clusters: usize,
    seed: u64,
) -> Centroids {
    assert!(dimension > 0 && !values.is_empty() && values.len().is_multiple_of(dimension), "some documents");
    if geometry == Geometry::Spherical {
        to_unit_length(Path::detect(Dtype::F32), &mut values, dimension);
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let n = values.len() / dimension;
    let (candidates, weights) = if clusters <= ONE_BY_ONE || n <= clusters {
        (values, vec![1.0; n])
    } else {
        oversampled(&values, dimension, geometry, clusters, &mut random)
    };
    let chosen = one_by_one(&candidates, dimension, &weights, clusters, &mut random);
    Centroids::new(geometry, dimension, chosen)
}

/// Uniform in [0, 1), 53 bits.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// k-means++ over weighted documents.
fn one_by_one(
    values: &[f32],
    dimension: usize,
    weights: &[f64],
    clusters: usize,
    random: &mut ChaCha8Rng,
) -> Vec<f32> {
    let row = |at: usize| &values[at * dimension..][..dimension];
    let path = Path::detect(Dtype::F32);
    let mut nearest = vec![f32::INFINITY; weights.len()];
    let mut chosen = Vec::with_capacity(clusters * dimension);
    let mut next = draw(weights, random);
    for _ in 0..clusters {
        chosen.extend_from_slice(row(next));
        lower_to_squared_distance(path, values, row(next), &mut nearest);
        let weighed: Vec<f64> =
            nearest.iter().zip(weights).map(|(square, weight)| f64::from(*square) * weight).collect();
        // Where every document is taken, any of them may be taken again.
        next = if weighed.iter().any(|weight| *weight > 0.0) {
            draw(&weighed, random)
        } else {
            draw(weights, random)
        };
    }
    chosen
}

/// One of the documents, in proportion to their weights, which are not all 0.
fn draw(weights: &[f64], random: &mut ChaCha8Rng) -> usize {
    let wanted = unit(random) * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let mut last = 0;
    for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        sum += weight;
        last = at;
        if sum > wanted {
            return at;
        }
    }
    last
}

/// Candidates by k-means‖, with how many documents each is the nearest of.
fn oversampled(
    values: &[f32],
    dimension: usize,
    geometry: Geometry,
    clusters: usize,
    random: &mut ChaCha8Rng,
) -> (Vec<f32>, Vec<f64>) {
    let n = values.len() / dimension;
    let row = |at: usize| &values[at * dimension..][..dimension];
    let first = (unit(random) * n as f64) as usize;
    let mut candidates = row(first).to_vec();
    let mut new = candidates.clone();
    let mut distances = vec![f32::INFINITY; n];
    let wanted = clusters as f64 / 2.0;
    for round in 0..MOST_ROUNDS {
        if !new.is_empty() {
            let assigner = Assigner::new(&Centroids::new(geometry, dimension, std::mem::take(&mut new)));
            let mut at = 0;
            assigner.nearest_of(values, |_, distance| {
                // Of rounding alone a copy may be a little away, and would be taken again and again.
                let distance = if distance < 1e-6 { 0.0 } else { distance };
                distances[at] = distances[at].min(distance);
                at += 1;
            });
        }
        if round >= ROUNDS && candidates.len() >= clusters * dimension {
            break;
        }
        let total: f64 = distances.iter().map(|distance| f64::from(*distance)).sum();
        if total <= 0.0 {
            break;
        }
        for (at, distance) in distances.iter().enumerate() {
            if unit(random) * total < wanted * f64::from(*distance) {
                new.extend_from_slice(row(at));
            }
        }
        candidates.extend_from_slice(&new);
    }
    let assigner = Assigner::new(&Centroids::new(geometry, dimension, candidates.clone()));
    let mut weights = vec![0.0; candidates.len() / dimension];
    assigner.nearest_of(values, |candidate, _| weights[candidate] += 1.0);
    (candidates, weights)
}
