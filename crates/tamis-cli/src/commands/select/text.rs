//! What a selection did, for people.

use tamis::{SelectReport, TargetRecord, VetoRecord};

use crate::output::table;
use crate::printable::one_line;
use crate::progress::{count, duration};

pub(super) fn text_of(report: &SelectReport) -> String {
    let manifest = &report.manifest;
    let counts = &manifest.counts;
    let column = manifest.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
    let rows: Vec<Vec<String>> = manifest
        .targets
        .iter()
        .map(|target| {
            let share = 100.0 * target.documents as f64 / counts.candidates.max(1) as f64;
            vec![
                target.label.clone(),
                count(target.documents),
                format!("{share:.2} %"),
                target.tokens.map_or_else(|| "–".to_owned(), count),
                count(target.bytes),
                target
                    .threshold
                    .or(target.poisson_scale)
                    .map_or_else(|| "–".to_owned(), |t| format!("{t:.6}")),
            ]
        })
        .collect();
    let reasons = |reasons: &std::collections::BTreeMap<String, u64>| {
        let parts: Vec<String> =
            reasons.iter().map(|(reason, n)| format!("{} {reason}", count(*n))).collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    };
    let mut lines = vec![
        format!(
            "{}{}{}, rule {}, seed {}: selection `{}`",
            one_line(&manifest.by),
            one_line(&column),
            limits(&manifest.plan),
            manifest.rule,
            manifest.seed,
            one_line(&report.name)
        ),
        String::new(),
        table(&["keep", "documents", "of candidates", "tokens", "bytes", "threshold"], &rows),
        String::new(),
        format!(
            "{} in = {} kept + {} dropped{} + {} failed{}",
            count(counts.documents_in),
            count(counts.kept),
            count(counts.dropped_documents()),
            reasons(&counts.dropped),
            count(counts.failed_rows()),
            reasons(&counts.failed),
        ),
    ];
    lines.extend(report.vetoes.iter().map(VetoRecord::in_words));
    if counts.failed.contains_key("score-unusable") {
        lines.push(format!(
            "score-unusable: rule {} needs scores above 0; rule top takes any number",
            manifest.rule
        ));
    }
    for target in manifest.targets.iter().filter(|target| target.documents == 0 && counts.candidates > 0) {
        lines.push(format!(
            "{}: nothing of {} candidates is kept; ask for more",
            target.label,
            count(counts.candidates)
        ));
    }
    for target in manifest.targets.iter().filter(|target| target.over > 0) {
        lines.push(format!(
            "{}: {} more than asked, because equal texts share their fate",
            target.label, target.over
        ));
    }
    for target in &manifest.targets {
        if let (Some(expected), Some(deviation)) = (target.expected_documents, target.standard_deviation) {
            lines.push(format!(
                "{}: independent draws, {expected:.1} ± {deviation:.1} documents expected",
                target.label
            ));
        }
    }
    for target in &manifest.targets {
        if let Some(copies) = target.copies {
            lines.push(format!(
                "{}: {} copies of {} documents; tokens and bytes are of all copies; `tamis export` writes them",
                target.label,
                count(copies),
                count(target.documents)
            ));
        }
        if !target.strata.is_empty() {
            lines.push(strata(target));
        }
    }
    match &report.out {
        Some(out) => {
            lines.push(format!("kept documents: {}   in {}", one_line(out), duration(report.seconds)));
        }
        None => lines.push(format!("decisions only, no documents written   in {}", duration(report.seconds))),
    }
    lines.join("\n")
}

/// The limits of scores, where there are any.
fn limits(plan: &std::collections::BTreeMap<String, String>) -> String {
    let words = [("at-least", " from "), ("at-most", " up to ")];
    let limit = |(field, word): (&str, &str)| plan.get(field).map(|limit| format!("{word}{limit}"));
    words.into_iter().filter_map(limit).collect()
}

/// What held the strata of a target, the largest first.
fn strata(target: &TargetRecord) -> String {
    const SHOWN: usize = 12;
    let total = target.strata.iter().map(|share| share.kept).sum::<u64>().max(1) as f64;
    let mut shares: Vec<_> = target.strata.iter().collect();
    shares.sort_by(|a, b| b.kept.cmp(&a.kept).then(a.stratum.cmp(&b.stratum)));
    let mut parts: Vec<String> = shares
        .iter()
        .take(SHOWN)
        .map(|share| {
            let held = if share.held_by == "shared threshold" {
                String::new()
            } else {
                format!(" at its {}", share.held_by)
            };
            format!("{} {:.1} %{held}", one_line(&share.stratum), 100.0 * share.kept as f64 / total)
        })
        .collect();
    if shares.len() > SHOWN {
        parts.push(format!("{} more in the manifest", shares.len() - SHOWN));
    }
    format!("{}: {}", target.label, parts.join(", "))
}
