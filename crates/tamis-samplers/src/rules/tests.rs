//! Laws of the measures, hostile texts, and the verdicts of datatrove.

use proptest::prelude::*;

use super::*;

fn every_rule() -> RuleSet {
    RuleSet::new(&Preset::ALL, &BTreeMap::new()).unwrap()
}

fn measures(text: &str) -> BTreeMap<&'static str, f64> {
    let rules = every_rule();
    let mut values = Vec::new();
    RuleMeasurer::default().measure(text, &rules, &mut values);
    assert_eq!(values.len(), rules.measures().len());
    rules.measures().iter().map(|measure| measure.column).zip(values).collect()
}

fn assert_sound(text: &str) {
    let found = measures(text);
    for measure in every_rule().measures() {
        let value = found[measure.column];
        let sound = value.is_finite()
            && value >= 0.0
            && match measure.unit {
                Unit::Count => value.fract() == 0.0,
                Unit::Share => value <= 1.0,
                Unit::Number => true,
            };
        assert!(sound, "{} is {value} of {:?}", measure.column, &text.chars().take(40).collect::<String>());
    }
}

#[test]
fn hostile_texts_are_measured_in_time_and_memory_like_their_size() {
    let size = 1_000_000;
    for text in [
        "",
        "\n",
        " ",
        "\u{0}",
        ".",
        "'",
        &"x".repeat(size),
        &"\n".repeat(size),
        &"\r".repeat(size),
        &" ".repeat(size),
        &".".repeat(size),
        &". ".repeat(size / 2),
        &"-".repeat(size),
        &"a-".repeat(size / 2),
        &"(".repeat(size),
        &format!("a{}", ")".repeat(size)),
        &format!("a{}", "'s".repeat(size / 2)),
        &"a\n".repeat(size / 2),
        &"a ".repeat(size / 2),
        &"[".repeat(size),
        &format!("{}.", "[1".repeat(size / 2)),
        &"....a".repeat(size / 5),
        &"\u{2028}".repeat(size / 3),
        &"日".repeat(size / 3),
        &"e\u{301}".repeat(size / 3),
        &(0..size / 8).map(|at| format!("{at:x} ")).collect::<String>(),
        &(0..size / 8).map(|at| format!("{at:x}\n")).collect::<String>(),
    ] {
        assert_sound(text);
    }
}

#[test]
fn words_beyond_the_most_are_not_in_ngrams_and_their_characters_neither() {
    let text = "a b ".repeat(ngrams::MOST_WORDS / 2 + 1000);
    let found = measures(&text);
    // All but the first ten words, of text that is half spaces.
    assert!((found["gopher_duplicate_10_gram_share"] - 0.5).abs() < 1e-4, "{found:?}");
    assert_eq!(found["gopher_words"], (ngrams::MOST_WORDS + 2000) as f64);
}

#[test]
fn presets_and_thresholds_say_what_is_asked_for() {
    let none = BTreeMap::new();
    let both = RuleSet::new(&[Preset::FineWeb, Preset::C4, Preset::FineWeb], &none).unwrap();
    assert_eq!(both.presets(), [Preset::C4, Preset::FineWeb]);
    assert_eq!(both, RuleSet::new(&[Preset::C4, Preset::FineWeb], &none).unwrap());
    let fingerprint = |rules: &RuleSet| rules.describe(Fingerprint::new("rules", 1));
    let with =
        |name: &str, value: f64| RuleSet::new(&[Preset::C4], &BTreeMap::from([(name.to_owned(), value)]));
    let plain = RuleSet::new(&[Preset::C4], &none).unwrap();
    assert_eq!(fingerprint(&plain), fingerprint(&with("c4-sentences", 5.0).unwrap()));
    let changes = fingerprint(&plain).changes(&fingerprint(&with("c4-sentences", 3.0).unwrap()));
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].to_string(), "threshold.c4-sentences: stored `5`, asked `3`");
    assert_eq!(with("c4-words", -0.0).unwrap(), plain);
    for (refused, message, hint) in [
        (with("c4-sentence", 1.0), "no rule is called `c4-sentence`", "did you mean `c4-sentences`?"),
        (
            with("gopher-words-min", 1.0),
            "rule `gopher-words-min` is of preset `gopher-quality`",
            "add gopher-quality",
        ),
        (
            with("c4-sentences", f64::NAN),
            "threshold `NaN` of rule `c4-sentences` is not finite",
            "write a number",
        ),
        (RuleSet::new(&[], &none), "no preset of rules", "gopher-quality, gopher-repetition, c4, fineweb"),
    ] {
        let error = refused.unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
    }
}

#[test]
fn names_are_different_and_say_which_rule_is_broken() {
    let rules = every_rule();
    let mut names: Vec<_> = rules.limits().map(|limit| limit.name).collect();
    let mut columns: Vec<_> = rules.measures().iter().map(|measure| measure.column).collect();
    let (all_names, all_columns) = (names.len(), columns.len());
    for list in [&mut names, &mut columns] {
        list.sort_unstable();
        list.dedup();
    }
    assert_eq!((names.len(), columns.len()), (all_names, all_columns));
    for limit in rules.limits() {
        assert!(limit.name.starts_with(&limit.column.replace('_', "-")), "{limit:?}");
        assert!(!limit.is_broken_by(limit.threshold), "{limit:?}");
    }
    let mut values = Vec::new();
    RuleMeasurer::default().measure("Too short.", &rules, &mut values);
    let verdict = rules.judge(&values);
    assert_eq!(rules.limits().nth(verdict.first.unwrap()).unwrap().to_string(), "gopher-words < 50");
    assert!(verdict.broken > 1);
    for preset in Preset::ALL {
        assert_eq!(Preset::named(preset.name()), Some(preset));
        assert_eq!(serde_text(preset), preset.name());
    }
}

/// The name as serde has it.
fn serde_text(preset: Preset) -> String {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};
    let deserializer: StrDeserializer<'_, Error> = preset.name().into_deserializer();
    Preset::deserialize(deserializer).unwrap().name().to_owned()
}

proptest! {
    #[test]
    fn measures_are_finite_and_shares_are_shares(
        text in "([a-c]{1,3}[ .,\n]{1,2}|[•#\\-…{\\[\\]1]|the |\r\n|\\.\\.\\.|\n\n|\\PC){0,60}",
    ) {
        assert_sound(&text);
        // A measurer that has seen another text is as good as a new one, and a preset alone measures the same.
        let (mut measurer, mut twice) = (RuleMeasurer::default(), Vec::new());
        measurer.measure("The the the the.\n\nThe the the the.", &every_rule(), &mut Vec::new());
        for preset in Preset::ALL {
            let alone = RuleSet::new(&[preset], &BTreeMap::new()).unwrap();
            measurer.measure(&text, &alone, &mut twice);
        }
        let mut together = Vec::new();
        RuleMeasurer::default().measure(&text, &every_rule(), &mut together);
        prop_assert_eq!(together, twice);
    }

    #[test]
    fn a_sentence_that_ends_well_takes_nothing_from_c4(text in "([a-z ]{1,12}[.?!]? ?\n?){0,20}") {
        let (before, after) = (measures(&text), measures(&format!("{text}\nIt is one more sentence.")));
        prop_assert_eq!(after["c4_sentences"], before["c4_sentences"] + 1.0);
        prop_assert_eq!(after["c4_words"], before["c4_words"] + 5.0);
        prop_assert!(after["c4_removed_line_share"] <= before["c4_removed_line_share"]);
        prop_assert!(after["fineweb_line_punctuation_share"] >= before["fineweb_line_punctuation_share"]);
    }

    #[test]
    fn a_text_twice_repeats_no_less(text in "([a-c]{1,2} ){1,40}") {
        let (once, twice) = (measures(&text), measures(&format!("{text}\n\n{text}")));
        for n in 5..=10 {
            let column = format!("gopher_duplicate_{n}_gram_share");
            prop_assert!(twice[&*column] + 0.1 >= once[&*column], "{}", column);
        }
        prop_assert!(twice["gopher_duplicate_paragraph_share"] >= 0.0);
    }
}

/// `tests/fixtures/rules/make_rules.py` made them: datatrove's filters, each rule by itself.
#[test]
fn every_rule_is_broken_where_datatrove_drops_by_it() {
    let (mut texts, mut apart) = (0, Vec::new());
    for line in include_str!("../../tests/fixtures/rules/expected.tsv").lines() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, text, drops @ .., broken] = &fields[..] else { panic!("{line}") };
        let text = unescaped(text);
        let found = measures(&text);
        let rules = every_rule();
        let ours = rules.limits().filter(|limit| limit.is_broken_by(found[limit.column]));
        let mut ours: Vec<&str> = ours.map(|limit| limit.name).collect();
        let mut theirs: Vec<&str> = broken.split(',').filter(|rule| *rule != "-").collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        if ours != theirs {
            apart.push(format!("{name}: {ours:?}, not {theirs:?}"));
        }
        assert_eq!(drops.len(), Preset::ALL.len());
        for (preset, reason) in Preset::ALL.into_iter().zip(drops) {
            let rules = RuleSet::new(&[preset], &BTreeMap::new()).unwrap();
            let mut values = Vec::new();
            RuleMeasurer::default().measure(&text, &rules, &mut values);
            assert_eq!(rules.judge(&values).broken == 0, *reason == "-", "{name}: {}", preset.name());
        }
        texts += 1;
    }
    assert!(texts > 50);
    assert!(apart.is_empty(), "{apart:#?}");
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                other => other.unwrap(),
            },
            _ => character,
        });
    }
    plain
}
