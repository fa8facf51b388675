//! Results of checks, kept for the time of scoring: a judge that was found blind or idle warns of itself.
//!
//! They lie in the model cache, since they say something of a model whatever the run. What is known of the packaged judge
//! ships inside. A result is found by what decides a judge's answers, apart from the number format.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tamis_core::{Digest, Fingerprint};
use tamis_io::store::Store;
use tamis_models::source::default_cache;

use super::labelled::LabelledSet;
use super::report::{CheckedJudge, Verdict};
use crate::{Observer, Result};

/// Checks of the packaged judge on the reporting half: an array of [`StoredCheck`], written by
/// `tamis models check smollm2 --json` as `docs/judge.md` says.
const SHIPPED: &str = include_str!("../../labelled/checks.json");

/// Fields of a fingerprint that decide what a judge answers. One that a judge lacks does not count.
const IDENTITY: [&str; 8] = [
    "method",
    "version",
    "model",
    Fingerprint::ARCHITECTURE,
    "prompt.digest",
    "rendering",
    "labels.yes",
    "labels.no",
];

/// A stored result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredCheck {
    /// Where the documents were from.
    labelled: String,
    /// Their digest.
    labelled_digest: String,
    judge: CheckedJudge,
}

/// What identifies model and question among the fields of a signal's fingerprint.
pub(super) fn identity(fields: &BTreeMap<String, String>) -> String {
    let parts: Vec<String> =
        IDENTITY.iter().filter_map(|name| Some(format!("{name}={}", fields.get(*name)?))).collect();
    Digest::of(parts.join("\n").as_bytes()).to_string()
}

fn path(identity: &str) -> String {
    format!("checks/{identity}.json")
}

/// Keeps a result; one that cannot be kept is told and lost.
pub(super) fn store(set: &LabelledSet, judge: &CheckedJudge, observer: &dyn Observer) {
    if judge.identity.is_empty() {
        return;
    }
    if let Err(error) = try_store(set, judge, &Store::local(default_cache())) {
        observer.warn(&format!("the result of the check could not be kept: {error}"));
    }
}

fn try_store(set: &LabelledSet, judge: &CheckedJudge, store: &Store) -> Result<()> {
    let check = StoredCheck {
        labelled: set.name.clone(),
        labelled_digest: set.digest.to_string(),
        judge: judge.clone(),
    };
    let text = serde_json::to_string_pretty(&check)
        .map_err(|error| crate::Error::state(format!("check: {error}"), "this is a bug of tamis"))?;
    let path = path(&judge.identity);
    if store.exists(&path)? {
        store.remove(&path)?;
    }
    store.create_new(&path, text.as_bytes())?;
    Ok(())
}

fn find(identity: &str, store: &Store) -> Option<StoredCheck> {
    let kept = store.read(&path(identity)).ok();
    let kept = kept.and_then(|bytes| serde_json::from_slice::<StoredCheck>(&bytes).ok());
    kept.or_else(|| {
        let shipped: Vec<StoredCheck> = serde_json::from_str(SHIPPED).ok()?;
        shipped.into_iter().find(|check| check.judge.identity == identity)
    })
}

/// Sentences for a person who has just scored with this judge, by the fingerprint of the signal.
pub(crate) fn findings(fingerprint: &BTreeMap<String, String>, model: Option<&String>) -> Vec<String> {
    findings_in(fingerprint, model, &Store::local(default_cache()))
}

fn findings_in(fingerprint: &BTreeMap<String, String>, model: Option<&String>, store: &Store) -> Vec<String> {
    let model = model.map_or("MODEL", String::as_str);
    let Some(StoredCheck { labelled, judge, .. }) = find(&identity(fingerprint), store) else {
        let prompt = fingerprint.get("prompt").map_or("auto", String::as_str);
        return vec![format!(
            "nobody has checked this judge with this prompt: `tamis models check {model} --prompt {prompt}` says what its \
             scores are worth, by kind of bad document"
        )];
    };
    let mut found = Vec::new();
    let larger = "use a larger judge (`--model`), and look with `tamis show --top 20`";
    let auc = judge.auc;
    if auc.low <= 0.5 {
        found.push(format!(
            "this judge cannot tell good from bad: AUC {:.2} [{:.2}, {:.2}] on {labelled}; {larger}",
            auc.value, auc.low, auc.high
        ));
    } else if judge.verdict == Verdict::AddsNothing {
        found.push(format!(
            "this judge adds nothing to a trivial count on {labelled} (AUC {:.2}, `counts.{}` {:.2}): select by the count, \
             which costs nothing, or {larger}",
            auc.value, judge.baseline, judge.baseline_auc.value
        ));
    }
    let unseen: Vec<String> =
        judge.unseen_kinds().iter().map(|kind| format!("{} {:.2}", kind.kind, kind.auc.value)).collect();
    if auc.low > 0.5 && !unseen.is_empty() {
        found.push(format!(
            "this judge is blind to some kinds of bad document, or prefers them (AUC on {labelled}): {}; {larger}",
            unseen.join(", ")
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::report::KindOfBad;
    use crate::evaluation::Estimate;

    fn estimate(value: f64) -> Estimate {
        Estimate { value, low: value - 0.05, high: value + 0.05 }
    }

    fn judge(identity: &str, auc: f64, spam: f64, verdict: Verdict) -> CheckedJudge {
        CheckedJudge {
            prompt: "p".to_owned(),
            rendering: "raw".to_owned(),
            identity: identity.to_owned(),
            documents: 90,
            failed: 0,
            auc: estimate(auc),
            kinds: vec![KindOfBad { kind: "spam".to_owned(), documents: 30, auc: estimate(spam) }],
            mass: Some(0.9),
            baseline: "stop_word_share".to_owned(),
            baseline_auc: estimate(0.8),
            with_baseline: estimate(0.8),
            gain: estimate(0.0),
            verdict,
            tokens: 1,
            seconds: 1.0,
        }
    }

    #[test]
    fn what_was_found_is_told_at_scoring_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path());
        let fields = BTreeMap::from([
            ("model".to_owned(), "m".to_owned()),
            ("prompt".to_owned(), "few-shot".to_owned()),
        ]);
        let set = LabelledSet { name: "my set".to_owned(), digest: Digest::of(b""), documents: Vec::new() };
        let model = "hf:a/b".to_owned();
        let told = || findings_in(&fields, Some(&model), &store).join(" / ");
        assert!(told().contains("`tamis models check hf:a/b --prompt few-shot`"), "{}", told());
        let cases = [
            (0.52, 0.7, Verdict::AddsNothing, "cannot tell good from bad: AUC 0.52"),
            (0.8, 0.7, Verdict::AddsNothing, "adds nothing to a trivial count on my set"),
            (
                0.8,
                0.3,
                Verdict::Adds,
                "blind to some kinds of bad document, or prefers them (AUC on my set): spam 0.30",
            ),
            (0.8, 0.7, Verdict::Adds, ""),
        ];
        for (auc, spam, verdict, expected) in cases {
            try_store(&set, &judge(&identity(&fields), auc, spam, verdict), &store).unwrap();
            assert!(told().contains(expected) && told().is_empty() == expected.is_empty(), "{}", told());
        }
    }

    #[test]
    fn a_check_of_one_architecture_says_nothing_of_another() {
        let of = |architecture: Option<&str>| {
            let fields = [("method", Some("ask-llm")), ("model", Some("m")), ("architecture", architecture)];
            let fields =
                fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
            identity(&fields.collect())
        };
        assert_eq!(of(None), Digest::of(b"method=ask-llm\nmodel=m").to_string(), "as it was stored before");
        assert_ne!(of(Some("a")), of(Some("b")));
        assert_ne!(of(Some("a")), of(None));
    }

    #[test]
    fn checks_that_ship_inside_can_be_read() {
        let shipped: Vec<StoredCheck> = serde_json::from_str(SHIPPED).unwrap();
        let set = LabelledSet::shipped(crate::Half::Reporting).unwrap();
        for check in shipped {
            assert_eq!(
                check.labelled_digest,
                set.digest.to_string(),
                "{}: the set has changed",
                check.judge.prompt
            );
            assert_eq!(check.judge.documents + check.judge.failed, set.documents.len());
        }
    }
}
