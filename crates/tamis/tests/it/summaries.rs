//! One law for every summary there is: whatever is folded, in whatever parts and order, gives the same bits, and stored bytes
//! are those of a summary or refused. A new summary joins by one row of [`TABLE`].

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, UInt32Builder};
use arrow_array::{ArrayRef, FixedSizeBinaryArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use tamis::{Rule, Target};
use tamis_core::{BatchSummary, DocKey, EmbeddingBatch, Fingerprint, Sharded, Summary};
use tamis_models::ask_llm::JudgeDiagnostics;
use tamis_samplers::contamination::{DocumentCounts, IndexBuilder};
use tamis_samplers::{
    EmbeddingSample, MidRanks, NeighbourProbe, Pass, PoissonSearch, RaceParameters, RaceSketch, Ranker,
    ThresholdSearch,
};

use crate::support::random::Random;

const DIMENSION: usize = 6;
const DOCUMENTS: usize = 600;

/// Holds one kind of summary to the law.
type Law = fn();

const TABLE: &[(&str, Law)] = &[
    ("sketch", || of_batches(&sketch(), &embeddings(), Full::Yes)),
    ("sample", || of_batches(&sample(), &embeddings(), Full::Yes)),
    ("probe", || of_batches(&probe(), &embeddings(), Full::Yes)),
    ("sketch and probe", || of_batches(&(sketch(), probe()), &embeddings(), Full::Yes)),
    ("mass of a judge", || of_batches(&JudgeDiagnostics::default(), &answers(), Full::Yes)),
    ("documents by n-gram", || of_batches(&documents_by_ngram(), &ngrams(), Full::Yes)),
    ("mid-ranks", || of_parts(&MidRanks::new(), &ranks(), Full::No)),
    ("weights", || of_parts(&PoissonSearch::new(), &weights(), Full::No)),
    ("first pass", || of_parts(&search().begin_pass().unwrap(), &passes(&search()), Full::No)),
    ("second pass", || {
        let mut search = search();
        let mut pass = search.begin_pass().unwrap();
        passes(&search).into_iter().for_each(|part| pass.absorb(part).unwrap());
        search.finish_pass(&pass).unwrap();
        of_parts(&search.begin_pass().unwrap(), &passes(&search), Full::No);
    }),
];

#[test]
fn every_summary_keeps_the_law_of_merging() {
    for (name, law) in TABLE {
        assert!(std::panic::catch_unwind(law).is_ok(), "{name}: see above");
    }
}

/// Whether the documents here fill a summary, so that it is about as large as it can be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Full {
    Yes,
    No,
}

fn of_batches<S: BatchSummary>(empty: &S, batch: &RecordBatch, full: Full) {
    let parts = empty.parts();
    let cut = |rows: usize| -> Vec<S::Part> {
        let from = (0..batch.num_rows()).step_by(rows);
        from.map(|from| parts(&batch.slice(from, rows.min(batch.num_rows() - from))).unwrap()).collect()
    };
    let at_once = folded(empty, cut(batch.num_rows()));
    for rows in [1, 7, 250] {
        assert_eq!(folded(empty, cut(rows)).encode(), at_once.encode(), "batches of {rows} rows");
    }
    assert!(parts(&RecordBatch::new_empty(Arc::new(arrow_schema::Schema::empty()))).is_err());
    law(empty, cut(1), full);
}

fn of_parts<S: Summary<Part = S> + Clone>(empty: &S, parts: &[S], full: Full) {
    law(empty, parts.to_vec(), full);
}

fn folded<S: Summary>(empty: &S, parts: impl IntoIterator<Item = S::Part>) -> S {
    let mut summary = empty.empty();
    parts.into_iter().for_each(|part| summary.absorb(part).unwrap());
    summary
}

fn copy<S: Summary>(summary: &S) -> S {
    S::decode(&summary.encode()).unwrap()
}

/// Both together, as they are after their files.
fn sum<S: Summary>(a: &S, b: &S) -> S {
    let mut sum = copy(a);
    sum.merge(copy(b)).unwrap();
    sum
}

fn law<S: Summary>(empty: &S, parts: Vec<S::Part>, full: Full) {
    let mut random = Random::new(5);
    // Thirds at random, each folded backwards or forwards.
    let mut thirds: [Vec<S::Part>; 3] = Default::default();
    parts.into_iter().for_each(|part| thirds[random.below(3)].push(part));
    thirds[1].reverse();
    let [a, b, c] = thirds.map(|third| folded(empty, third));
    let whole = sum(&sum(&a, &b), &c).encode();
    assert_eq!(sum(&a, &sum(&b, &c)).encode(), whole, "associative");
    assert_eq!(sum(&sum(&c, &a), &b).encode(), whole, "commutative");
    assert_eq!(sum(&a, &empty.empty()).encode(), a.encode(), "nothing is neutral");
    assert_eq!(sum(&empty.empty(), &a).encode(), a.encode(), "nothing is neutral");
    assert_ne!(a.encode(), b.encode());

    let read = S::decode(&whole).unwrap();
    assert_eq!(read.encode(), whole, "bytes come back");
    assert_eq!(read.empty().encode(), empty.encode(), "of what is stored the kind is known");
    // Parts of the corpus, wherever they were folded.
    let mut sharded = Sharded::new(empty.empty());
    for (name, part) in [("c", &c), ("a", &a), ("b", &b)] {
        let mut partial = Sharded::new(empty.empty());
        partial.add(name.to_owned(), copy(part)).unwrap();
        sharded.merge(Sharded::decode(&partial.encode()).unwrap()).unwrap();
    }
    assert_eq!(sharded.inner.encode(), whole);
    assert!(sharded.add("b".to_owned(), copy(&b)).is_err());

    hostile::<S>(&whole, &mut random);
    let size = empty.size_bytes();
    assert_eq!(read.size_bytes(), size, "a full one is as large as an empty one says");
    let stored = whole.len() as u64;
    assert!(stored <= size, "{stored} bytes are stored, at most {size} were announced");
    assert!(full == Full::No || size <= 16 * stored, "{size} bytes were announced, {stored} are stored");
}

/// What was cut, changed or made up is refused.
fn hostile<S: Summary>(bytes: &[u8], random: &mut Random) {
    assert!(S::decode(&[]).is_err());
    for _ in 0..200 {
        let at = random.below(bytes.len());
        assert!(S::decode(&bytes[..at]).is_err(), "cut to {at} bytes");
        let mut changed = bytes.to_vec();
        changed[at] ^= 1 << random.below(8);
        assert!(S::decode(&changed).is_err(), "byte {at} changed");
        let made_up: Vec<u8> = (0..random.below(300)).map(|_| random.next() as u8).collect();
        assert!(S::decode(&made_up).is_err());
        let header = bytes.len().min(12 + random.below(40));
        assert!(S::decode(&[&bytes[..header], &made_up[..]].concat()).is_err());
    }
    assert!(S::decode(&[bytes, &[0]].concat()).is_err());
}

fn key(at: usize) -> DocKey {
    DocKey::from_id("", &at.to_string())
}

fn keyed(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let rows = columns[0].1.len();
    let keys: Vec<[u8; 16]> = (0..rows).map(|at| key(at).to_bytes()).collect();
    let row: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..rows as u64));
    let keys: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(keys.iter()).unwrap());
    RecordBatch::try_from_iter([("row", row), ("doc_key", keys)].into_iter().chain(columns)).unwrap()
}

/// Embeddings in groups of near copies; one of thirteen documents has none.
fn embeddings() -> RecordBatch {
    let mut random = Random::new(3);
    let groups: Vec<Vec<f32>> = (0..20).map(|_| (0..DIMENSION).map(|_| random.signed()).collect()).collect();
    let mut values = Vec::new();
    for at in 0..DOCUMENTS {
        let near = if at.is_multiple_of(3) { 1.0 } else { 0.01 };
        values.extend(groups[random.below(20)].iter().map(|value| value + near * random.signed()));
    }
    let valid: Vec<bool> = (0..DOCUMENTS).map(|at| !at.is_multiple_of(13)).collect();
    let item = Arc::new(arrow_schema::Field::new_list_field(arrow_schema::DataType::Float32, false));
    let values = Arc::new(arrow_array::Float32Array::from(values));
    let list = arrow_array::FixedSizeListArray::try_new(item, DIMENSION as i32, values, Some(valid.into()));
    keyed(vec![("embedding", Arc::new(list.unwrap()))])
}

fn sketch() -> RaceSketch {
    let parameters =
        RaceParameters { repetitions: 40, buckets: 16, ..RaceParameters::literal(DIMENSION as u32, 1.0, 1) };
    RaceSketch::new(parameters, &Fingerprint::new("embed", 1)).unwrap()
}

fn sample() -> EmbeddingSample {
    EmbeddingSample::new(50, DIMENSION, 4)
}

fn probe() -> NeighbourProbe {
    let mut sample = EmbeddingSample::new(80, DIMENSION, 2);
    sample.add_batch(&EmbeddingBatch::new(embeddings()).unwrap()).unwrap();
    NeighbourProbe::new(&sample, 30)
}

/// Numbers that stand for words, as a text of which all rows are n-grams of an evaluation.
fn documents_by_ngram() -> DocumentCounts {
    let mut index = IndexBuilder::new(5).unwrap();
    index.evaluation("numbers");
    let text = (0..300).map(|word: u32| word.to_string()).collect::<Vec<_>>().join(" ");
    index.item([text.as_str()]).unwrap();
    DocumentCounts::new(&index.finish().unwrap())
}

fn ngrams() -> RecordBatch {
    let mut random = Random::new(13);
    let known = documents_by_ngram().counts().len();
    let mut lists = ListBuilder::new(UInt32Builder::new());
    for _ in 0..DOCUMENTS {
        let mut own: Vec<u32> = (0..random.below(9)).map(|_| random.below(known) as u32).collect();
        own.sort_unstable();
        own.dedup();
        lists.append_value(own.into_iter().map(Some));
    }
    keyed(vec![("ngrams", Arc::new(lists.finish()))])
}

fn answers() -> RecordBatch {
    let mut random = Random::new(9);
    let mut column = || -> ArrayRef {
        let value = |at: usize| (!at.is_multiple_of(11)).then(|| f64::from(random.signed().abs()) / 2.0);
        Arc::new(Float64Array::from_iter((0..DOCUMENTS).map(value)))
    };
    let columns = vec![("p_yes", column()), ("p_no", column())];
    let failed: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; DOCUMENTS]));
    keyed(columns.into_iter().chain([("failed", failed)]).collect())
}

fn scores() -> impl Iterator<Item = f64> {
    let mut random = Random::new(11);
    (0..DOCUMENTS)
        .map(move |at| f64::from(if at.is_multiple_of(5) { 1.5 } else { random.signed().abs() + 1e-3 }))
}

fn ranks() -> Vec<MidRanks> {
    let one = |(at, score): (usize, f64)| {
        let mut ranks = MidRanks::new();
        ranks.add(["", "de", "en"][at % 3], score).unwrap();
        ranks
    };
    scores().enumerate().map(one).collect()
}

fn weights() -> Vec<PoissonSearch> {
    let one = |score: f64| {
        let mut weights = PoissonSearch::new();
        weights.add(score);
        weights
    };
    scores().map(one).collect()
}

fn search() -> ThresholdSearch {
    ThresholdSearch::new(vec![Target::Documents(40), Target::Bytes(2000)]).unwrap()
}

fn passes(search: &ThresholdSearch) -> Vec<Pass> {
    // Many of the best are equal, so that one pass does not tell them apart.
    let ranker = Ranker::new(Rule::Top, 7);
    let empty = search.begin_pass().unwrap();
    let one = |(at, score): (usize, f64)| {
        let mut pass = empty.empty();
        pass.add(&ranker.priority(key(at), score).unwrap(), 3, at as u64);
        pass
    };
    scores().enumerate().map(one).collect()
}
