//! `ngram`: how well an n-gram model predicts the document; the model is an ARPA file.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tamis_io::TextFile;
use tamis_samplers::ngram::{
    ArpaHeader, ArpaParser, NgramModel, NgramSignal, NgramSource, Normalisation, Segment, Words,
};

use super::{Definition, Named, Ready};
pub use crate::ngram_words::NgramWords;
use crate::ngram_words::{Pieces, normalisation};
use crate::project::Project;
use crate::{Error, Observer, Result};

/// Perplexity under an n-gram model.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NgramOptions {
    /// Path or URL of an ARPA file, also .gz or .zst.
    pub model: String,
    /// How text becomes words; `None` is what the model's header says, else plain.
    pub words: Option<NgramWords>,
    /// Model source whose tokenizer's pieces are the words.
    pub tokenizer: Option<String>,
}

impl Named for NgramOptions {
    const NAME: &'static str = "ngram";
    const HELP: &'static str = "how hard it is to predict for an n-gram model";

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

impl Definition for NgramOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn check(&self, _project: &Project) -> Result<()> {
        Ok(TextFile::open(self.file()?).map(drop)?)
    }

    fn build(&self, observer: &dyn Observer) -> Result<Ready> {
        Ok(Ready::exact(load(self, observer)?))
    }
}

impl NgramOptions {
    /// The model's file, which has no default.
    fn file(&self) -> Result<&str> {
        if self.model.is_empty() {
            return Err(Error::usage(
                "ngram needs a model",
                "add --ngram model.arpa; `tamis train-ngram CORPUS --out model.arpa` makes one",
            ));
        }
        Ok(&self.model)
    }
}

/// The signal of a model file.
///
/// # Errors
/// A file that is not there or no whole ARPA file; words or a tokenizer that are not those that the model was trained with.
fn load(options: &NgramOptions, observer: &dyn Observer) -> Result<NgramSignal> {
    let (model, digest) = read_model(options.file()?, observer)?;
    if model.inserted() > 0 {
        observer.note(&format!(
            "`{}`: {} n-grams were added because longer ones end in them, with the probability that backing off gives",
            options.model,
            model.inserted()
        ));
    }
    let normalisation = words_of(options, model.header())?;
    let segment = segment_of(options, model.header(), normalisation, observer)?;
    Ok(NgramSignal::new(NgramSource { model, digest, segment }))
}

fn read_model(location: &str, observer: &dyn Observer) -> Result<(NgramModel, String)> {
    let mut file = TextFile::open(location)?;
    observer.begin("load n-grams", file.size_bytes());
    let broken = |error: tamis_samplers::ngram::ArpaError| {
        Error::state(
            format!("`{location}`, {error}"),
            "nothing was scored; make or fetch the ARPA file again, and name it by --ngram",
        )
    };
    let mut parser = ArpaParser::new();
    let mut line = Vec::new();
    let mut reported = 0;
    while file.next_line(&mut line)? {
        parser.line(&line).map_err(broken)?;
        let read = file.read_bytes();
        if read - reported >= 1 << 22 {
            observer.advance(0, 0, read - reported);
            reported = read;
        }
    }
    let model = parser.finish().map_err(broken)?;
    observer.end();
    Ok((model, file.digest().to_string()))
}

fn words_of(options: &NgramOptions, header: &ArpaHeader) -> Result<Normalisation> {
    let asked = options.words.map(normalisation);
    let Some(name) = &header.text else { return Ok(asked.unwrap_or_default()) };
    let stated = Normalisation::from_name(name).ok_or_else(|| {
        let message =
            format!("`{}` was trained on words `{name}`, which this tamis does not know", options.model);
        Error::state(message, "use the tamis that trained it, or train it again")
    })?;
    match asked {
        Some(asked) if asked != stated => {
            let message = format!("`{}` was trained on words `{stated}`, not `{asked}`", options.model);
            Err(Error::usage(message, "leave --ngram-words out: the model says what it needs"))
        }
        _ => Ok(stated),
    }
}

fn segment_of(
    options: &NgramOptions,
    header: &ArpaHeader,
    normalisation: Normalisation,
    observer: &dyn Observer,
) -> Result<Arc<dyn Segment>> {
    let Some(source) = &options.tokenizer else {
        return match &header.tokenizer {
            None => Ok(Arc::new(Words(normalisation))),
            Some(digest) => Err(Error::usage(
                format!("the words of `{}` are the pieces of a tokenizer, {digest}", options.model),
                "name it by --ngram-tokenizer SOURCE",
            )),
        };
    };
    let pieces = Pieces::open(source, normalisation, observer)?;
    let own = pieces.digest();
    match &header.tokenizer {
        Some(digest) if digest != own => Err(Error::usage(
            format!("`{}` was trained with tokenizer {digest}; `{source}` is {own}", options.model),
            "name the tokenizer that it was trained with",
        )),
        _ => Ok(Arc::new(pieces)),
    }
}
