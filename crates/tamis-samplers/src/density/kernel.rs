//! The probability that one hash of two embeddings agrees.

use super::Kernel;

impl Kernel {
    /// k for two embeddings of norm 1 with this cosine; in [0, 1], 1 for equal ones.
    #[must_use]
    pub fn at_cosine(self, cosine: f64) -> f64 {
        let cosine = cosine.clamp(-1.0, 1.0);
        match self {
            Self::L2 { bandwidth } => l2((2.0 - 2.0 * cosine).sqrt(), bandwidth),
            Self::Cosine => 1.0 - libm::acos(cosine) / std::f64::consts::PI,
        }
    }

    /// k for any two embeddings; in [0, 1].
    ///
    /// # Panics
    /// When their lengths differ.
    #[must_use]
    pub fn between(self, x: &[f32], y: &[f32]) -> f64 {
        assert_eq!(x.len(), y.len(), "embeddings of one dimension");
        let sum = |f: fn(f64, f64) -> f64| -> f64 {
            x.iter().zip(y).map(|(&x, &y)| f(f64::from(x), f64::from(y))).sum()
        };
        match self {
            Self::L2 { bandwidth } => l2(sum(|x, y| (x - y) * (x - y)).sqrt(), bandwidth),
            Self::Cosine => {
                let norms = (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt();
                self.at_cosine(if norms > 0.0 { sum(|x, y| x * y) / norms } else { 1.0 })
            }
        }
    }
}

/// k(c) = 1 − 2Φ(−r/c) − 2c/(√(2π)·r)·(1 − exp(−r²/2c²)): Datar et al. 2004 (DOI 10.1145/997817.997857), §3.2.
fn l2(distance: f64, bandwidth: f64) -> f64 {
    let t = bandwidth / distance;
    if !t.is_finite() || t > 1e8 {
        return 1.0;
    }
    let tail = libm::erfc(t / std::f64::consts::SQRT_2);
    let step = 2.0 / ((2.0 * std::f64::consts::PI).sqrt() * t) * -libm::expm1(-t * t / 2.0);
    (1.0 - tail - step).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_form_matches_the_integral_it_comes_from() {
        // p(c) = ∫₀^r (2/c)·φ(t/c)·(1 − t/r) dt, Datar et al., eq. before §3.2's closed form.
        for (c, r) in [(0.1, 1.0), (0.7, 1.0), (1.3, 1.0), (1.0, 0.25), (2.0, 5.0)] {
            let steps = 100_000;
            let integral: f64 = (0..steps)
                .map(|i| {
                    let t = (f64::from(i) + 0.5) * r / f64::from(steps);
                    let density = (-(t / c).powi(2) / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
                    2.0 / c * density * (1.0 - t / r) * r / f64::from(steps)
                })
                .sum();
            assert!((l2(c, r) - integral).abs() < 1e-8, "{c} {r}: {} {integral}", l2(c, r));
        }
    }

    #[test]
    fn ends_are_exact() {
        assert_eq!(l2(0.0, 1.0), 1.0);
        assert_eq!(l2(1e-12, 1.0), 1.0);
        assert_eq!(Kernel::Cosine.at_cosine(1.0), 1.0);
        assert!((Kernel::Cosine.at_cosine(0.0) - 0.5).abs() < 1e-15);
        assert_eq!(Kernel::Cosine.at_cosine(-1.0), 0.0);
        assert!((Kernel::Cosine.between(&[3.0, 0.0], &[0.0, 0.1]) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn near_copies_still_count_at_bandwidth_one() {
        // The figures of docs/density.md.
        let at = |bandwidth, p| Kernel::L2 { bandwidth }.at_cosine(0.966).powi(p);
        assert!((at(1.0, 8) - 0.155).abs() < 0.01, "{}", at(1.0, 8));
    }
}
