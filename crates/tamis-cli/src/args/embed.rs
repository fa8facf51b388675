//! Flags of `embed`.

use clap::Args;
use tamis::Result;
use tamis::options::EmbedOptions;

use super::SignalArgs;
use super::shared::{COMPUTED, PACE, SERVED, server};

/// Which embeddings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Embeddings")]
pub(crate) struct Flags {
    /// Embedding model, or a server: `http://HOST:PORT` [default: minilm, the packaged embedder].
    #[arg(long, value_name = "SOURCE")]
    pub embedder: Option<String>,
    /// Tokens after which a document is cut for its embedding [default: the model's own limit].
    #[arg(long, value_name = "N")]
    pub embed_tokens: Option<usize>,
    /// Store embeddings as 32-bit floats instead of 16-bit ones.
    #[arg(long)]
    pub store_f32: bool,
}

/// The flags of [`Flags`], for signals that are made from embeddings.
pub(crate) const OF_EMBEDDINGS: &[&str] = &["embedder", "embed_tokens", "store_f32"];

impl super::Flags for Flags {
    type Options = EmbedOptions;

    const SHARED: &'static [&'static [&'static str]] = &[COMPUTED, SERVED, PACE, &["tokenizer"]];

    fn options(_: EmbedOptions, args: &SignalArgs, tokenizer: Option<&str>) -> Result<Vec<EmbedOptions>> {
        embeddings(args, tokenizer).map(|options| vec![options])
    }
}

/// The embeddings that are asked for.
pub(crate) fn embeddings(args: &SignalArgs, tokenizer: Option<&str>) -> Result<EmbedOptions> {
    let own = &args.embed;
    let (dtype, engine, device) = args.models.backend()?;
    let model = own.embedder.clone().unwrap_or(EmbedOptions::default().model);
    Ok(EmbedOptions {
        server: server(&model, &args.server, tokenizer)?,
        model,
        max_tokens: own.embed_tokens,
        dtype,
        engine,
        store_f32: own.store_f32,
        device,
    })
}
