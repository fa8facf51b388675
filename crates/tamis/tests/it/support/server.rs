//! One well-behaved server for a test process and those that it starts.

use std::sync::LazyLock;

#[path = "../../../../tamis-remote/tests/it/stub.rs"]
#[expect(dead_code, reason = "the tests of the clients need more of it")]
mod stub;

pub(crate) use stub::{Reply, Stub, well_behaved};

/// Names the server to a process that this one starts: a run notes where its scores came from, so that both must ask one.
pub(crate) const VARIABLE: &str = "TAMIS_TEST_SERVER";

/// Its address.
pub(crate) static SERVER: LazyLock<String> = LazyLock::new(|| {
    std::env::var(VARIABLE).unwrap_or_else(|_| {
        let stub = stub::Stub::start(stub::well_behaved);
        let url = stub.url();
        // It lives as long as the process.
        std::mem::forget(stub);
        url
    })
});
