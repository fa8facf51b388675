//! Budgets of tokens that are filled with repeats of the best.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use tamis::options::{RepeatOptions, SelectOptions, TokensOptions};
use tamis::{Project, Quantile, RepeatShape, Rule, ScoreOptions, SelectReport, Silent, Target};
use tamis_io::run::CorpusVersion;
use tamis_io::sidecar::SidecarColumns;

use crate::signals::{open, selecting};
use crate::support::models::MODELS;
use crate::support::{corpus, folder, read};

struct Ready {
    project: Project,
    version: CorpusVersion,
    /// By id: quality and tokens.
    documents: BTreeMap<String, (f64, u64)>,
    _folders: [tempfile::TempDir; 2],
}

fn ready(shards: usize) -> Ready {
    let [corpus, run] = [folder(), folder()];
    let documents = corpus::documents(17, 400);
    for (at, part) in documents.chunks(documents.len().div_ceil(shards)).enumerate() {
        corpus::write(corpus.path(), &format!("s{at}.jsonl"), &corpus::lines(part));
    }
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    let asked = TokensOptions { tokenizer: MODELS.judge.clone() }.into();
    let (signal, _) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
    let tokens: BTreeMap<String, f64> = read::values(&project, &version, &signal, "tokens")
        .into_iter()
        .map(|(id, tokens)| (id, tokens.unwrap()))
        .collect();
    let documents = documents
        .iter()
        .map(|one| (one.id.clone(), (one.quality.unwrap(), tokens[&one.id] as u64)))
        .collect();
    Ready { project, version, documents, _folders: [corpus, run] }
}

impl Ready {
    fn available(&self) -> u64 {
        self.documents.values().map(|(_, tokens)| tokens).sum()
    }

    fn select(
        &self,
        budget: u64,
        repeat: RepeatOptions,
        rule: Rule,
        seed: u64,
    ) -> tamis::Result<SelectReport> {
        let options = SelectOptions {
            repeat: Some(repeat),
            tokenizer: Some(MODELS.judge.clone()),
            decide_only: true,
            seed,
            ..selecting("column:quality", Some(rule), vec![Target::Tokens(budget)])
        };
        self.project.run_selection(&options, ScoreOptions::default())
    }

    /// Copies by id.
    fn repeats(&self, report: &SelectReport) -> BTreeMap<String, u32> {
        let run = self.project.run_directory();
        let selection = run.selection(&report.name).unwrap();
        let mut all = BTreeMap::new();
        for shard in &self.version.shards {
            let ids = run.read_inventory(&shard.path, SidecarColumns::Named(&["id"])).unwrap();
            let ids: Vec<String> = ids
                .flat_map(|batch| {
                    let batch = batch.unwrap();
                    let ids = batch.column(0).as_string::<i32>();
                    ids.iter().map(|id| id.unwrap().to_owned()).collect::<Vec<_>>()
                })
                .collect();
            let decided = selection.read_decisions(&shard.path, SidecarColumns::Named(&["repeats"])).unwrap();
            let copies: Vec<u32> = decided
                .flat_map(|batch| batch.unwrap().column(0).as_primitive::<UInt32Type>().values().to_vec())
                .collect();
            all.extend(ids.into_iter().zip(copies));
        }
        all
    }
}

#[test]
fn the_sum_of_tokens_is_within_one_document_of_the_budget() {
    let ready = ready(3);
    let longest = ready.documents.values().map(|(_, tokens)| *tokens).max().unwrap();
    for (share, from, cap) in
        [(0.3, "40%", 7.0), (1.6, "40%", 7.0), (4.1, "40%", 7.0), (2.0, "0%", 4.0), (0.9, "75%", 5.0)]
    {
        for shape in [RepeatShape::Vigintiles, RepeatShape::Curve] {
            for rule in [Rule::Top, Rule::Bottom] {
                let budget = (share * ready.available() as f64) as u64;
                let repeat =
                    RepeatOptions { from: Quantile::parse(from).unwrap(), cap, shape: shape.clone() };
                let report = ready.select(budget, repeat, rule, 5).unwrap();
                let what = format!("{share} {from} {cap} {shape:?} {rule}");
                let repeats = ready.repeats(&report);
                let sum: u64 = repeats.iter().map(|(id, n)| u64::from(*n) * ready.documents[id].1).sum();
                let target = &report.manifest.targets[0];
                assert_eq!(target.tokens, Some(sum), "{what}");
                assert_eq!(target.copies, Some(repeats.values().map(|n| u64::from(*n)).sum()), "{what}");
                assert_eq!(target.documents, repeats.values().filter(|n| **n > 0).count() as u64, "{what}");
                assert!(sum <= budget && budget - sum <= longest, "{what}: {sum} of {budget}");
                assert!(repeats.values().all(|n| f64::from(*n) <= cap.ceil()), "{what}");
                // Better documents are repeated more often, but for the draw of one.
                let mut by_quality: Vec<(f64, u32)> =
                    repeats.iter().map(|(id, n)| (ready.documents[id].0, *n)).collect();
                by_quality.sort_by(|a, b| a.0.total_cmp(&b.0));
                if rule == Rule::Bottom {
                    by_quality.reverse();
                }
                let mut most = 0;
                for (_, n) in by_quality {
                    assert!(n + 1 >= most, "{what}");
                    most = most.max(n);
                }
            }
        }
    }
}

#[test]
fn shards_decide_nothing_and_seeds_do() {
    let repeat = RepeatOptions::default;
    let (one, many) = (ready(1), ready(7));
    let budget = one.available() * 5 / 4;
    let of = |ready: &Ready, seed| {
        let report = ready.select(budget, repeat(), Rule::Top, seed).unwrap();
        ready.repeats(&report)
    };
    assert_eq!(of(&one, 1), of(&many, 1));
    assert_ne!(of(&one, 1), of(&one, 2));
}

#[test]
fn what_cannot_be_had_says_the_most() {
    let ready = ready(1);
    let budget = ready.available() * 5;
    let error = ready.select(budget, RepeatOptions::default(), Rule::Top, 0).unwrap_err();
    let most = (0.6 * 7.0 * ready.available() as f64) as u64;
    assert!(error.is_usage() && error.to_string().contains(&most.to_string()), "{error}, {most}");
    let error = ready.select(10, RepeatOptions::default(), Rule::Ips, 0).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("quality"), "{error}");
    let usual =
        SelectOptions { repeat: Some(RepeatOptions::default()), ..selecting("column:quality", None, vec![]) };
    for wrong in [
        SelectOptions { targets: vec![Target::Documents(10)], decide_only: true, ..usual.clone() },
        SelectOptions { targets: vec![Target::Tokens(10)], ..usual },
    ] {
        let error = ready.project.run_selection(&wrong, ScoreOptions::default()).unwrap_err();
        assert!(error.is_usage() && error.hint().is_some(), "{error}");
    }
}
