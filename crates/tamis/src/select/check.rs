//! What of a selection can be refused before a document is read: all that does not depend on what the documents say.

use tamis_core::{Fingerprint, FingerprintChange, Rule};
use tamis_io::run::{CorpusVersion, Repeatability, ShardRecord, SignalDir, SignalRecord};
use tamis_io::store::Store;
use tamis_samplers::Target;

use super::call::refuse_retry_at_random;
use super::vetoes::Vetoes;
use super::write::IsCertain;
use super::{
    BY_GENERATIONS, FILTERS, Labelled, ON, STRATA, STRATA_BY, TOKENS_GENERATIONS, selection_plan, write,
};
use crate::again::FailedRows;
use crate::explain::{column_in, split_score};
use crate::groups::Keep;
use crate::places::store_beside;
use crate::plan::By;
use crate::project::Project;
use crate::ready::Foreseen;
use crate::scoring::ScoreOptions;
use crate::select_options::{BandOptions, Filter, SelectOptions};
use crate::signals::TokensOptions;
use crate::{Error, Result};

impl Project {
    /// Checks what can be checked before any work: targets, rule, columns, veto files, models and prompts, whether another
    /// selection has the name or the folder, and whether run and folder can be written. Models that were built for it are held
    /// for the computation that follows.
    ///
    /// # Errors
    /// Those of [`Project::select`] and [`Project::score`] that do not depend on the documents.
    pub fn check_select(&self, options: &SelectOptions, by: &By<'_>, score: ScoreOptions) -> Result<()> {
        // A shard that is gone makes any stored selection another one: that is not what is wrong then.
        self.check_listed()?;
        let (targets, vetoes) = self.check_request(options, by, score)?;
        self.check_tokens(options)?;
        self.check_filters(options, score)?;
        let foreseen = match by {
            By::Random => None,
            By::Stored(full_name) => Some(self.foresee_stored(full_name, score.failed)?),
            By::Named(asked) => Some(self.foresee_by(asked, false, score)?),
            By::Exactly(asked) => Some(self.foresee_by(asked, true, score)?),
        };
        self.check_decided(options, foreseen.as_ref(), &targets, &vetoes)?;
        self.check_writable(options)
    }

    /// What a dry run can refuse: all that needs no model and writes nothing.
    ///
    /// # Errors
    /// As [`Project::check_select`], but for models, tokenizers and places.
    pub(super) fn check_planned_select(
        &self,
        options: &SelectOptions,
        by: &By<'_>,
        score: ScoreOptions,
    ) -> Result<()> {
        self.check_beginnings()?;
        self.check_listed()?;
        let (targets, vetoes) = self.check_request(options, by, score)?;
        self.stored_tokens(options)?;
        if let Some(tokenizer) = &options.tokenizer {
            tamis_models::source::check_spelling(tokenizer)?;
        }
        let stored = match by {
            By::Random => None,
            By::Stored(name) => Some(self.run.resolve(name)?),
            By::Named(asked) if self.has_signal(&asked.stored_name())? => {
                Some(self.run.resolve(&asked.stored_name())?)
            }
            By::Exactly(asked) | By::Named(asked) => {
                self.check_options(asked)?;
                // Which signal another one will be, a model would have to be loaded to know.
                if let Some(info) = asked.definition().foreseen()? {
                    let record = self.record_of(&info, Repeatability::Exact);
                    let foreseen = Foreseen { record, stored: None };
                    self.check_decided(options, Some(&foreseen), &targets, &vetoes)?;
                }
                return self.check_read(options);
            }
        };
        let foreseen =
            stored.map(|stored| Foreseen { record: stored.record().clone(), stored: Some(stored) });
        self.check_decided(options, foreseen.as_ref(), &targets, &vetoes)?;
        self.check_read(options)
    }

    /// What the inventories tell, where every shard was read before: ids that name no documents, strata that are none.
    fn check_read(&self, options: &SelectOptions) -> Result<()> {
        let columns = self.corpus_columns();
        for shard in self.corpus.shards() {
            if self.run.inventory_receipt(&shard.path, &columns)?.is_none() {
                return Ok(());
            }
        }
        let Some(version) = self.run.latest_corpus()? else { return Ok(()) };
        self.survey(&version, options, Keep::Nothing)?;
        match &options.band.stratum {
            Some(name) if self.carried(&version, name)?.is_some() => {
                self.stratum(&version, &options.band).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with a selection whatever it is by; its targets and vetoes.
    fn check_request(
        &self,
        options: &SelectOptions,
        by: &By<'_>,
        score: ScoreOptions,
    ) -> Result<(Vec<Labelled>, Vetoes)> {
        let targets = super::label(options)?;
        options.limits.check()?;
        options.filters.iter().try_for_each(Filter::check)?;
        let holds = |wanted: fn(&Target) -> bool| targets.iter().any(|target| wanted(&target.target));
        if options.rule == Some(Rule::Poisson)
            && holds(|target| matches!(target, Target::Tokens(_) | Target::Bytes(_)))
        {
            return Err(poisson_needs_documents());
        }
        if options.rule.is_some_and(|rule| rule != Rule::Band) && options.band != BandOptions::default() {
            return Err(Error::usage(
                "a centre or strata belong to the rule `band`",
                "write --rule band, or leave --around and --stratum out",
            ));
        }
        self.refuse_output_inside_corpus(options.out.as_deref())?;
        if options.quotas.is_some() {
            if options.repeat.is_some() || options.band != BandOptions::default() {
                return Err(Error::usage(
                    "quotas go neither with repeats nor with strata of a band",
                    "make two selections: the first with quotas, the second on it (`on`)",
                ));
            }
            if options.quotas.as_ref().is_some_and(|quotas| quotas.by.is_empty()) {
                return Err(Error::usage("quotas name no column", "write by = \"source\" in quotas"));
            }
        }
        if options.repeat.is_some() {
            if !matches!(targets[..], [Labelled { target: Target::Tokens(_), .. }]) {
                return Err(super::repeats::needs_tokens());
            }
            if !options.decide_only {
                return Err(Error::usage(
                    "repeated documents are not written next to each other into kept shards",
                    "decide only (--decide-only), and write them with `tamis export`, each copy in an epoch of its own",
                ));
            }
        }
        if matches!(by, By::Random) {
            if !options.limits.are_open() {
                return Err(Error::usage(
                    "--at-most and --at-least are limits of a score, and `--by random` has none",
                    "name a signal with --by, or leave them out",
                ));
            }
            refuse_retry_at_random(score)?;
            self.rule(None, options)?;
        }
        let vetoes = Vetoes::read(&options.vetoes)?;
        self.unsure_carried()?;
        if let Some(stratum) = &options.band.stratum
            && !self.is_asked_for(stratum)?
        {
            self.unsure_columns(&[stratum.as_str()], "")?;
        }
        Ok((targets, vetoes))
    }

    /// Refuses a rule or column that the signal has not, and a name or folder that another selection has.
    fn check_decided(
        &self,
        options: &SelectOptions,
        foreseen: Option<&Foreseen>,
        targets: &[Labelled],
        vetoes: &Vetoes,
    ) -> Result<()> {
        let rule = self.rule(foreseen.map(|foreseen| &foreseen.record), options)?;
        let column = match foreseen {
            Some(Foreseen { record, .. }) => {
                let column = column_in(record, split_score(&options.by).1)?;
                refuse_negative(record, &column, rule)?;
                Some(column)
            }
            None => None,
        };
        let version = self.foreseen_version()?;
        let stored = foreseen.and_then(|foreseen| foreseen.stored.as_ref());
        let short = foreseen.map_or("", |foreseen| foreseen.record.name.as_str());
        let named = column.as_deref().map(|column| (stored.map_or(short, SignalDir::full_name), column));
        let plan = selection_plan(&version, named, None, Some(rule), options, targets, vetoes);
        let is_certain = |change: &FingerprintChange| match change.field.as_str() {
            // Which signals filters and strata stand for is known when they are computed.
            ON | FILTERS | STRATA_BY => false,
            "tokens" | BY_GENERATIONS | TOKENS_GENERATIONS | STRATA => false,
            // Of a signal that is not stored only the short name is known for certain.
            "by" if stored.is_none() => {
                let then = change.stored.as_deref().and_then(|full| full.split('@').next());
                then.is_none_or(|then| then != short)
            }
            _ => true,
        };
        self.check_name(options, &plan, &is_certain)?;
        match self.out_folder(options)? {
            Some(out) => write::check_claim(&self.run, &out, &version, targets, &plan, &is_certain),
            None => Ok(()),
        }
    }

    /// The tokenizer of a budget, or the stored counts that stand for it.
    fn check_tokens(&self, options: &SelectOptions) -> Result<()> {
        if let Some(tokenizer) = &options.tokenizer {
            let asked = TokensOptions { tokenizer: tokenizer.clone() }.into();
            self.foresee(&asked, ScoreOptions { beside: true, ..ScoreOptions::default() })?;
        } else if let Some(stored) = self.stored_tokens(options)? {
            self.foresee_stored(stored.full_name(), FailedRows::Keep)?;
        }
        Ok(())
    }

    /// The counts of tokens that a selection needs or can tell: as [`Project::token_counts`], and where a budget in tokens
    /// names no tokenizer, the stored counts are completed.
    ///
    /// # Errors
    /// As [`Project::score`].
    pub fn tokens_for(
        &self,
        version: &CorpusVersion,
        options: &SelectOptions,
        score: ScoreOptions,
    ) -> Result<Option<SignalDir>> {
        let score = ScoreOptions { failed: FailedRows::Keep, ..score };
        match self.stored_tokens(options)? {
            Some(stored) => Ok(Some(self.stored_signal(version, stored.full_name(), score)?.0)),
            None => self.token_counts(version, options.tokenizer.as_deref(), score),
        }
    }

    /// The stored counts of tokens that a budget in tokens is filled by when no tokenizer is named.
    ///
    /// # Errors
    /// No such counts, or several.
    pub(crate) fn stored_tokens(&self, options: &SelectOptions) -> Result<Option<SignalDir>> {
        let is_budget = options.targets.iter().any(|target| matches!(target, Target::Tokens(_)));
        if !is_budget || options.tokenizer.is_some() {
            return Ok(None);
        }
        let mut counts = self.stored_counts_of_tokens()?;
        match (counts.pop(), counts.len()) {
            (None, _) => Err(needs_tokenizer()),
            (only, 0) => Ok(only),
            (_, more) => Err(Error::usage(
                format!("the run holds counts of tokens by {} tokenizers, and a budget needs one", more + 1),
                "say which by --tokenizer SOURCE",
            )),
        }
    }

    /// The corpus as it will be: shards that are still to be read have no content yet.
    fn foreseen_version(&self) -> Result<CorpusVersion> {
        let columns = self.corpus_columns();
        let mut records = Vec::new();
        for shard in self.corpus.shards() {
            records.push(match self.run.inventory_receipt(&shard.path, &columns)? {
                Some(receipt) => receipt.shard,
                None => ShardRecord {
                    path: shard.path.clone(),
                    rows: 0,
                    documents: 0,
                    failed: std::collections::BTreeMap::new(),
                    bytes: shard.size_bytes,
                    digest: String::new(),
                    version: shard.version.clone(),
                    parts: Vec::new(),
                },
            });
        }
        let mut version = CorpusVersion::new(self.location.clone(), columns, records);
        version.number = self.run.latest_corpus()?.map_or(1, |latest| latest.number + 1);
        Ok(version)
    }

    /// Refuses a name that another selection has, or that none can have.
    fn check_name(
        &self,
        options: &SelectOptions,
        plan: &Fingerprint,
        is_certain: IsCertain<'_>,
    ) -> Result<()> {
        let Some(name) = &options.name else { return Ok(()) };
        let Some(stored) = self.run.find_selection(name)? else { return Ok(()) };
        let mut changes = Fingerprint::from_fields(stored.plan().fields.clone()).changes(plan);
        changes.retain(is_certain);
        if changes.is_empty() {
            return Ok(());
        }
        let path = format!("selections/{name}/plan.json");
        let changes = changes.iter().map(ToString::to_string).collect();
        Err(tamis_io::run::RunError::Conflict { path, changes }.into())
    }

    /// Where kept documents go, if that is named.
    fn out_folder(&self, options: &SelectOptions) -> Result<Option<Store>> {
        let out = options.out.as_ref().filter(|_| !options.decide_only);
        out.map(|folder| store_beside(self.run.store(), folder)).transpose()
    }

    /// Refuses places that cannot be written.
    fn check_writable(&self, options: &SelectOptions) -> Result<()> {
        self.run.store().check_writable()?;
        self.out_folder(options)?.map_or(Ok(()), |out| Ok(out.check_writable()?))
    }
}

fn refuse_negative(record: &SignalRecord, column: &str, rule: Rule) -> Result<()> {
    let name = &record.name;
    let (logarithms, instead) = crate::signals::logarithms(name);
    match rule {
        Rule::Ips | Rule::Poisson if logarithms.contains(&column) => Err(Error::usage(
            format!("rule `{rule}` needs scores above 0, and `{name}.{column}` is a logarithm"),
            format!("write --by {name}.{instead}, or leave --rule out"),
        )),
        _ => Ok(()),
    }
}

pub(super) fn needs_tokenizer() -> Error {
    let hint = "add --tokenizer SOURCE, e.g. --tokenizer smollm2";
    Error::usage("a budget in tokens needs a tokenizer that counts them", hint)
}

pub(super) fn poisson_needs_documents() -> Error {
    Error::usage(
        "the poisson rule draws documents independently and cannot fill a budget of tokens or bytes",
        "use --rule ips with this budget, or --rate or --documents with --rule poisson",
    )
}
