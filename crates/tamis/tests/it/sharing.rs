//! Threads, workers and processes change who computes, never what.

use tamis::{Silent, Worker};

use crate::signals::{TABLE, open};
use crate::support::corpus;
use crate::support::folder;
use crate::support::snapshot::{assert_same, snapshot};

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for row in TABLE {
        let runs = [1, 2, 4].map(|threads| {
            let run = folder();
            row.complete(&open(corpus.path(), run.path(), threads, &Silent));
            snapshot(run.path())
        });
        assert!(runs[0].keys().any(|name| name.ends_with("large.parquet")));
        assert_same(&runs[1], &runs[0], &format!("{}, 2 threads", row.name));
        assert_same(&runs[2], &runs[0], &format!("{}, 4 threads", row.name));
    }
}

#[test]
fn workers_together_give_the_bytes_of_one() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for row in TABLE {
        let alone = folder();
        let (version, _, _) = row.complete(&open(corpus.path(), alone.path(), 2, &Silent));
        let run = folder();
        let workers: &[&str] = if row.by_worker { &["2/3", "3/3", "1/3"] } else { &["1/1"] };
        let mut computed = 0;
        for (at, worker) in workers.iter().enumerate() {
            let project = open(corpus.path(), run.path(), 1, &Silent);
            let own = project.inventory().unwrap();
            let report = row.score(&project, &own, Worker::parse(worker).unwrap());
            computed += report.computed;
            assert_eq!(report.unfinished_shards == 0, at + 1 == workers.len(), "{} {worker}", row.name);
        }
        assert_eq!(computed, version.documents(), "{}", row.name);
        let project = open(corpus.path(), run.path(), 1, &Silent);
        row.select(&project, &version);
        assert_same(&snapshot(run.path()), &snapshot(alone.path()), row.name);
    }
}

#[test]
fn two_projects_at_once_on_one_run_give_the_bytes_of_one() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for row in TABLE {
        let alone = folder();
        row.complete(&open(corpus.path(), alone.path(), 2, &Silent));
        let expected = snapshot(alone.path());
        for _ in 0..3 {
            let run = folder();
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| row.complete(&open(corpus.path(), run.path(), 2, &Silent)));
                }
            });
            assert_same(&snapshot(run.path()), &expected, row.name);
        }
    }
}
