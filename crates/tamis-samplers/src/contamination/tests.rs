use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use proptest::prelude::*;
use tamis_core::{BatchSummary, DocumentBatch, Input, Signal, Summary, column};

use super::*;
use crate::minhash::words::each_unit;

/// An index of one evaluation for each list of items, each item a list of texts.
fn index(words: usize, evaluations: &[(&str, &[&[&str]])]) -> Arc<EvaluationIndex> {
    let mut builder = IndexBuilder::new(words).unwrap();
    for (name, items) in evaluations {
        builder.evaluation(name);
        items.iter().for_each(|texts| builder.item(texts.iter().copied()).unwrap());
    }
    Arc::new(builder.finish().unwrap())
}

fn found(index: &EvaluationIndex, text: &str) -> Vec<String> {
    index.scanner().scan(text).iter().map(|ngram| index.words(*ngram).to_owned()).collect()
}

/// Words of a text, and all that is looked for in a text or of an item, by the rule and without hashes.
fn units(text: &str) -> Vec<String> {
    let mut units = Vec::new();
    each_unit(text, |unit| units.push(String::from_utf8(unit.to_vec()).unwrap()));
    units
}

fn naively_of(words: usize, texts: &[String]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for text in texts {
        let units = units(text);
        match units.len() {
            short if short < words.min(SHORTEST) => {}
            short if short < words => drop(all.insert(units.join(" "))),
            _ => all.extend(units.windows(words).map(|row| row.join(" "))),
        }
    }
    all
}

fn naively_found(words: usize, items: &[String], text: &str) -> BTreeSet<String> {
    let units = units(text);
    let wanted = naively_of(words, items);
    let rows = (words.min(SHORTEST)..=words).flat_map(|length| units.windows(length));
    rows.map(|row| row.join(" ")).filter(|row| wanted.contains(row)).collect()
}

const ITEM: &str =
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May.";

#[test]
fn thirteen_words_in_a_row_are_found_and_twelve_are_not() {
    let index = index(13, &[("gsm8k/test", &[&[ITEM, "72"]])]);
    assert_eq!(index.ngrams(), 20 - 13 + 1);
    assert_eq!(found(&index, ITEM).len(), 8);
    let thirteen = "… NATALIA sold — clips; to 48 of her “friends” in\n\nApril and: then she!";
    assert_eq!(found(&index, thirteen), ["natalia sold clips to 48 of her friends in april and then she"]);
    assert!(found(&index, "Natalia sold clips to 48 of her friends in April, and then").is_empty());
    assert!(
        found(&index, "Natalia sold clips to 48 of her friends in May, and then she sold half").is_empty()
    );
    assert!(found(&index, "").is_empty());
}

#[test]
fn short_texts_are_looked_for_as_a_whole_and_shorter_ones_are_counted() {
    let eight = "one two three four five six seven eight";
    let index = index(13, &[("a", &[&[eight], &["one two three four five six seven"], &["yes"], &[]])]);
    let evaluation = &index.evaluations()[0];
    assert_eq!((evaluation.items, evaluation.too_short), (4, 3));
    assert_eq!(found(&index, &format!("zero {eight} nine")), [eight]);
    assert!(found(&index, "one two three four five six seven nine").is_empty());
    // Of n-grams shorter than eight words, texts of as many are found.
    let index = self::index(5, &[("a", &[&["one two three four five"], &["one two three four"]])]);
    assert_eq!(index.evaluations()[0].too_short, 1);
    assert_eq!(found(&index, "One, two, three, four, five."), ["one two three four five"]);
}

#[test]
fn texts_of_one_item_do_not_run_into_each_other() {
    let (first, second) = ("a b c d e f g h i", "j k l m n o p q r");
    let index = index(13, &[("a", &[&[first, second]])]);
    assert_eq!(found(&index, &format!("{first} {second}")), [first, second]);
}

#[test]
fn any_script_is_read() {
    let russian = "Сколько всего яблок собрали дети в саду, если их было пять и каждый собрал десять?";
    let chinese = "小明有五个苹果,他又买了三个,请问一共有几个?";
    let index = index(13, &[("a", &[&[russian], &[chinese]])]);
    assert_eq!(found(&index, &russian.to_uppercase()).len(), 15 - 13 + 1);
    assert_eq!(found(&index, &format!("问:{chinese}")).len(), 20 - 13 + 1);
}

#[test]
fn what_makes_no_index_is_refused() {
    for words in [0, 4, 65] {
        assert_eq!(IndexBuilder::new(words).unwrap_err(), ContaminationError::Words { found: words });
    }
    let mut builder = IndexBuilder::new(13).unwrap();
    builder.evaluation("a");
    builder.item(["B", "42"]).unwrap();
    let error = builder.finish().unwrap_err();
    assert_eq!(error.to_string(), "none of 1 evaluation items has a text of 8 words or more");
}

#[test]
fn a_document_lists_no_more_than_it_may() {
    let numbers: Vec<String> = (0..MOST_MATCHES + 100).map(|number| number.to_string()).collect();
    let text = numbers.join(" ");
    let index = index(13, &[("a", &[&[&text]])]);
    assert!(index.ngrams() > MOST_MATCHES);
    let mut scanner = index.scanner();
    assert_eq!(scanner.scan(&text).len(), MOST_MATCHES);
    // What one document has is not there for the next.
    assert!(scanner.scan("nothing").is_empty());
    assert_eq!(scanner.scan(&numbers[..13].join("-")).len(), 1);
}

#[test]
fn how_much_is_frequent_grows_with_the_corpus() {
    let frequent = Frequent::default();
    assert_eq!((frequent.most(0), frequent.most(56_000), frequent.most(1_000_000)), (10, 10, 10));
    assert_eq!(frequent.most(1_000_000_000), 10_000);
}

/// Matches of texts as the second signal reads them.
fn matches(signal: &MatchesSignal, texts: &[&str]) -> RecordBatch {
    let documents = DocumentBatch::from_texts(texts.iter().copied());
    let values = signal.annotate(documents.as_arrow()).unwrap();
    let keys = documents.as_arrow().project(&[0, 2]).unwrap();
    let mut fields: Vec<_> = keys.schema().fields().iter().cloned().collect();
    fields.extend(values.schema().fields().iter().cloned());
    let columns = keys.columns().iter().chain(values.columns()).cloned().collect();
    RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns).unwrap()
}

#[test]
fn verdicts_name_the_evaluation_with_most_and_pass_over_what_is_frequent() {
    let row =
        |from: char, words: u8| (0..words).map(|at| format!("{from}{at}")).collect::<Vec<String>>().join(" ");
    let (a, b, common) = (row('a', 14), row('b', 13), row('c', 13));
    let index = index(13, &[("arc", &[&[&b], &["yes"]]), ("gsm8k", &[&[&a], &[&b, &common]])]);
    let signal = MatchesSignal::new(Arc::clone(&index));
    let with_both = format!("{b}. And {a}!");
    let texts = [with_both.as_str(), &b, &common, &common, &common, "nothing", "…"];
    let batch = matches(&signal, &texts);
    let mut counts = DocumentCounts::new(&index);
    let part = counts.parts()(&batch).unwrap();
    counts.absorb(part).unwrap();
    assert_eq!(counts.counts().iter().sum::<u32>(), 3 + 1 + 3);
    let verdicts = Arc::new(Verdicts::new(Arc::clone(&index), &counts, 2).unwrap());
    assert_eq!(verdicts.frequent(), 1);
    assert_eq!(verdicts.items_found(&counts), [1, 2]);
    let mut by_evaluation = vec![0; 2];
    assert_eq!(verdicts.count_documents(&batch, &mut by_evaluation).unwrap(), 2);
    assert_eq!(by_evaluation, [2, 2]);

    let fingerprint = &signal.info().fingerprint;
    let made = Made {
        matches: (fingerprint, "contamination-matches@0"),
        evaluations: "two",
        frequent: "2",
        all_rows: ("all_rows", "these"),
    };
    let signal = ContaminationSignal::new(verdicts, &made);
    assert_eq!(signal.info().fingerprint.get("all_rows"), Some("these"));
    let rows = signal.annotate(&Input::in_role(&batch, "matches").unwrap()).unwrap();
    let text = |name: &str, at: usize| {
        let column = rows.column_by_name(name).unwrap().as_string::<i32>();
        column.iter().nth(at).unwrap().map(str::to_owned)
    };
    let matches = rows.column_by_name(MATCHES).unwrap().as_primitive::<UInt32Type>();
    assert_eq!(matches.values(), &[3, 1, 0, 0, 0, 0, 0]);
    assert_eq!(text(EVALUATION, 0).unwrap(), "gsm8k");
    assert_eq!(text(MATCHED, 0).unwrap(), b, "the first in the text that is of the evaluation");
    assert_eq!(text(EVALUATION, 1).unwrap(), "arc", "of equal ones the first");
    assert_eq!(text(column::VETO, 1).unwrap(), "contaminated arc");
    for at in 2..7 {
        assert!(
            [EVALUATION, MATCHED, column::VETO, column::FAILED].iter().all(|name| text(name, at).is_none())
        );
    }
    let other = self::index(13, &[("other", &[&[&a]])]);
    assert!(Verdicts::new(other, &counts, 2).is_err());
}

/// A text of words with anything between them that is no word.
fn dressed(words: &[String], between: &[String], shout: &[bool]) -> String {
    let mut text = String::new();
    for (at, word) in words.iter().enumerate() {
        match shout[at % shout.len()] {
            true => text.push_str(&word.to_uppercase()),
            false => text.push_str(word),
        }
        text.push_str(&between[at % between.len()]);
    }
    text
}

fn words(letters: &'static str, lengths: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(letters.prop_map(|word: String| word), lengths)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn thirteen_words_of_an_item_are_found_wherever_they_are_planted(
        item in words("[a-zà-öα-ρа-я0-9]{1,9}", 13..40),
        document in words("[a-zà-öа-я]{1,9}", 0..1200),
        between in proptest::collection::vec("[ ,.;:!?“”\n\t—…_]{1,3}", 1..9),
        shout in proptest::collection::vec(any::<bool>(), 1..9),
        (from, at) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let index = index(13, &[("a", &[&[&item.join(" ")]])]);
        let from = from.index(item.len() - 12);
        let planted = &item[from..from + 13];
        let at = at.index(document.len() + 1);
        let text = dressed(&[&document[..at], planted, &document[at..]].concat(), &between, &shout);
        let expected = units(&planted.join(" ")).join(" ");
        prop_assert!(found(&index, &text).contains(&expected), "{}", text);
    }

    #[test]
    fn what_is_found_is_what_joined_words_say(
        length in 5_usize..15,
        items in proptest::collection::vec(words("[ab]|c", 1..24), 1..6),
        document in words("[ab]|c", 0..1500),
    ) {
        let items: Vec<String> = items.iter().map(|words| words.join(" ")).collect();
        let text = document.join(", ");
        let mut builder = IndexBuilder::new(length).unwrap();
        builder.evaluation("a");
        items.iter().for_each(|item| builder.item([item.as_str()]).unwrap());
        let wanted = naively_of(length, &items);
        let index = match builder.finish() {
            Ok(index) => index,
            Err(error) => {
                prop_assert!(wanted.is_empty(), "{}", error);
                return Ok(());
            }
        };
        prop_assert_eq!(index.ngrams(), wanted.len());
        let of_index: BTreeSet<String> = (0..index.ngrams() as u32).map(|ngram| index.words(ngram).to_owned()).collect();
        prop_assert_eq!(of_index, wanted);
        let ours = found(&index, &text);
        let expected = naively_found(length, &items, &text);
        prop_assert_eq!(ours.len(), expected.len());
        prop_assert_eq!(ours.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn batches_and_order_make_no_difference(documents in proptest::collection::vec(words("[ab]", 0..60), 1..12)) {
        let index = index(6, &[("a", &[&["a b a b b a b a a b"], &["b b b b b b b b"]])]);
        let signal = MatchesSignal::new(Arc::clone(&index));
        let texts: Vec<String> = documents.iter().map(|words| format!("x {}", words.join(" "))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let together = matches(&signal, &texts);
        for (at, text) in texts.iter().enumerate() {
            let alone = matches(&signal, &[text]);
            prop_assert_eq!(alone.column(2), &together.column(2).slice(at, 1));
        }
    }
}
