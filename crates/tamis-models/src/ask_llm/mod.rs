//! Ask-LLM: the probability that a model answers "yes" when asked whether a document is worth training on.
//!
//! Sachdeva et al., *How to Train Data-Efficient LLMs*, arXiv 2402.09668 (2024), §3.1, Figure 3, Algorithm 1. The paper's
//! score is P("yes") at the first answer position; it is the column `p_yes`. Deviations:
//! - Decoders spell yes in several ways; the probabilities of all single-token spellings are added ([`Labels`]).
//! - Ranking is by the log odds ln P(yes) − ln P(no) (column `score`), which neither saturate like a probability nor
//!   follow how much of the probability goes to other words.
//! - A document is cut on a token boundary so that prompt and document fit the context, or read in windows ([`Long`]).
//! - Several prompts may be averaged. One that asks about what is bad is *reversed*: what is said below of "yes" holds for
//!   its "no".
//!
//! A model is a decoder, which goes on from the end of the prompt, or an encoder–decoder as in the paper, whose answer is
//! the first decoder step ([`AnswerModel`]).
//!
//! Cost: one forward pass over document and question for each prompt. In a decoder, the part of a prompt that stands
//! before the document is computed once; an encoder reads it with every document.
//!
//! This module is not for generating text, and not for judging whether the judge is any good: a score follows length,
//! source and style of a document too.

mod answer;
pub mod columns;
mod compiled;
mod diagnostics;
#[cfg(test)]
pub(crate) mod fake;
mod labels;
mod model;
mod show;
mod windows;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::Range;

use arrow_array::RecordBatch;
use tamis_core::{
    Direction, DocumentBatch, Input, Parallelism, Ranking, Rule, Signal, SignalInfo, column, reason,
};

use crate::build::Backend;
use crate::error::Result;
use crate::identity::ModelIdentity;
use crate::packs::packs;
use crate::prompt::{ChatTemplate, Prompt, PromptError, PromptSet, Rendering};
use crate::source::LoadedModel;
use crate::tokenizer::Joint;

use answer::{Answer, MeanAnswer, single_log_p, vocabulary_log_sum_exp};
use columns::{More, Scored};
use compiled::{CompiledPrompt, Compiler};
use labels::LabelTokens;

pub use diagnostics::JudgeDiagnostics;
pub use labels::{Labels, spellings};
pub use model::AnswerModel;
pub use show::ShownPrompt;
pub use windows::Long;

/// Name of the signal.
pub const NAME: &str = "ask-llm";

/// Raised when the values that the same model and options give change.
const VERSION: u32 = 2;

/// A model that answers, with what a fingerprint must know of it.
#[derive(Clone)]
pub struct Judge {
    /// What answers.
    pub model: AnswerModel,
    /// Which model it is.
    pub identity: ModelIdentity,
    /// Its chat template, where it has one.
    pub chat_template: Option<ChatTemplate>,
}

impl Judge {
    /// Builds the graph of an opened model; the model's files are let go.
    ///
    /// # Errors
    /// When the model cannot answer, or its weights do not fit its configuration.
    pub fn from_model(loaded: LoadedModel, backend: Backend) -> Result<Self> {
        let model = AnswerModel::build(&loaded.architecture, &*loaded.weights, backend)?;
        let chat_template = loaded.chat_template.clone();
        Ok(Self { model, chat_template, identity: loaded.into() })
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// How documents are put to the judge.
#[derive(Clone, Debug)]
pub struct AskLlmOptions {
    /// Raw text or the model's chat template.
    pub rendering: Rendering,
    /// The two answers.
    pub labels: Labels,
    /// What is read of a long document.
    pub long: Long,
    /// Most tokens of a document (or of a window) that are read; `None`: what the context leaves. A T5 can be asked to
    /// read more than the context that it was trained with.
    pub max_document_tokens: Option<usize>,
    /// Tokens that one call of the model gets at most, if not a single sequence is longer. Decides speed and memory, not
    /// values.
    pub pack_tokens: usize,
    /// Bytes of text of one part: about ten seconds of work of one worker.
    pub part_bytes: u64,
    /// How many calls may run at once.
    pub parallelism: Parallelism,
}

impl Default for AskLlmOptions {
    fn default() -> Self {
        Self {
            rendering: Rendering::default(),
            labels: Labels::default(),
            long: Long::default(),
            max_document_tokens: None,
            pack_tokens: 2048,
            part_bytes: 64 << 10,
            parallelism: Parallelism::PerCore,
        }
    }
}

/// The signal `ask-llm`: higher = keep.
#[derive(Debug)]
pub struct AskLlm {
    info: SignalInfo,
    judge: Judge,
    prompts: Vec<CompiledPrompt>,
    delimiters: Vec<String>,
    long: Long,
    window_tokens: usize,
    pack_tokens: usize,
}

/// A window of a row, to be read under every prompt after which documents begin alike.
struct Job {
    row: usize,
    span: Range<usize>,
}

/// Documents as tokens, as they begin at one kind of joint.
struct Tokenized {
    tokens: Vec<Vec<u32>>,
    /// How many each whole document has.
    counts: Vec<usize>,
    jobs: Vec<Job>,
}

impl Tokenized {
    /// The jobs of a row.
    fn of_row(&self, row: usize) -> Range<usize> {
        let first = self.jobs.partition_point(|job| job.row < row);
        first..first + self.jobs[first..].partition_point(|job| job.row == row)
    }
}

impl AskLlm {
    /// Renders and tokenizes the prompts, finds the labels, and lets the model read what stands before the document.
    ///
    /// # Errors
    /// [`PromptError`] when the chat template fails or is missing, a label cannot be found, or a prompt leaves no room for
    /// a document; else what the model or the tokenizer says.
    pub fn new(judge: Judge, set: &PromptSet, options: &AskLlmOptions) -> Result<Self> {
        let mut prompts = Vec::with_capacity(set.prompts().len());
        for prompt in set.prompts() {
            let prompt = render(prompt, options.rendering, &judge)?;
            let reader = Compiler {
                model: &judge.model,
                tokenizer: &*judge.identity.tokenizer,
                labels: &options.labels,
            };
            prompts.push(CompiledPrompt::new(prompt, options.rendering, reader)?);
        }
        let context = match options.max_document_tokens {
            Some(_) => judge.model.longest(),
            None => judge.model.context(),
        };
        let window_tokens = window_tokens(&prompts, context, options.max_document_tokens)?;
        let mut delimiters: Vec<String> = set.prompts().iter().flat_map(Prompt::delimiters).collect();
        delimiters.sort();
        delimiters.dedup();
        let info = info(&judge, set, &prompts, window_tokens, options);
        let pack_tokens = options.pack_tokens.max(1);
        Ok(Self { info, judge, prompts, delimiters, long: options.long, window_tokens, pack_tokens })
    }

    /// Most tokens of a document, or of a window of it, that the judge reads.
    #[must_use]
    pub fn window_tokens(&self) -> usize {
        self.window_tokens
    }

    /// What should be known of the question before hours are spent on it; empty when all is well.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let opened = |compiled: &CompiledPrompt| {
            Some((compiled.prompt.name().to_owned(), compiled.prompt.open_thought()?))
        };
        let opened: Vec<(String, &str)> = self.prompts.iter().filter_map(opened).collect();
        let Some((_, opening)) = opened.first() else { return Vec::new() };
        let names: Vec<String> = opened.iter().map(|(name, _)| format!("`{name}`")).collect();
        vec![format!(
            "{} as `{}` renders it ends in an open `{opening}`: the judge is asked within a thought, where yes and no are \
             hardly answers; ask without --chat, or use a judge whose template lets it answer at once",
            names.join(", "),
            self.judge.identity.source
        )]
    }

    /// Every prompt of the set with this document in it, exactly as the model reads it.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn show_prompt(&self, document: &str) -> Result<Vec<ShownPrompt>> {
        let mut shown = Vec::with_capacity(self.prompts.len());
        for compiled in &self.prompts {
            let (tokens, document_tokens) = self.tokenize(document, compiled.joint)?;
            let mut windows = Vec::new();
            for span in self.long.spans(tokens.len(), self.window_tokens) {
                let text = if span.len() == document_tokens {
                    document.to_owned()
                } else {
                    let before = [compiled.prefix.as_slice(), &tokens[..span.start]].concat();
                    self.decode_after(&before, &tokens[span.clone()])?
                };
                windows.push((text, span.len()));
            }
            shown.push(ShownPrompt {
                name: compiled.prompt.name().to_owned(),
                prefix: (compiled.prompt.prefix().to_owned(), compiled.prefix.len()),
                windows,
                document_tokens,
                suffix: (compiled.prompt.suffix().to_owned(), compiled.suffix.len()),
                labels: (compiled.yes.describe(), compiled.no.describe()),
                reversed: compiled.prompt.is_reversed(),
            });
        }
        Ok(shown)
    }

    /// The text of tokens that follow others: the space of a first word is one only there.
    fn decode_after(&self, before: &[u32], tokens: &[u32]) -> Result<String> {
        let tokenizer = &*self.judge.identity.tokenizer;
        let all = tokenizer.decode(&[before, tokens].concat())?;
        match all.strip_prefix(tokenizer.decode(before)?.as_str()) {
            Some(text) => Ok(text.to_owned()),
            // A character that both have bytes of.
            None => tokenizer.decode(tokens),
        }
    }

    /// The tokens that may be read, and how many the whole document has.
    fn tokenize(&self, document: &str, joint: Joint) -> Result<(Vec<u32>, usize)> {
        let tokenizer = &*self.judge.identity.tokenizer;
        let most = match self.long {
            Long::Head => self.window_tokens,
            Long::Windows { .. } => usize::MAX,
        };
        let head = tokenizer.encode_head_at(document, most, joint)?;
        let count = if head.truncated {
            usize::try_from(tokenizer.count_at(document, joint)?).unwrap_or(usize::MAX)
        } else {
            head.tokens.len()
        };
        Ok((head.tokens, count))
    }

    fn tokenize_all(&self, documents: &DocumentBatch, joint: Joint) -> Result<Tokenized> {
        let texts = documents.texts();
        let (mut tokens, mut counts, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..documents.len() {
            let (read, count) = self.tokenize(texts.value(row), joint)?;
            let spans = self.long.spans(read.len(), self.window_tokens);
            jobs.extend(spans.into_iter().map(|span| Job { row, span }));
            tokens.push(read);
            counts.push(count);
        }
        Ok(Tokenized { tokens, counts, jobs })
    }

    fn score(&self, documents: &DocumentBatch) -> Result<RecordBatch> {
        let texts = documents.texts();
        let mut tokenized: BTreeMap<Joint, Tokenized> = BTreeMap::new();
        let mut answers = Vec::with_capacity(self.prompts.len());
        for prompt in &self.prompts {
            let read = match tokenized.entry(prompt.joint) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(free) => free.insert(self.tokenize_all(documents, prompt.joint)?),
            };
            answers.push(self.answers(prompt, &read.tokens, &read.jobs)?);
        }
        let rows: Vec<_> =
            (0..documents.len()).map(|row| self.row(texts.value(row), row, &tokenized, &answers)).collect();
        Ok(columns::batch(&self.info.schema, More::default(), &rows))
    }

    /// Puts the answers of one row together.
    fn row(
        &self,
        text: &str,
        row: usize,
        tokenized: &BTreeMap<Joint, Tokenized>,
        answers: &[Vec<Option<Answer>>],
    ) -> Result<Scored, &'static str> {
        let (mut all, mut log_odds_by_prompt) = (Vec::new(), Vec::with_capacity(self.prompts.len()));
        let (mut tokens, mut document_tokens, mut truncated) = (0, 0, false);
        for (prompt, answers) in self.prompts.iter().zip(answers) {
            let read = &tokenized[&prompt.joint];
            let (span, count) = (read.of_row(row), read.counts[row]);
            let jobs = &read.jobs[span.clone()];
            if jobs.is_empty() {
                return Err(reason::NO_TOKENS);
            }
            let answers: Option<Vec<Answer>> = answers[span].iter().copied().collect();
            let answers = answers.ok_or(reason::NOT_FINITE)?;
            log_odds_by_prompt.push(Some(MeanAnswer::of(&answers).log_odds));
            all.extend(answers);
            let around = prompt.repeated().len() + prompt.suffix.len();
            tokens += jobs.iter().map(|job| job.span.len() + around).sum::<usize>();
            document_tokens = document_tokens.max(count);
            let covered = jobs.windows(2).all(|pair| pair[0].span.end >= pair[1].span.start);
            truncated |= !covered || jobs.last().is_some_and(|job| job.span.end < count);
        }
        let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
        let mean = MeanAnswer::of(&all);
        let floats = [
            mean.log_odds,
            mean.log_p_yes,
            mean.log_p_no,
            mean.p_yes,
            mean.p_no,
            mean.contrast,
            mean.log_odds,
        ];
        Ok(Scored {
            floats: floats.map(Some),
            more: Vec::new(),
            flags: Vec::new(),
            log_odds_by_prompt,
            tokens: Some(count(tokens)),
            document_tokens: Some(count(document_tokens)),
            truncated: Some(truncated),
            delimiter_in_text: self.delimiters.iter().any(|delimiter| text.contains(delimiter)),
        })
    }

    /// The answer to each job under one prompt, in the order of the jobs.
    fn answers(
        &self,
        prompt: &CompiledPrompt,
        tokens: &[Vec<u32>],
        jobs: &[Job],
    ) -> Result<Vec<Option<Answer>>> {
        let around = prompt.repeated().len() + prompt.suffix.len();
        let lengths: Vec<usize> = jobs.iter().map(|job| job.span.len() + around).collect();
        let (order, packs) = packs(&lengths, self.pack_tokens);
        let mut answers = vec![None; jobs.len()];
        for pack in packs {
            let pack = &order[pack];
            let sequences: Vec<Vec<u32>> = pack
                .iter()
                .map(|&at| {
                    [prompt.repeated(), &tokens[jobs[at].row][jobs[at].span.clone()], &prompt.suffix].concat()
                })
                .collect();
            for (job, answer) in pack.iter().zip(self.read(prompt, &sequences)?) {
                answers[*job] = answer;
            }
        }
        Ok(answers)
    }

    /// Lets the model read one pack.
    fn read(&self, prompt: &CompiledPrompt, pack: &[Vec<u32>]) -> Result<Vec<Option<Answer>>> {
        let model = &self.judge.model;
        let state = prompt.state.as_ref();
        let mut logs = vec![[f64::NAN; 2]; pack.len()];
        let labels = [&prompt.yes, &prompt.no];
        let sequences: Vec<&[u32]> = pack.iter().map(Vec::as_slice).collect();
        if labels.iter().any(|label| matches!(label, LabelTokens::Single(_))) {
            model.next_token_logits(state, &sequences, &mut |at, logits| {
                let total = vocabulary_log_sum_exp(logits);
                logs[at] = labels.map(|label| single_log_p(label, logits, total));
            })?;
        }
        for (which, label) in labels.into_iter().enumerate() {
            if let LabelTokens::Sequence(tokens, _) = label {
                model.answer_log_probs(state, &sequences, tokens, &mut |at, log_probs| {
                    logs[at][which] = log_probs.iter().map(|value| f64::from(*value)).sum();
                })?;
            }
        }
        let answer = |[log_yes, log_no]: [f64; 2]| {
            if prompt.prompt.is_reversed() {
                Answer::new(log_no, log_yes)
            } else {
                Answer::new(log_yes, log_no)
            }
        };
        Ok(logs.into_iter().map(answer).collect())
    }
}

impl Signal for AskLlm {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> tamis_core::Result<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        self.score(&documents).map_err(|error| tamis_core::Error::signal(NAME, error))
    }
}

fn render(prompt: &Prompt, rendering: Rendering, judge: &Judge) -> Result<Prompt, PromptError> {
    match rendering {
        Rendering::Raw => Ok(prompt.clone()),
        Rendering::Chat => judge
            .chat_template
            .as_ref()
            .ok_or_else(|| PromptError::NoChatTemplate { model: judge.identity.source.clone() })?
            .render(prompt, &judge.identity.source),
    }
}

/// Tokens that every prompt leaves for a document: the same for all, so that they judge the same text.
fn window_tokens(
    prompts: &[CompiledPrompt],
    context: usize,
    most: Option<usize>,
) -> Result<usize, PromptError> {
    let mut window = most.unwrap_or(usize::MAX);
    for prompt in prompts {
        window = window.min(context.saturating_sub(prompt.tokens()));
        if window == 0 {
            return Err(PromptError::NoRoom {
                name: prompt.prompt.name().to_owned(),
                prompt_tokens: prompt.tokens(),
                context_tokens: context,
            });
        }
    }
    Ok(window)
}

fn info(
    judge: &Judge,
    set: &PromptSet,
    prompts: &[CompiledPrompt],
    window_tokens: usize,
    options: &AskLlmOptions,
) -> SignalInfo {
    let join = |part: &dyn Fn(&CompiledPrompt) -> String, between: &str| {
        prompts.iter().map(part).collect::<Vec<_>>().join(between)
    };
    let spellings = |label: &dyn Fn(&CompiledPrompt) -> String| {
        let mut all: Vec<String> = prompts.iter().map(label).collect();
        all.dedup();
        all.join(" | ")
    };
    let yes = spellings(&|prompt| prompt.yes.describe());
    let no = spellings(&|prompt| prompt.no.describe());
    let fingerprint = judge
        .identity
        .fingerprint(NAME, VERSION)
        .with("numeric_path", judge.model.numeric_path())
        .with("prompt", set.name())
        .with("prompt.digest", join(&|compiled| compiled.prompt.digest().to_string(), ","))
        .with("rendering", options.rendering.name())
        .with("labels.yes", &yes)
        .with("labels.no", &no)
        .with("long", options.long.describe())
        .with("window_tokens", window_tokens);
    let fingerprint = match prompts.iter().find_map(|compiled| compiled.pieces_version) {
        Some(version) => fingerprint.with("pieces", version),
        None => fingerprint,
    };
    let mut notes = judge.identity.notes();
    notes.extend([
        ("prompt".to_owned(), set.name().to_owned()),
        ("prompt_text".to_owned(), join(&|compiled| compiled.prompt.template(), "\n\n----\n\n")),
        ("spellings_yes".to_owned(), yes),
        ("spellings_no".to_owned(), no),
        (
            "delimiters".to_owned(),
            set.prompts().iter().flat_map(Prompt::delimiters).collect::<Vec<_>>().join(" "),
        ),
        (
            "tokens".to_owned(),
            "tokens read of document and question; a shared beginning of the prompt is not counted"
                .to_owned(),
        ),
    ]);
    SignalInfo {
        name: NAME.to_owned(),
        fingerprint,
        input: Input::DOCUMENTS,
        parallelism: options.parallelism,
        schema: columns::schema(More::default()),
        ranking: Some(Ranking {
            column: column::SCORE.to_owned(),
            direction: Direction::HigherIsBetter,
            rule: Rule::Top,
        }),
        part_bytes: options.part_bytes,
        notes,
    }
}

#[cfg(test)]
mod tests;
