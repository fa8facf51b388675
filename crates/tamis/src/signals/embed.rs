//! `embed`: sentence embeddings, by a model that is loaded here or stands behind a server.

use serde::{Deserialize, Serialize};
use tamis_models::embed::{Embed, EmbedOptions as ModelOptions, Embedder, Precision};
use tamis_remote::{Endpoint, RemoteEmbed};

use super::{Definition, Named, Ready};
use crate::model_options::{Device, Dtype, Engine, ServerOptions};
use crate::{Observer, Result, models, servers};

/// Sentence embeddings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbedOptions {
    /// Model source, or the address of a server.
    pub model: String,
    /// Tokens after which a document is cut, markers included; `None` is the model's own limit.
    pub max_tokens: Option<usize>,
    /// Number format of the computation.
    pub dtype: Dtype,
    /// Implementation.
    pub engine: Engine,
    /// Store 32-bit values instead of 16-bit ones.
    pub store_f32: bool,
    /// The server, where the model is one's address.
    #[serde(skip_serializing_if = "ServerOptions::is_default")]
    pub server: ServerOptions,
    /// Where it is computed; another device than the processor means [`Engine::Candle`].
    #[serde(skip_serializing_if = "Device::is_cpu")]
    pub device: Device,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            model: "minilm".to_owned(),
            max_tokens: None,
            dtype: Dtype::Auto,
            engine: Engine::Native,
            store_f32: false,
            server: ServerOptions::default(),
            device: Device::Cpu,
        }
    }
}

impl Named for EmbedOptions {
    const NAME: &'static str = "embed";
    const HELP: &'static str = "its embedding, for density";
    const IS_SCORE: bool = false;

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

impl Definition for EmbedOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn model(&self) -> Result<Option<&str>> {
        Ok(Some(&self.model))
    }

    fn server(&mut self) -> Option<&mut ServerOptions> {
        Some(&mut self.server)
    }

    fn can_be_served(&self) -> bool {
        true
    }

    fn build(&self, observer: &dyn Observer) -> Result<Ready> {
        let place = (self.engine, self.device);
        Ready::served_or(&self.model, || self.behind_server(observer), place, || self.loaded(observer))
    }

    fn unify(&mut self, _digest: &str) {
        models::unify(&mut self.model, &mut self.server);
    }

    fn dtype(&mut self) -> Option<&mut Dtype> {
        models::on_kernels(&self.model, self.engine, self.device).then_some(&mut self.dtype)
    }
}

impl EmbedOptions {
    fn precision(&self) -> Precision {
        if self.store_f32 { Precision::F32 } else { Precision::F16 }
    }

    /// An embedder that is loaded here.
    fn loaded(&self, observer: &dyn Observer) -> Result<Embed> {
        let model = models::open(&self.model, observer)?;
        let embedder = Embedder::from_model(model, models::backend(self.dtype, self.engine, self.device))?;
        let own = ModelOptions {
            max_tokens: self.max_tokens,
            precision: self.precision(),
            parallelism: models::parallelism(self.device),
            ..ModelOptions::default()
        };
        Ok(Embed::new(embedder, &own)?)
    }

    /// An embedder behind a server that answered.
    fn behind_server(&self, observer: &dyn Observer) -> Result<RemoteEmbed> {
        servers::refuse_local(self.dtype, self.engine)?;
        let endpoint = Endpoint::parse(&self.model)?;
        let own = tamis_remote::EmbedOptions {
            max_tokens: self.max_tokens,
            max_characters: self.server.max_characters,
            tokenizer: servers::tokenizer(&self.server, observer)?,
            precision: self.precision(),
            ..tamis_remote::EmbedOptions::default()
        };
        let embedder = RemoteEmbed::new(&endpoint, &servers::asked(&self.server), &own)?;
        embedder.remarks().iter().for_each(|remark| observer.warn(remark));
        Ok(embedder)
    }
}
