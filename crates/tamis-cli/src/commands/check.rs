//! `tamis models check`

use tamis::evaluation::{Baseline, Estimate};
use tamis::{CheckOptions, CheckReport, CheckedJudge, Half, check_model};

use super::{Context, Outcome};
use crate::args::{self, Check, HalfArg};
use crate::output::table;
use crate::printable::one_line;
use crate::progress::{count, duration, rate};

/// Baselines that are printed; all are in the JSON.
const BASELINES_SHOWN: usize = 5;

pub(crate) fn run(context: &Context<'_>, args: &Check) -> anyhow::Result<Outcome> {
    let options = CheckOptions {
        model: args.model.clone(),
        labelled: args.labelled.clone(),
        half: match args.half {
            HalfArg::Tuning => Half::Tuning,
            HalfArg::Reporting => Half::Reporting,
            HalfArg::Both => Half::Both,
        },
        prompts: args.prompt.clone(),
        raw_only: args.raw,
        most_of_a_kind: args.most_of_a_kind.map(|most| most as usize),
        dtype: args.dtype.unwrap_or_default(),
        engine: args::engine(args.engine, None, args.dtype)?.0,
        server: args::server(&args.model, &args.server, args.tokenizer.as_deref())?,
    };
    if !tamis::is_server(&args.model)
        && let Some(flag) = ["concurrency", "request_timeout", "retries", "tokenizer"]
            .into_iter()
            .find(|flag| context.given.has(flag))
    {
        let message =
            format!("`{}` is loaded here, and `--{}` is for a server", args.model, flag.replace('_', "-"));
        return Err(
            tamis::Error::usage(message, "leave it out, or name a server as http://HOST:PORT/v1").into()
        );
    }
    let report = check_model(&options, context.global.threads.unwrap_or(0), context.terminal)?;
    context.print_report(&report, || text_of(&report))?;
    Ok(Outcome::Done)
}

fn direction(baseline: &Baseline) -> &'static str {
    match baseline.direction {
        tamis::Direction::HigherIsBetter => "higher",
        tamis::Direction::LowerIsBetter => "lower",
    }
}

fn interval(auc: &Estimate) -> String {
    format!("{:.2} [{:.2}, {:.2}]", auc.value, auc.low, auc.high)
}

fn name(judge: &CheckedJudge) -> String {
    if judge.rendering == "none" {
        judge.prompt.clone()
    } else {
        format!("{}, {}", judge.prompt, judge.rendering)
    }
}

fn text_of(report: &CheckReport) -> String {
    let mut lines = vec![
        format!(
            "{} on {}: {} good documents, {} bad",
            one_line(&report.model),
            one_line(&report.labelled),
            report.good,
            report.bad
        ),
        "AUC: chance that a good document is ranked above a bad one; 0.5 is a coin, below it the judge is upside down"
            .to_owned(),
        String::new(),
    ];
    if let Some((path, because)) = &report.numeric_path {
        lines.insert(1, format!("numeric path {path}: {because}"));
    }
    let mut rows: Vec<Vec<String>> = report
        .judges
        .iter()
        .map(|judge| {
            let mass = judge.mass.map_or_else(|| "–".to_owned(), |mass| format!("{:.1} %", 100.0 * mass));
            let speed = rate(judge.tokens as f64 / judge.seconds.max(1e-9));
            let failed = if judge.failed > 0 { count(judge.failed as u64) } else { String::new() };
            vec![
                name(judge),
                interval(&judge.auc),
                mass,
                format!("{:+.3}", judge.gain.value),
                speed,
                duration(judge.seconds),
                failed,
            ]
        })
        .collect();
    rows.extend(report.baselines.iter().take(BASELINES_SHOWN).map(|baseline| {
        let name = format!("count: {} ({} is better)", baseline.name, direction(baseline));
        vec![name, interval(&baseline.auc)]
    }));
    lines.push(table(&["over all", "AUC [95 %]", "yes + no", "adds", "tokens/s", "time", "failed"], &rows));
    lines.push("directions of counts are chosen on these labels, which flatters them a little".to_owned());
    lines.push(String::new());

    let header: Vec<String> =
        report.judges.iter().map(|judge| name(judge).replace("negative mean ", "")).collect();
    let mut header: Vec<&str> = header.iter().map(String::as_str).collect();
    header.insert(0, "by kind of bad");
    header.insert(1, "documents");
    header.push("best count");
    let rows: Vec<Vec<String>> = report
        .baselines_by_kind
        .iter()
        .map(|(kind, documents, best)| {
            let mut row = vec![kind.clone(), count(*documents as u64)];
            row.extend(report.judges.iter().map(|judge| {
                let found = judge.kinds.iter().find(|found| found.kind == *kind);
                found.map_or_else(
                    || "–".to_owned(),
                    |found| {
                        let mark = if found.auc.low <= 0.5 { " !" } else { "" };
                        format!("{:.2}{mark}", found.auc.value)
                    },
                )
            }));
            row.push(format!("{:.2} {}", best.auc.value, best.name));
            row
        })
        .collect();
    lines.push(table(&header, &rows));
    lines
        .push("!: the 95 % interval reaches 0.5; the judge does not see this kind, or prefers it".to_owned());
    lines.push(String::new());
    let sentences = report.judges.iter().map(|judge| format!("{}: {}", name(judge), judge.sentence()));
    let left_out = report.left_out.iter().map(|reason| format!("left out: {reason}"));
    lines.extend(sentences.chain(left_out).map(|line| one_line(&line).into_owned()));
    lines.join("\n")
}
