//! What a worker does when it needs what others make: it waits for it, or ends and is called again.

use std::time::Duration;

use tamis_io::run::{CorpusVersion, SignalDir};

use crate::project::Project;
use crate::{Error, Result};

/// Between two looks at what others have done.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);

impl Project {
    /// Waits until nothing is missing of `what`, which is made shard by shard.
    ///
    /// # Errors
    /// [`Error::Waiting`] where something is, and nobody wants to wait; [`Error::Cancelled`]; what `missing` says.
    pub(crate) fn wait_for(
        &self,
        version: &CorpusVersion,
        what: &str,
        wait: bool,
        mut missing: impl FnMut() -> Result<usize>,
    ) -> Result<()> {
        let mut said = 0;
        loop {
            let missing = missing()?;
            if missing == 0 {
                return Ok(());
            }
            let waiting = Error::Waiting { missing, shards: version.shards.len(), what: what.to_owned() };
            if !wait {
                return Err(waiting);
            }
            if said != missing {
                self.observer.note(&waiting.to_string());
                said = missing;
            }
            self.go_on()?;
            std::thread::sleep(LOOKS_AGAIN);
        }
    }

    /// Waits until every shard of a signal is there, whoever computes it.
    ///
    /// # Errors
    /// As [`Project::wait_for`].
    pub(crate) fn wait_for_whole(
        &self,
        version: &CorpusVersion,
        signal: &SignalDir,
        wait: bool,
    ) -> Result<()> {
        self.wait_for(version, signal.full_name(), wait, || Ok(self.tasks(version, signal)?.len()))
    }
}
