//! What is common to signals that a server computes.

use std::sync::Arc;
use std::time::Duration;

use tamis_models::text_tokens::TextTokenizer;

use crate::model_options::{Dtype, Engine, ServerOptions};
use crate::{Error, Observer, Result, models};

/// How it is asked.
pub(crate) fn asked(options: &ServerOptions) -> tamis_remote::ServerOptions {
    tamis_remote::ServerOptions {
        model: options.model.clone(),
        concurrency: options.concurrency.max(1),
        timeout: Duration::from_secs(options.timeout_seconds.max(1)),
        retries: options.retries,
        stop_after_failed: options.stop_after_failed,
        ..tamis_remote::ServerOptions::default()
    }
}

/// What cuts documents for it.
pub(crate) fn tokenizer(
    options: &ServerOptions,
    observer: &dyn Observer,
) -> Result<Option<Arc<dyn TextTokenizer>>> {
    let Some(source) = &options.tokenizer else { return Ok(None) };
    Ok(Some(Arc::new(models::open(source, observer)?.tokenizer)))
}

/// Refuses what only a model that is loaded here can be told.
pub(crate) fn refuse_local(dtype: Dtype, engine: Engine) -> Result<()> {
    if dtype == Dtype::Auto && engine == Engine::Native {
        return Ok(());
    }
    Err(Error::usage(
        "a server chooses its number format, its engine and its device",
        "leave --dtype, --engine and --device out, or load the model here",
    ))
}
