//! Estimates against their definition and against lmplz, scores against kenlm, files that are broken.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use proptest::prelude::*;

use super::*;

struct InMemory;

impl Scratch for InMemory {
    fn create(&self) -> io::Result<Box<dyn RunFile>> {
        Ok(Box::new(io::Cursor::new(Vec::new())))
    }
}

struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _step: &str, _ngrams: u64) {}
    fn advance(&self, _ngrams: u64) {}
}

const PLAIN: Words = Words(Normalisation::Plain);

/// How a corpus is counted, which must not matter.
#[derive(Clone, Debug)]
struct Way {
    counters: usize,
    memory_bytes: u64,
    threads: usize,
}

const ONE_WAY: Way = Way { counters: 1, memory_bytes: 1 << 26, threads: 1 };

fn train(
    documents: &[String],
    order: usize,
    prune: &[u64],
    fallback: bool,
    way: &Way,
) -> Result<String, TrainError> {
    let mut counters: Vec<Counter> = (0..way.counters)
        .map(|_| Counter::new(order, way.memory_bytes / 2 / way.counters as u64).unwrap())
        .collect();
    for (at, document) in documents.iter().enumerate() {
        counters[at % way.counters].add(document, &PLAIN, &InMemory)?;
    }
    let options = Estimator {
        prune: prune.to_vec(),
        fallback: fallback.then(FallbackDiscounts::default),
        memory_bytes: way.memory_bytes,
        threads: way.threads,
    };
    let header = ArpaHeader { text: Some("plain-1".to_owned()), tokenizer: None };
    let mut out = Vec::new();
    estimate(counters, &options, &header, &InMemory, &Quiet, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn parse(arpa: &str) -> Result<NgramModel, ArpaError> {
    let mut parser = ArpaParser::new();
    for line in arpa.lines() {
        parser.line(line.as_bytes())?;
    }
    parser.finish()
}

/// Interpolated modified Kneser–Ney from its definition, with maps of whole n-grams and no care for time.
struct Naive {
    order: usize,
    /// Adjusted count and whether it is pruned, by n-gram.
    grams: BTreeMap<Vec<String>, (u64, bool)>,
    discounts: Vec<[f64; 3]>,
    words: BTreeSet<String>,
}

impl Naive {
    fn new(documents: &[String], order: usize, prune: &[u64]) -> Self {
        let mut raw: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for line in documents.iter().flat_map(|document| document.lines()) {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if words.is_empty() {
                continue;
            }
            let tokens: Vec<String> =
                [BEGIN].into_iter().chain(words).chain([END]).map(str::to_owned).collect();
            for end in 1..tokens.len() {
                for length in 1..=order.min(end + 1) {
                    *raw.entry(tokens[end + 1 - length..=end].to_vec()).or_default() += 1;
                }
            }
        }
        let mut left: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for gram in raw.keys().filter(|gram| gram.len() > 1) {
            *left.entry(gram[1..].to_vec()).or_default() += 1;
        }
        let threshold = |length: usize| prune.get(length - 1).or(prune.last()).copied().unwrap_or(0);
        let mut grams = BTreeMap::new();
        for (gram, count) in &raw {
            let full = gram.len() == order || gram[0] == BEGIN;
            let pruned = *count <= threshold(gram.len()) && gram[..] != [END.to_owned()];
            grams.insert(gram.clone(), (if full { *count } else { left[gram] }, pruned));
        }
        let discounts = (1..=order)
            .map(|length| {
                let n = |count: u64| {
                    let of =
                        |(gram, (c, _)): (&Vec<String>, &(u64, bool))| gram.len() == length && *c == count;
                    grams.iter().filter(|entry| of(*entry)).count() as f64
                };
                let y = n(1) / (n(1) + 2.0 * n(2));
                let discount = |j: u64| j as f64 - (j + 1) as f64 * y * n(j + 1) / n(j);
                let found = [discount(1), discount(2), discount(3)];
                let usable = found.iter().zip([1.0, 2.0, 3.0]).all(|(d, most)| (0.0..=most).contains(d));
                if usable { found } else { [0.5, 1.0, 1.5] }
            })
            .collect();
        let kept = |gram: &Vec<String>| gram.len() == 1 && !grams[gram].1;
        let mut words: BTreeSet<String> =
            grams.keys().filter(|gram| kept(gram)).map(|gram| gram[0].clone()).collect();
        words.insert(UNKNOWN.to_owned());
        Self { order, grams, discounts, words }
    }

    /// p(word | context), the context no longer than N − 1.
    fn probability(&self, context: &[String], word: &str) -> f64 {
        let length = context.len() + 1;
        let followers: Vec<(&String, u64, bool)> = self
            .grams
            .iter()
            .filter(|(gram, _)| gram.len() == length && gram[..length - 1] == *context)
            .map(|(gram, (count, pruned))| (&gram[length - 1], *count, *pruned))
            .collect();
        let shorter = |p: &Self| match context {
            [] => 1.0 / p.words.len() as f64,
            [_, rest @ ..] => p.probability(rest, word),
        };
        if followers.is_empty() {
            return shorter(self);
        }
        let discount = |count: u64| self.discounts[length - 1][count.min(3) as usize - 1];
        let total: u64 = followers.iter().map(|(_, count, _)| count).sum();
        let (mut own, mut left) = (0.0, 0.0);
        for (follower, count, pruned) in followers {
            let count_left = count as f64;
            if pruned {
                left += count_left;
            } else {
                left += discount(count);
                if follower == word {
                    own = count_left - discount(count);
                }
            }
        }
        own / total as f64 + left / total as f64 * shorter(self)
    }

    /// Σ log₁₀ p of a line's words and its end.
    fn line(&self, line: &str) -> f64 {
        let mut history = vec![BEGIN.to_owned()];
        let mut sum = 0.0;
        for word in line.split_ascii_whitespace().chain([END]) {
            let word = if self.words.contains(word) { word } else { UNKNOWN };
            let from = (history.len() + 1).saturating_sub(self.order);
            sum += self.probability(&history[from..], word).log10();
            history.push(word.to_owned());
        }
        sum
    }
}

fn documents() -> impl Strategy<Value = Vec<String>> {
    // Few words, the first ones most: n-grams repeat.
    let word = prop_oneof![4 => 0..4usize, 2 => 4..10usize, 1 => 10..40usize].prop_map(|n| format!("w{n}"));
    let line = prop::collection::vec(word, 0..12).prop_map(|words| words.join(" "));
    let document = prop::collection::vec(line, 1..4).prop_map(|lines| lines.join("\n"));
    prop::collection::vec(document, 1..16)
        .prop_filter("no words", |documents| documents.iter().any(|document| document.contains('w')))
}

fn ways() -> impl Strategy<Value = Way> {
    (1..4usize, prop_oneof![Just(1u64), Just(1 << 14), Just(1 << 26)], 1..4usize)
        .prop_map(|(counters, memory_bytes, threads)| Way { counters, memory_bytes, threads })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn estimates_and_scores_follow_the_definition(
        documents in documents(), order in 1..5usize, threshold in 0..3u64,
    ) {
        let prune: Vec<u64> = (0..order).map(|at| if at == 0 { 0 } else { threshold }).collect();
        let model = parse(&train(&documents, order, &prune, true, &ONE_WAY).unwrap()).unwrap();
        let naive = Naive::new(&documents, order, &prune);
        let mut scorer = Scorer::new(&model);
        for line in documents.iter().flat_map(|document| document.lines()).chain(["w0 new w1 w0 w0", "new"]) {
            let score = scorer.score(line, &PLAIN).unwrap();
            let expected = if line.trim().is_empty() { 0.0 } else { naive.line(line) };
            prop_assert!((score.log10 - expected).abs() < 1e-4, "{line}: {} {expected}", score.log10);
        }
    }

    #[test]
    fn probabilities_sum_to_one(
        documents in documents(), order in 1..6usize, threshold in 0..3u64,
        context in prop::collection::vec(0..12usize, 0..5), begins in any::<bool>(),
    ) {
        let prune = vec![threshold; order];
        let arpa = train(&documents, order, &prune, true, &ONE_WAY).unwrap();
        let model = parse(&arpa).unwrap();
        let words: Vec<&str> = arpa
            .lines()
            .skip_while(|line| *line != "\\1-grams:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .map(|line| line.split('\t').nth(1).unwrap())
            .filter(|word| *word != BEGIN)
            .collect();
        prop_assert_eq!(words.len() as u64 + 1, model.counts()[0]);
        let context: Vec<String> = begins.then(|| BEGIN.to_owned()).into_iter()
            .chain(context.iter().map(|n| format!("w{n}"))).collect();
        let context: Vec<&str> = context.iter().map(String::as_str).collect();
        let sum: f64 = words.iter().map(|word| 10f64.powf(model.log10_probability(&context, word))).sum();
        prop_assert!((sum - 1.0).abs() < 1e-5, "{sum} after {context:?}");
    }

    #[test]
    fn the_file_is_the_same_whatever_the_order_split_memory_and_threads(
        (documents, shuffled) in documents().prop_flat_map(|d| (Just(d.clone()), Just(d).prop_shuffle())),
        order in 1..5usize, way in ways(),
    ) {
        let one = train(&documents, order, &[0, 1], true, &ONE_WAY);
        let one = if order == 1 { train(&documents, order, &[0], true, &ONE_WAY) } else { one };
        let prune: &[u64] = if order == 1 { &[0] } else { &[0, 1] };
        let other = train(&shuffled, order, prune, true, &way);
        prop_assert_eq!(one.unwrap(), other.unwrap());
    }

    #[test]
    fn hostile_bytes_are_refused_and_not_believed(
        lines in prop::collection::vec("\\PC{0,30}|ngram [0-9]=[0-9]{1,20}|\\\\data\\\\|\\\\1-grams:|-1\t[a-z]\t-1|", 0..20)
    ) {
        let _refused = parse(&lines.join("\n"));
    }
}

#[test]
fn a_long_line_is_scored_as_its_words_one_by_one() {
    let documents: Vec<String> = (0..60)
        .map(|n| (0..20).map(|m| format!("w{}", (n * m + m) % 17)).collect::<Vec<_>>().join(" "))
        .collect();
    let model = parse(&train(&documents, 4, &[], true, &ONE_WAY).unwrap()).unwrap();
    let words: Vec<String> = (0..9000).map(|n| format!("w{}", (n * n + n / 7) % 19)).collect();
    let score = Scorer::new(&model).score(&words.join(" "), &PLAIN).unwrap();
    let mut history: Vec<&str> = vec![BEGIN];
    let mut sum = 0.0;
    for word in words.iter().map(String::as_str).chain([END]) {
        sum += model.log10_probability(&history[history.len().saturating_sub(3)..], word);
        history.push(word);
    }
    assert!((score.log10 - sum).abs() < 1e-6, "{} {sum}", score.log10);
    assert_eq!((score.words, score.lines), (9000, 1));
}

#[test]
fn words_of_the_models_own_are_no_words_of_a_text() {
    let lines = "a b a\na <s> b\n</s> <unk> a";
    let model = parse(&train(&[lines.to_owned()], 2, &[], true, &ONE_WAY).unwrap()).unwrap();
    let mut scorer = Scorer::new(&model);
    let reserved = scorer.score("a <s> b", &PLAIN).unwrap();
    assert_eq!(reserved, scorer.score("a never b", &PLAIN).unwrap());
    assert_eq!((reserved.words, reserved.unknown), (3, 1));
    let blank = scorer.score("a b\n\n \t\n", &PLAIN).unwrap();
    assert_eq!(blank, scorer.score("a b", &PLAIN).unwrap());
    assert_eq!(scorer.score(" \n", &PLAIN).unwrap().tokens(), 0);
}

#[test]
fn a_corpus_that_gives_no_discounts_is_refused_with_a_way_out() {
    let documents = vec!["a b c".to_owned(); 3];
    let error = train(&documents, 2, &[], false, &ONE_WAY).unwrap_err();
    assert!(error.to_string().starts_with("no Kneser-Ney discount for 1-grams"), "{error}");
    assert!(error.hint().unwrap().contains("--discount-fallback"));
    assert!(train(&documents, 2, &[], true, &ONE_WAY).is_ok());
    assert!(matches!(train(&["  \n".to_owned()], 2, &[], true, &ONE_WAY), Err(TrainError::NoWords)));
    assert!(matches!(train(&documents, 2, &[1, 0], true, &ONE_WAY), Err(TrainError::Parameter(_))));
    assert!(Counter::new(MAX_ORDER + 1, 1).is_err() && Counter::new(0, 1).is_err());
}

fn small() -> String {
    train(&["a b c\na b\nb c a".to_owned()], 3, &[], true, &ONE_WAY).unwrap()
}

#[test]
fn broken_files_are_refused_with_their_line() {
    let good = small();
    assert!(parse(&good).is_ok());
    let replaced = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let line_of =
        |text: &str, needle: &str| 1 + text.lines().position(|line| line.contains(needle)).unwrap() as u64;
    let cases = [
        (String::new(), "no ARPA file"),
        (replaced("\\data\\", "data"), "expected `\\data\\`"),
        (replaced("ngram 2=", "ngram 2=1"), "the header states"),
        (replaced("ngram 2=", "ngram 4="), "expected `ngram 2=COUNT`"),
        (replaced("\\2-grams:", "\\3-grams:"), "expected `\\2-grams:`"),
        (replaced("\tb c\t", "\tb zebra\t"), "the word `zebra` is not among the 1-grams"),
        (replaced("\tb c\t", "\tb\t"), "is not among the 1-grams"),
        (replaced("\t<unk>\t", "\tunknown\t"), "the 1-grams lack `<unk>`"),
        (replaced("\ta\t", "\tb\t"), "a second time"),
        (replaced("\\end\\", ""), "it is cut"),
        (good[..=good[..good.len() * 2 / 3].rfind('\n').unwrap()].to_owned(), "it is cut"),
    ];
    for (broken, expected) in cases {
        let error = parse(&broken).unwrap_err();
        assert!(error.problem.contains(expected), "expected {expected}: {error}");
    }
    // Wherever it is cut, even inside a number, it is refused.
    for end in 0..good.trim_end().len() {
        assert!(!good.is_char_boundary(end) || parse(&good[..end]).is_err(), "cut at {end}");
    }
    let at = line_of(&good, "\tb c\t");
    let line = good.lines().nth(at as usize - 1).unwrap();
    for (number, expected) in
        [("0.5", "is positive"), ("nan", "expected a log probability"), ("x", "expected a log")]
    {
        let (_, rest) = line.split_once('\t').unwrap();
        let error = parse(&good.replacen(line, &format!("{number}\t{rest}"), 1)).unwrap_err();
        assert!(error.line == at && error.problem.contains(expected), "{error}");
    }
    let high = format!("\\data\\\n{}\n", (1..=9).map(|n| format!("ngram {n}=1\n")).collect::<String>());
    assert!(parse(&high).unwrap_err().problem.contains("at most 8-grams"));
    let binary = parse("mmap lm http://kheafield.com/code format version 5").unwrap_err();
    assert!(binary.problem.contains("binary file of KenLM"));
}

/// What kenlm does too: an n-gram that ends in one that the file lacks.
#[test]
fn a_missing_end_is_added_with_the_probability_of_backing_off() {
    let arpa = "\\data\\\nngram 1=5\nngram 2=1\nngram 3=1\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\t-0.5\n-1\t</s>\n-0.5\ta\t-0.25\n-0.75\tb\t-0.125\n\n\
        \\2-grams:\n-0.25\ta b\t-0.0625\n\n\\3-grams:\n-0.1\ta b a\n\n\\end\\\n";
    let model = parse(arpa).unwrap();
    assert_eq!(model.inserted(), 1);
    let close = |context: &[&str], word: &str, expected: f64| {
        let found = model.log10_probability(context, word);
        assert!((found - expected).abs() < 1e-6, "{context:?} {word}: {found} {expected}");
    };
    close(&["b"], "a", -0.125 - 0.5);
    close(&["a", "b"], "a", -0.1);
    close(&["b", "b"], "a", -0.125 - 0.5);
    close(&["a", "b"], "b", -0.0625 - 0.125 - 0.75);
    close(&["<s>"], "b", -0.5 - 0.75);
    close(&["a"], "zebra", -0.25 - 1.0);
}

mod golden {
    //! Files of `tests/fixtures/ngram`, made by `make_ngram.py` there with lmplz and the Python package kenlm 0.3.0.

    use super::*;

    const CORPUS: &str = include_str!("../../tests/fixtures/ngram/corpus.txt");
    const MODELS: [(&str, &str, &[u64]); 2] = [
        ("lmplz.arpa", include_str!("../../tests/fixtures/ngram/lmplz.arpa"), &[]),
        ("lmplz_pruned.arpa", include_str!("../../tests/fixtures/ngram/lmplz_pruned.arpa"), &[0, 1, 1]),
    ];
    const SCORES: &str = include_str!("../../tests/fixtures/ngram/scores.tsv");

    /// Numbers of every n-gram of a file.
    fn entries(arpa: &str) -> BTreeMap<String, (f64, f64)> {
        let grams = arpa.lines().filter(|line| line.contains('\t'));
        grams
            .map(|line| {
                let fields: Vec<&str> = line.split('\t').collect();
                let backoff = fields.get(2).map_or(0.0, |field| field.parse().unwrap());
                (fields[1].to_owned(), (fields[0].parse().unwrap(), backoff))
            })
            .collect()
    }

    #[test]
    fn models_are_those_of_lmplz() {
        for (name, theirs, prune) in MODELS {
            let ours = train(&[CORPUS.to_owned()], 3, prune, false, &ONE_WAY).unwrap();
            let (ours, theirs) = (entries(&ours), entries(theirs));
            assert!(ours.keys().eq(theirs.keys()), "{name}: other n-grams");
            for (gram, (prob, backoff)) in &theirs {
                let own = ours[gram];
                let error = (own.0 - prob).abs().max((own.1 - backoff).abs());
                assert!(error < 1e-5, "{name}, `{gram}`: {own:?}, lmplz {prob} {backoff}");
            }
        }
    }

    /// Tolerance: the package adds up 32-bit floats and prints six digits.
    #[test]
    fn scores_are_those_of_kenlm() {
        let mut compared = 0;
        for (name, arpa, _) in MODELS {
            let model = parse(arpa).unwrap();
            let mut scorer = Scorer::new(&model);
            for row in SCORES.lines().filter_map(|row| row.strip_prefix(name)?.strip_prefix('|')) {
                let fields: Vec<&str> = row.split('|').collect();
                let [total, unknown, words, line] = fields[..] else { panic!("{row}") };
                let score = scorer.score(line, &PLAIN).unwrap();
                let total: f64 = total.parse().unwrap();
                assert!((score.log10 - total).abs() < 1e-4, "{name}, {line}: {} {total}", score.log10);
                assert_eq!(score.unknown.to_string(), unknown, "{line}");
                let words: Vec<f64> = words.split(' ').map(|word| word.parse().unwrap()).collect();
                let mut history = vec![BEGIN];
                for (word, expected) in line.split_ascii_whitespace().chain([END]).zip(&words) {
                    let from = (history.len() + 1).saturating_sub(model.order());
                    let found = model.log10_probability(&history[from..], word);
                    assert!((found - expected).abs() < 1e-5, "{name}, {line}, {word}: {found} {expected}");
                    history.push(word);
                }
                assert_eq!(words.len() as u64, score.tokens());
                compared += 1;
            }
        }
        assert_eq!(compared, 36);
    }
}
