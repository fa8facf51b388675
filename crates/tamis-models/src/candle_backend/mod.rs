//! The block operations from candle's differentiable primitives.
//!
//! For training, for accelerators, and as the second opinion on [`native`](crate::native): it is written for clarity, one
//! sequence at a time, in f32. Every operation here has a gradient (candle's fused `softmax_last_dim` and `rms_norm` have none and
//! are not used); a test follows it to every parameter.
//!
//! Not for: speed. On the CPU this is several times slower than `native`, and its results are batch-variant.

mod attention;
pub(crate) mod device;
mod dropout;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{D, Device, Tensor, Var};

use self::attention::Source;
pub use self::dropout::Dropout;
use self::dropout::Masks;
use crate::error::{Error, Result};
use crate::graph::blocks::{
    Activation, Attention, Between, Blocks, CrossNames, FeedForward, HeadNorms, LinearPart, NormNames,
    Parameters, Queries,
};
use crate::graph::pack::Pack;
use crate::graph::relative::Buckets;
use crate::weights::Weights;

/// Rows that see the head at once, which bounds the logits held in memory.
const HEAD_ROWS: usize = 64;

/// The block operations on a device of candle's.
#[derive(Debug)]
pub(crate) struct CandleBlocks {
    device: Device,
    /// By tensor name, when parameters are to receive gradients.
    trainable: Option<Mutex<BTreeMap<String, Var>>>,
    /// Where values are to be dropped.
    masks: Mutex<Option<Masks>>,
}

/// A normalisation.
pub(crate) enum Norm {
    RootMeanSquare { scale: Tensor, epsilon: f64 },
    Layer { scale: Tensor, shift: Tensor, epsilon: f64 },
}

/// Linear layers side by side.
pub(crate) struct Linear {
    /// Weight (outputs × inputs) and bias of each.
    parts: Vec<(Tensor, Option<Tensor>)>,
}

/// Biases by bucket and head.
pub(crate) struct PositionBias {
    buckets: Buckets,
    values: Tensor,
}

/// What makes keys and values of another sequence's states.
pub(crate) struct Cross {
    keys: Tensor,
    values: Tensor,
}

/// Rotated keys and values of a prefix: kv heads × T × head width.
pub(crate) struct KeyValues {
    keys: Tensor,
    values: Tensor,
}

impl CandleBlocks {
    /// Parameters are constants: nothing is recorded for a backward pass.
    pub(crate) fn new() -> Self {
        Self { device: Device::Cpu, trainable: None, masks: Mutex::default() }
    }

    /// As [`CandleBlocks::new`], on an accelerator.
    ///
    /// # Errors
    /// [`Error::DeviceMissing`] when tamis was built without it; what the driver says.
    pub(crate) fn on(device: device::Device) -> Result<Self> {
        use device::Device as Wanted;
        let missing = |name, feature| Err(Error::DeviceMissing { device: name, feature });
        let device = match device {
            Wanted::Cuda(_) if !cfg!(feature = "cuda") => return missing("cuda", "cuda"),
            Wanted::Metal if !cfg!(feature = "metal") => return missing("metal", "metal"),
            Wanted::Cuda(number) => Device::new_cuda(number)?,
            Wanted::Metal => Device::new_metal(0)?,
        };
        Ok(Self { device, ..Self::new() })
    }

    /// Parameters are variables.
    pub(crate) fn trainable() -> Self {
        Self { trainable: Some(Mutex::default()), ..Self::new() }
    }

    /// The variables by tensor name.
    pub(crate) fn variables(&self) -> BTreeMap<String, Var> {
        self.trainable.as_ref().map(|variables| lock(variables).clone()).unwrap_or_default()
    }

    /// Drops values in all that is computed from now on, or none.
    pub(crate) fn set_dropout(&self, dropout: Option<Dropout>) {
        *lock(&self.masks) = dropout.map(Masks::new);
    }

    /// Values on which a model in training drops some.
    fn dropped(&self, values: Tensor) -> Result<Tensor> {
        match lock(&self.masks).as_mut() {
            Some(masks) => masks.apply(&values),
            None => Ok(values),
        }
    }

    fn load(&self, weights: &dyn Weights, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = Tensor::from_vec(weights.load(name, shape)?, shape, &self.device)?;
        let Some(variables) = &self.trainable else { return Ok(tensor) };
        let variable = Var::from_tensor(&tensor)?;
        let tensor = variable.as_tensor().clone();
        lock(variables).insert(name.to_owned(), variable);
        Ok(tensor)
    }

    fn indices(&self, indices: &[u32]) -> Result<Tensor> {
        Ok(Tensor::from_slice(indices, indices.len(), &self.device)?)
    }
}

/// What a poisoned lock guards here is whole: each change is one insertion or assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Norm {
    fn apply(&self, rows: &Tensor) -> Result<Tensor> {
        let scaled = |rows: &Tensor, scale: &Tensor, epsilon: f64| -> Result<Tensor> {
            let deviation = (rows.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?;
            Ok(rows.broadcast_div(&deviation)?.broadcast_mul(scale)?)
        };
        match self {
            Self::RootMeanSquare { scale, epsilon } => scaled(rows, scale, *epsilon),
            Self::Layer { scale, shift, epsilon } => {
                let centred = rows.broadcast_sub(&rows.mean_keepdim(D::Minus1)?)?;
                Ok(scaled(&centred, scale, *epsilon)?.broadcast_add(shift)?)
            }
        }
    }
}

fn normalised(rows: &Tensor, norm: Option<&Norm>) -> Result<Tensor> {
    norm.map_or_else(|| Ok(rows.clone()), |norm| norm.apply(rows))
}

impl Linear {
    fn apply(&self, rows: &Tensor) -> Result<Tensor> {
        let outputs = self.parts.iter().map(|(weight, bias)| {
            let output = rows.matmul(&weight.t()?)?;
            Ok(match bias {
                Some(bias) => output.broadcast_add(bias)?,
                None => output,
            })
        });
        let outputs = outputs.collect::<Result<Vec<Tensor>>>()?;
        Ok(Tensor::cat(&outputs, 1)?)
    }
}

impl Activation {
    fn apply(self, rows: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::SiluGate | Self::GeluTanhGate => {
                let width = rows.dim(1)? / 2;
                let gate = rows.narrow(1, 0, width)?;
                let gate = if self == Self::SiluGate { gate.silu()? } else { gate.gelu()? };
                (gate * rows.narrow(1, width, width)?)?
            }
            Self::Relu => rows.relu()?,
            Self::GeluErf => rows.gelu_erf()?,
            Self::GeluTanh => rows.gelu()?,
        })
    }
}

impl Parameters for CandleBlocks {
    type Table = Tensor;
    type Norm = Norm;
    type Linear = Linear;
    type PositionBias = PositionBias;
    type Cross = Cross;

    fn table(&self, weights: &dyn Weights, name: &str, rows: usize, width: usize) -> Result<Tensor> {
        self.load(weights, name, &[rows, width])
    }

    fn tied_table(
        &self,
        weights: &dyn Weights,
        name: &str,
        rows: usize,
        width: usize,
    ) -> Result<(Tensor, Linear)> {
        let table = self.table(weights, name, rows, width)?;
        Ok((table.clone(), Linear { parts: vec![(table, None)] }))
    }

    fn norm(&self, weights: &dyn Weights, names: &NormNames, width: usize, epsilon: f32) -> Result<Norm> {
        let epsilon = f64::from(epsilon);
        let load = |name: &str| self.load(weights, name, &[width]);
        Ok(match names {
            NormNames::RootMeanSquare { scale, factor } => {
                let mut scale = load(scale)?;
                if *factor != 1.0 {
                    scale = (scale * f64::from(*factor))?;
                }
                Norm::RootMeanSquare { scale, epsilon }
            }
            NormNames::Layer { scale, shift } => {
                Norm::Layer { scale: load(scale)?, shift: load(shift)?, epsilon }
            }
        })
    }

    fn linear(&self, weights: &dyn Weights, parts: &[LinearPart], inputs: usize) -> Result<Linear> {
        let load = |part: &LinearPart| {
            let bias =
                part.bias.as_ref().map(|bias| self.load(weights, bias, &[part.outputs])).transpose()?;
            Ok((self.load(weights, &part.weight, &[part.outputs, inputs])?, bias))
        };
        Ok(Linear { parts: parts.iter().map(load).collect::<Result<_>>()? })
    }

    fn position_bias(
        &self,
        weights: &dyn Weights,
        name: &str,
        buckets: Buckets,
        heads: usize,
    ) -> Result<PositionBias> {
        Ok(PositionBias { buckets, values: self.load(weights, name, &[buckets.count, heads])? })
    }

    fn cross(
        &self,
        weights: &dyn Weights,
        names: &CrossNames,
        attention: &Attention,
        inputs: usize,
    ) -> Result<Cross> {
        let load = |name: &str| self.load(weights, name, &[attention.key_width(), inputs]);
        Ok(Cross { keys: load(&names.key)?, values: load(&names.value)? })
    }
}

impl Blocks for CandleBlocks {
    type Rows = Tensor;
    type KeyValues = KeyValues;

    fn numeric_path(&self) -> String {
        let device = match self.device {
            Device::Cpu => "cpu",
            Device::Cuda(_) => "cuda",
            Device::Metal(_) => "metal",
        };
        format!("f32/candle-{device}")
    }

    fn embed(&self, lookups: &[(&Tensor, &[u32])], norm: Option<&Norm>) -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for (table, indices) in lookups {
            let rows = table.index_select(&self.indices(indices)?, 0)?;
            sum = Some(match sum {
                Some(sum) => (sum + rows)?,
                None => rows,
            });
        }
        self.dropped(normalised(&sum.expect("a graph looks up at least one table"), norm)?)
    }

    fn scale(&self, rows: Tensor, factor: f32) -> Result<Tensor> {
        Ok((rows * f64::from(factor))?)
    }

    fn normalise_heads(&self, qkv: Tensor, attention: &Attention, norms: &HeadNorms<Self>) -> Result<Tensor> {
        let (tokens, width) = qkv.dims2()?;
        let normalised = |from: usize, length: usize, norm: &Norm| -> Result<Tensor> {
            let shape = (tokens, length / attention.head_dim, attention.head_dim);
            Ok(norm.apply(&qkv.narrow(1, from, length)?.reshape(shape)?)?.reshape((tokens, length))?)
        };
        let (queries, keys) = (attention.query_width(), attention.key_width());
        let values = qkv.narrow(1, queries + keys, width - queries - keys)?;
        let parts =
            [normalised(0, queries, &norms.queries)?, normalised(queries, keys, &norms.keys)?, values];
        Ok(Tensor::cat(&parts, 1)?)
    }

    fn project(&self, rows: &Tensor, norm: Option<&Norm>, linear: &Linear) -> Result<Tensor> {
        linear.apply(&normalised(rows, norm)?)
    }

    fn attention(
        &self,
        qkv: Tensor,
        attention: &Attention,
        pack: &Pack,
        prefix: Option<&KeyValues>,
        queries: Queries,
    ) -> Result<Tensor> {
        attention::attend(self, &qkv, attention, pack, prefix, queries)
    }

    fn keys_values(&self, qkv: &Tensor, attention: &Attention, pack: &Pack) -> Result<KeyValues> {
        attention::keys_values(qkv, attention, pack.start())
    }

    fn residual(
        &self,
        rows: Tensor,
        update: &Tensor,
        linear: &Linear,
        norm: Option<&Norm>,
    ) -> Result<Tensor> {
        normalised(&(rows + self.dropped(linear.apply(update)?)?)?, norm)
    }

    fn biased_attention(
        &self,
        qkv: Tensor,
        attention: &Attention,
        bias: &PositionBias,
        pack: &Pack,
    ) -> Result<Tensor> {
        attention::attend_biased(self, &qkv, attention, bias, pack)
    }

    fn cross_attention(
        &self,
        queries: &Tensor,
        attention: &Attention,
        cross: &Cross,
        between: Between<'_, Tensor>,
    ) -> Result<Tensor> {
        let keys = between.states.matmul(&cross.keys.t()?)?;
        let values = between.states.matmul(&cross.values.t()?)?;
        attention::attend_across(self, &Source { queries, keys: &keys, values: &values }, attention, &between)
    }

    fn residual_normalised(
        &self,
        rows: Tensor,
        update: &Tensor,
        linear: &Linear,
        norm: &Norm,
    ) -> Result<Tensor> {
        Ok((rows + norm.apply(&linear.apply(update)?)?)?)
    }

    fn feed_forward(&self, rows: Tensor, layer: &FeedForward<Self>) -> Result<Tensor> {
        let wide = layer.activation.apply(&self.project(&rows, layer.norm_before.as_ref(), &layer.up)?)?;
        let wide = self.dropped(wide)?;
        match &layer.norm_of_update {
            None => self.residual(rows, &wide, &layer.down, layer.norm_after.as_ref()),
            Some(norm) => {
                let rows = self.residual_normalised(rows, &wide, &layer.down, norm)?;
                normalised(&rows, layer.norm_after.as_ref())
            }
        }
    }

    fn pick(&self, rows: &Tensor, indices: &[usize]) -> Result<Tensor> {
        let indices: Vec<u32> = indices.iter().map(|&index| index as u32).collect();
        Ok(rows.index_select(&self.indices(&indices)?, 0)?)
    }

    fn normalise(&self, rows: &Tensor, norm: &Norm) -> Result<Tensor> {
        self.dropped(norm.apply(rows)?)
    }

    fn mean(&self, rows: &Tensor, pack: &Pack) -> Result<Tensor> {
        let means = pack
            .sequences()
            .map(|sequence| Ok(rows.narrow(0, sequence.start, sequence.len())?.mean_keepdim(0)?));
        Ok(Tensor::cat(&means.collect::<Result<Vec<_>>>()?, 0)?)
    }

    fn unit(&self, rows: Tensor) -> Result<Tensor> {
        let lengths = rows.sqr()?.sum_keepdim(1)?.sqrt()?;
        Ok(rows.broadcast_div(&lengths)?)
    }

    fn log_probs(
        &self,
        rows: &Tensor,
        norm: Option<&Norm>,
        head: &Linear,
        targets: &[u32],
    ) -> Result<Tensor> {
        let blocks = targets.chunks(HEAD_ROWS).enumerate().map(|(block, targets)| {
            let rows = rows.narrow(0, block * HEAD_ROWS, targets.len())?;
            let logits = self.project(&rows, norm, head)?;
            let largest = logits.max_keepdim(1)?.detach();
            let shifted = logits.broadcast_sub(&largest)?;
            let log_sum = shifted.exp()?.sum_keepdim(1)?.log()?;
            let targets = self.indices(targets)?.unsqueeze(1)?;
            Ok((shifted.gather(&targets, 1)? - log_sum)?)
        });
        Ok(Tensor::cat(&blocks.collect::<Result<Vec<_>>>()?, 0)?)
    }

    fn read(&self, rows: &Tensor, read: &mut dyn FnMut(&[f32])) -> Result<()> {
        read(&rows.flatten_all()?.to_vec1::<f32>()?);
        Ok(())
    }
}
