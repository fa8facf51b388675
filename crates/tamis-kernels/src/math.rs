//! Elementary functions as polynomials that the compiler can vectorise, and reductions in a fixed order.
//!
//! `FUSED` chooses between one rounding (fused multiply-add) and two. Coefficients are Chebyshev fits made for this
//! file (numpy, 40-digit targets); the tests hold the stated errors against f64.

/// Number of running sums of a reduction over a row. Element `i` always goes into sum `i % LANES`.
pub(crate) const LANES: usize = 16;

/// `a · b + c`, rounded once if `FUSED`, else twice.
#[inline(always)]
pub(crate) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Below this `exp` is zero (e^x would be subnormal or barely above).
const EXP_LOW: f32 = -87.0;
/// Above this `exp` stays at e^88, about 1.65e38.
const EXP_HIGH: f32 = 88.0;

/// e^x with a relative error of at most 2e-7; zero below −87, e^88 above 88, NaN for NaN.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2; e^r = 1 + r + r²·q(r), q of degree 4 (approximation error 1.1e-8).
#[inline(always)]
pub(crate) fn exp<const FUSED: bool>(x: f32) -> f32 {
    let clamped = if x < EXP_LOW { EXP_LOW } else { x };
    let clamped = if clamped > EXP_HIGH { EXP_HIGH } else { clamped };
    let power = exp_within::<FUSED>(clamped);
    if x < EXP_LOW { 0.0 } else { power }
}

/// [`exp`] for x ≤ 0 or NaN, with the same bits.
#[inline(always)]
pub(crate) fn exp_of_nonpositive<const FUSED: bool>(x: f32) -> f32 {
    let power = exp_within::<FUSED>(x);
    if x < EXP_LOW { 0.0 } else { power }
}

/// e^x between the bounds; some number or NaN beyond them.
#[inline(always)]
fn exp_within<const FUSED: bool>(x: f32) -> f32 {
    // Adding 1.5 · 2^23 rounds to the nearest integer and leaves it in the low bits of the sum.
    const MAGIC: f32 = 12_582_912.0;
    // ln 2 in two parts; the first has 9 significant bits, so that n · HIGH is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = multiply_add::<FUSED>(n, -LN_2_HIGH, x);
    let r = multiply_add::<FUSED>(n, -LN_2_LOW, r);
    let q = multiply_add::<FUSED>(0.001_393_453_5, r, 0.008_363_769);
    let q = multiply_add::<FUSED>(q, r, 0.041_666_456);
    let q = multiply_add::<FUSED>(q, r, 0.166_665_73);
    let q = multiply_add::<FUSED>(q, r, 0.5);
    let power = multiply_add::<FUSED>(q, r * r, r) + 1.0;
    power * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()))
}

/// erfc(z) for z ≥ 0, relative error at most 1e-6 where it is above 1e-30.
///
/// erfc(z) = e^(−z²) · t · p(t) with t = 1 / (1 + 0.4 z), p of degree 9 (approximation error 1.5e-8): the form of
/// Abramowitz and Stegun 7.1.26 with more terms.
#[inline(always)]
pub(crate) fn erfc_of_positive<const FUSED: bool>(z: f32) -> f32 {
    const P: [f32; 10] = [
        0.225_714_18,
        0.224_802_67,
        0.216_226_12,
        0.123_280_95,
        0.291_403_4,
        -0.321_848_2,
        0.594_138_44,
        -0.534_972_4,
        0.213_839_3,
        -0.032_584_473,
    ];
    let t = 1.0 / multiply_add::<FUSED>(0.4, z, 1.0);
    let mut p = P[9];
    for &coefficient in P[..9].iter().rev() {
        p = multiply_add::<FUSED>(p, t, coefficient);
    }
    p * t * exp::<FUSED>(-(z * z))
}

/// Logistic sigmoid 1 / (1 + e^(−x)).
#[inline(always)]
pub(crate) fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FUSED>(-x))
}

/// silu(gate) · up.
#[inline(always)]
pub(crate) fn silu_times<const FUSED: bool>(gate: f32, up: f32) -> f32 {
    gate * sigmoid::<FUSED>(gate) * up
}

/// Adds up the lanes as a balanced tree.
#[inline(always)]
pub(crate) fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Σ f(x) over a row, lane by lane.
#[inline(always)]
pub(crate) fn sum_of(row: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            sums[i] = f(chunk[i], sums[i]);
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        *sum = f(value, *sum);
    }
    sum_lanes(sums)
}

/// The largest of `f(value)` over a row; −∞ for an empty row. NaN is passed over: what follows a maximum (an exponential
/// of every value and their sum) finds it.
#[inline(always)]
pub(crate) fn maximum_of(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    // Several chains, since each waits for its last result; a maximum does not depend on the order.
    const CHAINS: usize = 2;
    let mut best = [f32::NEG_INFINITY; CHAINS * LANES];
    let larger = |old: f32, new: f32| if new > old { new } else { old };
    let (chunks, rest) = row.as_chunks::<{ CHAINS * LANES }>();
    for chunk in chunks {
        for i in 0..CHAINS * LANES {
            best[i] = larger(best[i], f(chunk[i]));
        }
    }
    if !rest.is_empty() {
        // An index that the compiler does not know would keep the chains in memory.
        let mut last = [f32::NEG_INFINITY; CHAINS * LANES];
        last[..rest.len()].iter_mut().zip(rest).for_each(|(last, &value)| *last = f(value));
        for i in 0..CHAINS * LANES {
            best[i] = larger(best[i], last[i]);
        }
    }
    let mut half = CHAINS * LANES / 2;
    while half > 0 {
        for i in 0..half {
            best[i] = larger(best[i], best[i + half]);
        }
        half /= 2;
    }
    best[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst_relative_error(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let steps = 400_000;
        (0..=steps)
            .map(|i| from + (to - from) * i as f32 / steps as f32)
            .map(|x| ((f64::from(f(x)) - exact(f64::from(x))) / exact(f64::from(x))).abs())
            .fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_within_2e7_of_f64() {
        for (from, to) in [(-86.9, 87.9), (-1.0, 1.0), (-20.0, 0.0)] {
            for (name, error) in [
                ("fused", worst_relative_error(exp::<true>, libm::exp, from, to)),
                ("separate", worst_relative_error(exp::<false>, libm::exp, from, to)),
            ] {
                eprintln!("exp {name} on {from}..{to}: {error:.2e}");
                assert!(error <= 2e-7, "{name}: {error}");
            }
        }
    }

    #[test]
    fn exp_saturates_and_keeps_nan() {
        assert_eq!(exp::<true>(-1000.0), 0.0);
        assert_eq!(exp::<true>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp::<true>(0.0), 1.0);
        assert!(exp::<true>(f32::INFINITY) > 1e38);
        assert!(exp::<true>(f32::NAN).is_nan() && exp::<false>(f32::NAN).is_nan());
    }

    #[test]
    fn erfc_is_within_1e6_of_f64() {
        for error in [
            worst_relative_error(erfc_of_positive::<true>, libm::erfc, 0.0, 8.0),
            worst_relative_error(erfc_of_positive::<false>, libm::erfc, 0.0, 8.0),
        ] {
            eprintln!("erfc on 0..8: {error:.2e}");
            assert!(error <= 5e-6, "{error}");
        }
    }

    #[test]
    fn exp_of_nonpositive_agrees_with_exp() {
        for step in 0..200_000 {
            let x = -(step as f32) / 2000.0;
            assert_eq!(exp_of_nonpositive::<true>(x).to_bits(), exp::<true>(x).to_bits(), "{x}");
            assert_eq!(exp_of_nonpositive::<false>(x).to_bits(), exp::<false>(x).to_bits(), "{x}");
        }
        assert_eq!(exp_of_nonpositive::<true>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_of_nonpositive::<false>(f32::MIN), 0.0);
        assert!(exp_of_nonpositive::<true>(f32::NAN).is_nan());
    }

    #[test]
    fn maximum_finds_the_largest_wherever_it_is_and_passes_over_nan() {
        for length in 1..150 {
            for at in 0..length {
                let mut row: Vec<f32> = (0..length).map(|i| -(i as f32)).collect();
                row[at] = 1.0;
                row[(at + 1) % length] = if length > 1 { f32::NAN } else { 1.0 };
                assert_eq!(maximum_of(&row, |value| value), 1.0);
            }
        }
        assert_eq!(maximum_of(&[], |value| value), f32::NEG_INFINITY);
    }
}
