//! Recipes: applied in any number of calls they leave what one call leaves.

use std::collections::BTreeMap;
use std::path::Path;

use tamis::{ApplyReport, Error, Project, Recipe, ScoreOptions, Silent, StageKind, Worker};

use crate::signals::open;
use crate::support::corpus;
use crate::support::folder;
use crate::support::models::MODELS;
use crate::support::observers::Cancels;
use crate::support::snapshot::{assert_same, snapshot};

fn recipe(out: &Path) -> Recipe {
    let text = format!(
        r#"
[signals.counts]
[signals.copies]

[selections.clean]
filters = ["copies.rank<=0", "counts.words>=25"]

[signals.judge]
signal = "ask-llm"
model = "{judge}"
prompts = ["paper"]
on = "clean"

[signals.tokens]
tokenizer = "{judge}"
on = "clean"

[signals.both]
signal = "ensemble"
members = [{{ by = "judge" }}, {{ by = "counts.words", weight = 0.5 }}]
on = "clean"

[selections.best]
on = "clean"
by = "both"
rates = ["10%", "40%"]
tokenizer = "{judge}"

[selections.budget]
on = "clean"
by = "judge"
rule = "top"
target-tokens = 9000
tokenizer = "{judge}"
repeat = {{ from = "40%", cap = 4.0 }}

[outputs.training]
selection = "budget"
out = "{out}"
"#,
        judge = MODELS.judge,
        out = out.display()
    );
    Recipe::parse("r.toml", &text, Path::new("")).unwrap()
}

fn write(folder: &Path) {
    let mut documents = corpus::documents(41, 240);
    for at in 0..20 {
        documents[at + 100].text = documents[at].text.clone();
    }
    for (at, part) in documents.chunks(90).enumerate() {
        corpus::write(folder, &format!("s{at}.jsonl"), &corpus::lines(part));
    }
}

fn apply(project: &Project, recipe: &Recipe) -> ApplyReport {
    project.apply(recipe, ScoreOptions::default()).unwrap()
}

/// Documents out of every stage.
fn left(report: &ApplyReport) -> BTreeMap<String, u64> {
    report.stages.iter().map(|stage| (stage.name.clone(), stage.documents_out)).collect()
}

#[test]
fn an_applied_recipe_is_the_same_however_often_it_was_stopped() {
    let [corpus, run, out] = [folder(), folder(), folder()];
    write(corpus.path());
    let asked = recipe(&out.path().join("o"));
    let report = apply(&open(corpus.path(), run.path(), 2, &Silent), &asked);
    let expected = snapshot(run.path());
    let stages = left(&report);
    assert_eq!(stages["copies"], 240);
    assert!(stages["clean"] < 221 && stages["judge"] == stages["clean"], "{stages:?}");
    assert_eq!(stages["best"], (stages["clean"] as f64 * 0.4).round() as u64);
    let written = report.stages.last().unwrap();
    assert_eq!(written.kind, StageKind::Output);
    assert!(written.documents_out > written.documents_in, "copies: {written:?}");

    // Applied again, nothing is left to do.
    let again = apply(&open(corpus.path(), run.path(), 2, &Silent), &asked);
    assert!(again.stages.iter().all(|stage| stage.computed == 0), "{again:?}");
    assert_eq!(left(&again), stages);
    assert_same(&snapshot(run.path()), &expected, "applied twice");

    for questions in [3, 20, 60, 150] {
        let (run, out) = (folder(), folder());
        let asked = recipe(&out.path().join("o"));
        let observer = Cancels::after(questions);
        let project = open(corpus.path(), run.path(), 2, &observer);
        match project.apply(&asked, ScoreOptions::default()) {
            Err(Error::Cancelled) => {}
            Ok(_) => assert!(questions > 60, "{questions}: never stopped"),
            Err(error) => panic!("{questions}: {error}"),
        }
        let report = apply(&open(corpus.path(), run.path(), 2, &Silent), &asked);
        assert_eq!(left(&report), stages, "{questions}");
        assert_same(&snapshot(run.path()), &expected, &format!("stopped after {questions} questions"));
    }
}

#[test]
fn workers_divide_a_recipe_and_leave_the_same() {
    let [corpus, run, alone, out] = [folder(), folder(), folder(), folder()];
    write(corpus.path());
    let asked = recipe(&out.path().join("o"));
    let stages = left(&apply(&open(corpus.path(), alone.path(), 2, &Silent), &asked));
    let found = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=2)
            .map(|index| {
                let (corpus, run, asked) = (corpus.path(), run.path(), &asked);
                scope.spawn(move || {
                    let project = open(corpus, run, 1, &Silent);
                    let worker = Worker { index, of: 2 };
                    let options = ScoreOptions { worker, wait: true, ..ScoreOptions::default() };
                    left(&project.apply(asked, options).unwrap())
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(found[0], stages);
    assert!(found[1].iter().all(|(name, documents)| stages[name] == *documents), "{found:?}");
    assert_same(&snapshot(run.path()), &snapshot(alone.path()), "two workers");
}

#[test]
fn a_plan_says_what_comes_of_it_and_changes_nothing_of_the_run() {
    let [corpus, run, other, out] = [folder(), folder(), folder(), folder()];
    write(corpus.path());
    let asked = recipe(&out.path().join("o"));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let plan = project.plan_recipe(&asked).unwrap();
    assert!(plan.is_exact && plan.documents == 240.0, "{plan:?}");
    let report = apply(&project, &asked);
    for (stage, planned) in report.stages.iter().zip(&plan.stages) {
        assert_eq!(stage.name, planned.name);
        assert_eq!(stage.planned_documents, Some(planned.documents_out), "{}", stage.name);
        // The rehearsal had all of the documents.
        if planned.note.is_none() && !["budget", "best"].contains(&stage.name.as_str()) {
            assert_eq!(stage.documents_out as f64, planned.documents_out.round(), "{}", stage.name);
        }
    }
    apply(&open(corpus.path(), other.path(), 2, &Silent), &asked);
    let mut found = snapshot(run.path());
    found.retain(|path, _| !path.starts_with("plans/"));
    assert_same(&found, &snapshot(other.path()), "with a plan");
}

#[test]
fn a_recipe_stops_where_more_is_vetoed_than_may_be() {
    let [corpus, run] = [folder(), folder()];
    write(corpus.path());
    let of = |share: &str| {
        let text = format!("[signals.rules]\nmax-hit-share = \"{share}\"\n");
        let project = open(corpus.path(), run.path(), 2, &Silent);
        project.apply(&Recipe::parse("r.toml", &text, Path::new("")).unwrap(), ScoreOptions::default())
    };
    let error = of("1%").unwrap_err();
    assert!(error.to_string().contains("vetoes 240 of 240 documents"), "{error}");
    assert!(error.hint().unwrap().contains("max-hit-share"));
    of("100%").unwrap();
}
