//! Loads, verifies, limits and calls WebAssembly plugins.
