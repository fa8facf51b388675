//! One record a command, in the run that it changed.

use tamis_io::clock::{self, Timestamp};
use tamis_io::run::{redact, secrets_in_environment};

use crate::Result;
use crate::project::Project;

/// When a command began.
#[derive(Clone, Copy, Debug)]
pub struct Started(Timestamp);

impl Started {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(clock::now())
    }
}

/// A message without values of environment variables that are secrets, and without passwords in URLs.
#[must_use]
pub fn without_secrets(message: &str) -> String {
    redact(&[message.to_owned()], &secrets_in_environment()).concat()
}

impl Project {
    /// Writes the record of a command that ends now.
    ///
    /// # Errors
    /// A run that cannot be written.
    pub fn write_audit(
        &self,
        started: Started,
        arguments: &[String],
        outcome: &str,
        changed: &[String],
    ) -> Result<()> {
        self.run.write_audit(started.0, arguments, outcome, changed, &secrets_in_environment())?;
        Ok(())
    }
}
