//! Rotation of rows, which spreads what stands out.
//!
//! A value that is much larger than the others of its group takes their steps away. A Hadamard transform of both operands leaves
//! their product as it is and makes of such a value 64 small ones (Ashkboos et al., arXiv 2404.00456, section 3, by groups).
//! Sums and differences only, in one order: the same bits on every path. Cost: 6 additions a value.

/// Values that are transformed together.
pub(super) const BLOCK: usize = 64;

/// 1 / √64: what makes the transform orthonormal.
pub(super) const NORM: f32 = 0.125;

/// The transform, not normalised.
#[inline(always)]
pub(super) fn rotated(values: &[f32; BLOCK]) -> [f32; BLOCK] {
    let mut block = *values;
    level::<1>(&mut block);
    level::<2>(&mut block);
    level::<4>(&mut block);
    level::<8>(&mut block);
    level::<16>(&mut block);
    level::<32>(&mut block);
    block
}

/// Values at distance STEP become their sum and difference.
#[inline(always)]
fn level<const STEP: usize>(block: &mut [f32; BLOCK]) {
    for pair in 0..BLOCK / 2 {
        let at = pair / STEP * 2 * STEP + pair % STEP;
        let (a, b) = (block[at], block[at + STEP]);
        block[at] = a + b;
        block[at + STEP] = a - b;
    }
}
