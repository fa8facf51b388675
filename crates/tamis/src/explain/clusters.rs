//! Clusters for people: how large each is, which words are typical of it, which documents lie nearest to its centroid.
//!
//! Words are those of a seeded sample of documents (units of [`tamis_samplers::minhash::words`] of three characters and more), counted
//! once a document. Typical is what is said in a cluster more often than elsewhere beyond chance: log odds with a prior of all documents,
//! divided by their standard error (Monroe, Colaresi & Quinn 2008, DOI 10.1093/pan/mpn018).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use serde::Serialize;
use tamis_core::{DocKey, column};
use tamis_io::run::{CorpusVersion, ShardRecord, SignalDir};
use tamis_io::sidecar::SidecarColumns;
use tamis_samplers::clusters::{CLUSTER, SIMILARITY};
use tamis_samplers::{UniformDraws, minhash, ordered_image};

use crate::project::Project;
use crate::{Result, pool};

/// Documents whose words are counted.
const SAMPLED: f64 = 20_000.0;
/// Words and documents that are named of a cluster.
const NAMED_WORDS: usize = 6;
const NAMED_DOCUMENTS: usize = 3;
/// Characters of a word at least.
const SHORTEST: usize = 3;
/// Standard errors from which a word is typical.
const BEYOND_CHANCE: f64 = 2.0;
/// Documents that the prior counts as.
const PRIOR: f64 = 10.0;

/// A cluster, as people see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterReport {
    /// Its number.
    pub cluster: u32,
    /// Its documents.
    pub documents: u64,
    /// Mean cosine to the centroid.
    pub similarity: f64,
    /// Typical words, the most typical first.
    pub words: Vec<String>,
    /// Ids (keys where there are none) of the documents nearest to the centroid, the nearest first.
    pub nearest: Vec<String>,
}

/// Clusters of a run, the largest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClustersReport {
    /// Full name of the signal.
    pub signal: String,
    /// Documents whose words were counted.
    pub sampled: u64,
    /// One a cluster that has documents.
    pub clusters: Vec<ClusterReport>,
}

/// What is known of a cluster after its sidecars were read.
#[derive(Default)]
struct Gathered {
    documents: u64,
    /// In units of 2⁻³⁰, so that their order does not matter.
    similarity: i128,
    /// The nearest by similarity, then key.
    nearest: BTreeSet<(Reverse<u64>, DocKey)>,
}

impl Gathered {
    fn add(&mut self, similarity: f64, key: DocKey) {
        self.documents += 1;
        self.similarity += (similarity * f64::from(1 << 30)) as i128;
        self.offer(Reverse(ordered_image(similarity)), key);
    }

    fn offer(&mut self, similarity: Reverse<u64>, key: DocKey) {
        self.nearest.insert((similarity, key));
        while self.nearest.len() > NAMED_DOCUMENTS {
            self.nearest.pop_last();
        }
    }

    fn merge(&mut self, other: Self) {
        self.documents += other.documents;
        self.similarity += other.similarity;
        other.nearest.into_iter().for_each(|(similarity, key)| self.offer(similarity, key));
    }
}

/// What all shards have: clusters, words, and sampled documents by cluster.
type Found = (BTreeMap<u32, Gathered>, Words, BTreeMap<u32, u64>);

/// Documents of the sample that a word is in, by cluster.
type Words = HashMap<String, BTreeMap<u32, u64>>;

impl Project {
    /// The clusters of a run.
    ///
    /// # Errors
    /// A run without clusters, or with several; documents that cannot be read.
    pub fn clusters(&self) -> Result<ClustersReport> {
        let version = self.latest_version()?;
        let signal = self.run.resolve("clusters")?;
        let rate = SAMPLED / version.documents().max(1) as f64;
        let draws = UniformDraws::new(0, "cluster-words");
        let found: Mutex<Found> = Mutex::default();
        self.observer.begin("read clusters", version.documents());
        pool::map(version.shards.iter().collect(), self.threads, |shard: &ShardRecord| {
            self.go_on()?;
            let (gathered, sampled) = gather(&signal, shard, |key| draws.unit(key) < rate)?;
            let (words, counted) = self.words_of(shard, &sampled)?;
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            gathered.into_iter().for_each(|(cluster, own)| found.0.entry(cluster).or_default().merge(own));
            for (word, clusters) in words {
                let entry = found.1.entry(word).or_default();
                clusters.into_iter().for_each(|(cluster, n)| *entry.entry(cluster).or_default() += n);
            }
            counted.into_iter().for_each(|(cluster, n)| *found.2.entry(cluster).or_default() += n);
            self.observer.advance(shard.documents, 0, shard.documents);
            Ok(())
        })?;
        self.observer.end();
        let (gathered, words, counted) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let typical = typical(&words, &counted);
        let names =
            self.names_of(&version, gathered.values().flat_map(|own| own.nearest.iter()).map(|one| one.1))?;
        let mut clusters: Vec<ClusterReport> = gathered
            .into_iter()
            .map(|(cluster, own)| ClusterReport {
                cluster,
                documents: own.documents,
                similarity: own.similarity as f64 / f64::from(1 << 30) / own.documents.max(1) as f64,
                words: typical.get(&cluster).cloned().unwrap_or_default(),
                nearest: own
                    .nearest
                    .iter()
                    .map(|(_, key)| names.get(key).cloned().unwrap_or_else(|| key.to_string()))
                    .collect(),
            })
            .collect();
        clusters.sort_by_key(|one| (Reverse(one.documents), one.cluster));
        let sampled = counted.values().sum();
        Ok(ClustersReport { signal: signal.full_name().to_owned(), sampled, clusters })
    }

    /// Words of the sampled documents of a shard, by the cluster of each, and how many documents those are.
    fn words_of(
        &self,
        shard: &ShardRecord,
        sampled: &BTreeMap<usize, u32>,
    ) -> Result<(Words, BTreeMap<u32, u64>)> {
        let (mut words, mut counted) = (Words::new(), BTreeMap::new());
        let mut at = 0;
        if sampled.is_empty() {
            return Ok((words, counted));
        }
        self.documents_from(shard, 0, |documents| {
            let texts = documents.texts();
            for (document, cluster) in sampled.range(at..at + documents.len()) {
                let mut own = BTreeSet::new();
                minhash::words::each_unit(texts.value(document - at), |unit| {
                    if let Ok(unit) = std::str::from_utf8(unit)
                        && unit.chars().nth(SHORTEST - 1).is_some()
                        && unit.chars().any(char::is_alphabetic)
                        && !own.contains(unit)
                    {
                        own.insert(unit.to_owned());
                    }
                });
                *counted.entry(*cluster).or_default() += 1;
                for word in own {
                    *words.entry(word).or_default().entry(*cluster).or_default() += 1;
                }
            }
            at += documents.len();
            self.go_on().map(|()| true)
        })?;
        Ok((words, counted))
    }

    /// Ids of some documents, where they have one.
    fn names_of(
        &self,
        version: &CorpusVersion,
        keys: impl Iterator<Item = DocKey>,
    ) -> Result<BTreeMap<DocKey, String>> {
        let wanted: BTreeSet<DocKey> = keys.collect();
        let mut names = BTreeMap::new();
        let columns = [column::DOC_KEY, column::ID];
        for shard in &version.shards {
            for batch in self.run.read_inventory(&shard.path, SidecarColumns::Named(&columns))? {
                let batch = batch?;
                let of = |name: &str| batch.column_by_name(name).expect("the column was asked for");
                let (keys, ids) =
                    (of(column::DOC_KEY).as_fixed_size_binary(), of(column::ID).as_string::<i32>());
                for at in (0..batch.num_rows()).filter(|&at| ids.is_valid(at)) {
                    let key = DocKey::from_bytes(keys.value(at).try_into().expect("keys have 16 bytes"));
                    if wanted.contains(&key) {
                        names.insert(key, ids.value(at).to_owned());
                    }
                }
            }
        }
        Ok(names)
    }
}

/// Clusters of a shard, and the cluster of each document that `wanted` takes, by its number in the shard.
fn gather(
    signal: &SignalDir,
    shard: &ShardRecord,
    wanted: impl Fn(DocKey) -> bool,
) -> Result<(BTreeMap<u32, Gathered>, BTreeMap<usize, u32>)> {
    let (mut gathered, mut sampled) = (BTreeMap::<u32, Gathered>::new(), BTreeMap::new());
    let columns = [column::ROW, column::DOC_KEY, CLUSTER, SIMILARITY];
    let mut before = 0;
    for batch in signal.read(shard, SidecarColumns::Named(&columns))? {
        let batch: RecordBatch = batch?;
        let of = |name: &str| batch.column_by_name(name).expect("the column was asked for");
        let keys = of(column::DOC_KEY).as_fixed_size_binary();
        let clusters = of(CLUSTER).as_primitive::<UInt32Type>();
        let similarities = of(SIMILARITY).as_primitive::<Float64Type>();
        for at in (0..batch.num_rows()).filter(|&at| clusters.is_valid(at)) {
            let key = DocKey::from_bytes(keys.value(at).try_into().expect("keys have 16 bytes"));
            gathered.entry(clusters.value(at)).or_default().add(similarities.value(at), key);
            if wanted(key) {
                sampled.insert(before + at, clusters.value(at));
            }
        }
        before += batch.num_rows();
    }
    Ok((gathered, sampled))
}

/// The typical words of each cluster.
fn typical(words: &Words, counted: &BTreeMap<u32, u64>) -> BTreeMap<u32, Vec<String>> {
    let all = counted.values().sum::<u64>() as f64;
    let mut best: BTreeMap<u32, Vec<(f64, &String)>> = BTreeMap::new();
    for (word, clusters) in words {
        let everywhere = clusters.values().sum::<u64>() as f64;
        let prior = PRIOR * everywhere / all.max(1.0);
        for (cluster, here) in clusters.iter().filter(|(_, here)| **here > 1) {
            let (here, of) = (*here as f64, counted.get(cluster).copied().unwrap_or(0) as f64);
            // Documents with the word and without it, the prior's among them.
            let table = |count: f64, of: f64| [count + prior, (of - count + PRIOR - prior).max(0.5)];
            let (own, other) = (table(here, of), table(everywhere - here, all - of));
            let error = own.iter().chain(&other).map(|count| 1.0 / count).sum::<f64>().sqrt();
            let beyond = ((own[0] / own[1]).ln() - (other[0] / other[1]).ln()) / error;
            if beyond > BEYOND_CHANCE {
                best.entry(*cluster).or_default().push((beyond, word));
            }
        }
    }
    let named = |mut words: Vec<(f64, &String)>| {
        words.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
        words.into_iter().take(NAMED_WORDS).map(|(_, word)| word.clone()).collect()
    };
    best.into_iter().map(|(cluster, words)| (cluster, named(words))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typical_words_are_those_that_are_said_here_and_not_elsewhere() {
        let counted = BTreeMap::from([(0, 100), (1, 100)]);
        let of = |here: u64, there: u64| BTreeMap::from([(0, here), (1, there)]);
        let words = Words::from([
            ("the".to_owned(), of(99, 98)),
            ("tide".to_owned(), of(60, 1)),
            ("boat".to_owned(), of(30, 2)),
            ("bread".to_owned(), of(1, 70)),
            ("once".to_owned(), BTreeMap::from([(0, 1)])),
        ]);
        let typical = typical(&words, &counted);
        assert_eq!(typical[&0], ["tide", "boat"]);
        assert_eq!(typical[&1], ["bread"]);
    }
}
