//! What a plugin may use, and the watchman inside each store that holds it to that.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Limits of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLimits {
    /// How long one evaluation may take. Counted in milliseconds, at least one.
    pub call_timeout: Duration,
    /// How long a fresh instance may take to start and to take its settings; comes on top of `call_timeout` when a call
    /// needs one.
    pub setup_timeout: Duration,
    /// Bytes of memory, all memories of an instance together; at most 128 MiB.
    pub memory: usize,
    /// Evaluations at the same time. More wait, for as long as one call may take.
    pub concurrency: usize,
    /// Calls after which an instance is replaced, so that what a plugin leaks does not pile up.
    pub calls_per_instance: u32,
    /// Log lines per minute.
    pub log_lines: u32,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_millis(250),
            setup_timeout: Duration::from_secs(1),
            memory: 64 << 20,
            concurrency: 16,
            calls_per_instance: 10_000,
            log_lines: 120,
        }
    }
}

/// Limits of a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorLimits {
    /// How long one call may take altogether: waiting for its turn, starting, and all its requests.
    pub call_timeout: Duration,
    /// How long one HTTP request may take, from the first byte sent to the last received.
    pub request_timeout: Duration,
    /// Bytes of memory, all memories of an instance together.
    pub memory: usize,
    /// Calls at the same time; more wait inside their `call_timeout`.
    pub concurrency: usize,
    /// HTTP requests per minute.
    pub requests: u32,
    /// Largest body of a request, in bytes.
    pub request_body: usize,
    /// Largest body of an answer, in bytes, with its content coding taken off.
    pub response_body: usize,
    /// Bytes that the plugin may hand over as the answer to one call.
    pub answer: usize,
    /// Bytes that keys and values of the plugin's state may take together.
    pub state_quota: u64,
    /// Log lines per minute.
    pub log_lines: u32,
}

impl Default for ConnectorLimits {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(10),
            memory: 64 << 20,
            concurrency: 8,
            requests: 600,
            request_body: 256 << 10,
            response_body: 4 << 20,
            answer: 256 << 10,
            state_quota: 1 << 20,
            log_lines: 120,
        }
    }
}

impl ConnectorLimits {
    /// What a connector to a cloud identity provider needs unless the administrator says otherwise: it fetches and hands over
    /// pages of a thousand events of some kilobytes each, and services take their time over the first of them.
    #[must_use]
    pub fn identity_provider() -> Self {
        Self {
            call_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(40),
            memory: 192 << 20,
            response_body: 24 << 20,
            answer: 40 << 20,
            ..Self::default()
        }
    }
}

/// Elements that all tables of an instance may have together.
const TABLE_ELEMENTS: usize = 80_000;
/// Core instances of a component; one made from Python has about 40.
const INSTANCES: usize = 64;
const TABLES: usize = 64;
const MEMORIES: usize = 8;

/// Counts what one store's instances take. It traps instead of letting the guest see that growing failed, so that no
/// guest goes on half-working, and remembers what was refused for the fault's text.
#[derive(Debug)]
pub(crate) struct Watchman {
    memory: usize,
    memory_limit: usize,
    elements: usize,
    refused: Option<String>,
}

impl Watchman {
    pub(crate) fn new(memory_limit: usize) -> Self {
        Self { memory: 0, memory_limit, elements: 0, refused: None }
    }

    /// What was refused, if the last failure came from here.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    fn refuse(&mut self, what: String) -> wasmtime::Result<bool> {
        self.refused = Some(what.clone());
        Err(wasmtime::Error::msg(what))
    }
}

impl ResourceLimiter for Watchman {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.memory_limit {
            return self.refuse(format!("{total} bytes of memory, where {} are allowed", self.memory_limit));
        }
        self.memory = total;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refuse(format!("memory: {error}")).map(|_| ())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS {
            return self.refuse(format!("{total} table elements, where {TABLE_ELEMENTS} are allowed"));
        }
        self.elements = total;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refuse(format!("tables: {error}")).map(|_| ())
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::ResourceLimiter;

    use super::Watchman;

    #[test]
    fn memories_are_counted_together() {
        let mut watchman = Watchman::new(100);
        assert!(watchman.memory_growing(0, 60, None).unwrap());
        assert!(watchman.memory_growing(0, 50, None).is_err(), "a second memory is not a second allowance");
        assert!(watchman.refused().unwrap().contains("110 bytes"));
        assert!(watchman.memory_growing(60, 100, None).unwrap(), "growing counts what is added");
    }
}
