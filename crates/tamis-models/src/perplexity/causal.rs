//! Each token given all before it.

use std::sync::Arc;

use tamis_core::Fingerprint;

use super::windows::{Window, Windows};
use super::{Document, PerplexityOptions, Prediction, Sums};
use crate::error::Result;
use crate::graph::{CausalLm, Prefix};
use crate::packs::packs;
use crate::text_tokens::TextTokenizer;

/// A decoder that reads documents in windows.
pub(super) struct Causal {
    model: Arc<dyn CausalLm>,
    tokenizer: Arc<dyn TextTokenizer>,
    /// What the model expects before every text, already read.
    before: Option<Prefix>,
    windows: Windows,
    window_tokens: usize,
}

impl Causal {
    /// Lets the model read what it expects before every text.
    ///
    /// # Errors
    /// [`Error::Window`](crate::Error::Window) when a window leaves nothing to predict or the stride does not fit it.
    pub(super) fn new(
        model: Arc<dyn CausalLm>,
        tokenizer: Arc<dyn TextTokenizer>,
        options: &PerplexityOptions,
    ) -> Result<Self> {
        let expected = tokenizer.frame().0.to_vec();
        let context = model.context();
        let window_tokens = options.window_tokens.unwrap_or(context);
        let windows = Windows::new(window_tokens, context, expected.len(), options.stride_tokens)?;
        let before = if expected.is_empty() { None } else { Some(model.prefix(&expected)?) };
        Ok(Self { model, tokenizer, before, windows, window_tokens })
    }

    /// Bytes of the text whose tokens are predicted.
    fn bytes(&self, document: &Document<'_>) -> Result<usize> {
        let (text, tokens) = (document.text, document.tokens.len());
        let read =
            if tokens < document.count { self.tokenizer.head_bytes(text, tokens)? } else { text.len() };
        let given = match self.windows.given() {
            0 => 0,
            given => self.tokenizer.head_bytes(text, given)?,
        };
        Ok(read.saturating_sub(given))
    }

    /// The sum of ln P over the tokens that each window counts, in the order of the windows.
    fn window_sums(
        &self,
        documents: &[Document<'_>],
        jobs: &[(usize, Window)],
        pack_tokens: usize,
    ) -> Result<Vec<f64>> {
        let lengths: Vec<usize> = jobs.iter().map(|(_, window)| window.read.len()).collect();
        let (order, packs) = packs(&lengths, pack_tokens);
        let mut sums = vec![f64::NAN; jobs.len()];
        for pack in packs {
            let pack = &order[pack];
            let sequences: Vec<&[u32]> =
                pack.iter().map(|&at| &documents[jobs[at].0].tokens[jobs[at].1.read.clone()]).collect();
            self.model.token_log_probs(self.before.as_ref(), &sequences, &mut |at, log_probs| {
                let counted = jobs[pack[at]].1.counted.min(log_probs.len());
                let from = log_probs.len() - counted;
                sums[pack[at]] = log_probs[from..].iter().map(|value| f64::from(*value)).sum();
            })?;
        }
        Ok(sums)
    }
}

impl Prediction for Causal {
    fn describe(&self, fingerprint: Fingerprint) -> Fingerprint {
        let before = self.tokenizer.frame().0.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        fingerprint
            .with("numeric_path", self.model.numeric_path())
            .with("objective", super::Objective::Causal.name())
            .with("before", if before.is_empty() { "nothing" } else { before.as_str() })
            .with("window_tokens", self.window_tokens)
            .with("stride_tokens", self.windows.stride())
    }

    fn sums(&self, documents: &[Document<'_>], pack_tokens: usize) -> Result<Vec<Sums>> {
        let mut jobs: Vec<(usize, Window)> = Vec::new();
        for (row, document) in documents.iter().enumerate() {
            jobs.extend(self.windows.of(document.tokens.len()).map(|window| (row, window)));
        }
        let mut rows = Vec::with_capacity(documents.len());
        for document in documents {
            rows.push(Sums {
                predicted: document.tokens.len().saturating_sub(self.windows.given()),
                bytes: self.bytes(document)?,
                ..Sums::default()
            });
        }
        let sums = self.window_sums(documents, &jobs, pack_tokens)?;
        for ((row, window), sum) in jobs.iter().zip(sums) {
            rows[*row].add(-sum, window.read.len());
        }
        Ok(rows)
    }
}
