//! Documents that are alike: what is found, which stays, what a selection makes of it. The laws of the driver hold for these
//! signals too, see `signals.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use tamis::options::{
    ClustersOptions, CopiesOptions, EmbedOptions, KeepOrder, MinhashOptions, ScoreLimits, SelectOptions,
    SemdedupOptions, SignalOptions, Stays,
};
use tamis::{Project, ScoreOptions, Silent};
use tamis_io::run::{CorpusVersion, SignalDir};
use tamis_io::sidecar::SidecarColumns;

use crate::signals::{embed, open, rates, selecting};
use crate::support::corpus::{self, Document};
use crate::support::{folder, read};

/// A document that stands in a row of a signal: copies, rank, id of the representative.
type Standing = (u64, u64, String);

/// How every document stands among those alike, by id.
fn standings(project: &Project, version: &CorpusVersion, signal: &SignalDir) -> BTreeMap<String, Standing> {
    let mut ids = BTreeMap::new();
    let mut rows = Vec::new();
    for shard in &version.shards {
        let read = |batches: &mut dyn Iterator<Item = RecordBatch>| batches.collect::<Vec<_>>();
        let inventory = project.run_directory().read_inventory(&shard.path, SidecarColumns::All).unwrap();
        let inventory = read(&mut inventory.map(|batch| batch.unwrap()));
        let found = read(&mut signal.read(shard, SidecarColumns::All).unwrap().map(|batch| batch.unwrap()));
        let own: Vec<String> = inventory
            .iter()
            .flat_map(|batch| {
                let names = batch.column_by_name("id").unwrap().as_string::<i32>();
                let keys = batch.column_by_name("doc_key").unwrap().as_fixed_size_binary();
                (0..batch.num_rows())
                    .map(|at| {
                        ids.insert(keys.value(at).to_vec(), names.value(at).to_owned());
                        names.value(at).to_owned()
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        let mut own = own.into_iter();
        for batch in found {
            let number = |name: &str, at: usize| {
                batch.column_by_name(name).unwrap().as_primitive::<arrow_array::types::UInt64Type>().value(at)
            };
            let keys = batch.column_by_name("representative").unwrap().as_fixed_size_binary();
            for at in 0..batch.num_rows() {
                assert!(keys.is_valid(at), "a document without a group");
                let first = keys.value(at).to_vec();
                rows.push((own.next().unwrap(), number("copies", at), number("rank", at), first));
            }
        }
    }
    rows.into_iter().map(|(id, copies, rank, first)| (id, (copies, rank, ids[&first].clone()))).collect()
}

fn score(corpus: &Path, run: &Path, asked: &SignalOptions) -> BTreeMap<String, Standing> {
    let project = open(corpus, run, 2, &Silent);
    let version = project.inventory().unwrap();
    let (signal, _) = project.score(&version, asked, ScoreOptions::default()).unwrap();
    standings(&project, &version, &signal)
}

fn lines(documents: &[(&str, &str)]) -> Vec<String> {
    documents.iter().map(|(id, text)| Document::new(*id, *text, 1.0).line()).collect()
}

#[test]
fn copies_are_counted_over_all_shards_and_again_when_there_are_more() {
    let [corpus, run] = [folder(), folder()];
    corpus::write(corpus.path(), "a.jsonl", &lines(&[("1", "same"), ("2", "other"), ("3", "same")]));
    corpus::write(corpus.path(), "b.jsonl", &lines(&[("4", "same"), ("5", "?")]));
    let asked = CopiesOptions {}.into();
    let before = score(corpus.path(), run.path(), &asked);
    let count = |found: &BTreeMap<String, Standing>, id: &str| found[id].0;
    assert_eq!(["1", "2", "3", "4", "5"].map(|id| count(&before, id)), [3, 1, 3, 3, 1]);
    let ranks: BTreeSet<u64> = ["1", "3", "4"].map(|id| before[id].1).into();
    assert_eq!(ranks, BTreeSet::from([0, 1, 2]));
    assert_eq!(["1", "3", "4"].map(|id| &before[id].2).into_iter().collect::<BTreeSet<_>>().len(), 1);

    corpus::write(corpus.path(), "c.jsonl", &lines(&[("6", "other"), ("7", "?")]));
    let after = score(corpus.path(), run.path(), &asked);
    assert_eq!(["1", "2", "3", "4", "5", "6", "7"].map(|id| count(&after, id)), [3, 2, 3, 3, 2, 2, 2]);
    // The short name is that of the latest, the earlier one has its full name still.
    let project = open(corpus.path(), run.path(), 2, &Silent);
    assert_eq!(project.run_directory().signals().unwrap().len(), 1);
    assert_eq!(project.run_directory().resolve("copies").unwrap().record().revision(), 2);
    let folders = std::fs::read_dir(run.path().join("signals")).unwrap();
    let names: Vec<String> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 2);
    for name in names {
        project.run_directory().resolve(&name).unwrap();
    }
}

#[test]
fn limits_keep_what_is_within_and_rates_are_of_that() {
    let [corpus, run] = [folder(), folder()];
    let documents = corpus::documents(4, 200);
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&documents));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let select = |limits, targets| SelectOptions { limits, ..selecting("column:quality", None, targets) };
    let within =
        |limits: ScoreLimits| documents.iter().filter(|one| limits.hold(one.quality.unwrap())).count() as u64;
    for (at_least, at_most) in
        [(None, Some(2.0)), (Some(2.0), None), (Some(1.0), Some(3.0)), (Some(99.0), None)]
    {
        let limits = ScoreLimits { at_least, at_most };
        let report = project.run_selection(&select(limits, vec![]), ScoreOptions::default()).unwrap();
        assert_eq!(report.manifest.counts.kept, within(limits), "{limits:?}");
        let outside = report.manifest.counts.dropped.get("outside-limits").copied().unwrap_or(0);
        assert_eq!(outside, 200 - within(limits));
        let half = project.run_selection(&select(limits, rates(&["50%"])), ScoreOptions::default()).unwrap();
        assert_eq!(half.manifest.counts.candidates, within(limits));
        assert_eq!(half.manifest.counts.kept, (within(limits) as f64 / 2.0).round() as u64);
    }
    for (limits, by) in [
        (ScoreLimits { at_least: Some(3.0), at_most: Some(2.0) }, "column:quality"),
        (ScoreLimits { at_least: Some(f64::NAN), at_most: None }, "column:quality"),
        (ScoreLimits { at_least: Some(1.0), at_most: None }, "random"),
    ] {
        let asked = SelectOptions { by: by.to_owned(), ..select(limits, rates(&["50%"])) };
        let error = project.run_selection(&asked, ScoreOptions::default()).unwrap_err();
        assert!(error.is_usage() && error.hint().is_some(), "{error}");
    }
    // Nothing says how much.
    let nothing = select(ScoreLimits::default(), vec![]);
    assert!(project.run_selection(&nothing, ScoreOptions::default()).unwrap_err().is_usage());
}

const ORIGINAL: &str = "the tide tables of the harbour were printed twice a year and hung behind the counter of the \
                        chandler where every fisherman of the village could read them before going out";

fn near() -> Vec<String> {
    let longer = format!("{ORIGINAL} in the morning");
    let quality = |id: &str, text: &str, quality: f64, date: &str| {
        serde_json::json!({ "id": id, "text": text, "quality": quality, "date": date }).to_string()
    };
    vec![
        quality("short", ORIGINAL, 1.0, "2020-01-01"),
        quality("long", &longer, 2.0, "2019-01-01"),
        quality("loud", &ORIGINAL.to_uppercase(), 3.0, "2024-05-05"),
        quality(
            "other",
            "nothing of all this is said here, where the text is about bread and how it is baked",
            9.0,
            "2025-01-01",
        ),
        quality("none", "…!", 0.5, "2025-01-01"),
        quality("void", "?", 0.5, "2025-01-01"),
    ]
}

#[test]
fn of_near_duplicates_the_asked_one_stays() {
    let [corpus, run] = [folder(), folder()];
    corpus::write(corpus.path(), "a.jsonl", &near());
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let quality = crate::signals::column("quality");
    project.score(&version, &quality, ScoreOptions::default()).unwrap();
    for (stays, first) in [
        (Stays::Longest, "long"),
        (Stays::FirstBy("column:quality".to_owned()), "loud"),
        (Stays::Newest("date".to_owned()), "loud"),
    ] {
        let asked = MinhashOptions { stays: stays.clone(), ..MinhashOptions::default() };
        let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
        let (signal, report) = project.score(&version, &asked.into(), beside).unwrap();
        assert_eq!(report.failed_rows(), 0);
        let found = standings(&project, &version, &signal);
        for id in ["short", "long", "loud"] {
            assert_eq!((found[id].0, found[id].2.as_str()), (3, first), "{stays:?} {id}");
        }
        assert_eq!(found[first].1, 0);
        // Texts without words are near nobody, not even each other.
        for id in ["other", "none", "void"] {
            assert_eq!(found[id], (1, 0, id.to_owned()), "{stays:?}");
        }
        let similarity: BTreeMap<_, _> =
            read::values(&project, &version, &signal, "similarity").into_iter().collect();
        assert_eq!(similarity[first], Some(1.0));
        assert!(similarity["short"].unwrap() > 0.8, "{similarity:?}");
    }
    let unknown = MinhashOptions { stays: Stays::FirstBy("ask-llm".to_owned()), ..MinhashOptions::default() };
    assert!(project.score(&version, &unknown.into(), ScoreOptions::default()).is_err());
    for wrong in [
        MinhashOptions { ngram: 0, ..MinhashOptions::default() },
        MinhashOptions { bands: 0, ..MinhashOptions::default() },
        MinhashOptions { verify: Some(1.5), ..MinhashOptions::default() },
        MinhashOptions { within: Some("no such column".to_owned()), ..MinhashOptions::default() },
    ] {
        let error = project.check_score(&wrong.into(), ScoreOptions::default()).unwrap_err();
        assert!(error.is_usage(), "{error}");
    }
}

#[test]
fn near_duplicates_may_be_looked_for_within_a_column() {
    let [corpus, run] = [folder(), folder()];
    let line = |id: &str, dump: Option<&str>| {
        let text = format!("{ORIGINAL} as {id} has it");
        serde_json::json!({ "id": id, "text": text, "dump": dump }).to_string()
    };
    let dumps = [("1", Some("x")), ("2", Some("x")), ("3", Some("y")), ("4", None), ("5", None)];
    corpus::write(corpus.path(), "a.jsonl", &dumps.map(|(id, dump)| line(id, dump)));
    let whole = score(corpus.path(), run.path(), &MinhashOptions::default().into());
    assert!(whole.values().all(|standing| standing.0 == 5), "{whole:?}");
    let run = folder();
    let within = MinhashOptions { within: Some("dump".to_owned()), ..MinhashOptions::default() };
    let found = score(corpus.path(), run.path(), &within.into());
    assert_eq!(["1", "2", "3", "4", "5"].map(|id| found[id].0), [2, 2, 1, 2, 2]);
}

#[test]
fn verified_near_duplicates_have_the_similarity_and_memory_does_not_matter() {
    let [corpus, run] = [folder(), folder()];
    // A chain: each text shares most with the one before it, and the ends share little.
    let words: Vec<String> = (0..120).map(corpus::word).collect();
    let texts: Vec<String> = (0..12).map(|at| words[at * 6..at * 6 + 50].join(" ")).collect();
    let documents: Vec<Document> =
        texts.iter().enumerate().map(|(at, text)| Document::new(format!("{at:02}"), text, 1.0)).collect();
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&documents[..5]));
    corpus::write(corpus.path(), "b.jsonl", &corpus::lines(&documents[5..]));
    let asked = |verify| MinhashOptions { ngram: 3, bands: 60, rows: 1, verify, ..MinhashOptions::default() };
    let loose = score(corpus.path(), run.path(), &asked(None).into());
    assert!(loose.values().all(|standing| standing.0 == 12), "{loose:?}");
    // 42 of 54 shingles are shared by neighbours: 0.78; by every second one 36 of 60: 0.6.
    let mut expected = None;
    for memory in [1, 3_000, 1 << 20] {
        let run = folder();
        let project = open(corpus.path(), run.path(), 2, &Silent).with_grouping_memory(memory);
        let version = project.inventory().unwrap();
        let mut all = Vec::new();
        for verify in [0.5, 0.75, 0.9] {
            let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
            let (signal, _) = project.score(&version, &asked(Some(verify)).into(), beside).unwrap();
            all.push(standings(&project, &version, &signal));
        }
        assert!(all[1].values().all(|standing| standing.0 == 12), "{:?}", all[1]);
        assert!(all[2].values().all(|standing| standing.0 == 1), "{:?}", all[2]);
        assert_eq!(expected.get_or_insert_with(|| all.clone()), &all, "memory {memory}");
    }
}

#[test]
fn the_nearest_earlier_document_is_that_of_every_pair() {
    let [corpus, run] = [folder(), folder()];
    let mut documents = corpus::documents(8, 150);
    for at in 0..40 {
        documents[at + 100].text = documents[at].text.clone();
    }
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&documents[..70]));
    corpus::write(corpus.path(), "b.jsonl", &corpus::lines(&documents[70..]));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let clusters = ClustersOptions {
        embed: EmbedOptions { store_f32: true, ..embed() },
        clusters: Some(5),
        ..ClustersOptions::default()
    };
    for (keep, probe) in [(KeepOrder::Farthest, 1), (KeepOrder::Nearest, 2), (KeepOrder::Seed, 1)] {
        let asked = SemdedupOptions { clusters: clusters.clone(), keep, probe, ..SemdedupOptions::default() };
        let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
        let (signal, report) = project.score(&version, &asked.into(), beside).unwrap();
        assert!(report.findings.iter().any(|finding| finding.contains("held against the whole corpus")));
        let found = standings(&project, &version, &signal);
        let score: BTreeMap<_, _> = read::values(&project, &version, &signal, "score").into_iter().collect();
        let resolve = |name| project.run_directory().resolve(name).unwrap();
        let of_cluster: BTreeMap<_, _> =
            read::values(&project, &version, &resolve("clusters"), "cluster").into_iter().collect();
        let mut firsts: BTreeMap<u64, usize> = BTreeMap::new();
        for (id, value) in &score {
            let value = value.unwrap();
            assert!((-1.0..=1.0).contains(&value));
            if value == -1.0 {
                *firsts.entry(of_cluster[id].unwrap() as u64).or_default() += 1;
            }
        }
        // Each cluster has one document that nothing stands before, where no other cluster is looked into.
        assert!(firsts.values().all(|count| *count == 1) && firsts.len() <= 5, "{keep:?}: {firsts:?}");
        for at in 0..40 {
            let (one, copy) = (&documents[at].id, &documents[at + 100].id);
            assert_eq!(found[one].2, found[copy].2, "{keep:?}: copies are of one group");
            assert!(score[one].unwrap().max(score[copy].unwrap()) > 0.9999, "{keep:?}");
            assert_ne!(found[one].1, found[copy].1);
        }
    }
    for wrong in [
        SemdedupOptions { epsilon: -0.1, ..SemdedupOptions::default() },
        SemdedupOptions { probe: 3, ..SemdedupOptions::default() },
        SemdedupOptions {
            clusters: ClustersOptions { clusters: Some(0), ..clusters.clone() },
            ..SemdedupOptions::default()
        },
    ] {
        assert!(project.check_score(&wrong.into(), ScoreOptions::default()).unwrap_err().is_usage());
    }
    let many = ClustersOptions { clusters: Some(1000), ..clusters };
    let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
    let error = project.score(&version, &many.into(), beside).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("150 documents"), "{error}");
}

#[test]
fn a_fit_has_the_same_clusters_in_memory_and_pass_by_pass() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    let fit = |memory: u64, fit_documents: Option<u64>| {
        let run = folder();
        let project = open(corpus.path(), run.path(), 2, &Silent);
        let version = project.inventory().unwrap();
        let asked = ClustersOptions {
            embed: embed(),
            clusters: Some(6),
            iterations: 4,
            restarts: 2,
            fit_documents,
            fit_memory_bytes: memory,
            ..ClustersOptions::default()
        };
        let (signal, _) = project.score(&version, &asked.into(), ScoreOptions::default()).unwrap();
        signal.full_name().to_owned()
    };
    for sample in [None, Some(100)] {
        assert_eq!(fit(1, sample), fit(1 << 30, sample), "{sample:?}");
    }
    assert_ne!(fit(1 << 30, None), fit(1 << 30, Some(100)));
}

#[test]
fn a_selection_by_default_keeps_the_first_of_each_group_and_what_is_rare() {
    let [corpus, run] = [folder(), folder()];
    let mut documents = corpus::documents(3, 60);
    for at in 0..20 {
        documents[at + 20].text = documents[at].text.clone();
    }
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&documents));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    for (by, alone) in [("minhash", 40), ("copies", 20)] {
        let options = selecting(by, None, vec![tamis::Target::Documents(alone)]);
        let report = project.run_selection(&options, ScoreOptions::default()).unwrap();
        let version = project.inventory().unwrap();
        let kept = read::decisions(&project, &version, &report.name);
        let kept: BTreeSet<&str> =
            kept.iter().filter(|row| row.reason == "kept").map(|row| row.id.as_str()).collect();
        let pairs = (0..20).filter(|at| {
            kept.contains(documents[*at].id.as_str()) && kept.contains(documents[at + 20].id.as_str())
        });
        assert_eq!(pairs.count(), 0, "{by}");
        assert_eq!(kept.len() as u64, alone);
    }
}

#[test]
fn memory_decides_nothing_about_who_is_alike() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    let clusters = ClustersOptions { embed: embed(), clusters: Some(4), ..ClustersOptions::default() };
    for asked in [
        SignalOptions::from(CopiesOptions {}),
        SemdedupOptions { clusters: clusters.clone(), probe: 2, epsilon: 0.2, ..SemdedupOptions::default() }
            .into(),
        MinhashOptions { ngram: 2, bands: 8, rows: 2, ..MinhashOptions::default() }.into(),
    ] {
        let found = [1, 5_000, 1 << 30].map(|memory| {
            let run = folder();
            let project = open(corpus.path(), run.path(), 2, &Silent).with_grouping_memory(memory);
            let version = project.inventory().unwrap();
            let (signal, _) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
            let digests =
                version.shards.iter().map(|shard| signal.receipt(shard).unwrap().unwrap().row_digest);
            (signal.full_name().to_owned(), digests.collect::<Vec<_>>())
        });
        assert_eq!(found[0], found[2], "{}", asked.user_name());
        assert_eq!(found[1], found[2], "{}", asked.user_name());
    }
}

#[test]
fn every_option_that_decides_a_value_makes_another_signal() {
    let [corpus, run] = [folder(), folder()];
    let mut documents = corpus::documents(5, 120);
    for at in 0..20 {
        documents[at + 20].text = format!("{} {}", documents[at].text, corpus::word(at));
    }
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&documents));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
    project.score(&version, &crate::signals::column("quality"), beside).unwrap();
    let clusters =
        || ClustersOptions { embed: embed(), clusters: Some(6), iterations: 2, ..ClustersOptions::default() };
    let semdedup = || SemdedupOptions { clusters: clusters(), ..SemdedupOptions::default() };
    let minhash = || MinhashOptions { ngram: 2, bands: 6, rows: 2, ..MinhashOptions::default() };
    let asked: Vec<SignalOptions> = vec![
        clusters().into(),
        ClustersOptions { clusters: Some(5), ..clusters() }.into(),
        ClustersOptions { geometry: tamis::options::Geometry::Euclidean, ..clusters() }.into(),
        ClustersOptions { iterations: 1, ..clusters() }.into(),
        ClustersOptions { fit_documents: Some(60), ..clusters() }.into(),
        ClustersOptions { seed: 1, ..clusters() }.into(),
        semdedup().into(),
        SemdedupOptions { clusters: ClustersOptions { seed: 1, ..clusters() }, ..semdedup() }.into(),
        SemdedupOptions { keep: KeepOrder::Nearest, ..semdedup() }.into(),
        SemdedupOptions { keep: KeepOrder::Seed, ..semdedup() }.into(),
        SemdedupOptions { keep: KeepOrder::Seed, seed: 1, ..semdedup() }.into(),
        SemdedupOptions { epsilon: 0.2, ..semdedup() }.into(),
        SemdedupOptions { probe: 2, ..semdedup() }.into(),
        minhash().into(),
        MinhashOptions { ngram: 3, ..minhash() }.into(),
        MinhashOptions { bands: 5, ..minhash() }.into(),
        MinhashOptions { rows: 3, ..minhash() }.into(),
        MinhashOptions { seed: 1, ..minhash() }.into(),
        MinhashOptions { verify: Some(0.5), ..minhash() }.into(),
        MinhashOptions { verify: Some(0.6), ..minhash() }.into(),
        MinhashOptions { within: Some("quality".to_owned()), ..minhash() }.into(),
        MinhashOptions { stays: Stays::Newest("quality".to_owned()), ..minhash() }.into(),
        MinhashOptions { stays: Stays::FirstBy("column:quality".to_owned()), ..minhash() }.into(),
    ];
    let mut names = BTreeSet::new();
    for asked in asked {
        let (signal, _) = project.score(&version, &asked, beside).unwrap();
        assert!(names.insert(signal.full_name().to_owned()), "{asked:?} is `{}` too", signal.full_name());
    }
    // How much memory a fit may take decides nothing.
    let (same, _) = project
        .score(&version, &ClustersOptions { fit_memory_bytes: 1, ..clusters() }.into(), beside)
        .unwrap();
    assert!(names.contains(same.full_name()));
}
