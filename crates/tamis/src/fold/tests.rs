//! Spans: how they are cut, that they change nothing, and that a stop loses no more than one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use tempfile::TempDir;

use super::*;
use crate::options::{CorpusOptions, SignalOptions};
use crate::{Observer, ScoreOptions, Silent};

/// Documents by number of words: a summary as large as they differ.
#[derive(Clone, Debug, PartialEq)]
struct Words {
    salt: u64,
    counts: BTreeMap<u64, u64>,
}

const EMPTY: Words = Words { salt: 1, counts: BTreeMap::new() };

impl Summary for Words {
    type Part = Vec<u64>;

    fn empty(&self) -> Self {
        Self { counts: BTreeMap::new(), ..*self }
    }

    fn absorb(&mut self, part: Vec<u64>) -> tamis_core::Result<()> {
        part.into_iter().for_each(|words| *self.counts.entry(words).or_default() += 1);
        Ok(())
    }

    fn merge(&mut self, other: Self) -> tamis_core::Result<()> {
        assert_eq!(self.salt, other.salt);
        other.counts.into_iter().for_each(|(words, count)| *self.counts.entry(words).or_default() += count);
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let numbers = self.counts.iter().flat_map(|(words, count)| [*words, *count]);
        [self.salt].into_iter().chain(numbers).flat_map(u64::to_le_bytes).collect()
    }

    fn decode(bytes: &[u8]) -> tamis_core::Result<Self> {
        let corrupt = || tamis_core::Error::Corrupt { what: "words", problem: "cut".to_owned() };
        let (numbers, rest) = bytes.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let salt = numbers.next().filter(|_| rest.is_empty()).ok_or_else(corrupt)?;
        let numbers: Vec<u64> = numbers.collect();
        Ok(Self { salt, counts: numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect() })
    }

    fn size_bytes(&self) -> u64 {
        1 << 20
    }
}

impl BatchSummary for Words {
    fn parts(&self) -> impl Fn(&RecordBatch) -> tamis_core::Result<Vec<u64>> + Send + Sync + 'static {
        |batch| {
            let words = batch.column_by_name("words").unwrap().as_primitive::<Float64Type>();
            Ok(words.values().iter().map(|words| *words as u64).collect())
        }
    }
}

/// A corpus of shards of so many documents, its run, and a signal of one number a document.
struct Scored {
    corpus: TempDir,
    run: TempDir,
}

impl Scored {
    fn new(shards: &[usize]) -> Self {
        let scored = Self { corpus: tempfile::tempdir().unwrap(), run: tempfile::tempdir().unwrap() };
        for (at, documents) in shards.iter().enumerate() {
            scored.write(at, *documents);
        }
        scored
    }

    fn write(&self, shard: usize, documents: usize) {
        let line = |at: usize| {
            format!(
                "{{\"id\": \"{shard}-{at}\", \"text\": \"{}\"}}\n",
                "a word ".repeat(1 + (7 * shard + at) % 11)
            )
        };
        let lines: String = (0..documents).map(line).collect();
        std::fs::write(self.corpus.path().join(format!("{shard:03}.jsonl")), lines).unwrap();
    }

    fn open(&self, threads: usize, span_documents: u64, observer: Arc<dyn Observer>) -> Project {
        let corpus = CorpusOptions::new(self.corpus.path().to_str().unwrap());
        Project::open(Some(corpus), self.run.path(), threads, observer).unwrap().with_spans_of(span_documents)
    }

    fn files(&self) -> Vec<String> {
        let store = tamis_io::store::Store::local(self.run.path());
        store.list("sketches").unwrap().into_iter().map(|entry| entry.path).collect()
    }
}

/// What a fold has to be told.
struct Ready<'a> {
    project: &'a Project,
    version: CorpusVersion,
    signal: SignalDir,
    partials: Partials,
}

impl<'a> Ready<'a> {
    fn new(project: &'a Project) -> Self {
        let version = project.inventory().unwrap();
        let (signal, _) = project
            .score(&version, &SignalOptions::named("counts").unwrap(), ScoreOptions::default())
            .unwrap();
        let partials = project.run.partials("test").unwrap();
        Self { project, version, signal, partials }
    }

    fn inputs(&self) -> Inputs<'_> {
        let kept = Some(Kept { partials: &self.partials, worker: Worker::ALONE });
        Inputs { version: &self.version, signal: &self.signal, stage: Some("count words"), kept }
    }

    /// Folds; which shards were read, and what came of it. Fails at a shard.
    fn fold(&self, empty: &Words, fails_at: Option<&str>) -> (BTreeSet<String>, Result<Sharded<Words>>) {
        let read = Mutex::new(BTreeSet::new());
        let parts = empty.parts();
        let folded = self.project.fold_spans(
            &self.inputs(),
            empty,
            |_| {},
            |shards| {
                one_part_each(
                    shards.iter().collect(),
                    self.project.threads,
                    empty.empty(),
                    |shard: &ShardRecord| {
                        if fails_at == Some(&*shard.path) {
                            return Err(Error::usage("this one fails", "ask for another"));
                        }
                        assert!(
                            read.lock().unwrap().insert(shard.path.clone()),
                            "{} is read twice",
                            shard.path
                        );
                        let mut part = Vec::new();
                        for batch in self.signal.read(shard, SidecarColumns::All)? {
                            part.extend(parts(&batch?)?);
                        }
                        Ok(part)
                    },
                )
            },
        );
        (read.into_inner().unwrap(), folded)
    }
}

const SHARDS: [usize; 9] = [5, 0, 12, 3, 30, 1, 1, 8, 4];

#[test]
fn spans_have_enough_documents_and_are_few_enough_to_be_stored() {
    let scored = Scored::new(&SHARDS);
    let project = scored.open(1, 1, Arc::new(Silent));
    let shards = project.inventory().unwrap().shards;
    let documents = |shards: &[ShardRecord]| shards.iter().map(|shard| shard.documents).sum::<u64>();
    for least in [0, 1, 2, 9, 17, 30, 31, 63, 64, 65, u64::MAX] {
        for size in [0, 1, MOST_STORED_BYTES / 5, MOST_STORED_BYTES / 2, MOST_STORED_BYTES, u64::MAX] {
            let spans = cut(&shards, least, size);
            assert_eq!(spans.concat(), shards, "in order, each once");
            assert!(spans.len() == 1 || spans.iter().all(|span| documents(span) >= least), "{least} {size}");
            assert!(spans.len() == 1 || spans.len() as u64 * size <= MOST_STORED_BYTES, "{least} {size}");
        }
    }
    assert_eq!(cut(&shards, 17, 1).iter().map(|span| span.len()).collect::<Vec<_>>(), [3, 6]);
    assert_eq!(cut(&shards, 1, 1).len(), 8);
    assert!(cut(&[], 5, 1).is_empty());
}

#[test]
fn spans_threads_and_order_change_nothing() {
    let scored = Scored::new(&SHARDS);
    let project = scored.open(1, u64::MAX, Arc::new(Silent));
    let whole = Ready::new(&project);
    let expected = project.fold(&whole.inputs(), &EMPTY).unwrap();
    assert_eq!(expected.inner.counts.values().sum::<u64>(), 64);
    assert!(scored.files().is_empty(), "one span is not stored");
    drop(whole);
    for (span_documents, threads, worker) in
        [(1, 1, "1/1"), (1, 4, "2/3"), (9, 2, "3/3"), (17, 3, "1/2"), (40, 2, "2/2")]
    {
        let project = scored.open(threads, span_documents, Arc::new(Silent));
        let ready = Ready::new(&project);
        let mut inputs = ready.inputs();
        inputs.kept = inputs.kept.map(|kept| Kept { worker: Worker::parse(worker).unwrap(), ..kept });
        let folded = project.fold(&inputs, &EMPTY).unwrap();
        assert_eq!(folded.encode(), expected.encode(), "{span_documents} {threads}");
        let stored = scored.files().len();
        let spans = cut(&ready.version.shards, span_documents, 1).len();
        assert_eq!(stored, if spans == 1 { 0 } else { spans }, "{span_documents}");
        project.run.sweep_partials("test").unwrap();
        assert_eq!(scored.files().len(), stored, "held by this one still");
        drop(ready);
        project.run.sweep_partials("test").unwrap();
        assert!(scored.files().is_empty());
        let ready = Ready::new(&project);
        let folded = project.fold(&Inputs { kept: None, stage: None, ..ready.inputs() }, &EMPTY).unwrap();
        assert_eq!(folded.encode(), expected.encode());
        assert!(scored.files().is_empty());
    }
}

#[test]
fn a_stop_loses_the_span_that_was_under_way_and_no_other() {
    let scored = Scored::new(&SHARDS);
    let project = scored.open(2, 12, Arc::new(Silent));
    let ready = Ready::new(&project);
    let shards = &ready.version.shards;
    let spans = cut(shards, 12, 1);
    let names =
        |shards: &[ShardRecord]| shards.iter().map(|shard| shard.path.clone()).collect::<BTreeSet<_>>();
    assert!(spans.len() > 2);
    let (all, expected) = ready.fold(&EMPTY, None);
    assert_eq!(all, names(shards));
    let expected = expected.unwrap();
    assert_eq!(ready.fold(&EMPTY, None).0.len(), 0, "all is kept");
    for (at, span) in spans.iter().enumerate() {
        let other = Words { salt: 2 + at as u64, ..EMPTY };
        let last = span.last().unwrap();
        let (_, stopped) = ready.fold(&other, Some(&last.path));
        assert!(stopped.unwrap_err().is_usage());
        let (read, folded) = ready.fold(&other, None);
        let finished: BTreeSet<String> = spans[..at].iter().flat_map(|span| names(span)).collect();
        assert_eq!(read, names(shards).difference(&finished).cloned().collect(), "stopped in span {at}");
        assert_eq!(folded.unwrap().inner.counts, expected.inner.counts);
    }
}

#[test]
fn a_damaged_partial_is_told_removed_and_folded_again() {
    #[derive(Default)]
    struct Hears(Mutex<Vec<String>>);
    impl Observer for Hears {
        fn begin(&self, _stage: &str, _total: u64) {}
        fn advance(&self, _documents: u64, _tokens: u64, _units: u64) {}
        fn end(&self) {}
        fn warn(&self, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
        fn note(&self, _message: &str) {}
    }
    let scored = Scored::new(&SHARDS);
    let hears = Arc::new(Hears::default());
    let project = scored.open(1, 12, Arc::<Hears>::clone(&hears));
    let ready = Ready::new(&project);
    let (_, expected) = ready.fold(&EMPTY, None);
    let expected = expected.unwrap().encode();
    let files = scored.files();
    let at = |name: &str| scored.run.path().join(name);
    let whole: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(at(file)).unwrap()).collect();
    let mut of_other_salt = whole[0].clone();
    let start = whole[0].len() - Sharded::<Words>::decode(&whole[0]).unwrap().inner.encode().len();
    of_other_salt[start..start + 8].copy_from_slice(&9_u64.to_le_bytes());
    for damaged in [whole[0][..20].to_vec(), Vec::new(), whole[1].clone(), of_other_salt] {
        hears.0.lock().unwrap().clear();
        std::fs::write(at(&files[0]), &damaged).unwrap();
        let (read, folded) = ready.fold(&EMPTY, None);
        assert!(!read.is_empty() && read.len() < SHARDS.len(), "{read:?}");
        assert_eq!(folded.unwrap().encode(), expected);
        let said = hears.0.lock().unwrap().join("\n");
        assert!(said.contains(&files[0]) && said.contains("folded again"), "{said}");
        assert!(!at(&files[0]).exists());
        std::fs::write(at(&files[0]), &whole[0]).unwrap();
    }
    // Removed by hand while nobody held them.
    files.iter().for_each(|file| std::fs::remove_file(at(file)).unwrap());
    assert_eq!(ready.fold(&EMPTY, None).1.unwrap().encode(), expected);
}

#[test]
fn partials_of_other_content_or_parameters_are_not_taken() {
    let scored = Scored::new(&SHARDS);
    {
        let project = scored.open(1, 12, Arc::new(Silent));
        let ready = Ready::new(&project);
        ready.fold(&EMPTY, None).1.unwrap();
        let other = ready.fold(&Words { salt: 7, ..EMPTY }, None);
        assert_eq!(other.0.len(), SHARDS.len());
        assert_eq!(other.1.unwrap().inner.salt, 7);
    }
    // Two documents more behind the last shard: spans before it are still those.
    scored.write(SHARDS.len(), 2);
    let project = scored.open(1, 12, Arc::new(Silent));
    let ready = Ready::new(&project);
    let (read, folded) = ready.fold(&EMPTY, None);
    let last = cut(&ready.version.shards, 12, 1).last().unwrap().len();
    assert_eq!(read.len(), last);
    assert_eq!(folded.unwrap().inner.counts.values().sum::<u64>(), 66);
}

#[test]
fn processes_that_share_a_fold_read_each_shard_once() {
    let scored = Scored::new(&[9; 24]);
    let first = scored.open(1, 9, Arc::new(Silent));
    let alone = Ready::new(&first);
    let expected = first.fold(&Inputs { kept: None, ..alone.inputs() }, &EMPTY).unwrap().encode();
    drop(alone);
    let read = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let project = scored.open(1, 9, Arc::new(Silent));
                let ready = Ready::new(&project);
                let (own, folded) = ready.fold(&EMPTY, None);
                assert_eq!(folded.unwrap().encode(), expected);
                read.lock().unwrap().extend(own);
            });
        }
    });
    let mut read = read.into_inner().unwrap();
    read.sort_unstable();
    assert_eq!(read.len(), 24, "{read:?}");
    read.dedup();
    assert_eq!(read.len(), 24);
}

#[test]
fn a_span_that_another_process_holds_is_waited_for() {
    let scored = Scored::new(&SHARDS);
    let project = scored.open(1, 12, Arc::new(Silent));
    let ready = Ready::new(&project);
    let kind = kind_of(&EMPTY);
    let spans = cut(&ready.version.shards, 12, 1);
    let holds = project.holds(kind, &ready.signal, spans[1]).unwrap();
    let lock = ready.partials.try_lock(holds).unwrap();
    assert!(lock.is_some());
    let let_go = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let folding = scope.spawn(|| {
            let (read, folded) = ready.fold(&EMPTY, None);
            assert!(let_go.load(Ordering::SeqCst), "it did not wait");
            assert_eq!(read.len(), SHARDS.len());
            folded.unwrap()
        });
        std::thread::sleep(Duration::from_millis(400));
        let_go.store(true, Ordering::SeqCst);
        drop(lock);
        assert_eq!(folding.join().unwrap().inner.counts.values().sum::<u64>(), 64);
    });
}

#[test]
fn who_waits_for_a_span_stops_when_asked_to() {
    struct Cancels(AtomicBool);
    impl Observer for Cancels {
        fn begin(&self, _stage: &str, _total: u64) {}
        fn advance(&self, _documents: u64, _tokens: u64, _units: u64) {}
        fn end(&self) {}
        fn warn(&self, _message: &str) {}
        fn note(&self, _message: &str) {}
        fn cancelled(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
    }
    let scored = Scored::new(&SHARDS);
    let observer = Arc::new(Cancels(AtomicBool::new(false)));
    let project = scored.open(1, 12, Arc::<Cancels>::clone(&observer));
    let ready = Ready::new(&project);
    let spans = cut(&ready.version.shards, 12, 1);
    let _lock = ready.partials.try_lock(project.holds(kind_of(&EMPTY), &ready.signal, spans[0]).unwrap());
    std::thread::scope(|scope| {
        let folding = scope.spawn(|| ready.fold(&EMPTY, None).1);
        std::thread::sleep(Duration::from_millis(100));
        observer.0.store(true, Ordering::SeqCst);
        assert!(matches!(folding.join().unwrap(), Err(Error::Cancelled)));
    });
}
