//! Interpolated modified Kneser–Ney, by sorting.
//!
//! Heafield et al. (2013), section 3; Chen & Goodman (1999), section 4.1 and equation 26:
//!
//! 1. Sort the counted n-grams by their ends. Walking through them, every shorter n-gram is met together with all its
//!    extensions to the left: its adjusted count is their number, or how often it occurred where it begins with `<s>` or is
//!    of full length.
//! 2. Counts of adjusted counts give the discounts D₁, D₂, D₃₊ of every length.
//! 3. Sort each length by context: u(w|h) = (c(hw) − D(c)) / Σ c(h·), γ(h) = (Σᵢ Dᵢ·Nᵢ(h·) + Σ c of pruned) / Σ c(h·).
//! 4. Sort by ends again: p(w|h) = u(w|h) + γ(h)·p(w|h′), down to the uniform distribution over all words, `</s>` and
//!    `<unk>`.
//!
//! Time O(n log n) in the distinct n-grams; memory as allowed, disk about 60 bytes an n-gram beyond that. Sums of counts are
//! integers, so that the file is the same to the byte for any order of documents, number of threads and memory.

use std::io::Write;

use super::count::{join, split};
use super::sort::{Sorted, Sorter};
use super::vocabulary::{BEGIN_ID, FIRST_ID, UNKNOWN_ID};
use super::{ArpaHeader, BEGIN, Counter, END, Scratch, Tally, TrainError, UNKNOWN};

/// Discounts for n-grams that were seen once, twice, and more often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Discounts(pub [f64; 3]);

impl Discounts {
    fn of(&self, count: u64) -> f64 {
        match count {
            0 => 0.0,
            count => self.0[count.min(3) as usize - 1],
        }
    }
}

/// Discounts where the closed form gives none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FallbackDiscounts(Discounts);

impl FallbackDiscounts {
    /// Discounts for counts of 1, 2, and 3 or more.
    ///
    /// # Errors
    /// A discount below 0 or above the count that it is taken from.
    pub fn new(discounts: [f64; 3]) -> Result<Self, TrainError> {
        for (at, discount) in discounts.iter().enumerate() {
            if !(0.0..=(at + 1) as f64).contains(discount) {
                let problem =
                    format!("a discount of {discount} for a count of {} is not between 0 and it", at + 1);
                return Err(TrainError::Parameter(problem));
            }
        }
        Ok(Self(Discounts(discounts)))
    }
}

impl Default for FallbackDiscounts {
    fn default() -> Self {
        Self(Discounts([0.5, 1.0, 1.5]))
    }
}

/// How to estimate.
#[derive(Clone, Debug)]
pub struct Estimator {
    /// n-grams that occur at most so often are left out, by length; the last value holds for all longer ones. Not decreasing.
    pub prune: Vec<u64>,
    /// Discounts where the corpus gives none; `None` refuses it.
    pub fallback: Option<FallbackDiscounts>,
    /// Memory for n-grams; what does not fit goes to disk.
    pub memory_bytes: u64,
    /// Threads that sort.
    pub threads: usize,
}

impl Estimator {
    /// Refuses what no text could make right, for models of `order`.
    ///
    /// # Errors
    /// Pruning thresholds that decrease, or more of them than there are lengths.
    pub fn check(&self, order: usize) -> Result<(), TrainError> {
        if self.prune.windows(2).any(|pair| pair[0] > pair[1]) || self.prune.len() > order {
            let problem =
                format!("pruning thresholds must be at most {order} and not decrease: {:?}", self.prune);
            return Err(TrainError::Parameter(problem));
        }
        Ok(())
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimated {
    /// What was counted.
    pub tally: Tally,
    /// n-grams of each length in the model.
    pub counts: Vec<u64>,
    /// n-grams of each length before pruning.
    pub counts_before_pruning: Vec<u64>,
    /// Discounts of each length.
    pub discounts: Vec<Discounts>,
    /// Lengths of which the discounts are the fallback's.
    pub fallbacks: Vec<usize>,
}

/// Learns how far the estimate is.
pub trait Progress {
    /// A step of so many n-grams begins; the one before is done.
    fn begin(&self, step: &str, ngrams: u64);
    /// So many more n-grams of the step are done.
    fn advance(&self, ngrams: u64);
}

/// n-grams between two calls of [`Progress::advance`].
const REPORTED_EVERY: u64 = 1 << 18;

/// Words in byte order.
struct Words {
    text: String,
    ends: Vec<usize>,
}

impl Words {
    fn get(&self, id: u32) -> &str {
        match id {
            0 => UNKNOWN,
            1 => BEGIN,
            2 => END,
            id => {
                let at = (id - FIRST_ID) as usize;
                let from = if at == 0 { 0 } else { self.ends[at - 1] };
                &self.text[from..self.ends[at]]
            }
        }
    }
}

/// What is known of the n-grams of one length once they were walked through.
#[derive(Clone, Copy, Debug, Default)]
struct OrderStatistics {
    /// n-grams with an adjusted count of 1, 2, 3, 4.
    of_count: [u64; 4],
    all: u64,
    kept: u64,
}

struct Plan<'a> {
    order: usize,
    options: &'a Estimator,
    scratch: &'a dyn Scratch,
    progress: &'a dyn Progress,
    reported: u64,
}

impl<'a> Plan<'a> {
    /// A sorter with its part of the memory: longer n-grams are more and larger.
    fn sorter(&self, lanes: usize, length: usize, part: f64) -> Sorter<'a> {
        let weight = |length: usize| (length * length) as f64;
        let all: f64 = (1..=self.order).map(weight).sum();
        let bytes = self.options.memory_bytes as f64 * part * weight(length) / all;
        Sorter::new(lanes, bytes as u64, self.options.threads, self.scratch)
    }

    fn tick(&mut self) {
        self.reported += 1;
        if self.reported == REPORTED_EVERY {
            self.progress.advance(self.reported);
            self.reported = 0;
        }
    }

    fn begin(&mut self, step: &str, ngrams: u64) {
        self.reported = 0;
        self.progress.begin(step, ngrams);
    }

    fn threshold(&self, length: usize) -> u64 {
        let prune = &self.options.prune;
        prune.get(length - 1).or(prune.last()).copied().unwrap_or(0)
    }
}

/// Estimates a model from what counters hold and writes it as an ARPA file.
///
/// # Errors
/// [`TrainError`]; nothing useful was written then.
///
/// # Panics
/// Without a counter, or with counters of different orders.
pub fn estimate(
    mut counters: Vec<Counter>,
    options: &Estimator,
    header: &ArpaHeader,
    scratch: &dyn Scratch,
    progress: &dyn Progress,
    out: &mut dyn Write,
) -> Result<Estimated, TrainError> {
    let order = counters[0].order;
    assert!(counters.iter().all(|counter| counter.order == order), "counters of one order");
    options.check(order)?;
    let mut tally = Tally::default();
    for counter in &counters {
        tally.add(counter.tally);
    }
    if tally.words == 0 {
        return Err(TrainError::NoWords);
    }
    let mut plan = Plan { order, options, scratch, progress, reported: 0 };
    let (words, counted) = collect(&mut plan, &mut counters)?;
    drop(counters);
    let (by_context, statistics) = adjust(&mut plan, counted, tally)?;
    let mut fallbacks = Vec::new();
    let mut discounts = Vec::new();
    for (at, statistics) in statistics.iter().enumerate() {
        discounts.push(match (discounts_of(statistics), options.fallback) {
            (Ok(discounts), _) => discounts,
            (Err(_), Some(FallbackDiscounts(fallback))) => {
                fallbacks.push(at + 1);
                fallback
            }
            (Err(problem), None) => return Err(TrainError::Discount { order: at + 1, problem }),
        });
    }
    // `<s>` is a unigram of the file, and `<unk>`; neither was counted.
    let mut counts: Vec<u64> = statistics.iter().map(|statistics| statistics.kept).collect();
    counts[0] += 2;
    let mut all: Vec<u64> = statistics.iter().map(|statistics| statistics.all).collect();
    all[0] += 2;
    let estimated = Estimated { tally, counts, counts_before_pruning: all, discounts, fallbacks };
    write_header(&estimated, header, options, out)?;
    let levels = normalise(&mut plan, by_context, &estimated)?;
    interpolate(&mut plan, levels, &estimated, &words, out)?;
    writeln!(out, "\\end\\")?;
    Ok(estimated)
}

/// Common numbers for all counters' words; their n-grams sorted by ends.
fn collect(plan: &mut Plan<'_>, counters: &mut [Counter]) -> Result<(Words, Sorted), TrainError> {
    let mut found: Vec<&str> = counters.iter().flat_map(|counter| counter.vocabulary.words()).collect();
    found.sort_unstable();
    found.dedup();
    let mut words = Words { text: String::new(), ends: Vec::with_capacity(found.len()) };
    for word in &found {
        words.text.push_str(word);
        words.ends.push(words.text.len());
    }
    let numbers: Vec<Vec<u32>> = counters
        .iter()
        .map(|counter| {
            let number =
                |word| found.binary_search(&word).expect("all words were collected") as u32 + FIRST_ID;
            counter.vocabulary.words().map(number).collect()
        })
        .collect();
    drop(found);
    plan.begin("sort n-grams", 0);
    let mut sorter = plan.sorter(plan.order + 2, plan.order, 0.5);
    for (counter, numbers) in counters.iter_mut().zip(numbers) {
        let order = counter.order;
        counter.drain(|record| {
            for lane in &mut record[..order] {
                if *lane >= FIRST_ID {
                    *lane = numbers[(*lane - FIRST_ID) as usize];
                }
            }
            Ok(sorter.push(record)?)
        })?;
    }
    Ok((words, sorter.finish()?))
}

/// Step 1: n-grams of every length with adjusted counts, to be sorted by context: first word first, then the count with
/// its highest bit set where the n-gram is pruned.
fn adjust<'a>(
    plan: &mut Plan<'a>,
    counted: Sorted,
    tally: Tally,
) -> Result<(Vec<Sorter<'a>>, Vec<OrderStatistics>), TrainError> {
    let order = plan.order;
    let mut sorters: Vec<Sorter<'a>> =
        (1..=order).map(|length| plan.sorter(length + 2, length, 0.5)).collect();
    let mut statistics = vec![OrderStatistics::default(); order];
    let mut emit = |plan: &Plan<'_>, ends: &[u32], adjusted: u64, actual: u64| -> Result<(), TrainError> {
        let length = ends.len();
        let special = length == 1 && ends[0] < FIRST_ID;
        let pruned = actual <= plan.threshold(length) && !special;
        let statistics = &mut statistics[length - 1];
        statistics.all += 1;
        statistics.kept += u64::from(!pruned);
        if (1..=4).contains(&adjusted) {
            statistics.of_count[adjusted as usize - 1] += 1;
        }
        let mut record = [0; super::MAX_ORDER + 2];
        for (lane, word) in record.iter_mut().zip(ends.iter().rev()) {
            *lane = *word;
        }
        record[length..length + 2].copy_from_slice(&split(adjusted | (u64::from(pruned) << 63)));
        Ok(sorters[length - 1].push(&record[..length + 2])?)
    };
    plan.begin("count contexts", tally.words + tally.sentences);
    let mut last = vec![0; order];
    let mut last_length = 0;
    let mut adjusted = vec![0u64; order + 1];
    let mut actual = vec![0u64; order + 1];
    let mut counted = Counted::new(counted, order)?;
    let mut key = vec![0; order];
    while let Some(count) = counted.next(&mut key)? {
        plan.tick();
        // What stands before the first `<s>` from the end is padding.
        let length = key.iter().position(|&word| word == BEGIN_ID).map_or(order, |at| at + 1);
        let same = key[..length].iter().zip(&last[..last_length]).take_while(|(a, b)| a == b).count();
        for done in (same + 1..=last_length).rev() {
            emit(plan, &last[..done], adjusted[done], actual[done])?;
        }
        for sum in &mut actual[1..=same] {
            *sum += count;
        }
        adjusted[same] += 1;
        for begun in same + 1..=length {
            actual[begun] = count;
            adjusted[begun] = if begun == length { count } else { 1 };
        }
        last.copy_from_slice(&key);
        last_length = length;
    }
    for done in (1..=last_length).rev() {
        emit(plan, &last[..done], adjusted[done], actual[done])?;
    }
    Ok((sorters, statistics))
}

/// Full n-grams, each with the sum of its counts in all runs.
struct Counted {
    sorted: Sorted,
    pending: Option<Vec<u32>>,
    order: usize,
}

impl Counted {
    fn new(mut sorted: Sorted, order: usize) -> Result<Self, TrainError> {
        let pending = sorted.next()?.map(<[u32]>::to_vec);
        Ok(Self { sorted, pending, order })
    }

    /// Copies the next n-gram into `key`; returns its count.
    fn next(&mut self, key: &mut [u32]) -> Result<Option<u64>, TrainError> {
        let order = self.order;
        let Some(mut record) = self.pending.take() else { return Ok(None) };
        key.copy_from_slice(&record[..order]);
        let mut count = join(record[order], record[order + 1]);
        while let Some(next) = self.sorted.next()? {
            if next[..order] != *key {
                record.copy_from_slice(next);
                self.pending = Some(record);
                break;
            }
            count += join(next[order], next[order + 1]);
        }
        Ok(Some(count))
    }
}

/// Step 2, equation 26 of Chen & Goodman.
fn discounts_of(statistics: &OrderStatistics) -> Result<Discounts, String> {
    let n = statistics.of_count.map(|count| count as f64);
    for (at, count) in n[..3].iter().enumerate() {
        if *count == 0.0 {
            return Err(format!("none has an adjusted count of {}", at + 1));
        }
    }
    let y = n[0] / (n[0] + 2.0 * n[1]);
    let mut discounts = [0.0; 3];
    for at in 0..3 {
        let count = (at + 1) as f64;
        let discount = count - (count + 1.0) * y * n[at + 1] / n[at];
        if !(0.0..=count).contains(&discount) {
            return Err(format!("the one for a count of {count} comes out as {discount:.3}"));
        }
        discounts[at] = discount;
    }
    Ok(Discounts(discounts))
}

/// The n-grams of one length on their way to the file.
struct Level<'a> {
    /// By ends: the n-gram, u and γ of its context.
    grams: Sorter<'a>,
    /// By ends: contexts of this length and their γ.
    contexts: Sorter<'a>,
}

/// Step 3.
fn normalise<'a>(
    plan: &mut Plan<'a>,
    by_context: Vec<Sorter<'a>>,
    estimated: &Estimated,
) -> Result<Vec<Level<'a>>, TrainError> {
    let mut levels: Vec<Level<'a>> = (1..=plan.order)
        .map(|length| Level {
            grams: plan.sorter(length + 2, length, 0.25),
            contexts: plan.sorter(length + 1, length, 0.15),
        })
        .collect();
    // Of one context: word, adjusted count, whether it is pruned.
    let mut group: Vec<(u32, u64, bool)> = Vec::new();
    for (at, sorter) in by_context.into_iter().enumerate() {
        let length = at + 1;
        let discounts = estimated.discounts[at];
        plan.begin(&format!("weigh {length}-grams"), estimated.counts_before_pruning[at]);
        let mut sorted = sorter.finish()?;
        let mut context = vec![0u32; length - 1];
        let mut ends = vec![0u32; length + 2];
        loop {
            let record = sorted.next()?;
            let ended = record.is_none_or(|record| record[..length - 1] != context[..]);
            if ended && !group.is_empty() {
                let total: u64 = group.iter().map(|(_, count, _)| count).sum();
                let total = total as f64;
                let mut left = 0.0;
                for &(_, count, pruned) in &group {
                    left += if pruned { count as f64 } else { discounts.of(count) };
                }
                let gamma = ((left / total) as f32).to_bits();
                for (lane, word) in ends[1..length].iter_mut().zip(context.iter().rev()) {
                    *lane = *word;
                }
                for &(word, count, pruned) in &group {
                    if !pruned {
                        ends[0] = word;
                        let own = ((count as f64 - discounts.of(count)) / total) as f32;
                        ends[length] = own.to_bits();
                        ends[length + 1] = gamma;
                        levels[at].grams.push(&ends)?;
                    }
                }
                if length > 1 {
                    ends[length] = gamma;
                    levels[at - 1].contexts.push(&ends[1..=length])?;
                }
                group.clear();
            }
            let Some(record) = record else { break };
            context.copy_from_slice(&record[..length - 1]);
            let count = join(record[length], record[length + 1]);
            group.push((record[length - 1], count & !(1 << 63), count >> 63 == 1));
            plan.tick();
        }
    }
    Ok(levels)
}

/// Step 4: writes the sections of the file.
fn interpolate<'a>(
    plan: &mut Plan<'a>,
    levels: Vec<Level<'a>>,
    estimated: &Estimated,
    words: &Words,
    out: &mut dyn Write,
) -> Result<(), TrainError> {
    // All words, `</s>` and `<unk>`, but not `<s>`, which is never predicted.
    let uniform = 1.0 / (estimated.counts[0] - 1) as f64;
    let mut shorter: Option<Sorted> = None;
    for (at, level) in levels.into_iter().enumerate() {
        let length = at + 1;
        plan.begin(&format!("write {length}-grams"), estimated.counts[at]);
        writeln!(out, "\\{length}-grams:")?;
        let longest = length == plan.order;
        let mut grams = level.grams.finish()?;
        let mut weights = Weights { sorted: level.contexts.finish()?, head: None, length };
        weights.advance()?;
        let mut kept = plan.sorter(length + 1, length, 0.1);
        let mut parent = vec![0u32; length];
        let mut parent_probability = uniform;
        let mut line = String::new();
        let mut record = vec![0u32; length + 2];
        let mut first = true;
        while let Some(found) = grams.next()? {
            record.copy_from_slice(found);
            let (own, gamma) = (f32::from_bits(record[length]), f32::from_bits(record[length + 1]));
            if first && length == 1 {
                // The first record of all: what the empty context leaves goes to words never seen, evenly.
                let probability = f64::from(gamma) * uniform;
                push_line(&mut line, probability, &[UNKNOWN_ID], words, (!longest).then_some(1.0));
                let weight = weights.of(&[BEGIN_ID])?;
                push_line(&mut line, 1.0, &[BEGIN_ID], words, (!longest).then_some(weight));
            }
            first = false;
            if let Some(shorter) = &mut shorter {
                while parent[..length - 1] != record[..length - 1] {
                    let next = shorter.next()?.ok_or_else(|| {
                        std::io::Error::other("an n-gram came back without the one that it ends in")
                    })?;
                    parent.copy_from_slice(next);
                    parent_probability = f64::from(f32::from_bits(parent[length - 1]));
                }
            }
            let probability = f64::from(own) + f64::from(gamma) * parent_probability;
            let weight = if longest { None } else { Some(weights.of(&record[..length])?) };
            push_line(&mut line, probability, &record[..length], words, weight);
            out.write_all(line.as_bytes())?;
            line.clear();
            if !longest {
                record[length] = (probability as f32).to_bits();
                kept.push(&record[..=length])?;
            }
            plan.tick();
        }
        writeln!(out)?;
        shorter = if longest { None } else { Some(kept.finish()?) };
    }
    Ok(())
}

/// γ of contexts, asked for in the order of their ends.
struct Weights {
    sorted: Sorted,
    head: Option<Vec<u32>>,
    length: usize,
}

impl Weights {
    fn advance(&mut self) -> Result<(), TrainError> {
        let mut head = self.head.take().unwrap_or_else(|| vec![0; self.length + 1]);
        if let Some(next) = self.sorted.next()? {
            head.copy_from_slice(next);
            self.head = Some(head);
        }
        Ok(())
    }

    /// 1 where the n-gram is no context of a counted one.
    fn of(&mut self, ends: &[u32]) -> Result<f64, TrainError> {
        while let Some(head) = &self.head {
            match head[..self.length].cmp(ends) {
                std::cmp::Ordering::Less => self.advance()?,
                std::cmp::Ordering::Equal => return Ok(f64::from(f32::from_bits(head[self.length]))),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(1.0)
    }
}

/// A line of the file; `ends` has the last word first.
fn push_line(line: &mut String, probability: f64, ends: &[u32], words: &Words, weight: Option<f64>) {
    use std::fmt::Write;
    // Adding 0 turns −0 into 0. Writing to a string does not fail.
    let _ = write!(line, "{}", libm::log10(probability).min(0.0) as f32 + 0.0);
    for (at, word) in ends.iter().rev().enumerate() {
        line.push(if at == 0 { '\t' } else { ' ' });
        line.push_str(words.get(*word));
    }
    if let Some(weight) = weight {
        let _ = write!(line, "\t{}", libm::log10(weight) as f32 + 0.0);
    }
    line.push('\n');
}

fn write_header(
    estimated: &Estimated,
    header: &ArpaHeader,
    options: &Estimator,
    out: &mut dyn Write,
) -> Result<(), TrainError> {
    let prefix = ArpaHeader::PREFIX;
    writeln!(out, "{prefix}smoothing: interpolated modified Kneser-Ney 1")?;
    for (key, value) in [("text", &header.text), ("tokenizer", &header.tokenizer)] {
        if let Some(value) = value {
            writeln!(out, "{prefix}{key}: {value}")?;
        }
    }
    let Tally { documents, sentences, words, .. } = estimated.tally;
    writeln!(out, "{prefix}counted: {documents} documents, {sentences} lines, {words} words")?;
    if options.prune.iter().any(|threshold| *threshold > 0) {
        writeln!(out, "{prefix}prune: {:?}", options.prune)?;
    }
    for (at, Discounts([one, two, more])) in estimated.discounts.iter().enumerate() {
        writeln!(out, "{prefix}discounts of {}-grams: {one} {two} {more}", at + 1)?;
    }
    writeln!(out, "\\data\\")?;
    for (at, count) in estimated.counts.iter().enumerate() {
        writeln!(out, "ngram {}={count}", at + 1)?;
    }
    writeln!(out)?;
    Ok(())
}
