//! What stops a signal that a server computes. What concerns one row is a null and a reason.

/// Result of an operation on a server.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What stops a signal that a server computes. No variant ever holds the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be used.
    #[error("server `{url}`: {problem}")]
    Url {
        /// The address, without user and password.
        url: String,
        /// What is wrong with it.
        problem: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// The key cannot be sent.
    #[error("`{variable}` holds a character that no HTTP header may have")]
    Key {
        /// The environment variable.
        variable: &'static str,
    },
    /// Nobody answers, or not as long as was waited.
    #[error("server `{server}`: {problem}")]
    Down {
        /// The server.
        server: String,
        /// What happened last.
        problem: String,
    },
    /// The server refuses every request.
    #[error("server `{server}`: status {status}: {message}")]
    Refused {
        /// The server.
        server: String,
        /// HTTP status.
        status: u16,
        /// What it says, cut.
        message: String,
    },
    /// The server sends the client elsewhere, which is not followed: the key would go along.
    #[error("server `{server}`: redirects to `{to}`")]
    Redirect {
        /// The server.
        server: String,
        /// Where to.
        to: String,
    },
    /// The server has several models, or not the one that was named.
    #[error("server `{server}`: {problem}; it has {known}")]
    Model {
        /// The server.
        server: String,
        /// What is wrong.
        problem: String,
        /// Models that it lists.
        known: String,
    },
    /// The server answers, but not what a signal needs.
    #[error("server `{server}`: {problem}")]
    Answer {
        /// The server.
        server: String,
        /// What is missing.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// So many rows in a row have no value that no other row is likely to fare better.
    #[error("server `{server}`: {rows} rows in a row have no value, the last one `{reason}`: {detail}")]
    Streak {
        /// The server.
        server: String,
        /// How many.
        rows: u32,
        /// Why the last one has none.
        reason: &'static str,
        /// What the server did there.
        detail: String,
        /// What helps against that.
        remedy: &'static str,
    },
    /// The options contradict each other or the server.
    #[error("{problem}")]
    Options {
        /// What is wrong.
        problem: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// A tokenizer or a prompt.
    #[error(transparent)]
    Models(Box<tamis_models::Error>),
}

impl From<tamis_models::Error> for Error {
    fn from(error: tamis_models::Error) -> Self {
        Self::Models(Box::new(error))
    }
}

impl Error {
    /// What the caller can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Url { hint, .. } | Self::Options { hint, .. } => (*hint).to_owned(),
            Self::Key { .. } => "set it to the key alone, without quotes and line breaks".to_owned(),
            Self::Down { .. } => {
                "start the server or wait until it answers, then give the same command again: nothing that was scored is lost"
                    .to_owned()
            }
            Self::Refused { status: 401 | 403, .. } => {
                "put the key into the environment variable TAMIS_API_KEY (for api.openai.com also OPENAI_API_KEY)".to_owned()
            }
            Self::Refused { status: 404 | 405, .. } => {
                "name the address up to `/v1`, e.g. http://localhost:8000/v1#MODEL".to_owned()
            }
            Self::Refused { .. } => "see what the server's log says".to_owned(),
            Self::Redirect { .. } => "name the address that the server redirects to".to_owned(),
            Self::Model { .. } => "write URL#MODEL or add --server-model MODEL".to_owned(),
            Self::Answer { hint, .. } => hint.clone(),
            Self::Streak { remedy, .. } => format!(
                "{remedy}; then give the same command again with --retry-failed: what was scored stays, and rows that failed are \
                 asked again (where the remedy is another option, add --beside: it makes another signal). --stop-after-failed N \
                 bears more of them"
            ),
            Self::Models(error) => return error.hint(),
        })
    }

    /// Whether the caller asked for something that cannot be had.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::Key { .. } | Self::Model { .. } | Self::Options { .. })
    }
}
