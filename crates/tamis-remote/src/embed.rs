//! Embeddings by a server: text-embeddings-inference's `/embed`, or any `/v1/embeddings`.
//!
//! Same columns as `tamis_models::embed`, vectors of length 1. Several documents go in one request; where one of them is
//! refused the request is halved until it is found, and only its row fails. `truncated` is null where the server cuts and
//! does not tell (text-embeddings-inference); `tokens` is null where nobody counts them here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, StringBuilder, UInt32Builder};
use arrow_array::{ArrayRef, FixedSizeListArray, Float16Array, Float32Array, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, FieldRef, Schema};
use half::f16;
use serde_json::{Value, json};
use tamis_core::{
    DocumentBatch, Fingerprint, Input, Parallelism, Signal, SignalInfo, column, reason as core_reason,
};
use tamis_models::embed::{NAME, Precision, TOKENS, TRUNCATED};
use tamis_models::text_tokens::TextTokenizer;

use crate::client::{Patience, Request, SMALL_ANSWER_BYTES};
use crate::cut::{Cut, Limits, Piece};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::retry::Failure;
use crate::server::{Kind, Server, ServerOptions};
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
        let mut vectors = vectors.into_iter();
        let rows: Vec<Result<(Piece<'_>, Vec<f32>), &'static str>> = pieces
            .into_iter()
            .map(|piece| {
                let piece = piece.map_err(|failure| failure.reason)?;
                let vector = vectors.next().expect("every piece was embedded or has a reason");
                Ok((piece, vector.map_err(|failure| failure.reason)?))
            })
            .collect();
        Ok(self.batch(&rows))
    }

    fn batch(&self, rows: &[Result<(Piece<'_>, Vec<f32>), &'static str>]) -> RecordBatch {
        let mut flat = Vec::with_capacity(rows.len() * self.dimension);
        let (mut tokens, mut truncated) = (UInt32Builder::new(), BooleanBuilder::new());
        let mut failed = StringBuilder::new();
        let most = match self.cut {
            Cut::Local { most, .. } | Cut::Server { most } => most,
            Cut::Characters { .. } | Cut::Silent { .. } => usize::MAX,
        };
        for row in rows {
            match row {
                Ok((_, vector)) => flat.extend_from_slice(vector),
                Err(_) => flat.resize(flat.len() + self.dimension, 0.0),
            }
            let piece = row.as_ref().ok().map(|(piece, _)| piece);
            let read = piece.and_then(|piece| piece.document_tokens).map(|tokens| tokens.min(most));
            tokens.append_option(read.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)));
            truncated.append_option(piece.and_then(|piece| piece.truncated));
            failed.append_option(row.as_ref().err());
        }
        let numbers: ArrayRef = match self.precision {
            Precision::F16 => Arc::new(Float16Array::from_iter_values(flat.into_iter().map(f16::from_f32))),
            Precision::F32 => Arc::new(Float32Array::from(flat)),
        };
        let nulls = NullBuffer::from_iter(rows.iter().map(Result::is_ok));
        let list = FixedSizeListArray::try_new(
            item(self.precision),
            list_size(self.dimension),
            numbers,
            Some(nulls),
        )
        .expect("every row has as many numbers as the list is wide");
        let columns: Vec<ArrayRef> = vec![
            Arc::new(list),
            Arc::new(tokens.finish()),
            Arc::new(truncated.finish()),
            Arc::new(failed.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&self.info.schema), columns)
            .expect("columns are built in the order of the schema")
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

fn item(precision: Precision) -> FieldRef {
    let data_type = match precision {
        Precision::F16 => DataType::Float16,
        Precision::F32 => DataType::Float32,
    };
    Arc::new(Field::new("item", data_type, false))
}

fn list_size(dimension: usize) -> i32 {
    i32::try_from(dimension).expect("the width is checked when the server is found")
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
    let list = DataType::FixedSizeList(item(options.precision), list_size(dimension));
    let schema = Schema::new(vec![
        Field::new(column::EMBEDDING, list, true),
        Field::new(TOKENS, DataType::UInt32, true),
        Field::new(TRUNCATED, DataType::Boolean, true),
        Field::new(column::FAILED, DataType::Utf8, true),
    ]);
    SignalInfo {
        name: NAME.to_owned(),
        fingerprint,
        input: Input::Documents,
        parallelism: Parallelism::InFlight(server.concurrency.max(1)),
        schema: Arc::new(schema),
        ranking: None,
        part_bytes: options.part_bytes,
        notes,
    }
}
