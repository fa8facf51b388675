use super::*;
use crate::matrix::numbers;
use proptest::prelude::*;

const REACH: usize = 128;

/// One head of one sequence in f64, queries and keys being rows of one sequence with the prefix in front.
fn exact(
    attention: &Attention,
    query: &[f32],
    keys: &[Vec<f32>],
    values: &[Vec<f32>],
    bias: &[f32],
) -> Vec<f64> {
    let dot = |key: &Vec<f32>| query.iter().zip(key).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>();
    let scores: Vec<f64> = keys
        .iter()
        .zip(bias)
        .map(|(key, bias)| dot(key) * f64::from(attention.scale) + f64::from(*bias))
        .collect();
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    (0..query.len())
        .map(|i| weights.iter().zip(values).map(|(w, v)| w * f64::from(v[i])).sum::<f64>() / sum)
        .collect()
}

#[derive(Debug)]
struct Case {
    attention: Attention,
    lengths: Vec<usize>,
    prefix: usize,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    prefix_keys: Vec<f32>,
    prefix_values: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Case {
    fn run(&self, which: std::ops::Range<usize>, query_rows: QueryRows<'_>) -> Vec<f32> {
        let (wide, narrow) = self.widths();
        let first: usize = self.lengths[..which.start].iter().sum();
        let lengths = &self.lengths[which];
        let tokens: usize = lengths.iter().sum();
        let all = &self.queries[first * wide..][..tokens * wide];
        let last: Vec<f32> = lengths
            .iter()
            .scan(0, |end, length| {
                *end += length;
                Some(&all[(*end - 1) * wide..][..wide])
            })
            .flatten()
            .copied()
            .collect();
        let queries = if query_rows == QueryRows::All { all } else { &last };
        let cache = self.attention.cache(
            Rows::contiguous(&self.prefix_keys, narrow),
            Rows::contiguous(&self.prefix_values, narrow),
        );
        let mut out = vec![f32::NAN; queries.len()];
        let input = AttentionInput {
            queries: Rows::contiguous(queries, wide),
            keys: Rows::contiguous(&self.keys[first * narrow..][..tokens * narrow], narrow),
            values: Rows::contiguous(&self.values[first * narrow..][..tokens * narrow], narrow),
            lengths,
            query_rows,
            prefix: (self.prefix > 0).then_some(&cache),
            bias: self.bias.as_ref().map(|table| RelativeBias { table, reach: REACH }),
        };
        self.attention.attend(input, RowsMut::contiguous(&mut out, wide), &mut Scratch::new());
        out
    }

    fn widths(&self) -> (usize, usize) {
        (
            self.attention.query_heads * self.attention.head_dim,
            self.attention.key_value_heads * self.attention.head_dim,
        )
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (
        (1_usize..3, 1_usize..4, prop::sample::select(vec![8_usize, 32, 64, 80])),
        proptest::collection::vec(1_usize..60, 1..4),
        prop::sample::select(vec![0_usize, 1, 17, 48, 50]),
        prop::sample::select(vec![Mask::Causal, Mask::Bidirectional]),
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|((key_value_heads, group, head_dim), lengths, prefix, mask, biased, seed)| {
            let query_heads = key_value_heads * group;
            let tokens: usize = lengths.iter().sum();
            let attention = Attention {
                path: Path::F32Portable,
                query_heads,
                key_value_heads,
                head_dim,
                scale: 1.5 / (head_dim as f32).sqrt(),
                mask,
            };
            Case {
                attention,
                prefix,
                queries: numbers(seed, tokens * query_heads * head_dim).iter().map(|x| 3.0 * x).collect(),
                keys: numbers(seed ^ 1, tokens * key_value_heads * head_dim),
                values: numbers(seed ^ 2, tokens * key_value_heads * head_dim),
                prefix_keys: numbers(seed ^ 3, prefix * key_value_heads * head_dim),
                prefix_values: numbers(seed ^ 4, prefix * key_value_heads * head_dim),
                bias: biased.then(|| numbers(seed ^ 5, query_heads * (2 * REACH - 1))),
                lengths,
            }
        })
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn attention_matches_f64_and_sequences_do_not_see_each_other(mut case in cases()) {
        let (wide, narrow) = case.widths();
        let head_dim = case.attention.head_dim;
        for path in Path::supported() {
            case.attention.path = path;
            // Scores of up to about 5 are off by 2^-9 of that where operands are bf16, and so are the weights.
            let tolerance = if matches!(path, Path::Bf16Avx512 | Path::Bf16Amx) { 2e-2 } else { 3e-6 };
            let all = case.run(0..case.lengths.len(), QueryRows::All);
            let last = case.run(0..case.lengths.len(), QueryRows::Last);
            let mut first = 0;
            for (at, &length) in case.lengths.iter().enumerate() {
                let rows = &all[first * wide..][..length * wide];
                prop_assert!(same_bits(&case.run(at..at + 1, QueryRows::All), rows), "{}: pack changes bits", path.name());
                prop_assert!(same_bits(&last[at * wide..][..wide], &rows[(length - 1) * wide..]), "{}: last row differs", path.name());
                for position in 0..length {
                    let seen = if case.attention.mask == Mask::Causal { position + 1 } else { length };
                    for head in 0..case.attention.query_heads {
                        let shared = head / (case.attention.query_heads / case.attention.key_value_heads);
                        let slice = |source: &[f32], row: usize| source[row * narrow + shared * head_dim..][..head_dim].to_vec();
                        let join = |prefix: &[f32], own: &[f32]| -> Vec<Vec<f32>> {
                            (0..case.prefix).map(|row| slice(prefix, row)).chain((0..seen).map(|row| slice(own, first + row))).collect()
                        };
                        let bias: Vec<f32> = (0..case.prefix + seen)
                            .map(|key| case.bias.as_ref().map_or(0.0, |table| table[head * (2 * REACH - 1) + REACH - 1 + key - case.prefix - position]))
                            .collect();
                        let query = &case.queries[(first + position) * wide + head * head_dim..][..head_dim];
                        let expected = exact(&case.attention, query, &join(&case.prefix_keys, &case.keys), &join(&case.prefix_values, &case.values), &bias);
                        for (got, expected) in rows[position * wide + head * head_dim..][..head_dim].iter().zip(expected) {
                            prop_assert!((f64::from(*got) - expected).abs() < tolerance, "{}: {got} for {expected}", path.name());
                        }
                    }
                }
                first += length;
            }
        }
    }

    #[test]
    fn a_cached_prefix_gives_the_bits_of_the_whole_sequence(mut case in cases()) {
        prop_assume!(case.attention.mask == Mask::Causal);
        let (wide, narrow) = case.widths();
        let length = case.lengths[0];
        for path in Path::supported() {
            case.attention.path = path;
            let with_cache = case.run(0..1, QueryRows::All);
            let mut whole = Case {
                attention: case.attention,
                lengths: vec![case.prefix + length],
                prefix: 0,
                queries: [vec![0.5; case.prefix * wide], case.queries[..length * wide].to_vec()].concat(),
                keys: [&case.prefix_keys, &case.keys[..length * narrow]].concat(),
                values: [&case.prefix_values, &case.values[..length * narrow]].concat(),
                prefix_keys: Vec::new(),
                prefix_values: Vec::new(),
                bias: case.bias.clone(),
            };
            let rows = whole.run(0..1, QueryRows::All);
            prop_assert!(same_bits(&rows[case.prefix * wide..], &with_cache), "{}", path.name());
            whole.lengths.clear();
        }
    }

    #[test]
    fn queries_of_another_sequence_see_all_keys(mut case in cases(), counts in proptest::collection::vec(1_usize..40, 3)) {
        case.attention.mask = Mask::Bidirectional;
        case.bias = None;
        let (wide, narrow) = case.widths();
        let counts = &counts[..case.lengths.len()];
        let queries: Vec<f32> = numbers(7, counts.iter().sum::<usize>() * wide).iter().map(|x| 3.0 * x).collect();
        for path in Path::supported() {
            case.attention.path = path;
            let attend = |queries: &[f32], counts: &[usize], first: usize, lengths: &[usize]| {
                let tokens = lengths.iter().sum::<usize>();
                let (from, count) = (first * narrow, tokens * narrow);
                let mut out = vec![f32::NAN; queries.len()];
                let input = AttentionInput {
                    queries: Rows::contiguous(queries, wide),
                    keys: Rows::contiguous(&case.keys[from..][..count], narrow),
                    values: Rows::contiguous(&case.values[from..][..count], narrow),
                    lengths,
                    query_rows: QueryRows::Others(counts),
                    prefix: None,
                    bias: None,
                };
                case.attention.attend(input, RowsMut::contiguous(&mut out, wide), &mut Scratch::new());
                out
            };
            let together = attend(&queries, counts, 0, &case.lengths);
            prop_assert!(together.iter().all(|value| value.is_finite()));
            // Each alone, a query at a time: as the last position of its sequence's keys.
            let (mut first_key, mut row) = (0, 0);
            for (&count, &length) in counts.iter().zip(&case.lengths) {
                for _ in 0..count {
                    let query = &queries[row * wide..][..wide];
                    let alone = attend(query, &[1], first_key, &[length]);
                    prop_assert!(same_bits(&alone, &together[row * wide..][..wide]), "{}", path.name());
                    let mut out = vec![f32::NAN; wide];
                    let input = AttentionInput {
                        queries: Rows::contiguous(query, wide),
                        keys: Rows::contiguous(&case.keys[first_key * narrow..][..length * narrow], narrow),
                        values: Rows::contiguous(&case.values[first_key * narrow..][..length * narrow], narrow),
                        lengths: &[length],
                        query_rows: QueryRows::Last,
                        prefix: None,
                        bias: None,
                    };
                    case.attention.attend(input, RowsMut::contiguous(&mut out, wide), &mut Scratch::new());
                    prop_assert!(same_bits(&alone, &out), "{}: not what the last position sees", path.name());
                    row += 1;
                }
                first_key += length;
            }
        }
    }
}
