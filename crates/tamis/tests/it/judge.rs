//! What a check and a sample promise, with a judge of random weights: figures that do not depend on threads, and nothing
//! written that could pose as scores.

use std::path::Path;

use tamis::options::{AskOptions, CountsOptions, Dtype, Engine, ServerOptions, SignalOptions};
use tamis::{CheckOptions, Half, SampleOptions, ScoreOptions, Silent, Verdict, check_model};

use crate::signals::{ask, open};
use crate::support::models::MODELS;
use crate::support::observers::Watch;
use crate::support::random::Random;
use crate::support::server::SERVER;
use crate::support::snapshot::{assert_same, snapshot};
use crate::support::{corpus, folder};

/// Thirty good documents of distinct words, thirty bad ones that say one word again and again.
fn labelled(path: &Path) {
    let mut random = Random::new(5);
    let lines: Vec<String> = (0..60)
        .map(|at| {
            let (label, kind) =
                [("good", "plain"), ("bad", "stutter"), ("good", "plain"), ("bad", "drone")][at % 4];
            let words = 20 + at;
            let text = match label {
                "good" => corpus::text(&mut random, words),
                _ => format!("{} ", corpus::word(at)).repeat(words),
            };
            serde_json::json!({ "text": text, "label": label, "kind": kind }).to_string()
        })
        .collect();
    std::fs::write(path, lines.join("\n")).unwrap();
}

fn check(path: &Path) -> CheckOptions {
    CheckOptions {
        model: MODELS.judge.clone(),
        labelled: Some(path.to_owned()),
        half: Half::Reporting,
        prompts: vec!["paper".to_owned()],
        raw_only: false,
        most_of_a_kind: Some(100), // nothing is left out, and nothing is kept in the cache
        dtype: Dtype::F32,
        engine: Engine::Native,
        server: ServerOptions::default(),
    }
}

#[test]
fn a_check_gives_the_same_figures_for_any_number_of_threads() {
    let folder = folder();
    let path = folder.path().join("labelled.jsonl");
    labelled(&path);
    let watch = Watch::counting();
    let one = check_model(&check(&path), 1, &watch).unwrap();
    let three = check_model(&check(&path), 3, &Silent).unwrap();
    assert_eq!((one.good, one.bad), (30, 30));
    let judge = &one.judges[0];
    assert_eq!((judge.prompt.as_str(), judge.rendering.as_str()), ("paper", "raw"));
    assert_eq!((judge.documents, judge.failed), (60, 0));
    assert_eq!(
        judge.kinds.iter().map(|kind| (kind.kind.as_str(), kind.documents)).collect::<Vec<_>>(),
        [("drone", 15), ("stutter", 15)]
    );
    assert_eq!(
        (judge.auc, judge.gain, &judge.kinds),
        (three.judges[0].auc, three.judges[0].gain, &three.judges[0].kinds)
    );
    assert_eq!(watch.documents("check"), 60 * one.judges.len() as u64);
    // Repetition is what the counts see at once, so that this judge cannot add to them.
    assert_eq!(one.baselines[0].auc.value, 1.0);
    assert_ne!(judge.verdict, Verdict::Adds);
}

#[test]
fn a_model_without_a_chat_template_is_checked_raw_and_by_likelihood() {
    let folder = folder();
    let path = folder.path().join("labelled.jsonl");
    labelled(&path);
    let report = check_model(&CheckOptions { prompts: Vec::new(), ..check(&path) }, 2, &Silent).unwrap();
    let names: Vec<(&str, &str)> =
        report.judges.iter().map(|judge| (judge.prompt.as_str(), judge.rendering.as_str())).collect();
    assert!(names.contains(&("paper", "raw")) && names.contains(&("negative mean NLL", "none")), "{names:?}");
    assert!(names.iter().all(|(_, rendering)| *rendering != "chat"));
    assert!(report.left_out[0].contains("no chat template"), "{:?}", report.left_out);
    assert_eq!(report.default_prompt, "paper");
}

#[test]
fn t5_and_server_judges_are_checked_like_any_other() {
    let folder = folder();
    let path = folder.path().join("labelled.jsonl");
    labelled(&path);
    let checked = |model: &str, dtype| {
        let model = model.to_owned();
        let options = CheckOptions { prompts: Vec::new(), model, dtype, ..check(&path) };
        let report = check_model(&options, 2, &Silent).unwrap();
        assert!(report.judges.iter().all(|judge| judge.documents == 60 && judge.failed == 0));
        assert!(report.judges.iter().all(|judge| (0.0..=1.0).contains(&judge.auc.value)));
        let names = report.judges.into_iter().map(|judge| (judge.prompt, judge.rendering));
        (names.collect::<Vec<_>>(), report.left_out)
    };
    let named = |prompt: &str, rendering: &str| (prompt.to_owned(), rendering.to_owned());
    let (names, left_out) = checked(&MODELS.t5_judge, Dtype::F32);
    assert!(names.contains(&named("paper", "raw")), "{names:?}");
    assert!(names.contains(&named("negative mean NLL", "none")), "{names:?}");
    assert!(left_out.iter().any(|reason| reason.contains("no chat template")), "{left_out:?}");

    let (names, left_out) = checked(&format!("{}/v1#fake", *SERVER), Dtype::Auto);
    assert!(names.contains(&named("paper", "raw")) && names.contains(&named("paper", "chat")), "{names:?}");
    assert!(left_out.iter().any(|reason| reason.contains("a server does not show it")), "{left_out:?}");
}

#[test]
fn a_sample_is_compared_and_leaves_scores_as_they_were() {
    let (corpus, run) = (folder(), folder());
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&corpus::documents(1, 150)));
    corpus::write(corpus.path(), "b.jsonl", &corpus::lines(&corpus::documents(2, 150)));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let asked = SignalOptions::AskLlm(ask());
    let half = SampleOptions { share: 0.5, seed: 0, against: None };
    let error = project.score_sample(&version, &asked, &half).unwrap_err();
    assert!(error.hint().unwrap().contains("score the whole corpus once"), "{error}");

    project.score(&version, &asked, ScoreOptions::default()).unwrap();
    let before = snapshot(run.path());
    let same = project.score_sample(&version, &asked, &half).unwrap();
    assert_eq!((same.kendall_tau, same.drawn), (1.0, same.compared));
    assert!((100..200).contains(&same.drawn), "{}", same.drawn);
    assert!(same.churn.iter().all(|(_, churn)| *churn == 0.0));
    assert_eq!(same.old, same.new);

    let other = SignalOptions::AskLlm(AskOptions { model: MODELS.other_judge.clone(), ..ask() });
    let tried = project.score_sample(&version, &other, &half).unwrap();
    assert_ne!(tried.new, tried.old);
    assert_eq!(tried.drawn, same.drawn);
    assert!(tried.kendall_tau < 0.9 && tried.churn[0].1 > 0.0, "{tried:?}");
    let alone = open(corpus.path(), run.path(), 1, &Silent).score_sample(&version, &other, &half).unwrap();
    assert_eq!(alone, tried);
    assert_same(&snapshot(run.path()), &before, "a sample");

    // A judge behind a server is sampled like any other.
    let behind = AskOptions { model: format!("{}/v1#fake", *SERVER), ..AskOptions::default() };
    let tried = project.score_sample(&version, &SignalOptions::AskLlm(behind), &half).unwrap();
    assert_eq!((tried.drawn, tried.compared), (same.drawn, same.compared));
    assert!(tried.kendall_tau < 0.9, "{tried:?}");
    assert_same(&snapshot(run.path()), &before, "a sample of a server's");

    // The smaller sample lies within the larger one; a few documents tell nothing.
    let few =
        project.score_sample(&version, &other, &SampleOptions { share: 0.01, ..half.clone() }).unwrap_err();
    assert!(few.to_string().contains("expected at least 20"), "{few}");
    let counts = project.score_sample(&version, &SignalOptions::Counts(CountsOptions {}), &half).unwrap_err();
    assert!(counts.is_usage());
}
