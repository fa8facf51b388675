//! Conversion between f32 and bf16, rounding to nearest even.
//!
//! Done with integer instructions, so that subnormal numbers are kept (the hardware's own conversion flushes them) and
//! every machine gets the same bits.

use crate::dispatch::dispatched;
use crate::path::Mode;

/// The bf16 nearest to a value, ties to even. Infinities stay; NaN becomes a quiet NaN of the same sign.
#[inline(always)]
#[must_use]
pub fn from_f32(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    let quiet = (bits >> 16) as u16 | 0x40;
    if bits & 0x7fff_ffff > 0x7f80_0000 { quiet } else { rounded }
}

/// The value of a bf16, exactly.
#[inline(always)]
#[must_use]
pub fn to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Rounds values to bf16.
///
/// # Panics
/// If the lengths differ.
pub fn from_f32_slice(values: &[f32], out: &mut [u16]) {
    assert_eq!(values.len(), out.len(), "one output per value");
    convert(Mode::best(), values, out);
}

dispatched! { pub(crate) fn convert(values: &[f32], out: &mut [u16]) = convert_body; }

#[inline(always)]
fn convert_body<const FUSED: bool>(values: &[f32], out: &mut [u16]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = from_f32(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;
    use proptest::prelude::*;

    fn check(bits: u32) {
        let value = f32::from_bits(bits);
        let expected = bf16::from_f32(value);
        assert_eq!(from_f32(value), expected.to_bits(), "{bits:#010x}");
        if !value.is_nan() {
            assert_eq!(to_f32(from_f32(value)).to_bits(), expected.to_f32().to_bits());
        }
    }

    #[test]
    fn special_values_and_every_tie_round_like_the_reference() {
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                check(u32::from(high) << 16 | low);
            }
        }
    }

    proptest! {
        #[test]
        fn slices_agree_with_single_values_in_every_mode(bits in proptest::collection::vec(any::<u32>(), 0..100)) {
            let values: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
            let expected: Vec<u16> = values.iter().map(|&value| from_f32(value)).collect();
            for mode in Mode::available() {
                let mut out = vec![0; values.len()];
                convert(mode, &values, &mut out);
                prop_assert_eq!(&out, &expected);
            }
        }
    }
}
