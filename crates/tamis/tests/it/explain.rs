//! What `show` and `why` say is what the files hold.

use tamis::options::{ExactDuplicates, SelectOptions};
use tamis::{Order, Rule, ScoreOptions, Silent};

use crate::signals::{TABLE, column, open, rates, selecting};
use crate::support::corpus::{self, Document};
use crate::support::folder;
use crate::support::read;

/// Twenty documents under two scores that agree, but for one that the second puts last.
fn planted() -> Vec<Document> {
    let mut all = corpus::documents(31, 20);
    for (at, document) in all.iter_mut().enumerate() {
        document.quality = Some(at as f64 + 1.0);
    }
    all
}

fn line(document: &Document, second: f64) -> String {
    let mut object: serde_json::Value = serde_json::from_str(&document.line()).unwrap();
    object["second"] = second.into();
    object.to_string()
}

#[test]
fn percentiles_are_mid_ranks_in_keep_order() {
    let corpus = folder();
    let mut documents = planted();
    // Scores 1, 2, 2, 2, 5, and one that has none.
    documents.truncate(6);
    for (document, quality) in
        documents.iter_mut().zip([Some(2.0), Some(5.0), Some(2.0), None, Some(1.0), Some(2.0)])
    {
        document.quality = quality;
    }
    for (at, lines) in corpus::lines(&documents).chunks(4).enumerate() {
        corpus::write(corpus.path(), &format!("{at}.jsonl"), lines);
    }
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    project.score(&version, &column("quality"), ScoreOptions::default()).unwrap();
    let report = project.show(Some("column:quality"), &Order::Top, 10).unwrap();
    assert_eq!(report.documents, 5);
    let shown: Vec<(f64, f64)> = report.shown.iter().map(|document| document.standings[0].unwrap()).collect();
    assert_eq!(shown, [(5.0, 90.0), (2.0, 50.0), (2.0, 50.0), (2.0, 50.0), (1.0, 10.0)]);
    let top = &report.shown[0];
    assert_eq!((top.identity.id.as_deref(), top.identity.row), (Some(documents[1].id.as_str()), 1));
    assert_eq!(
        (top.text.as_str(), top.identity.bytes),
        (documents[1].text.as_str(), documents[1].text.len() as u64)
    );
    let bottom = project.show(Some("column:quality"), &Order::Bottom, 1).unwrap();
    assert_eq!(bottom.shown[0].identity.id.as_deref(), Some(documents[4].id.as_str()));
    let around = project.show(Some("column:quality"), &Order::Around(48.0), 3).unwrap();
    assert!(around.shown.iter().all(|document| document.standings[0] == Some((2.0, 50.0))));
}

#[test]
fn the_document_that_two_signals_judge_most_differently_comes_first() {
    let corpus = folder();
    let documents = planted();
    let lines: Vec<String> = documents
        .iter()
        .enumerate()
        .map(|(at, document)| line(document, if at == 17 { -1.0 } else { at as f64 * 10.0 }))
        .collect();
    corpus::write(corpus.path(), "a.jsonl", &lines);
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    for name in ["quality", "second"] {
        project.score(&version, &column(name), ScoreOptions::default()).unwrap();
    }
    let order = Order::Disagree("column:quality".to_owned(), "column:second".to_owned());
    let report = project.show(None, &order, 2).unwrap();
    assert_eq!(report.shown[0].identity.id.as_deref(), Some(documents[17].id.as_str()));
    assert!(project.show(None, &Order::Top, 2).is_err(), "two signals, none named");
    let unknown = project.show(Some("colum:quality"), &Order::Top, 2).unwrap_err();
    assert!(unknown.to_string().contains("colum:quality"), "{unknown}");
}

#[test]
fn why_tells_the_numbers_of_sidecars_and_decisions() {
    let corpus = folder();
    let mut documents = corpus::documents(32, 50);
    documents[40].id = documents[4].id.clone();
    documents[6].quality = None;
    for (at, lines) in corpus::lines(&documents).chunks(20).enumerate() {
        corpus::write(corpus.path(), &format!("{at}.jsonl"), lines);
    }
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let (signal, _) = project.score(&version, &column("quality"), ScoreOptions::default()).unwrap();
    let select = |rule, name: &str| {
        let options = SelectOptions {
            name: Some(name.to_owned()),
            decide_only: true,
            exact_duplicates: ExactDuplicates::All,
            ..selecting("column:quality", Some(rule), rates(&["20%", "50%"]))
        };
        project.select(&version, Some((&signal, "score")), None, &options).unwrap();
        read::decisions(&project, &version, name)
    };
    let decided = [("by-top", select(Rule::Top, "by-top")), ("weighted", select(Rule::Ips, "weighted"))];
    let scores = read::values(&project, &version, &signal, "score");
    for (at, document) in documents.iter().enumerate() {
        let name = format!("{}.jsonl:{}", at / 20, at % 20 + 1);
        let why = project.why(&name).unwrap();
        assert_eq!(why.identity.id.as_deref(), Some(document.id.as_str()));
        assert_eq!(why.text.as_deref(), Some(document.text.as_str()));
        let reading = &why.readings[0];
        assert_eq!((&scores[at].0, scores[at].1), (&document.id, document.quality));
        assert_eq!(reading.values, [("score".to_owned(), document.quality)]);
        assert_eq!(reading.failed.is_some(), document.quality.is_none());
        let below = |score: f64| {
            let others = scores.iter().filter_map(|(_, other)| *other);
            others
                .map(|other| {
                    if other < score {
                        1.0
                    } else if other == score {
                        0.5
                    } else {
                        0.0
                    }
                })
                .sum::<f64>()
        };
        let percentile = document.quality.map(|score| (below(score) / 49.0 * 100.0, 49));
        match (reading.percentile, percentile) {
            (Some((found, of)), Some((expected, all))) => {
                assert!((found - expected).abs() < 1e-9 && of == all, "{found} {expected}");
            }
            (found, expected) => assert_eq!(found, expected),
        }
        for (selection, rows) in &decided {
            let decision = why.decisions.iter().find(|decision| decision.selection == *selection).unwrap();
            let row = &rows[at];
            assert_eq!(row.id, document.id);
            assert_eq!(
                (&decision.reason, decision.smallest_kept, decision.priority),
                (&row.reason, row.smallest_kept, row.priority)
            );
            let probabilities: Vec<_> =
                decision.targets.iter().map(|(_, _, probability)| *probability).collect();
            assert_eq!(probabilities, row.probabilities);
            for ((label, threshold, _), target) in decision.targets.iter().zip(&decision.manifest.targets) {
                assert_eq!((label, *threshold), (&target.label, target.threshold));
                if let (Some(priority), Some(threshold)) = (row.priority, *threshold) {
                    assert!(!row.kept_at(target.asked) || priority <= threshold);
                }
            }
        }
    }
    assert_eq!(project.why(&documents[4].id).unwrap().matches, 2);
    let key = project.why(&documents[9].id).unwrap().identity.key.to_string();
    assert_eq!(project.why(&key).unwrap().identity.id.as_deref(), Some(documents[9].id.as_str()));
    assert!(project.why("nobody").is_err());
}

#[test]
fn two_signals_of_one_name_keep_their_own_scales() {
    let corpus = folder();
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&corpus::documents(37, 40)));
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
    let row = TABLE.iter().find(|row| row.name == "ask-llm").unwrap();
    let names = [row.options(), row.changed()]
        .map(|asked| project.score(&version, &asked, beside).unwrap().0.full_name().to_owned());
    for name in &names {
        let report = project.show(Some(name), &Order::Top, 40).unwrap();
        let at = report.signals.iter().position(|signal| signal == name).unwrap();
        let shown: Vec<f64> = report.shown.iter().map(|document| document.standings[at].unwrap().1).collect();
        assert!(
            shown.is_sorted_by(|a, b| a >= b),
            "`{name}` does not order what it is asked to order: {shown:?}"
        );

        let first = &report.shown[0];
        let why = project.why(&first.identity.key.to_string()).unwrap();
        let reading = why.readings.iter().find(|reading| reading.signal == *name).unwrap();
        assert_eq!(reading.percentile, Some((shown[0], 40)));
    }
    let order = Order::Disagree(names[0].clone(), names[1].clone());
    let standings = &project.show(None, &order, 1).unwrap().shown[0].standings;
    assert_ne!(
        standings[0].unwrap().1,
        standings[1].unwrap().1,
        "two judges of random weights do not agree on all"
    );
}
