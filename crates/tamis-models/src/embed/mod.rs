//! Embeddings as a signal: one vector of length 1 for each document.
//!
//! The text is framed by the tokenizer's own special tokens (`[CLS]` … `[SEP]`) and cut at its end so that frame and text
//! together have at most [`EmbedOptions::max_tokens`] tokens, as sentence-transformers does with `max_seq_length`.
//!
//! This signal is no score: Density and the cluster samplers read it.

pub mod columns;

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use tamis_core::{DocumentBatch, Input, Parallelism, Signal, SignalInfo, reason};

use crate::build::{Backend, build_encoder};
use crate::error::{Error, Result};
use crate::graph::Encoder;
use crate::identity::ModelIdentity;
use crate::packs::packs;
use crate::source::LoadedModel;
use columns::Embedded;

/// Name of the signal.
pub const NAME: &str = "embed";
/// Raised when the values that the same model and options give change.
const VERSION: u32 = 2;

/// Most tokens that are read when neither the user nor the model says otherwise.
const USUAL_TOKENS: usize = 256;

/// How the numbers of an embedding are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Precision {
    /// 2 bytes a number; the largest rounding error is 0.05 %, which moves a cosine by about 1e-7.
    #[default]
    F16,
    /// 4 bytes a number.
    F32,
}

impl Precision {
    /// The word for it in fingerprints and options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
        }
    }
}

/// A model that embeds, with what a fingerprint must know of it.
#[derive(Clone)]
pub struct Embedder {
    /// The encoder.
    pub model: Arc<dyn Encoder>,
    /// Which model it is.
    pub identity: ModelIdentity,
    /// Longest sequence in tokens that it was trained to embed, where its files say.
    pub max_tokens: Option<usize>,
}

impl Embedder {
    /// Builds the encoder of an opened model; the model's files are let go.
    ///
    /// # Errors
    /// When the model is no encoder, or its weights do not fit its configuration.
    pub fn from_model(loaded: LoadedModel, backend: Backend) -> Result<Self> {
        let model = build_encoder(&loaded.architecture, &*loaded.weights, backend)?;
        let max_tokens = loaded.sentence.as_ref().and_then(|sentence| sentence.max_tokens);
        Ok(Self { model: Arc::from(model), max_tokens, identity: loaded.into() })
    }
}

impl fmt::Debug for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedder").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// How documents are embedded.
#[derive(Clone, Debug)]
pub struct EmbedOptions {
    /// Most tokens that are read, special ones included; never more than the model has positions for. `None`: what the
    /// model's files say, else 256.
    pub max_tokens: Option<usize>,
    /// How the numbers are stored.
    pub precision: Precision,
    /// Tokens that one call of the model gets at most. Decides speed and memory, not values.
    pub pack_tokens: usize,
    /// Bytes of text of one part: about ten seconds of work of one worker.
    pub part_bytes: u64,
    /// How many calls may run at once.
    pub parallelism: Parallelism,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            max_tokens: None,
            precision: Precision::default(),
            pack_tokens: 2048,
            part_bytes: 512 << 10,
            parallelism: Parallelism::PerCore,
        }
    }
}

/// The signal `embed`.
#[derive(Debug)]
pub struct Embed {
    info: SignalInfo,
    embedder: Embedder,
    precision: Precision,
    document_tokens: usize,
    pack_tokens: usize,
}

impl Embed {
    /// Checks that the frame leaves room for text.
    ///
    /// # Errors
    /// [`Error::NoRoomForText`] when `max_tokens` or the model's positions are used up by special tokens.
    pub fn new(embedder: Embedder, options: &EmbedOptions) -> Result<Self> {
        let (before, after) = embedder.identity.tokenizer.frame();
        let special_tokens = before.len() + after.len();
        let asked = options.max_tokens.or(embedder.max_tokens).unwrap_or(USUAL_TOKENS);
        let max_tokens = asked.min(embedder.model.max_tokens());
        let document_tokens = max_tokens.saturating_sub(special_tokens);
        if document_tokens == 0 {
            return Err(Error::NoRoomForText { special_tokens, max_tokens });
        }
        let info = info(&embedder, max_tokens, options);
        let pack_tokens = options.pack_tokens.max(1);
        Ok(Self { info, embedder, precision: options.precision, document_tokens, pack_tokens })
    }

    fn compute(&self, documents: &DocumentBatch) -> Result<RecordBatch> {
        let texts = documents.texts();
        let (before, after) = self.embedder.identity.tokenizer.frame();
        let mut rows = Vec::with_capacity(documents.len());
        let mut sequences = Vec::new();
        for at in 0..documents.len() {
            let head = self.embedder.identity.tokenizer.encode_head(texts.value(at), self.document_tokens)?;
            if head.tokens.is_empty() {
                rows.push(Err(reason::NO_TOKENS));
            } else {
                rows.push(Ok((sequences.len(), head.truncated)));
                sequences.push([before, &head.tokens, after].concat());
            }
        }
        let dimension = self.embedder.model.dimension();
        let mut values = vec![f32::NAN; sequences.len() * dimension];
        let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
        let (order, packs) = packs(&lengths, self.pack_tokens);
        for pack in packs {
            let pack = &order[pack];
            let read: Vec<&[u32]> = pack.iter().map(|&at| sequences[at].as_slice()).collect();
            self.embedder.model.embed(&read, &mut |at, embedding| {
                values[pack[at] * dimension..][..dimension].copy_from_slice(embedding);
            })?;
        }
        let rows: Vec<Result<Embedded<'_>, &'static str>> = rows
            .into_iter()
            .map(|row| {
                let (at, truncated) = row?;
                let values = &values[at * dimension..][..dimension];
                // What f16 cannot hold would be stored as infinity; an embedding of length 1 is far below that.
                let finite = values.iter().all(|value| value.is_finite() && value.abs() < 60_000.0);
                finite
                    .then(|| Embedded { values, tokens: Some(lengths[at]), truncated: Some(truncated) })
                    .ok_or(reason::NOT_FINITE)
            })
            .collect();
        Ok(columns::batch(&self.info.schema, dimension, self.precision, &rows))
    }
}

impl Signal for Embed {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> tamis_core::Result<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        self.compute(&documents).map_err(|error| tamis_core::Error::signal(NAME, error))
    }
}

fn info(embedder: &Embedder, max_tokens: usize, options: &EmbedOptions) -> SignalInfo {
    let dimension = embedder.model.dimension();
    let fingerprint = embedder
        .identity
        .fingerprint(NAME, VERSION)
        .with("numeric_path", embedder.model.numeric_path())
        .with("pooling", "mean, length 1")
        .with("dimension", dimension)
        .with("max_tokens", max_tokens)
        .with("precision", options.precision.name());
    SignalInfo {
        name: NAME.to_owned(),
        fingerprint,
        input: Input::DOCUMENTS,
        parallelism: options.parallelism,
        schema: columns::schema(dimension, options.precision),
        ranking: None,
        part_bytes: options.part_bytes,
        notes: embedder.identity.notes(),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt32Type;
    use arrow_select::concat::concat_batches;
    use proptest::prelude::*;
    use tamis_core::{EmbeddingBatch, ScoreBatch};

    use tamis_core::column;

    use super::columns::{TOKENS, TRUNCATED};
    use super::*;
    use crate::ask_llm::fake::FakeTokenizer;
    use crate::graph::Sink;

    /// Two numbers: the sum of the tokens and their count; byte `!` (33) makes them NaN.
    struct FakeEncoder;

    impl Encoder for FakeEncoder {
        fn dimension(&self) -> usize {
            2
        }

        fn max_tokens(&self) -> usize {
            12
        }

        fn numeric_path(&self) -> String {
            "fake".to_owned()
        }

        fn embed(&self, sequences: &[&[u32]], sink: &mut Sink<'_>) -> Result<()> {
            for (at, sequence) in sequences.iter().enumerate() {
                assert!(sequence.len() <= 12, "a sequence must fit the model");
                let sum = if sequence.contains(&33) { f32::NAN } else { sequence.iter().sum::<u32>() as f32 };
                sink(at, &[sum, sequence.len() as f32]);
            }
            Ok(())
        }
    }

    fn embedder() -> Embedder {
        let mut tokenizer = FakeTokenizer::new(&[]);
        tokenizer.frame = (vec![1], vec![2]);
        Embedder {
            model: Arc::new(FakeEncoder),
            identity: crate::ask_llm::fake::identity(tokenizer, None),
            max_tokens: None,
        }
    }

    fn annotate(options: &EmbedOptions, texts: &[&str]) -> RecordBatch {
        let signal = Embed::new(embedder(), options).unwrap();
        signal.annotate(DocumentBatch::from_texts(texts.iter().copied()).as_arrow()).unwrap()
    }

    fn sidecar(batch: &RecordBatch, texts: &[&str]) -> RecordBatch {
        let documents = DocumentBatch::from_texts(texts.iter().copied());
        let keys = documents.as_arrow().project(&[0, 2]).unwrap();
        let columns = keys.columns().iter().chain(batch.columns()).cloned().collect();
        RecordBatch::try_new(ScoreBatch::sidecar_schema(&batch.schema()), columns).unwrap()
    }

    #[test]
    fn text_is_framed_cut_and_stored_in_either_precision() {
        for precision in [Precision::F16, Precision::F32] {
            let options = EmbedOptions { precision, ..EmbedOptions::default() };
            let texts = ["ab", "abcdefghijklm", "", "no!"];
            let batch = annotate(&options, &texts);
            let embeddings = EmbeddingBatch::new(sidecar(&batch, &texts)).unwrap();
            assert_eq!(embeddings.dimension(), 2);
            let mut values = [0.0; 2];
            embeddings.read_into(0, &mut values);
            assert_eq!(values, [1.0 + 97.0 + 98.0 + 2.0, 4.0]);
            embeddings.read_into(1, &mut values);
            assert_eq!(values[1], 12.0, "10 of 13 tokens, and two of the frame");
            assert!(!embeddings.is_valid(2) && !embeddings.is_valid(3));
            let failed = batch.column_by_name(column::FAILED).unwrap().as_string::<i32>();
            assert_eq!(
                failed.iter().collect::<Vec<_>>(),
                [None, None, Some(reason::NO_TOKENS), Some(reason::NOT_FINITE)]
            );
            let truncated = batch.column_by_name(TRUNCATED).unwrap().as_boolean();
            assert_eq!(truncated.iter().collect::<Vec<_>>(), [Some(false), Some(true), None, None]);
            let tokens = batch.column_by_name(TOKENS).unwrap().as_primitive::<UInt32Type>();
            assert_eq!((tokens.value(0), tokens.is_null(2)), (4, true));
        }
    }

    #[test]
    fn limit_without_room_for_text_is_refused() {
        let options = EmbedOptions { max_tokens: Some(2), ..EmbedOptions::default() };
        let error = Embed::new(embedder(), &options).unwrap_err();
        assert_eq!(error.to_string(), "2 special tokens leave no room for text in 2 tokens");
    }

    #[test]
    fn fingerprint_follows_length_and_precision_but_not_packs() {
        let of =
            |options: EmbedOptions| Embed::new(embedder(), &options).unwrap().info().fingerprint.digest();
        let base = of(EmbedOptions::default());
        assert_eq!(base, of(EmbedOptions { pack_tokens: 9, part_bytes: 1, ..EmbedOptions::default() }));
        assert_ne!(base, of(EmbedOptions { max_tokens: Some(8), ..EmbedOptions::default() }));
        assert_ne!(base, of(EmbedOptions { precision: Precision::F32, ..EmbedOptions::default() }));
        assert_eq!(
            base,
            of(EmbedOptions { max_tokens: Some(12), ..EmbedOptions::default() }),
            "12 is all the model has"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn rows_do_not_depend_on_their_batch(
            texts in proptest::collection::vec("[a-d!]{0,15}", 1..10),
            pack_tokens in 1usize..60,
        ) {
            let options = EmbedOptions { pack_tokens, ..EmbedOptions::default() };
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let all = annotate(&options, &texts);
            let single: Vec<_> = texts.iter().map(|text| annotate(&options, &[text])).collect();
            prop_assert_eq!(concat_batches(&all.schema(), &single).unwrap(), all);
        }
    }
}
