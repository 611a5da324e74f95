//! The one place where compiled code is taken on trust.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Takes machine code that [`Component::serialize`] wrote.
///
/// # Errors
/// When it was written by another version of the runtime or under another configuration, or is not such code at all.
#[expect(unsafe_code, reason = "the runtime cannot check machine code; the caller answers for where it comes from")]
pub(crate) fn deserialize(engine: &Engine, trusted: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the only caller is the compile cache. It hands over what it read from a folder that belongs to the gateway's own
    // user and that nobody else can write to or enter, under a name that only the cache itself gives, after the name was
    // computed from the verified component and from the engine's version and configuration. Whoever can put a file there
    // is that user already, and could run machine code without our help.
    unsafe { Component::deserialize(engine, trusted) }
}
