//! A run that is stopped anywhere and resumed is the run that was never stopped, and computes nothing twice.

use tamis::{Silent, Worker};

use crate::signals::{TABLE, open};
use crate::support::corpus;
use crate::support::folder;
use crate::support::observers::{Watch, until_stopped};
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
