//! Minima of many permutations of a set of hashes, for `MinHash` signatures.
//!
//! Permutation i of the 52-bit numbers is x ↦ mᵢ · x modulo 2⁵² with an odd multiplier mᵢ (multiply-shift hashing: Dietzfelbinger
//! et al. 1997, doi:10.1006/jagm.1997.0873). The family is universal but not min-wise independent; on inputs that are
//! hashes already, and so hold far more entropy than a set has elements, it behaves as a random one does (Mitzenmacher and
//! Vadhan 2008, "Why simple hash functions work"). Inputs that are not well mixed are not for it.
//!
//! 52 bits and no more because that is what processors multiply at once (`vpmadd52luq`), and because such a number under a
//! fixed exponent is a double, whose minimum is one instruction where that of unsigned 64-bit integers is two or three. Two
//! different elements have the same image never, two elements of different sets the same image with probability 2⁻⁵².
//!
//! All of it is integers: **the same on every machine, bit for bit**.
//!
//! Cost: a hash and eight permutations are two instructions with AVX-512-IFMA, five with AVX-512 alone; four permutations are
//! nine with AVX2.
//!
//! Letters: P permutations, H hashes.

#[cfg(target_arch = "x86_64")]
mod vector;

#[cfg(test)]
mod tests;

/// Permutations are padded to a multiple of this many.
const GROUP: usize = 8;

/// The bits that are permuted.
const MASK: u64 = (1 << 52) - 1;

/// How minima are computed. Values other than `Portable` are made by [`Instructions::available`] alone, after detection,
/// which is what makes calls into vector code sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instructions {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512Ifma,
}

impl Instructions {
    /// What this machine can run, the best last.
    fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "there is one way elsewhere"))]
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") {
                all.push(Self::Avx2);
            }
            if has!("avx512f") && has!("avx512dq") {
                all.push(Self::Avx512);
                if has!("avx512ifma") {
                    all.push(Self::Avx512Ifma);
                }
            }
        }
        all
    }
}

/// P permutations of the 52-bit numbers.
#[derive(Debug, Clone)]
pub struct Permutations {
    /// Odd, padded with ones to a multiple of [`GROUP`].
    multipliers: Vec<u64>,
    count: usize,
    instructions: Instructions,
}

impl Permutations {
    /// The permutations of these multipliers, whose lowest bit is set here and whose bits above the 52nd do not count.
    #[must_use]
    pub fn new(multipliers: &[u64]) -> Self {
        let count = multipliers.len();
        let mut multipliers: Vec<u64> = multipliers.iter().map(|m| (m & MASK) | 1).collect();
        multipliers.resize(count.next_multiple_of(GROUP), 1);
        let instructions = Instructions::available().pop().unwrap_or(Instructions::Portable);
        Self { multipliers, count, instructions }
    }

    /// P.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The minima of no hashes at all: the largest number there is.
    #[must_use]
    pub fn start(&self) -> Minima {
        Minima { values: vec![MASK; self.multipliers.len()], count: self.count }
    }

    /// Lowers every minimum to the smallest image of a hash under its permutation. The upper twelve bits of a hash do not count.
    ///
    /// # Panics
    /// If the minima are of another number of permutations.
    pub fn update(&self, hashes: &[u64], minima: &mut Minima) {
        assert_eq!(self.count, minima.count, "minima of these permutations");
        let values = &mut minima.values[..];
        match self.instructions {
            Instructions::Portable => portable(&self.multipliers, hashes, values),
            // SAFETY: these values exist only where detection found the instructions.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { vector::avx2(&self.multipliers, hashes, values) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { vector::avx512(&self.multipliers, hashes, values) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Ifma => unsafe { vector::avx512_ifma(&self.multipliers, hashes, values) },
        }
    }
}

/// The smallest image under each of P permutations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minima {
    /// Padded like the multipliers.
    values: Vec<u64>,
    count: usize,
}

impl Minima {
    /// P values below 2⁵².
    #[must_use]
    pub fn values(&self) -> &[u64] {
        &self.values[..self.count]
    }

    /// As [`Permutations::start`] made them.
    pub fn reset(&mut self) {
        self.values.fill(MASK);
    }
}

fn portable(multipliers: &[u64], hashes: &[u64], minima: &mut [u64]) {
    for (multipliers, minima) in multipliers.chunks_exact(GROUP).zip(minima.chunks_exact_mut(GROUP)) {
        let mut smallest = [MASK; GROUP];
        smallest.copy_from_slice(minima);
        for &hash in hashes {
            for (smallest, multiplier) in smallest.iter_mut().zip(multipliers) {
                *smallest = (*smallest).min(multiplier.wrapping_mul(hash) & MASK);
            }
        }
        minima.copy_from_slice(&smallest);
    }
}
