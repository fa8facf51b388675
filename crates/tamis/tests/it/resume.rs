//! A run that is stopped anywhere and resumed is the run that was never stopped, and computes nothing twice.

use tamis::{Error, Silent, Worker};

use crate::signals::{TABLE, open};
use crate::support::corpus;
use crate::support::folder;
use crate::support::observers::{Cancels, Watch, until_stopped};
use crate::support::snapshot::{assert_same, snapshot};

#[test]
fn stopped_scoring_goes_on_from_its_last_part() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for row in TABLE {
        let whole = folder();
        let project = open(corpus.path(), whole.path(), 2, &Silent);
        let (version, report, _) = row.complete(&project);
        assert_eq!(report.computed, version.documents(), "{}", row.name);
        assert_eq!(report.unfinished_shards, 0);
        let expected = snapshot(whole.path());

        let stage = row.stage();
        for (stop, threads) in [(1, 1), (2, 2), (3, 1), (4, 4), (6, 2)] {
            let run = folder();
            let watch = Watch::stopping(&stage, stop);
            let stopped =
                until_stopped(&watch, |watch| row.complete(&open(corpus.path(), run.path(), threads, watch)));
            let committed = watch.documents(&stage);
            // With several threads the last steps may be under way together.
            assert!(stopped || committed == version.documents(), "{}", row.name);
            assert!(stopped || stop > 1, "{}: nothing was stopped", row.name);

            let project = open(corpus.path(), run.path(), threads, &Silent);
            let version = project.inventory().unwrap();
            let resumed = row.score(&project, &version, Worker::ALONE);
            let what = format!("{} stopped at {stop}", row.name);
            assert_eq!(resumed.computed, version.documents() - committed, "{what}");
            assert_eq!(resumed.documents, version.documents(), "{what}");
            assert_eq!(resumed.failed, report.failed, "{what}");
            let again = row.score(&project, &version, Worker::ALONE);
            assert_eq!(again.computed, 0, "{what}");
            row.select(&project, &version);
            assert_same(&snapshot(run.path()), &expected, &what);
        }
    }
}

#[test]
fn a_run_that_is_cancelled_ends_with_a_word_and_goes_on_to_the_same_bytes() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for row in TABLE {
        let whole = folder();
        row.complete(&open(corpus.path(), whole.path(), 2, &Silent));
        let expected = snapshot(whole.path());
        let mut cancelled = 0;
        for questions in [0, 3, 9, 13, 20, 10_000] {
            let run = folder();
            let observer = Cancels::after(questions);
            match row.try_complete(&open(corpus.path(), run.path(), 2, &observer)) {
                Ok(_) => assert!(questions > 9, "{}: it was not asked", row.name),
                Err(error) => {
                    assert!(matches!(error, Error::Cancelled), "{}: {error}", row.name);
                    assert!(error.hint().unwrap().contains("goes on"));
                    cancelled += 1;
                }
            }
            row.complete(&open(corpus.path(), run.path(), 2, &Silent));
            assert_same(&snapshot(run.path()), &expected, &format!("{} after {questions}", row.name));
        }
        assert!((3..6).contains(&cancelled), "{}: {cancelled}", row.name);
    }
}

#[test]
fn stopped_reading_and_selecting_go_on() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    let row = &TABLE[0];
    let whole = folder();
    row.complete(&open(corpus.path(), whole.path(), 2, &Silent));
    let expected = snapshot(whole.path());
    for stage in ["read corpus", "write kept documents"] {
        for (stop, threads) in [(1, 1), (2, 2), (4, 1), (7, 3), (9, 2), (11, 1)] {
            let run = folder();
            let watch = Watch::stopping(stage, stop);
            until_stopped(&watch, |watch| row.complete(&open(corpus.path(), run.path(), threads, watch)));
            row.complete(&open(corpus.path(), run.path(), threads, &Silent));
            assert_same(&snapshot(run.path()), &expected, &format!("{stage} stopped at {stop}"));
        }
    }
}
