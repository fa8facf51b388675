//! Density keeps what is rare: near copies are kept far less often than documents without any.

use tamis::options::{DensityOptions, SelectOptions, SignalOptions};
use tamis::{ScoreOptions, Silent};

use crate::signals::{density, open, rates, selecting};
use crate::support::corpus::{self, Document};
use crate::support::folder;
use crate::support::random::Random;
use crate::support::read;

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
