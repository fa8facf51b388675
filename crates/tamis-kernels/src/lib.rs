//! Numeric kernels of tamis: packed matrix products, fused row loops, attention, the hashing of the density sketch and the minima
//! of near-duplicate signatures.
//!
//! Every kernel is chosen at run time by a [`Path`], the instruction set and number format in which a score was
//! computed. A path is part of a signal's fingerprint, so it is resolved once and passed in; nothing here switches
//! behind the caller's back.
//!
//! # Guarantees
//! * **A row alone equals the row in a batch, bit for bit.** The order in which an output element is accumulated depends
//!   on the inner dimension alone: not on the number of rows, a row's position, its neighbours in a pack, or the kernel
//!   height that happens to handle it.
//! * **[`lsh`] is the same on every machine.** Its portable and vector forms agree bit for bit, since pass 1 and pass 2
//!   of the density sketch may run on different machines. So are [`ascii`] and [`minhash`].
//! * Between two paths of the matrix and row kernels nothing is promised but accuracy. (Those that fuse multiply and add in f32,
//!   on x86 and on ARM, do agree bit for bit; their names are recorded apart all the same.)
//!
//! Not for: threads (a worker calls these from its own thread, with its own [`Scratch`]), gradients, other number
//! formats in memory. Activations are f32 in every path; a bf16 path rounds at the entrance of its products only.
#![expect(
    unsafe_code,
    reason = "vector instructions; each loop has a safe portable twin that the tests hold it against"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "loops over lanes and registers are written by index, as the arithmetic they are"
)]

#[cfg(test)]
mod agreement;
mod aligned;
mod attention;
mod dispatch;
mod error;
mod math;
mod matrix;
mod means;
mod path;
mod probe;
mod processor;
mod rope;
mod rows;
mod scratch;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod view;

pub mod ascii;
pub mod bf16;
pub mod lsh;
pub mod minhash;

pub use attention::{Attention, AttentionInput, KeyValueCache, Mask, QueryRows, RelativeBias};
pub use error::{Error, Result};
pub use matrix::{Accumulate, PackedMatrix, silu_gated_layer};
pub use means::{add_fixed, at_least, dot, largest, lower_to_squared_distance, to_fixed, to_unit_length};
pub use path::{Dtype, Path};
pub use probe::fastest_products;
pub use processor::{Measured, Processor, measured};
pub use rope::{RopeTable, rope};
pub use rows::{
    LogSumExp, add, add_bias, gelu_erf, gelu_tanh, gelu_tanh_gate, l2_normalize, layer_norm, log_sum_exp,
    mean_rows, multiply_gate, relu, rms_norm, silu_gate, softmax,
};
pub use scratch::Scratch;
pub use view::{Rows, RowsMut};
