//! Flags of `ask-llm`.

use clap::{Args, ValueEnum};
use tamis::Result;
use tamis::options::{AskOptions, Long};

use super::SignalArgs;
use super::shared::{COMPUTED, JUDGED, OF_MODEL, PACE, SERVED, server};

/// What the judge is asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ask-LLM")]
pub(crate) struct Flags {
    /// Prompts: `auto`, names, or files that contain {document}; several are averaged [default: auto].
    #[arg(long, value_name = "NAME|FILE", value_delimiter = ',')]
    pub prompt: Vec<String>,
    /// Wrap the prompt in the model's chat template.
    #[arg(long)]
    pub chat: bool,
    /// What to do with documents longer than the context [default: head].
    #[arg(long, value_enum)]
    pub long: Option<LongArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LongArg {
    Head,
    Windows,
}

impl super::Flags for Flags {
    type Options = AskOptions;

    const SHARED: &'static [&'static [&'static str]] =
        &[OF_MODEL, COMPUTED, SERVED, JUDGED, PACE, &["tokenizer", "sample", "against", "sample_seed"]];

    fn options(_: AskOptions, args: &SignalArgs, tokenizer: Option<&str>) -> Result<Vec<AskOptions>> {
        let own = &args.ask_llm;
        let default = AskOptions::default();
        let (dtype, engine, device) = args.models.backend()?;
        let model = args.models.model.clone().unwrap_or(default.model);
        Ok(vec![AskOptions {
            server: server(&model, &args.server, tokenizer)?,
            model,
            prompts: if own.prompt.is_empty() { default.prompts } else { own.prompt.clone() },
            chat: own.chat,
            long: match own.long {
                None | Some(LongArg::Head) => Long::Head,
                Some(LongArg::Windows) => Long::Windows,
            },
            max_tokens: args.models.max_document_tokens,
            dtype,
            engine,
            device,
        }])
    }
}
