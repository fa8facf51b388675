//! Rotary position embedding: frequencies, in the precision in which models were trained with them.
//!
//! Su et al., `RoFormer`, arXiv 2104.09864, §3.4.2, in the "rotate half" layout (element i pairs with i + d/2), with the
//! usual stretchings of wavelengths. Frequencies and angles are rounded to f32 like those of the code that models are
//! trained with: at position 1,000 an exact angle differs by 6·10⁻⁵, and models have learned the rounded one.

use std::f32::consts::TAU;
use std::sync::{Arc, PoisonError, RwLock};

use tamis_kernels::RopeTable;

use super::config::{Llama3Scaling, RopeConfig, RopeScaling};

/// The rotation of one kind of attention.
#[derive(Debug)]
pub(crate) struct Rotary {
    frequencies: Vec<f32>,
    /// Cosines and sines as far as a sequence has needed them: a context may be declared far longer than any document.
    table: RwLock<Arc<RopeTable>>,
}

impl Rotary {
    pub(crate) fn new(config: &RopeConfig, head_dim: usize) -> Self {
        let frequencies: Vec<f32> = (0..head_dim / 2)
            .map(|pair| {
                let exponent = (2 * pair) as f32 / head_dim as f32;
                let frequency = 1.0 / libm::pow(f64::from(config.theta), f64::from(exponent)) as f32;
                match &config.scaling {
                    None => frequency,
                    Some(RopeScaling::Linear { factor }) => frequency / factor,
                    Some(RopeScaling::Llama3(scaling)) => scale(frequency, scaling),
                    Some(RopeScaling::Factors(factors)) => frequency / factors[pair],
                }
            })
            .collect();
        let table = RwLock::new(Arc::new(RopeTable::from_frequencies(&frequencies, 0)));
        Self { frequencies, table }
    }

    /// Radians a position, for each pair of elements of a head.
    pub(crate) fn frequencies(&self) -> &[f32] {
        &self.frequencies
    }

    /// A table of at least `positions` rows.
    pub(crate) fn table(&self, positions: usize) -> Arc<RopeTable> {
        // A poisoned lock guards a table that is still whole: it is replaced in one assignment.
        let known = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        if known.positions() >= positions {
            return known;
        }
        let table = Arc::new(RopeTable::from_frequencies(&self.frequencies, positions.next_power_of_two()));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&table);
        table
    }
}

fn scale(frequency: f32, scaling: &Llama3Scaling) -> f32 {
    let original = scaling.original_context as f32;
    let wavelength = TAU / frequency;
    if wavelength > original / scaling.low_frequency_factor {
        return frequency / scaling.factor;
    }
    if wavelength < original / scaling.high_frequency_factor {
        return frequency;
    }
    let smooth = (original / wavelength - scaling.low_frequency_factor)
        / (scaling.high_frequency_factor - scaling.low_frequency_factor);
    (1.0 - smooth) * frequency / scaling.factor + smooth * frequency
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_grows_to_what_is_asked() {
        let rotary = Rotary::new(&RopeConfig { theta: 10_000.0, scaling: None }, 8);
        assert!(rotary.table(3).positions() >= 3);
        assert!(rotary.table(40).positions() >= 40);
        assert!(rotary.table(2).positions() >= 40);
    }

    #[test]
    fn long_wavelengths_are_stretched_and_short_ones_kept() {
        let scaling = Llama3Scaling {
            factor: 8.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_context: 8192,
        };
        let plain = Rotary::new(&RopeConfig { theta: 500_000.0, scaling: None }, 64);
        let scaled =
            Rotary::new(&RopeConfig { theta: 500_000.0, scaling: Some(RopeScaling::Llama3(scaling)) }, 64);
        let (plain, scaled) = (plain.frequencies(), scaled.frequencies());
        assert_eq!(plain[0], scaled[0]);
        assert_eq!(plain[31] / 8.0, scaled[31]);
        let ratios: Vec<f32> = plain.iter().zip(scaled).map(|(plain, scaled)| plain / scaled).collect();
        assert!(ratios.windows(2).all(|pair| pair[0] <= pair[1] * 1.000_001), "{ratios:?}");
    }
}
