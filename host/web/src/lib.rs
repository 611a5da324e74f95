//! The challenge page, the console and their server.
