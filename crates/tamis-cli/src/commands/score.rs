//! `tamis score`

use std::collections::BTreeMap;

use serde_json::json;
use tamis::{CorpusVersion, Observer, ScoreOptions, ScoreReport, Worker};

use super::{Context, Outcome, Writes};
use crate::args::Score;
use crate::options;
use crate::progress::{count, duration, rate};

pub(crate) fn run(context: &Context<'_>, args: &Score) -> anyhow::Result<Outcome> {
    let asked = options::signal(&args.name, &args.signal, args.tokenizer.as_deref())?;
    let worker = args.worker.as_deref().map(Worker::parse).transpose()?.unwrap_or(Worker::ALONE);
    let max_failed = options::share("--max-failed", &args.corpus.max_failed)?;
    if let Some(id) = &args.show_prompt {
        let corpus = options::corpus(&args.corpus)
            .ok_or_else(|| tamis::Error::usage("--show-prompt needs a corpus", "name the corpus"))?;
        let shown = tamis::show_prompt(
            &corpus,
            &asked,
            Some(id.as_str()).filter(|id| !id.is_empty()),
            context.terminal,
        )?;
        crate::output::print_line(&shown);
        return Ok(Outcome::Done);
    }
    let run = options::run(args.run.run.as_ref(), None)?;
    let project = context.open(Some(&args.corpus), &run, Writes::unless(args.run.dry_run))?;
    if args.run.dry_run {
        let plan = project.plan(Some(&asked))?;
        context.print(|| plan.json(), || plan.text());
        return Ok(Outcome::Done);
    }
    let (version, report) = context.audited(&project, |changed| {
        project.check_signal(&asked)?;
        let version = project.inventory()?;
        context.tell_unreadable(&project, &version)?;
        let score = ScoreOptions { worker, beside: args.run.beside, refit: args.refit };
        let (_, report) = project.score(&version, &asked, score)?;
        changed.push(format!("computed {} documents of `{}`", report.map.computed, report.map.signal));
        Ok((version, report))
    })?;
    let unreadable = version.failed_rows();
    let failed = unreadable + report.map.failed.values().sum::<u64>();
    let documents_in = version.documents() + unreadable;
    if !context.global.json {
        for finding in &report.findings {
            context.terminal.note(finding);
        }
    }
    context.print(|| json_of(&report, &version, failed), || text_of(&report, &version, failed));
    Ok(context.judge_failures(failed, documents_in, max_failed))
}

/// Rows that could not be read, and rows without a score, by reason.
fn reasons(report: &ScoreReport, version: &CorpusVersion) -> BTreeMap<String, u64> {
    let mut reasons = report.map.failed.clone();
    for (reason, count) in version.shards.iter().flat_map(|shard| &shard.failed) {
        *reasons.entry(reason.clone()).or_default() += count;
    }
    reasons
}

fn json_of(report: &ScoreReport, version: &CorpusVersion, failed: u64) -> serde_json::Value {
    let map = &report.map;
    json!({
        "signal": map.signal,
        "documents_in": version.documents() + version.failed_rows(),
        "documents": map.documents,
        "computed": map.computed,
        "failed": failed,
        "failed_by_reason": reasons(report, version),
        "tokens": map.tokens,
        "unfinished_shards": map.unfinished_shards,
        "findings": report.findings,
        "seconds": map.seconds,
    })
}

fn text_of(report: &ScoreReport, version: &CorpusVersion, failed: u64) -> String {
    let map = &report.map;
    let speed = if map.tokens > 0 {
        format!(
            ", {} tokens, {} tokens/s",
            count(map.tokens),
            rate(map.tokens as f64 / map.seconds.max(1e-9))
        )
    } else {
        String::new()
    };
    let mut text = format!(
        "{}: {} of {} documents done ({} computed now{speed}) in {}",
        map.signal,
        count(map.documents),
        count(version.documents()),
        count(map.computed),
        duration(map.seconds)
    );
    if failed > 0 {
        let reasons = reasons(report, version);
        let reasons: Vec<String> =
            reasons.iter().map(|(reason, n)| format!("{} {reason}", count(*n))).collect();
        text += &format!("\n{} rows failed: {}", count(failed), reasons.join(", "));
    }
    if map.unfinished_shards > 0 {
        text += &format!("\n{} shards are left to other workers", count(map.unfinished_shards as u64));
    }
    text
}
