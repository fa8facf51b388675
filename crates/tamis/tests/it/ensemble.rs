//! Several scores as one.

use std::collections::BTreeMap;

use tamis::options::{Combine, EnsembleOptions, Member};
use tamis::{Project, ScoreOptions, Silent};
use tamis_io::run::CorpusVersion;

use crate::signals::{column, open};
use crate::support::{corpus, folder, read};

/// Mid-ranks of scores by id; higher is better.
fn ranks(scores: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let rank = |own: f64| {
        let below = scores.values().filter(|other| **other < own).count() as f64;
        let equal = scores.values().filter(|other| **other == own).count() as f64;
        (below + equal / 2.0) / scores.len() as f64
    };
    scores.iter().map(|(id, score)| (id.clone(), rank(*score))).collect()
}

fn values(
    project: &Project,
    version: &CorpusVersion,
    asked: EnsembleOptions,
) -> BTreeMap<String, Option<f64>> {
    let (signal, report) = project.score(version, &asked.into(), ScoreOptions::default()).unwrap();
    assert!(report.findings[0].contains("documents that have a value in all"), "{:?}", report.findings);
    read::values(project, version, &signal, "score").into_iter().collect()
}

#[test]
fn an_ensemble_is_what_its_formula_says() {
    let [corpus, run] = [folder(), folder()];
    let mut documents = corpus::documents(3, 150);
    // Without a score it is in no rank.
    documents[7].quality = None;
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&documents[..90]));
    corpus::write(corpus.path(), "b.jsonl", &corpus::lines(&documents[90..]));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    project.score(&version, &column("quality"), ScoreOptions::default()).unwrap();
    let scored: Vec<_> = documents.iter().filter(|one| one.quality.is_some()).collect();
    let quality = ranks(&scored.iter().map(|one| (one.id.clone(), one.quality.unwrap())).collect());
    let words = |text: &str| text.split(' ').count() as f64;
    let words = ranks(&scored.iter().map(|one| (one.id.clone(), words(&one.text))).collect());
    let members = || ["column:quality", "counts.words*3"].map(|text| Member::parse(text).unwrap()).to_vec();
    for (combine, expected) in [
        (Combine::Mean, (|a, b| (a + 3.0 * b) / 4.0) as fn(f64, f64) -> f64),
        (Combine::Product, |a, b| (a.ln() / 4.0 + 3.0 * b.ln() / 4.0).exp()),
        (Combine::Max, |a, b| (a * 20.0).floor().max((b * 20.0).floor()).min(19.0) + (a + 3.0 * b) / 4.0),
    ] {
        let run = folder();
        let project = open(corpus.path(), run.path(), 2, &Silent);
        let version = project.inventory().unwrap();
        let asked = EnsembleOptions { members: members(), combine, ..EnsembleOptions::default() };
        let found = values(&project, &version, asked);
        assert_eq!(found[&documents[7].id], None);
        for one in &scored {
            let expected = expected(quality[&one.id], words[&one.id]);
            let found = found[&one.id].unwrap();
            assert!((found - expected).abs() < 1e-12, "{combine:?} {}: {found}, not {expected}", one.id);
        }
    }
}

#[test]
fn what_is_no_ensemble_is_refused() {
    let [corpus, run] = [folder(), folder()];
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&corpus::documents(3, 20)));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let member = |text: &str| Member::parse(text).unwrap();
    for (members, says) in [
        (vec![], "two scores or more"),
        (vec![member("counts.words")], "two scores or more"),
        (vec![member("counts.words"), member("counts.words*0")], "weight"),
        (vec![member("counts.words"), member("counts.wrods")], "`wrods`"),
    ] {
        let asked = EnsembleOptions { members, ..EnsembleOptions::default() }.into();
        let error = project.score(&version, &asked, ScoreOptions::default()).unwrap_err();
        assert!(error.to_string().contains(says) && error.is_usage(), "{error}");
    }
    assert!(Member::parse("counts.words*much").is_err());
}
