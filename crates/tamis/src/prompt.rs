//! The prompt of one document, exactly as its judge reads it.

use tamis_io::corpus::Columns;

use crate::corpus_options::CorpusOptions;
use crate::signals::SignalOptions;
use crate::{Error, Observer, Result};

/// The prompt of one document (the first, or that of an id), exactly as the judge reads it. Nothing is written.
///
/// # Errors
/// A signal that has no prompt, no such document, or a model that cannot be loaded.
pub fn show_prompt(
    corpus: &CorpusOptions,
    signal: &SignalOptions,
    id: Option<&str>,
    observer: &dyn Observer,
) -> Result<String> {
    if !signal.definition().is_judge() {
        return Err(Error::usage(
            "only ask-llm has a prompt",
            "write `tamis score ask-llm CORPUS --show-prompt`",
        ));
    }
    signal.definition().show_prompt(&first_text(corpus, id)?, observer)
}

fn first_text(options: &CorpusOptions, id: Option<&str>) -> Result<String> {
    let corpus = tamis_io::corpus::discover(&options.location)?;
    let text = options.text_or_default();
    let ids = corpus.resolve_ids(&text, options.id.resolve(None).as_ref())?.mode;
    let namespace = options.namespace.clone().unwrap_or_default();
    let columns = Columns { text, id: ids, namespace, ..Columns::default() };
    for shard in corpus.shards() {
        let mut reader = corpus.open(shard, 0)?;
        while let Some(block) = reader.next_block()? {
            let documents = block.decode(&columns)?.documents;
            let at = match id {
                None => (!documents.is_empty()).then_some(0),
                Some(id) => documents.ids().iter().position(|found| found == Some(id)),
            };
            if let Some(at) = at {
                return Ok(documents.texts().value(at).to_owned());
            }
        }
    }
    Err(match id {
        Some(id) => Error::usage(
            format!("no document has the id `{id}`"),
            "leave the id out to see the first document",
        ),
        None => {
            Error::state("the corpus has no document that can be read", "score it to see why, in quarantine/")
        }
    })
}
