//! The state between passes.

use tamis_core::{Error, Result};

use super::super::{Priority, Rate};
use super::Threshold;
use super::histogram::{Bin, Histogram, Sums};
use super::pass::{MAX_TARGETS, Pass, Range};

/// How much to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Exactly round(rate × candidates) documents.
    Rate(Rate),
    /// This many documents, or all if there are fewer.
    Documents(u64),
    /// The longest prefix of the priority order that has at most this many tokens.
    Tokens(u64),
    /// The longest prefix of the priority order that has at most this many bytes of text.
    Bytes(u64),
}

impl Target {
    /// The limit and what counts towards it, once the number of candidates is known.
    fn limit(self, candidates: u64) -> Limit {
        match self {
            Self::Rate(rate) => Limit::Documents(rate.of(candidates)),
            Self::Documents(documents) => Limit::Documents(documents),
            Self::Tokens(tokens) => Limit::Tokens(tokens),
            Self::Bytes(bytes) => Limit::Bytes(bytes),
        }
    }
}

#[derive(Clone, Copy)]
enum Limit {
    Documents(u64),
    Tokens(u64),
    Bytes(u64),
}

impl Limit {
    fn fits(self, sums: Sums) -> bool {
        match self {
            Self::Documents(limit) => sums.documents <= limit,
            Self::Tokens(limit) => sums.tokens <= limit,
            Self::Bytes(limit) => sums.bytes <= limit,
        }
    }

    /// Whether more documents are asked for than `kept` has, so that the next group is taken whole.
    fn wants_document(self, kept: Sums) -> bool {
        matches!(self, Self::Documents(limit) if kept.documents < limit)
    }

    fn is_met(self, kept: Sums) -> bool {
        matches!(self, Self::Documents(limit) if kept.documents >= limit)
    }

    fn excess(self, kept: Sums) -> u64 {
        match self {
            Self::Documents(limit) => kept.documents.saturating_sub(limit),
            Self::Tokens(_) | Self::Bytes(_) => 0,
        }
    }
}

#[derive(Clone)]
enum State {
    /// The cut lies inside `range`, of which the search knows the sums.
    Inside {
        range: Range,
        /// `None` before the first pass.
        content: Option<Sums>,
        /// Everything before the range: kept.
        before: Sums,
        /// The first document after the range.
        next: Option<Priority>,
    },
    Found(Threshold),
}

/// Finds the thresholds of several targets in the same passes over the candidates.
///
/// ```
/// # use tamis_core::DocKey;
/// # use tamis_core::Rule;
/// # use tamis_samplers::{Ranker, Target, ThresholdSearch};
/// let ranker = Ranker::new(Rule::Random, 7);
/// let keys: Vec<DocKey> = (0..1000).map(|i| DocKey::from_id("", &i.to_string())).collect();
/// let mut search = ThresholdSearch::new(vec![Target::Documents(100), Target::Rate("20%".parse()?)])?;
/// while let Some(mut pass) = search.begin_pass() {
///     for &key in &keys {
///         pass.add(&ranker.priority(key, 1.0)?, 0, 0);
///     }
///     search.finish_pass(&pass)?;
/// }
/// let thresholds = search.thresholds().expect("no pass is left");
/// assert_eq!((thresholds[0].kept.documents, thresholds[1].kept.documents), (100, 200));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ThresholdSearch {
    targets: Vec<(Target, State)>,
    total: Option<Sums>,
    passes: usize,
}

impl ThresholdSearch {
    /// Targets that share a search at most.
    pub const MOST_TARGETS: usize = MAX_TARGETS;

    /// Nothing is known yet.
    ///
    /// # Errors
    /// More than 64 targets.
    pub fn new(targets: Vec<Target>) -> Result<Self> {
        if targets.len() > MAX_TARGETS {
            let problem = format!("{} targets, at most {MAX_TARGETS} share a search", targets.len());
            return Err(Error::Merge { what: "threshold search", problem });
        }
        let start =
            State::Inside { range: Range::everything(), content: None, before: Sums::default(), next: None };
        let targets = targets.into_iter().map(|target| (target, start.clone())).collect();
        Ok(Self { targets, total: None, passes: 0 })
    }

    /// An empty pass for all candidates to be added to; `None` when every threshold is known.
    #[must_use]
    pub fn begin_pass(&self) -> Option<Pass> {
        let ranges: Vec<Range> = self.open().map(|(range, _)| range).collect();
        (!ranges.is_empty()).then(|| Pass::new(ranges))
    }

    fn open(&self) -> impl Iterator<Item = (Range, Option<Sums>)> + '_ {
        self.targets.iter().filter_map(|(_, state)| match state {
            State::Inside { range, content, .. } => Some((*range, *content)),
            State::Found(_) => None,
        })
    }

    /// Takes in a complete pass.
    ///
    /// # Errors
    /// [`Error::Merge`] when the pass is not the one that [`Self::begin_pass`] gave, or when it saw other candidates than
    /// the pass before: the corpus or the scores changed meanwhile, or a part was left out or counted twice.
    pub fn finish_pass(&mut self, pass: &Pass) -> Result<()> {
        let refuse = |problem: String| Err(Error::Merge { what: "selection pass", problem });
        let Some(expected) = self.begin_pass() else {
            return refuse("every threshold is known already".to_owned());
        };
        expected.check_same_pass(pass)?;
        let sums = |histogram: &Histogram| {
            histogram.bins().fold(Sums::default(), |sums, (_, bin)| sums.plus(bin.sums))
        };
        for (range, content) in self.open() {
            let found = sums(table(pass, &range));
            if content.is_some_and(|content| content != found) {
                return refuse(format!(
                    "it saw other candidates than the pass before ({} of {} documents in a bin)",
                    found.documents,
                    content.unwrap_or_default().documents
                ));
            }
        }
        let total = match self.total {
            Some(total) => total,
            None => *self.total.insert(sums(table(pass, &Range::everything()))),
        };
        for (target, state) in &mut self.targets {
            if let State::Inside { range, before, next, .. } = state {
                let limit = target.limit(total.documents);
                *state = narrow(limit, *before, *next, table(pass, range), range.digit);
            }
        }
        self.passes += 1;
        Ok(())
    }

    /// All candidates; `None` before the first pass.
    #[must_use]
    pub fn total(&self) -> Option<Sums> {
        self.total
    }

    /// Passes taken in so far.
    #[must_use]
    pub fn passes(&self) -> usize {
        self.passes
    }

    /// One threshold a target, in their order; `None` while passes are left.
    #[must_use]
    pub fn thresholds(&self) -> Option<Vec<Threshold>> {
        self.targets
            .iter()
            .map(|(_, state)| match state {
                State::Found(threshold) => Some(threshold.clone()),
                State::Inside { .. } => None,
            })
            .collect()
    }
}

fn table<'a>(pass: &'a Pass, range: &Range) -> &'a Histogram {
    let found = pass.tables.iter().find(|(other, _)| other == range);
    &found.expect("the pass was checked to have every open range").1
}

/// Finds the bin in which the cut falls; decides there if it can.
fn narrow(limit: Limit, before: Sums, next: Option<Priority>, histogram: &Histogram, digit: usize) -> State {
    let found = |kept: Sums, first_rejected: Option<Priority>| {
        State::Found(Threshold { first_rejected, kept, over: limit.excess(kept) })
    };
    let mut kept = before;
    let mut bins = histogram.bins().map(|(_, bin)| bin).peekable();
    while let Some(Bin { sums, first, last }) = bins.next() {
        if limit.is_met(kept) {
            return found(kept, Some(*first));
        }
        if limit.fits(kept.plus(*sums)) {
            kept = kept.plus(*sums);
            continue;
        }
        match first.first_difference(last) {
            Some(difference) => {
                debug_assert!(difference > digit, "documents of a bin agree in its digit");
                let next = bins.peek().map(|bin| bin.first).or(next);
                let range = Range { first: *first, last: *last, digit: difference };
                return State::Inside { range, content: Some(*sums), before: kept, next };
            }
            // One group of equal keys shares its fate: it is kept whole while documents are wanted.
            None if limit.wants_document(kept) => kept = kept.plus(*sums),
            None => return found(kept, Some(*first)),
        }
    }
    found(kept, next)
}

/// The thresholds over candidates that can be gone through again: `(priority, tokens, bytes)` each.
///
/// # Errors
/// As [`ThresholdSearch::new`] and [`ThresholdSearch::finish_pass`].
pub fn find_thresholds<I>(targets: Vec<Target>, mut candidates: impl FnMut() -> I) -> Result<Vec<Threshold>>
where
    I: IntoIterator<Item = (Priority, u64, u64)>,
{
    let mut search = ThresholdSearch::new(targets)?;
    while let Some(mut pass) = search.begin_pass() {
        for (priority, tokens, bytes) in candidates() {
            pass.add(&priority, tokens, bytes);
        }
        search.finish_pass(&pass)?;
    }
    Ok(search.thresholds().expect("the loop ends when every threshold is known"))
}
