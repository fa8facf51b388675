//! A plan says what the run then does: for every signal, at every stage, and without writing anything.

use serde_json::Value;
use tamis::options::SignalOptions;
use tamis::{By, Project, ScoreOptions, Silent};

use crate::signals::{asked, open};
use crate::support::corpus;
use crate::support::folder;
use crate::support::observers::{Watch, until_stopped};
use crate::support::snapshot::{assert_same, snapshot};

/// How the signal stands, and documents that are left.
fn plan(project: &Project, planned: &By<'_>, options: ScoreOptions) -> (String, u64) {
    let plan: Value = project.plan(planned, options, None).unwrap().json();
    let signal = &plan["signal"];
    (signal["standing"].as_str().unwrap().to_owned(), signal["documents_to_compute"].as_u64().unwrap())
}

#[test]
fn what_is_left_is_counted_wherever_a_run_was_stopped() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for row in asked() {
        let asked = row.options();
        let planned = By::Exactly(&asked);
        for stop in [1, 3] {
            let run = folder();
            let watch = Watch::stopping(&row.stage(), stop);
            until_stopped(&watch, |watch| row.complete(&open(corpus.path(), run.path(), 2, watch)));
            let before = snapshot(run.path());
            let project = open(corpus.path(), run.path(), 2, &Silent);
            let said = plan(&project, &planned, ScoreOptions::default());
            let by_name = plan(&project, &By::Named(&asked), ScoreOptions::default());
            assert_same(&snapshot(run.path()), &before, row.name);
            assert_eq!(said.0, "continues", "{} stopped at {stop}", row.name);
            assert_eq!(by_name, said, "{} stopped at {stop}", row.name);
            let version = project.inventory().unwrap();
            let (_, report) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
            assert_eq!(said.1, report.map.computed, "{} stopped at {stop}", row.name);
            assert_eq!(plan(&project, &planned, ScoreOptions::default()), ("continues".to_owned(), 0));
        }
    }
}

#[test]
fn other_options_are_planned_as_the_run_takes_them() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for row in asked() {
        let (asked, changed) = (row.options(), row.changed());
        if asked.stored_name() != changed.stored_name() {
            // Another column is another signal and no other way to compute this one.
            assert!(matches!(asked, SignalOptions::Column(_)), "{}", row.name);
            continue;
        }
        let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
        let run = folder();
        let project = open(corpus.path(), run.path(), 2, &Silent);
        let version = project.inventory().unwrap();
        let all = version.documents();
        let new = ("new".to_owned(), all);
        assert_eq!(plan(&project, &By::Exactly(&asked), ScoreOptions::default()), new, "{}", row.name);
        assert_eq!(plan(&project, &By::Named(&changed), beside), new, "{}", row.name);
        project.score(&version, &asked, ScoreOptions::default()).unwrap();
        // A name alone goes on with what is there, whatever its options.
        let done = ("continues".to_owned(), 0);
        assert_eq!(plan(&project, &By::Named(&changed), ScoreOptions::default()), done, "{}", row.name);

        let (standing, left) = plan(&project, &By::Exactly(&changed), ScoreOptions::default());
        let taken = project.score(&version, &changed, ScoreOptions::default());
        match taken {
            Ok((_, report)) => {
                assert_eq!((standing.as_str(), left), ("continues", report.map.computed), "{}", row.name);
            }
            Err(error) => assert_eq!((standing.as_str(), left), ("refused", all), "{}: {error}", row.name),
        }
        let (standing, left) = plan(&project, &By::Exactly(&changed), beside);
        let (directory, report) = project.score(&version, &changed, beside).unwrap();
        assert_eq!(left, report.map.computed, "{}: {standing}", row.name);
        let done = ("continues".to_owned(), 0);
        assert_eq!(plan(&project, &By::Exactly(&changed), ScoreOptions::default()), done, "{}", row.name);
        assert_eq!(plan(&project, &By::Stored(directory.full_name()), beside), done, "{}", row.name);
    }
}
