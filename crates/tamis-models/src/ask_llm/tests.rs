use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use proptest::prelude::*;

use super::fake::{FakeModel, FakeTokenizer};
use super::*;
use crate::graph::CausalLm;
use crate::text_tokens::TextTokenizer;

const PIECES: [&str; 6] = ["yes", " yes", "no", " no", " No", "the "];

fn prompt(text: &str) -> Prompt {
    Prompt::parse("mine", text).unwrap()
}

fn set(texts: &[&str]) -> PromptSet {
    PromptSet::new("set", texts.iter().map(|text| prompt(text)).collect()).unwrap()
}

fn judge(context: usize) -> (Arc<FakeModel>, Judge) {
    let model = Arc::new(FakeModel::new(context));
    let judge = Judge {
        model: AnswerModel::Decoder(Arc::clone(&model) as Arc<dyn CausalLm>),
        identity: fake::identity(FakeTokenizer::new(&PIECES), Some("MIT")),
        chat_template: None,
    };
    (model, judge)
}

fn signal(texts: &[&str], options: &AskLlmOptions) -> AskLlm {
    AskLlm::new(judge(200).1, &set(texts), options).unwrap()
}

fn annotate(signal: &AskLlm, texts: &[&str]) -> RecordBatch {
    signal.annotate(DocumentBatch::from_texts(texts.iter().copied()).as_arrow()).unwrap()
}

fn float(batch: &RecordBatch, name: &str, at: usize) -> f64 {
    let column = batch.column_by_name(name).unwrap().as_primitive::<Float64Type>();
    assert!(column.is_valid(at), "`{name}` is null at {at}");
    column.value(at)
}

fn count(batch: &RecordBatch, name: &str, at: usize) -> u32 {
    batch.column_by_name(name).unwrap().as_primitive::<UInt32Type>().value(at)
}

fn flag(batch: &RecordBatch, name: &str, at: usize) -> bool {
    batch.column_by_name(name).unwrap().as_boolean().value(at)
}

fn failed(batch: &RecordBatch, at: usize) -> Option<&str> {
    let column = batch.column_by_name(column::FAILED).unwrap().as_string::<i32>();
    column.is_valid(at).then(|| column.value(at))
}

/// ln P of some tokens after a text, worked out from the model's logits in the plainest way.
fn log_p(text: &str, tokens: &[usize]) -> f64 {
    let read = FakeTokenizer::new(&PIECES).encode_template(text).unwrap();
    let logits = FakeModel::new(1000).logits(&read);
    let all: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    (tokens.iter().map(|&token| f64::from(logits[token]).exp()).sum::<f64>() / all).ln()
}

#[test]
fn values_are_those_of_the_plain_formula() {
    let signal = signal(&["A: {document}\nGood?"], &AskLlmOptions::default());
    let batch = annotate(&signal, &["apples", "pears and the like"]);
    for (at, text) in ["apples", "pears and the like"].iter().enumerate() {
        let read = format!("A: {text}\nGood?");
        let (yes, no) = (log_p(&read, &[256, 257]), log_p(&read, &[258, 259, 260]));
        for (name, expected) in [
            (columns::LOG_P_YES, yes),
            (columns::LOG_P_NO, no),
            (columns::P_YES, yes.exp()),
            (columns::P_NO, no.exp()),
            (columns::CONTRAST, yes.exp() / (yes.exp() + no.exp())),
            (columns::LOG_ODDS, yes - no),
            (column::SCORE, yes - no),
        ] {
            assert!((float(&batch, name, at) - expected).abs() < 1e-9, "{name}");
        }
        assert_eq!(failed(&batch, at), None);
    }
    assert_eq!(count(&batch, columns::TOKENS, 0), 6 + 6, "document and suffix, not the prefix");
    assert_eq!(batch.schema(), signal.info().schema);
}

#[test]
fn several_prompts_give_mean_probabilities_mean_log_odds_and_summed_tokens() {
    let texts = ["A: {document}\nGood?", "{document}\nUseful?"];
    let both = annotate(&signal(&texts, &AskLlmOptions::default()), &["apples"]);
    let each: Vec<_> =
        texts.iter().map(|text| annotate(&signal(&[text], &AskLlmOptions::default()), &["apples"])).collect();
    let mean = |name| (float(&each[0], name, 0) + float(&each[1], name, 0)) / 2.0;
    for name in [columns::P_YES, columns::P_NO, columns::LOG_ODDS, column::SCORE] {
        assert!((float(&both, name, 0) - mean(name)).abs() < 1e-12, "{name}");
    }
    assert!((float(&both, columns::LOG_P_YES, 0) - float(&both, columns::P_YES, 0).ln()).abs() < 1e-12);
    assert_eq!(
        count(&both, columns::TOKENS, 0),
        count(&each[0], columns::TOKENS, 0) + count(&each[1], columns::TOKENS, 0)
    );
    let list = both.column_by_name(columns::LOG_ODDS_BY_PROMPT).unwrap().as_list::<i32>().value(0);
    let expected: Vec<f64> = each.iter().map(|batch| float(batch, columns::LOG_ODDS, 0)).collect();
    assert_eq!(list.as_primitive::<Float64Type>().values().to_vec(), expected);
}

#[test]
fn no_speaks_for_the_document_after_a_reversed_prompt() {
    let options = AskLlmOptions::default();
    let texts = ["A: {document}\nGood?", "{document}\nJunk?"];
    let each: Vec<_> = texts.iter().map(|text| annotate(&signal(&[text], &options), &["apples"])).collect();
    let plain = set(&texts);
    let mixed = PromptSet::new("set", vec![prompt(texts[0]), prompt(texts[1]).reverse()]).unwrap();
    let signal = AskLlm::new(judge(200).1, &mixed, &options).unwrap();
    let both = annotate(&signal, &["apples"]);
    let half = |a: f64, b: f64| (a + b) / 2.0;
    for (name, reversed) in [(columns::P_YES, columns::P_NO), (columns::P_NO, columns::P_YES)] {
        let expected = half(float(&each[0], name, 0), float(&each[1], reversed, 0));
        assert!((float(&both, name, 0) - expected).abs() < 1e-12, "{name}");
    }
    let expected = half(float(&each[0], column::SCORE, 0), -float(&each[1], column::SCORE, 0));
    assert!((float(&both, column::SCORE, 0) - expected).abs() < 1e-12);
    assert_ne!(plain.prompts()[1].digest(), mixed.prompts()[1].digest());
    let shown: Vec<String> = signal.show_prompt("x").unwrap().iter().map(ToString::to_string).collect();
    assert!(!shown[0].contains("no speaks") && shown[1].contains("no speaks for the document"), "{shown:?}");
}

#[test]
fn long_document_is_cut_at_its_end_and_the_question_stays() {
    let (_, small) = judge(30);
    let signal = AskLlm::new(small, &set(&["A: {document}\nGood?"]), &AskLlmOptions::default()).unwrap();
    assert_eq!(signal.window_tokens(), 30 - 3 - 6);
    let long = "0123456789abcdefghijklmnopqrstuvwxyz";
    let batch = annotate(&signal, &[long, &long[..21]]);
    assert_eq!(float(&batch, columns::LOG_P_YES, 0), float(&batch, columns::LOG_P_YES, 1));
    assert_eq!((flag(&batch, columns::TRUNCATED, 0), flag(&batch, columns::TRUNCATED, 1)), (true, false));
    assert_eq!(count(&batch, columns::DOCUMENT_TOKENS, 0), 35, "`no` is one token");
    let shown = &signal.show_prompt(long).unwrap()[0];
    assert_eq!(shown.windows, [(long[..21].to_owned(), 21)]);
    assert_eq!(
        shown.to_string(),
        "[prompt `mine`: 3 tokens before the document]\nA: \n[document: 21 of 35 tokens]\n0123456789abcdefghijk\n\
         [6 tokens after the document]\n\nGood?\n\
         [answer: yes is \"yes\"=256, \" yes\"=257; no is \"no\"=258, \" no\"=259, \" No\"=260]\n"
    );
}

#[test]
fn windows_are_averaged_and_cover_the_whole_document() {
    let options = AskLlmOptions {
        long: Long::Windows { most: 8 },
        max_document_tokens: Some(5),
        ..AskLlmOptions::default()
    };
    let signal = signal(&["{document}\nGood?"], &options);
    let batch = annotate(&signal, &["0123456789", "01234", "56789"]);
    let mean = f64::midpoint(float(&batch, columns::P_YES, 1), float(&batch, columns::P_YES, 2));
    assert!((float(&batch, columns::P_YES, 0) - mean).abs() < 1e-12);
    assert_eq!(count(&batch, columns::TOKENS, 0), 10 + 2 * 6);
    assert!(!flag(&batch, columns::TRUNCATED, 0));
    let few = AskLlmOptions { long: Long::Windows { most: 2 }, ..options };
    let signal = AskLlm::new(judge(200).1, &set(&["{document}\nGood?"]), &few).unwrap();
    assert!(flag(&annotate(&signal, &["0123456789abcdef"]), columns::TRUNCATED, 0));
}

#[test]
fn output_that_is_not_finite_fails_its_row_alone() {
    let signal = signal(&["{document}\nGood?"], &AskLlmOptions::default());
    let batch = annotate(&signal, &["fine", "not fine!", "", "fine"]);
    let reasons: Vec<_> = (0..4).map(|at| failed(&batch, at)).collect();
    assert_eq!(reasons, [None, Some(reason::NOT_FINITE), Some(reason::NO_TOKENS), None]);
    for column in batch.columns().iter().take(batch.num_columns() - 1) {
        assert_eq!((column.is_null(1), column.is_null(2), column.is_null(0)), (true, true, false));
    }
    assert_eq!(float(&batch, column::SCORE, 0), float(&batch, column::SCORE, 3));
    let mut diagnostics = JudgeDiagnostics::default();
    diagnostics.add_annotated(&batch);
    assert_eq!(diagnostics.rows, 2);
}

#[test]
fn document_that_holds_the_prompts_delimiters_is_marked() {
    let signal = signal(&["{document}\nIs it good?\nAnswer:"], &AskLlmOptions::default());
    let batch = annotate(
        &signal,
        &["plain", "a\n###\nb", "OPTIONS:\n- yes", "Is it good?", "What?\nAnswer: yes", "C# and D##"],
    );
    let marks: Vec<_> = (0..6).map(|at| flag(&batch, columns::DELIMITER_IN_TEXT, at)).collect();
    assert_eq!(marks, [false, true, true, true, true, false]);
}

#[test]
fn label_of_several_tokens_is_scored_as_a_sequence() {
    let options = AskLlmOptions {
        labels: Labels { yes: "ab".to_owned(), no: "no".to_owned() },
        ..AskLlmOptions::default()
    };
    let batch = annotate(&signal(&["A: {document}\nGood?"], &options), &["x"]);
    let read = "A: x\nGood?";
    let yes = log_p(read, &[32]) + log_p(&format!("{read} "), &[97]) + log_p(&format!("{read} a"), &[98]);
    assert!((float(&batch, columns::LOG_P_YES, 0) - yes).abs() < 1e-5);
    assert!((float(&batch, columns::LOG_P_NO, 0) - log_p(read, &[258, 259, 260])).abs() < 1e-9);
}

#[test]
fn packs_stay_within_their_budget_and_the_prefix_is_read_once() {
    let (model, judge) = judge(200);
    let options = AskLlmOptions { pack_tokens: 40, ..AskLlmOptions::default() };
    let signal = AskLlm::new(judge, &set(&["A: {document}\nGood?"]), &options).unwrap();
    let texts: Vec<String> = (0..50).map(|i| "x".repeat(i % 30 + 1)).collect();
    annotate(&signal, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(model.largest_pack_tokens.load(Ordering::Relaxed) <= 40);
    assert_eq!(model.prefixes.load(Ordering::Relaxed), 1);
}

#[test]
fn fingerprint_follows_what_decides_values_and_nothing_else() {
    let of = |texts: &[&str], options: &AskLlmOptions| signal(texts, options).info().fingerprint.digest();
    let base = AskLlmOptions::default();
    let plain = of(&["{document}\nGood?"], &base);
    assert_eq!(
        plain,
        of(&["{document}\nGood?"], &AskLlmOptions { pack_tokens: 7, part_bytes: 1, ..base.clone() })
    );
    for other in [
        of(&["{document}\nFine?"], &base),
        of(&["{document}\nGood?", "{document}\nGood?"], &base),
        of(&["{document}\nGood?"], &AskLlmOptions { max_document_tokens: Some(9), ..base.clone() }),
        of(&["{document}\nGood?"], &AskLlmOptions { long: Long::Windows { most: 2 }, ..base.clone() }),
        of(
            &["{document}\nGood?"],
            &AskLlmOptions { labels: Labels { yes: "the ".into(), no: "no".into() }, ..base.clone() },
        ),
    ] {
        assert_ne!(plain, other);
    }
    let info = signal(&["{document}\nGood?"], &base);
    assert_eq!(info.info().notes["spellings_yes"], "\"yes\"=256, \" yes\"=257");
    assert_eq!(info.info().notes["license"], "MIT");
}

#[test]
fn prompts_that_cannot_work_are_refused_at_the_start() {
    let error =
        AskLlm::new(judge(9).1, &set(&["A: {document}\nGood?"]), &AskLlmOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "prompt `mine`: 9 tokens leave no room for a document in a context of 9");
    let chat = AskLlmOptions { rendering: Rendering::Chat, ..AskLlmOptions::default() };
    let error = AskLlm::new(judge(99).1, &set(&["{document}?"]), &chat).unwrap_err();
    assert_eq!(error.to_string(), "model `fake`: no chat template");
    assert!(error.hint().is_some());
}

#[test]
fn chat_template_wraps_the_prompt() {
    let (_, mut judge) = judge(200);
    let source = "<u>{{ messages[0].content }}</u><a>".to_owned();
    judge.chat_template = Some(ChatTemplate { source, ..ChatTemplate::default() });
    let options = AskLlmOptions { rendering: Rendering::Chat, ..AskLlmOptions::default() };
    let chat = AskLlm::new(judge, &set(&["{document}\nGood?"]), &options).unwrap();
    let raw = signal(&["<u>{document}\nGood?</u><a>"], &AskLlmOptions::default());
    assert_eq!(
        float(&annotate(&chat, &["text"]), column::SCORE, 0),
        float(&annotate(&raw, &["text"]), column::SCORE, 0)
    );
    assert_ne!(chat.info().fingerprint.digest(), raw.info().fingerprint.digest());
}

/// A judge that reads by a tokenizer of `fixtures/make_joined.py`.
fn judge_of_family(name: &str) -> Judge {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/joined");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(fixtures.join(format!("{name}.json")), folder.path().join("tokenizer.json")).unwrap();
    let tokenizer = crate::tokenizer::Tokenizer::from_folder(folder.path()).unwrap();
    Judge { identity: fake::identity(tokenizer, None), ..judge(200).1 }
}

#[test]
fn fingerprint_names_how_pieces_are_joined_only_where_tokens_are_others_than_they_were() {
    let pieces = |family: &str, text: &str| {
        let signal = AskLlm::new(judge_of_family(family), &set(&[text]), &AskLlmOptions::default()).unwrap();
        signal.info().fingerprint.fields().get("pieces").cloned()
    };
    for family in ["llama2-legacy", "llama2-first", "llama2-always", "roberta"] {
        for text in ["{document}\nGood?", "Text:\n{document}\nGood?"] {
            assert_eq!(pieces(family, text).as_deref(), Some("joined-1"), "{family}");
        }
    }
    for family in ["gpt2", "llama3", "qwen2", "gemma", "t5-published", "t5-converted", "t5-first"] {
        assert_eq!(pieces(family, "###\n{document}\n###\n\nGood?"), None, "{family}");
    }
    assert_eq!(pieces("t5-published", "Text: ({document}) Good?").as_deref(), Some("joined-1"));
}

#[test]
fn shown_tokens_are_those_of_the_whole_prompt() {
    for (family, before) in
        [("llama2-legacy", 1), ("llama2-first", 1), ("gemma", 1), ("gpt2", 0), ("t5-published", 0)]
    {
        let judge = judge_of_family(family);
        let signal =
            AskLlm::new(judge.clone(), &set(&["Text:\n{document}\nGood?"]), &AskLlmOptions::default());
        let shown = signal.unwrap().show_prompt("The cat.").unwrap().remove(0);
        let whole = judge.identity.tokenizer.encode_template("Text:\nThe cat.\nGood?").unwrap().len();
        assert_eq!(shown.prefix.1 + shown.windows[0].1 + shown.suffix.1, before + whole, "{family}");
    }
}

#[test]
fn windows_of_a_document_are_shown_with_the_spaces_that_they_begin_with() {
    let options = AskLlmOptions {
        long: Long::Windows { most: 9 },
        max_document_tokens: Some(3),
        ..AskLlmOptions::default()
    };
    let signal = AskLlm::new(judge_of_family("llama2-legacy"), &set(&["Text:\n{document}\nGood?"]), &options);
    let document = "The cat sat on the mat, yes or no";
    let shown = signal.unwrap().show_prompt(document).unwrap().remove(0);
    assert!(shown.windows.len() > 2);
    assert_eq!(shown.windows.iter().map(|(text, _)| text.as_str()).collect::<String>(), document);
}

#[test]
fn nothing_is_added_around_what_a_chat_template_writes() {
    let prefix_tokens = |source: &str, rendering| {
        let mut judge = judge_of_family("llama2-legacy");
        judge.chat_template = Some(ChatTemplate { source: source.to_owned(), ..ChatTemplate::default() });
        let options = AskLlmOptions { rendering, ..AskLlmOptions::default() };
        let signal = AskLlm::new(judge, &set(&["Text:\n{document}\nGood?"]), &options).unwrap();
        signal.show_prompt("x").unwrap()[0].prefix.1
    };
    let without = prefix_tokens("{{ messages[0].content }}", Rendering::Chat);
    assert_eq!(prefix_tokens("{{ messages[0].content }}", Rendering::Raw), without + 1, "<s>");
    let with = prefix_tokens("<s>{{ messages[0].content }}", Rendering::Chat);
    assert_eq!(with, without + 1, "once");
}

#[test]
fn prompts_after_which_documents_begin_otherwise_are_scored_as_each_alone() {
    let texts = ["{document}\nGood?", "Text:\n{document}\nGood?"];
    let documents = ["The cat.", "yes or no, the dog", "é"];
    let of = |texts: &[&str]| {
        let signal = AskLlm::new(judge_of_family("llama2-legacy"), &set(texts), &AskLlmOptions::default());
        annotate(&signal.unwrap(), &documents)
    };
    let (both, each) = (of(&texts), texts.map(|text| of(&[text])));
    for at in 0..documents.len() {
        let list = both.column_by_name(columns::LOG_ODDS_BY_PROMPT).unwrap().as_list::<i32>().value(at);
        let expected: Vec<f64> = each.iter().map(|batch| float(batch, columns::LOG_ODDS, at)).collect();
        assert_eq!(list.as_primitive::<Float64Type>().values().to_vec(), expected);
        let tokens: u32 = each.iter().map(|batch| count(batch, columns::TOKENS, at)).sum();
        assert_eq!(count(&both, columns::TOKENS, at), tokens);
    }
}

#[test]
fn a_prompt_that_ends_within_a_thought_is_warned_of() {
    let warnings = |source: &str| {
        let mut judge = judge(200).1;
        judge.chat_template = Some(ChatTemplate { source: source.to_owned(), ..ChatTemplate::default() });
        let options = AskLlmOptions { rendering: Rendering::Chat, ..AskLlmOptions::default() };
        AskLlm::new(judge, &set(&["{document}\nGood?"]), &options).unwrap().warnings()
    };
    assert!(warnings("{{ messages[0].content }}<think>\n")[0].contains("open `<think>`"));
    assert!(warnings("{{ messages[0].content }}<think>\n</think>\n").is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Batch equals single, to the bit, whatever the pack budget and the order of rows.
    #[test]
    fn values_of_a_row_do_not_depend_on_the_batch(
        texts in proptest::collection::vec("[a-d!# ]{0,40}", 1..12),
        pack_tokens in 1usize..200,
        window in 1usize..30,
        windows in any::<bool>(),
    ) {
        let options = AskLlmOptions {
            pack_tokens,
            max_document_tokens: Some(window),
            long: if windows { Long::Windows { most: 3 } } else { Long::Head },
            ..AskLlmOptions::default()
        };
        let prompts = ["A: {document}\nGood?", "{document}\nUseful?"];
        let packed = signal(&prompts, &options);
        let single = signal(&prompts, &AskLlmOptions { pack_tokens: 1, ..options });
        let all = annotate(&packed, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(all.num_rows(), texts.len());
        for (at, text) in texts.iter().enumerate() {
            prop_assert_eq!(all.slice(at, 1), annotate(&single, &[text]));
        }
    }
}
