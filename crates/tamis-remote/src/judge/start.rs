//! What a judge's server is asked before the first document: whether it can answer at all.
//!
//! Every prompt is put to it around short texts, one that any judge finds good and others that it finds bad, as documents are.
//! One answer among the shown tokens of one of them is enough: a judge that is sure of some of its answers shows one of them
//! only, and a good one may be unsure of all. A server that thinks first, talks first, or continues the text shows neither on
//! any of them, and would do so on every document.

use serde_json::Value;
use tamis_models::ask_llm::JudgeDiagnostics;
use tamis_models::prompt::{Prompt, Rendering};

use super::{NAMED, PROBE, RemoteJudge};
use crate::answer::Seen;
use crate::client::{Patience, Request};
use crate::error::{Error, Result};
use crate::logprobs::Shown;
use crate::replies::{echoes, thinks};
use crate::retry::Failure;
use crate::server::Kind;

/// Texts of a few words, good and bad: no prompt is so long that they do not fit beside it where a document does.
const TEXTS: [&str; 3] = [
    PROBE,
    "Photosynthesis turns light into chemical energy: plants take up water and carbon dioxide, and give off oxygen. The \
     sugar that they make feeds, directly or not, almost every animal.",
    "CLICK HERE!!! best cheap deals online buy now >> home | login | cart (0) | terms free free free win $$$",
];

/// An answer to a probe.
struct Probed {
    shown: Shown,
    thinks: bool,
    echoes: bool,
    /// The model that says it answers.
    model: Option<String>,
}

impl RemoteJudge {
    /// Asks every prompt about a few texts, so that what is wrong is said before any work. What a person should know although
    /// nothing failed comes back.
    pub(super) fn check(&self) -> Result<Vec<String>> {
        let mut remarks = Vec::new();
        let mut most_listed = 0;
        for (at, prompt) in self.prompts.iter().enumerate() {
            let mut answered = false;
            let mut most_mass = 0.0_f64;
            let mut first: Option<Probed> = None;
            for text in TEXTS {
                let probed = self.probe_prompt(prompt, text)?;
                self.check_shape(&probed)?;
                let (yes, no) = self.sides(prompt);
                let seen = Seen::new(&probed.shown, yes, no);
                answered |= seen.score().is_some();
                let mass: f64 = [seen.yes, seen.no].iter().filter_map(|side| side.shown).map(libm::exp).sum();
                most_mass = most_mass.max(mass);
                // All that is possible may be less than what was asked for.
                let all = probed.shown.mass() > 0.999;
                most_listed = most_listed.max(if all { self.top_logprobs } else { probed.shown.listed });
                first.get_or_insert(probed);
                if most_mass >= JudgeDiagnostics::LEAST_MASS {
                    break;
                }
            }
            let Some(first) = first else { continue };
            if !answered {
                return Err(self.no_answer(prompt, &first));
            }
            if most_mass < JudgeDiagnostics::LEAST_MASS {
                remarks.push(format!(
                    "`{}` puts only {:.1e} of its probability on yes and no under prompt `{}`; most likely are {}: {}",
                    self.server.model,
                    most_mass,
                    prompt.name(),
                    self.server.client.shown(&first.shown.describe(NAMED)),
                    self.helps(&first)
                ));
            }
            if at == 0
                && let Some(other) = self.other_model(&first)
            {
                remarks.push(format!(
                    "asked for model `{}`, the server answers as `{}`: if it serves another one, its scores are stored under a \
                     wrong name",
                    self.server.model,
                    self.server.client.shown(other)
                ));
            }
        }
        // Two tokens that read alike share a key in some dialects.
        if most_listed + 4 < self.top_logprobs {
            remarks.push(format!(
                "asked for the {} most likely tokens, the server shows {most_listed}: what is less likely counts as not shown, \
                 and more scores are bounds; allow more where the server is started",
                self.top_logprobs
            ));
        }
        Ok(remarks)
    }

    fn probe_prompt(&self, prompt: &Prompt, text: &str) -> Result<Probed> {
        let body = self.request(prompt, text);
        let sent = [prompt.prefix(), text, prompt.suffix()].concat();
        let request = Request { patience: Patience::Answering, ..Request::post(self.path(), &body) };
        let answer = self.server.client.call(&request, |answer| {
            Ok(Probed {
                shown: Shown::read(answer)?,
                thinks: thinks(answer),
                echoes: echoes(answer, &sent),
                model: answer["model"].as_str().map(str::to_owned),
            })
        });
        answer.map_err(|failure| match failure {
            Failure::Refused { status, message, too_long: false } if message.contains("logprobs") => self
                .wrong(
                    format!("status {status}: {message}"),
                    "ask for fewer with --top-logprobs 5, or allow more where the server is started",
                ),
            Failure::Refused { status: 404 | 405 | 501, message, .. } => self.wrong(
                format!("has no `{}`: {message}", self.path()),
                match self.rendering {
                    Rendering::Raw => "ask it by chat: add --chat",
                    Rendering::Chat => "leave --chat out",
                },
            ),
            failure => self.server.client.error(failure),
        })
    }

    /// Refuses answers that have no tokens to look among.
    fn check_shape(&self, probed: &Probed) -> Result<()> {
        let tokens = &probed.shown.tokens;
        if probed.echoes {
            return Err(self.wrong(
                "repeats the prompt before its answer, so that its first position is not the answer's"
                    .to_owned(),
                "turn `echo` off where the server, or a gateway before it, is configured",
            ));
        }
        if tokens.iter().any(|(text, _)| text.starts_with("token_id:")) {
            return Err(self.wrong(
                "shows numbers of tokens instead of their text".to_owned(),
                "start it without --return-tokens-as-token-ids",
            ));
        }
        match tokens.len() {
            0 if probed.thinks => Err(self.wrong(
                "thinks before it answers, and shows no logprobs of what comes first".to_owned(),
                self.helps(probed),
            )),
            0 => Err(self.wrong(
                "shows no logprobs".to_owned(),
                match (self.server.kind, self.rendering) {
                    (Kind::LlamaCppPython, _) => "start it with --logits_all true",
                    (Kind::Ollama, _) => "Ollama shows logprobs from version 0.12.11 on",
                    (_, Rendering::Chat) => {
                        "leave --chat out (some servers show logprobs of raw prompts only), use a server that gives logprobs, or \
                         load the model here"
                    }
                    (_, Rendering::Raw) => "use a server that gives logprobs, or load the model here",
                },
            )),
            1 if self.top_logprobs > 1 && probed.shown.listed == 1 => Err(self.wrong(
                "shows the logprob of the token it chose and no other".to_owned(),
                "use a server that gives top logprobs, or load the model here",
            )),
            _ => Ok(()),
        }
    }

    fn no_answer(&self, prompt: &Prompt, probed: &Probed) -> Error {
        let shown = self.server.client.shown(&probed.shown.describe(NAMED));
        let problem = format!(
            "no spelling of yes or no is among the {} most likely tokens that it shows under prompt `{}`, whatever the text: {shown}",
            probed.shown.tokens.len(),
            prompt.name()
        );
        self.wrong(problem, self.helps(probed))
    }

    /// What helps a judge that does not begin with its answer.
    fn helps(&self, probed: &Probed) -> String {
        let mut helps = Vec::new();
        let thinks = probed.thinks || probed.shown.begins_a_thought();
        if thinks {
            helps.push(match (self.rendering, self.server.kind) {
                (Rendering::Raw, Kind::Vllm | Kind::Sglang | Kind::LlamaServer | Kind::Ollama) => {
                    "it thinks first: add --chat, by which this server is told not to"
                }
                (Rendering::Chat, Kind::Vllm) => {
                    "it thinks first although it was told not to: start it with --default-chat-template-kwargs \
                     '{\"enable_thinking\": false}' and a template that knows it, or leave --chat out"
                }
                (Rendering::Chat, Kind::LlamaServer) => {
                    "it thinks first although it was told not to: start it with --reasoning-budget 0, or leave --chat out"
                }
                (Rendering::Chat, _) => {
                    "it thinks first: turn that off where the server is started, or leave --chat out"
                }
                (Rendering::Raw, _) => "it thinks first: turn that off where the server is started, or try --chat",
            });
        } else if self.rendering == Rendering::Raw {
            helps.push("add --chat where the model was trained for chats");
        }
        if self.top_logprobs < 20 {
            helps.push("raise --top-logprobs to 20");
        }
        helps.push("use a prompt that asks for one word (--prompt few-shot, or your own)");
        helps.push("serve an instruction-tuned model that answers at once");
        helps.join("; ")
    }

    /// A model's name in the answer that is not the one that was asked for. Known servers refuse a name that they have not;
    /// gateways answer under longer ones.
    fn other_model<'a>(&self, probed: &'a Probed) -> Option<&'a str> {
        let own = self.server.model.to_lowercase();
        let other = probed.model.as_deref().filter(|_| self.server.kind == Kind::OpenAi)?;
        let lower = other.to_lowercase();
        (!lower.is_empty() && !lower.contains(&own) && !own.contains(&lower)).then_some(other)
    }

    fn wrong(&self, problem: String, hint: impl Into<String>) -> Error {
        Error::Answer { server: self.server.client.root().to_owned(), problem, hint: hint.into() }
    }

    /// Only that the server still answers as it did.
    pub(super) fn probe(&self) -> Result<(), Failure> {
        let body = self.request(&self.prompts[0], PROBE);
        let request = Request { patience: Patience::Answering, ..Request::post(self.path(), &body) };
        self.server.client.call(&request, |answer: &Value| Shown::read(answer).map(drop))
    }
}
