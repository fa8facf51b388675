//! Ask-LLM by a server: the same question, prompts, spellings and columns as `tamis_models::ask_llm`, with what a server
//! does not tell in columns of its own.
//!
//! The paper's score (arXiv 2402.09668, §3.1) is the probability of "yes" at the first position of the answer. A server
//! shows the k most likely tokens there. `p_yes` is the sum over the spellings among them: a lower bound, exact when no
//! other spelling has mass. Where none is among them it is null, never 0; `p_yes_at_most` says how likely it can be.
//! `score`, by which documents are ranked, is the log odds where both answers were shown; else it is, of the log odds that
//! are possible, the one closest to 0, and `bounded` is true. So a judge that is sure of its "yes" does not lose its best
//! documents because "no" fell off the list, and no document is ranked above what was shown of it. Where neither answer is
//! shown the row failed.
//!
//! Prefix, document and suffix are sent as one text, which the server tokenizes as a whole: a token may span a joint where
//! the embedded engine has two. Cost: one request for each document and prompt.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use serde_json::{Value, json};
use tamis_core::{
    Direction, DocumentBatch, Fingerprint, Input, Parallelism, Ranking, Rule, Signal, SignalInfo, column,
    reason as core_reason,
};
use tamis_models::ask_llm::{Labels, NAME, spellings};
use tamis_models::prompt::{Prompt, PromptSet, Rendering};
use tamis_models::text_tokens::TextTokenizer;

use crate::answer::Seen;
use crate::client::Request;
use crate::cut::{Cut, Limits, assumed_context};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::logprobs::Shown;
use crate::options::ServerOptions;
use crate::reason;
use crate::replies::prompt_tokens;
use crate::retry::Failure;
use crate::server::{Kind, Server};
use crate::streak::RowFailure;

pub mod columns;
mod start;

use tamis_models::ask_llm::columns::{self as shared, Scored};

/// Raised when the values that the same answers give change.
const VERSION: u32 = 1;

/// A document that every server can judge: it tells what logprobs look like there, and later whether the server still lives.
const PROBE: &str = "Water boils at 100 degrees Celsius at sea level.";

/// So many of the most likely tokens are named where none of them is an answer.
const NAMED: usize = 8;

/// How documents are put to a judge behind a server.
#[derive(Clone)]
pub struct JudgeOptions {
    /// The prompt as it is, by `/v1/completions`, or as the user's turn of a chat.
    pub rendering: Rendering,
    /// The two answers.
    pub labels: Labels,
    /// k: most likely tokens that the server is to show.
    pub top_logprobs: usize,
    /// Most tokens of a document; needs a tokenizer, here or on the server.
    pub max_document_tokens: Option<usize>,
    /// Most characters of a document, instead of tokens.
    pub max_document_characters: Option<usize>,
    /// Counts and cuts tokens here; else the server does, else characters are counted.
    pub tokenizer: Option<Arc<dyn TextTokenizer>>,
    /// Bytes of text of one part.
    pub part_bytes: u64,
}

impl Default for JudgeOptions {
    fn default() -> Self {
        Self {
            rendering: Rendering::default(),
            labels: Labels::default(),
            top_logprobs: 20,
            max_document_tokens: None,
            max_document_characters: None,
            tokenizer: None,
            part_bytes: 64 << 10,
        }
    }
}

impl fmt::Debug for JudgeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JudgeOptions")
            .field("rendering", &self.rendering)
            .field("top_logprobs", &self.top_logprobs)
            .finish_non_exhaustive()
    }
}

/// The signal `ask-llm`, computed by a server: higher = keep.
pub struct RemoteJudge {
    info: SignalInfo,
    server: Server,
    prompts: Vec<Prompt>,
    rendering: Rendering,
    top_logprobs: usize,
    yes: Vec<String>,
    no: Vec<String>,
    cut: Cut,
    delimiters: Vec<String>,
    remarks: Vec<String>,
}

impl fmt::Debug for RemoteJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJudge").field("server", &self.server).finish_non_exhaustive()
    }
}

impl RemoteJudge {
    /// Finds the server and its model, and asks it about a text or three.
    ///
    /// # Errors
    /// A server that does not answer, refuses the key, has not the model, shows no logprobs, or neither yes nor no among
    /// them; options that contradict.
    pub fn new(
        endpoint: &Endpoint,
        set: &PromptSet,
        server: &ServerOptions,
        options: &JudgeOptions,
    ) -> Result<Self> {
        if options.top_logprobs == 0 {
            let problem = "no top logprobs, so no answer can be seen".to_owned();
            return Err(Error::Options { problem, hint: "ask for 5 to 20" });
        }
        let server = Server::connect(endpoint, server)?;
        let around: Vec<(&str, &str)> =
            set.prompts().iter().map(|prompt| (prompt.prefix(), prompt.suffix())).collect();
        let cut = Cut::choose(
            &server,
            &Limits {
                around: &around,
                margin: match options.rendering {
                    Rendering::Raw => 16,
                    Rendering::Chat => 128,
                },
                assumed: assumed_context(server.kind),
                most_tokens: options.max_document_tokens,
                most_characters: options.max_document_characters,
                tokenizer: options.tokenizer.clone(),
            },
        )?;
        let mut delimiters: Vec<String> = set.prompts().iter().flat_map(Prompt::delimiters).collect();
        delimiters.sort();
        delimiters.dedup();
        let (yes, no) = (spellings(&options.labels.yes), spellings(&options.labels.no));
        let info = info(&server, set, options, &cut, (&yes, &no));
        let mut judge = Self {
            info,
            server,
            prompts: set.prompts().to_vec(),
            rendering: options.rendering,
            top_logprobs: options.top_logprobs,
            yes,
            no,
            cut,
            delimiters,
            remarks: Vec::new(),
        };
        judge.remarks = judge.check()?;
        Ok(judge)
    }

    /// What a person should know of the server before hours go into it, although it can be used.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The server's root, its kind, and its model's name.
    #[must_use]
    pub fn server(&self) -> (&str, Kind, &str) {
        (self.server.client.root(), self.server.kind, &self.server.model)
    }

    /// Every prompt of the set with this document in it, as it is sent.
    ///
    /// # Errors
    /// When the server is needed to cut the document, and fails.
    pub fn show_prompt(&self, document: &str) -> Result<String> {
        let piece = match self.cut.here(document)? {
            Some(piece) => piece,
            None => self
                .cut
                .by_server(&self.server, document)
                .map_err(|failure| self.server.client.error(failure))?,
        };
        let how = match self.rendering {
            Rendering::Raw => "as it is",
            Rendering::Chat => "as the user's turn of a chat",
        };
        let (sent, all) = (piece.text.chars().count(), document.chars().count());
        let shown = self.prompts.iter().map(|prompt| {
            format!(
                "[prompt `{}`, sent {how} to `{}` of {}; {sent} of {all} characters of the document]\n{}{}{}",
                prompt.name(),
                self.server.model,
                self.server.client.root(),
                prompt.prefix(),
                piece.text,
                prompt.suffix()
            )
        });
        Ok(shown.collect::<Vec<_>>().join("\n\n"))
    }

    fn path(&self) -> &'static str {
        path(self.server.kind, self.rendering)
    }

    /// The request for one document under one prompt.
    fn request(&self, prompt: &Prompt, document: &str) -> Value {
        let text = [prompt.prefix(), document, prompt.suffix()].concat();
        let k = self.top_logprobs;
        let mut body = json!({ "model": self.server.model, "stream": false });
        let mut add = |more: Value| {
            if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
                body.extend(more);
            }
        };
        let messages = || json!([{ "role": "user", "content": text }]);
        match (self.server.kind, self.rendering) {
            // Its OpenAI-compatible interface would put the prompt into a template, and silently drop what is too long.
            (Kind::Ollama, rendering) => {
                add(json!({ "truncate": false, "logprobs": true, "top_logprobs": k,
                    "options": { "num_predict": 1, "temperature": 0 } }));
                match rendering {
                    Rendering::Raw => add(json!({ "prompt": text, "raw": true })),
                    Rendering::Chat => add(json!({ "messages": messages(), "think": false })),
                }
            }
            (kind, rendering) => {
                add(json!({ "max_tokens": 1, "temperature": 0 }));
                match rendering {
                    Rendering::Raw => add(json!({ "prompt": text, "logprobs": k })),
                    Rendering::Chat => {
                        add(json!({ "messages": messages(), "logprobs": true, "top_logprobs": k }));
                    }
                }
                match (kind, rendering) {
                    (Kind::LlamaServer, Rendering::Raw) => add(json!({ "n_probs": k })),
                    // A model that thinks first would answer with the mark of a thought.
                    (Kind::Vllm | Kind::Sglang | Kind::LlamaServer, Rendering::Chat) => {
                        add(json!({ "chat_template_kwargs": { "enable_thinking": false } }));
                    }
                    _ => {}
                }
            }
        }
        body
    }

    fn ask(&self, prompt: &Prompt, document: &str) -> Result<(Shown, Option<u32>), Failure> {
        let body = self.request(prompt, document);
        self.server.client.call(&Request::post(self.path(), &body), |answer| {
            Ok((Shown::read(answer)?, prompt_tokens(answer)))
        })
    }

    /// What is shown of a good document by "yes", and of a bad one.
    fn sides(&self, prompt: &Prompt) -> (&[String], &[String]) {
        if prompt.is_reversed() { (&self.no, &self.yes) } else { (&self.yes, &self.no) }
    }

    fn row(&self, text: &str) -> Result<Result<Scored, RowFailure>> {
        let probe = || self.probe();
        let piece = match self.cut.here(text)? {
            Some(piece) => piece,
            None => match self.server.for_row(|| self.cut.by_server(&self.server, text), probe)? {
                Ok(piece) => piece,
                Err(failure) => return Ok(Err(failure)),
            },
        };
        if piece.text.is_empty() {
            return Ok(Err(RowFailure::new(core_reason::NO_TOKENS, "nothing is left of its text")));
        }
        let mut seen = Vec::with_capacity(self.prompts.len());
        let mut tokens = Some(0_u32);
        for prompt in &self.prompts {
            let (shown, read) = match self.server.for_row(|| self.ask(prompt, piece.text), probe)? {
                Ok(answer) => answer,
                Err(failure) => return Ok(Err(failure)),
            };
            if shown.tokens.is_empty() {
                return Ok(Err(RowFailure::new(reason::NO_LOGPROBS, "its answer has none")));
            }
            let (good, bad) = self.sides(prompt);
            let of_prompt = Seen::new(&shown, good, bad);
            if of_prompt.score().is_none() {
                let shown = self.server.client.shown(&shown.describe(NAMED));
                return Ok(Err(RowFailure::new(reason::NO_ANSWER_SHOWN, format!("most likely are {shown}"))));
            }
            seen.push(of_prompt);
            tokens = tokens.zip(read).map(|(sum, read)| sum.saturating_add(read));
        }
        let delimiter_in_text = self.delimiters.iter().any(|delimiter| text.contains(delimiter));
        let scored = columns::scored(&seen, tokens, &piece, delimiter_in_text);
        Ok(scored.ok_or_else(|| RowFailure::new(reason::NO_ANSWER_SHOWN, "neither answer is shown")))
    }
}

impl Signal for RemoteJudge {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> tamis_core::Result<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        let texts = documents.texts();
        let mut rows = Vec::with_capacity(documents.len());
        for at in 0..documents.len() {
            let row = self.row(texts.value(at)).and_then(|row| self.server.count(&row).map(|()| row));
            rows.push(
                row.map_err(|error| tamis_core::Error::signal(NAME, error))?
                    .map_err(|failure| failure.reason),
            );
        }
        Ok(shared::batch(&self.info.schema, columns::MORE, &rows))
    }
}

fn path(kind: Kind, rendering: Rendering) -> &'static str {
    match (kind, rendering) {
        (Kind::Ollama, Rendering::Raw) => "/api/generate",
        (Kind::Ollama, Rendering::Chat) => "/api/chat",
        (_, Rendering::Raw) => "/v1/completions",
        (_, Rendering::Chat) => "/v1/chat/completions",
    }
}

fn info(
    server: &Server,
    set: &PromptSet,
    options: &JudgeOptions,
    cut: &Cut,
    (yes, no): (&[String], &[String]),
) -> SignalInfo {
    let join = |part: &dyn Fn(&Prompt) -> String, between: &str| {
        set.prompts().iter().map(part).collect::<Vec<_>>().join(between)
    };
    let list = |words: &[String]| words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let fingerprint = Fingerprint::new(NAME, VERSION)
        .with("model", format!("server:{}", server.model))
        .with("server", server.kind.name())
        .with("api", path(server.kind, options.rendering))
        .with("logprobs", format!("top {}, temperature 0", options.top_logprobs))
        .with("prompt", set.name())
        .with("prompt.digest", join(&|prompt| prompt.digest().to_string(), ","))
        .with("rendering", options.rendering.name())
        .with("labels.yes", list(yes))
        .with("labels.no", list(no))
        .with("long", "head")
        .with("cut", cut.describe());
    let note = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let mut notes = BTreeMap::from([
        note("model", &server.model),
        note("server", server.client.root()),
        note("prompt", set.name()),
        ("prompt_text".to_owned(), join(&Prompt::template, "\n\n----\n\n")),
        ("spellings_yes".to_owned(), list(yes)),
        ("spellings_no".to_owned(), list(no)),
        (
            "delimiters".to_owned(),
            set.prompts().iter().flat_map(Prompt::delimiters).collect::<Vec<_>>().join(" "),
        ),
        ("cut".to_owned(), cut.describe()),
        note("tokens", "tokens of prompt and document, as the server counts them; null where it does not"),
        note("p_yes", "sum over the spellings among the tokens that the server showed; null where none was"),
        note("score", "log odds; where `bounded`, of those that are possible the one closest to 0"),
    ]);
    if let Some(version) = &server.version {
        notes.insert("server_version".to_owned(), version.clone());
    }
    SignalInfo {
        name: NAME.to_owned(),
        fingerprint,
        input: Input::DOCUMENTS,
        parallelism: Parallelism::InFlight(server.concurrency.max(1)),
        schema: shared::schema(columns::MORE),
        ranking: Some(Ranking {
            column: column::SCORE.to_owned(),
            direction: Direction::HigherIsBetter,
            rule: Rule::Top,
        }),
        part_bytes: options.part_bytes,
        notes,
    }
}
