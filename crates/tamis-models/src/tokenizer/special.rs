//! Which tokens begin, end, separate and fill.

use std::collections::BTreeMap;

/// Roles (`bos_token`, …) and the spelling of the token that has it; `None` where the files say that none has.
pub(super) type Roles = BTreeMap<String, Option<String>>;

/// Special tokens by role; `None` where the model has none for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<u32>,
    /// Ends a text.
    pub eos: Option<u32>,
    /// Begins a sequence of an encoder.
    pub cls: Option<u32>,
    /// Ends or separates sequences of an encoder.
    pub sep: Option<u32>,
    /// Fills a batch.
    pub pad: Option<u32>,
    /// Stands for what the vocabulary lacks.
    pub unk: Option<u32>,
    /// What the model expects before every sequence, e.g. `[CLS]` or `<|begin_of_text|>`; often empty.
    pub before: Vec<u32>,
    /// What the model expects after every sequence, e.g. `[SEP]`; often empty.
    pub after: Vec<u32>,
    /// Spellings by role, of the roles that the model's files name; where they say nothing of `bos_token` and `eos_token`,
    /// `<s>` and `</s>` if these are special. That is what a chat template knows by the names of the roles.
    pub named: BTreeMap<String, String>,
    pub(super) vocab_size: usize,
}

impl SpecialTokens {
    pub(super) fn new(inner: &tokenizers::Tokenizer, roles: &Roles) -> tokenizers::Result<Self> {
        let id = |name: &str, usual: &str| match roles.get(name) {
            Some(named) => inner.token_to_id(named.as_deref()?),
            None => inner.token_to_id(usual),
        };
        let mut named: BTreeMap<String, String> =
            roles.iter().filter_map(|(name, token)| Some((name.clone(), token.clone()?))).collect();
        for (name, usual) in [("bos_token", "<s>"), ("eos_token", "</s>")] {
            if !roles.contains_key(name) && inner.get_added_vocabulary().is_special_token(usual) {
                named.insert(name.to_owned(), usual.to_owned());
            }
        }
        // What the post-processor puts around a text is what the model was trained to see around it.
        let bare = inner.encode("a", false)?.get_ids().to_vec();
        let framed = inner.encode("a", true)?.get_ids().to_vec();
        let at = framed.windows(bare.len().max(1)).position(|window| window == bare).unwrap_or(framed.len());
        let vocab_size = inner.get_vocab(true).into_values().max().map_or(0, |last| last as usize + 1);
        Ok(Self {
            bos: id("bos_token", "<s>"),
            eos: id("eos_token", "</s>"),
            cls: id("cls_token", "[CLS]"),
            sep: id("sep_token", "[SEP]"),
            pad: id("pad_token", "[PAD]"),
            unk: id("unk_token", "[UNK]"),
            before: framed[..at].to_vec(),
            after: framed.get(at + bare.len()..).unwrap_or_default().to_vec(),
            named,
            vocab_size,
        })
    }
}
