//! Pieces of a text give the tokens of the whole, for every way of splitting that is on the lists.

use std::path::Path;

use proptest::prelude::*;
use tokenizers::OffsetType;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;

use super::Joint;
use super::gguf::scheme;
use super::joined::encode_joined;
use super::pieces::Pieces;

/// Fragments that meet each other in every order: each kind of character that a pre-tokenizer tells apart.
const FRAGMENTS: &[&str] = &[
    "a",
    "word",
    "Z",
    "'s",
    "'",
    "’",
    "'LL",
    "1",
    "12345",
    "٣",
    "²",
    " ",
    "  ",
    "   ",
    "\n",
    "\r\n",
    "\n\n",
    "\t",
    "\u{a0}",
    "\u{2003}",
    "\u{3000}",
    ".",
    ",",
    "!",
    "...",
    "-",
    "\"",
    "(",
    ")",
    "/",
    "$",
    "+",
    "^",
    "、",
    "。",
    "「",
    "…",
    "é",
    "e\u{301}",
    "\u{301}",
    "Ω",
    "ж",
    "中",
    "文字",
    "ひ",
    "カ",
    "한",
    "\u{1100}\u{1161}",
    "ไทย",
    "हि",
    "😀",
    "👩‍👧",
    "\0",
    "\u{200b}",
    "\u{feff}",
    "\u{ad}",
    "<|im_end|>",
    "<tool>",
    "Ⅷ",
    "ǆ",
    "İ",
    "ß",
];

fn tiny() -> tokenizers::Tokenizer {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf_tiny_tokenizer.json");
    let mut tokenizer = tokenizers::Tokenizer::from_file(path).unwrap();
    tokenizer.add_tokens([tokenizers::AddedToken::from("<tool>", false)]).unwrap();
    tokenizer.set_encode_special_tokens(true);
    tokenizer
}

fn tokenizers() -> Vec<(&'static str, tokenizers::Tokenizer)> {
    let mut all = Vec::new();
    for name in ["smollm", "gpt-2", "llama-bpe", "qwen2", "default"] {
        let scheme = scheme(name).unwrap().unwrap();
        let mut tokenizer = tiny();
        tokenizer.with_pre_tokenizer(Some(Sequence::new(scheme.parts)));
        if scheme.normal_form_c {
            tokenizer.with_normalizer(Some(NFC)).unwrap();
        }
        all.push((name, tokenizer));
    }
    let mut prefixed = tiny();
    prefixed.with_pre_tokenizer(Some(ByteLevel::new(true, true, true)));
    all.push(("prefix space", prefixed));
    for name in ["llama2-legacy", "gemma"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/joined/{name}.json"));
        let mut tokenizer = tokenizers::Tokenizer::from_file(path).unwrap();
        tokenizer.set_encode_special_tokens(true);
        all.push((name, tokenizer));
    }

    let letters: String = FRAGMENTS.concat() + "abcdefghijklmnopqrstuvwxyzωжi\u{307}s";
    let mut vocabulary = vec!["[UNK]".to_owned()];
    for letter in letters.chars() {
        for entry in [letter.to_string(), format!("##{letter}")] {
            if !vocabulary.contains(&entry) {
                vocabulary.push(entry);
            }
        }
    }
    let model = WordPiece::builder()
        .vocab(vocabulary.into_iter().zip(0u32..).collect::<tokenizers::models::bpe::Vocab>())
        .unk_token("[UNK]".to_owned())
        .build()
        .unwrap();
    let mut bert = tokenizers::Tokenizer::new(model);
    bert.with_normalizer(Some(BertNormalizer::default())).unwrap();
    bert.with_pre_tokenizer(Some(BertPreTokenizer));
    all.push(("bert", bert));
    all
}

fn ids(tokenizer: &tokenizers::Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec()
}

fn ids_at(tokenizer: &tokenizers::Tokenizer, piece: &str, joint: Joint) -> Vec<u32> {
    let joined = match joint {
        Joint::Apart => None,
        Joint::Joined => encode_joined(tokenizer, piece, OffsetType::None).unwrap(),
    };
    joined.map_or_else(|| ids(tokenizer, piece), |encoding| encoding.get_ids().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn tokens_of_the_pieces_are_the_tokens_of_the_text(
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS), 1..40),
        target in 0usize..30,
    ) {
        let text = fragments.concat();
        thread_local!(static ALL: Vec<(&'static str, tokenizers::Tokenizer)> = tokenizers());
        ALL.with(|all| {
            for (name, tokenizer) in all {
                let pieces = Pieces::of(tokenizer).unwrap().with_sizes(target, 1 << 20);
                let split: Vec<&str> = pieces.split(&text).collect();
                prop_assert_eq!(split.concat(), text.as_str());
                let joints = std::iter::once(Joint::Apart).chain(std::iter::repeat(pieces.joint()));
                let joined: Vec<u32> =
                    split.iter().zip(joints).flat_map(|(piece, joint)| ids_at(tokenizer, piece, joint)).collect();
                prop_assert_eq!(joined, ids(tokenizer, &text), "{}: {:?}", name, split);
            }
            Ok(())
        })?;
    }
}

#[test]
fn all_listed_tokenizers_have_small_pieces_and_others_large_ones() {
    let text = "word ".repeat(600_000);
    for (name, tokenizer) in tokenizers() {
        assert!(Pieces::of(&tokenizer).unwrap().split(&text).next().unwrap().len() < 20_000, "{name}");
    }
    let mut spaced = tiny();
    spaced.add_tokens([tokenizers::AddedToken::from("two words", false)]).unwrap();
    let mut whole = tiny();
    whole.with_pre_tokenizer(Some(ByteLevel::new(false, true, false)));
    for tokenizer in [spaced, whole] {
        assert!(Pieces::of(&tokenizer).unwrap().split(&text).next().unwrap().len() > 1_000_000);
    }
}

#[test]
fn text_without_borders_is_cut_all_the_same() {
    let pieces = Pieces::of(&tiny()).unwrap();
    for text in ["é".repeat(300_000), " ".repeat(600_000), "中文".repeat(200_000)] {
        let longest = pieces.split(&text).map(str::len).max().unwrap();
        assert!(longest <= 256 << 10, "{longest}");
        assert_eq!(pieces.split(&text).collect::<String>(), text);
    }
    let chinese = "中文文本，没有空格。".repeat(10_000);
    assert!(pieces.split(&chinese).all(|piece| piece.len() < 17_000));
}
