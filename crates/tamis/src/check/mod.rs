//! Whether a judge can judge: its score under every built-in prompt, against labels, beside the counts that cost nothing.
//!
//! A judge can be good on one kind of bad document and upside down on another, so figures are by kind; and a judge that a
//! count of stop words equals is not worth its hours, so the counts stand beside it. Results are stored, by what identifies
//! model and question, and scoring warns of what they say.
//!
//! Not for choosing a prompt on the documents whose figures one then quotes: that is what the halves are for.

mod candidate;
mod labelled;
mod report;
pub(crate) mod stored;

use std::path::PathBuf;
use std::time::Instant;

use serde::{Serialize, Serializer};
use serde_json::json;
use tamis_core::{Direction, Signal};
use tamis_models::ask_llm::Judge;
use tamis_models::prompt::{PromptError, builtin};

use self::candidate::{Candidate, Judged, Likelihood};
pub use self::labelled::Half;
use self::labelled::LabelledSet;
use self::report::Ground;
pub use self::report::{CheckedJudge, KindOfBad, Verdict};
use crate::evaluation::{Baseline, Bootstrap};
use crate::model_options::{Device, Dtype, Engine, ServerOptions};
use crate::models::{is_server, on_kernels};
use crate::signals::{AskOptions, ask_llm};
use crate::{Error, Observer, Result, numeric, pool};

/// Documents that a worker judges at once.
const DOCUMENTS_PER_CALL: usize = 12;

/// What to check, and on what.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Model source.
    pub model: String,
    /// File of labelled documents; `None` is the set that ships inside.
    pub labelled: Option<PathBuf>,
    /// Which half of the set that ships inside.
    pub half: Half,
    /// Prompts to check; none: every built-in one, raw and in the chat template, and the likelihood of the text.
    pub prompts: Vec<String>,
    /// Not in the chat template.
    pub raw_only: bool,
    /// At most so many documents of each kind.
    pub most_of_a_kind: Option<usize>,
    /// Number format.
    pub dtype: Dtype,
    /// Implementation.
    pub engine: Engine,
    /// How a model that is a server's address is asked.
    pub server: ServerOptions,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The model in full.
    pub model: String,
    /// Digest of its weights; of a model behind a server, its name there.
    pub digest: String,
    /// Numeric path that computed it, and why this one; `None` behind a server or on another engine.
    pub numeric_path: Option<(String, String)>,
    /// Name of the set of prompts that `auto` stands for with this model.
    pub default_prompt: String,
    /// Where the documents are from.
    pub labelled: String,
    /// Digest of the file or set.
    pub labelled_digest: String,
    /// How many are good.
    pub good: usize,
    /// How many are bad.
    pub bad: usize,
    /// Trivial counts over all, best first, each in its better direction.
    pub baselines: Vec<Baseline>,
    /// For each kind of bad: its name, its documents, and the trivial count that is best for it.
    pub baselines_by_kind: Vec<(String, usize, Baseline)>,
    /// The judges, in the order in which they were checked.
    pub judges: Vec<CheckedJudge>,
    /// Renderings that the model does not have, and why.
    pub left_out: Vec<String>,
}

/// The object that `--json` prints: figures of every judge with its verdict in a sentence, and the counts beside them.
impl Serialize for CheckReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let baseline = |baseline: &Baseline| {
            let better = match baseline.direction {
                Direction::HigherIsBetter => "higher",
                Direction::LowerIsBetter => "lower",
            };
            json!({ "count": baseline.name, "better": better, "auc": baseline.auc })
        };
        let kinds = self.baselines_by_kind.iter().map(
            |(kind, documents, best)| json!({ "kind": kind, "documents": documents, "best": baseline(best) }),
        );
        let judges = self.judges.iter().map(|judge| {
            let mut value = json!(judge);
            value["sentence"] = json!(judge.sentence());
            value
        });
        let object = json!({
            "model": self.model,
            "digest": self.digest,
            "numeric_path": self.numeric_path.as_ref().map(|(path, _)| path),
            "numeric_path_because": self.numeric_path.as_ref().map(|(_, because)| because),
            "default_prompt": self.default_prompt,
            "labelled": self.labelled,
            "labelled_digest": self.labelled_digest,
            "good": self.good,
            "bad": self.bad,
            "baselines": self.baselines.iter().map(baseline).collect::<Vec<_>>(),
            "baselines_by_kind": kinds.collect::<Vec<_>>(),
            "judges": judges.collect::<Vec<_>>(),
            "left_out": self.left_out,
        });
        object.serialize(serializer)
    }
}

/// A question that is put to the model, or none.
struct Asked {
    prompt: String,
    rendering: &'static str,
    identity: String,
    candidate: Box<dyn Candidate>,
}

/// Checks a model.
///
/// # Errors
/// A model or labelled file that cannot be read or used; prompts that do not fit the model.
pub fn check_model(options: &CheckOptions, threads: usize, observer: &dyn Observer) -> Result<CheckReport> {
    let mut set = match &options.labelled {
        Some(path) => LabelledSet::read(path)?,
        None => LabelledSet::shipped(options.half)?,
    };
    if let Some(most) = options.most_of_a_kind {
        set.at_most(most);
    }
    let mut left_out = Vec::new();
    let model = Model::open(options, observer)?;
    let asked = questions(options, &model, observer, &mut left_out)?;
    let ground = Ground::new(&set, Bootstrap::default());
    let baselines = ground.baselines()?;
    let baselines_by_kind = ground.best_by_kind()?;

    let bytes: u64 = set.documents.iter().map(|document| document.text.len() as u64).sum();
    observer.begin("check", bytes * asked.len() as u64);
    let threads = match &model {
        Model::Server(_) => options.server.concurrency.max(1),
        Model::Here(_) if threads > 0 => threads,
        Model::Here(_) => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let mut judges = Vec::new();
    for one in asked {
        let began = Instant::now();
        let judged = judge_all(&*one.candidate, &set, threads, observer)?;
        let seconds = began.elapsed().as_secs_f64();
        let names = [one.prompt, one.rendering.to_owned(), one.identity];
        let checked = ground.figures(names, &judged, seconds)?;
        if options.most_of_a_kind.is_none() && options.half == Half::Reporting {
            stored::store(&set, &checked, observer);
        }
        judges.push(checked);
    }
    observer.end();
    Ok(CheckReport {
        numeric_path: on_kernels(&options.model, options.engine, Device::Cpu).then(|| {
            let choice = numeric::choose(options.dtype);
            (choice.path.name().to_owned(), choice.why)
        }),
        default_prompt: builtin::for_model(model.digest()).unwrap_or(builtin::PAPER).to_owned(),
        digest: model.digest().to_owned(),
        model: model.source().to_owned(),
        labelled: set.name.clone(),
        labelled_digest: set.digest.to_string(),
        good: ground.good.iter().filter(|good| **good).count(),
        bad: ground.good.iter().filter(|good| !**good).count(),
        baselines,
        baselines_by_kind,
        judges,
        left_out,
    })
}

/// What is asked.
enum Model {
    Here(Box<Judge>),
    /// By its address.
    Server(String),
}

impl Model {
    fn open(options: &CheckOptions, observer: &dyn Observer) -> Result<Self> {
        if is_server(&options.model) {
            return Ok(Self::Server(options.model.clone()));
        }
        let CheckOptions { model, dtype, engine, .. } = options;
        Ok(Self::Here(Box::new(ask_llm::judge(model, *dtype, *engine, Device::Cpu, observer)?)))
    }

    fn source(&self) -> &str {
        match self {
            Self::Here(judge) => &judge.identity.source,
            Self::Server(address) => address,
        }
    }

    fn digest(&self) -> &str {
        match self {
            Self::Here(judge) => &judge.identity.digest,
            Self::Server(_) => "",
        }
    }

    /// Why the model has no chat, if that is known before it is asked.
    fn no_chat(&self) -> Option<&'static str> {
        match self {
            Self::Here(judge) if judge.chat_template.is_none() => {
                Some("chat: the model brings no chat template")
            }
            _ => None,
        }
    }

    /// The question of one prompt.
    fn ask(
        &self,
        options: &CheckOptions,
        prompt: &str,
        chat: bool,
        observer: &dyn Observer,
    ) -> Result<Asked> {
        let own = AskOptions {
            model: options.model.clone(),
            prompts: vec![prompt.to_owned()],
            chat,
            dtype: options.dtype,
            engine: options.engine,
            server: options.server.clone(),
            ..AskOptions::default()
        };
        let set = ask_llm::resolve_prompts(&own.prompts, self.digest())?;
        let rendering = if chat { "chat" } else { "raw" };
        let (fields, candidate): (_, Box<dyn Candidate>) = match self {
            Self::Here(judge) => {
                let signal = ask_llm::ask(Judge::clone(judge), &set, &own, observer)?;
                (signal.info().fingerprint.fields().clone(), Box::new(signal))
            }
            Self::Server(_) => {
                let signal = ask_llm::behind_server(&own, observer)?;
                (signal.info().fingerprint.fields().clone(), Box::new(signal))
            }
        };
        let identity = stored::identity(&fields);
        Ok(Asked { prompt: set.name().to_owned(), rendering, identity, candidate })
    }

    /// The likelihood of the text.
    fn likelihood(&self) -> Result<Likelihood, String> {
        match self {
            Self::Here(judge) => Likelihood::new(judge).map_err(|error| error.to_string()),
            Self::Server(_) => Err("a server does not show it".to_owned()),
        }
    }
}

/// Every question that the model can be asked.
///
/// # Errors
/// A prompt that cannot be had; a server that can be asked nothing.
fn questions(
    options: &CheckOptions,
    model: &Model,
    observer: &dyn Observer,
    left_out: &mut Vec<String>,
) -> Result<Vec<Asked>> {
    let all = options.prompts.is_empty();
    let prompts: Vec<&str> =
        if all { builtin::names() } else { options.prompts.iter().map(String::as_str).collect() };
    let (mut asked, mut refused) = (Vec::new(), None);
    for chat in [false, true].into_iter().filter(|chat| !chat || !options.raw_only) {
        if let Some(reason) = model.no_chat().filter(|_| chat) {
            left_out.push(reason.to_owned());
            continue;
        }
        for prompt in &prompts {
            match model.ask(options, prompt, chat, observer) {
                Ok(one) => asked.push(one),
                // A model of a short context is checked with what fits.
                Err(Error::Models(tamis_models::Error::Prompt(error @ PromptError::NoRoom { .. })))
                    if all =>
                {
                    left_out.push(error.to_string());
                }
                // A server has both ways of asking, or one of them.
                Err(error @ Error::Remote(tamis_remote::Error::Answer { .. })) => {
                    left_out.push(format!("{}: {error}", if chat { "chat" } else { "raw" }));
                    refused.get_or_insert(error);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    if let Some(error) = refused.filter(|_| asked.is_empty()) {
        return Err(error);
    }
    if all {
        let prompt = "negative mean NLL".to_owned();
        match model.likelihood() {
            Ok(likelihood) => asked.push(Asked {
                prompt,
                rendering: "none",
                identity: String::new(),
                candidate: Box::new(likelihood),
            }),
            Err(reason) => left_out.push(format!("{prompt}: {reason}")),
        }
    }
    Ok(asked)
}

fn judge_all(
    candidate: &dyn Candidate,
    set: &LabelledSet,
    threads: usize,
    observer: &dyn Observer,
) -> Result<Vec<Option<Judged>>> {
    let calls: Vec<_> = set.documents.chunks(DOCUMENTS_PER_CALL).collect();
    let judged = pool::map(calls, threads, |documents| {
        let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
        let judged = candidate.judge(&texts)?;
        let tokens = judged.iter().flatten().map(|judged| judged.tokens).sum();
        observer.advance(texts.len() as u64, tokens, texts.iter().map(|text| text.len() as u64).sum());
        Ok(judged)
    })?;
    Ok(judged.into_iter().flatten().collect())
}
