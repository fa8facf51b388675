//! `tamis select`

mod text;

use tamis::Error;
use tamis::options::SelectOptions;

use super::{Context, Outcome, Writes};
use crate::args::Select;
use crate::flags;
use crate::options;

pub(crate) fn run(context: &Context<'_>, args: &Select) -> anyhow::Result<Outcome> {
    let select = options::select(args, context.given)?;
    let max_failed = options::share("--max-failed", &args.corpus.max_failed)?;
    let run = options::run(args.run.run.as_ref(), args.out.as_ref())?;
    flags::refuse_of_other_signals(context.given, tamis::split_score(&args.by).0, flags::Command::Select)?;
    select.check()?;
    refuse_places(args)?;
    let mut corpus = args.corpus.clone();
    corpus.carry.extend(args.stratum.clone().filter(|name| !args.corpus.carry.contains(name)));
    let peeked = || context.open(Some(&corpus), &run, Writes::Nothing);
    refuse_of_servers(context, &select, || Ok(peeked()?.settings_of_selection(&select)?))?;
    let project = context.open(Some(&corpus), &run, Writes::unless(args.run.dry_run))?;
    project.refuse_output_inside_corpus(args.out.as_deref())?;
    let score = options::scoring(&args.run)?;
    if args.run.dry_run {
        let plan = project.plan_selection(&select, score)?;
        context.print(|| plan.json(), || super::text_of_plan(&plan));
        return Ok(Outcome::Done);
    }
    let report = context.audited(&project, |changed| {
        let report = project.run_selection(&select, score)?;
        changed.push(format!("selected {} documents as `{}`", report.manifest.counts.kept, report.name));
        Ok(report)
    })?;
    context.print_report(&report, || text::text_of(&report))?;
    let counts = &report.manifest.counts;
    Ok(context.judge_failures(counts.failed_rows(), counts.documents_in, max_failed))
}

/// Refuses folders that cannot be what they are to be, before any is made.
fn refuse_places(args: &Select) -> tamis::Result<()> {
    if let (true, Some(run), Some(out)) = (args.decide_only, &args.run.run, &args.out) {
        let (run, out) = (run.display(), out.display());
        return Err(Error::usage(
            format!(
                "`--decide-only` writes no documents, and decisions go to `--run {run}`: nothing goes to `--out {out}`"
            ),
            "leave --out out, or --decide-only",
        ));
    }
    if let Some(corpus) = &args.corpus.corpus {
        tamis::refuse_output_inside_corpus(corpus, args.out.as_deref())?;
    }
    if let (Some(run), Some(out)) = (&args.run.run, &args.out) {
        tamis::refuse_shared_folder(run, out)?;
    }
    Ok(())
}

/// Refuses what is said to a server where none is asked. Without flags a name goes on with what is stored, which may be a
/// server's; nothing is made to learn that.
fn refuse_of_servers(
    context: &Context<'_>,
    select: &SelectOptions,
    settings: impl FnOnce() -> anyhow::Result<Option<tamis::options::SignalOptions>>,
) -> anyhow::Result<()> {
    if !flags::any_of_servers(context.given) {
        return Ok(());
    }
    let settings = match &select.signal {
        Some(signal) if select.exactly => Some(signal.clone()),
        _ => settings()?,
    };
    Ok(flags::refuse_of_servers(context.given, settings.as_slice(), flags::Command::Select)?)
}
