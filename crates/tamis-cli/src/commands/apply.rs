//! `tamis apply`

use tamis::{ApplyReport, FailedRows, ScoreOptions, Stage, StageKind, Worker};

use super::{Context, Outcome, Writes};
use crate::args::Apply;
use crate::options;
use crate::output::table;
use crate::printable::one_line;
use crate::progress::{count, duration};

pub(crate) fn run(context: &Context<'_>, args: &Apply) -> anyhow::Result<Outcome> {
    let max_failed = options::share("--max-failed", &args.max_failed)?;
    let score = ScoreOptions {
        worker: args.worker.as_deref().map(Worker::parse).transpose()?.unwrap_or(Worker::ALONE),
        beside: true,
        refit: false,
        failed: if args.retry_failed { FailedRows::Retry } else { FailedRows::Keep },
        wait: args.wait || std::io::IsTerminal::is_terminal(&std::io::stderr()),
    };
    let (recipe, project) = context.open_recipe(&args.recipe, Writes::unless(args.dry_run))?;
    if args.dry_run {
        project.check_planned_recipe(&recipe)?;
        context.print(
            || serde_json::json!({ "recipe": args.recipe.recipe, "problems": [] }),
            || "nothing is wrong with the recipe; nothing was done (--dry-run)".to_owned(),
        );
        return Ok(Outcome::Done);
    }
    let report = context.audited(&project, |changed| {
        let report = project.apply(&recipe, score)?;
        changed.extend(report.stages.iter().map(|stage| format!("{} as `{}`", stage.name, stage.full_name)));
        Ok(report)
    })?;
    context.print_report(&report, || text_of(&report))?;
    let failed = report.stages.iter().map(|stage| stage.failed).max().unwrap_or(0) + report.unreadable;
    Ok(context.judge_failures(failed, report.documents + report.unreadable, max_failed))
}

fn text_of(report: &ApplyReport) -> String {
    let was_planned = report.stages.iter().any(|stage| stage.planned_documents.is_some());
    let mut header = vec!["stage", "of", "documents in", "out", "share", "tokens", "failed", "time"];
    header.extend(was_planned.then_some("planned"));
    let rows: Vec<Vec<String>> = report
        .stages
        .iter()
        .map(|stage| {
            let mut cells = row(stage);
            cells.extend(was_planned.then(|| planned(stage)));
            cells
        })
        .collect();
    let mut lines = vec![table(&header, &rows), String::new()];
    for stage in report.stages.iter().filter(|stage| stage.kind == StageKind::Selection) {
        let mut reasons: Vec<(&String, &u64)> =
            stage.dropped.iter().filter(|(reason, _)| reason.as_str() != "not-asked").collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let parts: Vec<String> =
            reasons.iter().map(|(reason, n)| format!("{} {reason}", count(**n))).collect();
        let dropped = if parts.is_empty() {
            "nothing dropped".to_owned()
        } else {
            format!("dropped {}", parts.join(", "))
        };
        lines.push(format!(
            "{} is the selection `{}`: {dropped}",
            one_line(&stage.name),
            one_line(&stage.full_name)
        ));
    }
    for stage in report.stages.iter().filter(|stage| stage.kind == StageKind::Output) {
        lines.push(format!("{} is in {}", one_line(&stage.name), one_line(&stage.full_name)));
    }
    let unreadable = match report.unreadable {
        0 => String::new(),
        rows => format!(", {} rows could not be read", count(rows)),
    };
    lines.push(format!("{} documents{unreadable}, in {}", count(report.documents), duration(report.seconds)));
    lines.join("\n")
}

fn row(stage: &Stage) -> Vec<String> {
    let share = 100.0 * stage.documents_out as f64 / stage.documents_in.max(1) as f64;
    vec![
        match stage.kind {
            StageKind::Signal => format!("score {}", stage.name),
            StageKind::Selection => format!("keep {}", stage.name),
            StageKind::Output => format!("write {}", stage.name),
        },
        stage.on.clone().unwrap_or_else(|| "all".to_owned()),
        count(stage.documents_in),
        count(stage.documents_out),
        format!("{share:.1} %"),
        stage.tokens.map_or_else(|| "–".to_owned(), count),
        count(stage.failed),
        duration(stage.seconds),
    ]
}

/// What was planned, and how far off that was.
fn planned(stage: &Stage) -> String {
    match (stage.planned_seconds, stage.planned_documents, stage.kind) {
        (Some(planned), _, StageKind::Signal) => {
            let off = 100.0 * (stage.seconds - planned.value) / planned.value.max(1e-9);
            format!("{} ({off:+.0} %)", duration(planned.value))
        }
        (_, Some(documents), StageKind::Selection) => {
            format!("{} documents", count(documents.round() as u64))
        }
        _ => String::new(),
    }
}
