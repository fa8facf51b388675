//! Where candle computes beside the processor.

/// An accelerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// An NVIDIA GPU by its number; feature `cuda`.
    Cuda(usize),
    /// An Apple GPU; feature `metal`.
    Metal,
}
