//! Which documents, why, and with what probability: from scores to kept files.
//!
//! Everything but the text comes from the inventory and the sidecars. Thresholds are found first; then one pass over each
//! shard writes its decisions and its kept documents. What is written is never overwritten: a selection that was stopped goes
//! on, and the same selection twice is the same bytes.

mod band;
mod call;
mod candidates;
mod check;
mod cuts;
mod duplicates;
mod filters;
mod groups;
mod manifest;
mod quotas;
mod reason;
mod repeated;
mod repeats;
mod survey;
mod veto_matches;
mod vetoes;
mod write;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tamis_core::{Fingerprint, Rule};
use tamis_io::run::{CorpusVersion, IdColumn, SignalDir, SignalRecord};
use tamis_samplers::{Cut, Ranker, Rate, Target};

pub use manifest::{Counts, Manifest, StratumShare, TargetRecord};
pub use veto_matches::VetoRecord;
pub(crate) use write::{REPEATS, STRATUM};

use crate::again::generations_text;
use crate::carried::Strata;
use crate::groups::Keep;
use crate::prefetch::Prefetch;
use crate::project::Project;
use crate::scoring::ScoreOptions;
use crate::select_options::{BandOptions, ExactDuplicates, QuotaOptions, RepeatOptions, SelectOptions};
use crate::{Error, Result};
use candidates::{Candidates, Fate};
use cuts::Cuts;
use duplicates::Duplicates;
use filters::OpenFilter;
use survey::Survey;
use vetoes::Vetoes;

/// Raised when the same options and inputs select other documents than before.
const SELECTION_VERSION: u32 = 1;

/// A row remembers in one byte which target is the smallest that keeps it.
const MOST_TARGETS: usize = 100;

/// What a selection did.
#[derive(Clone, Debug)]
pub struct SelectReport {
    /// Name under `selections/`.
    pub name: String,
    /// What stands in its manifest.
    pub manifest: Manifest,
    /// The veto files of this call, and how many of their entries matched.
    pub vetoes: Vec<VetoRecord>,
    /// Folder of the kept documents; `None` when only decisions were written.
    pub out: Option<String>,
    /// What lies among the shards and was not read: how many files, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Time of this call.
    pub seconds: f64,
}

/// One target with its place in the output.
pub(crate) struct Labelled {
    pub(crate) target: Target,
    pub(crate) label: String,
}

/// Whether a selection without targets keeps all that it does not drop.
fn keeps_all(options: &SelectOptions) -> bool {
    !options.limits.are_open() || !options.filters.is_empty()
}

/// Sorts rates, refuses mixtures, and gives every target its label. Limits or filters alone keep all that is within them.
fn label(options: &SelectOptions) -> Result<Vec<Labelled>> {
    let all = [Target::Rate(Rate::ALL)];
    let targets = if options.targets.is_empty() && keeps_all(options) { &all[..] } else { &options.targets };
    let rates = targets.iter().filter(|target| matches!(target, Target::Rate(_))).count();
    if targets.is_empty() || (targets.len() > 1 && rates != targets.len()) {
        return Err(Error::usage(
            "a selection needs one or more rates, or exactly one budget",
            "give one of --rate 10%,20%, --documents N, --tokens N --tokenizer M, --bytes N, or --at-most, --at-least or --filter alone",
        ));
    }
    if targets.len() > MOST_TARGETS {
        let message = format!("a selection has at most {MOST_TARGETS} rates, got {}", targets.len());
        return Err(Error::usage(
            message,
            "split them over several selections: under one seed they nest all the same",
        ));
    }
    let mut targets = targets.to_vec();
    let order = |target: &Target| match target {
        Target::Rate(rate) => rate.of(10_u64.pow(17)),
        _ => 0,
    };
    targets.sort_by_key(order);
    targets.dedup();
    Ok(targets
        .into_iter()
        .map(|target| {
            let label = match target {
                Target::Rate(rate) => format!("rate-{}", rate.percent().trim_end_matches('%').trim()),
                Target::Documents(n) => format!("documents-{n}"),
                Target::Tokens(n) => format!("tokens-{n}"),
                Target::Bytes(n) => format!("bytes-{n}"),
            };
            Labelled { target, label }
        })
        .collect())
}

impl Project {
    /// Selects by a finished signal (`None`: at random) and writes decisions and kept documents. Which signal it is, and how,
    /// is the caller's to say; [`Project::run_selection`] does all of it.
    ///
    /// # Errors
    /// A wrong mixture of targets, a shard without scores, files that cannot be written or hold something else.
    pub fn select(
        &self,
        version: &CorpusVersion,
        by: Option<(&SignalDir, &str)>,
        tokens: Option<&SignalDir>,
        options: &SelectOptions,
    ) -> Result<SelectReport> {
        let survey = self.survey(version, options, Keep::InRun)?;
        let filters = self.open_filters(version, options, ScoreOptions::default())?;
        let read = (survey, filters, None);
        self.select_with(version, (by, tokens), options, read, ScoreOptions::default())
    }

    fn select_with(
        &self,
        version: &CorpusVersion,
        (by, tokens): (Option<(&SignalDir, &str)>, Option<&SignalDir>),
        options: &SelectOptions,
        (survey, filters, prefetch): (Survey, Vec<OpenFilter>, Option<&Prefetch>),
        score: ScoreOptions,
    ) -> Result<SelectReport> {
        let began = Instant::now();
        let targets = label(options)?;
        // Read time and again until all is decided, and named in the plan: what another process asks again meanwhile is of no
        // concern here.
        for signal in by.iter().map(|(signal, _)| *signal).chain(tokens) {
            self.refuse_stale(version, signal)?;
        }
        let pinned =
            by.map(|(signal, column)| Ok::<_, Error>((signal.pinned(version)?, column))).transpose()?;
        let by = pinned.as_ref().map(|(signal, column)| (signal, *column));
        let tokens = tokens.map(|signal| signal.pinned(version)).transpose()?;
        let tokens = tokens.as_ref();
        let rule = self.rule(by.map(|(signal, _)| signal.record()), options)?;
        if tokens.is_none() && targets.iter().any(|target| matches!(target.target, Target::Tokens(_))) {
            return Err(check::needs_tokenizer());
        }
        let strata = match (&options.quotas, rule) {
            (Some(quotas), _) => Some(self.strata_of(version, quotas)?),
            (None, Rule::Band) => self.stratum(version, &options.band)?,
            (None, _) => None,
        };
        let Survey { vetoes, matched, repeated } = survey;
        let named = by.map(|(signal, column)| (signal.full_name(), column));
        let mut plan = selection_plan(version, named, tokens, Some(rule), options, &targets, &vetoes);
        if strata.as_ref().is_some_and(|strata| strata.null_beside_empty) {
            plan = plan.with(STRATA, "null-beside-empty");
        }
        plan = self.with_stages(plan, &filters);
        if let Some(by) = strata.as_ref().and_then(Strata::signals_text) {
            plan = plan.with(STRATA_BY, by);
        }
        if let Some((signal, _)) = by {
            plan = with_generations(plan, BY_GENERATIONS, signal);
        }
        if let Some(tokens) = tokens {
            plan = with_generations(plan, TOKENS_GENERATIONS, tokens);
        }
        let mut stem = options
            .stem
            .as_ref()
            .unwrap_or(&options.by)
            .replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "-");
        stem.truncate(LONGEST_STEM);
        let name = options.name.clone().unwrap_or_else(|| format!("{stem}-{}", plan.short()));
        self.observer.begin("find thresholds", 0);
        let duplicates =
            Duplicates::find(self, version, repeated.into_marks(), options.exact_duplicates, &vetoes)?;
        let mut candidates = Candidates {
            run: &self.run,
            score: by,
            tokens,
            ranker: Ranker::new(rule, options.seed),
            limits: options.limits,
            vetoes: &vetoes,
            duplicates: &duplicates,
            gate: self.gate.as_deref(),
            filters: &filters,
            strata: strata.as_ref(),
            band: None,
            repeats: None,
        };
        let band = match rule {
            Rule::Band => {
                Some(cuts::fit_band(&candidates, &version.shards, options.band.around, self.threads)?)
            }
            _ => None,
        };
        candidates.band = band.as_ref();
        let mut plain: Vec<Target> = targets.iter().map(|target| target.target).collect();
        let fitted = match &options.repeat {
            Some(repeat) => {
                let how = (repeat, options.seed, plain[0]);
                Some(repeats::fit(&candidates, &version.shards, how, self.threads)?)
            }
            None => None,
        };
        candidates.repeats = fitted.as_ref();
        if let (Some(fitted), [Target::Tokens(budget)]) = (&fitted, &mut plain[..]) {
            let certain = repeats::certain_tokens(&candidates, &version.shards, self.threads)?;
            *budget = budget.saturating_sub(certain);
            self.observer.note(&describe_repeats(fitted));
        }
        let (cuts, shares) = match &options.quotas {
            Some(quotas) => quotas::find(&candidates, &version.shards, (quotas, &plain), self.threads)?,
            None => {
                let shared = cuts::find(&candidates, &version.shards, rule, &plain, self.threads)?;
                (Cuts { shared, ..Cuts::default() }, Vec::new())
            }
        };
        self.observer.end();
        // Begun when it is certain that there is one.
        let directory = self.run.open_selection(&name, &plan)?;
        let out = if options.decide_only { None } else { Some(self.out(&directory, options)?) };
        if let Some(out) = &out {
            write::claim(&self.run, out, version, &targets, &plan)?;
        }
        let prefetch = prefetch.filter(|prefetch| rule == Rule::Random && prefetch.seed == options.seed);
        let out = out.as_ref().map(|out| (out, prefetch));
        let deciding = write::Deciding {
            directory: &directory,
            candidates: &candidates,
            rule,
            targets: &targets,
            cuts: &cuts,
            has_quotas: options.quotas.is_some(),
        };
        let counts = self.write(version, &deciding, out, score)?;
        let mut manifest =
            self.manifest(version, by, tokens, rule, options, &targets, &cuts.shared, counts, &plan)?;
        for (target, shares) in manifest.targets.iter_mut().zip(shares) {
            target.strata = shares;
        }
        manifest.vetoes.clone_from(&matched);
        if let Some(stored) = directory.read_manifest::<Manifest>()? {
            // Made by another tamis, or of the same entries in other files, the same selection is still the same.
            manifest.tamis = stored.tamis;
            manifest.vetoes = stored.vetoes;
        }
        directory.write_manifest(&manifest)?;
        let out = out.map(|(out, _)| out.location(""));
        Ok(SelectReport {
            name,
            manifest,
            vetoes: matched,
            out,
            left_out: self.left_out(),
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// The strata of quotas.
    fn strata_of(&self, version: &CorpusVersion, quotas: &QuotaOptions) -> Result<Strata> {
        let columns =
            quotas.by.iter().map(|name| self.stratum_column(version, name)).collect::<Result<Vec<_>>>()?;
        self.strata(version, columns, "quotas are by,")
    }

    /// Names in a plan what decides who is a candidate.
    fn with_stages(&self, mut plan: Fingerprint, filters: &[OpenFilter]) -> Fingerprint {
        if let Some(gate) = &self.gate {
            plan = plan.with(ON, format!("{} {}", gate.name, gate.digest));
        }
        let texts: Vec<String> = filters.iter().map(OpenFilter::text).collect();
        if !texts.is_empty() {
            plan = plan.with(FILTERS, texts.join("; "));
        }
        plan
    }

    fn rule(&self, by: Option<&SignalRecord>, options: &SelectOptions) -> Result<Rule> {
        // A centre or strata say that a band is meant.
        let implied = (options.band != BandOptions::default()).then_some(Rule::Band);
        match (by, options.rule.or(implied)) {
            (None, None | Some(Rule::Random)) => Ok(Rule::Random),
            (None, Some(Rule::Poisson)) => Ok(Rule::Poisson),
            (None, Some(rule)) => Err(Error::usage(
                format!("rule `{rule}` needs a score, and `--by random` has none"),
                "name a signal with --by, or leave --rule out (and --around and --stratum, which stand for `band`)",
            )),
            (Some(_), Some(rule)) => Ok(rule),
            (Some(signal), None) => Ok(signal.ranking.as_ref().map_or(Rule::Top, |ranking| ranking.rule)),
        }
    }
}

/// How often each twentieth of the tokens is kept.
fn describe_repeats(fitted: &repeats::Repeats) -> String {
    let steps: Vec<String> =
        fitted.steps().iter().map(|(from, rate)| format!("{:.0}% {rate:.2}", 100.0 * from)).collect();
    format!("repeats of {} tokens by quality, from … on so often: {}", fitted.available, steps.join(", "))
}

/// Everything that decides a selection but the generations of its signals. Signal, tokens and rule may not be known yet: see
/// [`check`].
fn selection_plan(
    version: &CorpusVersion,
    by: Option<(&str, &str)>,
    tokens: Option<&SignalDir>,
    rule: Option<Rule>,
    options: &SelectOptions,
    targets: &[Labelled],
    vetoes: &Vetoes,
) -> Fingerprint {
    let labels: Vec<&str> = targets.iter().map(|target| target.label.as_str()).collect();
    let mut plan = Fingerprint::new("selection", SELECTION_VERSION)
        .with("corpus", corpus_digest(version))
        .with("corpus.columns", columns_text(version))
        .with("seed", options.seed)
        .with("targets", labels.join(","))
        .with("exact-duplicates", duplicates_name(options.exact_duplicates));
    if let Some(rule) = rule {
        plan = plan.with("rule", rule);
    }
    if let Some((signal, column)) = by {
        plan = plan.with("by", signal).with("column", column);
    }
    if rule == Some(Rule::Band) {
        plan = plan.with("around", options.band.around);
        if let Some(stratum) = &options.band.stratum {
            plan = plan.with("stratum", stratum);
        }
    }
    for (field, limit) in [("at-least", options.limits.at_least), ("at-most", options.limits.at_most)] {
        if let Some(limit) = limit {
            plan = plan.with(field, limit);
        }
    }
    if let Some(quotas) = &options.quotas {
        plan = plan.with("quotas", quotas.text());
    }
    if let Some(RepeatOptions { from, cap, shape }) = &options.repeat {
        plan = plan.with("repeat", format!("from {from}, at most {cap}, {shape:?}"));
    }
    if let Some(tokens) = tokens {
        plan = plan.with("tokens", tokens.full_name());
    }
    if let Some(digest) = vetoes.digest {
        plan = plan.with("vetoes", digest);
    }
    plan
}

/// Fields of a plan for the generations of its signals, where they have several.
const BY_GENERATIONS: &str = "by.generations";
const TOKENS_GENERATIONS: &str = "tokens.generations";
/// Field of a plan for the selection whose documents are the candidates.
const ON: &str = "on";
/// Field of a plan for what else a candidate has to pass.
const FILTERS: &str = "filters";
/// Field of a plan for the signals whose columns are strata.
const STRATA_BY: &str = "strata.by";
/// Field of a plan that says how documents without a stratum stand to those of the empty one, where there are both.
const STRATA: &str = "strata";

/// Bytes of a name before the digits of its plan: together they are what a run directory takes.
const LONGEST_STEM: usize = 91;

/// Names the generations of the shards of a signal that are not the first: other rows have a value there.
fn with_generations(plan: Fingerprint, field: &str, signal: &SignalDir) -> Fingerprint {
    let generations = signal.generations();
    if generations.is_empty() { plan } else { plan.with(field, generations_text(&generations)) }
}

/// What stands for the shards and their content in a plan.
pub(crate) fn corpus_digest(version: &CorpusVersion) -> tamis_core::Digest {
    let shards: Vec<String> =
        version.shards.iter().map(|shard| format!("{} {}", shard.path, shard.digest)).collect();
    tamis_core::Digest::of(shards.join("\n").as_bytes())
}

/// How rows became documents: other columns give other documents out of the same shards.
fn columns_text(version: &CorpusVersion) -> String {
    let columns = &version.columns;
    let id = match &columns.id {
        IdColumn::Column(column) => format!("{column:?}"),
        IdColumn::Qualified(column) => format!("{column:?} within its shard"),
        IdColumn::FromText => "\"\"".to_owned(),
    };
    format!(
        "text {:?}, id {id}, namespace {:?}, lines up to {}",
        columns.text, columns.namespace, columns.max_line_bytes
    )
}

/// What a pass over the decisions counts.
#[derive(Default)]
pub(crate) struct Tally {
    documents: u64,
    dropped: BTreeMap<String, u64>,
    failed: BTreeMap<String, u64>,
    kept: Vec<manifest::Sums>,
}

impl Tally {
    fn new(targets: usize) -> Self {
        Self { kept: vec![manifest::Sums::default(); targets], ..Self::default() }
    }

    fn merge(&mut self, other: Self) {
        self.documents += other.documents;
        for (reason, count) in other.dropped {
            *self.dropped.entry(reason).or_default() += count;
        }
        for (reason, count) in other.failed {
            *self.failed.entry(reason).or_default() += count;
        }
        for (sum, more) in self.kept.iter_mut().zip(other.kept) {
            sum.add(more);
        }
    }
}

/// A tally that threads share.
#[derive(Default)]
pub(crate) struct SharedTally(Mutex<Tally>);

impl SharedTally {
    fn merge(&self, other: Tally, targets: usize) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tally.kept.is_empty() {
            *tally = Tally::new(targets);
        }
        tally.merge(other);
    }

    fn into_inner(self) -> Tally {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The smallest target that keeps a document; targets are in ascending order and nest.
fn smallest(cuts: &[Cut], fate: &Fate) -> Option<usize> {
    match fate {
        Fate::Candidate(priority) => cuts.iter().position(|cut| cut.keeps(priority)),
        _ => None,
    }
}

/// Whether equal texts are resolved; named here so that the manifest and the plan say the same.
fn duplicates_name(duplicates: ExactDuplicates) -> &'static str {
    match duplicates {
        ExactDuplicates::All => "all",
        ExactDuplicates::One => "one",
    }
}
