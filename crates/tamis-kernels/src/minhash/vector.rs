//! Minima with AVX2 and AVX-512: a lane a permutation, a hash at a time in all lanes, minima in registers.
//!
//! An image is kept under the exponent of 1, so that it is a double in [1, 2): those are ordered as their mantissas are, and
//! none of them is a NaN or denormal, so that neither flags nor rounding come into it.

use super::MASK;
use std::arch::x86_64::*;

/// Sign and exponent of a double in [1, 2).
const ONE: i64 = 0x3ff0_0000_0000_0000;

/// Declares a function of AVX-512 whose images are `$image(multipliers, hash)`, exponent included.
macro_rules! of_512_bits {
    ($name:ident, $block:ident, $features:literal, $image:expr) => {
        #[target_feature(enable = $features)]
        pub(super) fn $name(multipliers: &[u64], hashes: &[u64], minima: &mut [u64]) {
            assert_eq!(multipliers.len(), minima.len(), "a minimum a permutation");
            let (multipliers, _) = multipliers.as_chunks::<8>();
            let (minima, _) = minima.as_chunks_mut::<8>();
            let mut from = 0;
            while from < minima.len() {
                // Fourteen vectors, 112 permutations, leave just enough registers.
                from += match minima.len() - from {
                    14.. => $block::<14>(&multipliers[from..], hashes, &mut minima[from..]),
                    8.. => $block::<8>(&multipliers[from..], hashes, &mut minima[from..]),
                    4.. => $block::<4>(&multipliers[from..], hashes, &mut minima[from..]),
                    2.. => $block::<2>(&multipliers[from..], hashes, &mut minima[from..]),
                    _ => $block::<1>(&multipliers[from..], hashes, &mut minima[from..]),
                };
            }
        }

        /// The first V vectors of permutations; V.
        #[inline]
        #[target_feature(enable = $features)]
        fn $block<const V: usize>(
            multipliers: &[[u64; 8]],
            hashes: &[u64],
            minima: &mut [[u64; 8]],
        ) -> usize {
            let one = _mm512_set1_epi64(ONE);
            let mut m = [_mm512_setzero_si512(); V];
            let mut smallest = [_mm512_setzero_pd(); V];
            for v in 0..V {
                // SAFETY: eight values of 64 bits are 512 bits, and the load needs no alignment.
                m[v] = unsafe { _mm512_loadu_si512(multipliers[v].as_ptr().cast()) };
                // SAFETY: as above.
                let start = unsafe { _mm512_loadu_si512(minima[v].as_ptr().cast()) };
                smallest[v] = _mm512_castsi512_pd(_mm512_or_si512(start, one));
            }
            for &hash in hashes {
                let hash = _mm512_set1_epi64(hash.cast_signed());
                for v in 0..V {
                    let image = $image(m[v], hash, one);
                    smallest[v] = _mm512_min_pd(smallest[v], _mm512_castsi512_pd(image));
                }
            }
            for v in 0..V {
                let image = _mm512_andnot_si512(one, _mm512_castpd_si512(smallest[v]));
                // SAFETY: 512 bits fit eight values of 64 bits, and the store needs no alignment.
                unsafe { _mm512_storeu_si512(minima[v].as_mut_ptr().cast(), image) };
            }
            V
        }
    };
}

of_512_bits!(avx512_ifma, ifma_block, "avx512f,avx512dq,avx512ifma", |m, hash, one| {
    _mm512_madd52lo_epu64(one, m, hash)
});

of_512_bits!(avx512, avx512_block, "avx512f,avx512dq", |m, hash, one| {
    // (product AND mask) OR one.
    _mm512_ternarylogic_epi64::<0xea>(_mm512_mullo_epi64(m, hash), _mm512_set1_epi64(MASK.cast_signed()), one)
});

/// With AVX2, which multiplies 32 bits: three products are the lower half of one of 64 bits.
#[target_feature(enable = "avx2")]
pub(super) fn avx2(multipliers: &[u64], hashes: &[u64], minima: &mut [u64]) {
    assert_eq!(multipliers.len(), minima.len(), "a minimum a permutation");
    let (multipliers, _) = multipliers.as_chunks::<8>();
    let (minima, _) = minima.as_chunks_mut::<8>();
    let (mask, one) = (_mm256_set1_epi64x(MASK.cast_signed()), _mm256_set1_epi64x(ONE));
    for (multipliers, minima) in multipliers.iter().zip(minima) {
        let mut m = [_mm256_setzero_si256(); 2];
        let mut smallest = [_mm256_setzero_pd(); 2];
        for v in 0..2 {
            // SAFETY: four values from 4 · v of eight are 256 bits, and the load needs no alignment.
            m[v] = unsafe { _mm256_loadu_si256(multipliers[4 * v..].as_ptr().cast()) };
            // SAFETY: as above.
            let start = unsafe { _mm256_loadu_si256(minima[4 * v..].as_ptr().cast()) };
            smallest[v] = _mm256_castsi256_pd(_mm256_or_si256(start, one));
        }
        let upper = m.map(|m| _mm256_srli_epi64::<32>(m));
        for &hash in hashes {
            let hash = _mm256_set1_epi64x(hash.cast_signed());
            let hash_upper = _mm256_srli_epi64::<32>(hash);
            for v in 0..2 {
                let cross =
                    _mm256_add_epi64(_mm256_mul_epu32(upper[v], hash), _mm256_mul_epu32(m[v], hash_upper));
                let product = _mm256_add_epi64(_mm256_mul_epu32(m[v], hash), _mm256_slli_epi64::<32>(cross));
                let image = _mm256_or_si256(_mm256_and_si256(product, mask), one);
                smallest[v] = _mm256_min_pd(smallest[v], _mm256_castsi256_pd(image));
            }
        }
        for v in 0..2 {
            let image = _mm256_andnot_si256(one, _mm256_castpd_si256(smallest[v]));
            // SAFETY: 256 bits fit four values from 4 · v of eight, and the store needs no alignment.
            unsafe { _mm256_storeu_si256(minima[4 * v..].as_mut_ptr().cast(), image) };
        }
    }
}
