//! `tamis select`

use serde_json::json;
use tamis::options::{SelectOptions, SignalOptions};
use tamis::{Observer, Planned, Project, ScoreOptions, SelectReport, SelectedBy, VetoRecord};

use super::{Context, Outcome, Writes, with_left_out};
use crate::args::Select;
use crate::flags;
use crate::options;
use crate::output::table;
use crate::printable::one_line;
use crate::progress::{count, duration};

pub(crate) fn run(context: &Context<'_>, args: &Select) -> anyhow::Result<Outcome> {
    let select = options::select(args)?;
    let max_failed = options::share("--max-failed", &args.corpus.max_failed)?;
    let run = options::run(args.run.run.as_ref(), args.out.as_ref())?;
    let (name, column) = tamis::split_score(&args.by);
    let explicit = options::is_explicit(&args.signal);
    flags::refuse_of_other_signals(context.given, name)?;
    if name == "random" && column.is_some() {
        return Err(tamis::Error::usage(
            format!("`--by {}`: random has no columns", args.by),
            "write --by random",
        )
        .into());
    }
    if let (true, Some(run), Some(out)) = (args.decide_only, &args.run.run, &args.out) {
        let (run, out) = (run.display(), out.display());
        return Err(tamis::Error::usage(
            format!("`--decide-only` writes no documents, and decisions go to `--run {run}`: nothing goes to `--out {out}`"),
            "leave --out out, or --decide-only",
        )
        .into());
    }
    if name == "random" && args.run.retry_failed {
        return Err(tamis::Error::usage(
            "--by random has no scores, so no row of them failed",
            "leave --retry-failed out",
        )
        .into());
    }
    if let Some(corpus) = &args.corpus.corpus {
        tamis::refuse_output_inside_corpus(corpus, args.out.as_deref())?;
    }
    if let (Some(run), Some(out)) = (&args.run.run, &args.out) {
        tamis::refuse_shared_folder(run, out)?;
    }
    let by = match name {
        "random" => By::Random,
        // A full name is that of a stored signal: its settings are known.
        full if full.contains('@') && !full.starts_with("column:") => {
            if explicit || flags::any_of_servers(context.given) {
                let hint =
                    format!("leave them out, or write --by {}", full.split('@').next().unwrap_or(full));
                return Err(tamis::Error::usage(
                    format!("`{full}` was computed with settings of its own"),
                    hint,
                )
                .into());
            }
            By::Stored(full)
        }
        name => By::Signal(Box::new(options::signal(name, &args.signal, args.tokenizer.as_deref())?)),
    };
    let mut corpus = args.corpus.clone();
    corpus.carry.extend(args.stratum.clone().filter(|name| !args.corpus.carry.contains(name)));
    if let (By::Signal(asked), true) = (&by, flags::any_of_servers(context.given)) {
        // Without flags a name goes on with what is stored, which may be a server's; nothing is made to learn that.
        let effective = match explicit {
            true => SignalOptions::clone(asked),
            false => context.open(Some(&corpus), &run, Writes::Nothing)?.options_by_name(asked)?,
        };
        flags::refuse_of_servers(context.given, &[effective], flags::Command::Select)?;
    }
    let project = context.open(Some(&corpus), &run, Writes::unless(args.run.dry_run))?;
    project.refuse_output_inside_corpus(args.out.as_deref())?;
    let settings = match &by {
        By::Random => None,
        By::Stored(full) => Some(project.stored_options(full)?),
        By::Signal(asked) => Some(SignalOptions::clone(asked)),
    };
    if args.run.dry_run {
        let planned = match &by {
            By::Random => Planned::Random,
            By::Stored(full) => Planned::Stored(full),
            By::Signal(asked) if explicit => Planned::Exactly(asked),
            By::Signal(asked) => Planned::Named(asked),
        };
        project.check_planned_select(&select, &planned)?;
        let plan = project.plan(&planned, score_options(args), args.tokenizer.as_deref())?;
        context.print(|| plan.json(), || super::text_of_plan(&plan));
        return Ok(Outcome::Done);
    }
    let check = match (&by, &settings) {
        (By::Stored(full), _) => SelectedBy::Stored { full_name: full, failed: options::failed(&args.run) },
        (_, Some(asked)) => SelectedBy::Signal { asked, explicit, score: score_options(args) },
        (_, None) => SelectedBy::Random,
    };
    let report = context.audited(&project, |changed| {
        project.check_select(&select, check)?;
        let report = execute(context, args, &project, &by, &select)?;
        changed.push(format!("selected {} documents as `{}`", report.manifest.counts.kept, report.name));
        Ok(report)
    })?;
    context.print(|| with_left_out(json_of(&report), &project), || text_of(&report));
    let counts = &report.manifest.counts;
    Ok(context.judge_failures(counts.failed_rows(), counts.documents_in, max_failed))
}

/// What `--by` means.
enum By<'a> {
    Random,
    Stored(&'a str),
    Signal(Box<SignalOptions>),
}

fn score_options(args: &Select) -> ScoreOptions {
    ScoreOptions { beside: args.run.beside, failed: options::failed(&args.run), ..ScoreOptions::default() }
}

fn execute(
    context: &Context<'_>,
    args: &Select,
    project: &Project<'_>,
    by: &By<'_>,
    select: &SelectOptions,
) -> anyhow::Result<SelectReport> {
    let version = project.inventory_for(select)?;
    context.tell_unreadable(project, &version)?;
    project.carry_stratum(&version, &select.band)?;
    let explicit = options::is_explicit(&args.signal);
    let score = score_options(args);
    let signal = match by {
        By::Random => None,
        By::Stored(full) => Some(project.stored_signal(&version, full, score.failed)?),
        By::Signal(asked) => Some(project.signal_for(&version, asked, explicit, score)?),
    };
    let by = match signal {
        Some((signal, report)) => {
            match &report {
                Some(report) => report.findings.iter().for_each(|finding| context.terminal.note(finding)),
                None => context.terminal.note(&format!(
                    "selecting by the scores of `{}` that this run holds; its options are in its signal.json",
                    signal.full_name()
                )),
            }
            let column = project.column_of(&signal, tamis::split_score(&args.by).1)?;
            Some((signal, column))
        }
        None => None,
    };
    let tokens = project.tokens_for(&version, select)?;
    let by = by.as_ref().map(|(signal, column)| (signal, column.as_str()));
    Ok(project.select(&version, by, tokens.as_ref(), select)?)
}

pub(crate) fn json_of(report: &SelectReport) -> serde_json::Value {
    let manifest = &report.manifest;
    let counts = &manifest.counts;
    let largest = manifest.targets.last();
    json!({
        "documents_in": counts.documents_in,
        "kept": counts.kept,
        "dropped": counts.dropped_documents(),
        "dropped_by_reason": counts.dropped,
        "failed": counts.failed_rows(),
        "failed_by_reason": counts.failed,
        "tokens": largest.and_then(|target| target.tokens),
        "seconds": report.seconds,
        "name": report.name,
        "by": manifest.by,
        "column": manifest.column,
        "rule": manifest.rule,
        "seed": manifest.seed,
        "out": report.out,
        "vetoes": report.vetoes,
        "selections": manifest.targets,
    })
}

fn text_of(report: &SelectReport) -> String {
    let manifest = &report.manifest;
    let counts = &manifest.counts;
    let column = manifest.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
    let rows: Vec<Vec<String>> = manifest
        .targets
        .iter()
        .map(|target| {
            let share = 100.0 * target.documents as f64 / counts.candidates.max(1) as f64;
            vec![
                target.label.clone(),
                count(target.documents),
                format!("{share:.2} %"),
                target.tokens.map_or_else(|| "–".to_owned(), count),
                count(target.bytes),
                target
                    .threshold
                    .or(target.poisson_scale)
                    .map_or_else(|| "–".to_owned(), |t| format!("{t:.6}")),
            ]
        })
        .collect();
    let reasons = |reasons: &std::collections::BTreeMap<String, u64>| {
        let parts: Vec<String> =
            reasons.iter().map(|(reason, n)| format!("{} {reason}", count(*n))).collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    };
    let mut lines = vec![
        format!(
            "{}{}, rule {}, seed {}: selection `{}`",
            one_line(&manifest.by),
            one_line(&column),
            manifest.rule,
            manifest.seed,
            one_line(&report.name)
        ),
        String::new(),
        table(&["keep", "documents", "of candidates", "tokens", "bytes", "threshold"], &rows),
        String::new(),
        format!(
            "{} in = {} kept + {} dropped{} + {} failed{}",
            count(counts.documents_in),
            count(counts.kept),
            count(counts.dropped_documents()),
            reasons(&counts.dropped),
            count(counts.failed_rows()),
            reasons(&counts.failed),
        ),
    ];
    lines.extend(report.vetoes.iter().map(VetoRecord::in_words));
    if counts.failed.contains_key("score-unusable") {
        lines.push(format!(
            "score-unusable: rule {} needs scores above 0; rule top takes any number",
            manifest.rule
        ));
    }
    for target in manifest.targets.iter().filter(|target| target.documents == 0 && counts.candidates > 0) {
        lines.push(format!(
            "{}: nothing of {} candidates is kept; ask for more",
            target.label,
            count(counts.candidates)
        ));
    }
    for target in manifest.targets.iter().filter(|target| target.over > 0) {
        lines.push(format!(
            "{}: {} more than asked, because equal texts share their fate",
            target.label, target.over
        ));
    }
    for target in &manifest.targets {
        if let (Some(expected), Some(deviation)) = (target.expected_documents, target.standard_deviation) {
            lines.push(format!(
                "{}: independent draws, {expected:.1} ± {deviation:.1} documents expected",
                target.label
            ));
        }
    }
    match &report.out {
        Some(out) => {
            lines.push(format!("kept documents: {}   in {}", one_line(out), duration(report.seconds)));
        }
        None => lines.push(format!("decisions only, no documents written   in {}", duration(report.seconds))),
    }
    lines.join("\n")
}
