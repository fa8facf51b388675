//! `tamis export`

use tamis::{ExportPlan, ExportReport};

use super::{Context, Outcome, Writes};
use crate::args::Export;
use crate::options;
use crate::output::table;
use crate::printable::one_line;
use crate::progress::{count, duration};

pub(crate) fn run(context: &Context<'_>, args: &Export) -> anyhow::Result<Outcome> {
    let asked = options::export(args)?;
    asked.check()?;
    // Nothing of a run changes: whoever may read it may export.
    let project = context.open(None, &args.run, Writes::Nothing)?;
    if args.dry_run {
        let plan = project.plan_export(&args.selection, &asked)?;
        context.print_report(&plan, || text_of_plan(&plan))?;
        return Ok(Outcome::Done);
    }
    let report = project.export(&args.selection, &asked)?;
    context.print_report(&report, || text_of(&report))?;
    Ok(Outcome::Done)
}

fn copies(documents: u64, copies: u64, epochs: u64) -> String {
    match epochs {
        0 | 1 => format!("{} documents", count(documents)),
        _ => {
            format!("{} documents, {} with their copies, in {epochs} epochs", count(documents), count(copies))
        }
    }
}

fn text_of_plan(plan: &ExportPlan) -> String {
    let files = match plan.files_expected {
        Some(files) => format!("about {} files", count(files)),
        None => "as many files as the tokens fill".to_owned(),
    };
    format!(
        "selection `{}`, {}: {}\n{} bytes of text in {files}; {} bytes of the corpus would be read, once\nnothing was done (--dry-run)",
        one_line(&plan.selection),
        one_line(&plan.target),
        copies(plan.documents, plan.copies, plan.epochs),
        count(plan.text_bytes),
        count(plan.bytes_to_read),
    )
}

/// Files that are listed.
const MOST_LISTED: usize = 20;

fn text_of(report: &ExportReport) -> String {
    let manifest = &report.manifest;
    let files: Vec<_> = manifest.files.iter().filter(|file| file.documents > 0).collect();
    let rows: Vec<Vec<String>> = files
        .iter()
        .take(MOST_LISTED)
        .map(|file| {
            let tokens = file.tokens.map_or_else(|| "–".to_owned(), count);
            vec![file.path.clone(), count(file.documents), tokens, count(file.bytes)]
        })
        .collect();
    let mut lines = vec![
        format!(
            "selection `{}`, {}, {}: {}",
            one_line(&manifest.selection),
            one_line(manifest.options.get("target").map_or("", String::as_str)),
            one_line(manifest.options.get("format").map_or("", String::as_str)),
            copies(manifest.documents, manifest.copies, manifest.epochs),
        ),
        String::new(),
        table(&["file", "documents", "tokens", "bytes"], &rows),
    ];
    if files.len() > MOST_LISTED {
        lines.push(format!("and {} more, listed in export.json", files.len() - MOST_LISTED));
    }
    lines.push(String::new());
    if let (Some(tokens), Some(dtype), Some(separator)) =
        (manifest.tokens, &manifest.dtype, manifest.separator)
    {
        lines.push(format!("{} tokens as {dtype}, {separator} behind each document", count(tokens)));
    }
    let done = if report.was_there {
        "all was there before".to_owned()
    } else {
        format!("in {}", duration(report.seconds))
    };
    lines.push(format!("{} bytes of text: {}   {done}", count(manifest.text_bytes), one_line(&report.out)));
    lines.join("\n")
}
