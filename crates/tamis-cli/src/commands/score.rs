//! `tamis score`

use serde_json::json;
use tamis::{By, CorpusVersion, Observer, SampleOptions, SampleReport, ScoreOptions, ScoreReport};

use super::{Context, Outcome, Writes, with_left_out};
use crate::args::{Score, signals};
use crate::flags;
use crate::options;
use crate::printable::one_line;
use crate::progress::{count, duration, rate};

pub(crate) fn run(context: &Context<'_>, args: &Score) -> anyhow::Result<Outcome> {
    flags::refuse_of_other_signals(context.given, &args.name, flags::Command::Score)?;
    let asked = signals(&args.name, &args.signal, args.tokenizer.as_deref())?;
    flags::refuse_of_servers(context.given, &asked, flags::Command::Score)?;
    if let (None, Some(flag)) =
        (&args.sample, ["against", "sample_seed"].into_iter().find(|flag| context.given.has(flag)))
    {
        let flag = flag.replace('_', "-");
        return Err(tamis::Error::usage(
            format!("`--{flag}` says nothing without `--sample`"),
            format!("add --sample 1%, or leave --{flag} out"),
        )
        .into());
    }
    let max_failed = options::share("--max-failed", &args.corpus.max_failed)?;
    if let (Some(id), [asked, ..]) = (&args.show_prompt, asked.as_slice()) {
        let needed = || tamis::Error::usage("--show-prompt needs a corpus", "name the corpus");
        let corpus = options::corpus(&args.corpus, || Err(needed()))?.ok_or_else(needed)?;
        let shown = tamis::show_prompt(
            &corpus,
            asked,
            Some(id.as_str()).filter(|id| !id.is_empty()),
            context.terminal,
        )?;
        context.print(|| json!({ "prompt": shown }), || shown.clone());
        return Ok(Outcome::Done);
    }
    let score = ScoreOptions { refit: args.refit, ..options::scoring(&args.run)? };
    let run = options::run(args.run.run.as_ref(), None)?;
    let project = context.open(Some(&args.corpus), &run, Writes::unless(args.run.dry_run))?;
    let project = match &args.run.on {
        Some(on) => project.on(on)?,
        None => project,
    };
    if args.run.dry_run {
        let plan = |asked| -> tamis::Result<tamis::Plan> {
            project.check_planned_score(asked)?;
            project.plan(&By::Exactly(asked), score, None)
        };
        let plans = asked.iter().map(plan).collect::<tamis::Result<Vec<_>>>()?;
        context.print(
            || one_or_list(plans.iter().map(tamis::Plan::json).collect()),
            || plans.iter().map(super::text_of_plan).collect::<Vec<_>>().join("\n"),
        );
        return Ok(Outcome::Done);
    }
    if let Some(share) = &args.sample {
        if args.run.on.is_some() {
            return Err(tamis::Error::usage(
                "--sample draws from the whole corpus, and --on asks for some of its documents",
                "leave one of the two out",
            )
            .into());
        }
        if args.run.retry_failed {
            return Err(tamis::Error::usage(
                "--sample writes no scores, so there is nothing to ask again",
                "leave --retry-failed or --sample out",
            )
            .into());
        }
        let share = options::share("--sample", share)?;
        if share == 0.0 {
            return Err(tamis::Error::usage("--sample 0 draws nothing", "write --sample 1%").into());
        }
        let sample = SampleOptions { share, seed: args.sample_seed, against: args.against.clone() };
        let report = context.audited(&project, |_| {
            project.check_sample(&asked[0], &sample)?;
            let version = project.inventory()?;
            Ok(project.score_sample(&version, &asked[0], &sample)?)
        })?;
        if !context.global.json {
            report.findings.iter().for_each(|finding| context.terminal.warn(finding));
        }
        let object = serde_json::to_value(&report)?;
        context.print(|| with_left_out(object, &project), || text_of_sample(&report));
        return Ok(Outcome::Done);
    }
    let (version, reports) = context.audited(&project, |changed| {
        asked.iter().try_for_each(|asked| project.check_score(asked, score))?;
        let version = project.inventory()?;
        project.tell_unreadable(&version)?;
        let mut reports = Vec::with_capacity(asked.len());
        for asked in &asked {
            let (_, report) = project.score(&version, asked, score)?;
            changed.push(format!("computed {} documents of `{}`", report.map.computed, report.map.signal));
            reports.push(report);
        }
        Ok((version, reports))
    })?;
    if !context.global.json {
        for finding in reports.iter().flat_map(|report| &report.findings) {
            match args.name.as_str() {
                "ask-llm" => context.terminal.warn(finding),
                _ => context.terminal.note(finding),
            }
        }
    }
    let objects = reports.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    context.print(
        || with_left_out(one_or_list(objects), &project),
        || reports.iter().map(|report| text_of(report, &version)).collect::<Vec<_>>().join("\n"),
    );
    let most_failed = reports.iter().map(ScoreReport::failed_rows).max().unwrap_or(version.failed_rows());
    Ok(context.judge_failures(most_failed, version.documents() + version.failed_rows(), max_failed))
}

/// One object: that of the one signal, or one that holds those of several.
fn one_or_list(mut objects: Vec<serde_json::Value>) -> serde_json::Value {
    match (objects.pop(), objects.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            objects.extend(last);
            json!({ "signals": objects })
        }
    }
}

fn text_of(report: &ScoreReport, version: &CorpusVersion) -> String {
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
        one_line(&map.signal),
        count(map.documents),
        count(version.documents()),
        count(map.computed),
        duration(map.seconds)
    );
    let failed = report.failed_rows();
    if failed > 0 {
        let reasons: Vec<String> =
            report.failed_by_reason().iter().map(|(reason, n)| format!("{} {reason}", count(*n))).collect();
        text += &format!("\n{} rows failed: {}", count(failed), reasons.join(", "));
    }
    if map.asked_again > 0 {
        text += &format!(
            "\n{} rows were asked again, {} of them have a value now",
            count(map.asked_again),
            count(map.mended)
        );
    }
    if map.unfinished_shards > 0 {
        text += &format!("\n{} shards are left to other workers", count(map.unfinished_shards as u64));
    }
    text
}

fn text_of_sample(report: &SampleReport) -> String {
    let mut text = format!(
        "{} against {}: {} of {} drawn documents compared\nKendall's tau {:.3} (1: the same order, 0: none in common, -1: the \
         opposite)",
        one_line(&report.new),
        one_line(&report.old),
        count(report.compared as u64),
        count(report.drawn as u64),
        report.kendall_tau
    );
    for (rate, churn) in &report.churn {
        text += &format!(
            "\nat {:.0} %: {:.1} % of what the old scores keep would be exchanged",
            100.0 * rate,
            100.0 * churn
        );
    }
    text + "\nno scores were written; without --sample the whole corpus is scored (--beside keeps the old scores)"
}
