//! Exports: each kept document as often as it is kept, a copy an epoch, in an order that depends on nothing but the seed and the keys.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tamis::options::{
    CorpusOptions, ExportFormat, ExportOptions, ExportOrder, SelectOptions, TableOptions, TableSelection,
};
use tamis::{Error, ExportManifest, Fingerprint, Manifest, Project, ScoreOptions, Silent};
use tamis_io::sidecar::SidecarColumns;
use tamis_io::store::Store;
use tamis_models::tokenizer::Tokenizer;

use crate::signals::{column, open, rates, selecting};
use crate::support::corpus::{self, Document};
use crate::support::folder;
use crate::support::models::MODELS;
use crate::support::random::Random;
use crate::support::read::{decisions, values};
use crate::support::snapshot::{assert_same, snapshot};
use crate::support::steps::{DISK_FULL, Fate, Steps};

/// How often a document is kept in [`repeated`].
fn copies_of(id: &str) -> u32 {
    let number: u32 = id.rsplit('-').next().unwrap().parse().unwrap();
    [1, 3, 1, 0, 2][number as usize % 5]
}

/// A selection of half of the corpus, and one of the same documents that says how often each is kept.
fn select(project: &Project) -> (String, String) {
    let options = SelectOptions { decide_only: true, ..selecting("random", None, rates(&["20%", "50%"])) };
    let plain = project.run_selection(&options, ScoreOptions::default()).unwrap().name;
    let options = SelectOptions {
        decide_only: true,
        name: Some("half".to_owned()),
        ..selecting("random", None, rates(&["50%"]))
    };
    project.run_selection(&options, ScoreOptions::default()).unwrap();
    (plain, repeated(project, "half"))
}

/// The decisions of a selection with a column `repeats` added, as another selection.
fn repeated(project: &Project, from: &str) -> String {
    let run = project.run_directory();
    let half = run.selection(from).unwrap();
    let manifest: Manifest = half.read_manifest().unwrap().unwrap();
    let plan = Fingerprint::from_fields(half.plan().fields.clone()).with("repeats", "of a test");
    let name = format!("{from}-repeated");
    let directory = run.open_selection(&name, &plan).unwrap();
    let version = run.latest_corpus().unwrap().unwrap();
    for shard in &version.shards {
        if directory.has_decisions(&shard.path).unwrap() {
            continue;
        }
        let mut ids = Vec::new();
        for batch in run.read_inventory(&shard.path, SidecarColumns::Named(&["id"])).unwrap() {
            let batch = batch.unwrap();
            ids.extend(batch.column(0).as_string::<i32>().iter().map(|id| id.unwrap().to_owned()));
        }
        let mut ids = ids.into_iter();
        let mut reader = half.read_decisions(&shard.path, SidecarColumns::All).unwrap();
        let mut fields: Vec<Field> = reader.schema().fields().iter().map(|field| (**field).clone()).collect();
        fields.push(Field::new("repeats", DataType::UInt32, true));
        let schema = Arc::new(Schema::new(fields));
        let mut writer = directory.decisions_writer(&shard.path, &schema).unwrap();
        for batch in reader.by_ref() {
            let batch = batch.unwrap();
            let kept = batch.column_by_name("smallest_kept").unwrap().as_primitive::<Float64Type>().clone();
            let repeats: UInt32Array = (0..batch.num_rows())
                .map(|at| {
                    let copies = copies_of(&ids.next().unwrap());
                    // Null for one that is kept once, 0 for what is not kept.
                    if kept.is_null(at) { Some(0) } else { Some(copies).filter(|copies| *copies != 1) }
                })
                .collect();
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(repeats));
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()).unwrap();
        }
        directory.commit_decisions(&shard.path, writer).unwrap();
    }
    directory.write_manifest(&manifest).unwrap();
    name
}

fn lines_to(out: &Path) -> ExportOptions {
    ExportOptions { shard_size: 7_000, memory_bytes: 1 << 20, ..ExportOptions::new(out, ExportFormat::Lines) }
}

/// Lines of all files of an export, in order.
fn exported_lines(out: &Path, manifest: &ExportManifest) -> Vec<String> {
    let mut all = String::new();
    for file in &manifest.files {
        let bytes = std::fs::read(out.join(&file.path)).unwrap();
        assert_eq!(bytes.len() as u64, file.bytes);
        let text = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap();
        assert_eq!(text.lines().count() as u64, file.documents);
        all += &text;
    }
    all.lines().map(str::to_owned).collect()
}

fn id_of(line: &str) -> String {
    serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
}

/// Documents with distinct ids, as lines.
fn documents() -> Vec<Document> {
    corpus::documents(5, 400)
}

/// What is kept of a selection, by id, with how often.
fn kept(project: &Project, name: &str, target: f64, copies: impl Fn(&str) -> u32) -> BTreeMap<String, u32> {
    let version = project.run_directory().latest_corpus().unwrap().unwrap();
    let decided = decisions(project, &version, name);
    let kept = decided.iter().filter(|row| row.kept_at(target));
    kept.map(|row| (row.id.clone(), copies(&row.id))).filter(|(_, copies)| *copies > 0).collect()
}

#[test]
fn each_kept_document_occurs_as_often_as_it_is_kept_and_each_copy_in_an_epoch_of_its_own() {
    let corpus = folder();
    let all = corpus::lines(&documents());
    corpus::write(corpus.path(), "a.jsonl", &all[..300]);
    corpus::write(corpus.path(), "b/c.jsonl", &all[300..]);
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let (plain, repeated) = select(&project);
    for (name, target, copies) in [
        (&plain, None, (|_| 1) as fn(&str) -> u32),
        (&plain, Some("rate-20"), |_| 1),
        (&repeated, None, copies_of),
    ] {
        let out = folder();
        let options =
            ExportOptions { target: target.map(str::to_owned), ..lines_to(&out.path().join("data")) };
        let plan = project.plan_export(name, &options).unwrap();
        assert!(!options.out.exists(), "a plan writes nothing");
        let report = project.export(name, &options).unwrap();
        let manifest = &report.manifest;
        let expected = kept(&project, name, if target.is_some() { 0.2 } else { 0.5 }, copies);
        let lines = exported_lines(&options.out, manifest);
        let most = expected.values().copied().max().unwrap();
        assert_eq!(
            (manifest.documents, manifest.copies, manifest.epochs),
            (expected.len() as u64, expected.values().map(|n| u64::from(*n)).sum(), u64::from(most))
        );
        assert_eq!(
            (plan.documents, plan.copies, plan.text_bytes),
            (manifest.documents, manifest.copies, manifest.text_bytes)
        );
        let mut at = 0;
        for epoch in 0..most {
            let of_epoch: BTreeSet<&String> =
                expected.iter().filter(|(_, copies)| **copies > epoch).map(|(id, _)| id).collect();
            let found: Vec<String> = lines[at..at + of_epoch.len()].iter().map(|line| id_of(line)).collect();
            assert_eq!(found.iter().collect::<BTreeSet<_>>(), of_epoch, "epoch {epoch}");
            let mut sorted = found.clone();
            sorted.sort();
            assert_ne!(found, sorted, "epoch {epoch} is not shuffled");
            at += of_epoch.len();
        }
        assert_eq!(at, lines.len());
        // Byte for byte, and no file larger than was asked for.
        let originals: BTreeSet<&String> = all.iter().collect();
        assert!(lines.iter().all(|line| originals.contains(line)));
        assert!(manifest.files.len() > 3);
        for file in &manifest.files {
            let bytes = zstd::decode_all(&std::fs::read(options.out.join(&file.path)).unwrap()[..]).unwrap();
            assert!(bytes.len() <= 7_000, "{}: {} bytes", file.path, bytes.len());
        }
    }
}

#[test]
fn the_order_depends_on_no_shard_thread_or_memory() {
    // Five million bytes: more than the smaller memory has room for, in several buckets.
    let mut documents = documents();
    documents.iter_mut().for_each(|document| document.text = format!("{} ", document.text).repeat(40));
    let lines = corpus::lines(&documents);
    let mut random = Random::new(3);
    let mut expected: Option<BTreeMap<String, Vec<u8>>> = None;
    for layout in 0..4 {
        let corpus = folder();
        let mut lines = lines.clone();
        if layout > 0 {
            random.shuffle(&mut lines);
        }
        for (at, lines) in lines.chunks(lines.len().div_ceil([1, 3, 9, 40][layout])).enumerate() {
            corpus::write(corpus.path(), &format!("{}{at}/x.jsonl", ["m", "z", "a", "q"][layout]), lines);
        }
        let run = folder();
        let threads = [1, 2, 3, 5][layout];
        let project = open(corpus.path(), run.path(), threads, &Silent);
        let (_, name) = select(&project);
        for memory_bytes in [1 << 20, 1 << 30] {
            let out = folder();
            let options = ExportOptions { memory_bytes, shard_size: 200_000, ..lines_to(out.path()) };
            project.export(&name, &options).unwrap();
            let mut files = snapshot(out.path());
            // The plan names the shards.
            files.retain(|name, _| name.starts_with("part-"));
            assert_same(&files, expected.get_or_insert_with(|| files.clone()), &format!("layout {layout}"));
        }
        assert!(Store::local(run.path()).list("").unwrap().iter().all(|entry| !entry.path.contains("tmp")));
    }
}

#[test]
fn a_seed_is_an_order_and_none_is_that_of_the_corpus() {
    let corpus = folder();
    let all = corpus::lines(&documents());
    corpus::write(corpus.path(), "b.jsonl", &all[..150]);
    corpus::write(corpus.path(), "a.jsonl", &all[150..]);
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let (_, name) = select(&project);
    let export = |order| {
        let out = folder();
        let report = project.export(&name, &ExportOptions { order, ..lines_to(out.path()) }).unwrap();
        exported_lines(out.path(), &report.manifest)
    };
    let seeded = |seed| export(ExportOrder::Shuffled { seed });
    let (first, second) = (seeded(1), seeded(2));
    assert_eq!(first, seeded(1));
    assert_ne!(first, second);
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&first), sorted(&second));
    // Epochs are in different orders too.
    let ids: Vec<String> = first.iter().map(|line| id_of(line)).collect();
    let repeated: Vec<&String> = ids.iter().filter(|id| copies_of(id) == 3).collect();
    let (one, two) = (&repeated[..repeated.len() / 3], &repeated[repeated.len() / 3..2 * repeated.len() / 3]);
    assert!(one != two && one.iter().collect::<BTreeSet<_>>() == two.iter().collect::<BTreeSet<_>>());
    let expected = kept(&project, &name, 0.5, copies_of);
    let in_corpus: Vec<&String> = all[150..].iter().chain(&all[..150]).collect();
    let mut plain: Vec<&String> = Vec::new();
    for epoch in 0..3 {
        let of_epoch = |line: &&String| expected.get(&id_of(line)).is_some_and(|copies| *copies > epoch);
        plain.extend(in_corpus.iter().copied().filter(of_epoch));
    }
    assert!(export(ExportOrder::AsInCorpus).iter().eq(plain));
}

#[test]
fn stopped_at_any_step_an_export_goes_on_to_the_same_bytes() {
    let corpus = folder();
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&documents()[..150]));
    let run = folder();
    let (_, name) = select(&open(corpus.path(), run.path(), 2, &Silent));
    let formats = [ExportFormat::Lines, tokens(None)];
    for format in formats {
        let export = |out: &Path, steps: &Arc<Steps>| {
            let store = Store::local(run.path()).watched(Arc::<Steps>::clone(steps));
            let project = Project::open_in(None, store, 2, Arc::new(Silent)).unwrap();
            let shard_size = if format == ExportFormat::Lines { 8_000 } else { 1_500 };
            let options = ExportOptions { shard_size, ..ExportOptions::new(out, format.clone()) };
            project.export(&name, &options)
        };
        let whole = folder();
        let counting = Arc::new(Steps::new(0, Fate::Stop));
        let report = export(whole.path(), &counting).unwrap();
        assert!(!report.was_there && report.manifest.files.len() >= 3);
        let expected = snapshot(whole.path());
        let again = export(whole.path(), &Arc::new(Steps::new(1, Fate::FailForEver(DISK_FULL)))).unwrap();
        assert!(again.was_there && again.manifest == report.manifest, "a finished export is left alone");
        assert_same(&snapshot(whole.path()), &expected, "left alone");
        for step in 1..=counting.count() {
            let out = folder();
            let error = export(out.path(), &Arc::new(Steps::new(step, Fate::FailForEver(DISK_FULL))));
            // The last steps put names on disk that stand already.
            if let Err(error) = error {
                assert!(error.to_string().contains("could not"), "{error}");
                assert!(error.hint().is_some());
            }
            for (name, bytes) in &snapshot(out.path()) {
                assert_eq!(Some(bytes), expected.get(name), "step {step}: half of `{name}` is visible");
            }
            export(out.path(), &Arc::new(Steps::new(0, Fate::Stop))).unwrap();
            assert_same(&snapshot(out.path()), &expected, &format!("step {step}"));
        }
    }
}

fn refused(result: tamis::Result<impl std::fmt::Debug>, parts: &[&str]) {
    let error: Error = result.unwrap_err();
    let said = format!("{error} ({})", error.hint().unwrap_or_default());
    assert!(error.hint().is_some(), "no hint: {said}");
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let corpus = folder();
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&documents()));
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let (plain, repeated) = select(&project);
    let out = folder();
    let at = |name: &str| out.path().join(name);
    let export = |name: &str, options: &ExportOptions| project.export(name, options);
    assert!(export("plian", &lines_to(&at("a"))).unwrap_err().to_string().contains("no selection `plian`"));
    let target = |target: &str| ExportOptions { target: Some(target.to_owned()), ..lines_to(&at("a")) };
    refused(export(&plain, &target("rate-2")), &["rate-2", "did you mean `rate-20`?", "rate-50"]);
    refused(export(&plain, &ExportOptions { shard_size: 0, ..lines_to(&at("a")) }), &["--shard-size"]);
    refused(export(&plain, &ExportOptions { memory_bytes: 9, ..lines_to(&at("a")) }), &["--memory"]);
    refused(export(&plain, &lines_to(&corpus.path().join("x"))), &["inside the corpus"]);
    refused(export(&plain, &lines_to(&run.path().join("x"))), &["inside --run"]);
    let missing = ExportFormat::Tokens { tokenizer: MODELS.judge.clone(), separator: None };
    refused(export(&plain, &ExportOptions::new(at("a"), missing)), &["ends a text", "--separator-id"]);
    assert!(!at("a").exists(), "what is refused makes no folder");

    // A selection that was begun and not finished.
    let plan = Fingerprint::new("selection", 1);
    project.run_directory().open_selection("begun", &plan).unwrap();
    refused(export("begun", &lines_to(&at("a"))), &["unfinished", "tamis select"]);

    // Folders that hold something else.
    export(&plain, &lines_to(&at("a"))).unwrap();
    let other = ExportOptions { order: ExportOrder::Shuffled { seed: 9 }, ..lines_to(&at("a")) };
    refused(export(&plain, &other), &["holds another export", "order", "seed 9", "choose another --out"]);
    refused(export(&repeated, &lines_to(&at("a"))), &["holds another export", "selection"]);
    std::fs::create_dir(at("b")).unwrap();
    std::fs::write(at("b/part-00000.jsonl.zst"), "mine").unwrap();
    refused(export(&plain, &lines_to(&at("b"))), &["part-00000.jsonl.zst", "is there already"]);
    let kept = SelectOptions { out: Some(at("kept")), ..selecting("random", None, rates(&["10%"])) };
    project.run_selection(&kept, ScoreOptions::default()).unwrap();
    refused(export(&plain, &lines_to(&at("kept"))), &["kept documents of a selection"]);
    let onto = SelectOptions { out: Some(at("a")), ..selecting("random", None, rates(&["10%"])) };
    refused(project.run_selection(&onto, ScoreOptions::default()), &["holds an export"]);
    std::fs::remove_file(at("a/part-00001.jsonl.zst")).unwrap();
    refused(export(&plain, &lines_to(&at("a"))), &["part-00001.jsonl.zst", "export.json"]);

    // How often is said for the largest target alone.
    let options = SelectOptions {
        decide_only: true,
        name: Some("two".to_owned()),
        ..selecting("random", None, rates(&["20%", "50%"]))
    };
    project.run_selection(&options, ScoreOptions::default()).unwrap();
    let two = self::repeated(&project, "two");
    let small = ExportOptions { target: Some("rate-20".to_owned()), ..lines_to(&at("c")) };
    refused(export(&two, &small), &["largest target", "--target"]);

    // A text that is another one than was selected.
    let file = corpus.path().join("a.jsonl");
    let changed = std::fs::read_to_string(&file).unwrap().replace("\"text\":\"w", "\"text\":\"v");
    std::fs::write(&file, changed).unwrap();
    for format in [ExportFormat::Lines, ExportFormat::Parquet, tokens(Some(3))] {
        let options = ExportOptions::new(at("d").join(format.name()), format);
        refused(export(&plain, &options), &["changed since it was read", "a.jsonl"]);
    }
}

#[test]
fn endings_and_byte_order_marks_do_not_break_lines() {
    let corpus = folder();
    let lines = corpus::lines(&documents()[..20]);
    let mut bytes = b"\xef\xbb\xbf".to_vec();
    for (at, line) in lines.iter().enumerate() {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(["\n", "\r\n"][at % 2].as_bytes());
    }
    // A last line without an ending.
    bytes.truncate(bytes.len() - 2);
    std::fs::write(corpus.path().join("a.jsonl"), bytes).unwrap();
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let all = SelectOptions { decide_only: true, ..selecting("random", None, rates(&["100%"])) };
    let name = project.run_selection(&all, ScoreOptions::default()).unwrap().name;
    let out = folder();
    let report = project.export(&name, &lines_to(out.path())).unwrap();
    let mut found = exported_lines(out.path(), &report.manifest);
    let mut expected = lines;
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// The tiny tokenizer; `None` takes the end of text that a file beside it names.
fn tokens(separator: Option<u32>) -> ExportFormat {
    let tokenizer = match separator {
        Some(_) => MODELS.judge.clone(),
        None => with_end_of_text().display().to_string(),
    };
    ExportFormat::Tokens { tokenizer, separator }
}

/// The tiny model, whose tokenizer has `[SEP]` for the end of a text.
fn with_end_of_text() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ending-model");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        if !folder.join(name).exists() {
            std::fs::copy(Path::new(&MODELS.judge).join(name), folder.join(name)).unwrap();
        }
    }
    std::fs::write(folder.join("tokenizer_config.json"), r#"{"eos_token": "[SEP]"}"#).unwrap();
    folder
}

/// A document as the index and the file of tokens have it.
#[derive(Debug, PartialEq)]
struct Tokenized {
    tokens: Vec<u32>,
    id: String,
    place: (String, usize),
}

/// Reads files of tokens as others read them: raw numbers of a width, and lines of ranges.
fn exported_tokens(out: &Path, manifest: &ExportManifest) -> Vec<Tokenized> {
    let width = if manifest.dtype.as_deref() == Some("uint16") { 2 } else { 4 };
    let mut all = Vec::new();
    for file in manifest.files.iter().filter(|file| file.path.ends_with(".npy")) {
        let bytes = std::fs::read(out.join(&file.path)).unwrap();
        let numbers: Vec<u32> = bytes
            .chunks(width)
            .map(|bytes| bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
            .collect();
        assert_eq!(Some(numbers.len() as u64), file.tokens);
        let index = std::fs::File::open(out.join(file.path.replace(".npy", ".csv.gz"))).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(index).read_to_string(&mut text).unwrap();
        let mut end = 0;
        for line in text.lines() {
            let fields: Vec<&str> = line.split(',').collect();
            let [start, to] = [fields[0], fields[1]].map(|number| number.parse::<usize>().unwrap());
            assert_eq!(start, end, "documents follow each other");
            end = to;
            all.push(Tokenized {
                tokens: numbers[start..to].to_vec(),
                id: fields[2].to_owned(),
                place: (fields[3].to_owned(), fields[4].parse().unwrap()),
            });
        }
        assert_eq!(end, numbers.len());
        assert_eq!(text.lines().count() as u64, file.documents);
    }
    all
}

#[test]
fn tokens_read_back_are_the_texts() {
    let corpus = folder();
    let all = documents();
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&all[..130]));
    corpus::write(corpus.path(), "b.jsonl", &corpus::lines(&all[130..]));
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let (_, name) = select(&project);
    let tokenizer = Tokenizer::from_folder(Path::new(&MODELS.judge)).unwrap();
    let lines = folder();
    let report = project.export(&name, &lines_to(lines.path())).unwrap();
    let in_order: Vec<String> =
        exported_lines(lines.path(), &report.manifest).iter().map(|line| id_of(line)).collect();
    // `[SEP]` by name, by number, and a token that needs more than 16 bits.
    for (separator, number, dtype) in
        [(None, 3, "uint16"), (Some(3), 3, "uint16"), (Some(70_000), 70_000, "uint32")]
    {
        let out = folder();
        let options =
            ExportOptions { shard_size: 1_000, ..ExportOptions::new(out.path(), tokens(separator)) };
        assert_eq!(project.plan_export(&name, &options).unwrap().files_expected, None);
        let manifest = project.export(&name, &options).unwrap().manifest;
        assert_eq!(manifest.dtype.as_deref(), Some(dtype));
        assert_eq!(
            (manifest.separator, manifest.vocabulary),
            (Some(number), Some(tokenizer.vocab_size() as u64))
        );
        let found = exported_tokens(out.path(), &manifest);
        assert!(found.iter().map(|document| &document.id).eq(&in_order), "the order of the lines");
        for document in &found {
            let (place, original) =
                all.iter().enumerate().find(|(_, other)| other.id == document.id).unwrap();
            let (last, tokens) = document.tokens.split_last().unwrap();
            assert_eq!(*last, number);
            assert!(!tokens.contains(&number));
            assert_eq!(tokenizer.decode(tokens).unwrap(), original.text);
            let place = if place < 130 { ("a.jsonl", place + 1) } else { ("b.jsonl", place - 130 + 1) };
            assert_eq!(document.place, (place.0.to_owned(), place.1));
        }
        let sum: usize = found.iter().map(|document| document.tokens.len()).sum();
        assert_eq!(manifest.tokens, Some(sum as u64));
        let files: Vec<_> = manifest.files.iter().filter_map(|file| file.tokens).collect();
        assert!(files.len() > 5 && files.iter().all(|tokens| *tokens <= 1_000), "{files:?}");
    }
}

fn read_parquet(folder: &Path, manifest: &ExportManifest) -> Vec<RecordBatch> {
    let files = manifest.files.iter().map(|file| std::fs::File::open(folder.join(&file.path)).unwrap());
    files
        .flat_map(|file| ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap())
        .map(Result::unwrap)
        .collect()
}

#[test]
fn lines_become_rows_with_id_text_and_what_is_carried() {
    let corpus = folder();
    let mut all = documents();
    all.iter_mut().step_by(3).for_each(|document| document.quality = None);
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&all));
    let run = folder();
    let carry = CorpusOptions {
        carry: Some(vec!["quality".to_owned(), "q.a".to_owned()]),
        ..CorpusOptions::new(corpus.path().to_str().unwrap())
    };
    let project = Project::open(Some(carry), run.path(), 2, Arc::new(Silent)).unwrap();
    let (_, name) = select(&project);
    let (lines, out) = (folder(), folder());
    let report = project.export(&name, &lines_to(lines.path())).unwrap();
    let in_order = exported_lines(lines.path(), &report.manifest);
    let options =
        ExportOptions { shard_size: 9_000, ..ExportOptions::new(out.path(), ExportFormat::Parquet) };
    let manifest = project.export(&name, &options).unwrap().manifest;
    assert!(manifest.files.len() > 3);
    let mut at = 0;
    for batch in read_parquet(out.path(), &manifest) {
        let names: Vec<&String> = batch.schema_ref().fields().iter().map(|field| field.name()).collect();
        assert_eq!(names, ["id", "text", "quality", "q.a"]);
        for row in 0..batch.num_rows() {
            let line: serde_json::Value = serde_json::from_str(&in_order[at]).unwrap();
            let value = |column: usize| batch.column(column).as_string::<i32>().value(row);
            assert_eq!((value(0), value(1)), (line["id"].as_str().unwrap(), line["text"].as_str().unwrap()));
            for (column, name) in [(2, "quality"), (3, "q.a")] {
                let carried = line.get(name).map(ToString::to_string);
                let is_there = batch.column(column).is_valid(row);
                assert_eq!(is_there.then(|| value(column).to_owned()), carried);
            }
            at += 1;
        }
    }
    assert_eq!(at, in_order.len());
}

/// A corpus of Parquet with nested and odd columns.
fn parquet_corpus(folder: &Path) {
    let all = documents();
    for (name, documents) in [("a.parquet", &all[..220]), ("b.parquet", &all[220..])] {
        let ids: StringArray = documents.iter().map(|document| Some(document.id.clone())).collect();
        let texts: StringArray = documents.iter().map(|document| Some(document.text.clone())).collect();
        let quality: Float64Array = documents.iter().map(|document| document.quality).collect();
        let words: Int64Array =
            (0..documents.len()).map(|at| (at % 7 != 0).then_some(at as i64 - 3)).collect();
        let mut lists = arrow_array::builder::ListBuilder::new(arrow_array::builder::StringBuilder::new());
        for at in 0..documents.len() {
            (0..at % 4).for_each(|n| lists.values().append_option((n != 1).then(|| format!("\"{n}\né"))));
            lists.append(at % 5 != 4);
        }
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(ids)),
            ("text", Arc::new(texts)),
            ("quality", Arc::new(quality)),
            ("words", Arc::new(words)),
            ("tags", Arc::new(lists.finish())),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = std::fs::File::create(folder.join(name)).unwrap();
        let properties = parquet::file::properties::WriterProperties::builder()
            .set_max_row_group_row_count(Some(97))
            .build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
}

/// Rows of the corpus by id: batch, and row in it.
fn rows_by_id(folder: &Path) -> BTreeMap<String, (RecordBatch, usize)> {
    let mut rows = BTreeMap::new();
    for name in ["a.parquet", "b.parquet"] {
        let file = std::fs::File::open(folder.join(name)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            for at in 0..batch.num_rows() {
                rows.insert(batch.column(0).as_string::<i32>().value(at).to_owned(), (batch.clone(), at));
            }
        }
    }
    rows
}

#[test]
fn rows_of_parquet_become_objects() {
    let corpus = folder();
    parquet_corpus(corpus.path());
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let (_, name) = select(&project);
    let out = folder();
    let manifest = project.export(&name, &lines_to(out.path())).unwrap().manifest;
    let rows = rows_by_id(corpus.path());
    let lines = exported_lines(out.path(), &manifest);
    assert_eq!(lines.len() as u64, manifest.copies);
    for line in lines {
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        let (batch, at) = &rows[object["id"].as_str().unwrap()];
        assert_eq!(object["text"], batch.column(1).as_string::<i32>().value(*at));
        assert_eq!(object["quality"], batch.column(2).as_primitive::<Float64Type>().value(*at));
        let words = batch.column(3).as_primitive::<arrow_array::types::Int64Type>();
        assert_eq!(object["words"].as_i64(), words.is_valid(*at).then(|| words.value(*at)));
        let tags = batch.column(4).as_list::<i32>();
        match tags.is_valid(*at) {
            false => assert!(object["tags"].is_null()),
            true => {
                let items = tags.value(*at);
                let items: Vec<Option<&str>> = items.as_string::<i32>().iter().collect();
                let found: Vec<Option<&str>> =
                    object["tags"].as_array().unwrap().iter().map(serde_json::Value::as_str).collect();
                assert_eq!(found, items);
            }
        }
    }
}

#[test]
fn a_table_holds_what_the_run_says_of_each_document() {
    let corpus = folder();
    let all = corpus::lines(&documents());
    corpus::write(corpus.path(), "a.jsonl", &all[..250]);
    corpus::write(corpus.path(), "b.jsonl", &all[250..]);
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let (signal, _) = project.score(&version, &column("quality"), ScoreOptions::default()).unwrap();
    let (plain, repeated) = select(&project);
    let out = folder();
    let selection = |name: &str, alias: Option<&str>| TableSelection {
        name: name.to_owned(),
        alias: alias.map(str::to_owned),
    };
    let options = TableOptions {
        out: out.path().join("deep/all.parquet"),
        selections: vec![selection(&plain, Some("drawn")), selection(&repeated, None)],
    };
    let report = project.table(&options).unwrap();
    assert_eq!(report.rows, 400);
    let file = std::fs::File::open(&options.out).unwrap();
    let batches: Vec<RecordBatch> = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(batches.len(), 1);
    let table = &batches[0];
    let names: Vec<&String> = table.schema_ref().fields().iter().map(|field| field.name()).collect();
    assert!(names.iter().map(|name| name.as_str()).eq(report.columns.iter().map(String::as_str)));
    for name in [
        "doc_key",
        "id",
        "shard",
        "row",
        "text_bytes",
        "characters",
        "column-quality.score",
        "column-quality.failed",
        "drawn.kept_at",
        "drawn.reason",
        "drawn.priority",
        "drawn.probability.rate-20",
        "half-repeated.probability",
        "half-repeated.repeats",
    ] {
        assert!(table.column_by_name(name).is_some(), "no column `{name}` among {names:?}");
    }
    let text = |name: &str| table.column_by_name(name).unwrap().as_string::<i32>().clone();
    let number = |name: &str| table.column_by_name(name).unwrap().as_primitive::<Float64Type>().clone();
    let scores = values(&project, &version, &signal, "score");
    let decided = decisions(&project, &version, &plain);
    for (at, (score, decision)) in scores.iter().zip(&decided).enumerate() {
        assert_eq!(text("id").value(at), score.0);
        assert_eq!(text("shard").value(at), if at < 250 { "a.jsonl" } else { "b.jsonl" });
        assert_eq!(number("column-quality.score").value(at), score.1.unwrap());
        assert_eq!(text("drawn.reason").value(at), decision.reason);
        let kept_at = number("drawn.kept_at");
        assert_eq!(kept_at.is_valid(at).then(|| kept_at.value(at)), decision.smallest_kept);
    }
    refused(project.table(&options), &["is there already"]);
    let twice = TableOptions {
        out: out.path().join("b.parquet"),
        selections: vec![selection(&plain, Some("x")), selection(&repeated, Some("x"))],
    };
    refused(project.table(&twice), &["x.kept_at", "ALIAS"]);
    let bad = TableOptions { selections: vec![selection("none", None)], ..twice };
    assert!(project.table(&bad).unwrap_err().to_string().contains("no selection `none`"));

    // A shard that came after the selection has no decision.
    corpus::write(corpus.path(), "c.jsonl", &corpus::lines(&corpus::documents(6, 10)));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    project.inventory().unwrap();
    let later = TableOptions { out: out.path().join("c.parquet"), selections: vec![selection(&plain, None)] };
    let report = project.table(&later).unwrap();
    assert_eq!(report.rows, 410);
    assert!(report.left_out.iter().any(|text| text.contains("column-quality")), "{:?}", report.left_out);
    // What was selected before is exported as it was.
    let out = folder();
    assert_eq!(project.export(&plain, &lines_to(out.path())).unwrap().manifest.documents, 200);
}

#[test]
fn rows_of_parquet_keep_their_columns_and_schema() {
    let corpus = folder();
    parquet_corpus(corpus.path());
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let (_, name) = select(&project);
    let (lines, out) = (folder(), folder());
    let report = project.export(&name, &lines_to(lines.path())).unwrap();
    let in_order: Vec<String> =
        exported_lines(lines.path(), &report.manifest).iter().map(|line| id_of(line)).collect();
    let options =
        ExportOptions { shard_size: 20_000, ..ExportOptions::new(out.path(), ExportFormat::Parquet) };
    let manifest = project.export(&name, &options).unwrap().manifest;
    assert!(manifest.files.len() > 2);
    let rows = rows_by_id(corpus.path());
    let mut at = 0;
    for batch in read_parquet(out.path(), &manifest) {
        for row in 0..batch.num_rows() {
            let id = batch.column(0).as_string::<i32>().value(row);
            assert_eq!(id, in_order[at]);
            let (original, place) = &rows[id];
            assert_eq!(batch.schema(), original.schema());
            for (found, expected) in batch.columns().iter().zip(original.columns()) {
                assert_eq!(found.slice(row, 1).to_data(), expected.slice(*place, 1).to_data());
            }
            at += 1;
        }
    }
    assert_eq!(at, in_order.len());

    // A shard with its columns in another order can be read, and not be put into one file with the others.
    let file = std::fs::File::open(corpus.path().join("b.parquet")).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
    let turned: Vec<RecordBatch> =
        batches.iter().map(|batch| batch.project(&[4, 3, 2, 1, 0]).unwrap()).collect();
    let file = std::fs::File::create(corpus.path().join("c.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, turned[0].schema(), None).unwrap();
    turned.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
    let run = folder();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let options = SelectOptions {
        decide_only: true,
        duplicate_ids: tamis::options::DuplicateIds::One,
        ..selecting("random", None, rates(&["50%"]))
    };
    let name = project.run_selection(&options, ScoreOptions::default()).unwrap().name;
    let out = folder();
    let options = ExportOptions::new(out.path().join("x"), ExportFormat::Parquet);
    refused(project.export(&name, &options), &["c.parquet", "one file cannot hold both", "jsonl.zst"]);
    assert!(!options.out.exists());
}
