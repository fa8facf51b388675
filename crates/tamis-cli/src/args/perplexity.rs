//! Flags of `perplexity` and its checkpoints.

use clap::{Args, ValueEnum};
use tamis::options::{Objective, PerplexityOptions};
use tamis::{Error, Result};

use super::SignalArgs;
use super::shared::{COMPUTED, OF_MODEL};

/// How a document is predicted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Perplexity")]
pub(crate) struct Flags {
    /// Tokens that the model sees at once [default: its context].
    #[arg(long, value_name = "N")]
    pub window: Option<usize>,
    /// Tokens by which windows of longer documents advance [default: half a window].
    #[arg(long, value_name = "N")]
    pub stride: Option<usize>,
    /// What is predicted [default: what the model was made for].
    #[arg(long, value_enum)]
    pub objective: Option<ObjectiveArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ObjectiveArg {
    Causal,
    Span,
    Prefix,
}

impl super::Flags for Flags {
    type Options = PerplexityOptions;

    const SHARED: &'static [&'static [&'static str]] = &[OF_MODEL, COMPUTED];

    /// One set of options for each checkpoint of `--model`, and those of a named one alone where the signal has a name.
    fn options(
        named: PerplexityOptions,
        args: &SignalArgs,
        _tokenizer: Option<&str>,
    ) -> Result<Vec<PerplexityOptions>> {
        let own = &args.perplexity;
        let (dtype, engine, device) = args.models.backend()?;
        let of = |name: Option<String>, model: Option<String>| PerplexityOptions {
            name,
            model,
            objective: own.objective.map(|objective| match objective {
                ObjectiveArg::Causal => Objective::Causal,
                ObjectiveArg::Span => Objective::Span,
                ObjectiveArg::Prefix => Objective::Prefix,
            }),
            window: own.window,
            stride: own.stride,
            max_tokens: args.models.max_document_tokens,
            dtype,
            engine,
            device,
        };
        let listed = match &args.models.model {
            None => return Ok(vec![of(named.name.clone(), None)]),
            Some(list) => tamis::checkpoints(list)?,
        };
        match (&named.name, listed.as_slice()) {
            (Some(name), [(None, source)]) => Ok(vec![of(Some(name.clone()), Some(source.clone()))]),
            (Some(name), listed) => {
                let found = listed.iter().find(|(other, _)| other.as_ref() == Some(name));
                let (_, source) = found.ok_or_else(|| {
                    let names: Vec<&str> = listed.iter().filter_map(|(name, _)| name.as_deref()).collect();
                    Error::usage(
                        format!("no checkpoint of --model is named `{name}`"),
                        format!("the list names {}", names.join(", ")),
                    )
                })?;
                Ok(vec![of(Some(name.clone()), Some(source.clone()))])
            }
            (None, listed) => {
                Ok(listed.iter().map(|(name, source)| of(name.clone(), Some(source.clone()))).collect())
            }
        }
    }
}
