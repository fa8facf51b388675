//! `ask-llm`: P(yes) of a judge that is loaded here or stands behind a server (arXiv 2402.09668, section 3.1).

use serde::{Deserialize, Serialize};
use tamis_io::run::{CorpusVersion, SignalDir};
use tamis_models::ask_llm::{AskLlm, AskLlmOptions, Judge, JudgeDiagnostics, Long as ModelLong};
use tamis_models::prompt::{PromptSet, Rendering, builtin};
use tamis_remote::{Endpoint, JudgeOptions, RemoteJudge};

use super::{Definition, Named, Ready};
use crate::fold::Inputs;
use crate::model_options::{Device, Dtype, Engine, ServerOptions};
use crate::models::is_server;
use crate::project::Project;
use crate::{Error, Observer, Result, models, servers};

/// What to do with a document that is longer than the judge's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Long {
    /// Judge its beginning.
    #[default]
    Head,
    /// Judge windows that cover it and take the mean.
    Windows,
}

/// The Ask-LLM signal (arXiv 2402.09668, section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AskOptions {
    /// Model source, or the address of a server.
    pub model: String,
    /// Prompt names or files; `auto` is the set stored for the model, else `paper`.
    pub prompts: Vec<String>,
    /// Wrap each prompt in the model's chat template.
    pub chat: bool,
    /// Longer documents.
    pub long: Long,
    /// Most tokens of a document, or of one window; `None` is what the context leaves.
    pub max_tokens: Option<usize>,
    /// Number format.
    pub dtype: Dtype,
    /// Implementation.
    pub engine: Engine,
    /// The server, where the model is one's address.
    #[serde(skip_serializing_if = "ServerOptions::is_default")]
    pub server: ServerOptions,
    /// Where it is computed; another device than the processor means [`Engine::Candle`].
    #[serde(skip_serializing_if = "Device::is_cpu")]
    pub device: Device,
}

impl Default for AskOptions {
    fn default() -> Self {
        Self {
            model: models::DEFAULT_JUDGE.to_owned(),
            prompts: vec!["auto".to_owned()],
            chat: false,
            long: Long::Head,
            max_tokens: None,
            dtype: Dtype::Auto,
            engine: Engine::Native,
            server: ServerOptions::default(),
            device: Device::Cpu,
        }
    }
}

impl Named for AskOptions {
    const NAME: &'static str = "ask-llm";
    const HELP: &'static str = "how likely a judge says that the document is worth training on";
    const LOGARITHMS: (&'static [&'static str], &'static str) =
        (&["score", "log_odds", "log_p_yes", "log_p_no"], "p_yes");

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

impl Definition for AskOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn model(&self) -> Result<Option<&str>> {
        Ok(Some(&self.model))
    }

    fn server(&mut self) -> Option<&mut ServerOptions> {
        Some(&mut self.server)
    }

    fn can_be_served(&self) -> bool {
        true
    }

    fn build(&self, observer: &dyn Observer) -> Result<Ready> {
        let place = (self.engine, self.device);
        Ready::served_or(&self.model, || behind_server(self, observer), place, || loaded(self, observer))
    }

    fn unify(&mut self, digest: &str) {
        if self.prompts == ["auto"] {
            self.prompts = vec![builtin::for_model(digest).unwrap_or(builtin::PAPER).to_owned()];
        }
        models::unify(&mut self.model, &mut self.server);
    }

    fn dtype(&mut self) -> Option<&mut Dtype> {
        models::on_kernels(&self.model, self.engine, self.device).then_some(&mut self.dtype)
    }

    fn is_judge(&self) -> bool {
        true
    }

    fn show_prompt(&self, text: &str, observer: &dyn Observer) -> Result<String> {
        if is_server(&self.model) {
            return Ok(behind_server(self, observer)?.show_prompt(text)?);
        }
        let shown = loaded(self, observer)?.show_prompt(text)?;
        Ok(shown.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))
    }

    /// What a finished signal tells of its judge: little mass on the answers, or hardly any spread.
    fn remarks(&self, project: &Project, version: &CorpusVersion, stored: &SignalDir) -> Result<Vec<String>> {
        let inputs = Inputs { version, signal: stored, stage: None, kept: None };
        let diagnostics = project.fold(&inputs, &JudgeDiagnostics::default())?.inner;
        let record = stored.record();
        let mut findings: Vec<String> = diagnostics.warning().into_iter().collect();
        findings.extend(crate::check::stored::findings(&record.fingerprint, record.notes.get("model")));
        Ok(findings)
    }
}

/// A judge that is loaded here, with its questions.
fn loaded(options: &AskOptions, observer: &dyn Observer) -> Result<AskLlm> {
    let judge = judge(&options.model, options.dtype, options.engine, options.device, observer)?;
    let prompts = resolve_prompts(&options.prompts, &judge.identity.digest)?;
    ask(judge, &prompts, options, observer)
}

/// A model that answers, whatever it is asked.
pub(crate) fn judge(
    source: &str,
    dtype: Dtype,
    engine: Engine,
    device: Device,
    observer: &dyn Observer,
) -> Result<Judge> {
    Ok(Judge::from_model(models::open(source, observer)?, models::backend(dtype, engine, device))?)
}

/// The set of prompts that names or files stand for.
pub(crate) fn resolve_prompts(prompts: &[String], model_digest: &str) -> Result<PromptSet> {
    Ok(PromptSet::resolve(&prompts.join(","), model_digest).map_err(tamis_models::Error::from)?)
}

/// A judge with its questions.
pub(crate) fn ask(
    judge: Judge,
    prompts: &PromptSet,
    options: &AskOptions,
    observer: &dyn Observer,
) -> Result<AskLlm> {
    // A set that was chosen with short windows is asked with them, unless the user names a length.
    let window = builtin::window_tokens(prompts.name()).filter(|_| options.max_tokens.is_none());
    let own = AskLlmOptions {
        rendering: rendering(options),
        long: match options.long {
            Long::Head if window.is_none() => ModelLong::Head,
            Long::Head | Long::Windows => ModelLong::Windows { most: ModelLong::DEFAULT_WINDOWS },
        },
        max_document_tokens: options.max_tokens.or(window),
        parallelism: models::parallelism(options.device),
        ..AskLlmOptions::default()
    };
    let signal = AskLlm::new(judge, prompts, &own)?;
    signal.warnings().iter().for_each(|warning| observer.warn(warning));
    Ok(signal)
}

fn rendering(options: &AskOptions) -> Rendering {
    if options.chat { Rendering::Chat } else { Rendering::Raw }
}

/// A judge behind a server that answered.
pub(crate) fn behind_server(options: &AskOptions, observer: &dyn Observer) -> Result<RemoteJudge> {
    servers::refuse_local(options.dtype, options.engine)?;
    if options.long == Long::Windows {
        return Err(Error::usage(
            "a server judges the beginning of a long document, not windows",
            "leave `--long windows` out, or load the model here",
        ));
    }
    let endpoint = Endpoint::parse(&options.model)?;
    let prompts = resolve_prompts(&options.prompts, "")?;
    let own = JudgeOptions {
        rendering: rendering(options),
        top_logprobs: options.server.top_logprobs,
        max_document_tokens: options.max_tokens,
        max_document_characters: options.server.max_characters,
        tokenizer: servers::tokenizer(&options.server, observer)?,
        ..JudgeOptions::default()
    };
    let judge = RemoteJudge::new(&endpoint, &prompts, &servers::asked(&options.server), &own)?;
    judge.remarks().iter().for_each(|remark| observer.warn(remark));
    Ok(judge)
}
