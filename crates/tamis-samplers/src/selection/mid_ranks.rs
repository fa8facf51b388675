//! Where a score stands among all: the mid-rank, for bands around a centre.
//!
//! The mid-rank of a score is (documents below + half of those equal) / documents, in (0, 1). A band keeps the documents
//! whose mid-rank q is nearest to a centre q₀: its priority is |q − q₀|, which no rate or budget enters, so that bands around
//! one centre nest. Ranks may be taken within strata (a language, a source): then each gives its own middle.
//!
//! Counts are kept by score, in classes of scores that agree in all but their last bits. With up to 2²¹ different scores the
//! classes are single scores and ranks are exact. Beyond, the last bits are dropped, one more for all classes at once, until
//! the bound holds; scores of one class share a rank. How many bits are dropped follows from the set of scores alone (the
//! fewest for which the bound holds), so counts merge in any order to the same ranks, and memory is bounded (about 100 MB).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tamis_core::{Error, Result, Summary};

use super::priority::ordered_image;
use super::rate::{ParseRateError, Rate, WHOLE};
use crate::bytes::{ByteReader, finish, start};

const WHAT: &str = "ranks within strata";
const MAGIC: [u8; 8] = *b"tamis-MR";
const VERSION: u32 = 1;
/// Twice as many have to fit a u64.
const MOST_DOCUMENTS: u64 = u64::MAX / 2;
/// One bit stays.
const MOST_DROPPED_BITS: u32 = 63;
/// A class in a map.
const CLASS_BYTES: u64 = 48;

/// Classes of scores over all strata. With 63 bits dropped a stratum has two, so that the bound can always be kept.
const MOST_CLASSES: usize = 1 << 21;
/// More strata than this are ids, not strata.
pub const MOST_STRATA: usize = 1 << 16;

/// A place in an order, in [0, 1], as an exact decimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantile {
    parts: u64,
}

impl Quantile {
    /// As a number in [0, 1].
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.parts as f64 / WHOLE as f64
    }

    /// The median.
    pub const MIDDLE: Self = Self { parts: WHOLE / 2 };

    /// Reads `50%`, `0.5`, `0%`, `100%`.
    ///
    /// # Errors
    /// As [`Rate::parse`], but that 0 is a quantile.
    pub fn parse(text: &str) -> Result<Self, ParseRateError> {
        match Rate::parse(text) {
            Ok(rate) => Ok(Self { parts: rate.parts() }),
            Err(ParseRateError::Zero { .. }) => Ok(Self { parts: 0 }),
            Err(error) => Err(error),
        }
    }
}

impl TryFrom<String> for Quantile {
    type Error = ParseRateError;

    fn try_from(text: String) -> Result<Self, ParseRateError> {
        Self::parse(&text)
    }
}

impl From<Quantile> for String {
    fn from(quantile: Quantile) -> Self {
        quantile.to_string()
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts {
            0 => f.write_str("0%"),
            _ => write!(f, "{}", Rate::of_parts(self.parts)),
        }
    }
}

/// Counts of scores by stratum. Parts merge in any order to the same ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MidRanks {
    most_classes: usize,
    dropped_bits: u32,
    classes: usize,
    documents: u64,
    strata: BTreeMap<String, BTreeMap<u64, u64>>,
}

impl Default for MidRanks {
    fn default() -> Self {
        Self::new()
    }
}

impl MidRanks {
    /// Holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with_most_classes(MOST_CLASSES)
    }

    fn with_most_classes(most_classes: usize) -> Self {
        Self { most_classes, dropped_bits: 0, classes: 0, documents: 0, strata: BTreeMap::new() }
    }

    /// Adds a document.
    ///
    /// # Errors
    /// [`Error::Merge`] when there are more than 65,536 strata.
    ///
    /// # Panics
    /// When the score is NaN.
    pub fn add(&mut self, stratum: &str, score: f64) -> Result<()> {
        self.add_weighted(stratum, score, 1)
    }

    /// Adds a document that counts as many, such as its tokens; one that counts as none is not there.
    ///
    /// # Errors
    /// [`Error::Merge`] when there are more than 65,536 strata, or more documents than can be counted.
    ///
    /// # Panics
    /// When the score is NaN.
    pub fn add_weighted(&mut self, stratum: &str, score: f64, weight: u64) -> Result<()> {
        if self.documents.checked_add(weight).is_none_or(|sum| sum > MOST_DOCUMENTS) {
            return Err(Error::Merge { what: WHAT, problem: "a count would overflow".to_owned() });
        }
        match weight {
            0 => Ok(()),
            weight => self.count(stratum, ordered_image(score) >> self.dropped_bits, weight),
        }
    }

    fn count(&mut self, stratum: &str, class: u64, documents: u64) -> Result<()> {
        if !self.strata.contains_key(stratum) {
            if self.strata.len() == MOST_STRATA {
                let problem = format!("more than {MOST_STRATA} strata");
                return Err(Error::Merge { what: WHAT, problem });
            }
            self.strata.insert(stratum.to_owned(), BTreeMap::new());
        }
        let counts = self.strata.get_mut(stratum).expect("inserted above where it was absent");
        let known = counts.len();
        *counts.entry(class).or_default() += documents;
        self.documents += documents;
        self.classes += counts.len() - known;
        while self.classes > self.most_classes {
            self.coarsen();
        }
        Ok(())
    }

    /// Drops one more bit of every class.
    fn coarsen(&mut self) {
        self.dropped_bits += 1;
        self.classes = 0;
        for counts in self.strata.values_mut() {
            let mut coarse = BTreeMap::new();
            for (class, documents) in std::mem::take(counts) {
                *coarse.entry(class >> 1).or_default() += documents;
            }
            self.classes += coarse.len();
            *counts = coarse;
        }
    }

    /// The ranks, once everything is counted.
    #[must_use]
    pub fn quantiles(self) -> Quantiles {
        let strata = self.strata.into_iter().map(|(stratum, counts)| {
            let mut below = 0;
            let places = counts.into_iter().map(|(class, documents)| {
                below += documents;
                Place { class, doubled_rank: u128::from(2 * below - documents), above: u128::from(below) }
            });
            let places: Vec<Place> = places.collect();
            (stratum, Stratum { places, documents: below })
        });
        Quantiles { dropped_bits: self.dropped_bits, strata: strata.collect() }
    }
}

impl Summary for MidRanks {
    /// Of the rows of a shard, say.
    type Part = Self;

    fn empty(&self) -> Self {
        Self::with_most_classes(self.most_classes)
    }

    fn absorb(&mut self, part: Self) -> Result<()> {
        self.merge(part)
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        let refuse = |problem: &str| Err(Error::Merge { what: WHAT, problem: problem.to_owned() });
        if self.most_classes != other.most_classes {
            return refuse("another number of classes is possible");
        }
        if self.documents.checked_add(other.documents).is_none_or(|sum| sum > MOST_DOCUMENTS) {
            return refuse("a count would overflow");
        }
        while self.dropped_bits < other.dropped_bits {
            self.coarsen();
        }
        for (stratum, counts) in &other.strata {
            for (class, documents) in counts {
                // Counting may drop more bits.
                let class = class >> (self.dropped_bits - other.dropped_bits);
                self.count(stratum, class, *documents)?;
            }
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = start(MAGIC, VERSION);
        out.extend_from_slice(&(self.most_classes as u64).to_le_bytes());
        out.extend_from_slice(&self.dropped_bits.to_le_bytes());
        out.extend_from_slice(&(self.strata.len() as u64).to_le_bytes());
        for (stratum, counts) in &self.strata {
            out.extend_from_slice(&(stratum.len() as u64).to_le_bytes());
            out.extend_from_slice(stratum.as_bytes());
            out.extend_from_slice(&(counts.len() as u64).to_le_bytes());
            for (class, documents) in counts {
                out.extend_from_slice(&class.to_le_bytes());
                out.extend_from_slice(&documents.to_le_bytes());
            }
        }
        finish(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = ByteReader::open(WHAT, MAGIC, VERSION, bytes)?;
        let most_classes = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
        let mut ranks = Self { dropped_bits: reader.u32()?, ..Self::with_most_classes(most_classes) };
        if ranks.dropped_bits > MOST_DROPPED_BITS {
            return Err(reader.corrupt("more bits were dropped than there are"));
        }
        let count = reader.u64()?;
        if count > MOST_STRATA as u64 {
            return Err(reader.corrupt(format!("{count} strata, at most {MOST_STRATA} are possible")));
        }
        for _ in 0..count {
            let length = reader.u64()?;
            let name = reader.take(usize::try_from(length).unwrap_or(usize::MAX))?;
            let name =
                std::str::from_utf8(name).map_err(|_| reader.corrupt("the name of a stratum is no text"))?;
            if ranks.strata.last_key_value().is_some_and(|(before, _)| before.as_str() >= name) {
                return Err(reader.corrupt("strata are not in order"));
            }
            let mut counts = BTreeMap::new();
            let classes = reader.u64()?;
            for _ in 0..classes {
                let (class, documents) = (reader.u64()?, reader.u64()?);
                let rises = counts.last_key_value().is_none_or(|(before, _)| *before < class);
                let sum = ranks.documents.checked_add(documents).filter(|sum| *sum <= MOST_DOCUMENTS);
                match sum {
                    Some(sum) if rises && documents > 0 && class <= u64::MAX >> ranks.dropped_bits => {
                        ranks.documents = sum;
                    }
                    _ => return Err(reader.corrupt("a class is impossible")),
                }
                counts.insert(class, documents);
            }
            ranks.classes += counts.len();
            if counts.is_empty() || ranks.classes > most_classes {
                return Err(reader.corrupt(format!("{} classes are impossible", ranks.classes)));
            }
            ranks.strata.insert(name.to_owned(), counts);
        }
        reader.end()?;
        Ok(ranks)
    }

    /// In memory, see the module; stored it takes about a third of that. Names of strata come on top.
    fn size_bytes(&self) -> u64 {
        (self.most_classes as u64).saturating_mul(CLASS_BYTES)
    }
}

/// Mid-ranks of all scores that were counted.
#[derive(Clone, Debug)]
pub struct Quantiles {
    dropped_bits: u32,
    strata: BTreeMap<String, Stratum>,
}

#[derive(Clone, Debug)]
struct Stratum {
    /// By class.
    places: Vec<Place>,
    documents: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    class: u64,
    /// Twice the documents below and once those of this class.
    doubled_rank: u128,
    /// The documents up to this class.
    above: u128,
}

impl Quantiles {
    /// Whether every score has a rank of its own, or some share one because there are too many.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.dropped_bits == 0
    }

    /// What was counted of a stratum.
    #[must_use]
    pub fn total(&self, stratum: &str) -> u64 {
        self.strata.get(stratum).map_or(0, |stratum| stratum.documents)
    }

    /// Names of the strata, in order.
    pub fn strata(&self) -> impl Iterator<Item = &str> {
        self.strata.keys().map(String::as_str)
    }

    /// The share of a stratum with lower scores, and that with scores up to this one, in [0, 1]; `None` for a score that was not
    /// counted.
    #[must_use]
    pub fn range(&self, stratum: &str, score: f64) -> Option<(f64, f64)> {
        if score.is_nan() {
            return None;
        }
        let class = ordered_image(score) >> self.dropped_bits;
        let Stratum { places, documents } = self.strata.get(stratum)?;
        let at = places.binary_search_by_key(&class, |place| place.class).ok()?;
        let below = at.checked_sub(1).map_or(0, |before| places[before].above);
        let share = |count: u128| count as f64 / *documents as f64;
        Some((share(below), share(places[at].above)))
    }

    /// |q − q₀| of a score within its stratum, in [0, 1]; `None` for one that was not counted.
    ///
    /// Computed from integers, so that scores at equal distances on both sides are equally far.
    #[must_use]
    pub fn distance(&self, stratum: &str, score: f64, centre: Quantile) -> Option<f64> {
        if score.is_nan() {
            return None;
        }
        let class = ordered_image(score) >> self.dropped_bits;
        let Stratum { places, documents } = self.strata.get(stratum)?;
        let at = places.binary_search_by_key(&class, |place| place.class).ok()?;
        let doubled_documents = 2 * u128::from(*documents);
        let rank = places[at].doubled_rank * u128::from(WHOLE);
        let centre = u128::from(centre.parts) * doubled_documents;
        Some(rank.abs_diff(centre) as f64 / (doubled_documents * u128::from(WHOLE)) as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 3] = ["", "de", "en"];

    fn counted(most_classes: usize, scores: &[(usize, f64)]) -> MidRanks {
        let mut ranks = MidRanks::with_most_classes(most_classes);
        scores.iter().for_each(|(stratum, score)| ranks.add(NAMES[*stratum], *score).unwrap());
        ranks
    }

    fn scores() -> impl Strategy<Value = Vec<(usize, f64)>> {
        let score = prop_oneof![(-3..4).prop_map(f64::from), -2.0..2.0f64, Just(-0.0)];
        prop::collection::vec((0..3usize, score), 1..80)
    }

    proptest! {
        #[test]
        fn distances_are_those_of_mid_ranks_within_the_stratum(scores in scores(), percent in 0..=100u32) {
            let centre = Quantile::parse(&format!("{percent}%")).unwrap();
            let quantiles = counted(1000, &scores).quantiles();
            prop_assert!(quantiles.is_exact());
            for (stratum, score) in &scores {
                let own = scores.iter().filter(|(other, _)| other == stratum).map(|(_, other)| *other);
                let own: Vec<f64> = own.collect();
                let below = own.iter().filter(|other| *other < score).count() as f64;
                let equal = own.iter().filter(|other| *other == score).count() as f64;
                let expected = ((below + equal / 2.0) / own.len() as f64 - f64::from(percent) / 100.0).abs();
                let found = quantiles.distance(NAMES[*stratum], *score, centre).unwrap();
                prop_assert!((found - expected).abs() < 1e-12, "{} {}", found, expected);
            }
        }

        #[test]
        fn parts_merge_in_any_order_whether_bits_are_dropped_or_not(
            scores in scores(),
            most_classes in 6..60usize,
            parts in 1..5usize,
            backwards in any::<bool>(),
        ) {
            let whole = counted(most_classes, &scores);
            let mut pieces: Vec<MidRanks> = (0..parts)
                .map(|part| {
                    let own: Vec<_> = scores.iter().skip(part).step_by(parts).copied().collect();
                    counted(most_classes, &own)
                })
                .collect();
            if backwards {
                pieces.reverse();
            }
            let mut merged = MidRanks::with_most_classes(most_classes);
            pieces.into_iter().for_each(|piece| merged.merge(piece).unwrap());
            prop_assert_eq!(&merged, &whole);
            prop_assert!(whole.classes <= most_classes);
        }

        #[test]
        fn coarse_ranks_keep_the_order(scores in scores()) {
            let quantiles = counted(6, &scores).quantiles();
            let bottom = Quantile::parse("0%").unwrap();
            let mut own: Vec<f64> = scores.iter().filter(|(at, _)| *at == 0).map(|(_, score)| *score).collect();
            own.sort_by(f64::total_cmp);
            let ranks: Vec<f64> = own.iter().map(|s| quantiles.distance("", *s, bottom).unwrap()).collect();
            prop_assert!(ranks.is_sorted());
        }
    }

    #[test]
    fn both_sides_of_the_centre_are_equally_far() {
        let scores: Vec<(usize, f64)> = (0..7).map(|at| (0, f64::from(at))).collect();
        let quantiles = counted(100, &scores).quantiles();
        let far = |score: f64| quantiles.distance("", score, Quantile::MIDDLE).unwrap();
        assert_eq!((far(2.0), far(1.0), far(0.0)), (far(4.0), far(5.0), far(6.0)));
        assert_eq!(far(3.0), 0.0);
        assert_eq!(quantiles.distance("", 2.5, Quantile::MIDDLE), None);
        assert_eq!(quantiles.distance("fr", 2.0, Quantile::MIDDLE), None);
        assert_eq!(quantiles.distance("", f64::NAN, Quantile::MIDDLE), None);
    }

    #[test]
    fn quantiles_are_read_and_written_back() {
        for text in ["0%", "50%", "12.5%", "100%"] {
            assert_eq!(Quantile::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Quantile::parse("0.5").unwrap(), Quantile::MIDDLE);
        assert!(Quantile::parse("50").is_err() && Quantile::parse("101%").is_err());
    }
}
