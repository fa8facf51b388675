//! Numeric paths: which instructions and which number format compute a score.

use crate::error::{Error, Result};
use std::sync::OnceLock;

/// Number format of weights and of the operands of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dtype {
    /// IEEE single precision; sums too.
    F32,
    /// The upper 16 bits of f32, rounded to nearest even; sums are f32.
    Bf16,
    /// Integers of 8 bits, 64 inputs of a row or an output to a scale; sums of a group are exact, those of groups f32.
    Int8,
}

impl Dtype {
    /// `f32`, `bf16` or `int8`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// The format of that name.
    ///
    /// # Errors
    /// [`Error::UnknownDtype`] for any other name.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "int8" => Ok(Self::Int8),
            _ => Err(Error::UnknownDtype { name: name.to_owned() }),
        }
    }
}

/// A numeric path. Its name is recorded in fingerprints, so what a path computes never changes silently.
///
/// `f32/avx2`, `f32/avx512` and `f32/neon` fuse multiply and add and agree bit for bit; the portable paths do not fuse. `bf16/portable` widens bf16 weights to
/// f32 and uses AVX2 where the machine has it, with the same bits. The products of all int8 paths agree bit for bit; what
/// surrounds them (norms, attention, heads) is f32 as in `f32/avx512`, `f32/avx2` and `f32/portable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// f32 in plain Rust, on any machine.
    F32Portable,
    /// f32 with AVX2 and FMA.
    F32Avx2,
    /// f32 with AVX-512.
    F32Avx512,
    /// f32 with NEON, which every 64-bit ARM has.
    F32Neon,
    /// Operands rounded to bf16, arithmetic in f32, on any machine.
    Bf16Portable,
    /// bf16 products by `vdpbf16ps` (AVX-512-BF16).
    Bf16Avx512,
    /// bf16 products by `tdpbf16ps` (AMX tiles), the rest by AVX-512; Linux only.
    Bf16Amx,
    /// int8 products in plain Rust, on any machine.
    Int8Portable,
    /// int8 products by `vpdpbusd` on vectors of 256 bits (AVX-VNNI).
    Int8AvxVnni,
    /// int8 products by `vpdpbusd` on vectors of 512 bits (AVX-512-VNNI).
    Int8Avx512,
}

impl Path {
    /// Every path, supported here or not; within a format the best is last.
    pub const ALL: [Self; 10] = [
        Self::F32Portable,
        Self::F32Avx2,
        Self::F32Avx512,
        Self::F32Neon,
        Self::Bf16Portable,
        Self::Bf16Avx512,
        Self::Bf16Amx,
        Self::Int8Portable,
        Self::Int8AvxVnni,
        Self::Int8Avx512,
    ];

    /// The fastest path of a format on this machine. There is always one.
    #[must_use]
    pub fn detect(dtype: Dtype) -> Self {
        let portable = match dtype {
            Dtype::F32 => Self::F32Portable,
            Dtype::Bf16 => Self::Bf16Portable,
            Dtype::Int8 => Self::Int8Portable,
        };
        Self::ALL
            .into_iter()
            .rev()
            .find(|path| path.dtype() == dtype && path.is_supported())
            .unwrap_or(portable)
    }

    /// The paths that this machine can run, in the order of [`Path::ALL`].
    #[must_use]
    pub fn supported() -> Vec<Self> {
        Self::ALL.into_iter().filter(|path| path.is_supported()).collect()
    }

    /// The path of that name, whether or not this machine supports it.
    ///
    /// # Errors
    /// [`Error::UnknownPath`] for a name that no path has.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|path| path.name() == name).ok_or_else(|| Error::UnknownPath {
            name: name.to_owned(),
            known: Self::ALL.map(|path| format!("`{}`", path.name())).join(", "),
        })
    }

    /// The name that fingerprints record, e.g. `bf16/avx512bf16`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32Portable => "f32/portable",
            Self::F32Avx2 => "f32/avx2",
            Self::F32Avx512 => "f32/avx512",
            Self::F32Neon => "f32/neon",
            Self::Bf16Portable => "bf16/portable",
            Self::Bf16Avx512 => "bf16/avx512bf16",
            Self::Bf16Amx => "bf16/amx",
            Self::Int8Portable => "int8/portable",
            Self::Int8AvxVnni => "int8/avxvnni",
            Self::Int8Avx512 => "int8/avx512vnni",
        }
    }

    /// The number format of the path's products.
    #[must_use]
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32Portable | Self::F32Avx2 | Self::F32Avx512 | Self::F32Neon => Dtype::F32,
            Self::Bf16Portable | Self::Bf16Avx512 | Self::Bf16Amx => Dtype::Bf16,
            Self::Int8Portable | Self::Int8AvxVnni | Self::Int8Avx512 => Dtype::Int8,
        }
    }

    /// Whether this machine (and its operating system) can run the path.
    #[must_use]
    pub fn is_supported(self) -> bool {
        let features = Features::get();
        match self {
            Self::F32Portable | Self::Bf16Portable | Self::Int8Portable => true,
            Self::F32Avx2 => features.avx2,
            Self::F32Avx512 => features.avx512,
            Self::F32Neon => cfg!(target_arch = "aarch64"),
            Self::Bf16Avx512 => features.avx512bf16,
            Self::Bf16Amx => features.avx512bf16 && features.amx,
            Self::Int8AvxVnni => features.avxvnni,
            Self::Int8Avx512 => features.avx512vnni,
        }
    }

    /// The path itself where this machine can run it.
    ///
    /// # Errors
    /// [`Error::UnsupportedPath`] otherwise.
    pub fn require(self) -> Result<Self> {
        if self.is_supported() { Ok(self) } else { Err(Error::UnsupportedPath { path: self.name() }) }
    }

    /// How the row loops and f32 products of this path are computed.
    ///
    /// # Panics
    /// Where the machine lacks the path: no instruction of it may be reached.
    pub(crate) fn mode(self) -> Mode {
        assert!(self.is_supported(), "numeric path `{}` is not supported by this machine", self.name());
        match self {
            Self::F32Portable => Mode::Portable,
            Self::F32Avx2 | Self::Int8AvxVnni => Mode::Avx2,
            Self::F32Avx512 | Self::Bf16Avx512 | Self::Bf16Amx | Self::Int8Avx512 => Mode::Avx512,
            Self::F32Neon => Mode::Neon,
            Self::Bf16Portable | Self::Int8Portable if Features::get().avx2 => Mode::PortableOnAvx2,
            Self::Bf16Portable | Self::Int8Portable => Mode::Portable,
        }
    }
}

/// How f32 loops are computed. Values other than `Portable` exist only after detection: [`Path::mode`] and
/// [`Mode::available`] are the only makers, which is what makes calls into vector code sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Plain Rust, multiply and add rounded separately.
    Portable,
    /// The arithmetic of `Portable`, compiled with AVX2; same bits.
    PortableOnAvx2,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ, VL.
    Avx512,
    /// NEON.
    Neon,
}

impl Mode {
    /// The modes that this machine can run, the best last.
    pub(crate) fn available() -> Vec<Self> {
        let features = Features::get();
        let mut modes = vec![Self::Portable];
        if features.avx2 {
            modes.extend([Self::PortableOnAvx2, Self::Avx2]);
        }
        if features.avx512 {
            modes.push(Self::Avx512);
        }
        if cfg!(target_arch = "aarch64") {
            modes.push(Self::Neon);
        }
        modes
    }

    /// The best of [`Mode::available`].
    pub(crate) fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }
}

/// What the processor and the operating system offer, found once.
#[derive(Debug, Clone, Copy, Default)]
struct Features {
    avx2: bool,
    avx512: bool,
    avx512bf16: bool,
    amx: bool,
    avxvnni: bool,
    avx512vnni: bool,
}

impl Features {
    fn get() -> Self {
        static FEATURES: OnceLock<Features> = OnceLock::new();
        *FEATURES.get_or_init(Self::detect)
    }

    #[cfg(target_arch = "x86_64")]
    fn detect() -> Self {
        use std::arch::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("fma");
        let avx512 = avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
        let avx512bf16 = avx512 && has!("avx512bf16");
        let amx = avx512bf16 && crate::tiles::available();
        let (avxvnni, avx512vnni) = (avx2 && has!("avxvnni"), avx512 && has!("avx512vnni"));
        Self { avx2, avx512, avx512bf16, amx, avxvnni, avx512vnni }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_names_list_the_known() {
        for path in Path::ALL {
            assert_eq!(Path::from_name(path.name()), Ok(path));
            assert!(path.name().starts_with(path.dtype().name()));
        }
        let message = Path::from_name("f16/sse").unwrap_err().to_string();
        assert!(message.contains("`bf16/amx`"), "{message}");
    }

    #[test]
    fn detection_names_a_supported_path_of_the_format() {
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Int8] {
            let path = Path::detect(dtype);
            assert!(path.is_supported() && path.dtype() == dtype);
            assert_eq!(Dtype::from_name(dtype.name()), Ok(dtype));
        }
        eprintln!(
            "supported here: {:?}",
            Path::supported().iter().map(|path| path.name()).collect::<Vec<_>>()
        );
    }
}
