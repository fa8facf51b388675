//! Ids over generated corpora: used, or not and said so; no row lost; nothing depends on how shards are cut or called.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tamis::options::{CorpusOptions, DuplicateIds, Ids, SelectOptions};
use tamis::{Project, Silent};
use tamis_io::run::{CorpusVersion, IdColumn};

use crate::signals::{open, rates, selecting};
use crate::support::corpus;
use crate::support::folder;
use crate::support::observers::Watch;
use crate::support::random::Random;
use crate::support::read::{Decided, decisions};

/// A line with any kind of id; whether the id can be one, and whether there is the key at all.
fn line(random: &mut Random, at: usize, usable: usize) -> (String, bool, bool) {
    let text = serde_json::json!(format!("text {at} {}", corpus::text(random, 3)));
    let good = random.below(10) < usable;
    let id = match (good, random.below(6)) {
        (true, 0) => format!("{}", random.below(40)),
        (true, 1) => format!("\"{}\"", random.below(40)),
        (true, 2) => "\"\"".to_owned(),
        (true, 3) => format!("\" {at} \""),
        (true, 4) => format!("-1{at:025}"),
        (true, _) => format!("\"d{at}\""),
        (false, 0) => return (format!("{{\"text\": {text}}}"), false, false),
        (false, 1) => format!("{at}.0"),
        (false, 2) => "true".to_owned(),
        (false, 3) => format!("{{\"id\": {at}}}"),
        (false, 4) => format!("[{at}]"),
        (false, _) => "null".to_owned(),
    };
    (format!("{{\"id\": {id}, \"text\": {text}}}"), good, true)
}

fn everything(project: &Project, version: &CorpusVersion) -> Vec<Decided> {
    let options = SelectOptions {
        duplicate_ids: DuplicateIds::One,
        decide_only: true,
        ..selecting("random", None, rates(&["30%", "100%"]))
    };
    let report = project.select(version, None, None, &options).unwrap();
    let counts = &report.manifest.counts;
    assert_eq!(counts.documents_in, counts.kept + counts.dropped_documents() + counts.failed_rows());
    let decided = decisions(project, version, &report.name);
    assert_eq!(decided.len() as u64 + version.failed_rows(), counts.documents_in);
    decided
}

#[test]
fn ids_are_used_or_the_reason_is_said_and_no_row_is_lost() {
    let mut random = Random::new(31);
    let mut modes = BTreeMap::new();
    for round in 0..40 {
        let usable = [0, 1, 4, 5, 6, 9, 10][round % 7];
        let number = 1 + random.below(120);
        let rows: Vec<_> = (0..number).map(|at| line(&mut random, at, usable)).collect();
        let good = rows.iter().filter(|(_, good, _)| *good).count();
        let there = rows.iter().filter(|(_, _, there)| *there).count();
        let used = good > 0 && 2 * good >= number;
        let mut first = None;
        for layout in 0..3 {
            let mut lines: Vec<String> = rows.iter().map(|(line, ..)| line.clone()).collect();
            if layout > 0 {
                random.shuffle(&mut lines);
            }
            let corpus = folder();
            let shards = [1, 4, 12][layout];
            for (at, lines) in lines.chunks(number.div_ceil(shards)).enumerate() {
                corpus::write(corpus.path(), &format!("{}{at}.jsonl", ["m", "z", "a"][layout]), lines);
            }
            let (run, watch) = (folder(), Watch::counting());
            let project = open(corpus.path(), run.path(), 2, &watch);
            let version = project.inventory().unwrap();
            let mode = if used { IdColumn::Column("id".to_owned()) } else { IdColumn::FromText };
            assert_eq!(version.columns.id, mode, "round {round}, layout {layout}");
            let said = watch.said();
            assert_eq!(said.contains("column `id` is not used"), !used && there > 0, "round {round}: {said}");
            assert_eq!(
                said.contains("rows without one fail"),
                used && good < number,
                "round {round}: {said}"
            );
            let failed = if used { number - good } else { 0 };
            assert_eq!(
                (version.documents(), version.failed_rows()),
                ((number - failed) as u64, failed as u64)
            );
            let mut decided: Vec<String> = everything(&project, &version)
                .iter()
                .map(|row| format!("{} {} {} {:?}", row.id, row.bytes, row.reason, row.smallest_kept))
                .collect();
            decided.sort_unstable();
            assert_eq!(
                first.get_or_insert_with(|| decided.clone()),
                &decided,
                "round {round}, layout {layout}"
            );
            *modes.entry(used).or_insert(0) += 1;
        }
    }
    assert!(modes.len() == 2 && modes.values().all(|rounds| *rounds > 20), "{modes:?}");
}

/// Opens with ids that count within their shards.
fn qualified(corpus: &Path, run: &Path) -> Project {
    let options = CorpusOptions { id: Ids::Qualified(None), ..CorpusOptions::new(corpus.to_str().unwrap()) };
    Project::open(Some(options), run, 2, Arc::new(Silent)).unwrap()
}

#[test]
fn qualified_ids_keep_every_row_of_shards_that_restart() {
    let mut random = Random::new(47);
    for round in 0..15 {
        let shards = 2 + random.below(6);
        let mut of: Vec<(String, Vec<String>)> = Vec::new();
        for shard in 0..shards {
            let length = 12 + random.below(40);
            let lines = (0..length).map(|at| {
                let text = corpus::text(&mut random, 4);
                format!("{{\"id\": {at}, \"text\": \"{shard} {at} {text}\"}}")
            });
            // Colons in names, so that `a` and `b:1` meet `a:b` and `1`.
            let name = ["a", "a:1", "deep/er/s", "b", "s.1", "1", "é"][shard];
            of.push((name.to_owned(), lines.collect()));
        }
        let rows: usize = of.iter().map(|(_, lines)| lines.len()).sum();
        let corpus = folder();
        for (name, lines) in &of {
            corpus::write(corpus.path(), &format!("{name}.jsonl"), lines);
        }
        let run = folder();
        // As they are, they would be dropped by the dozen: refused, and told when the corpus is read.
        let watch = Watch::counting();
        let plain = open(corpus.path(), run.path(), 2, &watch);
        let version = plain.inventory().unwrap();
        assert!(watch.said().contains("a selection will be refused"), "{}", watch.said());
        let ask = selecting("random", None, rates(&["100%"]));
        let error = plain.select(&version, None, None, &ask).unwrap_err();
        let hint = error.hint().unwrap();
        assert!(
            error.to_string().contains("repeat an id") && hint.contains("--qualify-ids"),
            "{error}: {hint}"
        );
        assert!(plain.run_directory().selections().unwrap().is_empty(), "nothing was decided");
        // Qualified, all of them are candidates, with an id that says where they are.
        let run = folder();
        let project = qualified(corpus.path(), run.path());
        let version = project.inventory().unwrap();
        assert_eq!(version.columns.id, IdColumn::Qualified("id".to_owned()));
        let decided = everything(&project, &version);
        assert_eq!(decided.len(), rows, "round {round}");
        assert!(decided.iter().all(|row| row.reason == "kept"), "round {round}");
        // A run that goes on needs no flag; other endings of the same names give the same draws.
        let again = open(corpus.path(), run.path(), 1, &Silent);
        assert_eq!(everything(&again, &version), decided);
        let other = folder();
        for (name, lines) in &of {
            corpus::write(other.path(), &format!("{name}.ndjson"), lines);
        }
        let run = folder();
        let project = qualified(other.path(), run.path());
        let version = project.inventory().unwrap();
        assert_eq!(everything(&project, &version), decided, "round {round}");
    }
}
