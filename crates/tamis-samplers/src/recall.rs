//! What clustering misses: near pairs that no cluster holds together.
//!
//! Some query documents are held against the whole corpus, exactly, in one streamed product; each of their near documents is
//! either in reach of its clusters or not. Of the queries that have near documents at all, the share that has one in reach is the
//! recall of looking into clusters alone, with Wilson's interval (JASA 22, 1927, DOI 10.1080/01621459.1927.10502953); of
//! the near pairs, the share in reach weighs large groups by their size.

use tamis_core::{DocKey, Error, Result, Summary};

use crate::bytes::{ByteReader, finish, start};
use crate::cosines::Cosines;
use crate::density::normalize;

const WHAT: &str = "recall of clusters";
const MAGIC: [u8; 8] = *b"tamis-CR";
const VERSION: u32 = 1;

/// The clusters that a document is looked for in, the nearest first; equal ones where it is one.
pub type Reach = [u32; 2];

/// Documents that are held against all.
#[derive(Debug)]
pub struct Queries {
    dimension: usize,
    keys: Vec<DocKey>,
    reaches: Vec<Reach>,
    cosines: Cosines,
    /// Cosines above this are near.
    above: f32,
}

/// For each query, how many other documents are near it, and how many of these are in reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRecall {
    counts: Vec<[u64; 2]>,
}

/// Shares of what is in reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecallReport {
    /// Queries.
    pub queries: u64,
    /// Queries with a near document.
    pub with_near: u64,
    /// Of these the share with one in reach, in [0, 1]; `None` without any.
    pub recall: Option<f64>,
    /// Its interval of 95 %.
    pub interval: Option<(f64, f64)>,
    /// Near pairs of a query and another document.
    pub pairs: u64,
    /// Of these the share in reach.
    pub pair_recall: Option<f64>,
}

impl Queries {
    /// `values` are n finite embeddings of D values each, of any norm; near is a cosine above `above`.
    ///
    /// # Panics
    /// Numbers of keys and reaches that differ from that of the embeddings.
    #[must_use]
    pub fn new(
        mut values: Vec<f32>,
        dimension: usize,
        (keys, reaches): (Vec<DocKey>, Vec<Reach>),
        above: f32,
    ) -> Self {
        assert_eq!(
            [keys.len() * dimension, reaches.len() * dimension],
            [values.len(); 2],
            "one of each a query"
        );
        normalize(&mut values, dimension);
        Self { dimension, keys, reaches, cosines: Cosines::with(&values, dimension), above }
    }

    /// Holds m documents against the queries: their embeddings (m × D, finite), keys and reaches.
    ///
    /// # Panics
    /// As [`Queries::new`].
    #[must_use]
    pub fn compare(&self, mut values: Vec<f32>, keys: &[DocKey], reaches: &[Reach]) -> Vec<[u64; 2]> {
        assert_eq!([keys.len(), reaches.len()].map(|n| n * self.dimension), [values.len(); 2], "one of each");
        normalize(&mut values, self.dimension);
        let mut counts = vec![[0; 2]; self.keys.len()];
        self.cosines.each(&values, self.dimension, |row, cosines| {
            for (query, _) in cosines.iter().enumerate().filter(|(_, cosine)| **cosine > self.above) {
                if self.keys[query] != keys[row] {
                    let in_reach = self.reaches[query].iter().any(|cluster| reaches[row].contains(cluster));
                    counts[query][0] += 1;
                    counts[query][1] += u64::from(in_reach);
                }
            }
        });
        counts
    }

    /// Counts of no document.
    #[must_use]
    pub fn nothing(&self) -> ClusterRecall {
        ClusterRecall { counts: vec![[0; 2]; self.keys.len()] }
    }
}

impl ClusterRecall {
    /// The shares.
    #[must_use]
    pub fn report(&self) -> RecallReport {
        let near = || self.counts.iter().filter(|[near, _]| *near > 0);
        let with_near = near().count() as u64;
        let reached = near().filter(|[_, reached]| *reached > 0).count() as u64;
        let sum = |at: usize| self.counts.iter().map(|counts| counts[at]).sum::<u64>();
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        RecallReport {
            queries: self.counts.len() as u64,
            with_near,
            recall: share(reached, with_near),
            interval: (with_near > 0).then(|| wilson(reached as f64, with_near as f64)),
            pairs: sum(0),
            pair_recall: share(sum(1), sum(0)),
        }
    }
}

fn wilson(successes: f64, trials: f64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let share = successes / trials;
    let denominator = 1.0 + Z * Z / trials;
    let centre = (share + Z * Z / (2.0 * trials)) / denominator;
    let half = Z * (share * (1.0 - share) / trials + Z * Z / (4.0 * trials * trials)).sqrt() / denominator;
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

impl Summary for ClusterRecall {
    type Part = Vec<[u64; 2]>;

    fn empty(&self) -> Self {
        Self { counts: vec![[0; 2]; self.counts.len()] }
    }

    fn absorb(&mut self, part: Vec<[u64; 2]>) -> Result<()> {
        self.merge(Self { counts: part })
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        let refuse = |problem: &str| Err(Error::Merge { what: WHAT, problem: problem.to_owned() });
        if self.counts.len() != other.counts.len() {
            return refuse("the queries differ");
        }
        let both = || self.counts.as_flattened().iter().zip(other.counts.as_flattened());
        if both().any(|(a, b)| a.checked_add(*b).is_none()) {
            return refuse("a count would overflow");
        }
        let sums: Vec<u64> = both().map(|(a, b)| a + b).collect();
        self.counts = sums.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = start(MAGIC, VERSION);
        self.counts.as_flattened().iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
        finish(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = ByteReader::open(WHAT, MAGIC, VERSION, bytes)?;
        let queries = reader.rest().len() / 16;
        let mut counts = Vec::with_capacity(queries);
        for _ in 0..queries {
            let pair = [reader.u64()?, reader.u64()?];
            if pair[1] > pair[0] {
                return Err(reader.corrupt("more in reach than near"));
            }
            counts.push(pair);
        }
        reader.end()?;
        Ok(Self { counts })
    }

    fn size_bytes(&self) -> u64 {
        16 * self.counts.len() as u64 + 20
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_documents_are_counted_and_those_in_reach() {
        let key = |at: u8| DocKey::from_bytes([at; 16]);
        // Four directions; the second query has a near document in another cluster, the third has none.
        let queries = vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0];
        let reaches = vec![[0, 0], [1, 1], [2, 2]];
        let queries = Queries::new(queries, 2, ((0..3).map(key).collect(), reaches), 0.9);
        let documents = vec![1.0, 0.0, 2.0, 0.1, 0.0, 3.0, 0.1, 2.0, 1.0, 1.0];
        let keys: Vec<DocKey> = [0, 3, 1, 4, 5].map(key).to_vec();
        let mut recall = queries.nothing();
        recall.absorb(queries.compare(documents, &keys, &[[0, 0], [0, 0], [1, 1], [3, 3], [0, 1]])).unwrap();
        assert_eq!(recall.counts, [[1, 1], [1, 0], [0, 0]]);
        let report = recall.report();
        assert_eq!((report.queries, report.with_near, report.pairs), (3, 2, 2));
        assert_eq!((report.recall, report.pair_recall), (Some(0.5), Some(0.5)));
        let (low, high) = report.interval.unwrap();
        assert!((low - 0.0945).abs() < 1e-3 && (high - 0.9055).abs() < 1e-3, "{low} {high}");
        assert_eq!(queries.nothing().report().recall, None);
        let bytes = recall.encode();
        assert_eq!(ClusterRecall::decode(&bytes).unwrap(), recall);
        assert!((0..bytes.len()).all(|length| ClusterRecall::decode(&bytes[..length]).is_err()));
    }
}
