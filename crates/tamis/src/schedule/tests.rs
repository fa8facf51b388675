//! A simulator of the map: the real schedule, cutter and backlog, in virtual time.
//!
//! Time is in bytes of text that a worker reads. No order can be faster than the longest document takes, nor than all work evenly
//! over as many workers as there are documents: 40 of them never occupy 64. Idle is what a run takes longer than the larger of
//! these two, as a share of it: with documents enough, the share of the workers' time in which they do nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, UInt64Array};
use proptest::prelude::*;
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

/// What a part costs beside its documents: some 15 ms where [`PART_BYTES`] take ten seconds. An assumption.
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
    /// The longest document.
    longest: u64,
    /// All documents evenly over the workers that can have one.
    evenly: f64,
    /// What parts cost, over the same.
    overhead: f64,
}

impl Outcome {
    /// Share of time.
    fn idle(&self) -> f64 {
        1.0 - (self.evenly + self.overhead).max(self.longest as f64) / self.end as f64
    }

    /// As [`Outcome::idle`], with what parts cost.
    fn lost(&self) -> f64 {
        1.0 - self.evenly.max(self.longest as f64) / self.end as f64
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
        let costs: Vec<u64> = self.shards.iter().flatten().map(|bytes| self.cost(*bytes)).collect();
        let over = self.workers.min(costs.len()) as f64;
        Outcome {
            parts: count,
            end: free.into_iter().map(|Reverse(time)| time).max().unwrap(),
            longest: costs.iter().copied().max().unwrap(),
            evenly: costs.iter().sum::<u64>() as f64 / over,
            overhead: (count as u64 * PART_COST) as f64 / over,
        }
    }
}

/// Sizes as on the web: log-normal, of 2,000 bytes in the middle and 4,000 on average, now and then 100,000.
fn documents(count: usize, seed: u64) -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut unit = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut normal = || (-2.0 * libm::log(1.0 - unit())).sqrt() * libm::cos(std::f64::consts::TAU * unit());
    (0..count).map(|_| (2000.0 * libm::exp(1.2 * normal())) as u64 + 1).collect()
}

/// Corpora that are drawn for each setting.
const SEEDS: u64 = 10;

/// Runs so many documents in every setting (threads, shards, orders, contexts), and compares what is idle at worst.
fn idles_less_than(limit: f64, count: usize) {
    let (mut settings, mut idle, mut lost, mut worst) = (0.0, 0.0, 0.0, (0.0, String::new()));
    for workers in [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64] {
        for shard_documents in [count, count.div_ceil(4), 3] {
            for order in ["as drawn", "longest last", "longest first"] {
                for (seed, context) in
                    (0..SEEDS).flat_map(|seed| [8_000, 32_000, 1 << 40].map(|context| (seed, context)))
                {
                    let mut sizes = documents(count, seed);
                    match order {
                        "longest last" => sizes.sort_unstable(),
                        "longest first" => sizes.sort_unstable_by_key(|bytes| Reverse(*bytes)),
                        _ => {}
                    }
                    let shards = sizes.chunks(shard_documents).map(<[u64]>::to_vec).collect();
                    let outcome = Setting { shards, workers, context }.run();
                    settings += 1.0;
                    idle += outcome.idle();
                    lost += outcome.lost();
                    if outcome.idle() > worst.0 {
                        let what = format!(
                            "{workers} threads, shards of {shard_documents}, {order}, context {context}, seed {seed}"
                        );
                        worst = (outcome.idle(), what);
                    }
                }
            }
        }
    }
    let (idle, lost) = (idle / settings, lost / settings);
    println!(
        "{count} documents: idle {:.1} % on average and {:.1} % at worst ({}), lost {:.1} % on average",
        100.0 * idle,
        100.0 * worst.0,
        worst.1,
        100.0 * lost
    );
    assert!(worst.0 < limit, "idle {:.1} %: {}", 100.0 * worst.0, worst.1);
    assert!(lost < limit / 2.0, "lost {:.1} % on average", 100.0 * lost);
}

#[test]
fn a_thousand_documents_idle_less_than_5_percent() {
    idles_less_than(0.05, 1000);
}

#[test]
fn forty_documents_idle_less_than_15_percent() {
    idles_less_than(0.15, 40);
}

#[test]
fn a_long_run_pays_for_its_end_less_than_a_thousandth() {
    for workers in [2, 8, 64] {
        let documents = documents(10_000 * workers, 1);
        let setting = Setting { shards: vec![documents], workers, context: 1 << 40 };
        let (outcome, all) = (setting.run(), amount(&setting.shards[0]).bytes);
        let whole = Setting { workers: 1, ..setting }.run().parts;
        let more = (outcome.parts - whole) as u64;
        assert!(more * PART_COST * 1000 < all, "{workers}: {more} parts more than {whole}");
        assert!(outcome.lost() < 0.005, "{workers}: lost {}", outcome.lost());
    }
}

#[test]
fn one_worker_gets_whole_parts() {
    let outcome = Setting { shards: vec![vec![1000; 1000]], workers: 1, context: 2000 }.run();
    assert_eq!(outcome.parts, 1_000_usize.div_ceil(66), "66 documents fill a part");
}

proptest! {
    /// Amounts are guesses that are mended; they must not be carried below nothing, which would be very much.
    #[test]
    fn nothing_is_left_when_all_shards_are_done(
        shards in proptest::collection::vec((0_u64..9000, 0_u64..90), 1..6),
        steps in proptest::collection::vec((0_usize..6, 0_u8..3, 0_u64..5000, 0_u64..50), 0..60),
    ) {
        let shards: Vec<Amount> = shards.into_iter().map(|(bytes, documents)| Amount { bytes, documents }).collect();
        let schedule = Schedule::new(3, 1000, shards.iter().copied().sum());
        let mut open: Vec<ShardShare<'_>> = shards.iter().map(|all| schedule.shard(*all)).collect();
        for (at, step, bytes, documents) in steps {
            let at = at % open.len();
            match step {
                0 => open[at].take(Amount { bytes, documents }),
                1 => open[at].correct(Amount { bytes, documents }),
                _ => open[at].documents_have(bytes),
            }
            let left: Amount = open.iter().map(|share| share.left).sum();
            prop_assert_eq!(schedule.bytes.load(Ordering::Relaxed), left.bytes);
            prop_assert_eq!(schedule.documents.load(Ordering::Relaxed), left.documents);
        }
        drop(open);
        prop_assert_eq!(schedule.bytes.into_inner() + schedule.documents.into_inner(), 0);
    }
}
