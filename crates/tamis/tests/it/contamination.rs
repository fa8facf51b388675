//! Contamination over a run: what is planted is found and nothing else, phrases of the corpus do not count, and what the evaluations
//! are is part of what was computed. The laws of the driver hold for this signal too, see `signals.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use tamis::options::{ContaminationOptions, FrequentNgrams, ScoreLimits, SelectOptions, SignalOptions};
use tamis::{Project, ScoreOptions, ScoreReport, SignalDir, Silent};
use tamis_io::run::CorpusVersion;
use tamis_io::sidecar::SidecarColumns;

use crate::signals::{open, selecting};
use crate::support::corpus::{self, Document};
use crate::support::observers::Watch;
use crate::support::{folder, read};

/// Twenty words that no document of random words has.
fn item(name: &str) -> String {
    (0..20).map(|at| format!("{name}{at}")).collect::<Vec<_>>().join(" ")
}

/// Plants some words of an item in a document, in capitals and with marks between them.
fn plant(document: &mut Document, words: &str) {
    let shouted = words.to_uppercase().replace(' ', " … ");
    document.text = format!("{}; {shouted}! {}", document.text, corpus::word(1));
}

fn first_words(text: &str, words: usize) -> String {
    text.split(' ').take(words).collect::<Vec<_>>().join(" ")
}

/// By id: matches, the evaluation, the matched words, the veto.
type Rows = BTreeMap<String, (u32, Option<String>, Option<String>, Option<String>)>;

fn rows(project: &Project, version: &CorpusVersion, signal: &SignalDir) -> Rows {
    let mut rows = Rows::new();
    for shard in &version.shards {
        let inventory = project.run_directory().read_inventory(&shard.path, SidecarColumns::All).unwrap();
        let ids: Vec<String> = inventory
            .flat_map(|batch| {
                let batch = batch.unwrap();
                let ids = batch.column_by_name("id").unwrap().as_string::<i32>();
                ids.iter().map(|id| id.unwrap().to_owned()).collect::<Vec<_>>()
            })
            .collect();
        let mut ids = ids.into_iter();
        for batch in signal.read(shard, SidecarColumns::All).unwrap() {
            let batch = batch.unwrap();
            let text = |name: &str, at: usize| {
                let values = batch.column_by_name(name).unwrap().as_string::<i32>();
                values.is_valid(at).then(|| values.value(at).to_owned())
            };
            let matches = batch.column_by_name("matches").unwrap().as_primitive::<UInt32Type>();
            for at in 0..batch.num_rows() {
                let row = (matches.value(at), text("evaluation", at), text("matched", at), text("veto", at));
                rows.insert(ids.next().unwrap(), row);
            }
        }
    }
    rows
}

/// Evaluations `arc/test` (items `alpha`, `beta` and one that is too short) and `gsm8k` (`gamma`).
fn evaluations(folder: &Path) -> ContaminationOptions {
    let lines = [item("alpha"), item("beta"), "too short".to_owned()]
        .map(|text| serde_json::json!({ "question": text, "gold": 0 }).to_string());
    corpus::write(folder, "arc/test.jsonl", &lines);
    std::fs::write(folder.join("gsm8k.csv"), format!("question,answer\n\"{}\",42\n", item("gamma"))).unwrap();
    ContaminationOptions {
        evaluations: vec![folder.to_str().unwrap().to_owned()],
        ..ContaminationOptions::default()
    }
}

fn score(project: &Project, asked: &ContaminationOptions) -> (CorpusVersion, SignalDir, ScoreReport) {
    let asked = SignalOptions::from(asked.clone());
    project.check_score(&asked, ScoreOptions::default()).unwrap();
    let version = project.inventory().unwrap();
    let (signal, report) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
    (version, signal, report)
}

#[test]
fn what_is_planted_is_found_and_phrases_of_the_corpus_do_not_count() {
    let [corpus, run, evaluation] = [folder(), folder(), folder()];
    let asked = evaluations(evaluation.path());
    let mut documents = corpus::documents(1, 300);
    plant(&mut documents[7], &first_words(&item("alpha"), 13));
    plant(&mut documents[8], &first_words(&item("alpha"), 12));
    plant(&mut documents[9], &item("gamma"));
    plant(&mut documents[9], &first_words(&item("beta"), 13));
    // A phrase: the end of one item in eleven documents.
    let phrase = item("beta").split(' ').skip(5).collect::<Vec<_>>().join(" ");
    (100..111).for_each(|at| plant(&mut documents[at], &phrase));
    let (some, more) = documents.split_at(150);
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(some));
    corpus::write(corpus.path(), "b.jsonl", &corpus::lines(more));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let (version, signal, report) = score(&project, &asked);
    let found = rows(&project, &version, &signal);
    assert_eq!(found.len(), 300);
    let hit: BTreeMap<&str, _> =
        found.iter().filter(|(_, row)| row.0 > 0).map(|(id, row)| (id.as_str(), row)).collect();
    let row = |matches, evaluation: &str, words: &str| {
        let some = |text: &str| Some(text.to_owned());
        (matches, some(evaluation), some(words), Some(format!("contaminated {evaluation}")))
    };
    assert_eq!(hit.len(), 2, "{hit:?}");
    assert_eq!(*hit["d1-7"], row(1, "arc/test", &first_words(&item("alpha"), 13)));
    assert_eq!(*hit["d1-9"], row(9, "gsm8k", &first_words(&item("gamma"), 13)));
    let others = found.values().filter(|row| row.0 == 0);
    assert!(others.into_iter().all(|row| row.1.is_none() && row.2.is_none() && row.3.is_none()));

    let findings = report.findings.join("\n");
    for said in [
        "2 of 300 documents (0.667 %) share words with an item of an evaluation",
        "24 n-grams of 4 items of 2 evaluations, 1 items are too short",
        "3 n-grams are in more than 10 documents and do not count",
        "warning: 0.667 %",
        "arc/test: 2 documents (0.667 %), 2 of 3 items",
        "gsm8k: 1 documents (0.333 %), 1 of 1 items",
        "for example `d1-7`, arc/test: alpha0 alpha1",
    ] {
        assert!(findings.contains(said), "{said}\n{findings}");
    }

    // A selection leaves them out.
    let limits = ScoreLimits { at_most: Some(0.0), ..ScoreLimits::default() };
    let options = SelectOptions { limits, ..selecting("contamination", None, Vec::new()) };
    let report = project.run_selection(&options, ScoreOptions::default()).unwrap();
    let kept = read::decisions(&project, &version, &report.name);
    let dropped: Vec<&str> =
        kept.iter().filter(|row| row.reason != "kept").map(|row| row.id.as_str()).collect();
    assert_eq!(dropped.len(), 2, "{dropped:?}");

    // With another limit the texts are not read again, and the phrase counts.
    let all = FrequentNgrams { documents: 11, share: 0.0 };
    let asked = ContaminationOptions { frequent: all, ..asked };
    let watch = Watch::counting();
    let project = open(corpus.path(), run.path(), 2, &watch);
    let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
    let (signal, _) = project.score(&version, &asked.into(), beside).unwrap();
    assert_eq!(watch.documents("score contamination-matches"), 0);
    assert_eq!(rows(&project, &version, &signal).values().filter(|row| row.0 > 0).count(), 13);
}

#[test]
fn what_is_frequent_changes_as_the_corpus_grows() {
    let [corpus, run, evaluation] = [folder(), folder(), folder()];
    let asked = evaluations(evaluation.path());
    let planted = |seed: u64| {
        let mut documents = corpus::documents(seed, 20);
        (0..6).for_each(|at| plant(&mut documents[at], &item("alpha")));
        corpus::lines(&documents)
    };
    corpus::write(corpus.path(), "a.jsonl", &planted(1));
    let contaminated = |watch: &std::sync::Arc<Watch>| {
        let project = open(corpus.path(), run.path(), 2, watch);
        let (version, signal, _) = score(&project, &asked);
        rows(&project, &version, &signal).values().filter(|row| row.0 > 0).count()
    };
    assert_eq!(contaminated(&Watch::counting()), 6);
    corpus::write(corpus.path(), "b.jsonl", &planted(2));
    let watch = Watch::counting();
    assert_eq!(contaminated(&watch), 0, "twelve documents have it now");
    assert_eq!(watch.documents("score contamination-matches"), 20, "the new ones alone are read");
}

#[test]
fn other_evaluations_under_the_same_path_are_refused_unless_beside() {
    let [corpus, run, evaluation] = [folder(), folder(), folder()];
    let asked = evaluations(evaluation.path());
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&corpus::documents(1, 30)));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let (version, first, _) = score(&project, &asked);
    std::fs::write(evaluation.path().join("gsm8k.csv"), item("delta")).unwrap();
    let options = SignalOptions::from(asked);
    let error = project.score(&version, &options, ScoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("the evaluation files are not those"), "{error}");
    assert!(error.hint().unwrap().contains("--beside"));
    let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
    let (second, _) = project.score(&version, &options, beside).unwrap();
    assert_ne!(first.full_name(), second.full_name());
    // What is whole is selected by without the files.
    drop(evaluation);
    let selection = selecting("contamination", None, vec![tamis::Target::Documents(3)]);
    project.run_selection(&selection, ScoreOptions::default()).unwrap();
}

#[test]
fn what_cannot_be_looked_for_is_refused_before_a_document_is_read() {
    let [corpus, run, evaluation] = [folder(), folder(), folder()];
    let asked = evaluations(evaluation.path());
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&corpus::documents(1, 3)));
    let watch = Watch::counting();
    let project = open(corpus.path(), run.path(), 1, &watch);
    let with = |change: &dyn Fn(&mut ContaminationOptions)| {
        let mut asked = asked.clone();
        change(&mut asked);
        let error = project.check_score(&asked.into(), ScoreOptions::default()).unwrap_err();
        assert!(error.hint().is_some(), "{error}");
        error.to_string()
    };
    type Change<'a> = &'a dyn Fn(&mut ContaminationOptions);
    let cases: [(Change<'_>, &str); 5] = [
        (&|asked| asked.evaluations.clear(), "needs evaluations"),
        (&|asked| asked.evaluations.push("no such folder".to_owned()), "no such folder"),
        (&|asked| asked.gram = 4, "n-grams of 4 words"),
        (&|asked| asked.frequent.share = 1.5, "between 0 and 1"),
        (&|asked| asked.columns = vec!["gold".to_owned()], "arc/test.jsonl`: no text in column `gold`"),
    ];
    for (change, says) in cases {
        let message = with(change);
        assert!(message.contains(says), "{message}");
    }
    std::fs::write(evaluation.path().join("broken.jsonl"), "{").unwrap();
    assert!(with(&|_| ()).contains("broken.jsonl"));
    assert_eq!(watch.documents("read corpus"), 0);
}
