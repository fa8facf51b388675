//! Density keeps what is rare: near copies are kept far less often than documents without any.

use tamis::options::{DensityOptions, SelectOptions, SignalOptions};
use tamis::{ScoreOptions, Silent};

use crate::signals::{density, open, rates, selecting};
use crate::support::corpus::{self, Document};
use crate::support::folder;
use crate::support::observers::{Watch, until_stopped};
use crate::support::random::Random;
use crate::support::read;
use crate::support::snapshot::{assert_same, snapshot};

/// 300 documents of their own, and 15 groups of 20 near copies: of forty words one is another.
fn planted() -> Vec<Document> {
    let mut random = Random::new(17);
    let mut all: Vec<Document> = (0..300)
        .map(|at| Document::new(format!("single-{at}"), corpus::text(&mut random, 40), 1.0))
        .collect();
    for group in 0..15 {
        let words: Vec<String> = (0..40).map(|_| corpus::word(random.below(corpus::WORDS))).collect();
        for copy in 0..20 {
            let mut own = words.clone();
            own[random.below(40)] = corpus::word(random.below(corpus::WORDS));
            all.push(Document::new(format!("copy-{group}-{copy}"), own.join(" "), 1.0));
        }
    }
    random.shuffle(&mut all);
    all
}

#[test]
fn copies_are_kept_far_less_often_than_single_documents() {
    let corpus = folder();
    for (at, lines) in corpus::lines(&planted()).chunks(100).enumerate() {
        corpus::write(corpus.path(), &format!("{at}.jsonl"), lines);
    }
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let asked = SignalOptions::Density(DensityOptions { repetitions: 400, buckets: None, ..density() });
    let (signal, report) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
    let said = report.findings.join("\n");
    for what in ["background", "standard error", "near copies", "R = 400"] {
        assert!(said.contains(what), "{said}");
    }
    let mean = |kind: &str| {
        let values = read::values(&project, &version, &signal, "score");
        let of: Vec<f64> =
            values.iter().filter(|(id, _)| id.starts_with(kind)).map(|(_, value)| value.unwrap()).collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    assert!(mean("copy") > 2.0 * mean("single"), "{} {}", mean("copy"), mean("single"));

    let mut kept = [0.0_f64; 2];
    for seed in 0..5 {
        let options =
            SelectOptions { seed, decide_only: true, ..selecting("density", None, rates(&["10%"])) };
        let report = project.select(&version, Some((&signal, "score")), None, &options).unwrap();
        assert_eq!(report.manifest.rule, "ips");
        for row in read::decisions(&project, &version, &report.name).iter().filter(|row| row.kept_at(0.1)) {
            kept[usize::from(row.id.starts_with("single"))] += 1.0 / 1500.0;
        }
    }
    let [copies, singles] = kept;
    assert!(
        copies * 3.0 <= singles,
        "{:.1} % of copies, {:.1} % of singles",
        100.0 * copies,
        100.0 * singles
    );
}

/// Files of a fold that is under way.
fn partials(run: &std::path::Path) -> usize {
    snapshot(run).keys().filter(|name| name.starts_with("sketches/.parts/")).count()
}

#[test]
fn a_sketch_that_is_stopped_loses_a_span_and_nothing_is_sampled_again() {
    let corpus = folder();
    // Spans of two shards each.
    for at in 0..8 {
        corpus::write(corpus.path(), &format!("{at}.jsonl"), &corpus::lines(&corpus::documents(at, 50)));
    }
    let asked = SignalOptions::Density(density());
    let score = |run: &std::path::Path, watch: &std::sync::Arc<Watch>| {
        let project = open(corpus.path(), run, 1, watch);
        let version = project.inventory().unwrap();
        project.score(&version, &asked, ScoreOptions::default()).unwrap();
    };
    let whole = folder();
    let watch = Watch::counting();
    score(whole.path(), &watch);
    assert_eq!((watch.documents("sample embeddings"), watch.documents("sketch embeddings")), (400, 400));
    let expected = snapshot(whole.path());
    assert_eq!(partials(whole.path()), 0);
    let at_once = folder();
    let project = open(corpus.path(), at_once.path(), 2, &Silent).with_spans_of(u64::MAX);
    project.score(&project.inventory().unwrap(), &asked, ScoreOptions::default()).unwrap();
    assert_same(&snapshot(at_once.path()), &expected, "one span");
    for (stage, stop, kept) in [
        ("sample embeddings", 1, 0),
        ("sample embeddings", 4, 1),
        ("sample embeddings", 8, 3),
        ("sketch embeddings", 2, 4),
        ("sketch embeddings", 3, 5),
        ("sketch embeddings", 7, 7),
    ] {
        let run = folder();
        assert!(until_stopped(&Watch::stopping(stage, stop), |watch| score(run.path(), watch)));
        assert_eq!(partials(run.path()), kept, "{stage} {stop}");
        let watch = Watch::counting();
        score(run.path(), &watch);
        let left = |kept: usize| 400 - 100 * kept.min(4) as u64;
        assert_eq!(watch.documents("sample embeddings"), left(kept), "{stage} {stop}");
        assert_eq!(watch.documents("sketch embeddings"), left(kept.saturating_sub(4)), "{stage} {stop}");
        assert_same(&snapshot(run.path()), &expected, &format!("{stage} {stop}"));
    }
}

#[test]
fn partials_that_a_kill_left_behind_are_removed_by_the_next_call() {
    let corpus = folder();
    for at in 0..4 {
        corpus::write(corpus.path(), &format!("{at}.jsonl"), &corpus::lines(&corpus::documents(at, 60)));
    }
    let run = folder();
    let watch = Watch::stopping("sketch embeddings", 4);
    let score = |watch: &std::sync::Arc<Watch>, options: DensityOptions| {
        let project = open(corpus.path(), run.path(), 1, watch);
        let version = project.inventory().unwrap();
        let options = SignalOptions::Density(options);
        project.score(&version, &options, ScoreOptions::default()).unwrap();
    };
    assert!(until_stopped(&watch, |watch| score(watch, density())));
    let left: Vec<_> =
        snapshot(run.path()).into_iter().filter(|(name, _)| name.contains(".parts/")).collect();
    assert_eq!(left.len(), 3);
    score(&Watch::counting(), density());
    assert_eq!(partials(run.path()), 0);
    for (name, bytes) in &left {
        std::fs::create_dir_all(run.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(run.path().join(name), bytes).unwrap();
    }
    // The sketch is frozen, and what the rule chose may be named.
    let project = open(corpus.path(), run.path(), 1, &Silent);
    let signal = project.run_directory().resolve("density").unwrap();
    let hashes = signal.record().fingerprint["hashes"].parse().unwrap();
    score(&Watch::counting(), DensityOptions { hashes: Some(hashes), ..density() });
    assert_eq!(partials(run.path()), 0);
}
