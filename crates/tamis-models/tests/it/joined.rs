//! Prefix, document and suffix, tokenized apart, are the tokens of the whole text: every family of tokenizer, by what
//! `fixtures/make_joined.py` wrote, and by texts put together at random.

use std::ops::Range;
use std::sync::OnceLock;

use proptest::prelude::*;
use serde::Deserialize;
use tamis_models::tokenizer::{Joint, Tokenizer};
use tamis_models::weights::gguf::GgufFile;

use crate::weights::fixture;

/// Families that write something before a text, and where they write it.
const PREFIXING: [&str; 7] =
    ["roberta", "llama2-legacy", "llama2-first", "llama2-always", "t5-published", "t5-converted", "t5-first"];
const OTHERS: [&str; 5] = ["gpt2", "llama3", "qwen2", "gemma", "bert"];

#[derive(Deserialize)]
struct Expected {
    family: String,
    pieces: [String; 3],
    ids: Vec<u32>,
    /// Whether a token reaches across a seam.
    merged: bool,
}

/// A tokenizer as tamis has it, and as the crate has it.
struct Family {
    name: &'static str,
    own: Tokenizer,
    plain: tokenizers::Tokenizer,
    template: tokenizers::Tokenizer,
}

fn families() -> &'static [Family] {
    static ALL: OnceLock<Vec<Family>> = OnceLock::new();
    ALL.get_or_init(|| {
        let all = PREFIXING.into_iter().chain(OTHERS).map(|name| {
            let path = fixture(&format!("joined/{name}.json"));
            let folder = tempfile::tempdir().unwrap();
            std::fs::copy(&path, folder.path().join("tokenizer.json")).unwrap();
            let template = tokenizers::Tokenizer::from_file(&path).unwrap();
            let mut plain = template.clone();
            plain.set_encode_special_tokens(true);
            Family { name, own: Tokenizer::from_folder(folder.path()).unwrap(), plain, template }
        });
        all.collect()
    })
}

/// The three pieces as a prompt has them.
fn joined(tokenizer: &Tokenizer, prefix: &str, document: &str, suffix: &str) -> [Vec<u32>; 3] {
    let joint = tokenizer.joint_after(prefix).unwrap();
    [
        tokenizer.encode_template(prefix).unwrap(),
        tokenizer.encode_head_at(document, usize::MAX, joint).unwrap().tokens,
        tokenizer.encode_template_at(suffix, Joint::Joined).unwrap(),
    ]
}

/// Whether the tokens of a text that lie outside of a range are those with which its pieces begin and end.
fn same_outside(tokenizer: &tokenizers::Tokenizer, text: &str, pieces: &[u32], range: &Range<usize>) -> bool {
    let whole = tokenizer.encode(text, false).unwrap();
    let (ids, offsets) = (whole.get_ids(), whole.get_offsets());
    let before = &ids[..offsets.iter().take_while(|(_, end)| *end <= range.start).count()];
    let after = &ids[ids.len() - offsets.iter().rev().take_while(|(begin, _)| *begin >= range.end).count()..];
    pieces.len() >= before.len() + after.len() && pieces.starts_with(before) && pieces.ends_with(after)
}

/// The words on both sides of a seam, with the white space before, at and after it: how far a merge can reach.
fn neighbourhood(text: &str, seam: usize) -> Range<usize> {
    let (left, right) = text.split_at(seam);
    let space = char::is_whitespace;
    let begin = left.trim_end_matches(space).trim_end_matches(|c| !space(c)).trim_end_matches(space).len();
    let rest = right.trim_start_matches(space).trim_start_matches(|c| !space(c)).trim_start_matches(space);
    begin..text.len() - rest.len()
}

#[test]
fn pieces_have_the_tokens_of_the_whole_text_by_transformers() {
    let expected = std::fs::read(fixture("joined/expected.json")).unwrap();
    let expected: Vec<Expected> = serde_json::from_slice(&expected).unwrap();
    let (mut exact, mut merged) = (0, 0);
    for Expected { family, pieces: [prefix, document, suffix], ids, merged: may_differ } in expected {
        let found = families().iter().find(|known| known.name == family).unwrap();
        let text = [prefix.as_str(), &document, &suffix].concat();
        assert_eq!(found.own.encode_template(&text).unwrap(), ids, "{family}: {text:?}");
        let pieces = joined(&found.own, &prefix, &document, &suffix);
        if may_differ {
            merged += 1;
        } else {
            assert_eq!(pieces.concat(), ids, "{family}: {prefix:?}, {document:?}, {suffix:?}: {pieces:?}");
            exact += 1;
        }
    }
    assert!(exact > 100 && merged < 40, "{exact}, {merged}");
}

#[test]
fn only_the_first_piece_is_written_something_before() {
    let llama = families().iter().find(|family| family.name == "llama2-legacy").unwrap();
    let (document, suffix) = ("The cat.", "\nGood? yes or no:");
    let whole = llama.own.encode_template(&[document, suffix].concat()).unwrap();
    let [_, read, asked] = joined(&llama.own, "", document, suffix);
    assert_eq!(read.len() + asked.len(), whole.len());
    let apart = llama.own.encode_template(suffix).unwrap();
    assert_eq!(apart.len(), asked.len() + 1, "a text of its own has one more");
    assert_eq!(llama.own.decode(&[read, asked].concat()).unwrap(), [document, suffix].concat());
}

#[test]
fn families_that_write_nothing_are_read_as_ever() {
    for family in families() {
        let affected = PREFIXING.contains(&family.name);
        let joint = |prefix: &str| family.own.joint_after(prefix).unwrap();
        assert_eq!(joint("Text: (") == Joint::Joined, affected, "{}", family.name);
        assert_eq!(joint(""), Joint::Apart);
        let suffix = |joint| family.own.encode_template_at("good", joint).unwrap();
        assert_eq!(suffix(Joint::Joined) != suffix(Joint::Apart), affected, "{}", family.name);
        assert_eq!(family.own.pieces_version().is_some(), family.name == "llama2-legacy", "{}", family.name);
        // White space that T5 strips from the end of a prefix is what its mark before the document stands for.
        if family.name.starts_with("t5") {
            assert_eq!(joint("###\n"), Joint::Apart, "{}", family.name);
        }
    }
}

#[test]
fn what_follows_a_special_token_begins_as_the_family_has_it() {
    for (name, expected) in
        [("llama2-legacy", Joint::Apart), ("llama2-always", Joint::Apart), ("llama2-first", Joint::Joined)]
    {
        let family = families().iter().find(|family| family.name == name).unwrap();
        assert_eq!(family.own.joint_after("Text</s>").unwrap(), expected, "{name}");
        assert_eq!(family.own.joint_after("<s>Text").unwrap(), Joint::Joined, "{name}");
    }
}

#[test]
fn long_documents_are_cut_without_a_mark_before_each_piece() {
    let text = "The cat sat on the mat, it's good.\nyes or no  1234 中文\n".repeat(22_000);
    for name in ["llama2-legacy", "llama2-first", "t5-published", "gpt2"] {
        let family = families().iter().find(|family| family.name == name).unwrap();
        let part = &text[..if name == "llama2-legacy" { text.len() } else { 100_000 }];
        let part = &part[..part.floor_char_boundary(part.len())];
        let whole = family.plain.encode(part, false).unwrap();
        assert_eq!(family.own.encode(part).unwrap(), whole.get_ids(), "{name}");
        assert_eq!(family.own.count(part).unwrap(), whole.len() as u64, "{name}");
        let ends: Vec<usize> = whole.get_offsets().iter().map(|(_, end)| *end).collect();
        assert_eq!(family.own.token_ends(part, usize::MAX).unwrap(), ends, "{name}");
    }
}

/// The tokenizer of a GGUF file.
fn of_gguf(name: &str) -> Tokenizer {
    Tokenizer::from_gguf(&GgufFile::open(&fixture(&format!("joined/{name}.gguf"))).unwrap()).unwrap()
}

#[test]
fn tokenizers_of_gguf_files_are_joined_as_those_of_folders() {
    let expected = std::fs::read(fixture("joined/expected.json")).unwrap();
    let expected: Vec<Expected> = serde_json::from_slice(&expected).unwrap();
    for (name, family) in [("llama2", "llama2-legacy"), ("llama3", "llama3")] {
        let tokenizer = of_gguf(name);
        let same = families().iter().find(|known| known.name == family).unwrap();
        assert_eq!(tokenizer.pieces_version(), same.own.pieces_version(), "{name}");
        assert_eq!(
            tokenizer.special().before,
            [tokenizer.token("<s>").unwrap()],
            "{name}: though no key says so"
        );
        for Expected { pieces: [prefix, document, suffix], ids, .. } in
            expected.iter().filter(|case| case.family == family)
        {
            let text = [prefix.as_str(), document, suffix].concat();
            assert_eq!(&tokenizer.encode_template(&text).unwrap(), ids, "{name}: {text:?}");
            let of = |tokenizer: &Tokenizer| joined(tokenizer, prefix, document, suffix);
            assert_eq!(of(&tokenizer), of(&same.own), "{name}: {text:?}");
        }
    }
    let bare = of_gguf("llama2-no-prefix");
    assert!(bare.special().before.is_empty() && bare.pieces_version().is_none());
    assert_eq!(bare.joint_after("Text: (").unwrap(), Joint::Apart);
    assert_eq!(
        bare.encode("The cat.").unwrap(),
        of_gguf("llama2").encode_head_at("The cat.", 99, Joint::Joined).unwrap().tokens
    );
}

const FRAGMENTS: &[&str] = &[
    "a", "The", "good", "Text", "cat", "'s", "12", " ", "  ", "\n", "\n\n", "\t", "\u{a0}", "\u{3000}", ".",
    ":", "?", "(", "\"", "-", "é", "e\u{301}", "\u{301}", "ﬁ", "中", "文本", "😀", "\u{ad}", "\u{7f}", "▁",
    "q", "Q", "yes", " no", "ж",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(FRAGMENTS), 1..16).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn tokens_differ_from_those_of_the_whole_only_at_the_seam(before in text(), after in text()) {
        for family in families() {
            let whole = [before.as_str(), &after].concat();
            let allowed = neighbourhood(&whole, before.len());
            // A document of which nothing is left is not judged.
            prop_assume!(!family.own.encode(&before).unwrap().is_empty());
            let seams = [
                // Prefix and document.
                joined(&family.own, &before, &after, "")[..2].concat(),
                // Document and suffix.
                joined(&family.own, "", &before, &after)[1..].concat(),
            ];
            for (seam, pieces) in seams.iter().enumerate() {
                prop_assert!(
                    same_outside(&family.plain, &whole, pieces, &allowed),
                    "{}, seam {}: {:?} + {:?}: {:?} beyond {:?}", family.name, seam, before, after, pieces, allowed
                );
                // What loses nothing of a text loses nothing of its pieces; BERT's decoder writes spaces between words.
                let decoded = family.plain.decode(&family.own.encode(&whole).unwrap(), false).unwrap();
                if decoded == whole && family.name != "bert" {
                    prop_assert_eq!(&family.plain.decode(pieces, false).unwrap(), &whole, "{}", family.name);
                }
            }
        }
    }

    #[test]
    fn special_tokens_around_a_document_change_nothing(before in text(), document in text(), after in text()) {
        let llama = families().iter().filter(|family| family.name.starts_with("llama2"));
        for family in llama {
            let (prefix, suffix) = (format!("<s>[INST]{before}:\n"), format!("\n{after}</s>\n<|assistant|>\n"));
            let document = document.trim();
            prop_assume!(!document.is_empty());
            let whole = family.template.encode([&prefix, document, &suffix].concat(), false).unwrap();
            let seams = [prefix.len(), prefix.len() + document.len()];
            let merged = whole.get_offsets().iter().any(|(begin, end)| seams.iter().any(|seam| begin < seam && seam < end));
            if !merged {
                prop_assert_eq!(joined(&family.own, &prefix, document, &suffix).concat(), whole.get_ids(), "{}", family.name);
            }
        }
    }
}
