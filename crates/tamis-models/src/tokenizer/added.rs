//! Tokens that `tokenizer.json` does not have, or has otherwise, and the files beside it do.
//!
//! They are added as `transformers` adds them (`TokenizersBackend.__init__`): those of `added_tokens_decoder` (of
//! `added_tokens.json` in older folders) in the order of their numbers, in place of what `tokenizer.json` says of the same
//! spelling; then tokens with a role, and the special tokens without one. A token gets the number that its spelling has in the
//! vocabulary, or the next free one. Where a file states another number, `transformers` uses a token that the model does not
//! have; here it is refused.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokenizers::AddedToken;

use super::TokenizerError;
use super::beside::{Beside, DECODER, EXTRA, File, content};
use super::special::Roles;

/// What [`EXTRA`] was called before version 5.
const OLDER_EXTRA: &str = "additional_special_tokens";

/// A token with its number, as a file states it.
struct Numbered {
    file: String,
    id: u32,
    token: AddedToken,
}

/// Adds what is missing; returns what a digest has to know of it, nothing where nothing is.
pub(super) fn add(
    inner: &mut tokenizers::Tokenizer,
    beside: &Beside,
    roles: &Roles,
) -> Result<Vec<u8>, TokenizerError> {
    let there = inner.get_added_tokens_decoder();
    let known: BTreeMap<String, AddedToken> =
        there.values().map(|token| (token.content.clone(), token.clone())).collect();
    let named: BTreeSet<&str> = roles.values().flatten().map(String::as_str).collect();
    let mut extra = extra(beside)?;

    let mut numbered = if beside.is_newer() {
        decoder(beside.config())?
    } else {
        let special = |token: &str| named.contains(token) || extra.iter().any(|extra| extra.content == token);
        let mut numbered = older_list(beside.added(), special)?;
        numbered.retain(|added| !there.contains_key(&added.id));
        numbered
    };
    for added in &mut numbered {
        added.token.special |= named.contains(added.token.content.as_str());
    }
    let is_new = |token: &AddedToken| !token.content.is_empty() && known.get(&token.content) != Some(token);
    numbered.retain(|added| is_new(&added.token));

    let listed: BTreeSet<&str> = numbered.iter().map(|added| added.token.content.as_str()).collect();
    let unlisted = |token: &str| !known.contains_key(token) && !listed.contains(token);
    // A role whose token has no number at all is left to whoever asks for the token.
    let of_roles = named.iter().filter(|token| unlisted(token) && inner.token_to_id(token).is_some());
    let of_roles: Vec<AddedToken> = of_roles.map(|token| AddedToken::from(*token, true)).collect();
    extra.retain(|token| {
        is_new(token) && unlisted(&token.content) && of_roles.iter().all(|role| role.content != token.content)
    });

    let mut all: Vec<AddedToken> = numbered.iter().map(|added| added.token.clone()).collect();
    all.extend(of_roles.into_iter().chain(extra));
    if all.is_empty() {
        return Ok(Vec::new());
    }
    inner.add_tokens(all.clone()).map_err(|error| TokenizerError::Failed { problem: error.to_string() })?;
    for Numbered { file, id, token } in numbered {
        let got = inner.token_to_id(&token.content);
        if got != Some(id) {
            let got = got.map_or_else(|| "no number".to_owned(), |got| got.to_string());
            return Err(TokenizerError::Number { file, token: token.content, stated: id, got });
        }
    }
    Ok(difference(inner, &known, &all))
}

/// What makes texts other tokens, in bytes. Whether a spelling is normalised is nothing where nothing is.
fn difference(
    inner: &tokenizers::Tokenizer,
    known: &BTreeMap<String, AddedToken>,
    added: &[AddedToken],
) -> Vec<u8> {
    let same = |token: &AddedToken| {
        inner.get_normalizer().is_none()
            && known
                .get(&token.content)
                .is_some_and(|known| AddedToken { normalized: token.normalized, ..known.clone() } == *token)
    };
    let mut bytes = Vec::new();
    for token in added.iter().filter(|token| !same(token)) {
        bytes.extend((token.content.len() as u64).to_le_bytes());
        bytes.extend(token.content.as_bytes());
        bytes.extend(inner.token_to_id(&token.content).unwrap_or(u32::MAX).to_le_bytes());
        let AddedToken { content: _, single_word, lstrip, rstrip, normalized, special } = token;
        bytes.extend([single_word, lstrip, rstrip, normalized, special].map(|flag| u8::from(*flag)));
    }
    bytes
}

fn malformed(file: &File, problem: String) -> TokenizerError {
    TokenizerError::Malformed { file: file.name.clone(), problem }
}

/// A token, with what a file leaves unsaid as `transformers` fills it in.
fn token(value: &Value, special: bool) -> Option<AddedToken> {
    let flag = |name: &str, otherwise: bool| value.get(name).and_then(Value::as_bool).unwrap_or(otherwise);
    let special = flag("special", special);
    Some(AddedToken {
        content: content(value)?.to_owned(),
        single_word: flag("single_word", false),
        lstrip: flag("lstrip", false),
        rstrip: flag("rstrip", false),
        normalized: flag("normalized", !special),
        special,
    })
}

/// `added_tokens_decoder`, in the order of numbers.
fn decoder(config: Option<&File>) -> Result<Vec<Numbered>, TokenizerError> {
    let Some(config) = config else { return Ok(Vec::new()) };
    let wrong = |problem: &str| malformed(config, format!("`{DECODER}`: {problem}"));
    let listed = config.object.get(DECODER).and_then(Value::as_object);
    let mut numbered = Vec::new();
    for (id, value) in listed.ok_or_else(|| wrong("expected an object of tokens by their numbers"))? {
        let id = id.trim().parse().map_err(|_| wrong(&format!("expected a number, got `{id}`")))?;
        let token = token(value, false).filter(|_| value.is_object());
        let token = token.ok_or_else(|| wrong(&format!("expected a token as `{id}`, got {value}")))?;
        numbered.push(Numbered { file: config.name.clone(), id, token });
    }
    numbered.sort_by_key(|added| added.id);
    Ok(numbered)
}

/// `added_tokens.json`: numbers by spelling.
fn older_list(file: Option<&File>, special: impl Fn(&str) -> bool) -> Result<Vec<Numbered>, TokenizerError> {
    let mut numbered = Vec::new();
    for (file, (content, id)) in
        file.into_iter().flat_map(|file| file.object.iter().map(move |entry| (file, entry)))
    {
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let id = id.ok_or_else(|| malformed(file, format!("expected a number as `{content}`")))?;
        let token = AddedToken::from(content, special(content));
        numbered.push(Numbered { file: file.name.clone(), id, token });
    }
    numbered.sort_by_key(|added| added.id);
    Ok(numbered)
}

/// Special tokens without a role. The older name counts where the newer one is not there or empty; `special_tokens_map.json`
/// adds to what goes by the newer name, and has the older one where `tokenizer_config.json` has neither.
fn extra(beside: &Beside) -> Result<Vec<AddedToken>, TokenizerError> {
    let list = |file: Option<&File>, name: &str| -> Result<Option<Vec<AddedToken>>, TokenizerError> {
        let Some(file) = file else { return Ok(None) };
        let tokens = match file.object.get(name) {
            // An object gives tokens roles.
            None | Some(Value::Null | Value::Object(_)) => return Ok(None),
            Some(Value::Array(tokens)) => tokens.iter().map(|value| token(value, true)).collect(),
            Some(_) => None,
        };
        tokens.map(Some).ok_or_else(|| malformed(file, format!("`{name}`: expected an array of tokens")))
    };
    let (newer, older) = (EXTRA, OLDER_EXTRA);
    let stated = list(beside.config(), newer)?.filter(|tokens| !tokens.is_empty());
    let stated = match stated {
        Some(tokens) => Some(tokens),
        None => list(beside.config(), older)?,
    };
    let none = stated.is_none();
    let mut tokens = stated.unwrap_or_default();
    if let Some(more) = list(beside.map(), newer)? {
        tokens.extend(more);
    } else if none {
        tokens = list(beside.map(), older)?.unwrap_or_default();
    }
    let mut seen = BTreeSet::new();
    tokens.retain(|token| seen.insert(token.content.clone()));
    Ok(tokens)
}
