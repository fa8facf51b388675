//! `tamis show`

use tamis::{ClustersReport, Order, ShowReport};

use super::{Context, Outcome, Writes};
use crate::args::Show;
use crate::options;
use crate::output::{snippet, table};
use crate::printable::one_line;
use crate::progress::count;

pub(crate) fn run(context: &Context<'_>, args: &Show) -> anyhow::Result<Outcome> {
    if args.clusters {
        let project = context.open(None, &args.run, Writes::Nothing)?;
        let report = project.clusters()?;
        context.print_report(&report, || text_of_clusters(&report, args.number))?;
        return Ok(Outcome::Done);
    }
    let (order, number) = match (args.top, args.bottom, &args.around, args.disagree.as_slice()) {
        (Some(n), ..) => (Order::Top, n),
        (_, Some(n), ..) => (Order::Bottom, n),
        (_, _, Some(around), _) => (Order::Around(100.0 * options::share("--around", around)?), args.number),
        (_, _, _, [a, b]) => (Order::Disagree(a.clone(), b.clone()), args.number),
        (_, _, _, []) => (Order::Top, args.number),
        _ => {
            let hint = "write --disagree ask-llm,density";
            return Err(tamis::Error::usage("--disagree needs exactly two signals", hint).into());
        }
    };
    let project = context.open(None, &args.run, Writes::Nothing)?;
    let mut report = project.show(args.by.as_deref(), &order, number)?;
    if context.global.json {
        report.shorten_texts(args.characters);
    }
    context.print_report(&report, || text_of(&report, args.characters))?;
    Ok(Outcome::Done)
}

fn text_of(report: &ShowReport, characters: usize) -> String {
    let mut lines = vec![format!(
        "{} documents; percentiles in keep order, 100 = kept first (score in brackets)",
        count(report.documents as u64)
    )];
    for document in &report.shown {
        let identity = &document.identity;
        let name = identity.id.clone().unwrap_or_else(|| identity.key.to_string());
        let standings: Vec<String> = report
            .signals
            .iter()
            .zip(&document.standings)
            .map(|(signal, standing)| match standing {
                Some((score, percentile)) => format!("{signal} {percentile:.1} ({score:.4})"),
                None => format!("{signal} failed"),
            })
            .collect();
        lines.push(String::new());
        lines.push(format!(
            "{}   {}:{}   {} bytes",
            one_line(&name),
            one_line(&identity.shard),
            identity.row + 1,
            count(identity.bytes)
        ));
        lines.push(format!("    {}", one_line(&standings.join("   "))));
        if characters > 0 {
            lines.push(format!("    {}", snippet(&document.text, characters)));
        }
    }
    lines.join("\n")
}

fn text_of_clusters(report: &ClustersReport, number: usize) -> String {
    let rows: Vec<Vec<String>> = report
        .clusters
        .iter()
        .take(number)
        .map(|one| {
            vec![
                one.cluster.to_string(),
                count(one.documents),
                format!("{:.3}", one.similarity),
                one.words.join(" "),
                one.nearest.join(" "),
            ]
        })
        .collect();
    let mut lines = vec![
        format!(
            "{}: {} clusters with documents, words of {} of these",
            report.signal,
            report.clusters.len(),
            count(report.sampled)
        ),
        String::new(),
        table(&["cluster", "documents", "similarity", "typical words", "nearest documents"], &rows),
    ];
    if report.clusters.len() > number {
        lines.push(format!("and {} smaller ones; -n shows more", report.clusters.len() - number));
    }
    lines.join("\n")
}
