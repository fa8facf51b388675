//! The inclusion probabilities of the decisions are true: weighted by them, the kept documents stand for all.

use tamis::options::SelectOptions;
use tamis::{Rule, ScoreOptions, Silent};

use crate::signals::{column, open, rates, selecting};
use crate::support::folder;
use crate::support::{corpus, read};

const SEEDS: u64 = 50;

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn horvitz_thompson_estimates_the_corpus_without_bias() {
    let corpus = folder();
    let documents = corpus::documents(21, 400);
    for (at, lines) in corpus::lines(&documents).chunks(150).enumerate() {
        corpus::write(corpus.path(), &format!("{at}.jsonl"), lines);
    }
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let (signal, _) = project.score(&version, &column("quality"), ScoreOptions::default()).unwrap();
    let total: f64 = documents.iter().map(|document| document.text.len() as f64).sum();
    for rule in [Rule::Random, Rule::Ips, Rule::Poisson] {
        let by = (rule != Rule::Random).then_some((&signal, "score"));
        let (mut numbers, mut bytes, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for seed in 0..SEEDS {
            let options = SelectOptions {
                seed,
                decide_only: true,
                ..selecting("column:quality", Some(rule), rates(&["15%"]))
            };
            let report = project.select(&version, by, None, &options).unwrap();
            let decided = read::decisions(&project, &version, &report.name);
            let kept = || decided.iter().filter(|row| row.kept_at(0.15));
            let weight = |row: &read::Decided| 1.0 / row.probabilities[0].unwrap();
            numbers.push(kept().map(weight).sum());
            bytes.push(kept().map(|row| weight(row) * row.bytes as f64).sum());
            sizes.push(kept().count() as f64);
            assert!(decided.iter().all(|row| row.probabilities[0].is_some_and(|p| p > 0.0 && p <= 1.0)));
        }
        for (what, values, truth) in [("documents", &numbers, 400.0), ("bytes", &bytes, total)] {
            let (estimate, error) = mean(values);
            assert!(
                (estimate - truth).abs() < 4.0 * error,
                "{rule}: {what} {estimate:.1} ± {error:.1}, not {truth}"
            );
            assert!(error < 0.05 * truth, "{rule}: {what} ± {error:.1}");
        }
        let (size, error) = mean(&sizes);
        assert!((size - 60.0).abs() <= 4.0 * error, "{rule}: {size} ± {error} documents");
        assert_eq!(error == 0.0, rule != Rule::Poisson);
    }
}
