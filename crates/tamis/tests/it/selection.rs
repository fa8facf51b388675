//! What is selected depends on the documents, the rule and the seed, and on nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tamis::options::{DuplicateIds, ExactDuplicates, SelectOptions};
use tamis::{Project, Rule, ScoreOptions, SelectReport, Silent, Target};
use tamis_io::run::CorpusVersion;

use crate::signals::{column, open, rates, selecting};
use crate::support::corpus::{self, Document};
use crate::support::folder;
use crate::support::observers::Watch;
use crate::support::random::Random;
use crate::support::read::{Decided, decisions};

/// How documents are chosen in the laws below.
const RULES: [Option<Rule>; 6] =
    [None, Some(Rule::Top), Some(Rule::Bottom), Some(Rule::Band), Some(Rule::Ips), Some(Rule::Poisson)];

/// A run over a corpus with the scores of `quality`.
struct Ready {
    project: Project,
    version: CorpusVersion,
}

impl Ready {
    fn new(corpus: &Path, run: &Path) -> Self {
        let project = open(corpus, run, 2, &Silent);
        let version = project.inventory().unwrap();
        project.score(&version, &column("quality"), ScoreOptions::default()).unwrap();
        Self { project, version }
    }

    /// Selects by quality under a rule, or at random without one.
    fn select(&self, rule: Option<Rule>, options: SelectOptions) -> (SelectReport, Vec<Decided>) {
        let signal = self.project.run_directory().resolve("column-quality").unwrap();
        let by = rule.map(|_| (&signal, "score"));
        let duplicate_ids = DuplicateIds::One;
        let options = SelectOptions { rule, duplicate_ids, decide_only: options.out.is_none(), ..options };
        let report = self.project.select(&self.version, by, None, &options).unwrap();
        let decided = decisions(&self.project, &self.version, &report.name);
        (report, decided)
    }
}

/// Documents with repeated ids, repeated texts, and scores that are missing or tied.
fn awkward() -> Vec<Document> {
    let mut all = corpus::documents(3, 300);
    for at in 0..20 {
        all[at + 100].id = all[at].id.clone();
        all[at + 150].text = all[at + 40].text.clone();
        all[at + 200].text = all[at + 40].text.clone();
        all[at + 250].quality = None;
    }
    // Byte for byte the same line twice, and an id that loses while its text is somebody else's.
    all[297] = all[296].clone();
    all[298] = Document { id: all[7].id.clone(), ..all[60].clone() };
    all
}

fn kept(decided: &[Decided], target: f64) -> Vec<&str> {
    let mut ids: Vec<&str> =
        decided.iter().filter(|row| row.kept_at(target)).map(|row| row.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn names_sizes_and_order_of_shards_decide_nothing() {
    let documents = corpus::lines(&awkward());
    let vetoes = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(vetoes.path(), "d3-41\nd3-2\n").unwrap();
    let mut expected: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    let mut random = Random::new(11);
    for layout in 0..4 {
        let corpus = folder();
        let mut lines = documents.clone();
        if layout > 0 {
            random.shuffle(&mut lines);
        }
        let shards = [1, 3, 7, 40][layout];
        for (at, lines) in lines.chunks(lines.len().div_ceil(shards)).enumerate() {
            corpus::write(corpus.path(), &format!("{}{at}/x.jsonl", ["m", "z", "a", "q"][layout]), lines);
        }
        let run = folder();
        let ready = Ready::new(corpus.path(), run.path());
        for rule in RULES {
            for exact_duplicates in [ExactDuplicates::All, ExactDuplicates::One] {
                let options = SelectOptions {
                    exact_duplicates,
                    vetoes: vec![vetoes.path().to_owned()],
                    ..selecting("column:quality", rule, rates(&["5%", "20%", "60%"]))
                };
                let (report, decided) = ready.select(rule, options);
                let facts = format!("{:?} {:?}", report.manifest.targets, report.manifest.counts);
                let mut rows: Vec<String> = decided
                    .iter()
                    .map(|row| {
                        format!("{} {} {:?} {:?}", row.id, row.reason, row.smallest_kept, row.probabilities)
                    })
                    .collect();
                rows.sort_unstable();
                let found = (facts, rows);
                let what = format!("{rule:?} {exact_duplicates:?}");
                assert_eq!(
                    expected.entry(what.clone()).or_insert_with(|| found.clone()),
                    &found,
                    "{what}, layout {layout}"
                );
            }
        }
    }
}

#[test]
fn rates_nest_and_do_not_depend_on_their_company() {
    let corpus = folder();
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&awkward()));
    let run = folder();
    let ready = Ready::new(corpus.path(), run.path());
    for rule in RULES {
        for seed in [0, 1] {
            let all = ["1%", "10%", "33.3%", "80%", "100%"];
            let shares = [0.01, 0.1, 0.333, 0.8, 1.0];
            let ask = |rates| SelectOptions { seed, ..selecting("column:quality", rule, rates) };
            let (report, decided) = ready.select(rule, ask(rates(&all)));
            for pair in shares.windows(2) {
                let (small, large) = (kept(&decided, pair[0]), kept(&decided, pair[1]));
                let large: BTreeSet<&str> = large.into_iter().collect();
                assert!(small.iter().all(|id| large.contains(id)), "{rule:?} {pair:?}");
            }
            let candidates = report.manifest.counts.candidates;
            assert_eq!(kept(&decided, 1.0).len() as u64, candidates);
            for ((rate, share), target) in all.iter().zip(shares).zip(&report.manifest.targets) {
                let (alone, own) = ready.select(rule, ask(rates(&[rate])));
                assert_eq!(kept(&own, share), kept(&decided, share), "{rule:?} {rate}");
                assert_eq!(alone.manifest.targets[0], *target);
                assert_eq!(kept(&own, share).len() as u64, target.documents);
                if rule != Some(Rule::Poisson) {
                    let asked = (share * candidates as f64).round() as u64;
                    assert_eq!((target.documents, target.over), (asked, 0), "{rule:?} {rate}");
                }
            }
        }
    }
}

#[test]
fn budgets_keep_the_longest_prefix_that_fits() {
    let corpus = folder();
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&awkward()[..250]));
    let run = folder();
    let ready = Ready::new(corpus.path(), run.path());
    for rule in RULES {
        let select = |target| ready.select(rule, selecting("column:quality", rule, vec![target]));
        let (_, decided) = select(Target::Documents(17));
        assert_eq!(kept(&decided, 17.0).len() == 17, rule != Some(Rule::Poisson), "{rule:?}");
        if rule == Some(Rule::Poisson) {
            continue;
        }
        // The order of all of them, as the decisions have it; ties are ordered by what the kept ones tell.
        for budget in [0, 100, 5_000, 20_000, 10_000_000] {
            let (report, decided) = select(Target::Bytes(budget));
            let mut order: Vec<&Decided> = decided.iter().filter(|row| row.priority.is_some()).collect();
            order.sort_by(|a, b| {
                let kept = |row: &Decided| row.smallest_kept.is_none();
                a.priority.unwrap().total_cmp(&b.priority.unwrap()).then(kept(a).cmp(&kept(b)))
            });
            let number = order.iter().take_while(|row| row.smallest_kept.is_some()).count();
            assert!(
                order[number..].iter().all(|row| row.smallest_kept.is_none()),
                "{rule:?} {budget}: no prefix"
            );
            let bytes: u64 = order[..number].iter().map(|row| row.bytes).sum();
            assert!(bytes <= budget, "{rule:?}");
            let target = &report.manifest.targets[0];
            assert_eq!((target.documents, target.bytes), (number as u64, bytes));
            if let Some(next) = order.get(number).filter(|_| rule.is_none()) {
                // Under the random rule nothing ties, so the next one is known.
                assert!(bytes + next.bytes > budget, "{budget}: one more would fit");
            }
        }
    }
}

#[test]
fn counts_add_up_and_each_reason_is_counted() {
    let corpus = folder();
    let documents = awkward();
    let mut lines = corpus::lines(&documents);
    lines.insert(11, "not json".to_owned());
    lines.insert(12, String::new());
    lines.push("{\"id\": \"nothing\", \"text\": null}".to_owned());
    corpus::write(corpus.path(), "a.jsonl", &lines);
    let vetoes = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(vetoes.path(), "d3-90\nd3-91\nnobody\n").unwrap();
    let run = folder();
    let ready = Ready::new(corpus.path(), run.path());
    for exact_duplicates in [ExactDuplicates::All, ExactDuplicates::One] {
        let options = SelectOptions {
            exact_duplicates,
            vetoes: vec![vetoes.path().to_owned()],
            ..selecting("column:quality", Some(Rule::Top), rates(&["50%"]))
        };
        let watch = Watch::counting();
        let told = open(corpus.path(), run.path(), 2, &watch);
        let ready = Ready { project: told, version: ready.version.clone() };
        let (report, decided) = ready.select(Some(Rule::Top), options);
        // The document whose id occurs again is named: shard and line.
        assert!(watch.said().contains("shard `a.jsonl`, line"), "{}", watch.said());
        let counts = &report.manifest.counts;
        assert_eq!(counts.documents_in, 302);
        assert_eq!(counts.documents_in, counts.kept + counts.dropped_documents() + counts.failed_rows());
        assert_eq!(counts.dropped["vetoed"], 2);
        assert_eq!(counts.dropped["duplicate-id"], 22);
        assert_eq!(counts.kept, (counts.candidates as f64 * 0.5).round() as u64);
        let reasons = decided.iter().fold(BTreeMap::new(), |mut all: BTreeMap<&str, u64>, row| {
            *all.entry(&row.reason).or_default() += 1;
            all
        });
        for (reason, count) in &counts.dropped {
            assert_eq!(reasons[reason.as_str()], *count, "{reason}");
        }
        assert_eq!(reasons["kept"], counts.kept);
        assert_eq!(counts.dropped.contains_key("exact-duplicate"), exact_duplicates == ExactDuplicates::One);
    }
}

#[test]
fn of_each_text_exactly_one_row_stays_where_one_can() {
    let mut random = Random::new(5);
    for round in 0..12 {
        // Few ids and few texts, so that ids, texts and vetoes meet in every way.
        let texts: Vec<String> = (0..6).map(|_| corpus::text(&mut random, 5)).collect();
        let documents: Vec<Document> = (0..40)
            .map(|_| {
                let (id, text) = (random.below(25), random.below(6));
                Document::new(format!("i{id}"), texts[text].clone(), 1.0)
            })
            .collect();
        let vetoed: BTreeSet<String> = (0..4).map(|_| format!("i{}", random.below(25))).collect();
        let corpus = folder();
        for (at, lines) in corpus::lines(&documents).chunks(9).enumerate() {
            corpus::write(corpus.path(), &format!("{at}.jsonl"), lines);
        }
        let list = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(list.path(), vetoed.iter().cloned().collect::<Vec<_>>().join("\n")).unwrap();
        let run = folder();
        let ready = Ready::new(corpus.path(), run.path());
        let options = SelectOptions {
            exact_duplicates: ExactDuplicates::One,
            vetoes: vec![list.path().to_owned()],
            ..selecting("random", None, rates(&["100%"]))
        };
        let (report, decided) = ready.select(None, options);
        let found = vetoed.iter().filter(|id| documents.iter().any(|document| document.id == **id)).count();
        let record = &report.vetoes[0];
        assert_eq!((record.entries, record.matched), (vetoed.len() as u64, found as u64), "round {round}");
        let rows: Vec<(&Document, &str)> =
            documents.iter().zip(&decided).map(|(document, row)| (document, row.reason.as_str())).collect();
        for (document, row) in documents.iter().zip(&decided) {
            assert_eq!(document.id, row.id);
            assert_eq!(row.reason == "vetoed", vetoed.contains(&row.id), "round {round}");
        }
        for id in documents.iter().map(|document| &document.id).filter(|id| !vetoed.contains(*id)) {
            let others =
                rows.iter().filter(|(document, reason)| document.id == *id && *reason != "duplicate-id");
            assert_eq!(others.count(), 1, "round {round}: rows of {id} that stand for it");
        }
        for text in &texts {
            let of = |wanted: &[&str]| {
                rows.iter()
                    .filter(|(document, reason)| document.text == *text && wanted.contains(reason))
                    .count()
            };
            let possible = of(&["kept", "exact-duplicate"]);
            assert_eq!(of(&["kept"]), possible.min(1), "round {round}");
        }
    }
}

#[test]
fn kept_documents_are_the_lines_of_the_corpus() {
    let corpus = folder();
    let documents = awkward();
    let lines = corpus::lines(&documents);
    for (at, lines) in lines.chunks(70).enumerate() {
        corpus::write(corpus.path(), &format!("s/{at}.jsonl"), lines);
    }
    let run = folder();
    let out = folder();
    let ready = Ready::new(corpus.path(), run.path());
    let options = SelectOptions {
        out: Some(out.path().join("kept")),
        ..selecting("column:quality", Some(Rule::Ips), rates(&["10%", "40%"]))
    };
    let (_, decided) = ready.select(Some(Rule::Ips), options.clone());
    for (label, share) in [("rate-10", 0.1), ("rate-40", 0.4)] {
        let mut found = Vec::new();
        for at in 0..lines.len().div_ceil(70) {
            let path = out.path().join(format!("kept/{label}/s/{at}.jsonl"));
            found.extend(std::fs::read_to_string(path).unwrap().lines().map(str::to_owned));
        }
        let expected: Vec<&String> =
            lines.iter().zip(&decided).filter(|(_, row)| row.kept_at(share)).map(|(line, _)| line).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{label}");
    }
    // A folder belongs to one selection.
    let duplicate_ids = DuplicateIds::One;
    let other = SelectOptions { seed: 8, rule: Some(Rule::Ips), duplicate_ids, ..options };
    let signal = ready.project.run_directory().resolve("column-quality").unwrap();
    let error = ready.project.select(&ready.version, Some((&signal, "score")), None, &other).unwrap_err();
    assert!(error.to_string().contains("seed"), "{error}");
}

/// What a takedown changes: with a fixed number of documents exactly one comes in the place of the one that goes.
#[test]
fn one_comes_in_the_place_of_one_that_is_taken_out() {
    let [corpus, run] = [folder(), folder()];
    corpus::write(corpus.path(), "a.jsonl", &corpus::lines(&awkward()));
    let ready = Ready::new(corpus.path(), run.path());
    for rule in [None, Some(Rule::Top), Some(Rule::Bottom), Some(Rule::Ips)] {
        let select = |vetoes: Vec<std::path::PathBuf>| {
            let options = SelectOptions {
                exact_duplicates: ExactDuplicates::One,
                vetoes,
                ..selecting("column:quality", rule, vec![Target::Documents(60)])
            };
            let (_, decided) = ready.select(rule, options);
            let mut ids: Vec<String> = kept(&decided, 60.0).into_iter().map(str::to_owned).collect();
            ids.dedup();
            ids.into_iter().collect::<BTreeSet<String>>()
        };
        let before = select(Vec::new());
        assert_eq!(before.len(), 60);
        for taken in before.iter().step_by(13) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), format!("{taken}\n")).unwrap();
            let after = select(vec![file.path().to_owned()]);
            let gone: Vec<&String> = before.difference(&after).collect();
            let come: Vec<&String> = after.difference(&before).collect();
            assert_eq!((gone, come.len()), (vec![taken], 1), "{rule:?}: {come:?}");
        }
    }
}
