//! From what the WebAssembly runtime reports to the words of the core.

use std::time::Duration;

use portcullis_core::plugin::PluginFault;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::limits::Watchman;
use crate::log::printable;

/// Longest text of a fault, in bytes; part of it can come from the plugin.
const MAX_TEXT: usize = 300;

/// Names a failed call's cause. `deadline` is how long the call was allowed to take.
pub(crate) fn fault(error: &wasmtime::Error, watchman: &Watchman, deadline: Duration) -> PluginFault {
    if let Some(refused) = watchman.refused() {
        return PluginFault::Limit(refused.to_owned());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => return PluginFault::Deadline(millis(deadline)),
        Some(Trap::StackOverflow) => return PluginFault::Limit("stack".into()),
        Some(trap) => return PluginFault::Trap(trap.to_string()),
        None => {}
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return PluginFault::Busy;
    }
    let text = printable(&error.root_cause().to_string(), MAX_TEXT);
    // The runtime keeps the type of this error to itself; its text is checked by a test.
    if text.contains("fuel") && text.contains("hostcall") { PluginFault::Limit(text) } else { PluginFault::Trap(text) }
}

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
