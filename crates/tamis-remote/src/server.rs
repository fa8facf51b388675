//! A server that answered: what it is, which model, how much that reads; and how a row's failure is told from its own.

use serde_json::{Value, json};

use crate::client::{Client, Request};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::options::ServerOptions;
use crate::reason;
use crate::retry::Failure;
use crate::streak::{RowFailure, Streak};

/// The software that answers, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// llama.cpp's own server.
    LlamaServer,
    /// The server of the Python package llama-cpp-python.
    LlamaCppPython,
    /// Ollama.
    Ollama,
    /// Hugging Face text-embeddings-inference.
    Tei,
    /// Anything that speaks OpenAI's interface.
    OpenAi,
}

impl Kind {
    /// The word for it in fingerprints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::LlamaServer => "llama-server",
            Self::LlamaCppPython => "llama-cpp-python",
            Self::Ollama => "ollama",
            Self::Tei => "tei",
            Self::OpenAi => "openai-compatible",
        }
    }
}

/// A server that answered.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) kind: Kind,
    /// Version of the software, where it says.
    pub(crate) version: Option<String>,
    pub(crate) model: String,
    /// Tokens that the model reads at most, where the server says.
    pub(crate) context: Option<usize>,
    /// Inputs of one request at most, where the server says.
    pub(crate) batch: Option<usize>,
    /// Requests under way at once.
    pub(crate) concurrency: usize,
    /// Rows that fail one after the other.
    streak: Streak,
}

struct Listed {
    id: String,
    owner: String,
    context: Option<usize>,
}

impl Server {
    /// Finds out what a judge's server is.
    pub(crate) fn connect(endpoint: &Endpoint, options: &ServerOptions) -> Result<Self> {
        Self::of_client(Client::new(endpoint, options)?, endpoint, options)
    }

    /// Finds out what an embedder's server is.
    pub(crate) fn connect_embedder(endpoint: &Endpoint, options: &ServerOptions) -> Result<Self> {
        let client = Client::new(endpoint, options)?;
        let Some(info) = optional(&client, "/info", |answer| {
            answer["model_id"].is_string() && answer["max_input_length"].is_u64()
        })?
        else {
            return Self::of_client(client, endpoint, options);
        };
        let served = text(&info["model_id"]).unwrap_or_default();
        let asked = options.model.as_ref().or(endpoint.model.as_ref());
        if let Some(asked) = asked.filter(|asked| **asked != served) {
            let problem = format!("no model `{asked}`");
            return Err(Error::Model {
                server: client.root().to_owned(),
                problem,
                known: format!("`{served}`"),
            });
        }
        Ok(Self {
            kind: Kind::Tei,
            version: text(&info["version"]),
            model: match text(&info["model_sha"]) {
                Some(sha) => format!("{served}@{sha}"),
                None => served,
            },
            context: size(&info["max_input_length"]),
            batch: size(&info["max_client_batch_size"]),
            concurrency: options.concurrency,
            streak: Streak::new(options.stop_after_failed),
            client,
        })
    }

    fn of_client(client: Client, endpoint: &Endpoint, options: &ServerOptions) -> Result<Self> {
        let list = optional(&client, "/v1/models", |answer| answer["data"].is_array())?;
        let listed: Vec<Listed> =
            list.iter().flat_map(|list| list["data"].as_array()).flatten().map(listed).collect();
        let owner = listed.first().map_or("", |first| first.owner.as_str());
        let version_at = |path: &str| -> Result<Option<String>> {
            let page = optional(&client, path, |answer| answer["version"].is_string())?;
            Ok(page.and_then(|page| text(&page["version"])))
        };
        let (mut kind, mut version, mut context) = (Kind::OpenAi, None, None);
        match owner {
            "vllm" => {
                kind = Kind::Vllm;
                version = version_at("/version")?;
            }
            "sglang" => kind = Kind::Sglang,
            "me" => kind = Kind::LlamaCppPython,
            "llamacpp" => {
                kind = Kind::LlamaServer;
                let props =
                    optional(&client, "/props", |answer| answer["default_generation_settings"].is_object())?;
                if let Some(props) = props {
                    context = size(&props["default_generation_settings"]["n_ctx"]);
                    version = text(&props["build_info"]);
                }
            }
            _ => {
                version = version_at("/api/version")?;
                if version.is_some() {
                    kind = Kind::Ollama;
                }
            }
        }
        let model = choose(client.root(), kind, &listed, options.model.as_ref().or(endpoint.model.as_ref()))?;
        let of_model = listed.iter().find(|one| one.id == model).and_then(|one| one.context);
        Ok(Self {
            client,
            kind,
            version,
            model,
            context: context.or(of_model),
            batch: None,
            concurrency: options.concurrency,
            streak: Streak::new(options.stop_after_failed),
        })
    }

    /// Number of tokens of a text without special ones, and the tokens; `None` where the server has no way to say.
    pub(crate) fn tokenize(&self, text: &str) -> Option<Result<Vec<u64>, Failure>> {
        let (path, body) = match self.kind {
            Kind::Vllm | Kind::Sglang => {
                ("/tokenize", json!({ "model": self.model, "prompt": text, "add_special_tokens": false }))
            }
            Kind::LlamaServer => ("/tokenize", json!({ "content": text, "add_special": false })),
            Kind::LlamaCppPython => ("/extras/tokenize", json!({ "model": self.model, "input": text })),
            Kind::Ollama | Kind::Tei | Kind::OpenAi => return None,
        };
        let request = Request { limit: 64 << 20, ..Request::post(path, &body) };
        Some(self.client.call(&request, |answer| {
            let tokens = answer["tokens"].as_array().ok_or("its answer has no `tokens`")?;
            tokens
                .iter()
                .map(Value::as_u64)
                .collect::<Option<_>>()
                .ok_or_else(|| "tokens that are no numbers".to_owned())
        }))
    }

    /// The text of some tokens; `None` where the server has no way to say.
    pub(crate) fn detokenize(&self, tokens: &[u64]) -> Option<Result<String, Failure>> {
        let (path, body, key) = match self.kind {
            Kind::Vllm => ("/detokenize", json!({ "model": self.model, "tokens": tokens }), "prompt"),
            Kind::Sglang => ("/detokenize", json!({ "model": self.model, "tokens": tokens }), "text"),
            Kind::LlamaServer => ("/detokenize", json!({ "tokens": tokens }), "content"),
            Kind::LlamaCppPython => {
                ("/extras/detokenize", json!({ "model": self.model, "tokens": tokens }), "text")
            }
            Kind::Ollama | Kind::Tei | Kind::OpenAi => return None,
        };
        let request = Request { limit: 64 << 20, ..Request::post(path, &body) };
        Some(
            self.client.call(&request, |answer| {
                text(&answer[key]).ok_or_else(|| format!("its answer has no `{key}`"))
            }),
        )
    }

    /// Runs what concerns one row. Where it fails, `probe`, which is known to work, tells the row's failure from the
    /// server's: `Ok(Err(_))` is the row's.
    ///
    /// # Errors
    /// The server's failure.
    pub(crate) fn for_row<T>(
        &self,
        row: impl Fn() -> Result<T, Failure>,
        probe: impl Fn() -> Result<(), Failure>,
    ) -> Result<Result<T, RowFailure>> {
        let mut rounds = 0;
        loop {
            let failure = match row() {
                Ok(value) => return Ok(Ok(value)),
                Err(failure) => failure,
            };
            let (reason, most_rounds) = match &failure {
                Failure::Refused { too_long: true, .. } => {
                    return Ok(Err(RowFailure::new(reason::TOO_LONG, failure.describe())));
                }
                // None of these speaks of the row.
                Failure::Refused { status: 401 | 403 | 404, .. }
                | Failure::Redirect { .. }
                | Failure::Busy { status: 429, .. } => {
                    return Err(self.client.error(failure));
                }
                Failure::Refused { .. } => (reason::REFUSED, 1),
                Failure::Unusable(_) => (reason::UNUSABLE, 1),
                Failure::Timeout => (reason::TIMEOUT, 1),
                // A server that was restarted meanwhile would pass the probe: the row gets another chance.
                Failure::Connection(_) | Failure::Busy { .. } => (reason::SERVER_ERROR, 2),
            };
            probe().map_err(|probed| match probed {
                // What failed first tells more than a probe that nobody waited for.
                Failure::Connection(_) | Failure::Timeout => self.client.error(failure.clone()),
                probed => self.client.error(probed),
            })?;
            rounds += 1;
            if rounds == most_rounds {
                return Ok(Err(RowFailure::new(reason, failure.describe())));
            }
        }
    }

    /// Counts what became of a row.
    ///
    /// # Errors
    /// [`Error::Streak`] when too many failed one after the other.
    pub(crate) fn count<T>(&self, row: &Result<T, RowFailure>) -> Result<()> {
        self.streak.count(self.client.root(), row)
    }
}

/// Asks for something that not every server has; `None` where it has not.
fn optional(client: &Client, path: &str, fits: impl Fn(&Value) -> bool) -> Result<Option<Value>> {
    match client.call(&Request::get(path), |answer| Ok(fits(answer).then(|| answer.clone()))) {
        Ok(answer) => Ok(answer),
        Err(Failure::Refused { status: 401 | 403, message, .. }) => {
            Err(Error::Refused { server: client.root().to_owned(), status: 401, message })
        }
        // A page for people, or nothing.
        Err(Failure::Refused { .. } | Failure::Unusable(_)) => Ok(None),
        Err(failure) => Err(client.error(failure)),
    }
}

fn listed(model: &Value) -> Listed {
    Listed {
        id: text(&model["id"]).unwrap_or_default(),
        owner: text(&model["owned_by"]).unwrap_or_default(),
        context: size(&model["max_model_len"]),
    }
}

fn choose(server: &str, kind: Kind, listed: &[Listed], asked: Option<&String>) -> Result<String> {
    let refuse = |problem: String| {
        let mut known: Vec<String> = listed.iter().take(10).map(|one| format!("`{}`", one.id)).collect();
        if listed.len() > 10 {
            known.push("…".to_owned());
        }
        let known = if known.is_empty() { "no list of models".to_owned() } else { known.join(", ") };
        Err(Error::Model { server: server.to_owned(), problem, known })
    };
    match (asked, listed) {
        (Some(asked), listed) => {
            let found = listed.iter().find(|one| one.id == *asked || one.id == format!("{asked}:latest"));
            match found {
                Some(one) => Ok(one.id.clone()),
                // A gateway may take more names than it lists.
                None if kind == Kind::OpenAi || listed.is_empty() => Ok(asked.clone()),
                None => refuse(format!("no model `{asked}`")),
            }
        }
        (None, [one]) => Ok(one.id.clone()),
        (None, []) => refuse("does not say which model it has".to_owned()),
        (None, _) => refuse("several models".to_owned()),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn size(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0)
}
