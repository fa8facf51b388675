//! The table of signals that the laws run over: a new signal is one more row.

use std::collections::BTreeMap;
use std::path::Path;

use tamis::options::{
    AskOptions, ClustersOptions, ColumnOptions, Combine, ContaminationOptions, CopiesOptions, CorpusOptions,
    CountsOptions, DensityOptions, EmbedOptions, EnsembleOptions, Member, MinhashOptions, NgramOptions,
    Objective, PerplexityOptions, RulesOptions, SelectOptions, SemdedupOptions, SignalOptions, TokensOptions,
};
use tamis::{MapReport, Project, Rate, Rule, ScoreOptions, Scorer, SelectReport, Target, Worker};
use tamis_io::run::CorpusVersion;

use crate::support::blend::blend;
use crate::support::models::MODELS;
use crate::support::observers::Shared;
use crate::support::server::SERVER;

/// A signal and what the laws must know of it.
pub(crate) struct Row {
    /// As the user writes it.
    pub(crate) name: &'static str,
    /// Where it comes from.
    pub(crate) made: Made,
    /// Column to select by and rule, where it is a score.
    pub(crate) select: Option<(&'static str, Rule)>,
    /// What a value depends on.
    pub(crate) depends: On,
}

/// What a value depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// The row, so that a worker can do its share alone.
    Row,
    /// The row, and what is fitted once to what all workers make first.
    Frozen,
    /// All rows of the inventory, so that a corpus that has grown has other values everywhere.
    Inventory,
    /// All rows of signals that are computed first, in so many rounds with its own.
    AllRows { rounds: usize },
}

/// Where a signal comes from.
pub(crate) enum Made {
    /// It is one of tamis' own.
    Asked {
        /// How it is asked for.
        options: fn() -> SignalOptions,
        /// The same name asked for otherwise.
        changed: fn() -> SignalOptions,
        /// What a refusal of the above must name.
        changes: &'static [&'static str],
    },
    /// It is the caller's own, and reads others that are computed first.
    Own { scorer: fn(&Project, &CorpusVersion, Worker) -> tamis::Result<Scorer> },
}

pub(crate) const TABLE: &[Row] = &[
    Row {
        name: "column:q-a",
        made: Made::Asked {
            options: || SignalOptions::Column(ColumnOptions { name: "q-a".to_owned() }),
            changed: || SignalOptions::Column(ColumnOptions { name: "q.a".to_owned() }),
            changes: &[],
        },
        select: Some(("score", Rule::Top)),
        depends: On::Row,
    },
    Row {
        name: "counts",
        made: Made::Asked {
            options: || SignalOptions::Counts(CountsOptions {}),
            changed: || SignalOptions::Counts(CountsOptions {}),
            changes: &[],
        },
        select: Some(("stop_word_share", Rule::Top)),
        depends: On::Row,
    },
    Row {
        name: "rules",
        made: Made::Asked {
            options: || SignalOptions::Rules(RulesOptions::default()),
            changed: || {
                let thresholds = BTreeMap::from([("gopher-words-min".to_owned(), 9.0)]);
                SignalOptions::Rules(RulesOptions { thresholds, ..RulesOptions::default() })
            },
            changes: &["threshold.gopher-words-min"],
        },
        select: Some(("broken", Rule::Bottom)),
        depends: On::Row,
    },
    Row {
        name: "copies",
        made: Made::Asked {
            options: || SignalOptions::Copies(CopiesOptions {}),
            changed: || SignalOptions::Copies(CopiesOptions {}),
            changes: &[],
        },
        select: Some(("copies", Rule::Bottom)),
        depends: On::Inventory,
    },
    Row {
        name: "minhash",
        made: Made::Asked {
            options: || SignalOptions::Minhash(minhash()),
            changed: || SignalOptions::Minhash(MinhashOptions { verify: Some(0.6), ..minhash() }),
            changes: &["verify"],
        },
        select: Some(("rank", Rule::Bottom)),
        depends: On::AllRows { rounds: 2 },
    },
    Row {
        name: "ensemble",
        made: Made::Asked {
            options: || SignalOptions::Ensemble(ensemble()),
            changed: || SignalOptions::Ensemble(EnsembleOptions { combine: Combine::Max, ..ensemble() }),
            changes: &["combine"],
        },
        select: Some(("score", Rule::Top)),
        depends: On::AllRows { rounds: 2 },
    },
    Row {
        name: "contamination",
        made: Made::Asked {
            options: || SignalOptions::Contamination(contamination()),
            changed: || SignalOptions::Contamination(ContaminationOptions { gram: 6, ..contamination() }),
            changes: &["gram"],
        },
        select: Some(("matches", Rule::Bottom)),
        depends: On::AllRows { rounds: 2 },
    },
    Row {
        name: "tokens",
        made: Made::Asked {
            options: || SignalOptions::Tokens(TokensOptions { tokenizer: MODELS.judge.clone() }),
            changed: || SignalOptions::Tokens(TokensOptions { tokenizer: MODELS.embedder.clone() }),
            changes: &["tokenizer"],
        },
        select: Some(("tokens", Rule::Bottom)),
        depends: On::Row,
    },
    Row {
        name: "embed",
        made: Made::Asked {
            options: || SignalOptions::Embed(embed()),
            changed: || {
                SignalOptions::Embed(EmbedOptions { model: MODELS.other_embedder.clone(), ..embed() })
            },
            changes: &["model"],
        },
        select: None,
        depends: On::Row,
    },
    Row {
        name: "ask-llm",
        made: Made::Asked {
            options: || SignalOptions::AskLlm(ask()),
            changed: || SignalOptions::AskLlm(AskOptions { model: MODELS.other_judge.clone(), ..ask() }),
            changes: &["model"],
        },
        select: Some(("score", Rule::Top)),
        depends: On::Row,
    },
    Row {
        name: "perplexity",
        made: Made::Asked {
            options: || SignalOptions::Perplexity(perplexity()),
            changed: || SignalOptions::Perplexity(PerplexityOptions { stride: Some(3), ..perplexity() }),
            changes: &["stride_tokens"],
        },
        select: Some(("nll_per_byte", Rule::Band)),
        depends: On::Row,
    },
    Row {
        name: "ngram",
        made: Made::Asked {
            options: || SignalOptions::Ngram(ngram(&MODELS.ngram)),
            changed: || SignalOptions::Ngram(ngram(&MODELS.other_ngram)),
            changes: &["model"],
        },
        select: Some(("perplexity", Rule::Bottom)),
        depends: On::Row,
    },
    Row {
        name: "perplexity:late",
        made: Made::Asked {
            options: || {
                let name = Some("late".to_owned());
                SignalOptions::Perplexity(PerplexityOptions { name, ..perplexity() })
            },
            changed: || {
                let (name, model) = (Some("late".to_owned()), Some(MODELS.other_judge.clone()));
                SignalOptions::Perplexity(PerplexityOptions { name, model, ..perplexity() })
            },
            changes: &["model"],
        },
        select: Some(("perplexity", Rule::Bottom)),
        depends: On::Row,
    },
    Row {
        name: "ask-llm",
        made: Made::Asked {
            options: || SignalOptions::AskLlm(AskOptions { model: MODELS.t5_judge.clone(), ..ask() }),
            changed: || SignalOptions::AskLlm(AskOptions { model: MODELS.other_t5_judge.clone(), ..ask() }),
            changes: &["model"],
        },
        select: Some(("score", Rule::Top)),
        depends: On::Row,
    },
    Row {
        name: "perplexity",
        made: Made::Asked {
            options: || {
                let objective = Some(Objective::Span);
                SignalOptions::Perplexity(PerplexityOptions { objective, ..t5_perplexity() })
            },
            changed: || {
                let objective = Some(Objective::Prefix);
                SignalOptions::Perplexity(PerplexityOptions { objective, ..t5_perplexity() })
            },
            changes: &["objective"],
        },
        select: Some(("perplexity", Rule::Bottom)),
        depends: On::Row,
    },
    Row {
        name: "embed",
        made: Made::Asked {
            options: || SignalOptions::Embed(EmbedOptions { model: MODELS.sentence_t5.clone(), ..embed() }),
            changed: || SignalOptions::Embed(embed()),
            changes: &["model", "dimension"],
        },
        select: None,
        depends: On::Row,
    },
    Row {
        name: "density",
        made: Made::Asked {
            options: || SignalOptions::Density(density()),
            changed: || SignalOptions::Density(DensityOptions { seed: 5, ..density() }),
            changes: &["seed"],
        },
        select: Some(("score", Rule::Ips)),
        depends: On::Frozen,
    },
    Row {
        name: "clusters",
        made: Made::Asked {
            options: || SignalOptions::Clusters(clusters()),
            changed: || SignalOptions::Clusters(ClustersOptions { iterations: 2, ..clusters() }),
            changes: &["iterations"],
        },
        select: Some(("similarity", Rule::Bottom)),
        depends: On::Frozen,
    },
    Row {
        name: "semdedup",
        made: Made::Asked {
            options: || SignalOptions::Semdedup(semdedup()),
            changed: || SignalOptions::Semdedup(SemdedupOptions { probe: 2, ..semdedup() }),
            changes: &["probe"],
        },
        select: Some(("score", Rule::Bottom)),
        depends: On::AllRows { rounds: 3 },
    },
    Row {
        name: "ask-llm",
        made: Made::Asked {
            options: || SignalOptions::AskLlm(ask_server()),
            changed: || {
                SignalOptions::AskLlm(AskOptions { model: format!("{}#other", *SERVER), ..ask_server() })
            },
            changes: &["model"],
        },
        select: Some(("score", Rule::Top)),
        depends: On::Row,
    },
    Row {
        name: "embed",
        made: Made::Asked {
            options: || SignalOptions::Embed(embed_server()),
            changed: || SignalOptions::Embed(EmbedOptions { store_f32: true, ..embed_server() }),
            changes: &["precision"],
        },
        select: None,
        depends: On::Row,
    },
    Row {
        name: "blend",
        made: Made::Own { scorer: |project, version, worker| blend(project, version, worker, false) },
        select: Some(("score", Rule::Top)),
        depends: On::Row,
    },
    Row {
        name: "blend-documents",
        made: Made::Own { scorer: |project, version, worker| blend(project, version, worker, true) },
        select: Some(("score", Rule::Ips)),
        depends: On::Row,
    },
];

/// The rows that are asked for by options.
pub(crate) fn asked() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(|row| matches!(row.made, Made::Asked { .. }))
}

pub(crate) fn embed() -> EmbedOptions {
    EmbedOptions { model: MODELS.embedder.clone(), ..EmbedOptions::default() }
}

pub(crate) fn ngram(model: &str) -> NgramOptions {
    NgramOptions { model: model.to_owned(), ..NgramOptions::default() }
}

pub(crate) fn ask() -> AskOptions {
    AskOptions { model: MODELS.judge.clone(), prompts: vec!["paper".to_owned()], ..AskOptions::default() }
}

fn ask_server() -> AskOptions {
    AskOptions { model: format!("{}/v1#fake", *SERVER), ..AskOptions::default() }
}

fn embed_server() -> EmbedOptions {
    EmbedOptions { model: format!("{}/v1#fake", *SERVER), ..EmbedOptions::default() }
}

/// Windows that most documents of the laws do not fit.
pub(crate) fn perplexity() -> PerplexityOptions {
    PerplexityOptions {
        model: Some(MODELS.judge.clone()),
        window: Some(12),
        stride: Some(7),
        ..PerplexityOptions::default()
    }
}

fn t5_perplexity() -> PerplexityOptions {
    PerplexityOptions {
        model: Some(MODELS.t5_judge.clone()),
        window: Some(12),
        ..PerplexityOptions::default()
    }
}

pub(crate) fn density() -> DensityOptions {
    DensityOptions { embed: embed(), repetitions: 100, buckets: Some(512), ..DensityOptions::default() }
}

fn clusters() -> ClustersOptions {
    ClustersOptions { embed: embed(), clusters: Some(7), iterations: 3, ..ClustersOptions::default() }
}

fn minhash() -> MinhashOptions {
    MinhashOptions { ngram: 2, bands: 6, rows: 2, verify: Some(0.4), ..MinhashOptions::default() }
}

fn ensemble() -> EnsembleOptions {
    let members = ["counts.words*2", "counts.zlib_ratio"].map(|text| Member::parse(text).unwrap());
    EnsembleOptions { members: members.into(), ..EnsembleOptions::default() }
}

/// Evaluations of which the corpora of the laws have words in a row.
pub(crate) fn contamination() -> ContaminationOptions {
    ContaminationOptions { evaluations: vec![MODELS.evaluations.clone()], ..ContaminationOptions::default() }
}

fn semdedup() -> SemdedupOptions {
    SemdedupOptions { clusters: clusters(), ..SemdedupOptions::default() }
}

pub(crate) fn column(name: &str) -> SignalOptions {
    SignalOptions::Column(ColumnOptions { name: name.to_owned() })
}

/// Documents of a span of what is folded: few enough for several spans in the corpora of the laws, so that all of them hold
/// for what is kept of a fold.
pub(crate) const SPAN_DOCUMENTS: u64 = 100;

pub(crate) fn open(corpus: &Path, run: &Path, threads: usize, observer: &impl Shared) -> Project {
    let corpus = CorpusOptions::new(corpus.to_str().unwrap());
    Project::open(Some(corpus), run, threads, observer.shared()).unwrap().with_spans_of(SPAN_DOCUMENTS)
}

pub(crate) fn rates(rates: &[&str]) -> Vec<Target> {
    rates.iter().map(|rate| Target::Rate(Rate::parse(rate).unwrap())).collect()
}

/// A selection into the run itself.
pub(crate) fn selecting(by: &str, rule: Option<Rule>, targets: Vec<Target>) -> SelectOptions {
    SelectOptions { by: by.to_owned(), rule, targets, seed: 7, ..SelectOptions::default() }
}

impl Row {
    /// How it is asked for.
    pub(crate) fn options(&self) -> SignalOptions {
        let Made::Asked { options, .. } = self.made else { panic!("`{}` has no options", self.name) };
        options()
    }

    /// The same name asked for otherwise.
    pub(crate) fn changed(&self) -> SignalOptions {
        let Made::Asked { changed, .. } = self.made else { panic!("`{}` has no options", self.name) };
        changed()
    }

    /// What a refusal of [`Row::changed`] must name.
    pub(crate) fn changes(&self) -> &'static [&'static str] {
        let Made::Asked { changes, .. } = self.made else { return &[] };
        changes
    }

    /// As the run has it.
    pub(crate) fn stored_name(&self) -> String {
        match self.made {
            Made::Asked { options, .. } => options().stored_name(),
            Made::Own { .. } => self.name.to_owned(),
        }
    }

    /// What computes it, with all that it reads computed.
    pub(crate) fn scorer(&self, project: &Project, version: &CorpusVersion) -> tamis::Result<Scorer> {
        match self.made {
            Made::Asked { options, .. } => project.scorer(&options()),
            Made::Own { scorer } => scorer(project, version, Worker::ALONE),
        }
    }

    /// Stage that an observer sees while it is scored.
    pub(crate) fn stage(&self) -> String {
        format!("score {}", self.stored_name())
    }

    /// Scores, as one of several workers or alone.
    pub(crate) fn score(&self, project: &Project, version: &CorpusVersion, worker: Worker) -> MapReport {
        self.try_score(project, version, worker).unwrap()
    }

    pub(crate) fn try_score(
        &self,
        project: &Project,
        version: &CorpusVersion,
        worker: Worker,
    ) -> tamis::Result<MapReport> {
        self.score_as(project, version, ScoreOptions { worker, ..ScoreOptions::default() })
    }

    /// As [`Row::try_score`], in any way.
    pub(crate) fn score_as(
        &self,
        project: &Project,
        version: &CorpusVersion,
        options: ScoreOptions,
    ) -> tamis::Result<MapReport> {
        Ok(match self.made {
            Made::Asked { options: asked, .. } => project.score(version, &asked(), options)?.1.map,
            Made::Own { scorer } => {
                project.score_with(version, &scorer(project, version, options.worker)?, options)?.1.map
            }
        })
    }

    /// Selects two rates by it, or at random where it is no score.
    pub(crate) fn select(&self, project: &Project, version: &CorpusVersion) -> SelectReport {
        self.try_select(project, version).unwrap()
    }

    fn try_select(&self, project: &Project, version: &CorpusVersion) -> tamis::Result<SelectReport> {
        let targets = rates(&["10%", "35%"]);
        match self.select {
            Some((column, rule)) => {
                let signal = project.run_directory().resolve(&self.stored_name())?;
                let options = selecting(self.name, Some(rule), targets);
                project.select(version, Some((&signal, column)), None, &options)
            }
            None => project.select(version, None, None, &selecting("random", None, targets)),
        }
    }

    /// All of it: read, score, select.
    pub(crate) fn complete(&self, project: &Project) -> (CorpusVersion, MapReport, SelectReport) {
        self.try_complete(project).unwrap()
    }

    /// As [`Row::complete`], where it may fail.
    pub(crate) fn try_complete(
        &self,
        project: &Project,
    ) -> tamis::Result<(CorpusVersion, MapReport, SelectReport)> {
        let version = project.inventory()?;
        let map = self.try_score(project, &version, Worker::ALONE)?;
        let select = self.try_select(project, &version)?;
        Ok((version, map, select))
    }
}
