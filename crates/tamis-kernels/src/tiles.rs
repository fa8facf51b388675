//! Whether AMX tiles can be used: asked of the processor, the operating system, and for this process.

#[cfg(target_os = "linux")]
use std::arch::asm;

/// Whether the processor has AMX with bf16, the operating system keeps its state, and it lets this process use it.
pub(crate) fn available() -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
        const TILE_STATES: u64 = 0b11 << 17;
        const TILES_AND_BF16: u32 = 1 << 24 | 1 << 22;
        if __cpuid(0).eax < 7 || __cpuid_count(7, 0).edx & TILES_AND_BF16 != TILES_AND_BF16 {
            return false;
        }
        if !std::arch::is_x86_feature_detected!("xsave") {
            return false;
        }
        // SAFETY: xgetbv exists where the operating system uses xsave, which the detection above covers.
        let enabled = unsafe { _xgetbv(0) };
        enabled & TILE_STATES == TILE_STATES && request_permission()
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Asks the kernel for tile data: `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`, for all threads of the process.
#[cfg(target_os = "linux")]
fn request_permission() -> bool {
    const SYS_ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let result: i64;
    // SAFETY: the call reads its two numbers and touches no memory of this process; `syscall` clobbers rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") SYS_ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}
