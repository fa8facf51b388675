//! One server, one request: deadlines, limits, redirects that are not followed, and tries until patience ends.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Response};

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::key::ApiKey;
use crate::options::ServerOptions;
use crate::replies::{error_message, parse, says_too_long};
use crate::retry::{Failure, RetryPolicy, retry_after};

/// Largest body of an error that is read, and of an answer that holds no embeddings.
pub(crate) const SMALL_ANSWER_BYTES: u64 = 4 << 20;

/// A request to make.
pub(crate) struct Request<'a> {
    /// Below the root, e.g. `/v1/completions`.
    pub(crate) path: &'a str,
    /// JSON to post; `None` gets.
    pub(crate) body: Option<&'a Value>,
    /// Most bytes of an answer.
    pub(crate) limit: u64,
    /// What is tried again.
    pub(crate) patience: Patience,
}

/// What is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Whatever may pass.
    Full,
    /// What a server answers that may pass; a server that does not answer is told at once.
    Answering,
    /// A server that says it is busy: anything else tells that it has not what was asked for.
    Busy,
}

impl Patience {
    fn covers(self, failure: &Failure) -> bool {
        match failure {
            Failure::Connection(_) | Failure::Timeout => self == Self::Full,
            Failure::Unusable(_) => self != Self::Busy,
            _ => true,
        }
    }
}

impl<'a> Request<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { path, body: None, limit: SMALL_ANSWER_BYTES, patience: Patience::Busy }
    }

    pub(crate) fn post(path: &'a str, body: &'a Value) -> Self {
        Self { path, body: Some(body), limit: SMALL_ANSWER_BYTES, patience: Patience::Full }
    }
}

/// A blocking client of one server, for any number of threads.
pub(crate) struct Client {
    agent: Agent,
    root: String,
    key: Option<ApiKey>,
    policy: RetryPolicy,
    /// Number of the next request, different in every process: the salt of its jitter.
    salt: AtomicU64,
    /// Nobody asks before this moment: a server that asked one caller to wait means all of them.
    gate: Mutex<Option<Instant>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("root", &self.root).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(endpoint: &Endpoint, options: &ServerOptions) -> Result<Self> {
        let config = Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("tamis/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .accept_encoding("")
            .max_idle_connections(options.concurrency)
            .max_idle_connections_per_host(options.concurrency)
            .build();
        Ok(Self {
            agent: config.into(),
            root: endpoint.root().to_owned(),
            key: ApiKey::from_environment(&endpoint.url)?,
            policy: RetryPolicy { retries: options.retries, base: options.back_off },
            salt: AtomicU64::new(u64::from(std::process::id()) << 32),
            gate: Mutex::new(None),
        })
    }

    /// The server's root.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Asks until there is an answer that `read` takes, or no patience left.
    pub(crate) fn call<T>(
        &self,
        request: &Request<'_>,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let salt = self.salt.fetch_add(1, Ordering::Relaxed);
        let mut attempt = 0;
        loop {
            self.wait_for_gate();
            let failure =
                match self.attempt(request).and_then(|answer| read(&answer).map_err(Failure::Unusable)) {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                };
            if !request.patience.covers(&failure) {
                return Err(failure);
            }
            let Some(wait) = self.policy.wait(&failure, attempt, salt) else { return Err(failure) };
            if let Failure::Busy { wait: Some(asked), .. } = failure {
                let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
                let until = Instant::now() + asked;
                *gate = Some(gate.map_or(until, |before| before.max(until)));
            }
            std::thread::sleep(wait);
            attempt += 1;
        }
    }

    fn wait_for_gate(&self) {
        let gate = *self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = gate.and_then(|gate| gate.checked_duration_since(Instant::now())) {
            std::thread::sleep(left);
        }
    }

    /// One try.
    fn attempt(&self, request: &Request<'_>) -> Result<Value, Failure> {
        let url = format!("{}{}", self.root, request.path);
        let key = self.key.as_ref().map(ApiKey::header);
        let sent = match request.body {
            Some(body) => {
                let mut post = self.agent.post(&url).header("content-type", "application/json");
                if let Some(key) = &key {
                    post = post.header("authorization", key);
                }
                post.send(body.to_string())
            }
            None => {
                let mut get = self.agent.get(&url);
                if let Some(key) = &key {
                    get = get.header("authorization", key);
                }
                get.call()
            }
        };
        let mut response = sent.map_err(|error| self.failure(&error))?;
        let status = response.status().as_u16();
        let success = (200..300).contains(&status);
        let limit = if success { request.limit } else { SMALL_ANSWER_BYTES };
        let body = response.body_mut().with_config().limit(limit).read_to_vec();
        if success {
            let body = body.map_err(|error| self.failure(&error))?;
            return parse(&body)
                .map_err(|error| Failure::Unusable(format!("its answer is no JSON: {error}")));
        }
        // The status says enough where the body cannot be read.
        Err(self.refusal(status, &response, &body.unwrap_or_default()))
    }

    fn refusal<B>(&self, status: u16, response: &Response<B>, body: &[u8]) -> Failure {
        let headers = response.headers();
        if (300..400).contains(&status) {
            return Failure::Redirect { to: self.shown(header(headers, "location").unwrap_or("nowhere")) };
        }
        let message = self.shown(&error_message(body));
        match status {
            408 | 425 | 429 | 500 | 502..=599 => {
                let wait = header(headers, "retry-after")
                    .and_then(|value| retry_after(value, header(headers, "date")));
                Failure::Busy { status, message, wait }
            }
            _ => Failure::Refused { status, message, too_long: says_too_long(status, body) },
        }
    }

    fn failure(&self, error: &ureq::Error) -> Failure {
        match error {
            ureq::Error::Timeout(_) => Failure::Timeout,
            ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => Failure::Timeout,
            ureq::Error::BodyExceedsLimit(limit) => {
                Failure::Unusable(format!("its answer has more than {limit} bytes"))
            }
            other => Failure::Connection(self.shown(&other.to_string())),
        }
    }

    /// What a server sent, fit to be shown: one line, not long, without the key.
    pub(crate) fn shown(&self, text: &str) -> String {
        let text = self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.redact(text));
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = line.trim();
        if line.is_empty() {
            return "no explanation".to_owned();
        }
        let cut: String = line.chars().take(300).collect();
        if cut.len() < line.len() { format!("{cut}…") } else { cut }
    }

    /// What a failure means for the whole signal.
    pub(crate) fn error(&self, failure: Failure) -> Error {
        let server = self.root.clone();
        match failure {
            Failure::Refused { status, message, .. } => Error::Refused { server, status, message },
            Failure::Redirect { to } => Error::Redirect { server, to },
            Failure::Unusable(problem) => Error::Answer {
                server,
                problem: self.shown(&problem),
                hint: "see what answers at this address: a proxy, another model, another version; what was scored stays".to_owned(),
            },
            failure => Error::Down { server, problem: failure.describe() },
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
