//! `tokens`: tokens of the text by a named tokenizer, what budgets are filled by.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use tamis_core::{
    DocumentBatch, Fingerprint, Input, Parallelism, Result as CoreResult, Signal, SignalInfo, column,
};
use tamis_models::text_tokens::TextTokenizer;

use super::{Definition, Named, Ready};
use crate::{Observer, Result, models};

/// Counts of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokensOptions {
    /// Model source whose tokenizer counts.
    pub tokenizer: String,
}

impl Default for TokensOptions {
    fn default() -> Self {
        Self { tokenizer: models::DEFAULT_JUDGE.to_owned() }
    }
}

impl Named for TokensOptions {
    const NAME: &'static str = "tokens";
    const HELP: &'static str = "its tokens, by the tokenizer of a model";

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

impl Definition for TokensOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn model(&self) -> Result<Option<&str>> {
        Ok(Some(&self.tokenizer))
    }

    fn build(&self, observer: &dyn Observer) -> Result<Ready> {
        let (tokenizer, source) = models::open_tokenizer(&self.tokenizer, observer)?;
        Ok(Ready::exact(TokenCount::new(Arc::new(tokenizer), &source)))
    }

    /// A tokenizer is soon loaded again, and would take the place of a model.
    fn is_held(&self) -> bool {
        false
    }

    fn unify(&mut self, _digest: &str) {
        models::unify_source(&mut self.tokenizer);
    }
}

/// Tokens of each document by one tokenizer, nothing cut, no special tokens.
struct TokenCount {
    tokenizer: Arc<dyn TextTokenizer>,
    info: SignalInfo,
}

impl TokenCount {
    fn new(tokenizer: Arc<dyn TextTokenizer>, source: &str) -> Self {
        let schema = Schema::new(vec![
            Field::new("tokens", DataType::UInt64, true),
            Field::new(column::FAILED, DataType::Utf8, true),
        ]);
        let fingerprint = Fingerprint::new("tokens", 1).with("tokenizer", tokenizer.digest());
        let info = SignalInfo {
            name: "tokens".to_owned(),
            fingerprint: match tokenizer.pieces_version() {
                Some(version) => fingerprint.with("pieces", version),
                None => fingerprint,
            },
            input: Input::DOCUMENTS,
            parallelism: Parallelism::PerCore,
            schema: Arc::new(schema),
            ranking: None,
            part_bytes: 32 << 20,
            notes: BTreeMap::from([("source".to_owned(), source.to_owned())]),
        };
        Self { tokenizer, info }
    }
}

impl Signal for TokenCount {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> CoreResult<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        let texts = documents.texts();
        let mut counts = Vec::with_capacity(documents.len());
        for at in 0..documents.len() {
            let count = self.tokenizer.count(texts.value(at));
            counts.push(count.map_err(|error| tamis_core::Error::signal("tokens", error))?);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(counts)),
            Arc::new(StringArray::from(vec![None::<&str>; documents.len()])),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}
