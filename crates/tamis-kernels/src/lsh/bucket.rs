//! From projected values to buckets, and from buckets to counters.

use crate::dispatch::dispatched;
use crate::path::Mode;

/// Keys of the multilinear hash, p + 1 for each sketch row.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    per_row: usize,
    values: Vec<u64>,
}

impl Keys {
    pub(super) fn new(rows: usize, hashes_per_row: usize) -> Self {
        let per_row = hashes_per_row + 1;
        let mut state = 0_u64;
        Self { per_row, values: (0..rows * per_row).map(|_| split_mix(&mut state)).collect() }
    }

    pub(super) fn of(&self, row: usize) -> &[u64] {
        &self.values[row * self.per_row..][..self.per_row]
    }
}

/// `SplitMix64` (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Quantised values are kept within ±2³⁰, far beyond any sensible bandwidth.
const LIMIT: f32 = 1_073_741_824.0;

/// ⌊z · inverse + offset⌋, multiplied and added apart, within ±2³⁰; NaN gives −2³⁰.
#[inline(always)]
fn quantise(z: f32, inverse: f32, offset: f32) -> i32 {
    let scaled = z * inverse + offset;
    let above = if scaled > -LIMIT { scaled } else { -LIMIT };
    let within = if above < LIMIT { above } else { LIMIT };
    // SAFETY: a number (the first comparison turns NaN into −2³⁰) within ±2³⁰ fits an i32.
    unsafe { within.floor().to_int_unchecked() }
}

/// `key · value` modulo 2⁶⁴ by two 32-bit products, the form that vector units have.
#[inline(always)]
fn multiply(key: u64, value: u32) -> u64 {
    let value = u64::from(value);
    ((key & 0xffff_ffff) * value).wrapping_add(((key >> 32) * value) << 32)
}

dispatched! {
    pub(super) fn mixed_l2(z: &[f32], inverse: f32, offsets: &[f32], keys: &[u64], states: &mut [u64]) = mixed_l2_body;
    pub(super) fn mixed_cosine(z: &[f32], keys: &[u64], states: &mut [u64]) = mixed_cosine_body;
    pub(super) fn reduce(states: &[u64], buckets: u32, out: &mut [u32]) = reduce_body;
    pub(super) fn literal_l2(z: &[f32], inverse: f32, offset: f32, buckets: u32, out: &mut [u32]) = literal_l2_body;
    fn plain_gather(items: &[u32], counters: &[u32], rows: usize, sums: &mut [u64], squares: &mut [f64]) = gather_body;
}

#[inline(always)]
fn mixed_l2_body<const FUSED: bool>(
    z: &[f32],
    inverse: f32,
    offsets: &[f32],
    keys: &[u64],
    states: &mut [u64],
) {
    states.fill(keys[0]);
    for ((z, &offset), &key) in z.chunks_exact(states.len()).zip(offsets).zip(&keys[1..]) {
        for (state, &z) in states.iter_mut().zip(z) {
            *state = state.wrapping_add(multiply(key, quantise(z, inverse, offset) as u32));
        }
    }
}

#[inline(always)]
fn mixed_cosine_body<const FUSED: bool>(z: &[f32], keys: &[u64], states: &mut [u64]) {
    states.fill(keys[0]);
    for (z, &key) in z.chunks_exact(states.len()).zip(&keys[1..]) {
        for (state, &z) in states.iter_mut().zip(z) {
            *state = state.wrapping_add(if z >= 0.0 { key } else { 0 });
        }
    }
}

#[inline(always)]
fn reduce_body<const FUSED: bool>(states: &[u64], buckets: u32, out: &mut [u32]) {
    for (out, state) in out.iter_mut().zip(states) {
        *out = (((state >> 32) * u64::from(buckets)) >> 32) as u32;
    }
}

#[inline(always)]
fn literal_l2_body<const FUSED: bool>(z: &[f32], inverse: f32, offset: f32, buckets: u32, out: &mut [u32]) {
    let modulus = buckets as i32;
    // One addition does for values in −B … B − 1; a division for every value would cost as much as the projection.
    let mut outside = false;
    for (out, &z) in out.iter_mut().zip(z) {
        let hash = quantise(z, inverse, offset);
        let bucket = (if hash < 0 { hash.wrapping_add(modulus) } else { hash }) as u32;
        outside |= bucket >= buckets;
        *out = bucket;
    }
    if outside {
        for (out, &z) in out.iter_mut().zip(z) {
            *out = quantise(z, inverse, offset).rem_euclid(modulus) as u32;
        }
    }
}

/// The sign bit modulo B.
pub(super) fn literal_cosine(z: &[f32], buckets: u32, out: &mut [u32]) {
    for (out, &z) in out.iter_mut().zip(z) {
        *out = u32::from(z >= 0.0) % buckets;
    }
}

/// Sketch rows whose counters are incremented in turn. Neighbouring items often share a counter, and an increment has
/// to wait for the one before it; in other rows there is work meanwhile.
const ROWS_IN_TURN: usize = 8;

/// Adds one to the counter of each item in each row: `items` holds rows × items buckets, `counters` rows × B. Gives the
/// first row with a counter that was at the largest u32, where it stays.
pub(super) fn count(items: &[u32], counters: &mut [u32], rows: usize) -> Option<usize> {
    let (per_row, buckets) = (items.len() / rows, counters.len() / rows);
    let item_groups = items.chunks(ROWS_IN_TURN * per_row);
    let mut overflow = None;
    for (group, (items, counters)) in item_groups.zip(counters.chunks_mut(ROWS_IN_TURN * buckets)).enumerate()
    {
        let mut increment = |counters: &mut [u32], item: u32, row: usize| {
            let counter = &mut counters[item as usize];
            *counter = counter.checked_add(1).unwrap_or_else(|| {
                let row = group * ROWS_IN_TURN + row;
                overflow = Some(overflow.map_or(row, |other: usize| other.min(row)));
                u32::MAX
            });
        };
        if items.len() == ROWS_IN_TURN * per_row {
            let mut rows = counters.chunks_exact_mut(buckets);
            let counters: [&mut [u32]; ROWS_IN_TURN] =
                std::array::from_fn(|_| rows.next().expect("as many rows of counters as of items"));
            let items: [&[u32]; ROWS_IN_TURN] = std::array::from_fn(|row| &items[row * per_row..][..per_row]);
            for at in 0..per_row {
                for row in 0..ROWS_IN_TURN {
                    increment(counters[row], items[row][at], row);
                }
            }
        } else {
            for (row, items) in items.chunks_exact(per_row).enumerate() {
                let counters = &mut counters[row * buckets..][..buckets];
                items.iter().for_each(|&item| increment(counters, item, row));
            }
        }
    }
    overflow
}

/// Adds for each item its counter in each row, and the counter's square: `items` holds rows × items buckets, `counters`
/// rows × B.
pub(super) fn gather(
    mode: Mode,
    items: &[u32],
    counters: &[u32],
    rows: usize,
    sums: &mut [u64],
    squares: &mut [f64],
) {
    assert!(items.len() == rows * sums.len() && sums.len() == squares.len(), "a bucket per row and item");
    match mode {
        #[cfg(target_arch = "x86_64")]
        Mode::Avx512 => {
            let buckets = counters.len() / rows;
            // SAFETY: the mode exists only where detection found AVX-512, and the lengths agree.
            let largest = unsafe { gather_avx512(items, counters, rows, sums, squares) };
            assert!((largest as usize) < buckets, "buckets are below B");
        }
        _ => plain_gather(mode, items, counters, rows, sums, squares),
    }
}

#[inline(always)]
fn gather_body<const FUSED: bool>(
    items: &[u32],
    counters: &[u32],
    rows: usize,
    sums: &mut [u64],
    squares: &mut [f64],
) {
    let buckets = counters.len() / rows;
    for (items, counters) in items.chunks_exact(sums.len()).zip(counters.chunks_exact(buckets)) {
        for ((&item, sum), square) in items.iter().zip(&mut *sums).zip(&mut *squares) {
            let value = counters[item as usize];
            *sum += u64::from(value);
            *square += f64::from(value) * f64::from(value);
        }
    }
}

/// Gives the largest bucket; for those that are not below B, the last counter of the row is taken.
///
/// # Safety
/// The machine has AVX-512; `items` holds rows × items values, `counters` rows × B with B above 0, `sums` and `squares` one
/// value per item.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
unsafe fn gather_avx512(
    items: &[u32],
    counters: &[u32],
    rows: usize,
    sums: &mut [u64],
    squares: &mut [f64],
) -> u32 {
    use std::arch::x86_64::*;
    let (count, buckets) = (sums.len(), counters.len() / rows);
    let mut largest = _mm256_setzero_si256();
    let last = _mm256_set1_epi32(buckets as i32 - 1);
    for first in (0..count).step_by(8) {
        let mask = if count - first >= 8 { 0xff } else { (1_u8 << (count - first)) - 1 };
        // SAFETY: masked lanes lie within the slices, and B · 4 bytes of a row are reached from its start by buckets
        // below B < 2³¹, as all are made.
        unsafe {
            let mut sum = _mm512_maskz_loadu_epi64(mask, sums.as_ptr().add(first).cast());
            let mut square = _mm512_maskz_loadu_pd(mask, squares.as_ptr().add(first));
            for row in 0..rows {
                let bucket = _mm256_maskz_loadu_epi32(mask, items.as_ptr().add(row * count + first).cast());
                largest = _mm256_max_epu32(largest, bucket);
                let bucket = _mm256_min_epu32(bucket, last);
                let from = counters.as_ptr().add(row * buckets).cast();
                let zero = _mm256_setzero_si256();
                let value = _mm256_mmask_i32gather_epi32::<4>(zero, mask, bucket, from);
                let wide = _mm512_cvtepu32_epi64(value);
                let float = _mm512_cvtepu32_pd(value);
                sum = _mm512_add_epi64(sum, wide);
                square = _mm512_add_pd(square, _mm512_mul_pd(float, float));
            }
            _mm512_mask_storeu_epi64(sums.as_mut_ptr().add(first).cast(), mask, sum);
            _mm512_mask_storeu_pd(squares.as_mut_ptr().add(first), mask, square);
        }
    }
    let mut lanes = [0_u32; 8];
    // SAFETY: the array is 32 bytes long.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), largest) };
    lanes.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_the_published_sequence() {
        // First outputs of SplitMix64 from state 0, as its authors' reference gives them.
        assert_eq!(
            Keys::new(1, 2).of(0),
            [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]
        );
    }

    #[test]
    fn quantise_rounds_down_and_survives_what_is_not_a_number() {
        for (z, expected) in [
            (0.0, 0),
            (-0.1, -1),
            (0.99, 0),
            (1.0, 1),
            (-1.0, -1),
            (1e30, 1 << 30),
            (-1e30, -(1 << 30)),
            (f32::NAN, -(1 << 30)),
            (f32::INFINITY, 1 << 30),
            (f32::NEG_INFINITY, -(1 << 30)),
        ] {
            assert_eq!(quantise(z, 1.0, 0.0), expected, "{z}");
        }
    }

    #[test]
    fn counters_stop_at_the_largest_value_and_say_so() {
        let mut counters = vec![0; 14];
        counters[10] = u32::MAX - 1;
        let items = [0, 1].repeat(7);
        assert_eq!(count(&items, &mut counters, 7), None);
        assert_eq!(count(&items, &mut counters, 7), Some(5));
        assert_eq!(counters, [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, u32::MAX, 2, 2, 2]);
    }

    proptest! {
        #[test]
        fn every_mode_gives_the_bits_of_a_plain_computation(
            z in proptest::collection::vec(prop_oneof![-30.0_f32..30.0, any::<f32>()], 1..100),
            inverse in 0.1_f32..20.0, offset in 0.0_f32..1.0, buckets in 1_u32..40_000, row in 0_usize..5,
        ) {
            let keys = Keys::new(5, 1);
            let keys = keys.of(row);
            let hash = |z: f32| -> i64 {
                let scaled = z * inverse + offset;
                if scaled.is_nan() { -(1 << 30) } else { (f64::from(scaled).floor() as i64).clamp(-(1 << 30), 1 << 30) }
            };
            let mixed: Vec<u32> = z.iter().map(|&z| {
                let state = keys[0].wrapping_add(keys[1].wrapping_mul(u64::from(hash(z) as i32 as u32)));
                ((u128::from(state >> 32) * u128::from(buckets)) >> 32) as u32
            }).collect();
            let literal: Vec<u32> = z.iter().map(|&z| hash(z).rem_euclid(i64::from(buckets)) as u32).collect();
            let counters: Vec<u32> = (0..buckets).map(|i| i.wrapping_mul(2_654_435_761)).collect();
            for mode in Mode::available() {
                let (mut states, mut out) = (vec![0; z.len()], vec![0; z.len()]);
                mixed_l2(mode, &z, inverse, &[offset], keys, &mut states);
                reduce(mode, &states, buckets, &mut out);
                prop_assert_eq!(&out, &mixed);
                let (mut sums, mut squares) = (vec![1; z.len()], vec![0.5; z.len()]);
                gather(mode, &out, &counters, 1, &mut sums, &mut squares);
                for i in 0..z.len() {
                    let value = counters[mixed[i] as usize];
                    prop_assert_eq!(sums[i], 1 + u64::from(value));
                    prop_assert_eq!(squares[i], 0.5 + f64::from(value) * f64::from(value));
                }
                literal_l2(mode, &z, inverse, offset, buckets, &mut out);
                prop_assert_eq!(&out, &literal);
                mixed_cosine(mode, &z, keys, &mut states);
                for (state, z) in states.iter().zip(&z) {
                    prop_assert_eq!(*state, keys[0].wrapping_add(if *z >= 0.0 { keys[1] } else { 0 }));
                }
            }
        }
    }
}
