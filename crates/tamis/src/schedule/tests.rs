//! A simulator of the map: the real schedule, cutter and backlog, in virtual time.
//!
//! Time is in bytes of text that a worker reads. What is measured is what is lost: the share of the time of all workers that
//! can be used at all in which no document is read, so that what parts cost counts as lost too. No order can be faster than the longest
//! document, nor than all documents evenly over as many workers as there are documents: 40 of them never occupy 64. The loss
//! is against the larger of these two.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, UInt64Array};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tamis_core::column;
use tamis_io::run::RowSpan;

use super::*;
use crate::backlog::Backlog;
use crate::cutter::{Part, PartCutter};

/// As of judges.
const PART_BYTES: u64 = 64 << 10;

/// What a document costs beside its text: the question, some 40 tokens.
const DOCUMENT_COST: u64 = 150;

/// What a part costs beside its documents.
const PART_COST: u64 = 100;

/// A corpus of shards with the sizes of their documents, and what reads it.
struct Setting {
    shards: Vec<Vec<u64>>,
    workers: usize,
    /// Bytes of a document that are read: the context of a model.
    context: u64,
}

struct Outcome {
    parts: usize,
    end: u64,
    best: u64,
}

impl Outcome {
    fn lost(&self) -> f64 {
        1.0 - self.best as f64 / self.end as f64
    }
}

fn amount(shard: &[u64]) -> Amount {
    Amount { bytes: shard.iter().sum(), documents: shard.len() as u64 }
}

impl Setting {
    fn cost(&self, bytes: u64) -> u64 {
        bytes.min(self.context) + DOCUMENT_COST
    }

    /// Reading takes no time: whatever there is room for is there.
    fn run(&self) -> Outcome {
        let mut shards: Vec<&Vec<u64>> = self.shards.iter().collect();
        shards.sort_by_key(|shard| Reverse(amount(shard).bytes));
        let schedule =
            Schedule::new(self.workers, PART_BYTES, shards.iter().map(|shard| amount(shard)).sum());
        let mut parts = shards.iter().flat_map(|shard| {
            let span = RowSpan { first_row: 0, rows: shard.len() as u64 };
            let mut cutter = PartCutter::new(vec![span], schedule.shard(amount(shard)));
            let rows: Arc<dyn Array> = Arc::new(UInt64Array::from_iter_values(0..span.rows));
            let batch = RecordBatch::try_from_iter([(column::ROW, rows)]).unwrap();
            let mut parts = cutter.push(&batch, |at| shard[at]);
            parts.extend(cutter.finish());
            parts.into_iter().map(move |part| (*shard, part))
        });
        let mut backlog = Backlog::longest_first(self.workers, |(_, part): &(&Vec<u64>, Part)| part.bytes);
        let mut free: BinaryHeap<Reverse<u64>> = (0..self.workers).map(|_| Reverse(0)).collect();
        let mut count = 0;
        loop {
            while backlog.has_room()
                && let Some(part) = parts.next()
            {
                backlog.push(part);
            }
            let Some((shard, part)) = backlog.pop() else { break };
            let rows = part.span.first_row as usize..part.span.end() as usize;
            let cost: u64 = shard[rows].iter().map(|bytes| self.cost(*bytes)).sum();
            let Reverse(now) = free.pop().unwrap();
            free.push(Reverse(now + cost + PART_COST));
            count += 1;
        }
        let end = free.into_iter().map(|Reverse(time)| time).max().unwrap();
        Outcome { parts: count, end, best: self.best() }
    }

    /// No order takes less time.
    fn best(&self) -> u64 {
        let costs: Vec<u64> = self.shards.iter().flatten().map(|bytes| self.cost(*bytes)).collect();
        let all: u64 = costs.iter().sum();
        costs
            .iter()
            .copied()
            .max()
            .unwrap_or(0)
            .max(all.div_ceil(self.workers.min(costs.len()).max(1) as u64))
    }
}

/// Sizes as on the web: log-normal, of 2,000 bytes in the middle and 4,000 on average, now and then 100,000.
fn documents(count: usize, seed: u64) -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut unit = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut normal = || (-2.0 * libm::log(1.0 - unit())).sqrt() * libm::cos(std::f64::consts::TAU * unit());
    (0..count).map(|_| (2000.0 * libm::exp(1.2 * normal())) as u64 + 1).collect()
}

/// Losses of every setting of so many documents: threads, shards, orders, contexts.
fn losses(count: usize) -> Vec<(f64, String)> {
    let mut losses = Vec::new();
    for workers in [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64] {
        for shard_documents in [count, count.div_ceil(4), 3] {
            for (order, seed) in ["as drawn", "longest last", "longest first"]
                .into_iter()
                .flat_map(|order| (0..8).map(move |seed| (order, seed)))
            {
                let mut sizes = documents(count, seed);
                match order {
                    "longest last" => sizes.sort_unstable(),
                    "longest first" => sizes.sort_unstable_by_key(|bytes| Reverse(*bytes)),
                    _ => {}
                }
                for context in [8_000, 32_000, u64::MAX] {
                    let shards = sizes.chunks(shard_documents).map(<[u64]>::to_vec).collect();
                    let outcome = Setting { shards, workers, context: context - DOCUMENT_COST }.run();
                    let what = format!(
                        "{workers} threads, shards of {shard_documents}, {order}, context {context}, seed {seed}"
                    );
                    losses.push((outcome.lost(), what));
                }
            }
        }
    }
    losses
}

fn assert_below(limit: f64, losses: Vec<(f64, String)>) {
    let mean = losses.iter().map(|(lost, _)| lost).sum::<f64>() / losses.len() as f64;
    let (worst, what) = losses.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    println!("lost {:.1} % on average, {:.1} % at worst: {what}", 100.0 * mean, 100.0 * worst);
    assert!(worst < limit, "lost {:.1} %: {what}", 100.0 * worst);
}

#[test]
fn a_thousand_documents_lose_less_than_5_percent() {
    assert_below(0.05, losses(1000));
}

#[test]
fn forty_documents_lose_less_than_15_percent() {
    assert_below(0.15, losses(40));
}
