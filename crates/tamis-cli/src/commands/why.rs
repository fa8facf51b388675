//! `tamis why`

use serde_json::json;
use tamis::{Decision, SignalValues, UnreadableRow, WhyReport};

use super::{Context, Outcome, Writes};
use crate::args::Why;
use crate::output::snippet;
use crate::printable::one_line;
use crate::progress::count;

const SNIPPET_CHARACTERS: usize = 400;
const VALUE_CHARACTERS: usize = 100;

pub(crate) fn run(context: &Context<'_>, args: &Why) -> anyhow::Result<Outcome> {
    let project = context.open(None, &args.run, Writes::Nothing)?;
    let report = match project.why(&args.id) {
        Ok(report) => report,
        Err(error) => {
            let rows = project.unreadable_rows_named(&args.id)?;
            if rows.is_empty() {
                return Err(error.into());
            }
            context.print(
                || json!({ "unreadable": rows }),
                || rows.iter().map(text_of_row).collect::<Vec<_>>().join("\n\n"),
            );
            return Ok(Outcome::Done);
        }
    };
    context.print_report(&report, || text_of(&report))?;
    Ok(Outcome::Done)
}

/// A row that never became a document.
fn text_of_row(row: &UnreadableRow) -> String {
    let raw = row.raw.as_deref().map(|raw| format!("\n    {}", snippet(raw, SNIPPET_CHARACTERS)));
    format!(
        "{}:{}   could not be read and is in no selection: {}: {}{}",
        one_line(&row.shard),
        row.row + 1,
        row.reason,
        one_line(&row.detail),
        raw.unwrap_or_default()
    )
}

fn text_of(report: &WhyReport) -> String {
    let identity = &report.identity;
    let mut lines = vec![format!(
        "{}   key {}   {}:{}   {} bytes",
        one_line(identity.id.as_deref().unwrap_or("(no id)")),
        identity.key,
        one_line(&identity.shard),
        identity.row + 1,
        count(identity.bytes)
    )];
    if report.matches > 1 {
        lines.push(format!(
            "{} documents answer to this name; this is the first, the others are:",
            report.matches
        ));
        lines.extend(report.others.iter().map(|other| {
            let id = other.id.as_deref().unwrap_or("(no id)");
            format!("    {id}   key {}   {}:{}", other.key, other.shard, other.row + 1)
        }));
        if report.matches > report.others.len() + 1 {
            lines.push(format!("    and {} more", report.matches - report.others.len() - 1));
        }
    }
    if let Some(text) = &report.text {
        lines.push(format!("    {}", snippet(text, SNIPPET_CHARACTERS)));
    }
    for (name, value) in &report.carried {
        let value = value.as_deref().map_or_else(|| "–".to_owned(), |value| snippet(value, VALUE_CHARACTERS));
        lines.push(format!("    {}: {value}", snippet(name, VALUE_CHARACTERS)));
    }
    for reading in &report.readings {
        lines.push(String::new());
        lines.extend(reading_lines(reading).iter().map(|line| one_line(line).into_owned()));
    }
    if report.readings.is_empty() {
        lines.push("\nno signal was computed for it".to_owned());
    }
    for decision in &report.decisions {
        lines.push(String::new());
        lines.extend(decision_lines(decision).iter().map(|line| one_line(line).into_owned()));
    }
    if report.decisions.is_empty() {
        lines.push("\nno selection was made in this run".to_owned());
    }
    lines.join("\n")
}

/// The reason of documents that a signal or a selection was not for.
const NOT_ASKED: &str = "not-asked";

fn reading_lines(reading: &SignalValues) -> Vec<String> {
    let standing = match (&reading.failed, reading.percentile) {
        (Some(reason), _) if reason == NOT_ASKED => "it was not asked of this document".to_owned(),
        (Some(reason), _) => format!("failed: {reason}"),
        (None, Some((percentile, of))) => {
            format!("percentile {percentile:.1} in keep order, of {} documents", count(of as u64))
        }
        (None, None) => "not ranked: it is no score, or not every shard is scored yet".to_owned(),
    };
    let mut lines = vec![format!("{}   {standing}", reading.signal)];
    let values: Vec<String> = reading
        .values
        .iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name} {}", number(value))))
        .collect();
    let named = reading.documents.iter().map(|(name, key)| format!("{name} {key}"));
    let values: Vec<String> = values.into_iter().chain(named).collect();
    if !values.is_empty() {
        lines.push(format!("    {}", values.join("   ")));
    }
    lines
}

fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 { format!("{value}") } else { format!("{value:.6}") }
}

fn decision_lines(decision: &Decision) -> Vec<String> {
    let manifest = &decision.manifest;
    let column = manifest.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
    let verdict = match (decision.reason.as_str(), decision.smallest_kept) {
        ("kept", Some(smallest)) => {
            let smallest = manifest
                .targets
                .iter()
                .find(|target| (target.asked - smallest).abs() < 1e-12)
                .map_or_else(|| smallest.to_string(), |target| target.label.clone());
            if manifest.targets.len() > 1 { format!("kept, from {smallest} on") } else { "kept".to_owned() }
        }
        ("beyond-threshold", _) => "not kept: other documents come first".to_owned(),
        ("vetoed", _) => "not kept: vetoed".to_owned(),
        ("duplicate-id", _) => "not kept: another document with the same id stays".to_owned(),
        ("exact-duplicate", _) => "not kept: another document with the same text stays".to_owned(),
        ("outside-limits", _) => {
            let limit =
                |name: &str, word: &str| manifest.plan.get(name).map(|limit| format!("{word} {limit}"));
            let limits = [limit("at-least", "at least"), limit("at-most", "at most")];
            let limits = limits.into_iter().flatten().collect::<Vec<_>>().join(" and ");
            format!("not kept: its score is not {limits}")
        }
        (NOT_ASKED, _) => match manifest.plan.get("on").and_then(|on| on.split(' ').next()) {
            Some(on) => {
                format!("not kept: selection `{on}` does not keep it, or its score was not asked of it")
            }
            None => "not kept: its score was not asked of it".to_owned(),
        },
        // What a filter speaks against.
        (reason, _) if manifest.counts.dropped.contains_key(reason) => format!("not kept: {reason}"),
        (reason, _) => format!("not kept: no usable score ({reason})"),
    };
    let mut lines = vec![
        format!("selection `{}`   {verdict}", decision.selection),
        format!("    by {}{column}, rule {}, seed {}", manifest.by, manifest.rule, manifest.seed),
    ];
    if let Some(repeats) = decision.repeats.filter(|repeats| *repeats > 0) {
        lines.push(format!("    kept {repeats} times"));
    }
    if let Some(stratum) = &decision.stratum {
        let held = manifest.targets.iter().filter_map(|target| {
            let share = target.strata.iter().find(|share| share.stratum == *stratum)?;
            Some(format!("{} by the {}", target.label, share.held_by))
        });
        let held = held.collect::<Vec<_>>().join(", ");
        lines.push(format!("    stratum `{stratum}`, held at {held}"));
    }
    if let Some(priority) = decision.priority {
        for (label, threshold, probability) in &decision.targets {
            let threshold = match threshold {
                Some(threshold) if priority < *threshold => format!("is below the threshold {threshold:.6}"),
                Some(threshold) if priority > *threshold => {
                    format!("is not below the threshold {threshold:.6}")
                }
                Some(threshold) => format!("ties with the threshold {threshold:.6}: a keyed draw decides"),
                None => "has no threshold to pass: all candidates are kept".to_owned(),
            };
            let chance = probability
                .map(|p| format!("; over seeds it is kept with probability {p:.4}"))
                .unwrap_or_default();
            lines.push(format!(
                "    {label}: priority {priority:.6} (smaller is kept first) {threshold}{chance}"
            ));
        }
    }
    lines
}
