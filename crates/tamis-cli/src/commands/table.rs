//! `tamis table`

use tamis::TableReport;

use super::{Context, Outcome, Writes};
use crate::args::Table;
use crate::options;
use crate::printable::one_line;
use crate::progress::{count, duration};

pub(crate) fn run(context: &Context<'_>, args: &Table) -> anyhow::Result<Outcome> {
    let project = context.open(None, &args.run, Writes::Nothing)?;
    let report = project.table(&options::table(args))?;
    context.print_report(&report, || text_of(&report))?;
    Ok(Outcome::Done)
}

fn text_of(report: &TableReport) -> String {
    let columns: Vec<_> = report.columns.iter().map(|name| one_line(name)).collect();
    format!(
        "{} documents, {} columns: {}\n{}   in {}",
        count(report.rows),
        columns.len(),
        columns.join(", "),
        one_line(&report.out),
        duration(report.seconds)
    )
}
