//! Little-endian bytes of plain number formats to f32.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// f32 as it is.
pub(super) fn from_f32(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

/// f16, widened without loss.
pub(super) fn from_f16(bytes: &[u8]) -> Vec<f32> {
    let halves: Vec<f16> = bytes.as_chunks().0.iter().map(|chunk| f16::from_le_bytes(*chunk)).collect();
    let mut out = vec![0.0; halves.len()];
    halves.convert_to_f32_slice(&mut out);
    out
}

/// bf16, widened without loss.
pub(super) fn from_bf16(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| bf16::from_le_bytes(*chunk).to_f32()).collect()
}
