//! The block operations from which every graph is built, and what they speak about.
//!
//! They are few and large, so that a backend can fuse what lies between two matrix products, and so that a graph reads
//! like the figure in its paper. [`native`](crate::native) fuses them; [`candle_backend`](crate::candle_backend) spells
//! them in differentiable primitives. A test holds the two together for every architecture.

use std::sync::Arc;

use super::mask::Mask;
use super::pack::Pack;
use super::relative::Buckets;
use super::rotary::Rotary;
use super::window::Window;
use crate::error::Result;
use crate::weights::Weights;

/// What a graph is loaded into: its parameters, asked for by the names of their tensors.
///
/// Apart from the operations, so that what a graph asks for can be known without loading it, see
/// [`survey`](super::survey).
pub(crate) trait Parameters: Sized + Send + Sync + 'static {
    /// A table of embeddings.
    type Table: Send + Sync;
    /// Parameters of a normalisation.
    type Norm: Send + Sync;
    /// One or several linear layers that share their input, side by side.
    type Linear: Send + Sync;
    /// Learned biases on attention scores, by head and by distance.
    type PositionBias: Send + Sync;
    /// The linear layers that make keys and values of another sequence's states.
    type Cross: Send + Sync;

    /// Loads a table of `rows × width` that is only looked up in.
    fn table(&self, weights: &dyn Weights, name: &str, rows: usize, width: usize) -> Result<Self::Table>;

    /// Loads a table that is also the model's head, without holding it twice.
    fn tied_table(
        &self,
        weights: &dyn Weights,
        name: &str,
        rows: usize,
        width: usize,
    ) -> Result<(Self::Table, Self::Linear)>;

    /// Loads a normalisation over `width` values.
    fn norm(
        &self,
        weights: &dyn Weights,
        names: &NormNames,
        width: usize,
        epsilon: f32,
    ) -> Result<Self::Norm>;

    /// Loads linear layers of `inputs` inputs each; their outputs lie side by side in the order given.
    fn linear(&self, weights: &dyn Weights, parts: &[LinearPart], inputs: usize) -> Result<Self::Linear>;

    /// Loads a linear layer that follows the last block and that few rows see: a head of its own, a projection.
    fn head(&self, weights: &dyn Weights, part: LinearPart, inputs: usize) -> Result<Self::Linear> {
        self.linear(weights, &[part], inputs)
    }

    /// Loads biases, a tensor of buckets × heads.
    fn position_bias(
        &self,
        weights: &dyn Weights,
        name: &str,
        buckets: Buckets,
        heads: usize,
    ) -> Result<Self::PositionBias>;

    /// Loads what makes keys and values of states of `inputs` values.
    fn cross(
        &self,
        weights: &dyn Weights,
        names: &CrossNames,
        attention: &Attention,
        inputs: usize,
    ) -> Result<Self::Cross>;
}

/// The block operations.
///
/// `Rows` is an activation: a matrix with one row for each token of a [`Pack`] (or, after the last block, for each
/// sequence).
///
/// # What an implementor owes
/// A row of a result depends on its own sequence alone. On a backend that claims to be batch-invariant it does so bit for
/// bit. Values that are not finite pass through.
pub(crate) trait Blocks: Parameters {
    /// An activation.
    type Rows: Send + Sync;
    /// Keys and values of one layer for the tokens of a prefix.
    type KeyValues: Send + Sync;

    /// The arithmetic in use, e.g. `f32/avx512`.
    fn numeric_path(&self) -> String;

    /// Sum over the lookups of the table's row for each token, then the normalisation if there is one.
    ///
    /// Indices are within their tables: the graph has checked them.
    fn embed(&self, lookups: &[(&Self::Table, &[u32])], norm: Option<&Self::Norm>) -> Result<Self::Rows>;

    /// `factor · rows`.
    fn scale(&self, rows: Self::Rows, factor: f32) -> Result<Self::Rows>;

    /// Normalises every head of queries and every head of keys in a projection of `qkv`, each by itself.
    fn normalise_heads(
        &self,
        qkv: Self::Rows,
        attention: &Attention,
        norms: &HeadNorms<Self>,
    ) -> Result<Self::Rows>;

    /// The linear layers of the normalised rows; without a normalisation, of the rows as they are.
    fn project(
        &self,
        rows: &Self::Rows,
        norm: Option<&Self::Norm>,
        linear: &Self::Linear,
    ) -> Result<Self::Rows>;

    /// Attention within each sequence of the pack.
    ///
    /// `qkv` holds queries, keys and values of all heads side by side, before rotation. With `Queries::Last` the result
    /// has one row a sequence, else one a token.
    fn attention(
        &self,
        qkv: Self::Rows,
        attention: &Attention,
        pack: &Pack,
        prefix: Option<&Self::KeyValues>,
        queries: Queries,
    ) -> Result<Self::Rows>;

    /// Keeps the keys and values of a pack of one sequence that is a prefix.
    fn keys_values(&self, qkv: &Self::Rows, attention: &Attention, pack: &Pack) -> Result<Self::KeyValues>;

    /// Attention of every token within its sequence, with a bias on each score.
    fn biased_attention(
        &self,
        qkv: Self::Rows,
        attention: &Attention,
        bias: &Self::PositionBias,
        pack: &Pack,
    ) -> Result<Self::Rows>;

    /// Attention of the tokens of one pack, whose queries are given, to the states of another, sequence by sequence and
    /// without a mask.
    fn cross_attention(
        &self,
        queries: &Self::Rows,
        attention: &Attention,
        cross: &Self::Cross,
        between: Between<'_, Self::Rows>,
    ) -> Result<Self::Rows>;

    /// `rows + linear(update)`, then the normalisation if there is one.
    fn residual(
        &self,
        rows: Self::Rows,
        update: &Self::Rows,
        linear: &Self::Linear,
        norm: Option<&Self::Norm>,
    ) -> Result<Self::Rows>;

    /// `rows + norm(linear(update))`.
    fn residual_normalised(
        &self,
        rows: Self::Rows,
        update: &Self::Rows,
        linear: &Self::Linear,
        norm: &Self::Norm,
    ) -> Result<Self::Rows>;

    /// `rows + down(activation(up(rows)))` with the normalisations that the layer has.
    fn feed_forward(&self, rows: Self::Rows, layer: &FeedForward<Self>) -> Result<Self::Rows>;

    /// The rows with these indices, in this order.
    fn pick(&self, rows: &Self::Rows, indices: &[usize]) -> Result<Self::Rows>;

    /// The rows, normalised.
    fn normalise(&self, rows: &Self::Rows, norm: &Self::Norm) -> Result<Self::Rows>;

    /// The mean row of each sequence.
    fn mean(&self, rows: &Self::Rows, pack: &Pack) -> Result<Self::Rows>;

    /// The rows, scaled to length 1.
    fn unit(&self, rows: Self::Rows) -> Result<Self::Rows>;

    /// ln P of target `t` under row `t`, through normalisation (if there is one), head and softmax: a single column.
    ///
    /// This is the negative cross entropy. The logits of all rows never exist at once on a backend that does not need
    /// them for a gradient.
    fn log_probs(
        &self,
        rows: &Self::Rows,
        norm: Option<&Self::Norm>,
        head: &Self::Linear,
        targets: &[u32],
    ) -> Result<Self::Rows>;

    /// Hands the values, row-major, to `read`.
    fn read(&self, rows: &Self::Rows, read: &mut dyn FnMut(&[f32])) -> Result<()>;
}

/// Names of the tensors of a normalisation, and thereby its kind.
#[derive(Debug)]
pub(crate) enum NormNames {
    /// x / √(mean x² + ε) · scale · factor.
    RootMeanSquare {
        /// The scale.
        scale: String,
        /// A constant beside it, usually 1.
        factor: f32,
    },
    /// (x − mean) / √(variance + ε) · scale + shift.
    Layer {
        /// The scale.
        scale: String,
        /// The shift.
        shift: String,
    },
}

/// One of several linear layers side by side.
#[derive(Debug)]
pub(crate) struct LinearPart {
    /// Name of the tensor `outputs × inputs`.
    pub(crate) weight: String,
    /// Name of the bias, if it has one.
    pub(crate) bias: Option<String>,
    /// Number of outputs.
    pub(crate) outputs: usize,
}

impl LinearPart {
    /// `{layer}.weight`, and `{layer}.bias` where wanted.
    pub(crate) fn new(layer: &str, outputs: usize, bias: Bias) -> Self {
        let bias = (bias == Bias::Present).then(|| format!("{layer}.bias"));
        Self { weight: format!("{layer}.weight"), bias, outputs }
    }
}

/// Whether a linear layer has a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bias {
    Present,
    Absent,
}

/// The shape of an attention.
#[derive(Debug)]
pub(crate) struct Attention {
    /// Query heads.
    pub(crate) heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads that follow one another.
    pub(crate) kv_heads: usize,
    /// Width of a head.
    pub(crate) head_dim: usize,
    /// Factor on the scores; usually 1/√`head_dim`.
    pub(crate) scale: f32,
    /// Who sees whom.
    pub(crate) mask: Mask,
    /// The nearest tokens, where the mask leaves no more than these.
    pub(crate) window: Option<Arc<Window>>,
    /// Rotation of queries and keys by position.
    pub(crate) rotary: Option<Arc<Rotary>>,
}

impl Attention {
    /// Width of all queries.
    pub(crate) fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all keys, and of all values.
    pub(crate) fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// Normalisations of single heads.
pub(crate) struct HeadNorms<B: Parameters> {
    /// Of each head of queries.
    pub(crate) queries: B::Norm,
    /// Of each head of keys.
    pub(crate) keys: B::Norm,
}

/// Names of the tensors that make keys and values of another sequence's states.
#[derive(Debug)]
pub(crate) struct CrossNames {
    /// Of the keys, all heads side by side × states.
    pub(crate) key: String,
    /// Of the values, likewise.
    pub(crate) value: String,
}

/// Two packs of as many sequences; each sequence of the one attends to its counterpart in the other.
pub(crate) struct Between<'a, R> {
    /// The one that attends.
    pub(crate) pack: &'a Pack,
    /// The one that is attended to.
    pub(crate) source: &'a Pack,
    /// Its states.
    pub(crate) states: &'a R,
}

impl<R> Clone for Between<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Between<'_, R> {}

/// Whose attention is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queries {
    /// That of every token.
    All,
    /// That of the last token of each sequence.
    Last,
}

/// Non-linearity of a feed-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// silu(gate) · up; the layer above it has the gate's outputs first, then as many of up.
    SiluGate,
    /// gelu(gate) · up by the tanh approximation, laid out likewise.
    GeluTanhGate,
    /// x·Φ(x) by the error function.
    GeluErf,
    /// Its tanh approximation.
    GeluTanh,
    /// max(x, 0).
    Relu,
}

/// A feed-forward with what surrounds it.
pub(crate) struct FeedForward<B: Parameters> {
    /// Before it, in models that normalise first; the residual is taken before this.
    pub(crate) norm_before: Option<B::Norm>,
    /// Widens.
    pub(crate) up: B::Linear,
    /// Between the two.
    pub(crate) activation: Activation,
    /// Narrows.
    pub(crate) down: B::Linear,
    /// Of what it adds, before the residual.
    pub(crate) norm_of_update: Option<B::Norm>,
    /// After the residual, in models that normalise last.
    pub(crate) norm_after: Option<B::Norm>,
}
