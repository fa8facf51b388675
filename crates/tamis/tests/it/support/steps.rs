//! A watch on a run directory that counts its steps, and stops or refuses one of them.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tamis_io::store::{Action, Watch};

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The process says where it is and stands still until it is killed.
    Stop,
    /// The step fails with this error of the operating system, others do not.
    Fail(i32),
    /// The step and all later ones fail.
    FailForEver(i32),
}

/// `ENOSPC`
pub(crate) const DISK_FULL: i32 = 28;
/// `EROFS`
pub(crate) const READ_ONLY: i32 = 30;
/// `EIO`
pub(crate) const DISK_BROKEN: i32 = 5;

/// What a child that stands still begins its line with.
pub(crate) const STOPPED: &str = "stopped at ";

/// Counts steps; step `at` (1-based, 0 for none) meets its fate.
#[derive(Debug)]
pub(crate) struct Steps {
    count: AtomicU64,
    at: u64,
    fate: Fate,
}

impl Steps {
    pub(crate) fn new(at: u64, fate: Fate) -> Self {
        Self { count: AtomicU64::new(0), at, fate }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
}

impl Watch for Steps {
    fn before(&self, action: Action, path: &Path) -> io::Result<()> {
        let step = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        match self.fate {
            Fate::Stop if step == self.at => {
                // Not `println!`, which the test harness would keep to itself.
                writeln!(io::stdout(), "{STOPPED}{action:?} {}", path.display())?;
                io::stdout().flush()?;
                loop {
                    std::thread::park();
                }
            }
            Fate::Fail(code) if step == self.at => Err(io::Error::from_raw_os_error(code)),
            Fate::FailForEver(code) if self.at > 0 && step >= self.at => {
                Err(io::Error::from_raw_os_error(code))
            }
            _ => Ok(()),
        }
    }
}
