//! How a server is asked.

use std::time::Duration;

/// How a server is asked. Nothing here changes a value, but for [`ServerOptions::model`].
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Name of the model on the server; by default the address's fragment, else the only one there is.
    pub model: Option<String>,
    /// Requests under way at once.
    pub concurrency: usize,
    /// Time for one request, from connecting to the last byte.
    pub timeout: Duration,
    /// Tries after the first.
    pub retries: u32,
    /// Wait before the second try, doubled for each next one, with jitter.
    pub back_off: Duration,
    /// Rows without a value, one after the other, at which the signal stops; 0: never.
    pub stop_after_failed: u32,
}

impl ServerOptions {
    /// [`ServerOptions::stop_after_failed`] by default.
    pub const STOP_AFTER_FAILED: u32 = 200;
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            model: None,
            concurrency: 16,
            timeout: Duration::from_secs(120),
            retries: 6,
            back_off: Duration::from_millis(500),
            stop_after_failed: Self::STOP_AFTER_FAILED,
        }
    }
}
