//! Shares that strata have of a selection.

use std::collections::BTreeMap;

use tamis::options::{
    ClustersOptions, CorpusOptions, EnsembleOptions, Filter, Member, QuotaOptions, RepeatOptions,
    SelectOptions, ShareBounds, TokensOptions,
};
use tamis::{Project, Quantile, Rate, RepeatShape, Rule, ScoreOptions, SelectReport, Silent, Target};
use tamis_io::run::CorpusVersion;

use crate::signals::{column, embed, rates, selecting};
use crate::support::corpus::{self, Document};
use crate::support::models::MODELS;
use crate::support::observers::Shared;
use crate::support::{folder, read};

struct Ready {
    project: Project,
    version: CorpusVersion,
    /// By id: source, year, quality.
    documents: BTreeMap<String, (&'static str, u32, f64)>,
    _folders: [tempfile::TempDir; 2],
}

/// Where a document comes from: half of them from the web, an eighth from books; web pages are the worse, the later they come.
fn source(at: usize) -> &'static str {
    ["web", "web", "code", "web", "books", "web", "code", "news"][at % 8]
}

fn ready() -> Ready {
    let [corpus, run] = [folder(), folder()];
    let mut of = BTreeMap::new();
    for (shard, documents) in corpus::documents(29, 480).chunks(170).enumerate() {
        let lines: Vec<String> = documents
            .iter()
            .enumerate()
            .map(|(at, Document { id, text, quality })| {
                let (source, year) = (source(at), 2020 + at as u32 % 3);
                let quality = quality.unwrap() + if source == "web" { 2.0 } else { 0.0 };
                of.insert(id.clone(), (source, year, quality));
                serde_json::json!({ "id": id, "text": text, "quality": quality, "source": source, "year": year }).to_string()
            })
            .collect();
        corpus::write(corpus.path(), &format!("s{shard}.jsonl"), &lines);
    }
    let options = CorpusOptions::new(corpus.path().to_str().unwrap());
    let project = Project::open(Some(options), run.path(), 2, Silent.shared()).unwrap();
    let version = project.inventory().unwrap();
    Ready { project, version, documents: of, _folders: [corpus, run] }
}

fn share(at_least: Option<&str>, at_most: Option<&str>) -> ShareBounds {
    let rate = |text: Option<&str>| text.map(|text| Rate::parse(text).unwrap());
    ShareBounds { at_least: rate(at_least), at_most: rate(at_most) }
}

fn by(columns: &[&str], shares: &[(&str, ShareBounds)], others: ShareBounds) -> QuotaOptions {
    let shares = shares.iter().map(|(name, bounds)| ((*name).to_owned(), *bounds)).collect();
    QuotaOptions { by: columns.iter().map(|name| (*name).to_owned()).collect(), shares, others }
}

impl Ready {
    fn select(&self, quotas: QuotaOptions, rule: Rule, targets: Vec<Target>) -> tamis::Result<SelectReport> {
        let options = SelectOptions {
            quotas: Some(quotas),
            decide_only: true,
            ..selecting("column:quality", Some(rule), targets)
        };
        self.project.run_selection(&options, ScoreOptions::default())
    }

    /// Ids that a target keeps.
    fn kept(&self, report: &SelectReport, asked: f64) -> Vec<String> {
        let decided = read::decisions(&self.project, &self.version, &report.name);
        decided.into_iter().filter(|row| row.kept_at(asked)).map(|row| row.id).collect()
    }

    fn by_source(&self, ids: &[String]) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        ids.iter().for_each(|id| *counts.entry(self.documents[id].0).or_default() += 1);
        counts
    }
}

#[test]
fn floors_and_ceilings_hold_and_the_best_of_each_stratum_are_kept() {
    let ready = ready();
    let quotas = by(
        &["source"],
        &[("web", share(None, Some("40%"))), ("books", share(Some("25%"), None))],
        share(None, Some("50%")),
    );
    for rule in [Rule::Top, Rule::Ips, Rule::Bottom] {
        let report = ready.select(quotas.clone(), rule, vec![Target::Documents(100)]).unwrap();
        let kept = ready.kept(&report, 100.0);
        assert_eq!(kept.len(), 100, "{rule}");
        let counts = ready.by_source(&kept);
        assert!(counts["web"] <= 40 && counts["books"] >= 25, "{rule}: {counts:?}");
        assert!(counts.values().all(|count| *count <= 50), "{rule}: {counts:?}");
        let shares: BTreeMap<&str, u64> = report.manifest.targets[0]
            .strata
            .iter()
            .map(|share| (share.stratum.as_str(), share.kept))
            .collect();
        assert!(counts.iter().all(|(source, count)| shares[source] == *count as u64), "{rule}: {shares:?}");
        // Every decision says its stratum, and compares with the threshold of that.
        for id in ready.documents.keys().step_by(37) {
            let why = ready.project.why(id).unwrap();
            let decision = why.decisions.iter().find(|one| one.selection == report.name).unwrap();
            assert_eq!(decision.stratum.as_deref(), Some(ready.documents[id].0));
            let (_, threshold, _) = &decision.targets[0];
            let is_before = threshold.is_none_or(|threshold| decision.priority.unwrap() < threshold);
            let ties = *threshold == decision.priority;
            assert!(ties || is_before == kept.contains(id), "{rule} {id}: {decision:?}");
        }
        if rule == Rule::Top {
            // Web pages have the better scores: without a ceiling they would be nearly all.
            assert_eq!((counts["web"], counts["books"]), (40, 25));
            for source in counts.keys() {
                let of = |inside: bool| {
                    let all = ready.documents.iter().filter(|(_, one)| one.0 == *source);
                    all.filter(|(id, _)| kept.contains(id) == inside)
                        .map(|(_, one)| one.2)
                        .collect::<Vec<_>>()
                };
                let worst = of(true).into_iter().fold(f64::INFINITY, f64::min);
                assert!(of(false).into_iter().all(|quality| quality <= worst), "{source}");
            }
        }
    }
}

#[test]
fn rates_nest_and_open_bounds_change_nothing() {
    let ready = ready();
    let quotas = by(&["source"], &[("web", share(Some("5%"), Some("30%")))], ShareBounds::default());
    let report = ready.select(quotas, Rule::Top, rates(&["5%", "20%", "60%"])).unwrap();
    let all: Vec<Vec<String>> = [0.05, 0.2, 0.6].map(|rate| ready.kept(&report, rate)).into();
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [24, 96, 288]);
    for (kept, rate) in all.iter().zip([0.05, 0.2, 0.6]) {
        let web = ready.by_source(kept).get("web").copied().unwrap_or(0) as f64;
        assert!(web <= 0.3 * kept.len() as f64 + 0.5, "{web} at {rate}");
    }
    let open =
        ready.select(by(&["source"], &[], ShareBounds::default()), Rule::Top, rates(&["20%"])).unwrap();
    let plain =
        SelectOptions { decide_only: true, ..selecting("column:quality", Some(Rule::Top), rates(&["20%"])) };
    let plain = ready.project.run_selection(&plain, ScoreOptions::default()).unwrap();
    assert_eq!(ready.kept(&open, 0.2), ready.kept(&plain, 0.2));
}

#[test]
fn two_columns_make_a_grid() {
    let ready = ready();
    let quotas =
        by(&["source", "year"], &[("web / 2021", share(Some("50%"), None))], share(None, Some("20%")));
    let report = ready.select(quotas, Rule::Top, vec![Target::Documents(80)]).unwrap();
    let kept = ready.kept(&report, 80.0);
    let of = |id: &String| ready.documents[id];
    assert_eq!(kept.iter().filter(|id| (of(id).0, of(id).1) == ("web", 2021)).count(), 40);
    assert_eq!(report.manifest.targets[0].strata.len(), 12);
}

#[test]
fn wishes_that_cannot_be_met_are_named_with_what_can() {
    let ready = ready();
    let refused = |quotas, targets| {
        let error = ready.select(quotas, Rule::Top, targets).unwrap_err();
        assert!(error.is_usage(), "{error}");
        format!("{error} | {}", error.hint().unwrap())
    };
    let budget = || vec![Target::Documents(200)];
    let none = ShareBounds::default();
    for (quotas, says) in [
        (by(&["source"], &[("books", share(Some("90%"), None))], none), "`books` has 59 documents"),
        (
            by(&["source"], &[("web", share(Some("60%"), None)), ("code", share(Some("50%"), None))], none),
            "220 documents",
        ),
        (by(&["source"], &[], share(None, Some("10%"))), "lower the budget to 80"),
        (by(&["source"], &[("boks", none)], none), "did you mean `books`?"),
        (by(&["sauce"], &[], none), "`source`"),
        (by(&["source"], &[("web", share(Some("20%"), Some("10%")))], none), "above its ceiling"),
        (by(&[], &[], none), "no column"),
    ] {
        let said = refused(quotas, budget());
        assert!(said.contains(says), "{said}, not {says}");
    }
    // Nothing was begun: the name is free still.
    let named = |quotas| SelectOptions {
        name: Some("fair".to_owned()),
        quotas: Some(quotas),
        decide_only: true,
        ..selecting("column:quality", Some(Rule::Top), budget())
    };
    let too_much = by(&["source"], &[("books", share(Some("90%"), None))], none);
    assert!(ready.project.run_selection(&named(too_much), ScoreOptions::default()).is_err());
    let possible = by(&["source"], &[("books", share(Some("20%"), None))], none);
    ready.project.run_selection(&named(possible), ScoreOptions::default()).unwrap();
}

#[test]
fn budgets_of_tokens_are_shared_by_tokens() {
    let ready = ready();
    let tokenizer = MODELS.judge.clone();
    let asked = TokensOptions { tokenizer: tokenizer.clone() }.into();
    let (signal, _) = ready.project.score(&ready.version, &asked, ScoreOptions::default()).unwrap();
    let tokens: BTreeMap<String, u64> = read::values(&ready.project, &ready.version, &signal, "tokens")
        .into_iter()
        .map(|(id, tokens)| (id, tokens.unwrap() as u64))
        .collect();
    let (budget, longest) = (4_000, *tokens.values().max().unwrap());
    let options = SelectOptions {
        quotas: Some(by(
            &["source"],
            &[("web", share(None, Some("30%"))), ("books", share(Some("25%"), None))],
            ShareBounds::default(),
        )),
        tokenizer: Some(tokenizer),
        decide_only: true,
        ..selecting("column:quality", Some(Rule::Top), vec![Target::Tokens(budget)])
    };
    let report = ready.project.run_selection(&options, ScoreOptions::default()).unwrap();
    let mut of: BTreeMap<&str, u64> = BTreeMap::new();
    for id in ready.kept(&report, budget as f64) {
        *of.entry(ready.documents[&id].0).or_default() += tokens[&id];
    }
    assert!(of["web"] <= 1_200 && of["books"] + longest > 1_000, "{of:?}");
    let sum: u64 = of.values().sum();
    assert!(sum <= budget && sum + 4 * longest > budget, "within a document a stratum: {sum}, {of:?}");
}

/// What decides a selection: each change makes another one, which a name that is taken refuses.
#[test]
fn every_deciding_option_makes_another_selection() {
    let ready = ready();
    let gate = SelectOptions {
        name: Some("gate".to_owned()),
        decide_only: true,
        ..selecting("random", None, rates(&["50%", "90%"]))
    };
    ready.project.run_selection(&gate, ScoreOptions::default()).unwrap();
    let filter = |text: &str| Filter::parse(text).unwrap();
    let usual = SelectOptions {
        name: Some("usual".to_owned()),
        on: Some("gate".to_owned()),
        filters: vec![filter("counts.words>=5"), filter("copies.rank<=0")],
        quotas: Some(by(&["source"], &[("web", share(None, Some("40%")))], share(None, Some("60%")))),
        decide_only: true,
        ..selecting("column:quality", Some(Rule::Top), rates(&["20%"]))
    };
    let report = ready.project.run_selection(&usual, ScoreOptions::default()).unwrap();
    let filters = &report.manifest.plan["filters"];
    assert!(filters.contains("counts@") && filters.contains("copies@"), "{filters}");
    type Change<'a> = &'a dyn Fn(&mut SelectOptions);
    let quotas = |options: &mut SelectOptions| options.quotas.take().unwrap();
    let changes: [(&str, Change<'_>); 10] = [
        ("on", &|asked| asked.on = None),
        ("label", &|asked| asked.on = Some("gate:rate-50".to_owned())),
        ("filters", &|asked| drop(asked.filters.pop())),
        ("least", &|asked| asked.filters[0] = filter("counts.words>=6")),
        ("most", &|asked| asked.filters[1] = filter("copies.rank<=1")),
        ("column", &|asked| asked.filters[1] = filter("copies.copies<=1")),
        ("quotas", &|asked| asked.quotas = None),
        ("by", &|asked| {
            asked.quotas =
                Some(QuotaOptions { by: vec!["year".to_owned()], shares: BTreeMap::new(), ..quotas(asked) });
        }),
        ("share", &|asked| {
            asked.quotas =
                Some(by(&["source"], &[("web", share(None, Some("41%")))], share(None, Some("60%"))));
        }),
        ("others", &|asked| {
            asked.quotas =
                Some(by(&["source"], &[("web", share(None, Some("40%")))], share(None, Some("61%"))));
        }),
    ];
    for (what, change) in changes {
        let mut asked = usual.clone();
        change(&mut asked);
        let error = ready.project.run_selection(&asked, ScoreOptions::default()).unwrap_err();
        assert!(error.to_string().contains("usual"), "{what}: {error}");
    }
    // What repeats are: they go with no quotas. Of two selections on other documents the name alone says too little.
    let plain = selecting("column:quality", Some(Rule::Top), rates(&["20%"]));
    let error = ready.project.run_selection(&plain, ScoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("gate:rate-50"), "{error}");
    assert!(error.hint().unwrap().contains("--on"), "{:?}", error.hint());
    ready.project.score(&ready.version, &column("quality"), ScoreOptions::default()).unwrap();
    let repeat = |repeat| SelectOptions {
        name: Some("repeated".to_owned()),
        repeat: Some(repeat),
        tokenizer: Some(MODELS.judge.clone()),
        decide_only: true,
        ..selecting("column:quality", Some(Rule::Top), vec![Target::Tokens(9_000)])
    };
    let usual = RepeatOptions::default();
    ready.project.run_selection(&repeat(usual.clone()), ScoreOptions::default()).unwrap();
    for changed in [
        RepeatOptions { cap: 6.5, ..usual.clone() },
        RepeatOptions { from: Quantile::parse("45%").unwrap(), ..usual.clone() },
        RepeatOptions { shape: RepeatShape::Curve, ..usual.clone() },
    ] {
        let error =
            ready.project.run_selection(&repeat(changed.clone()), ScoreOptions::default()).unwrap_err();
        assert!(error.to_string().contains("repeated"), "{changed:?}: {error}");
    }
}

/// Strata by a signal are those of this very signal.
#[test]
fn the_signal_that_makes_strata_is_in_what_is_made_of_them() {
    let ready = ready();
    let clusters =
        ClustersOptions { embed: embed(), clusters: Some(3), iterations: 2, ..ClustersOptions::default() };
    ready.project.score(&ready.version, &clusters.into(), ScoreOptions::default()).unwrap();
    let quotas = by(&["clusters.cluster"], &[], share(None, Some("80%")));
    let report = ready.select(quotas, Rule::Top, rates(&["20%"])).unwrap();
    let full = ready.project.run_directory().resolve("clusters").unwrap().full_name().to_owned();
    assert!(report.manifest.plan["strata.by"].starts_with(&full), "{:?}", report.manifest.plan);
    assert_eq!(report.manifest.targets[0].strata.len(), 3);
    let ensemble = EnsembleOptions {
        members: ["counts.words", "column:quality"].map(|text| Member::parse(text).unwrap()).into(),
        within: Some("clusters.cluster".to_owned()),
        ..EnsembleOptions::default()
    };
    let (signal, _) = ready.project.score(&ready.version, &ensemble.into(), ScoreOptions::default()).unwrap();
    assert!(signal.record().fingerprint["within.by"].starts_with(&full), "{:?}", signal.record().fingerprint);
}
