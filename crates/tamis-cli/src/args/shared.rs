//! Flags that several signals share, and what they mean.

use clap::{Args, ValueEnum};
use tamis::options::{Device, Dtype, Engine, ServerOptions};
use tamis::{Error, Result};

/// Models that compute here.
#[derive(Debug, Args)]
#[command(next_help_heading = "Models")]
pub(crate) struct ModelArgs {
    /// Judge, or model of perplexity: `pypi:PACKAGE==V`, `hf:OWNER/NAME`, a folder, a .gguf file, or for a judge a server,
    /// `http://HOST:PORT/v1#MODEL` [default: smollm2, the packaged judge]. For perplexity also a list `A,B` or
    /// `NAME=A,OTHER=B`: a signal `perplexity:NAME` of each.
    #[arg(long, value_name = "SOURCE")]
    pub model: Option<String>,
    /// Most tokens of a document, or of a window [default: what the context leaves; for perplexity 32768].
    #[arg(long, value_name = "N")]
    pub max_document_tokens: Option<usize>,
    /// Number format of the weights: auto (what was measured to be faster on this processor), bf16, f32, int8 (rougher,
    /// not for perplexity), or one numeric path, such as f32/avx2 where machines of several kinds share a run [default: auto].
    #[arg(long, value_name = "FORMAT", value_parser = dtype)]
    pub dtype: Option<Dtype>,
    /// Implementation of the graphs [default: native].
    #[arg(long, value_enum)]
    pub engine: Option<EngineArg>,
    /// Where models compute: cpu, cuda, cuda:N or metal [default: cpu].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}

/// Flags of whatever a model computes here.
pub(crate) const COMPUTED: &[&str] = &["dtype", "engine", "device"];
/// Flags of judges and models of perplexity.
pub(crate) const OF_MODEL: &[&str] = &["model", "max_document_tokens"];

impl ModelArgs {
    /// Number format, implementation and device.
    pub(crate) fn backend(&self) -> Result<(Dtype, Engine, Device)> {
        let (engine, device) = engine(self.engine, self.device.as_deref(), self.dtype)?;
        Ok((self.dtype.unwrap_or_default(), engine, device))
    }
}

/// Models behind a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub(crate) struct ServerArgs {
    /// Name of the model on the server [default: what follows # in the address, else the only one there].
    #[arg(long, value_name = "NAME")]
    pub server_model: Option<String>,
    /// Requests under way at once.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub concurrency: usize,
    /// Most likely tokens that the server is to show of an answer [default: 20].
    #[arg(long, value_name = "K")]
    pub top_logprobs: Option<usize>,
    /// Most characters of a document, where nobody can count tokens [default: three a token of the context].
    #[arg(long, value_name = "N")]
    pub max_document_characters: Option<usize>,
    /// Time for one request.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub request_timeout: u64,
    /// Tries of a request after the first, with growing waits.
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub retries: u32,
    /// Stop after so many rows in a row without a value; 0 never stops.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub stop_after_failed: u32,
}

/// Flags that say how often and how fast a server is asked: they change no value.
pub(crate) const PACE: &[&str] = &["concurrency", "request_timeout", "retries", "stop_after_failed"];
/// The others, of whatever a server can compute.
pub(crate) const SERVED: &[&str] = &["server_model", "max_document_characters"];
/// What only a judge behind a server can be told.
pub(crate) const JUDGED: &[&str] = &["top_logprobs"];

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum EngineArg {
    Native,
    Candle,
}

/// A number format or numeric path by its name; else what to write.
pub(crate) fn dtype(text: &str) -> std::result::Result<Dtype, String> {
    text.parse().map_err(|error: Error| error.hint().unwrap_or_else(|| error.to_string()))
}

/// Implementation and device; another device than the processor has one implementation, and that one number format.
pub(crate) fn engine(
    flag: Option<EngineArg>,
    device: Option<&str>,
    dtype: Option<Dtype>,
) -> Result<(Engine, Device)> {
    let device = device.map(Device::parse).transpose()?.unwrap_or_default();
    let native = device == Device::Cpu && !matches!(flag, Some(EngineArg::Candle));
    if !native && matches!(dtype, Some(Dtype::Bf16 | Dtype::Int8 | Dtype::Path(_))) {
        return Err(Error::usage(
            "the candle engine computes in f32",
            "leave --dtype out, or compute on the processor by the native engine, without --engine and --device",
        ));
    }
    match (flag, device) {
        (None | Some(EngineArg::Native), Device::Cpu) => Ok((Engine::Native, device)),
        (Some(EngineArg::Native), _) => Err(Error::usage(
            "the native engine computes on the processor",
            "leave --engine out, or write --engine candle",
        )),
        (None | Some(EngineArg::Candle), _) => Ok((Engine::Candle, device)),
    }
}

/// How a server is asked, where the model is one's address.
pub(crate) fn server(model: &str, args: &ServerArgs, tokenizer: Option<&str>) -> Result<ServerOptions> {
    let pace = ServerOptions {
        concurrency: args.concurrency,
        timeout_seconds: args.request_timeout,
        retries: args.retries,
        ..ServerOptions::default()
    };
    if !tamis::is_server(model) {
        let ServerArgs { server_model, top_logprobs, max_document_characters, .. } = args;
        if server_model.is_some() || top_logprobs.is_some() || max_document_characters.is_some() {
            let message = format!("`{model}` is loaded here, and there are options for a server");
            return Err(Error::usage(
                message,
                "name a server as --model http://HOST:PORT/v1 (or --embedder)",
            ));
        }
        // A stored signal that a selection goes on with may be a server's.
        return Ok(pace);
    }
    Ok(ServerOptions {
        model: args.server_model.clone(),
        top_logprobs: args.top_logprobs.unwrap_or(pace.top_logprobs),
        tokenizer: tokenizer.map(str::to_owned),
        max_characters: args.max_document_characters,
        stop_after_failed: args.stop_after_failed,
        ..pace
    })
}
