use std::sync::Arc;

use arrow_array::types::{Float16Type, Float32Type};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, FixedSizeListArray, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use half::f16;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tamis_core::{
    DocKey, EmbeddingBatch, Error, Fingerprint, Input, ScoreBatch, Signal, Summary, column, reason,
};

use super::*;

const D: usize = 24;

fn fingerprint() -> Fingerprint {
    Fingerprint::new("embed", 1).with("model", "test")
}

/// `None` is a failed row. Keys are numbered from `first`.
fn batch(first: u64, embeddings: &[Option<Vec<f32>>], half: bool) -> EmbeddingBatch {
    let keys: Vec<[u8; 16]> =
        (first..).take(embeddings.len()).map(|i| DocKey::from_id("", &i.to_string()).to_bytes()).collect();
    let rows = embeddings.iter().map(|row| row.as_ref().map(|row| row.iter().map(|v| Some(*v))));
    let list: ArrayRef = if half {
        let rows = rows.map(|row| row.map(|row| row.map(|v| v.map(f16::from_f32))));
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float16Type, _, _>(rows, D as i32))
    } else {
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, D as i32))
    };
    let schema = Schema::new(vec![
        Field::new(column::ROW, DataType::UInt64, false),
        Field::new(column::DOC_KEY, DataType::FixedSizeBinary(16), false),
        Field::new(column::EMBEDDING, list.data_type().clone(), true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values((first..).take(embeddings.len()))),
        Arc::new(FixedSizeBinaryArray::try_from_iter(keys.iter()).unwrap()),
        list,
    ];
    EmbeddingBatch::new(RecordBatch::try_new(Arc::new(schema), columns).unwrap()).unwrap()
}

fn unit(mut row: Vec<f32>) -> Vec<f32> {
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.iter_mut().for_each(|x| *x /= norm);
    row
}

/// Unit vectors: `groups` loose groups of near copies among singletons.
fn corpus(n: usize, groups: usize, copies: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut normal = move || {
        let (u, v): (f32, f32) = (rng.random_range(1e-6..1.0), rng.random());
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f32::consts::PI * v).cos()
    };
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for _ in 0..groups {
        let centre: Vec<f32> = (0..D).map(|_| normal()).collect();
        for _ in 0..copies {
            rows.push(unit(centre.iter().map(|x| x + 0.1 * normal()).collect()));
        }
    }
    while rows.len() < n {
        rows.push(unit((0..D).map(|_| normal()).collect()));
    }
    rows
}

fn parameters(hashes: u32, seed: u64) -> RaceParameters {
    RaceParameters {
        dimension: D as u32,
        repetitions: 200,
        buckets: 500,
        hashes,
        kernel: Kernel::L2 { bandwidth: 1.0 },
        projection: Projection::Gaussian,
        preset: Preset::Mixed,
        seed,
    }
}

fn sketch_of(parameters: &RaceParameters, rows: &[Vec<f32>]) -> RaceSketch {
    let mut sketch = RaceSketch::new(parameters.clone(), &fingerprint()).unwrap();
    sketch.add_embeddings(&rows.concat()).unwrap();
    sketch
}

fn exact_sums(kernel: Kernel, hashes: u32, rows: &[Vec<f32>], queries: &[Vec<f32>]) -> Vec<f64> {
    let sum = |y: &Vec<f32>| rows.iter().map(|x| kernel.between(x, y).powi(hashes as i32)).sum();
    queries.iter().map(sum).collect()
}

#[test]
fn estimates_are_unbiased_and_within_their_stated_error() {
    let rows = corpus(300, 10, 6, 1);
    let queries = &rows[..80];
    let l2 = Kernel::L2 { bandwidth: 1.0 };
    let cases = [
        (l2, 1, Projection::Gaussian, Preset::Mixed),
        (l2, 4, Projection::Gaussian, Preset::Mixed),
        (l2, 9, Projection::Gaussian, Preset::Mixed),
        (Kernel::L2 { bandwidth: 0.3 }, 2, Projection::Gaussian, Preset::Mixed),
        (Kernel::Cosine, 3, Projection::Gaussian, Preset::Mixed),
        (Kernel::Cosine, 12, Projection::Gaussian, Preset::Mixed),
        (l2, 1, Projection::Hadamard, Preset::Mixed),
        (l2, 4, Projection::Hadamard, Preset::Mixed),
        (Kernel::Cosine, 8, Projection::Hadamard, Preset::Mixed),
        (l2, 1, Projection::Gaussian, Preset::Literal),
    ];
    for (kernel, hashes, projection, preset) in cases {
        let exact = exact_sums(kernel, hashes, &rows, queries);
        let (mut bias, mut squares, mut stated, mut total) = (0.0, 0.0, 0.0, 0.0);
        let seeds = 24;
        for seed in 0..seeds {
            let parameters = RaceParameters { kernel, projection, preset, ..parameters(hashes, seed) };
            let sketch = sketch_of(&parameters, &rows);
            let estimates = sketch.estimate(&queries.concat());
            for (estimate, exact) in estimates.iter().zip(&exact) {
                bias += estimate.density - exact;
                squares += (estimate.density - exact).powi(2);
                stated += estimate.standard_error.powi(2);
                total += exact;
            }
        }
        let what = format!("{kernel:?} {hashes} {projection} {preset}");
        // Hadamard projections are only nearly Gaussian, and those of a row nearly independent: the bias is of the order
        // p²/D, large in these 24 dimensions.
        let allowed = if projection == Projection::Hadamard { 0.1 } else { 0.01 };
        assert!((bias / total).abs() < allowed, "{what}: relative bias {}", bias / total);
        let ratio = (squares / stated).sqrt();
        assert!(
            projection == Projection::Hadamard || (0.75..1.3).contains(&ratio),
            "{what}: error is {ratio} times the stated one"
        );
    }
}

#[test]
fn hadamard_is_nearly_unbiased_in_dimensions_of_real_encoders() {
    const WIDE: usize = 384;
    // Fifty groups of three, at cosines of about 0.9, among unrelated ones.
    let mut rng = StdRng::seed_from_u64(3);
    let mut draw = move || -> Vec<f32> { (0..WIDE).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let mut rows = Vec::new();
    for _ in 0..50 {
        let common = draw();
        for _ in 0..3 {
            rows.push(unit(common.iter().zip(draw()).map(|(common, own)| 3.0 * common + own).collect()));
        }
    }
    let exact = exact_sums(Kernel::L2 { bandwidth: 1.0 }, 9, &rows, &rows);
    let (mut bias, mut squares, mut stated) = (0.0, 0.0, 0.0);
    for seed in 0..8 {
        let projection = Projection::Hadamard;
        let wide = RaceParameters { dimension: WIDE as u32, projection, ..parameters(9, seed) };
        let sketch = sketch_of(&RaceParameters { repetitions: 1000, ..wide }, &rows);
        for (estimate, exact) in sketch.estimate(&rows.concat()).iter().zip(&exact) {
            bias += estimate.density - exact;
            squares += (estimate.density - exact).powi(2);
            stated += estimate.standard_error.powi(2);
        }
    }
    // A document counts itself for certain; the others are what is estimated.
    let others = 8.0 * exact.iter().map(|exact| exact - 1.0).sum::<f64>();
    assert!((bias / others).abs() < 0.05, "{bias} of {others}");
    assert!((0.75..1.3).contains(&(squares / stated).sqrt()), "{squares} {stated}");
}

#[test]
fn more_repetitions_bring_the_estimate_closer() {
    let rows = corpus(200, 5, 6, 2);
    let exact = exact_sums(Kernel::L2 { bandwidth: 1.0 }, 4, &rows, &rows);
    let error = |repetitions| {
        let sketch = sketch_of(&RaceParameters { repetitions, ..parameters(4, 5) }, &rows);
        let estimates = sketch.estimate(&rows.concat());
        let squares: f64 = estimates.iter().zip(&exact).map(|(e, exact)| (e.density - exact).powi(2)).sum();
        (squares / rows.len() as f64).sqrt()
    };
    assert!(error(1600) < 0.4 * error(100));
}

#[test]
fn the_literal_preset_is_the_paper_as_printed() {
    // h(x) = floor((w·x + b)/r) mod B, worked out beside the implementation from the projections that it uses.
    let literal = RaceParameters { buckets: 7, ..RaceParameters::literal(D as u32, 0.05, 3) };
    let rows = corpus(50, 0, 0, 3);
    let sketch = sketch_of(&literal, &rows);
    assert!(sketch.counters.chunks(7).all(|row| row.iter().sum::<u32>() == 50));
    // Neighbouring steps are neighbouring buckets: moving along one projection passes through all of them in order.
    let line: Vec<f32> =
        (0..2000).flat_map(|i| (0..D).map(move |d| if d == 0 { 0.001 * i as f32 } else { 0.0 })).collect();
    let block = sketch.hasher().hash(&line);
    for row in 0..20 {
        let mut steps: Vec<i64> =
            block.row(row).windows(2).map(|w| i64::from(w[1]) - i64::from(w[0])).collect();
        steps.retain(|&step| step != 0);
        assert!(steps.iter().all(|step| [1, -1, 6, -6].contains(step)), "{steps:?}");
    }
}

#[test]
fn hashes_do_not_depend_on_the_batch() {
    let rows = corpus(300, 3, 4, 4);
    for projection in [Projection::Gaussian, Projection::Hadamard] {
        let hasher = RaceHasher::new(RaceParameters { projection, ..parameters(3, 1) }).unwrap();
        let whole = hasher.hash(&rows.concat());
        for (i, row) in rows.iter().enumerate() {
            let alone = hasher.hash(row);
            assert!((0..200).all(|r| alone.row(r)[0] == whole.row(r)[i]));
        }
        assert!(hasher.hash(&[]).is_empty());
    }
}

#[test]
fn hashes_are_pinned() {
    // Changed hashes make stored sketches useless: a new version of the signal.
    let hasher = RaceHasher::new(parameters(9, 42)).unwrap();
    let rows: Vec<f32> = (0..2 * D).map(|i| ((i * 37 % 101) as f32 - 50.0) / 128.0).collect();
    let block = hasher.hash(&rows);
    let first: Vec<u32> = (0..4).flat_map(|r| block.row(r).to_vec()).collect();
    assert_eq!(first, [32, 483, 160, 182, 193, 170, 345, 163]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sketch_of_a_union_is_the_sum_in_any_order(cut in 0..=60usize, second in 0..=60usize, seed in 0..4u64) {
        let rows = corpus(60, 3, 4, seed);
        let (low, high) = (cut.min(second), cut.max(second));
        let parameters = RaceParameters { repetitions: 20, buckets: 50, ..parameters(3, seed) };
        let part = |range: std::ops::Range<usize>| sketch_of(&parameters, &rows[range]);
        let (a, b, c) = (part(0..low), part(low..high), part(high..60));
        let whole = part(0..60).encode();
        let mut by_blocks = a.empty();
        for rows in rows.chunks(7) {
            by_blocks.add(&a.hasher().hash(&rows.concat())).unwrap();
        }
        prop_assert_eq!(&by_blocks.encode(), &whole);
        let add = |mut x: RaceSketch, y: &RaceSketch| { x.merge(y.clone()).unwrap(); x };
        prop_assert_eq!(&add(add(a.clone(), &b), &c).encode(), &whole);
        prop_assert_eq!(&add(a.clone(), &add(b.clone(), &c)).encode(), &whole);
        prop_assert_eq!(&add(add(c, &b), &a).encode(), &whole);
    }

    #[test]
    fn samples_do_not_depend_on_order_or_parts(parts in 1..4usize, capacity in 1..80usize, seed in 0..4u64) {
        let rows = corpus(60, 2, 4, seed);
        let mut order: Vec<usize> = (0..60).collect();
        order.shuffle(&mut StdRng::seed_from_u64(seed));
        let mut whole = EmbeddingSample::new(capacity, D, 9);
        for (i, row) in rows.iter().enumerate() {
            whole.add_batch(&batch(i as u64, &[Some(row.clone())], false)).unwrap();
        }
        let mut samples = vec![EmbeddingSample::new(capacity, D, 9); parts];
        for (at, i) in order.into_iter().enumerate() {
            samples[at % parts].add_batch(&batch(i as u64, &[Some(rows[i].clone())], false)).unwrap();
        }
        let mut merged = EmbeddingSample::new(capacity, D, 9);
        for sample in samples {
            merged.merge(EmbeddingSample::decode(&sample.encode()).unwrap()).unwrap();
        }
        prop_assert_eq!(merged.encode(), whole.encode());
        prop_assert_eq!(merged.embeddings().len(), D * capacity.min(60));
        prop_assert_eq!(merged.documents(), 60);
    }

    #[test]
    fn hostile_sketches_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        prop_assert!(RaceSketch::decode(&bytes).is_err());
        let small = RaceParameters { repetitions: 3, buckets: 5, ..parameters(2, 1) };
        let stored = sketch_of(&small, &corpus(9, 0, 0, 1)).encode();
        let content = stored.len() - 8;
        prop_assert!(RaceSketch::decode(&stored[..at.index(stored.len())]).is_err());
        // A correct checksum over changed content: fields are checked, not trusted.
        let mut changed = stored[..content].to_vec();
        let at = at.index(content);
        changed[at] = value;
        if let Ok(sketch) = RaceSketch::decode(&crate::bytes::finish(changed)) {
            prop_assert!(sketch.counters.chunks(sketch.parameters().buckets as usize)
                .all(|row| row.iter().map(|&c| u64::from(c)).sum::<u64>() == sketch.documents()));
        }
        let mut sample = EmbeddingSample::new(3, D, 1);
        sample.add_batch(&batch(0, &[Some(vec![1.0; D])], false)).unwrap();
        let mut changed = sample.encode();
        let content = changed.len() - 8;
        changed[at.min(content - 1)] = value;
        let _ = EmbeddingSample::decode(&crate::bytes::finish(changed[..content].to_vec()));
        prop_assert!(EmbeddingSample::decode(&bytes).is_err());
    }
}

#[test]
fn a_sketch_survives_its_file() {
    for (kernel, projection) in
        [(Kernel::L2 { bandwidth: 0.7 }, Projection::Hadamard), (Kernel::Cosine, Projection::Gaussian)]
    {
        let sketch =
            sketch_of(&RaceParameters { kernel, projection, ..parameters(3, 8) }, &corpus(100, 5, 4, 6));
        let read = RaceSketch::decode(&sketch.encode()).unwrap();
        assert_eq!(read.parameters(), sketch.parameters());
        assert_eq!((read.documents(), read.embedding()), (100, sketch.embedding()));
        assert_eq!(read.digest(), sketch.digest());
        assert_eq!(read.counters, sketch.counters);
    }
}

#[test]
fn a_file_may_not_take_more_memory_than_allowed() {
    let sketch = RaceSketch::new(parameters(1, 1), &fingerprint()).unwrap();
    let bytes = sketch.encode();
    assert!(RaceSketch::decode_within(&bytes, 400_000).is_ok());
    let error = RaceSketch::decode_within(&bytes, 399_999).unwrap_err();
    assert!(error.to_string().contains("400000 bytes"), "{error}");
    // An honest header of 16 GiB of counters over a few bytes of zeros.
    let mut huge =
        RaceSketch::new(RaceParameters { repetitions: 1, buckets: 2, ..parameters(1, 1) }, &fingerprint())
            .unwrap();
    huge.hasher = Arc::new(
        RaceHasher::new(RaceParameters { repetitions: 1 << 12, buckets: 1 << 20, ..parameters(1, 1) })
            .unwrap(),
    );
    assert!(matches!(RaceSketch::decode(&huge.encode()), Err(Error::Corrupt { .. })));
}

#[test]
fn whatever_parameters_can_be_counted_with_can_be_read_again() {
    // Empty counters are memory that nobody touches, so that sketches of 1.2 and 4 GB can be had here too. They are written as
    // their header and a 0 a row: `encode` would look at every counter.
    for (repetitions, buckets) in [(1 << 12, 75_000), (1 << 12, 1 << 18)] {
        let parameters = RaceParameters { repetitions, buckets, ..parameters(1, 1) };
        let mut sketch =
            RaceSketch::new(RaceParameters { buckets: 2, ..parameters.clone() }, &fingerprint()).unwrap();
        sketch.hasher = Arc::new(RaceHasher::new(parameters.clone()).unwrap());
        let mut bytes = sketch.header();
        bytes.extend(zstd::bulk::compress(&vec![0; repetitions as usize], 3).unwrap());
        let bytes = crate::bytes::finish(bytes);
        let read = RaceSketch::decode(&bytes).unwrap();
        assert_eq!((read.parameters(), read.documents()), (&parameters, 0));
        assert_eq!(read.counters.len() as u64, parameters.counters());
        assert!(RaceSketch::decode_within(&bytes, parameters.memory_bytes() - 1).is_err());
    }
    // One counter in each of a few rows of more than 1 GiB.
    let parameters = RaceParameters { repetitions: 3, buckets: 100_000_000, ..parameters(1, 1) };
    let mut sketch = RaceSketch::new(parameters, &fingerprint()).unwrap();
    sketch.add_embeddings(&[0.5; D]).unwrap();
    let read = RaceSketch::decode(&sketch.encode()).unwrap();
    assert_eq!(read.documents(), 1);
    assert_eq!(read.estimate(&[0.5; D])[0].density, sketch.estimate(&[0.5; D])[0].density);
}

#[test]
fn a_sample_of_many_wide_embeddings_can_be_read_again() {
    // As many values as an encoder of 65,536 dimensions and the sample of a corpus could have; two are enough to write it.
    let mut sample = EmbeddingSample::new(1 << 20, D, 1);
    sample.add_batch(&batch(0, &[Some(vec![1.0; D]), Some(vec![0.5; D])], false)).unwrap();
    for capacity in [1_u64 << 28, 1 << 40] {
        // Behind magic, version, seed and number of documents.
        let mut bytes = sample.encode();
        bytes[28..36].copy_from_slice(&capacity.to_le_bytes());
        bytes.truncate(bytes.len() - 8);
        let read = EmbeddingSample::decode(&crate::bytes::finish(bytes)).unwrap();
        assert_eq!((read.documents(), read.embeddings()), (2, sample.embeddings()));
    }
}

proptest! {
    #[test]
    fn no_sketch_is_larger_than_its_options_say(
        memory in prop_oneof![1..1_000u64, 1_000..1_000_000_000_000u64],
        repetitions in 1..2_000u32,
        buckets in prop::option::of(2..100_000u32),
        documents in 2..u64::MAX,
    ) {
        let options = super::DensityOptions { sketch_memory_bytes: memory, repetitions, buckets, ..super::DensityOptions::default() };
        let mut sample = EmbeddingSample::new(40, D, 1);
        for (at, row) in corpus(40, 10, 2, 3).into_iter().enumerate() {
            sample.add_batch(&batch(at as u64, &[Some(row)], false)).unwrap();
        }
        // The number of documents, behind magic, version and seed.
        let mut bytes = sample.encode();
        bytes[20..28].copy_from_slice(&documents.to_le_bytes());
        bytes.truncate(bytes.len() - 8);
        let sample = EmbeddingSample::decode(&crate::bytes::finish(bytes)).unwrap();
        let chosen = super::default_parameters(&sample, &options);
        if let Ok(chosen) = chosen {
            prop_assert!(chosen.parameters.memory_bytes() <= options.largest_sketch_bytes());
        }
    }
}

#[test]
fn sketches_of_other_parameters_or_embeddings_do_not_add() {
    let rows = corpus(10, 0, 0, 1);
    let mut sketch = sketch_of(&parameters(2, 1), &rows);
    let other_seed = sketch_of(&parameters(2, 2), &rows);
    assert!(matches!(sketch.merge(other_seed), Err(Error::Merge { .. })));
    let mut other = RaceSketch::new(parameters(2, 1), &Fingerprint::new("embed", 2)).unwrap();
    other.add(&other.hasher().hash(&rows.concat())).unwrap();
    assert!(matches!(sketch.merge(other), Err(Error::Merge { .. })));
    assert_eq!(sketch.documents(), 10);
}

#[test]
fn overflow_is_an_error_and_counts_nothing() {
    let rows = corpus(2, 0, 0, 1);
    let mut full = sketch_of(&parameters(2, 1), &rows);
    full.documents = u64::from(u32::MAX) - 1;
    let bucket = full.hasher().hash(&rows[0]).row(7)[0] as usize;
    full.counters[7 * 500 + bucket] = u32::MAX - 1;
    let before = full.counters.clone();
    assert!(matches!(full.add(&full.hasher().hash(&rows.concat())), Err(Error::Merge { .. })));
    assert_eq!(full.counters, before);
    assert!(full.add_embeddings(&rows.concat()).is_err());
    assert_eq!(full.counters, before);
    let other = full.clone();
    assert!(matches!(full.merge(other), Err(Error::Merge { .. })));
    assert_eq!(full.counters, before);
}

#[test]
fn parameters_out_of_range_are_refused() {
    let good = parameters(2, 1);
    let bad = [
        RaceParameters { dimension: 0, ..good.clone() },
        RaceParameters { repetitions: 0, ..good.clone() },
        RaceParameters { buckets: 1, ..good.clone() },
        RaceParameters { hashes: 0, ..good.clone() },
        RaceParameters { hashes: 65, ..good.clone() },
        RaceParameters { repetitions: 1 << 20, buckets: 1 << 20, ..good.clone() },
        RaceParameters { repetitions: 1 << 20, dimension: 1 << 16, ..good.clone() },
        RaceParameters { kernel: Kernel::L2 { bandwidth: f64::NAN }, ..good.clone() },
        RaceParameters { kernel: Kernel::L2 { bandwidth: 0.0 }, ..good.clone() },
        RaceParameters { preset: Preset::Literal, ..good.clone() },
        RaceParameters { preset: Preset::Literal, hashes: 1, kernel: Kernel::Cosine, ..good.clone() },
    ];
    for bad in bad {
        assert!(bad.validate().is_err(), "{bad:?}");
    }
    assert!(good.validate().is_ok());
    assert!("gausian".parse::<Projection>().is_err());
}

/// As the signal gets it.
fn in_role(batch: &RecordBatch) -> RecordBatch {
    Input::in_role(batch, "embedding").unwrap()
}

#[test]
fn members_count_themselves_and_failed_rows_have_reasons() {
    let rows = corpus(40, 2, 5, 7);
    let mut embeddings: Vec<Option<Vec<f32>>> = rows.iter().cloned().map(Some).collect();
    embeddings[3] = None;
    embeddings[4].as_mut().unwrap()[2] = f32::NAN;
    for half in [false, true] {
        let batch = batch(0, &embeddings, half);
        let mut sketch = RaceSketch::new(parameters(9, 1), &fingerprint()).unwrap();
        assert_eq!(sketch.add_batch(&batch).unwrap(), 38);
        assert_eq!(sketch.documents(), 38);
        let density = Density::new(Arc::new(sketch), "embed@00000000", Membership::Member);
        let scores = |density: &Density| {
            let values = density.annotate(&in_role(batch.as_arrow())).unwrap();
            assert_eq!(&values.schema(), &density.info().schema);
            let columns = batch.as_arrow().columns()[..2].iter().chain(values.columns()).cloned().collect();
            let schema = ScoreBatch::sidecar_schema(&values.schema());
            ScoreBatch::new(RecordBatch::try_new(schema, columns).unwrap()).unwrap()
        };
        let member = scores(&density);
        assert_eq!(member.failed().value(3), reason::INPUT_FAILED);
        assert_eq!(member.failed().value(4), reason::NOT_FINITE);
        assert!(member.failed().is_null(5));
        let values = member.values(column::SCORE).unwrap();
        assert_eq!((values[3], values[4]), (None, None));
        assert!(values.iter().flatten().all(|&score| score >= 1.0));
        let other = density.with_membership(Membership::Other);
        assert_eq!(other.info().fingerprint, density.info().fingerprint);
        let as_other = scores(&other).values(column::SCORE).unwrap();
        assert!(values.iter().zip(&as_other).all(|(a, b)| a.is_some() == b.is_some()));
        assert!(
            values
                .iter()
                .zip(&as_other)
                .filter_map(|(a, b)| Some((a.as_ref()?, b.as_ref()?)))
                .all(|(a, b)| b >= a)
        );
    }
}

#[test]
fn an_empty_batch_and_another_dimension() {
    let sketch = RaceSketch::new(parameters(2, 1), &fingerprint()).unwrap();
    let density = Density::new(Arc::new(sketch.clone()), "embed@00000000", Membership::Other);
    let nothing = batch(0, &[None], false).as_arrow().slice(0, 0);
    assert_eq!(density.annotate(&in_role(&nothing)).unwrap().num_rows(), 0);
    let mut narrow =
        RaceSketch::new(RaceParameters { dimension: 5, ..parameters(2, 1) }, &fingerprint()).unwrap();
    let error = narrow.add_batch(&batch(0, &[Some(vec![0.5; D])], false)).unwrap_err();
    assert!(error.to_string().contains("expected 5"), "{error}");
}

fn sample_of(rows: &[Vec<f32>], capacity: usize) -> EmbeddingSample {
    let mut sample = EmbeddingSample::new(capacity, D, 1);
    let rows: Vec<_> = rows.iter().cloned().map(Some).collect();
    sample.add_batch(&batch(0, &rows, false)).unwrap();
    sample
}

#[test]
fn the_rule_takes_the_smallest_p_with_a_small_background() {
    let rows = corpus(600, 10, 8, 11);
    let sample = sample_of(&rows, 10_000);
    for cosine in [false, true] {
        let options = DensityOptions { cosine, ..DensityOptions::default() };
        let chosen = default_parameters(&sample, &options).unwrap();
        let exact_background = |p: u32| {
            let sum = |y: &Vec<f32>| {
                let far = rows.iter().filter(|x| x.iter().zip(y).map(|(a, b)| a * b).sum::<f32>() < 0.8);
                far.map(|x| chosen.parameters.kernel.between(x, y).powi(p as i32)).sum()
            };
            super::defaults::median(rows.iter().map(sum).collect())
        };
        let p = chosen.parameters.hashes;
        assert!((chosen.background / exact_background(p) - 1.0).abs() < 0.02, "{chosen:?}");
        assert!(exact_background(p) <= 0.51 && exact_background(p - 1) > 0.49, "{chosen:?}");
        assert!(chosen.warnings.is_empty(), "{chosen:?}");
        let all: f64 = exact_sums(chosen.parameters.kernel, p, &rows, &rows).iter().sum();
        assert!((chosen.mean_density / (all / 600.0) - 1.0).abs() < 0.02, "{chosen:?}");
    }
}

#[test]
fn limits_of_the_rule_are_warned_about() {
    let rows = corpus(400, 0, 0, 12);
    let sample = sample_of(&rows, 300);
    let one = default_parameters(&sample, &DensityOptions { hashes: Some(1), ..DensityOptions::default() })
        .unwrap();
    assert!(one.background > 10.0 && one.warnings.len() == 1, "{one:?}");
    let options = DensityOptions {
        hashes: Some(1),
        repetitions: 1,
        sketch_memory_bytes: 200_000,
        ..DensityOptions::default()
    };
    let tight = default_parameters(&sample, &options).unwrap();
    assert_eq!(tight.parameters.buckets, 50_000);
    assert!(tight.warnings.iter().any(|warning| warning.contains("GB")), "{tight:?}");
    let roomy =
        default_parameters(&sample, &DensityOptions { sketch_memory_bytes: 1 << 30, ..options }).unwrap();
    assert!(roomy.collision_noise <= 0.501, "{roomy:?}");
    let nothing = default_parameters(&sample_of(&rows[..1], 5), &DensityOptions::default());
    assert!(matches!(nothing, Err(ParameterError::TooFewDocuments { documents: 1 })));
    let bad = DensityOptions { hashes: Some(0), ..DensityOptions::default() };
    assert!(default_parameters(&sample, &bad).is_err());
}

#[test]
fn bandwidth_follows_the_norm() {
    let scaled: Vec<Vec<f32>> =
        corpus(300, 5, 5, 13).into_iter().map(|row| row.into_iter().map(|x| 3.0 * x).collect()).collect();
    let unit =
        default_parameters(&sample_of(&corpus(300, 5, 5, 13), 300), &DensityOptions::default()).unwrap();
    let large = default_parameters(&sample_of(&scaled, 300), &DensityOptions::default()).unwrap();
    let Kernel::L2 { bandwidth } = large.parameters.kernel else { unreachable!() };
    assert!((bandwidth - 3.0).abs() < 1e-4);
    assert_eq!(large.parameters.hashes, unit.parameters.hashes);
}

#[test]
fn diagnostics_tell_density_from_random() {
    let rows = corpus(800, 30, 8, 14);
    let sample = sample_of(&rows, 800);
    let mut probe = NeighbourProbe::new(&sample, 400);
    let mut second = probe.empty();
    let shown = |range: std::ops::Range<usize>| {
        let rows: Vec<_> = rows[range.clone()].iter().cloned().map(Some).collect();
        batch(range.start as u64, &rows, false)
    };
    probe.add_batch(&shown(0..300)).unwrap();
    second.add_batch(&shown(300..800)).unwrap();
    probe.merge(second).unwrap();
    let neighbours = probe.neighbours();
    let embeddings = sample.embeddings()[..400 * D].to_vec();
    let diagnose = |parameters: &RaceParameters| {
        let sketch = sketch_of(parameters, &rows);
        DensityDiagnostics::new(&neighbours, &sketch.estimate(&embeddings), 0.1)
    };
    let chosen = default_parameters(&sample, &DensityOptions::default()).unwrap();
    let good = diagnose(&chosen.parameters);
    assert_eq!(good.verdict, Verdict::Differs, "{good:?}");
    assert!(good.warning().is_none());
    assert!(good.groups[0].kept.unwrap() < 0.4 * good.groups[3].kept.unwrap(), "{good:?}");
    assert_eq!(good.groups.iter().map(|group| group.documents).sum::<usize>(), 400);
    let literal = diagnose(&RaceParameters::literal(D as u32, 1.0, 1));
    assert_eq!(literal.verdict, Verdict::LikeRandom, "{literal:?}");
    assert!(literal.warning().unwrap().contains("hardly differs"));
    let untellable = DensityDiagnostics::new(&[], &[], 0.1);
    assert_eq!(untellable.verdict, Verdict::CannotTell);
}
