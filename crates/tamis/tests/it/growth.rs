//! What is there stays: shards that come later, and the same signal asked for otherwise.

use std::collections::BTreeMap;
use std::path::Path;

use tamis::options::{DensityOptions, EmbedOptions, SignalOptions};
use tamis::{ScoreOptions, Silent, Worker};

use crate::signals::{On, TABLE, asked, density, embed, open};
use crate::support::folder;
use crate::support::observers::Watch;
use crate::support::snapshot::{assert_same, snapshot};
use crate::support::{corpus, read};

type Files = BTreeMap<String, Vec<u8>>;

/// The files of a snapshot that were there before.
fn of(files: Files, before: &Files) -> Files {
    files.into_iter().filter(|(name, _)| before.contains_key(name)).collect()
}

fn signals(run: &Path) -> Files {
    snapshot(run).into_iter().filter(|(name, _)| name.starts_with("signals/")).collect()
}

#[test]
fn a_shard_that_comes_later_is_scored_alone() {
    for row in TABLE {
        let corpus = folder();
        corpus::mixed(corpus.path());
        let run = folder();
        let (before, _, _) = row.complete(&open(corpus.path(), run.path(), 2, &Silent));
        let old = snapshot(run.path());

        let later = corpus::documents(99, 37);
        corpus::write(corpus.path(), "c-later.jsonl", &corpus::lines(&later));
        let watch = Watch::counting();
        let project = open(corpus.path(), run.path(), 2, &watch);
        let version = project.inventory().unwrap();
        assert_eq!(version.number, before.number + 1);
        assert_eq!(watch.documents("read corpus"), 37, "{}", row.name);
        let report = row.score(&project, &version, Worker::ALONE);
        let of_all = matches!(row.depends, On::Inventory | On::AllRows { .. });
        let computed = if of_all { version.documents() } else { 37 };
        assert_eq!((report.computed, report.unfinished_shards), (computed, 0), "{}", row.name);
        assert_eq!(watch.documents(&row.stage()), computed);
        let selected = row.select(&project, &version);
        assert_eq!(selected.manifest.counts.documents_in, version.documents() + version.failed_rows());

        // Whatever was there is as it was.
        let new = snapshot(run.path());
        assert_same(&of(new.clone(), &old), &old, row.name);
        assert!(new.len() > old.len());

        // The same call again changes nothing.
        row.complete(&open(corpus.path(), run.path(), 1, &Silent));
        assert_same(&snapshot(run.path()), &new, row.name);
    }
}

#[test]
fn the_same_signal_asked_for_otherwise_is_refused_unless_beside() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for row in asked() {
        let run = folder();
        let project = open(corpus.path(), run.path(), 2, &Silent);
        let (version, _, _) = row.complete(&project);
        let old = signals(run.path());
        let changed = row.changed();
        if changed == row.options() {
            assert!(
                ["counts", "copies"].contains(&row.name),
                "a signal with options must be told apart by them"
            );
            continue;
        }
        if changed.stored_name() != row.options().stored_name() {
            // Nothing but its name decides a column, and another name is another signal: see below.
            assert!(row.name.starts_with("column:"), "{}", row.name);
            let (other, _) = project.score(&version, &changed, ScoreOptions::default()).unwrap();
            assert_ne!(other.record().name, row.options().stored_name());
            continue;
        }
        let watch = Watch::counting();
        let error = open(corpus.path(), run.path(), 2, &watch)
            .score(&version, &changed, ScoreOptions::default())
            .unwrap_err();
        assert_eq!(watch.documents("sketch embeddings"), 0, "{}: refused after work", row.name);
        let message = error.to_string();
        for change in row.changes() {
            assert!(message.contains(change), "{}: `{message}` does not name `{change}`", row.name);
        }
        assert!(error.hint().unwrap().contains("--beside"), "{}: {:?}", row.name, error.hint());
        assert_same(&signals(run.path()), &old, row.name);

        let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
        let (second, report) = project.score(&version, &changed, beside).unwrap();
        assert_eq!(report.map.computed, version.documents());
        let name = changed.stored_name();
        let ambiguous = project.run_directory().resolve(&name).unwrap_err().to_string();
        assert!(ambiguous.contains(second.full_name()), "{ambiguous}");
        assert_same(&of(signals(run.path()), &old), &old, row.name);
    }
}

#[test]
fn later_shards_are_held_against_the_frozen_sketch() {
    let corpus = folder();
    let first = corpus::documents(1, 200);
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&first));
    let run = folder();
    let asked = SignalOptions::Density(density());
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let (frozen, _) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
    let before: BTreeMap<_, _> = read::values(&project, &version, &frozen, "score").into_iter().collect();

    // Copies of old documents and new ones; later ones see the old ones and themselves, not each other.
    let mut later = corpus::documents(2, 30);
    for at in 0..10 {
        later[at].text = first[at].text.clone();
    }
    let twin = later[20].text.clone();
    later[21].text = twin;
    corpus::write(corpus.path(), "b.jsonl", &corpus::lines(&later));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let (same, report) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
    assert_eq!(same.full_name(), frozen.full_name());
    assert_eq!(report.map.computed, 30);
    assert!(report.findings.iter().any(|finding| finding.contains("--refit")), "{:?}", report.findings);
    let after: BTreeMap<_, _> = read::values(&project, &version, &frozen, "score").into_iter().collect();
    for at in 0..10 {
        let original = before[&first[at].id].unwrap();
        let copy = after[&later[at].id].unwrap();
        assert_eq!(after[&first[at].id], Some(original));
        // The sketch counts the original, the later copy adds itself.
        assert!((copy - original - 1.0).abs() < 1e-9 || original == 1.0, "{original} {copy}");
        assert!(copy > 1.5, "{copy}");
    }
    assert!(after[&later[20].id].unwrap() < 1.5 + after[&later[22].id].unwrap());

    // A new sketch counts all and is another signal.
    let refit = ScoreOptions { refit: true, ..ScoreOptions::default() };
    let (fresh, report) = project.score(&version, &asked, refit).unwrap();
    assert_ne!(fresh.full_name(), frozen.full_name());
    assert_eq!(report.map.computed, version.documents());
    let refitted: BTreeMap<_, _> = read::values(&project, &version, &fresh, "score").into_iter().collect();
    assert!(refitted[&later[20].id].unwrap() > 1.5);
    assert!(project.run_directory().resolve("density").is_err());
    // Which is the one that the next call goes on with.
    let (next, report) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
    assert_eq!((next.full_name(), report.map.computed), (fresh.full_name(), 0));
}

#[test]
fn an_option_that_was_added_later_leaves_a_sketch_frozen() {
    let corpus = folder();
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&corpus::documents(1, 60)));
    let run = folder();
    let asked = SignalOptions::Density(density());
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let (frozen, _) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
    // As versions would have written it that knew neither of these options.
    let path = run.path().join("signals").join(frozen.full_name()).join("signal.json");
    let written = std::fs::read_to_string(&path).unwrap();
    let older = written.replace(r#"\"literal\":false,"#, "").replace(r#",\"store_f32\":false"#, "");
    assert_eq!(written.len() - older.len(), 18 + 20, "{written}");
    std::fs::write(&path, older).unwrap();

    corpus::write(corpus.path(), "b.jsonl", &corpus::lines(&corpus::documents(2, 30)));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    // What changes no value is compared with nothing: how embeddings are named, and what the rule chose and is named now.
    let mut named = density();
    named.embed.server.retries = 1;
    named.hashes = Some(frozen.record().fingerprint["hashes"].parse().unwrap());
    for (asked, computed) in [(&asked, 30), (&SignalOptions::Density(named), 0)] {
        let (same, report) = project.score(&version, asked, ScoreOptions::default()).unwrap();
        assert_eq!((same.full_name(), report.map.computed), (frozen.full_name(), computed));
    }
    let other = SignalOptions::Density(DensityOptions { hashes: Some(31), ..density() });
    let refused = project.score(&version, &other, ScoreOptions::default()).unwrap_err().to_string();
    assert!(refused.contains("hashes: stored") && refused.contains("asked `31`"), "{refused}");
}

#[test]
fn a_new_sketch_keeps_the_hashes_of_the_old_one() {
    let hashes = |corpus: &Path, run: &Path, refit: bool| {
        let project = open(corpus, run, 2, &Silent);
        let version = project.inventory().unwrap();
        let options = ScoreOptions { refit, ..ScoreOptions::default() };
        let (signal, _) = project.score(&version, &SignalOptions::Density(density()), options).unwrap();
        signal.record().fingerprint["hashes"].clone()
    };
    let corpus = folder();
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&corpus::documents(1, 20)));
    let (run, fresh) = (folder(), folder());
    let first = hashes(corpus.path(), run.path(), false);
    corpus::write(corpus.path(), "b.jsonl", &corpus::lines(&corpus::documents(2, 1500)));
    assert_eq!(hashes(corpus.path(), run.path(), true), first);
    assert_ne!(hashes(corpus.path(), fresh.path(), false), first, "the rule would have chosen the same");
}

#[test]
fn density_over_other_embeddings_stands_beside_with_them() {
    let corpus = folder();
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&corpus::documents(1, 60)));
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    project.score(&version, &SignalOptions::Density(density()), ScoreOptions::default()).unwrap();
    let mut other = density();
    other.embed = EmbedOptions { store_f32: true, ..embed() };
    let asked = SignalOptions::Density(other);
    assert!(project.score(&version, &asked, ScoreOptions::default()).is_err());
    let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
    project.score(&version, &asked, beside).unwrap();
    assert_eq!(project.run_directory().signals().unwrap().len(), 4);
}

#[test]
fn a_shard_that_changed_or_vanished_is_an_error_that_names_it() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    let run = folder();
    TABLE[0].complete(&open(corpus.path(), run.path(), 2, &Silent));
    let shard = corpus.path().join("c.jsonl");
    let bytes = std::fs::read(&shard).unwrap();

    // Copied again without any change: the content decides, not the time.
    std::fs::remove_file(&shard).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::write(&shard, &bytes).unwrap();
    open(corpus.path(), run.path(), 2, &Silent).inventory().unwrap();

    std::fs::remove_file(&shard).unwrap();
    let error = open(corpus.path(), run.path(), 2, &Silent).inventory().unwrap_err();
    assert!(error.to_string().contains("`c.jsonl`"), "{error}");
    std::fs::write(&shard, [&bytes[..], b"{\"id\": \"one more\", \"text\": \"w001\"}\n"].concat()).unwrap();
    let error = open(corpus.path(), run.path(), 2, &Silent).inventory().unwrap_err();
    assert!(error.to_string().contains("`c.jsonl` changed"), "{error}");
}

/// Writes other bytes of the same length into a file, which keeps its time.
fn rewrite_unseen(path: &Path, from: &str, to: &str) {
    let bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
    let changed = [&bytes[..at], to.as_bytes(), &bytes[at + to.len()..]].concat();
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    std::io::Write::write_all(&mut &file, &changed).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn a_shard_that_changed_under_its_time_and_size_is_never_scored_as_the_one_that_was_listed() {
    for row in TABLE.iter().filter(|row| row.depends != On::Inventory) {
        let [corpus, run] = [folder(), folder()];
        corpus::mixed(corpus.path());
        let project = open(corpus.path(), run.path(), 2, &Silent);
        let version = project.inventory().unwrap();
        let path = corpus.path().join("c.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let word = text.split("\"text\":\"").nth(1).unwrap()[..4].to_owned();
        rewrite_unseen(&path, &format!("\"text\":\"{word}"), "\"text\":\"wxyz");
        assert_ne!(std::fs::read_to_string(&path).unwrap(), text);
        let error = row.try_score(&project, &version, Worker::ALONE).unwrap_err();
        assert!(
            error.to_string().contains("shard `c.jsonl` changed since it was read"),
            "{}: {error}",
            row.name
        );
        // Put back, it goes on.
        std::fs::write(&path, text).unwrap();
        let project = open(corpus.path(), run.path(), 2, &Silent);
        row.complete(&project);
    }
}

#[test]
fn documents_that_vanish_from_the_end_of_a_shard_leave_no_part_behind() {
    for row in TABLE.iter().filter(|row| row.depends != On::Inventory) {
        let [corpus, run, whole] = [folder(), folder(), folder()];
        corpus::mixed(corpus.path());
        row.complete(&open(corpus.path(), whole.path(), 2, &Silent));
        let path = corpus.path().join("c.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let project = open(corpus.path(), run.path(), 2, &Silent);
        let version = project.inventory().unwrap();
        // The last line is blank now: no document, and no other byte than before.
        let last = text.trim_end().rsplit('\n').next().unwrap();
        rewrite_unseen(&path, last, &" ".repeat(last.len()));
        let error = row.try_score(&project, &version, Worker::ALONE).unwrap_err();
        assert!(
            error.to_string().contains("shard `c.jsonl` changed since it was read"),
            "{}: {error}",
            row.name
        );
        std::fs::write(&path, text).unwrap();
        row.complete(&open(corpus.path(), run.path(), 2, &Silent));
        assert_same(&snapshot(run.path()), &snapshot(whole.path()), row.name);
    }
}

#[test]
fn parquet_with_the_footer_of_another_file_is_known_by_its_values() {
    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    let [corpus, run] = [folder(), folder()];
    let path = corpus.path().join("a.parquet");
    let write = |letter: &str| {
        let ids = (0..100).map(|at| format!("i{at}"));
        let texts = (0..100).map(|at| format!("{letter} {at}"));
        let of = |values: Vec<String>| std::sync::Arc::new(StringArray::from(values)) as ArrayRef;
        let batch =
            RecordBatch::try_from_iter([("id", of(ids.collect())), ("text", of(texts.collect()))]).unwrap();
        let properties = parquet::file::properties::WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
            .build();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    write("t");
    let size = std::fs::metadata(&path).unwrap().len();
    open(corpus.path(), run.path(), 2, &Silent).inventory().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    write("u");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
    let error = open(corpus.path(), run.path(), 2, &Silent).inventory().unwrap_err();
    assert!(error.to_string().contains("shard `a.parquet` changed since it was read: row 0"), "{error}");
    write("t");
    open(corpus.path(), run.path(), 2, &Silent).inventory().unwrap();
}

/// Replaces a shard's file as soon as scoring has begun.
struct Meddler(std::path::PathBuf);

impl tamis::Observer for Meddler {
    fn begin(&self, stage: &str, _total: u64) {
        if stage.starts_with("score") {
            let mut bytes = std::fs::read(&self.0).unwrap();
            bytes.extend_from_slice(b"{\"id\": \"late\", \"text\": \"w001 w002\"}\n");
            std::fs::write(&self.0, bytes).unwrap();
        }
    }
    fn advance(&self, _documents: u64, _tokens: u64, _units: u64) {}
    fn end(&self) {}
    fn warn(&self, _message: &str) {}
    fn note(&self, _message: &str) {}
}

#[test]
fn a_shard_that_is_replaced_while_it_is_scored_gets_no_receipt() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    let run = folder();
    let meddler = std::sync::Arc::new(Meddler(corpus.path().join("c.jsonl")));
    let project = open(corpus.path(), run.path(), 1, &meddler);
    let version = project.inventory().unwrap();
    let asked = TABLE[0].options();
    let error = project.score(&version, &asked, ScoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("`c.jsonl` changed"), "{error}");
    let signal = project.run_directory().resolve(&asked.stored_name()).unwrap();
    let shard = version.shards.iter().find(|shard| shard.path == "c.jsonl").unwrap();
    assert!(signal.receipt(shard).unwrap().is_none());
}
