//! `tamis train-ngram`

use serde_json::json;
use tamis::TrainNgramReport;

use super::{Context, Outcome};
use crate::args::TrainNgram;
use crate::options;
use crate::output::table;
use crate::printable::one_line;
use crate::progress::{count, duration};

pub(crate) fn run(context: &Context<'_>, args: &TrainNgram) -> anyhow::Result<Outcome> {
    let max_failed = options::share("--max-failed", &args.max_failed)?;
    let asked = options::train_ngram(args, context.global.threads.unwrap_or(0))?;
    let report = tamis::train_ngram(&asked, context.terminal)?;
    context.print(|| json_of(&report), || text_of(&report));
    let failed = report.failed.values().sum();
    Ok(context.judge_failures(failed, report.estimated.tally.documents + failed, max_failed))
}

fn json_of(report: &TrainNgramReport) -> serde_json::Value {
    let estimated = &report.estimated;
    let tally = &estimated.tally;
    json!({
        "out": report.out,
        "documents": tally.documents,
        "lines": tally.sentences,
        "words": tally.words,
        "reserved_words_skipped": tally.reserved,
        "ngrams": estimated.counts,
        "ngrams_before_pruning": estimated.counts_before_pruning,
        "discounts": estimated.discounts.iter().map(|discounts| discounts.0).collect::<Vec<_>>(),
        "fallback_orders": estimated.fallbacks,
        "failed": report.failed.values().sum::<u64>(),
        "failed_by_reason": report.failed,
        "left_out": report.left_out,
        "seconds": report.seconds,
    })
}

fn text_of(report: &TrainNgramReport) -> String {
    let estimated = &report.estimated;
    let tally = &estimated.tally;
    let rows: Vec<Vec<String>> = estimated
        .counts
        .iter()
        .enumerate()
        .map(|(at, kept)| {
            let [one, two, more] = estimated.discounts[at].0;
            let fallback = if estimated.fallbacks.contains(&(at + 1)) { " (fallback)" } else { "" };
            vec![
                format!("{}-grams", at + 1),
                count(*kept),
                count(estimated.counts_before_pruning[at]),
                format!("{one:.4} {two:.4} {more:.4}{fallback}"),
            ]
        })
        .collect();
    let mut text = format!(
        "{}: {} documents, {} lines, {} words, in {}\n\n{}",
        one_line(&report.out),
        count(tally.documents),
        count(tally.sentences),
        count(tally.words),
        duration(report.seconds),
        table(&["length", "in the model", "counted", "discounts"], &rows)
    );
    if tally.reserved > 0 {
        text += &format!(
            "\n{} times `<s>`, `</s>` or `<unk>` in the text were passed over",
            count(tally.reserved)
        );
    }
    let failed: u64 = report.failed.values().sum();
    if failed > 0 {
        let reasons: Vec<String> =
            report.failed.iter().map(|(reason, rows)| format!("{} {reason}", count(*rows))).collect();
        text += &format!("\n{} rows could not be read: {}", count(failed), reasons.join(", "));
    }
    text
}
