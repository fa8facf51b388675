//! What is checked before a document is read: nothing is seen, nothing is left, and what was built is used.

use tamis::options::{AskOptions, BandOptions, CountsOptions, DensityOptions, SelectOptions, SignalOptions};
use tamis::{By, Project, Rule, ScoreOptions, Silent};

use crate::signals::{ask, column, density, open, rates, selecting};
use crate::support::corpus;
use crate::support::folder;
use crate::support::observers::Watch;
use crate::support::read;
use crate::support::snapshot::{assert_same, snapshot};

fn check(project: &Project, options: &SelectOptions, asked: &SignalOptions) -> tamis::Result<()> {
    project.check_select(options, &By::Exactly(asked), ScoreOptions::default())
}

#[test]
fn a_check_that_refuses_sees_no_document_and_leaves_nothing() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    let file = corpus.path().join("nothing.jsonl");
    let judge = SignalOptions::AskLlm(ask());
    let quality = column("quality");
    let missing = SignalOptions::AskLlm(AskOptions { prompts: vec!["nowhere.txt".to_owned()], ..ask() });
    let select = |by: &str, rule, change: &dyn Fn(&mut SelectOptions)| {
        let mut options = selecting(by, rule, rates(&["10%"]));
        change(&mut options);
        options
    };
    let nothing = |_: &mut SelectOptions| {};
    let rows = [
        (&judge, select("ask-llm", Some(Rule::Ips), &nothing), "is a logarithm"),
        (&judge, select("ask-llm.p_yess", None, &nothing), "no column `p_yess`"),
        (&missing, select("ask-llm", None, &nothing), "nowhere.txt"),
        (
            &quality,
            select("column:quality", Some(Rule::Top), &|o| o.band.stratum = Some("x".to_owned())),
            "rule `band`",
        ),
        (
            &quality,
            select("column:quality", Some(Rule::Band), &|o| {
                o.band = BandOptions { stratum: Some("langg".to_owned()), ..BandOptions::default() };
            }),
            "no document has a column `langg`",
        ),
        (&quality, select("column:quality", None, &|o| o.name = Some("a/b".to_owned())), "a/b"),
        (&quality, select("column:quality", None, &|o| o.tokenizer = Some("nowhere".to_owned())), "nowhere"),
        (&quality, select("column:quality", None, &|o| o.out = Some(file.join("below"))), "nothing.jsonl"),
    ];
    for (asked, options, words) in rows {
        let run = folder();
        let watch = Watch::counting();
        let project = open(corpus.path(), run.path(), 2, &watch);
        let before = snapshot(run.path());
        let error = check(&project, &options, asked).unwrap_err();
        assert!(error.to_string().contains(words), "`{error}` does not say `{words}`");
        assert!(watch.stages().is_empty(), "{words}: {:?}", watch.stages());
        assert_same(&snapshot(run.path()), &before, words);
    }
    let asked = SignalOptions::Density(DensityOptions { hashes: Some(0), ..density() });
    let run = folder();
    let watch = Watch::counting();
    let project = open(corpus.path(), run.path(), 2, &watch);
    let error = project.check_score(&asked, ScoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("`hashes` is 0") && error.is_usage(), "{error}");
    assert!(watch.stages().is_empty());
}

#[test]
fn what_was_checked_is_computed_as_without_a_check() {
    let corpus = folder();
    corpus::mixed(corpus.path());
    for (asked, name) in [
        (SignalOptions::AskLlm(ask()), "ask-llm"),
        (SignalOptions::Density(density()), "density"),
        (column("quality"), "column:quality"),
    ] {
        let options = selecting(name, None, rates(&["20%"]));
        let select = |project: &Project| {
            let version = project.inventory().unwrap();
            let (signal, _) = project.signal_for(&version, &asked, true, ScoreOptions::default()).unwrap();
            let report = project.select(&version, Some((&signal, "score")), None, &options).unwrap();
            read::decisions(project, &version, &report.name)
        };
        let (checked, plain) = (folder(), folder());
        let project = open(corpus.path(), checked.path(), 2, &Silent);
        check(&project, &options, &asked).unwrap();
        let decided = select(&project);
        assert_eq!(decided, select(&open(corpus.path(), plain.path(), 2, &Silent)), "{name}");
        assert_same(&snapshot(checked.path()), &snapshot(plain.path()), name);
        // And again, when all of it is there.
        check(&project, &options, &asked).unwrap();
    }
}

#[test]
fn options_that_would_be_passed_over_are_refused_or_meant() {
    let [corpus, run] = [folder(), folder()];
    corpus::mixed(corpus.path());
    let project = open(corpus.path(), run.path(), 2, &Silent);
    // Those of another signal than the one that is selected by.
    let mut options = selecting("column:quality", None, rates(&["10%"]));
    options.signal = Some(SignalOptions::Counts(CountsOptions {}));
    let error = project.run_selection(&options, ScoreOptions::default()).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("are of `counts`"), "{error}");
    // A centre without a rule is that of a band.
    options.signal = Some(column("quality"));
    options.band = BandOptions { around: "20%".to_owned().try_into().unwrap(), stratum: None };
    let band = project.run_selection(&options, ScoreOptions::default()).unwrap();
    assert_eq!(band.manifest.rule, "band");
    options.rule = Some(Rule::Band);
    assert_eq!(project.run_selection(&options, ScoreOptions::default()).unwrap().name, band.name);
    options.rule = Some(Rule::Top);
    assert!(project.run_selection(&options, ScoreOptions::default()).unwrap_err().is_usage());
}
