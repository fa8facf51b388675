//! What is checked: anything that gives documents numbers.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use tamis_core::{DocumentBatch, Signal, column};
use tamis_models::ask_llm::{AnswerModel, Judge, columns};
use tamis_models::perplexity::{
    Likelihood as Model, Perplexity, PerplexityOptions, Predictor, columns as perplexity,
};

use crate::Result;

/// What a candidate says of one document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judged {
    /// Higher is better.
    pub(crate) score: f64,
    /// Probability on the two answers together, where there are answers.
    pub(crate) mass: Option<f64>,
    /// Tokens read.
    pub(crate) tokens: u64,
}

/// A judge with a question, or any other score. Every [`Signal`] with a column `score` of which more is better is one, so
/// judges of another architecture or behind a server need nothing but their signal.
pub(crate) trait Candidate: Sync {
    /// One value a text; `None` where it failed.
    fn judge(&self, texts: &[&str]) -> Result<Vec<Option<Judged>>>;
}

impl<S: Signal> Candidate for S {
    fn judge(&self, texts: &[&str]) -> Result<Vec<Option<Judged>>> {
        let batch = self.annotate(DocumentBatch::from_texts(texts.iter().copied()).as_arrow())?;
        let scores = floats(&batch, column::SCORE)
            .ok_or_else(|| tamis_core::Error::MissingColumn { column: column::SCORE.to_owned() })?;
        let (yes, no) = (floats(&batch, columns::P_YES), floats(&batch, columns::P_NO));
        let tokens = counts(&batch, columns::TOKENS);
        let judged = |at: usize| {
            scores.is_valid(at).then(|| Judged {
                score: scores.value(at),
                mass: yes.zip(no).map(|(yes, no)| yes.value(at) + no.value(at)),
                tokens: tokens.map_or(0, |tokens| u64::from(tokens.value(at))),
            })
        };
        Ok((0..batch.num_rows()).map(judged).collect())
    }
}

fn counts<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a arrow_array::UInt32Array> {
    batch.column_by_name(name).and_then(|array| array.as_primitive_opt::<UInt32Type>())
}

fn floats<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a arrow_array::Float64Array> {
    batch.column_by_name(name).and_then(|array| array.as_primitive_opt::<Float64Type>())
}

/// Mean ln P of the predicted tokens of a document, no question asked: the negative mean NLL. What reads fluently has more;
/// what repeats itself does too.
pub(crate) struct Likelihood {
    signal: Perplexity,
}

/// A longer document is judged by so many tokens of its beginning: every one of them goes through the head.
const MOST_TOKENS: usize = 1024;

impl Likelihood {
    /// Of a decoder all tokens are predicted, of an encoder–decoder the spans that are cut out.
    ///
    /// # Errors
    /// When the tokenizer has nothing to stand for what is cut out.
    pub(crate) fn new(judge: &Judge) -> Result<Self> {
        let reader = Predictor {
            model: match &judge.model {
                AnswerModel::Decoder(model) => Model::Causal(Arc::clone(model)),
                AnswerModel::EncoderDecoder(model) => Model::Span(Arc::clone(model)),
            },
            identity: judge.identity.clone(),
        };
        let options = PerplexityOptions { max_document_tokens: MOST_TOKENS, ..PerplexityOptions::default() };
        Ok(Self { signal: Perplexity::new(reader, &options)? })
    }
}

impl Candidate for Likelihood {
    fn judge(&self, texts: &[&str]) -> Result<Vec<Option<Judged>>> {
        let batch = self.signal.annotate(DocumentBatch::from_texts(texts.iter().copied()).as_arrow())?;
        let missing = |name: &str| tamis_core::Error::MissingColumn { column: name.to_owned() };
        let mean = floats(&batch, perplexity::MEAN_NLL).ok_or_else(|| missing(perplexity::MEAN_NLL))?;
        let tokens = counts(&batch, perplexity::TOKENS);
        let judged = |at: usize| {
            mean.is_valid(at).then(|| Judged {
                score: -mean.value(at),
                mass: None,
                tokens: tokens.map_or(0, |tokens| u64::from(tokens.value(at))),
            })
        };
        Ok((0..batch.num_rows()).map(judged).collect())
    }
}
