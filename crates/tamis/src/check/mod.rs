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
mod stored;

use std::path::PathBuf;
use std::time::Instant;

use tamis_core::Signal;
use tamis_models::ask_llm::Judge;
use tamis_models::prompt::{PromptError, builtin};

use self::candidate::{Candidate, Judged, Likelihood};
pub use self::labelled::Half;
use self::labelled::LabelledSet;
use self::report::Ground;
pub use self::report::{CheckedJudge, KindOfBad, Verdict};
pub(crate) use self::stored::findings;
use crate::evaluation::{Baseline, Bootstrap};
use crate::options::{AskOptions, Dtype, Engine};
use crate::{Error, Observer, Result, models, pool};

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
}

/// What was found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The model in full.
    pub model: String,
    /// Digest of its weights.
    pub digest: String,
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
    let judge =
        models::judge(&options.model, options.dtype, options.engine, crate::options::Device::Cpu, observer)?;
    let mut left_out = Vec::new();
    let asked = questions(options, &judge, &mut left_out)?;
    let ground = Ground::new(&set, Bootstrap::default());
    let baselines = ground.baselines()?;
    let baselines_by_kind = ground.best_by_kind()?;

    let bytes: u64 = set.documents.iter().map(|document| document.text.len() as u64).sum();
    observer.begin("check", bytes * asked.len() as u64);
    let threads = if threads > 0 {
        threads
    } else {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
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
        model: judge.source.clone(),
        default_prompt: builtin::for_model(&judge.digest).unwrap_or(builtin::PAPER).to_owned(),
        digest: judge.digest,
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

fn questions(options: &CheckOptions, judge: &Judge, left_out: &mut Vec<String>) -> Result<Vec<Asked>> {
    let mut asked = Vec::new();
    let mut ask = |prompt: &str, chat: bool| -> Result<()> {
        let set = models::resolve_prompts(&[prompt.to_owned()], &judge.digest)?;
        let own = AskOptions { chat, dtype: options.dtype, engine: options.engine, ..AskOptions::default() };
        let signal = models::ask(judge.clone(), &set, &own)?;
        let identity = stored::identity(signal.info().fingerprint.fields());
        let rendering = if chat { "chat" } else { "raw" };
        asked.push(Asked { prompt: set.name().to_owned(), rendering, identity, candidate: Box::new(signal) });
        Ok(())
    };
    let chat = judge.chat_template.is_some() && !options.raw_only;
    if options.prompts.is_empty() {
        if judge.chat_template.is_none() {
            left_out.push("chat: the model brings no chat template".to_owned());
        }
        for rendering in [false, true] {
            for prompt in builtin::names().into_iter().filter(|_| chat || !rendering) {
                match ask(prompt, rendering) {
                    // A model of a short context is checked with what fits.
                    Err(Error::Models(tamis_models::Error::Prompt(error @ PromptError::NoRoom { .. }))) => {
                        left_out.push(error.to_string());
                    }
                    asked => asked?,
                }
            }
        }
        asked.push(Asked {
            prompt: "negative mean NLL".to_owned(),
            rendering: "none",
            identity: String::new(),
            candidate: Box::new(Likelihood::new(judge.clone())),
        });
    } else {
        for prompt in &options.prompts {
            ask(prompt, false)?;
            if chat {
                ask(prompt, true)?;
            }
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
