//! Threads, workers and processes change who computes, never what.

use std::path::Path;

use tamis::options::{SelectOptions, SignalOptions};
use tamis::{Error, ScoreOptions, Silent, Target, Worker};

use crate::signals::{On, TABLE, density, open, rates, selecting};
use crate::support::corpus;
use crate::support::folder;
use crate::support::snapshot::{assert_same, snapshot, snapshot_of};

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
fn a_run_in_an_object_store_has_the_bytes_of_one_in_a_folder() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for (at, row) in TABLE.iter().enumerate() {
        let run = folder();
        row.complete(&open(corpus.path(), run.path(), 2, &Silent));
        let url = format!("memory://law/{at}");
        // Stopped after the scores, and gone on with.
        let project = open(corpus.path(), Path::new(&url), 2, &Silent);
        row.score(&project, &project.inventory().unwrap(), Worker::ALONE);
        row.complete(&open(corpus.path(), Path::new(&url), 1, &Silent));
        assert_same(&snapshot_of(&url), &snapshot(run.path()), row.name);
    }
}

#[test]
fn workers_that_wait_for_each_other_give_the_bytes_of_one() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for row in TABLE.iter().filter(|row| row.depends != On::Row) {
        let alone = folder();
        row.complete(&open(corpus.path(), alone.path(), 2, &Silent));
        let run = folder();
        open(corpus.path(), run.path(), 1, &Silent).inventory().unwrap();
        std::thread::scope(|scope| {
            for worker in ["1/3", "2/3", "3/3"] {
                let run = run.path();
                let corpus = corpus.path();
                scope.spawn(move || {
                    let project = open(corpus, run, 1, &Silent);
                    let version = project.inventory().unwrap();
                    let worker = Worker::parse(worker).unwrap();
                    let options = ScoreOptions { worker, wait: true, ..ScoreOptions::default() };
                    row.score_as(&project, &version, options).unwrap();
                });
            }
        });
        let project = open(corpus.path(), run.path(), 1, &Silent);
        row.select(&project, &project.inventory().unwrap());
        assert_same(&snapshot(run.path()), &snapshot(alone.path()), row.name);
    }
}

#[test]
fn tasks_done_anywhere_in_any_order_by_one_load_give_the_bytes_of_one_call() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for row in TABLE {
        let run = folder();
        let here = open(corpus.path(), run.path(), 2, &Silent);
        let version = here.inventory().unwrap();
        if row.depends != On::Row {
            assert!(row.scorer(&here, &version).unwrap_err().is_usage(), "{}", row.name);
            continue;
        }
        let alone = folder();
        row.complete(&open(corpus.path(), alone.path(), 2, &Silent));
        let scorer = row.scorer(&here, &version).unwrap();
        let signal = here.begin(&scorer, false).unwrap();
        let there = open(corpus.path(), run.path(), 1, &Silent);
        let mut tasks = here.tasks(&version, &signal).unwrap();
        assert_eq!(tasks.len(), version.shards.len(), "{}", row.name);
        tasks.reverse();
        for (at, task) in tasks.iter().enumerate() {
            // As data, to another process.
            let task = serde_json::from_str(&serde_json::to_string(task).unwrap()).unwrap();
            let project = if at % 2 == 0 { &here } else { &there };
            project.run_task(&version, &scorer, &signal, &task).unwrap();
        }
        assert!(here.tasks(&version, &signal).unwrap().is_empty());
        let again = here.run_task(&version, &scorer, &signal, &tasks[0]).unwrap();
        assert_eq!(again.computed, 0);
        let mut other = tasks[0].clone();
        other.signal = "another@00000000".to_owned();
        assert!(here.run_task(&version, &scorer, &signal, &other).unwrap_err().is_usage());
        row.select(&there, &version);
        assert_same(&snapshot(run.path()), &snapshot(alone.path()), row.name);
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
        let mut left = vec!["2/3", "3/3", "1/3"];
        let (mut computed, mut rounds) = (0, 0);
        // One after the other, again and again, as a scheduler calls them, until every one is done.
        while !left.is_empty() {
            rounds += 1;
            left.retain(|worker| {
                let project = open(corpus.path(), run.path(), 1, &Silent);
                let own = project.inventory().unwrap();
                match row.try_score(&project, &own, Worker::parse(worker).unwrap()) {
                    Ok(report) => {
                        computed += report.computed;
                        false
                    }
                    Err(error) => {
                        assert!(matches!(error, Error::Waiting { .. }), "{}: {error}", row.name);
                        true
                    }
                }
            });
        }
        // What needs all of another signal takes a second round, what needs all of one that does a third.
        let expected = match row.depends {
            On::Row | On::Inventory => 1,
            On::Frozen => 2,
            On::AllRows { rounds } => rounds,
        };
        assert_eq!(rounds, expected, "{}", row.name);
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

#[test]
fn workers_that_select_together_give_the_bytes_of_one() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for (by, targets, tokenizer) in [
        ("random", rates(&["10%", "35%"]), None),
        ("column:q-a", rates(&["25%"]), None),
        ("counts", vec![Target::Tokens(2000)], Some(crate::support::models::MODELS.judge.clone())),
        ("density", rates(&["30%"]), None),
    ] {
        let signal = (by == "density").then(|| SignalOptions::Density(density()));
        let options = |out: &Path| SelectOptions {
            signal: signal.clone(),
            exactly: signal.is_some(),
            tokenizer: tokenizer.clone(),
            out: Some(out.to_owned()),
            ..selecting(by, None, targets.clone())
        };
        let [alone, kept_alone] = [folder(), folder()];
        open(corpus.path(), alone.path(), 2, &Silent)
            .run_selection(&options(kept_alone.path()), ScoreOptions::default())
            .unwrap();
        let same = |run: &Path, kept: &Path, how: &str| {
            let masked = |run: &Path, kept: &Path| {
                let mut files = snapshot(run);
                for bytes in
                    files.iter_mut().filter(|(name, _)| name.ends_with(".json")).map(|(_, bytes)| bytes)
                {
                    *bytes = String::from_utf8(bytes.clone())
                        .unwrap()
                        .replace(kept.to_str().unwrap(), "KEPT")
                        .into();
                }
                files
            };
            assert_same(
                &masked(run, kept),
                &masked(alone.path(), kept_alone.path()),
                &format!("{by}, {how}"),
            );
            assert_same(&snapshot(kept), &snapshot(kept_alone.path()), &format!("{by}, {how}"));
        };

        // One after the other, as a scheduler calls them, until every one is done.
        let in_turn = |run: &Path, kept: &Path| {
            let mut left = vec!["2/3", "3/3", "1/3"];
            let mut rounds = 0;
            while !left.is_empty() {
                rounds += 1;
                assert!(rounds < 9, "{by}: {left:?} never end");
                left.retain(|worker| {
                    let score =
                        ScoreOptions { worker: Worker::parse(worker).unwrap(), ..ScoreOptions::default() };
                    match open(corpus.path(), run, 1, &Silent).run_selection(&options(kept), score) {
                        Ok(_) => false,
                        Err(error) => {
                            assert!(matches!(error, Error::Waiting { .. }), "{by}: {error}");
                            true
                        }
                    }
                });
            }
        };
        let [run, kept] = [folder(), folder()];
        in_turn(run.path(), kept.path());
        same(run.path(), kept.path(), "one after the other");
        // The same documents once more, to another place.
        let elsewhere = folder();
        in_turn(run.path(), elsewhere.path());
        assert_same(&snapshot(elsewhere.path()), &snapshot(kept_alone.path()), by);

        // Together, waiting for each other.
        let [run, kept] = [folder(), folder()];
        std::thread::scope(|scope| {
            for worker in ["1/3", "2/3", "3/3"] {
                let (options, corpus, run) = (options(kept.path()), corpus.path(), run.path());
                scope.spawn(move || {
                    let worker = Worker::parse(worker).unwrap();
                    let score = ScoreOptions { worker, wait: true, ..ScoreOptions::default() };
                    open(corpus, run, 1, &Silent).run_selection(&options, score).unwrap();
                });
            }
        });
        same(run.path(), kept.path(), "together");
    }
}
