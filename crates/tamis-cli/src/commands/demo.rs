//! `tamis demo`

use std::sync::Arc;

use serde_json::json;
use tamis::demo::{DemoReport, JUDGED_TOKENS, demo};

use super::{Context, Outcome};
use crate::args::Demo;
use crate::output::table;
use crate::printable::one_line;
use crate::progress::{Terminal, count, duration, rate};

pub(crate) fn run(context: &Context<'_>, args: &Demo) -> anyhow::Result<Outcome> {
    let threads = context.global.threads.unwrap_or(0);
    let first = |report: &DemoReport| {
        if !context.global.json {
            crate::output::print_line(&first_text(report));
        }
    };
    let report = demo(&args.out, threads, Arc::<Terminal>::clone(context.terminal), first)?;
    context.print(|| json_of(&report), || text_of(&report));
    Ok(Outcome::Done)
}

fn json_of(report: &DemoReport) -> serde_json::Value {
    let estimate =
        |auc: &tamis::evaluation::Estimate| json!({ "auc": auc.value, "low": auc.low, "high": auc.high });
    let rows: Vec<_> = report
        .rows
        .iter()
        .map(|row| {
            json!({
                "sampler": row.sampler,
                "kept": row.documents,
                "tokens": row.tokens,
                "bad_share": row.bad,
                "duplicate_share": row.duplicates,
                "auc": row.auc.as_ref().map(estimate),
                "seconds": row.seconds,
                "scored_tokens": row.scored_tokens,
            })
        })
        .collect();
    json!({
        "documents_in": report.documents,
        "bad_share": report.bad,
        "duplicate_share": report.duplicates,
        "samplers": rows,
        "baseline": { "count": report.baseline.0, "auc": estimate(&report.baseline.1) },
        "findings": report.findings,
        "corpus": report.corpus,
        "run": report.run,
    })
}

/// What is known before the judge begins.
fn first_text(report: &DemoReport) -> String {
    format!(
        "{}\n\nThe judge reads the first {JUDGED_TOKENS} tokens of each document now; its row follows.\n",
        table_of(report)
    )
}

fn table_of(report: &DemoReport) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let auc =
        |auc: &tamis::evaluation::Estimate| format!("{:.2} [{:.2}, {:.2}]", auc.value, auc.low, auc.high);
    let mut rows = vec![vec![
        "whole corpus".to_owned(),
        count(report.documents as u64),
        String::new(),
        percent(report.bad),
        percent(report.duplicates),
        String::new(),
        String::new(),
        String::new(),
    ]];
    rows.extend(report.rows.iter().map(|row| {
        let speed = if row.scored_tokens > 0 {
            rate(row.scored_tokens as f64 / row.seconds.max(1e-9))
        } else {
            "–".to_owned()
        };
        vec![
            row.sampler.to_owned(),
            count(row.documents),
            count(row.tokens),
            percent(row.bad),
            percent(row.duplicates),
            row.auc.as_ref().map_or_else(|| "–".to_owned(), auc),
            if row.scored_tokens > 0 { duration(row.seconds) } else { "–".to_owned() },
            speed,
        ]
    }));
    let header =
        ["kept at 20 %", "documents", "tokens", "bad", "copies", "AUC [95 %]", "scoring", "tokens/s"];
    table(&header, &rows)
}

fn text_of(report: &DemoReport) -> String {
    let auc =
        |auc: &tamis::evaluation::Estimate| format!("{:.2} [{:.2}, {:.2}]", auc.value, auc.low, auc.high);
    let (corpus, run) = (one_line(&report.corpus), one_line(&report.run));
    let tamis = std::env::args_os().next().map(|name| name.to_string_lossy().into_owned());
    let tamis = tamis.as_deref().map_or("tamis".into(), one_line);
    let earlier = report.rows.iter().all(|row| row.scored_tokens == 0);
    let lines_note =
        earlier.then(|| "scored by an earlier run of the demo; a new --out scores again".to_owned());
    let mut lines = vec![
        format!("{} documents, labelled good or bad, copies among them: {corpus}", report.documents),
        String::new(),
        table_of(report),
        String::new(),
        "bad: labelled bad, lower is better. copies: repeats another kept document, lower is better.".to_owned(),
        "AUC: chance that a good document is ranked above a bad one; 0.5 is a coin. Density looks for copies, not for junk.".to_owned(),
        format!("Ask-LLM read the first {JUDGED_TOKENS} tokens of each document; without a limit it reads all."),
        format!("best of nine trivial counts (direction chosen on these labels): {}, AUC {}", report.baseline.0, auc(&report.baseline.1)),
        String::new(),
    ];
    lines.extend(lines_note);
    lines.extend(report.findings.iter().map(|finding| format!("note: {finding}")));
    lines.extend([
        String::new(),
        "Look at what was kept and dropped, and why:".to_owned(),
        format!("  {tamis} show --run {run} --disagree ask-llm,density"),
        "Then your own files (jsonl, jsonl.gz, jsonl.zst or parquet with a column `text`):".to_owned(),
        format!("  {tamis} select my-corpus/ --by density --rate 10%,20% --run my-run/ --out kept/"),
    ]);
    lines.join("\n")
}
