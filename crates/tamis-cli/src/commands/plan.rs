//! `tamis plan`

use serde_json::json;
use tamis::{Error, Expected, RecipePlan, StagePlan};

use super::{Context, Outcome, Writes};
use crate::args::Plan;
use crate::output::table;
use crate::progress::{count, duration};

pub(crate) fn run(context: &Context<'_>, args: &Plan) -> anyhow::Result<Outcome> {
    if args.dollars_per_hour.is_some_and(|dollars| !(dollars.is_finite() && dollars >= 0.0)) {
        return Err(Error::usage("--dollars-per-hour is no price", "write --dollars-per-hour 2.5").into());
    }
    let (recipe, project) = context.open_recipe(&args.recipe, Writes::unless(args.tasks))?;
    if args.tasks {
        let tasks = project.recipe_tasks(&recipe)?;
        context.print(
            || json!({ "tasks": tasks }),
            || {
                tasks
                    .iter()
                    .map(|task| format!("{}  {}", task.signal, task.shard))
                    .collect::<Vec<_>>()
                    .join("\n")
            },
        );
        return Ok(Outcome::Done);
    }
    let plan = project.plan_recipe(&recipe)?;
    let dollars = |hours: f64| args.dollars_per_hour.map(|dollars| dollars * hours);
    context.print(
        || {
            let mut object = json!(plan);
            object["dollars"] = json!(dollars(plan.seconds.value / 3600.0));
            object
        },
        || text_of(&plan, dollars(1.0)),
    );
    Ok(Outcome::Done)
}

fn between(seconds: &Expected) -> String {
    format!("{} to {}", duration(seconds.low), duration(seconds.high))
}

fn amount(number: f64) -> String {
    count(number.round() as u64)
}

fn bytes(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut number = bytes;
    while number >= 1000.0 && unit + 1 < units.len() {
        (number, unit) = (number / 1000.0, unit + 1);
    }
    format!("{number:.1} {}", units[unit])
}

fn text_of(plan: &RecipePlan, dollars_an_hour: Option<f64>) -> String {
    let row = |stage: &StagePlan| {
        let share = 100.0 * stage.documents_out / stage.documents_in.max(1e-9);
        let mut row = vec![
            format!("{} {}", if stage.is_signal { "score" } else { "keep" }, stage.name),
            stage.on.clone().unwrap_or_else(|| "all".to_owned()),
            amount(stage.documents_in),
            amount(stage.documents_out),
            format!("{share:.1} %"),
            stage.tokens.map_or_else(|| "–".to_owned(), amount),
            stage.seconds.as_ref().map_or_else(|| "–".to_owned(), |seconds| duration(seconds.value)),
            stage.seconds.as_ref().map_or_else(|| "–".to_owned(), between),
            if stage.is_signal { bytes(stage.disk_bytes) } else { "–".to_owned() },
        ];
        if let Some(dollars) = dollars_an_hour {
            let cost = stage.seconds.map(|seconds| dollars * seconds.value / 3600.0);
            row.push(cost.map_or_else(|| "–".to_owned(), |cost| format!("{cost:.2}")));
        }
        row
    };
    let mut header = vec!["stage", "of", "documents in", "out", "share", "tokens", "time", "between", "disk"];
    header.extend(dollars_an_hour.map(|_| "dollars"));
    let rows: Vec<Vec<String>> = plan.stages.iter().map(row).collect();
    let about = if plan.is_exact { "" } else { "about " };
    let mut lines = vec![
        format!(
            "{about}{} documents, {} of text; rehearsed on {} of them, with {} threads, in {}",
            amount(plan.documents),
            bytes(plan.text_bytes),
            plan.rehearsed,
            plan.threads,
            duration(plan.rehearsal_seconds)
        ),
        String::new(),
        table(&header, &rows),
        String::new(),
    ];
    let cost = dollars_an_hour.map_or_else(String::new, |dollars| {
        format!(", {:.2} dollars", dollars * plan.seconds.value / 3600.0)
    });
    lines.push(format!("all signals: {}, {}{cost}", duration(plan.seconds.value), between(&plan.seconds)));
    for stage in &plan.stages {
        lines.extend(stage.note.as_ref().map(|note| format!("{}: not known: {note}", stage.name)));
    }
    lines.join("\n")
}
