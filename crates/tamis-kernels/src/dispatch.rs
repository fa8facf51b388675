//! One body, several instruction sets: plain Rust loops compiled once per mode.
//!
//! A body is written over fixed lanes (see [`crate::math::LANES`]) and never contracted by the compiler, so its result
//! does not depend on the width of the machine's vectors: `Avx2`, `Avx512` and `Neon` agree bit for bit, and so do `Portable`
//! and `PortableOnAvx2`. Only `FUSED`, whether multiply and add round once or twice, makes a difference.

/// Declares `fn name(mode, args…)` that runs `body::<FUSED>(args…)`, compiled for the mode's instruction set.
macro_rules! dispatched {
    ($($vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? = $body:ident;)+) => {$(
        $vis fn $name(mode: $crate::path::Mode, $($arg: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $type),*) $(-> $result)? {
                    $body::<true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) $(-> $result)? {
                    $body::<true>($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn separate_on_avx2($($arg: $type),*) $(-> $result)? {
                    $body::<false>($($arg),*)
                }
                match mode {
                    // SAFETY: a mode exists only where detection found its instructions.
                    $crate::path::Mode::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::path::Mode::Avx2 => return unsafe { avx2($($arg),*) },
                    // SAFETY: as above.
                    $crate::path::Mode::PortableOnAvx2 => return unsafe { separate_on_avx2($($arg),*) },
                    $crate::path::Mode::Portable | $crate::path::Mode::Neon => {}
                }
            }
            // Every 64-bit ARM has NEON: there is nothing to enable.
            #[cfg(target_arch = "aarch64")]
            if mode == $crate::path::Mode::Neon {
                return $body::<true>($($arg),*);
            }
            let _ = mode;
            $body::<false>($($arg),*)
        }
    )+};
}
pub(crate) use dispatched;
