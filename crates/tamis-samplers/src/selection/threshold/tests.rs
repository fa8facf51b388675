use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tamis_core::{DocKey, Error, Summary};

use super::*;
use crate::selection::{Ranker, Rate};

fn key(i: u64) -> DocKey {
    DocKey::from_id("", &i.to_string())
}

type Item = (Priority, u64, u64);

/// The definition: sort, then take groups of equal priorities from the front.
fn by_sorting(target: Target, candidates: &[Item]) -> Threshold {
    let mut sorted = candidates.to_vec();
    sorted.sort_by_key(|item| item.0);
    let asked = match target {
        Target::Rate(rate) => Some(rate.of(sorted.len() as u64)),
        Target::Documents(documents) => Some(documents),
        Target::Tokens(_) | Target::Bytes(_) => None,
    };
    let mut kept = Sums::default();
    let mut first_rejected = None;
    for group in sorted.chunk_by(|a, b| a.0 == b.0) {
        let with = group
            .iter()
            .fold(kept, |sums, &(_, tokens, bytes)| sums.plus(Sums { documents: 1, tokens, bytes }));
        let fits = match target {
            Target::Tokens(limit) => with.tokens <= limit,
            Target::Bytes(limit) => with.bytes <= limit,
            Target::Rate(_) | Target::Documents(_) => Some(kept.documents) < asked,
        };
        if !fits {
            first_rejected = Some(group[0].0);
            break;
        }
        kept = with;
    }
    Threshold { first_rejected, kept, over: asked.map_or(0, |asked| kept.documents.saturating_sub(asked)) }
}

fn candidates() -> impl Strategy<Value = Vec<Item>> {
    // Few values, few ties and few keys: ties at every level, equal documents included.
    let value = prop_oneof![
        (-3..3i32).prop_map(f64::from),
        -1.0..1.0f64,
        any::<f64>().prop_filter("a number", |v| !v.is_nan())
    ];
    let tie = prop_oneof![0..3u64, any::<u64>()];
    let id = prop_oneof![0..6u64, any::<u64>()];
    let item = (value, tie, id, 0..5u64, 0..1000u64)
        .prop_map(|(value, tie, id, tokens, bytes)| (Priority::new(value, tie, key(id)), tokens, bytes));
    prop::collection::vec(item, 0..120)
}

fn targets() -> impl Strategy<Value = Vec<Target>> {
    let target = prop_oneof![
        (0..140u64).prop_map(Target::Documents),
        (0..300u64).prop_map(Target::Tokens),
        (0..60_000u64).prop_map(Target::Bytes),
        (1..=100u32).prop_map(|p| Target::Rate(Rate::parse(&format!("{p}%")).unwrap())),
    ];
    prop::collection::vec(target, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn thresholds_equal_sorting(candidates in candidates(), targets in targets()) {
        let found = find_thresholds(targets.clone(), || candidates.iter().copied()).unwrap();
        for (target, threshold) in targets.into_iter().zip(found) {
            prop_assert_eq!(&threshold, &by_sorting(target, &candidates));
            let kept = candidates.iter().filter(|item| threshold.keeps(&item.0)).count() as u64;
            prop_assert_eq!(kept, threshold.kept.documents);
        }
    }

    #[test]
    fn parts_merge_in_any_order_through_bytes(
        candidates in candidates(),
        targets in targets(),
        parts in 1..5usize,
        backwards in any::<bool>(),
    ) {
        let mut search = ThresholdSearch::new(targets.clone()).unwrap();
        while let Some(whole) = search.begin_pass() {
            let mut passes: Vec<Pass> = (0..parts).map(|_| Pass::decode(&whole.encode()).unwrap()).collect();
            for (i, (priority, tokens, bytes)) in candidates.iter().enumerate() {
                passes[i % parts].add(priority, *tokens, *bytes);
            }
            if backwards {
                passes.reverse();
            }
            let mut merged = whole.empty();
            for pass in &passes {
                merged.merge(Pass::decode(&pass.encode()).unwrap()).unwrap();
            }
            search.finish_pass(&merged).unwrap();
        }
        let expected = find_thresholds(targets, || candidates.iter().copied()).unwrap();
        prop_assert_eq!(search.thresholds().unwrap(), expected);
    }

    #[test]
    fn hostile_passes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), flip in any::<prop::sample::Index>()) {
        prop_assert!(Pass::decode(&bytes).is_err());
        let mut pass = ThresholdSearch::new(vec![Target::Documents(1)]).unwrap().begin_pass().unwrap();
        pass.add(&Priority::new(1.0, 2, key(3)), 4, 5);
        let mut stored = pass.encode();
        // A correct checksum over changed content: the fields must still be checked, never trusted.
        let content = stored.len() - 8;
        let at = flip.index(content);
        stored[at] ^= 0x81;
        let resealed = crate::bytes::finish(stored[..content].to_vec());
        let _ = Pass::decode(&resealed);
        prop_assert!(Pass::decode(&stored[..at]).is_err());
        let changed = crate::bytes::finish(bytes);
        let _ = Pass::decode(&changed);
    }

    #[test]
    fn rates_nest_under_one_seed(seed in any::<u64>(), n in 1..200u64, a in 1..=100u32, b in 1..=100u32) {
        for rule in Rule::ALL.into_iter().filter(|&rule| rule != Rule::Poisson) {
            let ranker = Ranker::new(rule, seed);
            let items: Vec<Item> = (0..n)
                .map(|i| (ranker.priority(key(i), f64::from((i % 7) as u32 + 1)).unwrap(), 1, 1))
                .collect();
            let rate = |p: u32| Target::Rate(Rate::parse(&format!("{p}%")).unwrap());
            let found = find_thresholds(vec![rate(a.min(b)), rate(a.max(b))], || items.clone()).unwrap();
            prop_assert!(items.iter().all(|item| !found[0].keeps(&item.0) || found[1].keeps(&item.0)));
        }
    }
}

#[test]
fn integer_scores_take_few_passes() {
    // A third of a corpus in each of three values: only v tells documents apart.
    let ranker = Ranker::new(Rule::Top, 1);
    let items: Vec<Item> =
        (0..30_000).map(|i| (ranker.priority(key(i), (i % 3) as f64).unwrap(), 1, 1)).collect();
    let mut search = ThresholdSearch::new(vec![Target::Documents(14_321), Target::Documents(3)]).unwrap();
    while let Some(mut pass) = search.begin_pass() {
        items.iter().for_each(|item| pass.add(&item.0, item.1, item.2));
        search.finish_pass(&pass).unwrap();
    }
    assert!(search.passes() <= 3, "{}", search.passes());
    assert_eq!(search.thresholds().unwrap()[0].kept.documents, 14_321);
}

#[test]
fn a_source_that_changes_between_passes_is_refused() {
    let mut search = ThresholdSearch::new(vec![Target::Documents(10)]).unwrap();
    let mut pass = search.begin_pass().unwrap();
    for i in 0..100 {
        pass.add(&Priority::new(1.0, i, key(i)), 0, 0);
    }
    search.finish_pass(&pass).unwrap();
    let stale = search.finish_pass(&pass).unwrap_err();
    assert!(matches!(stale, Error::Merge { .. }), "{stale}");
    let mut pass = search.begin_pass().unwrap();
    for i in 0..99 {
        pass.add(&Priority::new(1.0, i, key(i)), 0, 0);
    }
    let error = search.finish_pass(&pass).unwrap_err().to_string();
    assert!(error.contains("other candidates"), "{error}");
}

#[test]
fn zero_token_documents_still_fit_a_full_budget() {
    let items = [(1.0, 5), (2.0, 0), (3.0, 0), (4.0, 1), (5.0, 0)]
        .map(|(value, tokens)| (Priority::new(value, 0, key(1)), tokens, 1));
    let found = find_thresholds(vec![Target::Tokens(5)], || items).unwrap();
    assert_eq!(found[0].kept, Sums { documents: 3, tokens: 5, bytes: 3 });
    assert_eq!(found[0].first_rejected.unwrap().value(), 4.0);
}

/// Scores of a small corpus with a wide spread of weights.
fn scores(n: u64) -> Vec<f64> {
    (0..n).map(|i| 1.0 + (i % 10) as f64 * (i % 4) as f64).collect()
}

fn select(rule: Rule, seed: u64, scores: &[f64], k: u64) -> (Cut, Vec<bool>) {
    let ranker = Ranker::new(rule, seed);
    let items: Vec<Item> =
        (0u64..).zip(scores).map(|(i, &score)| (ranker.priority(key(i), score).unwrap(), 1, 1)).collect();
    let cut = if rule == Rule::Poisson {
        let mut search = crate::PoissonSearch::new();
        scores.iter().for_each(|&score| search.add(score));
        Cut::Poisson(search.solve(k))
    } else {
        Cut::Exact(find_thresholds(vec![Target::Documents(k)], || items.clone()).unwrap().remove(0))
    };
    let kept = items.iter().map(|item| cut.keeps(&item.0)).collect();
    (cut, kept)
}

#[test]
fn horvitz_thompson_counts_the_corpus_without_bias() {
    let scores = scores(300);
    for rule in [Rule::Ips, Rule::Random, Rule::Poisson] {
        for k in [30, 150] {
            let estimates: Vec<f64> = (0..400)
                .map(|seed| {
                    let (cut, kept) = select(rule, seed, &scores, k);
                    let kept = scores.iter().zip(kept).filter(|(_, kept)| *kept);
                    kept.map(|(&score, _)| 1.0 / cut.inclusion_probability(rule, score).unwrap()).sum()
                })
                .collect();
            let n = estimates.len() as f64;
            let mean = estimates.iter().sum::<f64>() / n;
            let variance = estimates.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let error = (variance / n).sqrt();
            // Three and a half standard errors, over six fixed cases.
            assert!((mean - 300.0).abs() < 3.5 * error, "{rule} {k}: {mean} ± {error}");
            assert!(error < 12.0, "{rule} {k}: {error}");
        }
    }
}

#[test]
fn poisson_sizes_have_the_stated_mean_and_deviation() {
    let scores = scores(300);
    let seeds = 600;
    let sizes: Vec<f64> = (0..seeds)
        .map(|seed| select(Rule::Poisson, seed, &scores, 60).1.iter().filter(|kept| **kept).count() as f64)
        .collect();
    let mean = sizes.iter().sum::<f64>() / seeds as f64;
    let deviation = (sizes.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / seeds as f64).sqrt();
    let (Cut::Poisson(threshold), _) = select(Rule::Poisson, 0, &scores, 60) else { unreachable!() };
    assert!(
        (mean - threshold.expected_documents).abs()
            < 4.0 * threshold.standard_deviation / (seeds as f64).sqrt()
    );
    assert!((deviation / threshold.standard_deviation - 1.0).abs() < 0.12, "{deviation}");
}

#[test]
fn poisson_rates_nest_under_one_seed() {
    let scores = scores(300);
    let (_, fewer) = select(Rule::Poisson, 5, &scores, 50);
    let (_, more) = select(Rule::Poisson, 5, &scores, 120);
    assert!(fewer.iter().zip(&more).all(|(fewer, more)| !fewer || *more));
}

#[test]
fn ips_draws_as_an_independent_weighted_sampler_does() {
    let (n, k, trials) = (40u64, 12, 6000u64);
    let scores = scores(n);
    let (mut ours, mut theirs) = (vec![0f64; n as usize], vec![0f64; n as usize]);
    let mut rng = StdRng::seed_from_u64(1);
    for seed in 0..trials {
        for (count, kept) in ours.iter_mut().zip(select(Rule::Ips, seed, &scores, k).1) {
            *count += f64::from(u8::from(kept));
        }
        let drawn =
            rand::seq::index::sample_weighted(&mut rng, n as usize, |i| 1.0 / scores[i], k as usize).unwrap();
        for i in drawn {
            theirs[i] += 1.0;
        }
    }
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let share = (ours + theirs) / (2.0 * trials as f64);
        let deviation = (2.0 * share * (1.0 - share) * trials as f64).sqrt();
        // Four standard deviations, over 40 documents.
        assert!((ours - theirs).abs() < 4.0 * deviation, "{ours} {theirs}");
    }
}

#[test]
fn everything_is_kept_with_certainty() {
    let (cut, kept) = select(Rule::Ips, 1, &scores(20), 20);
    assert!(kept.iter().all(|kept| *kept));
    assert_eq!(cut.inclusion_probability(Rule::Ips, 3.0), Some(1.0));
    assert_eq!(cut.inclusion_probability(Rule::Top, 3.0), None);
    assert_eq!(cut.inclusion_probability(Rule::Ips, -3.0), None);
}
