//! Quantised blocks of ggml to f32.
//!
//! Layouts and arithmetic follow ggml's reference dequantisation (`ggml-quants.c` and its twin, the Python package
//! `gguf`), whose results the tests reproduce to the bit: scales are widened to f32 first, and every value is one
//! product, and one difference or sum where the format has an offset. Cost: one pass, no temporary.
//!
//! Letters: d scale, m offset, q stored integers of one block.

use half::{bf16, f16};

/// Values of a block of the formats whose names end in `_0` or `_1`.
const SMALL: usize = 32;
/// Values of a block of the formats whose names end in `_K`.
const LARGE: usize = 256;

/// A number format that can be read. Block layouts are given beside each, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    F32,
    F16,
    BF16,
    /// d 2, q 16: (q − 8)·d
    Q4_0,
    /// d 2, m 2, q 16: q·d + m
    Q4_1,
    /// d 2, fifth bits 4, q 16: (q − 16)·d
    Q5_0,
    /// d 2, m 2, fifth bits 4, q 16: q·d + m
    Q5_1,
    /// d 2, q 32: q·d
    Q8_0,
    /// d 2, m 2, six-bit scales and offsets of eight groups 12, q 128
    Q4K,
    /// d 2, m 2, six-bit scales and offsets of eight groups 12, fifth bits 32, q 128
    Q5K,
    /// low bits 128, high bits 64, scales of sixteen groups 16, d 2
    Q6K,
}

impl Format {
    /// What messages list.
    pub(super) const KNOWN: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K";

    /// By ggml's number for it.
    pub(super) fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::BF16,
            _ => return None,
        })
    }

    pub(super) fn block_values(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => SMALL,
            Self::Q4K | Self::Q5K | Self::Q6K => LARGE,
        }
    }

    pub(super) fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }
}

/// Turns whole blocks into values.
///
/// # Panics
/// When `blocks` or `values` is not a whole number of blocks, or not the same number.
pub(super) fn dequantise(format: Format, blocks: &[u8], values: &mut [f32]) {
    assert_eq!(blocks.len() % format.block_bytes(), 0, "whole blocks");
    assert_eq!(
        blocks.len() / format.block_bytes() * format.block_values(),
        values.len(),
        "as many values as in blocks"
    );
    let one: fn(&[u8], &mut [f32]) = match format {
        Format::F32 => |b, v| v[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        Format::F16 => |b, v| v[0] = half_at(b, 0),
        Format::BF16 => |b, v| v[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        Format::Q4_0 => q4_0,
        Format::Q4_1 => q4_1,
        Format::Q5_0 => q5_0,
        Format::Q5_1 => q5_1,
        Format::Q8_0 => q8_0,
        Format::Q4K => q4_k,
        Format::Q5K => q5_k,
        Format::Q6K => q6_k,
    };
    let pairs = blocks.chunks_exact(format.block_bytes()).zip(values.chunks_exact_mut(format.block_values()));
    for (block, values) in pairs {
        one(block, values);
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn q4_0(block: &[u8], values: &mut [f32]) {
    let d = half_at(block, 0);
    let (low, high) = values.split_at_mut(SMALL / 2);
    for ((q, low), high) in block[2..18].iter().zip(low).zip(high) {
        *low = f32::from((q & 15) as i8 - 8) * d;
        *high = f32::from((q >> 4) as i8 - 8) * d;
    }
}

fn q4_1(block: &[u8], values: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    let (low, high) = values.split_at_mut(SMALL / 2);
    for ((q, low), high) in block[4..20].iter().zip(low).zip(high) {
        *low = f32::from(q & 15) * d + m;
        *high = f32::from(q >> 4) * d + m;
    }
}

/// The 32 five-bit integers of a block: low four bits in `q`, the fifth in `bits`.
fn five_bits(bits: &[u8], q: &[u8]) -> [u8; SMALL] {
    let bits = u32::from_le_bytes([bits[0], bits[1], bits[2], bits[3]]);
    std::array::from_fn(|i| {
        let low = if i < SMALL / 2 { q[i] & 15 } else { q[i - SMALL / 2] >> 4 };
        low | (((bits >> i) & 1) as u8) << 4
    })
}

fn q5_0(block: &[u8], values: &mut [f32]) {
    let d = half_at(block, 0);
    for (value, q) in values.iter_mut().zip(five_bits(&block[2..6], &block[6..22])) {
        *value = f32::from(q as i8 - 16) * d;
    }
}

fn q5_1(block: &[u8], values: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (value, q) in values.iter_mut().zip(five_bits(&block[4..8], &block[8..24])) {
        *value = f32::from(q) * d + m;
    }
}

fn q8_0(block: &[u8], values: &mut [f32]) {
    let d = half_at(block, 0);
    for (value, &q) in values.iter_mut().zip(&block[2..34]) {
        *value = f32::from(q as i8) * d;
    }
}

/// Scale and offset of group `group` of eight, six bits each, from their twelve bytes: the first four groups have
/// theirs in the low six bits of bytes 0–3 and 4–7; the others have the low four bits in bytes 8–11 and the high two
/// in the top bits of the first eight bytes.
fn six_bits(packed: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let low = packed[group + 4];
        (low & 15 | packed[group - 4] >> 6 << 4, low >> 4 | packed[group] >> 6 << 4)
    }
}

fn q4_k(block: &[u8], values: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    let (packed, q) = (&block[4..16], &block[16..144]);
    for (group, values) in values.chunks_exact_mut(SMALL).enumerate() {
        let (scale, offset) = six_bits(packed, group);
        let (scale, offset) = (d * f32::from(scale), m * f32::from(offset));
        let shift = group % 2 * 4;
        for (value, q) in values.iter_mut().zip(&q[group / 2 * SMALL..]) {
            *value = scale * f32::from(q >> shift & 15) - offset;
        }
    }
}

fn q5_k(block: &[u8], values: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    let (packed, bits, q) = (&block[4..16], &block[16..48], &block[48..176]);
    for (group, values) in values.chunks_exact_mut(SMALL).enumerate() {
        let (scale, offset) = six_bits(packed, group);
        let (scale, offset) = (d * f32::from(scale), m * f32::from(offset));
        let shift = group % 2 * 4;
        for ((value, q), bits) in values.iter_mut().zip(&q[group / 2 * SMALL..]).zip(bits) {
            *value = scale * f32::from(q >> shift & 15 | (bits >> group & 1) << 4) - offset;
        }
    }
}

fn q6_k(block: &[u8], values: &mut [f32]) {
    let d = half_at(block, 208);
    let scales = &block[192..208];
    // Two halves of 128 values; in each, four runs of 32 that share the bytes of their high bits.
    for (half, values) in values.chunks_exact_mut(LARGE / 2).enumerate() {
        let (low, high) = (&block[half * 64..][..64], &block[128 + half * 32..][..32]);
        for (run, values) in values.chunks_exact_mut(SMALL).enumerate() {
            for (i, value) in values.iter_mut().enumerate() {
                let q = low[run % 2 * SMALL + i] >> (run / 2 * 4) & 15 | (high[i] >> (run * 2) & 3) << 4;
                let scale = d * f32::from(scales[half * 8 + run * 2 + i / 16] as i8);
                *value = scale * f32::from(q as i8 - 32);
            }
        }
    }
}
