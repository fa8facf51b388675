//! Which processor this is, and which numeric path was measured to be the fastest on it.
//!
//! An instruction that a processor has is not always one that it is fast at, hence a table of measurements and not of features.
//! What the table does not know is [probed](crate::probe).

use crate::path::Path;
use std::sync::OnceLock;

/// A processor as it states itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Processor {
    /// `GenuineIntel`, `AuthenticAMD`; where there is no such instruction as `cpuid`, the architecture.
    pub vendor: String,
    /// Family, the extended one added.
    pub family: u32,
    /// Model within the family, the extended one included.
    pub model: u32,
    /// Stepping of the model.
    pub stepping: u32,
    /// What it is sold as (a virtual machine may call it anything); of an ARM processor its main identification register.
    pub name: String,
}

impl Processor {
    /// The processor that this process runs on.
    #[must_use]
    pub fn this() -> &'static Self {
        static THIS: OnceLock<Processor> = OnceLock::new();
        THIS.get_or_init(Self::ask)
    }

    #[cfg(target_arch = "x86_64")]
    fn ask() -> Self {
        use std::arch::x86_64::__cpuid;
        const NAMES: u32 = 0x8000_0002;
        let text = |registers: &[u32]| {
            let bytes: Vec<u8> = registers.iter().flat_map(|register| register.to_le_bytes()).collect();
            String::from_utf8_lossy(&bytes).trim_matches(['\0', ' ']).to_owned()
        };
        let zero = __cpuid(0);
        let signature = __cpuid(1).eax;
        let base = signature >> 8 & 0xf;
        let extended = if base == 0xf { signature >> 20 & 0xff } else { 0 };
        let name = if __cpuid(0x8000_0000).eax >= NAMES + 2 {
            let registers = (NAMES..NAMES + 3).map(__cpuid);
            text(&registers.flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]).collect::<Vec<_>>())
        } else {
            String::new()
        };
        Self {
            vendor: text(&[zero.ebx, zero.edx, zero.ecx]),
            family: base + extended,
            model: signature >> 4 & 0xf | (signature >> 16 & 0xf) << 4,
            stepping: signature & 0xf,
            name,
        }
    }

    /// Linux keeps what an ARM processor states of itself in a file; elsewhere all are alike.
    #[cfg(not(target_arch = "x86_64"))]
    fn ask() -> Self {
        let stated = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1");
        let name = stated.unwrap_or_default().trim().to_owned();
        Self { vendor: std::env::consts::ARCH.to_owned(), name, ..Self::default() }
    }
}

/// A path that was measured, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// The processors that it was measured to be the fastest on.
    pub on: &'static str,
    /// The path.
    pub path: Path,
    /// The figures: tokens a second of two cores, SmolLM2-135M and MiniLM-L6 on documents of 300 and 256 tokens unless it says
    /// otherwise.
    pub figures: &'static str,
}

/// A row of the table: the vendor and the families that it stands for, empty for all.
struct Row {
    vendor: &'static str,
    families: &'static [u32],
    /// What is the best of bf16 there.
    bf16: Path,
    measured: Measured,
}

/// By vendor, family, and the best that the machine has of bf16. The first row that fits is taken.
const TABLE: &[Row] = &[
    Row {
        vendor: "AuthenticAMD",
        families: &[25],
        bf16: Path::Bf16Avx512,
        measured: Measured {
            on: "AMD Zen 4",
            path: Path::Bf16Avx512,
            figures: "bf16 1,874 and 14,950, f32 980 and 8,650 (2026-11-25)",
        },
    },
    Row {
        vendor: "AuthenticAMD",
        families: &[26],
        bf16: Path::Bf16Avx512,
        measured: Measured {
            on: "AMD Zen 5",
            path: Path::Bf16Avx512,
            figures: "bf16 2,773 and 14,400, f32 1,681 and 10,900 (a prototype of these kernels, before 2026-11-23)",
        },
    },
    Row {
        vendor: "GenuineIntel",
        families: &[6],
        bf16: Path::Bf16Amx,
        measured: Measured {
            on: "Intel with AMX",
            path: Path::Bf16Amx,
            figures: "bf16 6,224 and 37,478, f32 1,361 and 12,249 (2026-11-23)",
        },
    },
    Row {
        vendor: "GenuineIntel",
        families: &[6],
        bf16: Path::Bf16Avx512,
        measured: Measured {
            on: "Intel with AVX-512-BF16 and without AMX",
            path: Path::F32Avx512,
            figures: "f32 1,285 and 11,237, bf16 776 and 6,444 (2026-11-28)",
        },
    },
];

/// The path that was measured to be the fastest of f32 and bf16 on processors such as this one; `None`: nobody has measured.
#[must_use]
pub fn measured() -> Option<Measured> {
    let f32 = Path::detect(crate::Dtype::F32);
    let bf16 = Path::detect(crate::Dtype::Bf16);
    lookup(Processor::this(), f32, bf16)
}

fn lookup(processor: &Processor, f32: Path, bf16: Path) -> Option<Measured> {
    if bf16 == Path::Bf16Portable {
        return without_bf16(f32);
    }
    TABLE
        .iter()
        .find(|row| {
            row.vendor == processor.vendor && row.families.contains(&processor.family) && row.bf16 == bf16
        })
        .map(|row| row.measured)
}

/// Without instructions for bf16, widening it costs more than reading half as many bytes saves. Nobody has timed NEON, nor
/// processors without vector paths.
fn without_bf16(f32: Path) -> Option<Measured> {
    let (on, figures) = match f32 {
        Path::F32Avx512 => (
            "processors with AVX-512 and without bf16",
            "f32 563 and 5,139 a core, bf16 143 and 1,253 (2026-11-28)",
        ),
        Path::F32Avx2 => (
            "processors with AVX2 and without AVX-512",
            "f32 238 and 2,452 a core, bf16 143 and 1,253 (2026-11-28)",
        ),
        _ => return None,
    };
    Some(Measured { on, path: f32, figures })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processor(vendor: &str, family: u32) -> Processor {
        Processor { vendor: vendor.to_owned(), family, ..Processor::default() }
    }

    #[test]
    fn the_table_knows_the_measured_processors_and_no_others() {
        let on = |vendor, family, bf16| {
            lookup(&processor(vendor, family), Path::F32Avx512, bf16).map(|measured| measured.path)
        };
        assert_eq!(on("AuthenticAMD", 25, Path::Bf16Avx512), Some(Path::Bf16Avx512));
        assert_eq!(on("AuthenticAMD", 26, Path::Bf16Avx512), Some(Path::Bf16Avx512));
        assert_eq!(on("GenuineIntel", 6, Path::Bf16Amx), Some(Path::Bf16Amx));
        assert_eq!(on("GenuineIntel", 6, Path::Bf16Avx512), Some(Path::F32Avx512));
        assert_eq!(on("AuthenticAMD", 27, Path::Bf16Avx512), None);
        assert_eq!(on("GenuineIntel", 19, Path::Bf16Amx), None);
        assert_eq!(on("CentaurHauls", 7, Path::Bf16Avx512), None);
        // A table row is never a path that the machine lacks: without the instructions there is nothing to choose.
        assert_eq!(on("AuthenticAMD", 25, Path::Bf16Portable), Some(Path::F32Avx512));
        for untimed in [Path::F32Neon, Path::F32Portable] {
            assert_eq!(lookup(&Processor::default(), untimed, Path::Bf16Portable), None);
        }
    }

    #[test]
    fn what_is_measured_runs_here() {
        eprintln!("{:?}", Processor::this());
        if let Some(measured) = measured() {
            assert!(measured.path.is_supported(), "{measured:?}");
        }
    }
}
