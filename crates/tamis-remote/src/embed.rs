//! Embeddings by a server: text-embeddings-inference's `/embed`, or any `/v1/embeddings`.
//!
//! Same columns as `tamis_models::embed`, vectors of length 1. Several documents go in one request; where one of them is
//! refused the request is halved until it is found, and only its row fails. `truncated` is null where the server cuts and
//! does not tell (text-embeddings-inference); `tokens` is null where nobody counts them here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use serde_json::{Value, json};
use tamis_core::{DocumentBatch, Fingerprint, Input, Parallelism, Signal, SignalInfo, reason as core_reason};
use tamis_models::embed::columns::{self, Embedded};
use tamis_models::embed::{NAME, Precision};
use tamis_models::text_tokens::TextTokenizer;

use crate::client::{Patience, Request, SMALL_ANSWER_BYTES};
use crate::cut::{Cut, Limits, Piece};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::options::ServerOptions;
use crate::retry::Failure;
use crate::server::{Kind, Server};
use crate::streak::RowFailure;

mod answer;
mod start;

use answer::{read, unit};

/// Raised when the values that the same answers give change.
const VERSION: u32 = 1;

/// Documents of one request, where the server does not say how many it takes: the default of text-embeddings-inference.
const BATCH: usize = 32;

/// Tokens that an embedder reads, where neither the server nor the user says.
const ASSUMED_TOKENS: usize = 512;

/// Tokens that the server adds to a text.
const MARGIN: usize = 4;

/// A text that every server can embed.
const PROBE: &str = "tamis";

/// Widest embedding that is taken.
const MOST_DIMENSIONS: usize = 1 << 16;

/// How documents are embedded by a server.
#[derive(Clone)]
pub struct EmbedOptions {
    /// Most tokens of a document; needs a tokenizer, here or on the server.
    pub max_tokens: Option<usize>,
    /// Most characters of a document, instead of tokens.
    pub max_characters: Option<usize>,
    /// Counts and cuts tokens here.
    pub tokenizer: Option<Arc<dyn TextTokenizer>>,
    /// How the numbers are stored.
    pub precision: Precision,
    /// Bytes of text of one part.
    pub part_bytes: u64,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            max_tokens: None,
            max_characters: None,
            tokenizer: None,
            precision: Precision::default(),
            part_bytes: 256 << 10,
        }
    }
}

impl fmt::Debug for EmbedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbedOptions").field("precision", &self.precision).finish_non_exhaustive()
    }
}

/// The signal `embed`, computed by a server.
pub struct RemoteEmbed {
    info: SignalInfo,
    server: Server,
    cut: Cut,
    precision: Precision,
    dimension: usize,
    /// Texts of one request.
    batch: usize,
    remarks: Vec<String>,
}

impl fmt::Debug for RemoteEmbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEmbed").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A vector of length 1, or why there is none.
type Row = Result<Vec<f32>, RowFailure>;

impl RemoteEmbed {
    /// Finds the server and its model, and lets it embed a few words.
    ///
    /// # Errors
    /// A server that does not answer, refuses the key, has not the model, or gives no vector for a text; options that
    /// contradict.
    pub fn new(endpoint: &Endpoint, server: &ServerOptions, options: &EmbedOptions) -> Result<Self> {
        let server = Server::connect_embedder(endpoint, server)?;
        let own_limit = server.kind == Kind::Tei
            && options.tokenizer.is_none()
            && options.max_tokens.is_none()
            && options.max_characters.is_none();
        let cut = match server.context {
            Some(most) if own_limit => Cut::Silent { most },
            _ => Cut::choose(
                &server,
                &Limits {
                    around: &[],
                    margin: MARGIN,
                    assumed: ASSUMED_TOKENS,
                    most_tokens: options.max_tokens,
                    most_characters: options.max_characters,
                    tokenizer: options.tokenizer.clone(),
                },
            )?,
        };
        let found = start::check(&server)?;
        let dimension = found.dimension;
        let info = info(&server, &cut, options, dimension);
        let batch = found.batch.or(server.batch).unwrap_or(BATCH).min(BATCH);
        Ok(Self { info, server, cut, precision: options.precision, dimension, batch, remarks: found.remarks })
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

    fn probe(&self) -> Result<(), Failure> {
        ask(&self.server, &[PROBE], Some(self.dimension), Patience::Answering).map(drop)
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Row>> {
        let row = || ask(&self.server, texts, Some(self.dimension), Patience::Full);
        match self.server.for_row(row, || self.probe())? {
            Ok(vectors) => {
                let mut rows = Vec::with_capacity(texts.len());
                for (text, vector) in texts.iter().zip(&vectors) {
                    let row = match unit(vector) {
                        Some(vector) => Ok(vector),
                        // Some servers spoil texts by padding them to the longest of a request.
                        None if texts.len() > 1 => {
                            rows.extend(self.embed(&[*text])?);
                            continue;
                        }
                        None => Err(RowFailure::new(
                            core_reason::NOT_FINITE,
                            "a vector of zeros, or not of numbers",
                        )),
                    };
                    self.server.count(&row)?;
                    rows.push(row);
                }
                Ok(rows)
            }
            Err(failure) if texts.len() <= 1 => {
                let row = Err(failure);
                self.server.count(&row)?;
                Ok(vec![row])
            }
            Err(_) => {
                let (left, right) = texts.split_at(texts.len() / 2);
                let mut rows = self.embed(left)?;
                rows.extend(self.embed(right)?);
                Ok(rows)
            }
        }
    }

    fn compute(&self, documents: &DocumentBatch) -> Result<RecordBatch> {
        let texts = documents.texts();
        let mut pieces: Vec<Result<Piece<'_>, RowFailure>> = Vec::with_capacity(documents.len());
        for at in 0..documents.len() {
            let text = texts.value(at);
            let piece = match self.cut.here(text)? {
                Some(piece) => Ok(piece),
                None => self.server.for_row(|| self.cut.by_server(&self.server, text), || self.probe())?,
            };
            if let Err(failure) = &piece {
                self.server.count::<()>(&Err(failure.clone()))?;
            }
            let empty = || RowFailure::new(core_reason::NO_TOKENS, "nothing is left of its text");
            pieces.push(piece.and_then(|piece| if piece.text.is_empty() { Err(empty()) } else { Ok(piece) }));
        }
        let asked: Vec<&str> = pieces.iter().flatten().map(|piece| piece.text).collect();
        let mut vectors = Vec::with_capacity(asked.len());
        for batch in asked.chunks(self.batch) {
            vectors.extend(self.embed(batch)?);
        }
        let mut vectors = vectors.iter();
        let most = match self.cut {
            Cut::Local { most, .. } | Cut::Server { most } => most,
            Cut::Characters { .. } | Cut::Silent { .. } => usize::MAX,
        };
        let rows: Vec<Result<Embedded<'_>, &'static str>> = pieces
            .iter()
            .map(|piece| {
                let piece = piece.as_ref().map_err(|failure| failure.reason)?;
                let vector = vectors.next().expect("every piece was embedded or has a reason");
                let values = vector.as_ref().map_err(|failure| failure.reason)?;
                let tokens = piece.document_tokens.map(|tokens| tokens.min(most));
                Ok(Embedded { values, tokens, truncated: piece.truncated })
            })
            .collect();
        Ok(columns::batch(&self.info.schema, self.dimension, self.precision, &rows))
    }
}

impl Signal for RemoteEmbed {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> tamis_core::Result<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        self.compute(&documents).map_err(|error| tamis_core::Error::signal(NAME, error))
    }
}

fn path(kind: Kind) -> &'static str {
    if kind == Kind::Tei { "/embed" } else { "/v1/embeddings" }
}

/// One request; as many vectors as texts, in their order. A number that is none is NaN.
fn ask(
    server: &Server,
    texts: &[&str],
    dimension: Option<usize>,
    patience: Patience,
) -> Result<Vec<Vec<f32>>, Failure> {
    asked(server, texts, dimension, patience, |answer| {
        read(server.kind, answer, texts.len(), dimension).map_err(|shape| shape.describe())
    })
}

fn asked<T>(
    server: &Server,
    texts: &[&str],
    dimension: Option<usize>,
    patience: Patience,
    read: impl Fn(&Value) -> Result<T, String>,
) -> Result<T, Failure> {
    let body = match server.kind {
        Kind::Tei => json!({ "inputs": texts, "truncate": true, "normalize": true }),
        _ => json!({ "model": server.model, "input": texts, "encoding_format": "float" }),
    };
    // A number and its comma rarely have more than 24 bytes; indentation may double that.
    let limit = SMALL_ANSWER_BYTES + dimension.unwrap_or(MOST_DIMENSIONS) as u64 * texts.len() as u64 * 64;
    let request = Request { limit, patience, ..Request::post(path(server.kind), &body) };
    server.client.call(&request, read)
}

fn info(server: &Server, cut: &Cut, options: &EmbedOptions, dimension: usize) -> SignalInfo {
    let fingerprint = Fingerprint::new(NAME, VERSION)
        .with("model", format!("server:{}", server.model))
        .with("server", server.kind.name())
        .with("api", path(server.kind))
        .with("pooling", "the server's, length 1")
        .with("dimension", dimension)
        .with("cut", cut.describe())
        .with("precision", options.precision.name());
    let mut notes = BTreeMap::from([
        ("model".to_owned(), server.model.clone()),
        ("server".to_owned(), server.client.root().to_owned()),
        ("cut".to_owned(), cut.describe()),
    ]);
    if let Some(version) = &server.version {
        notes.insert("server_version".to_owned(), version.clone());
    }
    SignalInfo {
        name: NAME.to_owned(),
        fingerprint,
        input: Input::DOCUMENTS,
        parallelism: Parallelism::InFlight(server.concurrency.max(1)),
        schema: columns::schema(dimension, options.precision),
        ranking: None,
        part_bytes: options.part_bytes,
        notes,
    }
}
