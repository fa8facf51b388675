//! Perplexity: how surprising a document is to a language model.
//!
//! The negative log-likelihood (NLL, in nats) of a document's tokens, under a causal model each given all before it. The paper
//! (Sachdeva et al., arXiv 2402.09668, App. B) keeps the lowest perplexity first, and so does this signal by default. It ranks
//! by NLL *per byte* and not per token: per token, a text scores by how well the tokenizer knows its language, and scores of
//! two tokenizers do not compare. The paper's own number is the column `perplexity`.
//!
//! - What a model expects before every text (`<bos>`) is given to it, and then the first token has a likelihood too. Where
//!   nothing is expected, nothing precedes the first token and it has none: a document of one token fails, and the bytes of
//!   the first token do not count in the NLL per byte.
//! - A document longer than the context is read in windows that overlap ([`windows`]); each token counts once, in the first
//!   window that holds it, given what that window has before it.
//! - Very low perplexity is repetition, not quality: the rule `band` keeps the middle instead.
//!
//! Cost: one forward pass with all positions through the head; with the default stride about two for long documents.
//!
//! Encoder–decoders predict parts of a document from the rest ([`Objective::Span`], [`Objective::Prefix`]). Their windows do not
//! overlap, and NLL per byte is over the bytes of what is predicted.

mod causal;
pub mod columns;
mod denoising;
mod objective;
mod predictor;
#[cfg(test)]
mod tests;
mod windows;

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use tamis_core::{
    Direction, DocKey, DocumentBatch, Fingerprint, Input, Parallelism, Ranking, Rule, Signal, SignalInfo,
    reason,
};

use crate::error::Result;
use crate::identity::ModelIdentity;
use crate::text_tokens::TextTokenizer;

use causal::Causal;
use columns::Scored;
use denoising::Denoising;

pub use objective::{Objective, ParseObjectiveError};
pub use predictor::{Likelihood, Predictor};

/// Name of the signal.
pub const NAME: &str = "perplexity";

/// Raised when the values that the same model and options give change.
const VERSION: u32 = 1;

/// Tokens of a document after which it is cut, unless the user says otherwise: one document must not hold up a run for hours.
pub const DEFAULT_DOCUMENT_TOKENS: usize = 32_768;

/// How documents are read.
#[derive(Clone, Debug)]
pub struct PerplexityOptions {
    /// Name of the signal in a run: one for each checkpoint.
    pub name: String,
    /// Tokens that the model sees at once, those beside the text included; `None`: its context. A T5 can be asked to read
    /// more than the context that it was trained with.
    pub window_tokens: Option<usize>,
    /// Tokens by which windows of a longer document advance; `None`: half of what a window holds. Decoders only.
    pub stride_tokens: Option<usize>,
    /// Tokens after which a document is cut.
    pub max_document_tokens: usize,
    /// Tokens that one call of the model gets at most, if not a single window is longer. Decides speed and memory, not values.
    pub pack_tokens: usize,
    /// Bytes of text of one part: about ten seconds of work of one worker.
    pub part_bytes: u64,
    /// How many calls may run at once.
    pub parallelism: Parallelism,
}

impl Default for PerplexityOptions {
    fn default() -> Self {
        Self {
            name: NAME.to_owned(),
            window_tokens: None,
            stride_tokens: None,
            max_document_tokens: DEFAULT_DOCUMENT_TOKENS,
            pack_tokens: 2048,
            part_bytes: 64 << 10,
            parallelism: Parallelism::PerCore,
        }
    }
}

/// The signal `perplexity`: lower = keep, by default.
pub struct Perplexity {
    info: SignalInfo,
    tokenizer: Arc<dyn TextTokenizer>,
    reading: Box<dyn Prediction>,
    max_document_tokens: usize,
    pack_tokens: usize,
}

/// How a model reads documents: one implementation for decoders, one for encoder–decoders.
trait Prediction: Send + Sync {
    /// Adds all that decides values.
    fn describe(&self, fingerprint: Fingerprint) -> Fingerprint;

    /// What the model says of each document; none depends on the others.
    fn sums(&self, documents: &[Document<'_>], pack_tokens: usize) -> Result<Vec<Sums>>;
}

/// A document as it is read.
struct Document<'a> {
    key: DocKey,
    text: &'a str,
    tokens: Vec<u32>,
    /// Of the whole document.
    count: usize,
}

/// What a model says of a document.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// −ln P of the predicted tokens together.
    nll: f64,
    predicted: usize,
    /// Bytes that the predicted tokens stand for.
    bytes: usize,
    read: usize,
    windows: usize,
}

impl Sums {
    fn add(&mut self, nll: f64, read: usize) {
        self.nll += nll;
        self.read += read;
        self.windows += 1;
    }
}

impl Perplexity {
    /// Makes the model ready to read.
    ///
    /// # Errors
    /// [`Error::Window`](crate::Error::Window) when a window leaves nothing to predict,
    /// [`Error::Stride`](crate::Error::Stride) when the stride does not fit it, [`Error::NoSentinels`](crate::Error::NoSentinels);
    /// else what the model says.
    pub fn new(reader: Predictor, options: &PerplexityOptions) -> Result<Self> {
        let Predictor { model, identity } = reader;
        let tokenizer = Arc::clone(&identity.tokenizer);
        let denoising = |model, objective| Denoising::new(model, Arc::clone(&tokenizer), objective, options);
        let reading: Box<dyn Prediction> = match model {
            Likelihood::Causal(model) => Box::new(Causal::new(model, Arc::clone(&tokenizer), options)?),
            Likelihood::Span(model) => Box::new(denoising(model, Objective::Span)?),
            Likelihood::Prefix(model) => Box::new(denoising(model, Objective::Prefix)?),
        };
        let info = info(&identity, &*reading, options);
        let max_document_tokens = options.max_document_tokens.max(1);
        let pack_tokens = options.pack_tokens.max(1);
        Ok(Self { info, tokenizer, reading, max_document_tokens, pack_tokens })
    }

    fn document<'a>(&self, key: DocKey, text: &'a str) -> Result<Document<'a>> {
        let head = self.tokenizer.encode_head(text, self.max_document_tokens)?;
        let count = if head.truncated {
            usize::try_from(self.tokenizer.count(text)?).unwrap_or(usize::MAX)
        } else {
            head.tokens.len()
        };
        Ok(Document { key, text, tokens: head.tokens, count })
    }

    fn score(&self, batch: &DocumentBatch) -> Result<RecordBatch> {
        let texts = batch.texts();
        let documents = (0..batch.len())
            .map(|at| self.document(batch.doc_key(at), texts.value(at)))
            .collect::<Result<Vec<Document<'_>>>>()?;
        let sums = self.reading.sums(&documents, self.pack_tokens)?;
        let rows: Vec<_> = documents.iter().zip(sums).map(|(document, sums)| row(document, sums)).collect();
        Ok(columns::batch(&self.info.schema, &rows))
    }
}

fn row(document: &Document<'_>, sums: Sums) -> Result<Scored, &'static str> {
    if document.tokens.is_empty() {
        return Err(reason::NO_TOKENS);
    }
    if sums.predicted == 0 {
        return Err(reason::ONE_TOKEN);
    }
    let mean_nll = sums.nll / sums.predicted as f64;
    let perplexity = libm::exp(mean_nll);
    if !perplexity.is_finite() {
        return Err(reason::NOT_FINITE);
    }
    let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
    Ok(Scored {
        nll_per_byte: sums.nll / sums.bytes.max(1) as f64,
        perplexity,
        mean_nll,
        nll: sums.nll,
        predicted_tokens: count(sums.predicted),
        tokens: count(sums.read),
        document_tokens: count(document.count),
        windows: count(sums.windows),
        truncated: document.tokens.len() < document.count,
    })
}

impl fmt::Debug for Perplexity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Perplexity").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Signal for Perplexity {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> tamis_core::Result<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        self.score(&documents).map_err(|error| tamis_core::Error::signal(&self.info.name, error))
    }
}

fn info(identity: &ModelIdentity, reading: &dyn Prediction, options: &PerplexityOptions) -> SignalInfo {
    let fingerprint = identity.fingerprint(NAME, VERSION);
    let fingerprint = match identity.tokenizer.pieces_version() {
        Some(version) => fingerprint.with("pieces", version),
        None => fingerprint,
    };
    let fingerprint = reading.describe(fingerprint).with("max_document_tokens", options.max_document_tokens);
    let mut notes = identity.notes();
    notes.insert(
        "tokens".to_owned(),
        "tokens read, those that two windows share counted twice; `predicted_tokens` have a likelihood"
            .to_owned(),
    );
    SignalInfo {
        name: options.name.clone(),
        fingerprint,
        input: Input::DOCUMENTS,
        parallelism: options.parallelism,
        schema: columns::schema(),
        ranking: Some(Ranking {
            column: columns::NLL_PER_BYTE.to_owned(),
            direction: Direction::LowerIsBetter,
            rule: Rule::Bottom,
        }),
        part_bytes: options.part_bytes,
        notes,
    }
}
