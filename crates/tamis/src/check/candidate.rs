//! What is checked: anything that gives documents numbers.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use tamis_core::{DocumentBatch, Signal, column};
use tamis_models::ask_llm::{AnswerModel, Judge, columns};

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
        let tokens =
            batch.column_by_name(columns::TOKENS).and_then(|array| array.as_primitive_opt::<UInt32Type>());
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

fn floats<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a arrow_array::Float64Array> {
    batch.column_by_name(name).and_then(|array| array.as_primitive_opt::<Float64Type>())
}

/// Mean ln P of a document's tokens under the model, no question asked: the negative mean NLL. What reads fluently has
/// more; what repeats itself does too.
pub(crate) struct Likelihood {
    judge: Judge,
}

/// A longer document is judged by so many tokens of its beginning: every one of them goes through the head.
const MOST_TOKENS: usize = 1024;

impl Likelihood {
    pub(crate) fn new(judge: Judge) -> Self {
        Self { judge }
    }
}

impl Candidate for Likelihood {
    fn judge(&self, texts: &[&str]) -> Result<Vec<Option<Judged>>> {
        let Judge { model: AnswerModel::Decoder(model), tokenizer, .. } = &self.judge else {
            return Ok(vec![None; texts.len()]);
        };
        let (before, _) = tokenizer.frame();
        let most = MOST_TOKENS.min(model.context().saturating_sub(before.len()));
        let mut sequences = Vec::new();
        for text in texts {
            sequences.push([before, &tokenizer.encode_head(text, most)?.tokens].concat());
        }
        let mut judged = vec![None; texts.len()];
        // A first token is predicted by nothing, so two are needed.
        let (places, readable): (Vec<usize>, Vec<&[u32]>) = sequences
            .iter()
            .enumerate()
            .filter(|(_, tokens)| tokens.len() > 1)
            .map(|(at, t)| (at, t.as_slice()))
            .unzip();
        model.token_log_probs(None, &readable, &mut |at, values| {
            let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
            let score = sum / values.len().max(1) as f64;
            judged[places[at]] =
                score.is_finite().then_some(Judged { score, mass: None, tokens: readable[at].len() as u64 });
        })?;
        Ok(judged)
    }
}
