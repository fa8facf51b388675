//! From options to signals that a server computes.

use std::sync::Arc;
use std::time::Duration;

use tamis_models::embed::Precision;
use tamis_models::prompt::{PromptSet, Rendering};
use tamis_models::text_tokens::TextTokenizer;
use tamis_remote::{Endpoint, JudgeOptions, RemoteEmbed, RemoteJudge};

use crate::options::{AskOptions, Dtype, EmbedOptions, Engine, Long, ServerOptions};
use crate::{Error, Observer, Result, models};

/// Whether a model source is a server's address.
#[must_use]
pub fn is_server(source: &str) -> bool {
    tamis_remote::is_url(source)
}

/// A judge behind a server that answered.
pub(crate) fn ask_llm(options: &AskOptions, observer: &dyn Observer) -> Result<RemoteJudge> {
    refuse_local(options.dtype, options.engine)?;
    if options.long == Long::Windows {
        return Err(Error::usage(
            "a server judges the beginning of a long document, not windows",
            "leave `--long windows` out, or load the model here",
        ));
    }
    let endpoint = Endpoint::parse(&options.model)?;
    let prompts = PromptSet::resolve(&options.prompts.join(","), "").map_err(tamis_models::Error::from)?;
    let own = JudgeOptions {
        rendering: if options.chat { Rendering::Chat } else { Rendering::Raw },
        top_logprobs: options.server.top_logprobs,
        max_document_tokens: options.max_tokens,
        max_document_characters: options.server.max_characters,
        tokenizer: tokenizer(&options.server, observer)?,
        ..JudgeOptions::default()
    };
    let judge = RemoteJudge::new(&endpoint, &prompts, &asked(&options.server), &own)?;
    judge.remarks().iter().for_each(|remark| observer.warn(remark));
    Ok(judge)
}

/// An embedder behind a server that answered.
pub(crate) fn embedder(options: &EmbedOptions, observer: &dyn Observer) -> Result<RemoteEmbed> {
    refuse_local(options.dtype, options.engine)?;
    let endpoint = Endpoint::parse(&options.model)?;
    let own = tamis_remote::EmbedOptions {
        max_tokens: options.max_tokens,
        max_characters: options.server.max_characters,
        tokenizer: tokenizer(&options.server, observer)?,
        precision: if options.store_f32 { Precision::F32 } else { Precision::F16 },
        ..tamis_remote::EmbedOptions::default()
    };
    let embedder = RemoteEmbed::new(&endpoint, &asked(&options.server), &own)?;
    embedder.remarks().iter().for_each(|remark| observer.warn(remark));
    Ok(embedder)
}

fn asked(options: &ServerOptions) -> tamis_remote::ServerOptions {
    tamis_remote::ServerOptions {
        model: options.model.clone(),
        concurrency: options.concurrency.max(1),
        timeout: Duration::from_secs(options.timeout_seconds.max(1)),
        retries: options.retries,
        stop_after_failed: options.stop_after_failed,
        ..tamis_remote::ServerOptions::default()
    }
}

fn tokenizer(options: &ServerOptions, observer: &dyn Observer) -> Result<Option<Arc<dyn TextTokenizer>>> {
    let Some(source) = &options.tokenizer else { return Ok(None) };
    Ok(Some(Arc::new(models::open(source, observer)?.tokenizer)))
}

fn refuse_local(dtype: Dtype, engine: Engine) -> Result<()> {
    if dtype == Dtype::Auto && engine == Engine::Native {
        return Ok(());
    }
    Err(Error::usage(
        "a server chooses its number format, its engine and its device",
        "leave --dtype, --engine and --device out, or load the model here",
    ))
}
