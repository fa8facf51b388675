//! bf16 products on AMX tiles.

use super::panels::Output;
use crate::aligned::Aligned;
use crate::scratch::Scratch;
use crate::view::{Rows, RowsMut};

/// Whether the processor, the operating system and the kernel's permission allow tiles.
pub(crate) fn available() -> bool {
    false
}

pub(super) fn pack(_weights: Rows<'_>) -> Aligned<u32> {
    unreachable!("tiles are never detected")
}

pub(super) fn product(
    _packed: &[u32],
    _a: Rows<'_>,
    _c: &mut RowsMut<'_>,
    _output: Output,
    _scratch: &mut Scratch,
) {
    unreachable!("tiles are never detected")
}
