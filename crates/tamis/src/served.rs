//! The one place where a model's source decides who computes: a model that is loaded here, or one behind a server.

use tamis_core::Signal;
use tamis_io::run::Repeatability;

use crate::options::{AskOptions, EmbedOptions};
use crate::{Observer, Result, models, servers};

/// Ask-LLM, the judge loaded here or behind a server.
pub(crate) fn ask_llm(
    options: &AskOptions,
    observer: &dyn Observer,
) -> Result<(Box<dyn Signal>, Repeatability)> {
    Ok(if servers::is_server(&options.model) {
        (Box::new(servers::ask_llm(options, observer)?), Repeatability::BatchVariant)
    } else {
        (Box::new(models::ask_llm(options, observer)?), models::repeatability(options.engine, options.device))
    })
}

/// An embedder that is ready, loaded here or behind a server.
pub(crate) fn embedder(
    options: &EmbedOptions,
    observer: &dyn Observer,
) -> Result<(Box<dyn Signal>, Repeatability)> {
    Ok(if servers::is_server(&options.model) {
        (Box::new(servers::embedder(options, observer)?), Repeatability::BatchVariant)
    } else {
        (
            Box::new(models::embedder(options, observer)?),
            models::repeatability(options.engine, options.device),
        )
    })
}
