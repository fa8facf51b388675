use super::*;
use proptest::prelude::*;

/// The definition, a permutation and a hash at a time.
fn naive(multipliers: &[u64], hashes: &[u64]) -> Vec<u64> {
    let image = |m: u64, hash: u64| (u128::from((m % (1 << 52)) | 1) * u128::from(hash) % (1 << 52)) as u64;
    multipliers.iter().map(|&m| hashes.iter().map(|&hash| image(m, hash)).min().unwrap_or(MASK)).collect()
}

proptest! {
    #[test]
    fn every_instruction_set_gives_the_same_bits(
        multipliers in proptest::collection::vec(any::<u64>(), 1..300),
        hashes in proptest::collection::vec(any::<u64>(), 0..50),
        cut in 0_usize..50,
    ) {
        let expected = naive(&multipliers, &hashes);
        let cut = cut.min(hashes.len());
        for instructions in Instructions::available() {
            let permutations = Permutations { instructions, ..Permutations::new(&multipliers) };
            prop_assert_eq!(permutations.count(), multipliers.len());
            let mut minima = permutations.start();
            permutations.update(&hashes[cut..], &mut minima);
            permutations.update(&hashes[..cut], &mut minima);
            prop_assert_eq!(minima.values(), &expected[..], "{:?}", instructions);
            minima.reset();
            prop_assert_eq!(&minima, &permutations.start());
        }
    }
}

#[test]
fn extreme_numbers_have_the_same_bits_everywhere() {
    let extreme = [0, 1, 2, MASK, MASK + 1, MASK - 1, u64::MAX, u64::MAX - 1, 1 << 32, 1 << 51, 1 << 63];
    for hash in extreme {
        for instructions in Instructions::available() {
            let permutations = Permutations { instructions, ..Permutations::new(&extreme) };
            let mut minima = permutations.start();
            permutations.update(&[hash], &mut minima);
            assert_eq!(minima.values(), naive(&extreme, &[hash]), "{instructions:?} {hash}");
        }
    }
    eprintln!("available here: {:?}", Instructions::available());
}
